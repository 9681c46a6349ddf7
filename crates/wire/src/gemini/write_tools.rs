//! Canonical tools to wire, and which of them may be called.

use super::names::Names;
use super::types::{CallingConfig, Declaration, Tool as WireTool};
use super::{NAME, schema};
use crate::chat::{Chat, Format, Hosted, Tool, ToolChoice, WebSearch};
use crate::families::{Gemini, gemini_version};
use crate::json::{self, Json};
use crate::{Dropped, HOSTED_CHOICE, Target, Unsupported};

/// What a request says of tools.
pub(super) struct Tools {
    pub(super) list: Option<Vec<Json>>,
    pub(super) calling: Option<CallingConfig>,
    /// Whether the answer must show the calls of tools that run at Google, which go with functions only so.
    pub(super) show_invocations: bool,
}

pub(super) fn tools(
    chat: &Chat,
    family: Gemini,
    target: &Target<'_>,
    names: &Names,
    dropped: &mut Dropped,
) -> Result<Tools, Unsupported> {
    let (mut functions, mut list, mut strict) = (Vec::new(), Vec::new(), false);
    for tool in &chat.tools {
        match tool {
            Tool::Function { name, description, schema, strict: exact, cache } => {
                dropped.unless_none("cache_control", *cache);
                strict |= *exact == Some(true);
                let mut declaration = Declaration {
                    name: Some(names.get(name)),
                    description: description.clone(),
                    ..Declaration::default()
                };
                arguments(&mut declaration, schema.as_ref(), target, dropped)?;
                functions.push(Json::of(&declaration));
            }
            // These run unasked; the only way to forbid it is not to offer them.
            Tool::Native(_) | Tool::Hosted { .. } if chat.tool_choice == ToolChoice::None => {}
            Tool::Native(native) | Tool::Hosted { native, .. } if native.dialect == NAME => {
                list.push(native.raw.clone());
            }
            Tool::Hosted { kind, native } => match hosted(kind, dropped) {
                Some(tool) => list.push(tool),
                // Its prompt has all of them.
                None => dropped.note(&native.field),
            },
            Tool::Native(native) => return Err(crate::foreign(native, "tool")),
        }
    }
    let hosted = !list.is_empty();
    if !functions.is_empty() {
        together(chat, hosted, family)?;
        list.insert(0, Json::of(&WireTool { function_declarations: Some(functions) }));
    } else if strict_output(chat) && hosted && family != Gemini::Level {
        return Err(unfit("response_format", "a tool that runs at Google"));
    }
    let mixed = hosted && list.len() > 1 && has_functions(chat);
    Ok(Tools {
        calling: if has_functions(chat) {
            calling(chat, names, strict || mixed, family, dropped)
        } else {
            None
        },
        list: (!list.is_empty()).then_some(list),
        show_invocations: mixed,
    })
}

fn has_functions(chat: &Chat) -> bool {
    chat.tools.iter().any(|tool| matches!(tool, Tool::Function { .. }))
}

fn strict_output(chat: &Chat) -> bool {
    chat.output.format != Format::Text
}

/// Models before 3 answer 400 to functions beside anything else.
fn together(chat: &Chat, hosted: bool, family: Gemini) -> Result<(), Unsupported> {
    if family == Gemini::Level {
        return Ok(());
    }
    if hosted {
        return Err(unfit("tools", "a tool that runs at Google"));
    }
    if strict_output(chat) {
        return Err(unfit("response_format", "JSON as the form of the answer"));
    }
    Ok(())
}

fn unfit(field: &str, what: &str) -> Unsupported {
    Unsupported::new(field, format!("models before Gemini 3 do not take this beside {what}"))
}

/// A function without arguments has no schema at all.
fn arguments(
    declaration: &mut Declaration,
    schema: Option<&Json>,
    target: &Target<'_>,
    dropped: &mut Dropped,
) -> Result<(), Unsupported> {
    const PLACE: &str = "tools.parameters";
    let Some(schema) = schema.filter(|schema| schema.get() != "{}") else { return Ok(()) };
    let refuse = |unfit: super::schema_tree::Unfit| Unsupported::new(PLACE, unfit.0);
    if takes_json_schema(target.model) {
        let schema = schema::to_json_schema(schema, PLACE, dropped).map_err(refuse)?;
        declaration.parameters_json_schema = Some(schema);
    } else if !schema::is_empty(schema) {
        let schema = schema::to_openapi(schema, PLACE, dropped).map_err(refuse)?;
        declaration.parameters = Some(schema);
    }
    Ok(())
}

/// Whether a model takes `parametersJsonSchema` and `responseJsonSchema`: all but the very first.
pub(super) fn takes_json_schema(model: &str) -> bool {
    gemini_version(model).is_none_or(|version| version >= 2)
}

/// Google's tool of that kind.
fn hosted(kind: &Hosted, dropped: &mut Dropped) -> Option<Json> {
    let name = match kind {
        Hosted::WebSearch(terms) => {
            let WebSearch {
                max_uses,
                allowed_domains,
                blocked_domains,
                user_location,
                context_size,
            } = terms;
            dropped.unless_none("max_uses", max_uses.as_ref());
            dropped.unless_none("allowed_domains", allowed_domains.first());
            dropped.unless_none("blocked_domains", blocked_domains.first());
            dropped.unless_none("user_location", user_location.as_ref());
            dropped.unless_none("search_context_size", context_size.as_ref());
            "googleSearch"
        }
        Hosted::WebFetch => "urlContext",
        Hosted::CodeExecution => "codeExecution",
        Hosted::ToolSearch => return None,
    };
    let member = (name.to_owned(), Json::empty_object());
    Some(json::object_with(&serde_json::Map::new(), &[member]))
}

/// `exact` asks for calls that follow their schema, which `ANY` does by itself.
fn calling(
    chat: &Chat,
    names: &Names,
    exact: bool,
    family: Gemini,
    dropped: &mut Dropped,
) -> Option<CallingConfig> {
    let validated = exact && family != Gemini::Old;
    let free = if validated { "VALIDATED" } else { "AUTO" };
    let (mode, only) = match &chat.tool_choice {
        ToolChoice::Unsaid if !exact => return None,
        ToolChoice::Unsaid | ToolChoice::Auto => (free, None),
        ToolChoice::None => ("NONE", None),
        ToolChoice::Required => ("ANY", None),
        ToolChoice::One(name) if chat.names_hosted(name) => {
            dropped.note(HOSTED_CHOICE);
            (free, None)
        }
        ToolChoice::One(name) => ("ANY", Some(vec![names.get(name)])),
        ToolChoice::Among { names: among, required } => {
            let among = among.iter().map(|name| names.get(name)).collect();
            (if *required { "ANY" } else { "VALIDATED" }, Some(among))
        }
    };
    if exact && mode == "AUTO" {
        dropped.note("strict");
        if chat.tool_choice == ToolChoice::Unsaid {
            return None;
        }
    }
    Some(CallingConfig { mode: Some(mode.to_owned()), allowed_function_names: only })
}
