//! What each kind of client is told when its request is refused: a body of its own dialect, the right status, and the
//! headers that its SDK looks for.

use reqwest::Method;
use serde_json::{Value, json};
use std::io::Write as _;

use crate::app::{App, Start, USER};
use crate::chat::MODELS;
use crate::cuts::is_error;
use crate::pairs::Wrong;
use crate::speak::{Client, Told};

/// The words that a dialect has for a kind of error: of `OpenAI` its code, of Anthropic its type, of Gemini its status.
struct Words {
    status: u16,
    openai: &'static str,
    anthropic: &'static str,
    gemini: &'static str,
}

const UNKNOWN_KEY: Words = Words {
    status: 401,
    openai: "invalid_api_key",
    anthropic: "authentication_error",
    gemini: "UNAUTHENTICATED",
};
const FORBIDDEN: Words = Words {
    status: 403,
    openai: "model_not_allowed",
    anthropic: "permission_error",
    gemini: "PERMISSION_DENIED",
};
const UNKNOWN_MODEL: Words = Words {
    status: 404,
    openai: "model_not_found",
    anthropic: "not_found_error",
    gemini: "NOT_FOUND",
};
const NOTHING_THERE: Words = Words { openai: "not_found", ..UNKNOWN_MODEL };
const BAD_REQUEST: Words = Words {
    status: 400,
    openai: "",
    anthropic: "invalid_request_error",
    gemini: "INVALID_ARGUMENT",
};
const TOO_LARGE: Words = Words {
    status: 413,
    openai: "body_too_large",
    anthropic: "request_too_large",
    gemini: "INVALID_ARGUMENT",
};
const WRONG_METHOD: Words = Words { status: 405, openai: "method_not_allowed", ..BAD_REQUEST };
const WRONG_ENCODING: Words = Words { status: 415, openai: "unsupported_encoding", ..BAD_REQUEST };

/// Everything that a refusal has to have.
fn check(client: Client, at: &str, told: &Told, words: &Words, wrong: &mut Wrong) {
    let body = serde_json::from_str(&told.raw).unwrap_or(Value::Null);
    let error = &body["error"];
    let mut say = |good: bool, what: &str| {
        wrong.check(good, || format!("{at}: {what}: {} {}", told.status, told.raw));
    };
    say(told.status == words.status, "status");
    say(is_error(client, &body), "form");
    say(told.header("content-type") == "application/json", "content type");
    let word = match client {
        Client::Chat | Client::Responses | Client::Completions => {
            (error["code"].as_str().unwrap_or_default(), words.openai)
        }
        Client::Messages | Client::RouterMessages => {
            (error["type"].as_str().unwrap_or_default(), words.anthropic)
        }
        Client::Gemini => {
            say(error["code"] == words.status, "the code is the status");
            (error["status"].as_str().unwrap_or_default(), words.gemini)
        }
        Client::Native => ("", ""),
        _ => {
            say(error["code"] == words.status, "the code is the status");
            ("", "")
        }
    };
    say(word.0 == word.1, "word");
    let id = told.header("x-request-id");
    say(id.len() == 36 && told.header("request-id") == id, "request id");
    say(told.header("x-should-retry") == "false", "x-should-retry");
    say(told.header("retry-after").is_empty(), "retry-after");
}

async fn told(client: Client, request: reqwest::RequestBuilder) -> Told {
    Told::of(client, request).await
}

