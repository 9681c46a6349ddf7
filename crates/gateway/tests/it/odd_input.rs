//! What nobody means to send, to pages, forms, the management API and the command line: it is refused in words, by the name
//! of its field, and nothing is done.

use http::Method;
use serde_json::{Value, json};

use crate::app::{App, Start, USER};
use crate::books::Books;
use crate::console::Browser;

const OPERATOR: &str = "olga";

async fn started(books: Books) -> App {
    books.cli(&["user", "add", OPERATOR, "--operator"]).await;
    App::start_on(books, Start::default()).await
}

/// A character that no database keeps is refused wherever it comes in, by anybody.
async fn nul_is_no_text(books: Books) {
    let app = started(books).await;
    let olga = Browser::of(&app, OPERATOR).await;
    for (path, name) in [
        ("/keys?q=%00", "q"),
        ("/keys?user=a%00", "user"),
        ("/requests?model=%00&surface=x", "model"),
        ("/operator/users?q=%00", "q"),
        ("/operator/audit?actor=%00", "actor"),
        ("/operator/customers/%00", "name"),
    ] {
        let got = olga.get(path).await;
        assert_eq!(got.status, 400, "{path}: {}", got.text);
        let told = format!("{name}: has the character u+0000");
        assert!(got.text.to_lowercase().contains(&told), "{}", got.text);
    }
    let credit =
        [("usd", "1"), ("reason", "a\0b"), ("act", "01920000-0000-7000-8000-000000000001")];
    let got = olga.post("/operator/customers/ada/credit", &credit).await;
    assert!(got.status == 400 && got.text.contains("Reason: has"), "{}", got.text);
    let form = app.request(Method::POST, "/sign-in").header("origin", &app.url);
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    let got = form.body("user=a%00b&password=x").send().await.expect("an answer");
    assert_eq!(got.status(), 400);
    for path in ["/api/v1/generation?id=%00", "/api/v1/activity?api_key_hash=%00"] {
        let got =
            app.request(Method::GET, path).bearer_auth(&app.key).send().await.expect("an answer");
        assert_eq!(got.status(), 400, "{path}");
    }
    let body = json!({ "name": "a\0b" });
    let made = app.request(Method::POST, "/api/keys/generate").json(&body);
    let made = made.header("user", USER).header("api-key", &app.key);
    assert_eq!(made.send().await.expect("an answer").status(), 400);
    app.close().await;
}

#[tokio::test]
async fn nul_is_no_text_on_sqlite() {
    nul_is_no_text(Books::sqlite()).await;
}

#[tokio::test]
async fn nul_is_no_text_on_postgres() {
    if let Some(books) = Books::postgres("nul").await {
        nul_is_no_text(books).await;
    }
}

/// Bytes that are no text are refused as anything else is, in the form of whoever asks.
#[tokio::test]
async fn a_path_that_is_no_text() {
    let app = started(Books::sqlite()).await;
    let olga = Browser::of(&app, OPERATOR).await;
    for path in ["/requests/%ff", "/operator/customers/%ff"] {
        let got = olga.get(path).await;
        assert!(got.status == 400 && got.text.contains("<html"), "{path}: {}", got.text);
    }
    let anonymous = app.request(Method::GET, "/api/v1/keys/%ff").send().await.expect("an answer");
    assert_eq!(anonymous.status(), 401, "who calls comes first");
    for (method, path, status) in [
        (Method::GET, "/api/v1/keys/%ff", 400),
        (Method::GET, "/v1/models/%ff", 404),
        (Method::GET, "/v1beta/models/%ff", 404),
        (Method::POST, "/v1beta/models/%ff:generateContent", 404),
    ] {
        let asked = app.request(method, path).bearer_auth(&app.key).body("{}");
        let got = asked.send().await.expect("an answer");
        assert_eq!(got.status(), status, "{path}");
        let body: Value = got.json().await.expect("JSON");
        assert!(body["error"]["message"].is_string(), "{path}: {body}");
    }
    app.close().await;
}

