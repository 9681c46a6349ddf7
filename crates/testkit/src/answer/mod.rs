//! What each provider answers: to a good request, and to a bad one.

pub(crate) mod chat;
pub(crate) mod completions;
pub(crate) mod embeddings;
pub(crate) mod errors;
pub(crate) mod gemini;
pub(crate) mod messages;
pub(crate) mod models;
pub(crate) mod reply;
pub(crate) mod responses;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use crate::body::Ending;
use crate::fixtures::Fixture;
use crate::ids;
use crate::provider::Provider;
use crate::stream::Stream;

/// When made-up answers were made, in Unix time: answers do not depend on the clock.
pub(crate) const CREATED: u64 = 1_793_000_000;

/// A whole answer, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// At most one of a name. Not a `HeaderMap`, which is too large to be handed around.
    headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Body,
    pub(crate) manner: Manner,
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    Whole(Bytes),
    Stream(Box<Stream>),
    /// A stream that was made once for many answers.
    Canned(Arc<Canned>),
}

#[derive(Debug)]
pub(crate) struct Canned {
    pub(crate) stream: Stream,
    /// Its frames as they are sent.
    pub(crate) pieces: Arc<[Bytes]>,
}

/// How the body is sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    pub(crate) gap: Duration,
    /// Bytes of a piece, whatever the frames are.
    pub(crate) piece: Option<NonZeroUsize>,
    pub(crate) ending: Ending,
    /// The length that the headers tell, if it is not that of the body.
    pub(crate) promised: Option<NonZeroUsize>,
}

impl Answer {
    pub(crate) fn of(status: u16, json: impl Into<Bytes>) -> Self {
        let headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, headers, body: Body::Whole(json.into()), manner: Manner::default() }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::of(status, body.to_string())
    }

    pub(crate) fn fixture(fixture: &Fixture) -> Self {
        Self::like(fixture, &fixture.body)
    }

    /// With the status and the headers of a fixture, and another body.
    pub(crate) fn like(fixture: &Fixture, body: &Value) -> Self {
        let mut answer = Self::json(fixture.status, body);
        for (name, value) in &fixture.headers {
            answer.set_header(name, value);
        }
        answer
    }

    /// The same answer as a stream.
    pub(crate) fn streamed(mut self, stream: Stream) -> Self {
        self.set_header(CONTENT_TYPE.as_str(), stream.content_type());
        self.set_header(CACHE_CONTROL.as_str(), "no-cache");
        self.body = Body::Stream(Box::new(stream));
        self
    }

    /// The body, unless it is a stream.
    pub(crate) fn whole(&self) -> Option<&Bytes> {
        match &self.body {
            Body::Whole(bytes) => Some(bytes),
            Body::Stream(_) | Body::Canned(_) => None,
        }
    }

    /// Leaves out a header that HTTP does not allow: a recording may hold anything.
    pub(crate) fn set_header(&mut self, name: &str, value: &str) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            self.remove_header(&name);
            self.headers.push((name, value));
        }
    }

    pub(crate) fn remove_header(&mut self, name: &HeaderName) {
        self.headers.retain(|(other, _)| other != name);
    }

    pub(crate) fn into_parts(self) -> (StatusCode, HeaderMap, Body, Manner) {
        (self.status, self.headers.into_iter().collect(), self.body, self.manner)
    }

    /// Adds the header that the provider names its requests with, unless there is one.
    pub(crate) fn identify(&mut self, provider: Provider, seed: u64) {
        let (name, value) = match provider {
            Provider::OpenAi => ("x-request-id", format!("req_{}", ids::hex(seed, 32))),
            Provider::DeepSeek => ("x-ds-trace-id", ids::hex(seed, 32)),
            Provider::Anthropic => ("request-id", format!("req_011C{}", ids::base62(seed, 20))),
            Provider::Gemini => ("server-timing", "gfet4t7; dur=1".to_owned()),
        };
        if !self.headers.iter().any(|(known, _)| known == name) {
            self.set_header(name, &value);
        }
    }

    /// The same answer without its usage, whichever provider it is from.
    pub(crate) fn without_usage(mut self) -> Self {
        match &mut self.body {
            Body::Whole(bytes) => {
                if let Ok(Value::Object(mut fields)) = serde_json::from_slice(bytes) {
                    fields.remove("usage");
                    fields.remove("usageMetadata");
                    *bytes = Value::Object(fields).to_string().into();
                }
            }
            Body::Stream(stream) => stream.without_usage(),
            Body::Canned(canned) => {
                let mut stream = canned.stream.clone();
                stream.without_usage();
                self.body = Body::Stream(Box::new(stream));
            }
        }
        self
    }
}

/// Refuses a request that has no credential in any place where the provider looks for one.
pub(crate) fn authorise(
    provider: Provider,
    shape: Provider,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<(), Answer> {
    let bearer = || {
        let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, key) = value.split_once(' ')?;
        (scheme.eq_ignore_ascii_case("bearer") && !key.trim().is_empty()).then_some(())
    };
    let header = |name: &str| headers.get(name).filter(|key| !key.is_empty()).map(|_| ());
    let in_query = || {
        let mut pairs = query?.split('&');
        pairs.any(|pair| pair.strip_prefix("key=").is_some_and(|key| !key.is_empty())).then_some(())
    };
    let found = match (provider, shape) {
        (_, Provider::Anthropic) => header("x-api-key").or_else(bearer),
        (Provider::Gemini, _) => header("x-goog-api-key").or_else(in_query).or_else(bearer),
        _ => bearer(),
    };
    found.ok_or_else(|| errors::no_credential(shape))
}

/// Replaces a value of a template; one that the template lacks is left out.
pub(crate) fn set(body: &mut Value, pointer: &str, value: impl Into<Value>) {
    if let Some(place) = body.pointer_mut(pointer) {
        *place = value.into();
    }
}
