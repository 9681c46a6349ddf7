//! What operators see: metrics that agree with the receipts, one line for each request, and nothing that is nobody's
//! business.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ledger::{Receipt, Usd};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpSocket, TcpStream};

use crate::app::{Answer, App, Start, USER, are_free, signal};
use crate::books::Books;
use crate::chat::{MODELS, say};

const NOBODY: &str = "a-model-of-a-strangers-own";

pub(crate) fn measured() -> Start {
    Start::default().set("TOLLGATE_METRICS_ADDR", "127.0.0.1:0")
}

/// A page of metrics, as a scraper reads it.
pub(crate) struct Scraped {
    pub(crate) text: String,
    /// Names of families, without what histograms add to them.
    families: BTreeSet<String>,
    samples: Vec<(String, BTreeMap<String, String>, String)>,
}

impl Scraped {
    pub(crate) async fn of(app: &App) -> Self {
        let url = app.metrics.as_ref().expect("metrics are served");
        let answer = app.client.get(url).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        Self::read(answer.text().await.expect("a page"))
    }

    fn read(text: String) -> Self {
        let (mut families, mut samples) = (BTreeSet::new(), Vec::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                families.insert(rest.split(' ').next().expect("a name").to_owned());
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').expect("a value");
                let (name, labels) = series.split_once('{').unwrap_or((series, ""));
                let labels = labels.trim_end_matches('}').split("\",").filter(|l| !l.is_empty());
                let labels = labels.map(|label| {
                    let (name, value) = label.split_once("=\"").expect("a label");
                    (name.to_owned(), value.trim_end_matches('"').to_owned())
                });
                samples.push((name.to_owned(), labels.collect(), value.to_owned()));
            }
        }
        Self { text, families, samples }
    }

    /// Samples of that name with those labels among theirs.
    fn of_name<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&str, &str)],
    ) -> impl Iterator<Item = &'a (String, BTreeMap<String, String>, String)> {
        self.samples.iter().filter(move |(own, own_labels, _)| {
            let has = |(label, value): &(&str, &str)| {
                own_labels.get(*label).is_some_and(|own| own == value)
            };
            own == name && labels.iter().all(has)
        })
    }

    /// Their sum, of whole numbers.
    pub(crate) fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let values = self.of_name(name, labels).map(|(_, _, value)| value);
        values.map(|value| value.parse::<u64>().expect("a whole number")).sum()
    }

    /// Their sum, to the pico-dollar.
    fn dollars(&self, name: &str, labels: &[(&str, &str)]) -> i64 {
        let values = self.of_name(name, labels).map(|(_, _, value)| value);
        values.map(|value| Usd::parse(value).expect("an amount").pico()).sum()
    }
}

fn of_model<'a>(
    receipts: &'a [Receipt],
    (provider, model): (&'a str, &'a str),
) -> impl Iterator<Item = &'a Receipt> {
    receipts.iter().filter(move |receipt| receipt.provider == provider && receipt.model == model)
}

