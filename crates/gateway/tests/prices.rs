//! Usage objects of real answers, through the dialects' readers and the price list that is shipped, against bills that
//! were worked out elsewhere with exact decimals.

#![expect(clippy::expect_used, clippy::panic, reason = "a test may")]

use ledger::{
    Bill, Catalogue, Meter, PriceFiles, ServiceTier, UsageReport, Usd, import, parse_date,
};
use serde_json::{Value, json};
use testkit::recordings;

const HOUR: i64 = 3_600_000_000;
/// The bills take this day's prices, and DeepSeek's at a peak hour.
const DAY: &str = "2026-11-24";
const PEAK_HOUR: i64 = 1;
const OFF_PEAK_HOUR: i64 = 4;

/// Bills that differ on purpose, with the reason.
const DIFFERENT: [(&str, &str); 1] = [(
    "deepseek.responses-3d52824c4213",
    "a web search whose fee no price list has: refused here, left out there",
)];

fn catalogue() -> Catalogue {
    import(PriceFiles {
        models: include_str!("../../../pricing/model_prices.csv"),
        history: Some(include_str!("../../../pricing/price_history.csv")),
        images: Some(include_str!("../../../pricing/image_prices.csv")),
    })
    .expect("the shipped list")
}

fn at(hour: i64) -> i64 {
    parse_date(DAY).expect("a date") + hour * HOUR
}

fn text<'a>(bill: &'a Value, field: &str) -> &'a str {
    bill[field].as_str().unwrap_or_default()
}

/// Reads the usage object of a bill by the rules of its API, and adds what an answer says outside of it.
fn report(bill: &Value) -> UsageReport {
    let usage = bill["usage_raw"].to_string();
    let report = match text(bill, "api") {
        "openai.responses" | "openai.responses_compact" | "deepseek.responses" => {
            wire::openai_responses::usage::read(&usage)
        }
        "gemini.batchEmbedContents" => wire::gemini::usage::read_embeddings(&usage),
        "gemini.openai_chat" => wire::openai_chat::usage::read_gemini_compat(&usage),
        api if api.starts_with("anthropic") => wire::anthropic::usage::read(&usage),
        api if api.starts_with("gemini") => wire::gemini::usage::read(&usage),
        _ => wire::openai_chat::usage::read(&usage),
    };
    let mut report = report.expect("a usage object of a real answer");
    report.service_tier = ServiceTier::from_answer(text(bill, "service_tier"));
    let searches = bill["web_search_calls"].as_u64().unwrap_or(0);
    let meter = match text(bill, "provider") {
        "gemini" if text(bill, "price_model").starts_with("gemini-2") => Meter::GroundedPrompt,
        "gemini" => Meter::SearchQuery,
        _ => Meter::WebSearch,
    };
    if searches > 0 {
        report.passes[0].usage.set(meter, searches);
    }
    report
}

fn priced(catalogue: &Catalogue, bill: &Value, hour: i64) -> Result<Bill, ledger::BillError> {
    Bill::of(
        catalogue,
        text(bill, "provider"),
        text(bill, "price_model"),
        &report(bill),
        at(hour),
        500,
    )
}

/// Every bill of the list, to the pico-dollar.
fn check(bills: &[Value]) -> usize {
    let catalogue = catalogue();
    let mut wrong = Vec::new();
    for bill in bills {
        let id = text(bill, "id");
        if DIFFERENT.iter().any(|(known, _)| *known == id) {
            assert!(priced(&catalogue, bill, PEAK_HOUR).is_err(), "{id}: expected to be refused");
            continue;
        }
        let usd = |field| {
            Usd::parse(text(bill, field)).unwrap_or_else(|error| panic!("{id}: {field}: {error}"))
        };
        match priced(&catalogue, bill, PEAK_HOUR) {
            Ok(ours) => {
                for (field, amount) in [
                    ("base_usd", ours.cost),
                    ("commission_usd", ours.commission),
                    ("total_usd", ours.charge),
                ] {
                    if amount != usd(field) {
                        wrong.push(format!("{id}: {field} is {}, we say {amount}", usd(field)));
                    }
                }
            }
            Err(error) => wrong.push(format!("{id}: {error}")),
        }
        if !text(bill, "offpeak_total_usd").is_empty() {
            let ours = priced(&catalogue, bill, OFF_PEAK_HOUR).expect("priced off-peak").charge;
            if ours != usd("offpeak_total_usd") {
                wrong.push(format!("{id}: off-peak {}, we say {ours}", usd("offpeak_total_usd")));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), bills.len(), wrong.join("\n"));
    bills.len()
}

#[test]
fn every_recorded_answer_costs_what_its_bill_says() {
    let Some(folder) = recordings::require() else { return };
    let bills = recordings::load_bills(&folder).expect("the bills");
    assert!(check(&bills) >= 1_577);
}

/// The same on usage objects of our own, worked out by hand from the price list.
#[test]
fn hand_made_answers_cost_what_a_pocket_calculator_says() {
    let bill = |provider: &str,
                api: &str,
                model: &str,
                usage: Value,
                [base, commission, total]: [&str; 3]| {
        json!({
            "id": format!("{api}/{model}"), "provider": provider, "api": api, "price_model": model,
            "service_tier": "", "usage_raw": usage, "web_search_calls": 0,
            "base_usd": base, "commission_usd": commission, "total_usd": total,
        })
    };
    let bills = [
        // 1000 × 2.5 + 3000 × 1.25 + 100 × 10 dollars per million.
        bill(
            "openai",
            "openai.chat",
            "gpt-4o",
            json!({"prompt_tokens": 4000, "completion_tokens": 100, "total_tokens": 4100,
                   "prompt_tokens_details": {"cached_tokens": 3000}, "completion_tokens_details": {"reasoning_tokens": 60}}),
            ["0.00725", "0.0003625", "0.0076125"],
        ),
        // 10 × 3 + 1000 × 0.3 + 200 × 3.75 + 50 × 6 + 20 × 15.
        bill(
            "anthropic",
            "anthropic.messages",
            "claude-sonnet-4-5",
            json!({"input_tokens": 10, "output_tokens": 20, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 250,
                   "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 50}}),
            ["0.00168", "0.000084", "0.001764"],
        ),
        // (100 − 40 + 30) × 0.3 + 40 × 0.03 + (7 + 13) × 2.5.
        bill(
            "gemini",
            "gemini.generateContent",
            "gemini-2.5-flash",
            json!({"promptTokenCount": 100, "cachedContentTokenCount": 40, "toolUsePromptTokenCount": 30,
                   "candidatesTokenCount": 7, "thoughtsTokenCount": 13, "totalTokenCount": 150}),
            ["0.0000782", "0.00000391", "0.00008211"],
        ),
        // 67 × 0.3 + 384 × 0.006 + 10 × 1.2.
        bill(
            "deepseek",
            "deepseek.chat",
            "deepseek-v4-flash",
            json!({"prompt_tokens": 451, "completion_tokens": 10, "total_tokens": 461,
                   "prompt_cache_hit_tokens": 384, "prompt_cache_miss_tokens": 67}),
            ["0.000034404", "0.0000017202", "0.0000361242"],
        ),
    ];
    assert_eq!(check(&bills), bills.len());
}
