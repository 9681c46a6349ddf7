//! Steps 8 and 9 for an answer that comes bit by bit.
//!
//! The client's bytes go first, and nothing of the provider's is read ahead of a slow client. What ends the answer waits
//! until the receipt is committed, so that no client has a whole answer without one.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use ledger::{Outcome, Usd};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use wire::sse::{Framing, Splitter};
use wire::stream::{End, Seen};

use crate::answer::{Answer, Head, Piece, Pieces};
use crate::attempts::tried;
use crate::carry::Carrier;
use crate::failure;
use crate::pipeline::Attempt;
use crate::problem::Problem;
use crate::settle::{self, Finished};
use crate::silence::{Due, HEAD_AFTER, Silence};
use crate::upstream::Body;
use crate::whole;

/// Longer than any frame of a provider, pictures included.
const FRAME_LIMIT_BYTES: usize = 64 * 1024 * 1024;
/// How long the rest of a connection may take once the answer is whole.
const TAIL: Duration = Duration::from_secs(5);

/// What the loop woke up for.
enum Step {
    Bytes(Bytes),
    Ended(End),
    /// Nobody reads any more.
    Gone,
    /// The client has waited long enough for a sign of life.
    Waiting,
    Nothing,
}

/// A stream on its way from a provider to a client.
struct Relay<'a, 'b> {
    attempt: &'a Attempt<'a>,
    body: Body,
    head: &'b mut Head,
    content_type: HeaderValue,
    client: Pieces,
    gone: bool,
    /// Whether it has become longer than can be paid for.
    overdrawn: bool,
    /// Whether the client has got anything of it, and text.
    begun: bool,
    delivered: bool,
    carrier: Carrier<'a>,
    splitter: Splitter,
    silence: Silence,
    timer: Pin<Box<Sleep>>,
    /// When the timer wakes, and whom, once it has been told.
    alarm: Option<(Instant, Waker)>,
}

/// Relays the answer to its end and settles it. An error means that the client has not got a byte.
///
/// What comes before the first wait is done at once, so that a stream has no room for the head of the provider's answer.
pub(crate) fn relay(
    attempt: &Attempt<'_>,
    response: Response<Body>,
    head: &mut Head,
) -> impl Future<Output = Result<(), Problem>> {
    let mut relay = Relay::new(attempt, response, head);
    async move { relay.run().await }
}

impl<'a, 'b> Relay<'a, 'b> {
    /// Apart from what waits for the stream, which keeps no room for the parts then.
    fn new(attempt: &'a Attempt<'a>, response: Response<Body>, head: &'b mut Head) -> Self {
        let carrier = Carrier::new(attempt);
        // A copy: a part of the provider's own bytes would keep the buffer that they came in, as long as the stream lasts.
        let content_type = response.headers().get(header::CONTENT_TYPE);
        let content_type =
            content_type.and_then(|kind| HeaderValue::from_bytes(kind.as_bytes()).ok());
        let content_type = carrier.content_type().or(content_type);
        let (client, now) = (head.pieces(), Instant::now());
        Self {
            attempt,
            head,
            content_type: content_type.unwrap_or(HeaderValue::from_static("text/event-stream")),
            client,
            gone: false,
            overdrawn: false,
            begun: false,
            delivered: false,
            carrier,
            splitter: splitter(&response),
            body: response.into_body(),
            silence: Silence::new(attempt.app.live.load().stream_idle(), now),
            timer: Box::pin(sleep_until(now + HEAD_AFTER)),
            alarm: None,
        }
    }

    async fn run(&mut self) -> Result<(), Problem> {
        let end = loop {
            let end = self.read().await;
            if !self.gone {
                let carrier = &mut self.carrier;
                self.splitter.end(|frame| carrier.rest(&frame));
            }
            let Some(token) = self.carrier.end(end, !self.gone) else {
                break end;
            };
            let out = self.carrier.take(self.head.is_sent());
            self.send(out).await;
            match Box::pin(go_on(self.attempt, &token)).await {
                Ok(response) => {
                    self.splitter = splitter(&response);
                    self.silence.hear(Instant::now());
                    self.body = response.into_body();
                }
                Err(problem) => {
                    self.carrier.broke_off(problem.wire());
                    break End::Broken;
                }
            }
        };
        // What comes last needs the most room, which a stream does not keep while it goes on.
        Box::pin(self.finish(end)).await
    }

    /// Reads a stream to its end.
    async fn read(&mut self) -> End {
        loop {
            match self.step().await {
                Step::Bytes(bytes) => {
                    if let Err(end) = self.take(&bytes).await {
                        return end;
                    }
                    if self.carrier.is_over() {
                        return End::Closed;
                    }
                }
                Step::Ended(end) => return end,
                Step::Gone if self.attempt.provider.row.cancels => return End::Broken,
                // The provider charges for all of it, so that all of it is counted.
                Step::Gone | Step::Nothing => {}
                Step::Waiting => self.sign_of_life().await,
            }
        }
    }

