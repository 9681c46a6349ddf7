//! The settings: one struct, from flags, the environment and a file (`config/source.rs`). Its comments are the manual;
//! `tollgate.env.example` is generated from it. Nobody else reads the environment.

mod names;
pub(crate) mod source;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Command, ValueEnum};
use secrecy::{ExposeSecret, SecretString};

use crate::capture::CaptureSettings;
use crate::journal::Durability;
use crate::network::Network;

pub(crate) use source::{Source, Values};

/// How log lines are written.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// All settings of the process. What is data (users, keys, models, prices) is in the store.
#[derive(Args, Clone, Debug)]
#[expect(
    clippy::doc_markdown,
    reason = "the comments are the manual on the terminal, where backticks are noise"
)]
#[command(next_help_heading = "Settings (flag, environment or .env file)")]
pub(crate) struct Settings {
    /// A file of settings, NAME=value; without it, .env in the working folder or above it. Flags and the environment go
    /// before what it says. It is read again at SIGHUP
    #[arg(long, env = "TOLLGATE_ENV_FILE", global = true)]
    env_file: Option<String>,

    /// The port to listen on; 0 takes any free one
    #[arg(long, env = "PORT", default_value_t = 3000, global = true)]
    pub(crate) port: u16,

    /// The address to listen on. 0.0.0.0 is all: put TLS in front of it
    #[arg(long, env = "HOST", default_value = "127.0.0.1", global = true)]
    pub(crate) host: IpAddr,

    /// The address under which people reach this, scheme and all. Where that is https, cookies ask for it
    #[arg(long, env = "TOLLGATE_PUBLIC_URL", value_parser = public, global = true)]
    public_url: Option<String>,

