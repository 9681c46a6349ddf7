//! Every way in which a provider fails, with another target behind it and without, for answers that come whole and bit by
//! bit: what the client gets and by when, the receipt, the breaker, and what the metrics say of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger::{Outcome, Receipt};
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use crate::app::{App, Start, are_free};
use crate::books::Books;
use crate::cuts::is_error;
use crate::failing::{ALIVE, Failing, How, TEXT};
use crate::pairs::Wrong;
use crate::speak::{Client, Told};
use crate::telemetry::{Scraped, measured};
use crate::tls::{authority, stranger};

/// Models of `OpenAI`, a different one for each request that has another target: who is limited is so by model.
const MODELS: [&str; 4] = ["gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini"];
/// Who stands in.
const OTHER: &str = "claude-sonnet-4-5";
/// How long a stream may be silent.
const IDLE: Duration = Duration::from_secs(2);
/// What a busy machine may take on top.
const LATE: Duration = Duration::from_secs(8);

/// Clients that may name several models, and then those that name one.
const SEVERAL: [Client; 2] = [Client::RouterChat, Client::RouterMessages];
const ONE: [Client; 5] =
    [Client::RouterChat, Client::RouterMessages, Client::Chat, Client::Messages, Client::Native];

/// What has to come of it.
struct Case {
    how: How,
    /// How long a request may take, in seconds.
    timeout: u64,
    /// What the attempt is called on the receipt, of an answer that comes whole, and of a stream.
    error: Option<[&'static str; 2]>,
    /// What the client is told, in the order of `ONE`.
    statuses: [u16; 5],
    retry_after: &'static str,
    /// Whether the client has had a part of the stream, so that nobody can stand in.
    has_begun: bool,
    /// What the metrics call the attempt, and the request.
    result: [&'static str; 2],
    outcome: [&'static str; 2],
    /// Whether it says that the provider does badly.
    opens: bool,
}

/// What nothing came of but an error at once.
const UNREACHABLE: Case = Case {
    how: How::NotHttp,
    timeout: 30,
    error: Some(["upstream_unavailable"; 2]),
    statuses: [502; 5],
    retry_after: "",
    has_begun: false,
    result: ["unreachable"; 2],
    outcome: ["upstream_unreachable"; 2],
    opens: true,
};

const TIMEOUT: Case = Case {
    how: How::Silent,
    timeout: 4,
    error: Some(["upstream_timeout"; 2]),
    statuses: [408, 504, 504, 504, 504],
    result: ["timeout"; 2],
    outcome: ["upstream_timeout"; 2],
    ..UNREACHABLE
};

/// Nobody is there.
#[tokio::test]
async fn connection_refused() {
    let closed = TcpSocket::new_v4().expect("a socket");
    closed.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let url = format!("http://{}/v1", closed.local_addr().expect("an address"));
    check(UNREACHABLE, &url, Books::sqlite(), Start::default()).await;
}

/// Somebody is there who cannot prove to be the provider.
#[tokio::test]
async fn no_tls() {
    let provider = Failing::start(How::NotHttp).await;
    let books = Books::sqlite();
    let file = books.folder.path().join("authority.pem");
    std::fs::write(&file, authority().pem()).expect("written");
    let url = provider.url.replace("http:", "https:");
    let start = Start::default().set("SSL_CERT_FILE", file.to_str().expect("text"));
    check(UNREACHABLE, &url, books, start).await;
}

/// Somebody is there whose certificate is of an authority that is not trusted.
#[tokio::test]
async fn no_trust() {
    let (url, _tasks) = stranger().await;
    let books = Books::sqlite();
    let file = books.folder.path().join("authority.pem");
    std::fs::write(&file, authority().pem()).expect("written");
    let start = Start::default().set("SSL_CERT_FILE", file.to_str().expect("text"));
    check(UNREACHABLE, &url, books, start).await;
}

#[tokio::test]
async fn not_http() {
    fails(UNREACHABLE).await;
}

#[tokio::test]
async fn reset_before_the_head() {
    fails(Case { how: How::Reset, ..UNREACHABLE }).await;
}

/// What has come of a stream is charged, and nobody can stand in.
#[tokio::test]
async fn reset_in_the_midst() {
    fails(Case {
        how: How::ResetInTheMidst,
        has_begun: true,
        result: ["unreachable", "failed"],
        outcome: ["upstream_unreachable", "broken_off"],
        ..UNREACHABLE
    })
    .await;
}

/// A stream ends with an error where something cannot be read, and nothing of what comes behind it passes.
#[tokio::test]
async fn not_json_in_the_midst() {
    fails(Case {
        how: How::GarbageInTheMidst,
        error: Some(["upstream_malformed"; 2]),
        has_begun: true,
        result: ["failed"; 2],
        outcome: ["upstream_error", "broken_off"],
        ..UNREACHABLE
    })
    .await;
}

/// Half of the time is left for the other target.
#[tokio::test]
async fn silent() {
    fails(TIMEOUT).await;
}

/// A whole answer has to be there when its time is up; a stream is cut when it was silent for too long.
#[tokio::test]
async fn silent_in_the_midst() {
    fails(Case {
        how: How::SilentInTheMidst,
        has_begun: true,
        outcome: ["upstream_timeout", "broken_off"],
        ..TIMEOUT
    })
    .await;
}

/// The client is told when to come back. That is no failure of the provider's.
#[tokio::test]
async fn too_many_requests() {
    fails(Case {
        how: How::Status(429),
        error: Some(["rate_limited"; 2]),
        statuses: [429; 5],
        retry_after: "7",
        result: ["rate_limited"; 2],
        outcome: ["upstream_rate_limited"; 2],
        opens: false,
        ..UNREACHABLE
    })
    .await;
}

/// A client of the provider's own dialect gets its status, the others that of a bad gateway.
#[tokio::test]
async fn internal_error() {
    fails(Case {
        how: How::Status(500),
        error: Some(["upstream_error"; 2]),
        statuses: [502, 502, 500, 502, 502],
        result: ["failed"; 2],
        outcome: ["upstream_error"; 2],
        ..UNREACHABLE
    })
    .await;
}

/// Anthropic's clients look for 529, the others for 503.
#[tokio::test]
async fn overloaded() {
    fails(Case {
        how: How::Status(529),
        error: Some(["upstream_overloaded"; 2]),
        statuses: [503, 529, 529, 529, 503],
        result: ["overloaded"; 2],
        outcome: ["upstream_overloaded"; 2],
        ..UNREACHABLE
    })
    .await;
}

#[tokio::test]
async fn not_json() {
    fails(Case {
        how: How::NotJson,
        error: Some(["upstream_malformed", "upstream_error"]),
        result: ["failed"; 2],
        outcome: ["upstream_error"; 2],
        ..UNREACHABLE
    })
    .await;
}

/// Slower than a stream may be silent, all in all, but never silent for so long: nothing is wrong with that.
#[tokio::test]
async fn slow() {
    let how = How::Slow(IDLE / 5);
    let result = ["ok"; 2];
    let statuses = [200; 5];
    fails(Case {
        how,
        error: None,
        statuses,
        result,
        outcome: result,
        opens: false,
        ..UNREACHABLE
    })
    .await;
}

/// A client that has waited for the first word until it got the head hears from then on that its answer is worked on. When
/// nothing comes of it, nothing is charged.
#[tokio::test]
async fn thinking() {
    let provider = Failing::start(How::Thinking).await;
    let app = App::start_with(Start::default().set("OPENAI_BASE_URL", &provider.url)).await;
    let body = Client::Chat.ask("openai", "gpt-4o", "Hello", true);
    let told = Told::of(Client::Chat, Client::Chat.send(&app, "gpt-4o", &body, true)).await;
    assert!(told.raw.starts_with(ALIVE) && told.raw.contains("cut short"), "{}", told.raw);
    fails_free(app, 1).await;
}

/// An error behind signs of life is no answer either.
#[tokio::test]
async fn busy() {
    let provider = Failing::start(How::Busy).await;
    let app = App::start_with(Start::default().set("OPENAI_BASE_URL", &provider.url)).await;
    for client in [Client::Chat, Client::Messages] {
        let body = client.ask("openai", "gpt-4o", "Hello", true);
        let told = Told::of(client, client.send(&app, "gpt-4o", &body, true)).await;
        assert_eq!(told.status, 502, "{}", told.raw);
    }
    fails_free(app, 2).await;
}

/// So many requests have come to nothing, and cost nothing.
async fn fails_free(app: App, count: usize) {
    let receipts = app.close().await;
    assert_eq!(receipts.len(), count, "{receipts:?}");
    for receipt in &receipts {
        assert_eq!(receipt.outcome, Outcome::Failed, "{receipt:?}");
        assert_eq!(receipt.report.route.as_ref().map_or(0, |route| route.tried.len()), 1);
    }
    assert!(are_free(&receipts), "{receipts:?}");
}

async fn fails(case: Case) {
    let provider = Failing::start(case.how).await;
    let url = provider.url.clone();
    check(case, &url, Books::sqlite(), Start::default()).await;
}

/// A request, and what came of it.
struct Asked {
    client: Client,
    /// Whether another target stands behind.
    other: bool,
    stream: bool,
    model: &'static str,
    told: Told,
    took: Duration,
}

impl Asked {
    fn at(&self) -> String {
        let Self { client, other, stream, model, .. } = self;
        format!("{client:?} × {model}, another target: {other}, streamed: {stream}")
    }

    fn pick<T: Copy>(&self, of: [T; 2]) -> T {
        of[usize::from(self.stream)]
    }
}

async fn ask(
    app: Arc<App>,
    (client, other, stream, model): (Client, bool, bool, &'static str),
) -> Asked {
    let named = if client.is_router() { format!("openai/{model}") } else { model.to_owned() };
    let mut body = client.ask("openai", &named, "Hello", stream);
    if other {
        body["models"] = json!([named, format!("anthropic/{OTHER}")]);
    }
    let begun = Instant::now();
    let told = Told::of(client, client.send(&app, &named, &body, stream)).await;
    Asked { client, other, stream, model, told, took: begun.elapsed() }
}

/// All at once, so that what takes its time does so once.
async fn all(
    app: &Arc<App>,
    requests: impl IntoIterator<Item = (Client, bool, bool, &'static str)>,
) -> Vec<Asked> {
    let mut asked = JoinSet::new();
    requests.into_iter().for_each(|request| drop(asked.spawn(ask(Arc::clone(app), request))));
    asked.join_all().await
}

async fn check(case: Case, url: &str, books: Books, start: Start) {
    let mut settings = measured().settings;
    settings.extend(start.settings.iter().cloned());
    let start = Start { settings, ..start }
        .set("OPENAI_BASE_URL", url)
        .set("TOLLGATE_UPSTREAM_TIMEOUT_SECONDS", case.timeout.to_string())
        .set("TOLLGATE_STREAM_IDLE_SECONDS", IDLE.as_secs().to_string());
    let app = Arc::new(App::start_on(books, start).await);
    let mut wrong = Wrong::default();
    // First those with another target: fewer than a breaker opens for.
    let several = SEVERAL.into_iter().flat_map(|client| [(client, false), (client, true)]);
    let several =
        several.zip(MODELS).map(|((client, stream), model)| (client, true, stream, model));
    let mut asked = all(&app, several).await;
    let closed = breaker(&settled(&app, asked.len()).await);
    wrong.check(closed == 0, || format!("the breaker after four requests: {closed}"));
    // Then those with nothing else to try, which go out whatever the breaker says.
    let alone = ONE.into_iter().flat_map(|client| [(client, false), (client, true)]);
    let alone = alone.map(|(client, stream)| (client, false, stream, MODELS[0]));
    asked.extend(all(&app, alone).await);
    let metrics = settled(&app, asked.len()).await;
    let opened = breaker(&metrics) > 0;
    wrong.check(opened == case.opens, || format!("the breaker at the end is open: {opened}"));
    counted(&case, &asked, &metrics, &mut wrong);
    let app = Arc::into_inner(app).expect("nobody else has it");
    let receipts = app.close().await;
    wrong.check(receipts.len() == asked.len(), || format!("{} receipts", receipts.len()));
    for asked in &asked {
        let id = asked.told.header("x-request-id");
        let own: Vec<&Receipt> =
            receipts.iter().filter(|receipt| receipt.request_id.to_string() == id).collect();
        match own[..] {
            [receipt] => one(&case, asked, receipt, &mut wrong),
            _ => wrong.check(false, || format!("{}: {} receipts", asked.at(), own.len())),
        }
    }
    wrong.end();
}

/// The metrics, once so many requests have ended.
pub(crate) async fn settled(app: &App, requests: usize) -> Scraped {
    let start = Instant::now();
    loop {
        let metrics = Scraped::of(app).await;
        if metrics.count("tollgate_requests_total", &[]) == requests as u64 {
            assert_eq!(metrics.count("tollgate_requests_in_flight", &[]), 0);
            return metrics;
        }
        assert!(start.elapsed() < LATE, "{}", metrics.text);
    }
}

fn breaker(metrics: &Scraped) -> u64 {
    metrics.count("tollgate_breaker_state", &[("provider", "openai"), ("endpoint", "")])
}

/// Every attempt is counted once, as what it was, and so is every request.
fn counted(case: &Case, asked: &[Asked], metrics: &Scraped, wrong: &mut Wrong) {
    let is = |asked: &&Asked, stands_in: bool| stands_in == stands_in_for(case, asked);
    let stood_in = asked.iter().filter(|asked| is(asked, true)).count();
    let mut count = |name: &str, labels: &[(&str, &str)], expected: usize| {
        let counted = metrics.count(name, labels);
        wrong.check(counted == expected as u64, || {
            format!("{name} {labels:?}: {counted}, expected {expected}")
        });
    };
    let attempts = "tollgate_upstream_attempts_total";
    count(attempts, &[("provider", "openai")], asked.len());
    for result in case.result {
        let such = asked.iter().filter(|asked| asked.pick(case.result) == result).count();
        count(attempts, &[("provider", "openai"), ("result", result)], such);
    }
    count(attempts, &[("provider", "anthropic")], stood_in);
    count(attempts, &[("provider", "anthropic"), ("result", "ok")], stood_in);
    for outcome in case.outcome.into_iter().filter(|outcome| *outcome != "ok") {
        let such = asked.iter().filter(|asked| is(asked, false));
        let such = such.filter(|asked| asked.pick(case.outcome) == outcome).count();
        count("tollgate_requests_total", &[("outcome", outcome)], such);
    }
    let well = if case.error.is_none() { asked.len() } else { stood_in };
    count("tollgate_requests_total", &[("outcome", "ok")], well);
}

/// Whether the other target has to answer.
fn stands_in_for(case: &Case, asked: &Asked) -> bool {
    case.error.is_some() && asked.other && !(case.has_begun && asked.stream)
}

/// One request: the answer, its time, and the receipt.
fn one(case: &Case, asked: &Asked, receipt: &Receipt, wrong: &mut Wrong) {
    let (at, told) = (asked.at(), &asked.told);
    let deadline = Duration::from_secs(case.timeout) + LATE;
    wrong.check(asked.took < deadline, || format!("{at}: after {:?}", asked.took));
    wrong.check(!told.broke, || format!("{at}: the connection broke"));
    let tried: Vec<String> = receipt
        .report
        .tried()
        .iter()
        .map(|t| format!("{}/{} {}", t.provider, t.model, t.error))
        .collect();
    let expected_try =
        case.error.map(|error| format!("openai/{} {}", asked.model, asked.pick(error)));
    let got = (receipt.outcome, receipt.attempt, receipt.provider.as_str());
    let charged = receipt.charge.pico() > 0;
    if case.error.is_none() || stands_in_for(case, asked) {
        let ended = told.status == 200 && (!asked.stream || told.has_ended());
        wrong.check(ended, || format!("{at}: {} {}", told.status, told.raw));
        let stands_in = case.error.is_some();
        if ended && !stands_in {
            let text = asked.client.text(&told.whole());
            wrong.check(text == TEXT, || format!("{at}: {text:?}"));
        }
        let expected =
            if stands_in { (Outcome::Ok, 2, "anthropic") } else { (Outcome::Ok, 1, "openai") };
        wrong.check(got == expected && charged, || format!("{at}: {receipt:?}"));
        wrong.check(tried == Vec::from_iter(expected_try), || format!("{at}: {tried:?}"));
    } else if case.has_begun && asked.stream {
        let broken = told.status == 200 && told.failure().is_some() && !told.seems_ended();
        wrong.check(broken, || format!("{at}: {} {}", told.status, told.raw));
        let expected = (Outcome::UpstreamFailed, 1, "openai");
        wrong.check(got == expected && charged, || format!("{at}: {receipt:?}"));
        wrong.check(tried.is_empty(), || format!("{at}: {tried:?}"));
    } else {
        let place = ONE.iter().position(|client| *client == asked.client).expect("one of them");
        let status = case.statuses[place];
        wrong.check(told.status == status, || format!("{at}: {} {}", told.status, told.raw));
        let body = serde_json::from_str(&told.raw).unwrap_or(Value::Null);
        wrong.check(is_error(asked.client, &body), || format!("{at}: {}", told.raw));
        let after = told.header("retry-after");
        wrong.check(after == case.retry_after, || format!("{at}: retry-after {after:?}"));
        let free = are_free(std::slice::from_ref(receipt));
        wrong.check(free && receipt.attempt == 1, || format!("{at}: {receipt:?}"));
        wrong.check(tried == Vec::from_iter(expected_try), || format!("{at}: {tried:?}"));
    }
}
