//! Streams that go wrong at the provider: what the client sees of it, and what it pays.

use std::collections::BTreeMap;

use ledger::{Outcome, Receipt, UsageSource};
use serde_json::{Value, json};

use crate::app::{App, Start, are_free};
use crate::chat::MODELS;
use crate::pairs::Wrong;
use crate::speak::{Client, Told};

/// Every dialect, spoken to its own provider and to another one; and the two kinds of client beside them.
const PAIRS: [(Client, &str, &str); 14] = [
    (Client::Chat, "openai", "gpt-4o"),
    (Client::Chat, "deepseek", "deepseek-v4-flash"),
    (Client::Chat, "anthropic", "claude-sonnet-4-5"),
    (Client::Chat, "gemini", "gemini-2.5-flash"),
    (Client::Responses, "openai", "gpt-4o"),
    (Client::Responses, "anthropic", "claude-sonnet-4-5"),
    (Client::Messages, "anthropic", "claude-sonnet-4-5"),
    (Client::Messages, "openai", "gpt-4o"),
    (Client::Messages, "gemini", "gemini-2.5-flash"),
    (Client::Gemini, "gemini", "gemini-2.5-flash"),
    (Client::Gemini, "openai", "gpt-4o"),
    (Client::Completions, "openai", "gpt-4o"),
    (Client::Native, "anthropic", "claude-sonnet-4-5"),
    (Client::RouterChat, "openai", "gpt-4o"),
];

async fn app() -> App {
    App::start_with(Start::default().set("TOLLGATE_STREAM_IDLE_SECONDS", "1")).await
}

/// What a client is told of a stream, and how the receipt looks, if there is one.
struct Seen {
    at: String,
    told: Told,
}

/// A long answer, so that what goes wrong does so in its midst.
fn words() -> String {
    (0..120).map(|number| format!("word {number}")).collect::<Vec<_>>().join(", ")
}

async fn ask(app: &App, pair: (Client, &str, &str), fault: &str) -> Seen {
    app.simulator.push_fault(fault.parse().expect("a fault"));
    say(app, pair, fault).await
}

/// Asks for the long answer; what goes wrong is said by somebody else.
async fn say(app: &App, (client, provider, model): (Client, &str, &str), fault: &str) -> Seen {
    let body = client.ask(provider, model, &format!("say:{}", words()), true);
    let told = Told::of(client, client.send(app, model, &body, true)).await;
    Seen { at: format!("{client:?} × {model}, {fault}"), told }
}

async fn receipts_of(app: App) -> BTreeMap<String, Receipt> {
    let mut by_id = BTreeMap::new();
    for receipt in app.close().await {
        let twice = by_id.insert(receipt.request_id.to_string(), receipt);
        assert!(twice.is_none(), "two receipts of one stream: {twice:?}");
    }
    by_id
}

/// Text that the client got.
fn text(client: Client, told: &Told) -> String {
    match client.base() {
        _ if told.events.is_empty() => String::new(),
        Client::Responses => {
            let values = told.values();
            let deltas =
                values.iter().filter(|event| event["type"] == "response.output_text.delta");
            deltas.filter_map(|event| event["delta"].as_str()).collect()
        }
        _ => client.text(&told.assembled()),
    }
}

/// The stream broke off: nothing looks like an end, the last thing said is an error in the client's own words, and the
/// receipt has what came. Before the first word it is a status, and a receipt of nothing.
fn check_broken(client: Client, seen: &Seen, receipt: Option<&Receipt>, wrong: &mut Wrong) {
    let Seen { at, told } = seen;
    if told.status == 200 {
        wrong.check(!told.seems_ended(), || format!("{at}: seems whole: {}", told.raw));
        wrong.check(told.failure().is_some(), || format!("{at}: no error: {}", told.raw));
        wrong.check(!told.broke, || format!("{at}: the connection broke"));
        let Some(receipt) = receipt else {
            return wrong.check(false, || format!("{at}: no receipt: {}", told.raw));
        };
        wrong.check(receipt.outcome == Outcome::UpstreamFailed, || {
            format!("{at}: {:?}", receipt.outcome)
        });
        // Only where nothing but the mark of the end is missing has the provider counted it all.
        let may_be_counted = at.contains("unterminated");
        let is_estimated = receipt.usage_source == UsageSource::Estimated;
        wrong.check(is_estimated || may_be_counted, || format!("{at}: {receipt:?}"));
        wrong.check(receipt.charge.pico() > 0, || format!("{at}: nothing charged"));
    } else {
        wrong.check(matches!(told.status, 408 | 500..), || format!("{at}: {}", told.status));
        wrong.check(is_error(client, &told.body()), || format!("{at}: {}", told.raw));
        let free = receipt.is_some_and(|receipt| are_free(std::slice::from_ref(receipt)));
        wrong.check(free, || format!("{at}: not a receipt of nothing: {receipt:?}"));
    }
}

