//! Providers that fail: what the client is told, what the operator is told, and that nothing is charged.

use std::net::{Ipv4Addr, TcpListener};

use ledger::Outcome;
use serde_json::json;
use testkit::{Fault, fixtures};

use crate::app::{Answer, App, Start, are_free};
use crate::books::Books;
use crate::chat::{MODELS, say};

/// The setting of each provider's credential.
fn setting(provider: &str) -> String {
    format!("{}_API_KEY", provider.to_uppercase())
}

/// Nothing was charged, and no answer holds a credential.
async fn free_of_charge(app: App) {
    let calls = app.simulator.count();
    let receipts = app.close().await;
    assert!(are_free(&receipts), "something was charged: {receipts:?}");
    // Whatever was sent has its receipt.
    assert_eq!(receipts.len() as u64, calls);
}

/// How many requests failed, which were free, and how many were answered.
async fn answered(app: App) -> (usize, usize) {
    let receipts = app.close().await;
    let (failed, answered): (Vec<_>, Vec<_>) =
        receipts.into_iter().partition(|receipt| receipt.outcome == Outcome::Failed);
    assert!(are_free(&failed), "something was charged: {failed:?}");
    (failed.len(), answered.len())
}

async fn fails(app: &App, provider: &str, model: &str, message: &str) -> Answer {
    let answer = Answer::of(app.chat(&say(provider, model, message))).await;
    assert!(answer.status >= 400, "{provider} {message}: {}", answer.body);
    assert_eq!(
        answer.body,
        json!({ "error": { "code": answer.code(), "message": answer.message() } })
    );
    assert!(!answer.body.to_string().contains("canary"), "{}", answer.body);
    assert!(answer.header("x-tollgate-cost").is_empty());
    answer
}

/// A provider that refuses *our* credential or account says nothing about the client's.
#[tokio::test]
async fn the_gateways_own_credential_is_the_operators_concern() {
    let app = App::start().await;
    for (provider, model) in MODELS {
        for status in [401, 402, 403] {
            let before = app.log().await.len();
            let answer = fails(&app, provider, model, &format!("fault:status:{status}")).await;
            assert_eq!(
                (answer.status, answer.code()),
                (502, "upstream_account"),
                "{provider} {status}"
            );
            let expected =
                format!("{provider} refuses the gateway's own account; the operator has been told");
            assert_eq!(answer.message(), expected);
            let log = app.log().await[before..].to_owned();
            let told = [&setting(provider), &status.to_string(), &"ERROR".to_owned()];
            assert!(told.iter().all(|word| log.contains(*word)), "{log}");
        }
    }
    free_of_charge(app).await;
}

#[tokio::test]
async fn every_status_of_a_provider() {
    let app = App::start().await;
    let cases = [
        (400, 400, "invalid_request"),
        (404, 404, "upstream_not_found"),
        (413, 413, "body_too_large"),
        (422, 400, "invalid_request"),
        (429, 429, "rate_limited"),
        (500, 502, "upstream_error"),
        (501, 502, "upstream_error"),
        (502, 502, "upstream_error"),
        (503, 503, "upstream_overloaded"),
        (504, 504, "upstream_timeout"),
        (529, 503, "upstream_overloaded"),
    ];
    for (provider, model) in MODELS {
        for (theirs, ours, code) in cases {
            // Anthropic has a word of its own for it, which is 529.
            let (ours, code) = match (provider, theirs) {
                ("anthropic", 503) => (502, "upstream_error"),
                _ => (ours, code),
            };
            let answer = fails(&app, provider, model, &format!("fault:status:{theirs}")).await;
            assert_eq!((answer.status, answer.code()), (ours, code), "{provider} {theirs}");
            assert!(answer.message().starts_with(&format!("{provider}: ")), "{}", answer.body);
        }
    }
    free_of_charge(app).await;
}

