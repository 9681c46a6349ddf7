//! The wire structs. <https://platform.openai.com/docs/api-reference/chat/create>

use std::fmt;

use serde::Deserialize as _;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::json::{Json, TextOr, wire};

wire! {
    struct Request {
        model: String,
        messages: Vec<Json>,
        max_completion_tokens: u64,
        max_tokens: u64,
        temperature: f64,
        top_p: f64,
        // OpenRouter's and others' addition.
        #[serde(serialize_with = "crate::json::whole")]
        top_k: f64,
        presence_penalty: f64,
        frequency_penalty: f64,
        seed: i64,
        stop: TextOr<String>,
        stream: bool,
        stream_options: StreamOptions,
        tools: Vec<Json>,
        tool_choice: Json,
        parallel_tool_calls: bool,
        functions: Vec<Json>,
        function_call: Json,
        response_format: ResponseFormat,
        reasoning_effort: String,
        reasoning: Reasoning,
        include_reasoning: bool,
        thinking: Thinking,
        verbosity: String,
        user: String,
        safety_identifier: String,
        user_id: String,
        service_tier: String,
        web_search_options: Json,
        // OpenRouter's wish that everything up to the last message be cached.
        cache_control: CacheControl,
        // OpenRouter's wish for the usage.
        usage: UsageOptions,
    }
    struct StreamOptions { include_usage: bool }
    struct UsageOptions { include: bool }
    struct WebSearchOptions {
        search_context_size: String,
        user_location: UserLocation,
    }
    // One of OpenRouter's plugins.
    struct Plugin {
        id: String,
        enabled: bool,
        include_domains: Vec<String>,
        exclude_domains: Vec<String>,
    }
    struct UserLocation {
        #[serde(rename = "type")]
        kind: String,
        approximate: Json,
    }
    /// OpenRouter's way to ask for thinking.
    struct Reasoning {
        effort: String,
        max_tokens: u64,
        exclude: bool,
        enabled: bool,
        summary: String,
    }
    /// `DeepSeek`'s switch.
    struct Thinking {
        #[serde(rename = "type")]
        kind: String,
    }
    struct ResponseFormat {
        #[serde(rename = "type")]
        kind: String,
        json_schema: JsonSchema,
    }
    struct JsonSchema {
        name: String,
        description: String,
        schema: Json,
        strict: bool,
    }
    struct Tool {
        #[serde(rename = "type")]
        kind: String,
        function: Function,
        cache_control: CacheControl,
    }
    struct Function {
        name: String,
        description: String,
        parameters: Json,
        strict: bool,
    }
    struct Choose {
        #[serde(rename = "type")]
        kind: String,
        name: String,
        function: Named,
        custom: Named,
        allowed_tools: Allowed,
    }
    struct Named { name: String }
    struct Allowed {
        mode: String,
        tools: Vec<Choose>,
    }
    struct Message {
        role: String,
        content: Content,
        name: String,
        refusal: String,
        reasoning_content: String,
        reasoning: String,
        tool_calls: Vec<ToolCall>,
        tool_call_id: String,
        function_call: Called,
        audio: Audio,
        cache_control: CacheControl,
        reasoning_details: Vec<Json>,
        annotations: Vec<Json>,
        images: Vec<Json>,
        extra_content: Extra,
    }
    /// One entry of OpenRouter's `reasoning_details`.
    struct Detail {
        #[serde(rename = "type")]
        kind: String,
        text: String,
        summary: String,
        signature: String,
        data: String,
        id: String,
        format: String,
        index: u64,
    }
    struct Annotation {
        #[serde(rename = "type")]
        kind: String,
        url_citation: UrlCitation,
        // Lists in a stream are put together by it.
        index: u64,
    }
    struct UrlCitation {
        url: String,
        title: String,
        content: String,
        start_index: u64,
        end_index: u64,
    }
    struct Picture {
        #[serde(rename = "type")]
        kind: String,
        #[serde(default, deserialize_with = "address")]
        image_url: ImageUrl,
        index: u64,
    }
    struct Part {
        #[serde(rename = "type")]
        kind: String,
        text: String,
        refusal: String,
        #[serde(default, deserialize_with = "address")]
        image_url: ImageUrl,
        input_audio: InputAudio,
        file: Attachment,
        cache_control: CacheControl,
        prompt_cache_breakpoint: CacheControl,
    }
    struct ImageUrl {
        url: String,
        detail: String,
    }
    struct InputAudio {
        data: String,
        format: String,
    }
    struct Attachment {
        file_data: String,
        file_id: String,
        filename: String,
    }
    struct CacheControl {
        #[serde(rename = "type")]
        kind: String,
        mode: String,
        ttl: String,
    }
    struct ToolCall {
        id: String,
        #[serde(rename = "type")]
        kind: String,
        function: Called,
        custom: Json,
        extra_content: Extra,
        // Its place in a stream, which some clients send back.
        index: Json,
    }
    struct Called {
        name: String,
        // Text by the book; some servers send the object itself.
        arguments: Json,
    }
    struct Extra { google: Google }
    struct Google { thought_signature: String }
    struct Audio {
        id: String,
        data: String,
        expires_at: u64,
        transcript: String,
    }
    struct Completion {
        id: String,
        object: String,
        created: u64,
        model: String,
        choices: Vec<Choice>,
        usage: Json,
        service_tier: String,
    }
    struct Choice {
        index: u64,
        message: Message,
        finish_reason: String,
        // Completions, the older API.
        text: String,
    }
    /// A step of a stream.
    struct Chunk {
        id: String,
        model: String,
        choices: Vec<ChunkChoice>,
        usage: Json,
        service_tier: String,
        error: Json,
    }
    struct ChunkChoice {
        index: u64,
        delta: Delta,
        // A server that was asked for a stream and sends the whole.
        message: Delta,
        text: String,
        finish_reason: String,
    }
    struct Delta {
        content: Content,
        refusal: String,
        reasoning_content: String,
        reasoning: String,
        reasoning_details: Vec<Json>,
        tool_calls: Vec<CallDelta>,
        function_call: Called,
        audio: Audio,
        annotations: Vec<Json>,
        images: Vec<Json>,
        extra_content: Extra,
    }
    struct CallDelta {
        index: u64,
        id: String,
        function: Called,
        custom: CustomDelta,
        extra_content: Extra,
    }
    struct CustomDelta {
        name: String,
        input: String,
    }
}

pub(crate) type Content = TextOr<Json>;

/// An object by the book; some clients send the address alone.
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ImageUrl>, D::Error> {
    struct Address;
    impl<'de> Visitor<'de> for Address {
        type Value = Option<ImageUrl>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object or a string")
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_str<E>(self, url: &str) -> Result<Self::Value, E> {
            Ok(Some(ImageUrl { url: Some(url.to_owned()), detail: None }))
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            ImageUrl::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }
    deserializer.deserialize_any(Address)
}
