//! What a request was held for is what the provider is told, and an answer that goes beyond it ends.

use reqwest::Method;
use serde_json::json;

use crate::app::{Answer, App, Start};
use crate::scripted::{Provider, Scripted};

const CENT: i128 = 10_000_000_000;

fn answer() -> Scripted {
    let body = json!({
        "id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o",
        "choices": [{
            "index": 0, "finish_reason": "stop",
            "message": { "role": "assistant", "content": "Yes." },
        }],
        "usage": { "prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11 },
    });
    let body = body.to_string();
    let head = format!("content-type: application/json\r\ncontent-length: {}", body.len());
    Scripted { head, body, times: 1 }
}

async fn app(provider: &Provider, credit: i128) -> App {
    let start = Start::default().set("OPENAI_BASE_URL", provider.url.clone());
    let mut app = App::start_with(start).await;
    app.pays_first(credit).await;
    app
}

/// A ceiling that the client leaves open is lowered to what can be paid, also where it says so itself.
#[tokio::test]
async fn a_ceiling_of_null_is_none() {
    let provider = Provider::start([]).await;
    let app = app(&provider, 2 * CENT).await;
    for open in [
        r#""max_completion_tokens":null"#,
        r#""max_completion_tok\u0065ns":null"#,
        r#""max_tokens":null"#,
        r#""max_output_tokens":1"#,
    ] {
        provider.say([answer()]);
        let body =
            format!(r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"Hi"}}],{open}}}"#);
        let asked = app.request(Method::POST, "/v1/chat/completions").bearer_auth(&app.key);
        let answer = Answer::of(asked.body(body)).await;
        assert_eq!(answer.status, 200, "{open}: {}", answer.body);
        let asked = provider.asked();
        let most = asked[0]["max_completion_tokens"].as_u64();
        assert!(most.is_some_and(|most| (16..3_000).contains(&most)), "{open}: {asked:?}");
    }
    // Of two the higher is held, because either may be obeyed.
    let two = json!({
        "model": "gpt-4o", "messages": [{ "role": "user", "content": "Hi" }],
        "max_completion_tokens": 1, "max_tokens": 16_000,
    });
    let asked = app.request(Method::POST, "/v1/chat/completions").bearer_auth(&app.key);
    let answer = Answer::of(asked.json(&two)).await;
    assert_eq!(answer.body["error"]["code"], "insufficient_quota", "{}", answer.body);
    app.close().await;
}

/// How many answers are asked for counts, however the number is written.
#[tokio::test]
async fn many_answers_are_held_for() {
    let provider = Provider::start([]).await;
    let app = app(&provider, CENT).await;
    for (number, status) in
        [("8.0", 429), ("\"8\"", 429), ("8e0", 429), ("1.5", 429), ("true", 429), ("1", 200)]
    {
        provider.say([answer()]);
        let body = format!(
            r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"Hi"}}],"max_tokens":500,"n":{number}}}"#
        );
        let asked = app.request(Method::POST, "/v1/chat/completions").bearer_auth(&app.key);
        let answer = Answer::of(asked.body(body)).await;
        assert_eq!(answer.status, status, "{number}: {}", answer.body);
    }
    app.close().await;
}

/// A provider that does not keep to the ceiling is stopped where the credit ends.
#[tokio::test]
async fn a_stream_beyond_its_hold_ends() {
    let event = json!({
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o",
        "choices": [{ "index": 0, "delta": { "content": "x".repeat(256) }, "finish_reason": null }],
    });
    let ends = [
        ("/v1/chat/completions", ["\"finish_reason\":\"length\"", "data: [DONE]"]),
        ("/v1/messages", ["\"stop_reason\":\"max_tokens\"", "event: message_stop"]),
    ];
    for (path, end) in ends {
        let provider = Provider::start([]).await;
        let app = app(&provider, CENT / 5).await;
        let mut endless = Scripted::events(std::slice::from_ref(&event));
        endless.times = 4_000;
        provider.say([endless]);
        let body = json!({
            "model": "openai/gpt-4o", "max_tokens": 10, "stream": true,
            "messages": [{ "role": "user", "content": "Hi" }],
        });
        let asked = app.request(Method::POST, path).bearer_auth(&app.key).json(&body);
        let text = asked.send().await.expect("an answer").text().await.expect("whole");
        assert!(end.iter().all(|end| text.contains(end)), "{path}: {text}");
        assert!(!text.contains("\"error\":{"), "{path}: {text}");
        let length = text.matches('x').count();
        // What comes at once with what is too much does not pass either; where it is translated it does, up to one reading.
        let most = if path.ends_with("completions") { 8_192 } else { 24_576 };
        assert!(length < most, "{path}: {length} bytes");
        let receipts = app.close().await;
        assert_eq!(receipts.len(), 1, "{path}");
        let charge = receipts[0].charge.pico();
        assert!((1_000_000_000..=2_000_000_000).contains(&charge), "{path}: {charge}");
        // No more of it is the house's than what was read at once; all of it would be 2.75 dollars.
        let absorbed = receipts[0].absorbed.pico();
        assert!(absorbed < 100_000_000_000, "{path}: {absorbed}");
    }
}
