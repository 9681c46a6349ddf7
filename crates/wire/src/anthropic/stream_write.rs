//! Canonical events to a client's stream. <https://docs.claude.com/en/docs/build-with-claude/streaming>

use std::collections::VecDeque;

use ledger::UsageReport;
use serde::Serialize;

use super::types::{Answer, Block as WireBlock};
use super::write_blocks::{of_kind, tool_use};
use super::write_reply::{
    Thoughts, behind_text, call_state, citation, in_words, is_shown, refused, stop_details,
    stop_reason, withheld,
};
use super::{NAME, problem, search, usage};
use crate::chat::{Native, Seal};
use crate::json::{self, Json};
use crate::openai_responses::mark_as_state;
use crate::problem::Kind;
use crate::reply::Finish;
use crate::stream::{Cost, Event, Opening, Shape, Writer};
use crate::{Problem, seal};

/// Writes the blocks of an answer one after the other, which is how this dialect has them: what comes of a block while
/// another one is open waits.
pub(super) struct StreamWriter {
    shape: Shape,
    started: bool,
    done: bool,
    /// The number of the next block on the wire.
    next: u64,
    open: Option<Open>,
    /// A text block without its stop: citations of this dialect's own may follow.
    held: Option<u64>,
    /// Whether the client has asked for thoughts: others take the first block for the text.
    thinks: bool,
    /// State of another provider's thoughts, which waits for what they belong to.
    ahead: Vec<String>,
    /// That of the first block, a text whose stop is held: it comes behind it, and only where more does.
    behind: Vec<String>,
    /// Blocks that opened meanwhile, each with its events.
    waiting: VecDeque<(u32, Vec<Event>)>,
    usage: UsageReport,
    cost: Option<Cost>,
    finish: Option<(Finish, Option<String>)>,
    refusal: String,
}

/// The block that is being written.
struct Open {
    index: u32,
    /// Its number on the wire, once something was written.
    wire: Option<u64>,
    body: Body,
}

enum Body {
    Text,
    Refusal,
    Thinking {
        seal: Option<Seal>,
    },
    Tool {
        seal: Option<Seal>,
        arguments: Arguments,
    },
    /// Written whole, or not at all.
    Other,
}

/// The arguments of a call, which must be an object.
enum Arguments {
    /// They begin like one, and go on as they come.
    Object,
    /// They do not, so far; they are told at the end, when all of them is there.
    Other(String),
}

#[derive(Serialize)]
struct MessageStart {
    #[serde(rename = "type")]
    kind: &'static str,
    message: Json,
}

#[derive(Serialize)]
struct BlockStart {
    #[serde(rename = "type")]
    kind: &'static str,
    index: u64,
    content_block: Json,
}

#[derive(Serialize)]
struct BlockDelta {
    #[serde(rename = "type")]
    kind: &'static str,
    index: u64,
    delta: Delta,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Delta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: String },
    #[serde(rename = "signature_delta")]
    Signature { signature: String },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: String },
    #[serde(rename = "citations_delta")]
    Citations { citation: Json },
}

#[derive(Serialize)]
struct BlockStop {
    #[serde(rename = "type")]
    kind: &'static str,
    index: u64,
}

#[derive(Serialize)]
struct MessageDelta {
    #[serde(rename = "type")]
    kind: &'static str,
    delta: Stop,
    usage: Json,
}

#[derive(Serialize)]
struct Stop {
    stop_reason: &'static str,
    stop_sequence: Option<String>,
    stop_details: Json,
}

#[derive(Serialize)]
struct MessageStop {
    #[serde(rename = "type")]
    kind: &'static str,
}

fn emit(out: &mut Vec<u8>, event: &str, data: &impl Serialize) {
    emit_json(out, event, Json::of(data).get());
}

fn emit_json(out: &mut Vec<u8>, event: &str, data: &str) {
    for part in ["event: ", event, "\ndata: ", data, "\n\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

fn delta(out: &mut Vec<u8>, index: u64, delta: Delta) {
    const KIND: &str = "content_block_delta";
    emit(out, KIND, &BlockDelta { kind: KIND, index, delta });
}

fn stop(out: &mut Vec<u8>, index: u64) {
    const KIND: &str = "content_block_stop";
    emit(out, KIND, &BlockStop { kind: KIND, index });
}

impl Writer for StreamWriter {
    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        if self.done {
            return;
        }
        match event {
            Event::Start { id, model } => self.start(&id, &model, out),
            Event::Usage(metered) => (self.usage, self.cost) = (metered.report, metered.cost),
            Event::Finish { finish, stop_sequence } => self.finish = Some((finish, stop_sequence)),
            Event::Problem(problem) => self.fail(&problem, out),
            Event::End => self.end(out),
            Event::Open { index, .. }
            | Event::Text { index, .. }
            | Event::Json { index, .. }
            | Event::Cite { index, .. }
            | Event::Seal { index, .. }
            | Event::Close { index } => {
                self.start("", "", out);
                self.of_block(index, event, out);
            }
        }
    }

    fn ping(&self) -> &'static [u8] {
        b"event: ping\ndata: {\"type\":\"ping\"}\n\n"
    }
}

