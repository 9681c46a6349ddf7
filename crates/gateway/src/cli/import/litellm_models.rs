//! The models of `LiteLLM`'s config.yaml: which of ours they are, under which other names, at which prices.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use http::Uri;
use ledger::{Catalogue, Meter, Model, Rates};
use store::ModelAlias;

use super::litellm_config::{Config, Costs, Credential, Deployment};
use super::prices::{self, Elsewhere};
use super::report::Report;
use crate::manage::aliases;
use crate::{clock, providers};

/// What of them comes.
pub(super) struct Models {
    pub(super) prices: Vec<Model>,
    pub(super) aliases: Vec<ModelAlias>,
    /// Ids of models by all names that clients may use.
    pub(super) names: Names,
}

/// Ids of models by other names; what is in the price list has its own name.
pub(super) type Names = HashMap<String, String>;

pub(super) const WHAT: &str = "model_list";
const ALIASES: &str = "aliases";
const PRICES: &str = "prices";

pub(super) fn plan(
    config: &Config,
    base: &Catalogue,
    known: &[ModelAlias],
    mode: prices::Mode,
    report: &mut Report,
) -> Models {
    let mut names: Names =
        known.iter().map(|alias| (alias.alias.clone(), alias.model_id.clone())).collect();
    let mut elsewhere = BTreeMap::new();
    let mut placed = Vec::new();
    report.count(WHAT).found = config.deployments.len() as u64;
    for deployment in &config.deployments {
        match place(deployment, base) {
            Ok((provider, model)) => {
                price(deployment, &provider, &model, &mut elsewhere, report);
                placed.push((deployment, provider, model));
            }
            Err(why) => report.refuse(WHAT, shown(deployment), why, 1),
        }
    }
    report.count(PRICES).found = elsewhere.len() as u64;
    let changed = prices::plan(base, elsewhere.into_values().collect(), mode, report);
    let sold = base.overlaid(&changed.iter().cloned().collect());
    let mut plan = Models { prices: changed, aliases: Vec::new(), names: Names::new() };
    let mut first: HashMap<&str, String> = HashMap::new();
    for (deployment, provider, model) in placed {
        let id = format!("{provider}/{model}");
        if sold.get(&provider, &model).is_none() {
            let why = format!("{id} is not in the price list; `tollgate prices import` adds it");
            report.refuse(WHAT, shown(deployment), why, 1);
        } else if let Some(first) = first.get(deployment.name.as_str()) {
            let why =
                format!("{} is {first} already: the first deployment counts", deployment.name);
            report.refuse(WHAT, shown(deployment), why, 1);
        } else {
            let (name, hidden) = (deployment.name.as_str(), false);
            if plan.name((name, &id, hidden), &sold, &names, report, WHAT) {
                names.insert(name.to_owned(), id.clone());
            }
            first.insert(name, id);
        }
    }
    report.count(ALIASES).found = config.aliases.len() as u64;
    for (name, of, hidden) in &config.aliases {
        match resolve(of, &sold, &names) {
            Some(id) => {
                if plan.name((name, &id, *hidden), &sold, &names, report, ALIASES) {
                    names.insert(name.clone(), id);
                }
            }
            None => report.refuse(ALIASES, name, format!("there is no model {of} here"), 1),
        }
    }
    left(config, report);
    credentials(config, report);
    plan.names = names;
    plan
}

impl Models {
    /// Notes a name for a model, unless the model is called that anyway. False where the name means something else here.
    fn name(
        &mut self,
        (name, id, hidden): (&str, &str, bool),
        sold: &Catalogue,
        names: &Names,
        report: &mut Report,
        what: &'static str,
    ) -> bool {
        let own = id == name || own_name(sold, name).is_some_and(|own| own == id);
        if own || names.get(name).is_some_and(|known| known == id) {
            report.count(what).here += 1;
            return true;
        }
        let other = names.get(name).map(|known| {
            format!("{name} is {known} here, and {id} there; `tollgate model alias add` changes it")
        });
        let faults = [
            other,
            aliases::name(name).err(),
            aliases::check(sold, name).err().map(|why| format!("{why}, and {id} there")),
        ];
        if let Some(why) = faults.into_iter().flatten().next() {
            report.refuse(what, name, why, 1);
            return false;
        }
        report.count(what).comes += 1;
        self.aliases.push(ModelAlias {
            alias: name.to_owned(),
            model_id: id.to_owned(),
            hidden,
            created_at: clock::now(),
        });
        true
    }
}

/// The id of the model that a bare name means by itself.
fn own_name(sold: &Catalogue, name: &str) -> Option<String> {
    let mut found = sold.providers_of(name);
    let (one, other) = (found.next()?, found.next());
    other.is_none().then(|| format!("{}/{}", one.provider, one.name))
}

/// The id of the model that a name means: another name, an id, or its own.
pub(super) fn resolve(name: &str, sold: &Catalogue, names: &Names) -> Option<String> {
    names
        .get(name)
        .cloned()
        .or_else(|| aliases::model(sold, name).ok())
        .or_else(|| own_name(sold, name))
}

