//! JSON Schema, and the two variants of it that Google takes: `parametersJsonSchema` / `responseJsonSchema`, which is most
//! of JSON Schema, and the older `parameters` / `responseSchema`, an `OpenAPI` subset with upper-case types and `nullable`.
//! <https://ai.google.dev/gemini-api/docs/structured-output> <https://ai.google.dev/api/caching#Schema>
//!
//! The order of properties is the order in which a model fills them, so it is kept.

use serde_json::value::RawValue;

pub(super) use super::schema_references::to_json_schema;
use super::schema_references::{add_part, definitions};
use super::schema_tree::{
    DEEPEST, Members, Node, Place, TOO_DEEP, Unfit, change, find, place, set, take,
};
use crate::Dropped;
use crate::json::{self, Json};

/// References are replaced by what they refer to; this is the most that one schema may grow to, in nodes.
pub(super) const MOST_NODES: usize = 20_000;

const TOO_LARGE: Unfit = Unfit("the schema is too large once its references are replaced");
const RECURSIVE: Unfit = Unfit("this model takes no schema that refers to itself");

/// JSON Schema of the older variant. What cannot be read as one is kept as it is.
pub(super) fn from_openapi(schema: &Json) -> Json {
    let Ok(mut node) = Node::parse(schema, 0) else { return schema.clone() };
    spell(&mut node);
    change(&mut node, &mut |members| {
        number(members);
        order(members);
        let nullable = take(members, "nullable").is_some_and(|flag| flag.is("true"));
        if nullable
            && let Some((_, Node::Array(values))) =
                members.iter_mut().find(|(word, _)| word == "enum")
            && !values.iter().any(|value| value.is("null"))
        {
            // A list of values holds for all types there.
            values.push(Node::Leaf(Json::of(&())));
        }
        let said = take(members, "type");
        // One type by the book; some clients send the list of JSON Schema.
        let mut kinds = said.map_or_else(Vec::new, |said| match said.text() {
            Some(kind) => vec![kind],
            None => said.names(),
        });
        kinds.retain(|kind| kind != "TYPE_UNSPECIFIED");
        for kind in &mut kinds {
            kind.make_ascii_lowercase();
        }
        if !kinds.is_empty() {
            if nullable && !kinds.iter().any(|kind| kind == "null") {
                kinds.push("null".to_owned());
            }
            let kind = match kinds.as_slice() {
                [only] => Node::word(only),
                several => Node::Array(several.iter().map(|kind| Node::word(kind)).collect()),
            };
            members.insert(0, ("type".to_owned(), kind));
        } else if nullable
            && let Some((_, Node::Array(choices))) =
                members.iter_mut().find(|(word, _)| word == "anyOf")
        {
            choices.push(Node::Object(vec![("type".to_owned(), Node::word("null"))]));
        }
    });
    node.json()
}

/// Proto3: the words of the older variant may be spelt in snake case.
fn spell(node: &mut Node) {
    const WORDS: [(&str, &str); 10] = [
        ("any_of", "anyOf"),
        ("property_ordering", "propertyOrdering"),
        ("additional_properties", "additionalProperties"),
        ("prefix_items", "prefixItems"),
        ("max_items", "maxItems"),
        ("min_items", "minItems"),
        ("max_length", "maxLength"),
        ("min_length", "minLength"),
        ("max_properties", "maxProperties"),
        ("min_properties", "minProperties"),
    ];
    // Outer ones first: an inner schema is found under the right word only.
    let Node::Object(members) = node else { return };
    for (word, _) in members.iter_mut() {
        if let Some((_, right)) = WORDS.iter().find(|(snake, _)| snake == word) {
            (*right).clone_into(word);
        }
    }
    for (word, child) in members.iter_mut() {
        match (place(word), child) {
            (Place::Schema, child) => spell(child),
            (Place::List, Node::Array(children)) => children.iter_mut().for_each(spell),
            (Place::Named, Node::Object(named)) => {
                for (_, child) in named {
                    spell(child);
                }
            }
            _ => {}
        }
    }
}

/// Proto3: 64-bit numbers may be written as text.
fn number(members: &mut Members) {
    for (word, value) in members.iter_mut() {
        if (word.starts_with("min") || word.starts_with("max"))
            && let Some(number) = value.text().and_then(|text| text.parse::<i64>().ok())
        {
            *value = Node::Leaf(Json::of(&number));
        }
    }
}

/// `propertyOrdering` is Google's word for what the order of `properties` says elsewhere.
fn order(members: &mut Members) {
    let Some(wanted) = take(members, "propertyOrdering").map(|order| order.names()) else { return };
    if let Some((_, Node::Object(named))) =
        members.iter_mut().find(|(word, _)| word == "properties")
    {
        let rank = |name: &String| wanted.iter().position(|w| w == name).unwrap_or(usize::MAX);
        named.sort_by_key(|(name, _)| rank(name));
    }
}

