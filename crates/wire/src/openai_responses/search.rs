//! Searches that ran at the provider, both ways: an item that says what was looked for.
//! <https://platform.openai.com/docs/guides/tools-web-search#output-and-citations>

use super::NAME;
use super::stream_write::Members;
use crate::chat::{Block, Native};
use crate::json::{Json, wire};
use crate::searches::{self, Asked, Found, Page, Step};

/// The type of the item.
pub(super) const KIND: &str = "web_search_call";
/// What its id begins with.
pub(super) const PREFIX: &str = "ws";

wire! {
    struct Call {
        id: String,
        #[serde(rename = "type")]
        kind: String,
        status: String,
        action: Action,
    }
    struct Action {
        #[serde(rename = "type")]
        kind: String,
        query: String,
        queries: Vec<String>,
        url: String,
        sources: Vec<From>,
    }
    struct From {
        #[serde(rename = "type")]
        kind: String,
        url: String,
    }
}

/// What an item says of a search.
pub(crate) fn search(native: &Native) -> Option<Step> {
    if native.field != KIND {
        return None;
    }
    let call: Call = serde_json::from_str(native.raw.get()).ok()?;
    let action = call.action.unwrap_or_default();
    let asked = match (action.kind.as_deref(), action.url) {
        (Some("search") | None, _) => {
            Asked::Words(action.queries.unwrap_or_else(|| action.query.into_iter().collect()))
        }
        (Some(_), Some(url)) => Asked::Page(url),
        (Some(_), None) => return None,
    };
    let page = |from: From| Some(Page { url: from.url?, title: None });
    let pages = action.sources.unwrap_or_default().into_iter().filter_map(page).collect();
    let failed = call.status.as_deref() == Some("failed");
    Some(Step {
        id: call.id.unwrap_or_default(),
        asked: Some(asked),
        found: Some(Found { pages, failed }),
    })
}

/// A search of another provider on its way to a client.
pub(super) struct Search {
    asked: Asked,
    found: Option<Found>,
}

impl Search {
    pub(super) fn new(asked: Asked) -> Self {
        Self { asked, found: None }
    }

    pub(super) fn end(&mut self, found: Found) {
        self.found = Some(found);
    }

    pub(super) fn json(&self, id: &str, cut: bool) -> Json {
        let status = match &self.found {
            Some(found) if found.failed => "failed",
            Some(_) => "completed",
            None if cut => "failed",
            None => "in_progress",
        };
        let pages = self.found.iter().flat_map(|found| &found.pages);
        let from = |page: &Page| From { kind: Some("url".to_owned()), url: Some(page.url.clone()) };
        let sources: Vec<From> = pages.map(from).collect();
        let action = match &self.asked {
            Asked::Words(words) => Action {
                kind: Some("search".to_owned()),
                query: Some(words.first().cloned().unwrap_or_default()),
                queries: (!words.is_empty()).then(|| words.clone()),
                sources: (!sources.is_empty()).then_some(sources),
                url: None,
            },
            Asked::Page(url) => Action {
                kind: Some("open_page".to_owned()),
                url: Some(url.clone()),
                ..Action::default()
            },
        };
        Json::of(&Call {
            id: Some(id.to_owned()),
            kind: Some(KIND.to_owned()),
            status: Some(status.to_owned()),
            action: Some(action),
        })
    }
}

/// What a reasoning item holds that goes with the searches of another provider.
pub(super) fn held(block: &Block) -> Option<Vec<Native>> {
    match block {
        Block::Thinking { text, seal: Some(seal) } if text.is_empty() && seal.dialect != NAME => {
            searches::unseal(seal)
        }
        _ => None,
    }
}

/// Puts it in the place of the items that the client was shown.
pub(super) fn restore(blocks: &mut Vec<Block>, natives: Vec<Native>) {
    let shown = |block: &Block| match block {
        Block::Native(native) => native.dialect == NAME && native.field == KIND,
        _ => false,
    };
    while blocks.pop_if(|block| shown(block)).is_some() {}
    blocks.extend(natives.into_iter().map(Block::Native));
}

/// What tells that a search has come so far.
pub(super) fn frame(kind: &'static str, id: &str) -> (&'static str, Members<'static>) {
    (kind, vec![("item_id", Json::of(&id))])
}
