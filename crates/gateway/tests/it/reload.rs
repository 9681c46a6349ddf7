//! Settings that are read again while the program runs.

use std::path::PathBuf;

use ledger::Receipt;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Fault, Running};

use crate::app::{Answer, App, Start};
use crate::books::Books;
use crate::endpoints::elsewhere;
use crate::network::until;

/// A program whose settings of `OpenAI` are in a file.
struct Filed {
    app: App,
    file: PathBuf,
    reloads: usize,
}

impl Filed {
    async fn start(text: &str, start: Start) -> Self {
        let books = Books::sqlite();
        let file = books.folder.path().join("settings.env");
        std::fs::write(&file, text).expect("written");
        let mut start = start.set("TOLLGATE_ENV_FILE", file.to_str().expect("text"));
        start.without = vec!["OPENAI_API_KEY", "OPENAI_BASE_URL"];
        Self { app: App::start_on(books, start).await, file, reloads: 0 }
    }

    /// Writes the file anew and has it read: what the log says of that.
    async fn reload(&mut self, text: &str) -> String {
        std::fs::write(&self.file, text).expect("written");
        self.hang_up().await
    }

    async fn hang_up(&mut self) -> String {
        const READ: &str = "the settings were read again";
        self.app.signal("HUP").await;
        let times = || self.app.written_log().matches(READ).count();
        until("the settings are read", || times() > self.reloads).await;
        self.reloads += 1;
        let log = self.app.written_log();
        log[log.rfind(READ).expect("the line")..].to_owned()
    }

    async fn ask(&self) -> Answer {
        let asked = self.app.request(Method::POST, "/v1/chat/completions");
        Answer::of(asked.bearer_auth(&self.app.key).json(&hello())).await
    }
}

fn hello() -> Value {
    json!({ "model": "gpt-4o", "messages": [{ "role": "user", "content": "Hello" }] })
}

fn credentials(place: &Running) -> Vec<String> {
    let header = |seen: testkit::Seen| seen.headers["authorization"].to_str().map(str::to_owned);
    place.seen().into_iter().map(|seen| header(seen).expect("text")).collect()
}

fn of<'r>(receipts: &'r [Receipt], answer: &Answer) -> &'r Receipt {
    let id = answer.header("x-request-id");
    receipts.iter().find(|receipt| receipt.request_id.to_string() == id).expect("a receipt")
}

/// New requests go by what is in the file now, and what is under way goes on as it began.
#[tokio::test]
async fn a_file_is_read_again() {
    let (first, second) = (elsewhere().await, elsewhere().await);
    let text = |key: &str, place: &Running, more: &str| {
        format!("OPENAI_API_KEY={key}\nOPENAI_BASE_URL={}\n{more}", place.openai_url())
    };
    let mut filed = Filed::start(&text("sk-first-one", &first, ""), Start::default()).await;
    let before = filed.ask().await;
    assert_eq!((before.status, credentials(&first)), (200, vec!["Bearer sk-first-one".to_owned()]));
    let slow = json!({ "model": "gpt-4o", "stream": true, "messages": [
        { "role": "user", "content": "fault:slow:100\nsay:one two three four five six" }] });
    let stream = filed.app.request(Method::POST, "/v1/chat/completions");
    let stream = stream.bearer_auth(&filed.app.key).json(&slow);
    let mut stream = stream.send().await.expect("a head");
    assert!(stream.chunk().await.expect("a chunk").is_some());

    let more = "TOLLGATE_COMMISSION_BPS=1000\nTOLLGATE_BODY_LIMIT_BYTES=1024\nTOLLGATE_RETRIES=1\n\
                TOLLGATE_CORS_ORIGINS=https://app.example\nTOLLGATE_DURABILITY=strict\nRUST_LOG=info,request=off\n";
    let told = filed.reload(&text("sk-second-one", &second, more)).await;
    for name in ["OPENAI_API_KEY", "OPENAI_BASE_URL", "TOLLGATE_COMMISSION_BPS", "RUST_LOG"] {
        assert!(told.lines().next().is_some_and(|line| line.contains(name)), "{name}: {told}");
    }
    let left = |told: &str| {
        told.lines()
            .any(|line| line.contains("TOLLGATE_DURABILITY") && line.contains("need a restart"))
    };
    until("what is left is told", || left(&filed.app.written_log())).await;
    // A failure that is tried again now.
    second.push_fault(Fault::Status(500));
    let after = filed.ask().await;
    assert_eq!(after.status, 200, "{}", after.body);
    assert_eq!(credentials(&second), ["Bearer sk-second-one"; 2]);
    let long = json!({ "model": "gpt-4o", "messages": [{ "role": "user", "content": "x".repeat(2_000) }] });
    let long = filed.app.request(Method::POST, "/v1/chat/completions").json(&long);
    assert_eq!(Answer::of(long.bearer_auth(&filed.app.key)).await.status, 413);
    // Of a connection that is new: the settings of one that is there stay.
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let page =
        client.get(format!("{}/healthz", filed.app.url)).header("origin", "https://app.example");
    let page = page.send().await.expect("an answer");
    assert_eq!(page.headers()["access-control-allow-origin"], "https://app.example");

    let rest = stream.text().await.expect("the rest of the stream");
    assert!(rest.contains("six") && rest.trim_end().ends_with("[DONE]"), "{rest}");
    assert_eq!(first.count(), 2);
    let log = filed.app.written_log();
    assert!(!log.contains("sk-first-one") && !log.contains("sk-second-one"), "{log}");
    let line = format!("INFO request request_id={}", after.header("x-request-id"));
    assert!(!log.contains(&line) && log.contains("INFO request request_id="), "{log}");
    let receipts = filed.app.close().await;
    assert_eq!(of(&receipts, &before).commission_bps, 500);
    assert_eq!(of(&receipts, &after).commission_bps, 1_000);
    // The stream keeps what it was admitted at.
    let of_500 = receipts.iter().filter(|receipt| receipt.commission_bps == 500).count();
    assert_eq!((receipts.len(), of_500), (3, 2));
}

