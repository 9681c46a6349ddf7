//! Step 5 of a request: what it may cost at most is held, and from then on there is no way out without an end in the
//! journal: a receipt, or the word that there is none.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ledger::{Catalogue, Receipt, Route, Tried, UsageReport, Usd};

use crate::app::App;
use crate::clock;
use crate::funds::{Funds, Taken};
use crate::inbound::{Inbound, Operation};
use crate::journal::{Admitted, CommitError, Dispatched, Journal, Progress, Unfinished};
use crate::rates::Granted;
use crate::routing::{Plan, Target};
use crate::telemetry::Passage;

/// A longer body may hold pictures, which are no text.
const PLAIN_BYTES: usize = 64 * 1024;

/// No token of an answer is longer on the average, in bytes: a stream is stopped for what cannot be otherwise, and a language
/// with long words loses nothing.
const BYTES_A_TOKEN: u64 = 8;
/// What a short answer may have on top of that, in bytes.
const SLACK: u64 = 1_024;

/// What is said ahead of an answer that goes on: an eighth of what there is…
const AHEAD: u64 = 8;
/// … and at least this, in bytes.
const LEAST_AHEAD: u64 = 128;

/// A request under way.
pub(crate) struct Hold {
    journal: Arc<Journal>,
    funds: Arc<Funds>,
    catalogue: Arc<Catalogue>,
    /// What its limits have let in, where it has any.
    granted: Option<Box<Granted>>,
    passage: Arc<Passage>,
    admitted: Admitted,
    byok_commission_bps: u32,
    /// How long the answer may become before more has to be held, in bytes.
    covered_bytes: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is held in every scope of the request.
    amount: Usd,
    /// The record with which the request begins, once it is written.
    held: Option<u64>,
    /// The attempt that is under way.
    dispatched: Option<Dispatched>,
    /// How much of its answer the client has, or gets now.
    progress: Progress,
    /// How much of it the journal says, which is never less.
    written_bytes: u64,
    /// The endpoint of the last attempt, where it is not the provider's own.
    endpoint: Option<String>,
    /// Attempts that came to nothing.
    tried: Vec<Tried>,
}

impl Hold {
    /// Admits a request for whom that was taken.
    pub(crate) fn new(
        app: &App,
        inbound: &Inbound,
        plan: &Plan,
        taken: Taken,
        granted: Option<Box<Granted>>,
    ) -> Self {
        let Taken { scopes, amount, output_tokens } = taken;
        let covered_bytes = output_tokens.saturating_mul(BYTES_A_TOKEN).saturating_add(SLACK);
        let admitted = Admitted {
            request_id: inbound.id,
            account_id: inbound.account_id,
            user_id: inbound.user_id,
            key_id: inbound.key_id,
            surface: inbound.face.surface.into(),
            price_version: plan.price_version,
            commission_bps: plan.settings.commission_bps,
            started_at: plan.at,
            input_tokens: input_tokens(inbound),
            bound: (!scopes.is_empty()).then_some(amount),
            scopes,
        };
        let state = State { amount, ..State::default() };
        let (journal, funds) = (Arc::clone(&app.journal), Arc::clone(&app.funds));
        let (catalogue, state) = (Arc::clone(&plan.catalogue), Mutex::new(state));
        let passage = Arc::clone(&inbound.passage);
        let byok_commission_bps = plan.settings.byok_commission_bps;
        let covered_bytes = AtomicU64::new(covered_bytes);
        Self {
            journal,
            funds,
            catalogue,
            granted,
            passage,
            admitted,
            byok_commission_bps,
            covered_bytes,
            state,
        }
    }

