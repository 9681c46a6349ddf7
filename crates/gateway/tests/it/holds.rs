//! What is held for a request whose price its body does not show: never less than it may cost, and for an ordinary one
//! never more than its bytes may be.

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{Answer, App};
use crate::prices::Row;

const DOLLAR: i128 = 1_000_000_000_000;

const OPUS: &str = "claude-opus-5-5";
const HAIKU: &str = "claude-haiku-4-5";
const GPT: &str = "gpt-5.4";
const GEMINI: &str = "gemini-2.5-flash";

/// So many tokens at the price of a column, in pico-dollars.
fn cost(provider: &str, model: &str, column: &str, tokens: i128) -> i128 {
    Row::of(provider, model).price(column, 1_000_000).expect("a price") * tokens
}

/// With the commission of five in a hundred.
fn charged(cost: i128) -> i128 {
    (cost * 105 + 99) / 100
}

fn opus(tokens: i128, answer: i128) -> i128 {
    cost("anthropic", OPUS, "cache_write_1h_per_mtok", tokens)
        + cost("anthropic", OPUS, "output_per_mtok", answer)
}

/// All that fits: 1 M tokens and an answer.
fn opus_window(answer: i128) -> i128 {
    charged(opus(1_000_000, answer))
}

/// All that fits, at the rates of a long prompt.
fn gpt_window(answer: i128) -> i128 {
    let input = cost("openai", GPT, "tier_input_per_mtok", 1_050_000);
    charged(input + cost("openai", GPT, "tier_output_per_mtok", answer))
}

/// A request with more members, or others.
fn with(mut body: Value, more: &Value) -> Value {
    let more = more.as_object().expect("an object").clone();
    body.as_object_mut().expect("an object").extend(more);
    body
}

fn messages(more: &Value) -> (&'static str, Value) {
    let body = json!({ "model": OPUS, "max_tokens": 200, "messages": [{"role": "user", "content": "go on"}] });
    ("/v1/messages", with(body, more))
}

fn content(block: &Value) -> (&'static str, Value) {
    messages(
        &json!({ "messages": [{"role": "user", "content": [block, {"type": "text", "text": "x"}]}] }),
    )
}

fn responses(item: &Value) -> (&'static str, Value) {
    let input = json!([{"role": "user", "content": "x"}, item, {"role": "user", "content": "y"}]);
    ("/v1/responses", json!({ "model": GPT, "max_output_tokens": 200, "input": input }))
}

fn gemini(part: &Value) -> (&'static str, Value) {
    let contents = json!([{"role": "user", "parts": [{"text": "x"}, part]}]);
    let body = json!({ "contents": contents, "generationConfig": {"maxOutputTokens": 200} });
    ("/v1beta/models/gemini-2.5-flash:generateContent", body)
}

async fn send(app: &App, path: &str, body: &Value) -> Answer {
    let request = app.request(Method::POST, path).bearer_auth(&app.key).json(body);
    Answer::of(request.header("anthropic-version", "2023-06-01")).await
}

