//! Wire blocks to canonical ones: of requests, of answers, and what opens in a stream.

use super::types::{Block as WireBlock, CacheControl, Citation as WireCitation, Content};
use super::{AHEAD, CALL_SEAL, JSON_TOOL, NAME, REDACTED, UNSIGNED};
use crate::chat::{Block, CacheLife, Citation, Media, MediaKind, Native, Seal, Source};
use crate::json::{self, Json, Malformed, TextOr};
use crate::openai_responses::mark_of_state;
use crate::{seal, unknown};

use super::types::Source as WireSource;

/// Blocks that have a canonical form.
const KNOWN: [&str; 7] =
    ["text", "thinking", "redacted_thinking", "tool_use", "tool_result", "image", "document"];

pub(super) fn missing(path: &str, right: &str) -> Malformed {
    Malformed::new(path, format!("missing; {right} is required"))
}

/// The blocks of a content. `lost` gets the members inside of their parts that nobody has a place for.
pub(super) fn content(
    content: Option<Content>,
    path: &str,
    lost: &mut Vec<Native>,
) -> Result<Vec<Block>, Malformed> {
    let list = match content {
        None => return Ok(Vec::new()),
        Some(TextOr::Text(text)) => return Ok(vec![Block::Text(text)]),
        Some(TextOr::List(list)) => list,
    };
    let mut blocks = Vec::new();
    for (i, raw) in list.iter().enumerate() {
        let path = format!("{path}.content[{i}]");
        match state_behind(raw) {
            Some((CALL_SEAL, seal)) => sealed(&mut blocks, seal),
            Some((_, seal)) => ahead(&mut blocks, seal),
            None => blocks.extend(block(raw, &path, lost)?),
        }
    }
    Ok(blocks)
}

/// State that was sent behind what it belongs to, as withheld thinking, and the mark of where it belongs.
fn state_behind(raw: &Json) -> Option<(&'static str, Seal)> {
    if ![CALL_SEAL, AHEAD].iter().any(|mark| raw.get().contains(mark)) {
        return None;
    }
    let wire: WireBlock = serde_json::from_str(raw.get()).ok()?;
    let data = wire.data.filter(|_| wire.kind.as_deref() == Some("redacted_thinking"))?;
    let of = |mark: &'static str| Some((mark, seal::unwrap(data.strip_prefix(mark)?, NAME)));
    of(CALL_SEAL).or_else(|| of(AHEAD)).filter(|(_, seal)| seal.dialect != NAME)
}

/// Gives `state` back to the call that it came behind.
fn sealed(blocks: &mut Vec<Block>, state: Seal) {
    let call = blocks.iter_mut().rev().find_map(|block| match block {
        Block::ToolUse { seal, .. } => Some(seal),
        _ => None,
    });
    match call {
        Some(seal) => *seal = Some(state),
        None => blocks.push(thought(state)),
    }
}

/// Puts `state` in front of the text that it came behind.
fn ahead(blocks: &mut Vec<Block>, state: Seal) {
    let text = blocks.iter().rposition(|block| matches!(block, Block::Text(_)));
    blocks.insert(text.unwrap_or(blocks.len()), thought(state));
}

fn thought(state: Seal) -> Block {
    let mark = mark_of_state(&state);
    mark.unwrap_or(Block::Thinking { text: String::new(), seal: Some(state) })
}

#[derive(serde::Deserialize)]
pub(super) struct Kind {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
}

pub(super) fn is_known(kind: &str) -> bool {
    KNOWN.contains(&kind)
}

/// A block, then what it holds beyond the canonical form, then its cache marker.
fn block(raw: &Json, path: &str, lost: &mut Vec<Native>) -> Result<Vec<Block>, Malformed> {
    let kind: Kind = json::read(raw.get(), path)?;
    let kind = kind.kind.filter(|kind| !kind.is_empty());
    let kind = kind.ok_or_else(|| missing(&format!("{path}.type"), "the kind of block"))?;
    let native = || Block::Native(Native { dialect: NAME, field: kind.clone(), raw: raw.clone() });
    if !is_known(&kind) {
        // Blocks of server tools have shapes of their own, and new ones appear.
        return Ok(vec![native()]);
    }
    let mut more = Vec::new();
    let mut wire: WireBlock = unknown::read(raw.get(), path, NAME, "content", &mut more)?;
    let lacks = |field: &str| missing(&format!("{path}.{field}"), "a value");
    let cache = wire.cache_control.as_ref().map(|control| Block::CachePoint(life(control)));
    let mut behind = Vec::new();
    let citations = wire.citations.take();
    let block = match kind.as_str() {
        "text" => Block::Text(wire.text.ok_or_else(|| lacks("text"))?),
        "thinking" => Block::Thinking {
            text: wire.thinking.unwrap_or_default(),
            seal: wire.signature.as_deref().and_then(signature),
        },
        "redacted_thinking" => thought(redacted(&wire.data.ok_or_else(|| lacks("data"))?)),
        "tool_use" => {
            let name = wire.name.ok_or_else(|| lacks("name"))?;
            let input = wire.input.unwrap_or_else(Json::empty_object);
            tool_use(wire.id.ok_or_else(|| lacks("id"))?, name, input)
        }
        "tool_result" => Block::ToolResult {
            id: wire.tool_use_id.ok_or_else(|| lacks("tool_use_id"))?,
            name: None,
            blocks: content(wire.content, path, lost)?,
            failed: wire.is_error.unwrap_or(false),
        },
        _ => match media(&kind, wire) {
            Some(media) => Block::Media(media),
            None => return Ok(vec![native()]),
        },
    };
    match citations {
        Some(list) if kind == "text" => behind.extend(cited(&list)),
        Some(switch) if switch.get() != "null" => behind.push(member("citations", switch)),
        _ => {}
    }
    for native in more {
        match native.field.as_str() {
            // A call that the model made itself is what a call is.
            "content.caller" if is_direct(&native.raw) => {}
            _ if native.dialect == NAME => behind.push(Block::Native(native)),
            _ => lost.push(native),
        }
    }
    Ok(std::iter::once(block).chain(behind).chain(cache).collect())
}

