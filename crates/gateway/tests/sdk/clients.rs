//! The SDKs, and what each of them has to show.

use crate::run::{Language, run};

const MODELS: [&str; 8] = [
    "gpt-4o",
    "gpt-5-mini",
    "gpt-5.4",
    "claude-sonnet-4-5",
    "claude-opus-5-5",
    "gemini-2.5-flash",
    "gemini-3-flash-preview",
    "deepseek-v4-flash",
];

/// What every SDK shows with every model.
const EVERYWHERE: [&str; 14] = [
    "plain",
    "stream",
    "tools",
    "tools_stream",
    "parallel_tools",
    "structured",
    "structured_stream",
    "image",
    "bad_key",
    "unknown_model",
    "bad_request",
    "rate_limit",
    "server_error",
    "cancel",
];

/// The same with every model that thinks.
const THINKING: [&str; 2] = ["thinking", "thinking_stream"];
const WITHOUT_THOUGHTS: &str = "gpt-4o";

/// What has nothing to do with a model, or with all.
const ONCE: [&str; 9] = [
    "activity",
    "codes",
    "credits",
    "current_key",
    "endpoints",
    "keys",
    "models",
    "models_of_key",
    "providers",
];

/// What `OpenRouter`'s own SDKs show besides.
const OPENROUTER: [&str; 14] = [
    "responses",
    "responses_stream",
    "responses_tools",
    "embeddings",
    "generation",
    "models",
    "models_of_key",
    "endpoints",
    "providers",
    "current_key",
    "keys",
    "credits",
    "activity",
    "codes",
];

/// The loop that its SDK for Node has besides.
const LOOP: [&str; 2] = ["call_model", "call_model_tools"];

const EMBEDDING: [&str; 2] = ["text-embedding-3-small", "gemini-embedding-001"];

/// Runs a script with the cases that all have, and with `more`, which only its SDK has.
async fn check(language: Language, file: &str, client: &str, more: &[&str]) {
    let mut expected = Vec::new();
    for model in MODELS {
        expected.extend(EVERYWHERE.map(|case| (case, model)));
        if model != WITHOUT_THOUGHTS {
            expected.extend(THINKING.map(|case| (case, model)));
        }
    }
    for case in more {
        match *case {
            "embeddings" => expected.extend(EMBEDDING.map(|model| (*case, model))),
            case if ONCE.contains(&case) => expected.push((case, "all")),
            _ => expected.extend(MODELS.map(|model| (*case, model))),
        }
    }
    run(language, file, client, &expected).await;
}

async fn python(file: &str, client: &str, more: &[&str]) {
    check(Language::Python, file, client, more).await;
}

async fn node(file: &str, client: &str, more: &[&str]) {
    check(Language::Node, file, client, more).await;
}

#[tokio::test]
async fn openai_chat_for_python() {
    python("openai_chat_cases.py", "", &["retry", "embeddings", "models"]).await;
}

#[tokio::test]
async fn openai_responses_for_python() {
    python("openai_responses_cases.py", "", &["count_tokens"]).await;
}

#[tokio::test]
async fn anthropic_for_python() {
    python("anthropic_cases.py", "", &["retry", "count_tokens", "models"]).await;
}

#[tokio::test]
async fn google_genai_for_python() {
    let more = ["tools_by_the_sdk", "count_tokens", "embeddings", "models"];
    python("google_genai_cases.py", "", &more).await;
}

#[tokio::test]
async fn openrouter_for_python() {
    python("openrouter_cases.py", "", &OPENROUTER).await;
}

#[tokio::test]
async fn langchain_openai() {
    python("langchain_cases.py", "openai", &["embeddings"]).await;
}

#[tokio::test]
async fn langchain_openai_responses() {
    python("langchain_cases.py", "openai-responses", &[]).await;
}

#[tokio::test]
async fn langchain_anthropic() {
    python("langchain_cases.py", "anthropic", &[]).await;
}

#[tokio::test]
async fn langchain_google_genai() {
    python("langchain_cases.py", "google", &["embeddings"]).await;
}

#[tokio::test]
async fn openai_chat_for_node() {
    node("openai_chat_cases.mjs", "", &["embeddings", "models"]).await;
}

#[tokio::test]
async fn openai_responses_for_node() {
    node("openai_responses_cases.mjs", "", &["count_tokens"]).await;
}

#[tokio::test]
async fn anthropic_for_node() {
    node("anthropic_cases.mjs", "", &["count_tokens", "models"]).await;
}

#[tokio::test]
async fn google_genai_for_node() {
    node("google_genai_cases.mjs", "", &["count_tokens", "embeddings", "models"]).await;
}

#[tokio::test]
async fn openrouter_for_node() {
    let more = [OPENROUTER.as_slice(), LOOP.as_slice()].concat();
    node("openrouter_cases.mjs", "", &more).await;
}

#[tokio::test]
async fn ai_sdk_openai() {
    node("ai_cases.mjs", "openai", &["embeddings"]).await;
}

#[tokio::test]
async fn ai_sdk_openai_responses() {
    node("ai_cases.mjs", "openai-responses", &["embeddings"]).await;
}

#[tokio::test]
async fn ai_sdk_anthropic() {
    node("ai_cases.mjs", "anthropic", &[]).await;
}

#[tokio::test]
async fn ai_sdk_google() {
    node("ai_cases.mjs", "google", &["embeddings"]).await;
}

#[tokio::test]
async fn ai_sdk_openrouter() {
    node("ai_cases.mjs", "openrouter", &["embeddings"]).await;
}
