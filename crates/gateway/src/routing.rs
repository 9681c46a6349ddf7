//! Step 4 of a request: which provider and model, in which dialect, at which prices. From an immutable snapshot.

use std::sync::Arc;

use http::StatusCode;
use ledger::{Catalogue, Meter, Model, Terms};
use wire::Dialect;
use wire::chat::Tool;
use wire::peek::SortBy;

use crate::app::App;
use crate::config::Settings;
use crate::credentials;
use crate::face::Speech;
use crate::inbound::{Inbound, Operation, Wanted};
use crate::native;
use crate::other_models;
use crate::preference;
use crate::problem::{Problem, shortened};
use crate::providers::{self, Provider, Speaks};
use crate::snapshot::{KeyEntry, Snapshot};
use crate::sticky;

/// What the price list says of a model that thinks.
const REASONS: &str = "supports_reasoning";

/// Where a request may go, in the order in which it is tried; never empty.
pub(crate) struct Plan {
    pub(crate) targets: Vec<Target>,
    /// Whether a model may be asked at several endpoints.
    pub(crate) is_spread: bool,
    /// The price version pinned for this request, and its prices.
    pub(crate) price_version: i64,
    pub(crate) catalogue: Arc<Catalogue>,
    /// The moment whose prices apply.
    pub(crate) at: i64,
    /// The settings that it is worked on with, whatever is set meanwhile.
    pub(crate) settings: Arc<Settings>,
}

/// One model of one provider, and how it is spoken to.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) provider: &'static str,
    /// Where it is asked.
    pub(crate) endpoint: Arc<Provider>,
    pub(crate) model: String,
    pub(crate) speaks: &'static Speaks,
    pub(crate) max_output_tokens: Option<u64>,
    pub(crate) reasoning: bool,
    /// Whether it is of the older kind that takes a prompt in place of messages.
    pub(crate) completes: bool,
}

impl Target {
    pub(crate) fn dialect(&self) -> &'static dyn Dialect {
        self.speaks.dialect
    }

    /// Whether it is called with the account's own key, so that the provider bills the account itself.
    pub(crate) fn is_direct(&self) -> bool {
        self.endpoint.own.is_some()
    }

    /// The commission on the provider's price, in basis points.
    pub(crate) fn commission_bps(&self, settings: &Settings) -> u32 {
        if self.is_direct() { settings.byok_commission_bps } else { settings.commission_bps }
    }

    /// Whether it is the same model.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.provider == other.provider && self.model == other.model
    }

    /// As the dialects want to know it.
    pub(crate) fn wire(&self) -> wire::Target<'_> {
        wire::Target {
            provider: self.provider,
            model: &self.model,
            max_output_tokens: self.max_output_tokens,
            reasoning: self.reasoning,
        }
    }
}

/// Finds the models asked for. One that cannot be had is passed over where there is another; the first one's fault is
/// what the client is told.
pub(crate) fn plan(
    app: &App,
    snapshot: &Snapshot,
    key: &KeyEntry,
    inbound: &Inbound,
    at: i64,
) -> Result<Plan, Problem> {
    let settings = app.live.load_full();
    let mut targets: Vec<Target> = Vec::new();
    let mut fault = None;
    for wanted in &inbound.wanted {
        match target(app, snapshot, key, inbound, (wanted, &settings), at) {
            // Under two names it is still one.
            Ok((target, _)) if targets.iter().any(|known| known.is(&target)) => {}
            Ok((target, served)) => spread(inbound, target, served, &mut targets),
            Err(problem) => fault = fault.or(Some(problem)),
        }
    }
    match (targets.is_empty(), fault) {
        (true, Some(problem)) => Err(problem),
        (true, None) => Err(Problem::internal("a request without a model")),
        (false, _) => Ok(Plan {
            is_spread: targets.windows(2).any(|two| two[0].is(&two[1])),
            targets: preference::sort_models(
                inbound.peek.provider.sort,
                &snapshot.catalogue,
                at,
                targets,
            ),
            price_version: snapshot.price_version,
            catalogue: Arc::clone(&snapshot.catalogue),
            at,
            settings,
        }),
    }
}

