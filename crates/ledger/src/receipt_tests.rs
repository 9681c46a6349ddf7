use super::*;
use crate::{Catalogue, Meter, PriceFiles, Usage, import};

const LIST: &str = "provider,model,input_per_mtok,output_per_mtok\nopenai,m,0.15,0.6\n";

fn catalogue() -> Catalogue {
    import(PriceFiles { models: LIST, ..PriceFiles::default() }).unwrap()
}

fn receipt(counters: &[(Meter, u64)], outcome: Outcome, amounts: [i64; 3]) -> Receipt {
    let [cost, commission, charge] = amounts.map(Usd::from_pico);
    Receipt {
        request_id: Uuid::nil(),
        attempt: 1,
        account_id: Uuid::nil(),
        user_id: Uuid::nil(),
        key_id: Uuid::nil(),
        surface: "native".to_owned(),
        provider: "openai".to_owned(),
        model: "m".to_owned(),
        model_served: None,
        upstream_id: None,
        price_version: 1,
        commission_bps: 500,
        report: UsageReport::single(Usage::of(counters)),
        usage_source: UsageSource::Provider,
        outcome,
        cost,
        commission,
        charge,
        absorbed: Usd::ZERO,
        bound: None,
        scopes: Vec::new(),
        started_at: 0,
        ended_at: 0,
    }
}

/// 1 234 × 0.15 + 567 × 0.6 dollars a million, and 5 %.
const TEXT: [(Meter, u64); 2] = [(Meter::Input, 1_234), (Meter::Output, 567)];
const RIGHT: [i64; 3] = [525_300_000, 26_265_000, 551_565_000];
/// The list has no price for it.
const SEARCH: [(Meter, u64); 1] = [(Meter::WebSearch, 1)];

#[test]
fn each_amount_is_worked_out_again() {
    let catalogue = catalogue();
    assert_eq!(receipt(&TEXT, Outcome::Ok, RIGHT).check(&catalogue), Ok(()));
    for (place, what) in ["cost", "commission", "charge"].into_iter().enumerate() {
        let mut amounts = RIGHT;
        amounts[place] += 1;
        let fault = receipt(&TEXT, Outcome::Ok, amounts).check(&catalogue);
        assert!(
            matches!(fault, Err(Fault::Differs { what: found, .. }) if found == what),
            "{fault:?}"
        );
    }
}

/// The provider's price is on it, the house has no cost, and the commission is the charge.
#[test]
fn what_the_account_pays_directly_is_worked_out_again() {
    let catalogue = catalogue();
    let direct = |amount, amounts| {
        let mut receipt = receipt(&TEXT, Outcome::Ok, amounts);
        receipt.report.pay_directly(Usd::from_pico(amount));
        receipt.check(&catalogue)
    };
    let [price, commission, both] = RIGHT;
    assert_eq!(direct(price, [0, commission, commission]), Ok(()));
    for (amount, amounts, wrong) in [
        (price + 1, [0, commission, commission], "direct"),
        (price, [price, commission, both], "cost"),
        (price, [0, 0, 0], "commission"),
        (price, [0, commission, both], "charge"),
    ] {
        let fault = direct(amount, amounts);
        assert!(matches!(fault, Err(Fault::Differs { what, .. }) if what == wrong), "{fault:?}");
    }
    let unsaid = receipt(&TEXT, Outcome::Ok, [0, commission, commission]).check(&catalogue);
    assert!(matches!(unsaid, Err(Fault::Differs { what: "cost", .. })), "{unsaid:?}");
}

#[test]
fn what_has_no_price_is_right_where_it_says_so_and_charges_nothing() {
    let catalogue = catalogue();
    assert_eq!(receipt(&SEARCH, Outcome::Unpriced, [0, 0, 0]).check(&catalogue), Ok(()));
    let silent = receipt(&SEARCH, Outcome::Ok, [0, 0, 0]).check(&catalogue);
    assert!(matches!(silent, Err(Fault::Unpriceable(_))), "{silent:?}");
    let charged = receipt(&SEARCH, Outcome::Unpriced, [1, 0, 1]).check(&catalogue);
    assert!(matches!(charged, Err(Fault::Differs { what: "cost", .. })), "{charged:?}");
    let priced = receipt(&TEXT, Outcome::Unpriced, [0, 0, 0]).check(&catalogue);
    assert!(
        matches!(priced, Err(Fault::Differs { what: "cost", .. })),
        "it has a price: {priced:?}"
    );
}

#[test]
fn what_was_delivered_without_a_price_for_all_of_it_is_charged_for_the_rest() {
    let catalogue = catalogue();
    let both = [TEXT[0], TEXT[1], SEARCH[0]];
    assert_eq!(receipt(&both, Outcome::Unpriced, RIGHT).check(&catalogue), Ok(()));
    assert_eq!(receipt(&both, Outcome::Unpriced, [0, 0, 0]).check(&catalogue), Ok(()), "withheld");
    let unsaid = receipt(&both, Outcome::Ok, RIGHT).check(&catalogue);
    assert!(matches!(unsaid, Err(Fault::Unpriceable(_))), "{unsaid:?}");
    let [cost, commission, charge] = RIGHT;
    let wrong = receipt(&both, Outcome::Unpriced, [cost + 1, commission, charge + 1]);
    assert!(matches!(wrong.check(&catalogue), Err(Fault::Differs { what: "cost", .. })));

    // Nor has the list a price for the region, or for fast answers: the ordinary one is known.
    let mut regional = receipt(&TEXT, Outcome::Unpriced, RIGHT);
    (regional.report.region, regional.report.fast) = (crate::Region::Us, true);
    assert_eq!(regional.check(&catalogue), Ok(()));
    regional.outcome = Outcome::Ok;
    assert!(matches!(regional.check(&catalogue), Err(Fault::Unpriceable(_))));
}
