//! Canonical turns to the items of an input.

use super::items_out::{annotation, call_members, free_text};
use super::names::{legal, short_id};
use super::namespaces::{self, Member};
use super::read_items::{self, ANNOTATION, IN_CONTENT};
use super::state::{self, CallState};
use super::types::{Breakpoint, Call, Message, Output, Part};
use super::write::Rules;
use super::{NAME, write_parts, write_tools};
use crate::chat::{self, Block, CacheLife, Chat, Format, Native, Role, Turn};
use crate::json::{self, Json, TextOr};
use crate::{Dropped, Unsupported, rounds};

/// What a conversation is in this dialect.
pub(super) struct Input {
    pub(super) instructions: Option<String>,
    pub(super) list: Vec<Json>,
}

/// The most cache breakpoints that one request may write.
const MOST_BREAKPOINTS: usize = 4;

struct Writer<'a> {
    rules: Rules,
    /// Tools that take free text, and calls of such.
    custom_tools: Vec<String>,
    /// The tools that are in groups.
    members: Vec<Member>,
    custom_calls: Vec<String>,
    /// Breakpoints that are too many: the first ones.
    too_many: usize,
    list: Vec<Json>,
    dropped: &'a mut Dropped,
}

pub(super) fn input(
    chat: &Chat,
    rules: Rules,
    kept: &[(String, Json)],
    dropped: &mut Dropped,
) -> Result<Input, Unsupported> {
    let all = chat.system.iter().chain(chat.turns.iter().flat_map(|turn| &turn.blocks));
    let points = all.filter(|block| matches!(block, Block::CachePoint(_))).count();
    let mut writer = Writer {
        rules,
        custom_tools: write_tools::custom_names(kept),
        members: namespaces::members(kept.iter().map(|(_, raw)| raw)),
        custom_calls: Vec::new(),
        too_many: points.saturating_sub(MOST_BREAKPOINTS),
        list: Vec::new(),
        dropped,
    };
    let mut instructions = None;
    // JSON is refused to an input that does not speak of it; `instructions` do not count.
    let said = chat.turns.iter().flat_map(|turn| &turn.blocks);
    let unsaid = chat.output.format == Format::JsonObject && !chat::speaks_of_json(said);
    let mut system = chat.system.clone();
    if unsaid && !chat::speaks_of_json(system.iter()) {
        system.push(Block::Text("Answer with one JSON object.".to_owned()));
    }
    match plain_text(&system, rules).filter(|_| !unsaid) {
        // An input must have an item.
        Some(text) if !chat.turns.is_empty() || rules.continues => {
            writer.note_points(&system);
            instructions = (!text.is_empty()).then_some(text);
        }
        _ if system.is_empty() => {}
        _ => writer.message(writer.operator(), &system)?,
    }
    rounds::complete(&chat.turns, rules.continues || refers(&chat.turns))?;
    for turn in rounds::distinct(&chat.turns).iter() {
        writer.turn(turn)?;
    }
    Ok(Input { instructions, list: writer.list })
}

/// Whether there are items that may be calls of their own kind, or stand for calls that only the server has.
fn refers(turns: &[Turn]) -> bool {
    turns.iter().flat_map(|turn| &turn.blocks).any(|block| match block {
        Block::Native(native) => {
            let is_part =
                [IN_CONTENT, ANNOTATION].iter().any(|part| native.field.starts_with(part));
            native.dialect == NAME && !is_part && !read_items::is_mark(native)
        }
        _ => false,
    })
}

/// The text of the system, if it is nothing but text.
fn plain_text(system: &[Block], rules: Rules) -> Option<String> {
    let mut texts = Vec::new();
    for block in system {
        match block {
            Block::Text(text) => texts.push(text.as_str()),
            Block::CachePoint(_) if !rules.breakpoints => {}
            _ => return None,
        }
    }
    Some(texts.join("\n\n"))
}

