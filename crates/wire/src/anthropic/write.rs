//! Canonical request to wire.

use std::collections::HashMap;

use super::cache::Markers;
use super::read::{SHOWN_UNSAID, UNSAID};
use super::rules::Rules;
use super::types::{Choice, Format as WireFormat, Metadata, OutputConfig, Request, Thinking};
use super::write_blocks::{Blocks, Place};
use super::write_tools::{Context, Names};
use super::{JSON_TOOL, NAME, strict, write_tools, write_turns};
use crate::chat::{Block, Chat, Effort, Format, Reasoning, Role, ToolChoice, Turn};
use crate::families::Off;
use crate::json::{self, Json, TextOr};
use crate::{Dropped, Target, Unsupported, Written, deferral, foreign};

/// Anthropic requires a limit; this one stands in where neither client nor catalogue names one.
const DEFAULT_MAX_TOKENS: u64 = 4_096;
/// The least budget that Anthropic takes.
const LEAST_BUDGET: u64 = 1_024;

pub(super) fn request(chat: &Chat, target: &Target<'_>) -> Result<Written, Unsupported> {
    Ok(Draft::of(chat, target)?.written())
}

/// What counting takes: all that is read by the model, and nothing of how it answers.
pub(super) fn count_request(chat: &Chat, target: &Target<'_>) -> Result<Written, Unsupported> {
    const COUNTED: [&str; 5] =
        ["cache_control", "speed", "mcp_servers", "context_management", "compaction"];
    let mut draft = Draft::of(chat, target)?;
    draft.wire = Request {
        model: draft.wire.model,
        system: draft.wire.system,
        messages: draft.wire.messages,
        tools: draft.wire.tools,
        tool_choice: draft.wire.tool_choice,
        thinking: draft.wire.thinking,
        output_config: draft.wire.output_config,
        ..Request::default()
    };
    draft.outer.retain(|(field, _)| COUNTED.contains(&field.as_str()));
    Ok(draft.written())
}

/// A request in the making.
struct Draft {
    rules: Rules,
    wire: Request,
    config: OutputConfig,
    thinking: Option<Thinking>,
    /// The most tokens to generate.
    limit: u64,
    /// The tool whose call is the answer, where a schema is followed in that way.
    answer: Option<Json>,
    /// Instructions that stand in for what the dialect has no word for.
    instruction: Option<String>,
    /// Members of the request that are written as they came.
    outer: Vec<(String, Json)>,
    names: Names,
    dropped: Dropped,
}

impl Draft {
    fn of(chat: &Chat, target: &Target<'_>) -> Result<Self, Unsupported> {
        foreign::refuse_parts(chat, NAME)?;
        let rules = Rules::of(target);
        let mut dropped = Dropped::default();
        let searches = rules.claude.format && !rules.deepseek;
        let deferred = deferral::carried(chat, NAME, searches, &mut dropped);
        let mut own = Own::of(crate::natives(chat, NAME, |_| None, &mut dropped)?);
        if !deferred.is_empty() {
            let marked = deferred.into_iter().map(|name| (name, Json::of(&true)));
            own.tools.push((deferral::MARK.to_owned(), marked.collect()));
        }
        if rules.deepseek {
            own.without_foreign(&mut dropped)?;
        }
        let mut draft = Self {
            rules,
            wire: Request { model: Some(target.model.to_owned()), ..Request::default() },
            config: OutputConfig::default(),
            thinking: None,
            limit: 0,
            answer: None,
            instruction: None,
            outer: Vec::new(),
            names: Names::new(rules.name_length),
            dropped,
        };
        draft.limit(chat, target);
        draft.think(chat, own.unsaid);
        if let Some(thinking) = draft.thinking.as_mut().filter(|_| own.shown_unsaid) {
            thinking.display = None;
        }
        draft.sampling(chat);
        draft.format(chat);
        draft.terms(chat, &own.metadata);
        draft.contents(chat, &own)?;
        draft.config(own.config);
        let thinking = draft.thinking.as_ref().map(Json::of);
        draft.wire.thinking = thinking.map(|mode| json::object_with(&mode, &own.thinking));
        draft.outer = own.outer;
        Ok(draft)
    }

