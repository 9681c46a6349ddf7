//! Traces and metrics as a collector of OpenTelemetry gets them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use crate::app::{Answer, App, Start};
use crate::chat::say;
use crate::credentials::{MASTER_KEY, master};
use crate::endpoints::{add, elsewhere};
use crate::failing::{Failing, How};
use crate::speak::{Client, Told};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const WORDS: &str = "words-that-are-nobodys-business";

/// A collector that keeps what it gets: path, headers, body.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>);

impl Collector {
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let keep = |State(Self(kept)): State<Self>, uri: Uri, headers: HeaderMap, body: Bytes| async move {
            kept.lock().expect("whole").push((uri.path().to_owned(), headers, body));
        };
        let router = Router::new()
            .route("/v1/traces", post(keep))
            .route("/v1/metrics", post(keep))
            .with_state(collector.clone());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = tokio::net::TcpListener::bind(address).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        TaskTracker::new().spawn(async move { axum::serve(listener, router).await });
        (collector, url)
    }

    fn kept(&self, path: &str) -> Vec<Bytes> {
        let kept = self.0.lock().expect("whole");
        kept.iter().filter(|(own, ..)| own == path).map(|(_, _, body)| body.clone()).collect()
    }

    fn spans(&self) -> Vec<Span> {
        let exports = self.kept("/v1/traces").into_iter();
        let exports = exports.map(|body| ExportTraceServiceRequest::decode(body).expect("spans"));
        let resources = exports.flat_map(|export| export.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }
}

