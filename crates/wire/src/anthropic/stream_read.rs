//! A provider's stream to canonical events. <https://docs.claude.com/en/docs/build-with-claude/streaming>

use super::read_blocks::{self, citation, is_known, native_citation, redacted, signature};
use super::types::{
    Answer, Block as WireBlock, BlockDelta, BlockStart, BlockStop, Delta, MessageDelta,
    MessageStart,
};
use super::usage::Running;
use super::{JSON_TOOL, NAME, problem, read, skim};
use crate::Problem;
use crate::chat::{Citation, Native};
use crate::json::{self, Json};
use crate::problem::Kind;
use crate::reply::Finish;
use crate::sse::Frame;
use crate::stream::{End, Event, Metered, Opening, Reader, Seen, Stage};
use ledger::UsageReport;

#[derive(Default)]
pub(super) struct StreamReader {
    id: String,
    model: String,
    usage: Running,
    usage_final: bool,
    output_bytes: u64,
    finish: Option<Finish>,
    stop_sequence: Option<String>,
    refusal: Option<String>,
    started: bool,
    whole: bool,
    failed: bool,
    done: bool,
    /// Whether the client's tools are called, text is said, the answer came as a call.
    calls: bool,
    said: bool,
    answered: bool,
    open: Vec<Open>,
    /// The number of the next block.
    next: u32,
}

/// A block between its start and its stop.
struct Open {
    /// The provider's number.
    wire: u64,
    body: Body,
}

/// The citations of a text. They come ahead of it or amid it, and what they are about is known when it is whole.
#[derive(Default)]
struct Behind {
    sources: Vec<Citation>,
    /// Those that only this dialect knows, which follow the block.
    natives: Vec<Native>,
}

impl Behind {
    fn add(&mut self, raw: Json) {
        match citation(&raw) {
            Some(source) => self.sources.push(source),
            None => self.natives.push(native_citation(raw)),
        }
    }
}

enum Body {
    Text {
        index: u32,
        behind: Behind,
    },
    /// The answer as arguments of a tool.
    Answer {
        index: u32,
        whole: Option<Json>,
    },
    Thinking {
        index: u32,
    },
    Tool {
        index: u32,
        /// The arguments, where the start already had them; they count if none follow.
        whole: Option<Json>,
        begun: bool,
    },
    /// Known to this dialect only: gathered, because it must come whole.
    Native {
        kind: String,
        raw: Json,
        arguments: String,
    },
}

impl Reader for StreamReader {
    fn frame(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) {
        let data = frame.data.trim();
        // Some servers of this dialect end like those of another one.
        if self.done || data.is_empty() || data == "[DONE]" {
            return;
        }
        let result = match kind(frame, data) {
            Ok(kind) => self.event(&kind, data, out),
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            let message = format!("the provider sent a frame that cannot be read: {error}");
            self.fail(Problem::own(Kind::Malformed, message), out);
        }
    }

    fn end(&mut self, how: End, out: &mut Vec<Event>) {
        if self.done {
            return;
        }
        self.done = true;
        let (kind, message) = match how {
            End::Idle => (Kind::Timeout, "the provider sent nothing for too long"),
            End::Closed | End::Broken => (Kind::Upstream, "the provider's stream was cut"),
        };
        out.push(Event::Problem(Problem::own(kind, message)));
    }

    fn skim(&mut self, frame: &Frame<'_>) {
        if self.done || frame.event == "ping" {
            return;
        }
        let counted = if frame.event == "content_block_delta" {
            skim::delta_bytes(&frame.data)
        } else {
            None
        };
        match counted {
            Some(bytes) => self.output_bytes += bytes,
            None => self.frame(frame, &mut Vec::new()),
        }
    }

    fn seen(&self) -> Seen {
        Seen {
            id: self.id.clone(),
            model: self.model.clone(),
            usage: self.usage(),
            usage_final: self.usage_final,
            output_bytes: self.output_bytes,
            whole: self.whole,
            finish: self.finish,
            failed: self.failed,
            continuation: None,
        }
    }

