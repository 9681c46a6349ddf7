use super::*;
use crate::price::{Terms, UnitPrice};
use crate::time::parse_date;
use crate::usage::{Meter, ServiceTier, Usage};
use crate::usd::Usd;

const MODELS: &str = include_str!("../../../../pricing/model_prices.csv");
const HISTORY: &str = include_str!("../../../../pricing/price_history.csv");
const IMAGES: &str = include_str!("../../../../pricing/image_prices.csv");

fn shipped() -> Catalogue {
    import(PriceFiles { models: MODELS, history: Some(HISTORY), images: Some(IMAGES) })
        .expect("the shipped list")
}

fn plain(text: &str) -> Result<Catalogue, Vec<String>> {
    import(PriceFiles { models: text, ..PriceFiles::default() })
        .map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

fn cost(
    catalogue: &Catalogue,
    model: (&str, &str),
    usage: &[(Meter, u64)],
    terms: Terms,
) -> String {
    let model = catalogue.get(model.0, model.1).expect("known");
    model.price.price(&Usage::of(usage), &terms).expect("priced").total.to_string()
}

fn on(date: &str) -> Terms {
    // Half past one: a peak hour of DeepSeek's.
    Terms { at: parse_date(date).expect("date") + 5_400_000_000, ..Terms::default() }
}

#[test]
fn the_shipped_list_has_all_models() {
    let catalogue = shipped();
    assert_eq!(catalogue.len(), 411);
    let priced =
        catalogue.models().filter(|model| model.price.prices_text(on("2026-11-24").at)).count();
    assert_eq!(
        priced, 393,
        "18 are priced by the picture, second or character only, or by nothing known"
    );
    let sonnet = catalogue.get("anthropic", "claude-sonnet-4-5").expect("sonnet");
    assert_eq!(sonnet.info.deprecation_date.as_deref(), Some("2026-11-30"));
    assert_eq!(sonnet.info.attributes.get("supports_vision").map(String::as_str), Some("true"));
    let image = catalogue.get("openai", "gpt-image-1").expect("image model");
    assert_eq!(
        image.info.attributes.get("usd_per_image:high:1024x1024").map(String::as_str),
        Some("0.167")
    );
}

/// Figures worked out by hand from the list: $0.15 and $0.60 per million tokens.
#[test]
fn a_small_chat_is_priced_to_the_pico_dollar() {
    let usage = [(Meter::Input, 1_234), (Meter::Output, 567)];
    let usd = cost(&shipped(), ("openai", "gpt-4o-mini"), &usage, on("2026-11-24"));
    assert_eq!(usd, "0.0005253");
    assert_eq!(
        Usd::parse(&usd).and_then(|usd| usd.share(500)).map(|share| share.to_string()),
        Ok("0.000026265".into())
    );
}

#[test]
fn dated_prices_follow_the_date() {
    let catalogue = shipped();
    let million = [(Meter::Input, 1_000_000), (Meter::Output, 1_000_000)];
    let flash = |date| cost(&catalogue, ("gemini", "gemini-3.6-flash"), &million, on(date));
    assert_eq!((flash("2026-11-24"), flash("2027-01-01")), ("4.5".to_owned(), "9".to_owned()));
    let sol =
        |date| cost(&catalogue, ("openai", "gpt-5.6-sol"), &[(Meter::Input, 100_000)], on(date));
    assert_eq!((sol("2026-08-20"), sol("2026-08-21")), ("0.5".to_owned(), "0.4".to_owned()));
    // A flex price is not in the dated row: it moves with the plain one.
    let flex = |date| {
        let terms = Terms { service_tier: ServiceTier::Flex, ..on(date) };
        cost(&catalogue, ("openai", "gpt-5.6-sol"), &[(Meter::Input, 100_000)], terms)
    };
    assert_eq!((flex("2026-08-20"), flex("2026-08-21")), ("0.25".to_owned(), "0.2".to_owned()));
}

#[test]
fn deepseek_is_cheaper_off_peak() {
    let catalogue = shipped();
    let million = [(Meter::Input, 1_000_000)];
    let flash = |terms| cost(&catalogue, ("deepseek", "deepseek-v4-flash"), &million, terms);
    // 2026-11-24 is a Tuesday; 01:30 is peak, 04:30 is not; Sunday is off-peak all day.
    assert_eq!(flash(on("2026-11-24")), "0.3");
    assert_eq!(
        flash(Terms { at: on("2026-11-24").at + 3 * 3_600_000_000, ..Terms::default() }),
        "0.15"
    );
    assert_eq!(flash(on("2026-11-22")), "0.15");
    // The row of 2026-08-17 quotes the off-peak price; the peak price was twice that.
    assert_eq!(flash(on("2026-08-18")), "0.44");
    assert_eq!(flash(on("2026-08-16")), "0.14");
}

#[test]
fn long_context_search_and_free_models() {
    let catalogue = shipped();
    let pro = |input| {
        cost(&catalogue, ("gemini", "gemini-2.5-pro"), &[(Meter::Input, input)], on("2026-11-24"))
    };
    assert_eq!((pro(200_000), pro(200_001)), ("0.25".to_owned(), "0.5000025".to_owned()));
    let searched = [(Meter::SearchQuery, 3), (Meter::GroundedPrompt, 1)];
    assert_eq!(
        cost(&catalogue, ("gemini", "gemini-3.5-flash"), &searched, on("2026-11-24")),
        "0.042"
    );
    assert_eq!(
        cost(&catalogue, ("gemini", "gemini-2.5-flash"), &searched, on("2026-11-24")),
        "0.035"
    );
    let moderation = catalogue.get("openai", "omni-moderation-latest").expect("moderation");
    let rates = moderation.price.rates(0, &on("2026-11-24")).expect("rates");
    assert_eq!(rates.get(Meter::Input), Some(UnitPrice::FREE));
}

#[test]
fn the_plain_form_prices_every_token() {
    for text in [
        "provider,model,price_per_token\nacme,a1,0.000002\n",
        "acme,a1,0.000002\n",
        "\u{feff}acme, a1 ,0.000002",
    ] {
        let catalogue = plain(text).expect(text);
        let usage =
            [(Meter::Input, 3), (Meter::CacheRead, 2), (Meter::Reasoning, 1), (Meter::Output, 4)];
        assert_eq!(cost(&catalogue, ("acme", "a1"), &usage, Terms::default()), "0.00002");
    }
    let swapped =
        plain("model,price_per_token,provider\na1,free,acme\n").expect("any order of columns");
    assert_eq!(cost(&swapped, ("acme", "a1"), &[(Meter::Output, 9)], Terms::default()), "0");
}

#[test]
fn every_fault_is_named_with_its_place() {
    let faults = plain(
        "provider,model,price_per_token\n\
         acme,a1,-1\n\
         acme,a 2,0.1\n\
         acme,a3\n\
         acme,a4,1e-6\n\
         acme,a5,0\n\
         acme,a5,0.0000000000001\n\
         acme,a6,5000\n\
         ,a7,0.1\n",
    );
    assert_eq!(
        faults.expect_err("faults"),
        [
            "line 2, column 3 (price_per_token): a price is never negative",
            "line 3, column 2 (model): expected a name without spaces",
            "line 4, column 2 (row): 2 cells, but the header has 3",
            "line 5, column 3 (price_per_token): expected a plain decimal number of dollars such as 0.15",
            "line 6, column 3 (price_per_token): 0 is not taken for a price; write free to charge nothing",
            "line 7, column 2 (model): this provider and model stand in the file twice",
            "line 7, column 3 (price_per_token): less than a pico-dollar a unit; write free where it costs nothing",
            "line 8, column 3 (price_per_token): more than 100 dollars a unit; is the unit right?",
            "line 9, column 1 (provider): expected a name without spaces",
        ]
    );
    assert_eq!(
        plain("provider,model\n").expect_err("columns"),
        [
            "line 1, column 3 (input_per_mtok): the header lacks this column",
            "line 1, column 3 (output_per_mtok): the header lacks this column",
        ]
    );
    assert_eq!(
        plain("").expect_err("empty"),
        ["line 1, column 1 (provider): empty; expected a header line and one row per model"]
    );
    assert_eq!(
        plain("provider,model,price_per_token\n").expect_err("no row"),
        ["line 2, column 1 (provider): no model; expected one row per model"]
    );
}

#[test]
fn faults_of_the_full_form() {
    let faults = plain(
        "provider,model,mode,status,input_per_mtok,output_per_mtok,context_window,colour,offpeak_windows_utc\n\
         acme,a1,chat,alive,1,2,many,red,monday\n",
    );
    assert_eq!(
        faults.expect_err("faults"),
        [
            "line 1, column 8 (colour): unknown column",
            "line 2, column 4 (status): expected active, deprecated, retired or unknown",
            "line 2, column 7 (context_window): expected a whole number",
            "line 2, column 9 (offpeak_windows_utc): expected hours at weekdays such as 00:00-01:00@12345",
        ]
    );
    let dated = import(PriceFiles {
        models: "provider,model,input_per_mtok,output_per_mtok\nacme,a1,1,2\n",
        history: Some(
            "provider,model,valid_from,source,input_per_mtok,output_per_mtok\nacme,a2,,s,1,1\nacme,a1,May,s,1,1\n",
        ),
        images: None,
    });
    let faults: Vec<_> = dated.expect_err("faults").iter().map(ToString::to_string).collect();
    assert_eq!(
        faults,
        [
            "line 2, column 2 (model): this model is not in the file of models",
            "line 3, column 3 (valid_from): expected a date such as 2026-11-24",
        ]
    );
}
