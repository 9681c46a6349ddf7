//! Large bodies. To read one in full takes time and many times its bytes of memory. So that is done beside what else goes on,
//! few at once, and what it takes counts as bytes of bodies, of which it leaves some to others.

use std::sync::{Mutex, PoisonError};

use http::StatusCode;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;
use wire::weigh;

use crate::app::App;
use crate::inbound::{Inbound, Operation};
use crate::limits::{self, Taken};
use crate::outbound;
use crate::problem::Problem;
use crate::routing::{Plan, Target};

/// Bodies up to here, in bytes, are read where they are asked for.
const LARGE: usize = 256 * 1024;
/// More values than the largest prompt of any model has tokens for.
const MOST_VALUES: u64 = 500_000;

/// What it takes to read a large body in full and to write it again, in bytes of memory.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Weight {
    body: u64,
    /// As long as the request is under way.
    kept: u64,
    /// On top, while it is read or written.
    more: u64,
}

impl Weight {
    fn of(body: &[u8]) -> Result<Self, Problem> {
        let values = weigh::values(body);
        if values > MOST_VALUES {
            let message = format!("the request body has more than {MOST_VALUES} values");
            return Err(too_large(message));
        }
        let body = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let kept = weigh::kept(body, values);
        Ok(Self { body, kept, more: weigh::peak(body, values).saturating_sub(kept) })
    }
}

/// 413: it would never fit.
fn too_large(message: String) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
}

/// Weighs a body, if it is large.
pub(crate) fn weigh(body: &[u8]) -> Result<Option<Weight>, Problem> {
    if body.len() <= LARGE {
        return Ok(None);
    }
    beside(|| Weight::of(body)).map(Some)
}

/// Looks at a body for the first time. The native form is read in full at once.
pub(crate) async fn look(
    app: &App,
    weight: Option<Weight>,
    in_full: bool,
    held: &mut Taken,
    look: impl FnOnce() -> Result<Inbound, Problem>,
) -> Result<Inbound, Problem> {
    match weight {
        None => look(),
        Some(_) if !in_full => beside(look),
        Some(weight) => {
            keep(app, weight, held)?;
            Box::pin(in_turn(app, weight.more, look)).await
        }
    }
}

/// Reads a large body in full, where that has to be done before it is sent.
pub(crate) async fn read(
    app: &App,
    weight: Weight,
    inbound: &Inbound,
    plan: &Plan,
    is_limited: bool,
    held: &mut Taken,
) -> Result<(), Problem> {
    let is_chat = inbound.operation == Operation::Chat;
    let is_read = || {
        (is_limited && is_chat)
            || plan.targets.iter().any(|target| outbound::is_read(inbound, target))
    };
    if inbound.is_read() || !beside(is_read) {
        return Ok(());
    }
    keep(app, weight, held)?;
    if inbound.operation == Operation::Embed {
        return Ok(());
    }
    in_turn(app, weight.more, || inbound.chat().map(drop)).await
}

/// Writes a request for a target.
pub(crate) async fn write<T>(
    app: &App,
    inbound: &Inbound,
    target: &Target,
    write: impl FnOnce() -> Result<T, Problem>,
) -> Result<T, Problem> {
    let Some(weight) = inbound.weight else { return write() };
    if beside(|| outbound::is_read(inbound, target)) {
        Box::pin(in_turn(app, weight.more, write)).await
    } else {
        beside(write)
    }
}

/// Counts what is kept with the bytes of the body.
fn keep(app: &App, weight: Weight, held: &mut Taken) -> Result<(), Problem> {
    let bodies = &app.limits.bodies;
    let Weight { body, kept, more } = weight;
    let all = kept.saturating_add(more);
    if !bodies.fits(all.saturating_add(body)) {
        let message = format!(
            "to translate this request takes up to {} MiB of memory, more than this server may use",
            all >> 20
        );
        return Err(too_large(message));
    }
    if bodies.spares(all) && held.more(kept) { Ok(()) } else { Err(limits::overloaded()) }
}

/// Does it when it is its turn, if there is room for it then.
async fn in_turn<T>(
    app: &App,
    room: u64,
    work: impl FnOnce() -> Result<T, Problem>,
) -> Result<T, Problem> {
    let _turn = app.limits.turns.acquire().await.map_err(Problem::internal)?;
    let bodies = &app.limits.bodies;
    let room = if bodies.spares(room) { bodies.take(room) } else { None };
    let _room = room.ok_or_else(limits::overloaded)?;
    beside(work)
}

/// Does what takes time, while others do what else there is to do.
pub(crate) fn beside<T>(work: impl FnOnce() -> T) -> T {
    let flavor = Handle::try_current().map(|handle| handle.runtime_flavor());
    if flavor.is_ok_and(|flavor| flavor == RuntimeFlavor::MultiThread) {
        block_in_place(work)
    } else {
        work()
    }
}

/// The same for what has no room of its own: one after the other.
pub(crate) fn alone<T>(work: impl FnOnce() -> T) -> T {
    static ALONE: Mutex<()> = Mutex::new(());
    beside(|| {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        work()
    })
}
