//! What is counted of requests. A request looks its counters up once, by the model that it goes to; from then on it adds
//! to them, without a lock and without a text.
//!
//! Labels are bounded: surfaces, operations and outcomes are lists of ours, and models are those of the price list. What a
//! stranger types is never one.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use foldhash::HashMap;
use ledger::{Meter, Outcome as Settled, Receipt, UsageSource, Usd};

use super::histogram::Histogram;
use super::outcome::{OUTCOMES, Outcome};
use crate::inbound::Operation;
use crate::providers::ROWS;

/// From a cached answer to a model that thinks for minutes, in microseconds.
pub(crate) const REQUEST_BOUNDS: [u64; 13] = [
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    20_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
];
/// What the gateway itself takes, in microseconds.
pub(crate) const OVERHEAD_BOUNDS: [u64; 12] =
    [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000];

pub(crate) const SURFACES: [&str; 7] = [
    "native",
    "openai_chat",
    "openai_responses",
    "openai_completions",
    "anthropic",
    "gemini",
    "openrouter",
];
pub(crate) const OPERATIONS: [&str; 3] = ["chat", "embeddings", "count_tokens"];
const SERIES: usize = SURFACES.len() * OPERATIONS.len();
/// What stands in place of a model that is not known, and of its provider.
pub(crate) const UNKNOWN: &str = "unknown";

pub(crate) const SETTLED: [Settled; 6] = [
    Settled::Ok,
    Settled::ClientGone,
    Settled::UpstreamFailed,
    Settled::Failed,
    Settled::Crashed,
    Settled::Unpriced,
];
pub(crate) const SOURCES: [UsageSource; 2] = [UsageSource::Provider, UsageSource::Estimated];

pub(crate) const fn operation_name(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat => OPERATIONS[0],
        Operation::Embed => OPERATIONS[1],
        Operation::Count => OPERATIONS[2],
    }
}

/// Requests of one surface, operation and model.
pub(crate) struct Series {
    pub(crate) outcomes: [AtomicU64; OUTCOMES.len()],
    pub(crate) duration: Histogram<13>,
    pub(crate) first_byte: Histogram<13>,
}

impl Series {
    fn new() -> Self {
        Self {
            outcomes: [const { AtomicU64::new(0) }; OUTCOMES.len()],
            duration: Histogram::new(&REQUEST_BOUNDS),
            first_byte: Histogram::new(&REQUEST_BOUNDS),
        }
    }
}

/// What is counted of a model.
pub(crate) struct Model {
    pub(crate) provider: &'static str,
    pub(crate) name: String,
    series: [OnceLock<Box<Series>>; SERIES],
    /// By meter.
    pub(crate) used: [AtomicU64; Meter::ALL.len()],
    /// By outcome, then by source.
    pub(crate) receipts: [AtomicU64; SETTLED.len() * SOURCES.len()],
    pub(crate) cost: Dollars,
    pub(crate) commission: Dollars,
    pub(crate) charge: Dollars,
    pub(crate) absorbed: Dollars,
}

/// A sum of money in pico-dollars, so that it is exact however many small ones there are.
#[derive(Default)]
pub(crate) struct Dollars(AtomicU64);

impl Dollars {
    fn add(&self, amount: Usd) {
        self.0.fetch_add(u64::try_from(amount.pico()).unwrap_or(0), Ordering::Relaxed);
    }

