//! Items to blocks, those of a request's input and of an answer's output alike.

use super::types::{Annotation, Call, Kind, Message, Output, Part, Thoughts};
use super::{ADDITIONAL_TOOLS, NAME, search, state};
use crate::chat::{Block, CacheLife, Citation, Media, MediaKind, Native, Role, Seal, Source, Turn};
use crate::json::{self, Json, Malformed, TextOr};
use crate::unknown;

pub(super) fn missing(path: &str, right: &str) -> Malformed {
    Malformed::new(path, format!("missing; {right} is required"))
}

fn native(field: impl Into<String>, raw: Json) -> Block {
    Block::Native(Native { dialect: NAME, field: field.into(), raw })
}

/// What the names of lost members of items begin with.
const INPUT: &str = "input";
/// The name of a native block that holds what a message says of itself: its phase, its id. It stands before the message's
/// text. Without a phase it has no name, because an id alone is of no use to anybody else.
pub(super) const PHASE: &str = "phase";
/// What a native block's name begins with when it is a part of a message, or an annotation of one, and not an item.
pub(super) const IN_CONTENT: &str = "content.";
pub(super) const ANNOTATION: &str = "annotations.";

/// What a list of items says.
#[derive(Default)]
pub(super) struct Conversation {
    pub(super) system: Vec<Block>,
    pub(super) turns: Vec<Turn>,
    /// The states of calls of other providers. Clients may keep items in the order of their ends, which puts a state in front of
    /// its call.
    pub(super) of_calls: Vec<(String, Seal)>,
}

impl Conversation {
    /// Gives the calls their states back, in the place of what this dialect has to say of them.
    pub(super) fn seal_calls(&mut self) {
        for (call, seal) in self.of_calls.drain(..) {
            attach(&mut self.turns, &call, seal);
        }
    }
}

/// The system and the turns of a list of items. With `stateful`, the items follow a conversation that the server
/// remembers, so that an operator's word at their start is one in the middle.
pub(super) fn conversation(
    items: &[Json],
    stateful: bool,
    natives: &mut Vec<Native>,
) -> Result<Conversation, Malformed> {
    let mut system = Vec::new();
    let mut turns: Vec<Turn> = Vec::new();
    let mut of_calls = Vec::new();
    for (i, raw) in items.iter().enumerate() {
        let path = format!("input[{i}]");
        match item(raw, &path, true, natives)? {
            Item::Message(Role::System, blocks) if turns.is_empty() && !stateful => {
                system.extend(blocks);
            }
            Item::Message(role, blocks) => {
                message(&mut turns, role, blocks);
            }
            Item::Result(block) => result(&mut turns, block),
            Item::Said(block) | Item::Other(Role::Assistant, block) => said(&mut turns, block),
            Item::Other(role, block) => other(&mut turns, role, block),
            Item::OfCall(call, seal) => of_calls.push((call, seal)),
        }
    }
    Ok(Conversation { system, turns, of_calls })
}

fn turn(role: Role, blocks: Vec<Block>) -> Turn {
    Turn { role, blocks, name: None }
}

/// Two messages in a row stay apart: the second is a turn of its own, unless it says what it is.
fn message(turns: &mut Vec<Turn>, role: Role, blocks: Vec<Block>) {
    let marked = matches!(blocks.first(), Some(Block::Native(native)) if is_mark(native));
    let after_message = |last: &Turn| {
        matches!(
            last.blocks.last(),
            Some(Block::Text(_) | Block::Refusal(_) | Block::Citation(_) | Block::Media(_))
        )
    };
    match turns.last_mut() {
        Some(last)
            if role == Role::Assistant
                && last.role == Role::Assistant
                && (marked || !after_message(last)) =>
        {
            last.blocks.extend(blocks);
        }
        _ => turns.push(turn(role, blocks)),
    }
}

pub(super) fn is_mark(native: &Native) -> bool {
    native.dialect == NAME && (native.field == PHASE || native.field.is_empty())
}

/// Something of the assistant's: it continues the assistant's turn.
fn said(turns: &mut Vec<Turn>, block: Block) {
    if let Some(natives) = search::held(&block) {
        if turns.last().is_none_or(|last| last.role != Role::Assistant) {
            turns.push(turn(Role::Assistant, Vec::new()));
        }
        if let Some(last) = turns.last_mut() {
            search::restore(&mut last.blocks, natives);
        }
        return;
    }
    match turns.last_mut() {
        Some(last) if last.role == Role::Assistant => last.blocks.push(block),
        _ => turns.push(turn(Role::Assistant, vec![block])),
    }
}