impl Writer<'_> {
    fn operator(&self) -> &'static str {
        if self.rules.openai { "developer" } else { "system" }
    }

    fn note_points(&mut self, blocks: &[Block]) {
        if blocks.iter().any(|block| matches!(block, Block::CachePoint(_))) {
            self.dropped.note("cache_control");
        }
    }

    fn turn(&mut self, turn: &Turn) -> Result<(), Unsupported> {
        self.dropped.unless_none("name", turn.name.as_ref());
        match turn.role {
            Role::System => self.message(self.operator(), &turn.blocks),
            Role::User => self.user(&turn.blocks),
            Role::Assistant => {
                self.assistant(&turn.blocks);
                Ok(())
            }
        }
    }

    /// Results and items in their order, what is between them as messages.
    fn user(&mut self, blocks: &[Block]) -> Result<(), Unsupported> {
        let is_item = |block: &Block| match block {
            Block::ToolResult { .. } => true,
            Block::Native(native) => {
                native.dialect == NAME && !native.field.starts_with(IN_CONTENT)
            }
            _ => false,
        };
        let mut rest = blocks;
        while let Some(first) = rest.first() {
            let at = rest.iter().position(is_item).unwrap_or(rest.len());
            let (message, more) = rest.split_at(at);
            if message.is_empty() {
                self.item(first)?;
                rest = more.get(1..).unwrap_or_default();
            } else {
                self.message("user", message)?;
                rest = more;
            }
        }
        Ok(())
    }

    fn item(&mut self, block: &Block) -> Result<(), Unsupported> {
        match block {
            Block::ToolResult { id, blocks, failed, .. } => self.result(id, blocks, *failed),
            Block::Native(native) => {
                self.list.push(native.raw.clone());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn result(&mut self, id: &str, blocks: &[Block], failed: bool) -> Result<(), Unsupported> {
        if failed {
            self.dropped.note("is_error");
        }
        self.note_points(blocks);
        let blocks: Vec<Block> =
            blocks.iter().filter(|b| !matches!(b, Block::CachePoint(_))).cloned().collect();
        let output = match self.parts(&blocks)? {
            parts if parts.is_empty() => TextOr::Text(String::new()),
            parts => content(parts, &blocks),
        };
        let custom = self.custom_calls.iter().any(|call| call == id);
        let kind = if custom { "custom_tool_call_output" } else { "function_call_output" };
        self.list.push(Json::of(&Output {
            kind: Some(kind.to_owned()),
            call_id: Some(short_id(id).into_owned()),
            output: Some(output),
            ..Output::default()
        }));
        Ok(())
    }

    fn message(&mut self, role: &str, blocks: &[Block]) -> Result<(), Unsupported> {
        let parts = self.parts(blocks)?;
        if parts.is_empty() {
            return Ok(());
        }
        self.list.push(Json::of(&Message {
            role: Some(role.to_owned()),
            content: Some(content(parts, blocks)),
            ..Message::default()
        }));
        Ok(())
    }

    /// The parts of a message that is not the assistant's.
    fn parts(&mut self, blocks: &[Block]) -> Result<Vec<Json>, Unsupported> {
        let mut parts: Vec<Part> = Vec::new();
        let mut written: Vec<Json> = Vec::new();
        for block in blocks {
            match block {
                Block::Text(text) | Block::Refusal(text) => parts.push(write_parts::text(text)),
                Block::Media(media) => parts.push(write_parts::media(media, self.rules)?),
                Block::CachePoint(life) => self.breakpoint(parts.last_mut(), *life),
                Block::Native(native)
                    if native.dialect == NAME && native.field.starts_with(IN_CONTENT) =>
                {
                    written.extend(parts.drain(..).map(|part| Json::of(&part)));
                    written.push(native.raw.clone());
                }
                other => self.note(other),
            }
        }
        written.extend(parts.iter().map(Json::of));
        Ok(written)
    }

    fn breakpoint(&mut self, part: Option<&mut Part>, life: CacheLife) {
        let extra = self.too_many > 0;
        self.too_many = self.too_many.saturating_sub(1);
        // Pictures take none.
        let part = part.filter(|part| part.kind.as_deref() == Some("input_text"));
        match part {
            Some(part) if self.rules.breakpoints && !extra => {
                part.prompt_cache_breakpoint = Some(Breakpoint {
                    mode: Some("explicit".to_owned()),
                    // Half an hour is what nothing said means.
                    ttl: (life == CacheLife::Long).then(|| "12h".to_owned()),
                });
            }
            _ => self.dropped.note("cache_control"),
        }
    }

    /// Notes a block that has no place here.
    fn note(&mut self, block: &Block) {
        match block {
            Block::Citation(_) => self.dropped.note("annotations"),
            Block::CachePoint(_) => self.dropped.note("cache_control"),
            Block::Thinking { .. } => self.dropped.note("thinking"),
            Block::Media(media) => self.dropped.note(media.kind.name()),
            Block::Native(native) => self.dropped.note(&native.field),
            Block::ToolUse { .. } => self.dropped.note("tool_calls"),
            Block::ToolResult { .. } => self.dropped.note("tool_result"),
            Block::Text(_) | Block::Refusal(_) => {}
        }
    }

    fn assistant(&mut self, blocks: &[Block]) {
        let mut message = Answer::default();
        let first = self.list.len();
        let mut thoughts_last = false;
        for block in blocks {
            let before = self.list.len();
            match block {
                Block::Text(text) => message.text(text),
                Block::Refusal(text) => message.refusal(text),
                Block::Citation(citation) => message.annotate(|text| annotation(citation, text)),
                Block::Native(native) if native.dialect == NAME => {
                    self.native(native, &mut message);
                }
                Block::Thinking { text, seal } => {
                    message.flush(&mut self.list);
                    let item = self.thoughts(text, seal.as_ref());
                    match item {
                        Some(item) => self.list.push(item),
                        None => self.dropped.note("thinking"),
                    }
                }
                Block::ToolUse { id, name, input, seal } => {
                    message.flush(&mut self.list);
                    self.dropped.unless_kept(seal.as_ref());
                    if !self.rules.openai {
                        self.dropped.call_members(name, seal.as_ref());
                    }
                    let call = self.call(id, name, input, seal.as_ref());
                    self.list.push(call);
                }
                other => self.note(other),
            }
            if self.list.len() > before {
                thoughts_last = matches!(block, Block::Thinking { .. });
            }
        }
        let waits = !message.is_empty();
        message.flush(&mut self.list);
        if thoughts_last && !waits {
            // The API refuses thoughts that lead to nothing.
            while self.list.len() > first && self.list.last().is_some_and(is_reasoning) {
                self.list.pop();
                self.dropped.note("thinking");
            }
        }
    }

    fn native(&mut self, native: &Native, message: &mut Answer) {
        if read_items::is_mark(native) {
            message.flush(&mut self.list);
            message.head = serde_json::from_str(native.raw.get()).unwrap_or_default();
        } else if native.field.starts_with(ANNOTATION) {
            message.annotate(|_| native.raw.clone());
        } else if native.field.starts_with(IN_CONTENT) {
            message.parts.push(Err(native.raw.clone()));
        } else {
            message.flush(&mut self.list);
            self.list.push(native.raw.clone());
        }
    }

    /// The item of thoughts that came from this API. Those of others are no business of this one's.
    fn thoughts(&self, text: &str, seal: Option<&crate::chat::Seal>) -> Option<Json> {
        let own = seal.filter(|seal| seal.dialect == NAME).map(state::of_seal);
        if !self.rules.openai {
            // Servers that show their thoughts want them back as they are.
            let id = own.and_then(|state| state.id);
            let id = id.unwrap_or_else(|| format!("rs_{}", self.list.len()));
            return (!text.is_empty()).then(|| state::open_item(&id, text));
        }
        // An id of another server of the dialect means nothing here.
        let ours = |state: &state::State| state.id.as_ref().is_none_or(|id| id.starts_with("rs"));
        let state = own.filter(ours)?;
        let known = state.encrypted_content.is_some() || !self.rules.stateless;
        // What the server remembers must not come to it twice.
        let again = self.rules.continues && state.id.is_some();
        (known && !again).then(|| state::item(text, &state))
    }

    fn call(
        &mut self,
        id: &str,
        name: &str,
        input: &Json,
        seal: Option<&crate::chat::Seal>,
    ) -> Json {
        let own = seal.filter(|seal| seal.dialect == NAME && self.rules.openai);
        let state: CallState =
            own.and_then(|seal| serde_json::from_str(&seal.value).ok()).unwrap_or_default();
        let member = self.members.iter().find(|member| self.rules.openai && member.flat == name);
        let custom = self.rules.openai
            && (state.kind.is_some()
                || member.is_some_and(|member| member.custom)
                || self.custom_tools.iter().any(|tool| tool == name));
        let mut call = Call {
            kind: Some("function_call".to_owned()),
            id: state.id,
            call_id: Some(short_id(id).into_owned()),
            name: Some(legal(member.map_or(name, |member| &member.name)).into_owned()),
            ..Call::default()
        };
        if custom {
            self.custom_calls.push(id.to_owned());
            call.kind = Some("custom_tool_call".to_owned());
            call.input = Some(free_text(input.get()));
        } else {
            call.arguments = Some(Json::of(&input.to_arguments()));
        }
        let mut more = call_members(own);
        if let Some(Member { group, .. }) = member {
            more.retain(|(name, _)| name != namespaces::KIND);
            call.namespace = Some(group.clone());
        }
        json::object_with(&call, &more)
    }
}

fn is_reasoning(item: &Json) -> bool {
    item.get().starts_with("{\"type\":\"reasoning\"")
}

/// Takes the ids out of the thoughts at the end of the list: the API looks thoughts with an id up, and then refuses a
/// message without one behind them.
fn forget_ids(list: &mut [Json]) {
    for item in list.iter_mut().rev().take_while(|item| is_reasoning(item)) {
        let mut members = json::fields(item.get());
        members.retain(|(name, _)| name != "id");
        *item = json::object_with(&serde_json::Map::new(), &members);
    }
}

/// A lone text is sent as a string, which every server takes, unless it is marked.
fn content(parts: Vec<Json>, blocks: &[Block]) -> TextOr<Json> {
    let mut said = blocks.iter().filter(|block| !matches!(block, Block::CachePoint(_)));
    match (said.next(), said.next(), parts.first()) {
        (Some(Block::Text(text)), None, Some(part)) if !is_marked(part) => {
            TextOr::Text(text.clone())
        }
        _ => TextOr::List(parts),
    }
}

fn is_marked(part: &Json) -> bool {
    serde_json::from_str::<Part>(part.get())
        .is_ok_and(|part| part.prompt_cache_breakpoint.is_some())
}

/// A message of the assistant's in the making.
#[derive(Default)]
struct Answer {
    head: Message,
    /// Parts, and those that are kept as they were written.
    parts: Vec<Result<Part, Json>>,
}

impl Answer {
    fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    fn text(&mut self, text: &str) {
        self.parts.push(Ok(Part {
            kind: Some("output_text".to_owned()),
            text: Some(text.to_owned()),
            annotations: Some(Vec::new()),
            ..Part::default()
        }));
    }

    fn refusal(&mut self, text: &str) {
        self.parts.push(Ok(Part {
            kind: Some("refusal".to_owned()),
            refusal: Some(text.to_owned()),
            ..Part::default()
        }));
    }

    /// Adds an annotation to the text before it, if there is one.
    fn annotate(&mut self, annotation: impl FnOnce(&str) -> Json) {
        if let Some(Ok(Part { text: Some(text), annotations: Some(list), .. })) =
            self.parts.last_mut()
        {
            list.push(annotation(text));
        }
    }

    fn flush(&mut self, list: &mut Vec<Json>) {
        let Self { head, parts } = std::mem::take(self);
        if parts.is_empty() {
            return;
        }
        let written = |part: Result<Part, Json>| match part {
            Ok(part) => Json::of(&part),
            Err(raw) => raw,
        };
        if head.id.is_none() {
            forget_ids(list);
        }
        // A message that the server knows by its id is one of its own, which have a status.
        let status = head.id.is_some().then(|| "completed".to_owned());
        list.push(Json::of(&Message {
            kind: Some("message".to_owned()),
            role: Some("assistant".to_owned()),
            status,
            content: Some(TextOr::List(parts.into_iter().map(written).collect())),
            ..head
        }));
    }
}
