//! A frame of a stream that brings a few bytes of text and nothing else, without reading it as JSON.

use super::alike::Texts;

/// The bytes of output in a frame that changes nothing else; nothing if the frame has to be read. One pass, in which every
/// member is known or the frame is not plain: what a frame of text has in it is always the same. `texts` hears which texts
/// are another in every frame.
pub(super) fn bytes(data: &str, tier: Option<&str>, texts: &mut Texts) -> Option<u64> {
    let mut rest = data.trim().as_bytes().strip_prefix(b"{")?.trim_ascii_start();
    let mut bytes = None;
    while !rest.starts_with(b"}") {
        let (name, behind) = name(rest)?;
        let given = value(behind)?;
        rest = next(match name {
            b"id" | b"object" | b"model" | b"system_fingerprint" | b"provider" => passed(given)?,
            b"obfuscation" => texts.padding(given, passed(given)?),
            b"created" => number(given)?,
            b"usage" => given.strip_prefix(b"null")?,
            b"service_tier" => same(given, tier)?,
            b"choices" if bytes.is_none() => {
                let (length, behind) = choices(given, texts)?;
                bytes = Some(length);
                behind
            }
            _ => return None,
        })?;
    }
    if rest == b"}" { bytes } else { None }
}

/// The bytes in a list of one choice, and what stands behind it.
fn choices<'a>(given: &'a [u8], texts: &mut Texts) -> Option<(u64, &'a [u8])> {
    let choice = given.strip_prefix(b"[")?.trim_ascii_start().strip_prefix(b"{")?;
    let mut rest = choice.trim_ascii_start();
    let mut bytes = None;
    while !rest.starts_with(b"}") {
        let (name, behind) = name(rest)?;
        let given = value(behind)?;
        rest = next(match name {
            b"index" => number(given)?,
            b"logprobs" | b"finish_reason" | b"native_finish_reason" => {
                given.strip_prefix(b"null")?
            }
            b"delta" if bytes.is_none() => {
                let (length, behind) = delta(given, texts)?;
                bytes = Some(length);
                behind
            }
            b"text" if bytes.is_none() => {
                let (length, behind) = counted(given, texts)?;
                bytes = Some(length);
                behind
            }
            _ => return None,
        })?;
    }
    let behind = rest.strip_prefix(b"}")?.trim_ascii_start().strip_prefix(b"]")?;
    Some((bytes?, behind))
}

/// The bytes in a delta whose members are texts, `null` or one call, and what stands behind it.
fn delta<'a>(given: &'a [u8], texts: &mut Texts) -> Option<(u64, &'a [u8])> {
    let mut rest = given.strip_prefix(b"{")?.trim_ascii_start();
    let (mut bytes, mut thoughts) = (0, 0);
    while !rest.starts_with(b"}") {
        let (name, behind) = name(rest)?;
        let given = value(behind)?;
        let is_thought = matches!(name, b"reasoning" | b"reasoning_content");
        let (length, behind) = match (name, given.strip_prefix(b"null")) {
            (_, Some(behind)) => (0, behind),
            (b"role", _) => (0, passed(given)?),
            (b"content" | b"refusal" | b"reasoning" | b"reasoning_content", _) => {
                counted(given, texts)?
            }
            (b"tool_calls", _) => call(given, texts)?,
            _ => return None,
        };
        // Two names of the same thoughts.
        thoughts += u32::from(is_thought && length > 0);
        bytes += length;
        rest = next(behind)?;
    }
    (thoughts <= 1).then_some((bytes, rest.strip_prefix(b"}")?))
}

/// The bytes of arguments in a list of one call, and what stands behind it.
fn call<'a>(given: &'a [u8], texts: &mut Texts) -> Option<(u64, &'a [u8])> {
    let call = given.strip_prefix(b"[")?.trim_ascii_start().strip_prefix(b"{")?;
    let mut rest = call.trim_ascii_start();
    let mut bytes = 0;
    let mut called = false;
    while !rest.starts_with(b"}") {
        let (name, behind) = name(rest)?;
        let given = value(behind)?;
        rest = next(match name {
            b"index" => number(given)?,
            b"id" | b"type" => passed(given)?,
            b"function" if !called => {
                let (length, behind) = function(given, texts)?;
                (bytes, called) = (length, true);
                behind
            }
            _ => return None,
        })?;
    }
    let behind = rest.strip_prefix(b"}")?.trim_ascii_start().strip_prefix(b"]")?;
    Some((bytes, behind))
}

/// The bytes of a function's arguments, and what stands behind it.
fn function<'a>(given: &'a [u8], texts: &mut Texts) -> Option<(u64, &'a [u8])> {
    let mut rest = given.strip_prefix(b"{")?.trim_ascii_start();
    let mut bytes = None;
    while !rest.starts_with(b"}") {
        let (name, behind) = name(rest)?;
        let given = value(behind)?;
        rest = next(match name {
            b"name" => passed(given)?,
            b"arguments" if bytes.is_none() => {
                let (length, behind) = counted(given, texts)?;
                bytes = Some(length);
                behind
            }
            _ => return None,
        })?;
    }
    Some((bytes.unwrap_or(0), rest.strip_prefix(b"}")?))
}

