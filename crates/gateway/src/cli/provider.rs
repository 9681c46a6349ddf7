//! `tollgate provider list|set-key|remove-key|check|reseal|master-key`

use std::io::{IsTerminal as _, Read as _, Stdin, Write as _};
use std::process::ExitCode;

use anyhow::bail;
use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use store::{Resealed, ResealedOwn};

use super::output::Output;
use crate::clock;
use crate::config::Settings;
use crate::credentials::{self, Checked, Further};
use crate::providers::{self, Provider, Providers};
use crate::upstream::Upstream;
use crate::vault::{self, Place};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List all providers, and which credential of each is in force
    List,
    /// Seal a credential and put it in force; it is asked for, or read from standard input
    SetKey {
        /// The provider
        provider: String,

        /// What to call it
        #[arg(long, default_value = "")]
        name: String,
    },
    /// Remove a stored credential, so that the environment's is in force again
    RemoveKey {
        /// The provider
        provider: String,
    },
    /// Further endpoints of a provider: another account or region of it
    #[command(subcommand)]
    Endpoint(Endpoint),
    /// Try credentials at the providers' lists of models, which costs nothing
    Check {
        /// The provider; otherwise all that have a credential
        provider: Option<String>,
    },
    /// Seal all stored credentials anew, with the first master key
    Reseal,
    /// Print a fresh master key; needs no database
    MasterKey,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Endpoint {
    /// Add one, or put another in its place; its credential is asked for, or read from standard input
    Add {
        /// The provider
        provider: String,

        /// What to call it: letters, digits and dashes
        #[arg(value_parser = endpoint_name)]
        name: String,

        /// Where it is, as the provider's own setting has it; otherwise where that is
        #[arg(long, default_value = "")]
        base_url: String,

        /// Endpoints of lower numbers are tried first; the provider's own has 0
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..=1_000))]
        priority: i64,

        /// How many conversations it gets, compared with others of that priority; the provider's own has 1
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..=100))]
        weight: i64,
    },
    /// Remove one, with its credential
    Remove {
        /// The provider
        provider: String,

        /// What it is called
        name: String,
    },
}

fn endpoint_name(text: &str) -> Result<String, String> {
    let fits = (1..=40).contains(&text.len());
    let plain =
        text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if fits && plain {
        Ok(text.to_owned())
    } else {
        Err("expected up to 40 small letters, digits and dashes".to_owned())
    }
}

pub(super) const NO_MASTER_KEY: &str = "TOLLGATE_MASTER_KEY is not set: print a key with `tollgate provider master-key`, set it wherever this \
                             place is served, and keep a copy elsewhere";

