//! `/api/v1/credits`, `/api/v1/activity`, the models and who serves them; and keys of an organization.

use reqwest::Method;
use serde_json::{Value, json};
use store::{NewUser, Role};
use uuid::Uuid;

use crate::app::{App, Start, USER};
use crate::books::Books;
use crate::openrouter::refused;
use crate::prices::pico_dollars;

/// What three worked examples cost, in dollars, and two.
const THREE: f64 = 0.001_654_695;
const TWO: f64 = 0.001_103_13;

async fn credit(books: Books) {
    let (app, management) = App::managed_on(books).await;
    let text = async || {
        let request = app.request(Method::GET, "/api/v1/credits").bearer_auth(&management);
        request.send().await.expect("an answer").text().await.expect("a body")
    };
    assert_eq!(text().await, r#"{"data":{"total_credits":0,"total_usage":0}}"#);
    assert_eq!(app.example(&app.key).await.status, 200);
    app.books.cli(&["credit", "add", "--user", USER, "--usd", "10.000000000001"]).await;
    app.books.cli(&["credit", "add", "--user", USER, "--usd", "0.5", "--promo"]).await;
    assert_eq!(app.example(&app.key).await.status, 200);
    let told = r#"{"data":{"total_credits":10.500000000001,"total_usage":0.00110313}}"#;
    assert_eq!(text().await, told);
    let shown = app.books.cli_json(&["credit", "show", "--user", USER]).await;
    let balance = pico_dollars(shown["balance"].as_str().expect("an amount"));
    assert_eq!(balance, 10_500_000_000_001 - 1_103_130_000, "the one less the other");
    app.close().await;
}

#[tokio::test]
async fn credit_on_sqlite() {
    credit(Books::sqlite()).await;
}

#[tokio::test]
async fn credit_on_postgres() {
    if let Some(books) = Books::postgres("credits").await {
        credit(books).await;
    }
}

async fn activity(books: Books) {
    let (app, management) = App::managed_on(books).await;
    let (key, hash) = app.made(&management, json!({ "name": "k" })).await;
    for key in [&key, &key, &app.key] {
        assert_eq!(app.example(key).await.status, 200);
    }
    let none = app.read(&management, "activity").await;
    assert_eq!(none, json!([]), "today is not over");
    // As if it had been yesterday.
    let shift = |sign: &str| {
        format!("UPDATE tollgate.rollups SET day = day {sign} 1 WHERE grain IN ('account', 'key')")
    };
    app.books.shell(&shift("-")).await;
    let yesterday = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24);
    let date = yesterday.strftime("%Y-%m-%d").to_string();
    let row = |requests: u32| {
        json!({
            "date": date, "model": "openai/gpt-4o-mini", "model_permaslug": "openai/gpt-4o-mini",
            "endpoint_id": "openai/gpt-4o-mini", "provider_name": "OpenAI",
            "usage": if requests == 3 { THREE } else { TWO }, "byok_usage_inference": 0, "requests": requests,
            "prompt_tokens": 1_234 * requests, "cached_tokens": 0, "completion_tokens": 567 * requests, "reasoning_tokens": 0,
        })
    };
    let user = app.read(&management, "key").await["creator_user_id"].clone();
    let user = user.as_str().expect("an id");
    for (query, requests) in [
        (String::new(), Some(3)),
        (format!("?date={date}"), Some(3)),
        (format!("?api_key_hash={hash}"), Some(2)),
        (format!("?user_id={user}"), Some(3)),
        (format!("?user_id={user}&api_key_hash={hash}&date={date}"), Some(2)),
        (format!("?user_id={}", Uuid::nil()), None),
        (format!("?user_id={}&api_key_hash={hash}", Uuid::nil()), None),
    ] {
        let expected: Vec<Value> = requests.map(row).into_iter().collect();
        assert_eq!(
            app.read(&management, &format!("activity{query}")).await,
            json!(expected),
            "{query}"
        );
    }
    let workspace = app.read(&management, "key").await["workspace_id"].clone();
    let grouped = app.read(&management, "activity?group_by=workspace").await;
    assert_eq!(grouped[0]["workspace_id"], workspace);
    for (query, word) in [
        ("date=2020-01-01", "date: expected a day from"),
        ("date=today", "date: expected a day from"),
        ("user_id=ada", "user_id: "),
        ("group_by=model", "group_by"),
        ("workspace_id=x", "workspace_id: "),
    ] {
        let answer = app.v1(&management, Method::GET, &format!("activity?{query}"), None).await;
        refused(&answer, 400, word);
    }
    app.books.shell(&shift("+")).await;
    app.close().await;
}

#[tokio::test]
async fn activity_on_sqlite() {
    activity(Books::sqlite()).await;
}

#[tokio::test]
async fn activity_on_postgres() {
    if let Some(books) = Books::postgres("activity").await {
        activity(books).await;
    }
}