/// A metric, and what of a receipt it adds up.
type Amount = (&'static str, fn(&Receipt) -> Usd);

fn agree(metrics: &Scraped, receipts: &[Receipt]) {
    let models: BTreeSet<(&str, &str)> =
        receipts.iter().map(|receipt| (&*receipt.provider, &*receipt.model)).collect();
    assert!(models.len() >= MODELS.len());
    for (provider, model) in models {
        let labels = [("provider", provider), ("model", model)];
        let own = || of_model(receipts, (provider, model));
        for meter in ledger::Meter::ALL {
            let used: u64 = own().map(|receipt| receipt.report.total().get(meter)).sum();
            let kind = [labels[0], labels[1], ("kind", meter.name())];
            let name = if meter.is_token() {
                "tollgate_tokens_total"
            } else {
                "tollgate_usage_units_total"
            };
            assert_eq!(metrics.count(name, &kind), used, "{model}: {}", meter.name());
        }
        let amounts: [Amount; 4] = [
            ("tollgate_cost_dollars_total", |receipt| receipt.cost),
            ("tollgate_commission_dollars_total", |receipt| receipt.commission),
            ("tollgate_charge_dollars_total", |receipt| receipt.charge),
            ("tollgate_absorbed_dollars_total", |receipt| receipt.absorbed),
        ];
        for (name, of) in amounts {
            let sum: i64 = own().map(|receipt| of(receipt).pico()).sum();
            assert_eq!(metrics.dollars(name, &labels), sum, "{model}: {name}");
        }
        for receipt in own() {
            let (outcome, source) = (receipt.outcome, receipt.usage_source);
            let alike = own().filter(|r| (r.outcome, r.usage_source) == (outcome, source)).count();
            let more = [("outcome", outcome.name()), ("source", source.name())];
            let labels = [labels[0], labels[1], more[0], more[1]];
            assert_eq!(metrics.count("tollgate_receipts_total", &labels), alike as u64);
        }
    }
}

/// A stream of `OpenAI`'s, read to its end.
async fn streamed(app: &App, message: &str) -> Answer {
    let body = json!({
        "model": "gpt-4o", "stream": true, "messages": [{ "role": "user", "content": message }],
    });
    Answer::of(app.request(Method::POST, "/v1/chat/completions").bearer_auth(&app.key).json(&body))
        .await
}

#[tokio::test]
async fn metrics_agree_with_the_receipts() {
    let mut app = App::start_with(measured()).await;
    for (provider, model) in MODELS {
        app.chatted(&say(provider, model, "Hello")).await;
        app.chatted(&say(provider, model, "fault:no_usage")).await;
        let failed = Answer::of(app.chat(&say(provider, model, "fault:status:500"))).await;
        assert_eq!(failed.status, 502, "{}", failed.body);
        let limited = Answer::of(app.chat(&say(provider, model, "fault:429:7"))).await;
        assert_eq!(limited.status, 429, "{}", limited.body);
    }
    assert_eq!(streamed(&app, "Hello").await.status, 200);
    // It breaks off in the midst of the answer, which is charged as far as it came.
    let broken = app.request(Method::POST, "/v1/chat/completions").bearer_auth(&app.key);
    let broken = broken.json(&json!({
        "model": "gpt-4o", "stream": true, "messages": [{ "role": "user", "content": "fault:cut:3" }],
    }));
    let broken = broken.send().await.expect("a head");
    let _ = broken.bytes().await;
    app.chatted(&say("anthropic", "claude-sonnet-4-5", "fixture:web_search")).await;
    let count = app.request(Method::POST, "/v1/messages/count_tokens").bearer_auth(&app.key);
    let count = count.json(&json!({
        "model": "claude-sonnet-4-5", "messages": [{ "role": "user", "content": "Hello" }],
    }));
    assert_eq!(Answer::of(count).await.status, 200);
    let nobody = app.request(Method::POST, "/v1/chat/completions").bearer_auth("tg-nobody");
    assert_eq!(Answer::of(nobody.json(&json!({}))).await.status, 401);

    let metrics = Scraped::of(&app).await;
    let each = MODELS.len() as u64;
    let total = 4 * each + 5;
    let requests = |labels: &[(&str, &str)]| metrics.count("tollgate_requests_total", labels);
    assert_eq!(requests(&[]), total);
    for (outcome, expected) in [
        ("ok", 2 * each + 3),
        ("upstream_error", each),
        ("upstream_rate_limited", each),
        ("broken_off", 1),
        ("unauthorized", 1),
    ] {
        assert_eq!(requests(&[("outcome", outcome)]), expected, "{outcome}: {}", metrics.text);
    }
    assert_eq!(requests(&[("surface", "native")]), 4 * each + 1);
    assert_eq!(requests(&[("operation", "count_tokens")]), 1);
    assert_eq!(metrics.count("tollgate_request_duration_seconds_count", &[]), total);
    assert_eq!(metrics.count("tollgate_time_to_first_byte_seconds_count", &[]), 2);
    // One for each answer that was whole.
    assert_eq!(metrics.count("tollgate_overhead_seconds_count", &[]), 2 * each + 3);
    assert!(metrics.count("tollgate_usage_units_total", &[("kind", "web_search")]) > 0);
    let attempts =
        |result| metrics.count("tollgate_upstream_attempts_total", &[("result", result)]);
    // The stream that broke off is one of them.
    assert_eq!((attempts("failed"), attempts("rate_limited")), (each + 1, each));
    assert_eq!(metrics.count("tollgate_upstream_attempts_total", &[]), total - 1);
    let refused = |status, code| {
        metrics.count("tollgate_refusals_total", &[("status", status), ("code", code)])
    };
    assert_eq!(refused("429", "rate_limited"), each);
    assert_eq!(refused("401", "invalid_api_key"), 1);
    assert_eq!(metrics.count("tollgate_requests_in_flight", &[]), 0);
    assert_eq!(metrics.count("tollgate_streams_in_flight", &[]), 0);

    let receipts = app.finish().await;
    agree(&metrics, &receipts);
    app.books.remove().await;
}

/// Somebody who hangs up in the midst of a stream is counted as gone, with the receipt for what came until then.
#[tokio::test]
async fn who_hangs_up_is_gone() {
    let mut app = App::start_with(measured()).await;
    let body = json!({
        "model": "gpt-4o", "stream": true,
        "messages": [{ "role": "user", "content": "fault:slow:100\nsay:one two three four five six" }],
    });
    let stream = app.request(Method::POST, "/v1/chat/completions").bearer_auth(&app.key);
    let mut stream = stream.json(&body).send().await.expect("a head");
    assert!(stream.chunk().await.expect("a chunk").is_some());
    let before = Scraped::of(&app).await;
    assert_eq!(before.count("tollgate_streams_in_flight", &[]), 1);
    drop(stream);
    let start = Instant::now();
    let gone = loop {
        let metrics = Scraped::of(&app).await;
        if metrics.count("tollgate_requests_in_flight", &[]) == 0 {
            break metrics;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{}", metrics.text);
    };
    let receipts = app.finish().await;
    assert_eq!(receipts.len(), 1);
    let outcome = [("outcome", "client_gone")];
    assert_eq!(gone.count("tollgate_requests_total", &outcome), 1, "{}", gone.text);
    assert_eq!(gone.count("tollgate_receipts_total", &outcome), 1);
    assert_eq!(gone.dollars("tollgate_charge_dollars_total", &[]), receipts[0].charge.pico());
    assert!(app.written_log().contains("client_cancelled=true"));
    app.books.remove().await;
}

/// What somebody without a model to their name types is no label, however much of it there is.
#[tokio::test]
async fn strangers_make_no_labels() {
    let app = App::start_with(measured()).await;
    let before = Scraped::of(&app).await.samples.len();
    for number in 0..30 {
        let model = format!("{NOBODY}-{number}");
        for provider in ["openai", NOBODY] {
            let answer = Answer::of(app.chat(&say(provider, &model, "Hello"))).await;
            assert!(matches!(answer.status, 400 | 404), "{}", answer.body);
        }
        let body = json!({ "model": model, "messages": [{ "role": "user", "content": "Hello" }] });
        let chat = app.request(Method::POST, "/v1/chat/completions").bearer_auth(&app.key);
        assert_eq!(Answer::of(chat.json(&body)).await.status, 404);
    }
    let metrics = Scraped::of(&app).await;
    assert!(!metrics.text.contains(NOBODY), "{}", metrics.text);
    assert_eq!(metrics.count("tollgate_requests_total", &[("model", "unknown")]), 90);
    // Two surfaces: a count of each, a histogram of each, and three reasons.
    let histogram = 13 + 3;
    assert_eq!(metrics.samples.len(), before + 2 * (1 + histogram) + 3, "{}", metrics.text);
    app.close().await;
}

/// Credit that is set aside and spent is in the metrics as it is in the books.
#[tokio::test]
async fn slices_are_told_by_kind() {
    let books = Books::sqlite();
    let key = books.add_user(USER).await;
    books.cli(&["user", "set", USER, "--pays", "first"]).await;
    books.cli(&["credit", "add", "--user", USER, "--usd", "10"]).await;
    let mut app = App::start_with_key(books, measured(), key).await;
    app.chatted(&say("openai", "gpt-4o", "Hello")).await;
    let metrics = Scraped::of(&app).await;
    let slice = |part: &str| {
        metrics.dollars(&format!("tollgate_slice_{part}_dollars"), &[("scope", "account")])
    };
    let receipts = app.finish().await;
    let charged: i64 = receipts.iter().map(|receipt| receipt.charge.pico()).sum();
    assert!(charged > 0);
    assert_eq!((slice("spent"), slice("held")), (charged, 0));
    assert_eq!(slice("free"), slice("granted") - charged);
    assert_eq!(metrics.count("tollgate_holds_total", &[]), 1);
    app.books.remove().await;
}

#[tokio::test]
async fn nothing_else_is_at_the_address_of_metrics() {
    let app = App::start_with(measured()).await;
    let metrics = app.metrics.clone().expect("metrics are served");
    let base = metrics.trim_end_matches("/metrics");
    for path in ["", "/healthz", "/v1/models", "/metrics/x"] {
        let status = app.client.get(format!("{base}{path}")).send().await.expect("an answer");
        assert_eq!(status.status(), 404, "{path}");
    }
    let posted = app.client.post(&metrics).send().await.expect("an answer");
    assert_eq!(posted.status(), 405);
    let elsewhere = app.request(Method::GET, "/metrics").send().await.expect("an answer");
    assert_eq!(elsewhere.status(), 404);
    let open = app.client.get(&metrics).header("accept", "application/openmetrics-text");
    let open = open.send().await.expect("an answer").text().await.expect("a page");
    assert!(open.ends_with("# EOF\n") && open.contains("# UNIT tollgate_journal_lag_seconds"));

    // A second one that wants the same address says so and ends.
    let address = base.trim_start_matches("http://");
    let mut command = app.books.command(&["serve"]);
    let second = command.env("PORT", "0").env("TOLLGATE_METRICS_ADDR", address).output();
    let second = second.await.expect("the program runs");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success());
    assert!(said.contains(&format!("TOLLGATE_METRICS_ADDR: cannot listen on {address}")), "{said}");
    let mut command = app.books.command(&["serve"]);
    let third = command.env("TOLLGATE_METRICS_ADDR", "9464").output().await.expect("it runs");
    let said = String::from_utf8_lossy(&third.stderr).into_owned();
    assert!(said.contains("TOLLGATE_METRICS_ADDR: expected an address"), "{said}");
    app.close().await;
}

/// Connections for metrics have a limit of their own: whoever is one too many finds the door shut, and it opens again.
#[tokio::test]
async fn one_scraper_too_many() {
    const MOST: usize = 64;
    let app = App::start_with(measured()).await;
    let metrics = app.metrics.as_ref().and_then(|url| url.strip_prefix("http://"));
    let address = metrics.and_then(|url| url.strip_suffix("/metrics")).expect("an address");
    let mut kept = Vec::new();
    for _ in 0..=MOST {
        kept.push(TcpStream::connect(address).await.expect("a connection"));
    }
    let mut last = kept.pop().expect("the last one");
    let begun = Instant::now();
    assert_eq!(last.read(&mut [0]).await.expect("an end"), 0);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "sooner than one that says nothing is let go"
    );
    drop(kept);
    let begun = Instant::now();
    while app.client.get(format!("http://{address}/metrics")).send().await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(5), "no room");
    }
    app.close().await;
}

