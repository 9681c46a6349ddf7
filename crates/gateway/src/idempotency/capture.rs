//! What a client is answered, as it is answered, for the retries. Its memory is bounded, and is only asked for by requests
//! with a key.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use store::Kept;

use super::claim::{Claim, End};
use crate::answer::{Answer, AnswerBody, COST, DROPPED};

/// The largest result that is kept.
pub(super) const MOST_BYTES: usize = 4 * 1024 * 1024;

/// A claim and what came of it so far.
pub(crate) struct Capture(Mutex<State>);

struct State {
    claim: Option<Claim>,
    head: Option<Head>,
    body: BytesMut,
    too_large: bool,
    broke_off: bool,
}

struct Head {
    status: StatusCode,
    streamed: bool,
    content_type: String,
    dropped: Option<String>,
    cost: Option<String>,
}

impl Capture {
    pub(crate) fn new(claim: Claim) -> Self {
        Self(Mutex::new(State {
            claim: Some(claim),
            head: None,
            body: BytesMut::new(),
            too_large: false,
            broke_off: false,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The head of the answer, with the body where it is whole.
    pub(crate) fn answer(&self, answer: &Answer) {
        let mut state = self.state();
        let text = |name: HeaderName| text(&answer.headers, &name);
        state.head = Some(Head {
            status: answer.status,
            streamed: matches!(answer.body, AnswerBody::Stream),
            content_type: text(header::CONTENT_TYPE).unwrap_or_default(),
            dropped: text(DROPPED),
            cost: text(COST),
        });
        if let AnswerBody::Whole(body) = &answer.body {
            state.push(body);
        }
    }

    /// A piece of a stream.
    pub(crate) fn piece(&self, bytes: &Bytes) {
        self.state().push(bytes);
    }

    /// The answer is none, and cost nothing: the request is to run anew.
    pub(crate) fn broke_off(&self) {
        self.state().broke_off = true;
    }

    /// Leaves what came to the retries, before the client has all of it. `cost` is what a stream says at its end.
    pub(crate) async fn end(&self, cost: Option<&str>) {
        let Some((claim, end)) = self.state().end(cost) else { return };
        claim.end(end).await;
    }
}

impl State {
    fn push(&mut self, bytes: &[u8]) {
        self.too_large |= self.body.len() + bytes.len() > MOST_BYTES;
        if self.too_large {
            self.body = BytesMut::new();
        } else {
            self.body.extend_from_slice(bytes);
        }
    }

    fn end(&mut self, cost: Option<&str>) -> Option<(Claim, End)> {
        let claim = self.claim.take()?;
        let request_id = claim.request_id()?;
        let end = match self.head.take() {
            Some(head) if !self.broke_off && head.status.is_success() => {
                if self.too_large {
                    End::TooLarge
                } else {
                    End::Kept(Kept {
                        request_id,
                        status: head.status.as_u16(),
                        streamed: head.streamed,
                        content_type: head.content_type,
                        dropped: head.dropped,
                        cost: head.cost.or_else(|| cost.map(str::to_owned)),
                        body: std::mem::take(&mut self.body).into(),
                    })
                }
            }
            _ => End::GivenUp,
        };
        Some((claim, end))
    }
}

/// A header as far as any database can keep it.
fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(HeaderValue::to_str)?.ok().map(str::to_owned)
}
