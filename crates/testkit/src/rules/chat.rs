//! Chat Completions: what reasoning models and `DeepSeek` refuse.

use serde_json::Value;

use super::families::{efforts, reasoning_gpt, reasons};
use crate::answer::Answer;
use crate::answer::errors::{bad_request, error, unsupported};
use crate::ask::{Ask, Format, array, field, string, text};
use crate::provider::Provider;

pub(super) fn openai(body: &Value, ask: &Ask) -> Result<(), Answer> {
    let model = ask.model.as_str();
    wants_json(body, ask)?;
    no_audio(body, model)?;
    let effort = string(body, "reasoning_effort");
    check_effort("reasoning_effort", effort, model)?;
    if !reasons(model) {
        return Ok(());
    }
    if field(body, "max_tokens").is_some() {
        return Err(unsupported(
            "unsupported_parameter",
            "max_tokens",
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        ));
    }
    if !samples(effort, model) {
        not_with_reasoning(body)?;
    }
    if field(body, "stop").is_some() && !model.starts_with("o1") {
        return Err(no_parameter("stop"));
    }
    let version = reasoning_gpt(model);
    if version.is_some_and(|version| version >= (5, 4))
        && !ask.tools.is_empty()
        && effort != Some("none")
    {
        return Err(unsupported(
            "unsupported_parameter",
            "reasoning_effort",
            &format!(
                "Function tools together with reasoning are not supported for {model} in /v1/chat/completions. Use \
                 /v1/responses or set reasoning_effort to 'none'."
            ),
        ));
    }
    Ok(())
}

/// Without reasoning, some of the models that can reason take what the others do.
pub(super) fn samples(effort: Option<&str>, model: &str) -> bool {
    let version = reasoning_gpt(model);
    effort == Some("none") && version.is_some_and(|version| ((5, 1)..(6, 0)).contains(&version))
}

fn no_parameter(name: &str) -> Answer {
    let message = format!("Unsupported parameter: '{name}' is not supported with this model.");
    unsupported("unsupported_parameter", name, &message)
}

/// Sampling is not for models that reason.
pub(super) fn not_with_reasoning(body: &Value) -> Result<(), Answer> {
    let is_default =
        |value: &Value| value.as_f64().is_some_and(|number| (number - 1.0).abs() < 1e-9);
    for name in ["temperature", "top_p"] {
        if let Some(value) = field(body, name).filter(|value| !is_default(value)) {
            let message = format!(
                "Unsupported value: '{name}' does not support {value} with this model. Only the default (1) value is \
                 supported."
            );
            return Err(unsupported("unsupported_value", name, &message));
        }
    }
    let refused =
        ["presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias"];
    let matters =
        |value: &Value| !matches!(value, Value::Bool(false)) && value.as_f64() != Some(0.0);
    match refused.iter().find(|name| field(body, name).is_some_and(matters)) {
        Some(name) => Err(no_parameter(name)),
        None => Ok(()),
    }
}

pub(super) fn check_effort(param: &str, effort: Option<&str>, model: &str) -> Result<(), Answer> {
    let Some(effort) = effort else { return Ok(()) };
    if !reasons(model) {
        return Err(no_parameter(param));
    }
    let known = efforts(model);
    if known.contains(&effort) {
        return Ok(());
    }
    let message = format!(
        "Unsupported value: '{param}' does not support '{effort}' with this model. Supported values are: {}.",
        known.join(", ")
    );
    Err(unsupported("unsupported_value", param, &message))
}

/// Who asks for any JSON has to say so in words as well.
fn wants_json(body: &Value, ask: &Ask) -> Result<(), Answer> {
    let said = || {
        let messages = array(body, "messages").iter();
        let mut texts =
            messages.map(|message| text(message.get("content").unwrap_or(&Value::Null)));
        texts.any(|text| text.to_lowercase().contains("json"))
    };
    if !matches!(ask.format, Format::Object) || said() {
        return Ok(());
    }
    let message = "'messages' must contain the word 'json' in some form, to use 'response_format' of type \
                   'json_object'.";
    Err(bad_request(Provider::OpenAi, "messages", message))
}

fn no_audio(body: &Value, model: &str) -> Result<(), Answer> {
    if model.contains("audio") {
        return Ok(());
    }
    let has_audio = |message: &Value| {
        let mut parts = array(message, "content").iter();
        parts.any(|part| string(part, "type") == Some("input_audio"))
    };
    let Some(place) = array(body, "messages").iter().position(has_audio) else { return Ok(()) };
    let param = format!("messages[{place}]");
    let message = format!(
        "Invalid '{param}'. Content blocks are expected to be either text or image_url type."
    );
    Err(bad_request(Provider::OpenAi, &param, &message))
}

pub(super) fn deepseek(body: &Value, ask: &Ask) -> Result<(), Answer> {
    let bad = |message: &str| Err(error(Provider::DeepSeek, 400, message));
    if let Format::Schema(_) = ask.format {
        return bad("This response_format type is unavailable now");
    }
    if matches!(ask.format, Format::Object) && wants_json(body, ask).is_err() {
        return bad(
            "Prompt must contain the word 'json' in some form to use 'response_format' of type 'json_object'.",
        );
    }
    if let Some(kind) = array(body, "tools").iter().find_map(|tool| string(tool, "type"))
        && kind != "function"
    {
        return bad(&format!("tools[0].type: unknown variant `{kind}`, expected `function`"));
    }
    if !ask.media.is_empty() && !ask.model.contains("vision") {
        return bad("messages: unknown variant `image_url`, expected `text`");
    }
    if thinks_by_default(&ask.model)
        && body.pointer("/thinking/type").and_then(Value::as_str) != Some("disabled")
    {
        let lacks = |message: &Value| {
            !array(message, "tool_calls").is_empty()
                && !message.get("reasoning_content").is_some_and(Value::is_string)
        };
        if let Some(place) = array(body, "messages").iter().position(lacks) {
            return bad(&format!(
                "Missing `reasoning_content` field in the assistant message at message index {place}."
            ));
        }
    }
    Ok(())
}

fn thinks_by_default(model: &str) -> bool {
    model.starts_with("deepseek-v") || model == "deepseek-flash"
}
