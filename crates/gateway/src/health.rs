//! How attempts at providers go: counters in memory, which the metrics show and which are added to the database now and
//! then. To count costs a request two additions; nothing waits for the database.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use store::{ProviderHour, Store};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock;
use crate::hedge::HEDGED;
use crate::problem::Problem;
use crate::providers::ROWS;

const FLUSH_EVERY: Duration = Duration::from_secs(5);
const HOUR: i64 = 3_600_000_000;
/// Powers of two of milliseconds: the last is of a minute and more.
const BUCKETS: usize = 18;
/// How attempts end. The first is well; the second is the client's doing; the last was given up for another.
const OUTCOMES: [&str; 8] =
    ["ok", "refused", "rate_limited", "overloaded", "timeout", "unreachable", "failed", HEDGED];

/// The counters of this process.
pub(crate) struct Health {
    counters: Vec<AtomicU64>,
    /// How long the attempts of each provider took together, in microseconds.
    micros: Vec<AtomicU64>,
    /// What of the counters the database has.
    flushed: Mutex<Vec<u64>>,
    last: Mutex<HashMap<&'static str, Failure>>,
}

/// What went wrong last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Microseconds since 1970.
    pub(crate) at: i64,
    pub(crate) outcome: &'static str,
    pub(crate) message: String,
}

/// The attempts at one provider since this process began.
pub(crate) struct Attempts {
    pub(crate) provider: &'static str,
    pub(crate) by_outcome: [(&'static str, u64); OUTCOMES.len()],
    /// By how long their first byte or their failure took: bucket `n` ends before 2ⁿ⁺¹ milliseconds, the last one never.
    pub(crate) by_bucket: [u64; BUCKETS],
    pub(crate) micros: u64,
}

impl Default for Health {
    fn default() -> Self {
        let cells = ROWS.len() * OUTCOMES.len() * BUCKETS;
        let zeros = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        Self {
            counters: zeros(cells),
            micros: zeros(ROWS.len()),
            flushed: Mutex::new(vec![0; cells]),
            last: Mutex::default(),
        }
    }
}

/// What became of an attempt that ended with this problem.
fn outcome_of(problem: &Problem) -> &'static str {
    match problem.code {
        "rate_limited" => "rate_limited",
        "upstream_overloaded" => "overloaded",
        "upstream_timeout" => "timeout",
        "upstream_unavailable" => "unreachable",
        _ if problem.status.is_client_error() => "refused",
        _ => "failed",
    }
}

fn bucket(took: Duration) -> usize {
    let millis = took.as_millis().max(1);
    usize::try_from(millis.ilog2()).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

impl Health {
    /// Counts an attempt, once its first byte or its failure is there.
    pub(crate) fn note(&self, provider: &str, took: Duration, failed: Option<&Problem>) {
        let outcome = failed.map_or("ok", outcome_of);
        let Some(provider) = self.count(provider, took, outcome) else { return };
        if let Some(problem) = failed.filter(|_| outcome != "refused") {
            let (at, message) = (clock::now(), problem.message.to_string());
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.insert(provider, Failure { at, outcome, message });
        }
    }

    /// Counts an attempt that was given up because another has begun to answer.
    pub(crate) fn gave_up(&self, provider: &str, took: Duration) {
        self.count(provider, took, HEDGED);
    }

    /// With the name of the provider, if it is one.
    fn count(&self, provider: &str, took: Duration, outcome: &str) -> Option<&'static str> {
        let row = ROWS.iter().position(|row| row.name == provider)?;
        let place = OUTCOMES.iter().position(|known| *known == outcome).unwrap_or(0);
        let cell = (row * OUTCOMES.len() + place) * BUCKETS + bucket(took);
        if let Some(counter) = self.counters.get(cell) {
            counter.fetch_add(1, Ordering::Relaxed);
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            self.micros[row].fetch_add(micros, Ordering::Relaxed);
        }
        Some(ROWS[row].name)
    }

    /// What went wrong last at a provider, since this process began.
    pub(crate) fn last(&self, provider: &str) -> Option<Failure> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(provider).cloned()
    }

