//! What a unit costs, under which terms, and the sum of an answer.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::time::{Windows, minute_of_week};
use crate::usage::{Meter, Region, ServiceTier, Usage};
use crate::usd::{Usd, UsdError, divide_half_even, parse_scaled};

/// What one unit of a meter costs: whole pico-dollars, never negative. A price of 0 means free, and is only ever
/// written on purpose: a price that is not known is absent.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnitPrice(i64);

impl FromIterator<(Meter, UnitPrice)> for Rates {
    fn from_iter<I: IntoIterator<Item = (Meter, UnitPrice)>>(prices: I) -> Self {
        let mut rates = Self::default();
        for (meter, price) in prices {
            rates.set(meter, price);
        }
        rates
    }
}

impl UnitPrice {
    /// Costs nothing, on purpose.
    pub const FREE: Self = Self(0);

    /// A price of `pico` pico-dollars a unit; `None` where negative.
    pub const fn from_pico(pico: i64) -> Option<Self> {
        if pico < 0 { None } else { Some(Self(pico)) }
    }

    /// The price in pico-dollars a unit.
    pub const fn pico(self) -> i64 {
        self.0
    }

    /// Reads a decimal number of dollars per 10^`power` units. What is finer than a pico-dollar a unit is rounded half
    /// to even, here, when the price is written.
    ///
    /// # Errors
    /// The text is no plain decimal, is negative, is past the range, or is so small that it would be rounded to free.
    pub fn parse(text: &str, power: u32) -> Result<Self, UsdError> {
        let decimals = 12_u32.checked_sub(power).ok_or(UsdError::OutOfRange)?;
        let (pico, exact) = parse_scaled(text, decimals)?;
        if pico == 0 && !exact {
            return Err(UsdError::TooPrecise);
        }
        i64::try_from(pico).ok().and_then(Self::from_pico).ok_or(UsdError::OutOfRange)
    }

    /// This price times `numerator / denominator`, rounded half to even.
    pub fn times(self, numerator: i64, denominator: i64) -> Result<Self, UsdError> {
        let product = i128::from(self.0)
            .checked_mul(i128::from(numerator))
            .and_then(|product| divide_half_even(product, i128::from(denominator)))
            .ok_or(UsdError::OutOfRange)?;
        i64::try_from(product).ok().and_then(Self::from_pico).ok_or(UsdError::OutOfRange)
    }
}

/// Unit prices by meter; a meter without an entry has no price.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates([Option<UnitPrice>; Meter::ALL.len()]);

impl Rates {
    /// The price of `meter` as written, without any fallback.
    pub fn get(&self, meter: Meter) -> Option<UnitPrice> {
        self.0.get(meter.index()).copied().flatten()
    }

    /// Writes the price of `meter`.
    pub fn set(&mut self, meter: Meter, price: UnitPrice) {
        if let Some(slot) = self.0.get_mut(meter.index()) {
            *slot = Some(price);
        }
    }

    /// Whether nothing is priced.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// The prices written, in the order of the meters.
    pub fn entries(&self) -> impl Iterator<Item = (Meter, UnitPrice)> + '_ {
        Meter::ALL.into_iter().filter_map(|meter| Some((meter, self.get(meter)?)))
    }

    /// The price that applies to `meter`: its own, or that of the meter which the providers charge where they list no
    /// price of its own (a cached token without a cache price is an ordinary prompt token, say).
    ///
    /// The chains end at [`Meter::Input`] and [`Meter::Output`]; calls, pieces and seconds have none. So the answer
    /// may be absent, but is never made up.
    pub fn applying(&self, meter: Meter) -> Option<UnitPrice> {
        self.get(meter).or_else(|| self.applying(fallback(meter)?))
    }

    fn overlay(&mut self, other: &Self) {
        for (meter, price) in other.entries() {
            self.set(meter, price);
        }
    }
}

/// Pico-dollars by the name of the meter.
impl Serialize for Rates {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.entries().map(|(meter, price)| (meter.name(), price.pico())))
    }
}

impl<'de> Deserialize<'de> for Rates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = std::collections::BTreeMap::<String, i64>::deserialize(deserializer)?;
        let mut rates = Self::default();
        for (name, pico) in map {
            let known = Meter::from_name(&name).zip(UnitPrice::from_pico(pico));
            let (meter, price) = known
                .ok_or_else(|| D::Error::custom(format!("there is no price {name}: {pico}")))?;
            rates.set(meter, price);
        }
        Ok(rates)
    }
}