    fn written(self) -> Written {
        let mut written = self.dropped.written(&json::object_with(&self.wire, &self.outer));
        written.renamed = self.names.into_renamed();
        written
    }

    fn limit(&mut self, chat: &Chat, target: &Target<'_>) {
        let most = target.max_output_tokens;
        self.limit = match (chat.max_tokens, most) {
            (Some(asked), Some(most)) if asked > most => {
                self.dropped.note(format!("max_tokens: {asked} -> {most}"));
                most
            }
            (asked, most) => asked.or(most).unwrap_or(DEFAULT_MAX_TOKENS),
        };
        self.wire.max_tokens = Some(self.limit);
    }

    fn think(&mut self, chat: &Chat, unsaid: bool) {
        let Some(asked) = &chat.reasoning else { return };
        let effort = asked.effort.or(asked.budget.map(Effort::from_budget));
        if !self.rules.claude.thinks {
            // Not to think is what such a model does.
            if effort != Some(Effort::None) {
                self.dropped.note("reasoning");
            }
            return;
        }
        if effort == Some(Effort::None) {
            self.think_least();
        } else if let (true, Some(effort)) = (unsaid, effort) {
            self.effort(effort);
        } else if self.rules.deepseek {
            self.thinking = Some(mode("enabled"));
            if asked.show == Some(false) {
                self.dropped.note("reasoning.exclude");
            }
            self.note_budget(asked, effort);
            if let Some(effort) = effort {
                self.effort(effort);
            }
        } else if self.rules.claude.budget
            && (asked.budget.is_some() || !self.rules.claude.adaptive)
        {
            self.think_within(chat, asked, effort);
        } else {
            self.note_budget(asked, effort);
            self.thinking = Some(Thinking { display: display(asked), ..mode("adaptive") });
            if let Some(effort) = effort {
                self.effort(effort);
            }
        }
    }

    /// A budget becomes a level.
    fn note_budget(&mut self, asked: &Reasoning, effort: Option<Effort>) {
        if let (None, Some(budget), Some(effort)) = (asked.effort, asked.budget, effort) {
            self.dropped.note(format!("reasoning: {budget} tokens -> {}", effort.name()));
        }
    }

    /// As little thinking as the model can be told to do.
    fn think_least(&mut self) {
        match self.rules.claude.off {
            Off::Disabled => self.thinking = Some(mode("disabled")),
            Off::BetweenTools => self.thinking = Some(mode("between_tools")),
            Off::Never => {
                self.dropped.note("reasoning: none -> low");
                self.config.effort = Some("low".to_owned());
            }
        }
    }

    fn effort(&mut self, asked: Effort) {
        let Some(effort) = self.rules.effort(asked) else { return };
        if effort != asked {
            self.dropped.note(format!("reasoning: {} -> {}", asked.name(), effort.name()));
        }
        self.config.effort = Some(effort.name().to_owned());
    }

    /// Thinking within a budget of tokens, which must leave room for an answer.
    fn think_within(&mut self, chat: &Chat, asked: &Reasoning, effort: Option<Effort>) {
        let wanted = asked.budget.unwrap_or(match effort {
            Some(Effort::None | Effort::Minimal | Effort::Low) => 2_048,
            Some(Effort::Medium) | None => 8_192,
            Some(Effort::High) => 16_384,
            Some(Effort::Xhigh) => 24_576,
            Some(Effort::Max) => 32_000,
        });
        if self.limit <= LEAST_BUDGET || calls_without_thoughts(chat) {
            self.dropped.note("reasoning");
            return;
        }
        let budget = wanted.clamp(LEAST_BUDGET, self.limit - 1);
        if asked.budget.is_some() && budget != wanted {
            self.dropped.note(format!("reasoning: {wanted} -> {budget} tokens"));
        }
        if let (Some(effort), None) = (asked.effort, asked.budget)
            && Effort::from_budget(budget) != effort
        {
            self.dropped.note(format!("reasoning: {} -> {budget} tokens", effort.name()));
        }
        self.thinking = Some(Thinking {
            budget_tokens: Some(budget),
            // Shown is what happens anyway here.
            display: display(asked).filter(|word| word == "omitted"),
            ..mode("enabled")
        });
        if let (Some(effort), Some(_)) = (asked.effort, asked.budget) {
            self.effort(effort);
        }
    }

