//! Legacy completions.

use serde_json::Value;

use super::{Ask, field, string};
use crate::answer::Answer;
use crate::answer::errors::bad_request;
use crate::prompt;
use crate::provider::Provider;

/// The tokens of an answer if the request does not say.
const DEFAULT_CEILING: u64 = 16;

pub(crate) fn read(body: &Value) -> Result<Ask, Answer> {
    let bad = |param: &str, message: &str| bad_request(Provider::OpenAi, param, message);
    let model = string(body, "model").filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| bad("model", "The parameter 'model' is required."))?;
    let mut ask = Ask::new(model, body);
    ask.said = match field(body, "prompt") {
        Some(Value::String(prompt)) => prompt::without_fault(prompt).to_owned(),
        Some(Value::Array(prompts)) => {
            prompts.iter().find_map(Value::as_str).unwrap_or_default().to_owned()
        }
        _ => String::new(),
    };
    ask.stops = super::chat::stops(body);
    ask.ceiling = Some(match field(body, "max_tokens") {
        None => DEFAULT_CEILING,
        Some(value) => value
            .as_u64()
            .ok_or_else(|| bad("max_tokens", "'max_tokens' must be a whole number."))?,
    });
    let answers = body.get("n").and_then(Value::as_u64).unwrap_or(1);
    ask.answers = usize::try_from(answers).unwrap_or(1);
    Ok(ask)
}
