//! The first answer once more.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::Frame;
use store::Kept;

use crate::answer::{self, Answer, COST, DROPPED};

pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("x-tollgate-replayed");

/// The answer that was kept: the same bytes under the same name, at the same cost, which was paid then.
pub(super) fn response(kept: Kept) -> Response {
    let Kept { request_id, status, streamed, content_type, dropped, cost, body } = kept;
    tracing::info!(%request_id, "an answer was given again");
    let body = Bytes::from(body);
    let content_type = HeaderValue::try_from(content_type).ok().filter(|kind| !kind.is_empty());
    let mut answer = if streamed {
        Answer::streamed(content_type.unwrap_or(HeaderValue::from_static("text/event-stream")))
    } else {
        Answer::whole(body.clone(), content_type)
    };
    insert(&mut answer.headers, DROPPED, dropped);
    answer.headers.insert(REPLAYED, HeaderValue::from_static("true"));
    let body = if streamed {
        let mut trailers = HeaderMap::new();
        insert(&mut trailers, COST, cost);
        let data = (!body.is_empty()).then_some(body);
        Body::new(Again { data, trailers: (!trailers.is_empty()).then_some(trailers) })
    } else {
        insert(&mut answer.headers, COST, cost);
        Body::from(body)
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    *response.headers_mut() = answer.headers;
    answer::name(response.headers_mut(), request_id);
    response
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<String>) {
    if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
        headers.insert(name, value);
    }
}

/// A stream that is there already. Its length is not said beforehand: then HTTP/1.1 would leave the trailer out.
struct Again {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl http_body::Body for Again {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.data.take().map(Frame::data);
        let frame = data.or_else(|| self.trailers.take().map(Frame::trailers));
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none()
    }
}
