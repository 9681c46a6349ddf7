//! Limits as operators set them, by the API and on the page of a customer, and as customers see them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{Answer, App, Start, USER};
use crate::books::Books;
use crate::chat::say;
use crate::console::{Browser, acts};

const OPERATOR: &str = "olga";
const MODEL: &str = "openai/gpt-4o";
const LIMITS: &str = "/api/operator/limits";

/// With an operator, the organization acme, and a key of the operator for the API.
async fn started() -> (App, String) {
    let books = Books::sqlite();
    books.cli(&["user", "add", OPERATOR, "--operator"]).await;
    let app = App::start_on(books, Start::default()).await;
    app.books.cli(&["org", "add", "acme", "--owner", USER]).await;
    let key = app.books.key_with(OPERATOR, &["operator"]).await;
    app.knows(&key).await;
    (app, key)
}

impl App {
    async fn manage(&self, method: Method, path: &str, key: &str, body: &Value) -> Answer {
        Answer::of(self.request(method, path).bearer_auth(key).json(body)).await
    }

    /// What a chat of that user's key is answered with.
    async fn chat_of(&self, key: &str) -> Answer {
        let chat = self.request(Method::POST, "/api/layers/chat");
        let chat = chat.json(&say("openai", "gpt-4o", "Hello")).header("user", USER);
        Answer::of(chat.header("api-key", key)).await
    }
}

#[tokio::test]
async fn by_the_api() {
    let (app, key) = started().await;
    let set = json!({ "user": USER, "requests_per_minute": 1 });
    let made = app.manage(Method::PUT, LIMITS, &key, &set).await;
    assert_eq!(made.status, 200, "{}", made.body);
    assert_eq!(made.body["owner"]["kind"], "user");
    assert_eq!(made.body["owner"]["name"], USER);
    let id = made.body["id"].as_str().expect("an id").to_owned();
    // In force from the next request on.
    assert_eq!(app.chat_of(&app.key).await.status, 200);
    let refused = app.chat_of(&app.key).await;
    assert_eq!(refused.message(), "the user of this API key may use 1 requests per minute");
    // Another of the same owner takes its place.
    let again = json!({ "user": USER, "tokens_per_minute": 90 });
    let again = app.manage(Method::PUT, LIMITS, &key, &again).await;
    assert_eq!((&again.body["id"], &again.body["requests_per_minute"]), (&json!(id), &json!(null)));
    for more in [
        json!({ "account": "acme", "concurrent_requests": 20 }),
        json!({ "model": MODEL, "requests_per_minute": 30 }),
        json!({ "account": "acme", "model": "google/gemini-2.5-flash", "requests_per_minute": 300 }),
    ] {
        let set = app.manage(Method::PUT, LIMITS, &key, &more).await;
        assert_eq!(set.status, 200, "{more}: {}", set.body);
    }
    let own = app.books.cli_json(&["key", "list", "--user", USER]).await[0]["id"].clone();
    let of_key = json!({ "key": own, "tokens_per_minute": 5 });
    assert_eq!(app.manage(Method::PUT, LIMITS, &key, &of_key).await.body["id"], own);

    let list = async |query: &str| {
        let path = format!("{LIMITS}{query}");
        app.manage(Method::GET, &path, &key, &json!({})).await.body
    };
    let all = list("").await;
    let shown = |one: &Value| {
        let owner = &one["owner"];
        format!("{} {} {}", owner["kind"], owner["name"], one["model"]).replace('"', "")
    };
    let shown: Vec<String> = all["limits"].as_array().expect("limits").iter().map(shown).collect();
    let expected = [
        "user ada null",
        "account acme null",
        "account null openai/gpt-4o",
        "account acme gemini/gemini-2.5-flash",
        "key null null",
    ];
    assert_eq!((shown, &all["total_count"]), (expected.map(str::to_owned).into(), &json!(5)));
    assert_eq!(list("?customer=acme").await["total_count"], 3);
    assert_eq!(list("?customer=ada").await["total_count"], 2);
    let second = list("?offset=1").await;
    assert_eq!(second["limits"].as_array().map(Vec::len), Some(4), "{second}");

    let path = format!("{LIMITS}/{id}");
    let removed = app.manage(Method::DELETE, &path, &key, &json!({})).await;
    assert_eq!((removed.status, &removed.body["removed"]), (200, &json!(true)));
    assert_eq!(app.manage(Method::DELETE, &path, &key, &json!({})).await.status, 404);
    // Each act stands in the log, with who has done it and how much it was.
    let acts = acts(&app).await;
    let of = |action: &str| acts.iter().filter(|act| act.action == action).collect::<Vec<_>>();
    assert_eq!((of("limit.set").len(), of("limit.remove").len()), (5, 1));
    let act = of("limit.remove")[0];
    assert_eq!((act.actor.as_str(), act.via.as_str()), (OPERATOR, "key"));
    assert!(act.target.starts_with("user ") && act.detail.contains("90"), "{act:?}");
    app.close().await;
}

