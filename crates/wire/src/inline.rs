//! Bytes within JSON, in base64, and documents of nothing but text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::chat::{Media, MediaKind, Source};

/// A document of nothing but text as a part of a message, where there is no other place for it: its name, then its text.
pub(crate) fn words(media: &Media) -> Option<String> {
    let text = match &media.source {
        Source::Text(text) => text.clone(),
        Source::Base64(data) if media.kind == MediaKind::Document => {
            text_of(media.mime.as_deref()?, data)?
        }
        _ => return None,
    };
    Some(match media.name.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => format!("[Document: {name}]\n{text}"),
        None => text,
    })
}

/// The text of a file that is text by its type.
pub(crate) fn text_of(mime: &str, data: &str) -> Option<String> {
    let mime = mime.split(';').next().unwrap_or_default().trim_end();
    let is_text =
        mime.starts_with("text/") || matches!(mime, "application/json" | "application/xml");
    let bytes = STANDARD.decode(data).ok().filter(|_| is_text)?;
    String::from_utf8(bytes).ok()
}

/// `text` in the standard alphabet and with padding, which is all that most providers take; nothing if it is no base64.
/// Proto3 JSON may as well use the alphabet that is safe in URLs, and leave the padding out.
pub(crate) fn standard_base64(text: String) -> Option<String> {
    const GROUP: usize = 4;
    if text.len().is_multiple_of(GROUP) && is_standard(text.trim_end_matches('=')) {
        return padded(text);
    }
    let plain = |letter: char| match letter {
        '-' => '+',
        '_' => '/',
        other => other,
    };
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).map(plain).collect();
    is_standard(text.trim_end_matches('=')).then_some(text).and_then(padded)
}

fn is_standard(letters: &str) -> bool {
    letters.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}

/// Nothing where letters are missing, or the padding there is is not that of the letters.
fn padded(mut text: String) -> Option<String> {
    let letters = text.trim_end_matches('=').len();
    let padding = match letters % 4 {
        0 => "",
        2 => "==",
        3 => "=",
        _ => return None,
    };
    let given = text.len() - letters;
    if given == 0 {
        text.push_str(padding);
    }
    (given == 0 || given == padding.len()).then_some(text)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

    use super::standard_base64;

    #[test]
    fn both_alphabets_with_and_without_padding_become_the_standard_one() {
        let bytes: Vec<u8> = (0..=255).rev().collect();
        for length in 0..=bytes.len() {
            let bytes = &bytes[..length];
            let expected = STANDARD.encode(bytes);
            for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
                let given = engine.encode(bytes);
                assert_eq!(standard_base64(given.clone()), Some(expected.clone()), "{given}");
            }
        }
    }

    #[test]
    fn lines_are_joined() {
        assert_eq!(standard_base64("AA-_\r\nAA\n".to_owned()).as_deref(), Some("AA+/AA=="));
    }

    #[test]
    fn what_is_no_base64_is_nothing() {
        for text in [
            "A", "AAAAA", "AA=", "AAA==", "AAAA=", "AAAA====", "=", "A=AA", "AA.A", "data:,A", "é+",
        ] {
            assert_eq!(standard_base64(text.to_owned()), None, "{text}");
        }
    }
}
