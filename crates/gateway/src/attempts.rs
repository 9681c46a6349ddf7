//! Steps 6 to 9 for one target after the other, until one answers. Once the client has a byte there is no other.
//!
//! The order is that of the plan, but for targets whose breaker is open: those come last. When all have failed and a
//! retry may help, they are tried once more, if the time that is left allows for the wait. Whatever was tried in vain is
//! never charged, and stands on the receipt.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use ledger::Tried;
use rand::RngExt as _;

use crate::answer::Head;
use crate::app::App;
use crate::breaker::{Admission, Went};
use crate::clock;
use crate::hold::Hold;
use crate::inbound::{Inbound, Operation};
use crate::outbound;
use crate::pipeline::Attempt;
use crate::problem::{Problem, shortened};
use crate::routing::{self, Plan, Target};
use crate::{afford, count, embed, failure, hearing, hedge, large, stream, whole};

/// How long is waited before the first retry where nobody says how long, in milliseconds; twice as long before each
/// other, and up to half as long on top, so that not all come back at once.
const FIRST_WAIT_MS: u64 = 200;
/// Nobody waits longer than this for a retry.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// No attempt is cut sooner than this for the sake of those that are left, or than half of what a request may take where that is
/// less: an answer that is on its way is worth more than one that would have to begin anew.
const LEAST_TIME: Duration = Duration::from_mins(1);
/// How many attempts a request may have, of all targets and rounds.
pub(crate) const MOST_ATTEMPTS: i16 = 10;

/// How many of the wishes that nobody knows are named.
const MOST_NAMES: usize = 20;

/// A request on its way.
pub(crate) struct Run<'a> {
    pub(crate) app: &'a App,
    pub(crate) inbound: &'a Inbound,
    pub(crate) plan: &'a Plan,
    pub(crate) hold: &'a Hold,
}

