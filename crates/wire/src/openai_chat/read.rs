//! A wire request to the canonical one.

use super::read_turns::{cache_life, cache_point, conversation, missing};
use super::types::{
    Choose, Function, Plugin, Request, ResponseFormat, Tool as WireTool, UserLocation,
    WebSearchOptions,
};
use super::{GATEWAY_FIELDS, NAME, PLUGINS, custom};
use crate::chat::{
    CacheLife, Chat, Effort, Format, Hosted, Native, Output, Reasoning, Sampling, Tool, ToolChoice,
    WebSearch,
};
use crate::json::{self, Json, Malformed, TextOr};
use crate::{openai_responses, schema, unknown};

pub(super) fn request(body: &[u8]) -> Result<Chat, Malformed> {
    let text = json::utf8(body)?;
    let mut native = Vec::new();
    let request: Request = unknown::read(text, "", NAME, "", &mut native)?;
    native.retain(|native| !is_ours(native));
    let model = request.model.clone().ok_or_else(|| missing("model", "the name of a model"))?;
    let messages =
        request.messages.as_deref().ok_or_else(|| missing("messages", "an array of messages"))?;
    let (system, mut turns) = conversation(messages, &mut native)?;
    if let (Some(control), Some(last)) = (&request.cache_control, turns.last_mut()) {
        last.blocks.push(cache_point(Some(control)));
    }
    let usage_wanted = request.usage.as_ref().and_then(|usage| usage.include);
    let streamed = request.stream_options.as_ref().and_then(|options| options.include_usage);
    let tools = tools(&request, &mut native)?;
    let tool_choice = tool_choice(&request, &mut native)?;
    let reasoning = reasoning(&request)?;
    let summary = request.reasoning.as_ref().and_then(|asked| asked.summary.as_ref());
    native.extend(summary.filter(|word| *word != "auto").map(|word| Native {
        // In the words of Responses.
        dialect: openai_responses::NAME,
        field: "reasoning.summary".to_owned(),
        raw: Json::of(word),
    }));
    native.extend(custom::kept(request.tools.as_deref().unwrap_or_default()));
    Ok(Chat {
        model,
        system,
        turns,
        tools,
        tool_choice,
        parallel_tools: request.parallel_tool_calls,
        reasoning,
        output: Output { format: format(request.response_format)?, verbosity: request.verbosity },
        max_tokens: request.max_completion_tokens.or(request.max_tokens),
        stream: request.stream.unwrap_or(false),
        include_usage: streamed.unwrap_or(false) || usage_wanted.unwrap_or(false),
        user: request.safety_identifier.or(request.user).or(request.user_id),
        service_tier: request.service_tier,
        sampling: Sampling {
            temperature: request.temperature,
            top_p: request.top_p,
            top_k: request.top_k,
            presence_penalty: request.presence_penalty,
            frequency_penalty: request.frequency_penalty,
            seed: request.seed,
            stop: request.stop.map(TextOr::into_list).unwrap_or_default(),
        },
        native,
    })
}

/// The gateway's business.
fn is_ours(native: &Native) -> bool {
    match native.field.as_str() {
        // What every answer has anyway.
        "modalities" => native.raw.get().split_whitespace().collect::<String>() == "[\"text\"]",
        field => GATEWAY_FIELDS.contains(&field),
    }
}

fn tools(request: &Request, lost: &mut Vec<Native>) -> Result<Vec<Tool>, Malformed> {
    let mut tools = Vec::new();
    for (i, raw) in request.tools.iter().flatten().enumerate() {
        let path = format!("tools[{i}]");
        let before = lost.len();
        let tool: WireTool = unknown::read(raw.get(), &path, "", "tools", lost)?;
        if !matches!(tool.kind.as_deref(), Some("function") | None) {
            // It is kept as it was written.
            lost.truncate(before);
        }
        let cache = tool.cache_control.as_ref().map(cache_life);
        tools.push(match (tool.kind.as_deref(), tool.function) {
            (Some("function") | None, Some(f)) => function(f, &format!("{path}.function"), cache)?,
            (Some("function") | None, None) => {
                return Err(missing(&format!("{path}.function"), "a function"));
            }
            (Some("custom"), _) => custom::tool(raw, &path)?,
            (Some(""), _) => return Err(missing(&format!("{path}.type"), "the type of a tool")),
            (Some(kind), _) => {
                Tool::Native(Native { dialect: NAME, field: kind.to_owned(), raw: raw.clone() })
            }
        });
    }
    for (i, raw) in request.functions.iter().flatten().enumerate() {
        let path = format!("functions[{i}]");
        let function_of = unknown::read(raw.get(), &path, "", "functions", lost)?;
        tools.push(function(function_of, &path, None)?);
    }
    match &request.web_search_options {
        Some(raw) => tools.push(web_search(raw)?),
        None => tools.extend(web_plugin(lost)?),
    }
    Ok(tools)
}