    /// What a call to `target` was admitted at, whatever is set meanwhile.
    pub(crate) fn commission_bps(&self, target: &Target) -> u32 {
        if target.is_direct() { self.byok_commission_bps } else { self.admitted.commission_bps }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes that attempt `number` goes out to `target` now; once, however many requests the attempt takes.
    pub(crate) async fn dispatch(&self, number: i16, target: &Target) -> Result<(), CommitError> {
        let held = {
            let state = self.state();
            if state.dispatched.as_ref().is_some_and(|attempt| attempt.attempt == number) {
                return Ok(());
            }
            state.held
        };
        let provider = target.provider.into();
        let direct_bps = target.is_direct().then_some(self.byok_commission_bps);
        let model = target.model.clone();
        let attempt = Dispatched { attempt: number, provider, model, direct_bps };
        let held = self.journal.dispatch(&self.admitted, held, &attempt).await?;
        let mut state = self.state();
        state.held = Some(held);
        (state.dispatched, state.progress) = (Some(attempt), Progress::default());
        state.endpoint.clone_from(&target.endpoint.endpoint);
        state.written_bytes = 0;
        Ok(())
    }

    /// Writes how much of the answer its client gets now, before it does.
    ///
    /// A little more than that is written, so that not every bit of a stream has a record of its own: the next one comes
    /// when that is passed. Only where the process dies is it charged, at most an eighth or 128 bytes more than was
    /// delivered, and never more than is held. Every other end is settled by what there was.
    pub(crate) fn progress(
        &self,
        output_bytes: u64,
        report: Option<UsageReport>,
    ) -> Result<(), CommitError> {
        let mut state = self.state();
        let news = report.filter(|report| state.progress.report.as_ref() != Some(report));
        if news.is_some() || output_bytes > state.written_bytes {
            let bytes = ahead(output_bytes, state.written_bytes);
            self.journal.progress(self.admitted.request_id, bytes, news.as_ref())?;
            state.written_bytes = bytes;
        }
        state.progress.output_bytes = output_bytes;
        if news.is_some() {
            state.progress.report = news;
        }
        Ok(())
    }

    /// Whether what is held may be enough for an answer of that length. A provider keeps to the ceiling that it was given, but
    /// nobody has to trust it.
    pub(crate) fn covers(&self, output_bytes: u64) -> bool {
        output_bytes <= self.covered_bytes.load(Ordering::Relaxed)
    }

    /// Holds as much again for an answer that has become longer than it may. False where there is no more.
    pub(crate) async fn extend(&self) -> bool {
        let amount = self.state().amount;
        let scopes = &self.admitted.scopes;
        if !matches!(self.funds.hold_at_once(scopes, amount).await, Ok(true)) {
            return false;
        }
        let mut state = self.state();
        state.amount = Usd::from_pico(state.amount.pico().saturating_add(amount.pico()));
        let covered = self.covered_bytes.load(Ordering::Relaxed);
        self.covered_bytes.store(covered.saturating_mul(2), Ordering::Relaxed);
        true
    }

    /// Notes an attempt that came to nothing.
    pub(crate) fn try_failed(&self, tried: Tried) {
        self.state().tried.push(tried);
    }

    /// The attempts that came to nothing so far.
    pub(crate) fn tried(&self) -> Vec<Tried> {
        self.state().tried.clone()
    }

    /// Writes the receipt of a request that no provider has answered, unless it was sent to none or has one already.
    /// Nothing was used, and nothing is charged.
    pub(crate) async fn fail(&self) {
        let Some(dispatched) = self.state().dispatched.clone() else { return };
        let admitted = self.admitted.clone();
        let mut receipt = dispatched.failed(admitted, clock::now());
        if let Err(error) = self.commit(&mut receipt).await {
            let request_id = self.admitted.request_id;
            tracing::error!(%error, %request_id, "the receipt of a failed request was not written");
        }
    }

    /// Charges `receipt` as far as there is credit, writes it, and returns once it is safe.
    pub(crate) async fn commit(&self, receipt: &mut Receipt) -> Result<(), CommitError> {
        receipt.bound = self.admitted.bound;
        receipt.scopes.clone_from(&self.admitted.scopes);
        let held = {
            let mut state = self.state();
            // What is not written is settled by the next start.
            state.dispatched = None;
            let endpoint = state.endpoint.clone();
            let direct = receipt.report.direct();
            receipt.report.route = Route::of(endpoint, direct, state.tried.clone());
            // An attempt that costs nothing leaves the hold to the next.
            if receipt.charge > Usd::ZERO {
                self.charge(receipt, std::mem::take(&mut state.amount));
            }
            state.held
        };
        let held = held.ok_or(CommitError::Undispatched)?;
        self.used(receipt);
        self.journal.commit(receipt, held).await?;
        self.state().held = None;
        self.passage.settled(receipt);
        Ok(())
    }

    /// Counts against the limits of the request.
    fn used(&self, receipt: &Receipt) {
        if let Some(granted) = &self.granted {
            granted.used(receipt);
        }
    }

    /// Charges what a receipt comes to, of which `amount` is held, as far as there is credit. The house pays the rest.
    fn charge(&self, receipt: &mut Receipt, amount: Usd) {
        let owed = receipt.charge;
        let Admitted { scopes, started_at, .. } = &self.admitted;
        receipt.charge = self.funds.settle(scopes, amount, owed, *started_at);
        let rest = owed.pico() - receipt.charge.pico();
        receipt.absorbed = Usd::from_pico(receipt.absorbed.pico() + rest);
        // What was taken on top of the hold extends it.
        receipt.bound = receipt.bound.map(|bound| bound.max(receipt.charge));
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let State { amount, held, dispatched, progress, .. } = std::mem::take(&mut *self.state());
        if let (Some(held), Some(dispatched)) = (held, dispatched) {
            // The work on it was given up, by a panic say: what the client may have is charged.
            if progress.output_bytes > 0 {
                let admitted = self.admitted.clone();
                let left = Unfinished { admitted, dispatched, progress };
                let mut receipt = left.receipt(Some(&self.catalogue), clock::now());
                self.charge(&mut receipt, amount);
                self.used(&receipt);
                match self.journal.settle(&receipt, held) {
                    Ok(()) => self.passage.settled(&receipt),
                    Err(error) => {
                        let request_id = self.admitted.request_id;
                        tracing::error!(%error, %request_id, "a receipt was not written");
                    }
                }
                return;
            }
            self.journal.void(self.admitted.request_id, held);
        }
        self.funds.void(&self.admitted.scopes, amount, self.admitted.started_at);
    }
}

/// How much is written of an answer that has come so far, where so much is written already.
fn ahead(output_bytes: u64, written: u64) -> u64 {
    if output_bytes <= written {
        return written;
    }
    output_bytes.saturating_add((output_bytes / AHEAD).max(LEAST_AHEAD))
}

/// About how many tokens the prompt has.
fn input_tokens(inbound: &Inbound) -> u64 {
    if inbound.operation == Operation::Chat && inbound.body.len() > PLAIN_BYTES {
        crate::settle::prompt(inbound)
    } else {
        crate::settle::tokens(inbound.body.len())
    }
}

#[cfg(test)]
mod tests {
    use super::ahead;

    #[test]
    fn what_is_written_is_never_less_and_little_more() {
        let (mut written, mut records) = (0, 0);
        for output in 0..100_000 {
            let next = ahead(output, written);
            records += u64::from(next != written);
            written = next;
            let most = output + (output / 8).max(128);
            assert!((output..=most).contains(&written), "{output}: {written}");
        }
        assert!(records < 60, "{records} records");
        assert_eq!(ahead(u64::MAX, 5), u64::MAX);
    }
}
