//! Tools and the choice among them, canonical to wire.

use std::collections::HashSet;

use super::names::legal;
use super::types::{Choose, Filters, Request, Tool as WireTool, WebSearch as WireSearch};
use super::write::Rules;
use super::{NAME, namespaces, read_tools, strict};
use crate::chat::{Chat, Hosted, Native, Tool, ToolChoice, WebSearch};
use crate::json::{self, Json};
use crate::{Dropped, HOSTED_CHOICE, Unsupported, deferral, schema};

/// Native fields by name.
type Members = [(String, Json)];

/// The names of the custom tools among those that were kept as they were written.
pub(super) fn custom_names(kept: &Members) -> Vec<String> {
    let custom = kept.iter().filter(|(what, _)| what == "custom");
    custom.filter_map(|(_, raw)| name_of(raw)).collect()
}

fn name_of(raw: &Json) -> Option<String> {
    serde_json::from_str::<WireTool>(raw.get()).ok()?.name
}

/// What the tools are written with.
pub(super) struct Offer<'a> {
    pub(super) rules: Rules,
    /// Whether the model can look for tools.
    pub(super) searches: bool,
    /// Tools that are kept as they were written.
    pub(super) kept: &'a Members,
    /// The functions that it has to look for.
    pub(super) deferred: HashSet<String>,
}

pub(super) fn tools(
    chat: &Chat,
    offer: &Offer<'_>,
    own: &mut Vec<(String, Json)>,
    wire: &mut Request,
    dropped: &mut Dropped,
) -> Result<(), Unsupported> {
    let &Offer { rules, searches, kept, ref deferred } = offer;
    let mut tools = Vec::new();
    let elsewhere = read_tools::take_additional(own);
    for tool in chat.tools.iter().take(chat.tools.len().saturating_sub(elsewhere)) {
        match tool {
            Tool::Function { name, cache, .. } => {
                dropped.unless_none("cache_control", *cache);
                if let Some(group) = kept
                    .iter()
                    .map(|(_, raw)| raw)
                    .find(|raw| rules.openai && namespaces::holds(raw, name))
                {
                    if !tools.contains(group) {
                        tools.push(group.clone());
                    }
                    continue;
                }
                let raw = kept.iter().map(|(_, raw)| raw);
                let raw =
                    raw.filter(|_| rules.openai).find(|raw| name_of(raw).as_ref() == Some(name));
                tools.push(raw.cloned().unwrap_or_else(|| {
                    let mark = (deferral::MARK.to_owned(), Json::of(&true));
                    let marks: &[_] = if deferred.contains(name) { &[mark] } else { &[] };
                    json::object_with(&function(tool, rules, dropped), marks)
                }));
            }
            Tool::Hosted { kind: Hosted::ToolSearch, native }
                if !(searches || native.dialect == NAME && rules.openai) =>
            {
                dropped.note(&native.field);
            }
            Tool::Hosted { kind, native } => {
                tools.extend(hosted(kind, native, chat, rules, dropped)?);
            }
            Tool::Native(native) if native.dialect == NAME && rules.openai => {
                tools.push(native.raw.clone());
            }
            Tool::Native(native) => return Err(crate::foreign(native, "tool")),
        }
    }
    if !rules.openai {
        for (what, _) in kept {
            dropped.note(format!("{}{what}", read_tools::KEPT));
        }
    }
    if tools.is_empty() && elsewhere == 0 && !rules.continues {
        own.retain(|(field, _)| field != "tool_choice");
        return Ok(());
    }
    wire.tools = (!tools.is_empty()).then_some(tools);
    wire.tool_choice = match &chat.tool_choice {
        ToolChoice::One(name) if chat.names_hosted(name) => {
            dropped.note(HOSTED_CHOICE);
            Some(Json::of(&"auto"))
        }
        asked => choice(asked, &custom_names(kept), rules),
    };
    wire.parallel_tool_calls = chat.parallel_tools;
    Ok(())
}

/// `strict` is always written: left out it means "if the schema allows", which no other dialect means by that.
fn function(tool: &Tool, rules: Rules, dropped: &mut Dropped) -> Json {
    let Tool::Function { name, description, schema, strict, .. } = tool else {
        return Json::empty_object();
    };
    let parameters = schema::rooted(schema.as_ref());
    let is_strict = strict.unwrap_or(false) && strict::holds(&parameters, rules.openai, dropped);
    Json::of(&WireTool {
        kind: Some("function".to_owned()),
        name: Some(legal(name).into_owned()),
        description: description.clone(),
        parameters: Some(parameters),
        strict: Some(is_strict),
    })
}

fn hosted(
    kind: &Hosted,
    native: &Native,
    chat: &Chat,
    rules: Rules,
    dropped: &mut Dropped,
) -> Result<Option<Json>, Unsupported> {
    if native.dialect == NAME && (rules.openai || matches!(kind, Hosted::WebSearch(_))) {
        return Ok(Some(native.raw.clone()));
    }
    Ok(match kind {
        Hosted::WebSearch(terms) => Some(search(terms, dropped)),
        // Its search opens pages too.
        Hosted::WebFetch => {
            dropped.note("web_fetch -> web_search");
            let searches =
                |tool: &Tool| matches!(tool, Tool::Hosted { kind: Hosted::WebSearch(_), .. });
            (!chat.tools.iter().any(searches)).then(|| search(&WebSearch::default(), dropped))
        }
        Hosted::CodeExecution if rules.openai => {
            Json::parse(r#"{"type":"code_interpreter","container":{"type":"auto"}}"#)
        }
        Hosted::CodeExecution => return Err(crate::foreign(native, "tool")),
        Hosted::ToolSearch => Json::parse(r#"{"type":"tool_search"}"#),
    })
}

fn search(terms: &WebSearch, dropped: &mut Dropped) -> Json {
    let WebSearch { max_uses, allowed_domains, blocked_domains, user_location, context_size } =
        terms;
    dropped.unless_none("web_search.max_uses", *max_uses);
    if !blocked_domains.is_empty() {
        dropped.note("web_search.blocked_domains");
    }
    let allowed = (!allowed_domains.is_empty()).then(|| allowed_domains.clone());
    Json::of(&WireSearch {
        kind: Some("web_search".to_owned()),
        filters: allowed.map(|allowed| Filters { allowed_domains: Some(allowed) }),
        search_context_size: context_size.clone(),
        user_location: user_location.clone(),
    })
}

fn choice(choice: &ToolChoice, custom: &[String], rules: Rules) -> Option<Json> {
    let one = |name: &String| {
        let custom = rules.openai && custom.contains(name);
        Choose {
            kind: Some(if custom { "custom" } else { "function" }.to_owned()),
            name: Some(legal(name).into_owned()),
            ..Choose::default()
        }
    };
    match choice {
        ToolChoice::Unsaid => None,
        ToolChoice::Auto => Some(Json::of(&"auto")),
        ToolChoice::None => Some(Json::of(&"none")),
        ToolChoice::Required => Some(Json::of(&"required")),
        ToolChoice::One(name) => Some(Json::of(&one(name))),
        ToolChoice::Among { names, required } => Some(Json::of(&Choose {
            kind: Some("allowed_tools".to_owned()),
            mode: Some(if *required { "required" } else { "auto" }.to_owned()),
            tools: Some(names.iter().map(one).collect()),
            ..Choose::default()
        })),
    }
}
