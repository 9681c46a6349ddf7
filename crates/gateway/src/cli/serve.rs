//! `tollgate serve`

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::output::Output;
use crate::app::App;
use crate::config::Settings;
use crate::server;

/// Serves until Ctrl-C or SIGTERM.
pub(super) async fn run(settings: Settings, output: &Output) -> anyhow::Result<()> {
    let app = App::build(settings).await?;
    warn_of_settings(&app);
    let (listener, address) = server::listen(&app).await?;
    announce(address, output)?;
    until_signal(app, listener).await
}

/// Serves until Ctrl-C or SIGTERM, then ends cleanly: answers under way finish, receipts are committed.
pub(super) async fn until_signal(
    app: Arc<App>,
    listener: tokio::net::TcpListener,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("ending: no new requests, answers under way finish");
    };
    server::serve(Arc::clone(&app), listener, stop).await;
    app.shut_down().await;
    Ok(())
}

fn announce(address: SocketAddr, output: &Output) -> anyhow::Result<()> {
    let json = serde_json::json!({ "listening": format!("http://{address}") });
    output.say(&json, format_args!("Tollgate listens on http://{address}"))
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
    for provider in app.providers.iter().filter(|provider| provider.key.is_none()) {
        let (name, setting) = (provider.row.name, provider.row.credential_setting);
        tracing::info!(provider = name, setting, "no credential: this provider is off");
    }
}
