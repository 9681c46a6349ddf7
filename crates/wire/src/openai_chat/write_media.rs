//! Canonical media to the wire.

use super::NAME;
use super::types::{Attachment, Audio, ImageUrl, InputAudio, Part, Picture};
use super::write::Rules;
use crate::Unsupported;
use crate::chat::{Media, MediaKind, Source};
use crate::inline;
use crate::json::Json;

/// A part of a message that is no text, unless it is a document of nothing but text.
pub(super) fn media_part(media: &Media, rules: Rules) -> Result<Part, Unsupported> {
    let refuse = |reason: &str| Err(Unsupported::new(media.kind.name(), reason));
    // A file must be one that is no text; the text itself is as good.
    if let Some(text) = inline::words(media).filter(|_| !rules.any() || is_text(media)) {
        return Ok(Part { kind: Some("text".to_owned()), text: Some(text), ..Part::default() });
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
        (MediaKind::Audio, _) if !rules.hears => return refuse("the model does not take sound"),
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
        (MediaKind::Document, Source::Url(_)) if rules.any() => {
            let file =
                Attachment { file_data: media.url(), file_id: None, filename: media.name.clone() };
            Part { kind: Some("file".to_owned()), file: Some(file), ..Part::default() }
        }
        (MediaKind::Document, Source::Url(_)) => {
            return refuse("a document can be sent inline only");
        }
        _ => return refuse("the provider does not take it"),
    };
    Ok(part)
}

fn is_text(media: &Media) -> bool {
    matches!(media.source, Source::Text(_))
}

/// A picture that a model made, `OpenRouter`'s way.
pub(super) fn picture(media: &Media, index: Option<u64>) -> Option<Json> {
    let url = media.url()?;
    let image_url = Some(ImageUrl { url: Some(url), detail: None });
    Some(Json::of(&Picture { kind: Some("image_url".to_owned()), image_url, index }))
}

pub(super) fn audio(source: &Source, transcript: Option<&String>) -> Audio {
    let (id, data) = match source {
        Source::File { dialect, id } if *dialect == NAME => (Some(id.clone()), None),
        Source::Base64(data) => (None, Some(data.clone())),
        _ => (None, None),
    };
    Audio { id, data, expires_at: None, transcript: transcript.cloned() }
}
