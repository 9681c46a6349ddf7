//! Canonical answers to wire.

use super::grounding::Cited;
use super::parts::{self, Parts};
use super::types::{Answer, Candidate, Content};
use super::{NAME, signature, usage};
use crate::Shape;
use crate::chat::Block;
use crate::json::Json;
use crate::openai_responses::mark_as_state;
use crate::reply::{Finish, Reply};

pub(super) fn reply(reply: &Reply, shape: &Shape) -> Vec<u8> {
    let (parts, cited) = answer(&reply.blocks);
    let answer = Answer {
        candidates: Some(vec![Candidate {
            content: Some(content(parts)),
            finish_reason: Some(reason(reply.finish).to_owned()),
            index: Some(0),
            grounding_metadata: cited.metadata(),
        }]),
        usage_metadata: reply.usage.as_ref().map(|report| Json::of(&usage::write(report))),
        model_version: Some(or(&reply.model, &shape.model)),
        response_id: Some(or(&reply.id, &shape.id)),
    };
    Json::of(&answer).get().as_bytes().to_vec()
}

/// The first of two that says anything.
pub(super) fn or(first: &str, second: &str) -> String {
    if first.is_empty() { second } else { first }.to_owned()
}

pub(super) fn content(parts: Vec<Json>) -> Content {
    Content { role: Some("model".to_owned()), parts: Some(parts) }
}

/// Tool calls too end with `STOP`.
pub(super) fn reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Length => "MAX_TOKENS",
        Finish::Filter => "SAFETY",
        Finish::Failed => "OTHER",
        Finish::Stop | Finish::StopSequence | Finish::ToolUse | Finish::Pause => "STOP",
    }
}

fn answer(blocks: &[Block]) -> (Vec<Json>, Cited) {
    let (mut parts, mut cited) = (Parts::default(), Cited::default());
    // Where the last text begins, and what it says.
    let (mut begun, mut text) = (0, "");
    for block in blocks {
        match block {
            Block::Text(part) | Block::Refusal(part) => {
                (begun, text) = (begun + text.len(), part);
                parts.text(part);
            }
            Block::Thinking { text, seal } => {
                parts.thought(text);
                if let Some(seal) = seal {
                    parts.seal(seal);
                }
            }
            Block::ToolUse { id, name, input, seal } => {
                parts.call(Some(id), name, input, seal.as_ref().map(signature::write));
            }
            Block::Media(media) => {
                if let Ok(part) = parts::media(media) {
                    parts.media(part);
                }
            }
            Block::Citation(citation) => cited.add(citation.clone(), begun, text),
            Block::Native(native) if native.dialect == NAME => parts.push(native.raw.clone()),
            Block::Native(native) => match mark_as_state(native) {
                Some(state) => parts.mark(&state),
                None => cited.searched(native),
            },
            Block::ToolResult { .. } | Block::CachePoint(_) => {}
        }
    }
    (parts.finish(), cited)
}
