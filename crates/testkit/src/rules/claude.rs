//! Messages: what a Claude model cannot do, and thinking that has to come back as it was.

use serde_json::Value;

use super::families::{Claude, Kind};
use crate::answer::Answer;
use crate::answer::errors::{bad_request, error};
use crate::ask::{Ask, array, field, string};
use crate::provider::Provider;
use crate::seal;

/// From this version on there are no sampling parameters.
const WITHOUT_SAMPLING: &str = "2026-10-21";

fn bad<T>(param: &str, message: &str) -> Result<T, Answer> {
    Err(bad_request(Provider::Anthropic, param, message))
}

fn refuse<T>(message: &str) -> Result<T, Answer> {
    Err(error(Provider::Anthropic, 400, message))
}

pub(super) fn abilities(version: Option<&str>, body: &Value, ask: &Ask) -> Result<(), Answer> {
    if version == Some(WITHOUT_SAMPLING) {
        let given = ["temperature", "top_p", "top_k"];
        if let Some(name) = given.iter().find(|name| field(body, name).is_some()) {
            return bad(name, "Extra inputs are not permitted");
        }
    }
    // An unknown model is asked for in tests, and it can do everything.
    let Some(claude) = Claude::of(&ask.model) else { return Ok(()) };
    sampling(claude, body)?;
    mode(claude, body, ask)?;
    if ask.choice.is_forced() {
        if !claude.can_be_forced() {
            return bad("tool_choice", "This model does not support forced tool use.");
        }
        if body.pointer("/thinking/type").and_then(Value::as_str) == Some("enabled") {
            return refuse("Thinking may not be enabled when tool_choice forces tool use.");
        }
    }
    let last = array(body, "messages").last().and_then(|message| string(message, "role"));
    if last == Some("assistant") && !claude.takes_prefill() {
        return refuse(
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        );
    }
    Ok(())
}

fn sampling(claude: Claude, body: &Value) -> Result<(), Answer> {
    let number = |name: &str| field(body, name).and_then(Value::as_f64);
    let (temperature, top_p) = (number("temperature"), number("top_p"));
    if temperature.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
        return bad("temperature", "range: 0..1");
    }
    if !claude.samples() {
        if temperature.is_some_and(|value| value < 1.0) {
            return bad("temperature", "This model only supports a temperature of 1.");
        }
        if top_p.is_some_and(|value| value < 0.99) {
            return bad("top_p", "This model does not support top_p below 0.99.");
        }
        if field(body, "top_k").is_some() {
            return bad("top_k", "This model does not support top_k.");
        }
    } else if claude.version >= (4, 5) && temperature.is_some() && top_p.is_some() {
        return refuse(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
        );
    }
    let enabled = body.pointer("/thinking/type").and_then(Value::as_str) == Some("enabled");
    if enabled && temperature.is_some_and(|value| value < 1.0) {
        return refuse("`temperature` may only be set to 1 when thinking is enabled.");
    }
    Ok(())
}

/// Whether the model thinks in the way that it is asked to.
fn mode(claude: Claude, body: &Value, ask: &Ask) -> Result<(), Answer> {
    let effort = body.pointer("/output_config/effort").and_then(Value::as_str);
    if effort == Some("xhigh") && claude.version < (4, 7) {
        return refuse(
            "This model does not support effort level 'xhigh'. Supported levels: high, low, max, medium.",
        );
    }
    let above_high = matches!(effort, Some("xhigh" | "max"));
    let is = |kind, version| claude.kind == kind && claude.version == version;
    match body.pointer("/thinking/type").and_then(Value::as_str) {
        Some("enabled") if !claude.thinks_by_budget() => {
            bad("thinking.type", "'enabled' is not supported with this model: use 'adaptive'.")
        }
        Some("enabled") => budget(body, ask),
        Some("adaptive") if !claude.thinks_adaptively() => {
            bad("thinking.type", "adaptive thinking is not supported on this model")
        }
        Some("between_tools") if !is(Kind::Sonnet, (5, 5)) => {
            bad("thinking.type", "'between_tools' is not supported with this model.")
        }
        Some("disabled") => {
            let some = is(Kind::Haiku, (5, 5)) || is(Kind::Opus, (5, 0));
            if some && above_high {
                return bad("thinking.type", "'disabled' needs an effort of 'high' or less.");
            }
            if claude.thinks_by_budget() || some {
                return Ok(());
            }
            bad("thinking.type", "'disabled' is not supported with this model.")
        }
        _ => Ok(()),
    }
}

fn budget(body: &Value, ask: &Ask) -> Result<(), Answer> {
    let param = "thinking.enabled.budget_tokens";
    let budget = body.pointer("/thinking/budget_tokens").and_then(Value::as_u64);
    let Some(budget) = budget else { return bad(param, "Field required") };
    if budget < 1024 {
        return bad(param, "Input should be greater than or equal to 1024");
    }
    if ask.ceiling.is_some_and(|ceiling| ceiling <= budget) {
        return refuse("`max_tokens` must be greater than `thinking.budget_tokens`.");
    }
    Ok(())
}

/// While a model thinks, earlier thinking comes back as it was, and before the calls that came of
/// it.
pub(super) fn thinking(body: &Value) -> Result<(), Answer> {
    let mode = body.pointer("/thinking/type").and_then(Value::as_str);
    if !matches!(mode, Some("enabled" | "adaptive" | "between_tools")) {
        return Ok(());
    }
    let messages = array(body, "messages");
    for (place, message) in messages.iter().enumerate() {
        for (index, block) in array(message, "content").iter().enumerate() {
            thinking_block(&format!("messages.{place}.content.{index}"), block)?;
        }
    }
    let assistant = |message: &Value| string(message, "role") == Some("assistant");
    let last = messages.iter().rposition(assistant).filter(|_| mode == Some("enabled"));
    let Some(place) = last else { return Ok(()) };
    let blocks = messages.get(place).map_or(&[][..], |message| array(message, "content"));
    let calls = blocks.iter().any(|block| string(block, "type") == Some("tool_use"));
    match blocks.first().and_then(|block| string(block, "type")) {
        Some("thinking" | "redacted_thinking") => Ok(()),
        Some(found) if calls => bad(
            &format!("messages.{place}.content.0.type"),
            &format!(
                "Expected `thinking` or `redacted_thinking`, but found `{found}`. When `thinking` is enabled, a final \
                 `assistant` message must start with a thinking block."
            ),
        ),
        _ => Ok(()),
    }
}

fn thinking_block(at: &str, block: &Value) -> Result<(), Answer> {
    match string(block, "type") {
        Some("thinking") => {
            let Some(signature) = string(block, "signature") else {
                return bad(&format!("{at}.thinking.signature"), "Field required");
            };
            let text = string(block, "thinking").filter(|text| !text.is_empty());
            if seal::holds(signature, text) {
                return Ok(());
            }
            bad(at, "Invalid `signature` in `thinking` block")
        }
        Some("redacted_thinking") => {
            let data = string(block, "data").unwrap_or_default();
            if seal::holds(data, None) {
                return Ok(());
            }
            bad(at, "Invalid `data` in `redacted_thinking` block")
        }
        _ => Ok(()),
    }
}

/// `DeepSeek` does not know the type that a tool of the client may have.
pub(super) fn deepseek(body: &Value) -> Result<(), Answer> {
    let tools = array(body, "tools").iter();
    match tools.enumerate().find(|(_, tool)| string(tool, "type") == Some("custom")) {
        Some((index, _)) => bad(&format!("tools.{index}.type"), "unknown variant `custom`"),
        None => Ok(()),
    }
}
