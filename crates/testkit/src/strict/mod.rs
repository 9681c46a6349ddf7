//! Whether a body is what a provider documents, to the last field.
//!
//! The simulator answers whatever it is asked; this is the other half: each request that the gateway sends to a
//! provider can be held against the provider's own published types and against the rules that the types do not say.
//! Every unknown, misplaced, missing or wrongly typed field is a fault, named by its path.
//!
//! The types are data, in the `.json` files of this folder: names of fields, their types and which are required, each
//! file with the package and version that the facts were taken from. What types cannot say is in `rules`.

mod parse;
mod rules;
mod schema;

use std::sync::LazyLock;

use serde_json::Value;

use self::schema::Schema;

/// An endpoint of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    OpenaiChat,
    OpenaiResponses,
    OpenaiEmbeddings,
    OpenaiCompletions,
    Anthropic,
    AnthropicCountTokens,
    Gemini,
    GeminiCountTokens,
    GeminiEmbed,
    GeminiBatchEmbed,
    DeepseekChat,
    DeepseekAnthropic,
}

impl Api {
    /// The endpoint that a path of the simulator stands for.
    pub fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/v1/chat/completions" => Self::OpenaiChat,
            "/v1/responses" => Self::OpenaiResponses,
            "/v1/embeddings" => Self::OpenaiEmbeddings,
            "/v1/completions" => Self::OpenaiCompletions,
            "/v1/messages" => Self::Anthropic,
            "/v1/messages/count_tokens" => Self::AnthropicCountTokens,
            "/chat/completions" | "/beta/chat/completions" => Self::DeepseekChat,
            "/anthropic/v1/messages" => Self::DeepseekAnthropic,
            path => match path.strip_prefix("/v1beta/models/")?.rsplit_once(':')?.1 {
                "generateContent" | "streamGenerateContent" => Self::Gemini,
                "countTokens" => Self::GeminiCountTokens,
                "embedContent" => Self::GeminiEmbed,
                "batchEmbedContents" => Self::GeminiBatchEmbed,
                _ => return None,
            },
        })
    }
}

type Loaded = LazyLock<Result<Schema, String>>;

static OPENAI: Loaded = LazyLock::new(|| Schema::read(include_str!("openai.json")));
static ANTHROPIC: Loaded = LazyLock::new(|| Schema::read(include_str!("anthropic.json")));
static GEMINI: Loaded = LazyLock::new(|| Schema::read(include_str!("gemini.json")));
static OPENAI_ANSWERS: Loaded = LazyLock::new(|| Schema::read(include_str!("openai_answers.json")));
static ANTHROPIC_ANSWERS: Loaded =
    LazyLock::new(|| Schema::read(include_str!("anthropic_answers.json")));
static GEMINI_ANSWERS: Loaded = LazyLock::new(|| Schema::read(include_str!("gemini_answers.json")));
static DEEPSEEK: Loaded = LazyLock::new(|| Schema::read(include_str!("deepseek.json")));

/// The faults of the body of a request, each with the path of what is wrong.
pub fn check(api: Api, body: &Value) -> Vec<String> {
    let (schema, root) = match api {
        Api::OpenaiChat => (&OPENAI, "chat"),
        Api::OpenaiResponses => (&OPENAI, "responses"),
        Api::OpenaiEmbeddings => (&OPENAI, "embeddings"),
        Api::OpenaiCompletions => (&OPENAI, "completions"),
        Api::Anthropic => (&ANTHROPIC, "messages"),
        Api::AnthropicCountTokens => (&ANTHROPIC, "count_tokens"),
        Api::Gemini => (&GEMINI, "generate"),
        Api::GeminiCountTokens => (&GEMINI, "count_tokens"),
        Api::GeminiEmbed => (&GEMINI, "embed"),
        Api::GeminiBatchEmbed => (&GEMINI, "batch_embed"),
        Api::DeepseekChat => (&DEEPSEEK, "chat"),
        Api::DeepseekAnthropic => (&DEEPSEEK, "messages"),
    };
    let mut faults = typed(schema, root, body);
    rules::check(api, body, &mut faults);
    faults
}

/// The faults of a whole answer.
pub fn check_answer(api: Api, body: &Value) -> Vec<String> {
    let (schema, root) = match api {
        Api::OpenaiChat => (&OPENAI_ANSWERS, "chat"),
        Api::OpenaiResponses => (&OPENAI_ANSWERS, "responses"),
        Api::OpenaiEmbeddings => (&OPENAI_ANSWERS, "embeddings"),
        Api::OpenaiCompletions => (&OPENAI_ANSWERS, "completions"),
        Api::Anthropic | Api::DeepseekAnthropic => (&ANTHROPIC_ANSWERS, "messages"),
        Api::AnthropicCountTokens => (&ANTHROPIC_ANSWERS, "count_tokens"),
        Api::Gemini => (&GEMINI_ANSWERS, "generate"),
        Api::GeminiCountTokens => (&GEMINI_ANSWERS, "count_tokens"),
        Api::GeminiEmbed => (&GEMINI_ANSWERS, "embed"),
        Api::GeminiBatchEmbed => (&GEMINI_ANSWERS, "batch_embed"),
        Api::DeepseekChat => (&DEEPSEEK, "chat_answer"),
    };
    typed(schema, root, body)
}

/// The faults of one event of a stream, whose data is `event`. Only what `event` says of itself is looked at, not what
/// came before it.
pub fn check_event(api: Api, event: &Value) -> Vec<String> {
    let (schema, root) = match api {
        Api::OpenaiChat => (&OPENAI_ANSWERS, "chat_event"),
        Api::OpenaiResponses => (&OPENAI_ANSWERS, "responses_event"),
        Api::OpenaiCompletions => (&OPENAI_ANSWERS, "completions_event"),
        Api::Anthropic | Api::DeepseekAnthropic => (&ANTHROPIC_ANSWERS, "event"),
        Api::Gemini => (&GEMINI_ANSWERS, "event"),
        Api::DeepseekChat => (&DEEPSEEK, "chat_event"),
        Api::OpenaiEmbeddings
        | Api::AnthropicCountTokens
        | Api::GeminiCountTokens
        | Api::GeminiEmbed
        | Api::GeminiBatchEmbed => return vec!["$: this endpoint has no stream".to_owned()],
    };
    typed(schema, root, event)
}

fn typed(schema: &Loaded, root: &str, body: &Value) -> Vec<String> {
    match &**schema {
        Ok(schema) => schema.check(root, body),
        Err(error) => vec![format!("$: the data file of the checker is broken: {error}")],
    }
}
