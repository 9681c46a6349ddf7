//! What a bill comes to, worked out with exact fractions of dollars from the price list as it is printed. Nothing here
//! calls what it checks: rules and tables are written once more, from the documentation.

use num_bigint::BigInt;
use num_rational::BigRational;

/// A price as printed: dollars for so many units, by the name of what is counted.
pub(crate) type Printed = Vec<(&'static str, String)>;

/// The rates of one part of a price list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Part {
    /// A service tier other than the ordinary one.
    pub(crate) tier: Option<&'static str>,
    pub(crate) long: bool,
    pub(crate) off_peak: bool,
    pub(crate) prices: Printed,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    /// From when on which parts apply, the oldest first.
    pub(crate) dated: Vec<(Option<i64>, Vec<Part>)>,
    pub(crate) long_above: Option<u64>,
    /// Hours of every day (UTC), from and to.
    pub(crate) off_peak: Option<(i64, i64)>,
    /// Percentages of the ordinary price: fast mode, processing in the US and in the EU.
    pub(crate) fast: Option<u32>,
    pub(crate) us: Option<u32>,
    pub(crate) eu: Option<u32>,
}

/// How a request was served.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) at: i64,
    pub(crate) tier: Option<&'static str>,
    pub(crate) fast: bool,
    pub(crate) region: Option<&'static str>,
    pub(crate) bps: u32,
}

/// Why there is no bill.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoBill {
    Unpriced,
    OutOfRange,
}

pub(crate) const TOKENS_IN: [&str; 10] = [
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "cache_write_12h",
    "audio_input",
    "audio_cache_read",
    "image_input",
    "image_cache_read",
    "video_input",
];
pub(crate) const TOKENS_OUT: [&str; 4] = ["output", "reasoning", "audio_output", "image_output"];
pub(crate) const PIECES: [&str; 8] = [
    "web_search",
    "search_query",
    "grounded_prompt",
    "input_image",
    "output_image",
    "input_audio_second",
    "output_audio_second",
    "input_character",
];

/// For how many units a price is printed.
pub(crate) fn units(name: &str) -> u32 {
    match name {
        // Ten to the power of.
        "web_search" | "search_query" | "grounded_prompt" => 3,
        "input_image" | "output_image" | "input_audio_second" | "output_audio_second" => 0,
        _ => 6,
    }
}

/// Where a list has no price for something: what the provider charges it as.
fn charged_as(name: &str) -> Option<&'static str> {
    Some(match name {
        "cache_read" | "cache_write_5m" | "audio_input" | "image_input" | "video_input" => "input",
        "cache_write_1h" | "cache_write_12h" => "cache_write_5m",
        "audio_cache_read" => "audio_input",
        "image_cache_read" => "image_input",
        "reasoning" | "audio_output" | "image_output" => "output",
        _ => return None,
    })
}

fn whole(number: impl Into<BigInt>) -> BigRational {
    BigRational::from_integer(number.into())
}

fn ten_to(power: u32) -> BigRational {
    whole(BigInt::from(10).pow(power))
}

/// A decimal number, exactly.
fn decimal(text: &str) -> Option<BigRational> {
    let (before, after) = text.split_once('.').unwrap_or((text, ""));
    let digits: BigInt = format!("{before}{after}").parse().ok()?;
    Some(whole(digits) / ten_to(u32::try_from(after.len()).ok()?))
}

/// To the nearest multiple of a pico-dollar; of two that are as near, to the even one.
pub(crate) fn to_pico(dollars: &BigRational) -> BigRational {
    let pico = dollars * ten_to(12);
    let (below, above) = (pico.floor(), pico.ceil());
    let (down, up) = (&pico - &below, &above - &pico);
    let odd = |n: &BigRational| !(n / whole(2)).is_integer();
    let near = if down < up || (down == up && !odd(&below)) { below } else { above };
    near / ten_to(12)
}

fn percent(bps: u32) -> BigRational {
    whole(bps) / whole(10_000)
}

