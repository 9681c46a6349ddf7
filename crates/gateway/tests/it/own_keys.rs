//! Keys that accounts bring to their providers: called with first, billed by the provider, charged a commission alone, and
//! nobody else's.

use std::time::{Duration, Instant};

use ledger::{Outcome, Receipt, Usd};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::Fault;

use crate::app::{Answer, App, Start, USER};
use crate::bill_file::verify;
use crate::books::Books;
use crate::console::{Browser, acts};
use crate::credentials::{MASTER_KEY, done, master, typed};
use crate::sign_in::on_both;

on_both! {
    it_goes_first_and_costs_the_commission
    one_that_fails_is_stood_in_for_unless_it_must_not
    it_is_managed_by_all_three_ways
    a_little_credit_is_enough
}

const SECRET: &str = "sk-adas-very-own-0007";
const HOUSE: &str = "canary-openai_api_key";

async fn start(books: Books, more: &[(&'static str, &str)]) -> App {
    let start = Start::default().set(MASTER_KEY, master(1));
    let start = more.iter().fold(start, |start, (name, value)| start.set(name, *value));
    App::start_on(books, start).await
}

/// The credential that OpenAI was last called with.
fn last(app: &App) -> String {
    let seen = app.simulator.seen();
    let header = &seen.last().expect("a call").headers["authorization"];
    header.to_str().expect("text").strip_prefix("Bearer ").expect("a bearer").to_owned()
}

async fn ask(app: &App, key: &str, model: &str) -> Answer {
    let body = json!({ "model": model, "messages": [{ "role": "user", "content": "Hello" }] });
    let asked = app.request(Method::POST, "/api/v1/chat/completions").bearer_auth(key);
    Answer::of(asked.json(&body)).await
}

async fn bring(app: &App, more: &[&str]) {
    let set = [&["own-key", "set", USER, "openai"][..], more].concat();
    done(&app.books, &master(1), &set, SECRET).await;
    let start = Instant::now();
    while ask(app, &app.key, "openai/gpt-4o-mini").await.status != 200 || last(app) != SECRET {
        assert!(start.elapsed() < Duration::from_secs(5), "the key is not taken up");
    }
}

fn receipt_of<'a>(receipts: &'a [Receipt], answer: &Answer) -> &'a Receipt {
    let id = answer.header("x-request-id");
    receipts.iter().find(|r| r.request_id.to_string() == id).expect("a receipt")
}

/// A number of an answer's JSON, in pico-dollars.
fn pico(value: &Value) -> i64 {
    let dollars = value.as_f64().expect("a number");
    format!("{:.0}", dollars * 1e12).parse().expect("a whole number")
}