    /// Where the books are kept: sqlite://FILE or postgres://USER:PASSWORD@HOST/DATABASE
    #[arg(
        long,
        env = "DATABASE_URL",
        default_value = "sqlite://tollgate.db",
        hide_env_values = true,
        global = true
    )]
    pub(crate) database_url: String,

    /// Where several replicas count together what limits allow: redis://HOST or rediss://USER:PASSWORD@HOST:PORT/DATABASE.
    /// Without it each replica counts its share of every limit
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_parser = secret, global = true)]
    redis_url: Option<SecretString>,

    /// Where journals are kept: what was used and is not in the database yet. It is a part of the books
    #[arg(long, env = "TOLLGATE_DATA_DIR", default_value = "tollgate-data", global = true)]
    pub(crate) data_dir: PathBuf,

    /// What an answer waits for: process, its receipt outlives a crash of the program; strict, a loss of power too
    #[arg(long, env = "TOLLGATE_DURABILITY", value_enum, default_value_t = Durability::Process, global = true)]
    pub(crate) durability: Durability,

    /// How long an account's credit lasts here at the pace of late before the database is asked for more, in seconds. The
    /// longer, the longer an outage of the database goes unnoticed, and the coarser replicas share what is left
    #[arg(long, env = "TOLLGATE_SLICE_SECONDS", default_value_t = 30, global = true,
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) slice_seconds: u32,

    /// Your key at OpenAI
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true, value_parser = secret, global = true)]
    openai_api_key: Option<SecretString>,

    /// Your key at Google AI Studio
    #[arg(long, env = "GEMINI_API_KEY", hide_env_values = true, value_parser = secret, global = true)]
    gemini_api_key: Option<SecretString>,

    /// Your key at Anthropic
    #[arg(long, env = "ANTHROPIC_API_KEY", hide_env_values = true, value_parser = secret, global = true)]
    anthropic_api_key: Option<SecretString>,

    /// Your key at DeepSeek
    #[arg(long, env = "DEEPSEEK_API_KEY", hide_env_values = true, value_parser = secret, global = true)]
    deepseek_api_key: Option<SecretString>,

    /// What opens the providers' keys that are kept in the database: 32 bytes in base64 or hexadecimal, as `tollgate provider
    /// master-key` prints them. Of several, with commas between, the first seals and all open
    #[arg(long, env = "TOLLGATE_MASTER_KEY", hide_env_values = true, value_parser = secret, global = true)]
    master_key: Option<SecretString>,

    /// Another address for OpenAI, with the version, as its SDK takes it
    #[arg(long, env = "OPENAI_BASE_URL", global = true)]
    openai_base_url: Option<String>,

    /// Another address for Gemini, without the version
    #[arg(long, env = "GEMINI_BASE_URL", global = true)]
    gemini_base_url: Option<String>,

    /// Another address for Anthropic, without the version
    #[arg(long, env = "ANTHROPIC_BASE_URL", global = true)]
    anthropic_base_url: Option<String>,

    /// Another address for DeepSeek, as its SDK takes it
    #[arg(long, env = "DEEPSEEK_BASE_URL", global = true)]
    deepseek_base_url: Option<String>,

    /// Your commission on the providers' prices, in basis points: 500 is 5 %
    #[arg(long, env = "TOLLGATE_COMMISSION_BPS", default_value_t = 500, global = true,
          value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(crate) commission_bps: u32,

    /// Your commission where an account calls a provider with its own key, in basis points of what the provider's price
    /// would be: the provider bills the account itself
    #[arg(long, env = "TOLLGATE_BYOK_COMMISSION_BPS", default_value_t = 500, global = true,
          value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(crate) byok_commission_bps: u32,

    /// Take the header `user` for proof of who calls /api/keys and /api/usage. Only behind a proxy that sets it
    #[arg(long, env = "TOLLGATE_TRUST_USER_HEADER", default_value_t = false, global = true,
          num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub(crate) trust_user_header: bool,

    /// Proxies whose word on where a request comes from counts (x-forwarded-for): networks separated by commas
    #[arg(long, env = "TOLLGATE_TRUSTED_PROXIES", value_delimiter = ',', value_parser = trusted, global = true)]
    pub(crate) trusted_proxies: Vec<ipnet::IpNet>,

    /// Web pages that may call the API from a browser: origins separated by commas, or *
    #[arg(long, env = "TOLLGATE_CORS_ORIGINS", value_delimiter = ',', value_parser = origin, global = true)]
    pub(crate) cors_origins: Vec<String>,

    /// Your project at Supabase, whose users may call the API with its tokens: its address
    #[arg(long, env = "SUPABASE_URL", global = true)]
    supabase_url: Option<String>,

    /// The secret of your project's older tokens (HS256); needed only where it still signs with it
    #[arg(long, env = "SUPABASE_JWT_SECRET", hide_env_values = true, value_parser = secret, global = true)]
    supabase_jwt_secret: Option<SecretString>,

    /// A key of your project: with it, Supabase is asked about tokens that no key verifies which the project publishes
    #[arg(long, env = "SUPABASE_KEY", hide_env_values = true, value_parser = secret, global = true)]
    supabase_key: Option<SecretString>,

    /// Where people may also sign in: the address of an issuer of OpenID Connect. Its application
    /// needs the address PUBLIC_URL/sign-in/oidc/callback
    #[arg(long, env = "TOLLGATE_OIDC_ISSUER", global = true)]
    oidc_issuer: Option<String>,

    /// Your application's id at the issuer
    #[arg(long, env = "TOLLGATE_OIDC_CLIENT_ID", global = true)]
    oidc_client_id: Option<String>,

    /// Your application's secret at the issuer
    #[arg(long, env = "TOLLGATE_OIDC_CLIENT_SECRET", hide_env_values = true, value_parser = secret, global = true)]
    oidc_client_secret: Option<SecretString>,

    /// Make a user of everybody whom Supabase or the issuer of OpenID Connect vouches for, who pays first. Otherwise only
    /// those come in whom `tollgate user identity` has named
    #[arg(long, env = "TOLLGATE_SIGN_UP", default_value_t = false, global = true,
          num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub(crate) sign_up: bool,

    /// The largest request body taken, in bytes
    #[arg(long, env = "TOLLGATE_BODY_LIMIT_BYTES", default_value_t = 33_554_432, global = true,
          value_parser = clap::value_parser!(u32).range(1_024..))]
    pub(crate) body_limit_bytes: u32,

    /// How long a request may wait for its answer, in seconds, all that is tried for it together
    #[arg(long, env = "TOLLGATE_UPSTREAM_TIMEOUT_SECONDS", default_value_t = 600, global = true,
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    upstream_timeout_seconds: u32,

    /// How long the provider of a stream may take to begin where another endpoint or model is left to be asked, in seconds
    #[arg(long, env = "TOLLGATE_FIRST_BYTE_TIMEOUT_SECONDS", default_value_t = 120, global = true,
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    first_byte_timeout_seconds: u32,

    /// How often a request is tried again once all its targets have failed in a way that may pass. The SDKs try again by
    /// themselves; this is for clients that do not. A provider that says when to come back is given that time, if it is
    /// ten seconds or less
    #[arg(long, env = "TOLLGATE_RETRIES", default_value_t = 0, global = true,
          value_parser = clap::value_parser!(u8).range(0..=5))]
    pub(crate) retries: u8,

    /// How long the provider of a stream may take to begin, in milliseconds, until the request is sent to another endpoint of
    /// the same model as well. The first that answers is relayed and charged; the other is given up, and may be billed to
    /// you by its provider all the same. 0 is never
    #[arg(long, env = "TOLLGATE_HEDGE_AFTER_MS", default_value_t = 0, global = true,
          value_parser = clap::value_parser!(u32).range(0..=600_000))]
    hedge_after_ms: u32,

    /// How long a stream of a provider may be silent, in seconds
    #[arg(long, env = "TOLLGATE_STREAM_IDLE_SECONDS", default_value_t = 600, global = true,
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    stream_idle_seconds: u32,

    #[command(flatten)]
    pub(crate) network: Network,

    /// Where metrics are served for Prometheus, at /metrics and nothing else: an address such as 127.0.0.1:9464. Not served
    /// unless set; it needs no key, so keep it where only your own monitoring reaches it
    #[arg(long, env = "TOLLGATE_METRICS_ADDR", global = true)]
    metrics_addr: Option<String>,

    #[command(flatten)]
    pub(crate) otlp: OtlpSettings,

    #[command(flatten)]
    pub(crate) capture: CaptureSettings,

    /// What is logged: error, warn, info, debug, trace, or a list such as info,sqlx=warn
    #[arg(long, env = "RUST_LOG", default_value = "info", global = true)]
    pub(crate) log: String,

    /// How log lines are written
    #[arg(long, env = "TOLLGATE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, global = true)]
    pub(crate) log_format: LogFormat,
}

