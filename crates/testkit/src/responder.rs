//! Decides what a request is answered with.

use std::collections::HashMap;

use bytes::Bytes;
use http::request::Parts;
use serde_json::Value;

use crate::answer::{self, Answer, errors};
use crate::fault::{Fault, FaultError};
use crate::fixtures::{Fixture, fixtures};
use crate::prompt;
use crate::provider::{Provider, Route};
use crate::replay::Replay;

/// The fixture that made-up answers are shaped after.
const TEMPLATE: &str = "text";

/// Everything an answer is made from. It is never changed once it is built.
pub(crate) struct Responder {
    fixtures: HashMap<&'static str, Vec<Fixture>>,
    replay: Replay,
    canned: Option<HashMap<Provider, Answer>>,
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
            Route::Chat { .. } => serde_json::from_slice(body),
            Route::Models(_) | Route::Unknown(_) => Ok(Value::Null),
        };
        let said = body.as_ref().ok().and_then(prompt::last_user);
        let said = said.map(|said| said.trim().to_owned());
        Self { parts, route, body, said }
    }

    /// The fault that the last user message asks for.
    pub(crate) fn fault(&self) -> Result<Option<Fault>, FaultError> {
        let name = self.said.as_deref().and_then(|said| said.strip_prefix("fault:"));
        name.map(str::parse).transpose()
    }
}

impl Responder {
    pub(crate) fn new(replay: Replay, canned: bool) -> Self {
        let mut by_name: HashMap<_, Vec<_>> = HashMap::new();
        for fixture in fixtures() {
            by_name.entry(fixture.name).or_default().push(fixture);
        }
        let mut responder = Self { fixtures: by_name, replay, canned: None };
        responder.canned = canned.then(|| {
            let answer = |provider| Some((provider, responder.canned_answer(provider)?));
            Provider::ALL.into_iter().filter_map(answer).collect()
        });
        responder
    }

    fn canned_answer(&self, provider: Provider) -> Option<Answer> {
        let mut answer = Answer::fixture(self.fixture(provider, TEMPLATE)?);
        answer.identify(provider, 0);
        Some(answer)
    }

    fn fixture(&self, provider: Provider, name: &str) -> Option<&Fixture> {
        self.fixtures.get(name)?.iter().find(|fixture| fixture.provider == provider)
    }

    /// The constant answer of a simulator that was told to give one and not to read requests.
    pub(crate) fn canned(&self, route: Route<'_>) -> Option<Answer> {
        let Route::Chat { provider, stream: false, .. } = route else { return None };
        self.canned.as_ref()?.get(&provider).cloned()
    }

    pub(crate) fn answer(&self, request: &Request<'_>, seed: u64) -> Answer {
        self.try_answer(request, seed).unwrap_or_else(|refusal| refusal)
    }

    /// The order is that of a real provider: who is asking, what is asked, and then the answer.
    fn try_answer(&self, request: &Request<'_>, seed: u64) -> Result<Answer, Answer> {
        let Parts { uri, headers, method, .. } = request.parts;
        let provider = request.route.provider();
        if let Route::Unknown(_) = request.route {
            let message = format!("There is nothing at {method} {}.", uri.path());
            return Err(errors::error(provider, 404, &message));
        }
        answer::authorise(provider, headers, uri.query())?;
        let Route::Chat { model, .. } = request.route else {
            return Ok(answer::models(provider));
        };
        let body = request.body.as_ref().map_err(|error| errors::not_json(provider, error))?;
        // An error is a whole answer to a stream as well, so only a good answer needs streaming.
        let streams = answer::wants_stream(request.route, body);
        let no_stream =
            || errors::bad_request(provider, "stream", "The simulator does not stream yet.");
        if let Some(said) = &request.said
            && let Some(found) = self.by_name(provider, said)
        {
            return found.and_then(|answer| {
                if streams && answer.status.is_success() { Err(no_stream()) } else { Ok(answer) }
            });
        }
        if !self.replay.is_empty()
            && let Some(recorded) = self.replay.by_request(uri.path(), body)
        {
            return Ok(recorded);
        }
        if streams {
            return Err(no_stream());
        }
        let prompt = answer::read(provider, headers, model, body)?;
        let template = self.fixture(provider, TEMPLATE);
        let template =
            template.ok_or_else(|| errors::error(provider, 500, "There is no template."))?;
        Ok(answer::compose(template, &prompt, seed))
    }

    fn by_name(&self, provider: Provider, said: &str) -> Option<Result<Answer, Answer>> {
        let found = if let Some(name) = said.strip_prefix("fixture:") {
            self.fixture(provider, name).map(Answer::fixture)
        } else if let Some(id) = said.strip_prefix("recording:") {
            self.replay.by_id(id)
        } else {
            return None;
        };
        let missing = || errors::error(provider, 400, &format!("There is no {said} here."));
        Some(found.ok_or_else(missing))
    }
}