/// An organization with an owner, a member, and somebody who pays the bill.
async fn organization() -> (Books, [String; 3]) {
    let books = Books::sqlite();
    for name in [USER, "bob", "eve"] {
        books.cli(&["user", "add", name]).await;
    }
    let store = books.store().await;
    let owner = store.user(USER).await.expect("ada");
    let new = NewUser {
        id: Uuid::now_v7(),
        account_id: Uuid::now_v7(),
        name: "acme".to_owned(),
        owner: Some(owner.id),
        operator: false,
        prepaid: false,
        created_at: 1,
    };
    let acme = store.add_user(new).await.expect("an organization");
    for (name, role) in [("bob", Role::Member), ("eve", Role::Billing)] {
        let user = store.user(name).await.expect("a user");
        store.set_member(&acme, &user, role, 2).await.expect("a member");
    }
    store.close().await;
    let mut keys = Vec::new();
    for name in [USER, "bob", "eve"] {
        let mut arguments = vec!["key", "create", "--user", name, "--payer", "acme"];
        // Who is there for billing has no other keys.
        let scopes = match name {
            "eve" => &["usage", "billing"][..],
            _ => &["inference", "keys", "usage", "billing"],
        };
        arguments.extend(scopes.iter().flat_map(|scope| ["--scope", *scope]));
        keys.push(books.cli(&arguments).await);
    }
    (books, keys.try_into().expect("three keys"))
}

#[tokio::test]
async fn in_an_organization_everybody_has_a_place() {
    let (books, [owner, member, payer]) = organization().await;
    let app = App::start_with_key(books, Start::default(), owner.clone()).await;
    for key in [&owner, &member] {
        assert_eq!(app.example(key).await.status, 200);
    }
    let count = async |key: &str| app.read(key, "keys").await.as_array().expect("a list").len();
    assert_eq!((count(&owner).await, count(&member).await), (3, 1));
    for (method, wish) in [(Method::GET, None), (Method::POST, Some(json!({ "name": "k" })))] {
        refused(&app.v1(&payer, method, "keys", wish).await, 403, "scope");
    }
    // A member makes keys of their own, which spend from the organization's account.
    let (made, hash) = app.made(&member, json!({ "name": "bob's" })).await;
    assert_eq!(app.example(&made).await.status, 200);
    let shown = app.read(&owner, &format!("keys/{hash}")).await;
    let whose = app.read(&member, "key").await;
    assert_eq!(shown["creator_user_id"], whose["creator_user_id"]);
    assert_eq!(shown["workspace_id"], whose["workspace_id"]);
    assert!(whose["organization_id"].is_string(), "{whose}");
    let owners = app.read(&owner, "keys").await;
    let other = owners
        .as_array()
        .expect("a list")
        .iter()
        .find(|key| key["creator_user_id"] != whose["creator_user_id"]);
    let other = other.expect("ada's")["hash"].as_str().expect("a hash");
    let denied = app.v1(&member, Method::DELETE, &format!("keys/{other}"), None).await;
    refused(&denied, 404, "no such key");
    // What was used: by all for who runs it or pays, one's own for a member.
    let shift = |sign: &str| {
        format!("UPDATE tollgate.rollups SET day = day {sign} 1 WHERE grain IN ('account', 'key')")
    };
    app.books.shell(&shift("-")).await;
    for (key, requests) in [(&owner, 3), (&payer, 3), (&member, 2)] {
        assert_eq!(app.read(key, "activity").await[0]["requests"], requests);
    }
    app.books.shell(&shift("+")).await;
    for key in [&owner, &payer] {
        assert_eq!(app.read(key, "credits").await["total_usage"], THREE);
    }
    refused(&app.v1(&member, Method::GET, "credits", None).await, 403, "your role");
    app.close().await;
}

fn ids(models: &Value) -> Vec<&str> {
    let models = models.as_array().expect("a list").iter();
    models.map(|model| model["id"].as_str().expect("an id")).collect()
}

#[tokio::test]
async fn models_in_pages() {
    let (app, management) = App::managed().await;
    let all = app.read("", "models?output_modalities=all").await;
    let (all, texts) = (ids(&all).len(), app.read("", "models").await);
    let vectors = app.read("", "embeddings/models").await;
    assert!(all == ids(&texts).len() + ids(&vectors).len() && !ids(&vectors).is_empty());
    assert!(
        ids(&texts).contains(&"openai/gpt-4o")
            && !ids(&texts).contains(&"openai/text-embedding-3-small")
    );
    assert!(ids(&vectors).contains(&"openai/text-embedding-3-small"));
    for (query, count) in [("", ids(&texts).len()), ("?output_modalities=all", all)] {
        assert_eq!(app.read("", &format!("models/count{query}")).await["count"], count);
    }
    // A page, and the next.
    let page =
        app.v1("", Method::GET, "models?limit=2&q=gpt-5&sort=context-high-to-low", None).await.body;
    assert_eq!(page["data"].as_array().map(Vec::len), Some(2), "{page}");
    let next = page["links"]["next"].as_str().expect("more");
    assert_eq!(next, "/api/v1/models?limit=2&q=gpt-5&sort=context-high-to-low&offset=2");
    let rest = app
        .v1("", Method::GET, &next.replace("limit=2", "limit=1000")["/api/v1/".len()..], None)
        .await
        .body;
    assert_eq!(rest["links"]["next"], Value::Null);
    let shown = 2 + rest["data"].as_array().expect("a list").len();
    assert_eq!(json!(shown), page["total_count"]);

    let (key, _) =
        app.made(&management, json!({ "name": "k", "models": ["google/gemini-2.5-flash"] })).await;
    assert_eq!(ids(&app.read(&key, "models/user").await), ["gemini/gemini-2.5-flash"]);
    assert_eq!(ids(&app.read(&management, "models/user").await), ids(&texts));
    refused(&app.v1("tg-no", Method::GET, "models/user", None).await, 401, "not known");

    for query in ["limit=0", "limit=1001", "sort=beauty", "offset=x"] {
        let field = query.split('=').next().expect("a name");
        refused(&app.v1("", Method::GET, &format!("models?{query}"), None).await, 400, field);
    }
    app.close().await;
}