fn shown(deployment: &Deployment) -> String {
    format!("{} ({})", deployment.name, deployment.model)
}

/// The provider and the model of a deployment, or why it is none of ours.
fn place(deployment: &Deployment, base: &Catalogue) -> Result<(String, String), String> {
    let model = deployment.model.as_str();
    if model.contains('*') || deployment.name.contains('*') {
        return Err("a wildcard; every model of a provider has its own name here".to_owned());
    }
    let (provider, model) = match model.split_once('/') {
        Some((provider, rest)) => (providers::canonical(provider).to_owned(), rest.to_owned()),
        None => match own_name(base, model).and_then(|id| {
            id.split_once('/').map(|(provider, name)| (provider.to_owned(), name.to_owned()))
        }) {
            Some(found) => found,
            None => return Err(format!("no provider here has a model {model}")),
        },
    };
    let Some(row) = providers::ROWS.iter().find(|row| row.name == provider) else {
        return Err(format!("there is no provider {provider}; there are {}", providers::names()));
    };
    if let Some(base_url) = &deployment.api_base
        && host(base_url) != host(row.base_url)
    {
        let setting = row.credential_setting.replace("_API_KEY", "_BASE_URL");
        return Err(format!(
            "it has an address of its own; a provider has one here, which {setting} can change"
        ));
    }
    let model = model.strip_prefix("responses/").unwrap_or(&model).to_owned();
    Ok((provider, model))
}

fn host(url: &str) -> Option<String> {
    url.parse::<Uri>().ok()?.host().map(str::to_ascii_lowercase)
}

/// Notes what a deployment says of its price.
fn price(
    deployment: &Deployment,
    provider: &str,
    model: &str,
    elsewhere: &mut BTreeMap<(String, String), Elsewhere>,
    report: &mut Report,
) {
    let (key, id) = ((provider.to_owned(), model.to_owned()), format!("{provider}/{model}"));
    let mode = deployment.mode.clone();
    match rates(&deployment.costs, &mode) {
        Ok(None) => {}
        Ok(Some(rates)) => match elsewhere.get(&key) {
            Some(known) if known.rates != rates => {
                report.leave(PRICES, id, "it has several prices there: the first counts", 1);
            }
            Some(_) => {}
            None => {
                let (provider, model) = key.clone();
                elsewhere.insert(key, Elsewhere { provider, model, mode, rates });
            }
        },
        Err(why) => report.leave(PRICES, id, why, 1),
    }
}

fn rates(costs: &Costs, mode: &str) -> Result<Option<Rates>, String> {
    let all = [
        ("input_cost_per_token", Meter::Input, &costs.input),
        ("output_cost_per_token", Meter::Output, &costs.output),
        ("cache_read_input_token_cost", Meter::CacheRead, &costs.cache_read),
        ("cache_creation_input_token_cost", Meter::CacheWrite5m, &costs.cache_write),
    ];
    let mut rates = Rates::default();
    for (name, meter, text) in all {
        let Some(text) = text else { continue };
        // Vectors cost nothing on their way out.
        if mode == "embedding" && meter == Meter::Output {
            continue;
        }
        rates.set(meter, prices::unit(text).map_err(|why| format!("{name}: {why}"))?);
    }
    if rates.is_empty() {
        return Ok(None);
    }
    let needed = [Meter::Input, Meter::Output];
    let missing = needed.into_iter().find(|meter| {
        rates.get(*meter).is_none() && !(mode == "embedding" && *meter == Meter::Output)
    });
    match missing {
        Some(meter) => Err(format!("it has no price for {}", meter.name())),
        None => Ok(Some(rates)),
    }
}

/// Says which settings stay behind.
fn left(config: &Config, report: &mut Report) {
    for (path, times) in &config.left {
        let why = if path.contains("fallbacks") {
            "a request names its other models itself, in `models`"
        } else if path.ends_with("master_key") {
            "there is no key to everything; `tollgate key create --scope` makes what is needed"
        } else if path.starts_with("model_list[].litellm_params.") {
            "a provider is set up once, by settings, and parameters are the request's"
        } else if path.starts_with("model_list[].model_info.") {
            "the price list says what a model can do"
        } else {
            "a setting of LiteLLM's own"
        };
        report.leave("config.yaml", path, why, *times);
    }
}

/// Says where the providers' keys belong.
fn credentials(config: &Config, report: &mut Report) {
    let mut told = BTreeSet::new();
    for deployment in &config.deployments {
        let provider = deployment.model.split_once('/').map_or("openai", |(provider, _)| provider);
        let provider = providers::canonical(provider);
        let Some(row) = providers::ROWS.iter().find(|row| row.name == provider) else { continue };
        let had = match &deployment.credential {
            Credential::Unsaid => continue,
            Credential::Written => "the one in config.yaml is not brought".to_owned(),
            Credential::Variable(name) => format!("LiteLLM had it in {name}"),
        };
        told.insert(format!(
            "The key of {provider} belongs into {}; {had}.",
            row.credential_setting
        ));
    }
    for note in told {
        report.note(note);
    }
}
