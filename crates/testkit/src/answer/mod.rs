//! What each provider answers: to a good request, and to a bad one.

mod anthropic;
mod deepseek;
pub(crate) mod errors;
mod gemini;
mod openai;
mod reply;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use crate::fixtures::Fixture;
use crate::provider::{Provider, Route};
use crate::{ids, prompt};

/// A whole answer, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// At most one of a name. Not a `HeaderMap`, which is too large to be handed around.
    headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn of(status: u16, json: impl Into<Bytes>) -> Self {
        let headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, headers, body: json.into() }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::of(status, body.to_string())
    }

    pub(crate) fn fixture(fixture: &Fixture) -> Self {
        Self::like(fixture, &fixture.body)
    }

    /// With the status and the headers of a fixture, and another body.
    fn like(fixture: &Fixture, body: &Value) -> Self {
        let mut answer = Self::json(fixture.status, body);
        for (name, value) in &fixture.headers {
            answer.set_header(name, value);
        }
        answer
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

    pub(crate) fn into_parts(self) -> (StatusCode, HeaderMap, Bytes) {
        (self.status, self.headers.into_iter().collect(), self.body)
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
        if let Ok(Value::Object(mut fields)) = serde_json::from_slice(&self.body) {
            fields.remove("usage");
            fields.remove("usageMetadata");
            self.body = Value::Object(fields).to_string().into();
        }
        self
    }
}

/// A request that a provider would take, as far as an answer depends on it.
pub(crate) struct Prompt {
    model: String,
    said: String,
    input_tokens: u64,
    ceiling: Option<u64>,
}

impl Prompt {
    fn new(model: &str, body: &Value, ceiling: Option<u64>) -> Self {
        Self {
            model: model.to_owned(),
            said: prompt::last_user(body).unwrap_or_default(),
            input_tokens: prompt::input_tokens(body),
            ceiling,
        }
    }
}

/// Refuses a request that has no credential in any place where the provider looks for one.
pub(crate) fn authorise(
    provider: Provider,
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
    let found = match provider {
        Provider::OpenAi | Provider::DeepSeek => bearer(),
        Provider::Anthropic => header("x-api-key").or_else(bearer),
        Provider::Gemini => header("x-goog-api-key").or_else(in_query).or_else(bearer),
    };
    found.ok_or_else(|| errors::no_credential(provider))
}

/// Checks the essentials of a request as the provider would.
pub(crate) fn read(
    provider: Provider,
    headers: &HeaderMap,
    model: Option<&str>,
    body: &Value,
) -> Result<Prompt, Answer> {
    match provider {
        Provider::OpenAi => openai::read(body),
        Provider::DeepSeek => deepseek::read(body),
        Provider::Anthropic => anthropic::read(headers, body),
        Provider::Gemini => gemini::read(model.unwrap_or_default(), body),
    }
}

/// Makes up an answer in the shape of the provider's plain text fixture.
pub(crate) fn compose(template: &Fixture, prompt: &Prompt, seed: u64) -> Answer {
    let reply = reply::to(prompt);
    let mut body = template.body.clone();
    match template.provider {
        Provider::OpenAi => openai::fill(&mut body, prompt, &reply, seed),
        Provider::DeepSeek => deepseek::fill(&mut body, prompt, &reply, seed),
        Provider::Anthropic => anthropic::fill(&mut body, prompt, &reply, seed),
        Provider::Gemini => gemini::fill(&mut body, prompt, &reply, seed),
    }
    Answer::like(template, &body)
}

/// The answer to a request for the list of models.
pub(crate) fn models(provider: Provider) -> Answer {
    match provider {
        Provider::DeepSeek => openai::models("deepseek", &["deepseek-v4-flash", "deepseek-v4-pro"]),
        _ => openai::models("system", &["gpt-4o", "gpt-4o-mini", "gpt-5.4", "gpt-5.6-sol"]),
    }
}

/// Whether the request wants a stream.
pub(crate) fn wants_stream(route: Route<'_>, body: &Value) -> bool {
    let by_path = matches!(route, Route::Chat { stream: true, .. });
    by_path || body.get("stream").is_some_and(|stream| *stream == true)
}

/// Replaces a value of a template; one that the template lacks is left out.
fn set(body: &mut Value, pointer: &str, value: impl Into<Value>) {
    if let Some(place) = body.pointer_mut(pointer) {
        *place = value.into();
    }
}
