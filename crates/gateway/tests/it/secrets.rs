//! No secret is where it does not belong: not in the database, not in the log however much is logged, not in an error.

use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::json;
use sqlx::{Connection as _, PgConnection, Row as _};

use crate::app::{Answer, App, Start, USER};
use crate::books::Books;
use crate::chat::{MODELS, say};
use crate::console::Browser;
use crate::credentials::typed;

/// What nobody but its owner may ever read, and the prompts, which are nobody's business.
struct Canaries(Vec<String>);

impl Canaries {
    fn assert_none_in(&self, place: &str, text: &[u8]) {
        for canary in &self.0 {
            let found = text.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!found, "{canary} is in {place}");
        }
    }
}

const WORDS: &str = "canary-of-what-was-said";
const PASSWORD: &str = "canary-database-password";

#[tokio::test]
async fn secrets_stay_secret() {
    let books = Books::sqlite();
    books.cli(&["user", "add", "olga", "--operator"]).await;
    let start = tracing("text")
        .set("TOLLGATE_METRICS_ADDR", "127.0.0.1:0")
        .set("OTEL_EXPORTER_OTLP_HEADERS", "api-key=canary-of-a-collector")
        .set("OTEL_BSP_SCHEDULE_DELAY", "20")
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    let app = App::start_on(books, start).await;
    let mut canaries = use_everything(&app).await;
    canaries.0.push("canary-".to_owned());
    let metrics = app.client.get(app.metrics.as_ref().expect("metrics")).send().await;
    let metrics = metrics.expect("an answer").bytes().await.expect("a page");
    canaries.assert_none_in("the metrics", &metrics);
    let log = app.log().await;
    assert!(log.contains("TRACE"), "everything is logged");
    canaries.assert_none_in("the log", log.as_bytes());
    // While it runs, so that the write-ahead log is there.
    let files = files(app.books.folder.path());
    for path in &files {
        let bytes = std::fs::read(path).expect("a file");
        canaries.assert_none_in(&path.display().to_string(), &bytes);
    }
    for (part, least) in [(".db", 2), (".journal", 1)] {
        let named = |path: &&PathBuf| path.to_string_lossy().contains(part);
        assert!(files.iter().filter(named).count() >= least, "files with {part}: {files:?}");
    }
    app.close().await;
}

/// All files in a folder and below.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries =
        folder.read_dir().expect("the folder").map(|entry| entry.expect("an entry").path());
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.flat_map(below).collect()
}

#[tokio::test]
async fn secrets_stay_secret_on_postgres() {
    let Some(mut books) = Books::postgres("secrets").await else { return };
    // The test server asks for no password, and takes any.
    let (scheme, rest) = books.url.split_once("://").expect("a URL");
    let (user, place) = rest.split_once('@').expect("a user");
    let user = user.split_once(':').map_or(user, |(user, _)| user);
    books.url = format!("{scheme}://{user}:{PASSWORD}@{place}");
    books.cli(&["user", "add", "olga", "--operator"]).await;
    let app = App::start_on(books, tracing("json")).await;
    let mut canaries = use_everything(&app).await;
    canaries.0.push("canary-".to_owned());
    let log = app.log().await;
    assert!(log.contains("TRACE"), "everything is logged");
    canaries.assert_none_in("the log", log.as_bytes());
    let mut conn = PgConnection::connect(&app.books.url).await.expect("the books");
    let tables =
        "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'tollgate'";
    let tables = sqlx::query(tables).fetch_all(&mut conn).await.expect("the tables");
    assert!(tables.len() > 5);
    for table in tables {
        let table: String = table.get(0);
        let rows = format!("SELECT t::text FROM tollgate.{table} t");
        let rows = sqlx::query(sqlx::AssertSqlSafe(rows)).fetch_all(&mut conn).await.expect("rows");
        for row in rows {
            canaries.assert_none_in(&table, row.get::<String, _>(0).as_bytes());
        }
    }
    drop(conn);
    app.close().await;
}

fn tracing(format: &str) -> Start {
    let start = Start::default().set("RUST_LOG", "trace").set("TOLLGATE_LOG_FORMAT", format);
    start.set("TOLLGATE_MASTER_KEY", master_key())
}

/// Of bytes that are looked for like any other secret.
fn master_key() -> String {
    ledger::to_hex(b"canary-of-the-master-key-0123456")
}

