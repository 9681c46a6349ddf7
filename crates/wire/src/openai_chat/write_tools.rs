//! Canonical tools to the wire.

use super::custom::KEPT;
use super::names::Names;
use super::types::{
    Allowed, Choose, Function, Named, Request, Tool as WireTool, UserLocation, WebSearchOptions,
};
use super::write::Rules;
use super::write_turns::cache_control;
use super::{NAME, PLUGINS};
use crate::chat::{Chat, Hosted, Native, Tool, ToolChoice, WebSearch};
use crate::families;
use crate::json::{self, Json};
use crate::{Dropped, Target, Unsupported, openai_responses, schema};

pub(super) fn tools(
    chat: &Chat,
    target: &Target<'_>,
    rules: Rules,
    custom: &[(String, Json)],
    names: &mut Names,
    wire: &mut Request,
    dropped: &mut Dropped,
) -> Result<(), Unsupported> {
    let free = |name: &String| custom.iter().find(|(known, _)| known == name);
    let mut tools = Vec::new();
    for tool in &chat.tools {
        match tool {
            Tool::Function { name, .. } if rules.deepseek && !allowed(&chat.tool_choice, name) => {
                dropped.note("tool_choice.allowed_tools");
            }
            Tool::Function { name, .. } if !rules.deepseek && free(name).is_some() => {
                tools.extend(free(name).map(|(_, raw)| raw.clone()));
            }
            Tool::Function { name, description, schema, strict, cache } => {
                if free(name).is_some() {
                    dropped.note(KEPT);
                }
                if cache.is_some() && !rules.any() {
                    dropped.note("cache_control");
                }
                if rules.deepseek && *strict == Some(true) {
                    dropped.note("strict");
                }
                tools.push(Json::of(&WireTool {
                    kind: Some("function".to_owned()),
                    function: Some(Function {
                        name: Some(names.fit(name)),
                        description: description.clone(),
                        parameters: schema.clone(),
                        strict: strict.filter(|_| !rules.deepseek).map(|strict| {
                            let parameters = schema::rooted(schema.as_ref());
                            strict && openai_responses::holds(&parameters, rules.openai, dropped)
                        }),
                    }),
                    cache_control: cache.filter(|_| rules.any()).map(cache_control),
                }));
            }
            Tool::Hosted { kind: Hosted::WebSearch(search), native } => {
                wire.web_search_options = Some(web_search(search, native, target, rules, dropped)?);
            }
            // Its prompt has all of them.
            Tool::Hosted { kind: Hosted::ToolSearch, native } => dropped.note(&native.field),
            Tool::Native(native) if native.dialect == NAME && !rules.deepseek => {
                tools.push(native.raw.clone());
            }
            Tool::Native(native) | Tool::Hosted { native, .. } => {
                return Err(crate::foreign(native, "tool"));
            }
        }
    }
    if tools.is_empty() {
        return Ok(());
    }
    wire.tools = Some(tools);
    wire.tool_choice = match &chat.tool_choice {
        // The tools are those allowed by now.
        ToolChoice::Among { required: true, .. } if rules.deepseek => Some(Json::of(&"required")),
        ToolChoice::Among { .. } if rules.deepseek => Some(Json::of(&"auto")),
        _ => choice(chat, custom, rules, names),
    };
    if rules.deepseek {
        // Several calls in one answer are what it does anyway.
        dropped.unless_none("parallel_tool_calls", chat.parallel_tools.filter(|several| !several));
    } else {
        wire.parallel_tool_calls = chat.parallel_tools;
    }
    Ok(())
}

fn allowed(choice: &ToolChoice, name: &String) -> bool {
    !matches!(choice, ToolChoice::Among { names, .. } if !names.contains(name))
}

/// Searching is a matter of the model here, so that others cannot be asked for it.
fn web_search(
    search: &WebSearch,
    native: &Native,
    target: &Target<'_>,
    rules: Rules,
    dropped: &mut Dropped,
) -> Result<Json, Unsupported> {
    let searches = rules.any() || (rules.openai && families::openai_searches(target.model));
    if !searches {
        return Err(Unsupported::new(&native.field, "the model does not search the web"));
    }
    if native.dialect == NAME && native.field != PLUGINS {
        return Ok(native.raw.clone());
    }
    dropped.unless_none("web_search.max_uses", search.max_uses);
    for (name, domains) in [
        ("web_search.allowed_domains", &search.allowed_domains),
        ("web_search.blocked_domains", &search.blocked_domains),
    ] {
        if !domains.is_empty() {
            dropped.note(name);
        }
    }
    let user_location = search.user_location.as_ref().map(|place| {
        let place: Vec<(String, Json)> =
            json::fields(place.get()).into_iter().filter(|(name, _)| name != "type").collect();
        UserLocation {
            kind: Some("approximate".to_owned()),
            approximate: Some(json::object_with(&serde_json::Map::new(), &place)),
        }
    });
    let search_context_size = search.context_size.clone();
    Ok(Json::of(&WebSearchOptions { search_context_size, user_location }))
}

fn choice(
    chat: &Chat,
    custom: &[(String, Json)],
    rules: Rules,
    fitted: &mut Names,
) -> Option<Json> {
    let mut one = |name: &String| {
        // Tools that take free text are named in a way of their own.
        if !rules.deepseek && custom.iter().any(|(known, _)| known == name) {
            let named = Some(Named { name: Some(name.clone()) });
            let kind = Some("custom".to_owned());
            return Choose { kind, custom: named, ..Choose::default() };
        }
        let named = Some(Named { name: Some(fitted.fit(name)) });
        Choose { kind: Some("function".to_owned()), function: named, ..Choose::default() }
    };
    match &chat.tool_choice {
        ToolChoice::Unsaid => None,
        ToolChoice::Auto => Some(Json::of(&"auto")),
        ToolChoice::None => Some(Json::of(&"none")),
        ToolChoice::Required => Some(Json::of(&"required")),
        ToolChoice::One(name) => Some(Json::of(&one(name))),
        ToolChoice::Among { names, required } => Some(Json::of(&Choose {
            kind: Some("allowed_tools".to_owned()),
            allowed_tools: Some(Allowed {
                mode: Some(if *required { "required" } else { "auto" }.to_owned()),
                tools: Some(names.iter().map(one).collect()),
            }),
            ..Choose::default()
        })),
    }
}
