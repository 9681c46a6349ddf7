//! Many inputs for one target, under watch.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::corpus::{Corpus, Input};
use crate::mutate::{chance, changed, number};
use crate::targets::Target;

/// Longer than this, and an input hangs.
const LIMIT: Duration = Duration::from_secs(1);
/// Of an input that does not come back at all no second try can be made.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many inputs that did something new are kept beside the fixtures.
const MOST_KEPT: usize = 4_000;

/// How much is asked.
#[derive(Copy, Clone, Debug)]
pub struct Options {
    /// How many inputs.
    pub inputs: u64,
    /// What the inputs follow from.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// Inputs that were tried.
    pub inputs: u64,
    /// How long that took.
    pub time: Duration,
    /// Inputs that did something new.
    pub kept: u64,
    /// The longest that one input took.
    pub slowest: Duration,
    /// What failed, if anything did.
    pub failure: Option<Failure>,
}

/// An input that a target fails on.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The input.
    pub input: Input,
    /// How it fails.
    pub what: String,
}

impl Failure {
    /// Keeps the input in a file of that folder.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, folder: &Path, target: &Target) -> std::io::Result<PathBuf> {
        std::fs::create_dir_all(folder)?;
        let name = format!("{}.{}.txt", target.name, self.input.kind.name());
        let path = folder.join(name);
        std::fs::write(&path, &self.input.bytes)?;
        Ok(path)
    }
}

/// What the thread that runs the target lets others see.
#[derive(Default)]
struct Shared {
    tried: AtomicU64,
    kept: AtomicU64,
    slowest: AtomicU64,
    current: Mutex<Option<Input>>,
}

/// Tries inputs until one fails or enough were tried. `progress` is told how many were, now and then.
///
/// # Errors
/// A fixture that cannot be read.
pub fn run(
    target: Target,
    options: Options,
    progress: &mut dyn FnMut(u64, Duration),
) -> anyhow::Result<Report> {
    const INTERVAL: Duration = Duration::from_millis(200);
    let corpus = target.corpus()?;
    let (shared, begun) = (Arc::new(Shared::default()), Instant::now());
    let worker = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || work(target, options, corpus, &shared))
    };
    let (mut before, mut since) = (0, Instant::now());
    let failure = loop {
        if worker.is_finished() {
            break worker.join().unwrap_or_else(|_| {
                Some(failed(&shared, "the fuzzer itself panicked".to_owned()))
            });
        }
        thread::sleep(INTERVAL);
        let tried = shared.tried.load(Ordering::Relaxed);
        if tried != before {
            (before, since) = (tried, Instant::now());
        } else if since.elapsed() > PATIENCE {
            // The thread is left to itself: it ends with the program.
            break Some(failed(&shared, "does not come back".to_owned()));
        }
        progress(tried, begun.elapsed());
    };
    Ok(Report {
        inputs: shared.tried.load(Ordering::Relaxed),
        time: begun.elapsed(),
        kept: shared.kept.load(Ordering::Relaxed),
        slowest: Duration::from_micros(shared.slowest.load(Ordering::Relaxed)),
        failure,
    })
}

fn failed(shared: &Shared, what: String) -> Failure {
    let current = shared.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let nothing = || Input { kind: crate::corpus::Kind::Request, bytes: Vec::new() };
    Failure { input: current.unwrap_or_else(nothing), what }
}

fn work(target: Target, options: Options, mut corpus: Corpus, shared: &Shared) -> Option<Failure> {
    let fixtures = corpus.inputs.clone();
    let most = fixtures.len() + MOST_KEPT;
    let (mut chance, mut known) = (chance(options.seed), HashSet::new());
    for n in 0..options.inputs {
        // The fixtures as they are come first.
        let input = match usize::try_from(n).ok().and_then(|n| fixtures.get(n)) {
            Some(fixture) => fixture.clone(),
            None => changed(&corpus, &mut chance)?,
        };
        *shared.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(input.clone());
        let (outcome, time) = attempt(target, &input);
        shared.tried.store(n + 1, Ordering::Relaxed);
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        shared.slowest.fetch_max(micros, Ordering::Relaxed);
        match outcome {
            Err(what) => return Some(Failure { input, what }),
            // The machine may have been busy with something else: who hangs does so again.
            Ok(_) if time > LIMIT && attempt(target, &input).1 > LIMIT => {
                return Some(Failure { input, what: format!("takes {time:?}") });
            }
            Ok(outcome) if known.insert(outcome) => {
                shared.kept.fetch_add(1, Ordering::Relaxed);
                if corpus.inputs.len() < most {
                    corpus.inputs.push(input);
                } else {
                    // A later one takes the place of an earlier one, never that of a fixture.
                    let room = u64::try_from(MOST_KEPT).unwrap_or(1);
                    let at = usize::try_from(number(&mut chance) % room).unwrap_or(0);
                    if let Some(old) = corpus.inputs.get_mut(fixtures.len() + at) {
                        *old = input;
                    }
                }
            }
            Ok(_) => {}
        }
    }
    None
}

fn attempt(target: Target, input: &Input) -> (Result<u64, String>, Duration) {
    let begun = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| target.run(input)));
    let time = begun.elapsed();
    let outcome = outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("panics: {}", text.unwrap_or("without a word")))
    });
    (outcome, time)
}
