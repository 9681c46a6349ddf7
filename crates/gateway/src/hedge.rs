//! A second request for a stream whose provider takes long to begin: to another endpoint of the same model, beside the first.
//! Whichever answers first is relayed, and the other is given up. Off unless `TOLLGATE_HEDGE_AFTER_MS` says when.
//!
//! There is one hold for both, since only one is relayed and charged. The journal names the attempt that went out last; when
//! the first wins after all, it is named once more, so that what the client gets is its.

use std::pin::{Pin, pin};
use std::time::Duration;

use http::Response;
use tokio::time::timeout;

use crate::attempts::{MOST_ATTEMPTS, Run, Turn, tried};
use crate::breaker::Admission;
use crate::inbound::Operation;
use crate::pipeline::Attempt;
use crate::problem::Problem;
use crate::routing::Target;
use crate::upstream::Body;
use crate::{clock, large};

/// What the receipt says of the request that was given up, and the metrics.
pub(crate) const HEDGED: &str = "hedged";

type Answer = Result<Response<Body>, Problem>;

/// Which of the two answered, and how the other failed, if it did before.
enum Won {
    First(Response<Body>, Option<Problem>),
    Second(Response<Body>, Option<Problem>),
    Neither(Problem, Problem),
}

/// When a second request goes out, where one may.
pub(crate) fn after(run: &Run<'_>, turn: &Turn<'_, '_>) -> Option<Duration> {
    let after = run.plan.settings.hedge_after()?;
    let is_chat = run.inbound.operation == Operation::Chat;
    let may = run.inbound.stream && is_chat && *turn.number < MOST_ATTEMPTS;
    (may && turn.left.iter().any(|target| is_spare(target, turn.target))).then_some(after)
}

/// Whether a target answers as another does, at the same price and from the same purse.
fn is_spare(target: &Target, of: &Target) -> bool {
    target.is(of) && target.is_direct() == of.is_direct()
}

/// Sends the first attempt and, when that takes long, a second one. Returns the one that is to be relayed. Where both fail,
/// the turn is the second one's.
pub(crate) async fn send<'a>(
    run: &Run<'a>,
    first: Attempt<'a>,
    turn: &mut Turn<'a, '_>,
    after: Duration,
) -> Result<(Attempt<'a>, Response<Body>), Problem> {
    let mut one = Box::pin(first.send(first.outbound.body.clone()));
    if let Ok(answer) = timeout(after, &mut one).await {
        drop(one);
        return Ok((first, answer?));
    }
    let Some(second) = spare(run, turn).await else {
        let answer = one.await;
        return Ok((first, answer?));
    };
    run.inbound.passage.waited(after);
    match race(one, second.send(second.outbound.body.clone())).await {
        Won::First(response, failed) => {
            came_to_nothing(run, &second, failed, false);
            // What the client gets is its, whatever was sent since.
            run.inbound.passage.aims(first.target);
            let named = run.hold.dispatch(first.number, first.target).await;
            named.map_err(Problem::store)?;
            Ok((first, response))
        }
        Won::Second(response, failed) => {
            came_to_nothing(run, &first, failed, true);
            Ok((second, response))
        }
        Won::Neither(failed, last) => {
            came_to_nothing(run, &first, Some(failed), true);
            (turn.target, turn.begun) = (second.target, second.begun);
            Err(last)
        }
    }
}

/// The attempt that goes out beside the first, if there is a target for it now.
async fn spare<'a>(run: &Run<'a>, turn: &mut Turn<'a, '_>) -> Option<Attempt<'a>> {
    let now = clock::now();
    let mut admission = Admission::No;
    let mut admits = |target: &Target| {
        admission = target.endpoint.breaker.admits(&target.model, now);
        admission != Admission::No
    };
    let mut places = turn.left.iter();
    let place = places.position(|target| is_spare(target, turn.target) && admits(target))?;
    let target = turn.left.remove(place);
    turn.probes[1] = (admission == Admission::Probe).then_some((target, now));
    let number = turn.number.saturating_add(1);
    let prepare = || run.prepare(target, number, turn.until);
    let attempt = large::write(run.app, run.inbound, target, prepare).await.ok()??;
    *turn.number = number;
    run.inbound.passage.aims(target);
    Some(attempt)
}

/// Waits for the first of two that succeeds, or for both to fail.
async fn race(
    one: Pin<Box<impl Future<Output = Answer>>>,
    two: impl Future<Output = Answer>,
) -> Won {
    let (mut one, mut two) = (one, pin!(two));
    tokio::select! {
        biased;
        first = &mut one => match first {
            Ok(response) => Won::First(response, None),
            Err(failed) => match two.await {
                Ok(response) => Won::Second(response, Some(failed)),
                Err(last) => Won::Neither(failed, last),
            },
        },
        second = &mut two => match second {
            Ok(response) => Won::Second(response, None),
            Err(failed) => match one.await {
                Ok(response) => Won::First(response, Some(failed)),
                Err(first) => Won::Neither(first, failed),
            },
        },
    }
}

/// Notes the attempt that is not relayed: it failed and was counted then, or its answer comes too late. How late is not known,
/// but that its endpoint is slow is.
fn came_to_nothing(run: &Run<'_>, attempt: &Attempt<'_>, failed: Option<Problem>, was_first: bool) {
    let took = attempt.begun.elapsed();
    let error = failed.map_or(HEDGED, |problem| problem.code);
    if error == HEDGED {
        attempt.provider.speed.began(took);
        attempt.gave_up(took, was_first);
        run.inbound.passage.gave_up(attempt.number, attempt.target, took, HEDGED);
    }
    run.hold.try_failed(tried(attempt.target, error, took));
}