/// At which endpoints a provider serves a request.
struct Served {
    /// That of the account's own key, which goes first.
    own: Option<Arc<Provider>>,
    /// Those of the house, by priority.
    house: Vec<Arc<Provider>>,
    /// By what the client wants those in order.
    sort: Option<SortBy>,
}

/// A target for each endpoint at which the model is served, in the order in which they are tried: by priority, and among
/// equals by the conversation, so that all of one goes to the same endpoint as long as that does well. There are its caches,
/// and what it has sealed of the model's thoughts.
fn spread(inbound: &Inbound, target: Target, served: Served, targets: &mut Vec<Target>) {
    let Served { own, mut house, sort } = served;
    if own.is_none() && house.len() < 2 {
        return targets.push(target);
    }
    if house.len() > 1 {
        let conversation = sticky::conversation(inbound);
        house.sort_by_cached_key(|endpoint| {
            let share = sticky::share(conversation, &endpoint.name(), endpoint.weight);
            (endpoint.priority, std::cmp::Reverse(share))
        });
        if let Some(by) = sort {
            preference::sort_endpoints(by, &mut house);
        }
        preference::order_endpoints(&inbound.peek.provider, &mut house);
    }
    let endpoints = own.into_iter().chain(house);
    let endpoints = endpoints.take(preference::most_endpoints(&inbound.peek.provider));
    targets.extend(endpoints.map(|endpoint| Target { endpoint, ..target.clone() }));
}

/// Where a provider serves this request. An account's own key goes before the house's credential, which takes its place when
/// it fails, unless its owner says otherwise.
fn served(
    app: &App,
    key: &KeyEntry,
    inbound: &Inbound,
    provider: &Provider,
    field: &str,
) -> Result<Served, Problem> {
    let name = provider.row.name;
    let own = app.providers.own(key.account_id, name);
    let always = own.as_ref().and_then(|own| own.own.as_ref()).is_some_and(|key| key.always);
    let mut house = if always { Vec::new() } else { app.providers.endpoints(name) };
    let has_house = !house.is_empty();
    let preferences = &inbound.peek.provider;
    preference::keep_endpoints(preferences, &mut house);
    // Who asks for an endpoint of the house's by its name has a reason.
    let own = own.filter(|_| preference::wants_provider(preferences, name));
    let is_closed = own.as_ref().is_some_and(|own| !own.is_callable());
    let own = own.filter(|own| own.is_callable());
    if own.is_some() || !house.is_empty() {
        return Ok(Served { own, house, sort: None });
    }
    Err(match (always, is_closed) {
        (true, false) => left_out(name),
        (_, true) => own_key_closed(name),
        (false, false) if has_house => no_endpoint(name),
        (false, false) => not_set_up(field, provider),
    })
}

/// What a client asks for, and every endpoint at which it may be asked, of which the target has one.
fn target(
    app: &App,
    snapshot: &Snapshot,
    key: &KeyEntry,
    inbound: &Inbound,
    (wanted, settings): (&Wanted, &Settings),
    at: i64,
) -> Result<(Target, Served), Problem> {
    let (provider, known) = find(app, snapshot, wanted)?;
    let (name, model) = (provider.row.name, known.name.as_str());
    if !is_priced(known, inbound.operation, at) {
        return Err(unpriced(wanted, name, model));
    }
    if !key.may_use(name, model) {
        return Err(forbidden(name, model));
    }
    other_models::check(key, inbound, name)?;
    if let Speech::Native = inbound.face.speech {
        native::chat::check_max_tokens(inbound.chat()?, known.info.max_output_tokens)?;
    }
    if let Some(problem) = unwanted(inbound, name) {
        return Err(problem);
    }
    let (max_price, bps) = (inbound.peek.provider.max_price.as_ref(), settings.commission_bps);
    preference::too_dear(max_price, known, at, bps)?;
    let mut served = served(app, key, inbound, provider, field_of_provider(wanted))?;
    served.sort = preference::sort_of(inbound, wanted, known);
    let endpoint = served.house.first().or(served.own.as_ref()).cloned();
    let endpoint = endpoint.ok_or_else(|| not_set_up(field_of_provider(wanted), provider))?;
    let target = Target {
        provider: name,
        endpoint,
        model: known.name.clone(),
        speaks: speaks(provider, known, inbound)
            .ok_or_else(|| Problem::internal("a provider without a dialect"))?,
        max_output_tokens: known.info.max_output_tokens,
        reasoning: known.info.has(REASONS),
        completes: known.info.mode == "completion",
    };
    Ok((target, served))
}

