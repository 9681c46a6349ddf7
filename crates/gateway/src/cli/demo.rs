//! `tollgate demo`: everything in a temporary folder, with a simulator in place of the providers.

use std::net::{Ipv4Addr, SocketAddr};

use secrecy::ExposeSecret as _;
use store::{NewUser, Store};
use testkit::Simulator;

use super::output::Output;
use super::serve;
use crate::app::App;
use crate::config::Settings;
use crate::manage::keys::{self, Wanted};
use crate::people::password;
use crate::scopes::Scopes;
use crate::telemetry::{self, Lines};
use crate::web::session;
use crate::{clock, listener, vault};

const USER: &str = "demo";
const OPERATOR: &str = "operator";

/// Runs until Ctrl-C; nothing is left behind.
pub(super) async fn run(
    mut settings: Settings,
    lines: Lines,
    output: &Output,
) -> anyhow::Result<()> {
    let metrics = telemetry::listen(&settings)?;
    let folder = tempfile::Builder::new().prefix("tollgate-demo-").tempdir()?;
    settings.data_dir = folder.path().join("data");
    settings.database_url = format!("sqlite://{}", folder.path().join("tollgate.db").display());
    settings.or_master_key(vault::fresh);
    let simulator = if settings.has_provider_key() {
        None
    } else {
        let simulator = Simulator::new()
            .keep_requests(false)
            .start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .await?;
        settings.point_at(&simulator.url());
        Some(simulator)
    };
    let stop = serve::signals()?;
    let app = App::build(settings, lines).await?;
    app.store.add_user(person(USER, false)).await?;
    let password = operator(&app.store).await?;
    let wanted = Wanted::of("demo".to_owned(), Scopes::ALL);
    let key = keys::create(&app.store, USER, None, wanted, clock::now()).await?.secret;
    app.snapshots.refresh().await?;
    let (door, address) = match listener::listen(&app) {
        Ok(open) => open,
        Err(_) => listener::listen_anywhere(&app)?,
    };
    let secrets = (key.expose_secret(), password.as_str());
    explain(address, secrets, simulator.is_some(), output)?;
    serve::metrics(&app, metrics)?;
    serve::until(stop, app, door).await;
    if let Some(simulator) = simulator {
        simulator.stop().await;
    }
    output.note("The demo has ended; its folder is gone.")
}

fn person(name: &str, operator: bool) -> NewUser {
    NewUser {
        id: clock::new_id(),
        account_id: clock::new_id(),
        name: name.to_owned(),
        owner: None,
        operator,
        prepaid: false,
        created_at: clock::now(),
    }
}

/// Adds somebody who runs the place: the password.
async fn operator(store: &Store) -> anyhow::Result<String> {
    let user = store.add_user(person(OPERATOR, true)).await?;
    let password = session::secret().split_off(40);
    let hash = password::hash(password.clone()).await?;
    store.set_password(&user, &hash, None).await?;
    Ok(password)
}

fn explain(
    address: SocketAddr,
    (key, password): (&str, &str),
    simulated: bool,
    output: &Output,
) -> anyhow::Result<()> {
    let base = format!("http://{address}");
    let providers = if simulated {
        "a simulator answers for all four providers"
    } else {
        "your provider keys are used"
    };
    let chat = |provider: &str, model: &str| {
        format!(
            "curl -s {base}/api/layers/chat -H 'user: {USER}' -H 'api-key: {key}' -H 'content-type: application/json' \
             -d '{{\"providerName\":\"{provider}\",\"model_name\":\"{model}\",\"message\":\"Hello\"}}'"
        )
    };
    let chats = [
        ("OpenAI", chat("openai", "gpt-4o")),
        ("Anthropic", chat("anthropic", "claude-sonnet-4-5")),
        ("Gemini", chat("gemini", "gemini-2.5-flash")),
        ("DeepSeek", chat("deepseek", "deepseek-v4-flash")),
    ];
    let rest = [
        (
            "The bill so far",
            format!("curl -s {base}/api/usage/check -H 'user: {USER}' -H 'api-key: {key}'"),
        ),
        (
            "Your keys",
            format!("curl -s {base}/api/keys/list -H 'user: {USER}' -H 'api-key: {key}'"),
        ),
        (
            "A new key",
            format!(
                "curl -s -X POST {base}/api/keys/generate -H 'user: {USER}' -H 'api-key: {key}'"
            ),
        ),
    ];
    let json = serde_json::json!({
        "url": base, "user": USER, "key": key, "simulated": simulated,
        "operator": OPERATOR, "password": password,
    });
    output
        .say(&json, format_args!("{} on {base}; {providers}.", output.strong("Tollgate demo")))?;
    output.note(format_args!("Operator {OPERATOR}, password {password}: {base}/sign-in"))?;
    output.note(format_args!("User {USER}, key {key}. Copy and paste:"))?;
    for (title, command) in chats.iter().chain(&rest) {
        output.note(format_args!("\n{}\n{command}", output.strong(title)))?;
    }
    output.note("\nCtrl-C ends the demo.")
}
