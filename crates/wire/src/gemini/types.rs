//! The wire structs. <https://ai.google.dev/api/generate-content>
//!
//! Proto3 JSON: requests may spell a field in camel or in snake case, answers are in camel case.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

use crate::json::{Json, wire};

/// A list, of which a single element may stand for itself: Google's own examples of contents and parts do so.
pub(crate) fn one_or_many<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Json>>, D::Error> {
    let Some(raw) = Option::<Json>::deserialize(deserializer)? else { return Ok(None) };
    match raw.get().bytes().next() {
        Some(b'[') => serde_json::from_str(raw.get()).map(Some).map_err(D::Error::custom),
        Some(b'{') => Ok(Some(vec![raw])),
        _ => Err(D::Error::custom("must be an array of objects")),
    }
}

/// A number, which proto3 JSON may as well write as text.
fn number<'de, D: Deserializer<'de>, N: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<N>, D::Error> {
    let Some(raw) = Option::<Json>::deserialize(deserializer)? else { return Ok(None) };
    let text = raw.as_string();
    let read = serde_json::from_str(text.as_deref().unwrap_or_else(|| raw.get()));
    read.map(Some).map_err(|_| D::Error::custom("must be a number"))
}

wire! {
    #[serde(rename_all = "camelCase")]
    struct Request {
        // Not in Google's own requests (the path names it), but some gateways' clients send it.
        model: String,
        #[serde(default, deserialize_with = "one_or_many")]
        contents: Vec<Json>,
        #[serde(alias = "system_instruction")]
        system_instruction: Content,
        #[serde(default, deserialize_with = "one_or_many")]
        tools: Vec<Json>,
        #[serde(alias = "tool_config")]
        tool_config: Json,
        #[serde(alias = "generation_config")]
        generation_config: Json,
        #[serde(alias = "service_tier")]
        service_tier: String,
    }
    /// Nothing.
    struct Empty {}
    struct Content {
        role: String,
        #[serde(default, deserialize_with = "one_or_many")]
        parts: Vec<Json>,
    }
    #[serde(rename_all = "camelCase")]
    struct Part {
        text: String,
        thought: bool,
        #[serde(alias = "thought_signature")]
        thought_signature: String,
        #[serde(alias = "inline_data")]
        inline_data: Blob,
        #[serde(alias = "file_data")]
        file_data: FileData,
        #[serde(alias = "function_call")]
        function_call: FunctionCall,
        #[serde(alias = "function_response")]
        function_response: FunctionResponse,
        #[serde(alias = "media_resolution")]
        media_resolution: Resolution,
    }
    struct Resolution { level: String }
    #[serde(rename_all = "camelCase")]
    struct Blob {
        #[serde(alias = "mime_type")]
        mime_type: String,
        data: String,
    }
    #[serde(rename_all = "camelCase")]
    struct FileData {
        #[serde(alias = "mime_type")]
        mime_type: String,
        #[serde(alias = "file_uri")]
        file_uri: String,
    }
    struct FunctionCall {
        id: String,
        name: String,
        args: Json,
    }
    struct FunctionResponse {
        id: String,
        name: String,
        response: Json,
        parts: Vec<Json>,
    }
    #[serde(rename_all = "camelCase")]
    struct Tool {
        #[serde(default, alias = "function_declarations", deserialize_with = "one_or_many")]
        function_declarations: Vec<Json>,
    }
    #[serde(rename_all = "camelCase")]
    struct Declaration {
        name: String,
        description: String,
        parameters: Json,
        #[serde(alias = "parameters_json_schema")]
        parameters_json_schema: Json,
    }
    #[serde(rename_all = "camelCase")]
    struct ToolConfig {
        #[serde(alias = "function_calling_config")]
        function_calling_config: CallingConfig,
    }
    #[serde(rename_all = "camelCase")]
    struct CallingConfig {
        mode: String,
        #[serde(alias = "allowed_function_names")]
        allowed_function_names: Vec<String>,
    }
    #[serde(rename_all = "camelCase")]
    struct GenerationConfig {
        #[serde(default, deserialize_with = "number")]
        temperature: f64,
        #[serde(default, alias = "top_p", deserialize_with = "number")]
        top_p: f64,
        #[serde(default, alias = "top_k", deserialize_with = "number", serialize_with = "crate::json::whole")]
        top_k: f64,
        #[serde(default, alias = "max_output_tokens", deserialize_with = "number")]
        max_output_tokens: u64,
        #[serde(alias = "stop_sequences")]
        stop_sequences: Vec<String>,
        #[serde(default, deserialize_with = "number")]
        seed: i64,
        #[serde(default, alias = "presence_penalty", deserialize_with = "number")]
        presence_penalty: f64,
        #[serde(default, alias = "frequency_penalty", deserialize_with = "number")]
        frequency_penalty: f64,
        #[serde(alias = "response_mime_type")]
        response_mime_type: String,
        #[serde(alias = "response_schema")]
        response_schema: Json,
        #[serde(alias = "response_json_schema")]
        response_json_schema: Json,
        #[serde(alias = "thinking_config")]
        thinking_config: ThinkingConfig,
    }
    #[serde(rename_all = "camelCase")]
    struct ThinkingConfig {
        #[serde(alias = "include_thoughts")]
        include_thoughts: bool,
        #[serde(default, alias = "thinking_budget", deserialize_with = "number")]
        thinking_budget: i64,
        #[serde(alias = "thinking_level")]
        thinking_level: String,
    }
    #[serde(rename_all = "camelCase")]
    struct Answer {
        candidates: Vec<Candidate>,
        usage_metadata: Json,
        model_version: String,
        response_id: String,
    }
    #[serde(rename_all = "camelCase")]
    struct Candidate {
        content: Content,
        finish_reason: String,
        index: u64,
        grounding_metadata: Grounding,
    }
    #[serde(rename_all = "camelCase")]
    struct Grounding {
        #[serde(alias = "grounding_chunks")]
        grounding_chunks: Vec<Chunk>,
        #[serde(alias = "grounding_supports")]
        grounding_supports: Vec<Support>,
        #[serde(alias = "web_search_queries")]
        web_search_queries: Vec<String>,
    }
    #[derive(Clone)]
    #[serde(rename_all = "camelCase")]
    struct Chunk {
        web: Page,
        #[serde(alias = "retrieved_context")]
        retrieved_context: Page,
        maps: Page,
    }
    #[derive(Clone)]
    struct Page {
        uri: String,
        title: String,
        text: String,
    }
    #[derive(Clone)]
    #[serde(rename_all = "camelCase")]
    struct Support {
        segment: Segment,
        #[serde(alias = "grounding_chunk_indices")]
        grounding_chunk_indices: Vec<u64>,
    }
    #[derive(Clone)]
    #[serde(rename_all = "camelCase")]
    struct Segment {
        #[serde(alias = "start_index")]
        start_index: u64,
        #[serde(alias = "end_index")]
        end_index: u64,
        text: String,
    }
}
