//! Counting the tokens of a request: <https://docs.claude.com/en/api/messages-count-tokens>

use serde::{Deserialize, Serialize};

use super::{read, write};
use crate::json::{self, Json, Malformed};
use crate::{Chat, Target, Unsupported, Written};

#[derive(Deserialize)]
struct Answer {
    input_tokens: u64,
}

#[derive(Serialize)]
struct Out {
    input_tokens: u64,
}

/// Reads a client's request to count: a request for an answer that needs no limit.
pub fn read_count_request(body: &[u8]) -> Result<Chat, Malformed> {
    read::request(body)
}

/// Writes a request to count the tokens of `chat`.
pub fn write_count_request(chat: &Chat, target: &Target<'_>) -> Result<Written, Unsupported> {
    write::count_request(chat, target)
}

/// Reads the number of tokens from a provider's answer.
pub fn read_count(body: &[u8]) -> Result<u64, Malformed> {
    let answer: Answer = json::read(json::utf8(body)?, "")?;
    Ok(answer.input_tokens)
}

/// Writes the number of tokens for a client.
pub fn write_count(tokens: u64) -> Vec<u8> {
    Json::of(&Out { input_tokens: tokens }).get().as_bytes().to_vec()
}
