//! Thinking: shown as each format shows it, and wanted back as it was given out.

use serde_json::{Value, json};

use crate::start;
use crate::talk::{APIS, Api, Kind};

/// Asks for thinking that can be seen, in the way of each format.
fn think(api: Api, request: &mut Value) {
    match api.kind {
        Kind::Chat if api.provider == testkit::Provider::DeepSeek => {
            request["thinking"] = json!({"type": "enabled"});
        }
        Kind::Chat => request["reasoning_effort"] = "low".into(),
        Kind::Responses => {
            request["reasoning"] = json!({"effort": "low", "summary": "auto"});
            request["include"] = json!(["reasoning.encrypted_content"]);
            request["store"] = false.into();
        }
        Kind::Messages => {
            request["thinking"] = json!({"type": "enabled", "budget_tokens": 2048});
        }
        Kind::Gemini => {
            let thinking = json!({"includeThoughts": true, "thinkingLevel": "LOW"});
            request["generationConfig"] = json!({ "thinkingConfig": thinking });
        }
    }
}

fn seen(api: Api) -> bool {
    !(api.kind == Kind::Chat && api.provider == testkit::Provider::OpenAi)
}

fn apis() -> impl Iterator<Item = Api> {
    APIS.into_iter().map(|mut api| {
        if !seen(api) {
            api.model = "gpt-5.2";
        }
        api
    })
}

#[tokio::test]
async fn thinking_is_shown_and_counted_when_it_is_asked_for() {
    let sim = start().await;
    for api in apis() {
        let plain = api.good(&sim, &api.ask("Why?")).await.0;
        assert_eq!(plain.thought, "", "{api:?}");
        let mut request = api.ask("Why?");
        think(api, &mut request);
        let (got, whole) = api.good(&sim, &request).await;
        assert_eq!(got.text, plain.text, "{api:?}");
        assert_eq!(got.thought.contains("Why?"), seen(api), "{api:?}");
        assert!(got.output > plain.output, "{api:?}");
        let places = [
            "/usage/completion_tokens_details/reasoning_tokens",
            "/usage/output_tokens_details/reasoning_tokens",
            "/usage/output_tokens_details/thinking_tokens",
            "/usageMetadata/thoughtsTokenCount",
        ];
        let counts = places.iter().find_map(|place| whole.pointer(place)?.as_u64());
        assert_eq!(counts, Some(got.output - plain.output), "{api:?}: {whole}");
    }
}

/// A conversation in which a tool was called after thinking, up to the result.
async fn after_a_call(sim: &testkit::Running, api: Api) -> Value {
    let mut request = api.ask("What is the weather?");
    api.offer(&mut request, &[("weather", json!({"type": "object", "properties": {}}))]);
    think(api, &mut request);
    let (got, whole) = api.good(sim, &request).await;
    assert_eq!(got.calls.len(), 1, "{api:?}");
    api.go_on(&mut request, &whole, &["sunny"]);
    request
}

#[tokio::test]
async fn state_that_comes_back_whole_is_taken() {
    let sim = start().await;
    for api in apis() {
        let request = after_a_call(&sim, api).await;
        let (got, _) = api.good(&sim, &request).await;
        assert!(got.text.contains("sunny"), "{api:?}");
    }
}

async fn refused(sim: &testkit::Running, api: Api, request: &Value, message: &str) {
    let (status, body) = api.result(sim, request).await;
    assert_eq!(status, 400, "{api:?}: {body}");
    let told = body["error"]["message"].as_str().expect("a message");
    assert!(told.contains(message), "{told}");
    let streamed = api.send(sim, request, true).await;
    assert_eq!(streamed.status(), 400, "{api:?}");
}

