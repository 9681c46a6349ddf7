//! Text, pictures and documents as parts of a message or of a tool's result.

use super::NAME;
use super::types::Part;
use super::write::Rules;
use crate::Unsupported;
use crate::chat::{Media, MediaKind, Source};
use crate::inline;
use crate::json::Json;
use crate::openai_chat;

fn of_kind(kind: &str) -> Part {
    Part { kind: Some(kind.to_owned()), ..Part::default() }
}

pub(super) fn text(text: &str) -> Part {
    Part { text: Some(text.to_owned()), ..of_kind("input_text") }
}

pub(super) fn media(media: &Media, rules: Rules) -> Result<Part, Unsupported> {
    let refuse = |reason: &str| Err(Unsupported::new(media.kind.name(), reason));
    let is_text = matches!(media.source, Source::Text(_));
    if let Some(words) = inline::words(media).filter(|_| is_text || !rules.openai) {
        return Ok(text(&words));
    }
    // Both of OpenAI's dialects name the same files.
    let ours = |dialect: &str| rules.openai && [NAME, openai_chat::NAME].contains(&dialect);
    let file_id = match &media.source {
        Source::File { dialect, id } if ours(dialect) => Some(id.clone()),
        Source::File { dialect, .. } => {
            return refuse(&format!("a file of {dialect} means nothing to another provider"));
        }
        _ => None,
    };
    match media.kind {
        MediaKind::Image if rules.blind => refuse("the model takes no pictures"),
        MediaKind::Image => Ok(Part {
            image_url: media.url().map(|url| Json::of(&url)),
            file_id,
            detail: media.detail.clone(),
            ..of_kind("input_image")
        }),
        MediaKind::Document => {
            let inline = matches!(media.source, Source::Base64(_));
            let name = media.name.clone().unwrap_or_else(|| unnamed(media.mime.as_deref()));
            let url = media.url();
            Ok(Part {
                file_data: url.clone().filter(|_| inline),
                file_url: url.filter(|_| !inline),
                file_id,
                // A URL or an id has its own.
                filename: inline.then_some(name),
                detail: media.detail.clone(),
                ..of_kind("input_file")
            })
        }
        MediaKind::Audio => refuse("the Responses API takes no audio"),
        MediaKind::Video => refuse("the Responses API takes no video"),
    }
}

/// A name for a file that came without one; the API goes by its ending.
fn unnamed(mime: Option<&str>) -> String {
    match mime {
        Some("application/pdf") => "file.pdf",
        Some("text/plain") => "file.txt",
        _ => "file",
    }
    .to_owned()
}
