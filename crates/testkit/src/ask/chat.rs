//! Chat Completions as `OpenAI` and `DeepSeek` read them.

use serde_json::Value;

use super::{Ask, Choice, Format, Media, Thinking, Tool, array, field, string, text};
use crate::answer::Answer;
use crate::answer::errors::bad_request;
use crate::provider::Provider;

const OPENAI_ROLES: [&str; 6] = ["developer", "system", "user", "assistant", "tool", "function"];
const DEEPSEEK_ROLES: [&str; 4] = ["system", "user", "assistant", "tool"];

pub(crate) fn read(provider: Provider, body: &Value) -> Result<Ask, Answer> {
    let bad = |param: &str, message: &str| bad_request(provider, param, message);
    let (roles, ceilings): (&[&str], &[&str]) = match provider {
        Provider::DeepSeek => (&DEEPSEEK_ROLES, &["max_tokens"]),
        _ => (&OPENAI_ROLES, &["max_completion_tokens", "max_tokens"]),
    };
    let model = string(body, "model").filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| bad("model", "The parameter 'model' is required."))?;
    let messages = body.get("messages").and_then(Value::as_array);
    let messages = messages.ok_or_else(|| bad("messages", "An array 'messages' is required."))?;
    if messages.is_empty() {
        return Err(bad("messages", "'messages' is empty: it must hold at least one message."));
    }
    for (index, message) in messages.iter().enumerate() {
        let role = string(message, "role").unwrap_or_default();
        if !roles.contains(&role) {
            let param = format!("messages[{index}].role");
            let known = roles.join(", ");
            return Err(bad(&param, &format!("'{role}' is not one of the roles {known}.")));
        }
    }
    let streams = body.get("stream") == Some(&Value::Bool(true));
    if field(body, "stream_options").is_some() && !streams {
        return Err(bad("stream_options", "'stream_options' is allowed with a stream only."));
    }
    let mut ask = Ask::new(model, body);
    if let Some((name, value)) = ceilings.iter().find_map(|name| Some((*name, field(body, name)?)))
    {
        let tokens = value.as_u64().filter(|tokens| *tokens > 0);
        let message = || format!("'{name}' must be a whole number from 1 up.");
        ask.ceiling = Some(tokens.ok_or_else(|| bad(name, &message()))?);
    }
    fill(&mut ask, body, messages);
    ask.thinking = thinking(provider, body);
    Ok(ask)
}

fn fill(ask: &mut Ask, body: &Value, messages: &[Value]) {
    for message in messages {
        if matches!(string(message, "role"), Some("system" | "developer")) {
            ask.system.push_str(&text(message.get("content").unwrap_or(&Value::Null)));
            ask.system.push('\n');
        }
    }
    let user = messages.iter().rev().find(|message| string(message, "role") == Some("user"));
    let parts = user.map_or(&[][..], |message| array(message, "content"));
    ask.media = parts.iter().filter_map(media).collect();
    let is_result = |message: &&Value| matches!(string(message, "role"), Some("tool" | "function"));
    let results = messages.iter().rev().take_while(is_result);
    ask.results =
        results.map(|message| text(message.get("content").unwrap_or(&Value::Null))).collect();
    ask.results.reverse();
    ask.tools = array(body, "tools").iter().filter_map(tool).collect();
    if let Some(choice) = field(body, "tool_choice") {
        choose(ask, choice);
    }
    ask.one_call_only = body.get("parallel_tool_calls") == Some(&Value::Bool(false));
    ask.format = body.get("response_format").map(format).unwrap_or_default();
    ask.stops = stops(body);
    ask.logprobs = body.get("logprobs") == Some(&Value::Bool(true));
    let answers = body.get("n").and_then(Value::as_u64).unwrap_or(1);
    ask.answers = usize::try_from(answers).unwrap_or(1);
}

/// The texts that end an answer: one, or a list.
pub(super) fn stops(body: &Value) -> Vec<String> {
    match body.get("stop") {
        Some(Value::String(stop)) => vec![stop.clone()],
        Some(Value::Array(stops)) => {
            stops.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

fn thinking(provider: Provider, body: &Value) -> Thinking {
    let effort = string(body, "reasoning_effort").filter(|effort| *effort != "none");
    if provider != Provider::DeepSeek {
        return effort.map_or(Thinking::Off, |_| Thinking::Hidden);
    }
    match body.pointer("/thinking/type").and_then(Value::as_str) {
        Some("disabled") => Thinking::Off,
        Some("enabled") => Thinking::Shown,
        _ => effort.map_or(Thinking::Off, |_| Thinking::Shown),
    }
}

fn media(part: &Value) -> Option<Media> {
    match string(part, "type")? {
        "image_url" => Some(Media::url("image", part.pointer("/image_url/url")?.as_str()?)),
        "input_audio" => {
            let audio = part.get("input_audio")?;
            let mime = format!("audio/{}", string(audio, "format").unwrap_or("wav"));
            Some(Media::base64("audio", &mime, string(audio, "data")?))
        }
        "file" => {
            let file = part.get("file")?;
            let source = string(file, "file_data").or_else(|| string(file, "file_id"))?;
            Some(Media::url("file", source))
        }
        _ => None,
    }
}

fn tool(tool: &Value) -> Option<Tool> {
    let kind = string(tool, "type").unwrap_or("function");
    let inner = tool.get(kind)?;
    Some(Tool {
        name: string(inner, "name")?.to_owned(),
        schema: inner.get("parameters").cloned().unwrap_or_default(),
        free_form: kind == "custom",
    })
}

/// `tool_choice` of Chat Completions and of Responses, which nest names differently.
pub(super) fn choose(ask: &mut Ask, choice: &Value) {
    let name = |of: &Value| -> Option<String> {
        let kind = string(of, "type").unwrap_or("function");
        let inner = of.get(kind).unwrap_or(of);
        string(inner, "name").map(str::to_owned)
    };
    let word = |word: Option<&str>| match word {
        Some("none") => Choice::None,
        Some("required") => Choice::Required,
        _ => Choice::Auto,
    };
    ask.choice = if choice.is_string() {
        word(choice.as_str())
    } else if string(choice, "type") == Some("allowed_tools") {
        let inner = choice.get("allowed_tools").unwrap_or(choice);
        let names: Vec<String> = array(inner, "tools").iter().filter_map(name).collect();
        ask.allow_only(&names);
        word(string(inner, "mode"))
    } else {
        name(choice).map_or(Choice::Auto, Choice::Named)
    };
}

/// `response_format`, or `text.format` of Responses, where the schema is not nested.
pub(super) fn format(format: &Value) -> Format {
    match string(format, "type") {
        Some("json_object") => Format::Object,
        Some("json_schema") => {
            let inner = format.get("json_schema").unwrap_or(format);
            Format::Schema(inner.get("schema").cloned().unwrap_or_default())
        }
        _ => Format::Text,
    }
}
