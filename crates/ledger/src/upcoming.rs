//! Prices that are known before they hold: a catalogue with other prices from a moment on, and without them again.

use crate::catalogue::{Catalogue, Model, ModelInfo};
use crate::price::{ModelPrice, Multipliers, Tariff};
use crate::time::Windows;

/// A price that cannot wait for its moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{provider}/{model}: {what} have no date and would change at once; import them without a moment"
)]
pub struct Undated {
    /// The provider.
    pub provider: String,
    /// Its model.
    pub model: String,
    /// What of its price.
    pub what: &'static str,
}

impl Catalogue {
    /// This catalogue, with the prices that the models of `other` begin with from a moment on. Until then they cost what they
    /// cost now; what they were to cost later is given up. What is known of a model beside its price stays, and a model that
    /// is new has no price until then.
    ///
    /// # Errors
    /// [`Undated`] where `other` has something for a model that this one has otherwise, and that holds for all times.
    pub fn with_upcoming(&self, other: &Self, from: i64) -> Result<Self, Undated> {
        let models = other.models().map(|new| upcoming(self, new, from));
        let models = models.collect::<Result<Vec<_>, _>>()?;
        Ok(self.overlaid(&models.into_iter().collect()))
    }

    /// This catalogue without the prices that begin after `now`: of one model, by its provider and name, or of all.
    #[must_use]
    pub fn without_upcoming(&self, of: Option<(&str, &str)>, now: i64) -> Self {
        let without = |model: &Model| {
            let mut model = model.clone();
            if of.is_none_or(|of| of == (&model.provider, &model.name)) {
                model.price.tariffs.retain(|tariff| !tariff.begins_after(now));
            }
            model
        };
        self.models().map(without).collect()
    }

    /// The prices that begin after `now`, with the models that they are of.
    pub fn upcoming(&self, now: i64) -> impl Iterator<Item = (&Model, &Tariff)> {
        self.models().flat_map(move |model| {
            let later = model.price.tariffs.iter().filter(move |tariff| tariff.begins_after(now));
            later.map(move |tariff| (model, tariff))
        })
    }
}

impl Tariff {
    /// Whether it begins after that moment.
    pub fn begins_after(&self, at: i64) -> bool {
        self.valid_from.is_some_and(|from| from > at)
    }
}

fn upcoming(known: &Catalogue, new: &Model, from: i64) -> Result<Model, Undated> {
    let rates = new.price.tariff(from).or(new.price.tariffs.first());
    let rates = rates.map(|tariff| tariff.rates.clone()).unwrap_or_default();
    let tariff = Tariff { valid_from: Some(from), rates };
    let Some(known) = known.get(&new.provider, &new.name) else {
        let mut model = new.clone();
        model.price.tariffs = vec![tariff];
        return Ok(model);
    };
    // The plain form says nothing but a price.
    if new.info != ModelInfo::plain()
        && let Some(what) = differs(known, new)
    {
        let (provider, model) = (new.provider.clone(), new.name.clone());
        return Err(Undated { provider, model, what });
    }
    let mut model = known.clone();
    model.price.tariffs.retain(|tariff| tariff.valid_from.is_none_or(|at| at < from));
    if model.price.tariffs.last().is_none_or(|last| last.rates != tariff.rates) {
        model.price.tariffs.push(tariff);
    }
    Ok(model)
}

