//! What this replica may spend without asking: slices of credit and of budgets, taken from the ledger ahead of need.
//!
//! A request holds what it may cost at most in every scope that applies, in memory. Only where a slice is too small does
//! it wait for the database; one at a time asks for all who wait. What lies idle goes back, and so does what another
//! replica needs more. Nothing ever goes back because time has passed somewhere else.

mod keeper;
mod silent;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::HashMap;
use ledger::{Broken, Purse, Scope, ScopeKind, Slice, Usd};
use store::{Grant, Store, StoreError};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::clock;
use crate::journal::Journal;

pub(crate) use keeper::keep;
use silent::Silent;

/// How long a request waits for credit that others hold.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// What the ledger has refused it is not asked for again so soon.
const REFUSED_FOR: Duration = Duration::from_millis(100);
/// A slice is for so many requests like the one that needs it, or for as long as the settings say, whichever is more.
const REQUESTS: i64 = 128;
/// Who has not reached the ledger for so long (hours) may have been declared dead, and spends no more.
const FENCE_SECONDS: i64 = 4 * 60 * 60;

/// What was taken for a request.
pub(crate) struct Taken {
    /// In ascending order.
    pub(crate) scopes: Vec<Scope>,
    /// Held in each of them.
    pub(crate) amount: Usd,
    /// How many tokens of an answer, or of all that were asked for, that is enough for.
    pub(crate) output_tokens: u64,
}

impl Taken {
    /// For a request that spends from nowhere.
    pub(crate) const NOTHING: Self =
        Self { scopes: Vec::new(), amount: Usd::ZERO, output_tokens: u64::MAX };
}

/// What a request would take: `want`, or down to `fair` rather than wait, and down to `least` rather than be refused.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) want: Usd,
    pub(crate) fair: Usd,
    pub(crate) least: Usd,
}

/// Why nothing was taken.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// A scope has too little left.
    Short {
        scope: Scope,
        left: Usd,
        /// The first moment of its next period.
        renews_at: Option<i64>,
    },
    /// The ledger cannot be asked.
    Away(StoreError),
    /// This process may not spend any more.
    Fenced,
}

/// How a scope has been used.
struct Use {
    /// Spent since `since`.
    spent: i64,
    since: Instant,
    /// What the ledger said last, where it had too little.
    refused: Option<(Instant, Grant)>,
    /// One asks for all.
    asking: Arc<tokio::sync::Mutex<()>>,
}

pub(crate) struct Funds {
    store: Store,
    journal: Arc<Journal>,
    replica: Uuid,
    epoch: i64,
    /// How long a slice should last, in seconds.
    ahead: u32,
    purse: Mutex<Purse>,
    uses: Mutex<HashMap<Scope, Use>>,
    /// Somebody has given back what was held.
    freed: Notify,
    /// Slices that run low.
    low: Mutex<Vec<Scope>>,
    is_low: Notify,
    /// When the ledger was last reached, in seconds of a clock that goes on while the machine sleeps.
    heard: AtomicI64,
    fenced: AtomicBool,
    /// Replicas that were not heard of, as this process has seen it.
    silent: Mutex<Silent>,
    /// Requests that have held something, and how often the ledger was asked for more while one of them waited.
    holds: AtomicU64,
    asks: AtomicU64,
}

