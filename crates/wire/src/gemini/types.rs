//! The wire structs. <https://ai.google.dev/api/generate-content>
//!
//! Proto3 JSON: requests may spell a field in camel or in snake case, answers are in camel case.

use crate::json::{Json, wire};

wire! {
    #[serde(rename_all = "camelCase")]
    struct Request {
        // Not in Google's own requests (the path names it), but some gateways' clients send it.
        model: String,
        contents: Vec<Json>,
        #[serde(alias = "system_instruction")]
        system_instruction: Content,
        tools: Vec<Json>,
        #[serde(alias = "tool_config")]
        tool_config: Json,
        #[serde(alias = "generation_config")]
        generation_config: Json,
        #[serde(alias = "service_tier")]
        service_tier: String,
    }
    struct Content {
        role: String,
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
    }
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
        #[serde(alias = "function_declarations")]
        function_declarations: Vec<Declaration>,
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
        temperature: f64,
        #[serde(alias = "top_p")]
        top_p: f64,
        #[serde(alias = "top_k")]
        top_k: f64,
        #[serde(alias = "max_output_tokens")]
        max_output_tokens: u64,
        #[serde(alias = "stop_sequences")]
        stop_sequences: Vec<String>,
        seed: i64,
        #[serde(alias = "presence_penalty")]
        presence_penalty: f64,
        #[serde(alias = "frequency_penalty")]
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
        #[serde(alias = "thinking_budget")]
        thinking_budget: i64,
        #[serde(alias = "thinking_level")]
        thinking_level: String,
    }
    #[serde(rename_all = "camelCase")]
    struct Answer {
        candidates: Vec<Candidate>,
        prompt_feedback: Feedback,
        usage_metadata: Json,
        model_version: String,
        response_id: String,
    }
    #[serde(rename_all = "camelCase")]
    struct Candidate {
        content: Content,
        finish_reason: String,
        index: u64,
    }
    #[serde(rename_all = "camelCase")]
    struct Feedback { block_reason: String }
}
