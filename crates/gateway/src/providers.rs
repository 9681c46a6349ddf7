//! Who serves models: rows of a table. A provider that speaks a known dialect is a row more.

use std::sync::Arc;

use arc_swap::ArcSwap;
use foldhash::{HashMap, HashMapExt as _};
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};
use store::{OwnKey, ProviderCredential};
use uuid::Uuid;
use wire::Dialect;

use crate::breaker::Breaker;
use crate::config::Settings;
use crate::credentials::{InForce, Secret};
use crate::speed::Speed;
use crate::upstream::Connections;
use crate::vault::MasterKeys;

/// Where a provider wants its credential.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    /// `Authorization: Bearer …`
    Bearer,
    /// `x-api-key: …`
    XApiKey,
    /// `x-goog-api-key: …`
    XGoogApiKey,
}

/// One provider, as the table has it.
pub(crate) struct Row {
    /// Its name in model ids, prices and receipts.
    pub(crate) name: &'static str,
    /// The setting that holds its key, where the store has none.
    pub(crate) credential_setting: &'static str,
    /// Its public address, without the path of the endpoint.
    pub(crate) base_url: &'static str,
    /// The dialects that it speaks, the one to prefer first.
    pub(crate) speaks: &'static [Speaks],
    /// Where it lists its models, which costs nothing and takes a credential that works.
    pub(crate) models: &'static str,
    /// Whether it stops to charge for a stream whose reader hangs up.
    pub(crate) cancels: bool,
}

/// A dialect that a provider speaks, and where.
pub(crate) struct Speaks {
    pub(crate) dialect: &'static dyn Dialect,
    /// What stands between the base URL and the dialect's own path.
    pub(crate) below: &'static str,
    pub(crate) credential: Credential,
    /// Headers that each call carries unless the client's request brings its own.
    pub(crate) headers: &'static [(&'static str, &'static str)],
}

const fn bearer(dialect: &'static dyn Dialect) -> Speaks {
    Speaks { dialect, below: "", credential: Credential::Bearer, headers: &[] }
}

const fn anthropic(below: &'static str) -> Speaks {
    Speaks {
        dialect: &wire::anthropic::Anthropic,
        below,
        credential: Credential::XApiKey,
        headers: &[("anthropic-version", "2023-06-01")],
    }
}

/// All providers.
pub(crate) const ROWS: [Row; 4] = [
    Row {
        name: "openai",
        credential_setting: "OPENAI_API_KEY",
        base_url: "https://api.openai.com/v1",
        speaks: &[
            bearer(&wire::openai_chat::OpenaiChat),
            bearer(&wire::openai_responses::OpenaiResponses),
        ],
        models: "/models",
        cancels: true,
    },
    Row {
        name: "gemini",
        credential_setting: "GEMINI_API_KEY",
        base_url: "https://generativelanguage.googleapis.com",
        speaks: &[Speaks {
            dialect: &wire::gemini::Gemini,
            below: "",
            credential: Credential::XGoogApiKey,
            headers: &[],
        }],
        models: "/v1beta/models?pageSize=1",
        cancels: false,
    },
    Row {
        name: "anthropic",
        credential_setting: "ANTHROPIC_API_KEY",
        base_url: "https://api.anthropic.com",
        speaks: &[anthropic("")],
        models: "/v1/models?limit=1",
        cancels: true,
    },
    Row {
        name: "deepseek",
        credential_setting: "DEEPSEEK_API_KEY",
        base_url: "https://api.deepseek.com",
        speaks: &[
            bearer(&wire::openai_chat::OpenaiChat),
            anthropic("/anthropic"),
            bearer(&wire::openai_responses::OpenaiResponses),
        ],
        models: "/models",
        cancels: true,
    },
];

/// A provider that is set up: one endpoint of it, its own or a further one, with an address, a credential, connections and a
/// breaker.
pub(crate) struct Provider {
    pub(crate) row: &'static Row,
    /// The name of a further endpoint; none for the provider's own.
    pub(crate) endpoint: Option<String>,
    /// The key of an account that is called with here, and for that account alone; none for the house's endpoints.
    pub(crate) own: Option<OwnKey>,
    /// Endpoints of lower numbers are tried first.
    pub(crate) priority: i64,
    /// How many conversations it gets, compared with others of that priority.
    pub(crate) weight: i64,
    address: ArcSwap<Address>,
    of_environment: ArcSwap<InForce>,
    in_force: ArcSwap<InForce>,
    pub(crate) breaker: Breaker,
    pub(crate) speed: Speed,
}

