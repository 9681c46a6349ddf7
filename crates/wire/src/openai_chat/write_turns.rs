//! Canonical turns to wire messages.

use super::NAME;
use super::types::{
    Attachment, Audio, Called, Content, Extra, Google, ImageUrl, InputAudio, Message, Part,
    ToolCall,
};
use super::write::Rules;
use crate::chat::{Block, Chat, Media, MediaKind, Role, Seal, Source, Turn};
use crate::json::{Json, TextOr};
use crate::{Dropped, Unsupported};

pub(super) fn messages(
    chat: &Chat,
    rules: Rules,
    instruction: Option<String>,
    dropped: &mut Dropped,
) -> Result<Vec<Json>, Unsupported> {
    let mut messages = Vec::new();
    let operator = if rules.reasons { "developer" } else { "system" };
    let mut system = chat.system.clone();
    system.extend(instruction.map(Block::Text));
    if !system.is_empty() {
        messages.push(plain(operator, None, &system, rules, dropped)?);
    }
    for turn in &chat.turns {
        match turn.role {
            Role::System => {
                messages.push(plain(operator, turn.name.clone(), &turn.blocks, rules, dropped)?);
            }
            Role::User => user(turn, rules, &mut messages, dropped)?,
            Role::Assistant => messages.push(assistant(turn, rules, dropped)),
        }
    }
    Ok(messages.iter().map(Json::of).collect())
}

/// Results first, each a message of its own: they must follow the calls directly.
fn user(
    turn: &Turn,
    rules: Rules,
    out: &mut Vec<Message>,
    dropped: &mut Dropped,
) -> Result<(), Unsupported> {
    let mut rest = Vec::new();
    // Tool messages hold text only; a picture that a tool returned follows as the user's.
    let mut shown = Vec::new();
    for block in &turn.blocks {
        let Block::ToolResult { id, blocks, failed, .. } = block else {
            rest.push(block.clone());
            continue;
        };
        let mut text = String::new();
        for block in blocks {
            match block {
                Block::Text(part) => text.push_str(part),
                Block::Media(media) => shown.push(Block::Media(media.clone())),
                other => note(other, dropped),
            }
        }
        if *failed {
            dropped.note("is_error");
        }
        out.push(Message {
            role: Some("tool".to_owned()),
            tool_call_id: Some(id.clone()),
            content: Some(TextOr::Text(text)),
            ..Message::default()
        });
    }
    shown.extend(rest);
    if !shown.is_empty() {
        out.push(plain("user", turn.name.clone(), &shown, rules, dropped)?);
    }
    Ok(())
}

/// Notes a block that has no place in this dialect.
fn note(block: &Block, dropped: &mut Dropped) {
    match block {
        Block::CachePoint(_) => dropped.note("cache_control"),
        Block::Thinking { .. } => dropped.note("thinking"),
        Block::Native(native) => dropped.note(&native.field),
        Block::Media(media) => dropped.note(media.kind.name()),
        Block::Text(_) | Block::Refusal(_) | Block::ToolUse { .. } | Block::ToolResult { .. } => {}
    }
}

fn plain(
    role: &str,
    name: Option<String>,
    blocks: &[Block],
    rules: Rules,
    dropped: &mut Dropped,
) -> Result<Message, Unsupported> {
    let mut parts = Vec::new();
    for block in blocks {
        match block {
            Block::Text(text) | Block::Refusal(text) => parts.push(text_part(text)),
            Block::Media(media) => parts.push(media_part(media, rules)?),
            Block::Native(native) if native.dialect == NAME => parts.push(native.raw.clone()),
            other => note(other, dropped),
        }
    }
    let content = Some(content(parts, blocks, rules));
    Ok(Message { role: Some(role.to_owned()), name, content, ..Message::default() })
}

