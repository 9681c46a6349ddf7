//! Random price lists and random usages, billed twice.

#[path = "../../simulation/world/dice.rs"]
mod dice;
mod rational;

use std::ops::Range;

use dice::Dice;
use ledger::{
    Bill, BillError, Catalogue, Condition, Meter, Model, ModelPrice, Multipliers, Pass, PriceError,
    Rates, Region, ServiceTier, Tariff, UnitPrice, Usage, UsageReport, Windows,
};
use rational::{List, NoBill, PIECES, Part, Printed, Served, TOKENS_IN, TOKENS_OUT, units};

/// So many bills are made of one set of price lists.
pub(crate) const BILLS: usize = 20;

/// The moment that lists change around: 2026-11-26.
const NOON: i64 = 1_795_694_400_000_000;
const DAY: i64 = 86_400_000_000;
const TIERS: [&str; 3] = ["flex", "priority", "batch"];

/// What came of it.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) equal: u64,
    /// Neither has a price.
    pub(crate) unpriced: u64,
    /// For both it is past the range.
    pub(crate) out_of_range: u64,
    /// Equal, and the commission was rounded.
    pub(crate) rounded: u64,
}

/// The bills of every seed. The first that differs is an error which says how.
pub(crate) fn lists(seeds: Range<u64>) -> Result<Tally, String> {
    let mut tally = Tally::default();
    for seed in seeds {
        let mut dice = Dice::new(seed);
        let lists: [List; 2] = std::array::from_fn(|_| list(&mut dice));
        let catalogue = lists.iter().zip(NAMES).map(|(list, name)| model(list, name));
        let catalogue: Catalogue =
            catalogue.collect::<Option<_>>().ok_or("a price cannot be read")?;
        for _ in 0..BILLS {
            one(&mut dice, &lists, &catalogue, &mut tally)
                .map_err(|why| format!("seed {seed}: {why}"))?;
        }
    }
    Ok(tally)
}

const NAMES: [&str; 2] = ["asked", "other"];

fn one(
    dice: &mut Dice,
    lists: &[List; 2],
    catalogue: &Catalogue,
    tally: &mut Tally,
) -> Result<(), String> {
    let served = served(dice, lists);
    let passes: Vec<(usize, Vec<(&'static str, u64)>)> =
        (0..=dice.below(3)).map(|_| pass_of(dice, lists)).collect();
    let report = UsageReport {
        passes: passes.iter().map(|(list, used)| pass(*list, used)).collect(),
        service_tier: served.tier.and_then(ServiceTier::from_name).unwrap_or_default(),
        fast: served.fast,
        region: match served.region {
            Some("us") => Region::Us,
            Some(_) => Region::Eu,
            None => Region::Global,
        },
        inconsistent: false,
        route: None,
    };
    let ours = Bill::of(catalogue, "p", NAMES[0], &report, served.at, served.bps);
    let ours = match &ours {
        Ok(bill) => Ok([bill.cost, bill.commission, bill.charge].map(ledger::Usd::pico)),
        Err(BillError::Amount(_) | BillError::Price(_, PriceError::Amount(_))) => {
            Err(NoBill::OutOfRange)
        }
        Err(_) => Err(NoBill::Unpriced),
    };
    let costs: Result<Vec<_>, NoBill> =
        passes.iter().map(|(list, used)| lists[*list].cost(used, &served)).collect();
    let theirs = costs.and_then(|costs| rational::bill(costs, served.bps));
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) if ours == theirs => {
            tally.equal += 1;
            tally.rounded += u64::from(rational::is_rounded(ours[0], served.bps));
        }
        // A bill with both faults may name either.
        (Err(_), Err(NoBill::Unpriced)) => tally.unpriced += 1,
        (Err(NoBill::OutOfRange), Err(NoBill::OutOfRange)) => tally.out_of_range += 1,
        _ => {
            return Err(format!(
                "{ours:?} and not {theirs:?}, for {passes:?} on {served:?} by {lists:?}"
            ));
        }
    }
    Ok(())
}

