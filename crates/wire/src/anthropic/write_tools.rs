//! Canonical tools to wire tools, their names, and which of them must be called.

use std::collections::{HashMap, HashSet};

use super::cache::Markers;
use super::rules::Rules;
use super::types::{Choice, HostedTool, Tool as WireTool};
use super::{JSON_TOOL, NAME, strict};
use crate::chat::{CacheLife, Chat, Hosted, Native, Tool, ToolChoice, WebSearch};
use crate::json::{self, Json};
use crate::schema;
use crate::{Dropped, Unsupported};

/// Names of tools as the target takes them: letters, digits, `_` and `-`, up to its length.
pub(super) struct Names {
    longest: usize,
    /// The provider's name, then the client's.
    renamed: Vec<(String, String)>,
    known: HashSet<String>,
}

/// How much of a name stays in front of the digits that stand for the rest.
const KEPT: usize = 50;

impl Names {
    pub(super) fn new(longest: usize) -> Self {
        Self { longest, renamed: Vec::new(), known: HashSet::new() }
    }

    /// The name that the provider knows the tool by. It depends on the client's name alone, so that every request of a
    /// conversation has the same.
    pub(super) fn of(&mut self, name: &str) -> String {
        if name.len() <= self.longest && !name.is_empty() && name.chars().all(is_plain) {
            return name.to_owned();
        }
        let kept: String = plain(name).chars().take(KEPT).collect();
        let short = format!("{kept}_{}", digits(name));
        if self.known.insert(name.to_owned()) {
            self.renamed.push((short.clone(), name.to_owned()));
        }
        short
    }

    pub(super) fn into_renamed(self) -> Vec<(String, String)> {
        self.renamed
    }
}

const fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn plain(text: &str) -> String {
    text.chars().map(|c| if is_plain(c) { c } else { '_' }).collect()
}

/// The id of a call as Anthropic takes it. Two ids stay two.
pub(super) fn plain_id(id: &str) -> String {
    if !id.is_empty() && id.chars().all(is_plain) {
        return id.to_owned();
    }
    format!("{}_{}", plain(id), digits(id))
}

/// Eight digits that stand for a text (FNV-1a, folded).
fn digits(text: &str) -> String {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    format!("{:08x}", (hash >> 32) ^ (hash & 0xffff_ffff))
}

/// Whether a tool or block of this dialect carries a cache marker.
pub(super) fn carries_marker(native: &Native) -> bool {
    native.dialect == NAME && native.raw.get().contains("\"cache_control\"") && {
        let members = json::fields(native.raw.get());
        members.iter().any(|(name, raw)| name == "cache_control" && raw.get() != "null")
    }
}

/// What the tools are written with.
pub(super) struct Context<'a> {
    pub(super) rules: Rules,
    /// Members beyond the canonical form: the member, then its values by the tool's name.
    pub(super) extras: &'a [(String, HashMap<String, Json>)],
    pub(super) markers: &'a mut Markers,
    pub(super) names: &'a mut Names,
    pub(super) dropped: &'a mut Dropped,
}

/// The tools, those named by `choice` if it leaves a part of them.
pub(super) fn tools(chat: &Chat, with: &mut Context<'_>) -> Result<Vec<Json>, Unsupported> {
    let only: Option<HashSet<&str>> = match &chat.tool_choice {
        ToolChoice::Among { names, .. } => Some(names.iter().map(String::as_str).collect()),
        // A tool that cannot be forced is at least the only one.
        ToolChoice::One(name) if !with.rules.claude.forced_tool => {
            Some(HashSet::from([name.as_str()]))
        }
        _ => None,
    };
    let offered = |tool: &&Tool| match (&only, tool) {
        (Some(only), Tool::Function { name, .. }) => only.contains(name.as_str()),
        _ => true,
    };
    let offered: Vec<&Tool> = chat.tools.iter().filter(offered).collect();
    let mut tools = Vec::new();
    for tool in offered {
        tools.push(match tool {
            Tool::Function { .. } => function(tool, with),
            Tool::Native(native) | Tool::Hosted { native, .. }
                if native.dialect == NAME && !with.rules.deepseek =>
            {
                with.markers.native(native, with.dropped)
            }
            Tool::Hosted { kind: Hosted::ToolSearch, native }
                if with.rules.deepseek || !with.rules.claude.format =>
            {
                with.dropped.note(&native.field);
                continue;
            }
            Tool::Hosted { kind, native } if !with.rules.deepseek => {
                hosted(kind, native, with.dropped)
            }
            Tool::Native(native) | Tool::Hosted { native, .. } => {
                return Err(refused(native));
            }
        });
    }
    Ok(tools)
}

fn refused(native: &Native) -> Unsupported {
    if native.dialect == NAME {
        return Unsupported::new(&native.field, "the provider does not have this tool");
    }
    crate::foreign(native, "tool")
}

