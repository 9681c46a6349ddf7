//! What the simulator says, whichever format it says it in.

use serde_json::Value;

use crate::ask::sample::sample;
use crate::ask::{Ask, Choice, Format, Media, Source, Thinking, Tool};
use crate::ids;
use crate::prompt::tokens;

pub(crate) struct Reply {
    pub(crate) thought: Option<Thought>,
    pub(crate) text: String,
    pub(crate) calls: Vec<Call>,
    pub(crate) end: End,
    /// Without those of thinking.
    pub(crate) tokens: u64,
}

pub(crate) struct Thought {
    pub(crate) text: String,
    pub(crate) shown: bool,
    pub(crate) tokens: u64,
}

pub(crate) struct Call {
    pub(crate) name: String,
    /// JSON, or any text of a free-form tool.
    pub(crate) arguments: String,
    pub(crate) free_form: bool,
}

/// Why an answer ends where it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Stop,
    /// This stop sequence came up.
    Sequence(String),
    Length,
    Calls,
}

const SENTENCES: [&str; 8] = [
    "The bar goes up as soon as the fee is paid.",
    "There are three lanes, and the one on the right is the quickest today.",
    "Count the axles first; the price follows from them.",
    "A receipt is printed for every vehicle, and none is printed twice.",
    "The night tariff begins at ten and ends at five.",
    "Two coins were too many, so one of them comes back.",
    "Whoever drives over the bridge twice also pays twice.",
    "The keeper of the gate writes each passage into the book.",
];

/// As much of a message as an answer repeats, in bytes.
const ECHO: usize = 80;

/// As much of a tool's result as an answer repeats, in bytes.
const QUOTE: usize = 2000;

impl Reply {
    /// The tokens of everything, thinking included.
    pub(crate) fn all_tokens(&self) -> u64 {
        self.tokens.saturating_add(self.thought_tokens())
    }

    pub(crate) fn thought_tokens(&self) -> u64 {
        self.thought.as_ref().map_or(0, |thought| thought.tokens)
    }
}

/// The answer, or that one of several which has this number.
pub(crate) fn to(ask: &Ask, number: usize) -> Reply {
    let thought = think(ask);
    let calls = calls(ask);
    let mut reply = Reply { thought, text: String::new(), calls, end: End::Stop, tokens: 0 };
    if reply.calls.is_empty() {
        reply.text = text(ask);
        if number > 0 {
            reply.text = format!("{} (Answer {}.)", reply.text, number + 1);
        }
        stop(&mut reply, &ask.stops);
    } else {
        reply.end = End::Calls;
    }
    if let Some(ceiling) = ask.ceiling {
        truncate(&mut reply, ceiling);
    }
    let bytes: usize = reply.calls.iter().map(|call| call.name.len() + call.arguments.len()).sum();
    reply.tokens = tokens(reply.text.len() + bytes);
    reply
}

fn think(ask: &Ask) -> Option<Thought> {
    if ask.thinking == Thinking::Off {
        return None;
    }
    let echo = echo(ask.said.trim());
    let text = match ask.results.len() {
        0 => format!("The user says \u{201c}{echo}\u{201d}, so a short answer will do."),
        count => format!("{count} tools have answered \u{201c}{echo}\u{201d}; I can say it now."),
    };
    let shown = ask.thinking == Thinking::Shown;
    Some(Thought { tokens: tokens(text.len()), text, shown })
}

/// A tool is called if one has to be, or if there are tools and none has answered yet.
fn calls(ask: &Ask) -> Vec<Call> {
    let wanted: Vec<&Tool> = match &ask.choice {
        Choice::Named(name) => ask.tools.iter().filter(|tool| tool.name == *name).collect(),
        Choice::Required => ask.tools.iter().collect(),
        Choice::Auto if ask.results.is_empty() && exact(ask).is_none() => {
            ask.tools.iter().collect()
        }
        Choice::Auto | Choice::None => Vec::new(),
    };
    let said = ask.said.to_lowercase();
    let all = !ask.one_call_only && (said.contains("both") || said.contains("parallel"));
    let count = if all { wanted.len() } else { 1 };
    wanted.into_iter().take(count).map(call).collect()
}

