//! The items of a stream in the making.

use std::collections::BTreeMap;

use super::read_items::{self, FreeForm};
use super::scan::Delta;
use super::stream_read::Blocks;
use super::types::{Kind as Typed, Message, Part, Thoughts};
use super::{NAME, state};
use crate::chat::{Block, Native};
use crate::json::{Json, TextOr};
use crate::stream::{Event, Opening};

/// An item of the output.
pub(super) struct Item {
    kind: Kind,
    over: bool,
}

pub(super) enum Kind {
    /// Its parts by number.
    Message(BTreeMap<u64, Piece>),
    Reasoning(Thinking),
    Call(Calling),
    /// Known whole at its end only.
    Other,
}

/// A part of a message: a block.
pub(super) struct Piece {
    block: u32,
    /// Whether text came.
    filled: bool,
    cited: bool,
    closed: bool,
}

#[derive(Default)]
pub(super) struct Thinking {
    block: Option<u32>,
    /// The part that is being written.
    part: Option<(Delta, u64)>,
    filled: bool,
}

#[derive(Default)]
pub(super) struct Calling {
    id: String,
    block: Option<u32>,
    custom: bool,
    filled: bool,
    /// What came before the tool's name did.
    waiting: String,
}

impl Item {
    fn new(kind: Kind) -> Self {
        Self { kind, over: false }
    }

    /// The item that such a delta belongs to, where nothing told of it.
    pub(super) fn of_delta(delta: Delta) -> Self {
        Self::new(match delta {
            Delta::Text | Delta::Refusal => Kind::Message(BTreeMap::new()),
            Delta::Summary | Delta::Reasoning => Kind::Reasoning(Thinking::default()),
            Delta::Arguments => Kind::Call(Calling::default()),
            Delta::Input => Kind::Call(Calling { custom: true, ..Calling::default() }),
        })
    }

    pub(super) fn added(raw: &Json, blocks: &mut Blocks, out: &mut Vec<Event>) -> Self {
        let kind = serde_json::from_str::<Typed>(raw.get()).ok().and_then(|typed| typed.kind);
        Self::new(match kind.as_deref() {
            Some("message") => {
                let phase = serde_json::from_str::<Message>(raw.get()).ok().and_then(|m| m.phase);
                if let Some(Block::Native(mark)) = read_items::mark(phase, None) {
                    blocks.whole(Opening::Native(mark), out);
                }
                Kind::Message(BTreeMap::new())
            }
            Some("reasoning") => Kind::Reasoning(Thinking::default()),
            Some(word @ ("function_call" | "custom_tool_call")) => {
                let custom = word == "custom_tool_call";
                let mut call = Calling { custom, ..Calling::default() };
                call.open(raw, blocks, out);
                Kind::Call(call)
            }
            _ => Kind::Other,
        })
    }

    /// Takes a delta; whether it counts. Without `text` it is only counted.
    pub(super) fn delta(
        &mut self,
        delta: Delta,
        part: u64,
        text: Option<String>,
        blocks: &mut Blocks,
        out: &mut Vec<Event>,
    ) -> bool {
        if self.over {
            return false;
        }
        match (&mut self.kind, delta) {
            (Kind::Message(pieces), Delta::Text | Delta::Refusal) => {
                let piece = piece(pieces, part, delta, blocks, out);
                if piece.closed {
                    return false;
                }
                piece.filled = true;
                push_text(piece.block, text, out);
            }
            (Kind::Reasoning(thinking), Delta::Summary | Delta::Reasoning) => {
                let index = thinking.begin((delta, part), blocks, out);
                thinking.filled = true;
                push_text(index, text, out);
            }
            (Kind::Call(call), Delta::Arguments | Delta::Input) => {
                call.add(text.as_deref(), out);
            }
            _ => return false,
        }
        true
    }

    /// A part of reasoning begins.
    pub(super) fn thought(
        &mut self,
        part: (Delta, u64),
        blocks: &mut Blocks,
        out: &mut Vec<Event>,
    ) {
        if let Kind::Reasoning(thinking) = &mut self.kind
            && !self.over
        {
            thinking.begin(part, blocks, out);
        }
    }

    /// A part begins or ends.
    pub(super) fn part(
        &mut self,
        index: u64,
        kind: &str,
        part: &Part,
        done: bool,
        blocks: &mut Blocks,
        out: &mut Vec<Event>,
    ) {
        match (kind, &mut self.kind) {
            ("reasoning_text", Kind::Reasoning(_)) => {
                self.thought((Delta::Reasoning, index), blocks, out);
            }
            ("output_text" | "refusal", Kind::Message(pieces)) if !self.over => {
                let delta = if kind == "refusal" { Delta::Refusal } else { Delta::Text };
                let piece = piece(pieces, index, delta, blocks, out);
                if done {
                    piece.finish(part, blocks, out);
                }
            }
            _ => {}
        }
    }

