//! Other names for models: asked for, listed, hidden, narrowed by keys. Models that are hidden themselves.

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{Answer, App, Start, USER};
use crate::books::Books;
use crate::chat::say;
use crate::sign_in::on_both;

on_both! {
    a_model_has_other_names
    a_hidden_model_does_not_exist
}

async fn a_model_has_other_names(books: Books) {
    let key = books.add_user(USER).await;
    let narrow =
        books.cli(&["key", "create", "--user", USER, "--model", "openai/gpt-4o-mini"]).await;
    let add = ["model", "alias", "add"];
    let said = books.cli_json(&[&add[..], &["house/fast", "openai/gpt-4o-mini"]].concat()).await;
    assert_eq!(
        said,
        json!({ "alias": "house/fast", "model": "openai/gpt-4o-mini", "hidden": false })
    );
    books.cli(&[&add[..], &["smart", "google/gemini-2.5-flash", "--hidden"]].concat()).await;
    for (arguments, words) in [
        (["gpt-4o", "openai/gpt-4o-mini"], "is a model's own name"),
        (["openai/gpt-4o", "openai/gpt-4o-mini"], "is a model's own name"),
        (["x", "openai/nothing"], "is not in the price list"),
        (["a b", "openai/gpt-4o"], "visible ASCII"),
        (["openai/*", "openai/gpt-4o"], "without *"),
    ] {
        let complaint = books.refused(&[&add[..], &arguments].concat()).await;
        assert!(complaint.contains(words), "{arguments:?}: {complaint}");
    }
    let app = App::start_with_key(books, Start::default(), key).await;
    let ask = async |model: &str, key: &str| {
        let body = json!({ "model": model, "messages": [{ "role": "user", "content": "Hello" }] });
        let request = app.request(Method::POST, "/v1/chat/completions").json(&body);
        Answer::of(request.bearer_auth(key)).await
    };
    for model in ["house/fast", "smart", "house/fast:floor", "smart:nitro"] {
        assert_eq!(ask(model, &app.key).await.status, 200, "{model}");
    }
    assert_eq!(ask("house/fast", &narrow).await.status, 200);
    assert_eq!(ask("smart", &narrow).await.status, 403, "lists of keys are of models");
    assert_eq!(ask("fast", &app.key).await.status, 404);
    assert_eq!(ask("house/fast:floor:floor", &app.key).await.status, 404);
    app.chatted(&say("openai", "house/fast", "Hello")).await;
    assert_eq!(Answer::of(app.chat(&say("gemini", "house/fast", "Hello"))).await.status, 404);

    let listed = async |path: &str, key: &str| -> Vec<Value> {
        let list = Answer::of(app.request(Method::GET, path).bearer_auth(key)).await;
        let ids = list.body["data"].as_array().expect("a list").iter();
        ids.map(|model| model["id"].clone()).collect()
    };
    for path in ["/v1/models", "/api/v1/models", "/api/v1/models/user"] {
        let ids = listed(path, &app.key).await;
        assert!(ids.contains(&"house/fast".into()), "{path}");
        assert!(!ids.contains(&"smart".into()), "{path}: hidden");
    }
    assert_eq!(listed("/v1/models", &narrow).await, ["gpt-4o-mini", "house/fast"]);
    let one = app.request(Method::GET, "/v1/models/house%2Ffast").bearer_auth(&app.key);
    assert_eq!(Answer::of(one).await.body["id"], "house/fast");

    let names = app.books.cli_json(&["model", "alias", "list"]).await;
    assert_eq!((&names[0]["alias"], &names[1]["hidden"]), (&"house/fast".into(), &true.into()));
    app.books.cli(&["model", "alias", "remove", "smart"]).await;
    assert!(
        app.books.refused(&["model", "alias", "remove", "smart"]).await.contains("no such alias")
    );
    let start = std::time::Instant::now();
    while ask("smart", &app.key).await.status != 404 {
        assert!(start.elapsed() < std::time::Duration::from_secs(10), "it goes on working");
    }
    let receipts = app.close().await;
    let models: std::collections::BTreeSet<&str> =
        receipts.iter().map(|receipt| receipt.model.as_str()).collect();
    assert!(models.contains("gpt-4o-mini") && models.contains("gemini-2.5-flash"), "{models:?}");
    assert_eq!(models.len(), 2, "receipts have the models' own names");
}

