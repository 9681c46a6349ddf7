//! A schema as a tree in which the order of members is kept.

use crate::json::{self, Json};

/// Far deeper than any schema of a person; keeps a hostile one from exhausting the stack.
pub(super) const DEEPEST: u32 = 64;

/// A schema that cannot be written in the variant asked for, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unfit(pub(super) &'static str);

pub(super) const TOO_DEEP: Unfit = Unfit("the schema is nested too deeply");

/// A JSON value in which the order of members is kept.
#[derive(Clone)]
pub(super) enum Node {
    Object(Members),
    Array(Vec<Node>),
    Leaf(Json),
}

pub(super) type Members = Vec<(String, Node)>;

impl Node {
    pub(super) fn parse(json: &Json, depth: u32) -> Result<Self, Unfit> {
        if depth > DEEPEST {
            return Err(TOO_DEEP);
        }
        let text = json.get();
        Ok(if text.starts_with('{') {
            let members = json::fields(text).into_iter();
            let parsed = members.map(|(name, value)| Ok((name, Self::parse(&value, depth + 1)?)));
            Self::Object(parsed.collect::<Result<_, Unfit>>()?)
        } else if text.starts_with('[') {
            let items: Vec<Json> = serde_json::from_str(text).unwrap_or_default();
            let parsed = items.iter().map(|item| Self::parse(item, depth + 1));
            Self::Array(parsed.collect::<Result<_, Unfit>>()?)
        } else {
            Self::Leaf(json.clone())
        })
    }

    pub(super) fn json(&self) -> Json {
        let mut text = String::new();
        self.write(&mut text);
        Json::parse(&text).unwrap_or_else(Json::empty_object)
    }

    pub(super) fn write(&self, out: &mut String) {
        match self {
            Self::Leaf(json) => out.push_str(json.get()),
            Self::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (i, (name, value)) in members.iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    out.push_str(Json::of(name).get());
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Leaf(json) => json.as_string(),
            _ => None,
        }
    }

    /// How many nodes there are.
    pub(super) fn size(&self) -> usize {
        1 + match self {
            Self::Object(members) => members.iter().map(|(_, node)| node.size()).sum(),
            Self::Array(items) => items.iter().map(Self::size).sum(),
            Self::Leaf(_) => 0,
        }
    }

    pub(super) fn is(&self, text: &str) -> bool {
        matches!(self, Self::Leaf(json) if json.get() == text)
    }

    pub(super) fn word(text: &str) -> Self {
        Self::Leaf(Json::of(&text))
    }

    pub(super) fn empty() -> Self {
        Self::Object(Vec::new())
    }

    /// Names in an array of strings.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Self::Array(items) => items.iter().filter_map(Self::text).collect(),
            _ => Vec::new(),
        }
    }
}

pub(super) fn find<'a>(members: &'a [(String, Node)], name: &str) -> Option<&'a Node> {
    members.iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

pub(super) fn take(members: &mut Members, name: &str) -> Option<Node> {
    let at = members.iter().position(|(known, _)| known == name)?;
    Some(members.remove(at).1)
}

pub(super) fn set(members: &mut Members, name: &str, value: Node) {
    match members.iter_mut().find(|(known, _)| known == name) {
        Some((_, slot)) => *slot = value,
        None => members.push((name.to_owned(), value)),
    }
}

/// What stands under a word of a schema.
pub(super) enum Place {
    /// A schema.
    Schema,
    /// A list of schemas.
    List,
    /// Schemas by names of the client.
    Named,
    /// Anything else.
    Plain,
}

pub(super) fn place(word: &str) -> Place {
    match word {
        "items"
        | "additionalProperties"
        | "not"
        | "contains"
        | "propertyNames"
        | "if"
        | "then"
        | "else" => Place::Schema,
        "anyOf" | "oneOf" | "allOf" | "prefixItems" => Place::List,
        "properties" | "$defs" | "definitions" | "patternProperties" => Place::Named,
        _ => Place::Plain,
    }
}

/// Every schema in `node`, the inner ones first.
pub(super) fn change(node: &mut Node, edit: &mut impl FnMut(&mut Members)) {
    let Node::Object(members) = node else { return };
    for (word, child) in members.iter_mut() {
        match (place(word), child) {
            (Place::Schema, child) => change(child, edit),
            (Place::List, Node::Array(children)) => {
                for child in children {
                    change(child, edit);
                }
            }
            (Place::Named, Node::Object(named)) => {
                for (_, child) in named {
                    change(child, edit);
                }
            }
            _ => {}
        }
    }
    edit(members);
}
