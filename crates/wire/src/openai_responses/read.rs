//! Wire to canonical: requests.

use super::read_items::{self, Conversation};
use super::types::{Format as WireFormat, Reasoning as WireReasoning, Request, Text};
use super::{NAME, namespaces, read_tools};
use crate::chat::{Block, Chat, Effort, Format, Native, Output, Reasoning, Role, Sampling, Turn};
use crate::json::{self, Json, Malformed, TextOr};
use crate::unknown;

/// Fields that let an answer follow what the server remembers.
pub(super) const STATEFUL: [&str; 3] = ["previous_response_id", "conversation", "prompt"];

pub(super) fn request(body: &[u8]) -> Result<Chat, Malformed> {
    let text = json::utf8(body)?;
    let own = |(field, raw)| Native { dialect: NAME, field, raw };
    let mut native: Vec<Native> = Vec::new();
    let mut request: Request = unknown::read(text, "", NAME, "", &mut native)?;
    let stateful = native.iter().any(|native| STATEFUL.contains(&native.field.as_str()));
    if request.model.is_none() && !stateful {
        return Err(read_items::missing("model", "the name of a model"));
    }
    let input = request.input.take();
    let mut said = match input {
        Some(TextOr::Text(text)) => {
            Conversation { turns: vec![user(text)], ..Conversation::default() }
        }
        Some(TextOr::List(items)) => read_items::conversation(&items, stateful, &mut native)?,
        None if stateful => Conversation::default(),
        None => return Err(read_items::missing("input", "text or an array of items")),
    };
    let instructions = request.instructions.take().filter(|text| !text.is_empty());
    said.system.splice(0..0, instructions.map(Block::Text));
    let listed = request.tools.as_deref().unwrap_or_default();
    let mut tools = read_tools::tools(listed, "tools", &mut native)?;
    read_tools::additional(&said.turns, &mut tools, &mut native)?;
    namespaces::name_calls(&mut said.turns, &native);
    said.seal_calls();
    let tool_choice = read_tools::choice(request.tool_choice.as_ref(), &mut native)?;
    let reasoning = reasoning(request.reasoning.as_ref(), &mut native)?;
    let output = output(request.text.as_ref(), &mut native)?;
    // Nothing said means that the answer is stored. A field of `null` is the mark of that: it is nobody's loss.
    native.push(own(("store".to_owned(), Json::of(&request.store))));
    if let Some(include) = &request.include {
        native.push(own(("include".to_owned(), Json::of(include))));
    }
    if let (Some(_), Some(user)) = (&request.safety_identifier, &request.user) {
        native.push(own(("user".to_owned(), Json::of(user))));
    }
    Ok(Chat {
        model: request.model.unwrap_or_default(),
        system: said.system,
        turns: said.turns,
        tools,
        tool_choice,
        parallel_tools: request.parallel_tool_calls,
        sampling: Sampling {
            temperature: request.temperature,
            top_p: request.top_p,
            ..Sampling::default()
        },
        reasoning,
        output,
        max_tokens: request.max_output_tokens,
        stream: request.stream.unwrap_or(false),
        include_usage: true,
        user: request.safety_identifier.or(request.user),
        service_tier: request.service_tier,
        native,
    })
}

fn user(text: String) -> Turn {
    Turn { role: Role::User, blocks: vec![Block::Text(text)], name: None }
}

fn reasoning(raw: Option<&Json>, native: &mut Vec<Native>) -> Result<Option<Reasoning>, Malformed> {
    let Some(raw) = raw else { return Ok(None) };
    let asked: WireReasoning = unknown::read(raw.get(), "reasoning", NAME, "reasoning", native)?;
    let effort = match &asked.effort {
        Some(word) => Some(Effort::from_name(word).ok_or_else(|| {
            let right = "must be none, minimal, low, medium, high, xhigh or max";
            Malformed::new("reasoning.effort", right)
        })?),
        None => None,
    };
    if let Some(word) = asked.summary.as_ref().filter(|word| *word != "auto") {
        let field = "reasoning.summary".to_owned();
        native.push(Native { dialect: NAME, field, raw: Json::of(word) });
    }
    Ok(Some(Reasoning { effort, budget: None, show: asked.summary.map(|_| true) }))
}

fn output(raw: Option<&Json>, native: &mut Vec<Native>) -> Result<Output, Malformed> {
    let Some(raw) = raw else { return Ok(Output::default()) };
    let text: Text = unknown::read(raw.get(), "text", NAME, "text", native)?;
    let format = text.format.map_or(Ok(Format::Text), format)?;
    Ok(Output { format, verbosity: text.verbosity })
}

fn format(format: WireFormat) -> Result<Format, Malformed> {
    match format.kind.as_deref() {
        Some("text") | None => Ok(Format::Text),
        Some("json_object") => Ok(Format::JsonObject),
        Some("json_schema") => Ok(Format::JsonSchema {
            name: format.name,
            description: format.description,
            schema: format
                .schema
                .ok_or_else(|| read_items::missing("text.format.schema", "a JSON Schema"))?,
            strict: format.strict,
        }),
        Some(_) => {
            Err(Malformed::new("text.format.type", "must be text, json_object or json_schema"))
        }
    }
}
