//! A provider's stream to canonical events.

use ledger::UsageReport;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::read_reply::{self, Answer};
use super::scan::{Delta, Scanner};
use super::stream_items::Item;
use super::types::{Kind as Typed, Part, Thoughts};
use super::{problem, state, usage};
use crate::Problem;
use crate::json::{Json, wire};
use crate::problem::Kind as ProblemKind;
use crate::sse::Frame;
use crate::stream::{End, Event, Metered, Opening, Reader, Seen, Stage};

wire! {
    /// All members of all events; each has its own few of them.
    struct Said {
        #[serde(rename = "type")]
        kind: String,
        response: Json,
        output_index: u64,
        content_index: u64,
        summary_index: u64,
        item: Json,
        part: Json,
        annotation: Json,
        delta: Json,
        text: Json,
        refusal: Json,
        arguments: Json,
        input: Json,
        error: Json,
    }
}

#[derive(Default)]
pub(super) struct StreamReader {
    seen: Seen,
    items: BTreeMap<u64, Item>,
    blocks: Blocks,
    over: bool,
}

/// Numbers blocks and tells of them. In between it holds what has to come first: the start.
#[derive(Default)]
pub(super) struct Blocks {
    started: bool,
    next: u32,
    /// Bytes of output that came in whole pieces rather than bit by bit.
    pub(super) bytes: u64,
    pub(super) calls: bool,
}

impl Blocks {
    fn start(&mut self, id: &str, model: &str, out: &mut Vec<Event>) {
        if !self.started {
            self.started = true;
            out.push(Event::Start { id: id.to_owned(), model: model.to_owned() });
        }
    }

    pub(super) fn open(&mut self, block: Opening, out: &mut Vec<Event>) -> u32 {
        self.start("", "", out);
        let index = self.next;
        self.next = self.next.saturating_add(1);
        self.calls |= matches!(block, Opening::ToolUse { .. });
        out.push(Event::Open { index, block });
        index
    }

    /// A block that is there at once.
    pub(super) fn whole(&mut self, block: Opening, out: &mut Vec<Event>) {
        let index = self.open(block, out);
        out.push(Event::Close { index });
    }
}

impl Reader for StreamReader {
    fn frame(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) {
        if self.over || frame.data.is_empty() {
            return;
        }
        let Ok(said) = serde_json::from_str::<Said>(&frame.data) else { return };
        let kind = said.kind.as_deref().unwrap_or(frame.event).to_owned();
        if let Some(delta) = Delta::from_name(&kind) {
            let part = match delta {
                Delta::Summary => said.summary_index,
                _ => said.content_index,
            };
            if let Some(text) = said.delta.as_ref().and_then(Json::as_string) {
                let at = (said.output_index.unwrap_or(0), part.unwrap_or(0));
                self.delta(delta, at, text.len() as u64, Some(text), out);
            }
            return;
        }
        match kind.as_str() {
            "response.created" | "response.queued" | "response.in_progress" => {
                self.begin(said.response.as_ref(), out);
            }
            "response.completed" | "response.incomplete" => {
                self.finish(said.response.as_ref(), out);
            }
            "response.failed" | "response.cancelled" => self.failed(said.response.as_ref(), out),
            "error" => {
                // Flat by the book; some servers send the error in an object.
                let flat = Json::parse(&frame.data);
                self.broken(said.error.or(flat).as_ref(), out);
            }
            "" if said.error.is_some() => self.broken(said.error.as_ref(), out),
            // What the model writes for tools of the provider is no text of an answer, but is charged.
            "response.mcp_call_arguments.delta" | "response.code_interpreter_call_code.delta" => {
                let text = said.delta.as_ref().and_then(Json::as_string);
                self.seen.output_bytes += text.map_or(0, |text| text.len() as u64);
            }
            _ => {
                self.item(&kind, &said, out);
                self.seen.output_bytes += std::mem::take(&mut self.blocks.bytes);
            }
        }
    }

    fn end(&mut self, how: End, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let kind = if how == End::Idle { ProblemKind::Timeout } else { ProblemKind::Upstream };
        let message = match how {
            End::Idle => "the stream was cut: nothing came for too long",
            End::Broken => "the stream was cut: the connection broke",
            End::Closed => "the stream was cut: it ended before its last event",
        };
        out.push(Event::Problem(Problem { upstream: true, ..Problem::own(kind, message) }));
    }

    fn skim(&mut self, frame: &Frame<'_>) {
        /// The same for all streams: it takes a kilobyte, and a while to make.
        static SCANNER: LazyLock<Scanner> = LazyLock::new(Scanner::default);
        let mut unwanted = Vec::new();
        match SCANNER.glimpse(&frame.data) {
            Some(_) if self.over => {}
            Some(seen) => {
                let at = (seen.output_index, seen.part);
                self.delta(seen.delta, at, seen.bytes, None, &mut unwanted);
            }
            None => self.frame(frame, &mut unwanted),
        }
    }

    fn seen(&self) -> Seen {
        self.seen.clone()
    }

    fn usage(&self) -> Option<UsageReport> {
        self.seen.usage.clone()
    }

    fn output_bytes(&self) -> u64 {
        self.seen.output_bytes
    }

    fn stage(&self) -> Stage {
        Stage::of(self.seen.finish, self.seen.whole, self.seen.failed)
    }
}

impl StreamReader {
    fn delta(
        &mut self,
        delta: Delta,
        (output_index, part): (u64, u64),
        bytes: u64,
        text: Option<String>,
        out: &mut Vec<Event>,
    ) {
        let item = self.items.entry(output_index).or_insert_with(|| Item::of_delta(delta));
        if item.delta(delta, part, text, &mut self.blocks, out) {
            self.seen.output_bytes += bytes;
        }
    }