/// A file that is wrong in one place changes nothing, and the log says in which.
#[tokio::test]
async fn a_bad_file_changes_nothing() {
    let place = elsewhere().await;
    let good = format!("OPENAI_API_KEY=sk-good-one\nOPENAI_BASE_URL={}\n", place.openai_url());
    let mut filed = Filed::start(&good, Start::default()).await;
    for (bad, named) in [
        ("TOLLGATE_RETRIES=9\n", "TOLLGATE_RETRIES"),
        ("TOLLGATE_COMMISSION_BPS=much\n", "TOLLGATE_COMMISSION_BPS"),
        ("TOLLGATE_TRUSTED_PROXIES=everybody\n", "TOLLGATE_TRUSTED_PROXIES"),
        ("DEEPSEEK_API_KEY=x\nRUST_LOG=no=such=thing\n", "RUST_LOG"),
        ("sk-secret without a name\n", "NAME=value"),
        // Of what needs a restart, too: it would not start.
        ("TOLLGATE_MASTER_KEY=sk-too-short\n", "TOLLGATE_MASTER_KEY"),
        ("TOLLGATE_METRICS_ADDR=9464\n", "TOLLGATE_METRICS_ADDR"),
        ("REDIS_URL=nowhere\n", "REDIS_URL"),
        ("TOLLGATE_CAPTURE_KEYS=all\n", "TOLLGATE_CAPTURE_KEYS"),
    ] {
        // What is good in it is not taken up either.
        let text =
            format!("{}TOLLGATE_BODY_LIMIT_BYTES=1024\n{bad}", good.replace("good", "other"));
        let told = filed.reload(&text).await;
        let told = told.lines().next().unwrap_or_default().to_owned();
        assert!(told.contains("not taken up") && told.contains(named), "{named}: {told}");
        assert!(!told.contains("sk-"), "{told}");
    }
    let told = filed.reload("OPENAI_API_KEY=sk-other-one\nOPENAI_BASE_URL=nowhere\n").await;
    assert!(told.contains("not taken up") && told.contains("OPENAI_BASE_URL"), "{told}");
    std::fs::remove_file(&filed.file).expect("gone");
    let told = filed.hang_up().await;
    assert!(told.contains("not taken up") && told.contains("settings.env"), "{told}");
    assert_eq!(filed.ask().await.status, 200);
    assert_eq!(credentials(&place), ["Bearer sk-good-one"]);
    // What is not in a good file any more is not set any more.
    filed.reload("\n").await;
    let answer = filed.ask().await;
    assert_eq!((answer.status, place.count()), (503, 1), "{}", answer.body);
    filed.app.close().await;
}

/// The environment goes before the file, at the start and later.
#[tokio::test]
async fn the_environment_goes_before_the_file() {
    let place = elsewhere().await;
    let text = |bps: u32| {
        format!(
            "OPENAI_API_KEY=sk-good-one\nOPENAI_BASE_URL={}\nTOLLGATE_COMMISSION_BPS={bps}\n",
            place.openai_url()
        )
    };
    let start = Start::default().set("TOLLGATE_COMMISSION_BPS", "300");
    let mut filed = Filed::start(&text(700), start).await;
    assert_eq!(filed.ask().await.status, 200);
    let told = filed.reload(&text(800)).await;
    assert!(!told.contains("COMMISSION"), "{told}");
    assert_eq!(filed.ask().await.status, 200);
    let receipts = filed.app.close().await;
    assert_eq!(receipts.iter().map(|r| r.commission_bps).collect::<Vec<_>>(), [300, 300]);
}

/// Without a file there is nothing to read, and a signal ends nothing.
#[tokio::test]
async fn without_a_file() {
    let app = App::start().await;
    let file = app.books.folder.path().join("none");
    let mut filed = Filed { app, file, reloads: 0 };
    filed.hang_up().await;
    assert_eq!(filed.ask().await.status, 200);
    let missing = filed.app.books.refused(&["usage", "--env-file", "none.env"]).await;
    assert!(missing.contains("none.env: cannot be read"), "{missing}");
    filed.app.close().await;
}
