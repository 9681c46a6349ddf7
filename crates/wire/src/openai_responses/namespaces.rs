//! Tools in groups that have a name of their own (`namespace`). Other dialects have no groups: there each of them is a function
//! under both names.

use super::read_tools::KEPT;
use super::types::Group;
use crate::chat::{Block, Native, Seal, Turn};
use crate::json::Json;

/// The type of a group, and what the name of the native field ends with that keeps it as it was written.
pub(super) const KIND: &str = "namespace";

/// The name of a group's tool where there are no groups.
pub(super) fn flat(group: &str, tool: &str) -> String {
    format!("{group}__{tool}")
}

/// Whether a tool's name says that it is of the group with that name.
pub(crate) fn is_in_group(name: &str, group: &Json) -> bool {
    group.as_string().is_some_and(|group| name.starts_with(&flat(&group, "")))
}

fn read(raw: &Json) -> Option<Group> {
    serde_json::from_str::<Group>(raw.get())
        .ok()
        .filter(|group| group.kind.as_deref() == Some(KIND))
}

/// The tools of a group: the name of each where there are no groups, its own name, and its type.
fn tools(group: &Group) -> impl Iterator<Item = (String, String, Option<String>)> {
    let name = group.name.as_deref().unwrap_or_default();
    group.tools.iter().flatten().filter_map(move |tool| {
        let tool: super::types::Tool = serde_json::from_str(tool.get()).ok()?;
        let own = tool.name?;
        Some((flat(name, &own), own, tool.kind))
    })
}

/// Whether this is a group with that tool.
pub(super) fn holds(raw: &Json, wanted: &str) -> bool {
    read(raw).is_some_and(|group| tools(&group).any(|(name, ..)| name == wanted))
}

/// Gives the calls of a conversation the names that their tools have where there are no groups.
pub(super) fn name_calls(turns: &mut [Turn], native: &[Native]) {
    let groups: Vec<&Json> = native
        .iter()
        .filter(|native| native.field.strip_prefix(KEPT) == Some(KIND))
        .map(|native| &native.raw)
        .collect();
    if groups.is_empty() {
        return;
    }
    for block in turns.iter_mut().flat_map(|turn| &mut turn.blocks) {
        let Block::ToolUse { name, seal: Some(seal), .. } = block else { continue };
        let Some(group) = of_call(seal) else { continue };
        let both = flat(&group, name);
        if groups.iter().any(|raw| holds(raw, &both)) {
            *name = both;
        }
    }
}

/// The group that a call names.
fn of_call(seal: &Seal) -> Option<String> {
    let members = super::call_members(Some(seal));
    members.iter().find(|(name, _)| name == KIND)?.1.as_string()
}

/// A tool of a group that an answer may call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its name where there are no groups.
    pub(super) flat: String,
    pub(super) group: String,
    pub(super) name: String,
    pub(super) custom: bool,
}

/// The tools of all groups among `list`.
pub(super) fn members<'j>(list: impl Iterator<Item = &'j Json>) -> Vec<Member> {
    let groups = list.filter_map(read);
    let members = groups.flat_map(|group| {
        let all: Vec<_> = tools(&group).collect();
        let group = group.name.unwrap_or_default();
        all.into_iter().map(move |(flat, name, kind)| Member {
            flat,
            group: group.clone(),
            name,
            custom: kind.as_deref() == Some("custom"),
        })
    });
    members.collect()
}
