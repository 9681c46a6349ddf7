use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::price::{Condition, Multipliers, Tariff};
use crate::time::Windows;
use crate::usage::{Pass, Usage, UsageReport};
use crate::{Bill, Catalogue, Model};

fn rates(prices: &[(Meter, i64)]) -> Rates {
    prices
        .iter()
        .map(|&(meter, pico)| (meter, UnitPrice::from_pico(pico).expect("price")))
        .collect()
}

fn model(rates: Vec<(Condition, Rates)>) -> ModelPrice {
    ModelPrice { tariffs: vec![Tariff { valid_from: None, rates }], ..ModelPrice::default() }
}

fn plain(prices: &[(Meter, i64)]) -> ModelPrice {
    model(vec![(Condition::default(), rates(prices))])
}

fn pico(price: &ModelPrice, demand: Demand, bps: u32) -> Result<i64, PriceError> {
    bound(price, &demand, 0, bps).map(Usd::pico)
}

const TEXT: Demand = Demand {
    input_tokens: 100,
    output_tokens: 10,
    choices: 2,
    calls: 0,
    service_tier: ServiceTier::Standard,
    fast: false,
    region: Region::Global,
    direct: false,
};

#[test]
fn every_token_counts_as_the_dearest_kind() {
    let text = [(Meter::Input, 3), (Meter::Output, 5), (Meter::CacheRead, 1)];
    assert_eq!(pico(&plain(&text), TEXT, 0), Ok(100 * 3 + 2 * 10 * 5));
    let dear = [&text[..], &[(Meter::CacheWrite1h, 6), (Meter::Reasoning, 7)]].concat();
    assert_eq!(pico(&plain(&dear), TEXT, 0), Ok(100 * 6 + 2 * 10 * 7));
    let searching =
        [&text[..], &[(Meter::WebSearch, 900), (Meter::GroundedPrompt, 1_000)]].concat();
    assert_eq!(pico(&plain(&searching), Demand { calls: 3, ..TEXT }, 0), Ok(400 + 3_000));
    assert_eq!(pico(&plain(&text), Demand { choices: 0, ..TEXT }, 0), Ok(350), "one choice");
}

#[test]
fn the_commission_is_rounded_up() {
    let price = plain(&[(Meter::Input, 1), (Meter::Output, 1)]);
    let one = Demand { input_tokens: 1, output_tokens: 0, ..TEXT };
    assert_eq!(pico(&price, one, 500), Ok(2), "0.05 of a pico-dollar");
    assert_eq!(pico(&price, Demand { input_tokens: 20, ..one }, 500), Ok(21), "exactly one");
    assert_eq!(pico(&price, Demand { input_tokens: 21, ..one }, 500), Ok(23));
    assert_eq!(pico(&price, Demand { input_tokens: 0, ..one }, 500), Ok(0));
}

#[test]
fn of_what_is_paid_directly_the_commission_is_held() {
    let price = plain(&[(Meter::Input, 3), (Meter::Output, 5)]);
    let direct = Demand { direct: true, ..TEXT };
    assert_eq!(pico(&price, direct, 500), Ok(20), "5 % of 400");
    assert_eq!(pico(&price, Demand { input_tokens: 101, ..direct }, 500), Ok(21), "of 403");
    assert_eq!(pico(&price, direct, 0), Ok(0));
    // 20 is 5 % of 400, of which the prompt is 300 and each token of both choices 10.
    let affordable = |bps, free| affordable_output(&price, &direct, 0, bps, Usd::from_pico(free));
    assert_eq!((affordable(500, 20), affordable(500, 19)), (Some(10), Some(8)));
    assert_eq!((affordable(500, 14), affordable(0, 0)), (None, Some(u64::MAX)));
}

