//! The wire structs. <https://docs.claude.com/en/api/messages>

use crate::json::{Json, TextOr, wire};

pub(crate) type Content = TextOr<Json>;

wire! {
    struct Request {
        model: String,
        max_tokens: u64,
        system: Content,
        messages: Vec<Json>,
        tools: Vec<Json>,
        tool_choice: Choice,
        thinking: Json,
        output_config: Json,
        output_format: Format,
        stop_sequences: Vec<String>,
        temperature: f64,
        top_p: f64,
        #[serde(serialize_with = "crate::json::whole")]
        top_k: f64,
        stream: bool,
        metadata: Json,
        service_tier: String,
    }
    struct Message {
        role: String,
        content: Content,
    }
    struct Choice {
        #[serde(rename = "type")]
        kind: String,
        name: String,
        disable_parallel_tool_use: bool,
    }
    struct Thinking {
        #[serde(rename = "type")]
        kind: String,
        budget_tokens: u64,
        display: String,
    }
    struct OutputConfig {
        effort: String,
        format: Format,
    }
    struct Format {
        #[serde(rename = "type")]
        kind: String,
        schema: Json,
    }
    struct Metadata { user_id: String }
    struct Tool {
        name: String,
        description: String,
        input_schema: Json,
        strict: bool,
        cache_control: CacheControl,
        #[serde(rename = "type")]
        kind: String,
    }
    struct CacheControl {
        #[serde(rename = "type")]
        kind: String,
        ttl: String,
    }
    struct Block {
        #[serde(rename = "type")]
        kind: String,
        text: String,
        thinking: String,
        signature: String,
        data: String,
        id: String,
        name: String,
        input: Json,
        tool_use_id: String,
        content: Content,
        is_error: bool,
        source: Source,
        title: String,
        citations: Json,
        cache_control: CacheControl,
    }
    struct Citation {
        #[serde(rename = "type")]
        kind: String,
        url: String,
        title: String,
        cited_text: String,
        encrypted_index: String,
    }
    struct HostedTool {
        #[serde(rename = "type")]
        kind: String,
        name: String,
        max_uses: u64,
        allowed_domains: Vec<String>,
        blocked_domains: Vec<String>,
        user_location: Json,
    }
    /// A tool that runs at the provider and is asked for nothing in particular.
    struct PlainTool {
        #[serde(rename = "type")]
        kind: String,
        name: String,
    }
    struct StopDetails {
        #[serde(rename = "type")]
        kind: String,
        category: Json,
        explanation: String,
    }
    struct Source {
        #[serde(rename = "type")]
        kind: String,
        media_type: String,
        data: String,
        url: String,
        file_id: String,
        content: Content,
    }
    struct Answer {
        id: String,
        #[serde(rename = "type")]
        kind: String,
        role: String,
        model: String,
        content: Vec<Json>,
        stop_reason: String,
        stop_sequence: String,
        stop_details: Json,
        usage: Json,
    }
    struct MessageStart { message: Answer }
    struct BlockStart {
        index: u64,
        content_block: Json,
    }
    struct BlockDelta {
        index: u64,
        delta: Json,
    }
    struct Delta {
        #[serde(rename = "type")]
        kind: String,
        text: String,
        thinking: String,
        signature: String,
        partial_json: String,
        citation: Json,
    }
    struct BlockStop { index: u64 }
    struct MessageDelta {
        delta: Answer,
        usage: Json,
    }
}

impl Thinking {
    /// Whether there are to be no thoughts in front of an answer.
    pub(super) fn is_off(&self) -> bool {
        matches!(self.kind.as_deref(), Some("disabled" | "between_tools"))
    }
}
