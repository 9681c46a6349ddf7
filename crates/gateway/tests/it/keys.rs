//! `/api/keys/…`: what a user does with keys, and how long a key holds.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::app::{Answer, App, Start, USER};
use crate::books::Books;
use crate::chat::{MODELS, say};

impl App {
    async fn generate(&self, wish: &Value) -> Answer {
        Answer::of(self.native(Method::POST, "/api/keys/generate").json(wish)).await
    }

    async fn generated(&self, wish: &Value) -> (String, String) {
        let answer = self.generate(wish).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let text = |name: &str| answer.body[name].as_str().expect("text").to_owned();
        assert_eq!(answer.body, json!({ "key": text("key"), "id": text("id") }));
        (text("key"), text("id"))
    }

    async fn delete(&self, which: &Value) -> Answer {
        Answer::of(self.native(Method::DELETE, "/api/keys/delete").json(which)).await
    }

    async fn list(&self) -> Vec<Value> {
        let answer = Answer::of(self.native(Method::GET, "/api/keys/list")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body["keys"].as_array().expect("a list").clone()
    }

    fn chat_as(&self, user: &str, key: &str) -> RequestBuilder {
        let chat = self.request(Method::POST, "/api/layers/chat").header("user", user);
        chat.header("api-key", key).json(&say("openai", "gpt-4o", "Hello"))
    }

    fn chat_with(&self, key: &str) -> RequestBuilder {
        self.chat_as(USER, key)
    }

    async fn code_with(&self, key: &str) -> (u16, String) {
        let answer = Answer::of(self.chat_with(key)).await;
        (answer.status, answer.code().to_owned())
    }
}

fn revoked() -> (u16, String) {
    (401, "api_key_revoked".to_owned())
}

fn well() -> (u16, String) {
    (200, String::new())
}

const DELETED: &str = "API key deleted successfully";

#[tokio::test]
async fn the_life_of_a_key() {
    let app = App::start().await;
    let wish = json!({
        "name": "Bügel & Söhne", "expires_at": "2099-01-31T01:00:00+01:00",
        "models": ["openai/gpt-4o", "google/gemini-2.5-flash"],
    });
    let (key, id) = app.generated(&wish).await;
    assert!(key.len() == 39 && key.starts_with("tg-"), "{key}");
    assert_eq!(app.code_with(&key).await, well(), "usable at once");
    let keys = app.list().await;
    assert_eq!(keys.len(), 2);
    let shown = keys.iter().find(|key| key["id"] == id.as_str()).expect("the new one");
    let expected = json!({
        "id": id, "name": "Bügel & Söhne", "key_prefix": &key[..7], "last4": &key[35..],
        "created_at": shown["created_at"], "last_used_at": shown["last_used_at"],
        "expires_at": "2099-01-31T00:00:00Z", "revoked": false, "budget_usd": null,
        "models": ["openai/gpt-4o", "gemini/gemini-2.5-flash"],
    });
    assert_eq!(*shown, expected);
    let created: jiff::Timestamp =
        shown["created_at"].as_str().expect("text").parse().expect("a moment");
    assert!(created.duration_until(jiff::Timestamp::now()).as_secs() < 60);
    assert!(!Value::from(keys).to_string().contains(&key), "a key is shown once");

    let answer = app.delete(&json!({ "key": key })).await;
    assert_eq!((answer.status, &answer.body), (200, &json!({ "message": DELETED })));
    assert_eq!(app.code_with(&key).await, revoked(), "refused at once");
    let shown = app.list().await;
    let shown = shown.iter().find(|key| key["id"] == id.as_str()).expect("it stays in the list");
    assert_eq!(shown["revoked"], true);
    app.close().await;
}

#[tokio::test]
async fn without_a_wish_a_key_may_do_all_for_ever() {
    let app = App::start().await;
    let bare = Answer::of(app.native(Method::POST, "/api/keys/generate")).await;
    assert_eq!(bare.status, 200, "{}", bare.body);
    let (key, id) = app.generated(&json!({})).await;
    for (provider, model) in MODELS {
        let chat = app.chat_with(&key).json(&say(provider, model, "Hello"));
        assert_eq!(Answer::of(chat).await.status, 200);
    }
    let keys = app.list().await;
    let shown = keys.iter().find(|key| key["id"] == id.as_str()).expect("the new one");
    assert_eq!((&shown["expires_at"], &shown["models"]), (&Value::Null, &Value::Null));
    assert_eq!(shown["name"], "");
    app.close().await;
}

#[tokio::test]
async fn wishes_that_cannot_be_fulfilled() {
    let app = App::start().await;
    let moment = "expires_at: expected a moment to come, such as 2027-01-31T00:00:00Z";
    let cases = [
        (json!({ "name": 5 }), "name: expected a string, not integer `5`"),
        (json!({ "name": "x".repeat(101) }), "name: expected at most 100 characters on one line"),
        (json!({ "name": "a\nb" }), "name: expected at most 100 characters on one line"),
        (json!({ "name": "a\u{0}b" }), "name: has the character U+0000 in it"),
        (json!({ "expires_at": 4_000_000_000_u64 }), "expires_at: expected a string"),
        (json!({ "expires_at": "2020-01-01" }), moment),
        (json!({ "expires_at": "soon" }), moment),
        (json!({ "expires_at": "" }), moment),
        (json!({ "expires_at": "2099-02-30" }), moment),
        (json!({ "models": "openai/gpt-4o" }), "models: expected a list"),
        (json!({ "models": [5] }), "models[0]: expected a string"),
        (json!({ "models": [] }), "models: expected at least one model"),
        (
            json!({ "models": ["gpt-4o"] }),
            "models: \"gpt-4o\" is not in the price list; expected ids",
        ),
        (json!({ "models": ["openai/gpt-4o", "openai/x"] }), "models: \"openai/x\" is not in"),
        (json!({ "budget": 5 }), "budget: there is no such field, expected one of"),
    ];
    for (wish, words) in cases {
        let answer = app.generate(&wish).await;
        assert_eq!((answer.status, answer.code()), (400, "invalid_request"), "{wish}");
        assert!(answer.message().starts_with(words), "{wish}: {}", answer.message());
    }
    assert_eq!(app.list().await.len(), 1, "nothing was made");
    app.close().await;
}

#[tokio::test]
async fn only_ones_own_keys_can_be_deleted() {
    let books = Books::sqlite();
    let foreign = books.add_user("bob").await;
    let listed = books.cli_json(&["key", "list", "--user", "bob"]).await;
    let foreign_id = listed[0]["id"].as_str().expect("an id").to_owned();
    let app = App::start_on(books, Start::default()).await;
    let (key, id) = app.generated(&json!({})).await;
    let unknown = "01234567-89ab-7def-8123-456789abcdef";
    for which in [
        json!({ "key": foreign }),
        json!({ "id": foreign_id }),
        json!({ "key": "tg-nothing" }),
        json!({ "key": "" }),
        json!({ "id": unknown }),
        json!({ "id": "1" }),
    ] {
        let answer = app.delete(&which).await;
        assert_eq!((answer.status, answer.code()), (404, "key_not_found"), "{which}");
    }
    for (which, words) in [
        (json!({}), "expected one of"),
        (json!({ "key": key, "id": id }), "expected one of"),
        (json!({ "id": 5 }), "id: expected a string"),
        (json!({ "keys": [] }), "keys: there is no such field"),
    ] {
        let answer = app.delete(&which).await;
        assert_eq!((answer.status, answer.code()), (400, "invalid_request"), "{which}");
        assert!(answer.message().starts_with(words), "{which}: {}", answer.message());
    }
    let bob = app.request(Method::GET, "/api/usage/check").header("user", "bob");
    assert_eq!(Answer::of(bob.header("api-key", &foreign)).await.status, 200, "bob's key holds");
    assert_eq!(app.code_with(&key).await, well());

    let first = app.delete(&json!({ "id": id })).await;
    assert_eq!((first.status, &first.body), (200, &json!({ "message": DELETED })));
    assert_eq!(app.code_with(&key).await, revoked());
    assert_eq!(app.delete(&json!({ "id": id })).await.status, 404, "it is gone already");
    assert_eq!(app.delete(&json!({ "key": key })).await.status, 404, "it is gone already");
    // A key may delete itself; then it cannot ask any more.
    assert_eq!(app.delete(&json!({ "key": app.key })).await.status, 200);
    assert_eq!(app.code_with(&app.key).await, revoked());
    app.close().await;
}

#[tokio::test]
async fn a_key_for_some_models() {
    let app = App::start().await;
    let (key, _) =
        app.generated(&json!({ "models": ["openai/gpt-4o", "google/gemini-2.5-flash"] })).await;
    for (provider, model, status) in [
        ("openai", "gpt-4o", 200),
        ("openai", "openai/gpt-4o", 200),
        ("google", "gemini-2.5-flash", 200),
        ("gemini", "google/gemini-2.5-flash", 200),
        ("openai", "gpt-4o-mini", 403),
        ("gemini", "gemini-2.5-pro", 403),
        ("anthropic", "claude-sonnet-4-5", 403),
    ] {
        let answer = Answer::of(app.chat_with(&key).json(&say(provider, model, "Hello"))).await;
        assert_eq!(answer.status, status, "{provider} {model}: {}", answer.body);
        if status == 403 {
            assert_eq!(answer.code(), "model_not_allowed");
            assert!(
                answer.message().ends_with(&format!("{provider}/{model}")),
                "{}",
                answer.message()
            );
        }
    }
    assert_eq!(app.simulator.count(), 4);
    assert_eq!(app.close().await.len(), 4);
}

/// What Anthropic asks beside the model, or in its place, is no way around the list.
#[tokio::test]
async fn a_key_for_some_models_reaches_no_others_by_theirs() {
    let app = App::start().await;
    let (key, _) = app
        .generated(
            &json!({ "models": ["anthropic/claude-haiku-4-5", "anthropic/claude-sonnet-4-5"] }),
        )
        .await;
    let ask = |key: &str, more: Value| {
        let mut body = json!({ "model": "claude-haiku-4-5", "max_tokens": 16,
            "messages": [{ "role": "user", "content": "Hello" }] });
        for (name, value) in more.as_object().expect("members") {
            body[name] = value.clone();
        }
        Answer::of(app.request(Method::POST, "/v1/messages").bearer_auth(key).json(&body))
    };
    let opus = json!([{ "model": "claude-opus-4-5" }]);
    let advisor =
        |model: &str| json!([{ "type": "advisor_20260301", "name": "advisor", "model": model }]);
    for (more, field) in [
        (json!({ "fallbacks": opus }), "fallbacks"),
        (
            json!({ "fallbacks": [{ "model": "claude-sonnet-4-5" }, { "model": "claude-opus-4-5" }] }),
            "fallbacks",
        ),
        (json!({ "fallbacks": "default" }), "fallbacks"),
        (json!({ "tools": advisor("claude-opus-4-5") }), "tools"),
    ] {
        let answer = ask(&key, more.clone()).await;
        assert_eq!(answer.status, 403, "{more}: {}", answer.body);
        assert_eq!(answer.body["error"]["type"], "permission_error", "{}", answer.body);
        let message = answer.body["error"]["message"].as_str().expect("a message");
        assert!(message.starts_with(&format!("{field}: ")), "{message}");
    }
    assert_eq!(app.simulator.count(), 0);
    for more in [
        json!({ "fallbacks": null }),
        json!({ "fallbacks": [] }),
        json!({ "fallbacks": [{ "model": "claude-sonnet-4-5" }] }),
        json!({ "tools": advisor("claude-sonnet-4-5") }),
        json!({ "tools": [{ "name": "advisor", "input_schema": { "type": "object" }, "model": "x" }] }),
    ] {
        let answer = ask(&key, more.clone()).await;
        assert_eq!(answer.status, 200, "{more}: {}", answer.body);
    }
    // Who may use every model may name every one.
    assert_eq!(ask(&app.key, json!({ "fallbacks": opus })).await.status, 200);
    app.close().await;
}

/// Where the SDKs of the providers put their keys.
#[tokio::test]
async fn a_key_is_found_in_every_usual_place() {
    let app = App::start().await;
    let ask = |path: &str| app.request(Method::GET, path).header("user", USER);
    let check = "/api/usage/check";
    let bearer = format!("Bearer {}", app.key);
    for request in [
        ask(check).header("api-key", &app.key),
        ask(check).header("authorization", &bearer),
        ask(check).header("authorization", bearer.replace("Bearer", "bearer")),
        ask(check).header("x-api-key", &app.key),
        ask(check).header("x-goog-api-key", &app.key),
        ask(&format!("{check}?key={}", app.key)),
        ask(&format!("{check}?a=b&key={}", app.key)),
    ] {
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    for request in [
        ask(check).header("authorization", &app.key),
        ask(check).header("authorization", format!("Basic {}", app.key)),
        ask(&format!("{check}?xkey={}", app.key)),
    ] {
        assert_eq!(Answer::of(request).await.status, 401);
    }
    app.close().await;
}

/// Asks until the answer is that, and returns how long it took.
async fn until(app: &App, key: &str, wanted: (u16, String)) -> Duration {
    let start = Instant::now();
    while app.code_with(key).await != wanted {
        assert!(start.elapsed() < Duration::from_secs(10), "never {wanted:?}");
    }
    start.elapsed()
}

#[tokio::test]
async fn other_processes_are_heard_within_a_second() {
    heard_within_a_second(Books::sqlite()).await;
}

#[tokio::test]
async fn other_processes_are_heard_within_a_second_on_postgres() {
    if let Some(books) = Books::postgres("heard").await {
        heard_within_a_second(books).await;
    }
}

async fn heard_within_a_second(books: Books) {
    let app = App::start_on(books, Start::default()).await;
    let mut times = Vec::new();
    for by in ["key", "id"] {
        let made = app.books.cli_json(&["key", "create", "--user", USER]).await;
        let key = made["key"].as_str().expect("a key");
        times.push(until(&app, key, well()).await);
        app.books.cli(&["key", "revoke", made[by].as_str().expect("text")]).await;
        times.push(until(&app, key, revoked()).await);
    }
    for time in times {
        assert!(time < Duration::from_secs(1), "{time:?}");
    }
    app.close().await;
}

#[tokio::test]
async fn an_expired_key_is_refused() {
    let books = Books::sqlite();
    books.cli(&["user", "add", "bob"]).await;
    let create = ["key", "create", "--user", "bob", "--expires-at", "2099-01-01"];
    let key = books.cli(&create).await;
    let app = App::start_on(books, Start::default()).await;
    let bob = async || Answer::of(app.chat_as("bob", &key)).await;
    assert_eq!(bob().await.status, 200);
    // Its end comes.
    let end = "UPDATE tollgate.api_keys SET expires_at = 1700000000000000 WHERE expires_at IS NOT NULL; \
               UPDATE tollgate.revision SET value = value + 1";
    app.books.shell(end).await;
    let start = Instant::now();
    let refusal = loop {
        let answer = bob().await;
        if answer.status != 200 {
            break answer;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "still taken");
    };
    assert_eq!((refusal.status, refusal.code()), (401, "api_key_expired"));
    assert_eq!(refusal.message(), "this API key has expired");
    let sent = app.simulator.count();
    assert_eq!(app.close().await.len() as u64, sent, "each that was sent is charged, no other");
}

#[tokio::test]
async fn the_last_use_is_remembered() {
    let mut app = App::start().await;
    app.chatted(&say("openai", "gpt-4o", "Hello")).await;
    app.finish().await;
    let listed = app.books.cli_json(&["key", "list"]).await;
    let used = listed[0]["last_used_at"].as_str().expect("a moment");
    let used: jiff::Timestamp = used.parse().expect("a moment");
    assert!(used.duration_until(jiff::Timestamp::now()).as_secs() < 60, "{used}");
}

/// Behind a proxy that says who calls, the user's name is enough for everything but spending.
#[tokio::test]
async fn the_user_header_alone_where_it_is_trusted() {
    let books = Books::sqlite();
    books.add_user("bob").await;
    let start = Start::default().set("TOLLGATE_TRUST_USER_HEADER", "true");
    let app = App::start_on(books, start).await;
    assert!(app.log().await.contains("TOLLGATE_TRUST_USER_HEADER is on"), "{}", app.log().await);
    let ask = |user: &str, method, path: &str| app.request(method, path).header("user", user);
    let made = Answer::of(ask("bob", Method::POST, "/api/keys/generate")).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let listed = Answer::of(ask("bob", Method::GET, "/api/keys/list")).await;
    assert_eq!(listed.body["keys"].as_array().map(Vec::len), Some(2));
    let bill = Answer::of(ask("bob", Method::GET, "/api/usage/check")).await;
    assert_eq!(bill.body["priceToPay"]["username"], "bob");
    let gone =
        ask(USER, Method::DELETE, "/api/keys/delete").json(&json!({ "id": made.body["id"] }));
    assert_eq!(Answer::of(gone).await.status, 404, "it is not ada's");
    let gone =
        ask("bob", Method::DELETE, "/api/keys/delete").json(&json!({ "id": made.body["id"] }));
    assert_eq!(Answer::of(gone).await.status, 200);

    for (request, code) in [
        (app.request(Method::GET, "/api/keys/list"), "missing_user"),
        (ask("nobody", Method::GET, "/api/keys/list"), "unknown_user"),
        (ask(USER, Method::GET, "/api/keys/list").header("user", "bob"), "ambiguous_user"),
        (
            ask(USER, Method::POST, "/api/layers/chat").json(&say("openai", "gpt-4o", "Hi")),
            "missing_api_key",
        ),
    ] {
        let answer = Answer::of(request).await;
        assert_eq!((answer.status, answer.code()), (401, code));
    }
    app.close().await;
}

#[tokio::test]
async fn web_pages_of_the_origins_that_are_set() {
    let origins = "https://app.example.org, http://localhost:5173";
    let app = App::start_with(Start::default().set("TOLLGATE_CORS_ORIGINS", origins)).await;
    let preflight = |origin: &str| {
        app.request(Method::OPTIONS, "/api/keys/delete")
            .header("origin", origin)
            .header("access-control-request-method", "DELETE")
            .header("access-control-request-headers", "user,api-key,authorization,content-type")
    };
    for origin in ["https://app.example.org", "http://localhost:5173"] {
        let answer = Answer::of(preflight(origin)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), origin);
        assert!(answer.header("vary").contains("origin"), "{}", answer.header("vary"));
        // A star does not cover `authorization`.
        let allowed = answer.header("access-control-allow-headers").to_lowercase();
        for name in ["user", "api-key", "authorization", "content-type"] {
            assert!(allowed.split(',').any(|known| known.trim() == name), "{allowed}");
        }
        // An error is readable as well.
        let refused =
            Answer::of(app.request(Method::GET, "/api/keys/list").header("origin", origin)).await;
        assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, origin));
        let exposed = refused.header("access-control-expose-headers");
        for name in ["x-request-id", "x-tollgate-cost", "x-tollgate-attempts"] {
            assert!(exposed.contains(name), "{exposed}");
        }
    }
    for origin in ["https://evil.example.org", "null", "https://app.example.org.evil.org"] {
        let answer = Answer::of(preflight(origin)).await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
    }
    app.close().await;

    let app = App::start().await;
    let answer = Answer::of(
        app.native(Method::GET, "/api/keys/list").header("origin", "https://app.example.org"),
    )
    .await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (200, ""),
        "off unless set"
    );
    app.close().await;

    let app = App::start_with(Start::default().set("TOLLGATE_CORS_ORIGINS", "*")).await;
    let answer = Answer::of(
        app.native(Method::GET, "/api/keys/list").header("origin", "https://any.example.org"),
    )
    .await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    app.close().await;
}
