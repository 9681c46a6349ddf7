//! Durations, counted by how long they were: two additions each, and nobody waits for anybody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters of durations, by upper bounds in microseconds.
pub(crate) struct Histogram<const N: usize> {
    bounds: &'static [u64; N],
    counts: [AtomicU64; N],
    /// Those beyond the last bound.
    beyond: AtomicU64,
    micros: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    /// One for bounds in ascending order.
    pub(crate) const fn new(bounds: &'static [u64; N]) -> Self {
        let counts = [const { AtomicU64::new(0) }; N];
        Self { bounds, counts, beyond: AtomicU64::new(0), micros: AtomicU64::new(0) }
    }

    pub(crate) fn note(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = self.bounds.partition_point(|bound| *bound < micros);
        self.counts.get(place).unwrap_or(&self.beyond).fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub(crate) fn read(&self) -> Reading {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let within = self.bounds.iter().copied().zip(self.counts.iter().map(load)).collect();
        Reading { within, beyond: load(&self.beyond), micros: load(&self.micros) }
    }
}

/// A histogram at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Upper bounds in microseconds, and how many are within each and beyond the one before.
    pub(crate) within: Vec<(u64, u64)>,
    pub(crate) beyond: u64,
    pub(crate) micros: u64,
}

impl Reading {
    pub(crate) fn count(&self) -> u64 {
        self.beyond + self.within.iter().map(|(_, count)| count).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Histogram, Reading};

    #[test]
    fn a_bound_is_in_its_bucket() {
        let histogram = Histogram::new(&[10, 1_000]);
        for micros in [0, 10, 11, 1_000, 1_001, 5_000_000] {
            histogram.note(Duration::from_micros(micros));
        }
        let read = histogram.read();
        let expected = Reading { within: vec![(10, 2), (1_000, 2)], beyond: 2, micros: 5_002_022 };
        assert_eq!((read.count(), read), (6, expected));
    }
}
