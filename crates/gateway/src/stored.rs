//! What a request asks for that its body does not show: what the provider has stored, a second run over a model, another
//! model in its place.

use ledger::Region;
use serde::Deserialize;
use serde::de::IgnoredAny;
use wire::Chat;
use wire::chat::{Block, Native, Seal};

/// Members that name something the provider has stored.
const STORED: [&str; 6] = [
    "previous_response_id",
    "conversation",
    "cachedContent",
    "container",
    "prompt",
    "continuationToken",
];
/// Blocks of Anthropic that hold all that they are, beside those that [`is_whole`] knows by their ending.
const WHOLE_BLOCKS: [&str; 6] = [
    "search_result",
    "tool_reference",
    "tool_removal",
    "mcp_tool_listing",
    "compaction",
    "fallback",
];
/// The same of `OpenAI`'s items.
const WHOLE_ITEMS: [&str; 12] = [
    "local_shell_call",
    "shell_call",
    "apply_patch_call",
    "computer_call",
    "tool_search_call",
    "mcp_list_tools",
    "mcp_call",
    "mcp_approval_request",
    "mcp_approval_response",
    "compaction_trigger",
    "program",
    "phase",
];
/// The same of Gemini's parts.
const WHOLE_PARTS: [&str; 5] =
    ["executableCode", "codeExecutionResult", "toolCall", "toolResponse", "functionCall"];

/// Whether a member of a request names something whose length only the provider knows.
pub(crate) fn is_named_by(native: &Native) -> bool {
    match native.field.as_str() {
        // Whoever begins a thread has all of it in the body.
        "thread" => kind(native).as_deref() != Some("create"),
        // Tools of other servers, which answer the provider alone.
        "mcp_servers" => native.raw.get() != "[]",
        field => STORED.contains(&field),
    }
}

/// Whether a block holds all that the model reads of it. What is not known is taken for a name of something stored.
pub(crate) fn is_whole(native: &Native) -> bool {
    let field = native.field.as_str();
    match native.dialect {
        wire::anthropic::NAME => {
            let ends = ["tool_use", "tool_result"].iter().any(|end| field.ends_with(end));
            ends || field.starts_with("content.") || WHOLE_BLOCKS.contains(&field)
        }
        wire::openai_responses::NAME => match field {
            "computer_call_output" => false,
            "additional_tools" => !hosts(native),
            "compaction" | "compaction_summary" | "context_compaction" => has_content(native),
            _ => {
                field.is_empty()
                    || field.ends_with("_output")
                    || field.starts_with("annotations.")
                    || WHOLE_ITEMS.contains(&field)
            }
        },
        wire::gemini::NAME => WHOLE_PARTS.contains(&field),
        wire::openai_chat::NAME => matches!(field, "tool_calls" | "annotations"),
        // A member of a block, which has been looked at.
        _ => true,
    }
}

/// Whether tools that come in the middle of a conversation are the provider's own.
pub(crate) fn hosts(native: &Native) -> bool {
    #[derive(Deserialize)]
    struct Item {
        tools: Option<Vec<Kind>>,
    }
    const OF_CLIENTS: [&str; 3] = ["function", "custom", "namespace"];
    let own = |tool: &Kind| tool.kind.as_deref().is_some_and(|kind| OF_CLIENTS.contains(&kind));
    native.field == "additional_tools"
        && serde_json::from_str::<Item>(native.raw.get())
            .map_or(true, |item| !item.tools.iter().flatten().all(own))
}

/// Whether thoughts are in the provider's store alone, under an id.
pub(crate) fn has_thoughts(seal: &Seal) -> bool {
    #[derive(Deserialize)]
    struct State {
        encrypted_content: Option<IgnoredAny>,
    }
    seal.dialect == wire::openai_responses::NAME
        && serde_json::from_str::<State>(&seal.value)
            .is_ok_and(|state| state.encrypted_content.is_none())
}

/// Whether the model may be run once more to sum up what came before: that run has no ceiling of the client's.
pub(crate) fn sums_up(chat: &Chat, dialect: &str) -> bool {
    let member = |native: &Native| match (native.dialect, native.field.as_str()) {
        (own, _) if own != dialect => false,
        (wire::anthropic::NAME, "compaction") => true,
        (wire::anthropic::NAME, "context_management") => {
            let edits = serde_json::from_str::<Edits>(native.raw.get());
            edits.map_or(true, |edits| edits.edits.iter().flatten().any(|edit| !edit.clears()))
        }
        (wire::openai_responses::NAME, "context_management") => native.raw.get() != "[]",
        _ => false,
    };
    let block = |block: &Block| {
        matches!(block, Block::Native(native)
            if native.dialect == dialect && native.field == "compaction_trigger")
    };
    let mut blocks = chat.turns.iter().flat_map(|turn| &turn.blocks);
    chat.native.iter().any(member) || blocks.any(block)
}

#[derive(Deserialize)]
struct Edits {
    edits: Option<Vec<Kind>>,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl Kind {
    /// Old results and thoughts are left out, which costs nothing.
    fn clears(&self) -> bool {
        self.kind.as_deref().is_some_and(|kind| kind.starts_with("clear_"))
    }
}

fn kind(native: &Native) -> Option<String> {
    serde_json::from_str::<Kind>(native.raw.get()).ok()?.kind
}

fn has_content(native: &Native) -> bool {
    #[derive(Deserialize)]
    struct Item {
        encrypted_content: Option<String>,
    }
    let item = serde_json::from_str::<Item>(native.raw.get());
    item.is_ok_and(|item| item.encrypted_content.is_some_and(|text| !text.is_empty()))
}

/// A member of a request to Anthropic, in its own dialect. Where it stands twice, both count.
fn members<'a>(chat: &'a Chat, field: &'a str) -> impl Iterator<Item = &'a Native> {
    let own =
        move |native: &&Native| native.dialect == wire::anthropic::NAME && native.field == field;
    chat.native.iter().filter(own)
}

/// Anthropic's fast mode.
pub(crate) fn is_fast(chat: &Chat) -> bool {
    members(chat, "speed").any(|speed| speed.raw.as_string().as_deref() == Some("fast"))
}

/// Where Anthropic is to run the model.
pub(crate) fn region(chat: &Chat) -> Region {
    let named = |geo: &Native| match geo.raw.as_string().as_deref() {
        Some("us") => Some(Region::Us),
        Some("eu") => Some(Region::Eu),
        _ => None,
    };
    members(chat, "inference_geo").find_map(named).unwrap_or_default()
}

/// A model that Anthropic asks where the one before declines.
#[derive(Deserialize)]
pub(crate) struct Fallback {
    pub(crate) model: String,
    /// In place of the request's own.
    pub(crate) max_tokens: Option<u64>,
    speed: Option<String>,
}

impl Fallback {
    /// Whether it may be run in fast mode, in a request that is, or is not.
    pub(crate) fn is_fast(&self, fast: bool, known: bool) -> bool {
        self.speed.as_deref().map_or(fast && known, |speed| speed == "fast")
    }
}

/// The models that may answer in another's place; `None` where the client leaves the choice to Anthropic.
pub(crate) fn fallbacks(chat: &Chat) -> Option<Vec<Fallback>> {
    let mut all = Vec::new();
    for native in members(chat, "fallbacks") {
        all.extend(serde_json::from_str::<Vec<Fallback>>(native.raw.get()).ok()?);
    }
    Some(all)
}