async fn it_goes_first_and_costs_the_commission(books: Books) {
    let stranger = books.add_user("bob").await;
    let app = start(books, &[("TOLLGATE_BYOK_COMMISSION_BPS", "250")]).await;
    let house = ask(&app, &app.key, "openai/gpt-4o").await;
    assert_eq!((last(&app).as_str(), &house.body["usage"]["is_byok"]), (HOUSE, &json!(false)));
    bring(&app, &[]).await;
    let own = ask(&app, &app.key, "openai/gpt-4o").await;
    assert_eq!(last(&app), SECRET);
    let usage = &own.body["usage"];
    assert_eq!(usage["is_byok"], true);
    let price = pico(&usage["cost_details"]["upstream_inference_cost"]);
    assert_eq!(price, pico(&house.body["usage"]["cost_details"]["upstream_inference_cost"]));
    assert_eq!(pico(&usage["cost"]) * 40, price, "2.5 %");
    let cost: Usd = Usd::parse(own.header("x-tollgate-cost")).expect("dollars");
    assert_eq!(cost.pico() * 40, price);
    // It is nobody else's.
    ask(&app, &stranger, "openai/gpt-4o").await;
    assert_eq!(last(&app), HOUSE);
    // A stream too, and a provider without such a key.
    let stream = json!({ "model": "gpt-4o", "stream": true, "messages": [{ "role": "user", "content": "Hello" }] });
    let asked =
        app.request(Method::POST, "/v1/chat/completions").bearer_auth(&app.key).json(&stream);
    let answer = asked.send().await.expect("an answer");
    assert!(answer.text().await.expect("a stream").contains("[DONE]"));
    assert_eq!(last(&app), SECRET);
    assert_eq!(
        ask(&app, &app.key, "anthropic/claude-sonnet-4-5").await.body["usage"]["is_byok"],
        false
    );

    let id = own.header("x-request-id");
    let told = app.request(Method::GET, &format!("/api/v1/generation?id={id}"));
    let told = Answer::of(told.bearer_auth(&app.key)).await.body;
    assert_eq!(told["data"]["is_byok"], true, "{told}");
    assert_eq!(pico(&told["data"]["upstream_inference_cost"]), price);
    let page = Browser::of(&app, USER).await.page(&format!("/requests/{id}")).await;
    assert!(page.contains("your own key at the provider") && page.contains("2.5 %"), "{page}");

    let told = used(&app).await;

    let bill = app.books.folder.path().join("bill.json");
    let sheet = app.books.folder.path().join("bill.csv");
    let mut app = app;
    let receipts = app.finish().await;
    let receipt = receipt_of(&receipts, &own);
    assert_eq!(receipt.report.direct().map(Usd::pico), Some(price));
    assert_eq!((receipt.cost, receipt.commission_bps), (Usd::ZERO, 250));
    assert_eq!((receipt.charge, receipt.commission), (cost, cost));
    let direct = |receipt: &&Receipt| receipt.report.direct().is_some();
    let of_model = |receipt: &&Receipt| receipt.model == "gpt-4o";
    let own = receipts.iter().filter(direct);
    assert_eq!(own.clone().filter(of_model).count(), 2, "the whole one and the stream");
    let direct: i64 = own.filter_map(|receipt| receipt.report.direct()).map(Usd::pico).sum();
    assert_eq!(told, [direct; 6], "what OpenRouter's clients are told");
    for (form, path) in [("json", &bill), ("csv", &sheet)] {
        let out = path.to_str().expect("text");
        app.books.cli(&["bill", "--user", USER, "--format", form, "--out", out]).await;
        let (code, told, complaint) = verify(path, &[]).await;
        assert_eq!((code, &told["good"]), (Some(0), &json!(true)), "{told} {complaint}");
    }
    let text = app.books.cli(&["bill", "--user", USER, "--format", "text"]).await;
    assert!(text.contains("Paid to the providers directly"), "{text}");
    let bill: Value = serde_json::from_slice(&std::fs::read(&bill).expect("a bill")).expect("JSON");
    assert_eq!(bill["bill"]["totals"]["direct"]["pico"], json!(direct));
    app.books.remove().await;
}

