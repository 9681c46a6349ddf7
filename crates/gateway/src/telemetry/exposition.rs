//! `/metrics`, on an address of its own, in the text format of Prometheus.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode as encode_open_metrics;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::families;
use super::histogram::Reading;
use crate::app::App;
use crate::config::Settings;
use crate::limits::Gauge;
use crate::listener;
use crate::problem::Problem;
use crate::protocols::Protocols;

/// So many connections at once; whoever comes then finds the door shut.
const CONNECTIONS: u64 = 64;
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Opens the address of the settings, if there is one.
///
/// # Errors
/// It is none, or somebody has it.
pub(crate) fn listen(settings: &Settings) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = address(settings)? else { return Ok(None) };
    // Shared as the other door is, so that one process can take over from another.
    let listener = listener::bind(address, settings.network.reuse_port).map_err(|error| {
        anyhow::anyhow!("TOLLGATE_METRICS_ADDR: cannot listen on {address}: {error}")
    })?;
    Ok(Some(listener))
}

/// Where they are served, if anywhere.
///
/// # Errors
/// What is no address.
pub(crate) fn address(settings: &Settings) -> anyhow::Result<Option<SocketAddr>> {
    let wrong = "TOLLGATE_METRICS_ADDR: expected an address such as 127.0.0.1:9464";
    settings.metrics_addr().map(|text| text.parse().context(wrong)).transpose()
}

/// Serves the metrics until the program ends, to connections that have the same time as others and no place among them.
pub(crate) async fn serve(app: Arc<App>, listener: TcpListener) {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Everything(Arc::clone(&app))));
    let router = Router::new().route("/metrics", get(metrics)).with_state(Arc::new(registry));
    let places = Gauge::new(CONNECTIONS);
    let next = || app.stop.run_until_cancelled(listener::accept(&listener));
    while let Some((stream, _)) = next().await {
        let Some(place) = places.take(1) else { continue };
        let (stop, answers) = (app.stop.clone(), TowerToHyperService::new(router.clone()));
        let protocols = Protocols::new(&app.live.load().network, &app.ending);
        let serving = async move {
            let _place = place;
            let opened = Instant::now();
            let Some(begun) = protocols.begun(&stream).await else { return };
            let answer = move |request| Box::pin(answers.call(request));
            let leave = CancellationToken::new();
            if let Err(error) = protocols.serve(begun, (stream, opened), leave, answer).await {
                tracing::debug!(%error, "a connection for metrics ended early");
            }
        };
        app.background.spawn(async move { stop.run_until_cancelled(serving).await });
    }
}

async fn metrics(
    State(registry): State<Arc<Registry>>,
    headers: http::HeaderMap,
) -> Result<Response, Problem> {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let open = accepted.is_some_and(|accepted| accepted.contains("application/openmetrics-text"));
    let mut text = String::new();
    let content_type = if open {
        encode_open_metrics(&mut text, &registry).map_err(Problem::internal)?;
        OPEN_METRICS
    } else {
        prometheus_text::encode(&mut text, &registry).map_err(Problem::internal)?;
        prometheus_text::CONTENT_TYPE
    };
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}

/// All metrics of the program, read when they are asked for.
struct Everything(Arc<App>);

impl fmt::Debug for Everything {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Everything")
    }
}

impl Collector for Everything {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        families::write(&self.0, &mut Page(encoder))
    }
}

/// The page that is written.
pub(super) struct Page<'a>(DescriptorEncoder<'a>);

/// Names and values of one sample's labels.
pub(super) type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// A number, as exact as a metric can be.
#[derive(Copy, Clone)]
pub(super) enum Number {
    Whole(u64),
    /// So many millionths.
    Millionths(u64),
    /// So many millionths of millionths.
    Pico(i128),
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl Number {
    #[expect(clippy::cast_precision_loss, reason = "a metric is a float, and this is where")]
    fn float(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Millionths(number) => number as f64 / 1e6,
            Self::Pico(number) => number as f64 / 1e12,
        }
    }
}

impl Page<'_> {
    /// A family of numbers that only grow. Its name gets the unit and `_total`.
    pub(super) fn counters<'l, N: Into<Number>, const L: usize>(
        &mut self,
        (name, unit, help): (&str, Option<&str>, &str),
        samples: impl IntoIterator<Item = (Labels<'l, L>, N)>,
    ) -> fmt::Result {
        let unit = unit.map(|unit| Unit::Other(unit.to_owned()));
        let mut family =
            self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
        for (labels, number) in samples {
            let mut sample = family.encode_family(&labels)?;
            let none = None::<&prometheus_client::metrics::exemplar::Exemplar<NoLabelSet, f64>>;
            match number.into() {
                Number::Whole(number) => sample.encode_counter(&number, none)?,
                number => sample.encode_counter(&number.float(), none)?,
            }
        }
        Ok(())
    }

    /// One of them.
    pub(super) fn counter(
        &mut self,
        described: (&str, Option<&str>, &str),
        number: impl Into<Number>,
    ) -> fmt::Result {
        self.counters(described, [([], number)])
    }

    /// A family of numbers that go up and down. Its name gets the unit.
    pub(super) fn gauges<'l, N: Into<Number>, const L: usize>(
        &mut self,
        (name, unit, help): (&str, Option<&str>, &str),
        samples: impl IntoIterator<Item = (Labels<'l, L>, N)>,
    ) -> fmt::Result {
        let unit = unit.map(|unit| Unit::Other(unit.to_owned()));
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        for (labels, number) in samples {
            let mut sample = family.encode_family(&labels)?;
            match number.into() {
                Number::Whole(number) => sample.encode_gauge(&number)?,
                number => sample.encode_gauge(&number.float())?,
            }
        }
        Ok(())
    }

    /// One of them.
    pub(super) fn gauge(
        &mut self,
        described: (&str, Option<&str>, &str),
        number: impl Into<Number>,
    ) -> fmt::Result {
        self.gauges(described, [([], number)])
    }

    /// The same, where there is something to be said.
    pub(super) fn known(
        &mut self,
        described: (&str, Option<&str>, &str),
        number: Option<u64>,
    ) -> fmt::Result {
        self.gauges(described, number.map(|number| ([], number)))
    }

    /// A family of durations. Its name gets `_seconds`.
    pub(super) fn histograms<'l, const L: usize>(
        &mut self,
        (name, help): (&str, &str),
        samples: impl IntoIterator<Item = (Labels<'l, L>, Reading)>,
    ) -> fmt::Result {
        let seconds = Unit::Seconds;
        let mut family =
            self.0.encode_descriptor(name, help, Some(&seconds), MetricType::Histogram)?;
        for (labels, reading) in samples {
            histogram(&mut family.encode_family(&labels)?, &reading)?;
        }
        Ok(())
    }
}

fn histogram(sample: &mut MetricEncoder, reading: &Reading) -> fmt::Result {
    let within = reading.within.iter();
    let bounds = within.map(|(bound, count)| (Number::Millionths(*bound).float(), *count));
    let buckets: Vec<_> = bounds.chain([(f64::INFINITY, reading.beyond)]).collect();
    let sum = Number::Millionths(reading.micros).float();
    sample.encode_histogram::<NoLabelSet>(sum, reading.count(), &buckets, None)
}
