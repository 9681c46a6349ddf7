//! Money under every accident that we can think of, in a world that is made of a seed.
//!
//! Replicas with the real [`ledger::Purse`] serve requests against a model of the database, while processes crash, the
//! power fails, answers are lost, messages come late or twice, folders are copied, replicas fall silent and are released,
//! and operators change limits, credit and terms. After every step the invariants are looked at.

mod books;
mod check;
mod dice;
mod events;
mod replica;
mod state;

use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

pub(crate) use state::Tally;
use state::World;

/// What is broken: an invariant, a CHECK of the database, or an error of the purse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    id: &'static str,
    what: String,
}

impl Fault {
    fn new(id: &'static str, what: impl fmt::Display) -> Self {
        Self { id, what: what.to_string() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id, self.what)
    }
}

/// How many things happen in one run.
const STEPS: usize = 150;

/// One run, and its steps in words where they are asked for.
pub(crate) fn run(seed: u64, traced: bool) -> (Result<Tally, Fault>, Vec<String>) {
    let mut world = match World::new(seed, traced) {
        Ok(world) => world,
        Err(fault) => return (Err(fault), Vec::new()),
    };
    let done = catch_unwind(AssertUnwindSafe(|| {
        for _ in 0..STEPS {
            world.step()?;
            world.check()?;
        }
        world.rest()
    }));
    // A mistake in the purse stops a debug build.
    let done = done.unwrap_or_else(|_| Err(Fault::new("panic", "see above")));
    (done.map(|()| world.tally), world.trace.unwrap_or_default())
}

/// Runs every seed, on all processors; stops at the first that fails.
pub(crate) fn run_all(seeds: Range<u64>) -> Result<Tally, String> {
    let workers = thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let part = |worker: u64| -> Result<Tally, String> {
        let seeds =
            (seeds.start + worker..seeds.end).step_by(usize::try_from(workers).unwrap_or(1));
        let mut sum = Tally::default();
        for seed in seeds {
            let (done, _) = run(seed, false);
            sum.add(&done.map_err(|fault| failed(seed, &fault))?);
        }
        Ok(sum)
    };
    thread::scope(|scope| -> Result<Tally, String> {
        let workers: Vec<_> =
            (0..workers).map(|worker| scope.spawn(move || part(worker))).collect();
        let mut sum = Tally::default();
        for worker in workers {
            sum.add(&worker.join().map_err(|_| "a worker panicked".to_owned())??);
        }
        Ok(sum)
    })
}

fn failed(seed: u64, fault: &Fault) -> String {
    format!(
        "seed {seed} breaks {fault}\n\n    cargo xtask simulate --seed {seed}\n\nshows each of its steps"
    )
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.refused += other.refused;
        self.receipts += other.receipts;
        self.crashes += other.crashes;
        self.absorbed += other.absorbed;
        self.zombies += other.zombies;
        self.conflicts += other.conflicts;
        self.late += other.late;
    }
}
