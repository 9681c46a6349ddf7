//! What goes back to the client: a head, and a body that is whole or comes bit by bit.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body::Frame;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::problem::Problem;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const COST: HeaderName = HeaderName::from_static("x-tollgate-cost");
pub(crate) const DROPPED: HeaderName = HeaderName::from_static("x-tollgate-dropped");

/// How many pieces of a stream wait for a slow client; then the provider has to wait too. A piece is what one read of
/// the provider's connection brought.
const WAITING: usize = 2;

/// An answer on its way.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: AnswerBody,
}

pub(crate) enum AnswerBody {
    Whole(Bytes),
    Stream(mpsc::Receiver<Piece>),
}

/// A piece of a stream.
pub(crate) enum Piece {
    Data(Bytes),
    /// The end, after the receipt; with what it cost.
    End(Option<String>),
}

impl Answer {
    pub(crate) fn new(body: AnswerBody, content_type: HeaderValue) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type);
        Self { status: StatusCode::OK, headers, body }
    }

    /// Names what could not be carried.
    #[must_use]
    pub(crate) fn with_dropped(mut self, dropped: &[String]) -> Self {
        let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
        let list: String = dropped.join(", ").chars().map(plain).collect();
        if !list.is_empty()
            && let Ok(value) = HeaderValue::try_from(list)
        {
            self.headers.insert(DROPPED, value);
        }
        self
    }

    pub(crate) fn into_response(self, id: Uuid) -> Response {
        let body = match self.body {
            AnswerBody::Whole(bytes) => Body::from(bytes),
            AnswerBody::Stream(pieces) => Body::new(Stream { pieces, ended: false }),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        name(response.headers_mut(), id);
        response
    }
}

/// Gives an answer the name of its request, as the SDKs of `OpenAI` and Anthropic look for it.
pub(crate) fn name(headers: &mut HeaderMap, id: Uuid) {
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        headers.insert("request-id", value.clone());
        headers.insert(REQUEST_ID, value);
    }
}

/// The client's side of a stream. When the task that fills it dies, the connection breaks: a client never takes an
/// answer for whole that is not.
struct Stream {
    pieces: mpsc::Receiver<Piece>,
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
        Poll::Ready(match ready!(self.pieces.poll_recv(context)) {
            Some(Piece::Data(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Piece::End(cost)) => {
                self.ended = true;
                let value = cost.and_then(|cost| HeaderValue::try_from(cost).ok());
                value.map(|value| Ok(Frame::trailers(HeaderMap::from_iter([(COST, value)]))))
            }
            None => {
                self.ended = true;
                Some(Err(BrokeOff))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

/// The way to a client that waits for the head of its answer.
pub(crate) struct Head(Option<oneshot::Sender<Result<Answer, Problem>>>);

impl Head {
    pub(crate) fn new() -> (Self, oneshot::Receiver<Result<Answer, Problem>>) {
        let (sender, receiver) = oneshot::channel();
        (Self(Some(sender)), receiver)
    }

    /// Whether the client waits no more.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    /// Ends when the client hangs up before it has a head; never after that.
    pub(crate) async fn gone(&mut self) {
        match &mut self.0 {
            Some(sender) => sender.closed().await,
            None => std::future::pending().await,
        }
    }

    pub(crate) fn is_sent(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn send(&mut self, result: Result<Answer, Problem>) {
        if let Some(sender) = self.0.take() {
            // Nobody waits for it where the client has gone; the receipt is there all the same.
            let _ = sender.send(result);
        }
    }
}

/// A channel for the pieces of a stream.
pub(crate) fn pieces() -> (mpsc::Sender<Piece>, mpsc::Receiver<Piece>) {
    mpsc::channel(WAITING)
}