fn call(tool: &Tool) -> Call {
    let arguments = if tool.free_form {
        format!("some input of {}", tool.name)
    } else {
        match sample(&tool.schema) {
            object @ Value::Object(_) => object.to_string(),
            _ => "{}".to_owned(),
        }
    };
    Call { name: tool.name.clone(), arguments, free_form: tool.free_form }
}

/// What the instructions or the user want to hear word by word: `say: ` up to the end of the line.
fn exact(ask: &Ask) -> Option<String> {
    let asked = ask.said.trim().strip_prefix("say:").map(str::to_owned);
    let told = ask.system.lines().rev().find_map(|line| {
        let (_, text) = line.split_once("say:")?;
        Some(text.to_owned())
    });
    asked.or(told).map(|text| text.trim().to_owned())
}

fn text(ask: &Ask) -> String {
    if let Some(exact) = exact(ask) {
        return exact;
    }
    match &ask.format {
        Format::Schema(schema) => return sample(schema).to_string(),
        Format::Object => {
            let described = described(&ask.system).map(|schema| sample(&schema));
            let answer = || serde_json::json!({ "answer": sentence(ask.said.trim()) });
            return described.unwrap_or_else(answer).to_string();
        }
        // Instructions are followed, also where nothing enforces them.
        Format::Text if ask.system.contains("JSON Schema") => {
            if let Some(schema) = described(&ask.system) {
                return sample(&schema).to_string();
            }
        }
        Format::Text => {}
    }
    if !ask.results.is_empty() {
        let quote = |result: &String| {
            let part = result.get(..result.floor_char_boundary(QUOTE)).unwrap_or_default();
            format!("\u{201c}{part}\u{201d}")
        };
        let quotes: Vec<String> = ask.results.iter().map(quote).collect();
        return format!("The tool says: {}.", quotes.join(" and "));
    }
    let seen: Vec<String> = ask.media.iter().map(describe).collect();
    let mut words = Vec::new();
    if !ask.said.trim().is_empty() {
        words.push(format!("You said: \u{201c}{}\u{201d}.", echo(ask.said.trim())));
    }
    if !seen.is_empty() {
        words.push(format!("I see {}.", seen.join(" and ")));
    }
    words.push(sentence(ask.said.trim()).to_owned());
    words.join(" ")
}

/// The schema that instructions describe in words: JSON that stands by itself and has properties.
fn described(system: &str) -> Option<Value> {
    let starts = system.match_indices('{').map(|(at, _)| at);
    let mut found = starts.filter_map(|at| {
        let mut values = serde_json::Deserializer::from_str(system.get(at..)?).into_iter();
        let value: Value = values.next()?.ok()?;
        value.get("properties").is_some_and(Value::is_object).then_some(value)
    });
    found.next()
}

fn echo(said: &str) -> &str {
    said.get(..said.floor_char_boundary(ECHO)).unwrap_or_default()
}

fn sentence(said: &str) -> &'static str {
    let places = u64::try_from(SENTENCES.len()).unwrap_or(1);
    let place = usize::try_from(ids::mix(ids::fingerprint(said)) % places).unwrap_or_default();
    SENTENCES.get(place).copied().unwrap_or_default()
}

fn describe(media: &Media) -> String {
    let Media { kind, mime, source } = media;
    let article = if matches!(*kind, "image" | "audio") { "an" } else { "a" };
    match source {
        Source::Bytes(bytes) => format!("{article} {kind} ({mime}, {bytes} bytes)"),
        Source::Elsewhere(place) if mime.is_empty() => format!("{article} {kind} ({place})"),
        Source::Elsewhere(place) => format!("{article} {kind} ({mime}, {place})"),
    }
}

