//! `/api/v1/key` and `/api/v1/keys`: what programs manage with, in `OpenRouter`'s shapes.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::app::{Answer, App, Start, USER};
use crate::books::{Books, MANAGEMENT};

impl App {
    /// A program, and a key of its user that manages.
    pub(crate) async fn managed() -> (Self, String) {
        Self::managed_on(Books::sqlite()).await
    }

    pub(crate) async fn managed_on(books: Books) -> (Self, String) {
        let app = Self::start_on(books, Start::default()).await;
        let key = app.books.key_with(USER, &MANAGEMENT).await;
        app.knows(&key).await;
        (app, key)
    }

    /// A request to a path below `/api/v1`.
    pub(crate) async fn v1(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let request = self.request(method, &format!("/api/v1/{path}")).bearer_auth(key);
        Answer::of(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    }

    pub(crate) async fn read(&self, key: &str, path: &str) -> Value {
        let answer = self.v1(key, Method::GET, path, None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body["data"].clone()
    }

    /// Makes a key: itself, and its hash.
    pub(crate) async fn made(&self, key: &str, wish: Value) -> (String, String) {
        let answer = self.v1(key, Method::POST, "keys", Some(wish)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        (text(&answer.body["key"]), text(&answer.body["data"]["hash"]))
    }

    async fn patch(&self, key: &str, hash: &str, change: Value) -> Answer {
        self.v1(key, Method::PATCH, &format!("keys/{hash}"), Some(change)).await
    }

    async fn patched(&self, key: &str, hash: &str, change: Value) -> Value {
        let answer = self.patch(key, hash, change).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body["data"].clone()
    }

    async fn rotate(&self, key: &str, hash: &str, wish: Value) -> Answer {
        self.v1(key, Method::POST, &format!("keys/{hash}/rotate"), Some(wish)).await
    }

    /// Asks for the worked example: 1 234 tokens in at 0.15 dollars a million, 567 out at 0.60, and 5 %.
    pub(crate) async fn example(&self, key: &str) -> Answer {
        let body = json!({
            "model": "openai/gpt-4o-mini",
            "messages": [{ "role": "user", "content": "fixture:worked_example" }],
        });
        self.v1(key, Method::POST, "chat/completions", Some(body)).await
    }

    async fn examples(&self, key: &str, count: usize) {
        for _ in 0..count {
            let answer = self.example(key).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
    }

    /// The same with what it says of an error.
    async fn tried(&self, key: &str) -> (u16, String) {
        let answer = self.example(key).await;
        (answer.status, answer.message().to_owned())
    }
}

/// A request that is refused in `OpenRouter`'s form, with a word of its message.
pub(crate) fn refused(answer: &Answer, status: u16, word: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.body["error"]["code"], status, "{}", answer.body);
    assert!(answer.message().contains(word), "{word}: {}", answer.body);
}

fn object(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// What `OpenRouter`'s document requires, as of November 2026, and what is ours.
const FIELDS: [&str; 30] = [
    "hash",
    "label",
    "name",
    "disabled",
    "limit",
    "limit_remaining",
    "limit_reset",
    "include_byok_in_limit",
    "usage",
    "usage_daily",
    "usage_weekly",
    "usage_monthly",
    "byok_usage",
    "byok_usage_daily",
    "byok_usage_weekly",
    "byok_usage_monthly",
    "created_at",
    "updated_at",
    "expires_at",
    "creator_user_id",
    "external_user",
    "workspace_id",
    "scopes",
    "models",
    "allowed_ips",
    "requests_per_minute",
    "tokens_per_minute",
    "concurrent_requests",
    "last_used_at",
    "rotated",
];

/// Switches a key off, everywhere.
async fn switched_off(app: &App, management: &str, (key, hash): (&str, &str)) {
    let (mut beside, url) = app.another().await;
    let elsewhere = async || {
        let request = app.client.get(format!("{url}/api/v1/key")).bearer_auth(key);
        Answer::of(request).await.status
    };
    assert_eq!(elsewhere().await, 200);
    let off = app.patched(management, hash, json!({ "disabled": true, "name": "Lager" })).await;
    let since = Instant::now();
    assert_eq!((&off["disabled"], &off["name"]), (&json!(true), &json!("Lager")));
    assert!(off["updated_at"].is_string(), "{off}");
    assert_eq!(app.tried(key).await, (401, "this API key is switched off".to_owned()));
    while elsewhere().await == 200 {
        assert!(since.elapsed() < Duration::from_secs(5), "another program still takes it");
    }
    beside.kill().await.expect("it ends");
}

#[tokio::test]
async fn the_life_of_a_managed_key() {
    let (app, management) = App::managed().await;
    let wish = json!({
        "name": "Büro", "limit": 0.25, "limit_reset": "weekly", "expires_at": "2099-01-31T00:00:00.000Z",
        "include_byok_in_limit": false, "models": ["openai/gpt-4o-mini"], "tokens_per_minute": 90000, "concurrent_requests": 3,
    });
    let made = app.v1(&management, Method::POST, "keys", Some(wish)).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let (key, data) = (made.body["key"].as_str().expect("a key"), &made.body["data"]);
    let mut fields = object(data);
    fields.sort_unstable();
    let mut expected = FIELDS.to_vec();
    expected.sort_unstable();
    assert_eq!(fields, expected);
    let hash = data["hash"].as_str().expect("a hash");
    assert_eq!(hash, ledger::to_hex(&Sha256::digest(key)));
    assert_eq!(data["label"], format!("{}...{}", &key[..7], &key[35..]));
    for (field, value) in [
        ("name", json!("Büro")),
        ("limit", json!(0.25)),
        ("limit_remaining", json!(0.25)),
        ("limit_reset", json!("weekly")),
        ("disabled", json!(false)),
        ("usage", json!(0)),
        ("expires_at", json!("2099-01-31T00:00:00Z")),
        ("scopes", json!(["inference"])),
        ("models", json!(["openai/gpt-4o-mini"])),
        ("tokens_per_minute", json!(90_000)),
        ("concurrent_requests", json!(3)),
        ("updated_at", Value::Null),
        ("rotated", json!(false)),
        ("allowed_ips", Value::Null),
    ] {
        assert_eq!(data[field], value, "{field}");
    }
    app.examples(key, 1).await;
    let path = format!("keys/{hash}");
    let shown = app.read(&management, &path).await;
    assert_eq!((&shown["usage"], &shown["hash"]), (&json!(0.000_551_565), &json!(hash)));

    switched_off(&app, &management, (key, hash)).await;
    let names = async |query: &str| {
        let keys = app.read(&management, &format!("keys{query}")).await;
        let names = keys.as_array().expect("a list").iter();
        names.map(|key| key["name"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("").await.len(), 2, "the user's first, and the one that manages");
    assert_eq!(names("?include_disabled=true").await[0], "Lager", "the newest is the first");
    let two: Vec<String> = names("?include_disabled=true").await.split_off(1);
    assert_eq!(names("?include_disabled=true&offset=1").await, two);
    assert_eq!(names("?offset=9").await, Vec::<String>::new());
    app.patched(&management, hash, json!({ "disabled": false })).await;
    app.examples(key, 1).await;

    let gone = app.v1(&management, Method::DELETE, &path, None).await;
    assert_eq!((gone.status, &gone.body), (200, &json!({ "deleted": true })));
    assert_eq!(app.tried(key).await, (401, "this API key has been revoked".to_owned()));
    for method in [Method::GET, Method::DELETE] {
        refused(&app.v1(&management, method, &path, None).await, 404, "no such key");
    }
    // Who did all that.
    let acts = "SELECT 1 FROM tollgate.audit_log WHERE via = 'key' AND actor = 'ada' AND action = ";
    for (action, count) in [("key.create", 1), ("key.change", 2), ("key.revoke", 1)] {
        assert_eq!(app.books.count(&format!("{acts}'{action}'")).await, count, "{action}");
    }
    app.close().await;
}

/// To the last digit: a JSON reader may round.
#[tokio::test]
async fn the_key_that_asks() {
    let (app, management) = App::managed().await;
    let wish =
        json!({ "name": "own", "limit": 1, "limit_reset": "daily", "requests_per_minute": 7 });
    let (key, _) = app.made(&management, wish).await;
    app.examples(&key, 1).await;
    let text = async |key: &str, path: &str| {
        let request = app.request(Method::GET, path).bearer_auth(key);
        request.send().await.expect("an answer").text().await.expect("a body")
    };
    for path in ["/api/v1/key", "/api/v1/auth/key"] {
        let told = text(&key, path).await;
        for part in [
            r#""limit":1,"limit_remaining":0.999448435,"limit_reset":"daily""#,
            r#""usage":0.000551565,"usage_daily":0.000551565,"usage_weekly":0.000551565,"usage_monthly":0.000551565"#,
            r#""is_management_key":false,"is_provisioning_key":false"#,
            r#""rate_limit":{"requests":7,"#,
            r#""expires_at":null"#,
            r#""organization_id":null"#,
        ] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
    }
    // Whatever it spends from, and what it meets first.
    let budget = async |owner: &[&str], period: &str, usd: &str| {
        let more = [USER, "--period", period, "--usd", usd];
        app.books.cli(&[&["budget", "set"], owner, &more].concat()).await;
    };
    budget(&["--user"], "month", "0.5").await;
    budget(&["--account"], "week", "0.0006").await;
    let start = Instant::now();
    let told = loop {
        let told = app.read(&key, "key").await;
        if told["budgets"].as_array().map(Vec::len) == Some(3) {
            break told;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{told}");
    };
    let row = |scope: &str, limit: f64, left: f64, reset: &str| {
        let found = told["budgets"].as_array().expect("a list").iter();
        let found = found.clone().find(|budget| budget["scope"] == scope).expect("a budget");
        assert_eq!(found["spend_usd"], 0.000_551_565, "{found}");
        let amounts = ["limit_usd", "remaining_usd"].map(|field| found[field].as_f64());
        assert_eq!(amounts, [Some(limit), Some(left)], "{found}");
        assert_eq!(found["reset_interval"], reset, "{found}");
        let end: jiff::Timestamp =
            found["resets_at"].as_str().expect("an end").parse().expect("a moment");
        assert!(end > jiff::Timestamp::now(), "{end}");
        assert_eq!(found["budget_id"].is_null(), scope == "key_limit", "{found}");
    };
    row("member", 0.5, 0.499_448_435, "monthly");
    row("workspace", 0.0006, 0.000_048_435, "weekly");
    row("key_limit", 1.0, 0.999_448_435, "daily");
    assert_eq!(told["effective_budget"]["scope"], "workspace");
    assert_eq!(told["limit_remaining"], 0.999_448_435, "the key's own");

    let told = text(&management, "/api/v1/key").await;
    assert!(told.contains(r#""limit":null,"limit_remaining":null,"limit_reset":null"#), "{told}");
    assert!(told.contains(r#""is_management_key":true,"is_provisioning_key":true"#), "{told}");
    assert!(told.contains(r#""requests":-1"#) && told.contains(r#""usage":0,"#), "{told}");
    refused(&app.v1("tg-no", Method::GET, "key", None).await, 401, "not known");
    app.close().await;
}

#[tokio::test]
async fn a_key_does_what_it_may_and_no_more() {
    let (app, management) = App::managed().await;
    let (narrow, hash) = app.made(&management, json!({ "name": "narrow" })).await;
    let path = format!("keys/{hash}");
    for (method, path, scope) in [
        (Method::GET, "keys", "keys"),
        (Method::POST, "keys", "keys"),
        (Method::GET, &path, "keys"),
        (Method::PATCH, &path, "keys"),
        (Method::DELETE, &path, "keys"),
        (Method::POST, &format!("{path}/rotate"), "keys"),
        (Method::POST, "auth/keys/code", "keys"),
        (Method::GET, "credits", "billing"),
        (Method::GET, "activity", "usage"),
    ] {
        let answer = app.v1(&narrow, method, path, None).await;
        refused(&answer, 403, &format!("has not the scope {scope}"));
    }
    refused(&app.example(&management).await, 403, "has not the scope inference");
    app.examples(&narrow, 1).await;

    // What it has not, it does not give; but who manages keys decides who asks models.
    let keys = app.books.key_with(USER, &["keys"]).await;
    app.knows(&keys).await;
    let (_, all) = app.made(&management, json!({ "name": "k", "scopes": MANAGEMENT })).await;
    for scopes in [json!(["usage"]), json!(["inference", "billing"])] {
        let wish = json!({ "name": "wide", "scopes": scopes });
        let answer = app.v1(&keys, Method::POST, "keys", Some(wish)).await;
        refused(&answer, 400, "scopes: you may grant no more than: inference keys");
        let answer = app.patch(&keys, &hash, json!({ "scopes": scopes })).await;
        refused(&answer, 400, "scopes: you may grant no more than");
    }
    refused(&app.rotate(&keys, &all, json!({})).await, 403, "more than you may grant");
    let (asks, _) = app.made(&keys, json!({ "name": "k", "scopes": ["inference", "keys"] })).await;
    app.examples(&asks, 1).await;
    app.close().await;
}

#[tokio::test]
async fn a_narrowed_key_makes_none_that_is_wider() {
    let (app, management) = App::managed().await;
    let wish = json!({
        "name": "narrow", "scopes": ["keys", "inference"], "models": ["openai/gpt-4o"],
        "allowed_ips": ["127.0.0.0/8"],
    });
    let (narrow, hash) = app.made(&management, wish).await;
    app.knows(&narrow).await;
    let answer = app.v1(&narrow, Method::POST, "keys", Some(json!({ "name": "like it" }))).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let like = answer.body["data"]["hash"].as_str().expect("a hash").to_owned();
    let answer = app.v1(&management, Method::GET, &format!("keys/{like}"), None).await;
    assert_eq!(answer.body["data"]["models"], json!(["openai/gpt-4o"]));
    assert_eq!(answer.body["data"]["allowed_ips"], json!(["127.0.0.0/8"]));
    for (wish, words) in [
        (
            json!({ "name": "k", "models": ["openai/gpt-4o", "openai/o3"] }),
            "models: the key that asks",
        ),
        (
            json!({ "name": "k", "allowed_ips": ["127.0.0.1", "10.0.0.0/8"] }),
            "allowed_ips: the key that asks",
        ),
        (json!({ "name": "k", "allowed_ips": ["0.0.0.0/0"] }), "allowed_ips: the key that asks"),
    ] {
        refused(&app.v1(&narrow, Method::POST, "keys", Some(wish)).await, 400, words);
    }
    let wider = json!({ "models": null });
    refused(&app.patch(&narrow, &hash, wider).await, 403, "change none");
    refused(&app.rotate(&narrow, &like, json!({})).await, 403, "change none");
    let code = json!({ "callback_url": "https://example.org/" });
    let answer = app.v1(&narrow, Method::POST, "auth/keys/code", Some(code)).await;
    refused(&answer, 403, "change none");
    app.close().await;
}

/// With the scopes that keys of the native API have.
#[tokio::test]
async fn a_key_does_not_get_around_its_own_budget_rates_or_end() {
    let (app, management) = App::managed().await;
    let post = |path: &str, wish: Value| {
        let body = json!(wish);
        (Method::POST, path.to_owned(), Some(body))
    };
    let end = "2099-01-01T00:00:00Z";
    for (field, value, looser, words) in [
        ("limit", json!(1), json!(2), "a budget of its own"),
        ("requests_per_minute", json!(5), json!(6), "rate limits of its own"),
        ("tokens_per_minute", json!(5000), json!(5001), "rate limits of its own"),
        ("concurrent_requests", json!(2), json!(3), "rate limits of its own"),
        ("expires_at", json!(end), json!("2099-01-02T00:00:00Z"), "this API key expires"),
    ] {
        let scopes = json!(["inference", "usage", "keys"]);
        let mut wish = json!({ "name": "k", "scopes": scopes });
        let free = wish.clone();
        wish[field] = value.clone();
        let (key, hash) = app.made(&management, wish).await;
        let (_, other) = app.made(&management, json!({ "name": "k" })).await;
        let native = app.request(Method::POST, "/api/keys/generate").header("user", USER);
        let native = Answer::of(native.header("api-key", &key)).await;
        let child = app.v1(&key, Method::POST, "keys", Some(free.clone())).await;
        if field == "limit" {
            assert_eq!((native.status, native.code()), (403, "forbidden"), "{}", native.body);
            refused(&child, 403, words);
        } else {
            assert_eq!((native.status, child.status), (200, 201), "{field}: {}", child.body);
            assert_eq!(child.body["data"][field], value);
            let mut wider = free;
            wider[field] = looser;
            refused(&app.v1(&key, Method::POST, "keys", Some(wider)).await, 400, field);
        }
        let code = json!({ "callback_url": "https://example.org/" });
        for (method, path, body) in [
            (Method::PATCH, format!("keys/{hash}"), Some(json!({ field: null }))),
            (Method::PATCH, format!("keys/{other}"), Some(json!({ "disabled": true }))),
            post(&format!("keys/{hash}/rotate"), json!({})),
            post("auth/keys/code", code),
        ] {
            refused(&app.v1(&key, method, &path, body).await, 403, words);
        }
    }
    app.close().await;
}

#[tokio::test]
async fn the_keys_of_others_are_not_there() {
    let books = Books::sqlite();
    books.add_user("bob").await;
    let bobs = books.key_with("bob", &MANAGEMENT).await;
    let (app, management) = App::managed_on(books).await;
    let (key, hash) = app.made(&management, json!({ "name": "ada's" })).await;
    let path = format!("keys/{hash}");
    for (method, path, body) in [
        (Method::GET, path.clone(), None),
        (Method::PATCH, path.clone(), Some(json!({ "disabled": true }))),
        (Method::DELETE, path.clone(), None),
        (Method::POST, format!("{path}/rotate"), Some(json!({}))),
        (Method::GET, format!("activity?api_key_hash={hash}"), None),
        (Method::GET, format!("keys/{}", "0".repeat(64)), None),
        (Method::GET, "keys/nonsense".to_owned(), None),
    ] {
        refused(&app.v1(&bobs, method, &path, body).await, 404, "no such key");
    }
    let listed = app.read(&bobs, "keys?include_disabled=true").await;
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed}");
    app.examples(&key, 1).await;
    app.close().await;
}

#[tokio::test]
async fn limits_begin_anew_or_not() {
    let (app, management) = App::managed().await;
    let (key, hash) =
        app.made(&management, json!({ "name": "k", "limit": "0.000000000001" })).await;
    refused(&app.example(&key).await, 402, "");
    let limits = |data: &Value| {
        [&data["limit"], &data["limit_remaining"], &data["limit_reset"]].map(Clone::clone)
    };
    for (change, expected) in [
        (json!({ "limit": 1 }), [json!(1), json!(1), Value::Null]),
        (json!({ "limit_reset": "daily" }), [json!(1), json!(1), json!("daily")]),
        (json!({ "limit": 2.5 }), [json!(2.5), json!(2.5), json!("daily")]),
        (json!({ "limit_reset": "weekly" }), [json!(2.5), json!(2.5), json!("weekly")]),
        (
            json!({ "limit": 1e-3, "limit_reset": "monthly" }),
            [json!(0.001), json!(0.001), json!("monthly")],
        ),
        (json!({ "limit_reset": null }), [json!(0.001), json!(0.001), Value::Null]),
    ] {
        assert_eq!(
            limits(&app.patched(&management, &hash, change.clone()).await),
            expected,
            "{change}"
        );
    }
    let of_key = format!(
        "SELECT 1 FROM tollgate.budgets b JOIN tollgate.api_keys k ON k.id = b.owner_id \
                          WHERE b.removed_at IS NULL AND k.hash = '{hash}'"
    );
    assert_eq!(app.books.count(&of_key).await, 1, "one limit at a time");
    app.examples(&key, 1).await;
    let change = json!({ "limit": 0.002, "limit_reset": "daily" });
    assert_eq!(app.patched(&management, &hash, change).await["limit_remaining"], 0.001_448_435);
    // Less than what was spent: nothing is left, and not less than that.
    for reset in [json!("weekly"), json!("monthly"), json!(null), json!("daily")] {
        let change = json!({ "limit": 0.0005, "limit_reset": reset });
        let told = limits(&app.patched(&management, &hash, change).await);
        assert_eq!(told, [json!(0.0005), json!(0), reset]);
        refused(&app.example(&key).await, 402, "");
    }
    let none = app.patched(&management, &hash, json!({ "limit": null })).await;
    assert_eq!(limits(&none), [Value::Null, Value::Null, Value::Null]);
    assert_eq!(app.books.count(&of_key).await, 0);
    app.examples(&key, 1).await;
    // A limit that is lowered is asked back from whoever holds something of it.
    app.patched(&management, &hash, json!({ "limit": 1 })).await;
    app.examples(&key, 1).await;
    app.patched(&management, &hash, json!({ "limit": 0.0005 })).await;
    let start = Instant::now();
    while app.example(&key).await.status != 402 {
        assert!(start.elapsed() < Duration::from_secs(10), "it still spends");
    }
    app.close().await;
}

#[tokio::test]
async fn a_key_gives_its_place_to_another() {
    let (app, management) = App::managed().await;
    let wish = json!({ "name": "worker", "limit": 3, "limit_reset": "monthly", "models": ["openai/gpt-4o-mini"] });
    let (old, hash) = app.made(&management, wish).await;
    refused(
        &app.rotate(&management, &hash, json!({ "overlap_hours": 721 })).await,
        400,
        "overlap_hours",
    );
    refused(&app.rotate(&management, &hash, json!({ "hours": 1 })).await, 400, "hours");
    let rotated = app.rotate(&management, &hash, json!({ "overlap_hours": 1 })).await;
    assert_eq!(rotated.status, 201, "{}", rotated.body);
    let (new, data) = (rotated.body["key"].as_str().expect("a key"), &rotated.body["data"]);
    assert_ne!(data["hash"], json!(hash));
    for (field, value) in [
        ("name", json!("worker")),
        ("limit", json!(3)),
        ("limit_reset", json!("monthly")),
        ("models", json!(["openai/gpt-4o-mini"])),
        ("scopes", json!(["inference"])),
    ] {
        assert_eq!(data[field], value, "{field}");
    }
    for key in [old.as_str(), new] {
        app.examples(key, 1).await;
    }
    let shown = app.read(&management, &format!("keys/{hash}")).await;
    assert_eq!(shown["rotated"], true);
    // Both spend one budget, which is the new one's.
    let next = data["hash"].as_str().expect("a hash");
    let successor = app.read(&management, &format!("keys/{next}")).await;
    for key in [&shown, &successor] {
        assert_eq!(key["limit"], 3, "{key}");
        assert_eq!(key["usage"], json!(0.000_551_565), "{key}");
        assert_eq!(key["limit_remaining"], json!(2.998_896_87), "{key}");
    }
    let asking = app.read(&old, "key").await;
    assert_eq!(asking["budgets"][0]["spend_usd"], json!(0.001_103_13), "{asking}");
    app.patched(&management, next, json!({ "limit": 0.001 })).await;
    for key in [old.as_str(), new] {
        let start = Instant::now();
        while app.example(key).await.status != 402 {
            assert!(start.elapsed() < Duration::from_secs(10), "it still spends");
        }
    }
    app.patched(&management, next, json!({ "limit": 3 })).await;
    let start = Instant::now();
    while app.example(&old).await.status != 200 {
        assert!(start.elapsed() < Duration::from_secs(10), "it does not spend again");
    }
    let end: jiff::Timestamp =
        shown["expires_at"].as_str().expect("an end").parse().expect("a moment");
    let left = jiff::Timestamp::now().duration_until(end).as_secs();
    assert!((3_500..=3_600).contains(&left), "{left} seconds");
    refused(&app.rotate(&management, &hash, json!({})).await, 409, "has been rotated");
    // Without an overlap the old one ends at once.
    let listed = async |query: &str| {
        let keys = app.read(&management, &format!("keys{query}")).await;
        keys.as_array().expect("a list").iter().any(|key| key["hash"] == next)
    };
    assert!(listed("").await);
    let last = app.rotate(&management, next, json!({ "overlap_hours": 0 })).await;
    assert_eq!(last.status, 201, "{}", last.body);
    assert_eq!(app.tried(new).await, (401, "this API key has expired".to_owned()));
    assert!(!listed("").await && listed("?include_expired=true").await);
    app.examples(last.body["key"].as_str().expect("a key"), 1).await;
    app.close().await;
}

#[tokio::test]
async fn from_where_and_how_fast() {
    let (app, management) = App::managed().await;
    let wish = json!({ "name": "k", "allowed_ips": ["203.0.113.9/24"], "requests_per_minute": 2 });
    let (key, hash) = app.made(&management, wish).await;
    refused(&app.example(&key).await, 403, "may not be used from 127.0.0.1");
    refused(&app.v1(&key, Method::GET, "key", None).await, 403, "may not be used from 127.0.0.1");
    let change = json!({ "allowed_ips": ["203.0.113.0/24", "127.0.0.1"] });
    let shown = app.patched(&management, &hash, change).await;
    assert_eq!(shown["allowed_ips"], json!(["203.0.113.0/24", "127.0.0.1/32"]));
    app.examples(&key, 2).await;
    let over = app.example(&key).await;
    refused(&over, 429, "requests");
    let wait: u64 = over.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    let free = json!({ "allowed_ips": null, "requests_per_minute": null });
    let shown = app.patched(&management, &hash, free).await;
    assert_eq!(
        (&shown["allowed_ips"], &shown["requests_per_minute"]),
        (&Value::Null, &Value::Null)
    );
    app.examples(&key, 1).await;
    app.close().await;
}