/// Tools that are added make no turn of their own, which would part calls from their results elsewhere.
fn other(turns: &mut Vec<Turn>, role: Role, block: Block) {
    let adds = matches!(&block, Block::Native(native) if native.field == ADDITIONAL_TOOLS);
    match turns.last_mut() {
        Some(last) if adds && last.role != Role::System => last.blocks.push(block),
        _ => turns.push(turn(role, vec![block])),
    }
}

/// A result joins those of its round, also where the model went on before the tool was done.
fn result(turns: &mut Vec<Turn>, block: Block) {
    let Block::ToolResult { id, .. } = &block else { return };
    let is_results = |turn: &Turn| {
        turn.role == Role::User && turn.blocks.iter().all(|b| matches!(b, Block::ToolResult { .. }))
    };
    let caller = turns.iter().rposition(|turn| calls(turn, id));
    let spoke = turns.iter().rposition(|turn| turn.role == Role::Assistant);
    let place = match caller {
        Some(caller) if spoke.is_some_and(|spoke| spoke > caller) => caller + 1,
        _ => turns.len() - usize::from(turns.last().is_some_and(is_results)),
    };
    match turns.get_mut(place) {
        Some(there) if is_results(there) => there.blocks.push(block),
        _ => turns.insert(place, turn(Role::User, vec![block])),
    }
}

fn calls(turn: &Turn, wanted: &str) -> bool {
    turn.blocks.iter().any(|block| matches!(block, Block::ToolUse { id, .. } if id == wanted))
}

fn attach(turns: &mut [Turn], call: &str, state: Seal) {
    let blocks = turns.iter_mut().rev().flat_map(|turn| turn.blocks.iter_mut().rev());
    for block in blocks {
        match block {
            Block::ToolUse { id, seal, .. } if id == call => {
                *seal = Some(state);
                return;
            }
            _ => {}
        }
    }
}

/// An item, read.
pub(super) enum Item {
    /// A message.
    Message(Role, Vec<Block>),
    /// The assistant's thoughts or call.
    Said(Block),
    /// What a tool returned.
    Result(Block),
    /// What only this dialect knows, and whose it is.
    Other(Role, Block),
    /// The state of a call of another provider.
    OfCall(String, Seal),
}

/// Reads one item. `remembered`: it comes from a client, so that ids may refer to what the server stores. `lost` gets the
/// members that nobody has a place for.
pub(super) fn item(
    raw: &Json,
    path: &str,
    remembered: bool,
    lost: &mut Vec<Native>,
) -> Result<Item, Malformed> {
    let kind: Kind = json::read(raw.get(), path)?;
    let word = kind.kind.as_deref().unwrap_or(if kind.role.is_some() { "message" } else { "" });
    Ok(match word {
        "message" => message_item(raw, path, remembered, lost)?,
        "reasoning" => {
            let item: Thoughts = unknown::read(raw.get(), path, "", INPUT, lost)?;
            if let Some((call, seal)) = state::unwrap_for_call(&item) {
                return Ok(Item::OfCall(call, seal));
            }
            Item::Said(Block::Thinking { text: state::text(&item), seal: state::seal(&item) })
        }
        "function_call" | "custom_tool_call" => Item::Said(call(raw, path, remembered, lost)?),
        "function_call_output" | "custom_tool_call_output" => {
            let item: Output = unknown::read(raw.get(), path, "", INPUT, lost)?;
            let id = item.call_id.ok_or_else(|| missing(&format!("{path}.call_id"), "an id"))?;
            let blocks = content(item.output, &format!("{path}.output"), "input.output", lost)?;
            Item::Result(Block::ToolResult { id, name: None, blocks, failed: false })
        }
        "" => {
            return Err(missing(&format!("{path}.type"), "the type of an item, or a role,"));
        }
        other => Item::Other(whose(other), native(other, raw.clone())),
    })
}