/// What there is to tell of slices, all of them together: in pico-dollars what is granted, spent, held and free.
pub(crate) struct Figures {
    /// Requests that have held something, and how often the ledger was asked for more while one of them waited.
    pub(crate) holds: u64,
    pub(crate) asks: u64,
    pub(crate) fenced: bool,
    pub(crate) accounts: [i128; 4],
    pub(crate) budgets: [i128; 4],
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Funds {
    pub(crate) fn new(store: Store, journal: Arc<Journal>, ahead: u32) -> Self {
        Self {
            store,
            replica: journal.replica(),
            epoch: journal.epoch(),
            journal,
            ahead,
            purse: Mutex::default(),
            uses: Mutex::default(),
            freed: Notify::new(),
            low: Mutex::default(),
            is_low: Notify::new(),
            heard: AtomicI64::new(clock::seconds_since_boot()),
            fenced: AtomicBool::new(false),
            silent: Mutex::default(),
            holds: AtomicU64::new(0),
            asks: AtomicU64::new(0),
        }
    }

    /// Takes what a request asks for in all of `scopes` (in ascending order), or nothing anywhere.
    pub(crate) async fn hold(&self, scopes: &[Scope], ask: Ask) -> Result<Usd, Refusal> {
        if self.is_fenced() {
            return Err(Refusal::Fenced);
        }
        self.holds.fetch_add(1, Ordering::Relaxed);
        if self.try_hold(scopes, ask.want) {
            return Ok(ask.want);
        }
        Box::pin(self.hold_later(scopes, ask)).await
    }

    /// Takes an amount in all of `scopes` where that can be had without waiting for others.
    pub(crate) async fn hold_at_once(
        &self,
        scopes: &[Scope],
        amount: Usd,
    ) -> Result<bool, Refusal> {
        if self.is_fenced() {
            return Err(Refusal::Fenced);
        }
        self.holds.fetch_add(1, Ordering::Relaxed);
        if self.try_hold(scopes, amount) {
            return Ok(true);
        }
        Box::pin(self.fill(scopes, amount)).await?;
        Ok(self.try_hold(scopes, amount))
    }

    /// What there is to tell of it.
    pub(crate) fn figures(&self) -> Figures {
        let sums = |kind: ScopeKind| {
            let purse = lock(&self.purse);
            let slices = purse.slices().filter(|(scope, _)| scope.kind == kind);
            slices.fold([0; 4], |sums, (_, slice)| {
                let parts = [slice.granted, slice.spent, slice.held, slice.free()];
                std::array::from_fn(|part| sums[part] + i128::from(parts[part].pico()))
            })
        };
        let [holds, asks] = [&self.holds, &self.asks].map(|count| count.load(Ordering::Relaxed));
        let (accounts, budgets) = (sums(ScopeKind::Account), sums(ScopeKind::Budget));
        Figures { holds, asks, fenced: self.is_fenced(), accounts, budgets }
    }

    /// Whether this process may not take any more out of its slices.
    pub(crate) fn is_fenced(&self) -> bool {
        let silent = clock::seconds_since_boot() - self.heard.load(Ordering::Relaxed);
        self.fenced.load(Ordering::Relaxed) || silent > FENCE_SECONDS
    }

    /// The ledger has said that this replica's place is taken.
    fn fence(&self) {
        if !self.fenced.swap(true, Ordering::Relaxed) {
            tracing::error!(
                "another process has taken this replica's place: no more credit is spent here"
            );
        }
    }

    /// Holds from what is here.
    fn try_hold(&self, scopes: &[Scope], amount: Usd) -> bool {
        let mut purse = lock(&self.purse);
        // Credit ends at its moment; who has none that ends does not ask for the time.
        if let Some(ends) = purse.ends() {
            let now = clock::now();
            if ends <= now {
                purse.lapse(now);
            }
        }
        if purse.hold(scopes, amount).is_err() {
            return false;
        }
        let mut low = scopes.iter().filter(|scope| purse.wants(**scope)).peekable();
        if low.peek().is_some() {
            lock(&self.low).extend(low);
            self.is_low.notify_one();
        }
        true
    }

    /// Holds whatever is here, from `least` on.
    fn try_rest(&self, scopes: &[Scope], least: Usd) -> Option<Usd> {
        let rest = {
            let purse = lock(&self.purse);
            scopes.iter().map(|scope| purse.free(*scope)).min()?
        };
        (rest >= least && self.try_hold(scopes, rest)).then_some(rest)
    }

    async fn hold_later(&self, scopes: &[Scope], ask: Ask) -> Result<Usd, Refusal> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            let mut short = self.fill(scopes, ask.want).await?;
            let taken = if self.try_hold(scopes, ask.want) {
                Some(ask.want)
            } else if ask.fair < ask.want {
                self.scrape(scopes).await?;
                // What the ledger had is here now, and does not count twice.
                if let Some((_, grant)) = &mut short {
                    grant.available = Usd::ZERO;
                }
                self.try_rest(scopes, ask.fair)
            } else {
                None
            };
            if let Some(taken) = taken {
                // There may be something left for the next in line.
                self.freed.notify_one();
                return Ok(taken);
            }
            let Some((scope, grant)) = short else { continue };
            let held = lock(&self.purse).slice(scope).held > Usd::ZERO;
            let elsewhere = grant.leased_elsewhere > Usd::ZERO;
            let late = Instant::now() >= deadline;
            if late || !(held || elsewhere) {
                let here = lock(&self.purse).free(scope);
                let left = here.checked_add(grant.available).unwrap_or(here);
                if left >= ask.want && !late {
                    // What the ledger did not have any more has come in the meantime, by the keeper.
                    continue;
                }
                if let Some(taken) = self.try_rest(scopes, ask.least) {
                    return Ok(taken);
                }
                return Err(Refusal::Short { scope, left, renews_at: grant.renews_at });
            }
            if elsewhere {
                self.store.recall(scope, self.replica).await.map_err(Refusal::Away)?;
            }
            let _ = timeout_at(deadline.min(Instant::now() + REFUSED_FOR), freed).await;
        }
    }

    /// Asks the ledger for what is missing; names a scope that has too little of it.
    async fn fill(&self, scopes: &[Scope], amount: Usd) -> Result<Option<(Scope, Grant)>, Refusal> {
        let mut short = None;
        for scope in scopes {
            if let Some(grant) = self.refill(*scope, amount).await?
                && short.is_none()
            {
                short = Some((*scope, grant));
            }
        }
        Ok(short)
    }

    /// Asks the ledger for a slice in which `amount` is free. Returns what it said where it has too little.
    async fn refill(&self, scope: Scope, amount: Usd) -> Result<Option<Grant>, Refusal> {
        let asking = {
            let mut uses = lock(&self.uses);
            Arc::clone(&uses.entry(scope).or_insert_with(|| Use::new(Instant::now())).asking)
        };
        let _one = asking.lock().await;
        self.return_lapsed().await.map_err(Refusal::Away)?;
        let free = lock(&self.purse).free(scope);
        let missing = amount.pico().saturating_sub(free.pico());
        if missing <= 0 {
            return Ok(None);
        }
        let want = {
            let uses = lock(&self.uses);
            let Some(known) = uses.get(&scope) else { return Ok(None) };
            match known.refused {
                // What it has refused, and no less than it said it has.
                Some((until, grant))
                    if until > Instant::now() && grant.available.pico() < missing =>
                {
                    return Ok(Some(grant));
                }
                _ => known.slice(amount, self.ahead),
            }
        };
        let grant = self.ask(scope, Usd::from_pico(missing), want).await?;
        if grant.granted > Usd::ZERO {
            return Ok(None);
        }
        self.refused(scope, grant);
        Ok(Some(grant))
    }

    /// Takes the last of every scope.
    async fn scrape(&self, scopes: &[Scope]) -> Result<(), Refusal> {
        for scope in scopes {
            let rest = {
                let mut uses = lock(&self.uses);
                let refused = uses.get_mut(scope).and_then(|known| known.refused.as_mut());
                // Whoever comes first takes it.
                refused.map_or(Usd::ZERO, |(_, grant)| {
                    std::mem::replace(&mut grant.available, Usd::ZERO)
                })
            };
            if rest > Usd::ZERO {
                self.ask(*scope, rest, rest).await?;
            }
        }
        Ok(())
    }

    async fn ask(&self, scope: Scope, least: Usd, want: Usd) -> Result<Grant, Refusal> {
        if scope.kind == ScopeKind::Budget && lock(&self.purse).slice(scope) == Slice::default() {
            // What was spent in the period before counts, too.
            let _ = self.journal.applied().await;
        }
        self.asks.fetch_add(1, Ordering::Relaxed);
        self.grant(scope, least, want).await.map_err(|error| match error {
            StoreError::Fenced => {
                self.fence();
                Refusal::Fenced
            }
            error => Refusal::Away(error),
        })
    }

    /// Has the ledger grant more of a scope.
    async fn grant(&self, scope: Scope, least: Usd, want: Usd) -> Result<Grant, StoreError> {
        let now = clock::now();
        let grant = self.store.grant(self.replica, self.epoch, scope, least, want, now).await?;
        if grant.granted > Usd::ZERO {
            let added = {
                let mut purse = lock(&self.purse);
                let added = purse.granted(scope, grant.granted);
                purse.set_end(scope, grant.ends_at);
                added
            };
            if let Err(error) = added {
                self.stop_spending(&error);
            }
        }
        Ok(grant)
    }

    /// Gives back credit that has ended: what nobody holds of it is gone then.
    async fn return_lapsed(&self) -> Result<(), StoreError> {
        let lapsed = {
            let mut purse = lock(&self.purse);
            if !purse.has_lapsed() {
                return Ok(());
            }
            purse.lapsed()
        };
        // What was settled before has to be on the disk: a start that does not know of it would settle it again.
        if self.journal.sync().await.is_err() {
            return Ok(());
        }
        for (scope, amount) in lapsed {
            self.store.give_back_stale(self.replica, self.epoch, scope, amount).await?;
        }
        Ok(())
    }

    /// Notes that the ledger had too little.
    fn refused(&self, scope: Scope, grant: Grant) {
        if let Some(known) = lock(&self.uses).get_mut(&scope) {
            known.refused = Some((Instant::now() + REFUSED_FOR, grant));
        }
    }

    /// Charges what is owed to `scopes`, in which `held` is held, as far as there is anything, and returns how much that is.
    pub(crate) fn settle(&self, scopes: &[Scope], held: Usd, owed: Usd, begun: i64) -> Usd {
        if scopes.is_empty() {
            return owed;
        }
        // Who may have been declared dead takes no more than is held.
        let owed = if self.is_fenced() { owed.min(held) } else { owed };
        let settled = lock(&self.purse).settle(scopes, held, owed, begun);
        let charge = settled.unwrap_or_else(|error| {
            self.stop_spending(&error);
            owed.min(held)
        });
        {
            let mut uses = lock(&self.uses);
            for scope in scopes {
                if let Some(known) = uses.get_mut(scope) {
                    known.spent = known.spent.saturating_add(charge.pico());
                }
            }
        }
        self.freed.notify_one();
        charge
    }

    /// Gives back what was held and not spent.
    pub(crate) fn void(&self, scopes: &[Scope], held: Usd, begun: i64) {
        if held > Usd::ZERO {
            let given_up = lock(&self.purse).void(scopes, held, begun);
            if let Err(error) = given_up {
                self.stop_spending(&error);
            }
            self.freed.notify_one();
        }
    }

    /// The books in memory are wrong: nobody spends by them any more.
    fn stop_spending(&self, error: &Broken) {
        tracing::error!(%error, "the holds of this process do not add up; start it again");
        self.fenced.store(true, Ordering::Relaxed);
    }
}

impl Use {
    fn new(now: Instant) -> Self {
        Self { spent: 0, since: now, refused: None, asking: Arc::default() }
    }

    /// How large a slice is to be for somebody who needs `amount`.
    fn slice(&self, amount: Usd, ahead: u32) -> Usd {
        let elapsed = i64::try_from(self.since.elapsed().as_secs()).unwrap_or(i64::MAX).max(1);
        let burn = (self.spent / elapsed).saturating_mul(i64::from(ahead));
        Usd::from_pico(amount.pico().saturating_mul(REQUESTS).max(burn))
    }
}