/// A member of the block before it.
pub(super) fn member(name: &str, raw: Json) -> Block {
    Block::Native(Native { dialect: NAME, field: format!("content.{name}"), raw })
}

fn is_direct(caller: &Json) -> bool {
    serde_json::from_str::<Kind>(caller.get()).is_ok_and(|c| c.kind.as_deref() == Some("direct"))
}

/// A call; the tool that stands in for an output format is the answer itself.
fn tool_use(id: String, name: String, input: Json) -> Block {
    if name == JSON_TOOL {
        Block::Text(input.get().to_owned())
    } else {
        Block::ToolUse { id, name, input, seal: None }
    }
}

/// The seal in a signature; none where there was nothing to sign.
pub(super) fn signature(signature: &str) -> Option<Seal> {
    if signature.is_empty() || signature == UNSIGNED {
        return None;
    }
    Some(seal::unwrap(signature, NAME))
}

/// The seal in withheld thinking: its own data is marked, to be told apart from a signature.
pub(super) fn redacted(data: &str) -> Seal {
    let seal = seal::unwrap(data.strip_prefix(AHEAD).unwrap_or(data), NAME);
    if seal.dialect == NAME && seal.value == data {
        return Seal { dialect: NAME, value: format!("{REDACTED}{data}") };
    }
    seal
}

/// The citations of a text block; those that rest on no address are known to this dialect only.
fn cited(list: &Json) -> Vec<Block> {
    let list: Vec<Json> = serde_json::from_str(list.get()).unwrap_or_default();
    let (mut known, mut own) = (Vec::new(), Vec::new());
    for raw in list {
        match citation(&raw) {
            Some(citation) => known.push(Block::Citation(citation)),
            None => own.push(member("citations", raw)),
        }
    }
    known.extend(own);
    known
}

/// A citation of a page on the web.
pub(super) fn citation(raw: &Json) -> Option<Citation> {
    let wire: WireCitation = serde_json::from_str(raw.get()).ok()?;
    if wire.kind.as_deref() != Some("web_search_result_location") {
        return None;
    }
    // Without its index it was not made by Anthropic, and must not go back there.
    let own = wire.encrypted_index.is_some_and(|index| !index.is_empty());
    Some(Citation {
        url: wire.url?,
        title: wire.title,
        cited_text: wire.cited_text.filter(|text| !text.is_empty()),
        span: None,
        native: own.then(|| native_citation(raw.clone())),
    })
}

pub(super) fn native_citation(raw: Json) -> Native {
    Native { dialect: NAME, field: "content.citations".to_owned(), raw }
}

pub(super) fn life(control: &CacheControl) -> CacheLife {
    if control.ttl.as_deref() == Some("1h") { CacheLife::Long } else { CacheLife::Short }
}

/// The text of a document that is given in parts; none where one of them is no text.
pub(super) fn plain(content: Content) -> Option<String> {
    let list = match content {
        TextOr::Text(text) => return Some(text),
        TextOr::List(list) => list,
    };
    let text = |raw: &Json| {
        let block: WireBlock = serde_json::from_str(raw.get()).ok()?;
        block.text.filter(|_| block.kind.as_deref() == Some("text"))
    };
    let texts: Option<Vec<String>> = list.iter().map(text).collect();
    Some(texts?.join("\n"))
}

/// Nothing for a source that has no counterpart elsewhere.
fn media(kind: &str, wire: WireBlock) -> Option<Media> {
    let kind = if kind == "image" { MediaKind::Image } else { MediaKind::Document };
    let WireSource { kind: source, media_type, data, url, file_id, content } = wire.source?;
    let source = match source.as_deref()? {
        "content" => Source::Text(plain(content?)?),
        "base64" => Source::Base64(data?),
        "text" => Source::Text(data?),
        "url" => Source::Url(url?),
        "file" => Source::File { dialect: NAME, id: file_id? },
        _ => return None,
    };
    let mut media = Media::new(kind, source, media_type);
    media.name = wire.title;
    Some(media)
}
