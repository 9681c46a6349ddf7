//! Searches that ran at the provider, both ways: a call with what was looked for, then its result.
//! <https://docs.claude.com/en/docs/agents-and-tools/tool-use/web-search-tool>

use serde::{Deserialize, Serialize};

use super::NAME;
use super::write_reply::withheld;
use super::write_tools::plain_id;
use crate::chat::{Block, Native};
use crate::json::{Json, wire};
use crate::seal;
use crate::searches::{self, Asked, Found, Page, Returns, Step};

wire! {
    struct Call {
        id: String,
        name: String,
        input: Input,
    }
    struct Input {
        query: String,
        url: String,
    }
    struct Outcome {
        tool_use_id: String,
        content: Json,
    }
    struct Failure { error_code: Json }
}

const CALL: &str = "server_tool_use";
const TOOL: &str = "web_search";
const RESULT: &str = "web_search_tool_result";

/// Whether a block is a step of a tool that runs at the provider, which has to come back as it was.
pub(crate) fn returns(kind: &str) -> Option<Returns> {
    match kind {
        CALL => Some(Returns::More),
        "mcp_tool_result" => None,
        _ => kind.ends_with("_tool_result").then_some(Returns::Last),
    }
}

/// What a block says of a search.
pub(crate) fn search(native: &Native) -> Option<Step> {
    match native.field.as_str() {
        CALL => {
            let call: Call = serde_json::from_str(native.raw.get()).ok()?;
            let input = call.input.unwrap_or_default();
            let asked = match call.name.as_deref()? {
                TOOL => Asked::Words(input.query.into_iter().collect()),
                "web_fetch" => Asked::Page(input.url?),
                _ => return None,
            };
            Some(Step { id: call.id?, asked: Some(asked), found: None })
        }
        RESULT | "web_fetch_tool_result" => {
            let outcome: Outcome = serde_json::from_str(native.raw.get()).ok()?;
            let found = found(outcome.content.as_ref());
            Some(Step { id: outcome.tool_use_id?, asked: None, found: Some(found) })
        }
        _ => None,
    }
}

fn found(content: Option<&Json>) -> Found {
    let text = content.map_or("[]", Json::get);
    let hits: Vec<Hit> = serde_json::from_str(text).unwrap_or_default();
    // A list would do for one too.
    let failure = content.filter(|content| content.is_object());
    let failure = failure.and_then(|raw| serde_json::from_str::<Failure>(raw.get()).ok());
    let page = |hit: Hit| Some(Page { url: hit.url?, title: hit.title });
    Found {
        pages: hits.into_iter().filter_map(page).collect(),
        failed: failure.is_some_and(|failure| failure.error_code.is_some()),
    }
}

/// A page that was found. What it says is the provider's secret, and there is none to tell of pages found elsewhere.
#[derive(Default, Deserialize, Serialize)]
struct Hit {
    #[serde(rename = "type", default)]
    kind: String,
    url: Option<String>,
    title: Option<String>,
    #[serde(default)]
    encrypted_content: String,
    #[serde(default)]
    page_age: Option<String>,
}

#[derive(Serialize)]
struct Use<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    name: &'static str,
    input: Input,
}

#[derive(Serialize)]
struct Results<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    tool_use_id: &'a str,
    content: Json,
}

/// A search of another provider as a call, its result, and what stands in for both when they come back. Nothing for a page
/// that was opened, of which nobody has the text. `name` is the search's own where its provider gives it none.
pub(super) fn blocks(native: &Native, name: &str) -> Option<[Json; 3]> {
    let Step { id, asked: Some(Asked::Words(words)), found } = searches::step(native)? else {
        return None;
    };
    let id = format!("srvtoolu_{}", plain_id(if id.is_empty() { name } else { &id }));
    let query = (!words.is_empty()).then(|| words.join("; "));
    let input = Input { query, url: None };
    let call = Use { kind: CALL, id: &id, name: TOOL, input };
    let found = found.unwrap_or_default();
    let hit = |page: Page| Hit {
        kind: "web_search_result".to_owned(),
        title: Some(page.title.unwrap_or_else(|| page.url.clone())),
        url: Some(page.url),
        ..Hit::default()
    };
    let content = if found.failed {
        Json::parse(r#"{"type":"web_search_tool_result_error","error_code":"unavailable"}"#)?
    } else {
        Json::of(&found.pages.into_iter().map(hit).collect::<Vec<_>>())
    };
    let results = Results { kind: RESULT, tool_use_id: &id, content };
    let state = withheld(&seal::wrap(&searches::seal(native.dialect, &[]), NAME));
    Some([Json::of(&call), Json::of(&results), Json::of(&state)])
}

/// What a client sends back, with what a state holds in the place of the blocks behind which it came.
pub(super) fn restored(blocks: Vec<Block>) -> Vec<Block> {
    let shown = |block: &Block| match block {
        Block::Native(native) => native.dialect == NAME && returns(&native.field).is_some(),
        _ => false,
    };
    let mut all: Vec<Block> = Vec::with_capacity(blocks.len());
    for block in blocks {
        match held(&block) {
            Some(natives) => {
                while all.pop_if(|block| shown(block)).is_some() {}
                all.extend(natives.into_iter().map(Block::Native));
            }
            None => all.push(block),
        }
    }
    all
}

/// What a state holds that another provider's blocks were sent with.
fn held(block: &Block) -> Option<Vec<Native>> {
    match block {
        Block::Thinking { text, seal: Some(seal) } if text.is_empty() && seal.dialect != NAME => {
            searches::unseal(seal)
        }
        _ => None,
    }
}