impl List {
    /// Dollars for one unit.
    fn price(&self, name: &str, prompt: u64, served: &Served) -> Result<BigRational, NoBill> {
        let dated = self.dated.iter().rfind(|(from, _)| from.is_none_or(|from| from <= served.at));
        let (_, parts) = dated.ok_or(NoBill::Unpriced)?;
        let long = self.long_above.is_some_and(|above| prompt > above);
        let hour = (served.at / 3_600_000_000) % 24;
        let off_peak = self.off_peak.is_some_and(|(from, to)| from <= hour && hour < to);
        // The most particular part that has it: of tier and length before length, before tier, before the hour.
        let long_ones =
            [served.tier.map(|tier| (Some(tier), true, false)), Some((None, true, false))];
        let tier = served.tier.map(|tier| (Some(tier), false, false));
        let rest = [tier, Some((None, false, true)), Some((None, false, false))];
        let order: Vec<_> = long_ones.into_iter().chain(rest).flatten().collect();
        let suits = |(tier, is_long, is_off): &(Option<&str>, bool, bool), part: &Part| {
            part.tier == *tier && part.long == *is_long && part.off_peak == *is_off
        };
        let printed = order
            .iter()
            .filter(|(_, is_long, is_off)| (!is_long || long) && (!is_off || off_peak))
            .flat_map(|wanted| parts.iter().filter(|part| suits(wanted, part)))
            .find_map(|part| part.prices.iter().find(|(of, _)| *of == name));
        let Some((_, text)) = printed else {
            return self.price(charged_as(name).ok_or(NoBill::Unpriced)?, prompt, served);
        };
        let dollars = decimal(text).ok_or(NoBill::Unpriced)?;
        // Written into the list to the pico-dollar, and so is what a percentage makes of it.
        let mut price = to_pico(&(dollars / ten_to(units(name))));
        if !PIECES.contains(&name) {
            for factor in self.factors(served)? {
                price = to_pico(&(price * percent(factor)));
            }
        }
        Ok(price)
    }

    fn factors(&self, served: &Served) -> Result<Vec<u32>, NoBill> {
        let mut factors = Vec::new();
        match served.region {
            Some("us") => factors.push(self.us.ok_or(NoBill::Unpriced)?),
            Some(_) => factors.push(self.eu.ok_or(NoBill::Unpriced)?),
            None => {}
        }
        if served.fast {
            factors.push(self.fast.ok_or(NoBill::Unpriced)?);
        }
        Ok(factors)
    }

    /// Dollars for one pass.
    pub(crate) fn cost(
        &self,
        used: &[(&'static str, u64)],
        served: &Served,
    ) -> Result<BigRational, NoBill> {
        // Terms that the list does not know have no price, even where nothing was used.
        self.factors(served)?;
        if !self.dated.iter().any(|(from, _)| from.is_none_or(|from| from <= served.at)) {
            return Err(NoBill::Unpriced);
        }
        let prompt = used.iter().filter(|(name, _)| TOKENS_IN.contains(name)).map(|(_, n)| n).sum();
        let mut cost = whole(0);
        for (name, count) in used.iter().filter(|(_, count)| *count > 0) {
            cost += whole(*count) * self.price(name, prompt, served)?;
        }
        Ok(cost)
    }
}

/// Cost, commission and charge, in pico-dollars.
pub(crate) fn bill(passes: Vec<BigRational>, bps: u32) -> Result<[i64; 3], NoBill> {
    let cost: BigRational = passes.into_iter().sum();
    let commission = to_pico(&(&cost * percent(bps)));
    let charge = &cost + &commission;
    let mut bill = [0; 3];
    for (slot, dollars) in bill.iter_mut().zip([cost, commission, charge]) {
        let pico = dollars * ten_to(12);
        *slot = i64::try_from(pico.to_integer()).map_err(|_| NoBill::OutOfRange)?;
    }
    Ok(bill)
}

/// Whether a commission had to be rounded.
pub(crate) fn is_rounded(cost: i64, bps: u32) -> bool {
    !(whole(cost) * percent(bps)).is_integer()
}
