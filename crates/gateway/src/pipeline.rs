//! The life of a request, top to bottom. What flows from step to step is the value of the step before.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use uuid::Uuid;

use crate::answer::{self, Head};
use crate::app::App;
use crate::auth::{self, Asked};
use crate::face::{Face, Speech};
use crate::hold::Hold;
use crate::idempotency::Turn;
use crate::inbound::{Inbound, Named, Operation};
use crate::outbound::{self, Outbound};
use crate::pace::TooFast;
use crate::problem::Problem;
use crate::providers::Provider;
use crate::routing::{self, Plan, Target};
use crate::scopes::Scope;
use crate::snapshot::KeyEntry;
use crate::upstream::{Body, Outgoing};
use crate::{afford, body, clock, count, embed, failure, stream, unread, whole};

/// Answers a request in the client's own dialect, whatever becomes of it.
pub(crate) async fn serve(
    app: Arc<App>,
    face: Face,
    operation: Operation,
    named: Named,
    request: Request,
) -> Response {
    let id = clock::new_id();
    match admit(app, id, face, operation, named, request).await {
        Ok(response) => response,
        Err(problem) => {
            let mut response = problem.response(face);
            answer::name(response.headers_mut(), id);
            response
        }
    }
}

/// The same for somebody who is signed in and asks with a key whose secret nobody has. The body was read before.
pub(crate) async fn serve_with(
    app: Arc<App>,
    face: Face,
    key: Arc<KeyEntry>,
    parts: &Parts,
    body: Bytes,
) -> Response {
    let id = clock::new_id();
    let call = (face, Operation::Chat, Named::default());
    match run(app, id, call, key, parts, body).await {
        Ok(response) => response,
        Err(problem) => {
            let mut response = problem.response(face);
            answer::name(response.headers_mut(), id);
            response
        }
    }
}

/// Steps 2 and 3: what came, and from whom.
async fn admit(
    app: Arc<App>,
    id: Uuid,
    face: Face,
    operation: Operation,
    named: Named,
    request: Request,
) -> Result<Response, Problem> {
    // 3. From memory, and before the body is read: a stranger's is not worth it.
    let (parts, body) = request.into_parts();
    let snapshot = app.snapshots.current();
    let asked = Asked::of(&parts, clock::now());
    let key = match face.speech {
        Speech::Native => auth::native_caller(&snapshot, &asked, Scope::Inference),
        _ => auth::caller(&snapshot, &asked, Some(Scope::Inference)),
    };
    drop(snapshot);
    let key = match key {
        Ok(key) => key,
        Err(problem) => {
            unread::refused(&parts.headers, body).await;
            return Err(problem);
        }
    };

    if !app.journal.is_open() {
        unread::refused(&parts.headers, body).await;
        return Err(Problem::store("the journal takes no more receipts"));
    }

    // 2. The body, as far as it must be known.
    let body = body::read(&parts.headers, body, app.settings.body_limit_bytes).await?;
    run(app, id, (face, operation, named), key, &parts, body).await
}

/// Steps 4 and 5: whereto, at which prices, and whether it can be paid. What follows goes on when the client hangs up.
async fn run(
    app: Arc<App>,
    id: Uuid,
    (face, operation, named): (Face, Operation, Named),
    key: Arc<KeyEntry>,
    parts: &Parts,
    body: Bytes,
) -> Result<Response, Problem> {
    let mut inbound = Inbound::read(id, face, operation, named, &key, parts, body)?;

    // A retry needs nothing but the answer that is there.
    let claim = match app.idempotency.turn(&inbound, parts).await? {
        Turn::Run(claim) => claim,
        Turn::Answer(response) => return Ok(response),
    };

    // 4. Targets and prices, from one snapshot.
    let snapshot = app.snapshots.current();
    let now = clock::now();
    let plan = routing::plan(&app, &snapshot, &key, &inbound)?;
    key.begin(now).map_err(too_fast)?;
    key.touch(now);

    // 5. What it may cost at most.
    let taken = afford::take(&app, &snapshot, &key, &mut inbound, &plan).await?;
    let hold = Hold::new(&app, &inbound, &plan, taken, key);
    drop(snapshot);

    let tasks = app.tasks.clone();
    let work = |mut head: Head| async move {
        if let Err(problem) = attempts(&app, &inbound, &plan, &hold, &mut head).await {
            head.send(Err(problem));
        }
        head.finish().await;
    };
    answer::respond(&tasks, id, claim, work).await
}

