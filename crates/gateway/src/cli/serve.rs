//! `tollgate serve`

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep_until;

use super::output::Output;
use crate::app::App;
use crate::clock;
use crate::config::{Settings, Source};
use crate::listener::{self, Door};
use crate::people::links;
use crate::reload::Reload;
use crate::server::{self, Stop};
use crate::telemetry::{self, Lines, Relog};

/// Serves until Ctrl-C or SIGTERM.
pub(super) async fn run(
    settings: Settings,
    lines: Lines,
    (source, relog): (Source, Relog),
    output: &Output,
) -> anyhow::Result<()> {
    // From here on, before anybody can know that there is something to end.
    let mut stop = signals()?;
    let hangup = signal(SignalKind::hangup())?;
    let reload = Reload::new(source, relog)?;
    let listener = telemetry::listen(&settings)?;
    let app = tokio::select! {
        app = Box::pin(App::build(settings, lines)) => app?,
        () = stop.asked() => return Ok(()),
    };
    warn_of_settings(&app);
    app.background.spawn(reload.follow(Arc::clone(&app), hangup));
    let metrics = metrics(&app, listener)?;
    let (door, address) = listener::listen(&app)?;
    let now = clock::now();
    let program = store::Actor { id: None, name: "tollgate".to_owned(), via: "program", at: now };
    let base = links::base(&app.settings, address);
    let welcome = links::first_operator(&app.store.by(program), &base, now).await?;
    announce(address, metrics, welcome.as_deref(), output)?;
    until(stop, app, door).await;
    Ok(())
}

/// Ctrl-C and SIGTERM, from this call on.
pub(super) fn signals() -> anyhow::Result<Signals> {
    let terminate = signal(SignalKind::terminate())?;
    let interrupt = signal(SignalKind::interrupt())?;
    Ok(Signals { terminate, interrupt })
}

pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop for Signals {
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Serves until `stop`, then ends cleanly: answers under way finish, receipts are committed.
pub(super) async fn until(mut stop: impl Stop, app: Arc<App>, door: Door) {
    let until = server::serve(&app, door, &mut stop).await;
    let cut = async {
        tokio::select! {
            () = sleep_until(until) => {}
            () = stop.asked() => {}
        }
    };
    app.shut_down(cut).await;
}

/// Serves metrics, where they are asked for, and says at which address.
pub(super) fn metrics(
    app: &Arc<App>,
    listener: Option<tokio::net::TcpListener>,
) -> anyhow::Result<Option<SocketAddr>> {
    let Some(listener) = listener else { return Ok(None) };
    let address = listener.local_addr()?;
    tracing::info!(%address, "metrics are at /metrics");
    app.background.spawn(telemetry::serve(Arc::clone(app), listener));
    Ok(Some(address))
}

/// Says where this listens, and where somebody becomes the first operator if there is none.
fn announce(
    address: SocketAddr,
    metrics: Option<SocketAddr>,
    welcome: Option<&str>,
    output: &Output,
) -> anyhow::Result<()> {
    let mut json = serde_json::json!({ "listening": format!("http://{address}") });
    if let Some(metrics) = metrics {
        json["metrics"] = format!("http://{metrics}/metrics").into();
    }
    if let Some(link) = welcome {
        tracing::warn!(link, "nobody runs this place yet; whoever opens the link first will");
        json["welcome"] = link.into();
    }
    output.say(&json, format_args!("Tollgate listens on http://{address}"))?;
    match welcome {
        Some(link) => output.note(format_args!("Become its operator, within a day: {link}")),
        None => Ok(()),
    }
}

fn warn_of_settings(app: &App) {
    if app.settings.trust_user_header {
        tracing::warn!(
            "TOLLGATE_TRUST_USER_HEADER is on: whoever reaches this port acts for any user it names"
        );
    }
    if !app.settings.host.is_loopback() {
        tracing::warn!(host = %app.settings.host, "listening beyond this machine without TLS: put a TLS proxy in front");
    }
    for provider in app.providers.iter().filter(|one| !app.providers.can_call(one.row.name)) {
        if provider.credential().stored().is_some() {
            continue;
        }
        let (name, setting) = (provider.row.name, provider.row.credential_setting);
        tracing::info!(provider = name, setting, "no credential: this provider is off");
    }
}