impl StreamWriter {
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            thinks: is_shown(&shape.echo),
            shape,
            started: false,
            done: false,
            next: 0,
            open: None,
            held: None,
            ahead: Vec::new(),
            behind: Vec::new(),
            waiting: VecDeque::new(),
            usage: UsageReport::default(),
            cost: None,
            finish: None,
            refusal: String::new(),
        }
    }

    fn start(&mut self, id: &str, model: &str, out: &mut Vec<u8>) {
        const KIND: &str = "message_start";
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        if !id.is_empty() {
            id.clone_into(&mut self.shape.id);
        }
        let or = |own: &str, other: &str| Some(if own.is_empty() { other } else { own }.to_owned());
        let answer = Answer {
            id: or(id, &self.shape.id),
            kind: Some("message".to_owned()),
            role: Some("assistant".to_owned()),
            model: or(model, &self.shape.model),
            content: Some(Vec::new()),
            usage: Some(Json::of(&usage::write(&self.usage))),
            ..Answer::default()
        };
        // SDKs ask for these to be there, if only as null.
        let null = ["stop_reason", "stop_sequence", "stop_details"]
            .map(|name| (name.to_owned(), Json::of(&())));
        let message = json::object_with(&answer, &null);
        emit(out, KIND, &MessageStart { kind: KIND, message });
    }

    /// An event of one block: written if the block is the open one or can open, else kept for later.
    fn of_block(&mut self, index: u32, event: Event, out: &mut Vec<u8>) {
        if self.open.as_ref().is_some_and(|open| open.index == index) {
            self.write(event, out);
        } else if let Some((_, kept)) = self.waiting.iter_mut().find(|(of, _)| *of == index) {
            kept.push(event);
        } else if matches!(event, Event::Open { .. }) {
            self.waiting.push_back((index, vec![event]));
        }
        while self.open.is_none()
            && let Some((_, events)) = self.waiting.pop_front()
        {
            for event in events {
                self.write(event, out);
            }
        }
    }

    fn write(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::Open { index, block } => self.open(index, block, out),
            Event::Text { text, .. } => self.text(text, out),
            Event::Json { part, .. } => self.argue(part, out),
            Event::Cite { citation: source, .. } => {
                if let Some(wire) = self.wire() {
                    delta(out, wire, Delta::Citations { citation: citation(&source) });
                }
            }
            Event::Seal { seal, .. } => {
                let body = self.open.as_mut().map(|open| &mut open.body);
                if let Some(Body::Thinking { seal: of } | Body::Tool { seal: of, .. }) = body {
                    *of = Some(seal);
                }
            }
            Event::Close { .. } => self.close(out),
            _ => {}
        }
    }

    fn wire(&self) -> Option<u64> {
        self.open.as_ref().and_then(|open| open.wire)
    }

    /// Writes the start of a block, behind the stop that was held back.
    fn begin(&mut self, block: &Json, out: &mut Vec<u8>) -> u64 {
        const KIND: &str = "content_block_start";
        if self.thinks || self.next > 0 {
            self.tell_state(out);
        }
        self.release(out);
        let index = self.next;
        self.next += 1;
        emit(out, KIND, &BlockStart { kind: KIND, index, content_block: block.clone() });
        index
    }

    fn release(&mut self, out: &mut Vec<u8>) {
        if let Some(held) = self.held.take() {
            stop(out, held);
            for data in std::mem::take(&mut self.behind) {
                self.whole(&behind_text(&data), out);
            }
        }
    }

    /// State that no text came for.
    fn tell_state(&mut self, out: &mut Vec<u8>) {
        self.release(out);
        for data in std::mem::take(&mut self.ahead) {
            self.whole(&Json::of(&withheld(&data)), out);
        }
    }

    /// A block of which all is known.
    fn whole(&mut self, block: &Json, out: &mut Vec<u8>) {
        let index = self.begin(block, out);
        stop(out, index);
    }

    fn open(&mut self, index: u32, block: Opening, out: &mut Vec<u8>) {
        let text = || Json::of(&WireBlock { text: Some(String::new()), ..of_kind("text") });
        let (wire, body) = match block {
            Opening::Text => (Some(self.begin(&text(), out)), Body::Text),
            Opening::Refusal => (Some(self.begin(&text(), out)), Body::Refusal),
            // Whether there is a text or only a seal is told later.
            Opening::Thinking => (None, Body::Thinking { seal: None }),
            Opening::ToolUse { id, name } => {
                self.tell_state(out);
                let call = Json::of(&tool_use(&id, &name, &Json::empty_object()));
                let arguments = Arguments::Other(String::new());
                (Some(self.begin(&call, out)), Body::Tool { seal: None, arguments })
            }
            Opening::Media(media) => {
                let wire = self.begin(&text(), out);
                delta(out, wire, Delta::Text { text: in_words(&media) });
                (Some(wire), Body::Text)
            }
            Opening::Native(native) => {
                self.native(&native, out);
                (None, Body::Other)
            }
        };
        self.open = Some(Open { index, wire, body });
    }

    fn native(&mut self, native: &Native, out: &mut Vec<u8>) {
        if let Some(state) = mark_as_state(native) {
            self.release(out);
            self.ahead.push(seal::wrap(&state, NAME));
            return;
        }
        if native.dialect != NAME {
            let name = format!("{}_{}", self.shape.id, self.next);
            if let Some(blocks) = search::blocks(native, &name) {
                self.tell_state(out);
                for block in blocks {
                    self.whole(&block, out);
                }
            }
            return;
        }
        match (native.field.strip_prefix("content."), self.held) {
            (Some("citations"), Some(wire)) => {
                delta(out, wire, Delta::Citations { citation: native.raw.clone() });
            }
            // A member of a block that has been written.
            (Some(_), _) => {}
            (None, _) => {
                self.tell_state(out);
                self.whole(&native.raw, out);
            }
        }
    }

    fn text(&mut self, text: String, out: &mut Vec<u8>) {
        let Some(open) = &self.open else { return };
        match (&open.body, open.wire) {
            (Body::Text, Some(wire)) => delta(out, wire, Delta::Text { text }),
            (Body::Refusal, Some(wire)) => {
                self.refusal.push_str(&text);
                delta(out, wire, Delta::Text { text });
            }
            (Body::Thinking { .. }, Some(wire)) => {
                delta(out, wire, Delta::Thinking { thinking: text });
            }
            (Body::Thinking { .. }, None) => {
                let wire = self.begin(&thinking(), out);
                delta(out, wire, Delta::Thinking { thinking: text });
                if let Some(open) = &mut self.open {
                    open.wire = Some(wire);
                }
            }
            _ => {}
        }
    }

    fn argue(&mut self, part: String, out: &mut Vec<u8>) {
        let Some(Open { wire: Some(wire), body: Body::Tool { arguments, .. }, .. }) =
            &mut self.open
        else {
            return;
        };
        let partial_json = match arguments {
            Arguments::Object => part,
            Arguments::Other(before) => {
                before.push_str(&part);
                if !before.trim_start().starts_with('{') {
                    return;
                }
                let all = std::mem::take(before);
                *arguments = Arguments::Object;
                all
            }
        };
        delta(out, *wire, Delta::InputJson { partial_json });
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let Some(Open { wire, body, .. }) = self.open.take() else { return };
        match (body, wire) {
            (Body::Thinking { seal }, wire) => self.seal(seal.as_ref(), wire, out),
            (Body::Text | Body::Refusal, Some(wire)) => {
                self.held = Some(wire);
                self.behind.append(&mut self.ahead);
            }
            (Body::Tool { seal, arguments }, Some(wire)) => {
                if let Arguments::Other(text) = arguments {
                    let object = Json::from_arguments(&text).into_object();
                    let partial_json = object.get().to_owned();
                    delta(out, wire, Delta::InputJson { partial_json });
                }
                stop(out, wire);
                if let Some(state) = seal.as_ref().and_then(call_state) {
                    self.whole(&Json::of(&state), out);
                }
            }
            (_, Some(wire)) => stop(out, wire),
            (_, None) => {}
        }
    }

    /// The end of a block of thinking, which is its signature.
    fn seal(&mut self, seal: Option<&Seal>, wire: Option<u64>, out: &mut Vec<u8>) {
        match Thoughts::of(wire.is_some(), seal) {
            Thoughts::Signed(signature) => {
                let wire = wire.unwrap_or_else(|| self.begin(&thinking(), out));
                delta(out, wire, Delta::Signature { signature });
                stop(out, wire);
            }
            Thoughts::Withheld(data) => self.whole(&Json::of(&withheld(&data)), out),
            Thoughts::State(data) => self.ahead.push(data),
            Thoughts::Nothing => {}
        }
    }

    fn fail(&mut self, problem: &Problem, out: &mut Vec<u8>) {
        self.done = true;
        let (_, body) = problem::write(problem);
        emit_json(out, "error", &String::from_utf8_lossy(&body));
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        const DELTA: &str = "message_delta";
        const STOP: &str = "message_stop";
        let (finish, stop_sequence) = self.finish.take().unwrap_or_default();
        let finish = refused(finish, &self.refusal);
        if finish == Finish::Failed {
            let problem = Problem::own(Kind::Overloaded, "the provider broke off the answer");
            return self.fail(&problem, out);
        }
        self.start("", "", out);
        match self.held.take() {
            Some(held) => stop(out, held),
            None => self.tell_state(out),
        }
        self.done = true;
        let stop = Stop {
            stop_reason: stop_reason(finish),
            stop_sequence,
            stop_details: stop_details(finish, &self.refusal),
        };
        emit(
            out,
            DELTA,
            &MessageDelta {
                kind: DELTA,
                delta: stop,
                usage: usage::with_cost(&self.usage, self.cost.as_ref()),
            },
        );
        emit(out, STOP, &MessageStop { kind: STOP });
    }
}

fn thinking() -> Json {
    let empty = Some(String::new());
    Json::of(&WireBlock { thinking: empty.clone(), signature: empty, ..of_kind("thinking") })
}