/// OpenTelemetry, by its own names.
#[derive(Args, Clone, Debug)]
#[expect(
    clippy::doc_markdown,
    reason = "the comments are the manual on the terminal, where backticks are noise"
)]
#[command(next_help_heading = "Settings (flag, environment or .env file)")]
pub(crate) struct OtlpSettings {
    /// Where traces and metrics are sent (OTLP over HTTP): the base address of a collector, such as http://localhost:4318.
    /// Nothing is sent unless set
    #[arg(long = "otlp-endpoint", env = "OTEL_EXPORTER_OTLP_ENDPOINT", global = true)]
    endpoint: Option<String>,

    /// Headers for the collector: name=value, with commas between
    #[arg(long = "otlp-headers", env = "OTEL_EXPORTER_OTLP_HEADERS", hide_env_values = true, value_parser = secret, global = true)]
    headers: Option<SecretString>,

    /// What this service is called in traces; tollgate unless set
    #[arg(long = "otlp-service-name", env = "OTEL_SERVICE_NAME", global = true)]
    service_name: Option<String>,

    /// What else traces say of this service: name=value, with commas between
    #[arg(long = "otlp-resource-attributes", env = "OTEL_RESOURCE_ATTRIBUTES", global = true)]
    resource_attributes: Option<String>,

