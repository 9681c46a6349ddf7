//! A request as far as its price is concerned, for bodies that pass although the canonical form has no words for them: new
//! values, unknown roles, half of a surrogate pair.
//!
//! Nothing of it is ever sent. What is not known for text, or for a function of the client's, stands in the outline as
//! something of the dialect's own, so that nobody takes it for cheap.

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::chat::{Block, Chat, Hosted, Native, Role, Tool, Turn, WebSearch};
use crate::json::{self, Json, Malformed};
use crate::{anthropic, gemini, openai_chat, openai_responses};

/// How deep a message is looked into.
const DEEPEST: u32 = 12;

/// What is in an object with its name, in the order in which it stands there.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members: Vec<(String, &'de RawValue)> = Vec::new();
                while let Some(member) = map.next_entry::<String, &'de RawValue>()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

impl<'a> Members<'a> {
    /// The members of an object in which no name stands twice: of two values nobody knows which one counts.
    fn of(text: &'a str) -> Option<Self> {
        let members: Self = serde_json::from_str(text).ok()?;
        let mut names: Vec<&str> = members.0.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.windows(2).all(|pair| pair.first() != pair.get(1)).then_some(members)
    }

    fn get(&self, names: &[&str]) -> Option<&'a str> {
        let found = self.0.iter().find(|(name, _)| names.contains(&name.as_str()));
        found.map(|(_, value)| value.get()).filter(|value| *value != "null")
    }

    fn text(&self, names: &[&str]) -> Option<String> {
        serde_json::from_str(self.get(names)?).ok()
    }
}

/// A whole number, as a number or, as Google writes long ones, as text.
pub fn count(value: &Json) -> Option<u64> {
    number(value.get())
}

fn number(value: &str) -> Option<u64> {
    let text = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    text.strip_suffix(".0").unwrap_or(text).parse().ok()
}

/// The outline of a body in a dialect.
///
/// # Errors
/// Not one object, or a name stands in it twice.
pub fn read(body: &[u8], dialect: &'static str) -> Result<Chat, Malformed> {
    let wrong = || Malformed::new("", "expected an object with each name once");
    let members = Members::of(json::utf8(body)?).ok_or_else(wrong)?;
    let mut chat = Chat::default();
    let mut whole = true;
    for (name, value) in &members.0 {
        let value = value.get();
        match name.as_str() {
            _ if value == "null" => {}
            "messages" | "system" | "input" | "instructions" | "contents" | "systemInstruction"
            | "system_instruction" => whole &= is_text(value, dialect, 0),
            "tools" => chat.tools = tools(value, dialect),
            "service_tier" | "serviceTier" => {
                chat.service_tier = serde_json::from_str::<String>(value).ok();
            }
            "generationConfig" | "generation_config" => {
                let config = Members::of(value).ok_or_else(wrong)?;
                chat.max_tokens =
                    config.get(&["maxOutputTokens", "max_output_tokens"]).and_then(number);
                if let Some(count) = config.get(&["candidateCount", "candidate_count"]) {
                    chat.native.push(own(dialect, "generationConfig.candidateCount", count));
                }
            }
            "cached_content" => chat.native.push(own(dialect, "cachedContent", value)),
            "continuation_token" => chat.native.push(own(dialect, "continuationToken", value)),
            name => chat.native.push(own(dialect, name, value)),
        }
    }
    let ceiling = |name: &str| members.get(&[name]).and_then(number);
    match dialect {
        openai_chat::NAME => {
            chat.max_tokens = ceiling("max_tokens").max(ceiling("max_completion_tokens"));
        }
        openai_responses::NAME => chat.max_tokens = ceiling("max_output_tokens"),
        anthropic::NAME => chat.max_tokens = ceiling("max_tokens"),
        _ => {}
    }
    if !whole {
        let blocks = vec![Block::Native(own(dialect, "unknown", "{}"))];
        chat.turns.push(Turn { role: Role::User, blocks, name: None });
    }
    Ok(chat)
}