/// Where a provider is, and the connections to there.
pub(crate) struct Address {
    /// Without a slash at the end.
    pub(crate) base_url: String,
    /// The base URL once more, in the parts that a request is made of.
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    pub(crate) base_path: String,
    /// The authority as HTTP/1.1's `host`, without a port that goes without saying.
    pub(crate) host: HeaderValue,
    pub(crate) connections: Connections,
}

impl Address {
    fn of(base_url: &str) -> Option<Self> {
        let base_url = base_url.trim_end_matches('/').to_owned();
        let uri: Uri = base_url.parse().ok()?;
        let web = matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some()
            && uri.query().is_none();
        let (scheme, authority) = (uri.scheme().cloned()?, uri.authority().cloned()?);
        let host = host(&scheme, &authority).filter(|_| web)?;
        let base_path = uri.path().trim_end_matches('/').to_owned();
        let connections = Connections::default();
        Some(Self { base_url, scheme, authority, base_path, host, connections })
    }
}

impl Provider {
    fn new(row: &'static Row, address: Address, of_environment: InForce) -> Self {
        let of_environment = Arc::new(of_environment);
        Self {
            row,
            endpoint: None,
            own: None,
            priority: 0,
            weight: 1,
            address: ArcSwap::from_pointee(address),
            in_force: ArcSwap::new(Arc::clone(&of_environment)),
            of_environment: ArcSwap::new(of_environment),
            breaker: Breaker::default(),
            speed: Speed::default(),
        }
    }

    /// A further endpoint, as it is stored.
    fn further(own: &Self, stored: ProviderCredential, keys: &MasterKeys) -> Option<Self> {
        let own_url = &own.address().base_url;
        let base_url = if stored.base_url.is_empty() { own_url } else { &stored.base_url };
        let nothing = InForce::of_environment(own.row.credential_setting, None);
        let mut further = Self::new(own.row, Address::of(base_url)?, nothing);
        further.endpoint = Some(stored.endpoint.clone());
        (further.priority, further.weight) = (stored.priority, stored.weight);
        further.in_force.store(Arc::new(InForce::of_store(stored, keys)));
        Some(further)
    }

    /// Where it is now. A call stays where it was made.
    pub(crate) fn address(&self) -> Arc<Address> {
        self.address.load_full()
    }

    pub(crate) fn base_url(&self) -> String {
        self.address.load().base_url.clone()
    }

    /// The provider's own endpoint for an account that brings its key. It shares neither connections nor a breaker with the
    /// house's.
    fn for_account(house: &Self, key: OwnKey, keys: &MasterKeys) -> Option<Self> {
        let credential = InForce::of_account(&key, keys);
        let address = Address::of(&house.address().base_url)?;
        let mut own = Self::new(house.row, address, credential);
        own.own = Some(key);
        Some(own)
    }

    /// Whether that is an address at which one could be.
    pub(crate) fn could_be_at(base_url: &str) -> bool {
        Address::of(base_url).is_some()
    }

    /// As logs and headers name it: `openai`, `openai/eu`.
    pub(crate) fn name(&self) -> String {
        match (&self.endpoint, &self.own) {
            (None, None) => self.row.name.to_owned(),
            (Some(endpoint), _) => format!("{}/{endpoint}", self.row.name),
            (None, Some(_)) => format!("{} (own key)", self.row.name),
        }
    }

    /// Whether that is what is stored of it.
    fn is(&self, stored: &ProviderCredential) -> bool {
        self.in_force.load().stored().is_some_and(|(row, _)| row == stored)
    }

    /// Its way of speaking where there is no other choice to make.
    pub(crate) fn first(&self) -> Option<&'static Speaks> {
        self.row.speaks.first()
    }

    /// The credential that is in force now. A call keeps the one it was made with.
    pub(crate) fn credential(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }

    /// Whether there is a credential to call it with.
    pub(crate) fn is_callable(&self) -> bool {
        self.in_force.load().secret.is_some()
    }

    /// The setting of its credential, where that is set.
    pub(crate) fn is_set_in_environment(&self) -> bool {
        self.of_environment.load().secret.is_some()
    }

    /// Takes another address, with connections of its own.
    fn moves(&self, address: Address) {
        if self.address.load().base_url != address.base_url {
            self.address.store(Arc::new(address));
        }
    }

    /// Takes what the environment says now, which is in force where nothing is stored: whether it is another than before.
    fn hears(&self, of_environment: InForce) -> bool {
        let is_same = self.of_environment.load().secret == of_environment.secret;
        if is_same {
            return false;
        }
        let next = Arc::new(of_environment);
        self.of_environment.store(Arc::clone(&next));
        let is_stored = self.in_force.load().stored().is_some();
        if !is_stored {
            self.in_force.store(next);
        }
        !is_stored
    }

    /// Puts in force what is stored, or else what the environment says: whether that is another than before.
    fn take_up(&self, stored: Option<ProviderCredential>, keys: &MasterKeys) -> bool {
        let current = self.in_force.load();
        let known = current.stored().map(|(row, _)| row);
        if known == stored.as_ref() {
            return false;
        }
        let next = stored.map_or_else(
            || self.of_environment.load_full(),
            |row| Arc::new(InForce::of_store(row, keys)),
        );
        self.in_force.store(next);
        true
    }
}

