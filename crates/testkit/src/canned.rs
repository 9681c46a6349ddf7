//! Constant answers for benchmarks: made once, and sent without reading what was asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

use crate::answer::{self, Answer, Body, Canned};
use crate::ask::Ask;
use crate::compose::{Asked, TEMPLATE};
use crate::provider::{Api, Provider};
use crate::responder::Responder;

/// The stream that a canned simulator answers a request for a stream with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CannedStream {
    /// How many events carry a piece of text.
    pub events: usize,
    /// The time between events; without it, they are sent as fast as they can be.
    pub gap: Duration,
}

impl Default for CannedStream {
    fn default() -> Self {
        Self { events: 100, gap: Duration::ZERO }
    }
}

/// What every event of text holds.
const WORD: &str = "word ";

/// What every prompt is said to have, in tokens. None would be an answer that no provider gives.
const PROMPT: u64 = 8;

/// Events that need not wait for each other are sent in blocks of about this many bytes.
const BLOCK: usize = 16 * 1024;

/// The formats that have canned answers, with those that have canned streams.
const FORMATS: [(Provider, Api); 8] = [
    (Provider::OpenAi, Api::Chat),
    (Provider::OpenAi, Api::Responses),
    (Provider::OpenAi, Api::Completions),
    (Provider::DeepSeek, Api::Chat),
    (Provider::DeepSeek, Api::Messages),
    (Provider::DeepSeek, Api::Responses),
    (Provider::Anthropic, Api::Messages),
    (Provider::Gemini, Api::Generate),
];

pub(crate) type Answers = HashMap<(Provider, Api, bool), Answer>;

pub(crate) fn answers(responder: &Responder, stream: &CannedStream) -> Answers {
    let mut answers = HashMap::new();
    for (provider, api) in FORMATS {
        for streams in [false, true] {
            if let Some(answer) = canned(responder, provider, api, streams.then_some(stream)) {
                answers.insert((provider, api, streams), answer);
            }
        }
    }
    answers
}

fn canned(
    responder: &Responder,
    provider: Provider,
    api: Api,
    stream: Option<&CannedStream>,
) -> Option<Answer> {
    let body = json!({"stream_options": {"include_usage": true}});
    let streams = stream.is_some();
    let query = Some("alt=sse");
    let asked = Asked { provider, api, model: "", body: &body, streams, query, version: None };
    let template = responder.fixture(asked.shape(), TEMPLATE)?;
    let whole = match stream {
        None => whole(&asked, &template.body, &Ask::default(), &body),
        Some(stream) => {
            let said = format!("say:{}", WORD.repeat(stream.events));
            let ask =
                Ask { model: template.model.clone(), said, input_tokens: PROMPT, ..Ask::default() };
            whole(&asked, &template.body, &ask, &body)
        }
    };
    let mut answer = Answer::like(template, &whole);
    if let Some(stream) = stream {
        let told = asked.stream(&whole);
        answer = answer.streamed(told.clone());
        let pieces = if stream.gap.is_zero() { blocks(&told.frames) } else { told.frames.clone() };
        answer.body = Body::Canned(Arc::new(Canned { stream: told, pieces: pieces.into() }));
        answer.manner.gap = stream.gap;
    }
    answer.identify(provider, 0);
    Some(answer)
}

fn whole(asked: &Asked<'_>, template: &Value, ask: &Ask, body: &Value) -> Value {
    let is_template = !asked.streams;
    match asked.api {
        Api::Responses => answer::responses::whole(asked.provider, body, ask, 0),
        Api::Completions => answer::completions::whole(ask, 0),
        _ if is_template => template.clone(),
        Api::Messages => answer::messages::whole(asked.provider, template, ask, 0),
        Api::Generate => answer::gemini::whole(template, ask, 0),
        _ => answer::chat::whole(asked.provider, template, ask, 0),
    }
}

fn blocks(frames: &[Bytes]) -> Vec<Bytes> {
    let mut blocks = Vec::new();
    let mut block = BytesMut::new();
    for frame in frames {
        block.extend_from_slice(frame);
        if block.len() >= BLOCK {
            blocks.push(block.split().freeze());
        }
    }
    if !block.is_empty() {
        blocks.push(block.freeze());
    }
    blocks
}

/// Whether a body asks for a stream, without reading all of it.
pub(crate) fn wants_stream(body: &[u8]) -> bool {
    const KEY: &[u8] = b"\"stream\"";
    let after = body.windows(KEY.len()).position(|window| window == KEY);
    let rest = after.and_then(|at| body.get(at + KEY.len()..)).unwrap_or_default();
    let mut rest = rest.iter().filter(|byte| !byte.is_ascii_whitespace());
    rest.next() == Some(&b':') && rest.next() == Some(&b't')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::Replay;

    #[test]
    fn every_stream_names_its_prompt() {
        let responder = Responder::new(Replay::default(), None);
        let names = ["prompt_tokens", "input_tokens", "promptTokenCount"];
        let mut streams = 0;
        for (key, answer) in answers(&responder, &CannedStream::default()) {
            let Body::Canned(canned) = &answer.body else { continue };
            let told = String::from_utf8_lossy(&canned.pieces.concat()).replace(' ', "");
            let named = names.map(|name| format!("\"{name}\":{PROMPT}"));
            assert!(named.iter().any(|named| told.contains(named)), "{key:?}: {told}");
            streams += 1;
        }
        assert_eq!(streams, FORMATS.len());
    }

    #[test]
    fn a_wish_for_a_stream_is_found() {
        for body in [r#"{"stream":true}"#, r#"{"a":"x", "stream" : true, "b":1}"#] {
            assert!(wants_stream(body.as_bytes()), "{body}");
        }
        for body in ["", "{", r#"{"stream":false}"#, r#"{"stream"}"#, r#"{"stream_options":{}}"#] {
            assert!(!wants_stream(body.as_bytes()), "{body}");
        }
    }
}
