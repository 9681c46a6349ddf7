//! What goes back to the client: a head, and a body that is whole or comes bit by bit.
//!
//! The work on a request runs where its client is served: nothing is handed from task to task while the client stays. When
//! it hangs up, what is left of the work goes on in a task of its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body::Frame;
use ledger::{Tried, Usd};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::ending::Ending;
use crate::idempotency::{Capture, Claim};
use crate::problem::Problem;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ANTHROPIC_ID: HeaderName = HeaderName::from_static("request-id");
pub(crate) const COST: HeaderName = HeaderName::from_static("x-tollgate-cost");
pub(crate) const DROPPED: HeaderName = HeaderName::from_static("x-tollgate-dropped");

/// What was tried in vain before: `provider/model error 120ms`, in order.
pub(crate) const ATTEMPTS: HeaderName = HeaderName::from_static("x-tollgate-attempts");

/// How many headers most answers have: one more takes twice the room, which a connection keeps.
const HEADERS: usize = 6;

/// An answer on its way.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: AnswerBody,
}

pub(crate) enum AnswerBody {
    Whole(Bytes),
    /// It comes by the [`Pieces`] that belong to the head.
    Stream,
}

/// A piece of a stream.
pub(crate) enum Piece {
    Data(Bytes),
    /// The end, after the receipt; with what it cost.
    End(Option<String>),
}

impl Answer {
    pub(crate) fn new(body: AnswerBody, content_type: HeaderValue) -> Self {
        let mut headers = HeaderMap::with_capacity(HEADERS);
        headers.insert(header::CONTENT_TYPE, content_type);
        Self { status: StatusCode::OK, headers, body }
    }

    /// One that comes whole, as JSON unless another type is given.
    pub(crate) fn whole(body: Bytes, content_type: Option<HeaderValue>) -> Self {
        let json = HeaderValue::from_static("application/json");
        Self::new(AnswerBody::Whole(body), content_type.unwrap_or(json))
    }

    /// One that comes bit by bit.
    pub(crate) fn streamed(content_type: HeaderValue) -> Self {
        let mut answer = Self::new(AnswerBody::Stream, content_type);
        let headers = &mut answer.headers;
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        headers.insert(header::TRAILER, HeaderValue::from_static("x-tollgate-cost"));
        answer
    }

    /// Says what it cost.
    #[must_use]
    pub(crate) fn with_cost(mut self, charge: Usd) -> Self {
        if let Ok(value) = HeaderValue::from_str(charge.write(&mut Usd::text_buffer())) {
            self.headers.insert(COST, value);
        }
        self
    }

    /// Names what could not be carried.
    #[must_use]
    pub(crate) fn with_dropped(mut self, dropped: &[String]) -> Self {
        if let Some(value) = list(dropped) {
            self.headers.insert(DROPPED, value);
        }
        self
    }

    /// Names what was tried before.
    #[must_use]
    pub(crate) fn with_tried(mut self, tried: &[Tried]) -> Self {
        if let Some(value) = attempts(tried) {
            self.headers.insert(ATTEMPTS, value);
        }
        self
    }
}

/// What stands behind the provider's name where it was not called at its own endpoint with the house's credential.
pub(crate) fn at(tried: &Tried) -> String {
    match &tried.endpoint {
        Some(name) => format!("@{name}"),
        None if tried.own_key => " (own key)".to_owned(),
        None => String::new(),
    }
}

/// Attempts as a header has them; nothing where there were none.
pub(crate) fn attempts(tried: &[Tried]) -> Option<HeaderValue> {
    let shown = |one: &Tried| {
        let Tried { provider, model, error, took_ms, .. } = one;
        let endpoint = at(one);
        format!("{provider}{endpoint}/{model} {error} {took_ms}ms")
    };
    list(&tried.iter().map(shown).collect::<Vec<_>>())
}

/// Texts in one header, as far as a header can have them and clients take them; nothing where there are none.
fn list(texts: &[String]) -> Option<HeaderValue> {
    /// Whole heads of 8 KiB are what many clients and proxies take at most: half of that, with the last words.
    const ROOM: usize = 4096 - "and 18446744073709551615 more".len();
    texts.first()?;
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    let mut list = String::new();
    for (i, text) in texts.iter().enumerate() {
        let comma = if list.is_empty() { "" } else { ", " };
        if list.len() + comma.len() + text.chars().count() > ROOM {
            list = format!("{list}{comma}and {} more", texts.len() - i);
            break;
        }
        list.push_str(comma);
        list.extend(text.chars().map(plain));
    }
    HeaderValue::try_from(list).ok()
}

/// By what `OpenRouter`'s clients ask for what became of a request, in `GET /api/v1/generation`.
pub(crate) const GENERATION_ID: HeaderName = HeaderName::from_static("x-generation-id");

/// Says the name of its request in the way of `OpenRouter` too.
pub(crate) fn name_generation(headers: &mut HeaderMap) {
    if let Some(id) = headers.get(REQUEST_ID).cloned() {
        headers.insert(GENERATION_ID, id);
    }
}