/// The address of metrics is shared as the other is, while one process takes over from another.
#[tokio::test]
async fn metrics_of_the_next_process() {
    // Held, and not listened on, so that nobody else takes it.
    let held = TcpSocket::new_v4().expect("a socket");
    held.set_reuseport(true).expect("an option");
    held.set_reuseaddr(true).expect("an option");
    held.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let address = held.local_addr().expect("an address").to_string();
    let start =
        Start::default().set("TOLLGATE_METRICS_ADDR", &address).set("TOLLGATE_REUSE_PORT", "true");
    let mut app = App::start_with(start).await;
    let scrape = || reqwest::get(format!("http://{address}/metrics"));
    assert_eq!(scrape().await.expect("an answer").status(), 200);
    let (mut next, _) = app.another().await;
    app.signal("TERM").await;
    assert!(app.ended().await.success());
    assert_eq!(scrape().await.expect("an answer of the other").status(), 200);
    signal(&next, "TERM").await;
    assert!(next.wait().await.expect("an end").success());
    assert!(scrape().await.is_err());
    app.books.remove().await;
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).expect(path)
}

/// All names of metrics in a text.
fn names_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = |word: &&str| word.starts_with("tollgate_") || word.starts_with("process_");
    words.filter(ours).map(str::to_owned).collect()
}

