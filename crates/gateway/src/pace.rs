//! Requests and tokens per minute of a key, counted in memory: the generic cell rate algorithm, which needs one number for
//! each and has no window at whose edge twice as much goes through.

use std::sync::atomic::{AtomicI64, Ordering};

const MINUTE: i64 = 60_000_000;

/// The most that a key may do in a minute.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) requests: Option<i64>,
    pub(crate) tokens: Option<i64>,
}

/// What a key has done lately.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// When all requests would have come if they had come evenly; microseconds since 1970.
    requests: AtomicI64,
    /// The same for tokens.
    tokens: AtomicI64,
}

/// A key is too fast.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct TooFast {
    /// `requests` or `tokens`.
    pub(crate) what: &'static str,
    pub(crate) limit: i64,
    /// Microseconds until it may go on.
    pub(crate) wait: i64,
}

impl Pace {
    /// Counts a request, unless there were too many, or too many tokens. A minute's worth may come at once. Tokens are known
    /// when a request ends, so that what is under way may go over.
    pub(crate) fn begin(&self, limits: Limits, now: i64) -> Result<(), TooFast> {
        if let Some(limit) = limits.tokens {
            let wait = self.tokens.load(Ordering::Relaxed).saturating_sub(now + MINUTE);
            if wait >= 0 {
                return Err(TooFast { what: "tokens", limit, wait: wait.max(1) });
            }
        }
        let Some(limit) = limits.requests else { return Ok(()) };
        let each = MINUTE / limit.max(1);
        let next = |due: i64| {
            let next = due.max(now) + each;
            (next <= now + MINUTE).then_some(next)
        };
        let counted = self.requests.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let wait = |due: i64| (due.max(now) + each - now - MINUTE).max(1);
        counted.map(drop).map_err(|due| TooFast { what: "requests", limit, wait: wait(due) })
    }

    /// Whether nothing of it is owed any more, so that a new one is the same.
    pub(crate) fn rests(&self, now: i64) -> bool {
        self.requests.load(Ordering::Relaxed).max(self.tokens.load(Ordering::Relaxed)) <= now
    }

    /// Counts what a request has used.
    pub(crate) fn used(&self, limits: Limits, tokens: u64, now: i64) {
        let Some(limit) = limits.tokens else { return };
        let time = i128::from(tokens) * i128::from(MINUTE) / i128::from(limit.max(1));
        let time = i64::try_from(time).unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
        let _ = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |due| {
            Some(due.max(now).saturating_add(time))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Limits, MINUTE, Pace, TooFast};

    const NOW: i64 = 1_700_000_000_000_000;

    #[test]
    fn a_minute_has_as_many_requests_as_it_may() {
        let limits = Limits { requests: Some(6), tokens: None };
        let pace = Pace::default();
        for _ in 0..6 {
            assert_eq!(pace.begin(limits, NOW), Ok(()));
        }
        let over = TooFast { what: "requests", limit: 6, wait: 10_000_000 };
        assert_eq!(pace.begin(limits, NOW), Err(over));
        assert_eq!(pace.begin(limits, NOW + 9_999_999).map_err(|over| over.wait), Err(1));
        assert_eq!(pace.begin(limits, NOW + 10_000_000), Ok(()));
        assert!(pace.begin(limits, NOW + 10_000_000).is_err());
        // Over any minute no more than a minute's worth beyond what the pace gives.
        let later = NOW + 10 * MINUTE;
        let let_in = (0..1_000).filter(|n| pace.begin(limits, later + n * 60_000).is_ok()).count();
        assert_eq!(let_in, 6 + 5, "six at once, then one every ten seconds");
    }

    #[test]
    fn tokens_that_were_used_hold_the_next_request_back() {
        let limits = Limits { requests: None, tokens: Some(1_000) };
        let pace = Pace::default();
        assert_eq!(pace.begin(limits, NOW), Ok(()));
        pace.used(limits, 999, NOW);
        assert_eq!(pace.begin(limits, NOW), Ok(()));
        pace.used(limits, 501, NOW);
        let wait = pace.begin(limits, NOW).map_err(|over| (over.what, over.wait));
        assert_eq!(wait, Err(("tokens", MINUTE / 2)), "half a minute's worth is owed");
        assert!(pace.begin(limits, NOW + MINUTE / 2 + 1).is_ok());
        let unlimited = Limits::default();
        pace.used(unlimited, u64::MAX, NOW);
        assert_eq!(pace.begin(unlimited, NOW), Ok(()));
    }
}
