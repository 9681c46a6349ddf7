//! The program as users run it: the real binary, on a free port, with books of its own and a simulator for providers.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use ledger::{Outcome, Receipt, Usd};
use reqwest::Method;
use serde_json::Value;
use testkit::{Running, Simulator};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::books::{Books, ORDINARY};

/// The user of most tests.
pub(crate) const USER: &str = "ada";

/// How a program is started.
#[derive(Default)]
pub(crate) struct Start {
    pub(crate) simulator: Simulator,
    /// More settings, which win over those of the test.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// Settings of the test that are not given.
    pub(crate) without: Vec<&'static str>,
}

impl Start {
    pub(crate) fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((name, value.into()));
        self
    }

    /// With recordings, where there are any.
    pub(crate) fn with_recordings(mut self, folder: &std::path::Path) -> Self {
        self.simulator = Simulator::new().recordings(folder).expect("recordings");
        self
    }
}

/// Whether those are receipts of requests that nobody has answered, and that cost nothing.
pub(crate) fn are_free(receipts: &[Receipt]) -> bool {
    let free = |receipt: &Receipt| {
        let amounts = [receipt.cost, receipt.commission, receipt.charge, receipt.absorbed];
        receipt.outcome == Outcome::Failed && amounts.iter().all(|amount| *amount == Usd::ZERO)
    };
    receipts.iter().all(free)
}

/// A program that serves, a user with a key, and the simulator behind it.
pub(crate) struct App {
    pub(crate) books: Books,
    pub(crate) url: String,
    /// Where metrics are, where they are served.
    pub(crate) metrics: Option<String>,
    pub(crate) key: String,
    pub(crate) client: reqwest::Client,
    pub(crate) simulator: Running,
    settings: Vec<(&'static str, String)>,
    process: Child,
}

impl App {
    pub(crate) async fn start() -> Self {
        Self::start_with(Start::default()).await
    }

    pub(crate) async fn start_with(start: Start) -> Self {
        Self::start_on(Books::sqlite(), start).await
    }

    /// Starts on these books, which get the user and a key.
    pub(crate) async fn start_on(books: Books, start: Start) -> Self {
        let key = books.add_user(USER).await;
        Self::start_with_key(books, start, key).await
    }

    /// Starts on these books, which have the user; the user gets a key.
    pub(crate) async fn start_beside(books: Books, start: Start) -> Self {
        let key = books.key_with(USER, &ORDINARY).await;
        Self::start_with_key(books, start, key).await
    }

    /// Starts on these books, in which there is a key.
    pub(crate) async fn start_with_key(books: Books, start: Start, key: String) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let simulator = start.simulator.start(address).await.expect("the simulator");
        let mut settings = provider_settings(&simulator);
        settings.retain(|(name, _)| !start.without.contains(name));
        settings.extend(start.settings);
        let (process, url, metrics) = serve(&books, &settings).await;
        let client = reqwest::Client::builder()
            .timeout(Duration::from_mins(1))
            .no_proxy()
            .build()
            .expect("a client");
        Self { books, url, metrics, key, client, simulator, settings, process }
    }

