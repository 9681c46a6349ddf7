//! What is known of a stream at any moment: its counters, its end. Most frames bring a few bytes of text and nothing else;
//! those are looked at without reading them as JSON.

use ledger::{Usage, UsageReport};

use super::problem;
use super::read_reply::finish;
use super::types::{CallDelta, Chunk, ChunkChoice, Delta};
use super::{details, usage};
use crate::Problem;
use crate::json::{Json, TextOr};
use crate::problem::Kind;
use crate::reply::Finish;
use crate::sse::Frame;
use crate::stream::{End, Seen, Stage};

/// The counters of a stream.
pub(super) struct Gauge {
    seen: Seen,
    /// The usage that came last, and the largest figures of all.
    last: Option<UsageReport>,
    most: Usage,
    tier: Option<String>,
    /// Nothing counts any more.
    over: bool,
    begun: bool,
    /// The answer came whole, from a server that does not stream.
    unary: bool,
}

/// What a frame brings.
#[derive(Default)]
pub(super) struct Step {
    pub(super) chunk: Option<Chunk>,
    pub(super) problem: Option<Problem>,
    pub(super) done: bool,
}

impl Step {
    fn of_problem(problem: Problem) -> Self {
        Self { problem: Some(problem), ..Self::default() }
    }
}

impl Gauge {
    pub(super) fn new() -> Self {
        Self {
            seen: Seen::default(),
            last: None,
            most: Usage::ZERO,
            tier: None,
            over: false,
            begun: false,
            unary: false,
        }
    }

    pub(super) fn seen(&self) -> Seen {
        Seen { usage: self.usage(), ..self.seen.clone() }
    }

    pub(super) fn usage(&self) -> Option<UsageReport> {
        let cut = self.over && !self.seen.whole && !self.seen.usage_final;
        let mut report = self.last.clone()?;
        if cut && let [pass] = report.passes.as_mut_slice() {
            pass.usage = self.most;
        }
        report.service_tier = usage::tier(self.tier.as_deref());
        Some(report)
    }

    pub(super) fn output_bytes(&self) -> u64 {
        self.seen.output_bytes
    }

    pub(super) fn stage(&self) -> Stage {
        Stage::of(self.seen.finish, self.seen.whole, self.seen.failed)
    }

    /// The id and the model of the answer.
    pub(super) fn names(&self) -> (&str, &str) {
        (&self.seen.id, &self.seen.model)
    }

    /// Takes a frame, read in full.
    pub(super) fn take(&mut self, frame: &Frame<'_>) -> Step {
        let data = frame.data.trim();
        if self.over || data.is_empty() {
            return Step::default();
        }
        if data == "[DONE]" {
            return self.done();
        }
        let chunk = match serde_json::from_str::<Chunk>(data) {
            Ok(chunk) if frame.event != "error" && !chunk.error.as_ref().is_some_and(truthy) => {
                chunk
            }
            Err(error) if frame.event != "error" => {
                let message = format!("the provider's stream cannot be read: {error}");
                return self.fail(Problem::own(Kind::Malformed, message));
            }
            _ => return self.fail(problem::in_stream(data.as_bytes())),
        };
        self.count(&chunk);
        let problem = match self.seen.finish {
            Some(Finish::Failed) => {
                self.seen.failed = true;
                self.over = true;
                Some(broken_off())
            }
            _ => None,
        };
        Step { chunk: Some(chunk), problem, done: false }
    }

    /// Takes a frame for its counters only.
    pub(super) fn skim(&mut self, frame: &Frame<'_>) {
        // Without the end of a line it was cut anywhere.
        let ended = matches!(frame.raw.last(), Some(b'\n' | b'\r'));
        let known = ended && !self.over && frame.event != "error" && self.known();
        let bytes = known.then(|| plain(&frame.data, self.tier.as_deref())).flatten();
        match bytes {
            Some(bytes) => self.seen.output_bytes += bytes,
            None => drop(self.take(frame)),
        }
    }

    pub(super) fn end(&mut self, how: End) -> Step {
        if self.over {
            return Step::default();
        }
        if self.unary && how == End::Closed {
            return self.done();
        }
        let (kind, message) = match how {
            End::Idle => (Kind::Timeout, "the provider's stream stopped coming"),
            End::Closed | End::Broken => (Kind::Upstream, "the provider's stream was cut short"),
        };
        self.over = true;
        Step::of_problem(Problem::own(kind, message))
    }