/// The provider and the model that a client names: by another name for it, by `provider/model`, or by a bare name that one
/// provider alone has.
pub(crate) fn find<'a>(
    app: &'a App,
    snapshot: &'a Snapshot,
    wanted: &Wanted,
) -> Result<(&'a Provider, &'a Model), Problem> {
    let name = wanted.model.strip_prefix("models/").unwrap_or(&wanted.model);
    let other = || aliased(app, snapshot, wanted, without_choice(name)?);
    if let Some(found) = aliased(app, snapshot, wanted, name).or_else(other) {
        return found;
    }
    if let Some(provider) = &wanted.provider {
        let known = app.providers.get(provider).ok_or_else(|| unknown_provider(provider))?;
        let prefix = known.row.name;
        let model = providers::bare_model(prefix, name);
        let found = snapshot.model(prefix, model);
        return Ok((known, found.ok_or_else(|| unknown_model(wanted, prefix, model))?));
    }
    let named = name.split_once('/');
    if let Some((prefix, model)) = named
        && let Some(provider) = app.providers.get(prefix)
    {
        let found = in_catalogue(snapshot, provider.row.name, model)?;
        return Ok((
            provider,
            found.ok_or_else(|| unknown_model(wanted, provider.row.name, model))?,
        ));
    }
    let mut found = None;
    for provider in app.providers.iter() {
        if let Some(model) = in_catalogue(snapshot, provider.row.name, name)? {
            if found.is_some() {
                let message = format!(
                    "model: several providers have {name}; write provider/model",
                    name = quoted(name)
                );
                return Err(Problem::bad_request(message).with_code("ambiguous_model"));
            }
            found = Some((provider, model));
        }
    }
    found.ok_or_else(|| {
        let message = format!(
            "model: {} is in no provider's price list; GET /v1/models names what is",
            quoted(name)
        );
        Problem::new(StatusCode::NOT_FOUND, "unknown_model", message)
    })
}

/// What another name stands for. It is looked at first, so that it goes on meaning the same whatever a price list brings.
fn aliased<'a>(
    app: &'a App,
    snapshot: &'a Snapshot,
    wanted: &Wanted,
    name: &str,
) -> Option<Result<(&'a Provider, &'a Model), Problem>> {
    let alias = snapshot.aliases.get(name)?;
    let named = wanted.provider.as_deref().map(providers::canonical);
    if named.is_some_and(|provider| provider != alias.provider) {
        return None;
    }
    let provider = app.providers.get(&alias.provider)?;
    let model = snapshot.catalogue.get(&alias.provider, &alias.model);
    if model.is_some_and(|model| snapshot.hides(model)) {
        return None;
    }
    Some(
        model
            .map(|model| (provider, model))
            .ok_or_else(|| unknown_model(wanted, provider.row.name, &alias.model)),
    )
}

/// The name in front of a variant that asks for a choice among endpoints (`preference::sort_of`).
fn without_choice(name: &str) -> Option<&str> {
    name.strip_suffix(":nitro").or_else(|| name.strip_suffix(":floor"))
}

