//! Sound that a model makes, which a stream brings in pieces.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::NAME;
use super::types::Audio;
use crate::chat::{Media, MediaKind, Source};

/// Sound in the making.
#[derive(Default)]
pub(super) struct Sound {
    begun: bool,
    id: Option<String>,
    pieces: Vec<String>,
    transcript: String,
}

impl Sound {
    pub(super) fn add(&mut self, audio: Audio) {
        self.begun = true;
        self.id = self.id.take().or(audio.id);
        self.pieces.extend(audio.data.filter(|data| !data.is_empty()));
        self.transcript.push_str(audio.transcript.as_deref().unwrap_or_default());
    }

    /// All of it.
    pub(super) fn media(self) -> Option<Media> {
        if !self.begun {
            return None;
        }
        let source = if self.pieces.is_empty() {
            Source::File { dialect: NAME, id: self.id.unwrap_or_default() }
        } else {
            Source::Base64(joined(&self.pieces))
        };
        let mut media = Media::new(MediaKind::Audio, source, None);
        media.transcript = (!self.transcript.is_empty()).then_some(self.transcript);
        Some(media)
    }
}

/// One base64 text of several, each of which may have been padded.
fn joined(pieces: &[String]) -> String {
    let decoded: Option<Vec<Vec<u8>>> =
        pieces.iter().map(|piece| STANDARD.decode(piece).ok()).collect();
    // What cannot be decoded piece by piece was cut anywhere.
    decoded.map_or_else(|| pieces.concat(), |bytes| STANDARD.encode(bytes.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_joined_as_bytes() {
        let piece = |data: &str, transcript: &str| Audio {
            data: Some(data.to_owned()),
            transcript: Some(transcript.to_owned()),
            ..Audio::default()
        };
        let mut sound = Sound::default();
        sound.add(Audio { id: Some("audio_1".to_owned()), ..Audio::default() });
        sound.add(piece("YQ==", "the "));
        sound.add(piece("YmM=", "sea"));
        sound.add(Audio { expires_at: Some(1), ..Audio::default() });
        let media = sound.media().unwrap();
        assert_eq!(media.source, Source::Base64("YWJj".to_owned()));
        assert_eq!(media.transcript.as_deref(), Some("the sea"));
        assert_eq!(Sound::default().media(), None);
    }
}
