//! Wire messages to canonical turns.

use super::details::{self, Told};
use super::types::{CacheControl, Called, Content, Extra, Message, Part, Picture, ToolCall};
use super::{NAME, citations, custom, names};
use crate::chat::{Block, CacheLife, Media, MediaKind, Native, Role, Seal, Source, Turn};
use crate::json::{Json, Malformed, TextOr};
use crate::unknown;

pub(super) fn missing(path: &str, right: &str) -> Malformed {
    Malformed::new(path, format!("missing; {right} is required"))
}

/// The leading instructions, and the turns behind them. `lost` gets the members that nobody has a place for.
pub(super) fn conversation(
    messages: &[Json],
    lost: &mut Vec<Native>,
) -> Result<(Vec<Block>, Vec<Turn>), Malformed> {
    let mut system = Vec::new();
    let mut turns: Vec<Turn> = Vec::new();
    let mut open = Calls::default();
    for (i, raw) in messages.iter().enumerate() {
        let path = format!("messages[{i}]");
        let message: Message = unknown::read(raw.get(), &path, "", "messages", lost)?;
        // That of a result is the name of its tool, which it keeps itself.
        let is_result = matches!(message.role.as_deref(), Some("tool" | "function"));
        let name = message.name.clone().filter(|_| !is_result);
        let (role, blocks) = match message.role.as_deref() {
            Some("system" | "developer") => {
                let blocks = content(message.content, &path, lost)?;
                if turns.is_empty() {
                    system.extend(blocks);
                    continue;
                }
                (Role::System, blocks)
            }
            Some("user") => (Role::User, content(message.content, &path, lost)?),
            Some("assistant") => {
                let blocks = assistant(message, &path, &path, lost)?;
                open = Calls::of(&blocks);
                (Role::Assistant, blocks)
            }
            Some("tool") => {
                let id = message.tool_call_id.clone();
                let id =
                    id.ok_or_else(|| missing(&format!("{path}.tool_call_id"), "a call's id"))?;
                let id = if id.is_empty() { open.next(None) } else { id };
                (Role::User, vec![tool_result(id, message, &path, lost)?])
            }
            Some("function") => {
                let id = open.next(message.name.as_deref());
                (Role::User, vec![tool_result(id, message, &path, lost)?])
            }
            _ => {
                let right = "must be one of developer, system, user, assistant, tool, function";
                return Err(Malformed::new(format!("{path}.role"), right));
            }
        };
        push(&mut turns, Turn { role, blocks, name });
    }
    Ok((system, turns))
}

/// The calls of the last answer, for results that do not say which they answer: those of functions, the older way, and
/// those of servers that leave ids empty.
#[derive(Default)]
struct Calls(Vec<(String, String)>);

impl Calls {
    fn of(blocks: &[Block]) -> Self {
        let call = |block: &Block| match block {
            Block::ToolUse { id, name, .. } => Some((name.clone(), id.clone())),
            _ => None,
        };
        Self(blocks.iter().filter_map(call).collect())
    }

    /// The first call without a result yet, of the tool `name` where that is known.
    fn next(&mut self, name: Option<&str>) -> String {
        let at = self.0.iter().position(|(tool, _)| name.is_none_or(|name| name == tool));
        at.map_or_else(|| "call_fn".to_owned(), |at| self.0.remove(at).1)
    }
}

/// Results of one round of calls come as messages of their own; together they are one turn.
fn push(turns: &mut Vec<Turn>, turn: Turn) {
    let results = |turn: &Turn| {
        turn.role == Role::User
            && !turn.blocks.is_empty()
            && turn
                .blocks
                .iter()
                .all(|b| matches!(b, Block::ToolResult { .. } | Block::CachePoint(_)))
    };
    match turns.last_mut() {
        Some(last) if results(last) && results(&turn) => last.blocks.extend(turn.blocks),
        _ => turns.push(turn),
    }
}

fn tool_result(
    id: String,
    message: Message,
    path: &str,
    lost: &mut Vec<Native>,
) -> Result<Block, Malformed> {
    let mut blocks = content(message.content, path, lost)?;
    if message.cache_control.is_some() {
        blocks.push(cache_point(message.cache_control.as_ref()));
    }
    Ok(Block::ToolResult { id, name: message.name, blocks, failed: false })
}

