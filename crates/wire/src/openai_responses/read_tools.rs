//! Tools and the choice among them.

use std::collections::HashSet;

use super::read_items::missing;
use super::types::{
    Additional, Choose, CodeInterpreter, Container, Group, Tool as WireTool, ToolSearch,
    WebSearch as WireSearch,
};
use super::{ADDITIONAL_TOOLS, NAME, namespaces};
use crate::chat::{Block, Hosted, Native, Tool, ToolChoice, Turn, WebSearch};
use crate::json::{self, Json, Malformed};
use crate::{deferral, schema, unknown};

/// What the name of a native field begins with that keeps a function as it was written.
pub(super) const KEPT: &str = "tools.";

/// The tools. A function that says more than other dialects have words for is kept whole in `native`, under the name of
/// what it says.
pub(super) fn tools(
    list: &[Json],
    path: &str,
    native: &mut Vec<Native>,
) -> Result<Vec<Tool>, Malformed> {
    let mut tools = Vec::new();
    for (i, raw) in list.iter().enumerate() {
        let path = format!("{path}[{i}]");
        let kind = json::read::<super::types::Kind>(raw.get(), &path)?.kind;
        let kind = kind.filter(|kind| !kind.is_empty());
        let kind = kind.ok_or_else(|| missing(&format!("{path}.type"), "the type of a tool"))?;
        let own = || Native { dialect: NAME, field: kind.clone(), raw: raw.clone() };
        let keep =
            |what: &str| Native { dialect: NAME, field: format!("{KEPT}{what}"), raw: raw.clone() };
        if kind == namespaces::KIND
            && let Some(members) = group(raw, &path)?
        {
            native.push(keep(namespaces::KIND));
            tools.extend(members);
            continue;
        }
        tools.push(match kind.as_str() {
            "function" => {
                let mut more = Vec::new();
                let tool = unknown::read(raw.get(), &path, NAME, "", &mut more)?;
                // One of them holds the tool, be they ever so many.
                let whole = more.iter().position(|member| member.field == deferral::MARK);
                native.extend(more.into_iter().enumerate().map(|(i, member)| {
                    if i == whole.unwrap_or_default() {
                        return keep(&member.field);
                    }
                    Native { field: format!("{KEPT}{}", member.field), ..member }
                }));
                function(tool, &path)?
            }
            "custom" => {
                native.push(keep("custom"));
                let schema = Json::parse(FREE_FORM);
                match function(json::read(raw.get(), &path)?, &path)? {
                    Tool::Function { name, description, .. } => {
                        let strict = Some(false);
                        Tool::Function { name, description, schema, strict, cache: None }
                    }
                    other => other,
                }
            }
            word if is_web_search(word) => {
                let terms = search(json::read(raw.get(), &path)?);
                Tool::Hosted { kind: Hosted::WebSearch(terms), native: own() }
            }
            // One that the client runs is a tool of its own kind.
            "tool_search" if !raw.get().contains("\"client\"") => {
                Tool::Hosted { kind: Hosted::ToolSearch, native: own() }
            }
            "code_interpreter" => Tool::Hosted { kind: Hosted::CodeExecution, native: own() },
            _ => Tool::Native(own()),
        });
    }
    Ok(tools)
}

/// The tools of a group, if all of them are such as the client runs.
fn group(raw: &Json, path: &str) -> Result<Option<Vec<Tool>>, Malformed> {
    let group: Group = json::read(raw.get(), path)?;
    let own = group.name.ok_or_else(|| missing(&format!("{path}.name"), "a name"))?;
    let list = group.tools.unwrap_or_default();
    // What they say beside that is kept with the group.
    let mut members = tools(&list, &format!("{path}.tools"), &mut Vec::new())?;
    for tool in &mut members {
        let Tool::Function { name, .. } = tool else { return Ok(None) };
        *name = namespaces::flat(&own, name);
    }
    Ok(Some(members).filter(|members| !members.is_empty()))
}

