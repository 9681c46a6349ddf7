//! A glance at the frames that make up nearly all of a stream, for a meter that only counts: what kind of delta, where it
//! belongs, how many bytes. JSON is not parsed.

use memchr::memmem::Finder;

/// The kinds of text that come bit by bit.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Delta {
    Text,
    Refusal,
    Summary,
    Reasoning,
    Arguments,
    Input,
}

impl Delta {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Text, "response.output_text.delta"),
        (Self::Refusal, "response.refusal.delta"),
        (Self::Summary, "response.reasoning_summary_text.delta"),
        (Self::Reasoning, "response.reasoning_text.delta"),
        (Self::Arguments, "response.function_call_arguments.delta"),
        (Self::Input, "response.custom_tool_call_input.delta"),
    ];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(delta, _)| delta)
    }
}

/// A delta as far as a meter needs it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Glimpse {
    pub(super) delta: Delta,
    pub(super) output_index: u64,
    /// Which part of a message, or of a summary.
    pub(super) part: u64,
    /// Bytes of the text.
    pub(super) bytes: u64,
}

/// Finds members. A quote within a string is always escaped, so what these find is never text of the model; and where no brace
/// stands around that text, never a member of a member.
pub(super) struct Scanner {
    kind: Finder<'static>,
    delta: Finder<'static>,
    output_index: Finder<'static>,
    content_index: Finder<'static>,
    summary_index: Finder<'static>,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            kind: Finder::new("\"type\":\""),
            delta: Finder::new("\"delta\":\""),
            output_index: Finder::new("\"output_index\":"),
            content_index: Finder::new("\"content_index\":"),
            summary_index: Finder::new("\"summary_index\":"),
        }
    }
}

impl Scanner {
    /// Nothing for every frame but a delta in the usual spelling.
    pub(super) fn glimpse(&self, data: &str) -> Option<Glimpse> {
        let bytes = data.as_bytes();
        let kind = value(&self.kind, bytes)?;
        let kind = std::str::from_utf8(kind.get(..memchr::memchr(b'"', kind)?)?).ok()?;
        let delta = Delta::from_name(kind)?;
        let index = match delta {
            Delta::Summary => &self.summary_index,
            _ => &self.content_index,
        };
        let part = match delta {
            Delta::Arguments | Delta::Input => 0,
            _ => number(index, bytes)?,
        };
        let text = value(&self.delta, bytes)?;
        let (length, rest) = length(text)?;
        let before = bytes.get(1..bytes.len() - text.len())?;
        if [before, rest].into_iter().any(|part| memchr::memchr(b'{', part).is_some()) {
            return None;
        }
        let output_index = number(&self.output_index, bytes)?;
        Some(Glimpse { delta, output_index, part, bytes: length })
    }
}

/// What follows a member's name.
fn value<'a>(name: &Finder<'_>, data: &'a [u8]) -> Option<&'a [u8]> {
    let at = name.find(data)?;
    data.get(at + name.needle().len()..)
}

/// A small number; nothing for what is spelled in another way.
fn number(name: &Finder<'_>, data: &[u8]) -> Option<u64> {
    const MOST_DIGITS: usize = 9;
    let rest = value(name, data)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || digits > MOST_DIGITS || !matches!(rest.get(digits), Some(b',' | b'}')) {
        return None;
    }
    std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok()
}

/// The bytes of the text that the JSON string stands for whose opening quote is behind us, and what follows it.
fn length(mut rest: &[u8]) -> Option<(u64, &[u8])> {
    let mut bytes = 0;
    loop {
        let at = memchr::memchr2(b'"', b'\\', rest)?;
        bytes += at as u64;
        if rest.get(at) == Some(&b'"') {
            return Some((bytes, rest.get(at + 1..)?));
        }
        rest = rest.get(at + 1..)?;
        let (taken, more) = match rest.first()? {
            b'u' => unicode(rest.get(1..)?)?,
            _ => (1, 1),
        };
        bytes += more;
        rest = rest.get(taken..)?;
    }
}

/// An escape of four digits, or a pair of them: bytes taken with the `u`, and bytes meant. Nothing for half a pair, which
/// stands for no text.
fn unicode(digits: &[u8]) -> Option<(usize, u64)> {
    let unit = |digits: &[u8]| {
        let digits = std::str::from_utf8(digits.get(..4)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let first = unit(digits)?;
    Some(match first {
        0..0x80 => (5, 1),
        0x80..0x800 => (5, 2),
        0xD800..0xDC00 => {
            let second = unit(digits.get(4..)?.strip_prefix(b"\\u")?)?;
            if !(0xDC00..0xE000).contains(&second) {
                return None;
            }
            (11, 4)
        }
        0xDC00..0xE000 => return None,
        _ => (5, 3),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_text() {
        for text in ["", "ahoy", "ä€😀", "a\"b\\c\nd\u{1}", "\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}"]
        {
            let json = serde_json::to_string(text).unwrap();
            let bytes = |json: &str| length(json.as_bytes()).map(|(bytes, _)| bytes);
            assert_eq!(bytes(&json[1..]), Some(text.len() as u64), "{json}");
            let ascii: String = text
                .encode_utf16()
                .map(|unit| format!("\\u{unit:04X}"))
                .chain(std::iter::once("\"".to_owned()))
                .collect();
            assert_eq!(bytes(&ascii), Some(text.len() as u64), "{ascii}");
        }
        for broken in ["", "a", "\\", "\\u12\"", "\\ud83d\"", "\\ud83d\\u0041\"", "\\ude00\""] {
            assert_eq!(length(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn only_deltas_are_glimpsed() {
        let scanner = Scanner::default();
        let text = r#"{"delta":"{a\"type\":\"x","output_index":2,"content_index":1,"type":"response.output_text.delta"}"#;
        let expected = Glimpse {
            delta: Delta::Text,
            output_index: 2,
            part: 1,
            bytes: "{a\"type\":\"x".len() as u64,
        };
        assert_eq!(scanner.glimpse(text), Some(expected));
        for other in [
            r#"{"type":"response.output_text.done","output_index":0,"content_index":0,"text":""}"#,
            r#"{"type":"response.output_text.delta","output_index":0,"delta":"x"}"#,
            r#"{"type":"response.output_text.delta","output_index": 0,"content_index":0,"delta":"x"}"#,
            r#"{"type":"response.output_text.delta","output_index":1e3,"content_index":0,"delta":"x"}"#,
            r#"{"output_index":0,"type":{"delta":"}","type":"response.custom_tool_call_input.delta"}}"#,
            r#"{"type":"response.custom_tool_call_input.delta","output_index":0,"x":[{"delta":"y"}]}"#,
            "[DONE]",
            "",
        ] {
            assert_eq!(scanner.glimpse(other), None, "{other}");
        }
    }
}