    fn usage(&self) -> Option<UsageReport> {
        if self.usage_final { self.usage.last() } else { self.usage.most() }
    }

    fn output_bytes(&self) -> u64 {
        self.output_bytes
    }

    fn stage(&self) -> Stage {
        Stage::of(self.finish, self.whole, self.failed)
    }
}

/// What kind of event a frame is. SDKs go by its name; the type inside is the same.
fn kind(frame: &Frame<'_>, data: &str) -> serde_json::Result<String> {
    if !frame.event.is_empty() {
        return Ok(frame.event.to_owned());
    }
    let kind: read_blocks::Kind = serde_json::from_str(data)?;
    Ok(kind.kind.unwrap_or_default())
}

impl StreamReader {
    fn event(&mut self, kind: &str, data: &str, out: &mut Vec<Event>) -> serde_json::Result<()> {
        match kind {
            "message_start" => {
                let start: MessageStart = serde_json::from_str(data)?;
                self.start(start.message, out);
            }
            "content_block_start" => {
                let start: BlockStart = serde_json::from_str(data)?;
                if let Some(block) = start.content_block {
                    self.block(start.index.unwrap_or(0), block, out)?;
                }
            }
            "content_block_delta" => {
                let delta: BlockDelta = serde_json::from_str(data)?;
                if let Some(raw) = delta.delta {
                    self.delta(delta.index.unwrap_or(0), &raw, out)?;
                }
            }
            "content_block_stop" => {
                let stop: BlockStop = serde_json::from_str(data)?;
                let wire = stop.index.unwrap_or(0);
                if let Some(at) = self.open.iter().position(|open| open.wire == wire) {
                    let open = self.open.remove(at);
                    self.close(open.body, out);
                }
            }
            "message_delta" => {
                let delta: MessageDelta = serde_json::from_str(data)?;
                self.stop(delta, out);
            }
            "message_stop" => self.whole(out),
            "error" => self.fail(problem::read_event(data), out),
            // Pings, and events to come.
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, message: Option<Answer>, out: &mut Vec<Event>) {
        if self.started {
            return;
        }
        self.started = true;
        let usage = message.and_then(|message| {
            self.id = message.id.unwrap_or_default();
            self.model = message.model.unwrap_or_default();
            message.usage
        });
        out.push(Event::Start { id: self.id.clone(), model: self.model.clone() });
        self.used(usage, out);
    }

    /// Whether a usage came that tells the output.
    fn used(&mut self, usage: Option<Json>, out: &mut Vec<Event>) -> bool {
        let tells_output = usage.and_then(|usage| self.usage.add(usage.get()).ok());
        if let Some(report) = self.usage.last().filter(|_| tells_output.is_some()) {
            out.push(Event::Usage(Metered::new(report)));
        }
        tells_output == Some(true)
    }

    fn count(&mut self, text: &str) {
        self.output_bytes += u64::try_from(text.len()).unwrap_or(0);
    }

    fn opened(&mut self, block: Opening, out: &mut Vec<Event>) -> u32 {
        let index = self.next;
        self.next += 1;
        out.push(Event::Open { index, block });
        index
    }

    fn block(&mut self, wire: u64, raw: Json, out: &mut Vec<Event>) -> serde_json::Result<()> {
        self.start(None, out);
        let kind: read_blocks::Kind = serde_json::from_str(raw.get())?;
        let kind = kind.kind.unwrap_or_default();
        if !is_known(&kind) || matches!(kind.as_str(), "image" | "document" | "tool_result") {
            let body = Body::Native { kind, raw, arguments: String::new() };
            self.open.push(Open { wire, body });
            return Ok(());
        }
        let block: WireBlock = serde_json::from_str(raw.get())?;
        let body = match kind.as_str() {
            "tool_use" => self.tool(block, out),
            "text" => {
                let index = self.opened(Opening::Text, out);
                self.text(index, block.text.as_deref(), out);
                let listed = block.citations.as_ref().map_or("[]", Json::get);
                let listed: Vec<Json> = serde_json::from_str(listed).unwrap_or_default();
                let mut behind = Behind::default();
                for raw in listed {
                    behind.add(raw);
                }
                Body::Text { index, behind }
            }
            _ => {
                let index = self.opened(Opening::Thinking, out);
                self.thought(index, block.thinking.as_deref(), out);
                let sealed = block.signature.as_deref().and_then(signature);
                let seal = sealed.or(block.data.as_deref().map(redacted));
                out.extend(seal.map(|seal| Event::Seal { index, seal }));
                Body::Thinking { index }
            }
        };
        self.open.push(Open { wire, body });
        Ok(())
    }

    fn tool(&mut self, block: WireBlock, out: &mut Vec<Event>) -> Body {
        let name = block.name.unwrap_or_default();
        let whole = block.input.filter(|input| !json::fields(input.get()).is_empty());
        if let Some(whole) = &whole {
            self.count(whole.get());
        }
        if name == JSON_TOOL {
            self.answered = true;
            let index = self.opened(Opening::Text, out);
            return Body::Answer { index, whole };
        }
        self.calls = true;
        let id = block.id.unwrap_or_default();
        let index = self.opened(Opening::ToolUse { id, name }, out);
        Body::Tool { index, whole, begun: false }
    }

    fn text(&mut self, index: u32, text: Option<&str>, out: &mut Vec<Event>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.said = true;
            self.thought(index, Some(text), out);
        }
    }

