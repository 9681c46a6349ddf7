//! What there is beside chats: counting tokens, vectors, lists of models; and what of a client's request goes on.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledger::Outcome;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::strict::{self, Api};

use crate::app::{Answer, App, Start};
use crate::chat::MODELS;
use crate::pairs::{Wrong, sent_faults};
use crate::speak::{Client, Told};

const TEXT: &str = "How many axles does a lorry have, and what does each of them cost?";

/// Every dialect counts for every provider, for nothing.
#[tokio::test]
async fn tokens_are_counted() {
    let app = App::start().await;
    let mut wrong = Wrong::default();
    for (provider, model) in MODELS {
        let count = |path: String, body: Value| {
            Answer::of(app.request(Method::POST, &path).bearer_auth(&app.key).json(&body))
        };
        let message = json!([{ "role": "user", "content": TEXT }]);
        let answers = [
            (
                count(
                    "/v1/messages/count_tokens".to_owned(),
                    json!({ "model": model, "messages": message }),
                )
                .await,
                Api::AnthropicCountTokens,
                "input_tokens",
            ),
            (
                count(
                    format!("/v1beta/models/{model}:countTokens"),
                    json!({ "contents": [{ "parts": [{ "text": TEXT }] }] }),
                )
                .await,
                Api::GeminiCountTokens,
                "totalTokens",
            ),
            (
                count(
                    "/v1/responses/input_tokens".to_owned(),
                    json!({ "model": model, "input": TEXT }),
                )
                .await,
                Api::OpenaiResponses,
                "input_tokens",
            ),
        ];
        for (answer, api, field) in answers {
            let at = format!("{api:?} × {provider}");
            wrong
                .check(answer.status == 200, || format!("{at}: {} {}", answer.status, answer.body));
            // Four bytes a token, be it the simulator's count or our estimate.
            let expected = TEXT.len().div_ceil(4);
            wrong.check(answer.body[field] == expected, || format!("{at}: {}", answer.body));
            if api == Api::OpenaiResponses {
                wrong.check(answer.body["object"] == "response.input_tokens", || {
                    format!("{at}: {}", answer.body)
                });
            } else {
                for fault in strict::check_answer(api, &answer.body) {
                    wrong.check(false, || format!("{at}: {fault}"));
                }
            }
        }
    }
    for fault in sent_faults(&app) {
        wrong.check(false, || fault);
    }
    assert!(app.close().await.is_empty(), "counting costs nothing");
    wrong.end();
}

const TEXTS: [&str; 2] = ["One axle.", "Two axles, and a trailer."];
type Vectors = Vec<Vec<f32>>;

async fn post(app: &App, path: &str, body: &Value) -> Answer {
    Answer::of(app.request(Method::POST, path).bearer_auth(&app.key).json(body)).await
}

/// What a client of `OpenAI` gets, asking for both texts and for one, in either form: the vectors of both, each time.
async fn vectors_of_openai(app: &App, model: &str, wrong: &mut Wrong) -> Vec<Vectors> {
    let mut all = Vec::new();
    for path in ["/v1/embeddings", "/api/v1/embeddings"] {
        for format in ["float", "base64"] {
            for input in [json!(TEXTS), json!(TEXTS[0])] {
                let count = input.as_array().map_or(1, Vec::len);
                let body = json!({ "model": model, "input": input, "encoding_format": format,
                                   "dimensions": 64 });
                let Answer { status, body, headers } = post(app, path, &body).await;
                let at = format!("{path} × {model}, {format}");
                wrong.check(status == 200, || format!("{at}: {status} {body}"));
                let mut plain = body.clone();
                if path.starts_with("/api/v1") {
                    // What OpenRouter's clients are told besides.
                    let members = ["cost", "cost_details", "is_byok"];
                    let usage = plain["usage"].as_object_mut().expect("an object");
                    let told = members.map(|name| usage.remove(name).is_some());
                    wrong.check(told == [true; 3], || format!("{at}: {}", body["usage"]));
                }
                for fault in strict::check_answer(Api::OpenaiEmbeddings, &plain) {
                    wrong.check(false, || format!("{at}: {fault}"));
                }
                let tokens: usize = TEXTS.iter().take(count).map(|t| t.len().div_ceil(4)).sum();
                let usage = &body["usage"];
                wrong.check(usage["prompt_tokens"] == tokens, || format!("{at}: {usage}"));
                wrong.check(headers.contains_key("x-tollgate-cost"), || format!("{at}: no cost"));
                if count == 2 {
                    all.push((0..2).map(|at| vector(&body["data"][at]["embedding"])).collect());
                }
            }
        }
    }
    all
}

