//! Rounds of tools: calls, and behind them their results.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use crate::chat::{Block, Role, Turn};
use crate::{Unsupported, openai_responses};

/// A result with what belongs to it, the turn that it stood in, and its place among all results.
struct Answer {
    turn: usize,
    order: usize,
    blocks: Vec<Block>,
}

/// Results by the id of their call, each in the order in which they stood.
type Answers = HashMap<String, VecDeque<Answer>>;

/// Results first in the turn behind their calls, in the order of the calls, wherever the client put them. `joins` says
/// whether a turn is to become a part of the one ahead of it.
///
/// # Errors
/// A call without a result, unless the conversation ends in it, or a result without a call.
pub(crate) fn answered(
    turns: Vec<Turn>,
    joins: fn(&Turn, &Turn) -> bool,
) -> Result<Vec<Turn>, Unsupported> {
    let mut done: Vec<Turn> = Vec::new();
    let add = |done: &mut Vec<Turn>, turn: Turn| match done.last_mut() {
        Some(last) if last.role == turn.role && joins(last, &turn) => {
            last.blocks.extend(turn.blocks);
        }
        _ => done.push(turn),
    };
    for turn in turns {
        add(&mut done, turn);
    }
    let (rest, mut answers) = taken(std::mem::take(&mut done));
    let last = rest.len().saturating_sub(1);
    for (at, (emptied, turn)) in rest.into_iter().enumerate() {
        let calls: Vec<String> = turn.blocks.iter().filter_map(call).map(str::to_owned).collect();
        if !emptied {
            add(&mut done, turn);
        }
        let mut blocks = Vec::new();
        for id in calls {
            let answer =
                answers.get_mut(&id).and_then(|of| of.pop_front_if(|answer| answer.turn > at));
            match answer {
                Some(answer) => blocks.extend(answer.blocks),
                None if at == last => {}
                None => return Err(no_result(&id)),
            }
        }
        if !blocks.is_empty() {
            add(&mut done, Turn { role: Role::User, blocks, name: None });
        }
    }
    let left = answers.iter().filter_map(|(id, of)| Some((of.front()?.order, id)));
    match left.min() {
        Some((_, id)) => Err(no_call(id)),
        None => Ok(done),
    }
}

/// Looks for what [`answered`] refuses, where results may stand anywhere behind their calls. `remembers` says that the
/// provider may know calls that are not here.
pub(crate) fn complete(turns: &[Turn], remembers: bool) -> Result<(), Unsupported> {
    // The turns of the calls without a result so far; none of those that need no result.
    let mut open: HashMap<&str, VecDeque<Option<usize>>> = HashMap::new();
    for (at, turn) in turns.iter().enumerate() {
        for block in &turn.blocks {
            match block {
                Block::ToolUse { id, seal, .. } => {
                    let waits = !openai_responses::is_async(seal.as_ref());
                    open.entry(id).or_default().push_back(waits.then_some(at));
                }
                Block::ToolResult { id, .. } => {
                    let call = open.get_mut(id.as_str()).and_then(VecDeque::pop_front);
                    if call.is_none() && !remembers {
                        return Err(no_call(id));
                    }
                }
                _ => {}
            }
        }
    }
    let left = open.iter().filter_map(|(id, of)| Some((of.iter().flatten().min()?, *id)));
    match left.min() {
        Some((at, id)) if at + 1 < turns.len() => Err(no_result(id)),
        _ => Ok(()),
    }
}

fn no_call(id: &str) -> Unsupported {
    Unsupported::new("messages", format!("the result {id} has no call before it"))
}

fn no_result(id: &str) -> Unsupported {
    Unsupported::new("messages", format!("the call {id} has no result"))
}

/// The turns without their results, each with whether it was nothing else, and the results.
fn taken(turns: Vec<Turn>) -> (Vec<(bool, Turn)>, Answers) {
    let (mut rest, mut answers, mut order) = (Vec::new(), Answers::new(), 0);
    for (at, turn) in turns.into_iter().enumerate() {
        let (mut kept, mut took) = (Vec::new(), false);
        let mut blocks = turn.blocks.into_iter().peekable();
        while let Some(block) = blocks.next() {
            let Block::ToolResult { id, .. } = &block else {
                kept.push(block);
                continue;
            };
            took = true;
            let id = id.clone();
            let mut whole = vec![block];
            // A cache marker or a member belongs to the block before it and moves with it.
            while let Some(behind) = blocks.next_if(is_behind) {
                whole.push(behind);
            }
            answers.entry(id).or_default().push_back(Answer { turn: at, order, blocks: whole });
            order += 1;
        }
        rest.push((took && kept.is_empty(), Turn { blocks: kept, ..turn }));
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
        Block::Native(native) => native.field.starts_with("content."),
        _ => false,
    }
}

/// The turns with an id of its own for each call: some clients number the calls of each round anew. The first call with
/// an id keeps it, so that a growing conversation stays the same where it was.
pub(crate) fn distinct(turns: &[Turn]) -> Cow<'_, [Turn]> {
    let mut ids = HashSet::new();
    let mut calls = turns.iter().flat_map(|turn| &turn.blocks).filter_map(call);
    if calls.all(|id| ids.insert(id)) {
        return Cow::Borrowed(turns);
    }
    let mut taken: HashSet<String> = HashSet::new();
    let mut open: HashMap<String, VecDeque<String>> = HashMap::new();
    let mut turns = turns.to_vec();
    for block in turns.iter_mut().flat_map(|turn| &mut turn.blocks) {
        match block {
            Block::ToolUse { id, .. } => {
                let said = id.clone();
                let mut n = 2_u64;
                while !taken.insert(id.clone()) {
                    *id = format!("{said}_{n}");
                    n += 1;
                }
                open.entry(said).or_default().push_back(id.clone());
            }
            Block::ToolResult { id, .. } => {
                if let Some(own) = open.get_mut(id).and_then(VecDeque::pop_front) {
                    *id = own;
                }
            }
            _ => {}
        }
    }
    Cow::Owned(turns)
}