    fn begin(&mut self, response: Option<&Json>, out: &mut Vec<Event>) {
        let answer = response.and_then(|raw| serde_json::from_str::<Answer>(raw.get()).ok());
        if let Some(answer) = answer {
            self.seen.id = answer.id.unwrap_or_default();
            self.seen.model = answer.model.unwrap_or_default();
        }
        self.blocks.start(&self.seen.id, &self.seen.model, out);
    }

    /// What concerns one item, or nothing that is known here.
    fn item(&mut self, kind: &str, said: &Said, out: &mut Vec<Event>) {
        let at = said.output_index.unwrap_or(0);
        let content = said.content_index.unwrap_or(0);
        let summary = said.summary_index.unwrap_or(0);
        if kind == "response.output_item.added" {
            if let Some(raw) = &said.item {
                let blocks = &mut self.blocks;
                self.items.entry(at).or_insert_with(|| Item::added(raw, blocks, out));
            }
            return;
        }
        if kind == "response.output_item.done" {
            if let Some(raw) = &said.item {
                self.item_done(at, raw, out);
            }
            return;
        }
        let Some(item) = self.items.get_mut(&at) else { return };
        let blocks = &mut self.blocks;
        let whole =
            |value: &Option<Json>| value.as_ref().and_then(Json::as_string).unwrap_or_default();
        match kind {
            "response.content_part.added" | "response.content_part.done" => {
                let Some(raw) = &said.part else { return };
                let word = serde_json::from_str::<Typed>(raw.get()).ok().and_then(|part| part.kind);
                let part = serde_json::from_str::<Part>(raw.get()).unwrap_or_default();
                let done = kind == "response.content_part.done";
                item.part(content, word.as_deref().unwrap_or_default(), &part, done, blocks, out);
            }
            "response.reasoning_summary_part.added" => {
                item.thought((Delta::Summary, summary), blocks, out);
            }
            "response.output_text.done" => {
                item.text_done(Delta::Text, content, whole(&said.text), blocks, out);
            }
            "response.refusal.done" => {
                item.text_done(Delta::Refusal, content, whole(&said.refusal), blocks, out);
            }
            "response.reasoning_summary_text.done" => {
                item.text_done(Delta::Summary, summary, whole(&said.text), blocks, out);
            }
            "response.reasoning_text.done" => {
                item.text_done(Delta::Reasoning, content, whole(&said.text), blocks, out);
            }
            "response.function_call_arguments.done" => {
                item.text_done(Delta::Arguments, 0, whole(&said.arguments), blocks, out);
            }
            "response.custom_tool_call_input.done" => {
                item.text_done(Delta::Input, 0, whole(&said.input), blocks, out);
            }
            "response.output_text.annotation.added" => {
                if let Some(raw) = &said.annotation {
                    item.annotation(content, raw, out);
                }
            }
            _ => {}
        }
    }

    fn item_done(&mut self, at: u64, raw: &Json, out: &mut Vec<Event>) {
        let carried = serde_json::from_str::<Thoughts>(raw.get()).ok();
        let carried = carried.as_ref().and_then(state::unwrap_for_call);
        let blocks = &mut self.blocks;
        let item = self.items.entry(at).or_insert_with(|| Item::added(raw, blocks, out));
        let Some((call, seal)) = carried else { return item.done(raw, blocks, out) };
        // There is no more to this item, unless it was said to be another one before.
        item.close(out);
        let block = self.items.values().find_map(|item| item.block_of_call(&call));
        out.extend(block.map(|index| Event::Seal { index, seal }));
    }

    fn finish(&mut self, response: Option<&Json>, out: &mut Vec<Event>) {
        let Some(raw) = response else { return };
        let Ok(answer) = serde_json::from_str::<Answer>(raw.get()) else { return };
        if self.seen.id.is_empty() {
            self.begin(Some(raw), out);
        }
        // The API leaves out ends of items now and then, and others whole items.
        for (at, raw) in (0_u64..).zip(answer.output.as_deref().unwrap_or_default()) {
            self.item_done(at, raw, out);
        }
        self.seen.output_bytes += std::mem::take(&mut self.blocks.bytes);
        for item in self.items.values_mut() {
            item.close(out);
        }
        self.usage(raw, out);
        let finish = read_reply::finish(&answer, self.blocks.calls);
        self.seen.finish = Some(finish);
        self.seen.whole = true;
        self.over = true;
        out.push(Event::Finish { finish, stop_sequence: None });
        out.push(Event::End);
    }

    fn usage(&mut self, response: &Json, out: &mut Vec<Event>) {
        if let Ok(Some(report)) = usage::read_body(response.get().as_bytes()) {
            self.seen.usage = Some(report.clone());
            self.seen.usage_final = true;
            out.push(Event::Usage(Metered::new(report)));
        }
    }

    fn failed(&mut self, response: Option<&Json>, out: &mut Vec<Event>) {
        let error = response.and_then(|raw| {
            // What a failed answer used is billed too, but there is no place left for it in the events.
            self.usage(raw, &mut Vec::new());
            serde_json::from_str::<Answer>(raw.get()).ok()?.error
        });
        self.broken(error.as_ref(), out);
    }

    fn broken(&mut self, error: Option<&Json>, out: &mut Vec<Event>) {
        let nothing = Json::empty_object();
        self.seen.failed = true;
        self.over = true;
        out.push(Event::Problem(problem::from_stream(error.unwrap_or(&nothing))));
    }
}