    fn thought(&mut self, index: u32, text: Option<&str>, out: &mut Vec<Event>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.count(text);
            out.push(Event::Text { index, text: text.to_owned() });
        }
    }

    fn delta(&mut self, wire: u64, raw: &Json, out: &mut Vec<Event>) -> serde_json::Result<()> {
        let delta: Delta = serde_json::from_str(raw.get())?;
        self.start(None, out);
        let Some(at) = self.open.iter().position(|open| open.wire == wire) else {
            return self.stray(wire, &delta, raw, out);
        };
        // Taken out and put back, so that the block and the counters can change together.
        let mut open = self.open.remove(at);
        self.grow(&mut open.body, delta, raw, out);
        self.open.insert(at, open);
        Ok(())
    }

    /// Text without a start of its block begins one.
    fn stray(
        &mut self,
        wire: u64,
        delta: &Delta,
        raw: &Json,
        out: &mut Vec<Event>,
    ) -> serde_json::Result<()> {
        let body = match delta.kind.as_deref() {
            Some("text_delta") => {
                Body::Text { index: self.opened(Opening::Text, out), behind: Behind::default() }
            }
            Some("thinking_delta") => Body::Thinking { index: self.opened(Opening::Thinking, out) },
            _ => {
                self.count(delta.partial_json.as_deref().unwrap_or_default());
                return Ok(());
            }
        };
        self.open.push(Open { wire, body });
        self.delta(wire, raw, out)
    }

    fn grow(&mut self, body: &mut Body, delta: Delta, raw: &Json, out: &mut Vec<Event>) {
        if let Some(part) = &delta.partial_json {
            self.count(part);
        }
        let part = delta.partial_json.filter(|part| !part.is_empty());
        match body {
            Body::Text { index, behind } => {
                self.text(*index, delta.text.as_deref(), out);
                delta.citation.into_iter().for_each(|raw| behind.add(raw));
            }
            Body::Thinking { index } => {
                self.thought(*index, delta.thinking.as_deref(), out);
                let seal = delta.signature.as_deref().and_then(signature);
                out.extend(seal.map(|seal| Event::Seal { index: *index, seal }));
            }
            Body::Tool { index, whole, begun } => {
                if let Some(part) = part {
                    (*whole, *begun) = (None, true);
                    out.push(Event::Json { index: *index, part });
                }
            }
            Body::Answer { index, whole } => {
                if let Some(text) = part {
                    (*whole, self.said) = (None, true);
                    out.push(Event::Text { index: *index, text });
                }
            }
            Body::Native { raw: whole, arguments, .. } => {
                if delta.kind.as_deref() == Some("input_json_delta") {
                    arguments.push_str(&part.unwrap_or_default());
                } else {
                    *whole = merged(whole, raw);
                }
            }
        }
    }

    fn close(&mut self, body: Body, out: &mut Vec<Event>) {
        match body {
            Body::Text { index, behind } => {
                let sources = behind.sources.into_iter();
                out.extend(sources.map(|citation| Event::Cite { index, citation }));
                out.push(Event::Close { index });
                for native in behind.natives {
                    let index = self.opened(Opening::Native(native), out);
                    out.push(Event::Close { index });
                }
            }
            Body::Thinking { index } => out.push(Event::Close { index }),
            Body::Answer { index, whole } => {
                if let Some(whole) = whole {
                    out.push(Event::Text { index, text: whole.get().to_owned() });
                    self.said = true;
                }
                out.push(Event::Close { index });
            }
            Body::Tool { index, whole, begun } => {
                if !begun {
                    let part = whole.map_or_else(|| "{}".to_owned(), |all| all.get().to_owned());
                    out.push(Event::Json { index, part });
                }
                out.push(Event::Close { index });
            }
            Body::Native { kind, raw, arguments } => {
                let raw = if arguments.is_empty() { raw } else { with_input(&raw, &arguments) };
                let native = Native { dialect: NAME, field: kind, raw };
                let index = self.opened(Opening::Native(native), out);
                out.push(Event::Close { index });
            }
        }
    }

    fn stop(&mut self, delta: MessageDelta, out: &mut Vec<Event>) {
        self.start(None, out);
        if let Some(stop) = delta.delta {
            if let Some(reason) = stop.stop_reason {
                self.finish = Some(match read::finish(Some(&reason)) {
                    // The only call was the answer itself.
                    Finish::ToolUse if self.answered && !self.calls => Finish::Stop,
                    finish => finish,
                });
                self.stop_sequence = stop.stop_sequence;
            }
            self.refusal = read::explanation(stop.stop_details.as_ref()).or(self.refusal.take());
        }
        let tells_output = self.used(delta.usage, out);
        self.usage_final |= tells_output && self.finish.is_some();
    }

    fn whole(&mut self, out: &mut Vec<Event>) {
        self.start(None, out);
        for open in std::mem::take(&mut self.open) {
            self.close(open.body, out);
        }
        let finish = *self.finish.get_or_insert(Finish::Stop);
        if let Some(text) = self.refusal.take().filter(|_| finish == Finish::Filter && !self.said) {
            let index = self.opened(Opening::Refusal, out);
            out.push(Event::Text { index, text });
            out.push(Event::Close { index });
        }
        (self.whole, self.done) = (true, true);
        out.push(Event::Finish { finish, stop_sequence: self.stop_sequence.take() });
        out.push(Event::End);
    }

    fn fail(&mut self, problem: Problem, out: &mut Vec<Event>) {
        (self.failed, self.done) = (true, true);
        out.push(Event::Problem(problem));
    }
}

/// A block with the members of a delta in place of its own.
fn merged(block: &Json, delta: &Json) -> Json {
    let new: Vec<(String, Json)> =
        json::fields(delta.get()).into_iter().filter(|(name, _)| name != "type").collect();
    let mut members = json::fields(block.get());
    members.retain(|(name, _)| !new.iter().any(|(other, _)| other == name));
    members.extend(new);
    json::object_with(&Json::empty_object(), &members)
}

/// A call of a tool of the provider with the arguments that were streamed.
fn with_input(block: &Json, arguments: &str) -> Json {
    let input = Json::from_arguments(arguments).into_object();
    let mut members = json::fields(block.get());
    match members.iter_mut().find(|(name, _)| name == "input") {
        Some((_, old)) => *old = input,
        None => members.push(("input".to_owned(), input)),
    }
    json::object_with(&Json::empty_object(), &members)
}
