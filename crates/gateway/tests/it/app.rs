//! The program as users run it: the real binary, on a free port, with books of its own and a simulator for providers.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use testkit::{Running, Simulator};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// The user of most tests.
pub(crate) const USER: &str = "ada";

/// Where the books are. Goes away with the value.
pub(crate) struct Books {
    pub(crate) url: String,
    pub(crate) folder: tempfile::TempDir,
    server: Option<(String, String)>,
}

impl Books {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("tollgate.db").display());
        Self { url, folder, server: None }
    }

    /// `None`, said by name, where no PostgreSQL is given; a CI always gives one.
    pub(crate) async fn postgres(name: &str) -> Option<Self> {
        let Some(admin) = std::env::var_os("TOLLGATE_TEST_POSTGRES") else {
            assert!(
                std::env::var_os("CI").is_none_or(|ci| ci != "true"),
                "TOLLGATE_TEST_POSTGRES is not set: the CI must test PostgreSQL too"
            );
            println!("skipped: no PostgreSQL");
            return None;
        };
        let admin = admin.into_string().expect("a URL");
        let name = format!("gateway_{name}_{}", std::process::id());
        let mut conn = PgConnection::connect(&admin).await.expect("the test server");
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(create).execute(&mut conn).await.expect("a new database");
        let (server, _) = admin.rsplit_once('/').expect("a URL with a database");
        let folder = tempfile::tempdir().expect("a folder");
        Some(Self { url: format!("{server}/{name}"), folder, server: Some((admin, name)) })
    }

    /// Drops the database of a server; a file goes with its folder.
    pub(crate) async fn remove(self) {
        if let Some((admin, name)) = &self.server {
            let mut conn = PgConnection::connect(admin).await.expect("the test server");
            let drop = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
            sqlx::raw_sql(drop).execute(&mut conn).await.expect("the database goes");
        }
    }

    /// A command of the program on these books, in an empty environment and folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command
            .args(arguments)
            .env_clear()
            .env("DATABASE_URL", &self.url)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs a command to its end, whatever it is.
    pub(crate) async fn try_cli(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().await.expect("the program runs")
    }

    /// Runs a command that has to succeed, and returns what it printed.
    pub(crate) async fn cli(&self, arguments: &[&str]) -> String {
        let output = self.try_cli(arguments).await;
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tollgate {arguments:?} ended badly: {error}");
        String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
    }

    /// The same with `--json`.
    pub(crate) async fn cli_json(&self, arguments: &[&str]) -> Value {
        let text = self.cli(&[arguments, &["--json"]].concat()).await;
        serde_json::from_str(&text).expect("one JSON value")
    }
}

/// How a program is started.
pub(crate) struct Start {
    pub(crate) simulator: Option<Simulator>,
    /// More settings, which win over those of the test.
    pub(crate) settings: Vec<(&'static str, String)>,
}

impl Default for Start {
    fn default() -> Self {
        Self { simulator: Some(Simulator::new()), settings: Vec::new() }
    }
}

impl Start {
    pub(crate) fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((name, value.into()));
        self
    }

    /// With recordings, where there are any.
    pub(crate) fn with_recordings(mut self, folder: &std::path::Path) -> Self {
        self.simulator = Some(Simulator::new().recordings(folder).expect("recordings"));
        self
    }
}

/// A program that serves, a user with a key, and the simulator behind it.
pub(crate) struct App {
    pub(crate) books: Books,
    pub(crate) url: String,
    pub(crate) key: String,
    pub(crate) client: reqwest::Client,
    pub(crate) simulator: Option<Running>,
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
        books.cli(&["user", "add", USER]).await;
        let key = books.cli(&["key", "create", "--user", USER]).await;
        let simulator = match start.simulator {
            None => None,
            Some(simulator) => {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                Some(simulator.start(address).await.expect("the simulator"))
            }
        };
        let mut settings = Vec::new();
        if let Some(simulator) = &simulator {
            settings = provider_settings(simulator);
        }
        settings.extend(start.settings);
        let (process, url) = serve(&books, &settings).await;
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(60))
            .no_proxy()
            .build()
            .expect("a client");
        Self { books, url, key, client, simulator, settings, process }
    }

    pub(crate) fn simulator(&self) -> &Running {
        self.simulator.as_ref().expect("a simulator")
    }

    /// What the program has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(log_file(&self.books)).expect("the log")
    }

    /// The process id, for signals.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id().expect("a running process")
    }

    /// `kill -9`.
    pub(crate) async fn kill(&mut self) {
        self.process.kill().await.expect("the process dies");
    }

    /// Starts again on the same books, on another port.
    pub(crate) async fn restart(&mut self) {
        (self.process, self.url) = serve(&self.books, &self.settings).await;
    }

    /// Waits for the program to end by itself.
    pub(crate) async fn ended(&mut self) -> std::process::ExitStatus {
        self.process.wait().await.expect("an end")
    }

    /// A request to the program, without credentials.
    pub(crate) fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// A request of the native API in the user's name.
    pub(crate) fn native(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.request(method, path).header("user", USER).header("api-key", &self.key)
    }

    /// A chat of the native API.
    pub(crate) fn chat(&self, body: &Value) -> reqwest::RequestBuilder {
        self.native(reqwest::Method::POST, "/api/layers/chat").json(body)
    }

    /// A chat that has to succeed: its whole answer.
    pub(crate) async fn chatted(&self, body: &Value) -> Answer {
        let answer = Answer::of(self.chat(body)).await;
        assert_eq!(answer.status, 200, "{body} was answered with {}", answer.body);
        answer
    }

    /// `priceToPay` of `/api/usage/check`.
    pub(crate) async fn price_to_pay(&self) -> Value {
        let answer = Answer::of(self.native(reqwest::Method::GET, "/api/usage/check")).await;
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
async fn serve(books: &Books, settings: &[(&'static str, String)]) -> (Child, String) {
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
            return (process, url);
        }
    }
    let log = std::fs::read_to_string(log_file(books)).unwrap_or_default();
    panic!("tollgate serve ended before it listened: {log}");
}
