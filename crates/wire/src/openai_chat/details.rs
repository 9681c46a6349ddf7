//! Thoughts with the state of the provider that thought them, as `OpenRouter` hands them to clients of Chat Completions:
//! `reasoning_details`. <https://openrouter.ai/docs/use-cases/reasoning-tokens>
//!
//! All entries of one block have its `index`. A client may send back the entries as they came in a stream, or put together.

use std::collections::VecDeque;

use super::NAME;
use super::types::Detail;
use crate::chat::{Block, Native, Seal};
use crate::json::{self, Json};
use crate::seal;

/// Whose state an entry holds.
const FORMATS: [(&str, &str); 3] = [
    ("anthropic", "anthropic-claude-v1"),
    ("openai_responses", "openai-responses-v1"),
    ("gemini", "google-gemini-v1"),
];

/// Marks an entry that is a block of another dialect as it stands, not thoughts.
const NATIVE: &str = "native:";

fn format_of(dialect: &str) -> &'static str {
    FORMATS.iter().find(|(name, _)| *name == dialect).map_or("unknown", |(_, format)| format)
}

/// Others serve the models of these providers too and put their own name before the format.
fn dialect_of(format: Option<&str>, signed: bool) -> &'static str {
    match format {
        // Only Anthropic signs what can be read.
        None | Some("unknown") if signed => "anthropic",
        None => NAME,
        Some(format) => FORMATS
            .iter()
            .find(|(_, known)| format.ends_with(known))
            .map_or(NAME, |(dialect, _)| dialect),
    }
}

fn of_kind(kind: &str, index: u64) -> Detail {
    Detail { kind: Some(kind.to_owned()), index: Some(index), ..Detail::default() }
}

/// An entry of thoughts that have come so far.
pub(super) fn text(text: &str, index: u64) -> Detail {
    Detail { text: Some(text.to_owned()), ..of_kind("reasoning.text", index) }
}

/// The entry of the state of a block: of thoughts, with text or without, or of the call `call`.
pub(super) fn state(seal: &Seal, has_text: bool, call: Option<&str>, index: u64) -> Detail {
    let format = Some(format_of(seal.dialect).to_owned());
    // A format that says whose it is needs no envelope.
    let own = if format.as_deref() == Some("unknown") { NAME } else { seal.dialect };
    let value = Some(seal::wrap(seal, own));
    if seal.dialect == "anthropic" && has_text {
        return Detail { signature: value, format, ..of_kind("reasoning.text", index) };
    }
    let id = call.map(ToOwned::to_owned);
    Detail { data: value, format, id, ..of_kind("reasoning.encrypted", index) }
}

/// The entry of a block that only its own dialect knows.
pub(super) fn native(native: &Native, index: u64) -> Detail {
    Detail {
        data: Some(native.raw.get().to_owned()),
        id: Some(format!("{NATIVE}{}", native.field)),
        format: Some(format_of(native.dialect).to_owned()),
        ..of_kind("reasoning.encrypted", index)
    }
}

/// Marks an entry that tells what stands here of the text and the calls, which clients keep in places of their own.
const PLACE: &str = "place:";

/// What a client has been told since the last entry: characters of text, and 0 for a call. It is told of only where
/// thoughts or natives come behind: Anthropic refuses thoughts that have been moved.
#[derive(Default)]
pub(super) struct Places(Vec<u64>);

impl Places {
    pub(super) fn text(&mut self, characters: u64) {
        match self.0.last_mut() {
            Some(last) if *last > 0 => *last = last.saturating_add(characters),
            _ if characters > 0 => self.0.push(characters),
            _ => {}
        }
    }

    pub(super) fn call(&mut self) {
        self.0.push(0);
    }