/// Outputs and approvals come from the client; calls, references to what was answered and the rest from the model.
fn whose(kind: &str) -> Role {
    const CLIENT: [&str; 4] =
        ["mcp_approval_response", ADDITIONAL_TOOLS, "configuration_update", "compaction_trigger"];
    if kind.ends_with("_output") || CLIENT.contains(&kind) { Role::User } else { Role::Assistant }
}

fn message_item(
    raw: &Json,
    path: &str,
    remembered: bool,
    lost: &mut Vec<Native>,
) -> Result<Item, Malformed> {
    let message: Message = unknown::read(raw.get(), path, "", INPUT, lost)?;
    let role = match message.role.as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system" | "developer") => Role::System,
        _ => {
            let right = "must be one of user, assistant, system, developer";
            return Err(Malformed::new(format!("{path}.role"), right));
        }
    };
    let mut blocks = content(message.content, &format!("{path}.content"), "input.content", lost)?;
    if role == Role::Assistant {
        let mark = mark(message.phase, message.id.filter(|_| remembered));
        blocks.splice(0..0, mark);
    }
    Ok(Item::Message(role, blocks))
}

/// What a message says of itself.
pub(super) fn mark(phase: Option<String>, id: Option<String>) -> Option<Block> {
    if phase.is_none() && id.is_none() {
        return None;
    }
    let field = if phase.is_some() { PHASE } else { "" };
    Some(native(field, Json::of(&Message { id, phase, ..Message::default() })))
}

pub(super) fn call(
    raw: &Json,
    path: &str,
    remembered: bool,
    lost: &mut Vec<Native>,
) -> Result<Block, Malformed> {
    let call: Call = unknown::read(raw.get(), path, "", INPUT, lost)?;
    let lacks = |field: &str| missing(&format!("{path}.{field}"), "a value");
    let custom = call.kind.as_deref() == Some("custom_tool_call");
    let state = state::CallState {
        kind: call.kind.filter(|_| custom),
        id: call.id,
        namespace: call.namespace,
        caller: call.caller,
        r#async: call.r#async,
    };
    let input = if custom {
        Json::of(&FreeForm { input: call.input.unwrap_or_default() })
    } else {
        match call.arguments {
            Some(arguments) => match arguments.as_string() {
                Some(text) => Json::from_arguments(&text),
                None => arguments,
            },
            None => Json::empty_object(),
        }
    };
    Ok(Block::ToolUse {
        id: call.call_id.ok_or_else(|| lacks("call_id"))?,
        name: call.name.ok_or_else(|| lacks("name"))?,
        input,
        seal: state::call_seal(state, remembered),
    })
}

/// The arguments of a custom tool, which takes free text, as those of a function.
#[derive(Default, serde::Serialize, serde::Deserialize)]
pub(super) struct FreeForm {
    pub(super) input: String,
}

/// The parts of a message or of a tool's result.
fn content(
    content: Option<TextOr<Json>>,
    path: &str,
    place: &str,
    lost: &mut Vec<Native>,
) -> Result<Vec<Block>, Malformed> {
    let parts = match content {
        None => return Ok(Vec::new()),
        Some(TextOr::Text(text)) => return Ok(vec![Block::Text(text)]),
        Some(TextOr::List(parts)) => parts,
    };
    let mut blocks = Vec::new();
    for (i, raw) in parts.iter().enumerate() {
        let path = format!("{path}[{i}]");
        let kind: Kind = json::read(raw.get(), &path)?;
        let Some(kind) = kind.kind else {
            return Err(missing(&format!("{path}.type"), "the type of a part"));
        };
        match kind.as_str() {
            "input_text" | "output_text" | "text" | "refusal" | "input_image" | "input_file"
            | "input_audio" => {
                let read = unknown::read(raw.get(), &path, "", place, lost)?;
                part(&kind, read, &path, &mut blocks)?;
            }
            _ => blocks.push(native(format!("{IN_CONTENT}{kind}"), raw.clone())),
        }
    }
    Ok(blocks)
}

