//! Tools that take free text. Elsewhere they are functions of one text, named `input`; what the client wrote of them is kept
//! beside.

use serde::{Deserialize, Serialize};

use super::NAME;
use super::types::ToolCall;
use crate::chat::{Block, Native, Tool};
use crate::json::{self, Json, Malformed};

/// The name of the native field that keeps such a tool as it was written. Responses has the same.
pub(crate) const KEPT: &str = "tools.custom";
/// The arguments of such a tool as those of a function.
const FREE_FORM: &str = r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}"#;

#[derive(Deserialize)]
struct Written {
    #[serde(rename = "type")]
    kind: Option<String>,
    custom: Option<Custom>,
}

#[derive(Default, Deserialize)]
struct Custom {
    name: Option<String>,
    description: Option<String>,
}

/// What a call of such a tool says.
#[derive(Default, Serialize, Deserialize)]
struct Called {
    #[serde(default)]
    name: String,
    #[serde(default)]
    input: String,
}

#[derive(Default, Serialize, Deserialize)]
struct FreeForm {
    input: String,
}

/// The tool as a function.
pub(super) fn tool(raw: &Json, path: &str) -> Result<Tool, Malformed> {
    let written: Written = json::read(raw.get(), path)?;
    let Custom { name, description } = written.custom.unwrap_or_default();
    let name =
        name.ok_or_else(|| super::read_turns::missing(&format!("{path}.custom.name"), "a name"))?;
    let schema = Json::parse(FREE_FORM);
    Ok(Tool::Function { name, description, schema, strict: Some(false), cache: None })
}

fn is_custom(raw: &Json) -> bool {
    let written: Option<Written> = serde_json::from_str(raw.get()).ok();
    written.is_some_and(|tool| tool.kind.as_deref() == Some("custom"))
}

/// Such tools as they were written.
pub(super) fn kept(tools: &[Json]) -> impl Iterator<Item = Native> {
    tools.iter().filter(|raw| is_custom(raw)).map(|raw| Native {
        dialect: NAME,
        field: KEPT.to_owned(),
        raw: raw.clone(),
    })
}

/// Takes them out of a request's native fields: the name of each, and what the client wrote.
pub(super) fn take(native: &mut Vec<(String, Json)>) -> Vec<(String, Json)> {
    let (kept, rest): (Vec<_>, Vec<_>) =
        std::mem::take(native).into_iter().partition(|(field, _)| field == KEPT);
    *native = rest;
    kept.into_iter().filter_map(|(_, raw)| Some((name_of(&raw)?, raw))).collect()
}

fn name_of(raw: &Json) -> Option<String> {
    serde_json::from_str::<Written>(raw.get()).ok()?.custom?.name
}

/// The tool as Responses has it.
pub(crate) fn for_responses(raw: &Json) -> Json {
    let (custom, mut members): (Vec<_>, Vec<_>) =
        json::fields(raw.get()).into_iter().partition(|(name, _)| name == "custom");
    let inside = custom.iter().flat_map(|(_, custom)| json::fields(custom.get()));
    members.extend(inside.map(|(name, raw)| match name.as_str() {
        "format" => (name, flat(&raw)),
        _ => (name, raw),
    }));
    json::object_with(&serde_json::Map::new(), &members)
}

/// A grammar stands in the format itself there.
fn flat(format: &Json) -> Json {
    let (grammar, mut members): (Vec<_>, Vec<_>) =
        json::fields(format.get()).into_iter().partition(|(name, _)| name == "grammar");
    members.extend(grammar.iter().flat_map(|(_, grammar)| json::fields(grammar.get())));
    json::object_with(&serde_json::Map::new(), &members)
}

/// The names of such tools in the body of a request, for whoever writes its answer.
pub(super) fn echo(body: &[u8]) -> Vec<(String, Json)> {
    if memchr::memmem::find(body, b"\"custom\"").is_none() {
        return Vec::new();
    }
    let text = std::str::from_utf8(body).unwrap_or_default();
    json::fields(text).into_iter().filter(|(name, _)| name == "tools").collect()
}

/// The same from what was echoed.
pub(super) fn names(echo: &[(String, Json)]) -> Vec<String> {
    let tools = echo.iter().find(|(name, _)| name == "tools");
    let tools = tools.and_then(|(_, tools)| serde_json::from_str::<Vec<Json>>(tools.get()).ok());
    let tools = tools.unwrap_or_default();
    tools.iter().filter(|raw| is_custom(raw)).filter_map(name_of).collect()
}

/// A call of a history, as that of a function.
pub(super) fn call(id: String, custom: &Json) -> Block {
    let Called { name, input } = serde_json::from_str(custom.get()).unwrap_or_default();
    Block::ToolUse { id, name, input: Json::of(&FreeForm { input }), seal: None }
}

/// Calls of such tools in their own form.
pub(super) fn restore(calls: &mut [ToolCall], names: &[String]) {
    for call in calls {
        let custom = |name: &String| names.contains(name);
        let Some(function) = &call.function else { continue };
        let Some(name) = function.name.clone().filter(custom) else { continue };
        let arguments = function.arguments.as_ref().map(super::skim::arguments_of);
        let input = free_text(&arguments.unwrap_or_default());
        call.kind = Some("custom".to_owned());
        call.custom = Some(Json::of(&Called { name, input }));
        call.function = None;
    }
}

/// The text of such arguments; others are that text themselves.
pub(super) fn free_text(arguments: &str) -> String {
    serde_json::from_str::<FreeForm>(arguments)
        .map_or_else(|_| arguments.to_owned(), |free| free.input)
}