pub(super) async fn run(
    command: Command,
    settings: &Settings,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    if let Command::MasterKey = command {
        let key = vault::fresh();
        output.say(&json!({ "master_key": key.expose_secret() }), key.expose_secret())?;
        return Ok(ExitCode::SUCCESS);
    }
    let store = super::desk(settings).await?;
    let providers = credentials::providers(settings, &store).await?;
    match command {
        Command::MasterKey => {}
        Command::List => list(&providers, output)?,
        Command::SetKey { provider, name } => {
            let provider = find(&providers, &provider)?;
            if providers.master_keys.first().is_none() {
                bail!(NO_MASTER_KEY);
            }
            let secret = ask(provider.row.name)?;
            let named = (name.as_str(), &secret);
            credentials::set(&store, &providers.master_keys, provider, None, named).await?;
            providers.take_up(store.provider_credentials().await?);
            let name = provider.row.name;
            output.say(
                &view(provider),
                format_args!("The credential of {name} is sealed and in force."),
            )?;
        }
        Command::RemoveKey { provider } => {
            let provider = find(&providers, &provider)?;
            let name = provider.row.name;
            store.remove_provider_credential((name, ""), clock::now()).await?;
            providers.take_up(store.provider_credentials().await?);
            let now = match provider.credential().origin {
                credentials::Origin::Nowhere => "the provider is off".to_owned(),
                ref origin => format!("{origin} is in force"),
            };
            let text = format_args!("The stored credential of {name} is gone; {now}.");
            output.say(&view(provider), text)?;
        }
        Command::Endpoint(command) => endpoint(command, &store, &providers, output).await?,
        Command::Check { provider } => {
            let one = provider.map(|name| find(&providers, &name)).transpose()?;
            return check(&providers, one, output).await;
        }
        Command::Reseal => {
            let Some(first) = providers.master_keys.first() else { bail!(NO_MASTER_KEY) };
            let (done, left) = reseal(&store, &providers).await?;
            let json = json!({ "resealed": done, "left": left, "master_key": first });
            output
                .say(&json, format_args!("{done} credentials sealed anew; master key {first}."))?;
            if !left.is_empty() {
                bail!("these do not open and stay as they are: {}", left.join(", "));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn endpoint(
    command: Endpoint,
    store: &store::Store,
    providers: &Providers,
    output: &Output,
) -> anyhow::Result<()> {
    match command {
        Endpoint::Add { provider, name, base_url, priority, weight } => {
            let own = find(providers, &provider)?;
            if providers.master_keys.first().is_none() {
                bail!(NO_MASTER_KEY);
            }
            if !base_url.is_empty() && !Provider::could_be_at(&base_url) {
                bail!("--base-url: expected a URL such as {}", own.row.base_url);
            }
            let place = format!("{}/{name}", own.row.name);
            let secret = ask(&place)?;
            let further = Further { name, base_url, priority, weight };
            credentials::set(store, &providers.master_keys, own, Some(further), ("", &secret))
                .await?;
            providers.take_up(store.provider_credentials().await?);
            let json = json!({ "endpoint": place, "priority": priority, "weight": weight });
            output.say(
                &json,
                format_args!("{place} is tried with priority {priority}, weight {weight}."),
            )
        }
        Endpoint::Remove { provider, name } => {
            let own = find(providers, &provider)?;
            store.remove_provider_credential((own.row.name, &name), clock::now()).await?;
            let place = format!("{}/{name}", own.row.name);
            output.say(&json!({ "removed": place }), format_args!("{place} is gone."))
        }
    }
}

fn find<'a>(providers: &'a Providers, name: &str) -> anyhow::Result<&'a Provider> {
    let unknown = || anyhow::anyhow!("no such provider; expected one of {}", providers::names());
    providers.get(name).ok_or_else(unknown)
}

fn view(provider: &Provider) -> Value {
    let in_force = provider.credential();
    let stored = in_force.stored();
    let source = match &in_force.origin {
        credentials::Origin::Nowhere => "none",
        credentials::Origin::Environment(_) => "environment",
        credentials::Origin::Stored { .. } | credentials::Origin::Account { .. } => "stored",
    };
    json!({
        "provider": provider.row.name,
        "endpoint": provider.endpoint,
        "priority": provider.priority,
        "weight": provider.weight,
        "base_url": provider.base_url(),
        "callable": provider.is_callable(),
        "credential": source,
        "setting": provider.row.credential_setting,
        "last4": in_force.last4(),
        "name": stored.map(|(row, _)| &row.name),
        "since": stored.map(|(row, _)| clock::rfc3339(row.created_at)),
        "by": stored.map(|(row, _)| &row.created_by),
        "master_key": stored.map(|(row, _)| &row.key_id),
        "fault": stored.and_then(|(_, closed)| closed).map(ToString::to_string),
    })
}

fn list(providers: &Providers, output: &Output) -> anyhow::Result<()> {
    let further = providers.further();
    let all = || providers.iter().chain(further.iter().map(AsRef::as_ref));
    let json = all().map(view).collect();
    let row = |provider: &Provider| {
        let in_force = provider.credential();
        let stored = in_force.stored();
        let state = match stored {
            Some((_, Some(_))) => "does not open",
            _ if provider.is_callable() => "set up",
            _ => "off",
        };
        vec![
            provider.name(),
            state.to_owned(),
            format!("{} / {}", provider.priority, provider.weight),
            in_force.origin.to_string(),
            stored.map(|(row, _)| clock::rfc3339(row.created_at)).unwrap_or_default(),
            stored.map(|(row, _)| row.created_by.clone()).unwrap_or_default(),
            provider.base_url(),
        ]
    };
    let columns = [
        ("NAME", false),
        ("STATE", false),
        ("PRIORITY / WEIGHT", false),
        ("CREDENTIAL", false),
        ("SINCE", false),
        ("BY", false),
        ("ADDRESS", false),
    ];
    output.table(&json, &columns, all().map(row).collect())
}

async fn check(
    providers: &Providers,
    one: Option<&Provider>,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let upstream = Upstream::new(providers.need_tls())?;
    let wanted = |provider: &&Provider| match one {
        Some(one) => std::ptr::eq(*provider, one),
        None => provider.credential().origin != credentials::Origin::Nowhere,
    };
    let (mut json, mut rows, mut well) = (Vec::new(), Vec::new(), true);
    let further = providers.further();
    let further = further
        .iter()
        .map(AsRef::as_ref)
        .filter(|endpoint: &&Provider| one.is_none_or(|one| one.row.name == endpoint.row.name));
    for provider in providers.iter().filter(wanted).chain(further) {
        let checked = credentials::check(&upstream, provider).await;
        well &= matches!(checked, Checked::Works);
        let ((word, why), name) = (checked.told(), provider.name());
        json.push(json!({ "provider": name, "result": word, "detail": why }));
        rows.push([name.as_str(), word, why].map(str::to_owned).to_vec());
    }
    let columns = [("NAME", false), ("RESULT", false), ("DETAIL", false)];
    output.table(&Value::Array(json), &columns, rows)?;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Seals anew what another master key than the first opens: how many, and whose do not open at all.
async fn reseal(
    store: &store::Store,
    providers: &Providers,
) -> anyhow::Result<(usize, Vec<String>)> {
    let keys = &providers.master_keys;
    let (mut resealed, mut left) = (Vec::new(), Vec::new());
    for from in store.provider_credentials().await? {
        let place = Place { account: None, provider: &from.provider, id: from.id };
        let Ok(secret) = keys.open(place, &from.key_id, &from.sealed) else {
            left.push(from.place());
            continue;
        };
        if keys.first() == Some(from.key_id.as_str()) {
            continue;
        }
        let vault::Sealed { bytes, key_id } = keys.seal(place, &secret)?;
        resealed.push(Resealed { from, sealed: bytes, key_id });
    }
    let mut done = store.reseal_provider_credentials(&resealed).await?;
    let mut resealed = Vec::new();
    for from in store.own_keys().await? {
        let (account, provider) = (from.account_id, from.provider.as_str());
        let place = Place { account: Some(account), provider, id: from.id };
        let Ok(secret) = keys.open(place, &from.key_id, &from.sealed) else {
            left.push(format!("own key {provider} of account {account}"));
            continue;
        };
        if keys.first() == Some(from.key_id.as_str()) {
            continue;
        }
        let vault::Sealed { bytes, key_id } = keys.seal(place, &secret)?;
        resealed.push(ResealedOwn { from, sealed: bytes, key_id });
    }
    done += store.reseal_own_keys(&resealed).await?;
    Ok((done, left))
}

/// A credential from standard input: on a terminal it is asked for, and not seen.
pub(super) fn ask(provider: &str) -> anyhow::Result<SecretString> {
    const MOST: u64 = 4_096;
    let stdin = std::io::stdin();
    let mut typed = Zeroizing::new(String::with_capacity(4_096));
    if stdin.is_terminal() {
        write!(std::io::stderr().lock(), "Credential of {provider} (it is not shown): ")?;
        let silence = Silence::over(&stdin)?;
        stdin.read_line(&mut typed)?;
        drop(silence);
        writeln!(std::io::stderr().lock())?;
    } else {
        stdin.lock().take(MOST).read_to_string(&mut typed)?;
    }
    credentials::read(&typed).map_err(|why| anyhow::anyhow!("the credential: {why}"))
}

/// A terminal that does not show what is typed, until the value goes.
struct Silence<'a> {
    stdin: &'a Stdin,
    before: Termios,
}

impl<'a> Silence<'a> {
    fn over(stdin: &'a Stdin) -> anyhow::Result<Self> {
        let before = termios::tcgetattr(stdin)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        termios::tcsetattr(stdin, OptionalActions::Flush, &silent)?;
        Ok(Self { stdin, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        // A terminal that has gone needs no echo.
        let _ = termios::tcsetattr(self.stdin, OptionalActions::Now, &self.before);
    }
}
