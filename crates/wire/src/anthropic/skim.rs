//! How many bytes of an answer a frame of a stream brings, without parsing it as JSON.

/// The bytes of text, thinking or arguments in a `content_block_delta`; none for a frame that is not written in the very
/// form in which Anthropic writes them, which must be parsed.
pub(super) fn delta_bytes(data: &str) -> Option<u64> {
    let rest = data.strip_prefix("{\"type\":\"content_block_delta\",\"index\":")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 || digits > LONGEST_INDEX || (digits > 1 && rest.starts_with('0')) {
        return None;
    }
    let rest = rest.get(digits..)?.strip_prefix(",\"delta\":{\"type\":\"")?;
    let counted = KINDS.iter().find_map(|(start, counted)| {
        let text = rest.strip_prefix(start)?;
        Some((text, *counted))
    });
    let (text, counted) = counted?;
    let (bytes, length) = string(text)?;
    let end = text.get(length..)?;
    let closed = end.trim_start_matches(WHITE).strip_prefix('}')?;
    let closed = closed.trim_start_matches(WHITE).strip_prefix('}')?;
    closed.trim_start_matches(WHITE).is_empty().then_some(if counted { bytes } else { 0 })
}

/// More digits may be beyond what an index can be.
const LONGEST_INDEX: usize = 9;

/// White space of JSON.
const WHITE: [char; 4] = [' ', '\t', '\r', '\n'];

/// How the deltas that come by the hundred go on, and whether they count.
const KINDS: [(&str, bool); 4] = [
    ("text_delta\",\"text\":\"", true),
    ("thinking_delta\",\"thinking\":\"", true),
    ("input_json_delta\",\"partial_json\":\"", true),
    ("signature_delta\",\"signature\":\"", false),
];

/// The bytes of a JSON string once decoded, and its length as written with the closing quote; none if it is no valid one.
fn string(text: &str) -> Option<(u64, usize)> {
    let bytes = text.as_bytes();
    let (mut at, mut decoded) = (0, 0_u64);
    loop {
        let run = memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        let plain = bytes.get(at..at + run)?;
        if plain.iter().any(|byte| *byte < b' ') {
            return None;
        }
        decoded += u64::try_from(run).ok()?;
        at += run;
        if bytes.get(at) == Some(&b'"') {
            return Some((decoded, at + 1));
        }
        let (written, more) = escape(bytes.get(at + 1..)?)?;
        at += 1 + written;
        decoded += more;
    }
}

/// What follows a backslash: its length as written, and the bytes that it stands for.
fn escape(after: &[u8]) -> Option<(usize, u64)> {
    match after.first()? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some((1, 1)),
        b'u' => match unit(after.get(1..5)?)? {
            0xD800..=0xDBFF => {
                let low = unit(after.get(5..11)?.strip_prefix(b"\\u")?)?;
                (0xDC00..=0xDFFF).contains(&low).then_some((11, 4))
            }
            0xDC00..=0xDFFF => None,
            0..=0x7F => Some((5, 1)),
            0x80..=0x7FF => Some((5, 2)),
            _ => Some((5, 3)),
        },
        _ => None,
    }
}

fn unit(hex: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(hex).ok()?;
    let all = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(text, 16).ok().filter(|_| all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: &str, key: &str, text: &str) -> String {
        let text = serde_json::to_string(text).unwrap();
        format!(
            r#"{{"type":"content_block_delta","index":12,"delta":{{"type":"{kind}","{key}":{text}}}   }} "#
        )
    }

    #[test]
    fn escapes_count_as_what_they_stand_for() {
        let delta = |text: &str| {
            format!(
                r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{text}"}}}}"#
            )
        };
        for (text, bytes) in [
            ("", 0),
            (r#"a\"b\\c\/\n"#, 7),
            (r"\u0041\u00e9\u20AC\ud83d\ude00", 1 + 2 + 3 + 4),
            ("é€😀", 9),
        ] {
            assert_eq!(delta_bytes(&delta(text)), Some(bytes), "{text}");
        }
        for broken in [r"\ud83d", r"\ude00", r"\ud83dx", r"\x", r"\u12", "a\nb", r"\u+123", "\\"] {
            assert_eq!(delta_bytes(&delta(broken)), None, "{broken}");
        }
    }

    #[test]
    fn other_forms_are_left_to_the_parser() {
        for data in [
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a","x":1}}"#,
            r#"{"type":"content_block_delta","index":01,"delta":{"type":"text_delta","text":"a"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}}"#,
            r#"{"type": "content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#,
            r#"{"type":"message_stop"}"#,
            "",
        ] {
            assert_eq!(delta_bytes(data), None, "{data}");
        }
    }

    proptest! {
        #[test]
        fn it_counts_what_the_parser_would(text in any::<String>()) {
            let bytes = u64::try_from(text.len()).unwrap();
            prop_assert_eq!(delta_bytes(&frame("text_delta", "text", &text)), Some(bytes));
            prop_assert_eq!(delta_bytes(&frame("thinking_delta", "thinking", &text)), Some(bytes));
            prop_assert_eq!(delta_bytes(&frame("input_json_delta", "partial_json", &text)), Some(bytes));
            prop_assert_eq!(delta_bytes(&frame("signature_delta", "signature", &text)), Some(0));
        }

        #[test]
        fn what_it_takes_the_parser_takes_too(cut in 0_usize..90, with in "[\"\\\\u{}a, ]{0,3}") {
            let mut data = frame("text_delta", "text", "a\"é\\u");
            let cut = (0..=cut.min(data.len())).rev().find(|at| data.is_char_boundary(*at)).unwrap();
            data.insert_str(cut, &with);
            if let Some(bytes) = delta_bytes(&data) {
                let value: serde_json::Value = serde_json::from_str(&data).unwrap();
                prop_assert_eq!(value["delta"]["text"].as_str().map(|t| t.len() as u64), Some(bytes));
            }
        }
    }
}
