//! So many a minute, counted in one number: the generic cell rate algorithm, which has no window at whose edge twice as much
//! goes through.

use std::sync::atomic::{AtomicI64, Ordering};

/// In microseconds, as all times here.
pub(crate) const MINUTE: i64 = 60_000_000;

/// A pace: how long one keeps the place of the next, and how much may come at once.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) each: i64,
    pub(crate) full: i64,
}

impl Rate {
    /// So many a minute, and as many at once. Never more than that over the minutes: what does not divide a minute is rounded
    /// to the slower side.
    pub(crate) fn per_minute(limit: i64) -> Self {
        let limit = limit.clamp(1, MINUTE);
        let each = (MINUTE + limit - 1) / limit;
        Self { each, full: each * limit }
    }

    /// When all would have come if they had come evenly, after one more; or else how long it has to wait.
    pub(crate) fn next(self, due: i64, now: i64) -> Result<i64, i64> {
        let next = due.max(now) + self.each;
        let wait = next - now - self.full;
        if wait > 0 { Err(wait) } else { Ok(next) }
    }
}

/// What somebody has done lately.
#[derive(Debug, Default)]
pub(crate) struct Pace(AtomicI64);

impl Pace {
    /// Counts one, unless there were more than `limit` in a minute; then says how long it has to wait.
    pub(crate) fn begin(&self, limit: i64, now: i64) -> Result<(), i64> {
        let (rate, order) = (Rate::per_minute(limit), Ordering::Relaxed);
        let counted = self.0.fetch_update(order, order, |due| rate.next(due, now).ok());
        counted.map(drop).map_err(|due| rate.next(due, now).err().unwrap_or(1))
    }

    /// When nothing of it will be owed any more.
    pub(crate) fn due(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether nothing of it is owed any more, so that a new one is the same.
    pub(crate) fn rests(&self, now: i64) -> bool {
        self.0.load(Ordering::Relaxed) <= now
    }
}

#[cfg(test)]
mod tests {
    use super::{MINUTE, Pace, Rate};

    const NOW: i64 = 1_700_000_000_000_000;

    #[test]
    fn a_minute_has_as_many_as_it_may() {
        let pace = Pace::default();
        for _ in 0..6 {
            assert_eq!(pace.begin(6, NOW), Ok(()));
        }
        assert_eq!(pace.begin(6, NOW), Err(10_000_000));
        assert_eq!(pace.begin(6, NOW + 9_999_999), Err(1));
        assert!(!pace.rests(NOW + MINUTE - 1) && pace.rests(NOW + MINUTE));
        assert_eq!(pace.begin(6, NOW + 10_000_000), Ok(()));
        assert!(pace.begin(6, NOW + 10_000_000).is_err());
        // Over any minute no more than a minute's worth beyond what the pace gives.
        let later = NOW + 10 * MINUTE;
        let let_in = (0..1_000).filter(|n| pace.begin(6, later + n * 60_000).is_ok()).count();
        assert_eq!(let_in, 6 + 5, "six at once, then one every ten seconds");
    }

    #[test]
    fn a_limit_that_does_not_divide_a_minute_is_kept_to_the_last_one() {
        for limit in [1, 2, 7, 59, 61, 999, 70_000] {
            let rate = Rate::per_minute(limit);
            let (mut due, mut at_once) = (0, 0);
            while let Ok(next) = rate.next(due, NOW) {
                (due, at_once) = (next, at_once + 1);
            }
            assert_eq!(at_once, limit);
            assert!(MINUTE / rate.each <= limit, "{limit}: no more than that in the long run");
        }
    }
}
