//! Runs one SDK's script and looks at what it says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use ledger::Outcome;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use tokio::process::Command;
use tokio::time::timeout;

use crate::app::{Answer, App, USER};
use crate::books::{MANAGEMENT, not_in_ci};

/// A script takes seconds; one that hangs is ended.
const PATIENCE: Duration = Duration::from_mins(2);

/// Somebody whose usage was yesterday's.
const PAST: &str = "past";

/// What a script is written in.
#[derive(Copy, Clone)]
pub(crate) enum Language {
    Python,
    Node,
}

/// What a script says of one case.
#[derive(Deserialize)]
struct Line {
    case: String,
    model: String,
    ok: bool,
    detail: String,
}

/// Runs a script, which has to show each of the `expected` cases, pairs of a case and a model, and no other.
pub(crate) async fn run(language: Language, file: &str, client: &str, expected: &[(&str, &str)]) {
    let Some(folder) = std::env::var_os("TOLLGATE_TEST_SDKS").map(PathBuf::from) else {
        not_in_ci("TOLLGATE_TEST_SDKS is not set: the CI must test the SDKs too");
        println!("skipped: no SDKs");
        return;
    };
    let app = App::start().await;
    let keys = Keys::of(&app).await;
    let output = output(language, &folder, file, client, (&app, &keys)).await;
    let (printed, complaints) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let mut lines = BTreeMap::new();
    for text in printed.lines() {
        let Ok(line) = serde_json::from_str::<Line>(text) else {
            panic!("{file} says {text:?}\n{complaints}");
        };
        lines.insert((line.case.clone(), line.model.clone()), line);
    }
    let mut wrong = Vec::new();
    for (case, model) in expected {
        match lines.remove(&((*case).to_owned(), (*model).to_owned())) {
            None => wrong.push(format!("{case}, {model}: missing")),
            Some(Line { ok: false, detail, .. }) => {
                wrong.push(format!("{case}, {model}: {detail}"));
            }
            Some(_) => {}
        }
    }
    wrong.extend(lines.keys().map(|(case, model)| format!("{case}, {model}: not expected")));
    assert!(wrong.is_empty(), "{file} {client}:\n{}\n{complaints}", wrong.join("\n"));
    assert!(output.status.success(), "{file} ended with {}: {complaints}", output.status);

    Keys::shift(&app, "+").await;
    // Whoever hangs up is billed, as one who did.
    let cancelled = expected.iter().filter(|(case, _)| *case == "cancel").count();
    let receipts = app.close().await;
    let gone = receipts.iter().filter(|receipt| receipt.outcome == Outcome::ClientGone).count();
    assert_eq!(gone, cancelled, "receipts of cancelled streams");
}

/// Keys for what the user's own is not for.
struct Keys {
    /// One of the user's that manages.
    management: String,
    /// One of somebody whose usage was yesterday's.
    past: String,
}

impl Keys {
    async fn of(app: &App) -> Self {
        let management = app.books.key_with(USER, &MANAGEMENT).await;
        app.books.cli(&["user", "add", PAST]).await;
        let past = app.books.key_with(PAST, &["inference", "usage"]).await;
        app.knows(&past).await;
        let chat = app.request(Method::POST, "/api/layers/chat").header("user", PAST);
        let chat = chat.header("api-key", &past).json(&json!({
            "providerName": "openai", "model_name": "gpt-4o-mini", "message": "fixture:worked_example",
        }));
        assert_eq!(Answer::of(chat).await.status, 200);
        // It is in the sums once it can be seen.
        let bill = app.request(Method::GET, "/api/usage/check").header("user", PAST);
        assert_eq!(Answer::of(bill.header("api-key", &past)).await.status, 200);
        Self::shift(app, "-").await;
        Self { management, past }
    }

    /// Moves the sums of that usage by a day.
    async fn shift(app: &App, sign: &str) {
        let account = format!("(SELECT id FROM tollgate.accounts WHERE name = '{PAST}')");
        app.books.shell(&format!("UPDATE tollgate.rollups SET day = day {sign} 1 WHERE grain = 'account' AND id = {account}")).await;
    }
}

async fn output(
    language: Language,
    folder: &Path,
    file: &str,
    client: &str,
    (app, keys): (&App, &Keys),
) -> Output {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk");
    // Node looks for packages from where a script is.
    let copies = tempfile::tempdir_in(folder).expect("a folder");
    let mut command = match language {
        Language::Python => {
            let mut command = Command::new(folder.join("python/bin/python"));
            command.arg("-B").arg(scripts.join("python").join(file));
            command
        }
        Language::Node => {
            copy_scripts(&scripts.join("node"), copies.path());
            let mut command = Command::new(node(folder));
            command.arg(copies.path().join(file));
            command
        }
    };
    command
        .env_clear()
        .env("BASE_URL", &app.url)
        .env("KEY", &app.key)
        .env("MANAGEMENT_KEY", &keys.management)
        .env("PAST_KEY", &keys.past)
        .env("USER_NAME", USER)
        .env("CLIENT", client)
        .env("HOME", copies.path())
        .current_dir(copies.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.expect("an end in time");
    output.unwrap_or_else(|why| panic!("{file} does not start: {why}"))
}

pub(crate) fn copy_scripts(from: &Path, to: &Path) {
    let files = std::fs::read_dir(from).expect("the scripts").map(|entry| entry.expect("a file"));
    for file in files.filter(|file| file.path().extension().is_some_and(|kind| kind == "mjs")) {
        std::fs::copy(file.path(), to.join(file.file_name())).expect("a copy");
    }
}

/// The Node that was installed beside the SDKs, which the newest of them need; else that of the machine.
pub(crate) fn node(folder: &Path) -> PathBuf {
    let installed = std::fs::read_dir(folder.join("node_modules")).expect("the SDKs for Node");
    let paths = installed.map(|entry| entry.expect("a package").path().join("bin/node"));
    let found = paths.filter(|path| path.is_file()).min();
    found.unwrap_or_else(|| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut all = std::env::split_paths(&path).map(|folder| folder.join("node"));
        all.find(|path| path.is_file()).expect("node on PATH")
    })
}
