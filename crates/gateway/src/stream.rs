//! Steps 8 and 9 for an answer that comes bit by bit.
//!
//! The client's bytes go first, and nothing of the provider's is read ahead of a slow client. What ends the answer waits
//! until the receipt is committed, so that no client has a whole answer without one.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use ledger::Outcome;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use wire::sse::{Framing, Splitter};
use wire::stream::{End, Event};

use crate::answer::{Answer, AnswerBody, Head, Piece, pieces};
use crate::carry::Carrier;
use crate::failure;
use crate::pipeline::Attempt;
use crate::problem::Problem;
use crate::settle;

/// Longer than any frame of a provider, pictures included.
const FRAME_LIMIT_BYTES: usize = 64 * 1024 * 1024;
/// A client that waits for the first word gets the head of its answer by then.
const HEAD_AFTER: Duration = Duration::from_secs(10);
/// How often a silent stream says that it is alive.
const PING_EVERY: Duration = Duration::from_secs(15);
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
}

/// A stream on its way from a provider to a client.
struct Relay<'a, 'b> {
    attempt: &'a Attempt<'a>,
    head: &'b mut Head,
    content_type: HeaderValue,
    client: mpsc::Sender<Piece>,
    /// Until the head is sent.
    pieces: Option<mpsc::Receiver<Piece>>,
    gone: bool,
    carrier: Carrier<'a>,
    splitter: Splitter,
    heard: Instant,
    told: Instant,
}

/// Relays the answer to its end and settles it. An error means that the client has not got a byte.
pub(crate) async fn relay(
    attempt: &Attempt<'_>,
    response: Response<Incoming>,
    head: &mut Head,
) -> Result<(), Problem> {
    let content_type = response.headers().get(header::CONTENT_TYPE).cloned();
    let json =
        content_type.as_ref().is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let framing = if json { Framing::JsonArray } else { Framing::Sse };
    let carrier = Carrier::new(attempt);
    let own = carrier.content_type();
    let (client, pieces) = pieces();
    let now = Instant::now();
    let relay = Relay {
        attempt,
        head,
        content_type: own.or(content_type).unwrap_or(HeaderValue::from_static("text/event-stream")),
        client,
        pieces: Some(pieces),
        gone: false,
        carrier,
        splitter: Splitter::new(framing, FRAME_LIMIT_BYTES),
        heard: now,
        told: now,
    };
    relay.run(response.into_body()).await
}

impl Relay<'_, '_> {
    async fn run(mut self, mut body: Incoming) -> Result<(), Problem> {
        let end = loop {
            match self.step(&mut body).await {
                Step::Bytes(bytes) => {
                    self.heard = Instant::now();
                    if let Err(end) = self.take(&bytes).await {
                        break end;
                    }
                    if self.carrier.is_over() {
                        break End::Closed;
                    }
                }
                Step::Ended(end) => break end,
                Step::Gone if self.attempt.provider.row.cancels => break End::Broken,
                // The provider charges for all of it, so that all of it is counted.
                Step::Gone => {}
                Step::Waiting => self.sign_of_life().await,
            }
        };
        self.finish(end, body).await
    }

    async fn step(&mut self, body: &mut Incoming) -> Step {
        let idle = self.heard + self.attempt.app.settings.stream_idle();
        let waiting = self.told + if self.head.is_sent() { PING_EVERY } else { HEAD_AFTER };
        tokio::select! {
            frame = body.frame() => match frame {
                None => Step::Ended(End::Closed),
                Some(Err(_)) => Step::Ended(End::Broken),
                Some(Ok(frame)) => Step::Bytes(frame.into_data().unwrap_or_default()),
            },
            () = self.head.gone(), if !self.gone && !self.head.is_sent() => self.hung_up(),
            () = self.client.closed(), if !self.gone && self.head.is_sent() => self.hung_up(),
            () = sleep_until(idle) => Step::Ended(End::Idle),
            () = sleep_until(waiting), if !self.gone => Step::Waiting,
        }
    }

