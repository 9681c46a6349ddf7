//! References in a schema for Google: only words with a `$` may stand beside one.

use super::schema::{MOST_NODES, common};
use super::schema_tree::{Members, Node, Unfit, change, find, set, take};
use crate::Dropped;
use crate::json::Json;

/// The variant that is close to JSON Schema. `place` is what names of lost words begin with.
pub(super) fn to_json_schema(
    schema: &Json,
    place: &str,
    dropped: &mut Dropped,
) -> Result<Json, Unfit> {
    let mut node = Node::parse(schema, 0)?;
    let definitions = definitions(&node);
    let mut modern = Modern { definitions, path: Vec::new(), left: MOST_NODES, place, dropped };
    modern.change(&mut node);
    Ok(node.json())
}

/// What the root of a schema defines, under the references that lead to it.
pub(super) fn definitions(root: &Node) -> Members {
    let mut all: Members = Vec::new();
    let Node::Object(root) = root else { return all };
    for word in ["$defs", "definitions"] {
        if let Some(Node::Object(named)) = find(root, word) {
            all.extend(named.iter().map(|(name, node)| (format!("#/{word}/{name}"), node.clone())));
            // Under their new name, too.
            all.extend(named.iter().map(|(name, node)| (format!("#/$defs/{name}"), node.clone())));
        }
    }
    all
}

/// Words that hold the model to nothing more beside a `$ref`.
const QUIET: [&str; 5] = ["type", "title", "default", "example", "propertyOrdering"];

/// Whether a schema says more than what it refers to.
fn says_more(members: &Members) -> bool {
    let silent = |word: &str| word.starts_with('$') || QUIET.contains(&word);
    members.iter().any(|(word, _)| {
        !silent(word) && !matches!(word.as_str(), "description" | "allOf" | "definitions")
    })
}

/// A schema on its way to the variant that is close to JSON Schema.
struct Modern<'a> {
    definitions: Members,
    /// The references that led to what is changed now.
    path: Vec<String>,
    /// Nodes that may still be copied.
    left: usize,
    place: &'a str,
    dropped: &'a mut Dropped,
}

impl Modern<'_> {
    fn change(&mut self, node: &mut Node) {
        change(node, &mut |members| {
            self.refer(members);
            common(members, self.place, self.dropped);
            if let Some(definitions) = take(members, "definitions") {
                set(members, "$defs", definitions);
            }
            if let Some(target) = find(members, "$ref").and_then(Node::text) {
                alone(members, &target, self.place, self.dropped);
            }
        });
    }

    /// Puts what references lead to in their place, where they are one of several parts of a schema that go for all of it.
    fn refer(&mut self, members: &mut Members) {
        let refers = |members: &Members| find(members, "$ref").is_some();
        let part = |node: &Node| match node {
            Node::Object(part) => (refers(part), says_more(part)),
            _ => (false, false),
        };
        let all = match find(members, "allOf") {
            Some(Node::Array(all)) => all.iter().map(part).collect(),
            _ => Vec::new(),
        };
        let own = (refers(members), false);
        let said = all.iter().chain([&own]).filter(|(refers, says)| *refers || *says).count();
        if said + usize::from(says_more(members)) < 2 {
            return;
        }
        let own = if own.0 { take(members, "$ref") } else { None };
        let found = own.as_ref().and_then(|target| self.target(target));
        match (own, found) {
            (Some(_), Some(found)) => add_part(members, Node::Object(found)),
            (Some(target), None) => set(members, "$ref", target),
            (None, _) => {}
        }
        if all.iter().any(|(refers, _)| *refers) {
            for part in parts(members).into_iter().flatten() {
                if let Node::Object(part) = part
                    && let Some(found) =
                        find(part, "$ref").cloned().and_then(|target| self.target(&target))
                {
                    *part = found;
                }
            }
        }
    }

    /// What a reference leads to, changed; nothing where it leads elsewhere, back here, or to too much.
    fn target(&mut self, target: &Node) -> Option<Members> {
        const DEEPEST: usize = 16;
        let target = target.text()?;
        if self.path.contains(&target) || self.path.len() >= DEEPEST {
            return None;
        }
        let mut found = find(&self.definitions, &target)?.clone();
        self.left = self.left.checked_sub(found.size())?;
        self.path.push(target);
        self.change(&mut found);
        self.path.pop();
        match found {
            Node::Object(found) => Some(found),
            _ => None,
        }
    }
}

/// The parts of a schema that go for all of it.
fn parts(members: &mut Members) -> Option<&mut Vec<Node>> {
    members.iter_mut().find_map(|(word, node)| match node {
        Node::Array(all) if word == "allOf" => Some(all),
        _ => None,
    })
}

/// Adds one, ahead of the others.
pub(super) fn add_part(members: &mut Members, part: Node) {
    match parts(members) {
        Some(all) => all.insert(0, part),
        None => set(members, "allOf", Node::Array(vec![part])),
    }
}

/// Only words with a `$` may stand beside a `$ref`.
fn alone(members: &mut Members, target: &str, place: &str, dropped: &mut Dropped) {
    let target = target.replacen("#/definitions/", "#/$defs/", 1);
    let said = take(members, "description");
    members.retain(|(word, _)| {
        let kept = word.starts_with('$');
        if !kept && !QUIET.contains(&word.as_str()) {
            dropped.note(format!("{place}.{word}"));
        }
        kept
    });
    set(members, "$ref", Node::word(&target));
    if let Some(said) = said {
        let own = std::mem::take(members);
        let (refer, rest) = own.into_iter().partition(|(word, _)| word == "$ref");
        *members = rest;
        members.push(("description".to_owned(), said));
        members.push(("anyOf".to_owned(), Node::Array(vec![Node::Object(refer)])));
    }
}
