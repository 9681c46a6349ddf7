//! Families of models, told by their names. An unknown newer model is taken for the newest.

/// A version: major and minor.
pub(super) type Version = (u32, u32);

/// The version of `gpt-<version>`, of a model that reasons.
pub(super) fn reasoning_gpt(model: &str) -> Option<Version> {
    let rest = model.strip_prefix("gpt-")?;
    let number = rest.split('-').next().unwrap_or_default();
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    let version = (major.parse().ok()?, minor.parse().ok()?);
    (version >= (5, 0) && !rest.contains("-chat")).then_some(version)
}

/// Whether an `OpenAI` model reasons.
pub(super) fn reasons(model: &str) -> bool {
    let is_o =
        model.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    is_o || reasoning_gpt(model).is_some()
}

/// The levels of effort that an `OpenAI` model takes.
pub(super) fn efforts(model: &str) -> &'static [&'static str] {
    let with_none = ["gpt-6-sol", "gpt-6-luna", "gpt-6.1-terra"];
    match reasoning_gpt(model) {
        None => &["low", "medium", "high"],
        Some((5, 0)) => &["minimal", "low", "medium", "high"],
        Some((5, 1)) => &["none", "low", "medium", "high"],
        Some((5, _)) => &["none", "low", "medium", "high", "xhigh"],
        Some(_) if with_none.iter().any(|name| model.starts_with(name)) => {
            &["none", "low", "medium", "high", "xhigh", "max"]
        }
        Some(_) => &["low", "medium", "high", "xhigh", "max"],
    }
}

/// A Claude model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claude {
    pub(super) kind: Kind,
    pub(super) version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Opus,
    Sonnet,
    Haiku,
    /// Fable and Mythos, which are alike.
    Fable,
}

impl Claude {
    pub(super) fn of(model: &str) -> Option<Self> {
        let parts: Vec<&str> = model.strip_prefix("claude-")?.split('-').collect();
        let kind = parts.iter().find_map(|part| match *part {
            "opus" => Some(Kind::Opus),
            "sonnet" => Some(Kind::Sonnet),
            "haiku" => Some(Kind::Haiku),
            "fable" | "mythos" => Some(Kind::Fable),
            _ => None,
        })?;
        // A longer number is a date.
        let mut numbers =
            parts.iter().filter(|part| part.len() <= 2).filter_map(|part| part.parse().ok());
        let version = (numbers.next()?, numbers.next().unwrap_or(0));
        Some(Self { kind, version })
    }

    pub(super) fn samples(self) -> bool {
        self.kind != Kind::Fable && self.version <= (4, 6)
    }

    pub(super) fn thinks_by_budget(self) -> bool {
        self.kind != Kind::Fable && self.version < (5, 5)
    }

    pub(super) fn thinks_adaptively(self) -> bool {
        self.version >= (4, 6)
    }

    pub(super) fn can_be_forced(self) -> bool {
        match self.kind {
            Kind::Haiku => true,
            Kind::Fable => self.version < (5, 1),
            Kind::Opus | Kind::Sonnet => self.version < (5, 5),
        }
    }

    pub(super) fn takes_prefill(self) -> bool {
        self.version <= (4, 5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasoning_models_are_told_from_others() {
        for model in ["o1", "o3-mini", "gpt-5", "gpt-5.4-mini", "gpt-6-astra", "gpt-7"] {
            assert!(reasons(model), "{model}");
        }
        for model in ["gpt-4o", "gpt-4.1", "gpt-3.5-turbo", "gpt-5-chat-latest", "omni", "m"] {
            assert!(!reasons(model), "{model}");
        }
        assert_eq!(reasoning_gpt("gpt-5.6-sol"), Some((5, 6)));
    }

    #[test]
    fn claudes_are_told_apart() {
        let of = |model| Claude::of(model).map(|claude| (claude.kind, claude.version));
        assert_eq!(of("claude-sonnet-4-5-20250929"), Some((Kind::Sonnet, (4, 5))));
        assert_eq!(of("claude-sonnet-4-20250514"), Some((Kind::Sonnet, (4, 0))));
        assert_eq!(of("claude-3-7-sonnet-latest"), Some((Kind::Sonnet, (3, 7))));
        assert_eq!(of("claude-mythos-5-1"), Some((Kind::Fable, (5, 1))));
        assert_eq!(of("gpt-4o"), None);
    }
}
