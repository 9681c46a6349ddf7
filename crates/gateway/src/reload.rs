//! Settings that are read again while the program runs (SIGHUP): all that can change does, for new requests; the rest is named.

use std::sync::Arc;

use tokio::signal::unix::Signal;

use crate::app::App;
use crate::config::{Settings, Source, Values};
use crate::credentials;
use crate::people::People;
use crate::proxies::Proxies;
use crate::rates::Shared;
use crate::telemetry::{self, Relog};
use crate::vault::MasterKeys;

/// What can change while the program runs.
const LIVE: [&str; 33] = [
    "OPENAI_API_KEY",
    "GEMINI_API_KEY",
    "ANTHROPIC_API_KEY",
    "DEEPSEEK_API_KEY",
    "OPENAI_BASE_URL",
    "GEMINI_BASE_URL",
    "ANTHROPIC_BASE_URL",
    "DEEPSEEK_BASE_URL",
    "TOLLGATE_COMMISSION_BPS",
    "TOLLGATE_BYOK_COMMISSION_BPS",
    "TOLLGATE_TRUST_USER_HEADER",
    "TOLLGATE_TRUSTED_PROXIES",
    "TOLLGATE_CORS_ORIGINS",
    "TOLLGATE_SIGN_UP",
    "TOLLGATE_BODY_LIMIT_BYTES",
    "TOLLGATE_UPSTREAM_TIMEOUT_SECONDS",
    "TOLLGATE_FIRST_BYTE_TIMEOUT_SECONDS",
    "TOLLGATE_RETRIES",
    "TOLLGATE_HEDGE_AFTER_MS",
    "TOLLGATE_STREAM_IDLE_SECONDS",
    "TOLLGATE_HEADER_TIMEOUT_SECONDS",
    "TOLLGATE_BODY_TIMEOUT_SECONDS",
    "TOLLGATE_IDLE_TIMEOUT_SECONDS",
    "TOLLGATE_WRITE_TIMEOUT_SECONDS",
    "TOLLGATE_CONNECTIONS",
    "TOLLGATE_CONNECTIONS_PER_ADDRESS",
    "TOLLGATE_REQUESTS",
    "TOLLGATE_REQUESTS_PER_ADDRESS",
    "TOLLGATE_BODY_MEMORY_BYTES",
    "TOLLGATE_HTTP2_STREAMS",
    "TOLLGATE_DRAIN_GRACE_SECONDS",
    "TOLLGATE_DRAIN_SECONDS",
    "RUST_LOG",
];

/// What is in force, and where to look for more.
pub(crate) struct Reload {
    source: Source,
    in_force: Values,
    relog: Relog,
}

impl Reload {
    /// # Errors
    /// Settings that cannot be read.
    pub(crate) fn new(source: Source, relog: Relog) -> anyhow::Result<Self> {
        let (_, in_force) = source.read()?;
        warn_of_oddities(&source);
        Ok(Self { source, in_force, relog })
    }

    /// Reads the settings again whenever the signal comes, as long as the program runs.
    pub(crate) async fn follow(mut self, app: Arc<App>, mut signal: Signal) {
        while let Some(Some(())) = app.stop.run_until_cancelled(signal.recv()).await {
            if let Err(error) = self.take_up(&app).await {
                tracing::error!(%error, "the settings were read again and not taken up: all stays as it was");
            }
        }
    }

    /// Puts in force what has changed, all or nothing.
    async fn take_up(&mut self, app: &App) -> anyhow::Result<()> {
        let (settings, values) = self.source.read()?;
        let filter = telemetry::filter(&settings)?;
        would_start(&settings)?;
        let changed = app.providers.renew(&settings)?;
        // From here on nothing goes wrong.
        app.limits.renew(&settings.network);
        app.snapshots.trust(Proxies::new(&settings.trusted_proxies)).await;
        app.live.store(Arc::new(settings));
        (self.relog)(filter);
        for provider in &changed {
            credentials::log(provider);
        }
        let mut taken = Vec::new();
        for name in LIVE {
            let value = values.get(name).cloned().unwrap_or_default();
            if self.in_force.get(name) != Some(&value) {
                self.in_force.insert(name.to_owned(), value);
                taken.push(name);
            }
        }
        let is_left = |(name, value): &(&String, &Vec<_>)| self.in_force.get(*name) != Some(*value);
        let left: Vec<&str> =
            values.iter().filter(is_left).map(|(name, _)| name.as_str()).collect();
        let file = self.source.file().map(|file| file.display().to_string()).unwrap_or_default();
        tracing::info!(file, changed = taken.join(", "), "the settings were read again");
        if !left.is_empty() {
            tracing::warn!(
                settings = left.join(", "),
                "these need a restart and were not taken up"
            );
        }
        warn_of_oddities(&self.source);
        Ok(())
    }
}

/// Refuses what a start would refuse, of the settings that need one too: it would be found out at the worst time.
fn would_start(settings: &Settings) -> anyhow::Result<()> {
    MasterKeys::from_settings(settings)?;
    People::from_settings(settings)?;
    settings.capture.keys()?;
    settings.redis_url().map(Shared::new).transpose()?;
    telemetry::address(settings)?;
    match settings.otlp.endpoint() {
        Some(_) => telemetry::check(settings),
        None => Ok(()),
    }
}

fn warn_of_oddities(source: &Source) {
    for odd in source.oddities() {
        tracing::warn!("a setting looks mistyped: {odd}");
    }
}

#[cfg(test)]
mod tests {
    use super::LIVE;
    use crate::config::Settings;

    #[test]
    fn what_can_change_is_a_setting() {
        let command = Settings::described();
        let known = |name: &str| {
            command.get_arguments().any(|a| a.get_env().is_some_and(|env| env == name))
        };
        assert!(LIVE.into_iter().all(known));
    }
}
