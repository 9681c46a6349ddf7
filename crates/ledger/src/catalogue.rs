//! The models that can be sold, with their prices, limits and capabilities: one immutable version of it.

use std::collections::BTreeMap;

use foldhash::HashMap;
use serde::{Deserialize, Serialize};

use crate::price::ModelPrice;

/// Where a model stands in its life.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Served.
    Active,
    /// Served, with an end announced.
    Deprecated,
    /// Past its end. Still priced: what a provider answers, it charges.
    Retired,
    /// No source says.
    #[default]
    Unknown,
}

impl Status {
    /// The name in JSON, in the database and in the price files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deprecated => "deprecated",
            Self::Retired => "retired",
            Self::Unknown => "unknown",
        }
    }

    /// The status of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Active, Self::Deprecated, Self::Retired, Self::Unknown]
            .into_iter()
            .find(|s| s.name() == name)
    }
}

/// What is known of a model beside its price.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// What it does: `chat`, `embedding`, `image`, …
    pub mode: String,
    /// Where it stands in its life.
    pub status: Status,
    /// The end announced, `2026-11-30`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecation_date: Option<String>,
    /// The most prompt tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// The most generated tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// Numbers and words that have no field of their own, by the column of the price file: `supports_vision`,
    /// `embedding_dimensions`, `web_search_free`, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Where the prices come from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The date of that source.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub as_of: String,
}

impl ModelInfo {
    /// What a price list in the plain form says of a model: nothing.
    pub fn plain() -> Self {
        Self { mode: "chat".to_owned(), status: Status::Active, ..Self::default() }
    }

    /// Whether the attribute of that name is `true`; one that no source speaks of is not.
    pub fn has(&self, attribute: &str) -> bool {
        self.attributes.get(attribute).is_some_and(|word| word == "true")
    }
}

/// One model of one provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// The provider's name.
    pub provider: String,
    /// The provider's own name of the model: exact, case-sensitive.
    pub name: String,
    /// What is known of it.
    pub info: ModelInfo,
    /// What it costs.
    pub price: ModelPrice,
}

/// An immutable set of models and prices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// By provider, then by name. Every request looks for its model, of several providers where it names none: in a tree of
    /// names each step reads memory that is not at hand.
    models: BTreeMap<String, HashMap<String, Model>>,
}

impl Catalogue {
    /// This catalogue with the models of `other` in place of its own of the same name.
    #[must_use]
    pub fn overlaid(&self, other: &Self) -> Self {
        self.models().chain(other.models()).cloned().collect()
    }

    /// The same, where models of which nothing but the price is said keep what `known` knows of them.
    #[must_use]
    pub fn informed_by(self, known: &Self) -> Self {
        let inform = |mut model: Model| {
            if model.info == ModelInfo::plain()
                && let Some(known) = known.get(&model.provider, &model.name)
            {
                model.info = known.info.clone();
            }
            model
        };
        self.models.into_values().flat_map(HashMap::into_values).map(inform).collect()
    }

    /// The model of that exact name.
    pub fn get(&self, provider: &str, model: &str) -> Option<&Model> {
        self.models.get(provider)?.get(model)
    }

    /// All models, by provider and name.
    pub fn models(&self) -> impl Iterator<Item = &Model> {
        self.models.values().flat_map(|of_provider| {
            let mut models: Vec<&Model> = of_provider.values().collect();
            models.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            models
        })
    }

    /// The providers that serve a model of that name.
    pub fn providers_of<'a>(&'a self, model: &'a str) -> impl Iterator<Item = &'a Model> {
        self.models.values().filter_map(move |models| models.get(model))
    }

    /// Adds a model, in place of one of the same name.
    pub fn insert(&mut self, model: Model) {
        let of_provider = self.models.entry(model.provider.clone()).or_default();
        of_provider.insert(model.name.clone(), model);
    }

    /// How many models there are.
    pub fn len(&self) -> usize {
        self.models.values().map(HashMap::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.models.is_empty()
    }
}

impl FromIterator<Model> for Catalogue {
    /// A catalogue of the models given; of two with the same name the later counts.
    fn from_iter<I: IntoIterator<Item = Model>>(models: I) -> Self {
        let mut all = Self::default();
        models.into_iter().for_each(|model| all.insert(model));
        all
    }
}
