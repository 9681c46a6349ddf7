//! What each dialect calls the fields that the canonical form has one name for, so that a client reads of its own.

use crate::{anthropic, gemini, openai_chat, openai_responses};

/// The canonical name, or the start of a note about it, and the client's.
type Words = &'static [(&'static str, &'static str)];

/// <https://platform.openai.com/docs/api-reference/chat/create>
const CHAT: Words = &[
    ("arguments", "messages.tool_calls.function.arguments"),
    ("detail", "image_url.detail"),
    ("document", "file"),
    ("filename", "file.filename"),
    ("image", "image_url"),
    ("reasoning", "reasoning_effort"),
    ("reasoning.effort", "reasoning_effort"),
    ("thinking", "reasoning_content"),
];
/// <https://platform.openai.com/docs/api-reference/responses/create>
const RESPONSES: Words = &[
    ("arguments", "input.arguments"),
    ("audio", "input_audio"),
    ("detail", "input_image.detail"),
    ("document", "input_file"),
    ("filename", "input_file.filename"),
    ("image", "input_image"),
    ("messages", "input"),
    ("response_format", "text.format"),
    ("response_format.description", "text.format.description"),
    ("thinking", "input.reasoning"),
    ("tool_result.media", "function_call_output.output"),
    ("verbosity", "text.verbosity"),
];
/// <https://docs.claude.com/en/api/messages>
const ANTHROPIC: Words = &[
    ("annotations", "content.citations"),
    ("arguments", "content.input"),
    ("citations", "content.citations"),
    ("filename", "document.title"),
    ("parallel_tool_calls", "tool_choice.disable_parallel_tool_use"),
    ("reasoning", "thinking"),
    ("reasoning.effort", "output_config.effort"),
    ("reasoning.exclude", "thinking.display"),
    ("reasoning.summary", "thinking.display"),
    ("response_format", "output_config.format"),
    ("stop", "stop_sequences"),
    ("strict", "tools.strict"),
    ("thinking", "content.thinking"),
    ("tool_result.media", "tool_result.content"),
    ("user", "metadata.user_id"),
];
/// <https://ai.google.dev/api/generate-content>
const GEMINI: Words = &[
    ("arguments", "parts.functionCall.args"),
    ("detail", "mediaResolution"),
    ("frequency_penalty", "generationConfig.frequencyPenalty"),
    ("is_error", "functionResponse.response.error"),
    ("messages", "contents"),
    ("presence_penalty", "generationConfig.presencePenalty"),
    ("reasoning", "generationConfig.thinkingConfig"),
    ("reasoning.effort", "generationConfig.thinkingConfig.thinkingLevel"),
    ("reasoning.exclude", "generationConfig.thinkingConfig.includeThoughts"),
    ("reasoning.summary", "generationConfig.thinkingConfig.includeThoughts"),
    ("response_format", "generationConfig.responseSchema"),
    ("response_format: json_object", "generationConfig.responseMimeType: json_object"),
    ("seed", "generationConfig.seed"),
    ("service_tier", "serviceTier"),
    ("stop", "generationConfig.stopSequences"),
    ("system", "systemInstruction"),
    ("temperature", "generationConfig.temperature"),
    ("thinking", "parts.thought"),
    ("tool_choice", "toolConfig.functionCallingConfig.mode"),
    ("tool_choice.allowed_tools", "toolConfig.functionCallingConfig.allowedFunctionNames"),
    ("tool_result.media", "functionResponse.parts"),
    ("top_k", "generationConfig.topK"),
    ("top_p", "generationConfig.topP"),
    ("web_fetch", "urlContext"),
];

/// The name of a field, or a note such as `stop: 6 -> 5` about it, in the words of a client who writes `dialect`. What the
/// client alone has a name for stays as it is.
pub fn in_words_of(dialect: &str, note: &str) -> String {
    let words = match dialect {
        openai_chat::NAME => CHAT,
        openai_responses::NAME => RESPONSES,
        anthropic::NAME => ANTHROPIC,
        gemini::NAME => GEMINI,
        _ => &[],
    };
    let begins = |(name, word): &(&str, &'static str)| {
        let rest = note.strip_prefix(name)?;
        let ends = rest.is_empty() || rest.starts_with([':', ' ']);
        ends.then_some((name.len(), *word, rest))
    };
    // The longest says the most.
    let found = words.iter().filter_map(begins).max_by_key(|(length, ..)| *length);
    found.map_or_else(|| note.to_owned(), |(_, word, rest)| format!("{word}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_begins_with_the_clients_own_name() {
        for (dialect, note, told) in [
            (anthropic::NAME, "stop: 6 -> 5", "stop_sequences: 6 -> 5"),
            (anthropic::NAME, "user", "metadata.user_id"),
            (anthropic::NAME, "user_location", "user_location"),
            (gemini::NAME, "top_p", "generationConfig.topP"),
            (
                gemini::NAME,
                "response_format: json_object -> instruction",
                "generationConfig.responseMimeType: json_object -> instruction",
            ),
            (
                gemini::NAME,
                "response_format: json_schema -> tool",
                "generationConfig.responseSchema: json_schema -> tool",
            ),
            (gemini::NAME, "web_fetch -> web_search", "urlContext -> web_search"),
            (openai_responses::NAME, "verbosity", "text.verbosity"),
            (openai_chat::NAME, "reasoning: none -> low", "reasoning_effort: none -> low"),
            (openai_chat::NAME, "stop", "stop"),
            ("another", "stop", "stop"),
        ] {
            assert_eq!(in_words_of(dialect, note), told, "{dialect}");
        }
    }
}