    fn hung_up(&mut self) -> Step {
        self.gone = true;
        Step::Gone
    }

    /// Takes bytes of the provider and passes on what the client gets of them.
    async fn take(&mut self, bytes: &Bytes) -> Result<(), End> {
        let carrier = &mut self.carrier;
        let cut = self.splitter.push(bytes, |frame| carrier.frame(&frame));
        if cut.is_err() {
            return Err(End::Broken);
        }
        let out = self.carrier.take();
        self.send(out).await;
        Ok(())
    }

    async fn send(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.open();
        if !self.gone {
            // A client that has gone is met at the next step.
            let _ = self.client.send(Piece::Data(bytes)).await;
        }
        // While the client was slow, the provider had to wait.
        let now = Instant::now();
        (self.told, self.heard) = (now, now);
    }

    /// Sends the head, once.
    fn open(&mut self) {
        let Some(pieces) = self.pieces.take() else { return };
        let mut answer = Answer::new(AnswerBody::Stream(pieces), self.content_type.clone())
            .with_dropped(&self.attempt.outbound.dropped);
        let headers = &mut answer.headers;
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        headers.insert(header::TRAILER, HeaderValue::from_static("x-tollgate-cost"));
        self.head.send(Ok(answer));
    }

    async fn sign_of_life(&mut self) {
        if self.head.is_sent() {
            let ping = Bytes::from_static(self.carrier.ping());
            self.send(ping).await;
        } else {
            self.open();
        }
        self.told = Instant::now();
    }

    /// Settles, and then gives the client what ends its answer.
    async fn finish(mut self, end: End, body: Incoming) -> Result<(), Problem> {
        if !self.gone {
            let carrier = &mut self.carrier;
            self.splitter.end(|frame| carrier.frame(&frame));
        }
        self.carrier.end(end);
        let seen = self.carrier.seen();
        let nothing_came = !self.head.is_sent() && !self.gone && seen.output_bytes == 0;
        if nothing_came && !seen.whole {
            // The next target may do better, and a status says more than an event.
            let problem = self.carrier.problem();
            return Err(failure::told(self.attempt, &problem));
        }
        let outcome = match (seen.whole, self.gone) {
            (_, true) => Outcome::ClientGone,
            (true, false) => Outcome::Ok,
            (false, false) => Outcome::UpstreamFailed,
        };
        let (id, model) = (some(seen.id), some(seen.model));
        let output = usize::try_from(seen.output_bytes).unwrap_or(usize::MAX);
        let finished = if seen.whole {
            settle::finished(self.attempt, id, model, seen.usage, || output)
        } else {
            settle::cut(self.attempt, id, model, seen.usage, output)
        };
        let cost = match settle::settle(self.attempt, finished, outcome).await {
            Ok(receipt) => {
                self.carrier.settled(&receipt.report);
                Some(receipt.charge.to_string())
            }
            Err(problem) => {
                self.carrier.fail(&problem.wire());
                None
            }
        };
        let last = self.carrier.last();
        self.send(last).await;
        if seen.whole && !self.gone {
            self.tail(body).await;
        }
        self.open();
        // Where the client has gone, nobody waits for the end.
        let _ = self.client.send(Piece::End(cost)).await;
        Ok(())
    }

    /// What a provider still says once its answer is whole; a connection that is read to its end serves again.
    async fn tail(&mut self, mut body: Incoming) {
        let deadline = Instant::now() + TAIL;
        while let Ok(Some(Ok(frame))) =
            timeout(deadline.saturating_duration_since(Instant::now()), body.frame()).await
        {
            let bytes = frame.into_data().unwrap_or_default();
            if self.carrier.passes() {
                self.send(bytes).await;
            }
        }
    }
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// A canonical event that ends a stream.
pub(crate) fn is_last(event: &Event) -> bool {
    matches!(event, Event::End | Event::Problem(_))
}
