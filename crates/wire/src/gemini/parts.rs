//! Parts in the making, of a request or of an answer.

use super::types::{Blob, FileData, FunctionCall, Part, Resolution};
use super::{NAME, read_parts, signature};
use crate::Unsupported;
use crate::chat::{Media, MediaKind, Seal, Source};
use crate::inline::{standard_base64, words};
use crate::json::Json;

/// Parts, and the signature that waits for the one it belongs to.
#[derive(Default)]
pub(super) struct Parts {
    list: Vec<Json>,
    waiting: Option<String>,
    state: Option<State>,
}

/// State of another provider's thoughts. The call that they led to carries it, because some clients keep signatures of
/// calls and leave thoughts out of what they send back.
struct State {
    seal: Seal,
    /// Whether a part behind the thoughts has it already.
    told: bool,
}

impl Parts {
    /// The parts so far, which are taken out.
    pub(super) fn take(&mut self) -> Vec<Json> {
        std::mem::take(&mut self.list)
    }

    /// All parts.
    pub(super) fn finish(mut self) -> Vec<Json> {
        self.flush();
        self.list
    }

    pub(super) fn text(&mut self, text: &str) {
        if !text.is_empty() {
            self.tell();
            let part = Part { text: Some(text.to_owned()), ..Part::default() };
            self.signed(part, None);
        }
    }

    pub(super) fn thought(&mut self, text: &str) {
        if !text.is_empty() {
            self.flush();
            let part = Part { text: Some(text.to_owned()), thought: Some(true), ..Part::default() };
            self.list.push(Json::of(&part));
        }
    }

    /// The end of a thinking. Google's own signature goes to the part that comes next; what belongs to another provider
    /// goes to the next call, and stays with its thoughts where anything else comes first.
    pub(super) fn seal(&mut self, seal: &Seal) {
        self.flush();
        if seal.dialect == NAME {
            self.waiting = Some(signature::write(seal));
        } else {
            self.state = Some(State { seal: seal.clone(), told: false });
        }
    }

    /// State that belongs to no call.
    pub(super) fn mark(&mut self, seal: &Seal) {
        self.flush();
        self.list.push(thoughts_state(seal));
    }

    /// State that is not the next part's stands behind its thoughts.
    pub(super) fn tell(&mut self) {
        if let Some(state) = self.state.as_mut().filter(|state| !state.told) {
            state.told = true;
            self.list.push(thoughts_state(&state.seal));
        }
    }

    pub(super) fn call(
        &mut self,
        id: Option<&str>,
        name: &str,
        input: &Json,
        signature: Option<String>,
    ) {
        // A call has one signature: where it has its own, that of its thoughts stays with them.
        if signature.is_some() {
            self.tell();
        }
        let state = self.state.take().map(|state| signature::write_ahead(&state.seal));
        let signature = signature.or(state);
        let call = FunctionCall {
            id: id.map(str::to_owned),
            name: Some(name.to_owned()),
            args: Some(input.clone().into_object()),
        };
        self.signed(Part { function_call: Some(call), ..Part::default() }, signature);
    }

    pub(super) fn media(&mut self, part: Part) {
        self.tell();
        self.signed(part, None);
    }

    /// A part of another kind, as it is.
    pub(super) fn push(&mut self, part: Json) {
        self.flush();
        self.list.push(part);
    }

    /// Whether a call would be signed by a signature that waits.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    fn signed(&mut self, part: Part, signature: Option<String>) {
        if signature.is_some() {
            self.flush();
        }
        let thought_signature = signature.or_else(|| self.waiting.take());
        self.list.push(Json::of(&Part { thought_signature, ..part }));
    }

    /// A signature that no part came for stands alone, as Google itself sends it.
    pub(super) fn flush(&mut self) {
        self.tell();
        if let Some(value) = self.waiting.take() {
            let part = Part {
                text: Some(String::new()),
                thought_signature: Some(value),
                ..Part::default()
            };
            self.list.push(Json::of(&part));
        }
    }
}

fn thoughts_state(seal: &Seal) -> Json {
    Json::of(&Part {
        text: Some(String::new()),
        thought: Some(true),
        thought_signature: Some(signature::write(seal)),
        ..Part::default()
    })
}

/// A text of nothing: a client expects some part in every element.
pub(super) fn empty() -> Json {
    Json::of(&Part { text: Some(String::new()), ..Part::default() })
}

pub(super) fn media(media: &Media) -> Result<Part, Unsupported> {
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
    Ok(match &media.source {
        Source::Text(_) => Part { text: words(media), ..Part::default() },
        Source::Base64(data) => {
            // Of what is none Google says nothing that a client could make use of.
            let data = standard_base64(data.clone());
            let reason = "its data is no base64";
            let data = data.ok_or_else(|| Unsupported::new(media.kind.name(), reason))?;
            Part {
                inline_data: Some(Blob { mime_type: Some(mime()), data: Some(data) }),
                ..Part::default()
            }
        }
        // A film is played from its page. A file must say its type, which URLs of other dialects do not.
        Source::Url(url) if media.kind == MediaKind::Video || media.mime.is_some() => uri(url),
        Source::Url(_) => {
            let reason =
                "Gemini does not fetch it from the web; send it in the request, as a data URL";
            return Err(Unsupported::new(media.kind.name(), reason));
        }
        Source::File { dialect, id } if *dialect == NAME => uri(id),
        Source::File { dialect, .. } => {
            let reason = format!("a file of {dialect} means nothing to another provider");
            return Err(Unsupported::new(media.kind.name(), reason));
        }
    })
}

/// `detail` as Gemini 3 takes it.
pub(super) fn resolution(detail: &str) -> Option<Resolution> {
    let known = read_parts::RESOLUTIONS.iter().find(|(_, ours)| *ours == detail);
    known.map(|(theirs, _)| Resolution { level: Some((*theirs).to_owned()) })
}