    /// The entry that tells it, ahead of one of thoughts or of a native.
    pub(super) fn entry(&mut self, index: u64) -> Option<Detail> {
        if self.0.is_empty() {
            return None;
        }
        Some(Detail {
            data: Some(Json::of(&std::mem::take(&mut self.0)).get().to_owned()),
            id: Some(PLACE.to_owned()),
            format: Some(format_of(NAME).to_owned()),
            ..of_kind("reasoning.encrypted", index)
        })
    }
}

fn place(entry: &Detail) -> Option<Vec<u64>> {
    if entry.id.as_deref() != Some(PLACE) {
        return None;
    }
    Some(serde_json::from_str(entry.data.as_deref()?).unwrap_or_default())
}

/// Whether a block of an answer is carried by an entry of its own.
pub(super) fn carries(block: &Native) -> bool {
    FORMATS.iter().any(|(dialect, _)| *dialect == block.dialect)
}

/// The entries of a whole answer for a client.
pub(super) fn tell(blocks: &[Block]) -> Vec<Json> {
    let mut places = Places::default();
    entries(blocks, |block, index| match block {
        Block::Text(text) => {
            places.text(text.chars().count() as u64);
            None
        }
        Block::ToolUse { .. } => {
            places.call();
            None
        }
        Block::Thinking { .. } => places.entry(index),
        Block::Native(native) if carries(native) => places.entry(index),
        _ => None,
    })
}

/// The entries of an answer in a history.
pub(super) fn write(blocks: &[Block]) -> Vec<Json> {
    entries(blocks, |_, _| None)
}

/// `ahead` gives what stands ahead of the entries of a block.
fn entries(blocks: &[Block], mut ahead: impl FnMut(&Block, u64) -> Option<Detail>) -> Vec<Json> {
    let mut all = Vec::new();
    let mut index = 0;
    for block in blocks {
        if let Some(entry) = ahead(block, index) {
            all.push(entry);
            index += 1;
        }
        let before = all.len();
        match block {
            Block::Thinking { text, seal } => all.extend(thoughts(text, seal.as_ref(), index)),
            Block::ToolUse { id, seal: Some(seal), .. } => {
                all.push(state(seal, false, Some(id), index));
            }
            Block::Native(block) if carries(block) => all.push(native(block, index)),
            _ => {}
        }
        index += u64::from(all.len() > before);
    }
    all.iter().map(Json::of).collect()
}

fn thoughts(text: &str, seal: Option<&Seal>, index: u64) -> Vec<Detail> {
    let mut entries = Vec::new();
    if !text.is_empty() {
        let mut entry = self::text(text, index);
        if seal.is_some_and(|seal| seal.dialect == "openai_responses") {
            entry.kind = Some("reasoning.summary".to_owned());
            entry.summary = entry.text.take();
        }
        entry.format = seal.map(|seal| format_of(seal.dialect).to_owned());
        entries.push(entry);
    }
    if let Some(seal) = seal {
        let mut state = state(seal, !text.is_empty(), None, index);
        match entries.last_mut() {
            Some(entry) if state.signature.is_some() => entry.signature = state.signature.take(),
            _ => entries.push(state),
        }
    }
    entries
}

/// An entry, read.
#[derive(Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) seal: Option<Seal>,
    /// The block that it belongs to, where the entry says it.
    pub(super) index: Option<u64>,
    /// What the entry says of its origin; what has none may still join what has.
    format: Option<String>,
    /// Its own name: that of a call where the state is a call's.
    pub(super) id: Option<String>,
    pub(super) native: Option<Native>,
    /// Whether the state stands for thoughts rather than beside them.
    encrypted: bool,
}

/// Reads the entries; what is none is passed over, for it is the client's word on the provider's state.
pub(super) fn pieces(details: &[Json]) -> impl Iterator<Item = Piece> {
    details.iter().filter_map(|raw| {
        let entry: Detail = serde_json::from_str(raw.get()).ok()?;
        if place(&entry).is_some() { None } else { piece(entry) }
    })
}

