//! The wire structs. <https://platform.openai.com/docs/api-reference/responses/create>

use crate::json::{Json, TextOr, wire};

wire! {
    struct Request {
        model: String,
        instructions: String,
        input: TextOr<Json>,
        max_output_tokens: u64,
        temperature: f64,
        top_p: f64,
        stream: bool,
        tools: Vec<Json>,
        tool_choice: Json,
        parallel_tool_calls: bool,
        reasoning: Json,
        text: Json,
        store: bool,
        include: Vec<String>,
        service_tier: String,
        safety_identifier: String,
        user: String,
    }
    struct Reasoning {
        effort: String,
        summary: String,
    }
    struct Text {
        format: Format,
        verbosity: String,
    }
    struct Format {
        #[serde(rename = "type")]
        kind: String,
        name: String,
        description: String,
        schema: Json,
        strict: bool,
    }
    struct Tool {
        #[serde(rename = "type")]
        kind: String,
        name: String,
        description: String,
        parameters: Json,
        strict: bool,
    }
    /// Tools under a name of their own.
    struct Group {
        #[serde(rename = "type")]
        kind: String,
        name: String,
        tools: Vec<Json>,
    }
    struct WebSearch {
        #[serde(rename = "type")]
        kind: String,
        filters: Filters,
        search_context_size: String,
        user_location: Json,
    }
    struct CodeInterpreter {
        #[serde(rename = "type")]
        kind: String,
        container: Json,
    }
    /// Where code runs: in one that is made for it, or in one that has a name.
    struct Container {
        #[serde(rename = "type")]
        kind: String,
    }
    struct ToolSearch {
        #[serde(rename = "type")]
        kind: String,
        execution: String,
    }
    struct Filters { allowed_domains: Vec<String> }
    struct Choose {
        #[serde(rename = "type")]
        kind: String,
        name: String,
        mode: String,
        tools: Vec<Choose>,
    }
    /// Tools that come in the middle of a conversation.
    struct Additional { tools: Vec<Json> }
    /// What tells one item from another.
    struct Kind {
        #[serde(rename = "type")]
        kind: String,
        /// Whether there is one. What is no message may have anything of that name.
        role: Json,
    }
    struct Message {
        #[serde(rename = "type")]
        kind: String,
        id: String,
        role: String,
        status: String,
        phase: String,
        content: TextOr<Json>,
    }
    struct Part {
        #[serde(rename = "type")]
        kind: String,
        text: String,
        refusal: String,
        annotations: Vec<Json>,
        logprobs: Json,
        // Text by the book; Chat's habit of an object is taken too.
        image_url: Json,
        file_id: String,
        detail: String,
        file_data: String,
        file_url: String,
        filename: String,
        input_audio: Audio,
        prompt_cache_breakpoint: Breakpoint,
    }
    struct Audio {
        data: String,
        format: String,
    }
    struct Breakpoint {
        mode: String,
        ttl: String,
    }
    struct Annotation {
        #[serde(rename = "type")]
        kind: String,
        url: String,
        title: String,
        start_index: u64,
        end_index: u64,
    }
    struct Thoughts {
        #[serde(rename = "type")]
        kind: String,
        id: String,
        summary: Vec<Part>,
        content: Vec<Part>,
        encrypted_content: String,
        status: Json,
    }
    struct Call {
        #[serde(rename = "type")]
        kind: String,
        id: String,
        status: String,
        call_id: String,
        name: String,
        // Text by the book; some servers send the object itself.
        arguments: Json,
        input: String,
        namespace: String,
        caller: Json,
        r#async: bool,
    }
    struct Output {
        #[serde(rename = "type")]
        kind: String,
        id: String,
        status: String,
        call_id: String,
        output: TextOr<Json>,
    }
    struct Picture {
        id: String,
        #[serde(rename = "type")]
        kind: String,
        status: String,
        result: String,
    }
}