/// What the providers bill Ada herself, as `key`, the list of keys and the activity of a day that is over tell.
async fn used(app: &App) -> [i64; 6] {
    let manager = app.books.key_with(USER, &["usage", "keys", "billing"]).await;
    app.knows(&manager).await;
    let get = async |path: &str, key: &str| {
        let answer = Answer::of(app.request(Method::GET, path).bearer_auth(key)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body["data"].clone()
    };
    let own = get("/api/v1/key", &app.key).await;
    let own =
        ["", "_daily", "_weekly", "_monthly"].map(|part| pico(&own[format!("byok_usage{part}")]));
    let sum = |rows: &Value, field: &str| {
        let rows = rows.as_array().expect("rows").iter();
        rows.map(|row| pico(&row[field])).sum::<i64>()
    };
    let keys = sum(&get("/api/v1/keys", &manager).await, "byok_usage");
    // Today is not over.
    let days = |back: i64| {
        format!("UPDATE tollgate.rollups SET day = day - {back} WHERE grain = 'account'")
    };
    app.books.shell(&days(1)).await;
    let activity = sum(&get("/api/v1/activity", &manager).await, "byok_usage_inference");
    app.books.shell(&days(-1)).await;
    [own[0], own[1], own[2], own[3], keys, activity]
}

async fn one_that_fails_is_stood_in_for_unless_it_must_not(books: Books) {
    let app = start(books, &[]).await;
    bring(&app, &[]).await;
    for (status, error) in
        [(401, "own_key_refused"), (429, "rate_limited"), (503, "upstream_overloaded")]
    {
        // Whoever has too much to do is left alone for a while.
        let model = if status == 429 { "openai/gpt-4.1" } else { "openai/gpt-4o" };
        app.simulator.push_fault(Fault::Status(status));
        let answer = ask(&app, &app.key, model).await;
        assert_eq!((answer.status, last(&app).as_str()), (200, HOUSE), "{}", answer.body);
        assert_eq!(answer.body["usage"]["is_byok"], false);
        let tried = answer.header("x-tollgate-attempts");
        assert!(
            tried.starts_with(&format!("openai (own key)/{} {error} ", &model[7..])),
            "{tried}"
        );
    }
    // What is wrong with the request itself is not sent again.
    let before = app.simulator.count();
    app.simulator.push_fault(Fault::Status(400));
    assert_eq!(ask(&app, &app.key, "openai/gpt-4o").await.status, 400);
    assert_eq!(app.simulator.count() - before, 1);

    // However often it is refused, the house's own endpoint is as before for others.
    let stranger = app.books.add_user("bob").await;
    app.knows(&stranger).await;
    for _ in 0..12 {
        app.simulator.push_fault(Fault::Status(401));
        assert_eq!(ask(&app, &app.key, "openai/gpt-4o").await.status, 200);
    }
    let health = Browser::of(&app, USER).await;
    assert_eq!(health.get("/operator/providers").await.status, 404);
    let other = ask(&app, &stranger, "openai/gpt-4o").await;
    assert_eq!((other.status, other.header("x-tollgate-attempts")), (200, ""));

    let change = ["own-key", "change", USER, "openai", "--always", "true"];
    done(&app.books, &master(1), &change, "").await;
    let start = Instant::now();
    let refused = loop {
        app.simulator.push_fault(Fault::Echo(401));
        let answer = ask(&app, &app.key, "openai/gpt-4o").await;
        if answer.status != 200 {
            break answer;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "it is stood in for");
    };
    assert_eq!(refused.status, 424, "{}", refused.body);
    let text = refused.body.to_string();
    assert!(text.contains("your own openai key (…0007) was refused by openai"), "{text}");
    assert!(!text.contains(SECRET) && !app.log().await.contains(SECRET));
    let fallback = json!({ "models": ["openai/gpt-4o", "anthropic/claude-sonnet-4-5"],
        "messages": [{ "role": "user", "content": "Hello" }] });
    app.simulator.push_fault(Fault::Status(401));
    let asked = app.request(Method::POST, "/api/v1/chat/completions").bearer_auth(&app.key);
    let answer = Answer::of(asked.json(&fallback)).await;
    assert_eq!(answer.body["model"], "claude-sonnet-4-5", "{}", answer.body);
    let failed: Vec<Receipt> = app.close().await;
    let failed = receipt_of(&failed, &refused);
    assert_eq!((failed.outcome, failed.charge), (Outcome::Failed, Usd::ZERO));
    assert!(failed.report.tried().iter().all(|tried| tried.own_key), "{failed:?}");
}

/// By a program, on a page and from the command line; sealed, never told, and noted in the log.
async fn it_is_managed_by_all_three_ways(books: Books) {
    let managing = {
        books.add_user(USER).await;
        books.key_with(USER, &["keys", "billing"]).await
    };
    let app = App::start_beside(books, Start::default().set(MASTER_KEY, master(1))).await;
    app.knows(&managing).await;
    by_a_program(&app, &managing).await;
    on_a_page(&app).await;
    it_opens_in_its_place_alone(&app).await;
    let acts = acts(&app).await;
    let own: Vec<&str> = acts
        .iter()
        .rev()
        .map(|act| act.action.as_str())
        .filter(|action| action.starts_with("own_key."))
        .collect();
    let expected = ["set", "change", "remove", "set", "change", "check", "reseal", "remove"];
    assert_eq!(own, expected.map(|what| format!("own_key.{what}")));
    assert!(acts.iter().all(|act| !act.detail.contains(SECRET)), "{acts:?}");
    app.close().await;
}

async fn by_a_program(app: &App, managing: &str) {
    let send = async |method: Method, path: &str, body: Value| {
        let asked = app.request(method, path).bearer_auth(managing);
        Answer::of(if body.is_null() { asked } else { asked.json(&body) }).await
    };
    let wish = json!({ "provider": "openai", "key": SECRET, "name": "ours", "always_use": true });
    let made = send(Method::POST, "/api/v1/byok", wish).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let data = &made.body["data"];
    assert_eq!((&data["label"], &data["always_use"]), (&"...0007".into(), &true.into()), "{data}");
    ask(app, &app.key, "openai/gpt-4o").await;
    assert_eq!(last(app), SECRET, "at once");
    let one = format!("/api/v1/byok/{}", data["id"].as_str().expect("an id"));
    let changed = send(Method::PATCH, &one, json!({ "always_use": false })).await;
    assert_eq!((changed.status, &changed.body["data"]["always_use"]), (200, &json!(false)));
    for (wish, word) in [
        (json!({ "provider": "nobody", "key": SECRET }), "provider: there is no such one"),
        (json!({ "provider": "openai", "key": "short" }), "key: it has 8 to"),
        (json!({ "provider": "openai", "key": SECRET, "is_fallback": true }), "is_fallback: not"),
    ] {
        let refused = send(Method::POST, "/api/v1/byok", wish).await;
        assert_eq!(refused.status, 400, "{}", refused.body);
        assert!(refused.body.to_string().contains(word), "{}", refused.body);
    }
    let list = send(Method::GET, "/api/v1/byok", Value::Null).await.body;
    assert_eq!((&list["total_count"], &list["data"][0]["name"]), (&json!(1), &json!("ours")));
    assert!(!list.to_string().contains(SECRET));
    // To ask models is no leave to say with whose money.
    let accountant = app.books.key_with(USER, &["billing"]).await;
    app.knows(&accountant).await;
    for key in [&app.key, &accountant] {
        let wish = json!({ "provider": "openai", "key": "sk-somebody-elses-0001" });
        let asked = app.request(Method::POST, "/api/v1/byok").bearer_auth(key).json(&wish);
        assert_eq!(Answer::of(asked).await.status, 403);
        let asked = app.request(Method::GET, "/api/v1/byok").bearer_auth(key);
        assert_eq!(Answer::of(asked).await.status, 403);
    }
    assert_eq!(send(Method::DELETE, &one, Value::Null).await.status, 200);
    assert_eq!(send(Method::GET, &one, Value::Null).await.status, 404);
    ask(app, &app.key, "openai/gpt-4o").await;
    assert_eq!(last(app), HOUSE, "at once");
}

async fn on_a_page(app: &App) {
    let ada = Browser::of(app, USER).await;
    let fields = [("secret", SECRET), ("name", "<b>mine"), ("always", "on")];
    assert_eq!(ada.done("/own-keys/openai", &fields).await, "/own-keys?done=own-key-set");
    let page = ada.page("/own-keys?done=own-key-set").await;
    for shown in ["…0007", "&lt;b&gt;mine", "sealed and in force", "the request fails", "5 %"] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    assert!(!page.contains(SECRET));
    ada.done("/own-keys/openai/always", &[]).await;
    assert!(
        ada.page("/own-keys").await.contains("the house's credential is used")
            || ada.page("/own-keys").await.contains("the house&#39;s credential is used")
    );
    assert!(
        ada.post("/own-keys/openai/check", &[]).await.text.contains("Your key at openai works.")
    );
    assert_eq!(last(app), SECRET);
    let bad = ada.post("/own-keys/openai", &[("secret", "a b")]).await;
    assert!(bad.status == 400 && bad.text.contains("Nothing was changed"), "{}", bad.text);
}

/// What is sealed for one account is closed in another's hands.
async fn it_opens_in_its_place_alone(app: &App) {
    app.books.add_user("bob").await;
    let listed = done(&app.books, &master(1), &["own-key", "list", USER], "").await;
    assert_eq!((&listed[0]["last4"], &listed[0]["by"]), (&"0007".into(), &USER.into()));
    let reseal = ["provider", "reseal"];
    let two = format!("{},{}", master(2), master(1));
    assert_eq!(done(&app.books, &two, &reseal, "").await["resealed"], 1);
    assert_eq!(
        done(&app.books, &master(2), &reseal, "").await["resealed"],
        0,
        "it opens with the new one"
    );
    app.books
        .shell(
            "UPDATE tollgate.own_keys SET account_id = (SELECT a.id FROM tollgate.accounts a \
             JOIN tollgate.users u ON u.id = a.user_id WHERE u.name = 'bob') WHERE removed_at IS NULL",
        )
        .await;
    let stolen = typed(&app.books, &master(2), &reseal, "").await;
    let said = String::from_utf8_lossy(&stolen.stderr).into_owned();
    assert!(!stolen.status.success() && said.contains("own key openai of account"), "{said}");
    let doctor = typed(&app.books, &master(2), &["doctor"], "").await;
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("1 of accounts do not open"));
    let remove = ["own-key", "remove", "bob", "openai"];
    done(&app.books, &master(2), &remove, "").await;
    assert_eq!(
        app.books.count("SELECT id FROM tollgate.own_keys WHERE sealed IS NOT NULL").await,
        0
    );
}