/// A lone text is sent as a string, which every server takes; `DeepSeek` takes several texts only as one string.
fn content(parts: Vec<Json>, blocks: &[Block], rules: Rules) -> Content {
    let texts: Vec<&str> = blocks
        .iter()
        .filter_map(|block| match block {
            Block::Text(text) | Block::Refusal(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let only_text = texts.len() == parts.len();
    if only_text && (texts.len() <= 1 || rules.deepseek) {
        return TextOr::Text(texts.join("\n\n"));
    }
    TextOr::List(parts)
}

fn text_part(text: &str) -> Json {
    Json::of(&Part {
        kind: Some("text".to_owned()),
        text: Some(text.to_owned()),
        ..Part::default()
    })
}

fn media_part(media: &Media, rules: Rules) -> Result<Json, Unsupported> {
    let refuse = |reason: &str| Err(Unsupported::new(media.kind.name(), reason));
    if let Source::Text(text) = &media.source {
        return Ok(text_part(text));
    }
    let file_id = match &media.source {
        Source::File { dialect, id } if *dialect == NAME => Some(id.clone()),
        Source::File { dialect, .. } => {
            return refuse(&format!("a file of {dialect} means nothing to another provider"));
        }
        _ => None,
    };
    let part = match (media.kind, &media.source) {
        (MediaKind::Image, _) if file_id.is_none() => Part {
            kind: Some("image_url".to_owned()),
            image_url: Some(ImageUrl { url: media.url(), detail: media.detail.clone() }),
            ..Part::default()
        },
        (MediaKind::Audio, Source::Base64(data)) if !rules.deepseek => {
            let format = match media.mime.as_deref() {
                Some("audio/wav" | "audio/x-wav" | "audio/wave") => "wav",
                Some("audio/mp3" | "audio/mpeg") => "mp3",
                _ => return refuse("only wav and mp3 can be sent"),
            };
            Part {
                kind: Some("input_audio".to_owned()),
                input_audio: Some(InputAudio {
                    data: Some(data.clone()),
                    format: Some(format.to_owned()),
                }),
                ..Part::default()
            }
        }
        (MediaKind::Document | MediaKind::Image, Source::Base64(_) | Source::File { .. })
            if !rules.deepseek =>
        {
            let filename =
                media.name.clone().or_else(|| file_id.is_none().then(|| "file".to_owned()));
            let file = Attachment { file_data: media.url(), file_id, filename };
            Part { kind: Some("file".to_owned()), file: Some(file), ..Part::default() }
        }
        (MediaKind::Document, Source::Url(_)) => {
            return refuse("a document can be sent inline only");
        }
        _ => return refuse("the provider does not take it"),
    };
    Ok(Json::of(&part))
}

fn assistant(turn: &Turn, rules: Rules, dropped: &mut Dropped) -> Message {
    let mut message = answer(&turn.blocks);
    message.role = Some("assistant".to_owned());
    message.name.clone_from(&turn.name);
    message.reasoning = None;
    if !rules.gemini {
        // The state of one provider is no other's business.
        for call in message.tool_calls.iter_mut().flatten() {
            call.extra_content = None;
        }
    }
    if rules.deepseek {
        if message.tool_calls.is_some() {
            // DeepSeek refuses a call without the thoughts that led to it; where they are lost, a space will do.
            message.reasoning_content.get_or_insert_with(|| " ".to_owned());
            message.content.get_or_insert_with(|| TextOr::Text(String::new()));
        }
    } else if message.reasoning_content.take().is_some() {
        dropped.note("thinking");
    }
    if message.content.is_none() && message.tool_calls.is_none() && message.refusal.is_none() {
        message.content = Some(TextOr::Text(String::new()));
    }
    for block in &turn.blocks {
        match block {
            Block::Native(native) if native.dialect == NAME => {}
            Block::Media(Media { source: Source::File { dialect, .. }, .. })
                if *dialect == NAME => {}
            Block::Thinking { .. } => {}
            other => note(other, dropped),
        }
    }
    if let Some(audio) = message.audio.as_mut() {
        (audio.data, audio.transcript) = (None, None);
    }
    message.audio = message.audio.filter(|audio| audio.id.is_some());
    message
}

/// The message of an answer, thoughts under both names that clients look for.
pub(super) fn answer(blocks: &[Block]) -> Message {
    let mut message = Message::default();
    let (mut text, mut thoughts, mut refusal) = (String::new(), String::new(), String::new());
    let mut calls = Vec::new();
    for block in blocks {
        match block {
            Block::Text(part) => text.push_str(part),
            Block::Refusal(part) => refusal.push_str(part),
            Block::Thinking { text, .. } => thoughts.push_str(text),
            Block::ToolUse { id, name, input, seal } => {
                calls.push(call(id, name, input, seal.as_ref()));
            }
            Block::Native(native) if native.dialect == NAME && native.field == "tool_calls" => {
                calls.extend(serde_json::from_str::<ToolCall>(native.raw.get()).ok());
            }
            Block::Media(Media { kind: MediaKind::Audio, source, transcript, .. }) => {
                message.audio = Some(audio(source, transcript.as_ref()));
            }
            _ => {}
        }
    }
    let some = |text: String| (!text.is_empty()).then_some(text);
    message.content = some(text).map(TextOr::Text);
    message.refusal = some(refusal);
    message.reasoning_content = some(thoughts);
    message.reasoning.clone_from(&message.reasoning_content);
    message.tool_calls = (!calls.is_empty()).then_some(calls);
    message
}

fn audio(source: &Source, transcript: Option<&String>) -> Audio {
    let (id, data) = match source {
        Source::File { dialect, id } if *dialect == NAME => (Some(id.clone()), None),
        Source::Base64(data) => (None, Some(data.clone())),
        _ => (None, None),
    };
    Audio { id, data, transcript: transcript.cloned() }
}

fn call(id: &str, name: &str, input: &Json, seal: Option<&Seal>) -> ToolCall {
    let signature = seal.filter(|seal| seal.dialect == crate::gemini::NAME);
    ToolCall {
        id: Some(id.to_owned()),
        kind: Some("function".to_owned()),
        function: Some(Called {
            name: Some(name.to_owned()),
            arguments: Some(Json::of(&input.get())),
        }),
        custom: None,
        extra_content: signature.map(|seal| Extra {
            google: Some(Google { thought_signature: Some(seal.value.clone()) }),
        }),
    }
}

/// An id of the characters that all providers take.
pub(crate) fn plain_id(id: &str) -> String {
    id.chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' })
        .collect()
}
