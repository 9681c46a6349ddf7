//! The usage frame that a client did not ask for, and what `OpenRouter` writes into a usage object: the cost.

use std::ops::Range;

use ledger::UsageReport;
use memchr::memmem;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::usage;
use crate::Dialect;
use crate::json::{self, Json};
use crate::openai_responses;
use crate::peek::{self, insert_member, splice};
use crate::sse::Frame;
use crate::stream::Cost;

/// What the two parts of the provider's price are called: that of the prompt, that of what was generated.
type PartNames = [&'static str; 2];

const PARTS: PartNames = ["upstream_inference_prompt_cost", "upstream_inference_completions_cost"];

/// The same in Responses.
const PARTS_OF_RESPONSES: PartNames =
    ["upstream_inference_input_cost", "upstream_inference_output_cost"];

/// Whether a frame of a stream brings the usage and nothing else: the frame that a client gets only if it asked.
pub fn is_usage_only(frame: &Frame<'_>) -> bool {
    #[derive(Deserialize)]
    struct Bare {
        choices: Vec<IgnoredAny>,
        usage: Option<IgnoredAny>,
    }
    // Almost no frame passes this: most have choices, and where they have a usage it is null.
    may_tell_usage(&frame.data)
        && serde_json::from_str::<Bare>(&frame.data)
            .is_ok_and(|bare| bare.choices.is_empty() && bare.usage.is_some())
}

/// A chunk without its usage where that is null, which `OpenRouter`'s SDK does not take; all other bytes stay.
pub fn without_null_usage(data: &str) -> Option<String> {
    let (start, end) = data.match_indices("\"usage\"").find_map(|(at, name)| {
        let rest = data.get(at + name.len()..)?;
        let value = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix("null")?;
        Some((at, data.len() - value.len()))
    })?;
    let (before, after) = (data.get(..start)?.trim_end(), data.get(end..)?.trim_start());
    Some(match before.strip_suffix(',') {
        Some(before) => format!("{}{after}", before.trim_end()),
        None => format!("{before}{}", after.strip_prefix(',').unwrap_or(after)),
    })
}

/// A chunk or a whole body of a dialect with the cost in its usage object; one of Responses with what it lacks besides. All
/// other bytes stay, and without a usage object there is no cost.
pub fn add_cost(frame_data: &str, dialect: &dyn Dialect, cost: &Cost) -> String {
    let is_responses = dialect.name() == openai_responses::NAME;
    let (parts, filled) = if is_responses {
        (PARTS_OF_RESPONSES, openai_responses::with_required(frame_data))
    } else {
        (PARTS, None)
    };
    let data = filled.as_deref().unwrap_or(frame_data);
    with_cost(data, parts, cost).unwrap_or_else(|| data.to_owned())
}

/// Whether there may be a usage object in a frame or body of any dialect of `OpenAI`'s or Anthropic's.
pub fn may_tell_usage(data: &str) -> bool {
    let data = data.as_bytes();
    // Where there is none yet it is null.
    memmem::find_iter(data, b"\"usage\"").any(|at| {
        let rest = data.get(at + 7..).unwrap_or_default().trim_ascii_start();
        let value = rest.strip_prefix(b":").unwrap_or_default().trim_ascii_start();
        value.starts_with(b"{")
    })
}

fn with_cost(data: &str, parts: PartNames, cost: &Cost) -> Option<String> {
    #[derive(Deserialize)]
    struct Outer<'a> {
        #[serde(borrow)]
        usage: Option<&'a RawValue>,
        /// Where an event of Responses has it.
        #[serde(borrow)]
        response: Option<Nested<'a>>,
    }
    #[derive(Deserialize)]
    struct Nested<'a> {
        #[serde(borrow)]
        usage: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Inner<'a> {
        #[serde(borrow)]
        cost: Option<&'a RawValue>,
        #[serde(borrow)]
        is_byok: Option<&'a RawValue>,
        #[serde(borrow)]
        cost_details: Option<&'a RawValue>,
    }
    let outer: Outer<'_> = serde_json::from_str(data).ok()?;
    let usage = outer.usage.or(outer.response.and_then(|response| response.usage))?.get();
    let inner: Inner<'_> = serde_json::from_str(usage).ok()?;
    let start = peek::at(data, usage)?.start;
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let mut added = Vec::new();
    let old = [inner.cost, inner.is_byok, inner.cost_details];
    for ((name, value), old) in members(cost, parts)?.into_iter().zip(old) {
        match old {
            // A provider that tells what it takes: the client gets what it pays.
            Some(raw) => edits.push((peek::at(data, raw.get())?, value.get().to_owned())),
            None => added.push(format!("\"{name}\":{}", value.get())),
        }
    }
    if !added.is_empty() {
        let (at, text) = insert_member(usage.as_bytes(), &added.join(","))?;
        edits.push((start + at.start..start + at.end, text));
    }
    String::from_utf8(splice(data.as_bytes(), edits)).ok()
}