/// Every metric is described, everything that is described is there, and the dashboard and the alerts ask for nothing else.
#[tokio::test]
async fn metrics_are_as_they_are_described() {
    let app = App::start_with(measured()).await;
    app.chatted(&say("openai", "gpt-4o", "Hello")).await;
    let metrics = Scraped::of(&app).await;
    let page = read("docs/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let described: BTreeSet<String> =
        rows.filter_map(|row| Some(row.split_once('`')?.0.to_owned())).collect();
    assert_eq!(described, metrics.families);
    for file in ["deploy/grafana/tollgate.json", "deploy/prometheus/alerts.yml"] {
        let asked = names_in(&read(file));
        assert!(asked.len() > 10, "{file}: {asked:?}");
        for name in asked {
            let parts = ["_bucket", "_sum", "_count"];
            let whole = parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(&name);
            let known = metrics.families.contains(whole) || metrics.families.contains(&name);
            assert!(known, "{file} asks for {name}");
        }
    }
    let dashboard: Value =
        serde_json::from_str(&read("deploy/grafana/tollgate.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "every panel has an id of its own");
    app.close().await;
}

/// Prometheus' own tool, where there is one.
fn promtool() -> Option<PathBuf> {
    let given = std::env::var_os("TOLLGATE_TEST_PROMTOOL").map(PathBuf::from);
    let given = given.filter(|tool| tool.is_file());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join("promtool"));
    let found = given.or_else(|| places.find(|place| place.is_file()));
    if found.is_none() {
        println!("skipped: no promtool");
    }
    found
}

#[tokio::test]
async fn promtool_has_nothing_to_say() {
    let Some(promtool) = promtool() else { return };
    let app = App::start_with(measured()).await;
    app.chatted(&say("openai", "gpt-4o", "Hello")).await;
    assert_eq!(streamed(&app, "Hello").await.status, 200);
    let page = app.books.folder.path().join("metrics.txt");
    std::fs::write(&page, Scraped::of(&app).await.text).expect("a file");
    let page = std::fs::File::open(page).expect("a file");
    let mut check = tokio::process::Command::new(&promtool);
    let checked = check.args(["check", "metrics"]).stdin(page).output().await.expect("promtool");
    let said = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
    assert!(checked.status.success() && said.is_empty(), "{said}");
    let rules = repository().join("deploy/prometheus");
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]] {
        let mut command = tokio::process::Command::new(&promtool);
        let output = command.args(arguments).current_dir(&rules).output().await.expect("promtool");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        assert!(said.contains("SUCCESS"), "{arguments:?}: {said}");
    }
    app.close().await;
}