    fn done(&mut self) -> Step {
        if !self.begun {
            let message = "the provider's stream has no answer in it";
            return self.fail(Problem::own(Kind::Malformed, message));
        }
        (self.over, self.seen.whole) = (true, true);
        self.seen.usage_final = self.last.is_some();
        Step { done: true, ..Step::default() }
    }

    fn fail(&mut self, problem: Problem) -> Step {
        (self.over, self.seen.failed) = (true, true);
        Step::of_problem(problem)
    }

    /// Whether id and model are known, which never change.
    fn known(&self) -> bool {
        self.begun && !self.seen.id.is_empty() && !self.seen.model.is_empty()
    }

    fn count(&mut self, chunk: &Chunk) {
        for (own, given) in [(&mut self.seen.id, &chunk.id), (&mut self.seen.model, &chunk.model)] {
            if own.is_empty()
                && let Some(given) = given
            {
                own.clone_from(given);
            }
        }
        if chunk.service_tier.is_some() {
            self.tier.clone_from(&chunk.service_tier);
        }
        let choices = chunk.choices.as_deref().unwrap_or_default();
        self.begun |= !choices.is_empty();
        let mut ends = choices.is_empty();
        for choice in choices {
            self.seen.output_bytes += bytes_of(choice);
            self.unary |= choice.message.is_some();
            let Some(word) = &choice.finish_reason else { continue };
            ends = true;
            if choice.index.unwrap_or(0) == 0 {
                self.seen.finish = Some(finish(word));
            }
        }
        let report = chunk.usage.as_ref().and_then(|usage| usage::read(usage.get()).ok());
        if let Some(report) = report {
            for (meter, count) in report.total().nonzero() {
                self.most.set(meter, self.most.get(meter).max(count));
            }
            self.last = Some(report);
            self.seen.usage_final = ends && self.seen.finish.is_some();
        }
    }
}

/// Whether a JavaScript client takes this for an error.
fn truthy(error: &Json) -> bool {
    !matches!(error.get(), "null" | "false" | "0" | "\"\"")
}

/// `DeepSeek` broke off for want of capacity: the same request may succeed later.
fn broken_off() -> Problem {
    Problem {
        upstream: true,
        ..Problem::own(Kind::Overloaded, "the provider broke off its answer")
    }
}

/// The text of a `content` that may be a list of parts.
pub(super) fn text_of(delta: &Delta) -> String {
    match &delta.content {
        None => String::new(),
        Some(TextOr::Text(text)) => text.clone(),
        Some(TextOr::List(parts)) => parts
            .iter()
            .filter_map(|part| serde_json::from_str::<super::types::Part>(part.get()).ok()?.text)
            .collect(),
    }
}

/// The thoughts of a delta, which some servers tell under several names: each once.
pub(super) fn plain_thoughts(delta: &Delta) -> Option<&str> {
    let [one, other] = [&delta.reasoning_content, &delta.reasoning]
        .map(|thoughts| thoughts.as_deref().filter(|text| !text.is_empty()));
    one.or(other)
}

/// The arguments of a call, which some servers send as the object itself.
pub(super) fn arguments_of(arguments: &Json) -> String {
    arguments.as_string().unwrap_or_else(|| arguments.get().to_owned())
}

fn bytes_of(choice: &ChunkChoice) -> u64 {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let called = |call: &super::types::Called| {
        call.arguments.as_ref().map_or(0, |arguments| arguments_of(arguments).len())
    };
    let of_call = |call: &CallDelta| {
        call.function.as_ref().map_or(0, called)
            + call.custom.as_ref().map_or(0, |custom| length(&custom.input))
    };
    let of_delta = |delta: &Delta| {
        let told: usize = details::pieces(delta.reasoning_details.as_deref().unwrap_or_default())
            .map(|piece| piece.text.len())
            .sum();
        let thoughts = if told > 0 { told } else { plain_thoughts(delta).map_or(0, str::len) };
        text_of(delta).len()
            + length(&delta.refusal)
            + thoughts
            + delta.tool_calls.iter().flatten().map(of_call).sum::<usize>()
            + delta.function_call.as_ref().map_or(0, called)
            + delta.audio.as_ref().map_or(0, |audio| length(&audio.transcript))
    };
    let deltas = choice.delta.iter().chain(&choice.message);
    (deltas.map(of_delta).sum::<usize>() + length(&choice.text)) as u64
}

