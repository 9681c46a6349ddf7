//! Completions, the older API: a text goes in, its continuation comes out.
//! <https://platform.openai.com/docs/api-reference/completions>
//!
//! A client of it can use every model: its prompt becomes a chat of one turn. Usage has the shape of Chat Completions and
//! is read by [`super::usage`]; one that lacks `completion_tokens` generated nothing.

use super::stream_read::StreamReader;
use super::stream_write::{PING, head, send, send_end, send_problem};
use super::types::Choice;
use super::write_reply::{body, finish};
use super::{GATEWAY_FIELDS, NAME};
use crate::chat::{Block, Chat, Role, Sampling, Turn};
use crate::json::{self, Json, Malformed, TextOr, wire};
use crate::reply::{Finish, Reply};
use crate::stream::{Event, Metered, Opening, Reader, Shape, Writer};
use crate::unknown;

/// The path of the operation below the provider's base URL.
pub const PATH: &str = "/completions";

wire! {
    struct Request {
        model: String,
        prompt: Json,
        suffix: String,
        max_tokens: u64,
        temperature: f64,
        top_p: f64,
        top_k: f64,
        presence_penalty: f64,
        frequency_penalty: f64,
        seed: i64,
        stop: TextOr<String>,
        stream: bool,
        stream_options: StreamOptions,
        n: u64,
        best_of: u64,
        echo: bool,
        logprobs: u64,
        user: String,
    }
    struct StreamOptions { include_usage: bool }
}

/// Reads a client's request, as far as a model of another API can serve it.
pub fn read_request(body: &[u8]) -> Result<Chat, Malformed> {
    let text = json::utf8(body)?;
    let mut native = Vec::new();
    let request: Request = unknown::read(text, "", NAME, "", &mut native)?;
    native.retain(|native| !GATEWAY_FIELDS.contains(&native.field.as_str()));
    let missing = |path: &str| Malformed::new(path, "missing; it is required");
    let model = request.model.clone().ok_or_else(|| missing("model"))?;
    let prompt = prompt(request.prompt.as_ref().ok_or_else(|| missing("prompt"))?)?;
    only_here(&request)?;
    Ok(Chat {
        model,
        turns: vec![Turn { role: Role::User, blocks: vec![Block::Text(prompt)], name: None }],
        // OpenAI stops after 16 tokens unless told otherwise, which would leave a model that thinks without an answer.
        max_tokens: request.max_tokens,
        sampling: Sampling {
            temperature: request.temperature,
            top_p: request.top_p,
            top_k: request.top_k,
            presence_penalty: request.presence_penalty,
            frequency_penalty: request.frequency_penalty,
            seed: request.seed,
            stop: request.stop.map(TextOr::into_list).unwrap_or_default(),
        },
        stream: request.stream.unwrap_or(false),
        include_usage: request.stream_options.and_then(|o| o.include_usage).unwrap_or(false),
        user: request.user,
        native,
        ..Chat::default()
    })
}

/// One text, or a list of one.
fn prompt(raw: &Json) -> Result<String, Malformed> {
    let refuse = |problem: &str| Err(Malformed::new("prompt", problem));
    match serde_json::from_str::<TextOr<Json>>(raw.get()) {
        Ok(TextOr::Text(text)) => Ok(text),
        Ok(TextOr::List(list)) => match list.as_slice() {
            [one] => match one.as_string() {
                Some(text) => Ok(text),
                None => refuse("must be text: tokens mean nothing to another model"),
            },
            [first, ..] if first.as_string().is_none() => {
                refuse("must be text: tokens mean nothing to another model")
            }
            _ => refuse("must be one text"),
        },
        Err(_) => refuse("must be a string, or an array of one string"),
    }
}

/// Refuses by name what only the models of the older API can do.
fn only_here(request: &Request) -> Result<(), Malformed> {
    let many = |count: Option<u64>| count.is_some_and(|count| count > 1);
    let asked = [
        ("suffix", request.suffix.as_ref().is_some_and(|suffix| !suffix.is_empty())),
        ("n", many(request.n)),
        ("best_of", many(request.best_of)),
        ("echo", request.echo == Some(true)),
        ("logprobs", request.logprobs.is_some()),
    ];
    match asked.into_iter().find(|(_, asked)| *asked) {
        Some((field, _)) => Err(Malformed::new(field, "is not supported for this model")),
        None => Ok(()),
    }
}

/// Writes an answer for a client.
pub fn write_reply(reply: &Reply, shape: &Shape) -> Vec<u8> {
    let choice = Choice {
        text: Some(reply.text()),
        index: Some(0),
        finish_reason: Some(word(reply.finish).to_owned()),
        ..Choice::default()
    };
    let choice = json::object_with(&choice, &[("logprobs".to_owned(), Json::of(&()))]);
    body(reply, shape, "text_completion", choice)
}

/// There are no tools in this API.
fn word(why: Finish) -> &'static str {
    match why {
        Finish::ToolUse => "stop",
        why => finish(why),
    }
}

/// What reads `OpenAI`'s stream of this API.
pub fn reader() -> Box<dyn Reader> {
    Box::new(StreamReader::new())
}

/// What writes a stream for a client of this API.
pub fn writer(shape: Shape) -> Box<dyn Writer> {
    Box::new(CompletionWriter {
        head: head("text_completion", "", "", &shape),
        shape,
        visible: Vec::new(),
        usage: None,
    })
}

struct CompletionWriter {
    shape: Shape,
    head: String,
    /// The blocks that are seen: this API has no place for thoughts and calls.
    visible: Vec<u32>,
    usage: Option<Metered>,
}

impl CompletionWriter {
    fn chunk(&self, text: &str, finish: Option<&str>, out: &mut Vec<u8>) {
        let (text, finish) = (Json::of(&text), Json::of(&finish));
        let with_null = self.shape.include_usage && !self.shape.openrouter;
        let usage = if with_null { ",\"usage\":null}" } else { "}" };
        send(
            out,
            &[
                &self.head,
                ",\"choices\":[{\"text\":",
                text.get(),
                ",\"index\":0,\"logprobs\":null,\"finish_reason\":",
                finish.get(),
                "}]",
                usage,
            ],
        );
    }
}

impl Writer for CompletionWriter {
    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model } => {
                self.head = head("text_completion", &id, &model, &self.shape);
            }
            Event::Open { index, block: Opening::Text | Opening::Refusal } => {
                self.visible.push(index);
            }
            Event::Text { index, text } if self.visible.contains(&index) => {
                self.chunk(&text, None, out);
            }
            Event::Usage(metered) => self.usage = Some(metered),
            Event::Finish { finish, .. } => self.chunk("", Some(word(finish)), out),
            Event::Problem(problem) => send_problem(out, &problem),
            Event::End => send_end(out, &self.head, self.usage.as_ref(), &self.shape),
            Event::Open { .. }
            | Event::Text { .. }
            | Event::Json { .. }
            | Event::Cite { .. }
            | Event::Seal { .. }
            | Event::Close { .. } => {}
        }
    }

    fn ping(&self) -> &'static [u8] {
        PING
    }
}