    pub(crate) fn pico(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Model {
    fn new(provider: &'static str, name: &str) -> Self {
        Self {
            provider,
            name: name.to_owned(),
            series: [const { OnceLock::new() }; SERIES],
            used: [const { AtomicU64::new(0) }; Meter::ALL.len()],
            receipts: [const { AtomicU64::new(0) }; SETTLED.len() * SOURCES.len()],
            cost: Dollars::default(),
            commission: Dollars::default(),
            charge: Dollars::default(),
            absorbed: Dollars::default(),
        }
    }

    fn series(&self, surface: &str, operation: Operation) -> &Series {
        let surface = SURFACES.iter().position(|known| *known == surface).unwrap_or(0);
        let place = surface * OPERATIONS.len() + operation as usize;
        self.series[place.min(SERIES - 1)].get_or_init(|| Box::new(Series::new()))
    }

    /// Those that there were requests of, with surface and operation.
    pub(crate) fn all_series(&self) -> impl Iterator<Item = (&'static str, &'static str, &Series)> {
        self.series.iter().enumerate().filter_map(|(place, series)| {
            let (surface, operation) = (place / OPERATIONS.len(), place % OPERATIONS.len());
            Some((SURFACES[surface], OPERATIONS[operation], &**series.get()?))
        })
    }

    /// Counts what an attempt came to.
    pub(crate) fn settled(&self, receipt: &Receipt) {
        for pass in &receipt.report.passes {
            for (meter, count) in pass.usage.nonzero() {
                self.used[meter as usize].fetch_add(count, Ordering::Relaxed);
            }
        }
        let outcome = SETTLED.iter().position(|known| *known == receipt.outcome);
        let source = SOURCES.iter().position(|known| *known == receipt.usage_source);
        let place = outcome.unwrap_or(0) * SOURCES.len() + source.unwrap_or(0);
        self.receipts[place].fetch_add(1, Ordering::Relaxed);
        self.cost.add(receipt.cost);
        self.commission.add(receipt.commission);
        self.charge.add(receipt.charge);
        self.absorbed.add(receipt.absorbed);
    }
}

/// Values that come to be one by one and stay: to find one takes no lock.
struct Grown<K, V> {
    known: ArcSwap<HashMap<K, Arc<V>>>,
    growing: Mutex<()>,
}

impl<K: Clone + Eq + std::hash::Hash, V> Grown<K, V> {
    fn new() -> Self {
        Self { known: ArcSwap::default(), growing: Mutex::new(()) }
    }

    fn get<Q>(&self, key: &Q, make: impl FnOnce() -> (K, V)) -> Arc<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + std::hash::Hash + ?Sized,
    {
        if let Some(found) = self.known.load().get(key) {
            return Arc::clone(found);
        }
        let _one = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.known.load_full();
        if let Some(found) = known.get(key) {
            return Arc::clone(found);
        }
        let (key, value) = make();
        let (mut grown, value) = ((*known).clone(), Arc::new(value));
        grown.insert(key, Arc::clone(&value));
        self.known.store(Arc::new(grown));
        value
    }

    fn all(&self) -> Arc<HashMap<K, Arc<V>>> {
        self.known.load_full()
    }
}

/// A refusal as a client sees it: surface, status, code.
pub(crate) type Refused = (&'static str, u16, &'static str);

/// The counters of this process.
pub(crate) struct Metrics {
    /// By provider, in the order of the table.
    models: [Grown<String, Model>; ROWS.len()],
    /// Requests that never came to a model.
    unknown: Arc<Model>,
    refused: Grown<Refused, AtomicU64>,
    pub(crate) overhead: Histogram<12>,
    pub(crate) in_flight: AtomicI64,
    pub(crate) streams: AtomicI64,
}

/// What is counted of a request at its end.
pub(crate) struct Ended {
    pub(crate) surface: &'static str,
    pub(crate) operation: Operation,
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
    /// Of a stream.
    pub(crate) first_byte: Option<Duration>,
    /// What of it the gateway took, where the client was answered.
    pub(crate) overhead: Option<Duration>,
    pub(crate) refused: Option<(u16, &'static str)>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            models: std::array::from_fn(|_| Grown::new()),
            unknown: Arc::new(Model::new(UNKNOWN, UNKNOWN)),
            refused: Grown::new(),
            overhead: Histogram::new(&OVERHEAD_BOUNDS),
            in_flight: AtomicI64::new(0),
            streams: AtomicI64::new(0),
        }
    }

    /// The counters of a model of the price list.
    pub(crate) fn model(&self, provider: &str, name: &str) -> Arc<Model> {
        match ROWS.iter().position(|row| row.name == provider) {
            Some(row) => {
                self.models[row].get(name, || (name.to_owned(), Model::new(ROWS[row].name, name)))
            }
            None => Arc::clone(&self.unknown),
        }
    }

    /// All models that there were requests of, in order.
    pub(crate) fn all_models(&self) -> Vec<Arc<Model>> {
        let mut models = vec![Arc::clone(&self.unknown)];
        for known in &self.models {
            let mut of_one: Vec<_> = known.all().values().map(Arc::clone).collect();
            of_one.sort_by(|one, next| one.name.cmp(&next.name));
            models.append(&mut of_one);
        }
        models
    }

    pub(crate) fn all_refused(&self) -> Vec<(Refused, u64)> {
        let known = self.refused.all();
        let mut all: Vec<_> =
            known.iter().map(|(key, count)| (*key, count.load(Ordering::Relaxed))).collect();
        all.sort_unstable();
        all
    }

    pub(crate) fn ended(&self, model: Option<&Model>, ended: &Ended) {
        let model = model.unwrap_or(&self.unknown);
        let series = model.series(ended.surface, ended.operation);
        series.outcomes[ended.outcome as usize].fetch_add(1, Ordering::Relaxed);
        series.duration.note(ended.took);
        if let Some(first_byte) = ended.first_byte {
            series.first_byte.note(first_byte);
        }
        if let Some(overhead) = ended.overhead {
            self.overhead.note(overhead);
        }
        if let Some((status, code)) = ended.refused {
            let key = (ended.surface, status, code);
            self.refused.get(&key, || (key, AtomicU64::new(0))).fetch_add(1, Ordering::Relaxed);
        }
    }
}