/// The length of a text that counts, and what stands behind it.
fn counted<'a>(given: &'a [u8], texts: &mut Texts) -> Option<(u64, &'a [u8])> {
    let (length, behind) = string(given)?;
    texts.counted(given, behind);
    Some((length, behind))
}

/// What stands behind a text or `null`, whatever the text says.
fn passed(given: &[u8]) -> Option<&[u8]> {
    if let Some(behind) = given.strip_prefix(b"null") {
        return Some(behind);
    }
    let rest = given.strip_prefix(b"\"")?;
    let at = memchr::memchr2(b'"', b'\\', rest)?;
    // With an escape in it, it is looked at as a text whose length counts.
    if rest.get(at) == Some(&b'"') { rest.get(at + 1..) } else { Some(string(given)?.1) }
}

/// What stands behind a whole number or `null`.
fn number(given: &[u8]) -> Option<&[u8]> {
    if let Some(behind) = given.strip_prefix(b"null") {
        return Some(behind);
    }
    let digits = given.iter().position(|byte| !byte.is_ascii_digit())?;
    given.get(digits..).filter(|_| digits > 0)
}

/// What stands behind the tier that is known already, or `null`.
fn same<'a>(given: &'a [u8], tier: Option<&str>) -> Option<&'a [u8]> {
    let null = given.strip_prefix(b"null");
    let known = || given.strip_prefix(b"\"")?.strip_prefix(tier?.as_bytes())?.strip_prefix(b"\"");
    null.or_else(known)
}

/// What stands behind the colon.
fn value(rest: &[u8]) -> Option<&[u8]> {
    Some(rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start())
}

/// A member's name and what stands behind it. One with an escape in it is none of those that are looked for.
fn name(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = rest.strip_prefix(b"\"")?;
    // Names are short.
    let end = rest.iter().position(|byte| *byte == b'"')?;
    Some((rest.get(..end)?, rest.get(end + 1..)?))
}

/// The next member, or the end of the object.
fn next(rest: &[u8]) -> Option<&[u8]> {
    let rest = rest.trim_ascii_start();
    match rest.strip_prefix(b",") {
        // Behind a comma there is a member.
        Some(rest) => Some(rest.trim_ascii_start()).filter(|rest| rest.starts_with(b"\"")),
        None => rest.starts_with(b"}").then_some(rest),
    }
}

/// The length in UTF-8 of the text in a JSON string, and what stands behind it; nothing where it has halves of a
/// surrogate pair, which want a closer look.
fn string(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut rest = text.strip_prefix(b"\"")?;
    let mut length = 0;
    loop {
        let at = memchr::memchr2(b'"', b'\\', rest)?;
        length += at as u64;
        match rest.get(at..)? {
            [b'"', behind @ ..] => return Some((length, behind)),
            [b'\\', b'u', a, b, c, d, behind @ ..] => {
                let code = [a, b, c, d].into_iter().try_fold(0, |code, digit| {
                    Some(code * 16 + char::from(*digit).to_digit(16)?)
                })?;
                length += char::from_u32(code)?.len_utf8() as u64;
                rest = behind;
            }
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', behind @ ..] => {
                length += 1;
                rest = behind;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(data: &str, tier: Option<&str>) -> Option<u64> {
        super::bytes(data, tier, &mut Texts::default())
    }

    #[test]
    fn lengths_of_strings() {
        for text in [r#""""#, r#""a""#, r#""\"\\\/\b\f\n\r\t""#, r#""\u00e9\u20ac x""#, r#""ä€😀""#]
        {
            let parsed: String = serde_json::from_str(text).unwrap();
            let with_rest = format!("{text},1");
            assert_eq!(
                string(with_rest.as_bytes()),
                Some((parsed.len() as u64, &b",1"[..])),
                "{text}"
            );
        }
        for text in [r#""\ud83d\ude00""#, r#""open"#, r#""\x""#, "1"] {
            assert_eq!(string(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn frames_of_text_are_not_read() {
        let of = |delta: &str, rest: &str| {
            let chunk = format!(
                r#"{{"id":"c","model":"m","service_tier":"default","choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":null}}]{rest}}}"#
            );
            bytes(&chunk, Some("default"))
        };
        for (delta, expected) in [
            (r#"{"content":"a\n\u00e9"}"#, 4),
            (r#"{"content":null,"reasoning_content":"hm"}"#, 2),
            (r#"{"role":"assistant","content":"","refusal":null}"#, 0),
            (r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}"#, 4),
            (
                r#"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}"#,
                0,
            ),
            ("{}", 0),
        ] {
            assert_eq!(
                of(delta, ",\"usage\":null,\"obfuscation\":\"x\""),
                Some(expected),
                "{delta}"
            );
            assert_eq!(of(delta, ",\"usage\":{\"prompt_tokens\":1}"), None, "{delta}");
        }
        let text = r#"{"id":"c","choices":[{"text":" toll","index":0,"logprobs":null,"finish_reason":null}],"model":"m"}"#;
        assert_eq!(bytes(text, None), Some(5));
        assert_eq!(bytes(&text.replace("null}]", "\"stop\"}]"), None), None);
        assert_eq!(bytes(&text.replace("\"id\"", "\"service_tier\":\"flex\",\"id\""), None), None);
        assert_eq!(bytes("[DONE]", None), None);
    }
}
