//! `tollgate doctor`: is everything there to serve?

use std::process::ExitCode;

use serde_json::{Value, json};
use store::Store;

use super::output::Output;
use crate::config::Settings;
use crate::providers::Providers;

/// How a check ended.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Mark {
    Ok,
    Note,
    Fail,
}

impl Mark {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Fail => "FAIL",
        }
    }
}

type Check = (Mark, &'static str, String);

/// Ends with 0 where nothing failed.
pub(super) async fn run(settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
    let mut checks = database(settings).await;
    checks.extend(providers(settings));
    let host = if settings.host.is_loopback() {
        (Mark::Ok, "address", format!("{}:{}, this machine only", settings.host, settings.port))
    } else {
        (
            Mark::Note,
            "address",
            format!("{}:{}, beyond this machine: put TLS in front", settings.host, settings.port),
        )
    };
    checks.push(host);
    if settings.trust_user_header {
        checks.push((
            Mark::Note,
            "trust",
            "the header `user` is taken for proof: only behind a proxy that sets it".to_owned(),
        ));
    }
    let json: Vec<Value> = checks
        .iter()
        .map(|(mark, name, text)| json!({ "result": mark.name().to_lowercase(), "check": name, "detail": text }))
        .collect();
    let failed = checks.iter().any(|(mark, ..)| *mark == Mark::Fail);
    let rows = checks
        .into_iter()
        .map(|(mark, name, text)| vec![mark.name().to_owned(), name.to_owned(), text])
        .collect();
    output.table(
        &Value::Array(json),
        &[("RESULT", false), ("CHECK", false), ("DETAIL", false)],
        rows,
    )?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn database(settings: &Settings) -> Vec<Check> {
    let store = match super::open(settings).await {
        Ok(store) => store,
        Err(error) => return vec![(Mark::Fail, "database", format!("{error:#}"))],
    };
    let mut checks =
        vec![(Mark::Ok, "database", format!("{} answers, schema up to date", store.engine_name()))];
    checks.push(
        contents(&store).await.unwrap_or_else(|error| (Mark::Fail, "prices", error.to_string())),
    );
    match store.users().await {
        Ok(users) if users.is_empty() => {
            checks.push((Mark::Note, "users", "none yet: `tollgate user add NAME`".to_owned()));
        }
        Ok(users) => checks.push((Mark::Ok, "users", users.len().to_string())),
        Err(error) => checks.push((Mark::Fail, "users", error.to_string())),
    }
    checks
}

async fn contents(store: &Store) -> Result<Check, store::StoreError> {
    let Some(version) = store.latest_price_version().await? else {
        return Ok((Mark::Fail, "prices", "no price version".to_owned()));
    };
    let models = store.catalogue(version.id).await?.len();
    Ok((Mark::Ok, "prices", format!("version {}, {models} models", version.id)))
}

fn providers(settings: &Settings) -> Vec<Check> {
    let providers = match Providers::from_settings(settings) {
        Ok(providers) => providers,
        Err(error) => return vec![(Mark::Fail, "providers", error.to_string())],
    };
    providers
        .iter()
        .map(|provider| match provider.key {
            Some(_) => {
                (Mark::Ok, provider.row.name, format!("credential set, at {}", provider.base_url))
            }
            None => (
                Mark::Note,
                provider.row.name,
                format!("off: {} is not set", provider.row.credential_setting),
            ),
        })
        .collect()
}
