//! Results of a search that the client gives itself, for providers that know no such blocks: text with its title and source.

use std::borrow::Cow;

use super::types::Block as WireBlock;
use super::{NAME, read_blocks};
use crate::chat::{Block, Chat, Native, Turn};
use crate::json::{self, Json};

const FIELD: &str = "search_result";

/// The conversation with such blocks as text.
pub(crate) fn in_plain_words(chat: &Chat) -> Cow<'_, Chat> {
    let holds = |block: &Block| match block {
        Block::ToolResult { blocks, .. } => blocks.iter().any(|block| found(block).is_some()),
        block => found(block).is_some(),
    };
    if !chat.turns.iter().flat_map(|turn| &turn.blocks).any(holds) {
        return Cow::Borrowed(chat);
    }
    let turns = chat.turns.iter().map(|turn| Turn { blocks: plain(&turn.blocks), ..turn.clone() });
    Cow::Owned(Chat { turns: turns.collect(), ..chat.clone() })
}

fn found(block: &Block) -> Option<&Native> {
    let Block::Native(native) = block else { return None };
    (native.dialect == NAME && native.field == FIELD).then_some(native)
}

fn plain(blocks: &[Block]) -> Vec<Block> {
    blocks.iter().flat_map(one).collect()
}

fn one(block: &Block) -> Vec<Block> {
    if let Block::ToolResult { id, name, blocks, failed } = block {
        let (id, name, blocks) = (id.clone(), name.clone(), plain(blocks));
        return vec![Block::ToolResult { id, name, blocks, failed: *failed }];
    }
    let read = |native| told(native).unwrap_or_else(|| vec![block.clone()]);
    found(block).map_or_else(|| vec![block.clone()], read)
}

/// None where it is not what it should be.
fn told(native: &Native) -> Option<Vec<Block>> {
    // Its source is an address, where that of other blocks is an object.
    let members = json::fields(native.raw.get());
    let member = |name: &str| members.iter().find(|(field, _)| field == name).map(|(_, raw)| raw);
    let line = |name: &str| member(name).and_then(Json::as_string).unwrap_or_default();
    let content = format!("{{\"content\":{}}}", member("content")?.get());
    let content: WireBlock = serde_json::from_str(&content).ok()?;
    let text = read_blocks::plain(content.content?)?;
    let head = format!("[Search result: {}]\n{}\n", line("title"), line("source"));
    let citations = member("citations").filter(|raw| raw.get() != "null");
    let citations = citations.map(|raw| read_blocks::member("citations", raw.clone()));
    Some(std::iter::once(Block::Text(head + &text)).chain(citations).collect())
}
