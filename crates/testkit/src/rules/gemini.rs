//! generateContent: what models refuse, and signatures that have to come back with calls.

use serde_json::Value;

use crate::answer::Answer;
use crate::answer::errors::error;
use crate::answer::gemini::{is_modern, signed_call};
use crate::ask::gemini::either;
use crate::ask::{Ask, Format, array, string};
use crate::provider::Provider;
use crate::seal;

/// Stands in for the signature of a call that another model made.
const SENTINELS: [&str; 2] =
    ["skip_thought_signature_validator", "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="];

fn bad<T>(message: &str) -> Result<T, Answer> {
    Err(error(Provider::Gemini, 400, message))
}

pub(super) fn check(body: &Value, ask: &Ask) -> Result<(), Answer> {
    abilities(body, ask)?;
    let contents = array(body, "contents");
    pairs(contents)?;
    signatures(contents, is_modern(&ask.model))
}

fn abilities(body: &Value, ask: &Ask) -> Result<(), Answer> {
    let modern = is_modern(&ask.model);
    let known = ask.model.starts_with("gemini-2");
    let structured = !matches!(ask.format, Format::Text);
    if known && !ask.tools.is_empty() && structured {
        return bad(
            "Function calling with a response mime type: 'application/json' is unsupported",
        );
    }
    let config = either(body, "generationConfig", "generation_config");
    let thinking = config.and_then(|config| either(config, "thinkingConfig", "thinking_config"));
    let Some(thinking) = thinking else { return Ok(()) };
    if known && !modern && either(thinking, "thinkingLevel", "thinking_level").is_some() {
        return bad("Thinking level is not supported for this model.");
    }
    let budget = either(thinking, "thinkingBudget", "thinking_budget").and_then(Value::as_i64);
    if budget == Some(0) && ask.model.contains("2.5-pro") {
        return bad("Budget 0 is invalid. This model only works in thinking mode.");
    }
    Ok(())
}

fn call(part: &Value) -> Option<&Value> {
    either(part, "functionCall", "function_call")
}

fn response(part: &Value) -> Option<&Value> {
    either(part, "functionResponse", "function_response")
}

/// Each turn of calls is followed by as many responses.
fn pairs(contents: &[Value]) -> Result<(), Answer> {
    for (index, content) in contents.iter().enumerate() {
        let calls = array(content, "parts").iter().filter_map(call).count();
        let next = contents.get(index + 1).map_or(&[][..], |next| array(next, "parts"));
        let responses = next.iter().filter_map(response).count();
        if calls != responses {
            return bad(
                "Please ensure that the number of function response parts is equal to the number of function call \
                 parts of the function call turn.",
            );
        }
    }
    Ok(())
}

/// In the current turn the first call of each step is signed, from Gemini 3 on; and a signature
/// that comes back is one that was given out.
fn signatures(contents: &[Value], modern: bool) -> Result<(), Answer> {
    let asks = |content: &Value| {
        string(content, "role") != Some("model")
            && array(content, "parts").iter().any(|part| response(part).is_none())
    };
    let turn = contents.iter().rposition(asks).unwrap_or_default();
    for (index, content) in contents.iter().enumerate() {
        let mut first = true;
        for part in array(content, "parts") {
            let signature = either(part, "thoughtSignature", "thought_signature");
            let signature = signature.and_then(Value::as_str);
            let Some(call) = call(part) else {
                if signature.is_some_and(|signature| !is_known(signature, None)) {
                    return bad("Thought signature is not valid.");
                }
                continue;
            };
            let name = string(call, "name").unwrap_or_default();
            let none = Value::Object(serde_json::Map::new());
            let signed = signed_call(name, call.get("args").unwrap_or(&none));
            match signature {
                Some(signature) if !is_known(signature, Some(&signed)) => {
                    return bad("Thought signature is not valid.");
                }
                None if modern && first && index > turn => {
                    return bad(&format!(
                        "Function call is missing a thought_signature in functionCall parts. Additional data, function \
                         call `default_api:{name}`, position {}.",
                        index + 1
                    ));
                }
                _ => {}
            }
            first = false;
        }
    }
    Ok(())
}

fn is_known(signature: &str, signed: Option<&str>) -> bool {
    SENTINELS.contains(&signature) || seal::holds(signature, signed)
}