    async fn step(&mut self) -> Step {
        // One timer for both: what is set anew for every frame costs more than the frame.
        let due = self.silence.next(self.client());
        let is_over = |at: Instant| at > due || at <= self.silence.last();
        if self.alarm.as_ref().is_none_or(|(at, _)| is_over(*at)) {
            self.timer.as_mut().reset(due);
            self.alarm = None;
        }
        // One that is set has nothing to say until somebody is woken.
        let mut is_first = true;
        poll_fn(|context| self.poll_step(context, std::mem::take(&mut is_first))).await
    }

    fn poll_step(&mut self, context: &mut Context<'_>, is_first: bool) -> Poll<Step> {
        if !self.gone && self.head.is_gone() {
            self.gone = true;
            return Poll::Ready(Step::Gone);
        }
        if self.attempt.app.ending.is_cut() {
            return Poll::Ready(Step::Ended(End::Broken));
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(None) => Poll::Ready(Step::Ended(End::Closed)),
            Poll::Ready(Some(Err(_))) => Poll::Ready(Step::Ended(End::Broken)),
            Poll::Ready(Some(Ok(frame))) => {
                Poll::Ready(Step::Bytes(frame.into_data().unwrap_or_default()))
            }
            Poll::Pending if is_first && self.wakes(context.waker()) => Poll::Pending,
            Poll::Pending => {
                let passed = self.timer.as_mut().poll(context).map(|()| self.time_passed());
                let sleeps = passed.is_pending();
                self.alarm = sleeps.then(|| (self.timer.deadline(), context.waker().clone()));
                passed
            }
        }
    }

    fn wakes(&self, waker: &Waker) -> bool {
        self.alarm.as_ref().is_some_and(|(_, woken)| woken.will_wake(waker))
    }

    /// Whether the client has the head of its answer, if it is still there.
    fn client(&self) -> Option<bool> {
        (!self.gone).then(|| self.head.is_sent())
    }

    fn time_passed(&self) -> Step {
        match self.silence.due(self.client(), Instant::now()) {
            Due::Cut => Step::Ended(End::Idle),
            Due::Sign => Step::Waiting,
            Due::Nothing => Step::Nothing,
        }
    }

    /// Takes bytes of the provider and passes on what the client gets of them.
    async fn take(&mut self, bytes: &Bytes) -> Result<(), End> {
        if !self.head.is_sent() {
            self.attempt.inbound.passage.waited(self.silence.lasted());
        }
        let carrier = &mut self.carrier;
        carrier.expect(bytes.len());
        let cut = self.splitter.push(bytes, |frame| carrier.frame(&frame));
        if cut.is_err() {
            return Err(End::Broken);
        }
        let out = self.carrier.take(self.head.is_sent());
        if self.carrier.is_begun() && !out.is_empty() && !self.gone {
            self.begun = true;
            self.attempt.inbound.passage.streamed();
            let (bytes, report) = self.carrier.progress();
            while !self.attempt.hold.covers(bytes) {
                if !Box::pin(self.attempt.hold.extend()).await {
                    self.overdrawn = true;
                    break;
                }
            }
            // Where it is translated, what has come is a part of what its end stands on.
            if self.overdrawn && self.carrier.passes() {
                return Err(End::Broken);
            }
            self.delivered |= bytes > 0;
            let written = self.attempt.hold.progress(bytes, report);
            written.map_err(|error| {
                let request_id = self.attempt.inbound.id;
                tracing::error!(%error, %request_id, "a stream goes no further");
                End::Broken
            })?;
        }
        self.send(out).await;
        if self.overdrawn { Err(End::Broken) } else { Ok(()) }
    }