/// What was held for each of these, in their order. All of them get to the provider, whatever it thinks of them.
async fn held(cases: &[(&'static str, Value)]) -> Vec<i128> {
    let mut app = App::start().await;
    app.pays_first(1_000 * DOLLAR).await;
    let mut ids = Vec::new();
    for (path, body) in cases {
        let answer = send(&app, path, body).await;
        let sent = u64::try_from(ids.len()).expect("few") + 1;
        assert_eq!(app.simulator.count(), sent, "{body}: {}", answer.body);
        ids.push(answer.header("x-request-id").to_owned());
    }
    let receipts = app.close().await;
    let bound = |id: &String| {
        let found = receipts.iter().find(|receipt| receipt.request_id.to_string() == *id);
        i128::from(found.and_then(|receipt| receipt.bound).expect("a hold").pico())
    };
    ids.iter().map(bound).collect()
}

/// What the provider has stored may be as long as the model's window.
#[tokio::test]
async fn what_is_stored_at_the_provider() {
    let cases = [
        messages(&json!({ "thread": {"type": "continue", "previous_message_id": "msg_1"} })),
        content(&json!({"type": "container_upload", "file_id": "file_1"})),
        content(&json!({"type": "document", "source": {"type": "file", "file_id": "file_1"}})),
        content(&json!({"type": "novelty", "of": "thing_1"})),
        responses(&json!({"type": "item_reference", "id": "msg_1"})),
        responses(&json!({"type": "compaction", "id": "cmp_1"})),
        responses(&json!({"type": "image_generation_call", "id": "ig_1"})),
        responses(&json!({"type": "novelty", "id": "n_1"})),
        gemini(&json!({"fileData": {"fileUri": "files/x", "mimeType": "video/mp4"}})),
        gemini(&json!({"novelty": {"of": "x"}})),
    ];
    let gemini_window = charged(
        cost("gemini", GEMINI, "audio_input_per_mtok", 1_048_576)
            + cost("gemini", GEMINI, "output_per_mtok", 200),
    );
    let windows = [(opus_window(200), 4), (gpt_window(200), 4), (gemini_window, 2)];
    let expected = windows.into_iter().flat_map(|(window, times)| vec![window; times]);
    for ((held, expected), (_, body)) in held(&cases).await.into_iter().zip(expected).zip(&cases) {
        assert_eq!(held, expected, "{body}");
    }
}

/// Thoughts that are there by their id are no longer than an answer may be.
#[tokio::test]
async fn thoughts_by_their_id() {
    let cases = [responses(&json!({"type": "reasoning", "id": "rs_1", "summary": []}))];
    let thoughts = charged(cost("openai", GPT, "input_per_mtok", 128_000));
    let held = held(&cases).await[0];
    assert!((thoughts..thoughts * 11 / 10).contains(&held), "{held}, not about {thoughts}");
}

/// All that these read is in the body, byte for byte.
#[tokio::test]
async fn what_is_whole() {
    let cases = [
        messages(&json!({ "thread": {"type": "create"} })),
        messages(
            &json!({ "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]} }),
        ),
        messages(&json!({ "speed": "standard", "inference_geo": "global" })),
        messages(&json!({ "fallbacks": [] })),
        content(&json!({"type": "compaction", "content": "It was about x."})),
        content(&json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}})),
        content(&json!({"type": "search_result", "source": "a", "title": "b", "content": []})),
        responses(
            &json!({"type": "message", "role": "assistant", "id": "msg_1", "content": [{"type": "output_text", "text": "x", "annotations": [{"type": "file_citation", "file_id": "f"}]}]}),
        ),
        responses(
            &json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}),
        ),
        responses(&json!({"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAAA"})),
        responses(&json!({"type": "mcp_list_tools", "id": "l", "server_label": "s", "tools": []})),
        responses(
            &json!({"type": "additional_tools", "role": "developer", "tools": [{"type": "function", "name": "f"}]}),
        ),
        gemini(&json!({"executableCode": {"language": "PYTHON", "code": "1"}})),
    ];
    for (held, (_, body)) in held(&cases).await.into_iter().zip(&cases) {
        // 512 tokens around it, of the dearest kind.
        let most = charged(opus(512, 0))
            + charged(opus(i128::try_from(body.to_string().len()).expect("short"), 200));
        assert!(held <= most, "{body}: {held}, more than {most}");
    }
}

/// Terms that multiply the price, and other models in the place of the one asked for.
#[tokio::test]
async fn on_which_terms() {
    let text = "word ".repeat(200);
    let say = json!([{"role": "user", "content": text}]);
    let plain = json!({ "messages": say, "max_tokens": 20_000 });
    let with = |more: Value| messages(&with(plain.clone(), &more));
    let cases = [
        with(json!({})),
        with(json!({ "speed": "fast" })),
        with(json!({ "inference_geo": "us" })),
        with(json!({ "model": HAIKU, "fallbacks": [{"model": OPUS}] })),
        with(
            json!({ "model": HAIKU, "fallbacks": [{"model": OPUS, "max_tokens": 50_000, "speed": "fast"}] }),
        ),
        with(json!({ "context_management": {"edits": [{"type": "compact_20260112"}]} })),
        with(json!({ "service_tier": "batch" })),
    ];
    let held = held(&cases).await;
    let [plain, fast, us, fallback, longer, compact, batch] = held[..] else { panic!("{held:?}") };
    let answer = |tokens| charged(cost("anthropic", OPUS, "output_per_mtok", tokens));
    assert!((answer(20_000)..answer(21_000)).contains(&plain), "{plain}");
    // Twice as much, and half an answer of a tenth on top.
    assert!((answer(40_000)..answer(42_000)).contains(&fast), "{fast}");
    assert!((answer(22_000)..answer(23_500)).contains(&us), "{us}");
    assert!((answer(20_000)..answer(21_000)).contains(&fallback), "{fallback}");
    assert!((answer(100_000)..answer(102_000)).contains(&longer), "{longer}");
    // The summary is as long as the model can write.
    assert!((answer(148_000)..answer(150_000)).contains(&compact), "{compact}");
    assert!(batch >= answer(20_000), "{batch}");
}

/// What cannot be known is refused before it is sent.
#[tokio::test]
async fn other_models_that_have_no_price() {
    let mut app = App::start().await;
    app.pays_first(1_000 * DOLLAR).await;
    for (fallbacks, word) in [
        (json!("default"), "name the models"),
        (json!([{"model": "claude-of-tomorrow"}]), "claude-of-tomorrow"),
    ] {
        let (path, body) = messages(&json!({ "fallbacks": fallbacks }));
        let answer = send(&app, path, &body).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert!(answer.body.to_string().contains(word), "{}", answer.body);
    }
    assert_eq!(app.simulator.count(), 0);
    app.close().await;
}