#[tokio::test]
async fn keys_that_are_none() {
    let app = App::start().await;
    let mut wrong = Wrong::default();
    let revoked = app.books.cli(&["key", "create", "--user", USER, "--name", "old"]).await;
    app.books.cli(&["key", "revoke", &revoked]).await;
    let expired = app.books.cli(&["key", "create", "--user", USER, "--name", "short"]).await;
    app.books.shell("UPDATE tollgate.api_keys SET expires_at = 1 WHERE name = 'short'").await;
    let limited = json!({ "models": ["gemini/gemini-2.5-flash"] });
    let limited = app.native(Method::POST, "/api/keys/generate").json(&limited);
    let limited =
        crate::app::Answer::of(limited).await.body["key"].as_str().expect("a key").to_owned();
    // The snapshot is taken anew every second at least; a new key is seen at once.
    let stranger = "tg-000000000000000000000000000000000000";
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while app
        .request(Method::GET, "/v1/models")
        .bearer_auth(&expired)
        .send()
        .await
        .expect("an answer")
        .status()
        != 401
    {
        assert!(std::time::Instant::now() < deadline, "the key never expired");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    for client in Client::ALL {
        let body = client.ask("openai", "gpt-4o", "Hello", false);
        let path = client.path("gpt-4o", false);
        for key in [stranger, "tg-short", "", &revoked, &expired] {
            let request = client.credential(app.request(Method::POST, &path), key).json(&body);
            let told = told(client, request).await;
            check(client, &format!("{client:?} with {key:?}"), &told, &UNKNOWN_KEY, &mut wrong);
            let about = if *key == revoked {
                "revoked"
            } else if *key == expired {
                "expired"
            } else {
                "key"
            };
            wrong.check(told.raw.contains(about), || format!("{client:?}, {about}: {}", told.raw));
        }
        let request = app.request(Method::POST, &path).header("user", USER).json(&body);
        check(
            client,
            &format!("{client:?} without a key"),
            &told(client, request).await,
            &UNKNOWN_KEY,
            &mut wrong,
        );
        let request = client.credential(app.request(Method::POST, &path), &limited).json(&body);
        check(
            client,
            &format!("{client:?}, not its model"),
            &told(client, request).await,
            &FORBIDDEN,
            &mut wrong,
        );
    }
    assert_eq!(app.simulator.count(), 0);
    app.close().await;
    wrong.end();
}

/// A key is taken from any place, on any surface; one in the query goes no further.
#[tokio::test]
async fn a_key_is_taken_from_any_place() {
    let app = App::start_with(Start::default().set("RUST_LOG", "trace")).await;
    let mut wrong = Wrong::default();
    for client in Client::ALL {
        for (provider, model) in MODELS {
            for place in ["authorization", "x-api-key", "x-goog-api-key", "api-key", "?key="] {
                let mut path = client.path(model, false);
                if place == "?key=" {
                    path = format!("{path}?key={}&alt=json", app.key);
                }
                let request = app.request(Method::POST, &path).header("user", USER);
                let request = match place {
                    "authorization" => request.bearer_auth(&app.key),
                    "?key=" => request,
                    header => request.header(header, &app.key),
                };
                let body = client.ask(provider, model, "Hello", false);
                let told = told(client, request.json(&body)).await;
                wrong.check(told.status == 200, || {
                    format!("{client:?} × {model}, {place}: {} {}", told.status, told.raw)
                });
            }
        }
    }
    for seen in app.simulator.seen() {
        let headers = format!("{:?}", seen.headers);
        let query = seen.query.unwrap_or_default();
        let all = format!("{headers} {query} {}", String::from_utf8_lossy(&seen.body));
        wrong.check(!all.contains(&app.key) && !query.contains("key="), || all.clone());
    }
    assert!(!app.log().await.contains(&app.key), "the key is in the log");
    app.close().await;
    wrong.end();
}

#[tokio::test]
async fn requests_that_make_no_sense() {
    let app = App::start_with(Start::default().set("TOLLGATE_BODY_LIMIT_BYTES", "20000")).await;
    let mut wrong = Wrong::default();
    for client in Client::ALL {
        let good = client.ask("openai", "gpt-4o", "Hello", false);
        let path = client.path("gpt-4o", false);
        let send = |body: String| {
            client
                .credential(app.request(Method::POST, &path), &app.key)
                .header("content-type", "application/json")
                .body(body)
        };
        for body in ["", "{", "[]", "5", "{\"model\":", "nonsense"] {
            let told = told(client, send(body.to_owned())).await;
            check(client, &format!("{client:?}, body {body:?}"), &told, &BAD_REQUEST, &mut wrong);
        }
        // Not UTF-8, and a name that stands there twice.
        let told_bytes = told(
            client,
            client
                .credential(app.request(Method::POST, &path), &app.key)
                .body(vec![b'{', 0xff, b'}']),
        )
        .await;
        check(client, &format!("{client:?}, no UTF-8"), &told_bytes, &BAD_REQUEST, &mut wrong);
        // A field of the wrong kind is named, whether or not the provider would see it first: it is sent elsewhere.
        let (field, value) = match client.base() {
            Client::Chat => ("messages", json!("Hello")),
            Client::Responses => ("input", json!(5)),
            Client::Messages => ("messages", json!({})),
            Client::Gemini => ("contents", json!("Hello")),
            Client::Completions => ("max_tokens", json!("many")),
            _ => ("temperature", json!("hot")),
        };
        let (provider, model) = if client.base() == Client::Messages {
            ("openai", "gpt-4o")
        } else {
            ("anthropic", "claude-sonnet-4-5")
        };
        let mut bad = client.ask(provider, model, "Hello", false);
        bad[field] = value;
        let request = client.send(&app, model, &bad, false);
        let answer = told(client, request).await;
        check(client, &format!("{client:?}, bad {field}"), &answer, &BAD_REQUEST, &mut wrong);
        wrong.check(answer.raw.contains(field), || format!("{client:?}, {field}: {}", answer.raw));
        // Too large, and a header that is neither.
        let large = send(format!("{{\"x\":\"{}\"}}", "y".repeat(20_000)));
        check(
            client,
            &format!("{client:?}, large"),
            &told(client, large).await,
            &TOO_LARGE,
            &mut wrong,
        );
        let strict = client.send(&app, "gpt-4o", &good, false).header("x-tollgate-strict", "maybe");
        let answer = told(client, strict).await;
        check(client, &format!("{client:?}, strict"), &answer, &BAD_REQUEST, &mut wrong);
        let unknown = client.ask("openai", "gpt-none", "Hello", false);
        let answer = told(client, client.send(&app, "gpt-none", &unknown, false)).await;
        check(client, &format!("{client:?}, no model"), &answer, &UNKNOWN_MODEL, &mut wrong);
        wrong.check(answer.raw.contains("gpt-none"), || format!("{client:?}: {}", answer.raw));
    }
    assert_eq!(app.simulator.count(), 0);
    assert!(app.close().await.is_empty());
    wrong.end();
}

/// Clients of OpenAI look for the field in `param`, and those of Anthropic send a whole conversation once they are told
/// that there are no threads.
#[tokio::test]
async fn the_field_at_fault_is_named() {
    let app = App::start().await;
    let refused = async |client: Client, model: &str, field: &str, value: Value| {
        let mut body = client.ask("openai", model, "Hello", false);
        body[field] = value;
        let told = Told::of(client, client.send(&app, model, &body, false)).await;
        assert_eq!(told.status, 400, "{client:?} {field}: {}", told.raw);
        let mut body = told.body();
        body["error"].take()
    };
    let claude = "claude-sonnet-4-5";
    let error = refused(Client::Chat, claude, "n", 2.into()).await;
    assert_eq!((&error["param"], &error["code"]), (&"n".into(), &"unsupported_parameter".into()));
    let error = refused(Client::Chat, claude, "messages", json!([{"role": "nobody"}])).await;
    assert_eq!((&error["param"], &error["code"]), (&"messages[0].role".into(), &Value::Null));
    let input =
        json!([{"role": "user", "content": "a"}, {"type": "item_reference", "id": "msg_1"}]);
    let error = refused(Client::Responses, claude, "input", input).await;
    assert_eq!(error["param"], "item_reference");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("`store: false`")));
    let details = json!({"error_code": "thread_unsupported_request", "unsupported": ["thread"]});
    for (provider, model) in MODELS.into_iter().filter(|(provider, _)| *provider != "anthropic") {
        for thread in
            [json!({"type": "create"}), json!({"type": "continue", "previous_message_id": "m"})]
        {
            let error = refused(Client::Messages, model, "thread", thread).await;
            assert_eq!(error["type"], "invalid_request_error", "{provider}");
            assert_eq!(error["details"], details, "{provider}");
        }
    }
    assert_eq!(app.simulator.count(), 0);
    assert!(app.close().await.is_empty());
}

