//! Canonical turns to wire messages.

use std::collections::HashSet;

use super::NAME;
use super::types::Message;
use super::write_blocks::{Blocks, Place, said};
use crate::chat::{Block, Chat, Role, Turn};
use crate::json::{Json, TextOr};
use crate::{SYSTEM_AS_NOTE, Unsupported, rounds};

type Merged = Vec<(Role, Vec<Block>)>;

/// Turns of one role are merged, the conversation begins with the user, and every call is followed by its result.
pub(super) fn messages(chat: &Chat, with: &mut Blocks<'_>) -> Result<Vec<Json>, Unsupported> {
    chat.says_something()?;
    for turn in &chat.turns {
        with.dropped.unless_none("name", turn.name.as_ref());
    }
    let turns = rounds::answered(chat.turns.clone(), |_, _| true)?;
    let mut turns = operator(turns, with);
    if turns.first().is_none_or(|(role, _)| *role != Role::User) {
        turns.insert(0, (Role::User, vec![Block::Text("Go on.".to_owned())]));
    }
    begun(&mut turns, with)?;
    let mut messages = Vec::new();
    for (role, blocks) in turns {
        let (name, place) = match role {
            Role::User => ("user", Place::User),
            Role::Assistant => ("assistant", Place::Assistant),
            Role::System => ("system", Place::System),
        };
        let mut content = with.write(&blocks, place)?;
        if content.is_empty() {
            content.extend(said("(empty)").as_ref().map(Json::of));
        }
        let message = Message { role: Some(name.to_owned()), content: Some(TextOr::List(content)) };
        messages.push(Json::of(&message));
    }
    Ok(messages)
}

fn add(turns: &mut Merged, role: Role, blocks: Vec<Block>) {
    match turns.last_mut() {
        Some((last, all)) if *last == role => all.extend(blocks),
        _ => turns.push((role, blocks)),
    }
}

/// An operator's word in the middle stays where it is: moving it ahead would change what the cache holds. Behind a turn of
/// the user some models take it as such; elsewhere it becomes a note in the user's turn.
fn operator(turns: Vec<Turn>, with: &mut Blocks<'_>) -> Merged {
    let mut placed: Merged = Vec::new();
    let mut turns = turns.into_iter().peekable();
    while let Some(Turn { role, blocks, .. }) = turns.next() {
        if role != Role::System {
            add(&mut placed, role, blocks);
            continue;
        }
        let behind_user = placed.last().is_some_and(|(role, _)| *role == Role::User);
        let before_answer = turns.peek().is_none_or(|turn| turn.role == Role::Assistant);
        if with.rules.claude.system_turns && behind_user && before_answer {
            placed.push((Role::System, blocks));
        } else {
            add(&mut placed, Role::User, noted(blocks, with));
        }
    }
    placed
}

fn noted(blocks: Vec<Block>, with: &mut Blocks<'_>) -> Vec<Block> {
    let mut notes = Vec::new();
    with.dropped.note(SYSTEM_AS_NOTE);
    for block in blocks {
        match block {
            Block::Text(text) => {
                notes.push(Block::Text(format!("[Instruction of the operator]\n{text}")));
            }
            // Words of the operator alone, such as those that add a tool.
            Block::Native(native) => with.dropped.note(&native.field),
            other => notes.push(other),
        }
    }
    notes
}

/// An answer begun by the client, which newer models do not continue. One that a tool of the provider paused is no such
/// beginning.
fn begun(turns: &mut Merged, with: &mut Blocks<'_>) -> Result<(), Unsupported> {
    let Some((Role::Assistant, blocks)) = turns.last_mut() else { return Ok(()) };
    let paused = blocks.iter().any(|block| match block {
        Block::Native(native) => native.dialect == NAME && !native.field.starts_with("content."),
        _ => false,
    });
    if !with.rules.claude.prefill && !paused {
        let reason = "this model does not continue an answer begun by the client";
        return Err(Unsupported::new("messages", reason));
    }
    // Anthropic refuses white space at the end.
    if let Some(Block::Text(text)) = blocks.last_mut() {
        text.truncate(text.trim_end().len());
    }
    Ok(())
}

/// The tools that the history calls, each once.
pub(super) fn called(chat: &Chat) -> Vec<&str> {
    let (mut names, mut known) = (Vec::new(), HashSet::new());
    for block in chat.turns.iter().flat_map(|turn| &turn.blocks) {
        if let Block::ToolUse { name, .. } = block
            && known.insert(name.as_str())
        {
            names.push(name.as_str());
        }
    }
    names
}
