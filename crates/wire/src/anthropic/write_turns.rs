//! Canonical turns to wire messages.

use super::NAME;
use super::types::{Block as WireBlock, Message, Source as WireSource};
use super::write::cache_control;
use crate::chat::{Block, Chat, Media, MediaKind, Role, Source};
use crate::families::Claude;
use crate::json::{Json, TextOr};
use crate::{Dropped, Unsupported};

/// Turns of one role are merged, the conversation begins with the user, and results come first in their turn.
pub(super) fn messages(
    chat: &Chat,
    claude: Claude,
    dropped: &mut Dropped,
) -> Result<Vec<Json>, Unsupported> {
    let mut merged: Vec<(Role, Vec<Block>)> = Vec::new();
    for turn in &chat.turns {
        dropped.unless_none("name", turn.name.as_ref());
        let (role, blocks) = match turn.role {
            Role::System => (Role::User, noted(&turn.blocks)),
            role => (role, turn.blocks.clone()),
        };
        match merged.last_mut() {
            Some((last, all)) if *last == role => all.extend(blocks),
            _ => merged.push((role, blocks)),
        }
    }
    if merged.first().is_none_or(|(role, _)| *role != Role::User) {
        merged.insert(0, (Role::User, vec![Block::Text("Go on.".to_owned())]));
    }
    if !claude.prefill && merged.last().is_some_and(|(role, _)| *role == Role::Assistant) {
        let reason = "this model does not continue an answer begun by the client";
        return Err(Unsupported::new("messages", reason));
    }
    let mut messages = Vec::new();
    for (role, blocks) in merged {
        let mut content = self::blocks(&results_first(blocks), role == Role::Assistant, dropped)?;
        if content.is_empty() {
            content.push(text("(empty)"));
        }
        let role = if role == Role::Assistant { "assistant" } else { "user" };
        let message = Message { role: Some(role.to_owned()), content: Some(TextOr::List(content)) };
        messages.push(Json::of(&message));
    }
    Ok(messages)
}

/// An operator's word in the middle stays where it is: moving it ahead would change what the cache holds.
fn noted(blocks: &[Block]) -> Vec<Block> {
    let note = |block: &Block| match block {
        Block::Text(text) => Block::Text(format!("[Instruction of the operator]\n{text}")),
        other => other.clone(),
    };
    blocks.iter().map(note).collect()
}

fn results_first(blocks: Vec<Block>) -> Vec<Block> {
    let is_result = |block: &Block| matches!(block, Block::ToolResult { .. });
    if !blocks.iter().any(is_result) {
        return blocks;
    }
    // A cache marker belongs to the block before it and moves with it.
    let (mut first, mut rest, mut moving) = (Vec::new(), Vec::new(), false);
    for block in blocks {
        if !matches!(block, Block::CachePoint(_)) {
            moving = is_result(&block);
        }
        if moving { first.push(block) } else { rest.push(block) }
    }
    first.extend(rest);
    first
}

/// The tools that the history calls, each once.
pub(super) fn called(chat: &Chat) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for block in chat.turns.iter().flat_map(|turn| &turn.blocks) {
        if let Block::ToolUse { name, .. } = block
            && !names.contains(&name.as_str())
        {
            names.push(name);
        }
    }
    names
}

pub(super) fn blocks(
    blocks: &[Block],
    assistant: bool,
    dropped: &mut Dropped,
) -> Result<Vec<Json>, Unsupported> {
    let mut out: Vec<Json> = Vec::new();
    let mut waiting: Option<WireBlock> = None;
    for block in blocks {
        if let Block::CachePoint(life) = block {
            match waiting.as_mut() {
                Some(last) => last.cache_control = Some(cache_control(*life)),
                None => dropped.note("cache_control"),
            }
            continue;
        }
        out.extend(waiting.take().as_ref().map(Json::of));
        match block {
            Block::Native(native) if native.dialect == NAME => out.push(native.raw.clone()),
            Block::Native(native) => dropped.note(&native.field),
            block => waiting = self::block(block, assistant, dropped)?,
        }
    }
    out.extend(waiting.as_ref().map(Json::of));
    Ok(out)
}

fn of_kind(kind: &str) -> WireBlock {
    WireBlock { kind: Some(kind.to_owned()), ..WireBlock::default() }
}

fn text(text: &str) -> Json {
    Json::of(&WireBlock { text: Some(text.to_owned()), ..of_kind("text") })
}

