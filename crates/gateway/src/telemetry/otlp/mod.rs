//! Traces and metrics for an OpenTelemetry collector, in the words of its conventions for generative AI:
//! <https://opentelemetry.io/docs/specs/semconv/gen-ai/>. Off unless a collector is named.
//!
//! A request is a span of kind server, and each attempt at a provider a span of kind client within it. Both are made at the
//! request's end, so that nothing waits for them; threads of the SDK's own send them in batches. Of prompts and answers
//! nothing is in them.

mod collector;
mod settings;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::uri::Scheme;
use opentelemetry::metrics::{Histogram, MeterProvider as _};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{
    Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

pub(super) use settings::check;

use super::metrics::operation_name;
use super::outcome::Outcome;
use super::passage::{Noted, Passage, Settled};
use crate::clock;
use crate::config::Settings;
use crate::inbound::Operation;
use crate::providers::Address;
use crate::routing::Target;

/// How long the end of the program may take to send what is left.
const PATIENCE: Duration = Duration::from_secs(5);
/// The bounds that the conventions ask for: seconds of an operation, seconds to the first token, tokens.
const OPERATION: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const FIRST_TOKEN: [f64; 16] =
    [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// The way to a collector.
pub(crate) struct Otlp {
    spans: SdkTracerProvider,
    tracer: SdkTracer,
    meters: SdkMeterProvider,
    tokens: Histogram<u64>,
    operation: Histogram<f64>,
    first_token: Histogram<f64>,
}

/// What only spans need to know of a request.
pub(crate) struct Traced {
    /// The client's own span, where it names one.
    parent: Context,
    attempts: Vec<Tried>,
}

/// An attempt at a provider.
struct Tried {
    number: i16,
    provider: &'static str,
    model: String,
    /// Where its endpoint was.
    at: Arc<Address>,
    began_at: i64,
    /// None where its answer came to its end.
    failed: Option<(i64, &'static str)>,
}

impl Traced {
    /// A request has come with these headers.
    pub(super) fn begin(headers: &HeaderMap) -> Self {
        let propagator = TraceContextPropagator::new();
        let parent = propagator.extract_with_context(&Context::new(), &HeaderExtractor(headers));
        Self { parent, attempts: Vec::new() }
    }

    pub(super) fn attempted(
        &mut self,
        number: i16,
        target: &Target,
        took: Duration,
        failed: Option<&'static str>,
    ) {
        let now = clock::now();
        let began_at = now.saturating_sub(i64::try_from(took.as_micros()).unwrap_or(0));
        let failed = failed.map(|code| (now, code));
        let (model, at) = (target.model.clone(), target.endpoint.address());
        let provider = target.provider;
        self.attempts.push(Tried { number, provider, model, at, began_at, failed });
    }

    pub(super) fn broke_off(&mut self, number: i16, why: &'static str) {
        let last = self.attempts.iter_mut().rfind(|tried| tried.number == number);
        if let Some(tried) = last {
            tried.failed.get_or_insert((clock::now(), why));
        }
    }
}

impl Otlp {
    /// None where no collector is named.
    ///
    /// # Errors
    /// A setting that cannot be read, by its name.
    pub(super) fn from_settings(settings: &Settings) -> anyhow::Result<Option<Self>> {
        let Some(endpoint) = settings.otlp.endpoint() else { return Ok(None) };
        let (spans, meters) = settings::providers(settings, endpoint)?;
        let meter = meters.meter("tollgate");
        let seconds = |name: &'static str, bounds: &[f64], what: &'static str| {
            let builder = meter.f64_histogram(name).with_unit("s").with_description(what);
            builder.with_boundaries(bounds.to_vec()).build()
        };
        let operation =
            seconds("gen_ai.client.operation.duration", &OPERATION, "GenAI operation duration.");
        let first_token = seconds(
            "gen_ai.server.time_to_first_token",
            &FIRST_TOKEN,
            "Time to generate first token for successful responses.",
        );
        let tokens = meter
            .u64_histogram("gen_ai.client.token.usage")
            .with_unit("{token}")
            .with_description("Number of input and output tokens used.")
            .with_boundaries(TOKENS.to_vec())
            .build();
        let tracer = spans.tracer("tollgate");
        Ok(Some(Self { spans, tracer, meters, tokens, operation, first_token }))
    }

    /// A request has ended.
    pub(super) fn ended(
        &self,
        passage: &Passage,
        mut noted: Noted,
        outcome: Outcome,
        took: Duration,
    ) {
        let Some(traced) = noted.traced.take() else { return };
        let micros = i64::try_from(took.as_micros()).unwrap_or(0);
        let ended_at = passage.begun_at.saturating_add(micros);
        self.measured(passage, &noted, outcome, took);
        let mut attributes = request(passage, &noted);
        let error = error_type(&noted, outcome);
        attributes.extend(error.map(|error| KeyValue::new("error.type", error)));
        let operation = operation_of(passage);
        let name = noted
            .model
            .as_deref()
            .map_or_else(|| operation.to_owned(), |model| format!("{operation} {}", model.name));
        let builder = self
            .tracer
            .span_builder(name)
            .with_kind(SpanKind::Server)
            .with_start_time(moment(passage.begun_at))
            .with_attributes(attributes);
        let span = self.tracer.build_with_context(builder, &traced.parent);
        let within = Context::new().with_span(span);
        let span = within.span();
        if let Some(error) = error {
            span.set_status(Status::error(error));
        }
        if span.is_recording() {
            for tried in &traced.attempts {
                self.tried(passage, tried, &within, ended_at);
            }
        }
        span.end_with_timestamp(moment(ended_at));
    }

    /// The span of an attempt.
    fn tried(&self, passage: &Passage, tried: &Tried, within: &Context, ended_at: i64) {
        let Tried { number, model, at, began_at, failed, .. } = tried;
        let operation = operation_of(passage);
        let mut attributes = vec![
            KeyValue::new("gen_ai.operation.name", operation),
            KeyValue::new("gen_ai.provider.name", provider(tried.provider)),
            KeyValue::new("gen_ai.request.model", model.clone()),
            KeyValue::new("tollgate.attempt", i64::from(*number)),
            KeyValue::new("server.address", at.authority.host().to_owned()),
            KeyValue::new("server.port", port(at)),
        ];
        attributes.extend(failed.map(|(_, code)| KeyValue::new("error.type", code)));
        let builder = self
            .tracer
            .span_builder(format!("{operation} {model}"))
            .with_kind(SpanKind::Client)
            .with_start_time(moment(*began_at))
            .with_attributes(attributes);
        let mut span = self.tracer.build_with_context(builder, within);
        if let Some((_, code)) = failed {
            span.set_status(Status::error(*code));
        }
        span.end_with_timestamp(moment(failed.map_or(ended_at, |(at, _)| at)));
    }

    /// The metrics of the conventions.
    fn measured(&self, passage: &Passage, noted: &Noted, outcome: Outcome, took: Duration) {
        let Some(model) = noted.model.as_deref() else { return };
        let mut labels = vec![
            KeyValue::new("gen_ai.operation.name", operation_of(passage)),
            KeyValue::new("gen_ai.provider.name", provider(model.provider)),
            KeyValue::new("gen_ai.request.model", model.name.clone()),
        ];
        if let Some(first_byte) = passage.first_byte().filter(|_| outcome == Outcome::Ok) {
            self.first_token.record(first_byte.as_secs_f64(), &labels);
        }
        for (kind, count) in tokens(noted.settled.as_ref()) {
            labels.push(KeyValue::new("gen_ai.token.type", kind));
            self.tokens.record(count, &labels);
            labels.pop();
        }
        let error = error_type(noted, outcome);
        labels.extend(error.map(|error| KeyValue::new("error.type", error)));
        self.operation.record(took.as_secs_f64(), &labels);
    }

    /// Sends what is left.
    pub(super) fn close(&self) {
        let spans = self.spans.shutdown_with_timeout(PATIENCE);
        let meters = self.meters.shutdown_with_timeout(PATIENCE);
        if let Err(error) = spans.and(meters) {
            tracing::debug!(%error, "what was left for the collector was not sent");
        }
    }
}

fn port(at: &Address) -> i64 {
    let usual = if at.scheme == Scheme::HTTP { 80 } else { 443 };
    at.authority.port_u16().unwrap_or(usual).into()
}

fn tokens(settled: Option<&Settled>) -> impl Iterator<Item = (&'static str, u64)> {
    let tokens =
        settled.map(|settled| [("input", settled.input_tokens), ("output", settled.output_tokens)]);
    tokens.into_iter().flatten().filter(|(_, count)| *count > 0)
}

/// The attributes of a request's span.
fn request(passage: &Passage, noted: &Noted) -> Vec<KeyValue> {
    let text = |value: &str| Value::from(value.to_owned());
    let number = |value: u64| Value::from(i64::try_from(value).unwrap_or(i64::MAX));
    let settled = noted.settled.as_ref();
    let model = noted.model.as_deref();
    let finish = noted
        .finish
        .map(|finish| Value::Array(Array::String(vec![StringValue::from(finish.name())])));
    let cached = settled.map(|settled| settled.cached_tokens).filter(|cached| *cached > 0);
    let pairs = [
        ("gen_ai.operation.name", Some(operation_of(passage).into())),
        ("gen_ai.provider.name", model.map(|model| provider(model.provider).into())),
        ("gen_ai.request.model", model.map(|model| text(&model.name))),
        ("gen_ai.response.model", settled.and_then(|s| s.model_served.as_deref()).map(text)),
        ("gen_ai.response.id", settled.and_then(|s| s.upstream_id.as_deref()).map(text)),
        ("gen_ai.response.finish_reasons", finish),
        ("gen_ai.usage.input_tokens", settled.map(|settled| number(settled.input_tokens))),
        ("gen_ai.usage.output_tokens", settled.map(|settled| number(settled.output_tokens))),
        ("gen_ai.usage.cache_read.input_tokens", cached.map(number)),
        ("http.response.status_code", noted.status.map(|status| i64::from(status).into())),
        ("tollgate.request.id", Some(text(&passage.id.to_string()))),
        ("tollgate.surface", Some(passage.surface.into())),
        ("tollgate.attempts", Some(i64::from(noted.attempts).into())),
        ("tollgate.cost_usd", settled.map(|settled| text(&settled.cost.to_string()))),
        ("tollgate.charge_usd", settled.map(|settled| text(&settled.charge.to_string()))),
    ];
    pairs.into_iter().filter_map(|(name, value)| Some(KeyValue::new(name, value?))).collect()
}

/// What the conventions call the operation.
fn operation_of(passage: &Passage) -> &'static str {
    match (passage.operation, passage.surface) {
        (Operation::Chat, "openai_completions") => "text_completion",
        (Operation::Chat, "gemini") => "generate_content",
        (operation, _) => operation_name(operation),
    }
}

/// What the conventions call the provider.
fn provider(name: &'static str) -> &'static str {
    if name == "gemini" { "gcp.gemini" } else { name }
}

/// One of a short list; none where nothing went wrong. That a client hangs up is no error.
fn error_type(noted: &Noted, outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Ok | Outcome::ClientGone => None,
        outcome => Some(noted.refused.map_or(outcome.name(), |refused| refused.code)),
    }
}

fn moment(micros: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