fn part(kind: &str, part: Part, path: &str, out: &mut Vec<Block>) -> Result<(), Malformed> {
    let lacks = |field: &str| missing(&format!("{path}.{field}"), "a value");
    match kind {
        "refusal" => out.push(Block::Refusal(part.refusal.ok_or_else(|| lacks("refusal"))?)),
        "input_image" => out.push(Block::Media(image(&part).ok_or_else(|| lacks("image_url"))?)),
        "input_file" => out.push(Block::Media(file(&part).ok_or_else(|| lacks("file_data"))?)),
        "input_audio" => {
            let audio = part.input_audio.ok_or_else(|| lacks("input_audio"))?;
            let data = audio.data.ok_or_else(|| lacks("input_audio.data"))?;
            let mime = format!("audio/{}", audio.format.as_deref().unwrap_or("wav"));
            let media = Media::new(MediaKind::Audio, Source::Base64(data), Some(mime));
            out.push(Block::Media(media));
        }
        _ => {
            out.push(Block::Text(part.text.ok_or_else(|| lacks("text"))?));
            annotations(part.annotations.as_deref().unwrap_or_default(), out);
        }
    }
    if let Some(mark) = &part.prompt_cache_breakpoint {
        let long = mark.ttl.as_deref() == Some("12h");
        out.push(Block::CachePoint(if long { CacheLife::Long } else { CacheLife::Short }));
    }
    Ok(())
}

fn annotations(list: &[Json], out: &mut Vec<Block>) {
    out.extend(list.iter().filter_map(citation).map(Block::Citation));
    out.extend(list.iter().filter_map(other_annotation).map(Block::Native));
}

/// The source on the web that an annotation names.
pub(super) fn citation(raw: &Json) -> Option<Citation> {
    let annotation: Annotation = serde_json::from_str(raw.get()).ok()?;
    if annotation.kind.as_deref() != Some("url_citation") {
        return None;
    }
    Some(Citation {
        url: annotation.url?,
        title: annotation.title,
        span: annotation.start_index.zip(annotation.end_index),
        ..Citation::default()
    })
}

/// An annotation that names no source on the web: a file's, mostly.
pub(super) fn other_annotation(raw: &Json) -> Option<Native> {
    if citation(raw).is_some() {
        return None;
    }
    let kind = serde_json::from_str::<Kind>(raw.get()).ok().and_then(|kind| kind.kind);
    let field = format!("{ANNOTATION}{}", kind.as_deref().unwrap_or("unknown"));
    Some(Native { dialect: NAME, field, raw: raw.clone() })
}

fn image(part: &Part) -> Option<Media> {
    let url = part.image_url.as_ref().and_then(|raw| {
        raw.as_string().or_else(|| {
            let object = json::fields(raw.get());
            object.iter().find(|(name, _)| name == "url").and_then(|(_, url)| url.as_string())
        })
    });
    let mut media = match (url, &part.file_id) {
        (Some(url), _) => Media::from_url(MediaKind::Image, &url),
        (None, Some(id)) => Media::new(MediaKind::Image, of_file(id), None),
        (None, None) => return None,
    };
    media.detail.clone_from(&part.detail);
    Some(media)
}

fn of_file(id: &str) -> Source {
    Source::File { dialect: NAME, id: id.to_owned() }
}

fn file(part: &Part) -> Option<Media> {
    let kind = MediaKind::Document;
    let mut media = match (&part.file_data, &part.file_url, &part.file_id) {
        (Some(data), _, _) if data.starts_with("data:") => Media::from_url(kind, data),
        (Some(data), _, _) => Media::new(kind, Source::Base64(data.clone()), None),
        (None, Some(url), _) => Media::from_url(kind, url),
        (None, None, Some(id)) => Media::new(kind, of_file(id), None),
        (None, None, None) => return None,
    };
    media.name.clone_from(&part.filename);
    media.detail.clone_from(&part.detail);
    Some(media)
}

/// What a message says of itself as state of thoughts without a text, for clients who have no other place for it.
pub(crate) fn mark_as_state(native: &Native) -> Option<Seal> {
    let is_phase = native.dialect == NAME && native.field == PHASE;
    is_phase.then(|| Seal { dialect: NAME, value: native.raw.get().to_owned() })
}

/// The same, come back.
pub(crate) fn mark_of_state(seal: &Seal) -> Option<Block> {
    let is_mark = seal.dialect == NAME && seal.value.starts_with("{\"phase\":");
    is_mark.then(|| Json::parse(&seal.value)).flatten().map(|raw| native(PHASE, raw))
}

/// The phase of a message, from what stands before its text.
pub(super) fn phase(mark: &Native) -> Option<String> {
    serde_json::from_str::<Message>(mark.raw.get()).ok()?.phase
}