#[tokio::test]
async fn a_rate_limit_says_how_long_to_wait() {
    let app = App::start().await;
    for (provider, model) in MODELS {
        let answer = fails(&app, provider, model, "fault:429:7").await;
        assert_eq!((answer.status, answer.code()), (429, "rate_limited"), "{provider}");
        assert_eq!(answer.header("retry-after"), "7", "{provider}");
    }
    free_of_charge(app).await;
}

/// Answers that cannot be read, or do not come whole.
#[tokio::test]
async fn what_cannot_be_read_is_not_charged() {
    let app = App::start().await;
    for (provider, model) in MODELS {
        for (fault, code, words) in [
            ("garbage", "upstream_malformed", "cannot be read; nothing was charged"),
            ("empty", "upstream_malformed", "cannot be read; nothing was charged"),
            ("echo:200", "upstream_malformed", "cannot be read; nothing was charged"),
            ("cut", "upstream_unavailable", "gave no usable answer"),
        ] {
            let answer = fails(&app, provider, model, &format!("fault:{fault}")).await;
            assert_eq!((answer.status, answer.code()), (502, code), "{provider} {fault}");
            assert!(answer.message().starts_with(provider), "{}", answer.message());
            assert!(answer.message().contains(words), "{}", answer.message());
        }
        // The next request is none the worse for it.
        app.chatted(&say(provider, model, "Hello")).await;
    }
    assert!(!app.log().await.contains("canary"));
    assert_eq!(answered(app).await, (4 * MODELS.len(), MODELS.len()));
}

#[tokio::test]
async fn a_provider_that_takes_too_long() {
    let start = Start::default().set("TOLLGATE_UPSTREAM_TIMEOUT_SECONDS", "1");
    let app = App::start_with(start).await;
    let chats = MODELS.map(|(provider, model)| app.chat(&say(provider, model, "fault:hang")));
    let mut hanging = tokio::task::JoinSet::new();
    for chat in chats {
        hanging.spawn(Answer::of(chat));
    }
    for answer in hanging.join_all().await {
        assert_eq!((answer.status, answer.code()), (504, "upstream_timeout"), "{}", answer.body);
        assert!(answer.message().ends_with("did not answer in time"), "{}", answer.message());
    }
    free_of_charge(app).await;
}

#[tokio::test]
async fn a_provider_that_is_not_there() {
    // A port that nobody listens on.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let nowhere = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let start = Start::default()
        .set("OPENAI_BASE_URL", format!("{nowhere}/v1"))
        .set("GEMINI_BASE_URL", "https://host.invalid");
    let app = App::start_with(start).await;
    for (provider, model) in [("openai", "gpt-4o"), ("gemini", "gemini-2.5-flash")] {
        let answer = fails(&app, provider, model, "Hello").await;
        assert_eq!((answer.status, answer.code()), (502, "upstream_unavailable"), "{provider}");
        assert_eq!(answer.message(), format!("{provider} gave no usable answer: no connection"));
    }
    app.chatted(&say("anthropic", "claude-sonnet-4-5", "Hello")).await;
    assert_eq!(answered(app).await, (2, 1));
}

/// Whatever a provider says, our credential is not in it.
#[tokio::test]
async fn a_provider_that_repeats_the_credential() {
    let app = App::start().await;
    for (provider, model) in MODELS {
        for status in [400, 401, 403, 404, 422, 429, 500, 503] {
            let answer = fails(&app, provider, model, &format!("fault:echo:{status}")).await;
            let hidden =
                answer.code() == "upstream_account" || answer.message().contains("[credential]");
            assert!(hidden, "{provider} {status}: {}", answer.body);
        }
    }
    assert!(!app.log().await.contains("canary"), "the log holds a credential");
    free_of_charge(app).await;
}