/// Whether a body is an error in the client's dialect.
pub(crate) fn is_error(client: Client, body: &Value) -> bool {
    let error = &body["error"];
    let message = error["message"].as_str().is_some_and(|text| !text.is_empty());
    message
        && match client {
            Client::Chat | Client::Responses | Client::Completions => {
                error["type"].is_string()
                    && error.get("param").is_some()
                    && error.get("code").is_some()
            }
            Client::Messages | Client::RouterMessages => {
                body["type"] == "error" && error["type"].is_string()
            }
            Client::Gemini => error["code"].is_u64() && error["status"].is_string(),
            Client::Native => error["code"].is_string(),
            _ => error["code"].is_u64(),
        }
}

/// Cut after every event: the more came, the more it costs.
#[tokio::test]
async fn cut_after_each_event() {
    let app = app().await;
    let mut wrong = Wrong::default();
    let mut all = Vec::new();
    for pair in PAIRS {
        for events in 0..12 {
            all.push((pair, ask(&app, pair, &format!("cut:{events}")).await));
        }
    }
    let receipts = receipts_of(app).await;
    let mut last: Option<(Client, &str, i64)> = None;
    for ((client, _, model), seen) in &all {
        let receipt = receipts.get(seen.told.header("x-request-id"));
        check_broken(*client, seen, receipt, &mut wrong);
        let charge = receipt.map_or(0, |receipt| receipt.charge.pico());
        if let Some((before, same, least)) = last
            && (before, same) == (*client, *model)
        {
            wrong.check(charge >= least, || format!("{}: {charge} after {least}", seen.at));
        }
        last = Some((*client, model, charge));
    }
    // The last cuts came behind text, which the client has.
    for (pair, seen) in all.iter().filter(|(_, seen)| seen.at.ends_with("cut:11")) {
        let text = text(pair.0, &seen.told);
        wrong.check(text.contains("word 0, word 1,"), || format!("{}: {text:?}", seen.at));
    }
    wrong.end();
}

#[tokio::test]
async fn everything_else_that_breaks_a_stream() {
    let app = app().await;
    let mut wrong = Wrong::default();
    let mut all = Vec::new();
    for fault in
        ["error:0", "error:1", "error:9", "garbage:0", "garbage:9", "unterminated", "empty", "cut"]
    {
        for pair in PAIRS {
            all.push((pair, ask(&app, pair, fault).await));
        }
    }
    let receipts = receipts_of(app).await;
    for ((client, provider, _), seen) in &all {
        let receipt = receipts.get(seen.told.header("x-request-id"));
        // Gemini has no mark of an end but the reason in its last element, which this leaves out too.
        let chat_ends_twice =
            seen.at.ends_with("unterminated") && matches!(*provider, "openai" | "deepseek");
        if chat_ends_twice && *client != Client::Responses {
            // The reason had come: only the mark behind it is missing, and nothing of the answer.
            let good = seen.told.status == 200 && receipt.is_some_and(|r| r.charge.pico() > 0);
            wrong.check(good, || format!("{}: {receipt:?} {}", seen.at, seen.told.raw));
            continue;
        }
        // Where events have names, one of a name that nobody knows is passed over, as the SDKs do.
        let named = *provider == "anthropic" || *client == Client::Responses;
        // Bytes that pass are not looked at, but for what they cost.
        if seen.at.contains("garbage:") && (named || seen.told.has_garbage()) {
            let paid = receipt.is_some_and(|receipt| receipt.charge.pico() > 0);
            wrong.check(paid, || format!("{}: {receipt:?}", seen.at));
            continue;
        }
        check_broken(*client, seen, receipt, &mut wrong);
    }
    wrong.end();
}

/// Silence ends a stream after the time that is set; all at once, for it takes a second.
#[tokio::test]
async fn a_silent_provider() {
    let app = std::sync::Arc::new(app().await);
    let mut wrong = Wrong::default();
    let mut all = Vec::new();
    for fault in ["hang:0", "hang:1", "hang:9"] {
        let mut asked = tokio::task::JoinSet::new();
        for pair in PAIRS {
            app.simulator.push_fault(fault.parse().expect("a fault"));
            let app = std::sync::Arc::clone(&app);
            asked.spawn(async move { (pair, say(&app, pair, fault).await) });
        }
        all.extend(asked.join_all().await);
    }
    let app = std::sync::Arc::into_inner(app).expect("nobody else has it");
    let receipts = receipts_of(app).await;
    for ((client, _, _), seen) in &all {
        let receipt = receipts.get(seen.told.header("x-request-id"));
        check_broken(*client, seen, receipt, &mut wrong);
        if seen.told.status != 200 {
            // OpenRouter has another status for it.
            let status = if *client == Client::RouterChat { 408 } else { 504 };
            wrong
                .check(seen.told.status == status, || format!("{}: {}", seen.at, seen.told.status));
        }
    }
    wrong.end();
}