/// The outline of a request to the older API for completions.
///
/// # Errors
/// Not one object, or a name stands in it twice.
pub fn of_completion(body: &[u8]) -> Result<Chat, Malformed> {
    let mut chat = read(body, openai_chat::NAME)?;
    let each = |name: &str, chat: &Chat| {
        let native = chat.native.iter().find(|native| native.field == name);
        native.map_or(Some(1), |native| count(&native.raw))
    };
    let prompts = chat.native.iter().find(|native| native.field == "prompt");
    let prompts = prompts.map_or(1, |native| prompts_in(native.raw.get()));
    // What is not a number asks for as many as there may be.
    let answers = each("n", &chat).zip(each("best_of", &chat));
    let answers = answers.map_or(u64::from(u8::MAX), |(n, best)| n.max(best));
    chat.native.retain(|native| !matches!(native.field.as_str(), "prompt" | "n" | "best_of"));
    let answers = answers.max(1).saturating_mul(prompts);
    chat.native.push(own(openai_chat::NAME, "n", &answers.to_string()));
    Ok(chat)
}

/// How many prompts there are: one text, one list of tokens, or a list of either.
fn prompts_in(value: &str) -> u64 {
    let list: Vec<&RawValue> = serde_json::from_str(value).unwrap_or_default();
    let are_tokens = list.iter().all(|item| number(item.get()).is_some());
    if are_tokens { 1 } else { u64::try_from(list.len()).unwrap_or(u64::MAX) }
}

fn own(dialect: &'static str, field: &str, raw: &str) -> Native {
    let raw = Json::parse(raw).unwrap_or_else(Json::empty_object);
    Native { dialect, field: field.to_owned(), raw }
}

/// The tools, of which the client's own are named alone.
fn tools(list: &str, dialect: &'static str) -> Vec<Tool> {
    let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(list) else {
        return vec![Tool::Native(own(dialect, "tools", list))];
    };
    let function = || Tool::Function {
        name: String::new(),
        description: None,
        schema: None,
        strict: None,
        cache: None,
    };
    let tool = |raw: &&RawValue| {
        let members = Members::of(raw.get());
        let kind = members.as_ref().and_then(|tool| tool.text(&["type"]));
        let is_typed = members.as_ref().is_some_and(|tool| tool.get(&["type"]).is_some());
        let names = |name: &&(String, &RawValue)| {
            matches!(name.0.as_str(), "functionDeclarations" | "function_declarations")
        };
        let is_theirs = match (&members, kind.as_deref()) {
            (_, Some("function" | "custom")) => true,
            (Some(tool), None) if dialect == gemini::NAME => {
                tool.0.iter().all(|member| names(&member))
            }
            (Some(_), None) => !is_typed,
            _ => false,
        };
        if is_theirs {
            return function();
        }
        let native = own(dialect, kind.as_deref().unwrap_or("unknown"), raw.get());
        let uses = members.and_then(|tool| tool.get(&["max_uses"]).and_then(number));
        match kind {
            Some(kind) if kind.starts_with("web_search") => {
                let search = WebSearch { max_uses: uses, ..WebSearch::default() };
                Tool::Hosted { kind: Hosted::WebSearch(search), native }
            }
            _ => Tool::Native(native),
        }
    };
    list.iter().map(tool).collect()
}

/// Whether there is nothing but text in a part of a conversation, and calls of the client's functions.
fn is_text(value: &str, dialect: &str, depth: u32) -> bool {
    if depth > DEEPEST {
        return false;
    }
    if value.starts_with('[') {
        let list = serde_json::from_str::<Vec<&RawValue>>(value).unwrap_or_default();
        return list.iter().all(|item| is_text(item.get(), dialect, depth + 1));
    }
    if !value.starts_with('{') {
        return true;
    }
    let Some(members) = Members::of(value) else { return false };
    // An id alone names what the provider has.
    let says = ["content", "text", "arguments", "input", "output", "function", "name"];
    if members.get(&["id"]).is_some() && members.get(&says).is_none() {
        return false;
    }
    members.0.iter().all(|(name, value)| match name.as_str() {
        _ if value.get() == "null" => true,
        "type" => serde_json::from_str::<String>(value.get())
            .is_ok_and(|kind| TEXTUAL.contains(&kind.as_str())),
        // Whatever the client's functions take and give.
        "arguments" | "args" | "response" => true,
        "input" => !is_container(value.get()) || dialect != openai_responses::NAME,
        name => NAMES.contains(&name) && is_text(value.get(), dialect, depth + 1),
    })
}