/// One line for each request, with everything that its receipt says of it.
#[tokio::test]
async fn a_request_has_one_line() {
    let start = Start::default().set("TOLLGATE_LOG_FORMAT", "json");
    let mut app = App::start_with(start).await;
    let good = streamed(&app, "Hello").await;
    let bad = Answer::of(app.chat(&say("openai", "gpt-4o", "fault:status:500"))).await;
    let nobody = app.request(Method::POST, "/v1/messages").bearer_auth("tg-nobody");
    let nobody = Answer::of(nobody.json(&json!({}))).await;
    let log = app.log().await;
    let receipts = app.finish().await;
    let [receipt, failed] = &receipts[..] else { panic!("{receipts:?}") };
    assert!(are_free(std::slice::from_ref(failed)), "{failed:?}");
    let line = |answer: &Answer| -> Value {
        let id = answer.header("x-request-id");
        let lines = log.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        let own = |line: &Value| line["request_id"] == id && line["message"] == "request";
        let own: Vec<Value> = lines.filter(own).collect();
        let [line] = &own[..] else { panic!("{id}: {own:?}") };
        line.clone()
    };
    let told = line(&good);
    let usage = receipt.report.total();
    let expected = json!({
        "level": "INFO", "target": "request", "message": "request",
        "request_id": receipt.request_id, "key_id": receipt.key_id, "user_id": receipt.user_id,
        "key_last4": app.key[app.key.len() - 4..],
        "surface": "openai_chat", "operation": "chat", "stream": true,
        "model_wanted": "gpt-4o", "provider": "openai", "model": "gpt-4o",
        "model_served": receipt.model_served, "attempts": 1, "status": 200,
        "outcome": "ok", "finish": "stop", "client_cancelled": false,
        "input_tokens": usage.input_tokens(), "output_tokens": usage.output_tokens(),
        "cached_tokens": usage.cached_tokens(), "price_version": receipt.price_version,
        "cost_usd": receipt.cost.to_string(), "charge_usd": receipt.charge.to_string(),
    });
    for (name, value) in expected.as_object().expect("fields") {
        assert_eq!(told[name], *value, "{name}: {told}");
    }
    let (first, total) = (told["ttfb_ms"].as_f64(), told["total_ms"].as_f64());
    assert!(Some(0.0) < first && first <= total, "{told}");
    let more = ["timestamp", "ttfb_ms", "total_ms"];
    let known =
        |name: &&String| expected.get(name.as_str()).is_some() || more.contains(&name.as_str());
    assert!(told.as_object().expect("fields").keys().all(|name| known(&name)), "{told}");

    let told = line(&bad);
    assert_eq!((&told["status"], &told["outcome"]), (&502.into(), &"upstream_error".into()));
    assert_eq!((&told["code"], &told["attempts"]), (&"upstream_error".into(), &1.into()));
    assert_eq!(told["charge_usd"], "0");
    let told = line(&nobody);
    assert_eq!((&told["status"], &told["outcome"]), (&401.into(), &"unauthorized".into()));
    assert!(told.get("key_id").is_none() && told.get("model").is_none(), "{told}");
    app.books.remove().await;
}