/// Gives an answer the name of its request, as the SDKs of `OpenAI` and Anthropic look for it.
pub(crate) fn name(headers: &mut HeaderMap, id: Uuid) {
    let mut text = Uuid::encode_buffer();
    if let Ok(value) = HeaderValue::from_str(id.hyphenated().encode_lower(&mut text)) {
        headers.insert(ANTHROPIC_ID, value.clone());
        headers.insert(REQUEST_ID, value);
    }
}

/// What the work on a request and its client have in common. Both are driven by the client's task, one after the other,
/// so that neither has to wake the other.
#[derive(Default)]
struct Shared {
    head: Option<Result<Answer, Problem>>,
    piece: Option<Piece>,
    /// Whether another piece waits behind it.
    full: bool,
    gone: bool,
    /// The task of the client.
    task: Option<Waker>,
}

/// What wakes the work says so here: a connection asks for more several times in a row, and all but the first would go
/// through the whole of the work to find that nothing has happened.
struct Link {
    shared: Mutex<Shared>,
    woken: AtomicBool,
}

impl Link {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the piece that waits, and lets the next one take its place.
    fn take_piece(&self) -> Option<Piece> {
        let mut shared = self.lock();
        let piece = shared.piece.take()?;
        if std::mem::take(&mut shared.full) {
            self.woken.store(true, Ordering::Release);
        }
        Some(piece)
    }
}

impl Wake for Link {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        if let Some(task) = &self.lock().task {
            task.wake_by_ref();
        }
    }
}

/// The way of the work to a client that waits for the head of its answer.
pub(crate) struct Head {
    link: Arc<Link>,
    sent: bool,
    /// Where the answer is kept for retries, and one that is not sent before it is.
    capture: Option<Arc<Capture>>,
    held_back: Option<Box<Result<Answer, Problem>>>,
}

impl Head {
    /// Whether the client has hung up, and no retry of its will ask for the answer.
    pub(crate) fn is_gone(&self) -> bool {
        self.capture.is_none() && self.link.lock().gone
    }

    pub(crate) fn is_sent(&self) -> bool {
        self.sent
    }

    pub(crate) fn send(&mut self, result: Result<Answer, Problem>) {
        if std::mem::replace(&mut self.sent, true) {
            return;
        }
        if let Some(capture) = &self.capture {
            if let Ok(answer) = &result {
                capture.answer(answer);
            }
            if !matches!(result, Ok(Answer { body: AnswerBody::Stream, .. })) {
                self.held_back = Some(Box::new(result));
                return;
            }
        }
        self.link.lock().head = Some(result);
    }

    /// Sends what was held back, now that the work is done.
    pub(crate) async fn finish(self) {
        let (Some(capture), Some(result)) = (self.capture, self.held_back) else { return };
        Box::pin(capture.end(None)).await;
        self.link.lock().head = Some(*result);
    }

    /// The way for the pieces of a stream.
    pub(crate) fn pieces(&self) -> Pieces {
        Pieces { link: Arc::clone(&self.link), capture: self.capture.clone() }
    }
}

/// The way of the work to a client that reads a stream: one piece waits for it at a time.
pub(crate) struct Pieces {
    link: Arc<Link>,
    capture: Option<Arc<Capture>>,
}

impl Pieces {
    /// Gives the client its next piece, once it has taken the one before or has gone.
    pub(crate) async fn send(&self, piece: Piece) {
        if let Some(capture) = &self.capture {
            match &piece {
                Piece::Data(bytes) => capture.piece(bytes),
                Piece::End(cost) => Box::pin(capture.end(cost.as_deref())).await,
            }
        }
        let mut piece = Some(piece);
        // Whoever takes one drives us, too.
        std::future::poll_fn(|_| {
            let mut shared = self.link.lock();
            if shared.piece.is_some() && !shared.gone {
                shared.full = true;
                return Poll::Pending;
            }
            shared.piece = piece.take();
            Poll::Ready(())
        })
        .await;
    }

    /// Says that the stream has no good end and cost nothing, so that no retry is given it.
    pub(crate) fn broke_off(&self) {
        if let Some(capture) = &self.capture {
            capture.broke_off();
        }
    }
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where work goes on whose client has hung up.
pub(crate) struct Left {
    pub(crate) tasks: TaskTracker,
    pub(crate) ending: Arc<Ending>,
}

/// The work on a request, driven by its client, and by a task of its own from when the client hangs up.
struct Driven {
    work: Option<Work>,
    link: Arc<Link>,
    /// Of the link.
    waker: Waker,
    /// The task that the link wakes, which mostly stays the same.
    task: Option<Waker>,
    left: Left,
}

impl Driven {
    /// Goes on with the work as far as it goes now, if anything has happened since. Whether it did.
    fn drive(&mut self, context: &mut Context<'_>) -> bool {
        let Some(work) = &mut self.work else { return false };
        if !self.task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            self.task = Some(context.waker().clone());
            self.link.lock().task.clone_from(&self.task);
        }
        // The word of the end wakes the connection alone.
        let is_woken = self.link.woken.swap(false, Ordering::AcqRel);
        if !is_woken && !self.left.ending.is_cut() {
            return false;
        }
        if work.as_mut().poll(&mut Context::from_waker(&self.waker)).is_ready() {
            self.work = None;
        }
        true
    }

