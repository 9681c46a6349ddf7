//! A whole answer to the canonical reply.

use super::read_turns::{assistant, missing};
use super::types::Completion;
use super::usage;
use crate::chat::Block;
use crate::json::{self, Malformed};
use crate::reply::{Finish, Reply};

pub(super) fn reply(body: &[u8]) -> Result<Reply, Malformed> {
    let text = json::utf8(body)?;
    let completion: Completion = json::read(text, "")?;
    let choice = completion.choices.unwrap_or_default().into_iter().next();
    let choice = choice.ok_or_else(|| missing("choices", "at least one choice"))?;
    let id = completion.id.unwrap_or_default();
    let text = choice.text.filter(|text| !text.is_empty());
    let mut blocks = text.map(Block::Text).into_iter().collect::<Vec<_>>();
    if let Some(message) = choice.message {
        let answer = assistant(message, "choices[0].message", &id, &mut Vec::new())?;
        // No thoughts are not worth a block, unless they are a history's.
        let empty = |block: &Block| matches!(block, Block::Thinking { text, seal: None } if text.is_empty());
        blocks.extend(answer.into_iter().filter(|block| !empty(block)));
    }
    let usage = match completion.usage {
        Some(usage) => {
            let mut report = usage::read_or_mark(usage.get());
            report.service_tier = usage::tier(completion.service_tier.as_deref());
            Some(report)
        }
        None => None,
    };
    Ok(Reply {
        id,
        model: completion.model.unwrap_or_default(),
        created: completion.created,
        blocks,
        finish: choice.finish_reason.as_deref().map_or(Finish::Stop, finish),
        stop_sequence: None,
        usage,
    })
}

/// Why an answer ends. A word not known here is taken for an ordinary end.
pub(super) fn finish(word: &str) -> Finish {
    match word {
        "length" => Finish::Length,
        "tool_calls" | "function_call" => Finish::ToolUse,
        "content_filter" => Finish::Filter,
        "insufficient_system_resource" | "error" => Finish::Failed,
        _ => Finish::Stop,
    }
}
