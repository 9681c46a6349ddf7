//! `POST /api/layers/chat`: one message in, one answer out.

use ledger::UsageReport;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wire::chat::{Block, Role, Turn};
use wire::{Chat, Reply};

use super::json::read_json;
use crate::inbound::Wanted;
use crate::problem::Problem;
use crate::routing::quoted;
use crate::web::Shape;

/// A chat, of one message or of several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schemars(rename = "NativeChat")]
struct Request {
    /// `openai`, `gemini`, `anthropic` or `deepseek`.
    #[serde(rename = "providerName")]
    provider_name: String,
    /// The provider's own name for the model, such as `gpt-4o`.
    model_name: String,
    /// What is asked; stands behind `messages`, where there are any.
    message: Option<String>,
    /// What the model is told before everything else.
    system: Option<String>,
    /// The chat so far, oldest first.
    messages: Option<Vec<Message>>,
    /// The most tokens of the answer.
    max_tokens: Option<u64>,
    temperature: Option<f64>,
    /// Whether the answer comes as server-sent events, bit by bit.
    stream: Option<bool>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schemars(rename = "NativeMessage")]
struct Message {
    role: Speaker,
    content: String,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String", rename_all = "lowercase")]
#[schemars(!try_from)]
enum Speaker {
    System,
    User,
    Assistant,
}

impl TryFrom<String> for Speaker {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        match word.as_str() {
            "system" => Ok(Self::System),
            "user" => Ok(Self::User),
            "assistant" => Ok(Self::Assistant),
            other => Err(format!("expected system, user or assistant, not {}", quoted(other))),
        }
    }
}

/// What the model has said, and what that has used.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NativeAnswer")]
struct Answer {
    content: String,
    usage: Tokens,
}

/// All prompt tokens, cached ones too, and all generated ones, thinking too.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "NativeTokens")]
struct Tokens {
    input_tokens: u64,
    output_tokens: u64,
    total_tokens: u64,
}

/// What a chat takes and gives, for whoever describes the API.
pub(crate) const SHAPES: (Shape, Shape) =
    (SchemaGenerator::subschema_for::<Request>, SchemaGenerator::subschema_for::<Answer>);

/// Reads a request: the model it wants, and the chat in the canonical form. Everything that makes no sense is refused by
/// its field.
pub(crate) fn read(body: &[u8]) -> Result<(Wanted, Chat), Problem> {
    let request: Request = read_json(body)?;
    let wanted =
        Wanted { provider: Some(request.provider_name.clone()), model: request.model_name.clone() };
    Ok((wanted, canonical(request)?))
}

/// Writes an answer.
pub(crate) fn write(reply: &Reply) -> Vec<u8> {
    let answer = Answer { content: reply.text(), usage: Tokens::of(reply.usage.as_ref()) };
    serde_json::to_vec(&answer).unwrap_or_default()
}

/// The counters of an answer.
pub(crate) fn tokens(report: &UsageReport) -> Value {
    serde_json::to_value(Tokens::of(Some(report))).unwrap_or_default()
}

impl Tokens {
    fn of(report: Option<&UsageReport>) -> Self {
        let usage = report.map(UsageReport::total).unwrap_or_default();
        let (input_tokens, output_tokens) = (usage.input_tokens(), usage.output_tokens());
        let total_tokens = input_tokens.saturating_add(output_tokens);
        Self { input_tokens, output_tokens, total_tokens }
    }
}

fn canonical(request: Request) -> Result<Chat, Problem> {
    let mut chat = Chat {
        model: request.model_name,
        stream: request.stream.unwrap_or(false),
        ..Chat::default()
    };
    chat.system.extend(request.system.filter(|text| !text.trim().is_empty()).map(Block::Text));
    for (index, message) in request.messages.unwrap_or_default().into_iter().enumerate() {
        if message.content.trim().is_empty() {
            return Err(Problem::bad_request(format!("messages[{index}].content: is empty")));
        }
        let block = Block::Text(message.content);
        match message.role {
            Speaker::System if chat.turns.is_empty() => chat.system.push(block),
            Speaker::System => chat.turns.push(turn(Role::System, block)),
            Speaker::User => chat.turns.push(turn(Role::User, block)),
            Speaker::Assistant => chat.turns.push(turn(Role::Assistant, block)),
        }
    }
    match request.message {
        Some(text) if text.trim().is_empty() => {
            return Err(Problem::bad_request("message: is empty"));
        }
        Some(text) => chat.turns.push(turn(Role::User, Block::Text(text))),
        None if chat.turns.is_empty() => {
            return Err(Problem::bad_request("message: is missing; it holds what you want to say"));
        }
        None if chat.turns.last().is_some_and(|turn| turn.role != Role::User) => {
            return Err(Problem::bad_request("messages: the last one has to be the user's"));
        }
        None => {}
    }
    chat.max_tokens = request.max_tokens;
    if let Some(temperature) = request.temperature {
        if !(0.0..=2.0).contains(&temperature) {
            return Err(Problem::bad_request("temperature: expected a number from 0 to 2"));
        }
        chat.sampling.temperature = Some(temperature);
    }
    Ok(chat)
}

fn turn(role: Role, block: Block) -> Turn {
    Turn { role, blocks: vec![block], name: None }
}

/// The refusal of a `max_tokens` that the model cannot give.
pub(crate) fn check_max_tokens(chat: &Chat, most: Option<u64>) -> Result<(), Problem> {
    let most = most.unwrap_or(u64::from(u32::MAX));
    match chat.max_tokens {
        Some(tokens) if !(1..=most).contains(&tokens) => Err(Problem::bad_request(format!(
            "max_tokens: expected a whole number from 1 to {most}"
        ))),
        _ => Ok(()),
    }
}