/// To clients it is as one that nobody has heard of: in no list, under no name, with the same answer. On every replica within
/// a second, and back as soon.
async fn a_hidden_model_does_not_exist(books: Books) {
    let key = books.add_user(USER).await;
    books.cli(&["model", "alias", "add", "fast", "openai/gpt-4o-mini"]).await;
    let app = App::start_with_key(books, Start::default(), key).await;
    let (mut other, beside) = app.another().await;
    let ask = async |url: &str, model: &str| {
        let body = json!({ "model": model, "messages": [{ "role": "user", "content": "Hello" }] });
        let request = app.client.post(format!("{url}/v1/chat/completions")).json(&body);
        Answer::of(request.bearer_auth(&app.key)).await
    };
    let until = async |model: &str, status: u16| {
        for url in [&app.url, &beside] {
            let start = std::time::Instant::now();
            while ask(url, model).await.status != status {
                let late = start.elapsed() > std::time::Duration::from_secs(1);
                assert!(!late, "{model} is not answered with {status}");
            }
        }
    };
    until("fast", 200).await;
    let said = app.books.cli_json(&["model", "hide", "openai/gpt-4o-mini"]).await;
    assert_eq!(said, json!({ "model": "openai/gpt-4o-mini", "hidden": true }));
    until("gpt-4o-mini", 404).await;
    for (hidden, nobody) in [
        ("gpt-4o-mini", "gpt-4o-none"),
        ("openai/gpt-4o-mini", "openai/gpt-4o-none"),
        ("openai/gpt-4o-mini:floor", "openai/gpt-4o-none:floor"),
        ("fast", "fost"),
    ] {
        let (hidden_answer, nobody_answer) =
            (ask(&app.url, hidden).await, ask(&app.url, nobody).await);
        assert_eq!((hidden_answer.status, nobody_answer.status), (404, 404), "{hidden}");
        let told = nobody_answer.body.to_string().replace(nobody, hidden);
        let bare = |name: &str| name.trim_start_matches("openai/").to_owned();
        let told = told.replace(&bare(nobody), &bare(hidden));
        assert_eq!(hidden_answer.body.to_string(), told);
    }
    for path in
        ["/v1/models", "/api/v1/models", "/api/v1/models/user", "/v1beta/models?pageSize=1000"]
    {
        let list = Answer::of(app.request(Method::GET, path).bearer_auth(&app.key)).await;
        let text = list.body.to_string();
        assert_eq!(list.status, 200, "{path}: {text}");
        assert!(!text.contains("gpt-4o-mini\"") && !text.contains("\"fast\""), "{path}: {text}");
    }
    for path in ["/v1/models/gpt-4o-mini", "/api/v1/model/openai/gpt-4o-mini"] {
        let one = app.request(Method::GET, path).bearer_auth(&app.key);
        assert_eq!(Answer::of(one).await.status, 404, "{path}");
    }
    assert_eq!(app.books.cli_json(&["model", "hidden"]).await[0]["model"], "openai/gpt-4o-mini");
    app.books.cli(&["model", "hide", "openai/gpt-4o-mini"]).await;
    app.books.cli(&["model", "unhide", "openai/gpt-4o-mini"]).await;
    let twice = app.books.refused(&["model", "unhide", "openai/gpt-4o-mini"]).await;
    assert!(twice.contains("no such hidden model"), "{twice}");
    assert!(app.books.refused(&["model", "hide", "openai/x"]).await.contains("price list"));
    until("fast", 200).await;
    let acts = crate::console::acts(&app).await;
    let own = acts.iter().rev().filter(|act| act.target == "model openai/gpt-4o-mini");
    let own: Vec<&str> = own.map(|act| act.action.as_str()).collect();
    assert_eq!(own, ["model.hide", "model.unhide"], "to hide it twice changes nothing");
    crate::app::signal(&other, "TERM").await;
    assert!(other.wait().await.expect("an end").success());
    app.close().await;
}
