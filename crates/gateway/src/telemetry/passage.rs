//! What is noted of a request on its way, from whom it comes to what it came to. When the last one who has to do with the
//! request lets go of it, the metrics, the log line and the span are made of it: once, whatever the end was.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use ledger::{Receipt, Usd};
use uuid::Uuid;
use wire::reply::Finish;

use super::metrics::{Ended, Model};
use super::otlp::Traced;
use super::outcome::Outcome;
use super::{Telemetry, log_line};
use crate::clock;
use crate::face::Face;
use crate::inbound::{Inbound, Operation};
use crate::problem::{Problem, shortened};
use crate::routing::{Plan, Target};
use crate::snapshot::KeyEntry;

/// How much is kept of the name of a model as a client wrote it, in characters.
const LONGEST_WANTED: usize = 80;

/// A request on its way.
pub(crate) struct Passage {
    telemetry: Arc<Telemetry>,
    pub(crate) id: Uuid,
    pub(crate) surface: &'static str,
    pub(crate) operation: Operation,
    pub(crate) begun: Instant,
    /// Microseconds since 1970.
    pub(crate) begun_at: i64,
    /// When the client got the first byte of a stream, in microseconds from the beginning; 0 is not yet.
    first_byte: AtomicU64,
    /// How long others were waited for before the client got anything, in microseconds.
    waited: AtomicU64,
    noted: Mutex<Noted>,
}

/// What is known of it so far.
#[derive(Default)]
pub(crate) struct Noted {
    pub(crate) key: Option<Arc<KeyEntry>>,
    /// The model as the client named it, where there is one of that name.
    pub(crate) wanted: Option<String>,
    pub(crate) stream: bool,
    is_streaming: bool,
    /// The model that it went to last.
    pub(crate) model: Option<Arc<Model>>,
    pub(crate) attempts: i16,
    pub(crate) refused: Option<Refused>,
    /// The status of the answer; none where nobody was there to be answered.
    pub(crate) status: Option<u16>,
    pub(crate) finish: Option<Finish>,
    pub(crate) settled: Option<Settled>,
    /// Where spans are made.
    pub(crate) traced: Option<Box<Traced>>,
}

/// What a client was told in place of an answer.
#[derive(Copy, Clone)]
pub(crate) struct Refused {
    pub(crate) code: &'static str,
    pub(crate) outcome: Outcome,
}

/// What its receipts come to; there is more than one where an answer was of no use.
#[derive(Clone)]
pub(crate) struct Settled {
    pub(crate) outcome: ledger::Outcome,
    pub(crate) model_served: Option<String>,
    pub(crate) upstream_id: Option<String>,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    pub(crate) cached_tokens: u64,
    pub(crate) cost: Usd,
    pub(crate) charge: Usd,
    pub(crate) price_version: i64,
}