/// 429: the key's own pace, with the seconds after which it may go on.
fn too_fast(over: TooFast) -> Problem {
    let TooFast { what, limit, wait } = over;
    let message = format!("this API key may use {limit} {what} per minute");
    let mut problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", message);
    problem.retry_after = Some(u64::try_from(wait).unwrap_or(0).div_ceil(1_000_000));
    problem
}

/// One try to have a request answered.
pub(crate) struct Attempt<'a> {
    pub(crate) app: &'a App,
    pub(crate) inbound: &'a Inbound,
    pub(crate) plan: &'a Plan,
    pub(crate) target: &'a Target,
    pub(crate) provider: &'a Provider,
    /// From 1.
    pub(crate) number: i16,
    pub(crate) outbound: Outbound,
    pub(crate) hold: &'a Hold,
}

impl Attempt<'_> {
    /// Sends a body to the target and waits for the head of its answer.
    pub(crate) async fn send(&self, body: Bytes) -> Result<http::Response<Body>, Problem> {
        let outgoing = Outgoing {
            speaks: self.target.speaks,
            path: &self.outbound.path,
            headers: &self.outbound.headers,
            body,
        };
        // Counting costs nothing.
        if self.inbound.operation != Operation::Count {
            let written = self.hold.dispatch(self.number, self.target).await;
            written.map_err(Problem::store)?;
        }
        let begun = Instant::now();
        let sent = self.app.upstream.send(self.provider, outgoing).await;
        let took = begun.elapsed();
        let answer = match sent {
            Err(error) => Err(failure::of_transport(&error, self)),
            Ok(response) if response.status().is_success() => Ok(response),
            Ok(response) => Err(Box::pin(failure::of_provider(self, response)).await),
        };
        self.app.health.note(self.target.provider, took, answer.as_ref().err());
        answer
    }

    /// Reads a body of the provider's to its end.
    pub(crate) async fn read(&self, body: Body) -> Result<Bytes, Problem> {
        let read = self.app.upstream.read(body).await;
        read.map_err(|error| failure::of_transport(&error, self))
    }
}

/// Steps 6 to 9 for one target after the other, until one answers. Once the client has a byte there is no other.
async fn attempts(
    app: &App,
    inbound: &Inbound,
    plan: &Plan,
    hold: &Hold,
    head: &mut Head,
) -> Result<(), Problem> {
    let mut last = None;
    let mut targets = plan.targets.iter().zip(1..).peekable();
    while let Some((target, number)) = targets.next() {
        let problem = match attempt(app, inbound, plan, hold, target, number, head).await {
            Ok(()) => return Ok(()),
            Err(problem) => problem,
        };
        if head.is_gone() {
            return Err(problem);
        }
        if targets.peek().is_some() {
            let (request_id, model, reason) = (inbound.id, &target.model, &problem.message);
            tracing::warn!(%request_id, provider = target.provider, model, %reason, "the next model is tried");
        }
        last = Some(problem);
    }
    Err(last.unwrap_or_else(|| Problem::internal("a plan without a target")))
}

async fn attempt(
    app: &App,
    inbound: &Inbound,
    plan: &Plan,
    hold: &Hold,
    target: &Target,
    number: i16,
    head: &mut Head,
) -> Result<(), Problem> {
    let provider = app
        .providers
        .get(target.provider)
        .ok_or_else(|| Problem::internal("a target without a provider"))?;

    // 6. In the provider's own words. What it has no word for is refused or named.
    let outbound = match inbound.operation {
        Operation::Chat => outbound::prepare(inbound, target)?,
        Operation::Embed => embed::prepare(inbound, target)?,
        Operation::Count => {
            let Some(outbound) = count::prepare(inbound, target)? else {
                count::estimate(inbound, head);
                return Ok(());
            };
            outbound
        }
    };
    outbound::check_strict(inbound, target, &outbound)?;

    // 7. Send.
    let attempt = Attempt { app, inbound, plan, target, provider, number, outbound, hold };
    let response = attempt.send(attempt.outbound.body.clone()).await?;

    // 8 and 9. Relay, meter, settle: nothing ends before the receipt is committed.
    match inbound.operation {
        Operation::Chat if inbound.stream => stream::relay(&attempt, response, head).await,
        Operation::Chat => whole::relay(&attempt, response, head).await,
        // Boxed, because every request has room for what is not.
        Operation::Embed => Box::pin(embed::relay(&attempt, response, head)).await,
        Operation::Count => Box::pin(count::relay(&attempt, response, head)).await,
    }
}
