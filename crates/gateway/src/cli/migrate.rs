//! `tollgate migrate`

use std::process::{Command, Stdio};

use store::Store;

use super::output::Output;
use super::{READERS, open_to_write};
use crate::config::{Settings, source};

pub(super) async fn rehearse(settings: &Settings, output: &Output) -> anyhow::Result<()> {
    let store = Store::open(&settings.database_url, READERS).await?;
    let steps = store.rehearse(crate::clock::now()).await?;
    let engine = store.engine_name();
    let names: Vec<String> = steps.iter().map(i64::to_string).collect();
    let text = if names.is_empty() {
        format!("The database ({engine}) is up to date.")
    } else {
        let names = names.join(", ");
        format!(
            "The database ({engine}) takes these steps without a fault: {names}. Nothing was changed."
        )
    };
    output.say(&serde_json::json!({ "engine": engine, "steps": steps }), text)
}

pub(super) async fn run(settings: &Settings, output: &Output) -> anyhow::Result<()> {
    let store = open_to_write(settings).await?;
    let version = store.latest_price_version().await?.map(|version| version.id);
    let engine = store.engine_name();
    output.say(
        &serde_json::json!({ "engine": engine, "price_version": version }),
        format_args!("The database ({engine}) is up to date."),
    )
}

/// Has another process bring the database up to date: what that takes would stay in the memory of a server, which never needs it
/// again. Where that process fails, the server does so too, and says why.
pub(super) async fn apart(settings: &Settings) -> anyhow::Result<()> {
    let Ok(program) = std::env::current_exe() else { return Ok(()) };
    let mut command = Command::new(program);
    command.arg("migrate");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // What a file says is in the environment by now, and there are files that can be read but once.
    command.env(source::VARIABLE, "/dev/null");
    command.env("DATABASE_URL", &settings.database_url);
    command.env("TOLLGATE_DATA_DIR", &settings.data_dir);
    if let Err(error) = tokio::task::spawn_blocking(move || command.status()).await? {
        tracing::debug!(%error, "the database is brought up to date by the server itself");
    }
    Ok(())
}