/// Sets providers' credentials in every way there is, has the providers repeat them, and looks at all that tells of them.
async fn seal_and_repeat(app: &App, canaries: &Canaries) {
    let (master, olga) = (master_key(), Browser::of(app, "olga").await);
    for (provider, model) in MODELS {
        for text in [format!("canary-sealed-{provider}-1\n"), format!("canary-sealed-{provider}-2")]
        {
            let output =
                typed(&app.books, &master, &["provider", "set-key", provider], &text).await;
            assert!(output.status.success());
            canaries.assert_none_in("set-key", &[output.stdout, output.stderr].concat());
        }
        let set = format!("/operator/providers/{provider}/credential");
        let secret = format!("canary-sealed-{provider}-3");
        olga.done(&set, &[("secret", &secret)]).await;
        let refused = olga.post(&set, &[("secret", "canary-sealed and more")]).await;
        assert_eq!(refused.status, 400);
        canaries.assert_none_in("a refusal", refused.text.as_bytes());
        let checked = olga.post(&format!("/operator/providers/{provider}/check"), &[]).await;
        canaries.assert_none_in("a check", checked.text.as_bytes());
        for message in [WORDS, "fault:echo:400", "fault:echo:401", "fault:echo:500"] {
            let answer = Answer::of(app.chat(&say(provider, model, message))).await;
            canaries.assert_none_in("an answer", without_words(&answer).as_bytes());
        }
        let seen = app.simulator.seen();
        assert!(format!("{seen:?}").contains(&secret), "it was called with it");
        for path in ["/operator/providers", "/operator/audit"] {
            canaries.assert_none_in(path, olga.page(path).await.as_bytes());
        }
    }
    for arguments in [
        &["provider", "list"][..],
        &["provider", "list", "--json"],
        &["provider", "check"],
        &["provider", "reseal"],
        &["doctor"],
        &["provider", "remove-key", "openai"],
    ] {
        let output = typed(&app.books, &master, arguments, "").await;
        let all = [output.stdout, output.stderr].concat();
        canaries.assert_none_in(&arguments.join(" "), &all);
    }
}

/// The same with keys that an account has at the providers itself.
async fn bring_own_keys(app: &App, canaries: &Canaries) {
    let (master, ada) = (master_key(), Browser::of(app, USER).await);
    for (provider, model) in MODELS {
        let set = ["own-key", "set", USER, provider];
        let output = typed(&app.books, &master, &set, &format!("canary-own-{provider}-1")).await;
        assert!(output.status.success());
        canaries.assert_none_in("own-key set", &[output.stdout, output.stderr].concat());
        let (set, secret) = (format!("/own-keys/{provider}"), format!("canary-own-{provider}-2"));
        ada.done(&set, &[("secret", &secret), ("always", "on")]).await;
        let refused = ada.post(&set, &[("secret", "canary-own and more")]).await;
        assert_eq!(refused.status, 400);
        canaries.assert_none_in("a refusal", refused.text.as_bytes());
        let checked = ada.post(&format!("/own-keys/{provider}/check"), &[]).await;
        canaries.assert_none_in("a check", checked.text.as_bytes());
        for message in [WORDS, "fault:echo:400", "fault:echo:401", "fault:echo:500"] {
            let answer = Answer::of(app.chat(&say(provider, model, message))).await;
            canaries.assert_none_in("an answer", without_words(&answer).as_bytes());
        }
        let seen = app.simulator.seen();
        assert!(format!("{seen:?}").contains(&secret), "it was called with it");
        canaries.assert_none_in("/own-keys", ada.page("/own-keys").await.as_bytes());
    }
    for arguments in [
        &["own-key", "list", "--json"][..],
        &["own-key", "check", USER, "openai"],
        &["provider", "reseal"],
        &["doctor"],
        &["own-key", "remove", USER, "openai"],
    ] {
        let output = typed(&app.books, &master, arguments, "").await;
        let all = [output.stdout, output.stderr].concat();
        canaries.assert_none_in(&arguments.join(" "), &all);
    }
}