    /// Which traces are sent: always_on, always_off, traceidratio, or one of them behind parentbased_, which does as the
    /// client's own trace does
    #[arg(
        long = "otlp-traces-sampler",
        env = "OTEL_TRACES_SAMPLER",
        default_value = "parentbased_always_on",
        global = true
    )]
    pub(crate) sampler: String,

    /// The share of traces that traceidratio sends, from 0 to 1
    #[arg(long = "otlp-traces-sampler-arg", env = "OTEL_TRACES_SAMPLER_ARG", global = true)]
    sampler_arg: Option<String>,
}

impl OtlpSettings {
    pub(crate) fn endpoint(&self) -> Option<&str> {
        said(self.endpoint.as_deref())
    }

    pub(crate) fn headers(&self) -> Option<&str> {
        told(self.headers.as_ref())
    }

    pub(crate) fn service_name(&self) -> Option<&str> {
        said(self.service_name.as_deref())
    }

    pub(crate) fn resource_attributes(&self) -> Option<&str> {
        said(self.resource_attributes.as_deref())
    }

    pub(crate) fn sampler_arg(&self) -> Option<&str> {
        said(self.sampler_arg.as_deref())
    }
}

impl Settings {
    /// Their names, flags, variables and comments, without any command.
    pub(crate) fn described() -> Command {
        Self::augment_args(Command::new("settings"))
    }

    /// The address under which people reach this, without a slash at its end.
    pub(crate) fn public_url(&self) -> Option<&str> {
        said(self.public_url.as_deref())
    }

    /// Where metrics are served, if anywhere.
    pub(crate) fn metrics_addr(&self) -> Option<&str> {
        said(self.metrics_addr.as_deref())
    }

    /// The key and the base URL set for a provider. An empty variable counts as none.
    pub(crate) fn provider(&self, name: &str) -> (Option<&SecretString>, Option<&str>) {
        let (key, url) = match name {
            "openai" => (&self.openai_api_key, &self.openai_base_url),
            "gemini" => (&self.gemini_api_key, &self.gemini_base_url),
            "anthropic" => (&self.anthropic_api_key, &self.anthropic_base_url),
            "deepseek" => (&self.deepseek_api_key, &self.deepseek_base_url),
            _ => (&None, &None),
        };
        let key = key.as_ref().filter(|key| !key.expose_secret().is_empty());
        (key, url.as_deref().filter(|url| !url.is_empty()))
    }

    /// Where limits are counted together, if anywhere.
    pub(crate) fn redis_url(&self) -> Option<&str> {
        told(self.redis_url.as_ref())
    }

    /// What opens the providers' keys that are kept in the database.
    pub(crate) fn master_key(&self) -> Option<&str> {
        told(self.master_key.as_ref())
    }

    /// Sets a master key where none is set.
    pub(crate) fn or_master_key(&mut self, key: impl FnOnce() -> SecretString) {
        if self.master_key().is_none() {
            self.master_key = Some(key());
        }
    }

    /// What is set of Supabase: the URL, the secret, the key.
    pub(crate) fn supabase(&self) -> (Option<&str>, Option<&str>, Option<&str>) {
        let url = self.supabase_url.as_deref();
        (said(url), told(self.supabase_jwt_secret.as_ref()), told(self.supabase_key.as_ref()))
    }

    /// What is set of OpenID Connect: the issuer, the application's id, its secret.
    pub(crate) fn oidc(&self) -> (Option<&str>, Option<&str>, Option<&str>) {
        let (issuer, id) = (self.oidc_issuer.as_deref(), self.oidc_client_id.as_deref());
        (said(issuer), said(id), told(self.oidc_client_secret.as_ref()))
    }

    /// Points every provider at one simulator, as `tollgate demo` does.
    pub(crate) fn point_at(&mut self, simulator: &str) {
        let key = Some(SecretString::from("demo"));
        let url = Some(simulator.to_owned());
        (self.openai_api_key, self.openai_base_url) =
            (key.clone(), Some(format!("{simulator}/v1")));
        (self.gemini_api_key, self.gemini_base_url) = (key.clone(), url.clone());
        (self.anthropic_api_key, self.anthropic_base_url) = (key.clone(), url.clone());
        (self.deepseek_api_key, self.deepseek_base_url) = (key, url);
    }

