//! The life of a request, top to bottom. What flows from step to step is the value of the step before.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;

use crate::answer::{self, Head, Left};
use crate::app::App;
use crate::attempts::Run;
use crate::auth::{self, Asked, Peer};
use crate::body::{self, Whole};
use crate::breaker::Went;
use crate::credentials::InForce;
use crate::face::{Face, Speech};
use crate::hold::Hold;
use crate::idempotency::Turn;
use crate::inbound::{Inbound, Named, Operation};
use crate::limits::{self, Place, Taken};
use crate::outbound::Outbound;
use crate::problem::Problem;
use crate::providers::Provider;
use crate::rates::Told;
use crate::routing::{self, Plan, Target};
use crate::scopes::Scope;
use crate::snapshot::KeyEntry;
use crate::telemetry::Passage;
use crate::upstream::{Body, Outgoing, UpstreamError};
use crate::{afford, clock, failure, large, sticky, unread};

/// What is asked of an endpoint: in which dialect, for what, and what its path names.
pub(crate) type Call = (Face, Operation, Named);

/// Answers a request in the client's own dialect, whatever becomes of it.
pub(crate) async fn serve(app: Arc<App>, call: Call, peer: Peer, request: Request) -> Response {
    let (face, operation, _) = call;
    let id = clock::new_id();
    let passage = Passage::begin(&app.telemetry, id, face, operation, request.headers());
    let answer = admit(app, &passage, call, peer, request).await;
    answered(&passage, face, answer)
}

/// What the client gets.
fn answered(passage: &Passage, face: Face, answer: Result<Response, Problem>) -> Response {
    let mut response = answer.unwrap_or_else(|problem| refused(passage, face, problem));
    if face.openrouter {
        answer::name_generation(response.headers_mut());
    }
    passage.answered(response.status().as_u16());
    response
}

fn refused(passage: &Passage, face: Face, problem: Problem) -> Response {
    passage.refused(&problem);
    let mut response = problem.response(face);
    answer::name(response.headers_mut(), passage.id);
    response
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
    let passage = Passage::begin(&app.telemetry, id, face, Operation::Chat, &parts.headers);
    let call = (face, Operation::Chat, Named::default());
    let answer = async {
        let place = app.limits.request(|| client(&app, Peer::of(&parts.extensions), parts))?;
        // The bytes are counted where they were read, until the answer begins.
        let held = app.limits.bodies.take(0).ok_or_else(limits::overloaded)?;
        let body = (Whole { bytes: body, held }, place);
        run(Arc::clone(&app), &passage, call, key, parts, body).await
    };
    let answer = answer.await;
    answered(&passage, face, answer)
}

/// Steps 2 and 3: what came, and from whom.
async fn admit(
    app: Arc<App>,
    passage: &Arc<Passage>,
    call: Call,
    peer: Peer,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let place = match app.limits.request(|| client(&app, peer, &parts)) {
        Ok(place) => place,
        Err(problem) => {
            unread::refused(&app, &parts.headers, body).await;
            return Err(problem);
        }
    };

    // 3. From memory, and before the body is read: a stranger's is not worth it.
    let snapshot = app.snapshots.current();
    let asked = Asked::by(peer, &parts, passage.begun_at);
    let key = match call.0.speech {
        Speech::Native => auth::native_caller(&snapshot, &asked, Scope::Inference),
        _ => auth::caller(&snapshot, &asked, Some(Scope::Inference)),
    };
    drop(snapshot);
    let key = match key {
        Ok(key) => key,
        Err(problem) => {
            unread::refused(&app, &parts.headers, body).await;
            return Err(problem);
        }
    };

    if !app.journal.is_open() {
        unread::refused(&app, &parts.headers, body).await;
        return Err(Problem::store("the journal takes no more receipts"));
    }

    // 2. The body, as far as it must be known.
    let begun = Instant::now();
    let limit = app.live.load().body_limit_bytes;
    let body = body::read(&app, &parts.headers, body, limit).await?;
    passage.waited(begun.elapsed());
    run(app, passage, call, key, &parts, (body, place)).await
}

/// Where a request comes from.
fn client(app: &App, Peer(peer): Peer, parts: &Parts) -> IpAddr {
    app.snapshots.current().proxies.client(peer, &parts.headers)
}