/// A form with a word that it has not on offer does nothing.
#[tokio::test]
async fn words_that_are_not_on_offer() {
    let app = started(Books::sqlite()).await;
    let olga = Browser::of(&app, OPERATOR).await;
    olga.done("/operator/customers/ada/pays", &[("pays", "first")]).await;
    let budget = |whose| [("budget", "3"), ("period", "day"), ("whose", whose)];
    for (act, fields, field) in [
        ("pays", vec![("pays", "never")], "pays"),
        ("pays", vec![], "pays"),
        ("budget", budget("nobody").to_vec(), "whose"),
        ("credit", vec![("usd", "1"), ("reason", "x")], "act"),
        ("credit", vec![("usd", "1"), ("act", "zz")], "act"),
    ] {
        let got = olga.post(&format!("/operator/customers/ada/{act}"), &fields).await;
        assert!(
            got.status == 400 && got.text.contains(&format!("{field}: expected")),
            "{act} {fields:?}: {}",
            got.text
        );
    }
    let long = "x".repeat(501);
    let act = "01920000-0000-7000-8000-000000000002";
    let credit = [("usd", "1"), ("act", act), ("reason", long.as_str())];
    let got = olga.post("/operator/customers/ada/credit", &credit).await;
    assert!(got.status == 400 && got.text.contains("reason: expected at most 500"), "{}", got.text);
    let users = app.books.cli_json(&["user", "list"]).await;
    let ada = users.as_array().expect("users").iter().find(|user| user["name"] == USER);
    assert_eq!(ada.expect("Ada")["prepaid"], true, "{users}");
    let credit = app.books.cli_json(&["credit", "show", "--user", USER]).await;
    assert_eq!(credit["balance"], "0", "{credit}");
    let prices = [("models", "provider,model,input_per_mtok,output_per_mtok\nnobody,gpt-zz,1,2\n")];
    let got = olga.post("/operator/prices/import", &prices).await;
    assert!(got.status == 400 && got.text.contains("no such provider"), "{}", got.text);
    app.close().await;
}

/// The management API takes what `OpenRouter`'s does, and nothing that would be another thing than was said.
#[tokio::test]
async fn keys_and_models_as_openrouter_has_them() {
    let mut app = started(Books::sqlite()).await;
    let key = app.books.cli(&["key", "create", "--user", USER, "--scope", "keys"]).await;
    app.restart().await;
    for (body, field) in
        [(json!({ "name": "k", "limit": 1e-13 }), "limit"), (json!({ "name": "" }), "name")]
    {
        let asked = app.request(Method::POST, "/api/v1/keys").bearer_auth(&key).json(&body);
        let got = asked.send().await.expect("an answer");
        let (status, told) = (got.status(), got.text().await.expect("text"));
        assert!(status == 400 && told.contains(field), "{body}: {status} {told}");
    }
    for (sort, status) in [
        ("newest", 200),
        ("top-weekly", 200),
        ("throughput-high-to-low", 200),
        ("design-arena-elo-high-to-low", 200),
        ("oldest", 400),
    ] {
        let got = app
            .request(Method::GET, &format!("/api/v1/models?sort={sort}"))
            .send()
            .await
            .expect("an answer");
        assert_eq!(got.status(), status, "{sort}");
    }
    let list = app.request(Method::POST, "/v1/chat/completions").bearer_auth(&app.key).body("[]");
    let told: Value = list.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(told["error"]["message"], "the request body: expected an object, not a list");
    app.close().await;
}

/// The command line gives nobody a key to an account that is not theirs to spend from.
#[tokio::test]
async fn keys_for_those_who_may_not_spend() {
    let books = Books::sqlite();
    for name in ["ada", "bill", "eve"] {
        books.cli(&["user", "add", name]).await;
    }
    books.cli(&["org", "add", "acme", "--owner", "ada"]).await;
    books.cli(&["org", "member", "set", "acme", "bill", "--role", "billing"]).await;
    let create = |user| ["key", "create", "--user", user, "--payer", "acme"];
    let told = books.refused(&create("bill")).await;
    assert!(
        told.contains("--scope: bill is there for billing at acme: expected usage and billing"),
        "{told}"
    );
    let told = books.refused(&create("eve")).await;
    assert!(told.contains("--payer: eve is no member of acme"), "{told}");
    books.cli(&create("ada")).await;
    books.cli(&[&create("bill")[..], &["--scope", "usage", "--scope", "billing"]].concat()).await;
    for name in [".", ".."] {
        assert!(books.refused(&["user", "add", name]).await.contains("not . or .."));
    }
    books.remove().await;
}
