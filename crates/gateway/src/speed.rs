//! How fast an endpoint has been of late, by what its answers took: averages in memory, in which the newest answer counts an
//! eighth. To note one costs a request two words of memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The share of the newest answer.
const SHARE: u64 = 8;

/// 0 is what has not been measured yet.
#[derive(Default)]
pub(crate) struct Speed {
    /// Microseconds to the first byte of a stream.
    first_byte: AtomicU64,
    /// Tokens in a thousand seconds.
    throughput: AtomicU64,
}

impl Speed {
    /// A stream has begun.
    pub(crate) fn began(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        note(&self.first_byte, micros);
    }

    /// An answer was there to its end.
    pub(crate) fn generated(&self, tokens: u64, took: Duration) {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
        if tokens > 0 {
            note(&self.throughput, tokens.saturating_mul(1_000_000) / millis);
        }
    }

    pub(crate) fn first_byte(&self) -> u64 {
        self.first_byte.load(Ordering::Relaxed)
    }

    /// What has not been measured is taken for the best, so that it is.
    pub(crate) fn throughput(&self) -> u64 {
        match self.throughput.load(Ordering::Relaxed) {
            0 => u64::MAX,
            measured => measured,
        }
    }
}

/// Of two at the same moment one may be lost, which an average survives.
fn note(average: &AtomicU64, value: u64) {
    let before = average.load(Ordering::Relaxed);
    let after = if before == 0 { value } else { before - before / SHARE + value / SHARE };
    average.store(after.max(1), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Speed;

    #[test]
    fn the_newest_counts_an_eighth() {
        let speed = Speed::default();
        assert_eq!((speed.first_byte(), speed.throughput()), (0, u64::MAX));
        speed.began(Duration::from_millis(800));
        assert_eq!(speed.first_byte(), 800_000);
        speed.began(Duration::from_millis(1_600));
        assert_eq!(speed.first_byte(), 900_000);
        speed.generated(50, Duration::from_millis(500));
        assert_eq!(speed.throughput(), 100_000, "a hundred a second");
        speed.generated(0, Duration::from_millis(500));
        assert_eq!(speed.throughput(), 100_000, "nothing was generated");
        for _ in 0..100 {
            speed.generated(1_000, Duration::from_secs(1));
            speed.began(Duration::ZERO);
        }
        assert!((990_000..=1_000_000).contains(&speed.throughput()), "{}", speed.throughput());
        assert!((1..10).contains(&speed.first_byte()), "it was measured: {}", speed.first_byte());
    }
}