    /// The memory of the program's process that is in use, in KiB.
    pub(crate) fn memory_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The most that ever was in use.
    pub(crate) fn most_memory_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    fn status_kib(&self, name: &str) -> u64 {
        let pid = self.process.id().expect("a running process");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("its line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// How many files and sockets the program has open.
    pub(crate) fn open_files(&self) -> u64 {
        let pid = self.process.id().expect("a running process");
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its files");
        files.count().try_into().expect("few")
    }

    /// What the program has logged, up to a request of this call: lines are written in order, but behind the requests.
    pub(crate) async fn log(&self) -> String {
        let nobody = self.request(Method::POST, "/v1/chat/completions");
        let id = Answer::of(nobody).await.header("x-request-id").to_owned();
        let start = Instant::now();
        loop {
            let log = self.written_log();
            if log.contains(&id) {
                return log;
            }
            assert!(start.elapsed() < Duration::from_secs(10), "no line of {id}: {log}");
            tokio::task::yield_now().await;
        }
    }

    /// What is written of its log; all of it once it has ended.
    pub(crate) fn written_log(&self) -> String {
        std::fs::read_to_string(log_file(&self.books)).expect("the log")
    }

    /// Sends a signal such as `TERM`.
    pub(crate) async fn signal(&self, name: &str) {
        signal(&self.process, name).await;
    }

    /// `kill -9`.
    pub(crate) async fn kill(&mut self) {
        self.process.kill().await.expect("the process dies");
    }

    /// Goes on with other books in the same folder.
    pub(crate) async fn on(mut self, url: String) -> Self {
        self.kill().await;
        self.books.url = url;
        self.restart().await;
        self
    }

    /// Starts another process beside this one, on the same books.
    pub(crate) async fn another(&self) -> (Child, String) {
        let (process, url, _) = serve(&self.books, &self.settings).await;
        (process, url)
    }

    /// Sets something for the next start.
    pub(crate) fn set(&mut self, name: &'static str, value: String) {
        self.settings.retain(|(known, _)| *known != name);
        self.settings.push((name, value));
    }

    /// Starts again on the same books, on another port.
    pub(crate) async fn restart(&mut self) {
        (self.process, self.url, self.metrics) = serve(&self.books, &self.settings).await;
    }

    /// Waits for the program to end by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.process.wait().await.expect("an end")
    }

    /// Ends the program as an operator does, audits its books and returns the receipts in them.
    pub(crate) async fn close(mut self) -> Vec<Receipt> {
        let receipts = self.finish().await;
        self.books.remove().await;
        receipts
    }

    /// The same, while the rest of the test goes on.
    pub(crate) async fn finish(&mut self) -> Vec<Receipt> {
        self.signal("TERM").await;
        let status = self.ended().await;
        assert!(status.success(), "tollgate serve ended with {status}: {}", self.written_log());
        let report = self.books.audit().await;
        let receipts = self.books.receipts().await;
        assert_eq!(report["receipts"], receipts.len());
        receipts
    }

    /// A request to the program, without credentials.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// Waits for the program to hear of a key.
    pub(crate) async fn knows(&self, key: &str) {
        let start = Instant::now();
        let key = || self.request(Method::GET, "/api/v1/key").bearer_auth(key);
        while Answer::of(key()).await.status == 401 {
            assert!(start.elapsed() < Duration::from_secs(10), "the key is not known");
        }
    }

    /// A request of the native API in the user's name.
    pub(crate) fn native(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.request(method, path).header("user", USER).header("api-key", &self.key)
    }

    /// A chat of the native API.
    pub(crate) fn chat(&self, body: &Value) -> reqwest::RequestBuilder {
        self.native(Method::POST, "/api/layers/chat").json(body)
    }

    /// A chat that has to succeed: its whole answer.
    pub(crate) async fn chatted(&self, body: &Value) -> Answer {
        let answer = Answer::of(self.chat(body)).await;
        assert_eq!(answer.status, 200, "{body} was answered with {}", answer.body);
        answer
    }

    /// `priceToPay` of `/api/usage/check`.
    pub(crate) async fn price_to_pay(&self) -> Value {
        let answer = Answer::of(self.native(Method::GET, "/api/usage/check")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body["priceToPay"].clone()
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a whole answer");
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { status, headers, body }
    }

    /// A header as text; empty where it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// `error.code` of the native API.
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    /// `error.message` of the native API.
    pub(crate) fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }
}

/// Sends a signal to a program, by the shell, which is everywhere.
pub(crate) async fn signal(process: &Child, name: &str) {
    let kill = format!("kill -{name} {}", process.id().expect("a running process"));
    let sent = Command::new("sh").args(["-c", &kill]).status().await.expect("a shell");
    assert!(sent.success(), "{kill}");
}

fn provider_settings(simulator: &Running) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        ("OPENAI_BASE_URL", simulator.openai_url()),
        ("GEMINI_BASE_URL", simulator.url()),
        ("ANTHROPIC_BASE_URL", simulator.url()),
        ("DEEPSEEK_BASE_URL", simulator.url()),
    ];
    for name in ["OPENAI_API_KEY", "GEMINI_API_KEY", "ANTHROPIC_API_KEY", "DEEPSEEK_API_KEY"] {
        settings.push((name, format!("canary-{}", name.to_lowercase())));
    }
    settings
}

fn log_file(books: &Books) -> PathBuf {
    books.folder.path().join("tollgate.log")
}

/// Starts `tollgate serve` on a free port and waits until it listens. Its log goes to a file.
async fn serve(
    books: &Books,
    settings: &[(&'static str, String)],
) -> (Child, String, Option<String>) {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log_file(books));
    let mut command = books.command(&["serve", "--json"]);
    command.env("PORT", "0");
    command.envs(settings.iter().map(|(name, value)| (*name, value.as_str())));
    command.stdout(Stdio::piped()).stderr(log.expect("a log file"));
    let mut process = command.spawn().expect("the program starts");
    let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
    let mut text = String::new();
    while let Some(line) = lines.next_line().await.expect("its output") {
        text.push_str(&line);
        if let Ok(value) = serde_json::from_str::<Value>(&text) {
            let url = value["listening"].as_str().expect("where it listens").to_owned();
            let metrics = value["metrics"].as_str().map(str::to_owned);
            return (process, url, metrics);
        }
    }
    let log = std::fs::read_to_string(log_file(books)).unwrap_or_default();
    panic!("tollgate serve ended before it listened: {log}");
}
