//! What is in the database, and how the database is.

use store::{Store, StoreError};

use super::{Check, fail, note, ok};
use crate::clock;
use crate::config::Settings;
use crate::credentials::{self, Origin};
use crate::providers::{Provider, Providers};
use crate::upstream;

/// Microseconds.
const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// Prices change: older ones than this are worth a look.
const OLD_PRICES: i64 = 120 * DAY;
/// How far two clocks may be apart, in seconds.
const APART: i64 = 5;

pub(super) async fn look(settings: &Settings) -> Vec<Check> {
    let store = match Store::open(&settings.database_url, super::super::READERS).await {
        Ok(store) => store,
        Err(error) => return vec![fail("database", format!("DATABASE_URL: {error}"))],
    };
    let pending = store.pending().await;
    let is_there = matches!(&pending, Ok(steps) if steps.is_empty());
    let mut checks = vec![schema(store.engine_name(), pending)];
    checks.extend(server(&store).await);
    if is_there {
        checks.push(prices(&store).await.unwrap_or_else(|error| fail("prices", error.to_string())));
        checks
            .extend(aside(&store).await.unwrap_or_else(|e| Some(fail("receipts", e.to_string()))));
        checks.extend(people(&store).await.unwrap_or_else(|e| vec![fail("users", e.to_string())]));
    }
    checks.extend(providers(settings, is_there.then_some(&store)).await);
    checks
}

fn schema(engine: &str, pending: Result<Vec<i64>, StoreError>) -> Check {
    match pending {
        Ok(pending) if pending.is_empty() => {
            ok("database", format!("{engine} answers, schema up to date"))
        }
        Ok(pending) => {
            let steps = pending.len();
            note(
                "database",
                format!(
                    "{engine} answers; {steps} steps behind, which the next `tollgate serve` takes: `tollgate migrate --check` \
                     rehearses them"
                ),
            )
        }
        Err(error) => fail("database", format!("{engine}: {error}")),
    }
}

/// The clock of a server; SQLite has none.
async fn server(store: &Store) -> Option<Check> {
    let now = match store.clock().await {
        Ok(now) => now?,
        Err(error) => return Some(fail("clock", error.to_string())),
    };
    let seconds = (now - clock::now()).abs() / SECOND;
    Some(if seconds > APART {
        note(
            "clock",
            format!(
                "{seconds} s from that of the database: set both by NTP; expiry, budgets and prices go by the clock"
            ),
        )
    } else {
        ok("clock", "agrees with that of the database")
    })
}

async fn prices(store: &Store) -> Result<Check, StoreError> {
    let Some(version) = store.latest_price_version().await? else {
        return Ok(fail("prices", "no price version: `tollgate migrate` installs the shipped one"));
    };
    let models = store.catalogue(version.id).await?.len();
    let what = format!("version {}, {models} models", version.id);
    let days = clock::now().saturating_sub(version.created_at) / DAY;
    if days * DAY > OLD_PRICES {
        let text = format!("{what}, {days} days old: compare it with the providers' lists");
        return Ok(note("prices", text));
    }
    Ok(ok("prices", what))
}

/// Receipts that no balance could take, if there are any.
async fn aside(store: &Store) -> Result<Option<Check>, StoreError> {
    let aside = store.set_asides().await?.len();
    let text = format!(
        "{aside} were set aside, because no balance can take them: `tollgate verify` names them and the reason"
    );
    Ok((aside > 0).then(|| fail("receipts", text)))
}

async fn people(store: &Store) -> Result<Vec<Check>, StoreError> {
    let users = store.users().await?;
    if users.is_empty() {
        return Ok(vec![note("users", "none yet: `tollgate user add NAME`")]);
    }
    let operators = users.iter().filter(|user| user.operator && user.disabled_at.is_none()).count();
    let operators = if operators == 0 {
        let text = "none, so that nobody sees to prices and users in the console: `tollgate user add NAME --operator`";
        note("operators", text)
    } else {
        ok("operators", operators.to_string())
    };
    Ok(vec![ok("users", users.len().to_string()), operators])
}

