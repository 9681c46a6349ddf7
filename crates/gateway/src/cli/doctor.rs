//! `tollgate doctor`: is everything there to serve?

use std::process::ExitCode;

use serde_json::{Value, json};
use store::Store;

use super::output::Output;
use crate::config::Settings;
use crate::credentials::{self, Origin};
use crate::providers::{Provider, Providers};

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
    let (mut checks, store) = database(settings).await;
    checks.extend(providers(settings, store.as_ref()).await);
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

async fn database(settings: &Settings) -> (Vec<Check>, Option<Store>) {
    let store = match super::open(settings).await {
        Ok(store) => store,
        Err(error) => return (vec![(Mark::Fail, "database", format!("{error:#}"))], None),
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
    (checks, Some(store))
}

async fn contents(store: &Store) -> Result<Check, store::StoreError> {
    let Some(version) = store.latest_price_version().await? else {
        return Ok((Mark::Fail, "prices", "no price version".to_owned()));
    };
    let models = store.catalogue(version.id).await?.len();
    Ok((Mark::Ok, "prices", format!("version {}, {models} models", version.id)))
}

/// The credentials in force; without a store, those of the environment.
async fn providers(settings: &Settings, store: Option<&Store>) -> Vec<Check> {
    let providers = match store {
        Some(store) => credentials::providers(settings, store).await,
        None => Providers::from_settings(settings),
    };
    let providers = match providers {
        Ok(providers) => providers,
        Err(error) => return vec![(Mark::Fail, "providers", format!("{error:#}"))],
    };
    providers.iter().map(provider).collect()
}

fn provider(provider: &Provider) -> Check {
    let (name, in_force) = (provider.row.name, provider.credential());
    let (mark, text) = match &in_force.origin {
        Origin::Nowhere => {
            let setting = provider.row.credential_setting;
            (Mark::Note, format!("off: {setting} is not set, and none is stored"))
        }
        Origin::Stored { closed: Some(closed), .. } => {
            let remedy = credentials::remedy(name);
            (Mark::Fail, format!("off: the stored credential does not open: {closed}; {remedy}"))
        }
        origin => (Mark::Ok, format!("credential set ({origin}), at {}", provider.base_url)),
    };
    (mark, name, text)
}