/// Faults before the stream: a status, an error body, no receipt.
#[tokio::test]
async fn a_status_in_place_of_a_stream() {
    let app = app().await;
    let mut wrong = Wrong::default();
    for fault in
        ["status:500", "status:529", "429:7", "status:401", "status:402", "garbage", "cut:0"]
    {
        for pair in PAIRS {
            let seen = ask(&app, pair, fault).await;
            let status = match (fault, pair.0, pair.1) {
                ("429:7", ..) => vec![429],
                ("status:529", ..) => vec![503, 529],
                // A client of the provider's own dialect gets its status.
                ("status:500", ..) => vec![500, 502],
                _ => vec![502],
            };
            wrong.check(status.contains(&seen.told.status), || {
                format!("{}: {} {}", seen.at, seen.told.status, seen.told.raw)
            });
            let body = serde_json::from_str(&seen.told.raw).unwrap_or(Value::Null);
            wrong.check(is_error(pair.0, &body), || format!("{}: {}", seen.at, seen.told.raw));
            let after = seen.told.header("retry-after");
            wrong.check((after == "7") == (fault == "429:7"), || format!("{}: {after}", seen.at));
            wrong.check(!seen.told.raw.contains("canary"), || format!("{}: a credential", seen.at));
        }
    }
    let calls = app.simulator.count();
    let receipts = app.close().await;
    assert!(are_free(&receipts), "something was charged");
    assert_eq!(receipts.len() as u64, calls, "one receipt each");
    wrong.end();
}

/// What is no fault: signs of life before the answer, and bytes that come one by one.
#[tokio::test]
async fn odd_but_good_streams() {
    let app = app().await;
    let mut wrong = Wrong::default();
    let mut count = 0;
    for pair in PAIRS {
        for fault in ["keep_alive:3", "pieces:1", "pieces:7", "slow:1"] {
            let (client, provider, model) = pair;
            let at = format!("{client:?} × {model}, {fault}");
            let message = format!("fault:{fault}");
            let body = client.ask(provider, model, &message, true);
            let told = Told::of(client, client.send(&app, model, &body, true)).await;
            count += 1;
            let good = told.status == 200 && told.has_ended() && told.failure().is_none();
            wrong.check(good, || format!("{at}: {} {}", told.status, told.raw));
            if good {
                let text = client.text(&told.whole());
                wrong.check(text.contains(&message), || format!("{at}: {text}"));
            }
        }
    }
    let receipts = app.close().await;
    assert_eq!(receipts.len(), count);
    for receipt in receipts {
        wrong.check(receipt.outcome == Outcome::Ok, || format!("{receipt:?}"));
        wrong.check(receipt.usage_source == UsageSource::Provider, || format!("{receipt:?}"));
    }
    wrong.end();
}

/// Where the provider's stream has no counters, both sides are estimated, and the stream ends well.
#[tokio::test]
async fn a_stream_without_counters_is_estimated() {
    let app = app().await;
    let mut wrong = Wrong::default();
    let mut all = Vec::new();
    for pair in PAIRS {
        let Seen { at, told } = ask(&app, pair, "no_usage").await;
        wrong.check(told.status == 200 && told.has_ended(), || format!("{at}: {}", told.raw));
        all.push((pair, at, told));
    }
    let receipts = receipts_of(app).await;
    for ((client, ..), at, told) in all {
        let receipt = &receipts[told.header("x-request-id")];
        wrong.check(receipt.outcome == Outcome::Ok, || format!("{at}: {receipt:?}"));
        wrong
            .check(receipt.usage_source == UsageSource::Estimated, || format!("{at}: {receipt:?}"));
        let text = client.text(&told.assembled());
        let total = receipt.report.total();
        let counted = (total.input_tokens(), total.output_tokens());
        let four = |bytes: usize| u64::try_from(bytes.div_ceil(4)).expect("small");
        let expected = (four(format!("say:{}", words()).len()), four(text.len()));
        wrong.check(counted == expected, || format!("{at}: {counted:?}, expected {expected:?}"));
    }
    wrong.end();
}

