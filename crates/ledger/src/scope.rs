//! What money is held from, and the periods of budgets.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::time::{MICROS_PER_MINUTE, MINUTES_PER_DAY, days_in_month, is_leap};

/// What a hold is taken from: an account's credit, or a budget in one of its periods.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// Which of the two.
    pub kind: ScopeKind,
    /// The account or the budget.
    pub id: Uuid,
    /// The first microsecond of the budget's period; 0 for credit, and for a budget without periods.
    pub period_start: i64,
}

/// What kind of thing a [`Scope`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeKind {
    /// An account's credit.
    Account,
    /// A budget in one of its periods.
    Budget,
}

/// How often a budget begins anew. All periods are those of UTC.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetPeriod {
    /// At midnight.
    Day,
    /// On Mondays.
    Week,
    /// On the first of the month.
    Month,
    /// Never.
    Total,
}

const MICROS_PER_DAY: i64 = MICROS_PER_MINUTE * MINUTES_PER_DAY;

impl BudgetPeriod {
    /// Every period.
    pub const ALL: [Self; 4] = [Self::Day, Self::Week, Self::Month, Self::Total];

    /// The name in JSON and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// The period of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.name() == name)
    }

    /// The first microsecond of the period that `at` lies in; 0 where there is only one.
    pub fn start(self, at: i64) -> i64 {
        self.days(at).map_or(0, |(first, _)| first.saturating_mul(MICROS_PER_DAY))
    }

    /// The first microsecond after the period that `at` lies in; `None` where there is only one.
    pub fn end(self, at: i64) -> Option<i64> {
        let (first, days) = self.days(at)?;
        Some(first.saturating_add(days).saturating_mul(MICROS_PER_DAY))
    }

    /// The period's first day, counted from 1970, and how many it has.
    fn days(self, at: i64) -> Option<(i64, i64)> {
        let day = at.div_euclid(MICROS_PER_DAY);
        match self {
            Self::Day => Some((day, 1)),
            // 1970-01-01 was a Thursday, three days after a Monday.
            Self::Week => Some((day.saturating_sub(day.saturating_add(3).rem_euclid(7)), 7)),
            Self::Month => {
                let (of_month, days) = day_of_month(day);
                Some((day.saturating_sub(of_month), days))
            }
            Self::Total => None,
        }
    }
}

/// The day's place in its month, from 0, and how many days the month has.
fn day_of_month(day: i64) -> (i64, i64) {
    // The calendar repeats itself after 400 years.
    let mut rest = day.rem_euclid(146_097);
    for year in 1970..2370 {
        let days = if is_leap(year) { 366 } else { 365 };
        if rest < days {
            for month in 1..=12 {
                let days = days_in_month(year, month);
                if rest < days {
                    return (rest, days);
                }
                rest = rest.saturating_sub(days);
            }
        }
        rest = rest.saturating_sub(days);
    }
    (rest, 31)
}

/// Kind, id and beginning of the period.
const LENGTH: usize = 1 + 16 + 8;

/// Scopes as bytes, as receipts keep and hash them: 25 bytes each. None where there is none.
pub fn encode_scopes(scopes: &[Scope]) -> Option<Vec<u8>> {
    if scopes.is_empty() {
        return None;
    }
    let mut bytes = Vec::with_capacity(scopes.len().saturating_mul(LENGTH));
    for Scope { kind, id, period_start } in scopes {
        bytes.push(match kind {
            ScopeKind::Account => b'a',
            ScopeKind::Budget => b'b',
        });
        bytes.extend_from_slice(id.as_bytes());
        bytes.extend_from_slice(&period_start.to_le_bytes());
    }
    Some(bytes)
}

/// The scopes in such bytes. None where they are anything else than [`encode_scopes`] writes.
pub fn decode_scopes(bytes: Option<&[u8]>) -> Option<Vec<Scope>> {
    let (scopes, rest) = bytes.unwrap_or_default().as_chunks::<LENGTH>();
    if !rest.is_empty() {
        return None;
    }
    let scope = |bytes: &[u8; LENGTH]| {
        let (kind, rest) = bytes.split_first()?;
        let (id, period_start) = rest.split_at_checked(16)?;
        let kind = match kind {
            b'a' => ScopeKind::Account,
            b'b' => ScopeKind::Budget,
            _ => return None,
        };
        let period_start = i64::from_le_bytes(period_start.try_into().ok()?);
        Some(Scope { kind, id: Uuid::from_slice(id).ok()?, period_start })
    };
    scopes.iter().map(scope).collect()
}

#[cfg(test)]
#[path = "scope_tests.rs"]
mod tests;