/// `OpenRouter`'s clients ask for a search by a plugin. Other plugins stay where they are.
fn web_plugin(lost: &mut Vec<Native>) -> Result<Option<Tool>, Malformed> {
    let Some(plugins) = lost.iter_mut().find(|native| native.field == PLUGINS) else {
        return Ok(None);
    };
    let all: Vec<Json> = serde_json::from_str(plugins.raw.get()).unwrap_or_default();
    let is_web = |raw: &Json| {
        let plugin: Plugin = serde_json::from_str(raw.get()).unwrap_or_default();
        plugin.id.as_deref() == Some("web") && plugin.enabled != Some(false)
    };
    let (web, others): (Vec<Json>, Vec<Json>) = all.into_iter().partition(is_web);
    let Some(web) = web.first() else { return Ok(None) };
    plugins.raw = Json::of(&others);
    lost.retain(|native| native.field != PLUGINS || !others.is_empty());
    let plugin: Plugin = unknown::read(web.get(), PLUGINS, "", PLUGINS, lost)?;
    Ok(Some(Tool::Hosted {
        kind: Hosted::WebSearch(WebSearch {
            allowed_domains: plugin.include_domains.unwrap_or_default(),
            blocked_domains: plugin.exclude_domains.unwrap_or_default(),
            ..WebSearch::default()
        }),
        native: Native { dialect: NAME, field: PLUGINS.to_owned(), raw: Json::empty_object() },
    }))
}

/// Models that search say so by this field rather than by a tool.
fn web_search(raw: &Json) -> Result<Tool, Malformed> {
    let field = "web_search_options";
    let options: WebSearchOptions = json::read(raw.get(), field)?;
    let place = options.user_location.and_then(|location| location.approximate);
    let user_location = place.map(|place| {
        let kind = UserLocation { kind: Some("approximate".to_owned()), approximate: None };
        json::object_with(&kind, &json::fields(place.get()))
    });
    Ok(Tool::Hosted {
        kind: Hosted::WebSearch(WebSearch {
            user_location,
            context_size: options.search_context_size,
            ..WebSearch::default()
        }),
        native: Native { dialect: NAME, field: field.to_owned(), raw: raw.clone() },
    })
}

/// What the wish for a search says that no other dialect has words for.
pub(crate) fn terms(tool: &Native) -> Vec<Native> {
    unknown::members::<WebSearchOptions>(tool.raw.get(), &tool.field)
}

fn function(f: Function, path: &str, cache: Option<CacheLife>) -> Result<Tool, Malformed> {
    let name = f.name.ok_or_else(|| missing(&format!("{path}.name"), "a name"))?;
    Ok(Tool::Function {
        name,
        description: f.description,
        schema: schema::object(f.parameters, &format!("{path}.parameters"))?,
        strict: f.strict,
        cache,
    })
}

fn tool_choice(request: &Request, lost: &mut Vec<Native>) -> Result<ToolChoice, Malformed> {
    let (path, raw) = match (&request.tool_choice, &request.function_call) {
        (Some(raw), _) => ("tool_choice", raw),
        (None, Some(raw)) => ("function_call", raw),
        (None, None) => return Ok(ToolChoice::Unsaid),
    };
    if let Some(word) = raw.as_string() {
        return match word.as_str() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Required),
            _ => Err(Malformed::new(path, "must be auto, none, required or an object")),
        };
    }
    let choose: Choose = unknown::read(raw.get(), path, "", path, lost)?;
    if let Some(allowed) = choose.allowed_tools {
        let names = allowed.tools.unwrap_or_default().into_iter().filter_map(name_of).collect();
        return Ok(ToolChoice::Among {
            names,
            required: allowed.mode.as_deref() == Some("required"),
        });
    }
    name_of(choose).map(ToolChoice::One).ok_or_else(|| {
        Malformed::new(
            path,
            "must name a function: {\"type\":\"function\",\"function\":{\"name\":...}}",
        )
    })
}

fn name_of(choose: Choose) -> Option<String> {
    choose.function.or(choose.custom).and_then(|tool| tool.name).or(choose.name)
}

fn reasoning(request: &Request) -> Result<Option<Reasoning>, Malformed> {
    let level = |word: &str, path: &str| {
        Effort::from_name(word).ok_or_else(|| {
            Malformed::new(path, "must be none, minimal, low, medium, high, xhigh or max")
        })
    };
    let mut reasoning = Reasoning::default();
    let mut said = false;
    if let Some(asked) = &request.reasoning {
        said = true;
        reasoning.budget = asked.max_tokens;
        reasoning.show = asked.exclude.map(|exclude| !exclude).or(Some(true));
        if let Some(word) = &asked.effort {
            reasoning.effort = Some(level(word, "reasoning.effort")?);
        } else if asked.enabled == Some(false) {
            reasoning.effort = Some(Effort::None);
        }
    } else if request.include_reasoning == Some(true) {
        said = true;
        reasoning.show = Some(true);
    }
    if let Some(word) = &request.reasoning_effort {
        said = true;
        let effort = level(word, "reasoning_effort")?;
        if reasoning.effort.is_some_and(|other| other != effort) {
            return Err(Malformed::new("reasoning_effort", "differs from reasoning.effort"));
        }
        reasoning.effort = Some(effort);
    }
    if let Some(thinking) = &request.thinking {
        said = true;
        if thinking.kind.as_deref() == Some("disabled") {
            reasoning.effort = Some(Effort::None);
        }
    }
    Ok(said.then_some(reasoning))
}

fn format(format: Option<ResponseFormat>) -> Result<Format, Malformed> {
    let Some(format) = format else { return Ok(Format::Text) };
    match format.kind.as_deref() {
        Some("text") | None => Ok(Format::Text),
        Some("json_object") => Ok(Format::JsonObject),
        Some("json_schema") => {
            let path = "response_format.json_schema";
            let given = format.json_schema.ok_or_else(|| missing(path, "a schema"))?;
            let schema = given.schema.unwrap_or_else(Json::empty_object);
            Ok(Format::JsonSchema {
                name: given.name,
                description: given.description,
                schema,
                strict: given.strict,
            })
        }
        Some(_) => {
            let right = "must be text, json_object or json_schema";
            Err(Malformed::new("response_format.type", right))
        }
    }
}