/// Does everything that has to do with a secret, and returns the secrets. No answer but the one that makes a key may
/// hold one.
async fn use_everything(app: &App) -> Canaries {
    let made = Answer::of(app.native(Method::POST, "/api/keys/generate")).await;
    let second = made.body["key"].as_str().expect("a key").to_owned();
    let mut canaries = Canaries(vec![app.key.clone(), second.clone()]);
    let h2 =
        reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().expect("a client");
    let mut requests = Vec::new();
    for (provider, model) in MODELS {
        for message in [
            WORDS,
            "fault:echo:400",
            "fault:echo:401",
            "fault:echo:500",
            "fault:echo:200",
            "fault:cut",
        ] {
            requests.push(app.chat(&say(provider, model, message)));
        }
        let over_h2 = h2.post(format!("{}/api/layers/chat", app.url)).header("user", USER);
        requests.push(over_h2.header("api-key", &app.key).json(&say(provider, model, WORDS)));
    }
    let ask = |path: &str| app.request(Method::GET, path).header("user", USER);
    requests.extend([
        ask("/api/keys/list").header("authorization", format!("Bearer {second}")),
        ask("/api/keys/list").header("x-api-key", &second),
        ask("/api/keys/list").header("x-goog-api-key", &second),
        ask(&format!("/api/keys/list?key={second}")),
        ask(&format!("/api/nothing?key={second}")),
        h2.get(format!("{}/api/keys/list?key={second}", app.url)).header("user", USER),
        app.native(Method::DELETE, "/api/keys/delete").json(&json!({ "key": second, "id": "x" })),
        app.native(Method::DELETE, "/api/keys/delete").json(&json!({ "key": second })),
        app.native(Method::DELETE, "/api/keys/delete").json(&json!({ "key": second })),
        // A key where it does not belong.
        app.request(Method::GET, "/api/keys/list")
            .header("user", &second)
            .header("api-key", &app.key),
        app.chat(&say("openai", &second, "Hello")),
        ask("/api/keys/list").header("api-key", &second),
    ]);
    for request in requests {
        let answer = Answer::of(request).await;
        // A client that says its own key in place of a model may read it again; nobody else can.
        if answer.code() != "unknown_model" {
            canaries.assert_none_in("an answer", without_words(&answer).as_bytes());
        }
    }
    for arguments in [
        vec!["key", "list"],
        vec!["key", "revoke", &second],
        vec!["doctor"],
        vec!["verify"],
        vec!["--help"],
    ] {
        let mut command = app.books.command(&arguments);
        command.env("RUST_LOG", "trace").env("OPENAI_API_KEY", "canary-openai_api_key");
        let output = command.output().await.expect("the program runs");
        assert!(output.status.success());
        canaries.assert_none_in(arguments[0], &output.stdout);
        canaries.assert_none_in(arguments[0], &output.stderr);
        assert!(!String::from_utf8_lossy(&output.stdout).contains("canary-"), "{arguments:?}");
    }
    let mut create = app.books.command(&["key", "create", "--user", USER]);
    let create = create.env("RUST_LOG", "trace").output().await.expect("the program runs");
    let third = String::from_utf8(create.stdout).expect("text").trim().to_owned();
    assert!(third.len() == 39 && !String::from_utf8_lossy(&create.stderr).contains(&third));
    canaries.0.push(third);
    canaries.0.extend([master_key(), "canary-sealed".to_owned(), "canary-of-the".to_owned()]);
    seal_and_repeat(app, &canaries).await;
    bring_own_keys(app, &canaries).await;
    canaries
}

/// An answer to a chat repeats what was said, and may.
fn without_words(answer: &Answer) -> String {
    format!("{:?} {}", answer.headers, answer.body).replace(WORDS, "")
}

/// A database that cannot be reached is complained about without its password.
#[tokio::test]
async fn the_password_of_the_database_is_in_no_complaint() {
    let books = Books::sqlite();
    for url in [
        format!("postgres://ada:{PASSWORD}@127.0.0.1:1/books"),
        format!("postgres://ada:{PASSWORD}@127.0.0.1:port/books"),
        format!("postgres://ada:{PASSWORD}@[::1/books"),
        format!("postgresql://ada:{PASSWORD}@host.invalid/books?sslmode=nonsense"),
        format!("mysql://ada:{PASSWORD}@127.0.0.1/books"),
        PASSWORD.to_owned(),
        format!("sqlite:///nowhere/{PASSWORD}/books.db?mode=nonsense"),
    ] {
        let mut doctor = books.command(&["doctor", "--json"]);
        let output = doctor.env("DATABASE_URL", &url).env("RUST_LOG", "trace").output();
        let output = output.await.expect("the program runs");
        assert!(!output.status.success(), "{url}");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(said.contains("\"result\": \"fail\""), "{url}: {said}");
        assert!(url.starts_with("sqlite") || !said.contains(PASSWORD), "{url}: {said}");
    }
}
