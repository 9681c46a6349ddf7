//! The canonical reply: a whole answer, read from any dialect and written to any.

use ledger::UsageReport;

use crate::chat::{Block, Media};

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// The provider's id of the answer; empty where it gives none.
    pub id: String,
    /// The model that answered, which may differ from the one asked for; empty where the provider does not say.
    pub model: String,
    /// Seconds since 1970, where the dialect says it. This crate has no clock: who writes an `OpenAI` answer from another
    /// dialect sets it first.
    pub created: Option<u64>,
    /// The first answer; further ones (`n`, `candidateCount`) are not carried, but the usage counts them.
    pub blocks: Vec<Block>,
    /// Why it ends.
    pub finish: Finish,
    /// Which stop text ended it, where the dialect says it (Anthropic).
    pub stop_sequence: Option<String>,
    /// What was used; none if the provider does not say.
    pub usage: Option<UsageReport>,
}

/// Why an answer ends.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Finish {
    /// It is complete.
    #[default]
    Stop,
    /// A stop text came up.
    StopSequence,
    /// It calls tools.
    ToolUse,
    /// The token limit was reached.
    Length,
    /// A filter or the model itself refused.
    Filter,
    /// A tool that runs at the provider wants another round (Anthropic's `pause_turn`).
    Pause,
    /// The provider broke off (`DeepSeek`'s `insufficient_system_resource`).
    Failed,
}

impl Finish {
    /// The name in logs and traces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::StopSequence => "stop_sequence",
            Self::ToolUse => "tool_calls",
            Self::Length => "length",
            Self::Filter => "content_filter",
            Self::Pause => "pause",
            Self::Failed => "error",
        }
    }

    /// The reason that a provider's word stands for, whichever provider it is.
    pub fn from_word(word: &str) -> Self {
        match word {
            "stop_sequence" => Self::StopSequence,
            "tool_use" | "tool_calls" | "function_call" => Self::ToolUse,
            "length"
            | "max_tokens"
            | "MAX_TOKENS"
            | "max_output_tokens"
            | "model_context_window_exceeded" => Self::Length,
            "content_filter" | "refusal" | "SAFETY" | "RECITATION" | "LANGUAGE" | "BLOCKLIST"
            | "PROHIBITED_CONTENT" | "SPII" | "IMAGE_SAFETY" => Self::Filter,
            "pause_turn" => Self::Pause,
            "insufficient_system_resource" | "error" | "failed" | "OTHER" => Self::Failed,
            _ => Self::Stop,
        }
    }
}

impl Reply {
    /// The visible text: all text blocks in order, without thoughts. Where there is none, the refusal; where there is
    /// none either, what is said in the audio.
    pub fn text(&self) -> String {
        let join = |pick: fn(&Block) -> Option<&str>| -> String {
            self.blocks.iter().filter_map(pick).collect()
        };
        let text = join(|block| match block {
            Block::Text(text) => Some(text),
            _ => None,
        });
        if !text.is_empty() {
            return text;
        }
        let refusal = join(|block| match block {
            Block::Refusal(text) => Some(text),
            _ => None,
        });
        if !refusal.is_empty() {
            return refusal;
        }
        join(|block| match block {
            Block::Media(Media { transcript, .. }) => transcript.as_deref(),
            _ => None,
        })
    }

    /// Whether it calls tools of the client.
    pub fn calls_tools(&self) -> bool {
        self.blocks.iter().any(|block| matches!(block, Block::ToolUse { .. }))
    }

    /// Why it ends, as a client must see it: an answer that calls tools says so, even where the provider said `stop`
    /// (Gemini always does; `OpenAI` does when one tool was forced).
    pub fn finish_for_client(&self) -> Finish {
        match self.finish {
            Finish::Stop if self.calls_tools() => Finish::ToolUse,
            finish => finish,
        }
    }
}