/// Errors in the words of real ones.
#[tokio::test]
async fn every_hand_written_error() {
    let app = App::start().await;
    let mut seen = 0;
    for fixture in fixtures().into_iter().filter(|fixture| fixture.status != 200) {
        let provider = fixture.provider.as_str();
        let (_, model) = MODELS.iter().find(|(name, _)| *name == provider).expect("a model");
        let expected = match fixture.name {
            "error_400_key" | "error_401" | "error_402" | "error_403" | "error_429_quota" => {
                (502, "upstream_account")
            }
            "error_400_context" => (400, "context_length_exceeded"),
            "error_400" | "error_422" => (400, "invalid_request"),
            "error_404" => (404, "upstream_not_found"),
            "error_429" => (429, "rate_limited"),
            "error_500" => (502, "upstream_error"),
            "error_503" | "error_529" => (503, "upstream_overloaded"),
            other => panic!("an error without a rule: {other}"),
        };
        let answer = fails(&app, provider, model, &format!("fixture:{}", fixture.name)).await;
        let at = format!("{provider}/{}: {}", fixture.name, answer.body);
        assert_eq!((answer.status, answer.code()), expected, "{at}");
        if expected.1 != "upstream_account" {
            let theirs = fixture.headers.get("retry-after").map_or("", String::as_str);
            let ours = answer.header("retry-after");
            // Google says it in the body.
            assert!(ours == theirs || (provider == "gemini" && theirs.is_empty()), "{at}");
        }
        seen += 1;
    }
    assert!(seen > 20, "only {seen}");
    free_of_charge(app).await;
}

/// What has no price is withheld, kept for the operator, and free for the client.
#[tokio::test]
async fn an_answer_that_has_no_price() {
    let books = Books::sqlite();
    // Text has a price, a web search has none.
    let list = "provider,model,price_per_token\nanthropic,claude-sonnet-4-5,0.000003\n";
    let file = books.folder.path().join("list.csv");
    std::fs::write(&file, list).expect("written");
    books.cli(&["prices", "import", "--replace", file.to_str().expect("text")]).await;
    let app = App::start_on(books, Start::default()).await;
    let answer = fails(&app, "anthropic", "claude-sonnet-4-5", "fixture:web_search").await;
    assert_eq!((answer.status, answer.code()), (502, "unpriced_answer"));
    assert!(
        answer.message().contains("web_search") && answer.message().contains("nothing was charged")
    );
    assert!(app.log().await.contains("an answer has no price"), "{}", app.log().await);
    let bill = app.price_to_pay().await;
    assert_eq!(bill["exact"]["final_price"], "0");
    let report = app.books.audit().await;
    assert_eq!(report["unpriced"], 1);
    let receipts = app.close().await;
    let [receipt] = receipts.as_slice() else { panic!("{receipts:?}") };
    assert_eq!((receipt.outcome, receipt.charge.pico()), (Outcome::Unpriced, 0));
    assert_eq!(receipt.report.total().input_tokens(), 3_042);
}

/// A fault that passes leaves nothing behind: connections are made anew.
#[tokio::test]
async fn a_provider_that_comes_back() {
    let app = App::start().await;
    for fault in [Fault::Cut, Fault::Status(503), Fault::Garbage, Fault::Cut, Fault::Empty] {
        app.simulator.push_fault(fault);
        assert!(fails(&app, "openai", "gpt-4o", "Hello").await.status >= 502);
        app.chatted(&say("openai", "gpt-4o", "Hello")).await;
    }
    assert_eq!(answered(app).await, (5, 5));
}

/// Names that a provider gives its answer are kept as far as every database can keep them.
#[tokio::test]
async fn odd_names_are_no_hindrance() {
    odd_names(Books::sqlite()).await;
}

#[tokio::test]
async fn odd_names_are_no_hindrance_on_postgres() {
    if let Some(books) = Books::postgres("odd").await {
        odd_names(books).await;
    }
}

async fn odd_names(books: Books) {
    let app = App::start_on(books, Start::default()).await;
    let answer = app.chatted(&say("openai", "gpt-4o", "fixture:odd_names")).await;
    assert_eq!(answer.body["content"], "Odd names, honest tolls.");
    let receipts = app.close().await;
    let [receipt] = receipts.as_slice() else { panic!("{receipts:?}") };
    assert_eq!(receipt.upstream_id.as_deref(), Some("chatcmpl-odd"));
    assert!(receipt.model_served.as_ref().is_some_and(|name| name.len() == 200), "{receipt:?}");
}
