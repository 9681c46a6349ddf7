use proptest::prelude::*;

use super::*;
use crate::usage::Pass;

fn rates(prices: &[(Meter, i64)]) -> Rates {
    prices
        .iter()
        .map(|&(meter, pico)| (meter, UnitPrice::from_pico(pico).expect("price")))
        .collect()
}

fn condition(service_tier: ServiceTier, long_context: bool, off_peak: bool) -> Condition {
    Condition { service_tier, long_context, off_peak }
}

/// Plain 10 in, 20 out; each condition replaces the price for input by a number of its own.
fn model() -> ModelPrice {
    let plain = rates(&[
        (Meter::Input, 10),
        (Meter::Output, 20),
        (Meter::CacheRead, 1),
        (Meter::WebSearch, 1_000),
    ]);
    let tariff = Tariff {
        valid_from: None,
        rates: vec![
            (Condition::default(), plain),
            (condition(ServiceTier::Flex, false, false), rates(&[(Meter::Input, 5)])),
            (
                condition(ServiceTier::Standard, true, false),
                rates(&[(Meter::Input, 30), (Meter::Output, 40)]),
            ),
            (condition(ServiceTier::Flex, true, false), rates(&[(Meter::Input, 15)])),
            (condition(ServiceTier::Standard, false, true), rates(&[(Meter::Input, 2)])),
        ],
    };
    ModelPrice {
        tariffs: vec![tariff],
        long_context_above: Some(100),
        off_peak: Windows::parse("00:00-01:00@4").expect("window"),
        multipliers: Multipliers { fast: Some(20_000), us: Some(11_000), eu: None },
    }
}

fn total(usage: &[(Meter, u64)], terms: Terms) -> Result<i64, PriceError> {
    model().price(&Usage::of(usage), &terms).map(|cost| cost.total.pico())
}

const PEAK: Terms = Terms {
    at: 7_200_000_000,
    service_tier: ServiceTier::Standard,
    fast: false,
    region: Region::Global,
};

#[test]
fn the_prompt_decides_the_tier_of_the_whole_request() {
    assert_eq!(total(&[(Meter::Input, 100), (Meter::Output, 1)], PEAK), Ok(1_020));
    assert_eq!(total(&[(Meter::Input, 101), (Meter::Output, 1)], PEAK), Ok(3_070));
    // Cached tokens are part of the prompt.
    assert_eq!(total(&[(Meter::Input, 1), (Meter::CacheRead, 100)], PEAK), Ok(130));
}

#[test]
fn narrower_conditions_win_and_leave_the_rest() {
    let flex = Terms { service_tier: ServiceTier::Flex, ..PEAK };
    assert_eq!(total(&[(Meter::Input, 1), (Meter::Output, 1)], flex), Ok(25));
    assert_eq!(total(&[(Meter::Input, 101), (Meter::Output, 1)], flex), Ok(101 * 15 + 40));
    let priority = Terms { service_tier: ServiceTier::Priority, ..PEAK };
    assert_eq!(total(&[(Meter::Input, 1)], priority), Ok(10), "no price of its own: the plain one");
    assert_eq!(
        total(&[(Meter::Input, 1)], Terms { at: 0, ..PEAK }),
        Ok(2),
        "Thursday 00:00 is off-peak"
    );
}

#[test]
fn factors_apply_to_tokens_only() {
    let us = Terms { region: Region::Us, ..PEAK };
    assert_eq!(total(&[(Meter::Input, 10), (Meter::WebSearch, 1)], us), Ok(1_110));
    assert_eq!(total(&[(Meter::Input, 10)], Terms { fast: true, ..us }), Ok(220));
    let eu = Terms { region: Region::Eu, ..PEAK };
    assert_eq!(
        total(&[(Meter::Input, 1)], eu),
        Err(PriceError::NoMultiplier("processing in the EU"))
    );
}

#[test]
fn a_counter_without_a_price_is_an_error_and_never_zero() {
    assert_eq!(
        total(&[(Meter::SearchQuery, 1)], PEAK),
        Err(PriceError::Unpriced(Meter::SearchQuery))
    );
    assert_eq!(
        total(&[(Meter::OutputImage, 1)], PEAK),
        Err(PriceError::Unpriced(Meter::OutputImage))
    );
    assert_eq!(total(&[(Meter::Reasoning, 1)], PEAK), Ok(20), "thinking is output");
    assert_eq!(
        total(&[(Meter::CacheWrite1h, 1)], PEAK),
        Ok(10),
        "a write without a price is a prompt token"
    );
    let none = ModelPrice::default();
    assert_eq!(none.price(&Usage::ZERO, &PEAK), Err(PriceError::NoTariff));
    assert!(!none.prices_text(0) && model().prices_text(0));
}