/// Where there is nothing, or not by this method, the base of the path says whose errors are read.
#[tokio::test]
async fn paths_and_methods_that_are_none() {
    let app = App::start().await;
    let mut wrong = Wrong::default();
    for (client, path) in [
        (Client::Chat, "/v1/nothing"),
        (Client::Chat, "/v1"),
        (Client::Chat, "/v1/chat"),
        (Client::Responses, "/v1/responses/resp_1/nothing"),
        (Client::Messages, "/v1/messages/nothing"),
        (Client::Messages, "/v1/messages/batches/1"),
        (Client::Messages, "/v1/nothing"),
        (Client::Gemini, "/v1beta/nothing"),
        (Client::Gemini, "/v1beta/models/gemini-2.5-flash:nothing"),
        (Client::Gemini, "/v1alpha/nothing"),
        (Client::RouterChat, "/api/v1/nothing"),
        (Client::RouterMessages, "/api/v1/messages/nothing"),
        (Client::Native, "/nothing"),
        (Client::Native, "/api/nothing"),
        (Client::Native, "/v1betanothing"),
    ] {
        let request = client.credential(app.request(Method::POST, path), &app.key).body("{}");
        let told = told(client, request).await;
        check(client, path, &told, &NOTHING_THERE, &mut wrong);
    }
    for client in Client::ALL {
        let path = client.path("gemini-2.5-flash", false);
        for method in [Method::GET, Method::DELETE, Method::PUT, Method::PATCH] {
            // What a GET of this path names is a model.
            if client == Client::Gemini && method == Method::GET {
                continue;
            }
            let request = client.credential(app.request(method.clone(), &path), &app.key);
            let told = told(client, request).await;
            check(client, &format!("{method} {path}"), &told, &WRONG_METHOD, &mut wrong);
        }
    }
    for (client, path) in [
        (Client::Chat, "/v1/models"),
        (Client::Gemini, "/v1beta/models"),
        (Client::RouterChat, "/api/v1/models"),
    ] {
        let request = client.credential(app.request(Method::DELETE, path), &app.key);
        check(client, path, &told(client, request).await, &WRONG_METHOD, &mut wrong);
    }
    app.close().await;
    wrong.end();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).expect("packed");
    packer.finish().expect("packed")
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).expect("packed");
    packer.finish().expect("packed")
}