fn piece(entry: Detail) -> Option<Piece> {
    let text = entry.text.or(entry.summary).unwrap_or_default();
    let signed = entry.signature.is_some();
    let dialect = dialect_of(entry.format.as_deref(), signed);
    let value = entry.signature.or(entry.data).filter(|value| !value.is_empty());
    let field = entry.id.as_deref().and_then(|id| id.strip_prefix(NATIVE));
    let native = field.and_then(|field| {
        let raw = Json::parse(value.as_deref()?).filter(|raw| is_named(field, raw))?;
        Some(Native { dialect, field: field.to_owned(), raw })
    });
    let seal = match field {
        Some(_) => None,
        None => value.map(|value| seal::unwrap(&value, dialect)),
    };
    let said = !text.is_empty() || seal.is_some() || native.is_some();
    said.then_some(Piece {
        text,
        seal,
        index: entry.index,
        format: entry.format,
        id: entry.id,
        native,
        encrypted: !signed,
    })
}

/// Whether this is what its name says, once, and nothing that has a form of its own here: clients may send anything back.
fn is_named(field: &str, raw: &Json) -> bool {
    const CANONICAL: [&str; 13] = [
        "text",
        "thinking",
        "redacted_thinking",
        "tool_use",
        "tool_result",
        "image",
        "document",
        "message",
        "reasoning",
        "function_call",
        "function_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
    ];
    let members = json::fields(raw.get());
    let of = |wanted: &str| members.iter().filter(|(name, _)| name == wanted).count();
    let kind =
        members.iter().find(|(name, _)| name == "type").and_then(|(_, kind)| kind.as_string());
    match kind {
        Some(kind) => {
            let same = kind == field || field.starts_with("content.");
            same && of("type") == 1 && !CANONICAL.contains(&kind.as_str())
        }
        None => of(field) == 1 || field.starts_with("content.") && raw.is_object(),
    }
}

/// A block of thoughts in the making.
struct Draft {
    text: String,
    seal: Option<Seal>,
    index: Option<u64>,
    format: Option<String>,
}

impl Draft {
    /// Whether `piece` goes on with this block.
    fn takes(&self, piece: &Piece) -> bool {
        if self.seal.is_some() && piece.seal.is_some() {
            return false;
        }
        match (self.index, piece.index) {
            (Some(own), Some(other)) if own == other => true,
            // OpenRouter counts entries rather than blocks: a summary and the state behind it.
            (Some(_), Some(_)) => {
                let same = self.format.is_some() && self.format == piece.format;
                let theirs = self.format.as_deref().is_some_and(|f| f.ends_with("responses-v1"));
                same && theirs && self.seal.is_none() && piece.text.is_empty()
            }
            // Encrypted thoughts of Anthropic are a block of their own.
            _ => {
                let claude = piece.seal.as_ref().is_some_and(|seal| seal.dialect == "anthropic");
                self.seal.is_none() && !(claude && piece.encrypted)
            }
        }
    }
}

/// What a message's entries say.
#[derive(Default)]
pub(super) struct Told {
    /// Blocks of thoughts and natives in their order.
    pub(super) blocks: Vec<Block>,
    /// The state of calls by their ids.
    pub(super) of_calls: Vec<(String, Seal)>,
    /// How many of the blocks stand ahead of what [`Places`] tells.
    places: Vec<(usize, Vec<u64>)>,
}

impl Told {
    /// Thoughts that come first, and have no entry.
    pub(super) fn begin_with(&mut self, thoughts: Block) {
        self.blocks.insert(0, thoughts);
        for (ahead, _) in &mut self.places {
            *ahead += 1;
        }
    }

    /// The text in the pieces that blocks stand between.
    pub(super) fn cut(&self, visible: Vec<Block>) -> Vec<Block> {
        if self.places.is_empty() {
            return visible;
        }
        let (mut visible, mut cut) = (VecDeque::from(visible), Vec::new());
        let steps = self.places.iter().flat_map(|(_, steps)| steps);
        for characters in steps.filter(|step| **step > 0) {
            take_text(&mut visible, *characters, &mut cut);
        }
        cut.extend(visible);
        cut
    }