/// The next model of the list is tried, but only until the first byte has come.
#[tokio::test]
async fn the_next_model_is_tried_before_the_first_byte_only() {
    let mut wrong = Wrong::default();
    let router = [
        Client::RouterChat,
        Client::RouterResponses,
        Client::RouterMessages,
        Client::RouterCompletions,
    ];
    for client in router {
        for stream in [true, false] {
            // A program that has seen nothing fail, which asks in the order of the list.
            let app = app().await;
            let mut ids = Vec::new();
            for (fault, falls_back) in [
                ("status:500", true),
                ("status:529", true),
                ("empty", true),
                ("cut:0", true),
                ("error:0", true),
                ("garbage:0", true),
                ("cut:9", false),
                ("error:9", false),
                // Who has too much to do is left alone for a while, so that this comes last.
                ("429:7", true),
            ] {
                // A stream of Responses passes over an event that it does not know.
                let passed_over = client == Client::RouterResponses && fault == "garbage:0";
                if !stream && !falls_back || stream && passed_over {
                    continue;
                }
                let at = format!("{client:?}, {fault}, streamed: {stream}");
                let mut body = client.ask("openai", "gpt-4o", "Which one answers?", stream);
                body["models"] = json!(["openai/gpt-4o", "anthropic/claude-sonnet-4-5"]);
                app.simulator.push_fault(fault.parse().expect("a fault"));
                let before = app.simulator.count();
                let told = Told::of(client, client.send(&app, "gpt-4o", &body, stream)).await;
                let asked = app.simulator.count() - before;
                wrong.check(asked == if falls_back { 2 } else { 1 }, || format!("{at}: {asked}"));
                wrong.check(told.status == 200, || format!("{at}: {}", told.raw));
                let fine = if stream { told.has_ended() } else { told.status == 200 };
                wrong.check(fine == falls_back, || format!("{at}: {}", told.raw));
                let tried = told.header("x-tollgate-attempts");
                wrong.check(tried.starts_with("openai/gpt-4o ") == falls_back, || {
                    format!("{at}: tried {tried:?}")
                });
                ids.push((at, told.header("x-request-id").to_owned(), falls_back));
            }
            fell_back(&receipts_of(app).await, ids, &mut wrong);
        }
    }
    wrong.end();
}

/// The receipts are those of the models that answered, and name those that did not.
fn fell_back(
    receipts: &BTreeMap<String, Receipt>,
    ids: Vec<(String, String, bool)>,
    wrong: &mut Wrong,
) {
    for (at, id, falls_back) in ids {
        let receipt = receipts.get(&id);
        let expected = if falls_back {
            ("anthropic", 2, Outcome::Ok, 1)
        } else {
            ("openai", 1, Outcome::UpstreamFailed, 0)
        };
        let got = receipt.map(|r| {
            let tried = r.report.tried().iter().filter(|tried| tried.model == "gpt-4o");
            (r.provider.as_str(), r.attempt, r.outcome, tried.count())
        });
        wrong.check(got == Some(expected), || format!("{at}: {got:?}"));
    }
}

/// When all of them fail, the client learns of the last one, and of nothing else.
#[tokio::test]
async fn all_models_fail() {
    let app = app().await;
    for client in [Client::RouterChat, Client::RouterMessages] {
        let mut body = client.ask("openai", "gpt-4o", "Which one answers?", true);
        body["models"] = json!(["openai/gpt-4o", "anthropic/claude-sonnet-4-5"]);
        for fault in ["status:500", "429:7"] {
            app.simulator.push_fault(fault.parse().expect("a fault"));
        }
        let told = Told::of(client, client.send(&app, "gpt-4o", &body, true)).await;
        assert_eq!((told.status, told.header("retry-after")), (429, "7"), "{}", told.raw);
        assert!(is_error(client, &told.body()), "{}", told.raw);
    }
    let receipts = app.close().await;
    assert!(are_free(&receipts) && receipts.len() == 2, "{receipts:?}");
    for receipt in receipts {
        let tried: Vec<&str> =
            receipt.report.tried().iter().map(|tried| tried.error.as_str()).collect();
        assert_eq!((receipt.attempt, tried), (2, vec!["upstream_error", "rate_limited"]));
    }
}

/// A whole answer that breaks off in the middle is no answer, whoever asks.
#[tokio::test]
async fn whole_answers_that_break() {
    let app = app().await;
    let mut wrong = Wrong::default();
    for client in Client::ALL {
        for (provider, model) in MODELS {
            for fault in ["cut", "garbage", "empty"] {
                let at = format!("{client:?} × {model}, {fault}");
                let body = client.ask(provider, model, &format!("fault:{fault}"), false);
                let told = Told::of(client, client.send(&app, model, &body, false)).await;
                wrong.check(told.status == 502, || format!("{at}: {} {}", told.status, told.raw));
                let body = serde_json::from_str(&told.raw).unwrap_or(Value::Null);
                wrong.check(is_error(client, &body), || format!("{at}: {}", told.raw));
            }
        }
    }
    let calls = app.simulator.count();
    let receipts = app.close().await;
    assert!(are_free(&receipts), "something was charged");
    assert_eq!(receipts.len() as u64, calls, "one receipt each");
    wrong.end();
}