/// What makes no sense is refused and named, and nobody but an operator is let in.
#[tokio::test]
async fn what_is_refused() {
    let (app, key) = started().await;
    for (body, status, named) in [
        (json!({ "user": USER }), 400, "requests_per_minute"),
        (json!({ "requests_per_minute": 1 }), 400, "expected one of"),
        (json!({ "user": USER, "model": MODEL, "requests_per_minute": 1 }), 400, "expected one of"),
        (json!({ "user": USER, "requests_per_minute": 0 }), 400, "requests_per_minute: "),
        (json!({ "user": "acme", "requests_per_minute": 1 }), 400, "limit its account"),
        (json!({ "model": "openai/none", "requests_per_minute": 1 }), 400, "model: "),
        (json!({ "user": "nobody", "requests_per_minute": 1 }), 404, "user"),
        (json!({ "key": "1", "requests_per_minute": 1 }), 404, "key"),
        (json!({ "team": "x", "requests_per_minute": 1 }), 400, "team"),
    ] {
        let answer = app.manage(Method::PUT, LIMITS, &key, &body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        assert!(answer.message().contains(named), "{body}: {}", answer.body);
    }
    let ordinary = app.manage(Method::GET, LIMITS, &app.key, &json!({})).await;
    assert_eq!((ordinary.status, ordinary.code()), (403, "scope_missing"), "{}", ordinary.body);
    // Such a key is made for operators alone, and is none any more when its user is none.
    let complaint =
        app.books.refused(&["key", "create", "--user", USER, "--scope", "operator"]).await;
    assert!(complaint.contains("--scope: you may grant no more than"), "{complaint}");
    let store = app.books.store().await;
    let olga = store.user(OPERATOR).await.expect("Olga");
    store.set_operator(&olga, false).await.expect("no operator");
    store.close().await;
    let start = std::time::Instant::now();
    while app.manage(Method::GET, LIMITS, &key, &json!({})).await.status != 403 {
        assert!(start.elapsed() < std::time::Duration::from_secs(2), "she still is");
    }
    assert!(app.close().await.is_empty());
}

#[tokio::test]
async fn on_pages() {
    let (app, _) = started().await;
    app.books.add_user("bob").await;
    let (ada, olga) = (Browser::of(&app, USER).await, Browser::of(&app, OPERATOR).await);
    let customer = format!("/operator/customers/{USER}");
    let act = format!("{customer}/limit");
    assert!(ada.page("/settings").await.contains("Nothing limits you"));
    for (fields, named) in [
        (vec![("of", "account")], "Limits: "),
        (vec![("of", "account"), ("requests", "many")], "Requests per minute: "),
        (vec![("of", "each"), ("requests", "1")], "Model: "),
        (vec![("of", "user"), ("model", MODEL), ("requests", "1")], "Model: "),
        (vec![("of", "account"), ("model", "openai/none"), ("requests", "1")], "model: "),
    ] {
        let got = olga.post(&act, &fields).await;
        assert!(got.status == 400 && got.text.contains(named), "{fields:?}: {}", got.text);
    }
    assert_eq!(olga.post(&act, &[("of", "7"), ("requests", "1")]).await.status, 404);
    let key = app.books.cli_json(&["key", "list", "--user", USER]).await[0]["id"].clone();
    let key = key.as_str().expect("an id");
    for fields in [
        vec![("of", "account"), ("requests", "12"), ("tokens", "3400"), ("concurrent", "5")],
        vec![("of", "user"), ("requests", "67")],
        vec![("of", "account"), ("model", MODEL), ("requests", "8")],
        vec![("of", "each"), ("model", "openai/gpt-4o-mini"), ("tokens", "910")],
        vec![("of", key), ("concurrent", "11")],
    ] {
        assert_eq!(olga.done(&act, &fields).await, format!("{customer}?done=limit-set"));
    }
    let text = olga.page(&customer).await;
    for shown in [
        "12 requests a minute, 3400 tokens a minute, 5 requests at once",
        "67 requests a minute",
        "8 requests a minute",
        "910 tokens a minute",
        "11 requests at once",
        "<code>openai/gpt-4o</code>",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    // The customer sees what applies, wherever it was set; of a key's own, on its page.
    let settings = ada.page("/settings").await;
    for shown in ["You, with all your keys", ">67<", "3\u{202f}400", "openai/gpt-4o-mini", "910"] {
        assert!(settings.contains(shown), "{shown}: {settings}");
    }
    let page = ada.page(&format!("/keys/{key}")).await;
    for shown in
        ["Limits of its user", "Limits of its account", "Limits of a model", "value=\"11\""]
    {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    let bob = Browser::of(&app, "bob").await.page("/settings").await;
    assert!(bob.contains("910") && !bob.contains(">67<"), "{bob}");

    // Only what stands on the page is taken away from it.
    let listed = app.books.cli_json(&["limit", "list"]).await;
    let listed = listed.as_array().expect("limits");
    let of_user = listed.iter().find(|one| one["owner"]["kind"] == "user").expect("the user's");
    let id = of_user["id"].as_str().expect("an id");
    let remove = |name: &str| format!("/operator/customers/{name}/limit-removed");
    assert_eq!(olga.post(&remove("bob"), &[("limit", id)]).await.status, 404);
    for limit in listed {
        let id = limit["id"].as_str().expect("an id");
        olga.done(&remove(USER), &[("limit", id)]).await;
    }
    assert_eq!(app.books.cli_json(&["limit", "list"]).await, json!([]));
    assert!(ada.page("/settings").await.contains("Nothing limits you"));
    assert_eq!(acts(&app).await.iter().filter(|act| act.action == "limit.remove").count(), 4);
    app.close().await;
}

/// Who does not run the place neither makes a key that does, nor gets one by rotating another's.
#[tokio::test]
async fn keys_of_operators_stay_theirs() {
    let (app, _) = started().await;
    app.books.cli(&["org", "member", "set", "acme", OPERATOR, "--role", "member"]).await;
    let create = ["key", "create", "--user", OPERATOR, "--payer", "acme", "--scope", "operator"];
    app.books.cli(&create).await;
    let (ada, olga) = (Browser::of(&app, USER).await, Browser::of(&app, OPERATOR).await);
    assert!(!ada.page("/keys/new").await.contains("Run the place"));
    assert!(olga.page("/keys/new").await.contains("Run the place"));
    let wish = [("name", "x"), ("scope", "operator")];
    let refused = ada.post("/keys", &wish).await;
    assert!(refused.status == 400 && refused.text.contains("Scopes: "), "{}", refused.text);
    assert_eq!(olga.post("/keys", &wish).await.status, 200);
    let generate = app.native(Method::POST, "/api/keys/generate");
    let answer = Answer::of(generate.json(&json!({ "scopes": ["operator"] }))).await;
    assert_eq!(answer.status, 400, "{}", answer.body);
    app.close().await;
}