/// What goes for both variants: words that Google does not know become those it knows, or are lost.
pub(super) fn common(members: &mut Members, place: &str, dropped: &mut Dropped) {
    for word in ["$schema", "$comment", "examples", "readOnly", "writeOnly", "deprecated"] {
        take(members, word);
    }
    for word in ["not", "if", "then", "else", "patternProperties", "propertyNames", "contains"] {
        if take(members, word).is_some() {
            dropped.note(format!("{place}.{word}"));
        }
    }
    if let Some((_, Node::Object(named))) =
        members.iter_mut().find(|(word, _)| word == "properties")
    {
        // `true` stands for anything at all.
        let anything = named.iter_mut().filter(|(_, child)| matches!(child, Node::Leaf(_)));
        anything.for_each(|(_, child)| *child = Node::empty());
    }
    if let Some(only) = take(members, "const") {
        set(members, "enum", Node::Array(vec![only]));
    }
    if let Some(Node::Array(all)) = take(members, "allOf") {
        for part in all {
            let Node::Object(part) = part else { continue };
            merge(members, part, place, dropped);
        }
    }
}

/// All of several schemas at once, as far as one can say it.
fn merge(members: &mut Members, part: Members, place: &str, dropped: &mut Dropped) {
    for (word, value) in part {
        let slot = members.iter_mut().find(|(known, _)| *known == word).map(|(_, slot)| slot);
        match (word.as_str(), slot, value) {
            (_, None, value) => members.push((word, value)),
            ("properties" | "$defs", Some(Node::Object(named)), Node::Object(more)) => {
                for (name, child) in more {
                    let known = named.iter_mut().find(|(known, _)| *known == name);
                    match (known.map(|(_, known)| known), child) {
                        (None, child) => named.push((name, child)),
                        (Some(Node::Object(known)), Node::Object(child)) => {
                            merge(known, child, place, dropped);
                        }
                        (Some(_), _) => {}
                    }
                }
            }
            ("required", Some(Node::Array(names)), Node::Array(more)) => {
                let known: Vec<_> = names.iter().filter_map(Node::text).collect();
                names.extend(
                    more.into_iter().filter(|n| n.text().is_none_or(|n| !known.contains(&n))),
                );
            }
            (_, Some(slot), value) if slot.json() == value.json() => {}
            ("type" | "title" | "description" | "default", Some(_), _) => {}
            _ => dropped.note(format!("{place}.allOf")),
        }
    }
}

/// The older variant.
pub(super) fn to_openapi(schema: &Json, place: &str, dropped: &mut Dropped) -> Result<Json, Unfit> {
    let mut node = Node::parse(schema, 0)?;
    let mut left = MOST_NODES;
    let definitions = definitions(&node);
    node = inlined(&node, &definitions, &mut Vec::new(), &mut left, 0)?;
    change(&mut node, &mut |members| {
        common(members, place, dropped);
        kind(members);
        strings(members);
        known(members, place, dropped);
        // Nothing may stand beside a choice.
        if let Some(choices) = take(members, "anyOf") {
            let kept = ["description", "title", "nullable"];
            members.retain(|(word, _)| kept.contains(&word.as_str()));
            members.push(("anyOf".to_owned(), choices));
        }
    });
    Ok(node.json())
}

/// The schema with every reference replaced by what it refers to. `path` are the references that led here.
fn inlined(
    node: &Node,
    definitions: &Members,
    path: &mut Vec<String>,
    left: &mut usize,
    depth: u32,
) -> Result<Node, Unfit> {
    if depth > DEEPEST {
        return Err(TOO_DEEP);
    }
    let depth = depth + 1;
    *left = left.checked_sub(1).ok_or(TOO_LARGE)?;
    match node {
        Node::Leaf(json) => Ok(Node::Leaf(json.clone())),
        Node::Array(items) => {
            let items = items.iter().map(|item| inlined(item, definitions, path, left, depth));
            Ok(Node::Array(items.collect::<Result<_, Unfit>>()?))
        }
        Node::Object(members) => {
            let (mut whole, mut part) = (Vec::new(), None);
            let merges =
                ["properties", "required"].iter().any(|word| find(members, word).is_some());
            for (word, child) in members {
                match word.as_str() {
                    "$defs" | "definitions" => {}
                    "$ref" => {
                        let target = child.text().unwrap_or_default();
                        if target == "#" || path.contains(&target) {
                            return Err(RECURSIVE);
                        }
                        let Some(found) = find(definitions, &target) else { continue };
                        path.push(target);
                        let found = inlined(found, definitions, path, left, depth);
                        path.pop();
                        let found = found?;
                        if merges {
                            part = Some(found);
                        } else if let Node::Object(found) = found {
                            // What stands beside the reference says more than its target.
                            let news =
                                found.into_iter().filter(|(w, _)| find(members, w).is_none());
                            whole.extend(news);
                        }
                    }
                    _ => {
                        whole.push((word.clone(), inlined(child, definitions, path, left, depth)?));
                    }
                }
            }
            if let Some(part) = part {
                add_part(&mut whole, part);
            }
            Ok(Node::Object(whole))
        }
    }
}