    async fn send(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            self.silence.hear(Instant::now());
            return;
        }
        self.open();
        if !self.gone {
            self.client.send(Piece::Data(bytes)).await;
        }
        // While the client was slow, the provider had to wait.
        let now = Instant::now();
        self.silence.hear(now);
        self.silence.tell(now);
    }

    /// Sends the head, once.
    fn open(&mut self) {
        if self.head.is_sent() {
            return;
        }
        self.attempt.inbound.passage.streams();
        let answer = Answer::streamed(self.content_type.clone());
        self.head.send(Ok(answer
            .with_dropped(&self.attempt.outbound.dropped)
            .with_tried(&self.attempt.hold.tried())));
    }

    async fn sign_of_life(&mut self) {
        let ping = if self.head.is_sent() { self.carrier.ping() } else { b"" };
        self.open();
        if !ping.is_empty() {
            self.client.send(Piece::Data(Bytes::from_static(ping))).await;
        }
        // Of the provider nothing was heard.
        self.silence.tell(Instant::now());
    }

    /// Settles, and then gives the client what ends its answer.
    async fn finish(&mut self, end: End) -> Result<(), Problem> {
        if self.overdrawn {
            self.carrier.run_dry();
        } else if self.attempt.app.ending.is_cut() && !self.carrier.is_over() {
            self.carrier.cut_off(failure::ending().wire());
        }
        let seen = self.carrier.seen();
        let nothing_came = !self.begun && !self.gone && seen.output_bytes == 0 && !seen.whole;
        if nothing_came && !self.head.is_sent() {
            // The next target may do better, and a status says more than an event.
            if self.attempt.app.ending.is_cut() {
                return Err(failure::ending());
            }
            let problem = self.carrier.problem();
            return Err(failure::told(self.attempt, &problem));
        }
        let broke_off = !seen.whole && !self.gone;
        if broke_off {
            let (request_id, provider) = (self.attempt.inbound.id, self.attempt.target.provider);
            tracing::warn!(%request_id, provider, ?end, "a stream broke off");
        }
        // A cut is not its doing.
        let failed = broke_off && !self.overdrawn && !self.attempt.app.ending.is_cut();
        let failed = failed.then(|| failure::of_stream(self.attempt, &self.carrier.problem()));
        self.attempt.went(failed.as_ref());
        if let Some(problem) = failed.filter(|_| nothing_came) {
            let took = self.attempt.begun.elapsed();
            self.attempt.hold.try_failed(tried(self.attempt.target, problem.code, took));
        }
        self.attempt.inbound.passage.finishes(seen.finish);
        // What was charged is the answer, whatever it was; what cost nothing may as well be asked for again.
        let (is_whole, mut is_answer) = (seen.whole, seen.whole);
        let outcome = match (is_whole, self.gone) {
            (_, true) => Outcome::ClientGone,
            (true, false) => Outcome::Ok,
            _ if nothing_came => Outcome::Failed,
            (false, false) => Outcome::UpstreamFailed,
        };
        let finished = if nothing_came { settle::nothing() } else { self.came(seen) };
        let cost = match settle::settle(self.attempt, finished, outcome, self.delivered).await {
            Ok(receipt) => {
                self.carrier.settled(&receipt);
                is_answer |= receipt.charge > Usd::ZERO;
                Some(receipt.charge.to_string())
            }
            Err(problem) => {
                self.attempt.inbound.passage.refused(&problem);
                self.carrier.fail(&problem.wire());
                None
            }
        };
        let last = self.carrier.last();
        if !last.is_empty() && !self.gone {
            self.attempt.inbound.passage.streamed();
        }
        self.send(last).await;
        if is_whole && !self.gone {
            self.tail().await;
        }
        self.open();
        if !is_answer || cost.is_none() {
            self.client.broke_off();
        }
        self.client.send(Piece::End(cost)).await;
        Ok(())
    }

    /// What came of the answer.
    fn came(&self, seen: Seen) -> Finished {
        let (id, model) = (Some(seen.id), Some(seen.model));
        let output = usize::try_from(seen.output_bytes).unwrap_or(usize::MAX);
        // Behind its last word on the usage an answer lacks no more than the mark of its end.
        let is_counted = seen.whole || (seen.usage_final && seen.finish.is_some());
        if !is_counted {
            return settle::cut(self.attempt, id, model, seen.usage, output);
        }
        let mut usage = seen.usage;
        // What was said on the way is not the last word.
        if let Some(usage) = usage.as_mut().filter(|_| !seen.usage_final) {
            usage.inconsistent = true;
        }
        settle::finished(self.attempt, id, model, usage, || output)
    }

    /// What a provider still says once its answer is whole; a connection that is read to its end serves again.
    async fn tail(&mut self) {
        let deadline = Instant::now() + TAIL;
        while let Ok(Some(Ok(frame))) =
            timeout(deadline.saturating_duration_since(Instant::now()), self.body.frame()).await
        {
            let bytes = frame.into_data().unwrap_or_default();
            if self.carrier.passes() {
                self.send(bytes).await;
            }
        }
    }
}

fn splitter(response: &Response<Body>) -> Splitter {
    let framing = if whole::is_json(response) { Framing::JsonArray } else { Framing::Sse };
    Splitter::new(framing, FRAME_LIMIT_BYTES)
}

/// Asks for the rest of an answer that came in part.
async fn go_on(attempt: &Attempt<'_>, token: &str) -> Result<Response<Body>, Problem> {
    let body = wire::gemini::continued(&attempt.outbound.body, token);
    let body = body.map_err(|error| failure::of_reply(&error, attempt))?;
    // The client reads what came before meanwhile.
    let until = std::time::Instant::now() + attempt.app.live.load().upstream_timeout();
    attempt.go_on(Bytes::from(body), until).await
}