/// The blocks of an answer, in a history or just given. `seed` is a text that no other answer of the conversation has.
pub(super) fn assistant(
    message: Message,
    path: &str,
    seed: &str,
    lost: &mut Vec<Native>,
) -> Result<Vec<Block>, Malformed> {
    let calls = message.tool_calls.unwrap_or_default();
    let ids: Vec<&str> = calls.iter().filter_map(|call| call.id.as_deref()).collect();
    let details = message.reasoning_details.unwrap_or_default();
    let mut told = details::read(&details, &ids);
    let plain = message.reasoning_content.or(message.reasoning);
    add_plain_thoughts(&mut told, plain, !calls.is_empty());

    // Calls come with an empty text or with none, as servers like.
    let mut visible = content(message.content, path, lost)?;
    visible.retain(|block| !matches!(block, Block::Text(text) if text.is_empty()));
    let visible = told.cut(visible);
    let mut blocks = citations::place(visible, &message.annotations.unwrap_or_default());
    blocks.extend(message.refusal.filter(|text| !text.is_empty()).map(Block::Refusal));
    blocks.extend(pictures(&message.images.unwrap_or_default()));
    if let Some(audio) = message.audio {
        // Without the data this refers to an earlier answer that OpenAI keeps.
        let source = match (audio.data, audio.id) {
            (Some(data), _) => Source::Base64(data),
            (None, id) => Source::File { dialect: NAME, id: id.unwrap_or_default() },
        };
        let mut media = Media::new(MediaKind::Audio, source, None);
        media.transcript = audio.transcript;
        blocks.push(Block::Media(media));
    }
    let calls = calls.into_iter().enumerate();
    let mut calls: Vec<Block> =
        calls.map(|(i, call)| tool_call(call, i, seed, &told.of_calls)).collect();
    if let Some(call) = message.function_call {
        calls.push(tool_use(names::minted(seed, 0), call, None));
    }
    let mut blocks = told.arranged(blocks, calls);
    if let Some(signature) = signature(message.extra_content) {
        sign(&mut blocks, signature);
    }
    Ok(blocks)
}

/// Thoughts told as plain text too: where the entries have none, this is theirs.
fn add_plain_thoughts(told: &mut Told, plain: Option<String>, calls: bool) {
    let Some(plain) = plain else { return };
    let blocks = &mut told.blocks;
    let has_text =
        |block: &Block| matches!(block, Block::Thinking { text, .. } if !text.is_empty());
    if blocks.iter().any(has_text) {
        return;
    }
    let bare_call = calls && blocks.is_empty();
    // Encrypted thoughts of Anthropic have no text; the others' are what the text sums up.
    let untold = blocks.iter_mut().find_map(|block| match block {
        Block::Thinking { text, seal: Some(seal) } if seal.dialect != "anthropic" => Some(text),
        _ => None,
    });
    match untold {
        Some(text) => *text = plain,
        // DeepSeek wants the thoughts of a call back even if there were none.
        None if !plain.is_empty() || bare_call => {
            told.begin_with(Block::Thinking { text: plain, seal: None });
        }
        None => {}
    }
}

/// Pictures that a model made, `OpenRouter`'s way.
pub(super) fn pictures(images: &[Json]) -> impl Iterator<Item = Block> {
    images.iter().filter_map(|raw| {
        let picture: Picture = serde_json::from_str(raw.get()).ok()?;
        let url = picture.image_url?.url?;
        Some(Block::Media(Media::from_url(MediaKind::Image, &url)))
    })
}

fn tool_call(call: ToolCall, i: usize, seed: &str, of_calls: &[(String, Seal)]) -> Block {
    // Gemini's compatible API leaves ids empty; a call needs one to be answered.
    let id = call.id.filter(|id| !id.is_empty()).unwrap_or_else(|| names::minted(seed, i));
    if let Some(text) = &call.custom {
        return custom::call(id, text);
    }
    let seal = signature(call.extra_content)
        .or_else(|| of_calls.iter().find(|(call, _)| *call == id).map(|(_, seal)| seal.clone()));
    tool_use(id, call.function.unwrap_or_default(), seal)
}

/// Gemini's signature, where its compatible API puts it.
pub(super) fn signature(extra: Option<Extra>) -> Option<Seal> {
    let value = extra?.google?.thought_signature?;
    Some(Seal { dialect: crate::gemini::NAME, value })
}

