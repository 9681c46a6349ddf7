//! What models refuse, in the words of their providers.

use serde_json::{Value, json};
use testkit::{Provider, Running};

use crate::talk::{APIS, Api};
use crate::{is_error_of, path, post, start};

async fn with(sim: &Running, mut api: Api, model: &'static str, extra: &Value) -> (u16, Value) {
    api.model = model;
    let mut request = api.ask("Hello");
    for (key, value) in extra.as_object().expect("an object") {
        request[key] = value.clone();
    }
    api.result(sim, &request).await
}

fn tools() -> Value {
    json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}])
}

#[tokio::test]
async fn reasoning_models_refuse_what_the_others_take() {
    let sim = start().await;
    let cases = [
        (json!({"max_tokens": 50}), "max_tokens", "unsupported_parameter"),
        (json!({"temperature": 0.5}), "temperature", "unsupported_value"),
        (json!({"top_p": 0.5}), "top_p", "unsupported_value"),
        (json!({"presence_penalty": 0.5}), "presence_penalty", "unsupported_parameter"),
        (json!({"logprobs": true}), "logprobs", "unsupported_parameter"),
        (json!({"stop": "x"}), "stop", "unsupported_parameter"),
        (json!({"tools": tools()}), "reasoning_effort", "unsupported_parameter"),
        (json!({"reasoning_effort": "minimal"}), "reasoning_effort", "unsupported_value"),
    ];
    for (extra, param, code) in cases {
        let (status, body) = with(&sim, APIS[0], "gpt-5.4", &extra).await;
        assert_eq!(status, 400, "{extra}: {body}");
        assert!(is_error_of(Provider::OpenAi, status, &body));
        assert_eq!(
            (&body["error"]["param"], &body["error"]["code"]),
            (&json!(param), &json!(code))
        );
        if param != "reasoning_effort" {
            let (status, body) = with(&sim, APIS[0], "gpt-4o", &extra).await;
            assert_eq!(status, 200, "{extra}: {body}");
        }
    }
    let taken = [
        ("gpt-5.4", json!({"tools": tools(), "reasoning_effort": "none"})),
        ("gpt-5.4", json!({"temperature": 0.5, "reasoning_effort": "none"})),
        ("gpt-5.4", json!({"temperature": 1, "max_completion_tokens": 50, "logprobs": false})),
        ("gpt-5.2", json!({"tools": tools()})),
        ("gpt-4o", json!({"tools": tools()})),
    ];
    for (model, extra) in taken {
        let (status, body) = with(&sim, APIS[0], model, &extra).await;
        assert_eq!(status, 200, "{model} {extra}: {body}");
    }
    for (model, effort) in [("gpt-4o", "low"), ("gpt-6-astra", "none"), ("gpt-5", "none")] {
        let extra = json!({"reasoning_effort": effort});
        assert_eq!(with(&sim, APIS[0], model, &extra).await.0, 400, "{model} {effort}");
    }
}

#[tokio::test]
async fn responses_refuse_what_is_not_theirs() {
    let sim = start().await;
    let cases = [
        ("gpt-4o", json!({"max_output_tokens": 15}), "max_output_tokens"),
        ("gpt-4o", json!({"stop": "x"}), "stop"),
        ("gpt-4o", json!({"reasoning": {"effort": "low"}}), "reasoning.effort"),
        ("gpt-4o", json!({"include": ["reasoning.encrypted_content"]}), "include"),
        ("gpt-5.4", json!({"temperature": 0.2}), "temperature"),
        ("gpt-6-astra", json!({"reasoning": {"effort": "none"}}), "reasoning.effort"),
    ];
    for (model, extra, param) in cases {
        let (status, body) = with(&sim, APIS[1], model, &extra).await;
        assert_eq!((status, &body["error"]["param"]), (400, &json!(param)), "{extra}: {body}");
    }
    for (model, extra) in [
        ("gpt-4o", json!({"max_output_tokens": 16, "temperature": 0.2})),
        ("gpt-5.4", json!({"tools": [{"type": "function", "name": "f", "parameters": {}}]})),
    ] {
        assert_eq!(with(&sim, APIS[1], model, &extra).await.0, 200, "{extra}");
    }
}