/// `OpenRouter` writes Anthropic's versions with a dot, and may put a variant behind a colon.
fn in_catalogue<'a>(
    snapshot: &'a Snapshot,
    provider: &str,
    model: &str,
) -> Result<Option<&'a Model>, Problem> {
    const KNOWN: [&str; 6] = ["free", "online", "thinking", "extended", "exacto", "beta"];
    let get = |model: &str| {
        let dashed = || (provider == "anthropic").then(|| model.replace('.', "-"));
        snapshot.model(provider, model).or_else(|| snapshot.model(provider, &dashed()?))
    };
    if let Some(found) = get(model) {
        return Ok(Some(found));
    }
    if let Some(base) = without_choice(model) {
        return Ok(get(base));
    }
    match model.rsplit_once(':') {
        Some((base, variant)) if KNOWN.contains(&variant) && get(base).is_some() => {
            Err(Problem::bad_request(format!(
                "model: the variant `:{variant}` is not offered here; leave it out"
            )))
        }
        _ => Ok(None),
    }
}

fn is_priced(model: &Model, operation: Operation, at: i64) -> bool {
    match operation {
        Operation::Chat => model.price.prices_text(at),
        Operation::Embed => {
            let rates = model.price.rates(0, &Terms { at, ..Terms::default() });
            rates.is_ok_and(|rates| rates.get(Meter::Input).is_some())
        }
        // Counting costs nothing.
        Operation::Count => true,
    }
}

/// Whether a client means that provider by `name`: `OpenRouter` has several beginning with `google` for Gemini's.
pub(crate) fn is_provider(name: &str, provider: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == provider || (provider == "gemini" && name.starts_with("google") && !name.contains('/'))
}

/// What the client's own preferences say against a provider.
fn unwanted(inbound: &Inbound, provider: &str) -> Option<Problem> {
    let preferences = &inbound.peek.provider;
    let is = |name: &str| is_provider(name, provider);
    let names = |list: &Option<Vec<String>>| {
        // One of its endpoints is reason enough to ask it.
        let part = |name: &String| is(name.split_once('/').map_or(name, |(name, _)| name));
        // One that names nobody says nothing.
        list.as_ref().filter(|list| !list.is_empty()).map(|list| list.iter().any(part))
    };
    let ignored = preferences.ignore.as_ref().is_some_and(|list| list.iter().any(|name| is(name)));
    let excluded = names(&preferences.only) == Some(false)
        || ignored
        || (preferences.allow_fallbacks == Some(false) && names(&preferences.order) == Some(false));
    excluded.then(|| left_out(provider))
}

fn left_out(provider: &str) -> Problem {
    let message =
        format!("provider: your preferences leave out {provider}, which alone has this model");
    Problem::new(StatusCode::NOT_FOUND, "no_provider", message)
}

/// 404: the endpoints that a client names are not there, and no other is to take their place.
fn no_endpoint(provider: &str) -> Problem {
    let message = format!("provider: {provider} has no endpoint here that your preferences allow");
    Problem::new(StatusCode::NOT_FOUND, "no_provider", message)
}

/// 503: an account wants its own key to be called with, which does not open.
fn own_key_closed(provider: &str) -> Problem {
    tracing::error!(provider, "a request needs an account's own key, which does not open");
    let message = format!(
        "your own {provider} key cannot be opened here, and you let no other take its place; set it anew, or tell the operator"
    );
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "own_key_closed", message)
}

/// The dialect for this request: the client's own where the provider speaks it, so that bytes pass.
fn speaks(provider: &Provider, model: &Model, inbound: &Inbound) -> Option<&'static Speaks> {
    let of = |name: &str| provider.row.speaks.iter().find(|speaks| speaks.dialect.name() == name);
    if provider.row.name == "openai" && needs_responses(model, inbound) {
        return of(wire::openai_responses::NAME);
    }
    let own = inbound.face.dialect().and_then(|dialect| of(dialect.name()));
    let own = own.filter(|own| {
        own.dialect.name() != wire::openai_responses::NAME || takes(provider, inbound)
    });
    own.or_else(|| provider.first())
}

