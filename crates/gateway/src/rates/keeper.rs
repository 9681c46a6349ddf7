//! What goes on behind the requests: how many replicas there are, and whether the server is there that they share.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use store::{Store, StoreError};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Rates;
use super::counters::Meter;
use super::shared::{Op, Shared};
use crate::clock;

const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A replica that was not heard of for so long, in microseconds, has no share: four times as long as between two heartbeats.
const LIVE: i64 = 20_000_000;
/// How often it is seen whether the server is there, where nobody asks it anything.
const PING_EVERY: Duration = Duration::from_secs(1);
/// How often it is said which requests are still under way, in pings: a third of the time after which they are forgotten.
const PINGS_PER_KEEP: u32 = 3;
/// How long is waited before a server that is away is tried again, at first and at most.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Counts replicas until `stop`. While the database cannot be reached, the last number stays.
pub(crate) async fn count(rates: Arc<Rates>, store: Store, stop: CancellationToken) {
    while stop.run_until_cancelled(sleep(LOOK_EVERY)).await.is_some() {
        if let Err(error) = rates.look(&store).await {
            tracing::debug!(%error, "replicas cannot be counted");
        }
    }
}

impl Rates {
    /// Sees how many replicas share limits, and forgets who has used none of late.
    pub(crate) async fn look(&self, store: &Store) -> Result<(), StoreError> {
        let now = clock::now();
        self.local().counters.sweep(now);
        let live = store.live_replicas(now.saturating_sub(LIVE)).await?;
        self.replicas.store(live.max(1), Ordering::Relaxed);
        Ok(())
    }

    /// What is owed and under way here.
    fn owed(&self) -> Vec<Op> {
        let (local, now) = (self.local(), clock::now());
        let mut ops = Vec::new();
        for (owner, requests, tokens) in local.counters.owed(now) {
            for (meter, owed) in [(Meter::Requests, requests), (Meter::Tokens, tokens)] {
                if owed > 0 {
                    ops.push(Op::owed(owner, meter, owed));
                }
            }
        }
        let running = local.running.iter();
        let held = running.flat_map(|(id, owners)| owners.iter().map(|one| Op::hold(one, *id)));
        ops.extend(held);
        ops
    }

    fn kept(&self) -> Vec<Op> {
        let local = self.local();
        let running = local.running.iter();
        running.flat_map(|(id, owners)| owners.iter().map(|one| Op::keep(one, *id))).collect()
    }
}

/// Keeps the connection to the server until `stop`.
pub(crate) async fn keep(rates: Arc<Rates>, shared: Arc<Shared>, stop: CancellationToken) {
    let mut wait = FIRST_WAIT;
    loop {
        let connected = stop.run_until_cancelled(shared.connect(|| rates.owed())).await;
        match connected {
            None => return,
            Some(true) => {
                wait = FIRST_WAIT;
                if serve(&rates, &shared, &stop).await {
                    return;
                }
            }
            Some(false) => {
                if stop.run_until_cancelled(sleep(wait)).await.is_none() {
                    return;
                }
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}

/// Says what there is to say while the server is there. Whether the program ends.
async fn serve(rates: &Rates, shared: &Shared, stop: &CancellationToken) -> bool {
    let (mut next, mut pings) = (Instant::now() + PING_EVERY, 0_u32);
    loop {
        let mut kept = Vec::new();
        let (stopped, ping) = tokio::select! {
            () = stop.cancelled() => (true, false),
            () = shared.wake.notified() => (false, false),
            () = sleep_until(next) => (false, true),
        };
        if ping {
            (next, pings) = (Instant::now() + PING_EVERY, pings.wrapping_add(1));
            if pings.is_multiple_of(PINGS_PER_KEEP) {
                kept = rates.kept();
            }
        }
        let there = shared.flush(kept, ping).await;
        if stopped || !there {
            return stopped;
        }
    }
}