#[test]
fn conditions_count_where_they_may_hold_and_are_dearer() {
    let when =
        |long_context, off_peak| Condition { long_context, off_peak, ..Condition::default() };
    let mut price = model(vec![
        (when(false, false), rates(&[(Meter::Input, 10), (Meter::Output, 20)])),
        (when(true, false), rates(&[(Meter::Input, 30), (Meter::Output, 40)])),
        (when(false, true), rates(&[(Meter::Input, 1), (Meter::Output, 25)])),
    ]);
    price.long_context_above = Some(100);
    assert_eq!(pico(&price, TEXT, 0), Ok(100 * 10 + 20 * 20), "at the threshold: not above it");
    let long = Demand { input_tokens: 101, ..TEXT };
    assert_eq!(pico(&price, long, 0), Ok(101 * 30 + 20 * 40));
    price.off_peak = Windows::parse("00:00-01:00@1").expect("window");
    assert_eq!(pico(&price, TEXT, 0), Ok(100 * 10 + 20 * 25), "off-peak output is the dearer one");
    price.multipliers.us = Some(11_000);
    assert_eq!(pico(&price, Demand { region: Region::Us, ..TEXT }, 0), Ok(100 * 11 + 20 * 28));
}

#[test]
fn what_has_no_price_has_no_bound() {
    let input = plain(&[(Meter::Input, 3)]);
    let unpriced = |meter| Err(PriceError::Unpriced(meter));
    assert_eq!(pico(&input, TEXT, 0), unpriced(Meter::Output));
    let embedding = Demand { output_tokens: 0, ..TEXT };
    assert_eq!(pico(&input, embedding, 0), Ok(300), "what is not asked for needs no price");
    assert_eq!(pico(&input, Demand { calls: 1, ..embedding }, 0), unpriced(Meter::WebSearch));
    assert_eq!(pico(&plain(&[(Meter::Output, 1)]), TEXT, 0), unpriced(Meter::Input));
    assert_eq!(pico(&ModelPrice::default(), TEXT, 0), Err(PriceError::NoTariff));
    assert_eq!(
        pico(&input, Demand { fast: true, ..embedding }, 0),
        Err(PriceError::NoMultiplier("fast mode"))
    );
}

#[test]
fn a_bound_past_the_range_is_an_error() {
    let price = plain(&[(Meter::Input, i64::MAX), (Meter::Output, i64::MAX)]);
    let most =
        Demand { input_tokens: u64::MAX, output_tokens: u64::MAX, choices: u64::MAX, ..TEXT };
    let out = Err(PriceError::Amount(UsdError::OutOfRange));
    assert_eq!(pico(&price, most, u32::MAX), out);
    assert_eq!(pico(&price, Demand { input_tokens: 1, output_tokens: 0, ..TEXT }, 1), out);
    let whole = Demand { input_tokens: 1, output_tokens: 0, ..TEXT };
    assert_eq!(pico(&price, whole, 0), Ok(i64::MAX));
}

#[test]
fn as_much_output_as_the_credit_affords() {
    let price = plain(&[(Meter::Input, 3), (Meter::Output, 5)]);
    let afford = |free| affordable_output(&price, &TEXT, 0, 500, Usd::from_pico(free));
    // 300 for the prompt and 10 for a token of each of two choices, both with a twentieth on top.
    assert_eq!(afford(314), None);
    assert_eq!(afford(-1), None);
    assert_eq!(afford(315), Some(0));
    assert_eq!(afford(325), Some(0), "310 and 15.5, rounded up, are 326");
    assert_eq!(afford(326), Some(1));
    assert_eq!(afford(315 + 10_500), Some(1_000));
    let free = plain(&[(Meter::Input, 0), (Meter::Output, 0)]);
    assert_eq!(affordable_output(&free, &TEXT, 0, 500, Usd::ZERO), Some(u64::MAX));
    let silent = plain(&[(Meter::Input, 0)]);
    assert_eq!(affordable_output(&silent, &TEXT, 0, 500, Usd::DOLLAR), Some(0));
    assert_eq!(affordable_output(&ModelPrice::default(), &TEXT, 0, 500, Usd::DOLLAR), None);
}