    /// All attempts so far, by provider.
    pub(crate) fn attempts(&self) -> impl Iterator<Item = Attempts> + '_ {
        let rows = ROWS.iter().zip(self.counters.chunks(OUTCOMES.len() * BUCKETS));
        rows.zip(&self.micros).map(|((row, cells), micros)| {
            let mut by_outcome = OUTCOMES.map(|outcome| (outcome, 0));
            let mut by_bucket = [0; BUCKETS];
            for (cell, counter) in cells.iter().enumerate() {
                let count = counter.load(Ordering::Relaxed);
                by_outcome[cell / BUCKETS].1 += count;
                by_bucket[cell % BUCKETS] += count;
            }
            let micros = micros.load(Ordering::Relaxed);
            Attempts { provider: row.name, by_outcome, by_bucket, micros }
        })
    }

    /// What has been counted since it was last taken.
    fn take(&self, hour: i64) -> Vec<ProviderHour> {
        let mut hours = Vec::new();
        let mut flushed = self.flushed.lock().unwrap_or_else(PoisonError::into_inner);
        for (cell, (counter, flushed)) in self.counters.iter().zip(&mut *flushed).enumerate() {
            let now = counter.load(Ordering::Relaxed);
            let attempts = now - std::mem::replace(flushed, now);
            if attempts > 0 {
                let (row, place) =
                    (cell / (OUTCOMES.len() * BUCKETS), cell / BUCKETS % OUTCOMES.len());
                hours.push(ProviderHour {
                    hour,
                    provider: ROWS[row].name.to_owned(),
                    outcome: OUTCOMES[place].to_owned(),
                    bucket: i64::try_from(cell % BUCKETS).unwrap_or(0),
                    attempts: i64::try_from(attempts).unwrap_or(i64::MAX),
                });
            }
        }
        hours
    }

    /// Writes what has been counted. What cannot be written is lost, and nobody is charged by it.
    pub(crate) async fn flush(&self, store: &Store, replica: Uuid) {
        let hours = self.take(clock::now() / HOUR);
        if hours.is_empty() {
            return;
        }
        if let Err(error) = store.add_provider_hours(replica, &hours).await {
            tracing::debug!(%error, "how the providers do was not written");
        }
    }
}

/// Writes now and then, until `stop`.
pub(crate) async fn keep(
    health: Arc<Health>,
    store: Store,
    replica: Uuid,
    stop: CancellationToken,
) {
    loop {
        let stopped = tokio::select! {
            () = stop.cancelled() => true,
            () = tokio::time::sleep(FLUSH_EVERY) => false,
        };
        health.flush(&store, replica).await;
        if stopped {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::{Health, bucket};
    use crate::problem::Problem;

    #[test]
    fn attempts_are_counted_once() {
        let health = Health::default();
        let slow = Problem::new(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", "no answer");
        let bad = Problem::bad_request("no such field");
        health.note("openai", Duration::from_millis(300), None);
        health.note("openai", Duration::from_millis(511), None);
        health.note("deepseek", Duration::from_hours(1), Some(&slow));
        health.note("deepseek", Duration::ZERO, Some(&bad));
        health.note("nobody", Duration::ZERO, None);
        let hours = health.take(7);
        let told: Vec<_> = hours
            .iter()
            .map(|h| (h.provider.as_str(), h.outcome.as_str(), h.bucket, h.attempts))
            .collect();
        let expected =
            [("openai", "ok", 8, 2), ("deepseek", "refused", 0, 1), ("deepseek", "timeout", 17, 1)];
        assert_eq!(told, expected);
        assert!(hours.iter().all(|hour| hour.hour == 7));
        assert_eq!(health.take(7), []);
        health.note("openai", Duration::from_millis(1), None);
        assert_eq!(health.take(8).len(), 1);
        let openai = health.attempts().next().expect("a provider");
        assert_eq!((openai.provider, openai.by_outcome[0]), ("openai", ("ok", 3)));
        assert_eq!((openai.by_bucket[0], openai.by_bucket[8], openai.micros), (1, 2, 812_000));
        assert_eq!(health.last("deepseek").map(|last| last.outcome), Some("timeout"));
        assert_eq!(health.last("openai"), None);
    }

    #[test]
    fn buckets_are_powers_of_two() {
        for (millis, number) in [(0, 0), (1, 0), (2, 1), (1_023, 9), (1_024, 10), (u64::MAX, 17)] {
            assert_eq!(bucket(Duration::from_millis(millis)), number, "{millis}");
        }
    }
}