/// The table joined with the settings and with what is stored.
pub(crate) struct Providers {
    all: Vec<Arc<Provider>>,
    /// Further endpoints, in the order in which they are tried.
    further: ArcSwap<Vec<Arc<Provider>>>,
    /// Where accounts are served with keys of their own.
    own: ArcSwap<HashMap<Uuid, Vec<Arc<Provider>>>>,
    /// What stored credentials are sealed with.
    pub(crate) master_keys: MasterKeys,
}

impl Providers {
    /// With the credentials of the environment.
    ///
    /// # Errors
    /// A base URL, a credential or a master key that is none, by its setting.
    pub(crate) fn from_settings(settings: &Settings) -> anyhow::Result<Self> {
        let master_keys = MasterKeys::from_settings(settings)?;
        let set = set(settings)?;
        let provider = |(row, address, heard)| Arc::new(Provider::new(row, address, heard));
        let all = set.into_iter().map(provider).collect();
        Ok(Self { all, further: ArcSwap::default(), own: ArcSwap::default(), master_keys })
    }

    /// Takes addresses and credentials from settings that were read again, all or none: the providers of which another
    /// credential is in force now.
    pub(crate) fn renew(&self, settings: &Settings) -> anyhow::Result<Vec<Arc<Provider>>> {
        let mut changed = Vec::new();
        let (further, of_accounts) = (self.further.load_full(), self.own.load_full());
        for ((row, address, heard), own) in set(settings)?.into_iter().zip(&self.all) {
            for endpoint in further.iter().filter(|endpoint| endpoint.row.name == row.name) {
                // One without an address of its own is where its provider is.
                let follows = |(stored, _): (&ProviderCredential, _)| stored.base_url.is_empty();
                if endpoint.in_force.load().stored().is_some_and(follows)
                    && let Some(address) = Address::of(&address.base_url)
                {
                    endpoint.moves(address);
                }
            }
            for account in of_accounts.values().flatten().filter(|own| own.row.name == row.name) {
                if let Some(address) = Address::of(&address.base_url) {
                    account.moves(address);
                }
            }
            own.moves(address);
            if own.hears(heard) {
                changed.push(Arc::clone(own));
            }
        }
        Ok(changed)
    }

    /// Puts in force what is stored: the endpoints of which another credential is in force now.
    pub(crate) fn take_up(&self, stored: Vec<ProviderCredential>) -> Vec<Arc<Provider>> {
        let (own, further): (Vec<_>, Vec<_>) =
            stored.into_iter().partition(|row| row.endpoint.is_empty());
        let mut own: Vec<Option<ProviderCredential>> = own.into_iter().map(Some).collect();
        let changed = self.all.iter().filter(|provider| {
            let own = own
                .iter_mut()
                .find(|row| row.as_ref().is_some_and(|row| row.provider == provider.row.name));
            provider.take_up(own.and_then(Option::take), &self.master_keys)
        });
        let mut changed: Vec<Arc<Provider>> = changed.cloned().collect();
        let before = self.further.load_full();
        let mut now = Vec::new();
        for row in further {
            if let Some(known) = before.iter().find(|known| known.is(&row)) {
                // With its connections, and what its breaker remembers.
                now.push(Arc::clone(known));
            } else if let Some(own) = self.all.iter().find(|own| own.row.name == row.provider)
                && let Some(new) = Provider::further(own, row, &self.master_keys)
            {
                let new = Arc::new(new);
                changed.push(Arc::clone(&new));
                now.push(new);
            }
        }
        self.further.store(Arc::new(now));
        changed
    }