/// The same of a client of Gemini: both texts at once, and the first one by itself.
async fn vectors_of_gemini(app: &App, model: &str, wrong: &mut Wrong) -> Vec<Vectors> {
    let content = |text: &str| json!({ "parts": [{ "text": text }] });
    let request = |text: &&str| {
        json!({ "model": format!("models/{model}"), "content": content(text),
                "outputDimensionality": 64 })
    };
    let requests: Vec<Value> = TEXTS.iter().map(request).collect();
    let path = format!("/v1beta/models/{model}:batchEmbedContents");
    let batch = post(app, &path, &json!({ "requests": requests })).await;
    let path = format!("/v1beta/models/{model}:embedContent");
    let one = json!({ "content": content(TEXTS[0]), "outputDimensionality": 64 });
    let one = post(app, &path, &one).await;
    for (answer, api) in [(&batch, Api::GeminiBatchEmbed), (&one, Api::GeminiEmbed)] {
        wrong.check(answer.status == 200, || format!("{api:?} × {model}: {}", answer.body));
        for fault in strict::check_answer(api, &answer.body) {
            wrong.check(false, || format!("{api:?} × {model}: {fault}"));
        }
    }
    let both: Vectors = (0..2).map(|at| vector(&batch.body["embeddings"][at]["values"])).collect();
    vec![vec![vector(&one.body["embedding"]["values"]), both[1].clone()], both]
}

/// Vectors from both providers for clients of both dialects, as numbers and as base64, and what they cost.
#[tokio::test]
async fn vectors() {
    let app = App::start().await;
    let mut wrong = Wrong::default();
    for model in ["text-embedding-3-small", "gemini-embedding-001"] {
        let mut all = vectors_of_openai(&app, model, &mut wrong).await;
        all.extend(vectors_of_gemini(&app, model, &mut wrong).await);
        // The same texts have the same vectors, whoever asks and in whichever form.
        wrong.check(all.iter().all(|same| *same == all[0]), || format!("{model}: they differ"));
        wrong.check(all[0].iter().all(|one| one.len() == 64), || format!("{model}: dimensions"));
        wrong.check(all[0][0] != all[0][1], || format!("{model}: one vector for two texts"));
    }
    for model in ["claude-sonnet-4-5", "deepseek-v4-flash"] {
        let answer = post(&app, "/v1/embeddings", &json!({ "model": model, "input": "x" })).await;
        wrong.check(answer.status == 400, || format!("{model}: {}", answer.body));
    }
    for fault in sent_faults(&app) {
        wrong.check(false, || fault);
    }
    let receipts = app.close().await;
    wrong.check(receipts.len() == 2 * (8 + 2), || format!("{} receipts", receipts.len()));
    for receipt in receipts {
        let total = receipt.report.total();
        let good =
            total.output_tokens() == 0 && total.input_tokens() > 0 && receipt.charge.pico() > 0;
        wrong.check(good && receipt.outcome == Outcome::Ok, || format!("{receipt:?}"));
    }
    wrong.end();
}

fn vector(value: &Value) -> Vec<f32> {
    match value {
        Value::String(text) => {
            let bytes = STANDARD.decode(text).expect("base64");
            bytes
                .chunks_exact(4)
                .map(|four| f32::from_le_bytes(four.try_into().expect("four")))
                .collect()
        }
        list => serde_json::from_value(list.clone()).expect("numbers"),
    }
}

