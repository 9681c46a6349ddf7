//! Decides what a request is answered with.

use std::collections::HashMap;

use bytes::Bytes;
use http::request::Parts;
use serde_json::Value;

use crate::answer::{self, Answer, errors};
use crate::ask;
use crate::canned::{self, CannedStream};
use crate::compose::{self, Asked};
use crate::fault::{Fault, FaultError};
use crate::fixtures::{self, Fixture, fixtures};
use crate::prompt;
use crate::provider::{Api, Provider, Route};
use crate::replay::Replay;
use crate::stream::Stream;

/// Everything an answer is made from. It is never changed once it is built.
pub(crate) struct Responder {
    fixtures: HashMap<&'static str, Vec<Fixture>>,
    replay: Replay,
    canned: Option<HashMap<(Provider, Api, bool), Answer>>,
}

/// A request, read as far as needed.
pub(crate) struct Request<'a> {
    parts: &'a Parts,
    route: Route<'a>,
    body: Result<Value, serde_json::Error>,
    said: Option<String>,
}

impl<'a> Request<'a> {
    pub(crate) fn read(parts: &'a Parts, body: &Bytes) -> Self {
        let route = Route::of(&parts.method, parts.uri.path());
        let body = match route {
            Route::Call { .. } => serde_json::from_slice(body),
            Route::Models(..) | Route::Unknown(_) => Ok(Value::Null),
        };
        let said = body.as_ref().ok().and_then(prompt::last_user);
        let said = said.map(|said| said.trim().to_owned());
        Self { parts, route, body, said }
    }

    /// The fault that the last user message asks for.
    pub(crate) fn fault(&self) -> Result<Option<Fault>, FaultError> {
        let first = self.said.as_deref().and_then(|said| said.lines().next());
        let name = first.and_then(|line| line.strip_prefix("fault:"));
        name.map(str::parse).transpose()
    }
}

impl Responder {
    pub(crate) fn new(replay: Replay, canned: Option<&CannedStream>) -> Self {
        let mut by_name: HashMap<_, Vec<_>> = HashMap::new();
        for fixture in fixtures() {
            by_name.entry(fixture.name).or_default().push(fixture);
        }
        let mut responder = Self { fixtures: by_name, replay, canned: None };
        responder.canned = canned.map(|stream| canned::answers(&responder, stream));
        responder
    }

    pub(crate) fn fixture(&self, provider: Provider, name: &str) -> Option<&Fixture> {
        self.fixtures.get(name)?.iter().find(|fixture| fixture.provider == provider)
    }

    /// The constant answer of a simulator that was told to give one and not to read requests.
    pub(crate) fn canned(&self, route: Route<'_>, body: &[u8]) -> Option<Answer> {
        let Route::Call { provider, api, stream, .. } = route else { return None };
        let canned = self.canned.as_ref()?;
        let stream = stream || canned::wants_stream(body);
        canned.get(&(provider, api, stream)).cloned()
    }

    pub(crate) fn answer(&self, request: &Request<'_>, seed: u64) -> Answer {
        self.try_answer(request, seed).unwrap_or_else(|refusal| refusal)
    }

    /// The order is that of a real provider: who is asking, what is asked, and then the answer.
    fn try_answer(&self, request: &Request<'_>, seed: u64) -> Result<Answer, Answer> {
        let Parts { uri, headers, method, .. } = request.parts;
        let (provider, shape) = (request.route.provider(), request.route.shape());
        let (api, model, path_streams) = match request.route {
            Route::Unknown(_) => {
                let message = format!("There is nothing at {method} {}.", uri.path());
                return Err(errors::error(shape, 404, &message));
            }
            Route::Models(provider, model) => {
                // Two providers have their models at the same place.
                let anthropic = ["anthropic-version", "x-api-key"];
                let for_anthropic = anthropic.iter().any(|name| headers.contains_key(*name));
                let provider = if for_anthropic && provider == Provider::OpenAi {
                    Provider::Anthropic
                } else {
                    provider
                };
                answer::authorise(provider, provider, headers, uri.query())?;
                return Ok(answer::models::answer(provider, model));
            }
            Route::Call { api, model, stream, .. } => (api, model.unwrap_or_default(), stream),
        };
        answer::authorise(provider, shape, headers, uri.query())?;
        let body = request.body.as_ref().map_err(|error| errors::not_json(shape, error))?;
        let streams = path_streams || body.get("stream") == Some(&Value::Bool(true));
        let version = headers.get("anthropic-version").and_then(|version| version.to_str().ok());
        let asked = Asked { provider, api, model, body, streams, query: uri.query(), version };
        if let Some(said) = &request.said
            && let Some(found) = self.by_name(&asked, prompt::without_fault(said))
        {
            return found;
        }
        if !self.replay.is_empty()
            && let Some(recorded) = self.replay.by_request(uri.path(), body)
        {
            return Ok(recorded);
        }
        if api == Api::Messages && provider == Provider::Anthropic {
            ask::messages::check_version(headers)?;
        }
        compose::answer(self, &asked, seed)
    }

    fn by_name(&self, asked: &Asked<'_>, said: &str) -> Option<Result<Answer, Answer>> {
        let (owner, shape) = (asked.provider, asked.shape());
        let found = if let Some(name) = said.strip_prefix("fixture:") {
            // Whole fixtures are chat answers: in another format there are none.
            let provider = if shape == Provider::Anthropic { shape } else { owner };
            let is_chat = matches!(asked.api, Api::Chat | Api::Messages | Api::Generate);
            let fixture = self.fixture(provider, name).filter(|_| is_chat);
            let whole = fixture.map(|fixture| {
                let answer = Answer::fixture(fixture);
                let good = answer.status.is_success() && asked.streams;
                if good { answer.streamed(asked.stream(&fixture.body)) } else { answer }
            });
            let streamed = || {
                let text = fixtures::stream(provider, name).filter(|_| asked.streams)?;
                Some(Answer::of(200, "").streamed(Stream::recorded(asked.form(), &text)))
            };
            whole.or_else(streamed)
        } else if let Some(id) = said.strip_prefix("recording:") {
            self.replay.by_id(id)
        } else {
            return None;
        };
        let missing = || errors::error(shape, 400, &format!("There is no {said} here."));
        Some(found.ok_or_else(missing))
    }

    /// The recording of this name, for whoever asks next.
    pub(crate) fn recording(&self, id: &str, shape: Provider) -> Answer {
        let missing = || errors::error(shape, 500, &format!("There is no recording {id} here."));
        self.replay.by_id(id).unwrap_or_else(missing)
    }
}
