//! `POST /api/layers/chat`

use serde_json::json;

use crate::app::App;

#[tokio::test]
async fn a_chat_is_answered_and_billed() {
    let app = App::start().await;
    let models = [
        ("openai", "gpt-4o"),
        ("anthropic", "claude-sonnet-4-5"),
        ("gemini", "gemini-2.5-flash"),
        ("deepseek", "deepseek-v4-flash"),
    ];
    for (provider, model) in models {
        let before = app.price_to_pay().await;
        let chat = json!({ "providerName": provider, "model_name": model, "message": "Hello" });
        let answer = app.chatted(&chat).await;
        let usage = &answer.body["usage"];
        let tokens = |name: &str| usage[name].as_i64().expect("a count");
        assert!(answer.body["content"].as_str().is_some_and(|text| !text.is_empty()));
        assert!(tokens("inputTokens") > 0 && tokens("outputTokens") > 0, "{usage}");
        assert_eq!(tokens("totalTokens"), tokens("inputTokens") + tokens("outputTokens"));

        let after = app.price_to_pay().await;
        let grown = |name: &str| {
            after[name].as_i64().expect("a count") - before[name].as_i64().expect("a count")
        };
        assert_eq!(grown("total_input_tokens"), tokens("inputTokens"));
        assert_eq!(grown("total_output_tokens"), tokens("outputTokens"));
        assert_eq!(grown("total_tokens"), tokens("totalTokens"));
    }
}