/// The lists name the same models in every dialect, page by page or at once.
#[tokio::test]
async fn lists_of_models() {
    let app = App::start().await;
    let get = |client: Client, path: String| {
        Answer::of(client.credential(app.request(Method::GET, &path), &app.key))
    };
    let names = |list: &Value, field: &str| -> Vec<String> {
        let list = list.as_array().expect("a list").iter();
        list.map(|model| model[field].as_str().expect("a name").to_owned()).collect()
    };
    let openai = get(Client::Chat, "/v1/models".to_owned()).await;
    assert_eq!((openai.status, &openai.body["object"]), (200, &"list".into()));
    let all = names(&openai.body["data"], "id");
    let set: BTreeSet<&String> = all.iter().collect();
    assert!(all.len() > 100 && set.len() == all.len(), "{} models", all.len());
    for (_, model) in MODELS {
        assert!(all.iter().any(|id| id == model), "{model}");
    }

    let mut paged = Vec::new();
    let mut after = String::new();
    loop {
        let page = get(Client::Messages, format!("/v1/models?limit=37{after}")).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let ids = names(&page.body["data"], "id");
        assert!(ids.len() <= 37);
        assert_eq!(page.body["first_id"], ids[0]);
        let last = ids.last().expect("a model").clone();
        assert_eq!(page.body["last_id"], last);
        assert_eq!(page.body["data"][0]["type"], "model");
        after = format!("&after_id={}", last.replace('/', "%2F"));
        paged.extend(ids);
        if page.body["has_more"] == false {
            break;
        }
    }
    assert_eq!(paged, all);
    // And back again.
    let before = format!("/v1/models?limit=5&before_id={}", all[10]);
    let page = get(Client::Messages, before).await;
    assert_eq!(names(&page.body["data"], "id"), all[5..10]);
    assert_eq!(page.body["has_more"], true);
    let page = get(Client::Messages, format!("/v1/models?limit=5&before_id={}", all[3])).await;
    assert_eq!(names(&page.body["data"], "id"), all[..3]);
    assert_eq!(page.body["has_more"], false);

    let mut paged = Vec::new();
    let mut token = String::new();
    loop {
        let page = get(Client::Gemini, format!("/v1beta/models?pageSize=41{token}")).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let own = names(&page.body["models"], "name").into_iter();
        paged.extend(own.map(|name| name.strip_prefix("models/").expect("a prefix").to_owned()));
        match page.body["nextPageToken"].as_str() {
            Some(next) => token = format!("&pageToken={next}"),
            None => break,
        }
    }
    assert_eq!(paged, all);
    let other = get(Client::Gemini, "/v1alpha/models?pageSize=1000".to_owned()).await;
    assert_eq!(names(&other.body["models"], "name").len(), all.len());

    let router = get(Client::RouterChat, "/api/v1/models".to_owned()).await;
    let ids = names(&router.body["data"], "id");
    assert!(ids.iter().all(|id| id.contains('/')), "{ids:?}");
    let first = get(Client::RouterChat, "/api/v1/models?limit=3&offset=2".to_owned()).await;
    assert_eq!(names(&first.body["data"], "id"), ids[2..5]);
    app.close().await;
}

#[tokio::test]
async fn one_model() {
    let app = App::start().await;
    let mut wrong = Wrong::default();
    let get = |client: Client, path: String| {
        Told::of(client, client.credential(app.request(Method::GET, &path), &app.key))
    };
    for (provider, model) in MODELS {
        for id in [model.to_owned(), format!("{provider}/{model}")] {
            for (client, path, field, name) in [
                (Client::Chat, format!("/v1/models/{id}"), "id", id.clone()),
                (Client::Messages, format!("/v1/models/{id}"), "id", id.clone()),
                (Client::Gemini, format!("/v1beta/models/{id}"), "name", format!("models/{id}")),
                (Client::Gemini, format!("/v1alpha/models/{id}"), "name", format!("models/{id}")),
            ] {
                let told = get(client, path.clone()).await;
                let good = told.status == 200 && told.body()[field] == name;
                wrong.check(good, || format!("{path}: {} {}", told.status, told.raw));
            }
        }
    }
    for (client, path, status) in [
        (Client::Chat, "/v1/models/gpt-none", 404),
        (Client::Messages, "/v1/models/claude-none", 404),
        (Client::Gemini, "/v1beta/models/gemini-none", 404),
        (Client::Messages, "/v1/models?limit=0", 400),
        (Client::Messages, "/v1/models?limit=many", 400),
        (Client::Messages, "/v1/models?after_id=claude-none", 400),
        (Client::Gemini, "/v1beta/models?pageSize=many", 400),
        (Client::Gemini, "/v1beta/models?pageToken=nonsense", 400),
        (Client::RouterChat, "/api/v1/models?limit=many", 400),
    ] {
        let told = get(client, path.to_owned()).await;
        let body = serde_json::from_str(&told.raw).unwrap_or(Value::Null);
        let good = told.status == status && crate::cuts::is_error(client, &body);
        wrong.check(good, || format!("{path}: {} {}", told.status, told.raw));
    }
    for path in ["/v1/models", "/v1/models/gpt-4o"] {
        for client in [Client::Chat, Client::Messages] {
            let told =
                Told::of(client, client.credential(app.request(Method::GET, path), "tg-no")).await;
            let good = told.status == 401 && crate::cuts::is_error(client, &told.body());
            wrong.check(good, || format!("{path}: {} {}", told.status, told.raw));
        }
    }
    app.close().await;
    wrong.end();
}