/// Ends the text before the first stop sequence in it.
fn stop(reply: &mut Reply, stops: &[String]) {
    let places = stops.iter().filter(|stop| !stop.is_empty());
    let places = places.filter_map(|stop| reply.text.find(stop.as_str()).map(|at| (at, stop)));
    if let Some((at, stop)) = places.min() {
        reply.text.truncate(at);
        reply.end = End::Sequence(stop.clone());
    }
}

/// Thinking counts first, and then what comes after it.
fn truncate(reply: &mut Reply, ceiling: u64) {
    let mut rest = ceiling;
    if let Some(thought) = &mut reply.thought {
        thought.tokens = thought.tokens.min(ceiling);
        rest = ceiling.saturating_sub(thought.tokens);
    }
    let mut bytes = usize::try_from(rest.saturating_mul(4)).unwrap_or(usize::MAX);
    if reply.text.len() > bytes {
        reply.text.truncate(reply.text.floor_char_boundary(bytes));
        reply.end = End::Length;
    }
    let mut whole = Vec::new();
    for mut call in std::mem::take(&mut reply.calls) {
        let Some(left) = bytes.checked_sub(call.name.len()) else {
            reply.end = End::Length;
            break;
        };
        if call.arguments.len() > left {
            call.arguments.truncate(call.arguments.floor_char_boundary(left));
            reply.end = End::Length;
            whole.push(call);
            break;
        }
        bytes = left.saturating_sub(call.arguments.len());
        whole.push(call);
    }
    reply.calls = whole;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(said: &str, ceiling: Option<u64>) -> Reply {
        to(&Ask { said: said.to_owned(), ceiling, ..Ask::default() }, 0)
    }

    #[test]
    fn the_same_message_gets_the_same_reply() {
        let first = reply("How much?", None);
        assert_eq!(first.text, reply("How much?", None).text);
        assert!(first.text.starts_with("You said: \u{201c}How much?\u{201d}. "));
        assert_eq!(first.end, End::Stop);
        assert_eq!(first.tokens, tokens(first.text.len()));
        assert!(SENTENCES.contains(&reply("", None).text.as_str()));
    }

    #[test]
    fn a_schema_in_words_is_followed() {
        let told = |system: &str| {
            let ask = Ask { system: system.to_owned(), format: Format::Object, ..Ask::default() };
            serde_json::from_str::<Value>(&to(&ask, 0).text).expect("JSON")
        };
        let schema = r#"Use {braces}. Follow: {"properties":{"n":{"type":"integer"}},"required":["n"]} Thanks."#;
        assert_eq!(told(schema), serde_json::json!({"n": 7}));
        assert!(told("Answer with JSON.").get("answer").is_some());
        let system = format!("This is the JSON Schema. {schema}");
        let ask = Ask { system, ..Ask::default() };
        assert_eq!(to(&ask, 0).text, r#"{"n":7}"#);
    }

    #[test]
    fn a_ceiling_cuts_between_characters() {
        for ceiling in 0..30 {
            let reply = reply(&"€".repeat(40), Some(ceiling));
            assert!(reply.tokens <= ceiling, "{ceiling}");
            assert_eq!(reply.tokens == 0, ceiling == 0, "{ceiling}");
            assert_eq!(reply.end, End::Length);
        }
        assert_eq!(reply("€", Some(1000)).end, End::Stop);
    }

    #[test]
    fn a_ceiling_cuts_calls_and_thinking_too() {
        for ceiling in 0..40 {
            let schema =
                serde_json::json!({"properties": {"a": {"type": "string", "minLength": 200}}});
            let tool = Tool { name: "look".to_owned(), schema, free_form: false };
            let ask = Ask {
                tools: vec![tool],
                thinking: Thinking::Shown,
                ceiling: Some(ceiling),
                ..Ask::default()
            };
            let reply = to(&ask, 0);
            assert!(reply.all_tokens() <= ceiling, "{ceiling}");
            assert_eq!(reply.end, End::Length, "{ceiling}");
        }
    }
}
