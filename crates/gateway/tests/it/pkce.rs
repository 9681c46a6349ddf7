//! `/api/v1/auth/keys`: a program gets a key that somebody lets it have, once.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::app::{Answer, App};
use crate::books::Books;
use crate::openrouter::refused;

/// The example of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn code(app: &App, key: &str, more: Value) -> String {
    let mut wish = json!({ "callback_url": "http://localhost:3000/callback" });
    let fields = more.as_object().expect("an object").clone();
    wish.as_object_mut().expect("an object").extend(fields);
    let answer = app.v1(key, Method::POST, "auth/keys/code", Some(wish)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(
        answer.body["data"]["app_id"].is_i64() && answer.body["data"]["created_at"].is_string()
    );
    answer.body["data"]["id"].as_str().expect("a code").to_owned()
}

/// As a program does it that has no key.
async fn exchange(app: &App, wish: Value) -> Answer {
    Answer::of(app.request(Method::POST, "/api/v1/auth/keys").json(&wish)).await
}

async fn codes(books: Books) {
    let (app, management) = App::managed_on(books).await;
    let sha = json!({
        "code_challenge": CHALLENGE, "code_challenge_method": "S256", "key_label": "a program",
        "limit": 2, "usage_limit_type": "weekly", "expires_at": "2099-01-01T00:00:00Z",
    });
    let one = code(&app, &management, sha.clone()).await;
    let wrong_method =
        json!({ "code": one, "code_verifier": VERIFIER, "code_challenge_method": "plain" });
    refused(&exchange(&app, wrong_method).await, 400, "code_challenge_method");
    let right = json!({ "code": one, "code_verifier": VERIFIER, "code_challenge_method": "S256" });
    let got = exchange(&app, right.clone()).await;
    assert_eq!(got.status, 200, "{}", got.body);
    let key = got.body["key"].as_str().expect("a key");
    let told = app.read(key, "key").await;
    assert_eq!(told["creator_user_id"], got.body["user_id"]);
    for (field, value) in [
        ("limit", json!(2)),
        ("limit_reset", json!("weekly")),
        ("scopes", json!(["inference"])),
        ("expires_at", json!("2099-01-01T00:00:00Z")),
    ] {
        assert_eq!(told[field], value, "{field}");
    }
    assert_eq!(app.example(key).await.status, 200);
    let names = app.read(&management, "keys").await;
    assert_eq!(names[0]["name"], "a program");
    refused(&exchange(&app, right).await, 403, "this code is not known");

    // A wrong verifier uses the code up.
    for wrong in [json!("x".repeat(43)), json!(CHALLENGE), json!(""), Value::Null] {
        let one = code(&app, &management, sha.clone()).await;
        for verifier in [wrong.clone(), json!(VERIFIER)] {
            let answer = exchange(&app, json!({ "code": one, "code_verifier": verifier })).await;
            refused(&answer, 403, "this code is not known");
        }
    }
    // Plain, and nothing to be proved.
    for (challenge, proof) in [
        (
            json!({ "code_challenge": VERIFIER, "code_challenge_method": "plain" }),
            json!({ "code_verifier": VERIFIER }),
        ),
        (
            json!({ "code_challenge": VERIFIER }),
            json!({ "code_verifier": VERIFIER, "code_challenge_method": "plain" }),
        ),
        (json!({}), json!({ "code_challenge_method": null })),
    ] {
        let mut wish = proof;
        wish["code"] = code(&app, &management, challenge).await.into();
        let got = exchange(&app, wish.clone()).await;
        assert_eq!(got.status, 200, "{wish}: {}", got.body);
    }
    refused(
        &exchange(&app, json!({ "code": "no such code" })).await,
        403,
        "this code is not known",
    );

    // Ten minutes later; and for somebody who may no longer.
    let late = code(&app, &management, json!({})).await;
    app.books
        .shell("UPDATE tollgate.auth_codes SET expires_at = created_at WHERE used_at IS NULL")
        .await;
    refused(&exchange(&app, json!({ "code": late })).await, 403, "this code is not known");
    let many = code(&app, &management, sha).await;
    assert_eq!(only_one(&app, &many).await, 1);
    app.close().await;
}

/// Twenty at the same time: how many get a key.
async fn only_one(app: &App, code: &str) -> usize {
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let wish = json!({ "code": code, "code_verifier": VERIFIER });
        let request = app.request(Method::POST, "/api/v1/auth/keys").json(&wish);
        tasks.spawn(async move { Answer::of(request).await.status });
    }
    let answers = tasks.join_all().await;
    assert!(answers.iter().all(|status| matches!(status, 200 | 403)), "{answers:?}");
    answers.iter().filter(|status| **status == 200).count()
}

#[tokio::test]
async fn codes_on_sqlite() {
    codes(Books::sqlite()).await;
}

#[tokio::test]
async fn codes_on_postgres() {
    if let Some(books) = Books::postgres("codes").await {
        codes(books).await;
    }
}

#[tokio::test]
async fn a_code_that_makes_no_sense() {
    let (app, management) = App::managed().await;
    for (wish, word) in [
        (json!({}), "callback_url: is missing"),
        (json!({ "callback_url": "http://evil.example.org/" }), "callback_url: expected https"),
        (
            json!({ "callback_url": "https://a.org", "code_challenge_method": "S256" }),
            "code_challenge: is missing",
        ),
        (
            json!({ "callback_url": "https://a.org", "code_challenge": "short" }),
            "code_challenge: expected 43",
        ),
        (
            json!({ "callback_url": "https://a.org", "code_challenge": "x", "code_challenge_method": "S256" }),
            "code_challenge: expected the SHA-256",
        ),
        (
            json!({ "callback_url": "https://a.org", "code_challenge": VERIFIER, "code_challenge_method": "MD5" }),
            "code_challenge_method: ",
        ),
        (
            json!({ "callback_url": "https://a.org", "usage_limit_type": "daily" }),
            "usage_limit_type: ",
        ),
        (json!({ "callback_url": "https://a.org", "limit": -1 }), "limit: "),
        (json!({ "callback_url": "https://a.org", "expires_at": "soon" }), "expires_at: "),
        (json!({ "callback_url": "https://a.org", "key_label": "a\nb" }), "key_label: "),
    ] {
        let answer = app.v1(&management, Method::POST, "auth/keys/code", Some(wish.clone())).await;
        refused(&answer, 400, word);
    }
    refused(&exchange(&app, json!({})).await, 400, "code: is missing");
    refused(
        &exchange(&app, json!({ "code": "x", "secret": 1 })).await,
        400,
        "secret: there is no such field",
    );
    app.close().await;
}