/// Who has no more than a cent pays the commission of an answer for which the house's credential would be too dear.
async fn a_little_credit_is_enough(books: Books) {
    let app = start(books, &[]).await;
    let dear = json!({ "model": "openai/gpt-4o", "max_tokens": 10_000,
        "messages": [{ "role": "user", "content": "Hello" }] });
    let asked =
        || app.request(Method::POST, "/api/v1/chat/completions").bearer_auth(&app.key).json(&dear);
    app.books.cli(&["user", "set", USER, "--pays", "first"]).await;
    app.books.cli(&["credit", "add", "--user", USER, "--usd", "0.01"]).await;
    // What the provider refuses costs nothing, however often it is asked until then.
    let mut refused = dear.clone();
    refused["messages"][0]["content"] = "fault:echo:400".into();
    let start = Instant::now();
    loop {
        let request = app.request(Method::POST, "/api/v1/chat/completions").bearer_auth(&app.key);
        if Answer::of(request.json(&refused)).await.status == 402 {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "it never has to pay first");
    }
    let set = ["own-key", "set", USER, "openai"];
    done(&app.books, &master(1), &set, SECRET).await;
    let start = Instant::now();
    let answer = loop {
        let answer = Answer::of(asked()).await;
        if answer.status == 200 {
            break answer;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{}", answer.body);
    };
    assert_eq!((last(&app).as_str(), &answer.body["usage"]["is_byok"]), (SECRET, &json!(true)));
    // There is not enough for the house to stand in.
    app.simulator.push_fault(Fault::Status(401));
    let refused = Answer::of(asked()).await;
    assert_eq!((refused.status, last(&app).as_str()), (424, SECRET), "{}", refused.body);
    let receipts = app.close().await;
    let receipt = receipt_of(&receipts, &answer);
    let bound = receipt.bound.expect("it was held").pico();
    let price = receipt.report.direct().expect("paid directly").pico();
    // 5 % of 10 dollars a million for 10,000 tokens, and of the prompt.
    assert!((5_000_000_000..6_000_000_000).contains(&bound), "{bound}");
    assert_eq!(receipt.charge.pico() * 20, price);
}