    /// All that an answer says, in its order as far as it is told: `visible` and `calls` else stand behind the blocks.
    pub(super) fn arranged(self, visible: Vec<Block>, calls: Vec<Block>) -> Vec<Block> {
        if self.places.is_empty() {
            let mut all = visible;
            all.splice(0..0, self.blocks);
            all.extend(calls);
            return all;
        }
        let (mut visible, mut calls) = (VecDeque::from(visible), calls.into_iter());
        let mut places = self.places.into_iter().peekable();
        let mut all = Vec::new();
        for (at, block) in self.blocks.into_iter().enumerate() {
            while let Some((_, steps)) = places.next_if(|(ahead, _)| *ahead <= at) {
                for step in steps {
                    match step {
                        0 => all.extend(calls.next()),
                        characters => take_text(&mut visible, characters, &mut all),
                    }
                }
            }
            all.push(block);
        }
        all.extend(visible);
        all.extend(calls);
        all
    }
}

/// Takes the first characters of the text, with what stands between them.
fn take_text(from: &mut VecDeque<Block>, characters: u64, to: &mut Vec<Block>) {
    let mut left = usize::try_from(characters).unwrap_or(usize::MAX);
    while left > 0
        && let Some(block) = from.pop_front()
    {
        let Block::Text(text) = block else {
            to.push(block);
            continue;
        };
        let end = text.char_indices().nth(left).map(|(end, _)| end);
        if let Some((taken, rest)) = end.and_then(|end| text.split_at_checked(end)) {
            from.push_front(Block::Text(rest.to_owned()));
            to.push(Block::Text(taken.to_owned()));
            return;
        }
        left = left.saturating_sub(text.chars().count());
        to.push(Block::Text(text));
    }
    // Sources of the last piece.
    while let Some(cited) = from.pop_front_if(|block| matches!(block, Block::Citation(_))) {
        to.push(cited);
    }
}

/// Reads the entries of a message.
pub(super) fn read(details: &[Json], calls: &[&str]) -> Told {
    /// More than any answer has; each of them may copy the text.
    const MOST_STEPS: usize = 256;
    let Told { mut blocks, mut of_calls, mut places } = Told::default();
    let mut known: usize = 0;
    let mut draft: Option<Draft> = None;
    let close = |draft: &mut Option<Draft>, blocks: &mut Vec<Block>| {
        blocks.extend(draft.take().map(|d| Block::Thinking { text: d.text, seal: d.seal }));
    };
    let entries = details.iter().filter_map(|raw| serde_json::from_str::<Detail>(raw.get()).ok());
    for entry in entries {
        if let Some(steps) = place(&entry) {
            close(&mut draft, &mut blocks);
            known += steps.len();
            if known <= MOST_STEPS {
                places.push((blocks.len(), steps));
            }
            continue;
        }
        let Some(piece) = piece(entry) else { continue };
        if let Some(native) = piece.native {
            close(&mut draft, &mut blocks);
            blocks.push(Block::Native(native));
            continue;
        }
        let call = piece.id.as_deref().filter(|id| calls.contains(id));
        if let (Some(call), Some(seal), true) = (call, &piece.seal, piece.text.is_empty()) {
            of_calls.push((call.to_owned(), seal.clone()));
            continue;
        }
        if !draft.as_ref().is_some_and(|draft| draft.takes(&piece)) {
            close(&mut draft, &mut blocks);
        }
        let draft = draft.get_or_insert_with(|| Draft {
            text: String::new(),
            seal: None,
            index: piece.index,
            format: None,
        });
        draft.text.push_str(&piece.text);
        draft.seal = draft.seal.take().or(piece.seal);
        draft.format = piece.format.or(draft.format.take());
    }
    close(&mut draft, &mut blocks);
    Told { blocks, of_calls, places }
}
