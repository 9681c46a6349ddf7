//! Real answers of the providers through the whole program, against bills that were worked out elsewhere.
//!
//! The simulator gives the recorded answer to a chat that names it. Every whole good answer of the four chat APIs is
//! among them, whatever the recorded client had asked for: tools and pictures are not asked for by the native API, but
//! what an answer to them costs and says is read by the same code.

use std::collections::BTreeMap;

use ledger::{Meter, Receipt, ServiceTier, UsageSource};
use serde_json::Value;
use testkit::{Recording, recordings};

use crate::app::{Answer, App, Start};
use crate::books::Books;
use crate::chat::say;
use crate::prices::{self, pico_dollars};

/// Chats that are refused on purpose, with the reason.
const REFUSED: [(&str, &str); 1] = [(
    "anthropic.messages-6691242f38d5",
    "claude-2.1 is in no price list any more, and what has no price is not sent",
)];

#[tokio::test]
async fn every_answer_of_openai() {
    replay("openai.chat", 253).await;
}

#[tokio::test]
async fn every_answer_of_anthropic() {
    replay("anthropic.messages", 318).await;
}

#[tokio::test]
async fn every_answer_of_gemini() {
    replay("gemini.generateContent", 257).await;
}

#[tokio::test]
async fn every_answer_of_deepseek() {
    replay("deepseek.chat", 21).await;
}

/// What was asked, answered and billed for one recording.
struct Exchange {
    recording: Recording,
    /// `None` for an answer without counters.
    bill: Option<Value>,
    answer: Answer,
}