#[test]
fn the_date_of_the_request_decides() {
    let at = |valid_from, pico| Tariff {
        valid_from,
        rates: vec![(Condition::default(), rates(&[(Meter::Input, pico)]))],
    };
    let price =
        ModelPrice { tariffs: vec![at(Some(10), 1), at(Some(20), 2)], ..ModelPrice::default() };
    let one = Usage::of(&[(Meter::Input, 1)]);
    let cost = |at| price.price(&one, &Terms { at, ..PEAK }).map(|cost| cost.total.pico());
    assert_eq!(cost(9), Err(PriceError::NoTariff));
    assert_eq!((cost(10), cost(19), cost(20)), (Ok(1), Ok(1), Ok(2)));
}

#[test]
fn a_price_is_rounded_when_written_but_never_to_nothing() {
    assert_eq!(UnitPrice::parse("0.15", 6).map(UnitPrice::pico), Ok(150_000));
    assert_eq!(UnitPrice::parse("0.000283333333333", 0).map(UnitPrice::pico), Ok(283_333_333));
    assert_eq!(UnitPrice::parse("0", 6), Ok(UnitPrice::FREE));
    assert_eq!(UnitPrice::parse("0.0000000000001", 0), Err(UsdError::TooPrecise));
    assert_eq!(UnitPrice::parse("-1", 6), Err(UsdError::OutOfRange));
}

#[test]
fn a_sum_past_the_range_is_an_error() {
    let price = ModelPrice {
        tariffs: vec![Tariff {
            valid_from: None,
            rates: vec![(Condition::default(), rates(&[(Meter::Input, i64::MAX)]))],
        }],
        ..ModelPrice::default()
    };
    let two = Usage::of(&[(Meter::Input, 2)]);
    assert_eq!(price.price(&two, &PEAK), Err(PriceError::Amount(UsdError::OutOfRange)));
    let all = Usage::of(&[(Meter::Input, u64::MAX), (Meter::Output, u64::MAX)]);
    assert_eq!(price.price(&all, &PEAK), Err(PriceError::Amount(UsdError::OutOfRange)));
}

#[test]
fn usage_names_survive_json() {
    let report = crate::UsageReport {
        passes: vec![Pass {
            model: Some("other".to_owned()),
            usage: Usage::of(&Meter::ALL.map(|meter| (meter, 7))),
        }],
        service_tier: ServiceTier::Flex,
        fast: true,
        region: Region::Eu,
        inconsistent: true,
        route: None,
    };
    let json = serde_json::to_string(&report).expect("json");
    assert_eq!(serde_json::from_str::<crate::UsageReport>(&json).expect("report"), report);
    assert!(
        serde_json::from_str::<Usage>(r#"{"inputs":1}"#).is_err(),
        "an unknown counter is refused"
    );
}

fn usages() -> impl Strategy<Value = Usage> {
    prop::collection::vec((0..Meter::ALL.len(), 0_u64..1_000_000), 0..8).prop_map(|counts| {
        Usage::of(&counts.iter().map(|&(i, n)| (Meter::ALL[i], n)).collect::<Vec<_>>())
    })
}

fn all_priced() -> impl Strategy<Value = ModelPrice> {
    prop::collection::vec(0_i64..1_000_000_000, Meter::ALL.len()).prop_map(|prices| {
        let prices: Vec<_> = Meter::ALL.into_iter().zip(prices).collect();
        ModelPrice {
            tariffs: vec![Tariff {
                valid_from: None,
                rates: vec![(Condition::default(), rates(&prices))],
            }],
            ..ModelPrice::default()
        }
    })
}

proptest! {
    #[test]
    fn a_cost_is_the_sum_of_products(price in all_priced(), usage in usages()) {
        let cost = price.price(&usage, &PEAK).expect("in range");
        let plain = price.rates(0, &PEAK).expect("rates");
        let expected: i128 = Meter::ALL
            .into_iter()
            .map(|meter| i128::from(usage.get(meter)) * i128::from(plain.get(meter).expect("price").pico()))
            .sum();
        prop_assert_eq!(i128::from(cost.total.pico()), expected);
        prop_assert_eq!(cost.lines.iter().map(|line| i128::from(line.amount.pico())).sum::<i128>(), expected);
    }

    #[test]
    fn more_never_costs_less(price in all_priced(), usage in usages(), meter in 0..Meter::ALL.len()) {
        let mut more = usage;
        more.add(Meter::ALL[meter], 1);
        let cost = |usage: &Usage| price.price(usage, &PEAK).expect("in range").total;
        prop_assert!(cost(&more) >= cost(&usage));
    }

    #[test]
    fn the_sum_of_two_is_the_price_of_both(price in all_priced(), one in usages(), two in usages()) {
        let mut both = one;
        both.add_all(&two);
        let cost = |usage: &Usage| price.price(usage, &PEAK).expect("in range").total;
        prop_assert_eq!(cost(&one).checked_add(cost(&two)), Ok(cost(&both)));
    }
}