    fn thinks(&self) -> bool {
        let kind = self.thinking.as_ref().and_then(|thinking| thinking.kind.as_deref());
        !self.rules.deepseek && matches!(kind, Some("enabled" | "adaptive"))
    }

    fn sampling(&mut self, chat: &Chat) {
        let asked = &chat.sampling;
        let dropped = &mut self.dropped;
        dropped.unless_none("presence_penalty", asked.presence_penalty);
        dropped.unless_none("frequency_penalty", asked.frequency_penalty);
        dropped.unless_none("seed", asked.seed);
        // Anthropic refuses those of white space alone.
        let is_taken = |stop: &&String| self.rules.deepseek || !stop.trim().is_empty();
        let stops: Vec<String> = asked.stop.iter().filter(is_taken).cloned().collect();
        if stops.len() < asked.stop.len() {
            dropped.note(format!("stop: {} -> {}", asked.stop.len(), stops.len()));
        }
        self.wire.stop_sequences = (!stops.is_empty()).then_some(stops);
        // 1 is what happens anyway.
        let mut temperature = asked.temperature.filter(|t| (*t - 1.0).abs() > f64::EPSILON);
        // Newer models take none of these, and the others none while they think.
        if !self.rules.claude.sampling || self.thinks() {
            self.dropped.unless_none("temperature", temperature);
            self.dropped.unless_none("top_p", asked.top_p);
            self.dropped.unless_none("top_k", asked.top_k);
            return;
        }
        if let Some(hot) = temperature.filter(|t| *t > 1.0 && !self.rules.deepseek) {
            self.dropped.note(format!("temperature: {hot} -> 1"));
            temperature = Some(1.0);
        }
        self.wire.temperature = temperature;
        if self.rules.claude.one_sampler && temperature.is_some() {
            self.dropped.unless_none("top_p", asked.top_p);
        } else {
            self.wire.top_p = asked.top_p;
        }
        if self.rules.deepseek {
            self.dropped.unless_none("top_k", asked.top_k);
        } else {
            self.wire.top_k = asked.top_k.map(f64::round);
        }
    }

    /// How the answer's format is asked for: by itself, as the arguments of a tool, or in words.
    fn format(&mut self, chat: &Chat) {
        match &chat.output.format {
            Format::Text => {}
            Format::JsonObject => {
                self.dropped.note("response_format: json_object -> instruction");
                self.instruction = Some("Answer with one JSON object and nothing else.".to_owned());
            }
            Format::JsonSchema { schema, description, .. } => {
                let claude = self.rules.claude;
                let enforceable = strict::enforceable(schema).filter(|_| claude.format);
                let is_object = crate::schema::rooted(Some(schema)) == *schema;
                let forced = claude.forced_tool && !self.rules.deepseek && !self.thinks();
                if let Some(schema) = enforceable {
                    let schema = described(schema, description.as_deref());
                    let kind = Some("json_schema".to_owned());
                    self.config.format = Some(WireFormat { kind, schema: Some(schema) });
                } else if forced && is_object && chat.tool_choice != ToolChoice::None {
                    self.dropped.note("response_format: json_schema -> tool");
                    self.answer = Some(write_tools::json_tool(schema, description.as_deref()));
                } else {
                    self.dropped.note("response_format: json_schema -> instruction");
                    self.instruction = Some(format!(
                        "Answer with JSON that follows this JSON Schema and with nothing else.\n{}",
                        schema.get()
                    ));
                }
            }
        }
    }

