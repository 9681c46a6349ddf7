//! Canonical blocks to the wire blocks of a request.

use super::cache::Markers;
use super::rules::Rules;
use super::types::{Block as WireBlock, Source as WireSource};
use super::write_tools::{Names, plain_id};
use super::{NAME, REDACTED};
use crate::chat::{Block, CacheLife, Media, MediaKind, Native, Seal, Source};
use crate::json::{self, Json, TextOr};
use crate::{Dropped, REFUSAL_AS_TEXT, Unsupported, inline};

/// Where a block is to stand.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(super) enum Place {
    System,
    User,
    Assistant,
}

/// What the blocks of a request are written with.
pub(super) struct Blocks<'a> {
    pub(super) rules: Rules,
    pub(super) markers: &'a mut Markers,
    pub(super) names: &'a mut Names,
    pub(super) dropped: &'a mut Dropped,
}

/// A block that may still get members from what stands behind it.
struct Draft {
    wire: WireBlock,
    citations: Vec<Json>,
    more: Vec<(String, Json)>,
}

impl Draft {
    fn done(self) -> Json {
        let Self { mut wire, citations, more } = self;
        if !citations.is_empty() {
            wire.citations = Some(Json::of(&citations));
        }
        json::object_with(&wire, &more)
    }
}

impl Blocks<'_> {
    pub(super) fn write(
        &mut self,
        blocks: &[Block],
        place: Place,
    ) -> Result<Vec<Json>, Unsupported> {
        let mut out: Vec<Json> = Vec::new();
        let mut draft: Option<Draft> = None;
        for block in blocks {
            match block {
                Block::CachePoint(life) => self.mark(draft.as_mut(), *life),
                Block::Citation(citation) => {
                    self.cite(draft.as_mut(), citation.native.as_ref(), place);
                }
                Block::Native(native) if native.dialect != NAME => self.dropped.note(&native.field),
                Block::Native(native) if native.field.starts_with("content.") => {
                    self.member(draft.as_mut(), native, place);
                }
                Block::Native(native) if self.rules.deepseek => {
                    let reason = "the provider does not take this kind of block";
                    return Err(Unsupported::new(&native.field, reason));
                }
                Block::Native(native) => {
                    out.extend(draft.take().map(Draft::done));
                    out.push(self.markers.native(native, self.dropped));
                }
                block => {
                    out.extend(draft.take().map(Draft::done));
                    let wire = self.block(block, place)?;
                    draft =
                        wire.map(|wire| Draft { wire, citations: Vec::new(), more: Vec::new() });
                }
            }
        }
        out.extend(draft.map(Draft::done));
        Ok(out)
    }

    fn mark(&mut self, draft: Option<&mut Draft>, life: CacheLife) {
        let control = self.markers.take(life, self.dropped);
        match draft {
            Some(draft) if draft.wire.thinking.is_none() && draft.wire.data.is_none() => {
                draft.wire.cache_control = control;
            }
            _ => self.dropped.note("cache_control"),
        }
    }

    /// Anthropic takes back the citations that it made, behind the text that they were made for.
    fn cite(&mut self, draft: Option<&mut Draft>, native: Option<&Native>, place: Place) {
        let own = native.filter(|native| native.dialect == NAME && !self.rules.deepseek);
        match (draft, own) {
            (Some(draft), Some(own)) if place == Place::Assistant && draft.wire.text.is_some() => {
                draft.citations.push(own.raw.clone());
            }
            _ => self.dropped.note("citations"),
        }
    }

    fn member(&mut self, draft: Option<&mut Draft>, native: &Native, place: Place) {
        let Some(draft) = draft.filter(|_| !self.rules.deepseek) else {
            return self.dropped.note(&native.field);
        };
        let name = native.field.trim_start_matches("content.");
        if name == "citations" && draft.wire.text.is_some() {
            return self.cite(Some(draft), Some(native), place);
        }
        draft.more.push((name.to_owned(), native.raw.clone()));
    }

    /// Nothing for what this dialect refuses: empty text, thoughts that are not its own.
    fn block(&mut self, block: &Block, place: Place) -> Result<Option<WireBlock>, Unsupported> {
        Ok(match block {
            Block::Text(text) => said(text),
            Block::Refusal(text) => {
                self.dropped.note(REFUSAL_AS_TEXT);
                said(text)
            }
            Block::Thinking { text, seal } => self.thinking(text, seal.as_ref()),
            Block::ToolUse { id, name, input, seal } => {
                self.dropped.unless_kept(seal.as_ref());
                self.dropped.call_members(name, seal.as_ref());
                self.dropped.unless_object(input);
                Some(tool_use(id, &self.names.of(name), input))
            }
            Block::ToolResult { id, blocks, failed, .. } => Some(WireBlock {
                tool_use_id: Some(plain_id(id)),
                content: Some(TextOr::List(self.write(blocks, Place::User)?)),
                is_error: failed.then_some(true),
                ..of_kind("tool_result")
            }),
            Block::Media(media) if place == Place::Assistant => {
                let text = media.transcript.as_deref();
                if text.is_none() {
                    self.dropped.note(format!("{} of the assistant", media.kind.name()));
                }
                text.and_then(said)
            }
            Block::Media(media) => {
                self.dropped.unless_none("detail", media.detail.as_ref());
                Some(self.media(media)?)
            }
            Block::Citation(_) | Block::CachePoint(_) | Block::Native(_) => None,
        })
    }

    fn thinking(&mut self, text: &str, seal: Option<&Seal>) -> Option<WireBlock> {
        let own = seal.filter(|seal| seal.dialect == NAME);
        match own.map(|seal| (seal.value.as_str(), seal.value.strip_prefix(REDACTED))) {
            Some((_, Some(data))) if !self.rules.deepseek => {
                Some(WireBlock { data: Some(data.to_owned()), ..of_kind("redacted_thinking") })
            }
            Some((signature, None)) => Some(thought(text, signature)),
            // DeepSeek wants its thoughts back, signed or not.
            None if self.rules.deepseek && seal.is_none() => Some(thought(text, "")),
            _ => {
                self.dropped.note("thinking");
                None
            }
        }
    }

    fn media(&mut self, media: &Media) -> Result<WireBlock, Unsupported> {
        let refuse = |reason: String| Err(Unsupported::new(media.kind.name(), reason));
        let no = || refuse("the provider does not take it".to_owned());
        let kind = match media.kind {
            MediaKind::Image if self.rules.images => "image",
            MediaKind::Document if self.rules.deepseek => match inline::words(media) {
                Some(text) => return Ok(WireBlock { text: Some(text), ..of_kind("text") }),
                None => return no(),
            },
            MediaKind::Document => "document",
            MediaKind::Image | MediaKind::Audio | MediaKind::Video => return no(),
        };
        let of = |kind: &str| WireSource { kind: Some(kind.to_owned()), ..WireSource::default() };
        let source = match &media.source {
            Source::Url(url) => WireSource { url: Some(url.clone()), ..of("url") },
            Source::Base64(data) => match inlined(media, data) {
                Some(source) => source,
                None => return refuse("only PDF and plain text are taken as documents".to_owned()),
            },
            Source::Text(data) => WireSource {
                media_type: Some("text/plain".to_owned()),
                data: Some(data.clone()),
                ..of("text")
            },
            Source::File { .. } if self.rules.deepseek => {
                return refuse("the provider keeps no files".to_owned());
            }
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
}

/// Inline content. A text file is taken as text only, and of the others PDF alone.
fn inlined(media: &Media, data: &str) -> Option<WireSource> {
    let of = |kind: &str| WireSource { kind: Some(kind.to_owned()), ..WireSource::default() };
    let mime = mime(media);
    if media.kind == MediaKind::Document && mime != "application/pdf" {
        let media_type = Some("text/plain".to_owned());
        let text = inline::text_of(&mime, data)?;
        return Some(WireSource { media_type, data: Some(text), ..of("text") });
    }
    Some(WireSource { media_type: Some(mime), data: Some(data.to_owned()), ..of("base64") })
}

fn mime(media: &Media) -> String {
    match (media.mime.as_deref(), media.kind) {
        (Some("image/jpg"), _) => "image/jpeg".to_owned(),
        (Some(mime), _) => mime.to_owned(),
        (None, MediaKind::Image) => "image/png".to_owned(),
        (None, _) => "application/pdf".to_owned(),
    }
}

pub(super) fn of_kind(kind: &str) -> WireBlock {
    WireBlock { kind: Some(kind.to_owned()), ..WireBlock::default() }
}

/// Text, unless it is blank, which Anthropic refuses.
pub(super) fn said(text: &str) -> Option<WireBlock> {
    let blank = text.trim().is_empty();
    (!blank).then(|| WireBlock { text: Some(text.to_owned()), ..of_kind("text") })
}

pub(super) fn thought(text: &str, signature: &str) -> WireBlock {
    WireBlock {
        thinking: Some(text.to_owned()),
        signature: Some(signature.to_owned()),
        ..of_kind("thinking")
    }
}

pub(super) fn tool_use(id: &str, name: &str, input: &Json) -> WireBlock {
    WireBlock {
        id: Some(plain_id(id)),
        name: Some(name.to_owned()),
        input: Some(input.clone().into_object()),
        ..of_kind("tool_use")
    }
}