fn pass(list: usize, used: &[(&'static str, u64)]) -> Pass {
    let counters: Vec<_> =
        used.iter().filter_map(|(name, count)| Some((Meter::from_name(name)?, *count))).collect();
    let model = (list > 0).then(|| NAMES[list].to_owned());
    Pass { model, usage: Usage::of(&counters) }
}

// What is billed

/// One pass over one of the models; now and then with a prompt of exactly as many tokens as are not yet long, or one more.
fn pass_of(dice: &mut Dice, lists: &[List; 2]) -> (usize, Vec<(&'static str, u64)>) {
    let list = dice.below(8) / 7;
    let mut used = used(dice);
    if let (Some(above), true) = (lists[list].long_above, dice.percent(20)) {
        used.retain(|(name, _)| *name != "input");
        let others = used.iter().filter(|(name, _)| TOKENS_IN.contains(name));
        let others: u64 = others.map(|(_, count)| count).sum();
        used.push(("input", above.saturating_sub(others) + dice.amount(0, 1).unsigned_abs()));
    }
    (list, used)
}

/// Some time around the changes of the lists; now and then the moment of one, or the beginning of an hour.
fn served(dice: &mut Dice, lists: &[List; 2]) -> Served {
    let at = NOON + dice.amount(-3 * DAY, 3 * DAY);
    let change = lists[0].dated.last().and_then(|(from, _)| *from);
    let at = match dice.below(10) {
        0 => change.unwrap_or(at),
        1 => at - at % (DAY / 24),
        _ => at,
    };
    Served {
        at,
        tier: dice.percent(40).then(|| TIERS[dice.below(3)]),
        fast: dice.percent(15),
        region: dice.percent(20).then(|| ["us", "eu"][dice.below(2)]),
        bps: u32::try_from([0, 500, dice.amount(1, 10_000)][dice.below(3)]).unwrap_or_default(),
    }
}

fn used(dice: &mut Dice) -> Vec<(&'static str, u64)> {
    let all = [&TOKENS_IN[..], &TOKENS_OUT, &PIECES].concat();
    let mut used: Vec<(&'static str, u64)> = Vec::new();
    for _ in 0..dice.below(6) {
        // Mostly text.
        let text = ["input", "output", "cache_read", "reasoning"];
        let name = if dice.percent(70) { text[dice.below(4)] } else { all[dice.below(all.len())] };
        let most = [1, 100, 10_000, 1_000_000, 2_000_000_000, 1_000_000_000_000_000][dice.below(6)];
        let most = if most > 1_000_000 && dice.percent(80) { 300_000 } else { most };
        if used.iter().all(|(known, _)| *known != name) {
            used.push((name, dice.amount(0, most).unsigned_abs()));
        }
    }
    used
}

// Price lists

fn list(dice: &mut Dice) -> List {
    let mut dated =
        vec![(dice.percent(95).then_some(()).map_or(Some(NOON - DAY), |()| None), parts(dice))];
    if dice.percent(30) {
        dated.push((Some(NOON + dice.amount(-DAY, DAY)), parts(dice)));
    }
    let from = dice.amount(0, 22);
    let factor = |dice: &mut Dice| {
        dice.percent(70).then(|| u32::try_from(dice.amount(5_000, 60_000)).unwrap_or_default())
    };
    List {
        dated,
        long_above: dice.percent(50).then(|| dice.amount(0, 300_000).unsigned_abs()),
        off_peak: dice.percent(30).then_some((from, from + 1)),
        fast: factor(dice),
        us: factor(dice),
        eu: factor(dice),
    }
}

fn parts(dice: &mut Dice) -> Vec<Part> {
    let mut parts = vec![Part { prices: prices(dice, true), ..Part::default() }];
    for tier in [None, Some(TIERS[0]), Some(TIERS[1]), Some(TIERS[2])] {
        for long in [false, true] {
            if (long || tier.is_some()) && dice.percent(50) {
                parts.push(Part { tier, long, off_peak: false, prices: prices(dice, false) });
            }
        }
    }
    if dice.percent(50) {
        parts.push(Part { tier: None, long: false, off_peak: true, prices: prices(dice, false) });
    }
    parts
}

fn prices(dice: &mut Dice, text: bool) -> Printed {
    let mut prices: Printed = Vec::new();
    for name in [&TOKENS_IN[..], &TOKENS_OUT, &PIECES].concat() {
        let always = text && matches!(name, "input" | "output");
        if always || dice.percent(60) {
            prices.push((name, price(dice, name)));
        }
    }
    prices
}

/// A price with no more decimals than are printed, or with so many that it must be rounded; often right between two.
fn price(dice: &mut Dice, name: &str) -> String {
    let whole = dice.amount(0, 120);
    let exact = usize::try_from(12 - units(name)).unwrap_or_default();
    let decimals = match dice.below(4) {
        0 => return whole.to_string(),
        1 => 2,
        2 => exact,
        _ => exact + 1 + dice.below(3),
    };
    let mut fraction: String = (0..decimals).map(|_| dice.amount(0, 9).to_string()).collect();
    if decimals > exact && dice.percent(50) {
        fraction.replace_range(exact.., "5");
    }
    // At least one: what would be rounded to nothing is no price.
    format!("{}.{fraction}", whole.max(1))
}

fn model(list: &List, name: &str) -> Option<Model> {
    let mut tariffs = Vec::new();
    for (valid_from, parts) in &list.dated {
        let rates = parts.iter().map(|part| Some((condition(part)?, rates(&part.prices)?)));
        tariffs.push(Tariff { valid_from: *valid_from, rates: rates.collect::<Option<_>>()? });
    }
    let windows = match list.off_peak {
        Some((from, to)) => format!("{from:02}:00-{to:02}:00@1234567"),
        None => String::new(),
    };
    let price = ModelPrice {
        tariffs,
        long_context_above: list.long_above,
        off_peak: Windows::parse(&windows)?,
        multipliers: Multipliers { fast: list.fast, us: list.us, eu: list.eu },
    };
    Some(Model { provider: "p".to_owned(), name: name.to_owned(), price, ..Model::default() })
}

fn condition(part: &Part) -> Option<Condition> {
    let service_tier = match part.tier {
        Some(tier) => ServiceTier::from_name(tier)?,
        None => ServiceTier::Standard,
    };
    Some(Condition { service_tier, long_context: part.long, off_peak: part.off_peak })
}

fn rates(prices: &Printed) -> Option<Rates> {
    let read = |(name, text): &(&'static str, String)| {
        Some((Meter::from_name(name)?, UnitPrice::parse(text, units(name)).ok()?))
    };
    prices.iter().map(read).collect()
}
