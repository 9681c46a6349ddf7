//! Every hand-written answer through the whole program: its text, its counters, and its price worked out here from
//! the price file, in a way that shares nothing with the program.

use std::collections::BTreeMap;

use ledger::{Meter, Receipt};
use testkit::{Fixture, Provider, fixtures};

use crate::app::{Answer, App, Start};
use crate::books::Books;
use crate::chat::say;
use crate::prices::{self, Row, pico_dollars};
use crate::recorded::said;

/// Answers of models that the list has under another name: what is asked for instead.
const ASKED_AS: [(&str, &str); 1] = [("gemini-2.5-flash-native-audio", "gemini-2.5-flash")];

#[tokio::test]
async fn every_hand_written_answer() {
    let books = Books::sqlite();
    prices::at_any_time(&books).await;
    let app = App::start_on(books, Start::default()).await;
    // What DeepSeek breaks off for want of capacity is no answer, though its status says so.
    let is_answer = |f: &Fixture| f.status == 200 && f.name != "system_resource";
    let good: Vec<Fixture> = fixtures().into_iter().filter(is_answer).collect();
    assert!(good.len() > 40, "only {} fixtures", good.len());
    let mut answers = Vec::new();
    for fixture in &good {
        let chat =
            say(fixture.provider.as_str(), model(fixture), &format!("fixture:{}", fixture.name));
        answers.push(Answer::of(app.chat(&chat)).await);
    }
    let receipts = app.close().await.into_iter();
    let receipts: BTreeMap<String, Receipt> =
        receipts.map(|receipt| (receipt.request_id.to_string(), receipt)).collect();
    for (fixture, answer) in good.iter().zip(&answers) {
        let at = format!("{}/{}", fixture.provider, fixture.name);
        assert_eq!(answer.status, 200, "{at}: {}", answer.body);
        check(&at, fixture, answer, &receipts[answer.header("x-request-id")]);
    }
}

fn check(at: &str, fixture: &Fixture, answer: &Answer, receipt: &Receipt) {
    let content = answer.body["content"].as_str().expect("text");
    let api = match fixture.provider {
        Provider::OpenAi => "openai.chat",
        Provider::DeepSeek => "deepseek.chat",
        Provider::Anthropic => "anthropic.messages",
        Provider::Gemini => "gemini.generateContent",
    };
    let text = fixture.text.clone().unwrap_or_else(|| said(api, &fixture.body));
    assert_eq!(content, text, "{at}");

    let own = fixture.usage.as_ref().expect("counters");
    let all = || std::iter::once(own).chain(fixture.usage_by_other_model.values());
    let sum = |which: fn(Meter) -> bool| -> u64 {
        let counters = all().flatten().filter(|(name, _)| which(meter(name)));
        counters.map(|(_, count)| count).sum()
    };
    let (input, output) = (sum(Meter::is_input_token), sum(Meter::is_output_token));
    let told = &answer.body["usage"];
    assert_eq!(told["inputTokens"], input, "{at}");
    assert_eq!(told["outputTokens"], output, "{at}");
    assert_eq!(told["totalTokens"], input + output, "{at}");
    let total = receipt.report.total();
    for counter in Meter::ALL {
        let counted: u64 = all().filter_map(|usage| usage.get(counter.name())).sum();
        assert_eq!(total.get(counter), counted, "{at}: {}", counter.name());
    }

    let tier = fixture.body["service_tier"].as_str().unwrap_or_default();
    let mut cost = price(fixture.provider, model(fixture), tier, own);
    for (other, usage) in &fixture.usage_by_other_model {
        cost += price(fixture.provider, other, tier, usage);
    }
    // Five in a hundred, halves to the even neighbour.
    let (share, rest) = ((cost * 5).div_euclid(100), (cost * 5).rem_euclid(100));
    let up = rest > 50 || (rest == 50 && share % 2 == 1);
    let commission = share + i128::from(up);
    let stored =
        [receipt.cost, receipt.commission, receipt.charge].map(|usd| i128::from(usd.pico()));
    assert_eq!(stored, [cost, commission, cost + commission], "{at}");
    assert_eq!(pico_dollars(answer.header("x-tollgate-cost")), cost + commission, "{at}");
}

fn model(fixture: &Fixture) -> &str {
    let other = ASKED_AS.iter().find(|(named, _)| *named == fixture.model);
    other.map_or(&fixture.model, |(_, asked)| asked)
}

fn meter(name: &str) -> Meter {
    Meter::from_name(name).unwrap_or_else(|| panic!("{name} is no meter"))
}

/// Counters times the prices in the file, in pico-dollars.
fn price(provider: Provider, model: &str, tier: &str, usage: &BTreeMap<String, u64>) -> i128 {
    let row = Row::of(provider.as_str(), model);
    let mut sum = 0;
    for (name, count) in usage {
        // Where a column is empty, the next one is what providers charge.
        let columns: &[&str] = match name.as_str() {
            "input" => &["input"],
            "cache_read" => &["cached_input_read", "input"],
            "cache_write_5m" => &["cache_write_5m", "input"],
            "cache_write_1h" => &["cache_write_1h"],
            "audio_input" => &["audio_input", "input"],
            "audio_cache_read" => &["audio_cached_read", "audio_input"],
            "output" => &["output"],
            "reasoning" => &["reasoning_output", "output"],
            "audio_output" => &["audio_output", "output"],
            "image_output" => &["image_output", "output"],
            "web_search" | "search_query" => &[],
            // Gemini 3 is charged by the query.
            "grounded_prompt" if model.starts_with("gemini-3") => continue,
            other => panic!("{other} has no column"),
        };
        let per_token = |column: &&str| {
            let in_tier = (!tier.is_empty())
                .then(|| row.price(&format!("{tier}_{column}_per_mtok"), 1_000_000));
            in_tier.flatten().or_else(|| row.price(&format!("{column}_per_mtok"), 1_000_000))
        };
        let unit = if columns.is_empty() {
            row.price("web_search_per_1k_calls", 1_000)
        } else {
            columns.iter().find_map(per_token)
        };
        let unit = unit.unwrap_or_else(|| panic!("{provider}/{model} has no price for {name}"));
        sum += unit * i128::from(*count);
    }
    sum
}