/// The meter whose price stands in where a provider's list has none.
const fn fallback(meter: Meter) -> Option<Meter> {
    match meter {
        Meter::CacheRead
        | Meter::CacheWrite5m
        | Meter::AudioInput
        | Meter::ImageInput
        | Meter::VideoInput => Some(Meter::Input),
        Meter::CacheWrite1h | Meter::CacheWrite12h => Some(Meter::CacheWrite5m),
        Meter::AudioCacheRead => Some(Meter::AudioInput),
        Meter::ImageCacheRead => Some(Meter::ImageInput),
        Meter::Reasoning | Meter::AudioOutput | Meter::ImageOutput => Some(Meter::Output),
        _ => None,
    }
}

/// When a set of rates replaces the plain ones.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The tier that served.
    pub service_tier: ServiceTier,
    /// The prompt exceeded the model's threshold.
    pub long_context: bool,
    /// The request came in an off-peak window.
    pub off_peak: bool,
}

/// The terms on which one request was served.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// When the request was admitted, microseconds since 1970 (UTC).
    pub at: i64,
    /// The tier that served.
    pub service_tier: ServiceTier,
    /// Anthropic's fast mode.
    pub fast: bool,
    /// Regional processing.
    pub region: Region,
}

/// Factors on token prices, in basis points (11 000 is 1.1 times).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Multipliers {
    /// Anthropic's fast mode.
    pub fast: Option<u32>,
    /// Processing in the United States.
    pub us: Option<u32>,
    /// Processing in the European Union.
    pub eu: Option<u32>,
}

/// The prices of a model from one moment on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tariff {
    /// Valid from this moment, microseconds since 1970; `None`: from the beginning.
    pub valid_from: Option<i64>,
    /// Rates by condition. The plain ones stand under the default condition; the others name only what they replace.
    pub rates: Vec<(Condition, Rates)>,
}

/// All that is known about what a model costs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPrice {
    /// Tariffs by ascending `valid_from`.
    pub tariffs: Vec<Tariff>,
    /// Above this many prompt tokens the whole request is charged at the long-context rates.
    pub long_context_above: Option<u64>,
    /// When the off-peak rates apply.
    pub off_peak: Windows,
    /// Factors on token prices.
    pub multipliers: Multipliers,
}

/// Why a usage has no price.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// No tariff of the model was valid at that moment.
    #[error("the model has no price at that date")]
    NoTariff,
    /// A counter is not 0 and has no price.
    #[error("the model has no price for {}", .0.name())]
    Unpriced(Meter),
    /// The terms name a factor that the model's price list does not have.
    #[error("the model has no price for {0}")]
    NoMultiplier(&'static str),
    /// The sum does not fit an amount.
    #[error(transparent)]
    Amount(#[from] UsdError),
}

/// One line of a cost: `quantity × unit_price = amount`, exactly.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What was counted.
    pub meter: Meter,
    /// How many units.
    pub quantity: u64,
    /// The price of one.
    pub unit_price: UnitPrice,
    /// The product.
    pub amount: Usd,
}

/// What a usage costs: lines and their sum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// One line per counter that is not 0.
    pub lines: Vec<Line>,
    /// The sum of the lines.
    pub total: Usd,
}

impl ModelPrice {
    /// The tariff valid at `at` (microseconds since 1970).
    pub fn tariff(&self, at: i64) -> Option<&Tariff> {
        self.tariffs.iter().rev().find(|tariff| tariff.valid_from.is_none_or(|from| from <= at))
    }

    /// The rates for a prompt of `input_tokens` on `terms`, factors included.
    ///
    /// Dearer knowledge wins: rates named for a narrower condition replace those of a wider one, and what they leave
    /// open stays as it is in the wider.
    pub fn rates(&self, input_tokens: u64, terms: &Terms) -> Result<Rates, PriceError> {
        let long_context = self.long_context_above.is_some_and(|limit| input_tokens > limit);
        let off_peak = self.off_peak.contains(minute_of_week(terms.at));
        self.rates_under(terms, long_context, off_peak)
    }

