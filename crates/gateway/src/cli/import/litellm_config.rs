//! `LiteLLM`'s config.yaml, as far as it is understood. Prices are kept as they are written, not as floats; keys of providers
//! are looked at for being there, and never kept.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

/// The file.
#[derive(Debug, Default)]
pub(super) struct Config {
    pub(super) deployments: Vec<Deployment>,
    /// Other names for names of models: the name, what it stands for, and whether it is hidden.
    pub(super) aliases: Vec<(String, String, bool)>,
    /// Settings that nothing here corresponds to, by path, with how often they are there.
    pub(super) left: BTreeMap<String, u64>,
}

/// One entry of `model_list`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Deployment {
    /// What clients call it.
    pub(super) name: String,
    /// What `LiteLLM` calls it: `openai/gpt-4o`.
    pub(super) model: String,
    pub(super) api_base: Option<String>,
    pub(super) credential: Credential,
    pub(super) mode: String,
    /// Dollars a token, as written.
    pub(super) costs: Costs,
}

/// Where the provider's key is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Credential {
    /// It is not said.
    #[default]
    Unsaid,
    /// In the file.
    Written,
    /// In that variable of the environment.
    Variable(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Costs {
    #[serde(rename = "input_cost_per_token")]
    pub(super) input: Option<String>,
    #[serde(rename = "output_cost_per_token")]
    pub(super) output: Option<String>,
    #[serde(rename = "cache_read_input_token_cost")]
    pub(super) cache_read: Option<String>,
    #[serde(rename = "cache_creation_input_token_cost")]
    pub(super) cache_write: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    model_list: Option<Vec<Entry>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    model_name: Option<String>,
    litellm_params: Option<Params>,
    model_info: Option<Info>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Params {
    model: Option<String>,
    api_base: Option<String>,
    base_url: Option<String>,
    api_key: Option<String>,
    input_cost_per_token: Option<String>,
    output_cost_per_token: Option<String>,
    cache_read_input_token_cost: Option<String>,
    cache_creation_input_token_cost: Option<String>,
}

/// Without the key, whatever is printed.
impl std::fmt::Debug for Params {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Params").field("model", &self.model).finish_non_exhaustive()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Info {
    mode: Option<String>,
    input_cost_per_token: Option<String>,
    output_cost_per_token: Option<String>,
    cache_read_input_token_cost: Option<String>,
    cache_creation_input_token_cost: Option<String>,
}

/// What of an entry is understood, or says nothing that is lost.
const UNDERSTOOD: [&str; 11] = [
    "model_list[].model_name",
    "model_list[].litellm_params.model",
    "model_list[].litellm_params.api_base",
    "model_list[].litellm_params.base_url",
    "model_list[].litellm_params.api_key",
    "model_list[].model_info.mode",
    "model_list[].model_info.id",
    "model_list[].model_info.base_model",
    "router_settings.model_group_alias",
    "model_list[].litellm_params",
    "model_list[].model_info",
];
const COSTS: [&str; 4] = [
    "input_cost_per_token",
    "output_cost_per_token",
    "cache_read_input_token_cost",
    "cache_creation_input_token_cost",
];

/// Reads the file.
///
/// # Errors
/// Where it is no YAML, or of another shape. What it says is not repeated: it has keys in it.
pub(super) fn read(text: &str) -> anyhow::Result<Config> {
    let file: Option<File> = serde_saphyr::from_str(text).map_err(|error| place(&error))?;
    let all: Option<BTreeMap<String, Value>> =
        serde_saphyr::from_str(text).map_err(|error| place(&error))?;
    let mut config = Config::default();
    for (place, entry) in
        file.unwrap_or_default().model_list.unwrap_or_default().into_iter().enumerate()
    {
        let deployment = entry.deployment();
        let deployment = deployment.with_context(|| {
            format!("model_list: entry {} has no model_name or no litellm_params.model", place + 1)
        });
        config.deployments.push(deployment?);
    }
    for (section, value) in all.unwrap_or_default() {
        if section == "model_list" {
            for entry in value.as_array().into_iter().flatten() {
                leave(&mut config.left, "model_list[]", entry, 2);
            }
            continue;
        }
        if section == "router_settings" {
            config.aliases = aliases(&value["model_group_alias"]);
        }
        leave(&mut config.left, &section, &value, 1);
    }
    Ok(config)
}

/// The place of a fault and its kind, without the line itself.
fn place(error: &serde_saphyr::Error) -> anyhow::Error {
    let at = error.location().map_or_else(
        || "somewhere".to_owned(),
        |place| format!("line {}, column {}", place.line(), place.column()),
    );
    anyhow::anyhow!("{at}: this is no YAML of the shape that LiteLLM's config.yaml has")
}

impl Entry {
    fn deployment(self) -> Option<Deployment> {
        let (params, info) = (self.litellm_params?, self.model_info.unwrap_or_default());
        let credential = match params.api_key.as_deref().filter(|key| !key.is_empty()) {
            None => Credential::Unsaid,
            Some(key) => key
                .strip_prefix("os.environ/")
                .map_or(Credential::Written, |name| Credential::Variable(name.to_owned())),
        };
        Some(Deployment {
            name: self.model_name?,
            model: params.model?,
            api_base: params.api_base.or(params.base_url),
            credential,
            mode: info.mode.unwrap_or_else(|| "chat".to_owned()),
            costs: Costs {
                input: params.input_cost_per_token.or(info.input_cost_per_token),
                output: params.output_cost_per_token.or(info.output_cost_per_token),
                cache_read: params.cache_read_input_token_cost.or(info.cache_read_input_token_cost),
                cache_write: params
                    .cache_creation_input_token_cost
                    .or(info.cache_creation_input_token_cost),
            },
        })
    }
}

/// Notes settings by their path, without their values, down to a depth.
fn leave(left: &mut BTreeMap<String, u64>, path: &str, value: &Value, depth: u8) {
    let Some(map) = value.as_object().filter(|_| depth > 0) else {
        if !UNDERSTOOD.contains(&path) && !value.is_null() {
            *left.entry(path.to_owned()).or_default() += 1;
        }
        return;
    };
    for (name, value) in map {
        if !COSTS.contains(&name.as_str()) {
            leave(left, &format!("{path}.{name}"), value, depth - 1);
        }
    }
}

fn aliases(value: &Value) -> Vec<(String, String, bool)> {
    let each = value.as_object().into_iter().flatten();
    let read = |(name, target): (&String, &Value)| {
        let model = target.as_str().or_else(|| target["model"].as_str())?;
        let hidden = target["hidden"].as_bool().unwrap_or(false);
        Some((name.clone(), model.to_owned(), hidden))
    };
    each.filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
defaults: &defaults
  api_key: sk-a-secret-of-the-provider
model_list:
  - model_name: fast
    litellm_params:
      <<: *defaults
      model: openai/gpt-4o-mini
      rpm: 10
    model_info: {mode: chat, input_cost_per_token: 0.00000015, output_cost_per_token: 6e-07}
  - model_name: smart
    litellm_params: {model: anthropic/claude-sonnet-4-5, api_key: os.environ/CLAUDE, timeout: 3}
router_settings:
  model_group_alias: {gpt: fast, secret: {model: smart, hidden: true}}
  fallbacks: [{fast: [smart]}]
general_settings: {master_key: sk-master-secret}
environment_variables:
";

    #[test]
    fn what_is_understood_and_what_is_left() {
        let config = read(FILE).expect("it is read");
        let [fast, smart] = config.deployments.as_slice() else { panic!("two") };
        assert_eq!((fast.name.as_str(), fast.model.as_str()), ("fast", "openai/gpt-4o-mini"));
        assert_eq!(fast.credential, Credential::Written);
        assert_eq!(fast.costs.input.as_deref(), Some("0.00000015"), "as it is written");
        assert_eq!(fast.costs.output.as_deref(), Some("6e-07"));
        assert_eq!(smart.credential, Credential::Variable("CLAUDE".to_owned()));
        let aliases = [("gpt", "fast", false), ("secret", "smart", true)];
        let expected = aliases.map(|(name, of, hidden)| (name.to_owned(), of.to_owned(), hidden));
        assert_eq!(config.aliases, expected);
        let left: Vec<&str> = config.left.keys().map(String::as_str).collect();
        assert_eq!(
            left,
            [
                "defaults.api_key",
                "general_settings.master_key",
                "model_list[].litellm_params.rpm",
                "model_list[].litellm_params.timeout",
                "router_settings.fallbacks",
            ]
        );
        assert!(!format!("{config:?}").contains("secret-of"), "no key is kept");
    }

    #[test]
    fn a_fault_is_placed_and_nothing_is_repeated() {
        for (text, words) in [
            ("model_list:\n  - model_name: [\n", "line"),
            ("model_list: sk-a-secret", "line 1"),
            ("model_list:\n  - litellm_params: {api_key: sk-a-secret}\n", "entry 1"),
        ] {
            let error = format!("{:#}", read(text).expect_err("it is refused"));
            assert!(error.contains(words) && !error.contains("secret"), "{text}: {error}");
        }
        for text in ["", "{}", "model_list:", "# nothing\n"] {
            assert!(read(text).expect("empty").deployments.is_empty(), "{text:?}");
        }
    }
}