    fn terms(&mut self, chat: &Chat, more: &[(String, Json)]) {
        self.wire.stream = chat.stream.then_some(true);
        let metadata = json::object_with(&Metadata { user_id: chat.user.clone() }, more);
        self.wire.metadata = (metadata.get() != "{}").then_some(metadata);
        self.dropped.unless_none("verbosity", chat.output.verbosity.as_ref());
        if self.rules.deepseek {
            self.dropped.unless_none("service_tier", chat.service_tier.as_ref());
            return;
        }
        self.wire.service_tier = chat.service_tier.as_deref().map(|tier| match tier {
            "auto" => "auto".to_owned(),
            "default" | "standard" => "standard_only".to_owned(),
            other => {
                self.dropped.note(format!("service_tier: {other} -> auto"));
                "auto".to_owned()
            }
        });
    }

    /// Tools, system and turns, in the order in which they are cached.
    fn contents(&mut self, chat: &Chat, own: &Own) -> Result<(), Unsupported> {
        let automatic = own.outer.iter().filter(|(field, _)| field == "cache_control").count();
        let mut markers =
            if self.rules.deepseek { Markers::none() } else { Markers::of(chat, automatic) };
        let mut tools = write_tools::tools(
            chat,
            &mut Context {
                rules: self.rules,
                extras: &own.tools,
                markers: &mut markers,
                names: &mut self.names,
                dropped: &mut self.dropped,
            },
        )?;
        if tools.is_empty() {
            // Calls in the history need a definition, even where none may follow.
            let called = write_turns::called(chat).into_iter();
            tools.extend(called.map(|name| write_tools::stub(self.names.of(name))));
            self.wire.tool_choice = (!tools.is_empty()).then(write_tools::no_call);
        } else {
            let forced = self.rules.claude.forced_tool
                && self.thinking.as_ref().is_none_or(|thinking| thinking.budget_tokens.is_none());
            self.wire.tool_choice =
                write_tools::choice(chat, forced, &mut self.names, &mut self.dropped);
        }
        if let Some(answer) = self.answer.take() {
            let only = tools.is_empty() || chat.tools.is_empty();
            tools.push(answer);
            let kind = Some(if only { "tool" } else { "any" }.to_owned());
            let name = only.then(|| JSON_TOOL.to_owned());
            let one = Some(true);
            self.wire.tool_choice = Some(Choice { kind, name, disable_parallel_tool_use: one });
        }
        self.wire.tools = (!tools.is_empty()).then_some(tools);
        let mut system = chat.system.clone();
        system.extend(self.instruction.take().map(Block::Text));
        let mut blocks = Blocks {
            rules: self.rules,
            markers: &mut markers,
            names: &mut self.names,
            dropped: &mut self.dropped,
        };
        if !system.is_empty() {
            let system = blocks.write(&system, Place::System)?;
            self.wire.system = (!system.is_empty()).then_some(TextOr::List(system));
        }
        self.wire.messages = Some(write_turns::messages(chat, &mut blocks)?);
        Ok(())
    }

    /// The output's configuration, with the members that came as they are.
    fn config(&mut self, mut more: Vec<(String, Json)>) {
        let off = self.thinking.as_ref().and_then(|thinking| thinking.kind.as_deref());
        let off = matches!(off, Some("disabled" | "between_tools"));
        more.retain_mut(|(name, value)| {
            if name != "effort" {
                return true;
            }
            let high = matches!(value.get(), "\"xhigh\"" | "\"max\"");
            if off && high && self.rules.claude.capped_when_off {
                self.dropped.note(format!(
                    "output_config.effort: {} -> high",
                    value.get().trim_matches('"')
                ));
                *value = Json::of(&"high");
            }
            self.config.effort.is_none()
        });
        let config = json::object_with(&self.config, &more);
        self.wire.output_config = (config.get() != "{}").then_some(config);
    }
}