async fn replay(api: &str, at_least: usize) {
    let Some(folder) = recordings::require() else { return };
    let bills = recordings::load_bills(&folder).expect("the bills").into_iter();
    let mut bills: BTreeMap<String, Value> =
        bills.map(|bill| (text(&bill, "id").to_owned(), bill)).collect();
    let books = Books::sqlite();
    prices::at_any_time(&books).await;
    let app = App::start_on(books, Start::default().with_recordings(&folder)).await;
    let mut exchanges = Vec::new();
    for recording in recordings::load(&folder, api).expect("the recordings") {
        if recording.stream || recording.response.status != 200 {
            continue;
        }
        let bill = bills.remove(&recording.id);
        let asked = recording.model.as_deref().expect("a model");
        let model = bill.as_ref().map_or(asked, |bill| text(bill, "price_model"));
        let message = format!("recording:{}", recording.id);
        let answer = Answer::of(app.chat(&say(&recording.provider, model, &message))).await;
        exchanges.push(Exchange { recording, bill, answer });
    }
    assert!(exchanges.len() >= at_least, "only {} answers", exchanges.len());
    let owed = app.price_to_pay().await;
    let receipts = app.close().await.into_iter();
    let receipts: BTreeMap<String, Receipt> =
        receipts.map(|receipt| (receipt.request_id.to_string(), receipt)).collect();

    let mut wrong = Vec::new();
    let mut total = 0_i128;
    for exchange in &exchanges {
        let id = &exchange.recording.id;
        let refused = REFUSED.iter().any(|(known, _)| known == id);
        if refused != (exchange.answer.status != 200) {
            wrong.push(format!("{id}: {} {}", exchange.answer.status, exchange.answer.body));
        }
        if exchange.answer.status != 200 {
            continue;
        }
        let receipt = &receipts[exchange.answer.header("x-request-id")];
        total += i128::from(receipt.charge.pico());
        let mut differ = |what: &str, ours: String, theirs: String| {
            if ours != theirs {
                wrong.push(format!("{id}: {what} is {theirs}, we say {ours}"));
            }
        };
        let body = exchange.recording.response.body.as_ref().expect("a body");
        differ("the text", text(&exchange.answer.body, "content").to_owned(), said(api, body));
        match &exchange.bill {
            Some(bill) => billed(exchange, receipt, bill, differ),
            None => {
                differ("the source", format!("{:?}", receipt.usage_source), "Estimated".to_owned());
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(pico_dollars(text(&owed["exact"], "final_price")), total);
}

fn billed(
    exchange: &Exchange,
    receipt: &Receipt,
    bill: &Value,
    mut differ: impl FnMut(&str, String, String),
) {
    let usd = |field: &str| pico_dollars(text(bill, field)).to_string();
    differ("base", receipt.cost.pico().to_string(), usd("base_usd"));
    differ("commission", receipt.commission.pico().to_string(), usd("commission_usd"));
    differ("total", receipt.charge.pico().to_string(), usd("total_usd"));
    let cost = pico_dollars(exchange.answer.header("x-tollgate-cost")).to_string();
    differ("x-tollgate-cost", cost, usd("total_usd"));

    let usage = &bill["usage"];
    let told = &exchange.answer.body["usage"];
    let (input, output) = (number(usage, "input_total"), number(usage, "output"));
    differ("inputTokens", told["inputTokens"].to_string(), input.to_string());
    differ("outputTokens", told["outputTokens"].to_string(), output.to_string());
    differ("totalTokens", told["totalTokens"].to_string(), (input + output).to_string());
    for (name, ours) in in_words(receipt) {
        differ(name, ours.to_string(), number(usage, name).to_string());
    }
    let total = receipt.report.total();
    // Google charges by the answer for models before Gemini 3, then by the query.
    let searches = match (receipt.provider.as_str(), &receipt.model) {
        ("gemini", model) if model.starts_with("gemini-2") => Meter::GroundedPrompt,
        ("gemini", _) => Meter::SearchQuery,
        _ => Meter::WebSearch,
    };
    let searched = total.get(searches).to_string();
    differ(searches.name(), searched, number(bill, "web_search_calls").to_string());
    let tier = ServiceTier::from_answer(text(bill, "service_tier"));
    differ("the tier", receipt.report.service_tier.name().to_owned(), tier.name().to_owned());
    let passes = bill["passes"].as_array().map_or(0, Vec::len);
    differ("passes", receipt.report.passes.len().to_string(), passes.to_string());
    differ(
        "the source",
        format!("{:?}", receipt.usage_source),
        format!("{:?}", UsageSource::Provider),
    );
    let served = bill["response_model"].as_str().unwrap_or_default();
    differ("model", receipt.model_served.clone().unwrap_or_default(), served.to_owned());
    differ("inconsistent", receipt.report.inconsistent.to_string(), false.to_string());
}

/// The counters of a receipt in the words of a bill.
fn in_words(receipt: &Receipt) -> [(&'static str, u64); 11] {
    let total = receipt.report.total();
    let sum = |meters: &[Meter]| meters.iter().map(|meter| total.get(*meter)).sum();
    let prompt = [Meter::Input, Meter::AudioInput, Meter::ImageInput, Meter::VideoInput];
    let cached = [Meter::CacheRead, Meter::AudioCacheRead, Meter::ImageCacheRead];
    [
        ("input_total", total.input_tokens()),
        ("input_uncached", sum(&prompt)),
        ("cached_read", sum(&cached)),
        ("cache_write_5m", sum(&[Meter::CacheWrite5m])),
        ("cache_write_1h", sum(&[Meter::CacheWrite1h, Meter::CacheWrite12h])),
        ("output", total.output_tokens()),
        ("reasoning", sum(&[Meter::Reasoning])),
        ("audio_input", sum(&[Meter::AudioInput])),
        ("audio_cached_read", sum(&[Meter::AudioCacheRead])),
        ("audio_output", sum(&[Meter::AudioOutput])),
        ("image_output", sum(&[Meter::ImageOutput])),
    ]
}

/// The text for a reader, taken straight from the JSON of the first choice.
pub(crate) fn said(api: &str, body: &Value) -> String {
    let joined = |blocks: &Value, shown: fn(&Value) -> bool| -> String {
        let blocks = blocks.as_array().map(Vec::as_slice).unwrap_or_default();
        blocks.iter().filter(|block| shown(block)).map(|block| text(block, "text")).collect()
    };
    match api {
        "anthropic.messages" => {
            let said = joined(&body["content"], |block| block["type"] == "text");
            // A refusal is what there is to read where there is nothing else.
            if said.is_empty() {
                text(&body["stop_details"], "explanation").to_owned()
            } else {
                said
            }
        }
        "gemini.generateContent" => {
            joined(&body["candidates"][0]["content"]["parts"], |part| part["thought"] != true)
        }
        _ => {
            let message = &body["choices"][0]["message"];
            let found = [&message["content"], &message["refusal"], &message["audio"]["transcript"]];
            let mut found = found.into_iter().filter_map(Value::as_str);
            found.find(|text| !text.is_empty()).unwrap_or_default().to_owned()
        }
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("{field} of {value}"))
}