/// Adds the tools that come in the middle of the conversation, where other dialects have no place for them. How many they
/// are is kept without a name, so that nobody misses it.
pub(super) fn additional(
    turns: &[Turn],
    tools: &mut Vec<Tool>,
    native: &mut Vec<Native>,
) -> Result<(), Malformed> {
    let before = tools.len();
    for block in turns.iter().flat_map(|turn| &turn.blocks) {
        let Block::Native(item) = block else { continue };
        if item.field == ADDITIONAL_TOOLS {
            let path = format!("input.{ADDITIONAL_TOOLS}");
            let more: Additional = json::read(item.raw.get(), &path)?;
            let more = more.tools.unwrap_or_default();
            tools.extend(self::tools(&more, &format!("{path}.tools"), native)?);
        }
    }
    if tools.len() > before {
        let (mut known, mut at) = (HashSet::new(), 0);
        tools.retain(|tool| {
            at += 1;
            match tool {
                Tool::Function { name, .. } => known.insert(name.clone()) || at <= before,
                _ => true,
            }
        });
        let raw = Json::of(&tools.len().saturating_sub(before));
        native.push(Native { dialect: NAME, field: String::new(), raw });
    }
    Ok(())
}

/// Takes out how many of the last tools stand in the conversation.
pub(super) fn take_additional(own: &mut Vec<(String, Json)>) -> usize {
    let at = own.iter().position(|(field, _)| field.is_empty());
    let count = at.map(|at| own.remove(at));
    count.and_then(|(_, raw)| raw.get().parse().ok()).unwrap_or_default()
}

/// The arguments of a custom tool as those of a function.
const FREE_FORM: &str = r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}"#;

/// Also under the names with a date.
fn is_web_search(kind: &str) -> bool {
    kind.starts_with("web_search")
}

fn function(tool: WireTool, path: &str) -> Result<Tool, Malformed> {
    Ok(Tool::Function {
        name: tool.name.ok_or_else(|| missing(&format!("{path}.name"), "a name"))?,
        description: tool.description,
        schema: schema::object(tool.parameters, &format!("{path}.parameters"))?,
        strict: tool.strict,
        cache: None,
    })
}

fn search(tool: WireSearch) -> WebSearch {
    // Members that are null say nothing, and others refuse them.
    let location = tool.user_location.map(|raw| {
        let said = json::fields(raw.get()).into_iter().filter(|(_, value)| value.get() != "null");
        json::object_with(&WireSearch::default(), &said.collect::<Vec<_>>())
    });
    WebSearch {
        max_uses: None,
        allowed_domains: tool.filters.and_then(|f| f.allowed_domains).unwrap_or_default(),
        blocked_domains: Vec::new(),
        user_location: location,
        context_size: tool.search_context_size,
    }
}

/// What a tool that runs at the provider says that no other dialect has words for.
pub(crate) fn terms(tool: &Native) -> Vec<Native> {
    let (kind, text) = (tool.field.as_str(), tool.raw.get());
    match kind {
        "code_interpreter" => {
            let place = format!("{kind}.container");
            let read: CodeInterpreter = serde_json::from_str(text).unwrap_or_default();
            let mut lost = unknown::members::<CodeInterpreter>(text, kind);
            match read.container {
                Some(raw) if raw.is_object() => {
                    lost.extend(unknown::members::<Container>(raw.get(), &place));
                }
                Some(raw) => lost.push(Native { dialect: NAME, field: place, raw }),
                None => {}
            }
            lost
        }
        "tool_search" => unknown::members::<ToolSearch>(text, kind),
        _ => unknown::members::<WireSearch>(text, kind),
    }
}

/// Choices of tools that only this dialect has are kept in `native`.
pub(super) fn choice(
    raw: Option<&Json>,
    native: &mut Vec<Native>,
) -> Result<ToolChoice, Malformed> {
    let path = "tool_choice";
    let Some(raw) = raw else { return Ok(ToolChoice::Unsaid) };
    if let Some(word) = raw.as_string() {
        return match word.as_str() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Required),
            _ => Err(Malformed::new(path, "must be auto, none, required or an object")),
        };
    }
    let before = native.len();
    let choose: Choose = unknown::read(raw.get(), path, "", path, native)?;
    let named = |choose: &Choose| match choose.kind.as_deref() {
        Some("function" | "custom") => choose.name.clone(),
        _ => None,
    };
    let said = match choose.kind.as_deref() {
        Some("allowed_tools") => {
            let tools = choose.tools.as_deref().unwrap_or_default();
            let names: Option<Vec<String>> = tools.iter().map(named).collect();
            let required = choose.mode.as_deref() == Some("required");
            names.map(|names| ToolChoice::Among { names, required })
        }
        Some(_) => named(&choose).map(ToolChoice::One),
        None => return Err(missing("tool_choice.type", "the type of a choice")),
    };
    Ok(said.unwrap_or_else(|| {
        // It is kept as it was written.
        native.truncate(before);
        native.push(Native { dialect: NAME, field: path.to_owned(), raw: raw.clone() });
        ToolChoice::Unsaid
    }))
}