/// Any price list: plain prices for text, and whatever else for any condition.
fn prices() -> impl Strategy<Value = ModelPrice> {
    let some = || {
        subsequence(Meter::ALL.to_vec(), 0..=Meter::ALL.len()).prop_flat_map(|meters| {
            let len = meters.len();
            (Just(meters), prop::collection::vec(0_i64..2_000_000, len))
        })
    };
    let sets = prop::collection::vec(some(), 16);
    let factors = prop::collection::vec(5_000_u32..30_000, 3);
    (sets, factors, prop::option::of(0_u64..5_000), any::<bool>()).prop_map(
        |(sets, factors, long_context_above, windows)| {
            let conditions = ServiceTier::ALL.into_iter().flat_map(|service_tier| {
                [(false, false), (false, true), (true, false), (true, true)].map(
                    |(long_context, off_peak)| Condition { service_tier, long_context, off_peak },
                )
            });
            let mut all = Vec::new();
            for (condition, (meters, picos)) in conditions.zip(sets) {
                let mut own: Vec<_> = meters.into_iter().zip(picos).collect();
                if condition == Condition::default() {
                    own.extend([(Meter::Input, 700), (Meter::Output, 900)]);
                }
                all.push((condition, rates(&own)));
            }
            let windows = if windows { "00:00-12:00@1234567" } else { "" };
            ModelPrice {
                long_context_above,
                off_peak: Windows::parse(windows).expect("windows"),
                multipliers: Multipliers {
                    fast: Some(factors[0]),
                    us: Some(factors[1]),
                    eu: Some(factors[2]),
                },
                ..model(all)
            }
        },
    )
}

/// Passes, and what is asked for besides: the demand is exactly what the passes use together, or some more.
fn demands() -> impl Strategy<Value = (Vec<Usage>, Demand)> {
    let counted = |meter: &Meter| {
        let call = matches!(meter, Meter::WebSearch | Meter::SearchQuery | Meter::GroundedPrompt);
        call || meter.is_token()
    };
    let meters: Vec<Meter> = Meter::ALL.into_iter().filter(counted).collect();
    let usage = prop::collection::vec((select(meters), 0_u64..3_000), 0..6)
        .prop_map(|counters| Usage::of(&counters));
    let terms = (
        select(&ServiceTier::ALL),
        any::<bool>(),
        select(&[Region::Global, Region::Us, Region::Eu]),
        any::<bool>(),
    );
    let spare = (0_u64..3, 0_u64..3, 1_u64..4, 0_u64..3);
    (prop::collection::vec(usage, 1..4), terms, spare).prop_map(
        |(passes, (service_tier, fast, region, direct), (input, output, choices, calls))| {
            let mut total = Usage::ZERO;
            for pass in &passes {
                total.add_all(pass);
            }
            let asked: u64 = [Meter::WebSearch, Meter::SearchQuery, Meter::GroundedPrompt]
                .into_iter()
                .map(|meter| total.get(meter))
                .sum();
            let demand = Demand {
                input_tokens: total.input_tokens() + input,
                output_tokens: total.output_tokens().div_ceil(choices) + output,
                choices,
                calls: asked + calls,
                service_tier,
                fast,
                region,
                direct,
            };
            (passes, demand)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_bill_within_the_demand_exceeds_the_bound(
        price in prices(),
        (passes, demand) in demands(),
        at in 0_i64..604_800_000_000,
        bps in 0_u32..20_000,
    ) {
        let mut report = UsageReport {
            passes: passes.into_iter().map(|usage| Pass { model: None, usage }).collect(),
            service_tier: demand.service_tier,
            fast: demand.fast,
            region: demand.region,
            inconsistent: false, route: None };
        if demand.direct {
            report.pay_directly(Usd::ZERO);
        }
        let most = bound(&price, &demand, at, bps);
        let name = "m".to_owned();
        let catalogue: Catalogue =
            [Model { provider: "p".to_owned(), name, price, ..Model::default() }].into_iter().collect();
        // What cannot be priced is never charged.
        if let Ok(bill) = Bill::of(&catalogue, "p", "m", &report, at, bps)
            && (demand.calls == 0 || most.is_ok())
        {
            let most = most.expect("text has a price");
            prop_assert!(bill.charge <= most, "{} > {most}", bill.charge);
        }
    }

    #[test]
    fn what_is_affordable_is_within_the_bound_and_one_more_is_not(
        price in prices(),
        (_, demand) in demands(),
        free in 0_i64..20_000_000_000,
        bps in 0_u32..20_000,
    ) {
        let free = Usd::from_pico(free);
        let fits = |output_tokens| {
            let most = bound(&price, &Demand { output_tokens, ..demand }, 0, bps);
            most.is_ok_and(|most| most <= free)
        };
        match affordable_output(&price, &demand, 0, bps, free) {
            None => prop_assert!(!fits(0)),
            Some(tokens) => {
                prop_assert!(fits(tokens));
                prop_assert!(tokens == u64::MAX || !fits(tokens + 1));
            }
        }
    }
}