/// The credentials in force; without a store, those of the environment.
async fn providers(settings: &Settings, store: Option<&Store>) -> Vec<Check> {
    let providers = match store {
        Some(store) => credentials::providers(settings, store).await,
        None => Providers::from_settings(settings),
    };
    let providers = match providers {
        Ok(providers) => providers,
        Err(error) => return vec![fail("providers", format!("{error:#}"))],
    };
    let mut checks: Vec<Check> = providers.iter().map(provider).collect();
    checks.extend(providers.further().iter().filter(|one| !one.is_callable()).map(|one| {
        let name = one.name();
        fail(
            "endpoint",
            format!("{name}: its credential does not open; {}", credentials::remedy(&name)),
        )
    }));
    let closed = providers.own_closed();
    if closed > 0 {
        let text = format!(
            "{closed} of accounts do not open: set TOLLGATE_MASTER_KEY to what they were sealed with, or they are not used"
        );
        checks.push(fail("own keys", text));
    }
    checks.extend(providers.iter().filter_map(address));
    checks.extend(providers.iter().filter_map(credential));
    let connector = upstream::connector(providers.need_tls());
    checks.extend(connector.err().map(|error| fail("certificates", format!("{error:#}"))));
    if !providers.iter().any(|one| providers.can_call(one.row.name)) {
        let text =
            "none has a credential, so that no request can be answered: set OPENAI_API_KEY, …";
        checks.push(note("providers", text));
    }
    checks
}

fn provider(provider: &Provider) -> Check {
    let (name, in_force) = (provider.row.name, provider.credential());
    match &in_force.origin {
        Origin::Nowhere => {
            let setting = provider.row.credential_setting;
            note(name, format!("off: {setting} is not set, and none is stored"))
        }
        Origin::Stored { closed: Some(closed), .. } => {
            let remedy = credentials::remedy(name);
            fail(name, format!("off: the stored credential does not open: {closed}; {remedy}"))
        }
        origin => ok(name, format!("credential set ({origin}), at {}", provider.base_url())),
    }
}

/// What is wrong with a provider's credential by its looks, of which nothing is told.
fn credential(provider: &Provider) -> Option<Check> {
    let (in_force, name) = (provider.credential(), provider.row.name);
    let secret = in_force.secret.as_ref()?;
    let which = match &in_force.origin {
        Origin::Environment(setting) => (*setting).to_owned(),
        _ => format!("what is stored for {name}"),
    };
    if let Some(oddity) = secret.oddity() {
        return Some(note("credential", format!("{which} {oddity}: no provider's key has")));
    }
    // Elsewhere there may be anything, another Tollgate too.
    let other = secret.seems_of().filter(|whose| *whose != name)?;
    (provider.base_url() == provider.row.base_url)
        .then(|| note("credential", format!("{which} begins as a key of {other} does")))
}

/// What is wrong with a provider's address, if anything.
fn address(provider: &Provider) -> Option<Check> {
    let setting = provider.row.credential_setting.replace("_API_KEY", "_BASE_URL");
    let at = provider.address();
    let url = &at.base_url;
    let versioned = ["/v1", "/v1beta"].iter().any(|end| at.base_path.ends_with(end));
    if provider.row.name != "openai" && versioned {
        let text =
            format!("{setting}: {url} ends with a version, which is added here: leave it out");
        return Some(fail("base url", text));
    }
    if provider.row.name == "openai" && at.base_path.is_empty() {
        let text = format!("{setting}: {url} has no path; most servers want {url}/v1");
        return Some(note("base url", text));
    }
    let host = at.authority.host();
    let near = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(is_near);
    if at.scheme == http::uri::Scheme::HTTP && !near {
        let text =
            format!("{setting}: {url} is without TLS: the credential crosses a network in clear");
        return Some(note("base url", text));
    }
    None
}

fn is_near(address: std::net::IpAddr) -> bool {
    match address {
        std::net::IpAddr::V4(v4) => v4.is_loopback() || v4.is_private(),
        std::net::IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    }
}
