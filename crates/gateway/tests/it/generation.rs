//! `GET /api/v1/generation`: an answer's receipt, under every id that its client has of it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{Answer, App, Start};
use crate::books::Books;
use crate::chat::MODELS;
use crate::prices::pico_dollars;
use crate::speak::{Client, Told};

async fn generation(app: &App, key: &str, id: &str) -> Answer {
    let request = app.request(Method::GET, &format!("/api/v1/generation?id={id}"));
    Answer::of(request.bearer_auth(key)).await
}

/// The fields that `OpenRouter` documents, which its SDKs require; as of its API of November 2026.
const FIELDS: [&str; 45] = [
    "api_type",
    "app_id",
    "cache_discount",
    "cancelled",
    "created_at",
    "data_region",
    "external_user",
    "finish_reason",
    "generation_time",
    "http_referer",
    "id",
    "is_byok",
    "latency",
    "model",
    "moderation_latency",
    "native_finish_reason",
    "native_tokens_cached",
    "native_tokens_completion",
    "native_tokens_completion_images",
    "native_tokens_prompt",
    "native_tokens_reasoning",
    "num_fetches",
    "num_input_audio_prompt",
    "num_media_completion",
    "num_media_prompt",
    "num_search_results",
    "origin",
    "preset_id",
    "provider_name",
    "provider_responses",
    "request_id",
    "response_cache_source_id",
    "router",
    "service_tier",
    "session_id",
    "streamed",
    "tokens_completion",
    "tokens_prompt",
    "total_cost",
    "upstream_id",
    "upstream_inference_cost",
    "usage",
    "user_agent",
    "web_search_engine",
    "workspace_id",
];

/// Whole and streamed, whoever answers: the id in the answer, and that in its header, lead to what it cost.
#[tokio::test]
async fn every_answer_is_found_by_its_id() {
    let app = App::start().await;
    for client in [Client::RouterChat, Client::RouterResponses, Client::RouterMessages] {
        for (provider, model) in MODELS {
            for stream in [false, true] {
                let named = format!("{provider}/{model}");
                let body = client.ask(provider, &named, "Hello", stream);
                let told = Told::of(client, client.send(&app, &named, &body, stream)).await;
                assert_eq!(told.status, 200, "{}", told.raw);
                let whole = told.whole();
                let id = whole["id"].as_str().expect("an id").to_owned();
                assert_eq!(told.header("x-generation-id"), told.header("x-request-id"));
                for id in [id.as_str(), told.header("x-request-id")] {
                    let what = format!("{client:?} {named} stream {stream}: {id}");
                    let found = generation(&app, &app.key, id).await;
                    assert_eq!(found.status, 200, "{what}: {}", found.body);
                    let data = &found.body["data"];
                    assert_eq!(data["id"], id, "{what}");
                    assert_eq!(data["model"], named, "{what}");
                    assert_eq!(data["request_id"], told.header("x-request-id"), "{what}");
                    for field in FIELDS {
                        assert!(data.get(field).is_some(), "{what}: no {field} in {data}");
                    }
                }
            }
        }
    }
    app.close().await;
}

/// 1 234 tokens in at 0.15 dollars a million, 567 out at 0.60, and 5 %.
#[tokio::test]
async fn what_it_says_is_what_the_receipt_says() {
    let app = App::start().await;
    let body =
        Client::RouterChat.ask("openai", "openai/gpt-4o-mini", "fixture:worked_example", false);
    let told =
        Told::of(Client::RouterChat, Client::RouterChat.send(&app, "gpt-4o-mini", &body, false))
            .await;
    let id = told.header("x-request-id").to_owned();
    let request = app.request(Method::GET, &format!("/api/v1/generation?id={id}"));
    let text = request.bearer_auth(&app.key).send().await.expect("an answer").text().await;
    let text = text.expect("a body");
    // To the last digit: a JSON reader may round.
    assert!(text.contains(r#""total_cost":0.000551565,"usage":0.000551565"#), "{text}");
    assert!(text.contains(r#""upstream_inference_cost":0.0005253,"#), "{text}");
    let found: Value = serde_json::from_str(&text).expect("JSON");
    let data = &found["data"];
    let tokens = ["tokens_prompt", "tokens_completion", "native_tokens_prompt"];
    assert_eq!(tokens.map(|name| data[name].as_u64()), [Some(1_234), Some(567), Some(1_234)]);
    assert_eq!((&data["cancelled"], &data["is_byok"]), (&json!(false), &json!(false)));
    assert_eq!(
        (&data["provider_name"], &data["data_region"]),
        (&json!("openai"), &json!("global"))
    );
    assert_eq!((&data["finish_reason"], &data["streamed"]), (&Value::Null, &Value::Null));
    let receipts = app.close().await;
    assert_eq!(data["upstream_id"], json!(receipts[0].upstream_id));
    assert_eq!(pico_dollars("0.000551565"), i128::from(receipts[0].charge.pico()));
}

#[tokio::test]
async fn what_is_not_there_or_somebody_elses_is_not_found() {
    let books = Books::sqlite();
    let stranger = books.add_user("bob").await;
    let app = App::start_on(books, Start::default()).await;
    let body = Client::RouterChat.ask("openai", "openai/gpt-4o", "Hello", false);
    let told =
        Told::of(Client::RouterChat, Client::RouterChat.send(&app, "gpt-4o", &body, false)).await;
    let (whole, header) = (told.whole(), told.header("x-request-id").to_owned());
    let id = whole["id"].as_str().expect("an id");
    assert_eq!(generation(&app, &app.key, id).await.status, 200);
    for (key, id) in [
        (&stranger, id),
        (&stranger, header.as_str()),
        (&app.key, "gen-1234567890"),
        (&app.key, "0193a1b2-0000-7000-8000-000000000001"),
    ] {
        let missing = generation(&app, key, id).await;
        assert_eq!(missing.status, 404, "{id}: {}", missing.body);
        assert_eq!(missing.body["error"]["code"], 404, "{}", missing.body);
        assert!(missing.body["error"]["message"].is_string(), "{}", missing.body);
        assert!(!missing.header("x-request-id").is_empty());
    }
    for (key, path, status) in [
        (app.key.as_str(), "/api/v1/generation", 400),
        (&app.key, "/api/v1/generation?id=", 400),
        ("tg-no", "/api/v1/generation?id=x", 401),
    ] {
        let refused = Answer::of(app.request(Method::GET, path).bearer_auth(key)).await;
        assert_eq!(refused.status, status, "{path}: {}", refused.body);
        assert_eq!(refused.body["error"]["code"], status, "{path}: {}", refused.body);
    }
    app.close().await;
}