    fn next(&mut self, context: &mut Context<'_>) -> Option<Piece> {
        self.link
            .take_piece()
            .or_else(|| if self.drive(context) { self.link.take_piece() } else { None })
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.link.lock().gone = true;
            self.link.lock().task = None;
            self.left.tasks.spawn(to_its_end(work, self.left.ending.word()));
        }
    }
}

/// Goes on with work, and wakes it when what is left is cut.
async fn to_its_end(mut work: Work, word: WaitForCancellationFutureOwned) {
    let mut word = Box::pin(word);
    std::future::poll_fn(|context| {
        let _ = word.as_mut().poll(context);
        work.as_mut().poll(context)
    })
    .await;
}

/// Runs the work that `start` begins until the client can be answered. What is left of it then is done while the client
/// reads its stream, or without the client. With a claim, what is answered is kept for retries.
///
/// The work is boxed before anything waits for it, so that nothing else has room for it.
pub(crate) fn respond<W>(
    left: Left,
    id: Uuid,
    claim: Option<Claim>,
    start: impl FnOnce(Head) -> W,
) -> impl Future<Output = Result<Response, Problem>>
where
    W: Future<Output = ()> + Send + 'static,
{
    let link = Arc::new(Link { shared: Mutex::default(), woken: AtomicBool::new(true) });
    let capture = claim.map(|claim| Arc::new(Capture::new(claim)));
    let head = Head { link: Arc::clone(&link), sent: false, capture, held_back: None };
    let (work, waker) = (Some(Box::pin(start(head)) as Work), Waker::from(Arc::clone(&link)));
    answered(Driven { work, link, waker, task: None, left }, id)
}

async fn answered(mut driven: Driven, id: Uuid) -> Result<Response, Problem> {
    let head = std::future::poll_fn(|context| {
        driven.drive(context);
        match driven.link.lock().head.take() {
            Some(head) => Poll::Ready(head),
            None if driven.work.is_none() => {
                Poll::Ready(Err(Problem::internal("a request ended without an answer")))
            }
            None => Poll::Pending,
        }
    });
    let Answer { status, headers, body } = head.await?;
    let body = match body {
        AnswerBody::Whole(bytes) => Body::from(bytes),
        AnswerBody::Stream => Body::new(Stream { driven, ended: false }),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    name(response.headers_mut(), id);
    Ok(response)
}

/// The client's side of a stream. When the work ends without an end of the stream, the connection breaks: a client never
/// takes an answer for whole that is not.
struct Stream {
    driven: Driven,
    ended: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
struct BrokeOff;

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        match self.driven.next(context) {
            Some(Piece::Data(bytes)) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Some(Piece::End(cost)) => {
                self.ended = true;
                let value = cost.and_then(|cost| HeaderValue::try_from(cost).ok());
                Poll::Ready(
                    value.map(|value| Ok(Frame::trailers(HeaderMap::from_iter([(COST, value)])))),
                )
            }
            None if self.driven.work.is_none() => {
                self.ended = true;
                Poll::Ready(Some(Err(BrokeOff)))
            }
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use http_body::Body as _;
    use tokio::sync::oneshot;

    use super::*;

    /// What a client gets that asks for more: a text, nothing yet, or the end.
    fn asked(body: &mut Body) -> Poll<Option<String>> {
        let frame = Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()));
        let text = |frame: Frame<Bytes>| {
            String::from_utf8(frame.into_data().unwrap_or_default().to_vec()).unwrap()
        };
        frame.map(|frame| frame.map(|frame| text(frame.unwrap())))
    }

    #[tokio::test]
    async fn work_goes_on_where_something_has_happened() {
        let polls = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&polls);
        let (go_on, mut waits) = oneshot::channel::<()>();
        let start = move |mut head: Head| async move {
            head.send(Ok(Answer::streamed(HeaderValue::from_static("text/event-stream"))));
            let pieces = head.pieces();
            for text in ["one", "two", "three"] {
                pieces.send(Piece::Data(Bytes::from_static(text.as_bytes()))).await;
            }
            std::future::poll_fn(|context| {
                count.fetch_add(1, Ordering::Relaxed);
                Pin::new(&mut waits).poll(context)
            })
            .await
            .unwrap();
            pieces.send(Piece::End(None)).await;
        };
        let left = Left { tasks: TaskTracker::new(), ending: Arc::default() };
        let mut body = respond(left, Uuid::nil(), None, start).await.unwrap().into_body();
        for text in ["one", "two", "three"] {
            assert_eq!(asked(&mut body), Poll::Ready(Some(text.to_owned())));
        }
        for _ in 0..3 {
            assert!(asked(&mut body).is_pending());
        }
        assert_eq!(polls.load(Ordering::Relaxed), 1);
        go_on.send(()).unwrap();
        assert_eq!(asked(&mut body), Poll::Ready(None));
    }
}