/// A signature of a whole message is that of its first call, or of its text.
fn sign(blocks: &mut Vec<Block>, signature: Seal) {
    let mut calls = blocks.iter_mut().filter_map(|block| match block {
        Block::ToolUse { seal, .. } => Some(seal),
        _ => None,
    });
    match calls.next() {
        Some(seal) => {
            seal.get_or_insert(signature);
        }
        None => blocks.push(Block::Thinking { text: String::new(), seal: Some(signature) }),
    }
}

fn tool_use(id: String, call: Called, seal: Option<Seal>) -> Block {
    let input =
        call.arguments.map_or_else(Json::empty_object, |arguments| match arguments.as_string() {
            Some(text) => Json::from_arguments(&text),
            None => arguments,
        });
    Block::ToolUse { id, name: call.name.unwrap_or_default(), input, seal }
}

pub(super) fn cache_life(control: &CacheControl) -> CacheLife {
    match control.ttl.as_deref() {
        Some("1h" | "12h") => CacheLife::Long,
        _ => CacheLife::Short,
    }
}

pub(super) fn cache_point(control: Option<&CacheControl>) -> Block {
    Block::CachePoint(control.map_or(CacheLife::Short, cache_life))
}

fn content(
    content: Option<Content>,
    path: &str,
    lost: &mut Vec<Native>,
) -> Result<Vec<Block>, Malformed> {
    let parts = match content {
        None => return Ok(Vec::new()),
        Some(TextOr::Text(text)) => return Ok(vec![Block::Text(text)]),
        Some(TextOr::List(parts)) => parts,
    };
    let mut blocks = Vec::new();
    for (i, raw) in parts.iter().enumerate() {
        let path = format!("{path}.content[{i}]");
        let before = lost.len();
        let part: Part = unknown::read(raw.get(), &path, "", "messages.content", lost)?;
        let cache = part.cache_control.as_ref().or(part.prompt_cache_breakpoint.as_ref());
        let cache = cache.map(|control| cache_point(Some(control)));
        let block = block(part, raw, &path)?;
        if matches!(block, Block::Native(_)) {
            // It is kept as it was written.
            lost.truncate(before);
        }
        blocks.push(block);
        blocks.extend(cache);
    }
    Ok(blocks)
}

fn block(part: Part, raw: &Json, path: &str) -> Result<Block, Malformed> {
    let lacks = |field: &str| missing(&format!("{path}.{field}"), "a value");
    Ok(match part.kind.as_deref() {
        Some("text") => Block::Text(part.text.ok_or_else(|| lacks("text"))?),
        Some("refusal") => Block::Refusal(part.refusal.ok_or_else(|| lacks("refusal"))?),
        Some("image_url") => {
            let image = part.image_url.ok_or_else(|| lacks("image_url"))?;
            let url = image.url.ok_or_else(|| lacks("image_url.url"))?;
            let mut media = Media::from_url(MediaKind::Image, &url);
            media.detail = image.detail;
            Block::Media(media)
        }
        Some("input_audio") => {
            let audio = part.input_audio.ok_or_else(|| lacks("input_audio"))?;
            let data = audio.data.ok_or_else(|| lacks("input_audio.data"))?;
            let mime = format!("audio/{}", audio.format.as_deref().unwrap_or("wav"));
            Block::Media(Media::new(MediaKind::Audio, Source::Base64(data), Some(mime)))
        }
        Some("file") => {
            let file = part.file.ok_or_else(|| lacks("file"))?;
            let mut media = match (file.file_data, file.file_id) {
                (Some(data), _) => document(data),
                (None, Some(id)) => {
                    Media::new(MediaKind::Document, Source::File { dialect: NAME, id }, None)
                }
                (None, None) => return Err(lacks("file.file_data")),
            };
            media.name = file.filename;
            Block::Media(media)
        }
        Some("") | None => return Err(lacks("type")),
        Some(kind) => {
            Block::Native(Native { dialect: NAME, field: kind.to_owned(), raw: raw.clone() })
        }
    })
}

/// A file is a `data:` URL by the book; some clients send an address, some the bare base64.
fn document(data: String) -> Media {
    if data.contains(':') {
        return Media::from_url(MediaKind::Document, &data);
    }
    let mime = Some("application/pdf".to_owned());
    Media::new(MediaKind::Document, Source::Base64(data), mime)
}
