//! `tollgate demo`: what it prints works, and it leaves nothing behind.

use std::process::{ExitStatus, Stdio};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::app::signal;
use crate::books::Books;

/// A demo, and what it printed until it was ready.
struct Demo {
    process: Child,
    printed: Vec<String>,
    more: Lines<BufReader<ChildStdout>>,
    /// Where it may leave things. Nothing else is in there.
    folder: tempfile::TempDir,
}

impl Demo {
    async fn start(port: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Books::sqlite().command(&["demo"]);
        command.env_remove("DATABASE_URL").env("TMPDIR", folder.path()).env("PORT", port);
        command.current_dir(folder.path());
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let mut printed = Vec::new();
        while let Some(line) = lines.next_line().await.expect("its output") {
            let last = line.starts_with("Ctrl-C");
            printed.push(line);
            if last {
                return Self { process, printed, more: lines, folder };
            }
        }
        panic!("the demo ended at once: {printed:?}");
    }

    fn curl_lines(&self) -> Vec<&str> {
        let lines = self.printed.iter().map(String::as_str);
        lines.filter(|line| line.starts_with("curl ")).collect()
    }

    async fn end(mut self, name: &str) -> ExitStatus {
        let left = || self.folder.path().read_dir().expect("the folder").count();
        assert_eq!(left(), 1, "the folder of the demo");
        signal(&self.process, name).await;
        let mut last = String::new();
        while let Some(line) = self.more.next_line().await.expect("its output") {
            last = line;
        }
        assert_eq!(last, "The demo has ended; its folder is gone.");
        let status = self.process.wait().await.expect("an end");
        assert_eq!(
            self.folder.path().read_dir().expect("the folder").count(),
            0,
            "something was left behind"
        );
        status
    }
}

#[tokio::test]
async fn every_line_it_prints_works() {
    let demo = Demo::start("0").await;
    let lines = demo.curl_lines();
    assert_eq!(lines.len(), 7, "{lines:?}");
    let mut charged = 0.0;
    for (number, line) in lines.iter().enumerate() {
        let answer: Value = serde_json::from_str(&run(line).await).expect("JSON");
        match number {
            0..4 => {
                assert!(
                    answer["content"].as_str().is_some_and(|text| text.contains("Hello")),
                    "{answer}"
                );
                assert!(answer["usage"]["totalTokens"].as_u64() > Some(0), "{answer}");
            }
            4 => charged = answer["priceToPay"]["final_price"].as_f64().expect("a price"),
            5 => assert_eq!(answer["keys"].as_array().map(Vec::len), Some(1), "{answer}"),
            _ => assert!(
                answer["key"].as_str().is_some_and(|key| key.starts_with("tg-")),
                "{answer}"
            ),
        }
    }
    assert!(charged > 0.0);
    assert_eq!(demo.end("INT").await.code(), Some(0));
}

/// Two demos, a demo beside a server: a port that is taken is no hindrance.
#[tokio::test]
async fn a_second_demo_finds_a_port_of_its_own() {
    let first = Demo::start("0").await;
    let port =
        first.curl_lines()[0].split("127.0.0.1:").nth(1).and_then(|rest| rest.split('/').next());
    let second = Demo::start(port.expect("a port")).await;
    for demo in [&first, &second] {
        let answer: Value = serde_json::from_str(&run(demo.curl_lines()[0]).await).expect("JSON");
        assert!(answer["content"].is_string(), "{answer}");
    }
    assert_eq!(first.end("TERM").await.code(), Some(0));
    assert_eq!(second.end("INT").await.code(), Some(0));
}

/// By the shell and curl, as somebody who pastes it does; where there is no curl, by a client that reads the line.
async fn run(line: &str) -> String {
    let curl = Command::new("curl")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await;
    if curl.is_ok_and(|status| status.success()) {
        let output = Command::new("sh")
            .args(["-c", line])
            .env("NO_PROXY", "*")
            .output()
            .await
            .expect("a shell");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        return String::from_utf8(output.stdout).expect("text");
    }
    println!("skipped: no curl");
    as_curl_would(line).await
}

async fn as_curl_would(line: &str) -> String {
    // A word in quotes is one word, and nothing here has a quote within.
    let mut words = line.split('\'').enumerate().flat_map(|(place, part)| {
        let quoted = place % 2 == 1;
        if quoted { vec![part] } else { part.split_whitespace().collect() }
    });
    let (mut url, mut method, mut body, mut headers) = ("", None, None, Vec::new());
    assert_eq!(words.next(), Some("curl"));
    while let Some(word) = words.next() {
        match word {
            "-s" => {}
            "-X" => method = words.next(),
            "-d" => body = words.next(),
            "-H" => headers.extend(words.next().and_then(|header| header.split_once(": "))),
            word => url = word,
        }
    }
    let method = method.unwrap_or(if body.is_some() { "POST" } else { "GET" });
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut request = client.request(method.parse().expect("a method"), url);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(body.unwrap_or_default().to_owned());
    request.send().await.expect("an answer").text().await.expect("a body")
}

/// The stand-in for curl does what curl does.
#[tokio::test]
async fn the_lines_work_without_curl_as_well() {
    let demo = Demo::start("0").await;
    for line in demo.curl_lines() {
        let answer: Value = serde_json::from_str(&as_curl_would(line).await).expect("JSON");
        assert!(answer.get("error").is_none(), "{line}: {answer}");
    }
    assert_eq!(demo.end("INT").await.code(), Some(0));
}
