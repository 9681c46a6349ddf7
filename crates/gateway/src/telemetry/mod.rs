//! What operators see of the running program: log lines on standard error, metrics, traces.
//!
//! A request notes on its way what is worth telling (`passage.rs`), and all three are made of that at its end.

mod exposition;
mod families;
mod histogram;
mod lines;
mod log_line;
mod metrics;
mod otlp;
mod outcome;
mod passage;
mod process;
mod tally;

use std::sync::Arc;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Settings};

pub(crate) use exposition::{address, listen, serve};
pub(crate) use lines::{Lines, Written};
pub(crate) use metrics::SURFACES;
pub(crate) use passage::Passage;
pub(crate) use tally::Tally;

use metrics::Metrics;
use otlp::Otlp;

/// Says from now on what is logged.
pub(crate) type Relog = Box<dyn Fn(EnvFilter) + Send>;

/// What a log is told to leave out.
///
/// # Errors
/// It cannot be read.
pub(crate) fn filter(settings: &Settings) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(&settings.log).map_err(|_| {
        anyhow::anyhow!("RUST_LOG: expected a level such as info, or a list such as info,sqlx=warn")
    })
}

/// Starts logging. The log is whole once what is returned second is dropped.
///
/// # Errors
/// The filter cannot be read.
pub(crate) fn start(settings: &Settings) -> anyhow::Result<(Lines, Written, Relog)> {
    let (lines, written) = Lines::start(std::io::stderr())?;
    let format = tracing_subscriber::fmt().with_env_filter(filter(settings)?);
    let format = format.with_writer(lines.clone());
    // There is nobody to tell of a log that is gone.
    let relog: Relog = match settings.log_format {
        LogFormat::Text => {
            let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
            let format = format.with_ansi(colours).with_target(false).with_filter_reloading();
            let handle = format.reload_handle();
            format.init();
            Box::new(move |filter| drop(handle.reload(filter)))
        }
        LogFormat::Json => {
            let format = format.json().flatten_event(true).with_filter_reloading();
            let handle = format.reload_handle();
            format.init();
            Box::new(move |filter| drop(handle.reload(filter)))
        }
    };
    Ok((lines, written, relog))
}

/// Whether a collector could be spoken to with these settings, without doing so.
///
/// # Errors
/// A setting of OpenTelemetry's that cannot be read.
pub(crate) fn check(settings: &Settings) -> anyhow::Result<()> {
    otlp::check(settings)
}

/// The metrics and the traces of this process.
pub(crate) struct Telemetry {
    metrics: Metrics,
    otlp: Option<Otlp>,
    lines: Lines,
    format: LogFormat,
    /// Microseconds since 1970.
    started_at: i64,
}

impl Telemetry {
    /// # Errors
    /// A setting of OpenTelemetry's that cannot be read.
    pub(crate) fn new(settings: &Settings, lines: Lines) -> anyhow::Result<Arc<Self>> {
        let otlp = Otlp::from_settings(settings)?;
        let started_at = crate::clock::now();
        let (metrics, format) = (Metrics::new(), settings.log_format);
        Ok(Arc::new(Self { metrics, otlp, lines, format, started_at }))
    }

    fn otlp(&self) -> Option<&Otlp> {
        self.otlp.as_ref()
    }

    /// Sends what is left to whoever collects it, for as long as that may take.
    pub(crate) async fn close(self: Arc<Self>) {
        if self.otlp.is_some() {
            // It waits for the network, on threads of its own.
            let closing = tokio::task::spawn_blocking(move || self.otlp.as_ref().map(Otlp::close));
            let _ = closing.await;
        }
    }
}