    /// The whole text of a part, which repeats what came, if anything came.
    pub(super) fn text_done(
        &mut self,
        delta: Delta,
        part: u64,
        text: String,
        blocks: &mut Blocks,
        out: &mut Vec<Event>,
    ) {
        let filled = match &self.kind {
            Kind::Message(pieces) => pieces.get(&part).is_some_and(|piece| piece.filled),
            Kind::Reasoning(thinking) => thinking.filled,
            Kind::Call(call) => call.filled,
            Kind::Other => true,
        };
        let bytes = text.len() as u64;
        if !filled && !text.is_empty() && self.delta(delta, part, Some(text), blocks, out) {
            blocks.bytes += bytes;
        }
    }

    pub(super) fn annotation(&mut self, part: u64, raw: &Json, out: &mut Vec<Event>) {
        let Kind::Message(pieces) = &mut self.kind else { return };
        let Some(piece) = pieces.get_mut(&part).filter(|piece| !piece.closed) else { return };
        if let Some(citation) = read_items::citation(raw) {
            piece.cited = true;
            out.push(Event::Cite { index: piece.block, citation });
        }
    }

    /// The item is complete, as `raw` says.
    pub(super) fn done(&mut self, raw: &Json, blocks: &mut Blocks, out: &mut Vec<Event>) {
        if self.over {
            return;
        }
        match &mut self.kind {
            Kind::Message(pieces) => message_done(pieces, raw, blocks, out),
            Kind::Reasoning(thinking) => thinking.done(raw, blocks, out),
            Kind::Call(call) => call.done(raw, blocks, out),
            Kind::Other => {
                let typed = serde_json::from_str::<Typed>(raw.get()).unwrap_or_default();
                let field = typed.kind.unwrap_or_default();
                let native = Native { dialect: NAME, field, raw: raw.clone() };
                blocks.whole(Opening::Native(native), out);
            }
        }
        self.over = true;
    }

    /// The block of the call of that id, if this is it and it is still open.
    pub(super) fn block_of_call(&self, id: &str) -> Option<u32> {
        match &self.kind {
            Kind::Call(call) if call.id == id && !self.over => call.block,
            _ => None,
        }
    }

    /// The answer is over; what is open closes.
    pub(super) fn close(&mut self, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        match &mut self.kind {
            Kind::Message(pieces) => {
                for piece in pieces.values_mut() {
                    piece.close(out);
                }
            }
            Kind::Reasoning(thinking) => {
                out.extend(thinking.block.map(|index| Event::Close { index }));
            }
            Kind::Call(call) => call.close(out),
            Kind::Other => {}
        }
    }
}

fn push_text(index: u32, text: Option<String>, out: &mut Vec<Event>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        out.push(Event::Text { index, text });
    }
}

/// The part of that number, opened if it is new.
fn piece<'a>(
    pieces: &'a mut BTreeMap<u64, Piece>,
    part: u64,
    delta: Delta,
    blocks: &mut Blocks,
    out: &mut Vec<Event>,
) -> &'a mut Piece {
    pieces.entry(part).or_insert_with(|| {
        let opening = if delta == Delta::Refusal { Opening::Refusal } else { Opening::Text };
        let block = blocks.open(opening, out);
        Piece { block, filled: false, cited: false, closed: false }
    })
}

impl Piece {
    /// The part is complete, as `part` says.
    fn finish(&mut self, part: &Part, blocks: &mut Blocks, out: &mut Vec<Event>) {
        if self.closed {
            return;
        }
        let text = part.text.as_ref().or(part.refusal.as_ref()).filter(|text| !text.is_empty());
        if let Some(text) = text.filter(|_| !self.filled) {
            blocks.bytes += text.len() as u64;
            push_text(self.block, Some(text.clone()), out);
        }
        let annotations = part.annotations.as_deref().unwrap_or_default();
        if !self.cited {
            for citation in annotations.iter().filter_map(read_items::citation) {
                out.push(Event::Cite { index: self.block, citation });
            }
        }
        self.close(out);
        for native in annotations.iter().filter_map(read_items::other_annotation) {
            blocks.whole(Opening::Native(native), out);
        }
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.closed, true) {
            out.push(Event::Close { index: self.block });
        }
    }
}