fn text(value: Option<AnyValue>) -> Value {
    match value.and_then(|value| value.value) {
        Some(Any::StringValue(text)) => text.into(),
        Some(Any::IntValue(number)) => number.into(),
        Some(Any::ArrayValue(array)) => {
            array.values.into_iter().map(|value| text(Some(value))).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn attributes(pairs: &[KeyValue]) -> Value {
    let pairs = pairs.iter().map(|pair| (pair.key.clone(), text(pair.value.clone())));
    Value::Object(pairs.collect())
}

fn to(collector: &str) -> Start {
    Start::default()
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
        .set("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%2Cb")
        .set("OTEL_SERVICE_NAME", "the-gate")
        .set("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
}

/// A chat with two models, of which the first fails, as a part of the client's own trace.
async fn falls_back(app: &App) -> Answer {
    let body = json!({
        "models": ["openai/gpt-4o", "anthropic/claude-sonnet-4-5"],
        "messages": [{ "role": "user", "content": format!("{WORDS} fault") }],
    });
    let chat = app.request(Method::POST, "/api/v1/chat/completions").bearer_auth(&app.key);
    let chat = chat.header("traceparent", format!("00-{TRACE}-{PARENT}-01")).json(&body);
    Answer::of(chat).await
}

#[tokio::test]
async fn a_request_is_a_span_with_its_attempts() {
    let (collector, url) = Collector::start().await;
    // Nobody is at that port.
    let start = to(&url).set("OPENAI_BASE_URL", "http://127.0.0.1:1/v1");
    let mut app = App::start_with(start).await;
    let answer = falls_back(&app).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let receipts = app.finish().await;
    let [receipt] = &receipts[..] else { panic!("{receipts:?}") };

    let spans = collector.spans();
    let mine = |kind: SpanKind| spans.iter().filter(move |span| span.kind == kind as i32);
    let servers: Vec<_> = mine(SpanKind::Server).collect();
    let [request] = servers[..] else { panic!("{spans:?}") };
    assert_eq!(request.name, "chat claude-sonnet-4-5");
    assert_eq!(
        (ledger::to_hex(&request.trace_id), ledger::to_hex(&request.parent_span_id)),
        (TRACE.into(), PARENT.into())
    );
    let usage = receipt.report.total();
    let expected = json!({
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-sonnet-4-5",
        "gen_ai.response.model": receipt.model_served,
        "gen_ai.response.id": receipt.upstream_id,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": usage.input_tokens(),
        "gen_ai.usage.output_tokens": usage.output_tokens(),
        "http.response.status_code": 200,
        "tollgate.request.id": receipt.request_id,
        "tollgate.surface": "openrouter",
        "tollgate.attempts": 2,
        "tollgate.cost_usd": receipt.cost.to_string(),
        "tollgate.charge_usd": receipt.charge.to_string(),
    });
    assert_eq!(attributes(&request.attributes), expected);
    assert!(request.status.as_ref().is_none_or(|status| status.code == 0));
    assert!(request.start_time_unix_nano < request.end_time_unix_nano);

    let mut attempts: Vec<_> = mine(SpanKind::Client).collect();
    attempts.sort_by_key(|span| span.start_time_unix_nano);
    let [failed, good] = attempts[..] else { panic!("{spans:?}") };
    for attempt in [failed, good] {
        assert_eq!(attempt.trace_id, request.trace_id);
        assert_eq!(attempt.parent_span_id, request.span_id);
        assert!(attempt.end_time_unix_nano <= request.end_time_unix_nano);
    }
    let of = attributes(&failed.attributes);
    assert_eq!(
        (&of["gen_ai.provider.name"], &of["error.type"]),
        (&"openai".into(), &"upstream_unavailable".into())
    );
    assert_eq!((&of["server.address"], &of["server.port"]), (&"127.0.0.1".into(), &1.into()));
    assert_eq!(failed.status.as_ref().map(|status| status.code), Some(2));
    let of = attributes(&good.attributes);
    assert_eq!(
        (&of["gen_ai.request.model"], of.get("error.type")),
        (&"claude-sonnet-4-5".into(), None)
    );
    app.books.remove().await;
}

/// An attempt's span names the server that was asked, which need not be the provider's own.
#[tokio::test]
async fn an_attempt_is_where_its_endpoint_is() {
    let (collector, url) = Collector::start().await;
    let start = to(&url).set(MASTER_KEY, master(1)).set("OPENAI_BASE_URL", "http://127.0.0.1:1/v1");
    let mut app = App::start_with(start).await;
    let spare = elsewhere().await;
    add(&app, &spare, "spare", &["--priority", "1"]).await;
    // So that it is known.
    app.kill().await;
    app.restart().await;
    app.chatted(&say("openai", "gpt-4o", "Hello")).await;
    app.finish().await;
    let spans = collector.spans();
    let mut attempts: Vec<_> =
        spans.iter().filter(|span| span.kind == SpanKind::Client as i32).collect();
    attempts.sort_by_key(|span| span.start_time_unix_nano);
    let ports = attempts.iter().map(|span| attributes(&span.attributes)["server.port"].take());
    let port = spare.url().rsplit_once(':').expect("a port").1.parse::<u16>().expect("a number");
    assert_eq!(ports.collect::<Vec<_>>(), [json!(1), json!(port)]);
    app.books.remove().await;
}

/// An answer that began well, and then cannot be read or breaks off, is a failure of its attempt.
#[tokio::test]
async fn an_attempt_fails_with_its_answer() {
    for (how, is_stream, error) in [
        (How::NotJson, false, "upstream_malformed"),
        (How::ResetInTheMidst, true, "upstream_error"),
    ] {
        let (collector, url) = Collector::start().await;
        let provider = Failing::start(how).await;
        let start = to(&url).set("OPENAI_BASE_URL", &provider.url);
        let mut app = App::start_with(start).await;
        let body = Client::Chat.ask("openai", "gpt-4o", "Hello", is_stream);
        Told::of(Client::Chat, Client::Chat.send(&app, "gpt-4o", &body, is_stream)).await;
        app.finish().await;
        let spans = collector.spans();
        let attempt = spans.iter().find(|span| span.kind == SpanKind::Client as i32);
        let attempt = attempt.expect("an attempt");
        assert_eq!(attributes(&attempt.attributes)["error.type"], error, "{how:?}");
        assert_eq!(attempt.status.as_ref().map(|status| status.code), Some(2), "{how:?}");
        app.books.remove().await;
    }
}

#[tokio::test]
async fn the_collector_is_told_what_and_by_whom_and_no_words() {
    let (collector, url) = Collector::start().await;
    let mut app = App::start_with(to(&url)).await;
    app.chatted(&say("openai", "gpt-4o", WORDS)).await;
    let failed = Answer::of(app.chat(&say("openai", "gpt-4o", "fault:status:500"))).await;
    assert_eq!(failed.status, 502);
    let key = app.key.clone();
    let receipts = app.finish().await;

    let kept = collector.0.lock().expect("whole").clone();
    assert!(!kept.is_empty());
    for (path, headers, body) in &kept {
        assert_eq!(headers["api-key"], "a,b", "{path}");
        assert_eq!(headers["content-type"], "application/x-protobuf", "{path}");
        for words in [WORDS, &key, "canary-"] {
            let found = body.windows(words.len()).any(|window| window == words.as_bytes());
            assert!(!found, "{words} is in {path}");
        }
    }
    let exports = collector.kept("/v1/metrics").into_iter();
    let exports: Vec<_> =
        exports.map(|body| ExportMetricsServiceRequest::decode(body).expect("metrics")).collect();
    let last = exports.last().expect("an export").resource_metrics.first().expect("a resource");
    let resource = attributes(&last.resource.as_ref().expect("a resource").attributes);
    assert_eq!(resource["service.name"], "the-gate");
    assert_eq!(resource["deployment.environment.name"], "test");
    let metrics = last.scope_metrics.iter().flat_map(|scope| &scope.metrics);
    let mut points = Vec::new();
    for metric in metrics {
        let Some(Data::Histogram(histogram)) = &metric.data else { panic!("{metric:?}") };
        for point in &histogram.data_points {
            let of = attributes(&point.attributes);
            assert_eq!(of["gen_ai.provider.name"], "openai");
            assert_eq!(of["gen_ai.request.model"], "gpt-4o");
            points.push((metric.name.clone(), metric.unit.clone(), of, point.count, point.sum));
        }
    }
    let sum = |kind: &str| {
        let of_kind = |point: &&(String, String, Value, u64, Option<f64>)| {
            point.0 == "gen_ai.client.token.usage" && point.2["gen_ai.token.type"] == kind
        };
        points.iter().find(of_kind).and_then(|point| point.4)
    };
    let usage = receipts[0].report.total();
    let float = |count: u64| u32::try_from(count).ok().map(f64::from);
    assert_eq!(sum("input"), float(usage.input_tokens()));
    assert_eq!(sum("output"), float(usage.output_tokens()));
    let durations = points.iter().filter(|point| point.0 == "gen_ai.client.operation.duration");
    let errors: Vec<_> =
        durations.map(|point| (point.2.get("error.type").cloned(), point.3)).collect();
    assert_eq!(errors.len(), 2, "{points:?}");
    assert!(errors.contains(&(None, 1)) && errors.contains(&(Some("upstream_error".into()), 1)));
    assert!(points.iter().all(|point| point.1 == "s" || point.1 == "{token}"));
    app.books.remove().await;
}

/// A trace that the client does not want to be recorded is not, where the sampler follows it; nor is one without a sampler.
#[tokio::test]
async fn samplers_decide() {
    for (sampler, flag, expected) in [
        ("parentbased_always_on", "00", 0),
        ("parentbased_always_off", "01", 2),
        ("always_off", "01", 0),
    ] {
        let (collector, url) = Collector::start().await;
        let mut app = App::start_with(to(&url).set("OTEL_TRACES_SAMPLER", sampler)).await;
        let chat = app.chat(&say("openai", "gpt-4o", "Hello"));
        let chat = chat.header("traceparent", format!("00-{TRACE}-{PARENT}-{flag}"));
        assert_eq!(Answer::of(chat).await.status, 200);
        app.finish().await;
        assert_eq!(collector.spans().len(), expected, "{sampler} {flag}");
        app.books.remove().await;
    }
    let books = crate::books::Books::sqlite();
    for (name, value) in [("OTEL_TRACES_SAMPLER", "often"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "x")] {
        let mut command = books.command(&["serve"]);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1").env(name, value);
        let output = command.output().await.expect("the program runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(&format!("{name}: expected")), "{said}");
    }
}

/// A collector that is not there costs requests nothing, and is complained about once.
#[tokio::test]
async fn a_collector_that_is_away() {
    let start = to("http://127.0.0.1:1").set("OTEL_BSP_SCHEDULE_DELAY", "10");
    let mut app = App::start_with(start).await;
    for _ in 0..20 {
        app.chatted(&say("openai", "gpt-4o", "Hello")).await;
    }
    assert_eq!(app.finish().await.len(), 20);
    let log = app.written_log();
    let told = log.matches("the OpenTelemetry collector does not take what it is sent").count();
    assert_eq!(told, 1, "{log}");
    assert!(!log.contains("a,b"), "the credential for the collector is in the log");
    app.books.remove().await;
}