fn is_container(value: &str) -> bool {
    value.starts_with(['{', '['])
}

/// Kinds of messages and parts of them that hold text alone.
const TEXTUAL: [&str; 16] = [
    "text",
    "input_text",
    "output_text",
    "refusal",
    "message",
    "function",
    "function_call",
    "function_call_output",
    "custom",
    "custom_tool_call",
    "custom_tool_call_output",
    "tool_use",
    "tool_result",
    "thinking",
    "redacted_thinking",
    "ephemeral",
];

/// Members of messages and of parts that hold text, or more of the same.
const NAMES: [&str; 30] = [
    "role",
    "name",
    "content",
    "text",
    "parts",
    "refusal",
    "output",
    "id",
    "call_id",
    "tool_call_id",
    "tool_use_id",
    "tool_calls",
    "function",
    "custom",
    "functionCall",
    "functionResponse",
    "function_call",
    "function_response",
    "thought",
    "thoughtSignature",
    "thought_signature",
    "thinking",
    "signature",
    "data",
    "reasoning_content",
    "is_error",
    "status",
    "phase",
    "cache_control",
    "ttl",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(body: &str, dialect: &'static str) -> Chat {
        read(body.as_bytes(), dialect).expect("an outline")
    }

    fn is_whole(body: &str, dialect: &'static str) -> bool {
        outline(body, dialect).turns.is_empty()
    }

    #[test]
    fn what_is_text_alone_is_known() {
        for (dialect, body) in [
            (openai_chat::NAME, r#"{"messages":[{"role":"critic","content":"a \ud83d b"}]}"#),
            (
                openai_chat::NAME,
                r#"{"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":[{"type":"text","text":"x"}]}]}"#,
            ),
            (
                openai_responses::NAME,
                r#"{"instructions":"x","input":[{"role":"critic","content":[{"type":"input_text","text":"x"}]},{"type":"function_call","id":"fc","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"x"}]}"#,
            ),
            (
                anthropic::NAME,
                r#"{"system":"s","messages":[{"role":"tool","content":[{"type":"tool_use","id":"t","name":"f","input":{"type":"image"}},{"type":"tool_result","tool_use_id":"t","content":"x"}]}]}"#,
            ),
            (
                gemini::NAME,
                r#"{"contents":[{"role":"system","parts":[{"text":"x"},{"functionCall":{"name":"f","args":{"fileData":1}}}]}]}"#,
            ),
        ] {
            assert!(is_whole(body, dialect), "{body}");
        }
    }

    #[test]
    fn what_may_be_anything_is_told() {
        for (dialect, body) in [
            (openai_chat::NAME, r#"{"messages":[{"content":[{"type":"hologram","x":1}]}]}"#),
            (openai_chat::NAME, r#"{"messages":[{"content":[{"t\u0079pe":"im\u0061ge_url"}]}]}"#),
            (openai_chat::NAME, r#"{"messages":[{"audio":{"id":"a"}}]}"#),
            (openai_responses::NAME, r#"{"input":[{"id":"msg_1"}]}"#),
            (openai_responses::NAME, r#"{"input":[{"type":"item_reference","id":"msg_1"}]}"#),
            (openai_responses::NAME, r#"{"input":[{"type":"reasoning","id":"r","summary":[]}]}"#),
            (
                anthropic::NAME,
                r#"{"messages":[{"content":[{"type":"container_upload","file_id":"f"}]}]}"#,
            ),
            (gemini::NAME, r#"{"contents":[{"parts":[{"file_data":{"file_uri":"x"}}]}]}"#),
            (gemini::NAME, r#"{"contents":[{"parts":[{"text":"x","text":"y"}]}]}"#),
            (
                gemini::NAME,
                r#"{"contents":[{"parts":[{"functionResponse":{"name":"f","response":{},"parts":[{"inlineData":{}}]}}]}]}"#,
            ),
        ] {
            assert!(!is_whole(body, dialect), "{body}");
        }
        let deep = format!(r#"{{"input":{}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert!(!is_whole(&deep, openai_responses::NAME));
    }

    #[test]
    fn ceilings_are_those_of_the_dialect() {
        for (dialect, body, ceiling) in [
            (openai_chat::NAME, r#"{"max_tokens":5,"max_completion_tokens":7}"#, Some(7)),
            (openai_chat::NAME, r#"{"max_tokens":"many"}"#, None),
            (openai_responses::NAME, r#"{"max_tokens":5}"#, None),
            (openai_responses::NAME, r#"{"max_output_\u0074okens":5}"#, Some(5)),
            (anthropic::NAME, r#"{"max_completion_tokens":1,"max_tokens":9}"#, Some(9)),
            (gemini::NAME, r#"{"generationConfig":{"maxOutputTokens":"100"}}"#, Some(100)),
            (gemini::NAME, r#"{"generation_config":{"max_output_tokens":100.0}}"#, Some(100)),
            (gemini::NAME, r#"{"max_tokens":5}"#, None),
        ] {
            assert_eq!(outline(body, dialect).max_tokens, ceiling, "{body}");
        }
        for twice in
            [r#"{"n":1,"n":9}"#, r#"{"generationConfig":{"candidateCount":1,"candidateCount":2}}"#]
        {
            assert!(read(twice.as_bytes(), gemini::NAME).is_err(), "{twice}");
        }
    }

    #[test]
    fn tools_of_the_provider_are_told_from_those_of_the_client() {
        let hosted = |body: &str, dialect| {
            let tools = outline(body, dialect).tools;
            tools.iter().filter(|tool| !matches!(tool, Tool::Function { .. })).count()
        };
        let chat =
            r#"{"tools":[{"type":"function","function":{}},{"type":"custom"},{"name":"a"}]}"#;
        assert_eq!(hosted(chat, openai_responses::NAME), 0);
        assert_eq!(hosted(r#"{"tools":[{"type":"mcp"},{"type":5}]}"#, openai_responses::NAME), 2);
        assert_eq!(hosted(r#"{"tools":{"x":1}}"#, anthropic::NAME), 1);
        let gemini = r#"{"tools":[{"functionDeclarations":[]},{"googleSearch":{}}]}"#;
        assert_eq!(hosted(gemini, gemini::NAME), 1);
        let tools = r#"{"tools":[{"type":"web_search_20250305","max_uses":40}]}"#;
        let [Tool::Hosted { kind: Hosted::WebSearch(search), .. }] =
            &outline(tools, anthropic::NAME).tools[..]
        else {
            panic!("a search");
        };
        assert_eq!(search.max_uses, Some(40));
    }

    #[test]
    fn completions_have_as_many_answers_as_prompts() {
        for (body, answers) in [
            (r#"{"prompt":"a"}"#, "1"),
            (r#"{"prompt":[1,2,3],"best_of":2}"#, "2"),
            (r#"{"prompt":["a","b"],"n":3,"best_of":2}"#, "6"),
            (r#"{"prompt":[[1],[2],[3]]}"#, "3"),
            (r#"{"prompt":["a","b"],"n":"x"}"#, "510"),
        ] {
            let chat = of_completion(body.as_bytes()).expect("an outline");
            let [n] = &chat.native[..] else { panic!("{:?}", chat.native) };
            assert_eq!((n.field.as_str(), n.raw.get()), ("n", answers), "{body}");
        }
    }
}