fn mode(kind: &str) -> Thinking {
    Thinking { kind: Some(kind.to_owned()), ..Thinking::default() }
}

fn display(asked: &Reasoning) -> Option<String> {
    asked.show.map(|show| if show { "summarized" } else { "omitted" }.to_owned())
}

/// Whether the last answer calls tools without thoughts of Anthropic's before, which it refuses to think on from.
fn calls_without_thoughts(chat: &Chat) -> bool {
    let mut sides =
        chat.turns.chunk_by(|a, b| (a.role == Role::Assistant) == (b.role == Role::Assistant));
    let blocks = |side: Option<&[Turn]>| -> Vec<Block> {
        side.unwrap_or_default().iter().flat_map(|turn| turn.blocks.clone()).collect()
    };
    let (after, last) = (blocks(sides.next_back()), blocks(sides.next_back()));
    let own = |block: &Block| match block {
        Block::Thinking { seal: Some(seal), .. } => seal.dialect == NAME,
        _ => false,
    };
    after.iter().any(|block| matches!(block, Block::ToolResult { .. }))
        && last.iter().any(|block| matches!(block, Block::ToolUse { .. }))
        && !last.iter().any(own)
}

/// Fields of this dialect that the canonical form has no place for.
struct Own {
    /// Whether nothing was said of thinking.
    unsaid: bool,
    /// Whether nothing was said of showing thoughts.
    shown_unsaid: bool,
    config: Vec<(String, Json)>,
    thinking: Vec<(String, Json)>,
    metadata: Vec<(String, Json)>,
    tools: Vec<(String, HashMap<String, Json>)>,
    outer: Vec<(String, Json)>,
}

impl Own {
    fn of(fields: Vec<(String, Json)>) -> Self {
        let mut own = Self {
            unsaid: false,
            shown_unsaid: false,
            config: Vec::new(),
            thinking: Vec::new(),
            metadata: Vec::new(),
            tools: Vec::new(),
            outer: Vec::new(),
        };
        for (field, raw) in fields {
            match field.split_once('.') {
                None if field == UNSAID => own.unsaid = true,
                _ if field == SHOWN_UNSAID => own.shown_unsaid = true,
                Some(("output_config", name)) => own.config.push((name.to_owned(), raw)),
                Some(("thinking", name)) => own.thinking.push((name.to_owned(), raw)),
                Some(("tools", name)) => {
                    let values = json::fields(raw.get()).into_iter().collect();
                    own.tools.push((name.to_owned(), values));
                }
                Some(("metadata", name)) => own.metadata.push((name.to_owned(), raw)),
                _ => own.outer.push((field, raw)),
            }
        }
        own
    }

    /// Takes away what DeepSeek does not know.
    fn without_foreign(&mut self, dropped: &mut Dropped) -> Result<(), Unsupported> {
        for (field, _) in self.outer.drain(..) {
            if matches!(
                field.as_str(),
                "container" | "mcp_servers" | "fallbacks" | "compaction" | "thread"
            ) {
                return Err(Unsupported::new(field, "the provider does not take it"));
            }
            dropped.note(field);
        }
        for (name, _) in self.tools.drain(..) {
            dropped.note(format!("tools.{name}"));
        }
        for (name, _) in self.thinking.drain(..) {
            dropped.note(format!("thinking.{name}"));
        }
        for (name, _) in self.config.extract_if(.., |(name, _)| name != "effort") {
            dropped.note(format!("output_config.{name}"));
        }
        Ok(())
    }
}

/// A schema with a description, where it has none of its own.
fn described(schema: Json, description: Option<&str>) -> Json {
    let has = json::fields(schema.get()).iter().any(|(name, _)| name == "description");
    match description {
        Some(text) if !has => {
            json::object_with(&schema, &[("description".to_owned(), Json::of(&text))])
        }
        _ => schema,
    }
}
