//! Which of the models are asked for, and in which order.

use std::cmp::Reverse;

use schemars::JsonSchema;
use serde::Deserialize;

use super::catalog::ModelView;
use crate::problem::Problem;
use crate::providers;

/// The most models on one page.
const LARGEST_PAGE: usize = 1_000;

/// Which models are asked for. Lists have commas between.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Filter {
    /// How many to pass over.
    offset: Option<usize>,
    /// The most on this page; all, where nothing is said.
    limit: Option<usize>,
    /// What they make: `text`, `embeddings`, or `all`.
    pub(super) output_modalities: Option<String>,
    /// What they take: `text`, `image`, `file`, `audio`.
    input_modalities: Option<String>,
    supported_parameters: Option<String>,
    /// A part of the name.
    q: Option<String>,
    /// The fewest tokens that have to fit.
    context: Option<u64>,
    providers: Option<String>,
    model_authors: Option<String>,
    sort: Option<String>,
}

/// What models make, where a client does not say.
#[derive(Copy, Clone, Debug)]
pub(super) struct Modalities(&'static str);

impl Modalities {
    pub(super) const TEXT: Self = Self("text");
    pub(super) const EMBEDDINGS: Self = Self("embeddings");
}

/// Orders by figures that nobody has here: the models stay as they are.
const UNRANKED: [&str; 8] = [
    "most-popular",
    "top-weekly",
    "throughput-high-to-low",
    "latency-low-to-high",
    "intelligence-high-to-low",
    "coding-high-to-low",
    "agentic-high-to-low",
    "design-arena-elo-high-to-low",
];

fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

impl Filter {
    /// How many models to pass over, and how many to show.
    pub(super) fn page(&self) -> Result<(usize, usize), Problem> {
        let limit = self.limit.unwrap_or(usize::MAX);
        if self.limit.is_some_and(|limit| !(1..=LARGEST_PAGE).contains(&limit)) {
            let message = format!("limit: expected a whole number from 1 to {LARGEST_PAGE}");
            return Err(Problem::bad_request(message));
        }
        Ok((self.offset.unwrap_or(0), limit))
    }

    /// Those of `models` that are asked for, which make what they make `otherwise`.
    pub(super) fn of(
        &self,
        mut models: Vec<ModelView>,
        otherwise: Modalities,
    ) -> Result<Vec<ModelView>, Problem> {
        let output = self.output_modalities.as_deref().unwrap_or(otherwise.0);
        models.retain(|model| self.wants(model, output));
        match self.sort.as_deref() {
            Some("context-high-to-low") => {
                models.sort_by_key(|model| Reverse(model.context_length));
            }
            Some(sort @ ("pricing-low-to-high" | "pricing-high-to-low")) => {
                models.sort_by_key(price);
                if sort == "pricing-high-to-low" {
                    models.reverse();
                }
            }
            Some("newest") => models.sort_by_key(|model| Reverse(model.created)),
            Some(sort) if UNRANKED.contains(&sort) => {}
            None => {}
            Some(_) => {
                let message = format!(
                    "sort: expected context-high-to-low, pricing-low-to-high, pricing-high-to-low, newest, {}",
                    UNRANKED.join(", ")
                );
                return Err(Problem::bad_request(message));
            }
        }
        Ok(models)
    }

    fn wants(&self, model: &ModelView, output: &str) -> bool {
        let made = &model.architecture.output_modalities;
        let taken = &model.architecture.input_modalities;
        let among = |list: &Option<String>, has: &dyn Fn(&str) -> bool| {
            list.as_deref().is_none_or(|list| items(list).any(has))
        };
        let all = |list: &Option<String>, has: &dyn Fn(&str) -> bool| {
            list.as_deref().is_none_or(|list| items(list).all(has))
        };
        let of = |slug: &str| {
            let slug = slug.to_ascii_lowercase();
            model.id.split_once('/').is_some_and(|(own, _)| own == providers::canonical(&slug))
        };
        let named = |part: &String| model.id.contains(&part.trim().to_ascii_lowercase());
        items(output).any(|item| item == "all" || made.contains(&item))
            && all(&self.input_modalities, &|item| taken.contains(&item))
            && all(&self.supported_parameters, &|item| model.supported_parameters.contains(&item))
            && among(&self.providers, &of)
            && among(&self.model_authors, &of)
            && self.q.as_ref().is_none_or(named)
            && self.context.is_none_or(|least| model.context_length >= Some(least))
    }
}

/// The price of a token in and one out, by which models are put in order: decimals of 16 places.
fn price(model: &ModelView) -> u128 {
    let units = |text: &str| {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        format!("{whole}{fraction:0<16}").parse::<u128>().unwrap_or(u128::MAX / 2)
    };
    units(&model.pricing.prompt) + units(&model.pricing.completion)
}