#[tokio::test]
async fn anthropic_wants_its_thinking_back_before_the_call() {
    let (sim, api) = (start().await, APIS[2]);
    let request = after_a_call(&sim, api).await;
    assert_eq!(request["messages"][1]["content"][0]["type"], "thinking");
    let mut without = request.clone();
    without["messages"][1]["content"].as_array_mut().expect("blocks").remove(0);
    refused(&sim, api, &without, "messages.1.content.0.type: Expected `thinking`").await;
    let mut changed = request.clone();
    changed["messages"][1]["content"][0]["thinking"] = "something else".into();
    refused(&sim, api, &changed, "messages.1.content.0: Invalid `signature`").await;
    let mut unsigned = request.clone();
    let block = unsigned["messages"][1]["content"][0].as_object_mut().expect("a block");
    block.remove("signature");
    refused(&sim, api, &unsigned, "signature: Field required").await;
    let mut off = without.clone();
    off.as_object_mut().expect("a request").remove("thinking");
    assert_eq!(api.result(&sim, &off).await.0, 200, "nobody thinks, nothing is missing");
}

#[tokio::test]
async fn anthropic_can_think_without_showing_it() {
    let (sim, api) = (start().await, APIS[2]);
    let mut request = api.ask("Why?");
    request["thinking"] = json!({"type": "enabled", "budget_tokens": 2048, "display": "omitted"});
    let (got, whole) = api.good(&sim, &request).await;
    assert_eq!((got.thought.as_str(), &whole["content"][0]["thinking"]), ("", &json!("")));
    assert!(whole["content"][0]["signature"].as_str().expect("a signature").len() > 50);
}

#[tokio::test]
async fn gemini_wants_the_signature_of_the_call() {
    let (sim, api) = (start().await, APIS[3]);
    let request = after_a_call(&sim, api).await;
    let place = "/contents/1/parts/1/thoughtSignature";
    assert!(request.pointer(place).expect("a signature").is_string());
    let mut without = request.clone();
    without["contents"][1]["parts"][1].as_object_mut().expect("a part").remove("thoughtSignature");
    refused(&sim, api, &without, "missing a thought_signature").await;
    let old = Api { model: "gemini-2.5-flash", ..api };
    let mut request_to_old = without.clone();
    request_to_old["generationConfig"] = json!({});
    assert_eq!(old.result(&sim, &request_to_old).await.0, 200);
    let mut changed = request.clone();
    *changed.pointer_mut(place).expect("a signature") = "AAAA".into();
    refused(&sim, api, &changed, "not valid").await;
    *changed.pointer_mut(place).expect("a signature") = "skip_thought_signature_validator".into();
    assert_eq!(api.result(&sim, &changed).await.0, 200);
    let mut later = without.clone();
    let contents = later["contents"].as_array_mut().expect("contents");
    contents.push(json!({"role": "model", "parts": [{"text": "It is sunny."}]}));
    contents.push(json!({"role": "user", "parts": [{"text": "And now?"}]}));
    assert_eq!(api.result(&sim, &later).await.0, 200, "an earlier turn need not be signed");
}

#[tokio::test]
async fn deepseek_wants_its_reasoning_back_with_the_call() {
    let (sim, api) = (start().await, APIS[4]);
    let request = after_a_call(&sim, api).await;
    let mut without = request.clone();
    without["messages"][1].as_object_mut().expect("a message").remove("reasoning_content");
    refused(&sim, api, &without, "`reasoning_content`").await;
    without["thinking"] = json!({"type": "disabled"});
    assert_eq!(api.result(&sim, &without).await.0, 200);
}

#[tokio::test]
async fn responses_want_reasoning_items_whole_and_before_their_calls() {
    let (sim, api) = (start().await, APIS[1]);
    let request = after_a_call(&sim, api).await;
    let kinds = request["input"].as_array().expect("items").iter();
    let kinds: Vec<&Value> = kinds.map(|item| &item["type"]).collect();
    assert_eq!(kinds[1..], ["reasoning", "function_call", "function_call_output"]);
    let mut alone = request.clone();
    let items = alone["input"].as_array_mut().expect("items");
    items.truncate(2);
    refused(&sim, api, &alone, "without its required following item").await;
    let mut changed = request.clone();
    changed["input"][1]["encrypted_content"] = "AAAA".into();
    refused(&sim, api, &changed, "could not be verified").await;
    let mut null = request.clone();
    null["input"][1]["status"] = Value::Null;
    refused(&sim, api, &null, "input[1].status").await;
    let mut bare = request.clone();
    bare["input"][1].as_object_mut().expect("an item").remove("encrypted_content");
    assert_eq!(api.result(&sim, &bare).await.0, 404, "nothing was stored");
}