/// Steps 4 and 5: whereto, at which prices, and whether it can be paid. What follows goes on when the client hangs up.
async fn run(
    app: Arc<App>,
    passage: &Arc<Passage>,
    (face, operation, named): Call,
    key: Arc<KeyEntry>,
    parts: &Parts,
    (body, place): (Whole, Place),
) -> Result<Response, Problem> {
    passage.caller(&key);
    let Whole { bytes: body, mut held } = body;
    let weight = large::weigh(&body)?;
    let body = (body, weight);
    let read = || Inbound::read(Arc::clone(passage), face, operation, named, &key, parts, body);
    let in_full = matches!(face.speech, Speech::Native);
    let mut inbound = large::look(&app, weight, in_full, &mut held, read).await?;

    // A retry needs nothing but the answer that is there.
    let claim = match app.idempotency.turn(&inbound, parts).await? {
        Turn::Run(claim) => claim,
        Turn::Answer(response) => return Ok(response),
    };

    let (plan, hold, told) = match ready(&app, &key, &mut inbound, &mut held).await {
        Ok(ready) => ready,
        Err(problem) => {
            if let Some(claim) = claim {
                Box::pin(claim.give_up()).await;
            }
            return Err(problem);
        }
    };
    let recording = app.capture.as_ref().and_then(|capture| capture.begin(&inbound));
    let left = Left { tasks: app.tasks.clone(), ending: Arc::clone(&app.ending) };
    let work = |mut head: Head| async move {
        // 6 to 9.
        let run = Run { app: &app, inbound: &inbound, plan: &plan, hold: &hold };
        if let Err(problem) = run.to_its_end(&mut head).await {
            inbound.passage.refused(&problem);
            head.send(Err(problem));
        }
        head.finish().await;
        // Under way until here, whoever waits for it.
        drop((place, held));
    };
    let answer = answer::respond(left, passage.id, claim, work).await;
    let answer = answer.map(|mut response| {
        if let Some(told) = told {
            told.write(face, response.headers_mut());
        }
        response
    });
    match recording {
        None => answer,
        Some(recording) => {
            let response = answer.unwrap_or_else(|problem| refused(passage, face, problem));
            Ok(recording.of(response))
        }
    }
}

/// What a request is worked on with, and what its client is told of its limits.
type Ready = (Plan, Hold, Option<Told>);

async fn ready(
    app: &Arc<App>,
    key: &KeyEntry,
    inbound: &mut Inbound,
    held: &mut Taken,
) -> Result<Ready, Problem> {
    // 4. Targets and prices, from one snapshot.
    let snapshot = app.snapshots.current();
    let now = clock::now();
    let mut plan = routing::plan(app, &snapshot, key, inbound, now)?;
    if plan.is_spread && inbound.face.is(wire::openai_responses::NAME) {
        Box::pin(sticky::bring_home(app, inbound, &mut plan)).await;
    }
    inbound.passage.planned(inbound, &plan);
    let limited = snapshot.limited(key, &plan);
    let granted = if limited.is_empty() {
        None
    } else {
        Some(Box::new(Box::pin(app.rates.begin(limited, inbound.id)).await?))
    };
    key.touch(now);

    if let Some(weight) = inbound.weight {
        let is_limited = !key.scopes(plan.at).is_empty();
        let read = large::read(app, weight, inbound, &plan, is_limited, held);
        Box::pin(read).await?;
    }

    // 5. What it may cost at most.
    let taken = afford::take(app, &snapshot, key, inbound, &mut plan).await?;
    let told = granted.as_ref().map(|granted| granted.told(now));
    let hold = Hold::new(app, inbound, &plan, taken, granted);
    Ok((plan, hold, told))
}

/// One try to have a request answered.
pub(crate) struct Attempt<'a> {
    pub(crate) app: &'a App,
    pub(crate) inbound: &'a Inbound,
    pub(crate) plan: &'a Plan,
    pub(crate) target: &'a Target,
    pub(crate) provider: &'a Provider,
    pub(crate) credential: Arc<InForce>,
    /// From 1.
    pub(crate) number: i16,
    pub(crate) begun: Instant,
    /// By when the answer has to have begun, and to be there where it comes whole.
    pub(crate) until: Instant,
    pub(crate) outbound: Outbound,
    pub(crate) hold: &'a Hold,
    /// How long the head of its answer, or its failure, took.
    pub(crate) head_took: OnceLock<Duration>,
}