/// The bytes of output in a frame that changes nothing else; nothing if the frame has to be read. One pass, in which every
/// member is known or the frame is not plain: what a frame of text has in it is always the same.
fn plain(data: &str, tier: Option<&str>) -> Option<u64> {
    let mut rest = data.trim().as_bytes().strip_prefix(b"{")?.trim_ascii_start();
    let mut bytes = None;
    while !rest.starts_with(b"}") {
        let (name, behind) = name(rest)?;
        let given = value(behind)?;
        rest = next(match name {
            b"id" | b"object" | b"model" | b"system_fingerprint" | b"obfuscation" | b"provider" => {
                passed(given)?
            }
            b"created" => number(given)?,
            b"usage" => given.strip_prefix(b"null")?,
            b"service_tier" => same(given, tier)?,
            b"choices" if bytes.is_none() => {
                let (length, behind) = choices(given)?;
                bytes = Some(length);
                behind
            }
            _ => return None,
        })?;
    }
    if rest == b"}" { bytes } else { None }
}

/// The bytes in a list of one choice, and what stands behind it.
fn choices(given: &[u8]) -> Option<(u64, &[u8])> {
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
                let (length, behind) = delta(given)?;
                bytes = Some(length);
                behind
            }
            b"text" if bytes.is_none() => {
                let (length, behind) = string(given)?;
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
fn delta(given: &[u8]) -> Option<(u64, &[u8])> {
    let mut rest = given.strip_prefix(b"{")?.trim_ascii_start();
    let (mut bytes, mut thoughts) = (0, 0);
    while !rest.starts_with(b"}") {
        let (name, behind) = name(rest)?;
        let given = value(behind)?;
        let is_thought = matches!(name, b"reasoning" | b"reasoning_content");
        let (length, behind) = match (name, given.strip_prefix(b"null")) {
            (_, Some(behind)) => (0, behind),
            (b"role", _) => (0, passed(given)?),
            (b"content" | b"refusal" | b"reasoning" | b"reasoning_content", _) => string(given)?,
            (b"tool_calls", _) => call(given)?,
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
fn call(given: &[u8]) -> Option<(u64, &[u8])> {
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
                let (length, behind) = function(given)?;
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
fn function(given: &[u8]) -> Option<(u64, &[u8])> {
    let mut rest = given.strip_prefix(b"{")?.trim_ascii_start();
    let mut bytes = None;
    while !rest.starts_with(b"}") {
        let (name, behind) = name(rest)?;
        let given = value(behind)?;
        rest = next(match name {
            b"name" => passed(given)?,
            b"arguments" if bytes.is_none() => {
                let (length, behind) = string(given)?;
                bytes = Some(length);
                behind
            }
            _ => return None,
        })?;
    }
    Some((bytes.unwrap_or(0), rest.strip_prefix(b"}")?))
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
        let bytes = |delta: &str, rest: &str| {
            let chunk = format!(
                r#"{{"id":"c","model":"m","service_tier":"default","choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":null}}]{rest}}}"#
            );
            plain(&chunk, Some("default"))
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
                bytes(delta, ",\"usage\":null,\"obfuscation\":\"x\""),
                Some(expected),
                "{delta}"
            );
            assert_eq!(bytes(delta, ",\"usage\":{\"prompt_tokens\":1}"), None, "{delta}");
        }
        let text = r#"{"id":"c","choices":[{"text":" toll","index":0,"logprobs":null,"finish_reason":null}],"model":"m"}"#;
        assert_eq!(plain(text, None), Some(5));
        assert_eq!(plain(&text.replace("null}]", "\"stop\"}]"), None), None);
        assert_eq!(plain(&text.replace("\"id\"", "\"service_tier\":\"flex\",\"id\""), None), None);
        assert_eq!(plain("[DONE]", None), None);
    }
}
