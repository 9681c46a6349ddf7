//! Canonical turns to wire contents.

use std::collections::BTreeMap;

use serde::Serialize;

use super::NAME;
use super::types::{Blob, Content, FileData, FunctionCall, FunctionResponse, Part};
use crate::chat::{Block, Chat, Media, MediaKind, Role, Seal, Source};
use crate::families::Gemini;
use crate::json::Json;
use crate::{Dropped, Unsupported};

/// Google's documented stand-in for the signature of a call that it did not make itself.
/// <https://ai.google.dev/gemini-api/docs/thought-signatures>
const FOREIGN_CALL: &str = "skip_thought_signature_validator";

pub(super) fn system(blocks: &[Block], dropped: &mut Dropped) -> Result<Vec<Json>, Unsupported> {
    let mut turn = Writer {
        family: Gemini::Old,
        names: BTreeMap::new(),
        dropped,
        parts: Vec::new(),
        signed: true,
    };
    for block in blocks {
        turn.block(block)?;
    }
    Ok(turn.parts)
}

/// Turns of one role are merged; results are paired with calls by name.
pub(super) fn contents(
    chat: &Chat,
    family: Gemini,
    dropped: &mut Dropped,
) -> Result<Vec<Json>, Unsupported> {
    let names = names(chat);
    let mut merged: Vec<(&str, Vec<Json>)> = Vec::new();
    for turn in &chat.turns {
        dropped.unless_none("name", turn.name.as_ref());
        let role = if turn.role == Role::Assistant { "model" } else { "user" };
        let mut writer =
            Writer { family, names: names.clone(), dropped, parts: Vec::new(), signed: false };
        if turn.role == Role::System {
            writer.parts.push(text("[Instruction of the operator]"));
        }
        for block in &turn.blocks {
            writer.block(block)?;
        }
        let parts = writer.parts;
        match merged.last_mut() {
            Some((last, all)) if *last == role => all.extend(parts),
            _ => merged.push((role, parts)),
        }
    }
    if merged.is_empty() {
        merged.push(("user", vec![text("Go on.")]));
    }
    let content = |(role, mut parts): (&str, Vec<Json>)| {
        if parts.is_empty() {
            parts.push(text(" "));
        }
        Json::of(&Content { role: Some(role.to_owned()), parts: Some(parts) })
    };
    Ok(merged.into_iter().map(content).collect())
}

/// Which function each call id belongs to: other dialects' results name the call only.
fn names(chat: &Chat) -> BTreeMap<&str, &str> {
    let blocks = chat.turns.iter().flat_map(|turn| &turn.blocks);
    blocks
        .filter_map(|block| match block {
            Block::ToolUse { id, name, .. } => Some((id.as_str(), name.as_str())),
            _ => None,
        })
        .collect()
}

struct Writer<'a> {
    family: Gemini,
    names: BTreeMap<&'a str, &'a str>,
    dropped: &'a mut Dropped,
    parts: Vec<Json>,
    /// Whether the first call of the turn has been written: it alone must be signed.
    signed: bool,
}

impl Writer<'_> {
    fn block(&mut self, block: &Block) -> Result<(), Unsupported> {
        match block {
            Block::Text(part) | Block::Refusal(part) if part.is_empty() => {}
            Block::Text(part) | Block::Refusal(part) => self.parts.push(text(part)),
            Block::Thinking { text, seal } => match own(seal.as_ref()) {
                Some(signature) => self.parts.push(thought(text, Some(signature))),
                None => self.dropped.note("thinking"),
            },
            Block::ToolUse { id, name, input, seal } => {
                let part = call(id, name, input, seal.as_ref(), self.family, !self.signed);
                self.signed = true;
                self.parts.push(part);
            }
            Block::ToolResult { id, name, blocks, failed } => {
                let name = name.as_deref().or_else(|| self.names.get(id.as_str()).copied());
                let name = name.unwrap_or(id).to_owned();
                self.result(id, name, blocks, *failed)?;
            }
            Block::Media(media) => {
                self.dropped.unless_none("detail", media.detail.as_ref());
                self.parts.push(self::media(media)?);
            }
            Block::Native(native) if native.dialect == NAME => self.parts.push(native.raw.clone()),
            Block::Native(native) => self.dropped.note(&native.field),
            Block::CachePoint(_) => self.dropped.note("cache_control"),
        }
        Ok(())
    }

    fn result(
        &mut self,
        id: &str,
        name: String,
        blocks: &[Block],
        failed: bool,
    ) -> Result<(), Unsupported> {
        let (mut said, mut shown) = (String::new(), Vec::new());
        for block in blocks {
            match block {
                Block::Text(part) => said.push_str(part),
                Block::Media(media) => shown.push(self::media(media)?),
                Block::Native(native) => self.dropped.note(&native.field),
                Block::CachePoint(_) => self.dropped.note("cache_control"),
                _ => {}
            }
        }
        let levels = self.family == Gemini::Level;
        let response = FunctionResponse {
            id: levels.then(|| id.to_owned()),
            name: Some(name),
            response: Some(response(said, failed)),
            // Older models take pictures beside the result only.
            parts: (levels && !shown.is_empty()).then(|| shown.clone()),
        };
        self.parts.push(Json::of(&Part { function_response: Some(response), ..Part::default() }));
        if !levels {
            self.parts.extend(shown);
        }
        Ok(())
    }
}

