//! The most that a request may be charged, known before it is sent: what a hold is made of.

use crate::price::{ModelPrice, PriceError, Rates, Terms, UnitPrice};
use crate::usage::{Meter, Region, ServiceTier};
use crate::usd::{Usd, UsdError};

/// Basis points in the whole.
const WHOLE: i128 = 10_000;

/// What a request may use at most, and on which terms. Each number is a ceiling, never an estimate.
///
/// Pictures, seconds and characters that are priced by the piece are not in it: no dialect reports them.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Prompt tokens: the bytes of its text (a token is a byte at least), and what its media weigh.
    pub input_tokens: u64,
    /// Generated tokens of one choice, thinking ones too.
    pub output_tokens: u64,
    /// How many choices are asked for; none is taken for one.
    pub choices: u64,
    /// Calls of the provider's own tools that may be charged: searches, queries and grounded answers together.
    pub calls: u64,
    /// The tier that may serve. Of several, the dearest.
    pub service_tier: ServiceTier,
    /// Anthropic's fast mode.
    pub fast: bool,
    /// Regional processing.
    pub region: Region,
    /// Whether the provider bills the account itself, so that the commission is all that is charged.
    pub direct: bool,
}

impl Demand {
    /// What is charged of the provider's price, in basis points.
    fn charged(&self, commission_bps: u32) -> i128 {
        let cost = if self.direct { 0 } else { WHOLE };
        cost.saturating_add(i128::from(commission_bps))
    }
}

/// The most that a request within `demand` may be charged: its cost and the commission, or the commission alone.
///
/// Every prompt token counts as the dearest kind that the model has a price for (a cache write, audio), every generated
/// one likewise; the long-context rates are taken where the prompt may be that long, and off-peak rates only where they
/// are the dearer ones. The commission is rounded up. So no [`Bill`](crate::Bill) of passes over this model that stay
/// within the demand together comes to more.
///
/// # Errors
/// No price at that moment, for one of the kinds asked for, or on these terms; a bound past the range.
pub fn bound(
    price: &ModelPrice,
    demand: &Demand,
    at: i64,
    commission_bps: u32,
) -> Result<Usd, PriceError> {
    let dearest = Dearest::of(price, demand, at)?;
    let output = dearest.output(demand.output_tokens)?;
    let cost = dearest.base(demand)?.checked_add(times(output, demand.output_tokens)?);
    let charge = cost
        .and_then(|cost| cost.checked_mul(demand.charged(commission_bps)))
        .and_then(|scaled| scaled.checked_add(WHOLE.checked_sub(1)?)?.checked_div(WHOLE));
    Ok(Usd::try_from_pico(charge.ok_or(UsdError::OutOfRange)?)?)
}

/// The most generated tokens of one choice whose [`bound`] is within `free`; [`Demand::output_tokens`] is not looked at.
/// `None` where already the prompt is too dear, or has no price. [`u64::MAX`] where they are free.
pub fn affordable_output(
    price: &ModelPrice,
    demand: &Demand,
    at: i64,
    commission_bps: u32,
    free: Usd,
) -> Option<u64> {
    let dearest = Dearest::of(price, demand, at).ok()?;
    let base = dearest.base(demand).ok()?;
    // ⌈cost × charged⌉ <= free, for whole amounts, is cost <= ⌊free / charged⌋.
    let charged = demand.charged(commission_bps);
    let Some(cost) = i128::from(free.pico()).checked_mul(WHOLE)?.checked_div_euclid(charged) else {
        // Nothing is charged, of anything that has a price.
        return Some(if dearest.output.is_some() { u64::MAX } else { 0 });
    };
    let rest = cost.checked_sub(base).filter(|rest| *rest >= 0)?;
    match dearest.output {
        // Of what has no price, nothing can be had.
        None => Some(0),
        Some(UnitPrice::FREE) => Some(u64::MAX),
        Some(_) => {
            let tokens = rest.checked_div(dearest.output(1).ok()?)?;
            Some(u64::try_from(tokens).unwrap_or(u64::MAX))
        }
    }
}

/// The dearest price of each kind; `None` where no meter of that kind has one.
#[derive(Default)]
struct Dearest {
    input: Option<UnitPrice>,
    output: Option<UnitPrice>,
    call: Option<UnitPrice>,
    choices: u64,
}

impl Dearest {
    fn of(price: &ModelPrice, demand: &Demand, at: i64) -> Result<Self, PriceError> {
        let &Demand { service_tier, fast, region, .. } = demand;
        let terms = Terms { at, service_tier, fast, region };
        let may_be_long = price.long_context_above.is_some_and(|limit| demand.input_tokens > limit);
        let may_be_off_peak = !price.off_peak.is_empty();
        let mut dearest = Self { choices: demand.choices.max(1), ..Self::default() };
        for long_context in either(may_be_long) {
            for off_peak in either(may_be_off_peak) {
                dearest.consider(&price.rates_under(&terms, long_context, off_peak)?);
            }
        }
        Ok(dearest)
    }

    fn consider(&mut self, rates: &Rates) {
        for meter in Meter::ALL {
            let kind = match meter {
                _ if Meter::CALLS.contains(&meter) => &mut self.call,
                _ if meter.is_input_token() => &mut self.input,
                _ if meter.is_output_token() => &mut self.output,
                _ => continue,
            };
            // `None` is less than any price.
            *kind = (*kind).max(rates.applying(meter));
        }
    }

    /// Pico-dollars for everything but the generated tokens.
    fn base(&self, demand: &Demand) -> Result<i128, PriceError> {
        let input =
            times(wanted(self.input, demand.input_tokens, Meter::Input)?, demand.input_tokens)?;
        let calls = times(wanted(self.call, demand.calls, Meter::WebSearch)?, demand.calls)?;
        Ok(input.checked_add(calls).ok_or(UsdError::OutOfRange)?)
    }

    /// Pico-dollars for one generated token of each choice, where `tokens` are wanted.
    fn output(&self, tokens: u64) -> Result<i128, PriceError> {
        times(wanted(self.output, tokens, Meter::Output)?, self.choices)
    }
}

/// Without a condition, and with it where it may hold.
fn either(may_hold: bool) -> impl Iterator<Item = bool> {
    [Some(false), may_hold.then_some(true)].into_iter().flatten()
}

/// The price of what is wanted; what is not wanted needs none.
fn wanted(price: Option<UnitPrice>, count: u64, meter: Meter) -> Result<i128, PriceError> {
    match price {
        Some(price) => Ok(i128::from(price.pico())),
        None if count == 0 => Ok(0),
        None => Err(PriceError::Unpriced(meter)),
    }
}

fn times(pico: i128, count: u64) -> Result<i128, PriceError> {
    Ok(pico.checked_mul(i128::from(count)).ok_or(UsdError::OutOfRange)?)
}

#[cfg(test)]
#[path = "bound_tests.rs"]
mod tests;