    /// Whether the operator has set a key for any provider.
    pub(crate) fn has_provider_key(&self) -> bool {
        crate::providers::ROWS.iter().any(|row| self.provider(row.name).0.is_some())
    }

    /// Whether browsers reach this by TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.public_url().is_some_and(|url| url.starts_with("https://"))
    }

    /// How long a stream may be silent.
    pub(crate) fn stream_idle(&self) -> Duration {
        Duration::from_secs(u64::from(self.stream_idle_seconds))
    }

    /// When a stream that has not begun is asked for a second time; none where it never is.
    pub(crate) fn hedge_after(&self) -> Option<Duration> {
        let millis = u64::from(self.hedge_after_ms);
        (millis > 0).then(|| Duration::from_millis(millis))
    }

    /// How long a provider may take to answer.
    pub(crate) fn upstream_timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.upstream_timeout_seconds))
    }

    /// How long the provider of a stream may take to begin where there is another.
    pub(crate) fn first_byte_timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.first_byte_timeout_seconds))
    }
}

/// An empty variable counts as none.
fn said(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

fn told(secret: Option<&SecretString>) -> Option<&str> {
    said(secret.map(ExposeSecret::expose_secret))
}

#[expect(clippy::unnecessary_wraps, reason = "the shape that clap asks of a parser")]
fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(SecretString::from(text))
}

/// Addresses are made by adding a path to it.
fn public(text: &str) -> Result<String, String> {
    let bare = text.trim().trim_end_matches('/');
    let uri = bare.parse::<http::Uri>().ok();
    let is_one = uri.is_some_and(|uri| {
        let (path, at) = (uri.path(), uri.authority());
        ["http://", "https://"].iter().any(|scheme| bare.starts_with(scheme))
            && at.is_some_and(|at| !at.as_str().contains('@'))
            && !bare.contains(['?', '#'])
            && !path.contains("//")
            && !path.ends_with("/v1")
    });
    if is_one || bare.is_empty() {
        return Ok(bare.to_owned());
    }
    Err("TOLLGATE_PUBLIC_URL: expected a URL such as https://gate.example.com, without /v1"
        .to_owned())
}

/// As browsers send it, which is compared byte for byte.
fn origin(text: &str) -> Result<String, String> {
    let bare = text.trim().trim_end_matches('/').to_ascii_lowercase();
    let is_one = bare.parse::<http::Uri>().is_ok_and(|uri| {
        let authority = uri.authority().map_or("", http::uri::Authority::as_str);
        bare.split_once("://").is_some_and(|(_, rest)| rest == authority && !rest.contains('@'))
    });
    if is_one || ["", "*", "null"].contains(&bare.as_str()) {
        return Ok(bare);
    }
    Err("TOLLGATE_CORS_ORIGINS: expected origins such as https://app.example.com, without a path, with commas between, or *"
        .to_owned())
}

fn trusted(text: &str) -> Result<ipnet::IpNet, String> {
    crate::proxies::network(text).ok_or_else(|| {
        "expected networks such as 10.0.0.0/8 or addresses, with commas between".to_owned()
    })
}

/// The listener that systemd has handed over (`LISTEN_FDS`), if it has.
pub(crate) fn inherited() -> anyhow::Result<Option<std::net::TcpListener>> {
    let mut handed = listenfd::ListenFd::from_env();
    if handed.len() > 1 {
        anyhow::bail!("LISTEN_FDS: expected one socket, not {}", handed.len());
    }
    Ok(handed.take_tcp_listener(0)?)
}

/// The text of `tollgate.env.example`: every setting with its comment and default.
pub fn env_example() -> String {
    let mut text = String::from(
        "# The settings of Tollgate, each with its default. Copy to .env and uncomment what you change.\n",
    );
    for argument in Settings::described().get_arguments() {
        let Some(name) = argument.get_env() else { continue };
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let default = argument
            .get_default_values()
            .first()
            .map(|value| value.to_string_lossy())
            .unwrap_or_default();
        let _ = write!(text, "\n# {help}\n#{}={default}\n", name.to_string_lossy());
    }
    text
}