/// Under one key, as text: an object with a key `$ref` would be read as a pointer to a part.
fn response(said: String, failed: bool) -> Json {
    #[derive(Serialize)]
    struct Response {
        #[serde(skip_serializing_if = "Option::is_none")]
        output: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    }
    let (output, error) = if failed { (None, Some(said)) } else { (Some(said), None) };
    Json::of(&Response { output, error })
}

fn own(seal: Option<&Seal>) -> Option<&str> {
    seal.filter(|seal| seal.dialect == NAME).map(|seal| seal.value.as_str())
}

fn text(text: &str) -> Json {
    Json::of(&Part { text: Some(text.to_owned()), ..Part::default() })
}

fn thought(text: &str, signature: Option<&str>) -> Json {
    Json::of(&Part {
        text: Some(text.to_owned()),
        thought: Some(true),
        thought_signature: signature.map(str::to_owned),
        ..Part::default()
    })
}

fn call(
    id: &str,
    name: &str,
    input: &Json,
    seal: Option<&Seal>,
    family: Gemini,
    first: bool,
) -> Json {
    let levels = family == Gemini::Level;
    let stand_in = (levels && first).then_some(FOREIGN_CALL);
    Json::of(&Part {
        function_call: Some(FunctionCall {
            // Models before 3 may refuse the field.
            id: levels.then(|| id.to_owned()),
            name: Some(name.to_owned()),
            args: Some(input.clone().into_object()),
        }),
        thought_signature: own(seal).or(stand_in).map(str::to_owned),
        ..Part::default()
    })
}

fn media(media: &Media) -> Result<Json, Unsupported> {
    let mime = || match (media.mime.as_deref(), media.kind) {
        (Some("image/jpg"), _) => "image/jpeg".to_owned(),
        (Some(mime), _) => mime.to_owned(),
        (None, MediaKind::Image) => "image/png".to_owned(),
        (None, MediaKind::Audio) => "audio/wav".to_owned(),
        (None, MediaKind::Video) => "video/mp4".to_owned(),
        (None, MediaKind::Document) => "application/pdf".to_owned(),
    };
    let uri = |uri: &str| Part {
        file_data: Some(FileData { mime_type: media.mime.clone(), file_uri: Some(uri.to_owned()) }),
        ..Part::default()
    };
    Ok(Json::of(&match &media.source {
        Source::Text(said) => return Ok(text(said)),
        Source::Base64(data) => Part {
            inline_data: Some(Blob { mime_type: Some(mime()), data: Some(data.clone()) }),
            ..Part::default()
        },
        Source::Url(url) => uri(url),
        Source::File { dialect, id } if *dialect == NAME => uri(id),
        Source::File { dialect, .. } => {
            let reason = format!("a file of {dialect} means nothing to another provider");
            return Err(Unsupported::new(media.kind.name(), reason));
        }
    }))
}

/// The parts of an answer.
pub(super) fn answer(blocks: &[Block]) -> Vec<Json> {
    let mut parts = Vec::new();
    for block in blocks {
        match block {
            Block::Text(part) | Block::Refusal(part) => parts.push(text(part)),
            Block::Thinking { text, seal } => parts.push(thought(text, own(seal.as_ref()))),
            Block::ToolUse { id, name, input, seal } => {
                // To a client an id is welcome whatever the model was.
                parts.push(call(id, name, input, seal.as_ref(), Gemini::Level, false));
            }
            Block::Media(found) => parts.extend(media(found).ok()),
            Block::Native(native) if native.dialect == NAME => parts.push(native.raw.clone()),
            _ => {}
        }
    }
    parts
}