/// What of a price holds for all times, and is another.
fn differs(known: &Model, new: &Model) -> Option<&'static str> {
    let ModelPrice { tariffs: _, long_context_above, off_peak, multipliers } = &new.price;
    let pictures = |model: &Model| {
        let all = model.info.attributes.iter();
        let own = all.filter(|(name, _)| name.starts_with("usd_per_image:"));
        own.map(|(name, usd)| (name.clone(), usd.clone())).collect::<Vec<_>>()
    };
    let old = &known.price;
    if *long_context_above != old.long_context_above && long_context_above.is_some() {
        Some("the tokens from which a context is long")
    } else if *off_peak != old.off_peak && *off_peak != Windows::default() {
        Some("the off-peak hours")
    } else if *multipliers != old.multipliers && *multipliers != Multipliers::default() {
        Some("the factors on prices")
    } else if pictures(new) != pictures(known) && !pictures(new).is_empty() {
        Some("the prices of pictures")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::{Catalogue, Meter, PriceFiles, Terms, import};

    const NOW: i64 = 1_764_000_000_000_000;
    const LATER: i64 = NOW + 86_400_000_000;

    fn list(text: &str) -> Catalogue {
        import(PriceFiles { models: text, history: None, images: None }).expect("prices")
    }

    fn input(catalogue: &Catalogue, model: &str, at: i64) -> Option<i64> {
        let model = catalogue.get("openai", model)?;
        let rates = model.price.rates(0, &Terms { at, ..Terms::default() }).ok()?;
        rates.get(Meter::Input).map(crate::UnitPrice::pico)
    }

    #[test]
    fn a_price_waits_for_its_moment_and_can_be_given_up() {
        let columns = "provider,model,input_per_mtok,output_per_mtok,tier_threshold_tokens";
        let known = list(&format!("{columns}\nopenai,m,2,8,200000\nopenai,other,1,1,\n"));
        let plain = "provider,model,price_per_token\nopenai,m,0.000003\nopenai,new,0.000001\n";
        let planned = known.with_upcoming(&list(plain), LATER).expect("a plan");
        let all = [NOW, LATER - 1, LATER].map(|at| input(&planned, "m", at));
        assert_eq!(all, [Some(2_000_000), Some(2_000_000), Some(3_000_000)]);
        let all = [LATER - 1, LATER].map(|at| input(&planned, "new", at));
        assert_eq!(all, [None, Some(1_000_000)], "it is sold from then on");
        assert_eq!(planned.get("openai", "other"), known.get("openai", "other"));
        let kept = planned.get("openai", "m").map(|model| model.price.long_context_above);
        assert_eq!(kept, Some(Some(200_000)));
        let names: Vec<_> = planned.upcoming(NOW).map(|(model, _)| model.name.as_str()).collect();
        assert_eq!(names, ["m", "new"]);
        assert_eq!(planned.upcoming(LATER).count(), 0, "it holds, and is none that is to come");

        // Another plan takes the place of what it comes before.
        let sooner = "provider,model,price_per_token\nopenai,m,0.000004\n";
        let again = planned.with_upcoming(&list(sooner), LATER - 5).expect("a plan");
        assert_eq!(input(&again, "m", LATER), Some(4_000_000));
        assert_eq!(again.get("openai", "m").map(|model| model.price.tariffs.len()), Some(2));

        let without = again.without_upcoming(Some(("openai", "m")), NOW);
        assert_eq!(without.get("openai", "m"), known.get("openai", "m"));
        assert_eq!(without.upcoming(NOW).count(), 1, "the other one stays");
        let without = again.without_upcoming(None, NOW);
        assert_eq!(without.upcoming(NOW).count(), 0);
        assert_eq!(input(&again.without_upcoming(None, LATER), "m", LATER), Some(4_000_000));
    }

    #[test]
    fn what_has_no_date_cannot_wait() {
        let columns = "provider,model,input_per_mtok,output_per_mtok,tier_threshold_tokens,mode";
        let known = list(&format!("{columns}\nopenai,m,2,8,200000,chat\n"));
        let other = list(&format!("{columns}\nopenai,m,2,8,100000,image\n"));
        let refused = known.with_upcoming(&other, LATER).expect_err("no date");
        assert!(refused.to_string().contains("openai/m: the tokens from which"), "{refused}");
        assert!(known.with_upcoming(&known, LATER).is_ok_and(|same| same == known));
    }
}