#[tokio::test]
async fn one_model_and_who_serves_it() {
    let app = App::start().await;
    let texts = app.read("", "models").await;
    let model = app.read("", "model/openai/gpt-4o-mini").await;
    let found =
        texts.as_array().expect("a list").iter().find(|one| one["id"] == "openai/gpt-4o-mini");
    assert_eq!(Some(&model), found);
    // 0.15 and 0.60 dollars a million, and 5 %.
    assert_eq!(
        (&model["pricing"]["prompt"], &model["pricing"]["completion"]),
        (&json!("0.0000001575"), &json!("0.00000063"))
    );
    let served = app.read("", "models/anthropic/claude-sonnet-4.5/endpoints").await;
    assert_eq!(served["id"], "anthropic/claude-sonnet-4-5");
    let endpoints = served["endpoints"].as_array().expect("a list");
    assert_eq!(endpoints.len(), 1);
    for (field, value) in [
        ("provider_name", json!("Anthropic")),
        ("tag", json!("anthropic")),
        ("status", json!(0)),
        ("uptime_last_30m", Value::Null),
        ("supports_implicit_caching", json!(false)),
    ] {
        assert_eq!(endpoints[0][field], value, "{field}");
    }
    for path in [
        "model/openai/gpt-none",
        "models/openai/gpt-none/endpoints",
        "models/nobody/gpt-4o/endpoints",
    ] {
        refused(&app.v1("", Method::GET, path, None).await, 404, "");
    }
    let providers = app.read("", "providers").await;
    let slugs: Vec<&str> = providers
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["slug"].as_str().expect("text"))
        .collect();
    assert_eq!(slugs, ["openai", "gemini", "anthropic", "deepseek"]);
    app.close().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_named() {
    let (app, management) = App::managed().await;
    let (_, hash) = app.made(&management, json!({ "name": "k" })).await;
    for (wish, word) in [
        (json!({}), "name: is missing"),
        (json!({ "name": 5 }), "name: expected a string"),
        (json!({ "name": "a\nb" }), "name: expected at most"),
        (json!({ "name": "k", "limit": "much" }), "limit: expected dollars"),
        (json!({ "name": "k", "limit": -1 }), "limit: expected no less than 0"),
        (json!({ "name": "k", "limit_reset": "daily" }), "limit_reset: there is no limit"),
        (
            json!({ "name": "k", "limit": 1, "limit_reset": "yearly" }),
            "limit_reset: expected one of",
        ),
        (json!({ "name": "k", "expires_at": "2020-01-01T00:00:00Z" }), "expires_at: expected"),
        (json!({ "name": "k", "scopes": ["root"] }), "scopes: there is no scope"),
        (json!({ "name": "k", "models": ["openai/none"] }), "models: "),
        (json!({ "name": "k", "allowed_ips": ["home"] }), "allowed_ips: "),
        (json!({ "name": "k", "requests_per_minute": 0 }), "requests_per_minute: "),
        (json!({ "name": "k", "tokens_per_minute": -5 }), "tokens_per_minute: "),
        (json!({ "name": "k", "creator_user_id": "bob" }), "creator_user_id: "),
        (json!({ "name": "k", "workspace_id": "x" }), "workspace_id: "),
        (json!({ "name": "k", "budget": 5 }), "budget: there is no such field"),
    ] {
        let answer = app.v1(&management, Method::POST, "keys", Some(wish.clone())).await;
        refused(&answer, 400, word);
    }
    for (change, word) in [
        (json!({ "disabled": "yes" }), "disabled: expected true or false"),
        (json!({ "limit_reset": "daily" }), "limit_reset: "),
        (json!({ "workspace_id": "x" }), "workspace_id: "),
        (json!({ "hash": "x" }), "hash: there is no such field"),
    ] {
        refused(
            &app.v1(&management, Method::PATCH, &format!("keys/{hash}"), Some(change)).await,
            400,
            word,
        );
    }
    for (query, word) in [
        ("offset=-1", "offset"),
        ("include_disabled=5", "include_disabled"),
        ("workspace_id=x", "workspace_id"),
    ] {
        refused(&app.v1(&management, Method::GET, &format!("keys?{query}"), None).await, 400, word);
    }
    app.close().await;
}