/// The members of a usage object that tell the cost; none if an amount is no number.
fn members(cost: &Cost, parts: PartNames) -> Option<[(&'static str, Json); 3]> {
    let number = |text: &str| {
        let number = serde_json::from_str::<serde_json::Number>(text).is_ok();
        number.then(|| Json::parse(text)).flatten()
    };
    let mut details = vec![("upstream_inference_cost".to_owned(), number(&cost.upstream)?)];
    if let Some((prompt, generated)) = &cost.upstream_parts {
        for (name, amount) in parts.into_iter().zip([prompt, generated]) {
            details.push((name.to_owned(), number(amount)?));
        }
    }
    let none = serde_json::Map::new();
    Some([
        ("cost", number(&cost.charge)?),
        ("is_byok", Json::of(&cost.is_byok)),
        ("cost_details", json::object_with(&none, &details)),
    ])
}

/// The members that tell the cost in every dialect but Responses; none where it is not known.
pub(crate) fn cost_members(cost: Option<&Cost>) -> Vec<(String, Json)> {
    let told = cost.and_then(|cost| members(cost, PARTS)).into_iter().flatten();
    told.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The usage object of an answer, with the cost where it is known.
pub(super) fn usage(report: &UsageReport, cost: Option<&Cost>) -> Json {
    json::object_with(&usage::write(&report.total()), &cost_members(cost))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai_chat::OpenaiChat;
    use crate::openai_responses::OpenaiResponses;

    fn dialects() -> [&'static dyn Dialect; 2] {
        [&OpenaiChat, &OpenaiResponses]
    }

    fn cost() -> Cost {
        Cost {
            charge: "0.00010500".to_owned(),
            upstream: "0.0001".to_owned(),
            is_byok: false,
            upstream_parts: None,
        }
    }

    const TOLD: &str = "\"cost\":0.00010500,\"is_byok\":false,\"cost_details\":{\"upstream_inference_cost\":0.0001}";

    #[test]
    fn a_usage_that_is_null_goes() {
        for (before, after) in [
            (r#"{"id":"a","usage":null}"#, r#"{"id":"a"}"#),
            (r#"{"id":"a" , "usage" : null, "b":1}"#, r#"{"id":"a", "b":1}"#),
            (r#"{"usage":null,"b":1}"#, r#"{"b":1}"#),
            (r#"{"usage":null}"#, "{}"),
        ] {
            assert_eq!(without_null_usage(before).as_deref(), Some(after));
        }
        for kept in [
            r#"{"usage":{"a":null}}"#,
            r#"{"text":"\"usage\":null"}"#,
            r#"{"usage":nul"#,
            r#"{"usage"}"#,
        ] {
            assert_eq!(without_null_usage(kept), None, "{kept}");
        }
    }

    #[test]
    fn only_the_usage_object_changes() {
        for (before, after) in [
            (
                r#"{ "choices":[], "usage" : { "prompt_tokens":12345678901234567890123 } ,"x": 1.0 }"#,
                format!(
                    r#"{{ "choices":[], "usage" : {{{TOLD}, "prompt_tokens":12345678901234567890123 }} ,"x": 1.0 }}"#
                ),
            ),
            (r#"{"usage":{}}"#, format!(r#"{{"usage":{{{TOLD}}}}}"#)),
            (
                r#"{"response":{"id":"r","usage":{}}}"#,
                format!(r#"{{"response":{{"id":"r","usage":{{{TOLD}}}}}}}"#),
            ),
            (
                r#"{"usage":{"cost":7,"a":1,"is_byok":true}}"#,
                r#"{"usage":{"cost_details":{"upstream_inference_cost":0.0001},"cost":0.00010500,"a":1,"is_byok":false}}"#
                    .to_owned(),
            ),
        ] {
            for dialect in dialects() {
                assert_eq!(add_cost(before, dialect, &cost()), after);
            }
            assert!(Json::parse(&after).is_some());
        }
        for untouched in [
            r#"{"usage":null}"#,
            "{}",
            "[DONE]",
            "",
            r#"{"usage":[1]}"#,
            r#"{"usage":{},"usage":{}}"#,
        ] {
            for dialect in dialects() {
                assert_eq!(add_cost(untouched, dialect, &cost()), untouched);
            }
        }
        let own = Cost { is_byok: true, ..cost() };
        assert!(add_cost(r#"{"usage":{}}"#, &OpenaiChat, &own).contains("\"is_byok\":true"));
        let broken = Cost { charge: "1,5".to_owned(), ..cost() };
        assert_eq!(add_cost(r#"{"usage":{}}"#, &OpenaiChat, &broken), r#"{"usage":{}}"#);
    }

    #[test]
    fn both_parts_are_told_where_they_are_known() {
        let parts = Some(("0.00002".to_owned(), "0.00008".to_owned()));
        let cost = Cost { upstream_parts: parts, ..cost() };
        let [chat, responses] = dialects();
        let of_chat = r#","upstream_inference_prompt_cost":0.00002,"upstream_inference_completions_cost":0.00008}"#;
        let of_responses =
            r#","upstream_inference_input_cost":0.00002,"upstream_inference_output_cost":0.00008}"#;
        for (dialect, named) in [(chat, of_chat), (responses, of_responses)] {
            let details = format!(r#""cost_details":{{"upstream_inference_cost":0.0001{named}"#);
            // Where there were some already, with whichever names, these take their place.
            for before in [
                r#"{"usage":{}}"#.to_owned(),
                format!(r#"{{"usage":{{"cost_details":{{"a":1{of_chat}}}}}"#),
                format!(r#"{{"usage":{{"cost_details":{{"a":1{of_responses}}}}}"#),
            ] {
                let told = add_cost(&before, dialect, &cost);
                assert!(told.contains(&details), "{told}");
                assert_eq!(told.matches("cost_details").count(), 1, "{told}");
            }
        }
    }

    #[test]
    fn an_answer_of_responses_has_what_is_required_too() {
        let before = r#"{"object":"response","output":[],"usage":{}}"#;
        let told = add_cost(before, &OpenaiResponses, &cost());
        assert!(told.contains(TOLD) && told.contains(r#""frequency_penalty":0.0"#), "{told}");
        assert!(!add_cost(before, &OpenaiChat, &cost()).contains("penalty"));
    }

    #[test]
    fn the_usage_frame_is_told_from_others() {
        for (data, only) in [
            (r#"{"choices":[],"usage":{"prompt_tokens":1}}"#, true),
            (r#"{"usage" : {"prompt_tokens":1}, "choices": [ ]}"#, true),
            (r#"{"choices":[],"usage":null}"#, false),
            (r#"{"choices":[],"prompt_filter_results":[]}"#, false),
            (r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{}}"#, false),
            (r#"{"choices":[{"delta":{"content":"\"choices\":[],\"usage\":{}"}}]}"#, false),
            ("[DONE]", false),
            ("", false),
        ] {
            assert_eq!(is_usage_only(&Frame::of_data(data)), only, "{data}");
        }
    }
}