/// One type, in upper case, with `nullable` for the one that is none.
fn kind(members: &mut Members) {
    if let Some(choices) = take(members, "oneOf") {
        set(members, "anyOf", choices);
    }
    let is_null = |node: &Node| match node {
        Node::Object(members) => find(members, "type").is_some_and(|kind| kind.is("\"NULL\"")),
        _ => false,
    };
    if let Some((_, Node::Array(choices))) = members.iter_mut().find(|(word, _)| word == "anyOf") {
        let before = choices.len();
        choices.retain(|choice| !is_null(choice));
        let nullable = choices.len() < before;
        if choices.len() == 1
            && let Some(Node::Object(only)) = choices.pop()
        {
            take(members, "anyOf");
            for (word, value) in only {
                if find(members, &word).is_none() {
                    members.push((word, value));
                }
            }
        }
        if nullable {
            set(members, "nullable", Node::Leaf(Json::of(&true)));
        }
    }
    let Some(said) = take(members, "type") else { return };
    let mut kinds = said.text().map_or_else(|| said.names(), |kind| vec![kind]);
    kinds = kinds.iter().map(|kind| kind.to_ascii_uppercase()).collect();
    let several = kinds.len() > 1;
    if several && kinds.iter().any(|kind| kind == "NULL") {
        kinds.retain(|kind| kind != "NULL");
        set(members, "nullable", Node::Leaf(Json::of(&true)));
    }
    if let [only] = kinds.as_slice() {
        members.insert(0, ("type".to_owned(), Node::word(only)));
    } else {
        let choice = |kind: &String| Node::Object(vec![("type".to_owned(), Node::word(kind))]);
        set(members, "anyOf", Node::Array(kinds.iter().map(choice).collect()));
    }
}

/// A list of values is a list of texts.
fn strings(members: &mut Members) {
    let Some(Node::Array(values)) = take(members, "enum") else { return };
    let all = values.iter().filter(|value| !value.is("null"));
    let texts = all.map(|value| value.text().unwrap_or_else(|| value.json().get().to_owned()));
    let texts = texts.map(|text| Node::word(&text)).collect();
    set(members, "type", Node::word("STRING"));
    members.push(("enum".to_owned(), Node::Array(texts)));
    if values.iter().any(|value| value.is("null")) {
        set(members, "nullable", Node::Leaf(Json::of(&true)));
    }
}

/// Words outside of the subset are refused by Google.
fn known(members: &mut Members, place: &str, dropped: &mut Dropped) {
    const WORDS: [&str; 21] = [
        "type",
        "format",
        "title",
        "description",
        "nullable",
        "enum",
        "items",
        "minItems",
        "maxItems",
        "properties",
        "required",
        "minProperties",
        "maxProperties",
        "minLength",
        "maxLength",
        "pattern",
        "anyOf",
        "minimum",
        "maximum",
        "propertyOrdering",
        "example",
    ];
    /// Of these nothing is lost that the model would have been held to.
    const QUIET: [&str; 4] = ["default", "additionalProperties", "$id", "$anchor"];
    const FORMATS: [&str; 6] = ["enum", "date-time", "int32", "int64", "float", "double"];
    members.retain(|(word, value)| {
        let kept = match word.as_str() {
            "format" => value.text().is_some_and(|format| FORMATS.contains(&format.as_str())),
            word => WORDS.contains(&word),
        };
        if !kept && !QUIET.contains(&word.as_str()) {
            dropped.note(format!("{place}.{word}"));
        }
        kept
    });
    for (_, child) in members.iter_mut().filter(|(word, _)| word == "items") {
        if !matches!(child, Node::Object(_)) {
            *child = Node::empty();
        }
    }
}

/// Whether a schema allows nothing but the empty object, which the older variant has no word for.
pub(super) fn is_empty(schema: &Json) -> bool {
    let members = json::fields(schema.get());
    let properties = members.iter().find(|(word, _)| word == "properties");
    let inside = properties.map(|(_, value)| value.get());
    let none = inside.is_none_or(|text| {
        serde_json::from_str::<std::collections::BTreeMap<String, &RawValue>>(text)
            .is_ok_and(|named| named.is_empty())
    });
    let open = members.iter().any(|(word, _)| matches!(word.as_str(), "$ref" | "anyOf" | "oneOf"));
    none && !open
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
