//! What `DeepSeek` takes of the dialects that it borrows.
//!
//! It speaks three of them with fewer words, and most of what it does not know it passes over without a word. So a
//! request goes to it as it stands only where all of it is known to mean something there; every other one is read and
//! written again, which names what is lost. In Chat Completions, which it extends itself, what nobody knows goes on too:
//! it may be new there.
#![expect(dead_code, reason = "whether a request can be read is all that is asked")]

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::{anthropic, openai_chat, openai_responses};

/// Whether `DeepSeek` knows all that a request of this dialect holds. `thinks` says whether the model does: then it wants
/// its thoughts back with every call of a tool, which most clients leave out.
pub fn documents(dialect: &str, body: &[u8], thinks: bool) -> bool {
    match dialect {
        openai_chat::NAME => serde_json::from_slice::<Chat>(body)
            .is_ok_and(|chat| chat.messages.iter().all(|message| message.is_known(thinks))),
        anthropic::NAME => serde_json::from_slice::<Messages>(body).is_ok(),
        openai_responses::NAME => serde_json::from_slice::<Responses>(body).is_ok(),
        _ => false,
    }
}

type Any = Option<IgnoredAny>;
/// What others know and it does not.
type Absent = Option<Never>;
/// An empty list.
type Empty = Option<[(); 0]>;

/// A text, whatever it says.
struct Text;

/// A text, or a list of parts.
struct TextOr<T> {
    is_list: bool,
    parts: PhantomData<T>,
}

struct Reading<T>(PhantomData<T>);

/// What nothing is.
#[derive(Deserialize)]
enum Never {}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Reading<T> {
    type Value = TextOr<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list")
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(TextOr { is_list: false, parts: PhantomData })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
        while parts.next_element::<T>()?.is_some() {}
        Ok(TextOr { is_list: true, parts: PhantomData })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for TextOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Reading::<Never>(PhantomData)).map(|_| Self)
    }
}

/// `false`.
struct No;

impl<'de> Deserialize<'de> for No {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let said = bool::deserialize(deserializer)?;
        if said { Err(D::Error::custom("true")) } else { Ok(Self) }
    }
}