impl Attempt<'_> {
    /// Sends a body to the target and waits for the head of its answer.
    pub(crate) async fn send(&self, body: Bytes) -> Result<http::Response<Body>, Problem> {
        // Boxed, because what follows lasts longer, and keeps no room for it.
        let answer = Box::pin(self.send_until(body, self.until)).await;
        if let (Err(problem), Some(_)) = (&answer, self.head_took.get()) {
            self.count(Some(problem), self.is_cut_short(problem));
        }
        answer
    }

    /// The same once more, for what follows an answer that came in part.
    pub(crate) async fn go_on(
        &self,
        body: Bytes,
        until: Instant,
    ) -> Result<http::Response<Body>, Problem> {
        self.send_until(body, until).await
    }

    async fn send_until(
        &self,
        body: Bytes,
        until: Instant,
    ) -> Result<http::Response<Body>, Problem> {
        let outgoing = Outgoing {
            speaks: self.target.speaks,
            credential: &self.credential,
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
        let mut sending = pin!(self.app.upstream.send(self.provider, outgoing, until));
        let ending = &self.app.ending;
        let sent = poll_fn(|context| ending.poll(sending.as_mut(), context)).await;
        let sent = sent.unwrap_or(Err(UpstreamError::Ending));
        let took = begun.elapsed();
        let answer = match sent {
            Err(error) => Err(failure::of_transport(&error, self)),
            Ok(response) if response.status().is_success() => Ok(response),
            Ok(response) => Err(Box::pin(failure::of_provider(self, response)).await),
        };
        self.head_took.get_or_init(|| took);
        // Of an answer that comes whole the first byte is the last.
        if self.inbound.stream && answer.is_ok() {
            self.provider.speed.began(took);
        }
        self.inbound.passage.attempted(self.number, self.target, took, answer.as_ref().err());
        answer
    }

    /// Counts how it went. That is known of an answer once it is whole, or has broken off.
    pub(crate) fn went(&self, failed: Option<&Problem>) {
        if let Some(problem) = failed {
            self.inbound.passage.broke_off(self.number, problem.code);
        }
        // A stream has only to begin in time.
        let whole = failed.filter(|_| !self.inbound.stream);
        self.count(failed, whole.is_some_and(|problem| self.is_cut_short(problem)));
    }

    /// What an account's own key is to blame for is not its provider's doing, nor is it that the time was too short.
    fn count(&self, failed: Option<&Problem>, is_cut_short: bool) {
        const OF_THE_KEY: [&str; 2] = [failure::OWN_KEY_REFUSED, "rate_limited"];
        let took = self.head_took.get().copied().unwrap_or_default();
        let of_the_key = failed.is_some_and(|problem| OF_THE_KEY.contains(&problem.code));
        if !(self.target.is_direct() && of_the_key) {
            self.app.health.note(self.target.provider, took, failed);
        }
        if !is_cut_short {
            let went = failed.map_or(Went::Well, Problem::went);
            let breaker = &self.provider.breaker;
            breaker.note(&self.target.model, went, self.begun.elapsed(), clock::now());
        }
    }

    /// Counts that it was given up after so long, because another has begun to answer. Whoever was asked first, had a head start
    /// and is silent all the same does badly; of whoever was asked second that is not known.
    pub(crate) fn gave_up(&self, took: Duration, was_first: bool) {
        self.app.health.gave_up(self.target.provider, took);
        if was_first {
            self.provider.breaker.note(&self.target.model, Went::Failed, took, clock::now());
        }
    }

    /// Whether it failed because it had clearly less time than the settings give an answer, others having the rest. That says
    /// nothing of its provider.
    fn is_cut_short(&self, problem: &Problem) -> bool {
        if problem.code != failure::TIMEOUT || Instant::now() < self.until {
            return false;
        }
        let settings = &self.plan.settings;
        let (whole, first_byte) = (settings.upstream_timeout(), settings.first_byte_timeout());
        let usual = if self.inbound.stream { whole.min(first_byte) } else { whole };
        self.until.saturating_duration_since(self.begun) < usual * 9 / 10
    }

    /// Reads a body of the provider's to its end.
    pub(crate) async fn read(&self, body: Body) -> Result<Bytes, Problem> {
        let begun = Instant::now();
        let mut reading = pin!(self.app.upstream.read(body, self.until));
        let ending = &self.app.ending;
        let read = poll_fn(|context| ending.poll(reading.as_mut(), context)).await;
        self.inbound.passage.waited(begun.elapsed());
        read.unwrap_or(Err(UpstreamError::Ending))
            .map_err(|error| failure::of_transport(&error, self))
    }
}
