//! Makes up the answer to a request: whole, or as a stream of the same.

use serde_json::{Value, json};

use crate::answer::{self, Answer, embeddings, errors};
use crate::ask::{self, Ask};
use crate::prompt;
use crate::provider::{Api, Provider};
use crate::responder::Responder;
use crate::rules;
use crate::stream::chat::Usage;
use crate::stream::{self, Form, Stream};

/// The fixture that made-up answers are shaped after.
pub(crate) const TEMPLATE: &str = "text";

/// What was asked, where, and how it is to be answered.
pub(crate) struct Asked<'a> {
    pub(crate) provider: Provider,
    pub(crate) api: Api,
    /// Of the path; empty if it names none.
    pub(crate) model: &'a str,
    pub(crate) body: &'a Value,
    pub(crate) streams: bool,
    pub(crate) query: Option<&'a str>,
    /// `anthropic-version`.
    pub(crate) version: Option<&'a str>,
}

impl Asked<'_> {
    /// The provider whose shapes the answer has.
    pub(crate) fn shape(&self) -> Provider {
        match self.api {
            Api::Messages | Api::MessageTokens => Provider::Anthropic,
            _ => self.provider,
        }
    }

    /// The form of a stream of this API.
    pub(crate) fn form(&self) -> Form {
        match self.api {
            Api::Messages => Form::Messages,
            Api::Responses => Form::Responses,
            Api::Generate => gemini_form(self.query),
            _ => Form::Chat(self.provider),
        }
    }

    /// A whole answer of this API as a stream.
    pub(crate) fn stream(&self, whole: &Value) -> Stream {
        match self.api {
            Api::Messages => stream::messages::stream(whole),
            Api::Responses => stream::responses::stream(whole),
            Api::Generate => stream::gemini::stream(self.form(), whole),
            Api::Completions => {
                stream::completions::stream(whole, Usage::asked(self.provider, self.body))
            }
            _ => {
                let usage = Usage::asked(self.provider, self.body);
                stream::chat::stream(self.provider, whole, usage)
            }
        }
    }
}

/// Without `alt=sse` Gemini sends an array.
fn gemini_form(query: Option<&str>) -> Form {
    let sse = query.is_some_and(|query| query.split('&').any(|pair| pair == "alt=sse"));
    if sse { Form::Gemini } else { Form::GeminiArray }
}

pub(crate) fn answer(
    responder: &Responder,
    asked: &Asked<'_>,
    seed: u64,
) -> Result<Answer, Answer> {
    let Asked { provider, body, .. } = *asked;
    match asked.api {
        Api::Embeddings => return embeddings::openai(body),
        Api::EmbedContent => return embeddings::gemini(body),
        Api::BatchEmbedContents => return embeddings::gemini_batch(body),
        _ => {}
    }
    let ask = read(asked)?;
    if ask.model.contains("does-not-exist") {
        return Err(errors::no_model(asked.shape(), &ask.model));
    }
    rules::check(asked, &ask)?;
    let tokens = ask.input_tokens;
    match asked.api {
        Api::InputTokens => {
            let count = json!({"object": "response.input_tokens", "input_tokens": tokens});
            return Ok(Answer::json(200, &count));
        }
        Api::MessageTokens => return Ok(Answer::json(200, &json!({ "input_tokens": tokens }))),
        Api::ContentTokens => {
            let details = json!([{"modality": "TEXT", "tokenCount": tokens}]);
            let count = json!({"totalTokens": tokens, "promptTokensDetails": details});
            return Ok(Answer::json(200, &count));
        }
        _ => {}
    }
    let template = responder.fixture(asked.shape(), TEMPLATE);
    let template =
        template.ok_or_else(|| errors::error(asked.shape(), 500, "There is no template."))?;
    let whole = match asked.api {
        Api::Completions => answer::completions::whole(&ask, seed),
        Api::Responses => answer::responses::whole(provider, body, &ask, seed),
        Api::Messages => answer::messages::whole(provider, &template.body, &ask, seed),
        Api::Generate => answer::gemini::whole(&template.body, &ask, seed),
        _ => answer::chat::whole(provider, &template.body, &ask, seed),
    };
    let answer = Answer::like(template, &whole);
    Ok(if asked.streams { answer.streamed(asked.stream(&whole)) } else { answer })
}

fn read(asked: &Asked<'_>) -> Result<Ask, Answer> {
    let Asked { provider, body, model, .. } = *asked;
    match asked.api {
        Api::Completions => ask::completions::read(body),
        Api::Responses | Api::InputTokens => ask::responses::read(provider, body),
        Api::Messages => ask::messages::read(body, false),
        Api::MessageTokens => ask::messages::read(body, true),
        Api::Generate => ask::gemini::read(model, body),
        Api::ContentTokens => {
            // The request may be wrapped, which tells more than its contents.
            let inner = ["generateContentRequest", "generate_content_request"];
            let inner = inner.iter().find_map(|key| body.get(*key)).unwrap_or(body);
            let mut ask = ask::gemini::read(model, inner)?;
            ask.input_tokens = prompt::input_tokens(inner);
            Ok(ask)
        }
        _ => ask::chat::read(provider, body),
    }
}