/// Where a round stands.
pub(crate) struct Turn<'a, 'r> {
    /// What has not been tried in it.
    pub(crate) left: &'r mut Vec<&'a Target>,
    /// What is tried now.
    pub(crate) target: &'a Target,
    /// The number of the last attempt, of all rounds.
    pub(crate) number: &'r mut i16,
    pub(crate) begun: Instant,
    pub(crate) until: Instant,
    /// Which breakers it tries, since when: that of its target, and that of a second one.
    pub(crate) probes: [Option<(&'a Target, i64)>; 2],
}

impl<'a> Run<'a> {
    /// Tries until one answers, and leaves a receipt whatever happens.
    pub(crate) async fn to_its_end(&self, head: &mut Head) -> Result<(), Problem> {
        let deadline = Instant::now() + self.plan.settings.upstream_timeout();
        let mut number = 0;
        let mut round = 0;
        loop {
            let mut problem = match self.round(&mut number, deadline, head).await {
                Ok(()) => return Ok(()),
                Err(problem) => problem,
            };
            let wait = self.wait(&problem, round, deadline).filter(|_| !head.is_gone());
            let wait = wait.filter(|_| !self.app.ending.is_cut() && number < MOST_ATTEMPTS);
            let Some(wait) = wait else {
                // Boxed, because a request that goes well keeps no room for it.
                Box::pin(self.hold.fail()).await;
                let is_last = round >= u32::from(self.plan.settings.retries);
                let is_enough = round > 0 && (is_last || number >= MOST_ATTEMPTS);
                problem.is_final |= is_enough && problem.may_pass_soon();
                return Err(problem.tried(&self.hold.tried()));
            };
            tokio::time::sleep(wait).await;
            self.inbound.passage.waited(wait);
            round += 1;
        }
    }

    /// Tries every target once.
    async fn round(
        &self,
        number: &mut i16,
        deadline: Instant,
        head: &mut Head,
    ) -> Result<(), Problem> {
        let mut left: Vec<&Target> = self.plan.targets.iter().collect();
        let mut last = None;
        while *number < MOST_ATTEMPTS
            && let Some((target, probe)) = Self::next(&mut left)
        {
            let begun = Instant::now();
            let until = self.until(begun, deadline, left.is_empty());
            *number = number.saturating_add(1);
            let probes = [probe.map(|since| (target, since)), None];
            let mut turn = Turn { left: &mut left, target, number, begun, until, probes };
            let went = self.attempt(&mut turn, head).await;
            for (target, since) in turn.probes.into_iter().flatten() {
                target.endpoint.breaker.give_back(since);
            }
            let Err(problem) = went else {
                return Ok(());
            };
            let Turn { target, begun, .. } = turn;
            self.hold.try_failed(tried(target, problem.code, begun.elapsed()));
            let is_over = head.is_gone() || self.app.ending.is_cut();
            if is_over || Instant::now() >= deadline {
                return Err(problem);
            }
            if problem.went() == Went::Well && problem.code != failure::NOT_FOUND {
                // Another endpoint would find the same wrong with it, but may have a model that this one lacks.
                left.retain(|other| {
                    other.model != target.model || other.provider != target.provider
                });
            }
            if !left.is_empty() {
                let (request_id, model, reason) =
                    (self.inbound.id, &target.model, &problem.message);
                tracing::warn!(%request_id, provider = target.provider, model, %reason, "the next target is tried");
            }
            // That one of several does not know a model says less than how the others do.
            let is_less = problem.code == failure::NOT_FOUND;
            last = last.filter(|last: &Problem| is_less && last.is_passing()).or(Some(problem));
        }
        Err(last.unwrap_or_else(|| Problem::internal("a plan without a target")))
    }

    /// By when a target has to have answered: it may take all the time that is left, but where another may stand in, half.
    fn until(&self, begun: Instant, deadline: Instant, is_last: bool) -> Instant {
        if is_last {
            return deadline;
        }
        let settings = &self.plan.settings;
        let least = LEAST_TIME.min(settings.upstream_timeout() / 2);
        let half = deadline.saturating_duration_since(begun) / 2;
        let most = half.max(least);
        let first_byte = settings.first_byte_timeout();
        let most = if self.inbound.stream { most.min(first_byte) } else { most };
        deadline.min(begun + most)
    }

    /// Takes the target to be tried next: the first that may be asked, or else the first. With it, since when it tries its
    /// breaker.
    fn next<'t>(left: &mut Vec<&'t Target>) -> Option<(&'t Target, Option<i64>)> {
        if left.len() < 2 {
            return left.pop().map(|target| (target, None));
        }
        let now = clock::now();
        for (place, target) in left.iter().enumerate() {
            match target.endpoint.breaker.admits(&target.model, now) {
                Admission::No => {}
                Admission::Yes => return Some((left.remove(place), None)),
                Admission::Probe => return Some((left.remove(place), Some(now))),
            }
        }
        Some((left.remove(0), None))
    }

    /// How long to wait before all are tried again; `None` where that is of no use.
    fn wait(&self, problem: &Problem, round: u32, deadline: Instant) -> Option<Duration> {
        let is_last = round >= u32::from(self.plan.settings.retries);
        if is_last || self.inbound.operation == Operation::Count || !problem.may_pass_soon() {
            return None;
        }
        let own = || {
            let base = FIRST_WAIT_MS << round.min(10);
            Duration::from_millis(base + rand::rng().random_range(0..=base / 2))
        };
        let wait = problem.retry_after.map_or_else(own, Duration::from_secs);
        let left = deadline.saturating_duration_since(Instant::now());
        (wait <= LONGEST_WAIT && wait < left).then_some(wait)
    }

    /// Tries one target, or two of them at once.
    async fn attempt(&self, turn: &mut Turn<'a, '_>, head: &mut Head) -> Result<(), Problem> {
        let inbound = self.inbound;
        inbound.passage.aims(turn.target);
        let prepare = || self.prepare(turn.target, *turn.number, turn.until);
        let Some(mut attempt) = large::write(self.app, inbound, turn.target, prepare).await? else {
            count::estimate(inbound, head);
            return Ok(());
        };
        let response = match hedge::after(self, turn) {
            None => attempt.send(attempt.outbound.body.clone()).await?,
            Some(after) => {
                let hedged = hedge::send(self, attempt, turn, after);
                let response;
                // In the place of the first one: two would need twice the room.
                (attempt, response) = Box::pin(hedged).await?;
                response
            }
        };

        // 8 and 9. Relay, meter, settle: nothing ends before the receipt is committed.
        let streams = inbound.operation == Operation::Chat && !whole::comes(&attempt, &response);
        let relayed = match inbound.operation {
            Operation::Chat if streams => stream::relay(&attempt, response, head).await,
            Operation::Chat => whole::relay(&attempt, response, head).await,
            // Boxed, because every request has room for what is not.
            Operation::Embed => Box::pin(embed::relay(&attempt, response, head)).await,
            Operation::Count => Box::pin(count::relay(&attempt, response, head)).await,
        };
        // Of a stream that its client has a part of, the relay knows how it went.
        let is_told = relayed.is_ok() && streams;
        if !is_told {
            attempt.went(relayed.as_ref().err().filter(|problem| problem.went() != Went::Well));
        }
        relayed
    }

    /// Steps 6 and 7 up to the sending. None where the gateway counts for itself.
    pub(crate) fn prepare(
        &self,
        target: &'a Target,
        number: i16,
        until: Instant,
    ) -> Result<Option<Attempt<'a>>, Problem> {
        let Self { app, inbound, plan, hold } = *self;
        let provider = target.endpoint.as_ref();

        // 6. In the provider's own words. What it has no word for is refused or named.
        hearing::check(inbound, plan, target)?;
        let mut outbound = match inbound.operation {
            Operation::Chat => outbound::prepare(inbound, target)?,
            Operation::Embed => embed::prepare(inbound, target)?,
            Operation::Count => match count::prepare(inbound, target)? {
                Some(outbound) => outbound,
                None => return Ok(None),
            },
        };
        let unknown = inbound.peek.provider.unknown.iter().take(MOST_NAMES);
        outbound.dropped.extend(unknown.map(|name| format!("provider.{}", shortened(name, 80))));
        outbound::check_strict(inbound, target, &outbound)?;
        afford::check_searches(inbound, plan, target, &outbound)?;

        // 7. Send, unless the credential was taken away since the request was admitted.
        let credential = provider.credential();
        if credential.secret.is_none() {
            return Err(routing::not_set_up("model", provider));
        }
        Ok(Some(Attempt {
            app,
            inbound,
            plan,
            target,
            provider,
            credential,
            number,
            begun: Instant::now(),
            until,
            outbound,
            hold,
            head_took: OnceLock::new(),
        }))
    }
}

/// What the receipt says of an attempt that came to nothing.
pub(crate) fn tried(target: &Target, error: &str, took: Duration) -> Tried {
    Tried {
        provider: target.provider.to_owned(),
        endpoint: target.endpoint.endpoint.clone(),
        own_key: target.is_direct(),
        model: target.model.clone(),
        error: error.to_owned(),
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    }
}
