//! Searches of the web that ran at a provider, on their way to a client of another dialect. Each dialect has them in blocks
//! of its own ([`Native`]); what they say is the same.

use crate::chat::{Native, Seal};
use crate::json::Json;
use crate::{anthropic, gemini, openai_responses};

/// What a block says of a search: how it began, how it ended, or both.
pub(crate) struct Step {
    /// What its beginning and its end have in common; empty where one block says both.
    pub(crate) id: String,
    pub(crate) asked: Option<Asked>,
    pub(crate) found: Option<Found>,
}

/// What was looked for.
#[derive(Clone)]
pub(crate) enum Asked {
    /// Pages about these words.
    Words(Vec<String>),
    /// The page of that address.
    Page(String),
}

/// What came of it.
#[derive(Clone, Default)]
pub(crate) struct Found {
    /// Where the provider tells them.
    pub(crate) pages: Vec<Page>,
    pub(crate) failed: bool,
}

#[derive(Clone)]
pub(crate) struct Page {
    pub(crate) url: String,
    pub(crate) title: Option<String>,
}

/// What a block says of a search; nothing for any other block.
pub(crate) fn step(native: &Native) -> Option<Step> {
    match native.dialect {
        anthropic::NAME => anthropic::search(native),
        openai_responses::NAME => openai_responses::search(native),
        "" => gemini::search(native),
        _ => None,
    }
}

/// Whether more blocks belong to what its provider wants back.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Returns {
    More,
    Last,
}

/// The dialect whose provider wants the steps of its tools back.
pub(crate) const RETURNING: &str = anthropic::NAME;

/// Whether a provider wants a block back that only its own dialect knows.
pub(crate) fn returns(native: &Native) -> Option<Returns> {
    if native.dialect == RETURNING { anthropic::returns(&native.field) } else { None }
}

/// Blocks that go with an answer to a client of another dialect, as state of their provider. They stand in for what the
/// client was shown of them, and are none where the provider wants nothing back.
pub(crate) fn seal(dialect: &'static str, blocks: &[Json]) -> Seal {
    // Google's searches are no part of a conversation.
    let dialect = if dialect.is_empty() { gemini::NAME } else { dialect };
    Seal { dialect, value: Json::of(&blocks).get().to_owned() }
}

/// The blocks again, if that is what a state is. No other one begins like a list.
pub(crate) fn unseal(seal: &Seal) -> Option<Vec<Native>> {
    #[derive(serde::Deserialize)]
    struct Kind {
        r#type: String,
    }
    if !seal.value.starts_with('[') {
        return None;
    }
    let blocks: Vec<Json> = serde_json::from_str(&seal.value).ok()?;
    let native = |raw: Json| {
        let kind: Kind = serde_json::from_str(raw.get()).ok()?;
        Some(Native { dialect: seal.dialect, field: kind.r#type, raw })
    };
    Some(blocks.into_iter().filter_map(native).collect())
}