    /// Puts in force what keys accounts have of their own: those that are others than before.
    pub(crate) fn take_up_own(&self, stored: Vec<OwnKey>) -> Vec<Arc<Provider>> {
        let before = self.own.load_full();
        let (mut now, mut changed) = (HashMap::<Uuid, Vec<Arc<Provider>>>::new(), Vec::new());
        for key in stored {
            let account = key.account_id;
            let known = before.get(&account).into_iter().flatten();
            let known = known.into_iter().find(|known| known.own.as_ref() == Some(&key));
            let own = known.cloned().or_else(|| {
                let house = self.all.iter().find(|house| house.row.name == key.provider)?;
                let new = Arc::new(Provider::for_account(house, key, &self.master_keys)?);
                changed.push(Arc::clone(&new));
                Some(new)
            });
            now.entry(account).or_default().extend(own);
        }
        self.own.store(Arc::new(now));
        changed
    }

    /// How many own keys do not open.
    pub(crate) fn own_closed(&self) -> usize {
        let own = self.own.load();
        own.values().flatten().filter(|own| !own.is_callable()).count()
    }

    /// Where an account is served with its own key, if it has one there.
    pub(crate) fn own(&self, account: Uuid, provider: &str) -> Option<Arc<Provider>> {
        let own = self.own.load();
        let mut own = own.get(&account)?.iter();
        own.find(|own| own.row.name == provider).cloned()
    }

    /// The provider of that name; `google` is another name of `gemini`.
    pub(crate) fn get(&self, name: &str) -> Option<&Provider> {
        let name = canonical(name);
        self.all.iter().find(|provider| provider.row.name == name).map(AsRef::as_ref)
    }

    /// The endpoints of a provider that can be called, by priority; its own before others of the same.
    pub(crate) fn endpoints(&self, name: &str) -> Vec<Arc<Provider>> {
        let further = self.further.load();
        let all = self.all.iter().chain(further.iter());
        let own = all.filter(|endpoint| endpoint.row.name == name && endpoint.is_callable());
        let mut own: Vec<Arc<Provider>> = own.cloned().collect();
        own.sort_by_key(|endpoint| endpoint.priority);
        own
    }

    /// Further endpoints of all providers.
    pub(crate) fn further(&self) -> Arc<Vec<Arc<Provider>>> {
        self.further.load_full()
    }

    /// Whether a provider can be called, at any of its endpoints.
    pub(crate) fn can_call(&self, name: &str) -> bool {
        let further = self.further.load();
        let mut all = self.all.iter().chain(further.iter());
        all.any(|endpoint| endpoint.row.name == name && endpoint.is_callable())
    }

    /// Whether a provider can be called for an account, be it with its own key.
    pub(crate) fn can_call_for(&self, account: Uuid, name: &str) -> bool {
        self.can_call(name) || self.own(account, name).is_some_and(|own| own.is_callable())
    }

    /// Whether any of them is called by TLS.
    pub(crate) fn need_tls(&self) -> bool {
        let further = self.further.load();
        let mut all = self.all.iter().chain(further.iter());
        all.any(|endpoint| endpoint.address().scheme == Scheme::HTTPS && endpoint.is_callable())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.all.iter().map(AsRef::as_ref)
    }
}

/// What the settings say of each provider, in the order of the table.
fn set(settings: &Settings) -> anyhow::Result<Vec<(&'static Row, Address, InForce)>> {
    let mut set = Vec::new();
    for row in &ROWS {
        let (key, base_url) = settings.provider(row.name);
        let setting = row.credential_setting;
        let secret = key.cloned().map(Secret::of).transpose().map_err(|_| {
            anyhow::anyhow!("{setting}: has a character that no key has, such as a line's end")
        })?;
        let heard = InForce::of_environment(setting, secret);
        let address = Address::of(base_url.unwrap_or(row.base_url)).ok_or_else(|| {
            let setting = setting.replace("_API_KEY", "_BASE_URL");
            anyhow::anyhow!("{setting}: expected a URL such as {}", row.base_url)
        })?;
        set.push((row, address, heard));
    }
    Ok(set)
}

fn host(scheme: &Scheme, authority: &Authority) -> Option<HeaderValue> {
    let usual = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    let host = match authority.port_u16() {
        Some(port) if port != usual => format!("{}:{port}", authority.host()),
        _ => authority.host().to_owned(),
    };
    HeaderValue::try_from(host).ok()
}

/// The name under which a provider is kept: `google` is another name of `gemini`.
pub(crate) fn canonical(provider: &str) -> &str {
    if provider == "google" { "gemini" } else { provider }
}

/// A model's own name, whether or not its provider stands in front of it.
pub(crate) fn bare_model<'a>(provider: &str, model: &'a str) -> &'a str {
    match model.split_once('/') {
        Some((prefix, rest)) if canonical(prefix) == provider => rest,
        _ => model,
    }
}

/// The names of all providers, for messages.
pub(crate) fn names() -> String {
    ROWS.map(|row| row.name).join(", ")
}