    /// The rates on `terms` where it is already known which of the two other conditions hold.
    pub(crate) fn rates_under(
        &self,
        terms: &Terms,
        long_context: bool,
        off_peak: bool,
    ) -> Result<Rates, PriceError> {
        let tariff = self.tariff(terms.at).ok_or(PriceError::NoTariff)?;
        let mut rates = Rates::default();
        for (off_peak_step, tier_step, long_step) in [
            (false, false, false),
            (true, false, false),
            (false, true, false),
            (false, false, true),
            (false, true, true),
        ] {
            let active = (!off_peak_step || off_peak)
                && (!tier_step || terms.service_tier != ServiceTier::Standard)
                && (!long_step || long_context);
            let condition = Condition {
                service_tier: if tier_step { terms.service_tier } else { ServiceTier::Standard },
                long_context: long_step,
                off_peak: off_peak_step,
            };
            if active && let Some((_, found)) = tariff.rates.iter().find(|(c, _)| *c == condition) {
                rates.overlay(found);
            }
        }
        self.multiply(&mut rates, terms)?;
        Ok(rates)
    }

    fn multiply(&self, rates: &mut Rates, terms: &Terms) -> Result<(), PriceError> {
        let region = match terms.region {
            Region::Global => None,
            Region::Us => {
                Some(self.multipliers.us.ok_or(PriceError::NoMultiplier("processing in the US"))?)
            }
            Region::Eu => {
                Some(self.multipliers.eu.ok_or(PriceError::NoMultiplier("processing in the EU"))?)
            }
        };
        let fast = if terms.fast {
            Some(self.multipliers.fast.ok_or(PriceError::NoMultiplier("fast mode"))?)
        } else {
            None
        };
        for factor in [region, fast].into_iter().flatten() {
            for meter in Meter::ALL.into_iter().filter(|meter| meter.is_token()) {
                if let Some(price) = rates.get(meter) {
                    rates.set(meter, price.times(i64::from(factor), 10_000)?);
                }
            }
        }
        Ok(())
    }

    /// What `usage` costs on `terms`: exactly Σ counter × unit price.
    ///
    /// # Errors
    /// A counter that is not 0 and has no price; a date before the first price; a sum past the range. Never a silent 0.
    pub fn price(&self, usage: &Usage, terms: &Terms) -> Result<Cost, PriceError> {
        let rates = self.rates(usage.input_tokens(), terms)?;
        let mut lines = Vec::new();
        let mut total = 0_i128;
        for (meter, quantity) in usage.nonzero() {
            let unit_price = rates.applying(meter).ok_or(PriceError::Unpriced(meter))?;
            let amount = i128::from(quantity)
                .checked_mul(i128::from(unit_price.pico()))
                .ok_or(UsdError::OutOfRange)?;
            total = total.checked_add(amount).ok_or(UsdError::OutOfRange)?;
            lines.push(Line { meter, quantity, unit_price, amount: Usd::try_from_pico(amount)? });
        }
        Ok(Cost { lines, total: Usd::try_from_pico(total)? })
    }

    /// What `usage` costs as far as that is known: counters without a price are left out, and terms that have no factor are
    /// taken for the ordinary ones.
    ///
    /// # Errors
    /// A date before the first price; a sum past the range.
    pub fn price_known(&self, usage: &Usage, terms: &Terms) -> Result<Cost, PriceError> {
        let mut known = *terms;
        known.fast &= self.multipliers.fast.is_some();
        let has_region = match terms.region {
            Region::Global => true,
            Region::Us => self.multipliers.us.is_some(),
            Region::Eu => self.multipliers.eu.is_some(),
        };
        if !has_region {
            known.region = Region::Global;
        }
        let rates = self.rates(usage.input_tokens(), &known)?;
        let mut priced = Usage::ZERO;
        for (meter, count) in usage.nonzero().filter(|(meter, _)| rates.applying(*meter).is_some())
        {
            priced.set(meter, count);
        }
        self.price(&priced, &known)
    }

    /// Whether plain text can be priced at that moment, in and out.
    pub fn prices_text(&self, at: i64) -> bool {
        self.rates(0, &Terms { at, ..Terms::default() }).is_ok_and(|rates| {
            rates.get(Meter::Input).is_some() && rates.get(Meter::Output).is_some()
        })
    }
}

#[cfg(test)]
#[path = "price_tests.rs"]
mod tests;
