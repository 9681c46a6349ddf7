//! Recordings of requests: what is in them, what never is, and of which requests they are.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{Answer, App, Start};
use crate::books::Books;
use crate::network::until;
use crate::telemetry::{Scraped, measured};

const SECRET: &str = "The toll is seven";

/// Starts with recordings in a folder beside the books.
async fn recording(more: &[(&'static str, &str)]) -> (App, PathBuf) {
    let books = Books::sqlite();
    let folder = books.folder.path().join("recordings");
    let mut start = measured().set("TOLLGATE_CAPTURE_DIR", folder.to_str().expect("text"));
    for (name, value) in more {
        start = start.set(name, *value);
    }
    (App::start_on(books, start).await, folder)
}

fn ask(app: &App, key: &str, message: &str, stream: bool) -> reqwest::RequestBuilder {
    let body = json!({ "model": "gpt-4o", "stream": stream,
                       "messages": [{ "role": "user", "content": message }] });
    app.request(Method::POST, "/v1/chat/completions").bearer_auth(key).json(&body)
}

/// All lines of all recordings, and the texts of the files. Only their owner may read them.
fn recorded(folder: &Path) -> (Vec<Value>, String) {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("a file").path();
        let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        text += &std::fs::read_to_string(path).expect("text");
    }
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    (lines, text)
}

/// The form of what was said, and none of it.
#[tokio::test]
async fn what_is_said_is_left_out() {
    let (mut app, folder) = recording(&[]).await;
    let say = format!("say:{SECRET}");
    let good = Answer::of(ask(&app, &app.key, &say, false)).await;
    let stream = Answer::of(ask(&app, &app.key, &say, true)).await;
    let refused = Answer::of(ask(&app, &app.key, "fault:echo:401", false)).await;
    assert_eq!((good.status, stream.status, refused.status), (200, 200, 502));
    let slow = format!("fault:slow:50\nsay:{}", "word ".repeat(100));
    let mut left = ask(&app, &app.key, &slow, true).send().await.expect("a head");
    let gone = left.headers()["x-request-id"].to_str().expect("text").to_owned();
    assert!(left.chunk().await.expect("a chunk").is_some());
    drop(left);
    // Nobody known, and nothing of it recorded.
    assert_eq!(Answer::of(ask(&app, "tg-nobody", &say, false)).await.status, 401);
    until("the recordings are written", || recorded(&folder).0.len() >= 4).await;
    assert_eq!(Scraped::of(&app).await.count("tollgate_capture_dropped_total", &[]), 0);
    let receipts = app.finish().await;
    let (lines, text) = recorded(&folder);
    assert_eq!((lines.len(), receipts.len()), (4, 4), "{text}");
    for never in [SECRET, "seven", "word", app.key.as_str(), "canary", "fault:"] {
        assert!(!text.contains(never), "{never}: {text}");
    }
    let line = |id: &str| lines.iter().find(|line| line["request_id"] == id).expect("a line");
    let told = line(good.header("x-request-id"));
    assert_eq!((&told["status"], &told["whole"]), (&200.into(), &true.into()), "{told}");
    let length = format!("[{} bytes]", say.len());
    assert_eq!(told["request"]["messages"], json!([{ "role": "user", "content": length }]));
    let length = format!("[{} bytes]", SECRET.len());
    assert_eq!(told["response"]["choices"][0]["message"]["content"], length);
    assert_eq!(told["response"]["usage"]["prompt_tokens"], good.body["usage"]["prompt_tokens"]);
    assert_eq!(told["key_id"], receipts[0].key_id.to_string());
    let told = line(stream.header("x-request-id"));
    let events = told["response"].as_array().expect("events");
    assert_eq!((events.last(), &told["whole"]), (Some(&"[DONE]".into()), &true.into()), "{told}");
    assert_eq!(events[0]["object"], "chat.completion.chunk");
    let told = line(refused.header("x-request-id"));
    assert_eq!((&told["status"], &told["whole"]), (&502.into(), &true.into()), "{told}");
    assert_eq!(line(&gone)["whole"], false);
    app.books.remove().await;
}

/// With what is said, where that is asked for; keys are left out even then.
#[tokio::test]
async fn what_is_said_where_that_is_asked_for() {
    let (mut app, folder) = recording(&[("TOLLGATE_CAPTURE_CONTENT", "true")]).await;
    let message = format!("say:{SECRET}, {}", app.key);
    for stream in [false, true] {
        assert_eq!(Answer::of(ask(&app, &app.key, &message, stream)).await.status, 200);
    }
    app.finish().await;
    let (lines, text) = recorded(&folder);
    assert!(!text.contains(&app.key) && !text.contains("canary"), "{text}");
    let said = format!("{SECRET}, [credential]");
    assert_eq!(lines[0]["request"]["messages"][0]["content"], format!("say:{said}"));
    assert_eq!(lines[0]["response"]["choices"][0]["message"]["content"], said);
    assert!(lines[1]["response"].as_array().is_some_and(|events| events.len() > 2), "{text}");
    app.books.remove().await;
}

/// Of some keys alone, or of a share of the requests.
#[tokio::test]
async fn of_some_requests_alone() {
    let books = Books::sqlite();
    let other = books.add_user("grace").await;
    let listed = books.cli_json(&["key", "list", "--user", "grace"]).await;
    let id = listed[0]["id"].as_str().expect("an id").to_owned();
    let folder = books.folder.path().join("recordings");
    let start = Start::default()
        .set("TOLLGATE_CAPTURE_DIR", folder.to_str().expect("text"))
        .set("TOLLGATE_CAPTURE_KEYS", id.clone());
    let mut app = App::start_on(books, start).await;
    for key in [&app.key, &other] {
        assert_eq!(Answer::of(ask(&app, key, "Hello", false)).await.status, 200);
    }
    app.signal("TERM").await;
    assert!(app.ended().await.success());
    let (lines, text) = recorded(&folder);
    assert_eq!((lines.len(), &lines[0]["key_id"]), (1, &id.into()), "{text}");
    // What is there stays, and nothing is added.
    app.set("TOLLGATE_CAPTURE_KEYS", String::new());
    app.set("TOLLGATE_CAPTURE_PERCENT", "0".to_owned());
    app.restart().await;
    assert_eq!(Answer::of(ask(&app, &app.key, "Hello", false)).await.status, 200);
    app.finish().await;
    assert_eq!(recorded(&folder).0.len(), 1);
    app.books.remove().await;
}

#[tokio::test]
async fn a_folder_that_is_none() {
    let books = Books::sqlite();
    let file = books.folder.path().join("file");
    std::fs::write(&file, "mine").expect("written");
    let (file, folder) = (file.to_str().expect("text"), books.folder.path().join("recordings"));
    for (folder, name, value, complaint) in [
        (file, "TOLLGATE_CAPTURE_PERCENT", "1", "TOLLGATE_CAPTURE_DIR: "),
        (
            folder.to_str().expect("text"),
            "TOLLGATE_CAPTURE_KEYS",
            "nobody",
            "TOLLGATE_CAPTURE_KEYS: ",
        ),
        ("", "TOLLGATE_CAPTURE_PERCENT", "101", "--capture-percent"),
    ] {
        let mut command = books.command(&["serve"]);
        command.env("PORT", "0").env("TOLLGATE_CAPTURE_DIR", folder).env(name, value);
        let output = command.output().await.expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(complaint), "{said}");
    }
    books.remove().await;
}
