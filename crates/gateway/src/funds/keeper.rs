//! What goes on behind the requests: slices grow before they are empty, and go back when nobody needs them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ledger::{Scope, Slice, Usd};
use store::{Actor, StoreError};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Funds, lock};
use crate::clock;

/// How often to look at what others need and what lies idle.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often to tell the ledger that this replica lives, in looks.
const LOOKS_PER_HEARTBEAT: u32 = 5;
/// How often credit that has expired is taken off, in looks.
const LOOKS_PER_EXPIRY: u32 = 60;
/// How often to look for replicas that are gone for good, in looks.
const LOOKS_PER_BURIAL: u32 = 600;
/// What nobody has used since the last time goes back so often, in looks.
const LOOKS_PER_RETURN: u32 = 5;

/// Keeps the slices until `stop`.
pub(crate) async fn keep(funds: Arc<Funds>, stop: CancellationToken) {
    let mut looks = 0_u32;
    let mut failing = false;
    let mut next = Instant::now();
    loop {
        let looking = tokio::select! {
            () = stop.cancelled() => return,
            () = funds.is_low.notified() => false,
            () = tokio::time::sleep_until(next) => true,
        };
        let kept = if looking {
            next = Instant::now() + LOOK_EVERY;
            looks = looks.wrapping_add(1);
            funds.look(looks).await
        } else {
            funds.grow().await
        };
        match kept {
            Ok(()) => failing = false,
            Err(StoreError::Fenced) => {
                funds.fence();
                return;
            }
            Err(error) if !failing => {
                failing = true;
                tracing::error!(%error, "the ledger cannot be reached; what was taken from it before can still be spent");
            }
            Err(_) => sleep(LOOK_EVERY).await,
        }
    }
}

impl Funds {
    /// Gives everything back, once all that was spent has been applied and nobody spends any more.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        let [holds, asks] = [&self.holds, &self.asks].map(|count| count.load(Ordering::Relaxed));
        if holds > 0 {
            tracing::info!(
                holds,
                asks,
                "requests that held something, and calls to the database they waited for"
            );
        }
        let after = self.epoch.saturating_add(1);
        self.store.close_slices(self.replica, after, clock::now()).await
    }

    async fn look(&self, looks: u32) -> Result<(), StoreError> {
        if looks % LOOKS_PER_HEARTBEAT == 1 {
            self.store.heartbeat(self.replica, self.epoch, clock::now()).await?;
            self.heard.store(clock::seconds_since_boot(), Ordering::Relaxed);
        }
        if looks.is_multiple_of(LOOKS_PER_EXPIRY) {
            self.store.expire_credit(clock::now()).await?;
        }
        if looks % LOOKS_PER_BURIAL == 1 {
            self.bury().await?;
        }
        {
            let mut purse = lock(&self.purse);
            if purse.ends().is_some_and(|ends| ends <= clock::now()) {
                purse.lapse(clock::now());
            }
        }
        self.return_lapsed().await?;
        let recalled = if lock(&self.uses).is_empty() {
            Vec::new()
        } else {
            self.store.recalled(self.replica).await?
        };
        let idle = if looks.is_multiple_of(LOOKS_PER_RETURN) { self.idle() } else { Vec::new() };
        for scope in recalled.into_iter().chain(idle) {
            self.give_back(scope).await?;
        }
        Ok(())
    }

    /// Gives back what replicas hold that were not heard of for a day, by what they said and by what this process has seen: one
    /// whose clock is wrong buries nobody.
    async fn bury(&self) -> Result<(), StoreError> {
        let now = clock::now();
        let actor = Actor { id: None, name: "tollgate".to_owned(), via: "program", at: now };
        let store = self.store.by(actor);
        let replicas = store.replicas().await?;
        let silent: Vec<_> = {
            let silent = &mut *lock(&self.silent);
            silent.of(&replicas, clock::seconds_since_boot()).into_iter().copied().collect()
        };
        for replica in silent {
            if store.release(replica.id, now, false).await? {
                tracing::warn!(replica = %replica.id, held = %replica.held, "a replica was not heard of for 24 hours; what it held is given back");
            }
        }
        Ok(())
    }

    /// Scopes that nobody has used of late. Those with nothing left in them are forgotten.
    fn idle(&self) -> Vec<Scope> {
        let mut purse = lock(&self.purse);
        let idle = purse.idle();
        lock(&self.uses).retain(|scope, _| purse.slice(*scope) != Slice::default());
        idle
    }

    /// Gives back what is free of a slice. First it cannot be spent here any more, then it is the ledger's again: where that
    /// fails, nobody has it until this replica's next start.
    async fn give_back(&self, scope: Scope) -> Result<(), StoreError> {
        let free = lock(&self.purse).take_back(scope, Usd::ZERO);
        if free > Usd::ZERO {
            // What was settled before has to be on the disk: a start that does not know of it would settle it again.
            if self.journal.sync().await.is_err() {
                return Ok(());
            }
            self.store.give_back(self.replica, self.epoch, scope, free).await?;
        }
        Ok(())
    }

    /// Makes slices that run low larger.
    async fn grow(&self) -> Result<(), StoreError> {
        let mut low = std::mem::take(&mut *lock(&self.low));
        low.sort_unstable();
        low.dedup();
        for scope in low {
            let want = {
                let uses = lock(&self.uses);
                let Some(known) = uses.get(&scope).filter(|known| known.refused.is_none()) else {
                    continue;
                };
                let held = lock(&self.purse).slice(scope).held;
                known.slice(held, self.ahead)
            };
            let grant = self.grant(scope, Usd::from_pico(1), want).await?;
            if grant.granted == Usd::ZERO {
                self.refused(scope, grant);
            }
        }
        Ok(())
    }
}