#[tokio::test]
async fn claude_models_differ_in_what_they_take() {
    let sim = start().await;
    let forced = json!({
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "any"},
    });
    let thinking = |kind: &str| json!({"thinking": {"type": kind, "budget_tokens": 1024}});
    // Of each: a model that takes it, and one that does not.
    let cases = [
        (json!({"temperature": 0.5}), "claude-opus-4-6", "claude-opus-4-7"),
        (json!({"top_k": 5}), "claude-haiku-4-5", "claude-haiku-5-5"),
        (forced, "claude-opus-5", "claude-opus-5-5"),
        (thinking("enabled"), "claude-sonnet-5", "claude-sonnet-5-5"),
        (thinking("adaptive"), "claude-sonnet-4-6", "claude-sonnet-4-5"),
        (thinking("disabled"), "claude-haiku-5-5", "claude-fable-5-1"),
        (thinking("between_tools"), "claude-sonnet-5-5", "claude-opus-5-5"),
        (json!({"output_config": {"effort": "xhigh"}}), "claude-opus-4-7", "claude-opus-4-6"),
        (json!({"temperature": 0.5, "top_p": 1.0}), "claude-sonnet-4-0", "claude-sonnet-4-5"),
        (json!({"temperature": 1.0}), "claude-fable-5", ""),
    ];
    for (extra, takes, refuses) in cases {
        let (status, body) = with(&sim, APIS[2], takes, &extra).await;
        assert_eq!(status, 200, "{takes} {extra}: {body}");
        if refuses.is_empty() {
            continue;
        }
        let (status, body) = with(&sim, APIS[2], refuses, &extra).await;
        assert_eq!(status, 400, "{refuses} {extra}");
        assert!(is_error_of(Provider::Anthropic, status, &body));
    }
    let refused = [
        json!({"thinking": {"type": "enabled", "budget_tokens": 1023}}),
        json!({"thinking": {"type": "enabled", "budget_tokens": 4096}}),
        json!({"thinking": {"type": "enabled", "budget_tokens": 1024}, "temperature": 0.5}),
        json!({"temperature": 1.5}),
    ];
    for extra in refused {
        assert_eq!(with(&sim, APIS[2], "claude-sonnet-4-5", &extra).await.0, 400, "{extra}");
    }
}

#[tokio::test]
async fn a_prefilled_answer_is_for_older_claudes() {
    let sim = start().await;
    let messages =
        json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "{"}]);
    let extra = json!({ "messages": messages });
    assert_eq!(with(&sim, APIS[2], "claude-sonnet-4-5", &extra).await.0, 200);
    assert_eq!(with(&sim, APIS[2], "claude-sonnet-4-6", &extra).await.0, 400);
}

#[tokio::test]
async fn anthropics_second_version_has_no_sampling() {
    let sim = start().await;
    for (version, expected) in [("2023-06-01", 200), ("2026-10-21", 400)] {
        let mut request = APIS[2].ask("Hello");
        request["temperature"] = 1.into();
        let url = format!("{}{}", sim.url(), path(Provider::Anthropic));
        let sent = reqwest::Client::new().post(url).bearer_auth("k").json(&request);
        let response = sent.header("anthropic-version", version).send().await.expect("sent");
        assert_eq!(response.status(), expected, "{version}");
    }
}

#[tokio::test]
async fn gemini_models_differ_too() {
    let sim = start().await;
    let thinking = |config: Value| json!({"generationConfig": {"thinkingConfig": config}});
    let structured = json!({
        "tools": [{"functionDeclarations": [{"name": "f"}]}],
        "generationConfig": {"responseMimeType": "application/json"},
    });
    let cases = [
        ("gemini-2.5-flash", thinking(json!({"thinkingBudget": 0})), 200),
        ("gemini-2.5-pro", thinking(json!({"thinkingBudget": 0})), 400),
        ("gemini-2.5-flash", thinking(json!({"thinkingLevel": "LOW"})), 400),
        ("gemini-3.6-flash", thinking(json!({"thinkingLevel": "LOW"})), 200),
        ("gemini-3.6-flash", thinking(json!({"thinkingLevel": "LOW", "thinkingBudget": 5})), 400),
        ("gemini-2.5-flash", structured.clone(), 400),
        ("gemini-3.6-flash", structured, 200),
    ];
    for (model, extra, expected) in cases {
        let mut request = APIS[3].ask("Hello");
        for (key, value) in extra.as_object().expect("an object") {
            request[key] = value.clone();
        }
        let path = format!("/v1beta/models/{model}:generateContent");
        let sent = post(&sim, Provider::Gemini, &path).json(&request).send().await.expect("sent");
        assert_eq!(sent.status(), expected, "{model} {extra}");
    }
}

#[tokio::test]
async fn deepseek_refuses_what_it_does_not_know() {
    let sim = start().await;
    let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}]);
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {}}});
    for extra in [
        json!({"response_format": format}),
        json!({"messages": image}),
        json!({"tools": [{"type": "custom", "custom": {"name": "f"}}]}),
    ] {
        let (status, body) = with(&sim, APIS[4], "deepseek-v4-flash", &extra).await;
        assert_eq!(status, 400, "{extra}");
        assert!(is_error_of(Provider::DeepSeek, status, &body));
    }
    let extra = json!({ "messages": image });
    assert_eq!(with(&sim, APIS[4], "deepseek-v4-flash-vision-exp", &extra).await.0, 200);
    let custom = json!({"tools": [{"type": "custom", "name": "f", "input_schema": {}}]});
    let (status, body) = with(&sim, APIS[5], "deepseek-v4-pro", &custom).await;
    assert_eq!(status, 400);
    assert!(is_error_of(Provider::Anthropic, status, &body), "Anthropic's format, its errors");
    assert_eq!(with(&sim, APIS[2], "claude-sonnet-4-5", &custom).await.0, 200);
}