/// Nothing for what this dialect refuses: empty text, thoughts that are not its own.
fn block(
    block: &Block,
    assistant: bool,
    dropped: &mut Dropped,
) -> Result<Option<WireBlock>, Unsupported> {
    Ok(match block {
        Block::Text(text) | Block::Refusal(text) if text.trim().is_empty() => None,
        Block::Text(text) | Block::Refusal(text) => {
            Some(WireBlock { text: Some(text.clone()), ..of_kind("text") })
        }
        Block::Thinking { text, seal } => match seal {
            Some(seal) if seal.dialect == NAME => Some(WireBlock {
                thinking: Some(text.clone()),
                signature: Some(seal.value.clone()),
                ..of_kind("thinking")
            }),
            _ => {
                dropped.note("thinking");
                None
            }
        },
        Block::ToolUse { id, name, input, .. } => Some(tool_use(id, name, input)),
        Block::ToolResult { id, blocks, failed, .. } => Some(WireBlock {
            tool_use_id: Some(plain_id(id)),
            content: Some(TextOr::List(self::blocks(blocks, assistant, dropped)?)),
            is_error: failed.then_some(true),
            ..of_kind("tool_result")
        }),
        Block::Media(media) => {
            dropped.unless_none("detail", media.detail.as_ref());
            Some(self::media(media)?)
        }
        Block::CachePoint(_) | Block::Native(_) => None,
    })
}

fn tool_use(id: &str, name: &str, input: &Json) -> WireBlock {
    WireBlock {
        id: Some(plain_id(id)),
        name: Some(name.to_owned()),
        input: Some(input.clone().into_object()),
        ..of_kind("tool_use")
    }
}

/// Anthropic takes letters, digits, `_` and `-` only.
fn plain_id(id: &str) -> String {
    id.chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' })
        .collect()
}

fn media(media: &Media) -> Result<WireBlock, Unsupported> {
    let refuse = |reason: String| Err(Unsupported::new(media.kind.name(), reason));
    let kind = match media.kind {
        MediaKind::Image => "image",
        MediaKind::Document => "document",
        MediaKind::Audio | MediaKind::Video => {
            return refuse("the provider does not take it".to_owned());
        }
    };
    let of = |kind: &str| WireSource { kind: Some(kind.to_owned()), ..WireSource::default() };
    let source = match &media.source {
        Source::Url(url) => WireSource { url: Some(url.clone()), ..of("url") },
        Source::Base64(data) => {
            WireSource { media_type: Some(mime(media)), data: Some(data.clone()), ..of("base64") }
        }
        Source::Text(data) => WireSource {
            media_type: Some("text/plain".to_owned()),
            data: Some(data.clone()),
            ..of("text")
        },
        Source::File { dialect, id } if *dialect == NAME => {
            WireSource { file_id: Some(id.clone()), ..of("file") }
        }
        Source::File { dialect, .. } => {
            return refuse(format!("a file of {dialect} means nothing to another provider"));
        }
    };
    let title = media.name.clone().filter(|_| media.kind == MediaKind::Document);
    Ok(WireBlock { source: Some(source), title, ..of_kind(kind) })
}

fn mime(media: &Media) -> String {
    match (media.mime.as_deref(), media.kind) {
        (Some("image/jpg"), _) => "image/jpeg".to_owned(),
        (Some(mime), _) => mime.to_owned(),
        (None, MediaKind::Image) => "image/png".to_owned(),
        (None, _) => "application/pdf".to_owned(),
    }
}

/// The content of an answer. Thoughts of another provider are shown with an empty signature.
pub(super) fn answer(blocks: &[Block]) -> Vec<Json> {
    let mut content = Vec::new();
    for block in blocks {
        match block {
            Block::Native(native) if native.dialect == NAME => content.push(native.raw.clone()),
            Block::Text(part) | Block::Refusal(part) => content.push(text(part)),
            Block::Thinking { text, seal } => {
                let seal = seal.as_ref().filter(|seal| seal.dialect == NAME);
                content.push(Json::of(&WireBlock {
                    thinking: Some(text.clone()),
                    signature: Some(seal.map(|seal| seal.value.clone()).unwrap_or_default()),
                    ..of_kind("thinking")
                }));
            }
            Block::ToolUse { id, name, input, .. } => {
                content.push(Json::of(&tool_use(id, name, input)));
            }
            Block::Media(Media { transcript: Some(said), .. }) => content.push(text(said)),
            _ => {}
        }
    }
    content
}