/// A key that is for some models only sees no others.
#[tokio::test]
async fn a_limited_key_sees_its_models() {
    let app = App::start().await;
    let body = json!({ "models": ["gemini/gemini-2.5-flash"] });
    let made = Answer::of(app.native(Method::POST, "/api/keys/generate").json(&body)).await;
    let key = made.body["key"].as_str().expect("a key");
    let get = |path: &str| Answer::of(app.request(Method::GET, path).bearer_auth(key));
    let list = get("/v1/models").await;
    assert_eq!(list.body["data"].as_array().map(Vec::len), Some(1), "{}", list.body);
    assert_eq!(list.body["data"][0]["id"], "gemini-2.5-flash");
    assert_eq!(get("/v1/models/gemini-2.5-flash").await.status, 200);
    assert_eq!(get("/v1/models/gpt-4o").await.status, 403);
    app.close().await;
}

/// Headers that a provider of the client's own dialect gets from the client.
const FORWARDED: [&str; 3] = ["anthropic-version", "anthropic-beta", "openai-beta"];

/// What of a client's request goes on to a provider of its own dialect: what is meant for it, and nothing else.
#[tokio::test]
async fn what_goes_on_and_what_does_not() {
    let app = App::start_with(Start::default()).await;
    let mut wrong = Wrong::default();
    for client in Client::ALL {
        for (provider, model) in MODELS {
            for stream in [false, true] {
                let body = client.ask(provider, model, "Hello", stream);
                let mut path = client.path(model, stream);
                let mark = if path.contains('?') { '&' } else { '?' };
                path = format!("{path}{mark}beta=true");
                let request = client
                    .credential(app.request(Method::POST, &path), &app.key)
                    .header("anthropic-beta", "one-2026-01-01,two")
                    .header("anthropic-beta", "three")
                    .header("cookie", "session=canary-of-the-client")
                    .header("openai-organization", "canary-of-the-client")
                    .header("x-forwarded-for", "203.0.113.9")
                    .header("x-stainless-lang", "canary-of-the-client")
                    .header("user-agent", "canary-of-the-client")
                    .json(&body);
                let before = app.simulator.count();
                let told = Told::of(client, request).await;
                let at = format!("{client:?} × {model}");
                wrong.check(told.status == 200, || format!("{at}: {} {}", told.status, told.raw));
                assert_eq!(app.simulator.count(), before + 1, "{at}");
                let seen = app.simulator.seen().pop().expect("a request");
                let all = format!(
                    "{:?} {:?} {}",
                    seen.headers,
                    seen.query,
                    String::from_utf8_lossy(&seen.body)
                );
                wrong.check(
                    !all.contains("canary-of-the-client") && !all.contains("203.0.113.9"),
                    || all.clone(),
                );
                wrong.check(!all.contains(&app.key), || format!("{at}: the client's key went on"));
                // Each provider gets its own credential and that of no other.
                let own = format!("canary-{provider}_api_key");
                wrong.check(all.matches("canary-").count() == 1 && all.contains(&own), || {
                    all.clone()
                });
                let query = seen.query.as_deref().unwrap_or_default();
                let same = told_to_its_own(client, provider);
                wrong.check(query.contains("beta=true") == same, || format!("{at}: {query:?}"));
                let betas: Vec<_> = seen.headers.get_all("anthropic-beta").iter().collect();
                let anthropic = client.base() == Client::Messages && same;
                let wanted: &[&str] =
                    if anthropic { &["one-2026-01-01,two", "three"] } else { &[] };
                wrong.check(betas == wanted, || format!("{at}: anthropic-beta: {betas:?}"));
                let version = seen.headers.get("anthropic-version").is_some();
                wrong.check(version == (provider == "anthropic" || anthropic), || {
                    format!("{at}: {:?}", seen.headers)
                });
                for name in seen.headers.keys() {
                    let ours = crate::chat::OURS.contains(&name.as_str());
                    wrong.check(ours || FORWARDED.contains(&name.as_str()), || {
                        format!("{at}: {name}")
                    });
                }
                wrong.check(!told.raw.contains("canary-"), || format!("{at}: {}", told.raw));
                for (name, value) in &told.headers {
                    let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                    wrong.check(!value.contains("canary-"), || format!("{at}: {name}: {value}"));
                }
            }
        }
    }
    assert!(!app.log().await.contains("canary-"), "a credential is in the log");
    app.close().await;
    wrong.end();
}

/// Whether the provider speaks the client's dialect.
fn told_to_its_own(client: Client, provider: &str) -> bool {
    match client.base() {
        // Where OpenRouter's clients look for thoughts, DeepSeek has none.
        _ if client == Client::RouterChat => provider == "openai",
        Client::Chat | Client::Responses => matches!(provider, "openai" | "deepseek"),
        Client::Messages => matches!(provider, "anthropic" | "deepseek"),
        Client::Gemini => provider == "gemini",
        _ => false,
    }
}
