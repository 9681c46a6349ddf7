//! Counting the tokens of a request, and going on with a long answer.
//! <https://ai.google.dev/api/tokens>

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{read, write};
use crate::chat::{Block, Turn};
use crate::json::{self, Count, Json, Malformed};
use crate::peek;
use crate::{Chat, Target, Unsupported, Written};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    #[serde(alias = "generate_content_request")]
    generate_content_request: Option<Json>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counted {
    total_tokens: Option<Count>,
}

/// Reads a client's `countTokens`, which holds either contents alone or a whole request.
pub fn read_count_request(body: &[u8]) -> Result<Chat, Malformed> {
    let text = json::utf8(body)?;
    let request: Request = json::read(text, "")?;
    let mut chat = match request.generate_content_request {
        Some(whole) => read::request(whole.get().as_bytes()),
        None => read::request(body),
    }?;
    tell_lone_results(&mut chat.turns);
    Ok(chat)
}

/// Gemini CLI counts the result of a tool without the call, which nobody else takes: what it says counts as much.
fn tell_lone_results(turns: &mut [Turn]) {
    let blocks = turns.iter().flat_map(|turn| &turn.blocks);
    let calls: HashSet<String> = blocks
        .filter_map(|block| match block {
            Block::ToolUse { id, .. } => Some(id.clone()),
            _ => None,
        })
        .collect();
    for turn in turns {
        let told = std::mem::take(&mut turn.blocks).into_iter().flat_map(|block| match block {
            Block::ToolResult { id, blocks, .. } if !calls.contains(&id) => blocks,
            block => vec![block],
        });
        turn.blocks = told.collect();
    }
}

/// Writes `chat` as a `countTokens`.
pub fn write_count_request(chat: &Chat, target: &Target<'_>) -> Result<Written, Unsupported> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Out {
        generate_content_request: Json,
    }
    let written = write::request(chat, target)?;
    // Inside the body Google asks for the name of the resource.
    let id = target.model.strip_prefix("models/").unwrap_or(target.model);
    let model = format!("\"model\":{}", Json::of(&format!("models/{id}")).get());
    let edit = peek::insert_member(&written.body, &model);
    let whole = peek::splice(&written.body, edit.into_iter().collect());
    let whole = std::str::from_utf8(&whole).ok().and_then(Json::parse);
    let out = Out { generate_content_request: whole.unwrap_or_else(Json::empty_object) };
    Ok(Written { body: Json::of(&out).get().as_bytes().to_vec(), ..written })
}

/// Reads Google's count.
pub fn read_count(body: &[u8]) -> Result<u64, Malformed> {
    let counted: Counted = json::read(json::utf8(body)?, "")?;
    match counted.total_tokens {
        Some(count) if count.given && !count.absurd => Ok(count.n),
        _ => Err(Malformed::new("totalTokens", "must be a number of tokens")),
    }
}

/// Writes a count for a client of this dialect.
pub fn write_count(tokens: u64) -> Vec<u8> {
    format!("{{\"totalTokens\":{tokens}}}").into_bytes()
}

/// Whether a whole answer is the first of several hops, as far as a look at it tells.
pub fn goes_on(body: &[u8]) -> bool {
    memchr::memmem::find(body, b"\"CONTINUATION\"").is_some()
}

/// The same request once more, to go on with an answer at `token` (`Seen::continuation`).
pub fn continued(body: &[u8], token: &str) -> Result<Vec<u8>, Malformed> {
    const NAMES: [&str; 2] = ["continuationToken", "continuation_token"];
    let members = json::fields(json::utf8(body)?).into_iter();
    let mut members: Vec<(String, Json)> =
        members.filter(|(name, _)| !NAMES.contains(&name.as_str())).collect();
    members.push(("continuationToken".to_owned(), Json::of(&token)));
    let whole = json::object_with(&serde_json::Map::new(), &members);
    Ok(whole.get().as_bytes().to_vec())
}
