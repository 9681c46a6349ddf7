//! Counting the tokens of a request.
//! <https://platform.openai.com/docs/api-reference/responses/input-tokens>

use serde::{Deserialize, Serialize};

use super::{read, write};
use crate::json::{self, Count, Json, Malformed};
use crate::{Chat, Target, Unsupported, Written};

/// The members of a request that a request to count has too.
const COUNTED: [&str; 11] = [
    "model",
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning",
    "text",
    "previous_response_id",
    "conversation",
    "truncation",
];

#[derive(Deserialize)]
struct Answer {
    input_tokens: Option<Count>,
}

#[derive(Serialize)]
struct Out {
    object: &'static str,
    input_tokens: u64,
}

/// The path below the provider's base URL.
pub const COUNT_PATH: &str = "/responses/input_tokens";

/// Reads a client's request to count: some members of a request for an answer.
pub fn read_count_request(body: &[u8]) -> Result<Chat, Malformed> {
    read::request(body)
}

/// Writes a request to count the tokens of `chat`.
pub fn write_count_request(chat: &Chat, target: &Target<'_>) -> Result<Written, Unsupported> {
    let written = write::request(chat, target)?;
    let members = json::fields(std::str::from_utf8(&written.body).unwrap_or_default());
    let counted: Vec<_> =
        members.into_iter().filter(|(name, _)| COUNTED.contains(&name.as_str())).collect();
    let body = json::object_with(&serde_json::Map::new(), &counted);
    Ok(Written { body: body.get().as_bytes().to_vec(), ..written })
}

/// Reads the number of tokens from a provider's answer.
pub fn read_count(body: &[u8]) -> Result<u64, Malformed> {
    let answer: Answer = json::read(json::utf8(body)?, "")?;
    match answer.input_tokens {
        Some(count) if count.given && !count.absurd => Ok(count.n),
        _ => Err(Malformed::new("input_tokens", "must be a number of tokens")),
    }
}

/// Writes the number of tokens for a client.
pub fn write_count(tokens: u64) -> Vec<u8> {
    let out = Out { object: "response.input_tokens", input_tokens: tokens };
    Json::of(&out).get().as_bytes().to_vec()
}
