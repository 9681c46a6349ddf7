//! Canonical turns to wire messages.

use std::collections::{HashMap, HashSet, VecDeque};

use super::NAME;
use super::types::Message;
use super::write_blocks::{Blocks, Place, said};
use crate::Unsupported;
use crate::chat::{Block, Chat, Role};
use crate::json::{Json, TextOr};

type Merged = Vec<(Role, Vec<Block>)>;

/// Turns of one role are merged, the conversation begins with the user, and every call is followed by its result.
pub(super) fn messages(chat: &Chat, with: &mut Blocks<'_>) -> Result<Vec<Json>, Unsupported> {
    let mut turns: Merged = Vec::new();
    for turn in &chat.turns {
        with.dropped.unless_none("name", turn.name.as_ref());
        add(&mut turns, turn.role, turn.blocks.clone());
    }
    let mut turns = operator(answered(turns)?, with);
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

/// A result with what belongs to it, the turn that it stood in, and its place among all results.
struct Answer {
    turn: usize,
    order: usize,
    blocks: Vec<Block>,
}

/// Results by the id of their call, each in the order in which they stood.
type Answers = HashMap<String, VecDeque<Answer>>;

/// Results first in the turn behind their calls, in the order of the calls, wherever the client put them.
fn answered(turns: Merged) -> Result<Merged, Unsupported> {
    let (rest, mut answers) = taken(turns);
    let last = rest.len().saturating_sub(1);
    let mut done: Merged = Vec::new();
    for (turn, (role, blocks)) in rest.into_iter().enumerate() {
        let calls: Vec<String> = blocks.iter().filter_map(call).map(str::to_owned).collect();
        if !blocks.is_empty() {
            add(&mut done, role, blocks);
        }
        let mut results = Vec::new();
        for id in calls {
            let answer =
                answers.get_mut(&id).and_then(|of| of.pop_front_if(|answer| answer.turn > turn));
            match answer {
                Some(answer) => results.extend(answer.blocks),
                None if turn == last => {}
                None => {
                    let reason = format!("the call {id} has no result");
                    return Err(Unsupported::new("messages", reason));
                }
            }
        }
        if !results.is_empty() {
            add(&mut done, Role::User, results);
        }
    }
    let left = answers.iter().filter_map(|(id, of)| Some((of.front()?.order, id)));
    match left.min() {
        Some((_, id)) => {
            Err(Unsupported::new("messages", format!("the result {id} has no call before it")))
        }
        None => Ok(done),
    }
}

/// The turns without their results, and the results.
fn taken(turns: Merged) -> (Merged, Answers) {
    let (mut rest, mut answers, mut order) = (Merged::new(), Answers::new(), 0);
    for (turn, (role, blocks)) in turns.into_iter().enumerate() {
        let mut kept = Vec::new();
        let mut blocks = blocks.into_iter().peekable();
        while let Some(block) = blocks.next() {
            let Block::ToolResult { id, .. } = &block else {
                kept.push(block);
                continue;
            };
            let id = id.clone();
            let mut whole = vec![block];
            // A cache marker or a member belongs to the block before it and moves with it.
            while let Some(behind) = blocks.next_if(is_behind) {
                whole.push(behind);
            }
            answers.entry(id).or_default().push_back(Answer { turn, order, blocks: whole });
            order += 1;
        }
        rest.push((role, kept));
    }
    (rest, answers)
}

fn call(block: &Block) -> Option<&str> {
    match block {
        Block::ToolUse { id, .. } => Some(id),
        _ => None,
    }
}

fn is_behind(block: &Block) -> bool {
    match block {
        Block::CachePoint(_) => true,
        Block::Native(native) => native.dialect == NAME && native.field.starts_with("content."),
        _ => false,
    }
}

/// An operator's word in the middle stays where it is: moving it ahead would change what the cache holds. Behind a turn of
/// the user some models take it as such; elsewhere it becomes a note in the user's turn.
fn operator(turns: Merged, with: &mut Blocks<'_>) -> Merged {
    let mut placed: Merged = Vec::new();
    let mut turns = turns.into_iter().peekable();
    while let Some((role, blocks)) = turns.next() {
        if role != Role::System {
            add(&mut placed, role, blocks);
            continue;
        }
        let behind_user = placed.last().is_some_and(|(role, _)| *role == Role::User);
        let before_answer = turns.peek().is_none_or(|(role, _)| *role == Role::Assistant);
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