/// `DeepSeek` takes a part of the Responses API, and passes over the rest without a word. Whoever asks for more gets it by
/// its own way.
fn takes(provider: &Provider, inbound: &Inbound) -> bool {
    provider.row.name != "deepseek"
        || wire::deepseek::documents(wire::openai_responses::NAME, &inbound.body, true)
}

/// Some models of `OpenAI` are behind the newer API alone; others take tools there alone; there alone are tools of its own,
/// such as the search of the web; and there alone those that reason show their thoughts, to clients whose dialect has a
/// place for them.
fn needs_responses(model: &Model, inbound: &Inbound) -> bool {
    let foreign = inbound.face.dialect().is_some_and(|own| own.name() != wire::openai_chat::NAME);
    model.info.mode == "responses"
        || (inbound.peek.tools && wire::needs_responses(&model.name, inbound.peek.quiet))
        || ((foreign || inbound.peek.openrouter) && model.info.has(REASONS))
        || ((foreign || inbound.peek.openrouter)
            && wants_hosted_tools(inbound)
            && !wire::openai_searches(&model.name))
}

/// Whether a request that has to be read anyway offers tools that run at the provider.
fn wants_hosted_tools(inbound: &Inbound) -> bool {
    let hosted = |tool: &Tool| matches!(tool, Tool::Hosted { .. });
    // OpenRouter's clients may ask for them beside their tools.
    let may = inbound.peek.tools || inbound.peek.openrouter;
    may && inbound.chat().is_ok_and(|chat| chat.tools.iter().any(hosted))
}

/// The field in which the client named the model.
fn field(wanted: &Wanted) -> &'static str {
    if wanted.provider.is_some() { "model_name" } else { "model" }
}

fn unknown_provider(name: &str) -> Problem {
    let known = providers::names();
    let message = format!("providerName: {} is not known; expected one of {known}", quoted(name));
    Problem::new(StatusCode::BAD_REQUEST, "unknown_provider", message)
}

fn unknown_model(wanted: &Wanted, provider: &str, model: &str) -> Problem {
    let field = field(wanted);
    let message = format!("{field}: {provider} has no model {} in the price list", quoted(model));
    Problem::new(StatusCode::NOT_FOUND, "unknown_model", message)
}

fn unpriced(wanted: &Wanted, provider: &str, model: &str) -> Problem {
    let field = field(wanted);
    let message = format!(
        "{field}: {provider}/{model} has no price for text tokens, so it cannot be used here"
    );
    Problem::bad_request(message).with_code("unpriced_model")
}

pub(crate) fn forbidden(provider: &str, model: &str) -> Problem {
    let message = format!("this API key may not use {provider}/{model}");
    Problem::new(StatusCode::FORBIDDEN, "model_not_allowed", message)
}

/// The field in which the client named the provider.
fn field_of_provider(wanted: &Wanted) -> &'static str {
    if wanted.provider.is_some() { "providerName" } else { "model" }
}

/// 503: there is nothing to call the provider with. Why is the operator's business.
pub(crate) fn not_set_up(field: &str, provider: &Provider) -> Problem {
    let (name, credential) = (provider.row.name, provider.credential());
    if let Some((_, Some(closed))) = credential.stored() {
        let remedy = credentials::remedy(name);
        tracing::error!(provider = name, %closed, remedy, "a request needs a provider whose stored credential does not open");
    } else {
        let setting = provider.row.credential_setting;
        tracing::error!(setting, "a request needs a provider without a key");
    }
    let message = format!("{field}: {name} has no credential here; the operator has to set one");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "provider_not_configured", message)
}

/// A client's word, short enough for a message.
pub(crate) fn quoted(word: &str) -> String {
    format!("{:?}", shortened(word, 80))
}