/// Credit that does not pay for all that may be stored pays for nothing of it.
#[tokio::test]
async fn a_little_credit_does_not_pay_for_what_is_stored() {
    let mut app = App::start().await;
    app.pays_first(DOLLAR / 2).await;
    for (path, body) in [
        messages(&json!({ "thread": {"type": "continue", "previous_message_id": "msg_1"} })),
        responses(&json!({"type": "item_reference", "id": "msg_1"})),
    ] {
        let answer = send(&app, path, &body).await;
        assert!(matches!(answer.status, 402 | 429), "{body}: {} {}", answer.status, answer.body);
    }
    assert_eq!(app.simulator.count(), 0);
    assert!(app.close().await.is_empty());
}

/// A key with credit or a budget is as free to say what is new as any other.
#[tokio::test]
async fn what_is_new_passes_and_is_held_for() {
    let user = |content: Value| json!([{ "role": "user", "content": content }]);
    let chat = |more: Value| {
        let body = json!({ "model": GPT, "max_tokens": 500, "messages": user(json!("q")) });
        ("/v1/chat/completions", with(body, &more))
    };
    let response = |more: Value| {
        let body = json!({ "model": GPT, "max_output_tokens": 500, "input": "q" });
        ("/v1/responses", with(body, &more))
    };
    let say = |more: Value| messages(&with(json!({ "messages": user(json!("q")) }), &more));
    let short = [
        chat(json!({ "reasoning_effort": "ultra" })),
        chat(json!({ "messages": [{ "role": "critic", "content": "q" }] })),
        response(json!({ "reasoning": { "effort": "ultra" } })),
        response(json!({ "text": { "format": { "type": "grammar", "definition": "x" } } })),
        response(
            json!({ "tool_choice": { "type": 5 }, "tools": [{ "type": "function", "name": "a" }] }),
        ),
        say(json!({ "thinking": { "type": "hyper" } })),
        say(json!({ "output_config": { "effort": "ultra" } })),
        say(json!({ "tool_choice": { "type": "some" }, "tools": [{ "name": "a" }] })),
        (
            "/v1/completions",
            json!({ "model": "gpt-3.5-turbo-instruct", "prompt": ["a", "b"], "max_tokens": 5 }),
        ),
        (
            "/v1beta/models/gemini-2.5-flash:generateContent",
            json!({ "contents": [{ "parts": [{ "text": "x" }] }], "generationConfig": { "maxOutputTokens": "100", "temperature": "0.5" } }),
        ),
    ];
    for (held, (path, body)) in held(&short).await.into_iter().zip(&short) {
        // Two thousand tokens of each are more than all of these are.
        let most = charged(opus(2_000, 2_000));
        assert!((1..most).contains(&held), "{path} {body}: {held}, more than {most}");
    }
    let long = [
        response(
            json!({ "tool_choice": { "type": 5 }, "input": [{ "type": "item_reference", "id": "m" }] }),
        ),
        response(json!({ "input": [{ "id": "msg_1" }] })),
    ];
    for (held, (path, body)) in held(&long).await.into_iter().zip(&long) {
        assert_eq!(held, gpt_window(500), "{path} {body}");
    }
}

/// A ceiling that the body names already, though as nothing, is not written a second time: nobody knows which one counts.
#[tokio::test]
async fn a_ceiling_of_null() {
    let mut app = App::start().await;
    app.pays_first(DOLLAR / 50).await;
    let body = r#"{"model":"gpt-4o","input":"q","max_output_tokens":null}"#;
    let escaped = r#"{"model":"gpt-4o","input":"q","max_output_\u0074okens":null}"#;
    for body in [body, escaped] {
        let request = app.request(Method::POST, "/v1/responses").bearer_auth(&app.key);
        let request = request.header("content-type", "application/json").body(body);
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let sent = app.simulator.seen().pop().expect("a request").body;
        let sent = String::from_utf8(sent.to_vec()).expect("text");
        assert_eq!(sent.matches("okens").count(), 1, "{sent}");
        let sent: Value = serde_json::from_str(&sent).expect("JSON");
        assert!(sent["max_output_tokens"].as_u64().is_some_and(|most| most < 2_000), "{sent}");
    }
    app.close().await;
}

/// A search that nobody could charge is not asked for, whoever pays when.
#[tokio::test]
async fn a_search_without_a_price() {
    let app = App::start().await;
    let body = json!({ "model": "deepseek/deepseek-v4-flash", "input": "q", "tools": [{ "type": "web_search" }] });
    let answer = send(&app, "/v1/responses", &body).await;
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert!(answer.body.to_string().contains("web_search"), "{}", answer.body);
    assert_eq!(app.simulator.count(), 0);
    let function = json!({ "model": "deepseek/deepseek-v4-flash", "input": "q", "tools": [{ "type": "function", "name": "web_search", "parameters": {"type": "object", "properties": {}} }] });
    let answer = send(&app, "/v1/responses", &function).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    app.close().await;
}
