//! Wire to canonical: whole answers.

use serde::Deserialize;

use super::read_items::{self, Item, missing};
use super::{state, usage};
use crate::chat::Block;
use crate::json::{self, Count, Json, Malformed};
use crate::reply::{Finish, Reply};

#[derive(Deserialize)]
pub(super) struct Answer {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    created_at: Option<Count>,
    pub(super) status: Option<String>,
    pub(super) incomplete_details: Option<Incomplete>,
    pub(super) error: Option<Json>,
    pub(super) output: Option<Vec<Json>>,
}

#[derive(Deserialize)]
pub(super) struct Incomplete {
    reason: Option<String>,
}

pub(super) fn reply(body: &[u8]) -> Result<Reply, Malformed> {
    let answer: Answer = json::read(json::utf8(body)?, "")?;
    let output = answer.output.as_deref().ok_or_else(|| missing("output", "an array of items"))?;
    let blocks = blocks(output)?;
    let finish = finish(&answer, blocks.iter().any(|b| matches!(b, Block::ToolUse { .. })));
    Ok(Reply {
        finish,
        blocks,
        created: answer.created_at.map(|count| count.n).filter(|at| *at > 0),
        id: answer.id.unwrap_or_default(),
        model: answer.model.unwrap_or_default(),
        stop_sequence: None,
        usage: usage::read_body(body)?,
    })
}

/// The blocks of an answer's items.
pub(super) fn blocks(output: &[Json]) -> Result<Vec<Block>, Malformed> {
    let mut blocks = Vec::new();
    for (i, raw) in output.iter().enumerate() {
        match read_items::item(raw, &format!("output[{i}]"), false, &mut Vec::new())? {
            Item::Message(_, message) => blocks.extend(message),
            Item::Said(block) if state::is_hollow(&block) => {}
            Item::Said(block) | Item::Result(block) | Item::Other(_, block) => blocks.push(block),
            Item::OfCall(call, state) => {
                let of_call =
                    |block: &&mut Block| matches!(block, Block::ToolUse { id, .. } if *id == call);
                if let Some(Block::ToolUse { seal, .. }) = blocks.iter_mut().rev().find(of_call) {
                    *seal = Some(state);
                }
            }
        }
    }
    Ok(blocks)
}

/// Why an answer ends. The API itself has no word for "it calls tools".
pub(super) fn finish(answer: &Answer, calls: bool) -> Finish {
    let reason = answer.incomplete_details.as_ref().and_then(|why| why.reason.as_deref());
    match (answer.status.as_deref(), reason) {
        (Some("incomplete"), Some("content_filter")) => Finish::Filter,
        // Stopped at a safe border at somebody's wish: what is there is whole.
        (Some("incomplete"), Some("steered")) => Finish::Stop,
        (Some("incomplete"), _) => Finish::Length,
        (Some("failed" | "cancelled" | "queued" | "in_progress"), _) => Finish::Failed,
        _ if calls => Finish::ToolUse,
        _ => Finish::Stop,
    }
}