impl Passage {
    /// A request that has just come.
    pub(crate) fn begin(
        telemetry: &Arc<Telemetry>,
        id: Uuid,
        face: Face,
        operation: Operation,
        headers: &HeaderMap,
    ) -> Arc<Self> {
        telemetry.metrics.in_flight.fetch_add(1, Ordering::Relaxed);
        let traced = telemetry.otlp().map(|_| Box::new(Traced::begin(headers)));
        Arc::new(Self {
            telemetry: Arc::clone(telemetry),
            id,
            surface: face.surface,
            operation,
            begun: Instant::now(),
            begun_at: clock::now(),
            first_byte: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            noted: Mutex::new(Noted { traced, ..Noted::default() }),
        })
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is from the owner of this key.
    pub(crate) fn caller(&self, key: &Arc<KeyEntry>) {
        self.noted().key = Some(Arc::clone(key));
    }

    /// What it asks for, and where it is to go. A name that no model was found by is not kept: it may be anything.
    pub(crate) fn planned(&self, inbound: &Inbound, plan: &Plan) {
        let found = |name: &str| plan.targets.iter().any(|target| name.contains(&target.model));
        let alone = inbound.wanted.len() == 1;
        let wanted = inbound.wanted.iter().find(|wanted| alone || found(&wanted.model));
        let wanted = wanted.map(|wanted| shortened(&wanted.model, LONGEST_WANTED));
        {
            let mut noted = self.noted();
            (noted.wanted, noted.stream) = (wanted, inbound.stream);
        }
        if let Some(target) = plan.targets.first() {
            self.aims(target);
        }
    }

    /// It goes to this model now.
    pub(crate) fn aims(&self, target: &Target) {
        let mut noted = self.noted();
        let same =
            |model: &Arc<Model>| model.provider == target.provider && model.name == target.model;
        if !noted.model.as_ref().is_some_and(same) {
            noted.model = Some(self.telemetry.metrics.model(target.provider, &target.model));
        }
    }

    /// The head of a provider's answer was there, or its failure.
    pub(crate) fn attempted(
        &self,
        number: i16,
        target: &Target,
        took: Duration,
        failed: Option<&Problem>,
    ) {
        self.waited(took);
        self.ended(number, target, took, failed.map(|problem| problem.code));
    }

    /// The answer of an attempt, whose head had come, broke off or cannot be read.
    pub(crate) fn broke_off(&self, number: i16, why: &'static str) {
        if let Some(traced) = &mut self.noted().traced {
            traced.broke_off(number, why);
        }
    }

    /// An attempt was given up for another that answered first.
    pub(crate) fn gave_up(&self, number: i16, target: &Target, took: Duration, why: &'static str) {
        self.ended(number, target, took, Some(why));
    }

    fn ended(&self, number: i16, target: &Target, took: Duration, failed: Option<&'static str>) {
        let mut noted = self.noted();
        noted.attempts = noted.attempts.max(number);
        if let Some(traced) = &mut noted.traced {
            traced.attempted(number, target, took, failed);
        }
    }

    /// So long the gateway had nothing to do.
    pub(crate) fn waited(&self, took: Duration) {
        self.waited.fetch_add(micros(took), Ordering::Relaxed);
    }

    /// The answer comes bit by bit from now on.
    pub(crate) fn streams(&self) {
        let mut noted = self.noted();
        noted.status = Some(200);
        if !std::mem::replace(&mut noted.is_streaming, true) {
            self.telemetry.metrics.streams.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The client gets something of a stream now.
    pub(crate) fn streamed(&self) {
        if self.first_byte.load(Ordering::Relaxed) == 0 {
            self.first_byte.store(micros(self.begun.elapsed()).max(1), Ordering::Relaxed);
        }
    }

    /// Why the answer ended, where it is known.
    pub(crate) fn finishes(&self, finish: Option<Finish>) {
        self.noted().finish = finish;
    }

    /// A receipt was written.
    pub(crate) fn settled(&self, receipt: &Receipt) {
        let usage = receipt.report.total();
        let mut noted = self.noted();
        if let Some(model) = &noted.model {
            model.settled(receipt);
        }
        let before = noted.settled.take();
        let (cost, charge) = before.as_ref().map_or_else(Default::default, |b| (b.cost, b.charge));
        let add = |sum: Usd, more: Usd| sum.checked_add(more).unwrap_or(sum);
        let tokens = |of: fn(&Settled) -> u64| before.as_ref().map_or(0, of);
        let cached = usage.cached_tokens();
        noted.settled = Some(Settled {
            outcome: receipt.outcome,
            model_served: receipt.model_served.clone(),
            upstream_id: receipt.upstream_id.clone(),
            input_tokens: tokens(|b| b.input_tokens).saturating_add(usage.input_tokens()),
            output_tokens: tokens(|b| b.output_tokens).saturating_add(usage.output_tokens()),
            cached_tokens: tokens(|b| b.cached_tokens).saturating_add(cached),
            cost: add(cost, receipt.cost),
            charge: add(charge, receipt.charge),
            price_version: receipt.price_version,
        });
    }

    /// There is no answer, for this reason.
    pub(crate) fn refused(&self, problem: &Problem) {
        let mut noted = self.noted();
        noted.refused = Some(Refused { code: problem.code, outcome: Outcome::of(problem) });
    }

    /// The client was answered with this status.
    pub(crate) fn answered(&self, status: u16) {
        self.noted().status = Some(status);
    }

    /// When the client got the first byte of a stream, from the beginning.
    pub(crate) fn first_byte(&self) -> Option<Duration> {
        let micros = self.first_byte.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

impl Noted {
    /// How it ended. A client that was not answered has gone.
    pub(crate) fn outcome(&self) -> Outcome {
        let settled = self.settled.as_ref().map(|settled| settled.outcome);
        match (self.refused, settled) {
            _ if self.status.is_none() => Outcome::ClientGone,
            (_, Some(ledger::Outcome::ClientGone)) => Outcome::ClientGone,
            (Some(refused), _) => refused.outcome,
            (None, Some(settled)) => Outcome::settled(settled),
            (None, None) => Outcome::Ok,
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let telemetry = Arc::clone(&self.telemetry);
        let noted = std::mem::take(self.noted.get_mut().unwrap_or_else(PoisonError::into_inner));
        let metrics = &telemetry.metrics;
        metrics.in_flight.fetch_sub(1, Ordering::Relaxed);
        if noted.is_streaming {
            metrics.streams.fetch_sub(1, Ordering::Relaxed);
        }
        let (took, first_byte) = (self.begun.elapsed(), self.first_byte());
        let (outcome, status) = (noted.outcome(), noted.status);
        let waited = Duration::from_micros(self.waited.load(Ordering::Relaxed));
        let ours = first_byte.unwrap_or(took).saturating_sub(waited);
        let is_answered = outcome == Outcome::Ok && noted.attempts > 0;
        let refused = noted.refused.zip(status).map(|(refused, status)| (status, refused.code));
        let ended = Ended {
            surface: self.surface,
            operation: self.operation,
            outcome,
            took,
            first_byte,
            overhead: is_answered.then_some(ours),
            refused,
        };
        metrics.ended(noted.model.as_deref(), &ended);
        if let Some(line) = log_line::of(telemetry.format, self, &noted, outcome, took) {
            telemetry.lines.leave(line.as_bytes());
        }
        if let Some(otlp) = telemetry.otlp() {
            otlp.ended(self, noted, outcome, took);
        }
    }
}