fn function(tool: &Tool, with: &mut Context<'_>) -> Json {
    let Tool::Function { name, description, schema, strict, cache } = tool else {
        return Json::empty_object();
    };
    let (input_schema, strict) = schema_of(schema.as_ref(), *strict, with);
    let cache_control = cache.and_then(|life: CacheLife| with.markers.take(life, with.dropped));
    let wire = WireTool {
        name: Some(with.names.of(name)),
        description: description.clone(),
        input_schema: Some(input_schema),
        strict,
        cache_control,
        kind: None,
    };
    let extras = with.extras.iter();
    let extras: Vec<(String, Json)> = extras
        .filter_map(|(member, values)| Some((member.clone(), values.get(name)?.clone())))
        .collect();
    json::object_with(&wire, &extras)
}

/// The schema of a tool's arguments, and whether it can be enforced.
fn schema_of(
    schema: Option<&Json>,
    strict: Option<bool>,
    with: &mut Context<'_>,
) -> (Json, Option<bool>) {
    let rooted = schema::rooted(schema.map(strict::renamed).as_ref());
    if with.rules.deepseek {
        if strict == Some(true) {
            with.dropped.note("strict");
        }
        return (rooted, None);
    }
    if strict != Some(true) {
        return (rooted, strict);
    }
    if let Some(enforceable) = strict::enforceable(&rooted) {
        return (enforceable, strict);
    }
    with.dropped.note("strict");
    (rooted, None)
}

/// A tool of another dialect that has a counterpart. The oldest date is the one that every model knows.
fn hosted(kind: &Hosted, native: &Native, dropped: &mut Dropped) -> Json {
    let of = |kind: &str, name: &str| HostedTool {
        kind: Some(kind.to_owned()),
        name: Some(name.to_owned()),
        ..HostedTool::default()
    };
    let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    let tool = match kind {
        Hosted::WebFetch => of("web_fetch_20250910", "web_fetch"),
        Hosted::CodeExecution => of("code_execution_20250825", "code_execution"),
        // By words, as its counterpart does.
        Hosted::ToolSearch => of("tool_search_tool_bm25_20251119", "tool_search_tool_bm25"),
        Hosted::WebSearch(WebSearch {
            max_uses,
            allowed_domains,
            blocked_domains,
            user_location,
            context_size,
        }) => {
            dropped.unless_none(
                &format!("{}.search_context_size", native.field),
                context_size.as_ref(),
            );
            let allowed = some(allowed_domains);
            let blocked = some(blocked_domains);
            if allowed.is_some() && blocked.is_some() {
                dropped.note(format!("{}.blocked_domains", native.field));
            }
            HostedTool {
                max_uses: *max_uses,
                blocked_domains: blocked.filter(|_| allowed.is_none()),
                allowed_domains: allowed,
                user_location: user_location.clone(),
                ..of("web_search_20250305", "web_search")
            }
        }
    };
    Json::of(&tool)
}

/// The tool whose arguments are the answer.
pub(super) fn json_tool(schema: &Json, description: Option<&str>) -> Json {
    Json::of(&WireTool {
        name: Some(JSON_TOOL.to_owned()),
        description: Some(description.unwrap_or("Gives the answer to the user.").to_owned()),
        input_schema: Some(schema::rooted(Some(&strict::renamed(schema)))),
        ..WireTool::default()
    })
}

/// A definition for a tool that the history calls and nobody defines any more.
pub(super) fn stub(name: String) -> Json {
    Json::of(&WireTool {
        name: Some(name),
        input_schema: Some(schema::rooted(None)),
        ..WireTool::default()
    })
}

/// Nobody offers a tool: none is to be called.
pub(super) fn no_call() -> Choice {
    Choice { kind: Some("none".to_owned()), ..Choice::default() }
}

/// How a call is asked for.
pub(super) fn choice(
    chat: &Chat,
    forced: bool,
    names: &mut Names,
    dropped: &mut Dropped,
) -> Option<Choice> {
    let kind = |kind: &str| Choice { kind: Some(kind.to_owned()), ..Choice::default() };
    let choice = match &chat.tool_choice {
        ToolChoice::Unsaid => None,
        ToolChoice::Auto => Some(kind("auto")),
        ToolChoice::None => Some(kind("none")),
        ToolChoice::Required if forced => Some(kind("any")),
        ToolChoice::One(name) if forced => {
            Some(Choice { name: Some(names.of(name)), ..kind("tool") })
        }
        ToolChoice::Required | ToolChoice::One(_) => {
            dropped.note("tool_choice: required -> auto");
            Some(kind("auto"))
        }
        ToolChoice::Among { required, .. } => {
            dropped.note("tool_choice.allowed_tools");
            if *required && !forced {
                dropped.note("tool_choice: required -> auto");
            }
            Some(kind(if *required && forced { "any" } else { "auto" }))
        }
    };
    match (choice, chat.parallel_tools) {
        (choice, None) => choice,
        (choice, Some(parallel)) => {
            let choice = choice.unwrap_or_else(|| kind("auto"));
            // A choice of none has no such switch.
            let switch = (choice.kind.as_deref() != Some("none")).then_some(!parallel);
            Some(Choice { disable_parallel_tool_use: switch, ..choice })
        }
    }
}