fn raw_deflate(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).expect("packed");
    packer.finish().expect("packed")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("packed")
}

type Packer = fn(&[u8]) -> Vec<u8>;

#[tokio::test]
async fn compressed_requests() {
    let app = App::start().await;
    let mut wrong = Wrong::default();
    let packers: [(&str, Packer); 8] = [
        ("gzip", gzip),
        ("x-gzip", gzip),
        ("GZIP", gzip),
        ("deflate", zlib),
        ("deflate", raw_deflate),
        ("zstd", zstd),
        ("identity", <[u8]>::to_vec),
        ("identity, gzip", gzip),
    ];
    for client in Client::ALL {
        let body = client.ask("openai", "gpt-4o", "What comes out?", false);
        let plain = serde_json::to_vec(&body).expect("JSON");
        let path = client.path("gpt-4o", false);
        let send = |encoding: &str, bytes: Vec<u8>| {
            client
                .credential(app.request(Method::POST, &path), &app.key)
                .header("content-encoding", encoding)
                .body(bytes)
        };
        for (encoding, pack) in packers {
            let told = told(client, send(encoding, pack(&plain))).await;
            let text = if told.status == 200 { client.text(&told.whole()) } else { String::new() };
            wrong.check(text.contains("What comes out?"), || {
                format!("{client:?}, {encoding}: {} {}", told.status, told.raw)
            });
        }
        for encoding in ["br", "compress", "gzip, gzip", "nonsense"] {
            let answer = told(client, send(encoding, plain.clone())).await;
            check(client, &format!("{client:?}, {encoding}"), &answer, &WRONG_ENCODING, &mut wrong);
        }
        for encoding in ["gzip", "deflate", "zstd"] {
            let answer = told(client, send(encoding, plain.clone())).await;
            check(client, &format!("{client:?}, no {encoding}"), &answer, &BAD_REQUEST, &mut wrong);
            let mut cut = if encoding == "zstd" { zstd(&plain) } else { gzip(&plain) };
            cut.truncate(cut.len() / 2);
            if encoding != "deflate" {
                let answer = told(client, send(encoding, cut)).await;
                check(
                    client,
                    &format!("{client:?}, half {encoding}"),
                    &answer,
                    &BAD_REQUEST,
                    &mut wrong,
                );
            }
        }
    }
    for seen in app.simulator.seen() {
        assert!(!seen.headers.contains_key("content-encoding"), "{seen:?}");
    }
    app.close().await;
    wrong.end();
}

/// A small body that would become a large one is refused once it is larger than any may be.
#[tokio::test]
async fn a_bomb_does_not_go_off() {
    let app = App::start_with(Start::default().set("TOLLGATE_BODY_LIMIT_BYTES", "100000")).await;
    let mut wrong = Wrong::default();
    let zeros = vec![b' '; 64 * 1024 * 1024];
    for (encoding, bomb) in
        [("gzip", gzip(&zeros)), ("deflate", zlib(&zeros)), ("zstd", zstd(&zeros))]
    {
        for client in [Client::Chat, Client::Messages, Client::Gemini, Client::Native] {
            let request = client
                .credential(app.request(Method::POST, &client.path("gpt-4o", false)), &app.key)
                .header("content-encoding", encoding)
                .body(bomb.clone());
            let answer = told(client, request).await;
            check(client, &format!("{client:?}, {encoding}"), &answer, &TOO_LARGE, &mut wrong);
        }
    }
    assert_eq!(app.simulator.count(), 0);
    app.close().await;
    wrong.end();
}
