//! From counters to figures.

use std::process::Command;

use super::scenario::Scenario;
use crate::{Result, sh};

/// What one run showed of one proxy.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    /// CPU time of the proxy for one request, or for one event of a stream, in microseconds.
    pub(crate) cpu_micros: f64,
    pub(crate) per_second: f64,
    /// Half of the requests took no longer, in milliseconds.
    pub(crate) p50_millis: f64,
    /// 99 of 100 requests took no longer, in milliseconds.
    pub(crate) p99_millis: f64,
    /// The part of its core that the proxy used while the load ran, in percent.
    pub(crate) busy_percent: f64,
}

impl Run {
    pub(crate) fn new(
        requests: f64,
        units: u32,
        micros: u64,
        ticks: u64,
        [p50_micros, p99_micros]: [u64; 2],
    ) -> Result<Self> {
        let per_second = sh::output(Command::new("getconf").arg("CLK_TCK"))?;
        let ticks_per_second: f64 =
            per_second.parse().map_err(|_| format!("CLK_TCK is `{per_second}`"))?;
        let seconds = float(micros)? / 1e6;
        let cpu_seconds = float(ticks)? / ticks_per_second;
        Ok(Self {
            cpu_micros: cpu_seconds * 1e6 / requests / f64::from(units),
            per_second: requests / seconds,
            p50_millis: float(p50_micros)? / 1e3,
            p99_millis: float(p99_micros)? / 1e3,
            busy_percent: 100.0 * cpu_seconds / seconds,
        })
    }

    pub(crate) fn short(&self) -> String {
        format!("{:.1} µs, {:.0} requests/s", self.cpu_micros, self.per_second)
    }
}

/// A run of each, one right after the other: what disturbs the machine disturbs both.
pub(crate) struct Pair {
    pub(crate) gateway: Run,
    pub(crate) nginx: Run,
    /// Where it was asked for.
    pub(crate) litellm: Option<Run>,
}

pub(crate) struct Comparison {
    pub(crate) scenario: Scenario,
    pub(crate) pairs: Vec<Pair>,
    pub(crate) idle_kib: u64,
    pub(crate) loaded_kib: u64,
}

impl Comparison {
    pub(crate) fn gateway(&self, figure: fn(&Run) -> f64) -> Spread {
        Spread::of(self.pairs.iter().map(|pair| figure(&pair.gateway)))
    }

    pub(crate) fn nginx(&self, figure: fn(&Run) -> f64) -> Spread {
        Spread::of(self.pairs.iter().map(|pair| figure(&pair.nginx)))
    }

    /// Nothing where it did not run.
    pub(crate) fn litellm(&self, figure: fn(&Run) -> f64) -> Option<Spread> {
        let runs: Vec<f64> =
            self.pairs.iter().filter_map(|pair| pair.litellm.as_ref().map(figure)).collect();
        (!runs.is_empty()).then(|| Spread::of(runs.into_iter()))
    }

    /// Gateway over nginx, pair by pair.
    pub(crate) fn ratio(&self, figure: fn(&Run) -> f64) -> Spread {
        Spread::of(self.pairs.iter().map(|pair| figure(&pair.gateway) / figure(&pair.nginx)))
    }
}

/// The middle of several values and the two ends.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let last = values.len().saturating_sub(1);
        Self {
            median: f64::midpoint(at(last / 2), at(last.div_ceil(2))),
            min: at(0),
            max: at(last),
        }
    }

    pub(crate) fn text(&self, decimals: usize) -> String {
        format!("{:.decimals$} ({:.decimals$}–{:.decimals$})", self.median, self.min, self.max)
    }
}

pub(crate) fn float(number: u64) -> Result<f64> {
    u32::try_from(number)
        .map(f64::from)
        .map_err(|_| format!("{number} is too large for a run of this benchmark"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_is_between_the_middle_two() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0].into_iter());
        assert_eq!(spread.text(1), "2.5 (1.0–4.0)");
    }

    #[test]
    fn ratios_are_taken_pair_by_pair() {
        let run = |cpu_micros| Run {
            cpu_micros,
            per_second: 1.0,
            p50_millis: 1.0,
            p99_millis: 1.0,
            busy_percent: 1.0,
        };
        let pair = |a, b| Pair { gateway: run(a), nginx: run(b), litellm: None };
        let pairs = vec![pair(10.0, 1.0), pair(20.0, 10.0), pair(30.0, 10.0)];
        let comparison =
            Comparison { scenario: Scenario::Small, pairs, idle_kib: 0, loaded_kib: 0 };
        assert_eq!(comparison.ratio(|run| run.cpu_micros).text(1), "3.0 (2.0–10.0)");
    }
}