fn message_done(
    pieces: &mut BTreeMap<u64, Piece>,
    raw: &Json,
    blocks: &mut Blocks,
    out: &mut Vec<Event>,
) {
    let message = serde_json::from_str::<Message>(raw.get()).unwrap_or_default();
    let parts = match message.content {
        Some(TextOr::List(parts)) => parts,
        _ => Vec::new(),
    };
    for (number, raw) in (0_u64..).zip(&parts) {
        let part: Part = serde_json::from_str(raw.get()).unwrap_or_default();
        let delta = match part.kind.as_deref() {
            Some("output_text") => Delta::Text,
            Some("refusal") => Delta::Refusal,
            _ => continue,
        };
        piece(pieces, number, delta, blocks, out).finish(&part, blocks, out);
    }
    for piece in pieces.values_mut() {
        piece.close(out);
    }
}

impl Thinking {
    /// Goes on with a part: a new one stands apart from the one before.
    fn begin(&mut self, part: (Delta, u64), blocks: &mut Blocks, out: &mut Vec<Event>) -> u32 {
        let index = match self.block {
            Some(index) => index,
            None => *self.block.insert(blocks.open(Opening::Thinking, out)),
        };
        if self.part.replace(part).is_some_and(|before| before != part) {
            out.push(Event::Text { index, text: state::BREAK.to_owned() });
        }
        index
    }

    fn done(&mut self, raw: &Json, blocks: &mut Blocks, out: &mut Vec<Event>) {
        let item = serde_json::from_str::<Thoughts>(raw.get()).unwrap_or_default();
        let text = state::text(&item);
        let seal = state::seal(&item);
        let hollow = state::is_hollow(&Block::Thinking { text: text.clone(), seal: seal.clone() });
        if self.block.is_none() && hollow {
            return;
        }
        let index = match self.block {
            Some(index) => index,
            None => blocks.open(Opening::Thinking, out),
        };
        if !self.filled {
            blocks.bytes += text.len() as u64;
            push_text(index, Some(text), out);
        }
        out.extend(seal.map(|seal| Event::Seal { index, seal }));
        out.push(Event::Close { index });
    }
}

impl Calling {
    /// Begins as soon as the name is known.
    fn open(&mut self, raw: &Json, blocks: &mut Blocks, out: &mut Vec<Event>) {
        let Ok(Block::ToolUse { id, name, .. }) = read_items::call(raw, "", false, &mut Vec::new())
        else {
            return;
        };
        if self.block.is_some() || name.is_empty() {
            return;
        }
        self.id.clone_from(&id);
        let index = blocks.open(Opening::ToolUse { id, name }, out);
        self.block = Some(index);
        if self.custom {
            out.push(Event::Json { index, part: "{\"input\":\"".to_owned() });
        }
        let waiting = std::mem::take(&mut self.waiting);
        if !waiting.is_empty() {
            out.push(Event::Json { index, part: waiting });
        }
    }

    fn add(&mut self, text: Option<&str>, out: &mut Vec<Event>) {
        self.filled = true;
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        let part = if self.custom { within_string(text) } else { text.to_owned() };
        match self.block {
            Some(index) => out.push(Event::Json { index, part }),
            None => self.waiting.push_str(&part),
        }
    }

    fn done(&mut self, raw: &Json, blocks: &mut Blocks, out: &mut Vec<Event>) {
        self.open(raw, blocks, out);
        let Ok(Block::ToolUse { input, seal, .. }) =
            read_items::call(raw, "", false, &mut Vec::new())
        else {
            self.close(out);
            return;
        };
        if !self.filled && input.get() != "{}" {
            let free = || serde_json::from_str::<FreeForm>(input.get()).unwrap_or_default().input;
            let text = if self.custom { free() } else { input.get().to_owned() };
            blocks.bytes += text.len() as u64;
            self.add(Some(&text), out);
        }
        if let (Some(index), Some(seal)) = (self.block, seal) {
            self.complete(index, out);
            out.push(Event::Seal { index, seal });
            out.push(Event::Close { index });
        } else {
            self.close(out);
        }
    }

    /// Arguments are JSON text, also of a tool that takes none.
    fn complete(&self, index: u32, out: &mut Vec<Event>) {
        if self.custom {
            out.push(Event::Json { index, part: "\"}".to_owned() });
        } else if !self.filled {
            out.push(Event::Json { index, part: "{}".to_owned() });
        }
    }

    fn close(&self, out: &mut Vec<Event>) {
        if let Some(index) = self.block {
            self.complete(index, out);
            out.push(Event::Close { index });
        }
    }
}

/// The text as it stands within a JSON string.
fn within_string(text: &str) -> String {
    let json = Json::of(&text);
    let inner = json.get().strip_prefix('"').and_then(|json| json.strip_suffix('"'));
    inner.unwrap_or_default().to_owned()
}
