//! What a key may spend: one budget of its own, which `OpenRouter` calls its limit.

use ledger::{BudgetPeriod, Usd};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{BudgetOwner, PeriodUsage, Store};
use uuid::Uuid;

use super::Given;
use super::dollars::Dollars;
use crate::problem::Problem;
use crate::snapshot::Snapshot;

/// A limit that begins anew: at midnight UTC, on Mondays, on the first of the month.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reset {
    Daily,
    Weekly,
    Monthly,
}

impl Reset {
    pub(crate) const fn period(reset: Option<Self>) -> BudgetPeriod {
        match reset {
            None => BudgetPeriod::Total,
            Some(Self::Daily) => BudgetPeriod::Day,
            Some(Self::Weekly) => BudgetPeriod::Week,
            Some(Self::Monthly) => BudgetPeriod::Month,
        }
    }

    pub(crate) const fn of(period: BudgetPeriod) -> Option<Self> {
        match period {
            BudgetPeriod::Day => Some(Self::Daily),
            BudgetPeriod::Week => Some(Self::Weekly),
            BudgetPeriod::Month => Some(Self::Monthly),
            BudgetPeriod::Total => None,
        }
    }
}

/// How much, and how often.
pub(crate) type Limit = (BudgetPeriod, Usd);

/// What all of these have used together by now.
pub(crate) async fn used(
    store: &Store,
    owners: &[BudgetOwner],
    now: i64,
) -> Result<PeriodUsage, Problem> {
    let usage = store.usage_by(owners, now).await.map_err(Problem::store)?;
    Ok(sum(&usage))
}

/// Added up.
pub(crate) fn sum(usage: &[PeriodUsage]) -> PeriodUsage {
    usage.iter().fold(PeriodUsage::default(), |sum, one| PeriodUsage {
        ever: sum.ever.saturating_add(one.ever),
        month: sum.month.saturating_add(one.month),
        week: sum.week.saturating_add(one.week),
        today: sum.today.saturating_add(one.today),
    })
}

/// The limits of keys, from a snapshot.
pub(crate) struct Limits<'a>(pub(crate) &'a Snapshot);

impl Limits<'_> {
    /// A key's own limits.
    fn all(&self, key: Uuid) -> impl Iterator<Item = Limit> {
        let owners = [self.0.budget_owner(key), BudgetOwner::Key(key)];
        let own = self.0.budgets.values().filter(move |budget| owners.contains(&budget.owner));
        own.map(|budget| (budget.period, budget.limit))
    }

    /// A key's limit, of which `usage` is used, by whichever key; of several that of which least is left, and of these the one that begins anew least often.
    pub(crate) fn of(&self, key: Uuid, usage: PeriodUsage) -> Option<Limit> {
        self.all(key).min_by_key(|limit| (left(*limit, usage), rank(limit.0)))
    }
}

/// First what never begins anew.
pub(super) const fn rank(period: BudgetPeriod) -> u8 {
    match period {
        BudgetPeriod::Total => 0,
        BudgetPeriod::Month => 1,
        BudgetPeriod::Week => 2,
        BudgetPeriod::Day => 3,
    }
}

/// What is left of a limit, never less than nothing.
pub(crate) fn left((period, limit): Limit, usage: PeriodUsage) -> Usd {
    Usd::from_pico(limit.pico().saturating_sub(usage.of(period)).max(0))
}

/// What a limit is to be, where something of it is asked for: an amount, or how often it begins anew.
pub(crate) fn wanted(
    limit: Given<Dollars>,
    reset: Given<Reset>,
    now: Option<Limit>,
) -> Result<Given<Limit>, Problem> {
    let amount = match limit {
        Some(limit) => limit.map(|Dollars(amount)| amount),
        None if reset.is_none() => return Ok(None),
        None => now.map(|(_, amount)| amount),
    };
    let reset = reset.unwrap_or_else(|| now.and_then(|(period, _)| Reset::of(period)));
    match amount {
        Some(amount) if amount < Usd::ZERO => {
            Err(Problem::bad_request("limit: expected no less than 0"))
        }
        Some(amount) => Ok(Some(Some((Reset::period(reset), amount)))),
        // What is taken away has nothing that could begin anew.
        None if limit.is_none() && reset.is_some() => {
            Err(Problem::bad_request("limit_reset: this key has no limit that could begin anew"))
        }
        None => Ok(Some(None)),
    }
}

#[cfg(test)]
mod tests {
    use ledger::{BudgetPeriod, Usd};
    use store::PeriodUsage;

    use super::{Dollars, Reset, left, wanted};

    #[test]
    fn a_limit_is_changed_in_part() {
        let five = Some((BudgetPeriod::Week, Usd::from_pico(5)));
        let dollars = |pico| Some(Some(Dollars::pico(pico)));
        let limit = |period, pico| Ok(Some(Some((period, Usd::from_pico(pico)))));
        let done = |limit, reset, now| wanted(limit, reset, now).map_err(|problem| problem.message);
        assert_eq!(done(None, None, five), Ok(None));
        assert_eq!(done(dollars(7), None, five), limit(BudgetPeriod::Week, 7));
        assert_eq!(done(dollars(7), None, None), limit(BudgetPeriod::Total, 7));
        assert_eq!(done(dollars(7), Some(None), five), limit(BudgetPeriod::Total, 7));
        assert_eq!(done(None, Some(Some(Reset::Daily)), five), limit(BudgetPeriod::Day, 5));
        assert_eq!(done(None, Some(None), None), Ok(Some(None)));
        assert_eq!(done(Some(None), None, five), Ok(Some(None)));
        assert_eq!(done(Some(None), Some(Some(Reset::Daily)), five), Ok(Some(None)));
        assert!(
            done(None, Some(Some(Reset::Daily)), None).is_err_and(|e| e.contains("limit_reset"))
        );
        assert!(done(dollars(-1), None, None).is_err_and(|e| e.starts_with("limit:")));
    }

    #[test]
    fn what_is_left_is_never_less_than_nothing() {
        let usage = PeriodUsage { ever: 9, month: 4, week: 2, today: 1 };
        let of = |period, pico| left((period, Usd::from_pico(pico)), usage).pico();
        assert_eq!(of(BudgetPeriod::Total, 10), 1);
        assert_eq!(of(BudgetPeriod::Total, 8), 0);
        assert_eq!(of(BudgetPeriod::Month, 10), 6);
        assert_eq!(of(BudgetPeriod::Week, 10), 8);
        assert_eq!(of(BudgetPeriod::Day, 10), 9);
    }
}
