//! How many requests and tokens a minute, and how many requests at once, of keys, users, accounts and models.
//!
//! On one replica all of it is counted in memory. Several count together in Redis; without it, or while it is away, each
//! counts its share. What Redis lets in is counted in memory too, so that a share goes on from there.

mod counters;
mod headers;
mod keeper;
mod shared;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use ledger::Receipt;
use uuid::Uuid;

use crate::clock;
use crate::problem::Problem;
use counters::{Counters, Meter, Over, Standing};
use shared::Op;

pub(crate) use counters::{Limited, Owner};
pub(crate) use headers::{EXPOSED, Told};
pub(crate) use keeper::{count, keep};
pub(crate) use shared::Shared;

/// Kinds of owners and what is limited, as metrics name them.
const KINDS: [&str; 4] = ["key", "user", "account", "model"];
const METERS: [&str; 3] = ["requests", "tokens", "concurrency"];

#[derive(Default)]
struct Local {
    counters: Counters,
    /// Requests under way that have a place in Redis, and whose places.
    running: HashMap<Uuid, Vec<Owner>>,
}

/// The limits of this process.
pub(crate) struct Rates {
    local: Mutex<Local>,
    /// How many replicas share limits.
    replicas: AtomicI64,
    shared: Option<Arc<Shared>>,
    refused: [[AtomicU64; METERS.len()]; KINDS.len()],
    alone: AtomicU64,
}

/// What there is to tell of limits.
pub(crate) struct Figures {
    /// By kind of owner and what is limited.
    pub(crate) refused: Vec<([&'static str; 2], u64)>,
    pub(crate) replicas: u64,
    /// Whether Redis is there, where it is to be.
    pub(crate) redis: Option<u64>,
    /// Requests that were decided on here because it was not.
    pub(crate) alone: u64,
}

impl Rates {
    pub(crate) fn new(shared: Option<Arc<Shared>>) -> Arc<Self> {
        Arc::new(Self {
            local: Mutex::default(),
            replicas: AtomicI64::new(1),
            shared,
            refused: std::array::from_fn(|_| [const { AtomicU64::new(0) }; METERS.len()]),
            alone: AtomicU64::new(0),
        })
    }

    fn local(&self) -> MutexGuard<'_, Local> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request in all of its limits, or in none where one refuses it.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        limited: Vec<Limited>,
        request: Uuid,
    ) -> Result<Granted, Problem> {
        let rates = Arc::clone(self);
        let standing = Standing::default();
        let mut granted = Granted { rates, limited, request, state: State::Asked, standing };
        let shared = match &self.shared {
            Some(shared) => shared.begin(&granted.limited, request).await,
            None => None,
        };
        let (now, replicas) = (clock::now(), self.replicas.load(Ordering::Relaxed));
        let verdict = match shared {
            Some(Ok(standing)) => {
                self.local().counters.count(&granted.limited, replicas, now);
                Ok(standing)
            }
            Some(Err(over)) => Err(over),
            None => {
                if self.shared.is_some() {
                    self.alone.fetch_add(1, Ordering::Relaxed);
                }
                self.local().counters.begin(&granted.limited, replicas, now)
            }
        };
        match verdict {
            Ok(standing) => {
                granted.standing = standing;
                granted.state = State::Counted;
                self.hold(&granted);
                Ok(granted)
            }
            Err(over) => {
                granted.state = State::Refused;
                self.refused[over.owner.kind()][over.meter as usize]
                    .fetch_add(1, Ordering::Relaxed);
                Err(refusal(&over, now))
            }
        }
    }

    /// Remembers the places that a request has in Redis.
    fn hold(&self, granted: &Granted) {
        if self.shared.is_some() {
            let owners: Vec<Owner> = granted.places().cloned().collect();
            if !owners.is_empty() {
                self.local().running.insert(granted.request, owners);
            }
        }
    }

    pub(crate) fn figures(&self) -> Figures {
        let refused = KINDS.iter().zip(&self.refused).flat_map(|(kind, meters)| {
            let counts = METERS.iter().zip(meters);
            counts.map(|(meter, count)| ([*kind, *meter], count.load(Ordering::Relaxed)))
        });
        Figures {
            refused: refused.filter(|(_, count)| *count > 0).collect(),
            replicas: self.replicas.load(Ordering::Relaxed).unsigned_abs(),
            redis: self.shared.as_ref().map(|shared| u64::from(shared.is_up())),
            alone: self.alone.load(Ordering::Relaxed),
        }
    }
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum State {
    /// Redis is asked, and may have counted it.
    Asked,
    Counted,
    Refused,
}

/// A request that limits have let in. Its places are free again when this goes, however that comes about.
pub(crate) struct Granted {
    rates: Arc<Rates>,
    limited: Vec<Limited>,
    request: Uuid,
    state: State,
    standing: Standing,
}

impl Granted {
    /// What the client is told of its limits.
    pub(crate) fn told(&self, now: i64) -> Told {
        Told::of(self.standing, now)
    }

    fn places(&self) -> impl Iterator<Item = &Owner> {
        let limited = self.limited.iter().filter(|one| one.limits.concurrent_requests.is_some());
        limited.map(|one| &one.owner)
    }

    /// Counts what the request has used, once it is known.
    pub(crate) fn used(&self, receipt: &Receipt) {
        let usage = receipt.report.total();
        let tokens = usage.input_tokens().saturating_add(usage.output_tokens());
        let answered = |owner: &Owner| match owner {
            Owner::Model(_, model) => {
                let named = model.split_once('/');
                named == Some((receipt.provider.as_str(), receipt.model.as_str()))
            }
            _ => true,
        };
        let rates = &self.rates;
        let replicas = rates.replicas.load(Ordering::Relaxed);
        let decides = !rates.shared.as_ref().is_some_and(|shared| shared.is_up());
        for one in self.limited.iter().filter(|one| answered(&one.owner)) {
            let Some(limit) = one.limits.tokens_per_minute else { continue };
            let (share, now) = ((replicas, decides), receipt.ended_at);
            rates.local().counters.used(one, tokens, share, now);
            if let Some(shared) = rates.shared.as_ref().filter(|_| !decides) {
                shared.note(Op::used(&one.owner, counters::tokens_take(tokens, limit)));
            }
        }
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        if self.state == State::Refused {
            return;
        }
        if self.state == State::Counted {
            let mut local = self.rates.local();
            local.counters.end(&self.limited);
            if self.rates.shared.is_some() {
                local.running.remove(&self.request);
            }
        }
        if let Some(shared) = &self.rates.shared {
            for owner in self.places() {
                shared.note(Op::free(owner, self.request));
            }
        }
    }
}

/// 429: what is limited, and when it may be tried again.
fn refusal(over: &Over, now: i64) -> Problem {
    let (whose, of) = match &over.owner {
        Owner::Key(_) => ("this API key", String::new()),
        Owner::User(_) => ("the user of this API key", String::new()),
        Owner::Account(_) => ("the account of this API key", String::new()),
        Owner::Model(_, model) => ("the account of this API key", format!(" of {model}")),
    };
    let limit = over.limit;
    let message = match over.meter {
        Meter::Requests => format!("{whose} may use {limit} requests{of} per minute"),
        Meter::Tokens => format!("{whose} may use {limit} tokens{of} per minute"),
        Meter::Concurrent => format!("{whose} may have {limit} requests{of} under way at once"),
    };
    let mut problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", message);
    problem.retry_after = Some(u64::try_from(over.wait).unwrap_or(0).div_ceil(1_000_000));
    problem.told = Some(Box::new(Told::refused(over, now)));
    problem
}