#[derive(Deserialize)]
struct Chat {
    model: Text,
    messages: Vec<Message>,
    stream: Any,
    stream_options: Option<StreamOptions>,
    max_tokens: Any,
    temperature: Any,
    top_p: Any,
    presence_penalty: Any,
    frequency_penalty: Any,
    stop: Any,
    logprobs: Any,
    top_logprobs: Any,
    user_id: Any,
    thinking: Option<Thinking>,
    reasoning_effort: Option<ChatEffort>,
    response_format: Option<ResponseFormat>,
    tools: Option<Vec<ChatTool>>,
    tool_choice: Option<ChatChoice>,
    audio: Absent,
    function_call: Absent,
    functions: Absent,
    logit_bias: Absent,
    max_completion_tokens: Absent,
    metadata: Absent,
    modalities: Absent,
    n: Absent,
    parallel_tool_calls: Absent,
    prediction: Absent,
    prompt_cache_key: Absent,
    prompt_cache_retention: Absent,
    safety_identifier: Absent,
    seed: Absent,
    service_tier: Absent,
    store: Absent,
    verbosity: Absent,
    web_search_options: Absent,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Any,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Thinking {
    #[serde(rename = "type")]
    kind: Switch,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Switch {
    Enabled,
    Disabled,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ChatEffort {
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResponseFormat {
    #[serde(rename = "type")]
    kind: Format,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    Text,
    JsonObject,
}

/// No kind of tool but this one.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Callable {
    Function,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChatTool {
    #[serde(rename = "type")]
    kind: Callable,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: Text,
    description: Option<Text>,
    parameters: Any,
    strict: Option<No>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ChatChoice {
    Word(ChoiceWord),
    One(ChatChosen),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ChoiceWord {
    None,
    Auto,
    Required,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChatChosen {
    #[serde(rename = "type")]
    kind: Callable,
    function: Named,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: Text,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ChatRole {
    System,
    User,
    Assistant,
    Tool,
}

#[derive(Deserialize)]
struct Message {
    role: ChatRole,
    content: TextOr<TextPart>,
    name: Option<Text>,
    reasoning_content: Option<Text>,
    tool_calls: Option<Vec<ToolCall>>,
    tool_call_id: Option<Text>,
    annotations: Empty,
    audio: Absent,
    function_call: Absent,
    reasoning: Absent,
    reasoning_details: Absent,
    refusal: Absent,
}

impl Message {
    /// Results are one text, and so is what the model says. To models that think calls go back with their thoughts.
    fn is_known(&self, thinks: bool) -> bool {
        let lacks_thoughts = self.tool_calls.is_some() && self.reasoning_content.is_none();
        let is_user = matches!(self.role, ChatRole::User);
        (is_user || !self.content.is_list) && !(thinks && lacks_thoughts)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TextPart {
    #[serde(rename = "type")]
    kind: OnlyText,
    text: Text,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnlyText {
    Text,
}

#[derive(Deserialize)]
struct ToolCall {
    id: Text,
    #[serde(rename = "type")]
    kind: Callable,
    function: Called,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Called {
    name: Text,
    arguments: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Messages {
    model: Text,
    max_tokens: Any,
    messages: Vec<Turn>,
    system: Option<TextOr<Block>>,
    stop_sequences: Any,
    stream: Any,
    temperature: Any,
    top_p: Any,
    thinking: Option<Thinking>,
    output_config: Option<OutputConfig>,
    metadata: Option<Metadata>,
    tools: Option<Vec<MessagesTool>>,
    tool_choice: Option<MessagesChoice>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutputConfig {
    effort: Option<MessagesEffort>,
}

/// The levels that are what they are called.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum MessagesEffort {
    Low,
    High,
    Max,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    user_id: Any,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessagesTool {
    name: Text,
    description: Option<Text>,
    input_schema: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessagesChoice {
    #[serde(rename = "type")]
    kind: MessagesMode,
    name: Option<Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum MessagesMode {
    Auto,
    Any,
    Tool,
    None,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    role: TurnRole,
    content: TextOr<Block>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum TurnRole {
    User,
    Assistant,
}

/// A block of any kind that is known: which members it has then is between the client and the provider.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Block {
    #[serde(rename = "type")]
    kind: BlockKind,
    text: Option<Text>,
    thinking: Option<Text>,
    signature: Option<Text>,
    id: Option<Text>,
    name: Option<Text>,
    input: Any,
    tool_use_id: Option<Text>,
    content: Option<TextOr<Block>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum BlockKind {
    Text,
    Thinking,
    ToolUse,
    ToolResult,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Responses {
    model: Text,
    input: TextOr<Item>,
    instructions: Option<Text>,
    max_output_tokens: Any,
    stream: Any,
    temperature: Any,
    top_p: Any,
    store: Option<No>,
    reasoning: Option<ResponsesReasoning>,
    tools: Option<Vec<ResponsesTool>>,
    tool_choice: Option<ResponsesChoice>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResponsesReasoning {
    effort: Option<ChatEffort>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResponsesTool {
    #[serde(rename = "type")]
    kind: Callable,
    name: Text,
    description: Option<Text>,
    parameters: Any,
    strict: Any,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ResponsesChoice {
    Word(ChoiceWord),
    One(ResponsesChosen),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResponsesChosen {
    #[serde(rename = "type")]
    kind: Callable,
    name: Text,
}

/// An item of any kind that is known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    #[serde(rename = "type")]
    kind: Option<ItemKind>,
    id: Any,
    status: Any,
    role: Option<ItemRole>,
    content: Option<TextOr<Part>>,
    summary: Empty,
    encrypted_content: Option<Never>,
    call_id: Option<Text>,
    name: Option<Text>,
    arguments: Option<Text>,
    output: Option<Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ItemKind {
    Message,
    Reasoning,
    FunctionCall,
    FunctionCallOutput,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ItemRole {
    System,
    User,
    Assistant,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    #[serde(rename = "type")]
    kind: PartKind,
    text: Text,
    annotations: Empty,
    logprobs: Empty,
}

#[derive(Deserialize)]
enum PartKind {
    #[serde(rename = "input_text")]
    Input,
    #[serde(rename = "output_text")]
    Output,
    #[serde(rename = "reasoning_text")]
    Reasoning,
}

#[cfg(test)]
#[path = "deepseek_tests.rs"]
mod tests;
