//! What a key may do.

use std::fmt;

/// One thing that a key may do.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Ask models.
    Inference,
    /// Read what was used and what it cost.
    Usage,
    /// Make, change and revoke keys.
    Keys,
    /// Read balance and bills.
    Billing,
    /// Run the place, for as long as the key's user does.
    Operator,
}

impl Scope {
    pub(crate) const ALL: [Self; 5] =
        [Self::Inference, Self::Usage, Self::Keys, Self::Billing, Self::Operator];

    /// As it is written.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Inference => "inference",
            Self::Usage => "usage",
            Self::Keys => "keys",
            Self::Billing => "billing",
            Self::Operator => "operator",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// All that a key may do.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scopes(u8);

impl Scopes {
    /// What a key of the native API can do unless it is narrowed: everything that its user's programs need.
    pub(crate) const ORDINARY: Self =
        Self(Scope::Inference.bit() | Scope::Usage.bit() | Scope::Keys.bit());
    /// A key for programs that ask models, and nothing else.
    pub(crate) const INFERENCE: Self = Self(Scope::Inference.bit());
    /// A key for programs that manage, and ask no model: `OpenRouter`'s management key.
    pub(crate) const MANAGEMENT: Self =
        Self(Scope::Usage.bit() | Scope::Keys.bit() | Scope::Billing.bit());

    /// Everything that a user may grant.
    pub(crate) const ALL: Self = Self(Self::ORDINARY.0 | Self::MANAGEMENT.0);
    /// And what only an operator may.
    pub(crate) const OPERATORS: Self = Self::ALL.with(Scope::Operator);

    pub(crate) const fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// The same and one more.
    pub(crate) const fn with(self, scope: Scope) -> Self {
        Self(self.0 | scope.bit())
    }

    /// What is in both.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether nothing is in it that is not in `other`.
    pub(crate) const fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Reads names; the first that is none is the error.
    pub(crate) fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, &'a str> {
        let mut scopes = Self::default();
        for name in names {
            let found = Scope::ALL.into_iter().find(|scope| scope.name() == name).ok_or(name)?;
            scopes.0 |= found.bit();
        }
        Ok(scopes)
    }

    /// As the store has it. What this program does not know allows nothing.
    pub(crate) fn stored(text: &str) -> Self {
        text.split_whitespace().fold(Self::default(), |scopes, name| {
            Self(scopes.0 | Self::parse([name]).unwrap_or_default().0)
        })
    }

    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        Scope::ALL.into_iter().filter(move |scope| self.has(*scope)).map(Scope::name)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::{Scope, Scopes};

    #[test]
    fn scopes_are_read_as_they_are_written() {
        for scopes in [Scopes::ORDINARY, Scopes::INFERENCE, Scopes::MANAGEMENT] {
            assert_eq!(Scopes::stored(&scopes.to_string()), scopes);
        }
        assert_eq!(Scopes::ORDINARY.to_string(), "inference usage keys");
        assert_eq!(Scopes::stored("usage teleport"), Scopes::parse(["usage"]).unwrap());
        assert_eq!(Scopes::parse(["usage", "all"]), Err("all"));
        assert!(Scopes::INFERENCE.within(Scopes::ORDINARY));
        assert!(!Scopes::MANAGEMENT.within(Scopes::ORDINARY));
        assert!(!Scopes::INFERENCE.has(Scope::Keys));
        assert!(!Scopes::ALL.has(Scope::Operator) && Scopes::OPERATORS.has(Scope::Operator));
    }
}
