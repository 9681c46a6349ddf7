//! Every kind of client with every provider, whole and streamed: what the provider is sent and what the client is told
//! is held against the providers' documented types, and what the client is told it used is what it pays for.

use std::collections::BTreeMap;

use ledger::{Outcome, Receipt, UsageSource};
use serde_json::{Value, json};
use testkit::strict::{self, Api};

use crate::app::App;
use crate::chat::MODELS;
use crate::speak::{Client, Counters, Told};

/// Faults of everything that the providers were sent, then.
pub(crate) fn sent_faults(app: &App) -> Vec<String> {
    let mut faults = Vec::new();
    for seen in app.simulator.seen() {
        let Some(api) = Api::of(&seen.path) else { continue };
        let body: Value = serde_json::from_slice(&seen.body).expect("JSON");
        for fault in strict::check(api, &body) {
            faults.push(format!("{}: {fault}: {body}", seen.path));
        }
    }
    faults
}

/// What is wrong, collected over all pairs, so that one run shows all.
#[derive(Default)]
pub(crate) struct Wrong(Vec<String>);

impl Wrong {
    pub(crate) fn check(&mut self, good: bool, what: impl FnOnce() -> String) {
        if !good {
            let what = what().replace('\n', "⏎");
            self.0.push(what.chars().take(1_000).collect());
        }
    }

    pub(crate) fn end(self) {
        assert!(self.0.is_empty(), "{} are wrong:\n{}", self.0.len(), self.0.join("\n"));
    }
}

fn text_clients() -> impl Iterator<Item = (Client, &'static str, &'static str)> {
    Client::ALL
        .into_iter()
        .flat_map(|client| MODELS.map(|(provider, model)| (client, provider, model)))
}

fn rich_clients() -> impl Iterator<Item = Client> {
    use Client::{Chat, Gemini, Messages, Responses, RouterChat, RouterMessages, RouterResponses};
    [Chat, Responses, Messages, Gemini, RouterChat, RouterResponses, RouterMessages].into_iter()
}

/// Asks twice, whole and streamed; both have to be good.
async fn both(
    app: &App,
    client: Client,
    model: &str,
    body: &Value,
    wrong: &mut Wrong,
) -> [Told; 2] {
    let mut streamed = body.clone();
    if client != Client::Gemini {
        streamed["stream"] = true.into();
    }
    if matches!(client.base(), Client::Chat | Client::Completions) {
        streamed["stream_options"] = json!({ "include_usage": true });
    }
    let whole = Told::of(client, client.send(app, model, body, false)).await;
    let stream = Told::of(client, client.send(app, model, &streamed, true)).await;
    let at = format!("{client:?} × {model}");
    for (told, how) in [(&whole, "whole"), (&stream, "streamed")] {
        wrong.check(told.status == 200, || format!("{at} {how}: {} {}", told.status, told.raw));
        // What DeepSeek says in a dialect of others passes, its own additions included.
        if told.status == 200 && !(model.starts_with("deepseek") && passes(client)) {
            for fault in told.faults() {
                wrong.check(false, || format!("{at} {how}: {fault}"));
            }
        }
    }
    if stream.status == 200 {
        wrong
            .check(stream.has_ended() && !stream.broke, || format!("{at}: no end: {}", stream.raw));
    }
    [whole, stream]
}

/// Whether DeepSeek speaks this client's dialect, so that bytes pass.
fn passes(client: Client) -> bool {
    matches!(client.base(), Client::Chat | Client::Responses | Client::Messages)
}

/// Both answers say the same, but for names and moments. Needs both to be good.
fn same(client: Client, at: &str, answers: &[Told; 2], wrong: &mut Wrong) {
    let [whole, stream] = answers;
    if whole.status != 200 || stream.status != 200 {
        return;
    }
    let (whole, stream) = (whole.whole(), stream.whole());
    let mut differ = |what: &str, whole: String, stream: String| {
        wrong.check(whole == stream, || format!("{at}: {what}: whole {whole}, streamed {stream}"));
    };
    differ("text", client.text(&whole), client.text(&stream));
    differ("finish", client.finish(&whole), client.finish(&stream));
    let usage = if client == Client::Gemini { "usageMetadata" } else { "usage" };
    let settled = |answer: &Value| {
        // A whole Message says no more of its tier than a streamed one.
        answer[usage].to_string()
    };
    differ("usage", settled(&whole), settled(&stream));
    if client.base() != Client::Native && client.base() != Client::Completions {
        differ(
            "calls",
            format!("{:?}", client.calls(&whole)),
            format!("{:?}", client.calls(&stream)),
        );
    }
}

async fn receipts_of(app: App) -> BTreeMap<String, Receipt> {
    let receipts = app.close().await.into_iter();
    receipts.map(|receipt| (receipt.request_id.to_string(), receipt)).collect()
}

#[tokio::test]
async fn text_and_what_it_costs() {
    let app = App::start().await;
    let mut wrong = Wrong::default();
    let mut all = Vec::new();
    let mut sum = Counters { input: 0, output: 0 };
    for (client, provider, model) in text_clients() {
        let at = format!("{client:?} × {model}");
        let body = client.ask(provider, model, "How much is the fare?", false);
        let answers = both(&app, client, model, &body, &mut wrong).await;
        same(client, &at, &answers, &mut wrong);
        for told in answers {
            if told.status != 200 {
                continue;
            }
            let whole = told.whole();
            let text = client.text(&whole);
            wrong.check(text.contains("How much is the fare?"), || format!("{at}: {text:?}"));
            let counters = client.counters(&whole);
            sum.input += counters.input;
            sum.output += counters.output;
            all.push((at.clone(), told.header("x-request-id").to_owned(), counters));
        }
        let paid = app.price_to_pay().await;
        let counted = (paid["total_input_tokens"].as_u64(), paid["total_output_tokens"].as_u64());
        wrong.check(counted == (Some(sum.input), Some(sum.output)), || {
            format!("{at}: told {sum:?}, charged {paid}")
        });
    }
    for fault in sent_faults(&app) {
        wrong.check(false, || fault);
    }
    let receipts = receipts_of(app).await;
    wrong.check(receipts.len() == all.len(), || format!("{} receipts", receipts.len()));
    for (at, id, counters) in all {
        let receipt = &receipts[&id];
        let total = receipt.report.total();
        let counted = Counters { input: total.input_tokens(), output: total.output_tokens() };
        wrong
            .check(counted == counters, || format!("{at}: receipt {counted:?}, told {counters:?}"));
        wrong.check(receipt.usage_source == UsageSource::Provider, || format!("{at}: estimated"));
        wrong.check(receipt.outcome == Outcome::Ok, || format!("{at}: {:?}", receipt.outcome));
    }
    wrong.end();
}

/// Names of tools that no provider takes as they are: as long as they may be, and with marks that some refuse.
fn long_names() -> [String; 2] {
    [format!("look_up_{}_weather", "w".repeat(84)), format!("look_up_{}_time", "t".repeat(87))]
}

#[tokio::test]
async fn parallel_tools_and_what_they_say() {
    let app = App::start().await;
    let mut wrong = Wrong::default();
    let long = long_names();
    let long: [&str; 2] = [&long[0], &long[1]];
    assert!(long.iter().all(|name| name.len() == 100));
    for client in rich_clients() {
        for (provider, model) in MODELS {
            for names in [["weather", "time"], long] {
                let at = format!("{client:?} × {model}");
                // A provider takes no name of its own clients that it would not take directly.
                let same_dialect = matches!(
                    (client.base(), provider),
                    (Client::Chat | Client::Responses, "openai" | "deepseek")
                        | (Client::Messages, "anthropic" | "deepseek")
                        | (Client::Gemini, "gemini")
                );
                if same_dialect && names == long {
                    continue;
                }
                let mut body = client.ask(provider, model, "Both, please.", false);
                client.offer(&mut body, &names);
                let answers = both(&app, client, model, &body, &mut wrong).await;
                same(client, &at, &answers, &mut wrong);
                for told in answers.iter().filter(|told| told.status == 200) {
                    let whole = told.whole();
                    let calls = client.calls(&whole);
                    let city = json!({ "city": "some city" });
                    let wanted: Vec<(String, Value)> =
                        names.iter().map(|name| ((*name).to_owned(), city.clone())).collect();
                    wrong.check(calls == wanted, || format!("{at}: {calls:?}"));
                    let mut next = body.clone();
                    client.go_on(&mut next, &whole, "18 degrees at noon");
                    let answers = both(&app, client, model, &next, &mut wrong).await;
                    for told in answers.iter().filter(|told| told.status == 200) {
                        let text = client.text(&told.whole());
                        let quotes = text.matches("18 degrees at noon").count();
                        wrong.check(quotes == 2, || format!("{at}: {text}"));
                    }
                }
            }
        }
    }
    for fault in sent_faults(&app) {
        wrong.check(false, || fault);
    }
    app.close().await;
    wrong.end();
}

/// Models that think and want their thoughts back, the newest of their families included.
const THINKERS: [(&str, &str); 7] = [
    ("openai", "gpt-5"),
    ("openai", "gpt-5.4"),
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-opus-4-6"),
    ("gemini", "gemini-2.5-flash"),
    ("gemini", "gemini-3-flash-preview"),
    ("deepseek", "deepseek-v4-flash"),
];

/// Three turns of tools and thinking: the simulator refuses a state that did not come back exactly, or not at all.
#[tokio::test]
async fn opaque_state_comes_back() {
    let app = App::start().await;
    let mut wrong = Wrong::default();
    for client in rich_clients() {
        for (provider, model) in THINKERS {
            let at = format!("{client:?} × {model}");
            for stream in [false, true] {
                let mut body = client.ask(provider, model, "How is it there?", stream);
                client.offer(&mut body, &["weather", "time"]);
                client.think(&mut body);
                for turn in 0..3 {
                    let told = Told::of(client, client.send(&app, model, &body, stream)).await;
                    wrong.check(told.status == 200, || {
                        format!("{at} {stream} turn {turn}: {} {}", told.status, told.raw)
                    });
                    if told.status != 200 {
                        break;
                    }
                    let faults = if provider == "deepseek" && passes(client) {
                        Vec::new()
                    } else {
                        told.faults()
                    };
                    for fault in faults {
                        wrong.check(false, || format!("{at} {stream} turn {turn}: {fault}"));
                    }
                    let whole = told.whole();
                    let calls = client.calls(&whole).len();
                    wrong.check(calls == usize::from(turn % 2 == 0), || {
                        format!("{at} {stream} turn {turn}: {calls} calls: {whole}")
                    });
                    if turn == 0 && calls == 1 {
                        client.go_on(&mut body, &whole, "18 degrees");
                    } else {
                        client.go_on(&mut body, &whole, "");
                        again(client, &mut body);
                    }
                }
            }
        }
    }
    for fault in sent_faults(&app) {
        wrong.check(false, || fault);
    }
    app.close().await;
    wrong.end();
}

/// Clients of Chat Completions that keep nothing but what its types document: the calls and the text.
#[tokio::test]
async fn plain_clients_go_on_after_tools() {
    let app = App::start().await;
    let mut wrong = Wrong::default();
    for (provider, model) in THINKERS {
        for stream in [false, true] {
            let client = Client::Chat;
            let mut body = client.ask(provider, model, "How is it there?", stream);
            client.offer(&mut body, &["weather", "time"]);
            client.think(&mut body);
            for turn in 0..2 {
                let told = Told::of(client, client.send(&app, model, &body, stream)).await;
                wrong.check(told.status == 200, || {
                    format!("{model} {stream} turn {turn}: {} {}", told.status, told.raw)
                });
                if told.status != 200 {
                    break;
                }
                let mut whole = told.whole();
                let message = whole["choices"][0]["message"].as_object_mut().expect("a message");
                message
                    .retain(|name, _| ["role", "content", "tool_calls"].contains(&name.as_str()));
                for call in message
                    .get_mut("tool_calls")
                    .and_then(Value::as_array_mut)
                    .into_iter()
                    .flatten()
                {
                    let call = call.as_object_mut().expect("a call");
                    call.retain(|name, _| ["id", "type", "function"].contains(&name.as_str()));
                }
                client.go_on(&mut body, &whole, "18 degrees");
            }
        }
    }
    for fault in sent_faults(&app) {
        wrong.check(false, || fault);
    }
    app.close().await;
    wrong.end();
}

/// The user's next message.
fn again(client: Client, body: &mut Value) {
    let field = match client.base() {
        Client::Responses => "input",
        Client::Gemini => "contents",
        _ => "messages",
    };
    let turns = body[field].as_array_mut().expect("turns");
    // Nothing was called, so that no tool has anything to say.
    if client.base() == Client::Messages || client == Client::Gemini {
        turns.pop();
    }
    turns.push(match client.base() {
        Client::Gemini => json!({ "role": "user", "parts": [{ "text": "And elsewhere?" }] }),
        _ => json!({ "role": "user", "content": "And elsewhere?" }),
    });
}

#[tokio::test]
async fn structured_output() {
    let app = App::start().await;
    let mut wrong = Wrong::default();
    for client in rich_clients() {
        for (provider, model) in MODELS {
            let at = format!("{client:?} × {model}");
            let mut body = client.ask(provider, model, "Plan a trip, as JSON.", false);
            client.structure(&mut body);
            let answers = both(&app, client, model, &body, &mut wrong).await;
            same(client, &at, &answers, &mut wrong);
            for told in answers.iter().filter(|told| told.status == 200) {
                let text = client.text(&told.whole());
                let read: Result<Value, _> = serde_json::from_str(&text);
                let dropped = told.header("x-tollgate-dropped");
                // DeepSeek has no schemas: it is told to write JSON, and the client that it may be any.
                let good = match (provider, &read) {
                    ("deepseek", Ok(value)) => value.is_object(),
                    (_, Ok(value)) => value["city"].is_string() && value["days"].is_i64(),
                    _ => false,
                };
                wrong.check(good, || format!("{at}: {text} (dropped: {dropped})"));
            }
        }
    }
    for fault in sent_faults(&app) {
        wrong.check(false, || fault);
    }
    app.close().await;
    wrong.end();
}

/// A picture of one pixel.
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=";

#[tokio::test]
async fn pictures() {
    let app = App::start().await;
    let mut wrong = Wrong::default();
    for client in rich_clients() {
        for (provider, model) in MODELS {
            let at = format!("{client:?} × {model}");
            let mut body = client.ask(provider, model, "What is this?", false);
            client.show(&mut body, "What is this?", PIXEL);
            if provider == "deepseek" {
                let told = Told::of(client, client.send(&app, model, &body, false)).await;
                wrong.check(told.status == 400, || format!("{at}: {} {}", told.status, told.raw));
                continue;
            }
            let answers = both(&app, client, model, &body, &mut wrong).await;
            same(client, &at, &answers, &mut wrong);
            for told in answers.iter().filter(|told| told.status == 200) {
                let text = client.text(&told.whole());
                wrong.check(text.contains("an image (image/png"), || format!("{at}: {text}"));
            }
        }
    }
    for fault in sent_faults(&app) {
        wrong.check(false, || fault);
    }
    app.close().await;
    wrong.end();
}

#[tokio::test]
async fn an_answer_that_is_cut_short_says_so() {
    let app = App::start().await;
    let mut wrong = Wrong::default();
    let long = "Tell me all about bridges and tolls, and leave nothing out of it at all, please.";
    for client in rich_clients() {
        for (provider, model) in MODELS {
            let at = format!("{client:?} × {model}");
            let mut body = client.ask(provider, model, long, false);
            client.limit(&mut body, 16);
            let answers = both(&app, client, model, &body, &mut wrong).await;
            same(client, &at, &answers, &mut wrong);
            let word = match client.base() {
                Client::Chat => "length",
                Client::Responses => "max_output_tokens",
                Client::Messages => "max_tokens",
                _ => "MAX_TOKENS",
            };
            for told in answers.iter().filter(|told| told.status == 200) {
                let whole = told.whole();
                let finish = client.finish(&whole);
                wrong.check(finish == word, || format!("{at}: {finish}"));
                wrong.check(client.counters(&whole).output <= 16, || format!("{at}: {whole}"));
            }
        }
    }
    for fault in sent_faults(&app) {
        wrong.check(false, || fault);
    }
    app.close().await;
    wrong.end();
}

#[tokio::test]
async fn a_refusal_is_seen_by_everybody() {
    let app = App::start().await;
    let mut wrong = Wrong::default();
    for client in rich_clients() {
        for (provider, model) in MODELS {
            let at = format!("{client:?} × {model}");
            // The provider's own answer to a request that it refuses.
            let own_api =
                client.base() == Client::Responses && matches!(provider, "openai" | "deepseek");
            let asked = match (own_api, provider) {
                (true, "openai") => ("fixture:responses_refusal", true),
                (true, _) => continue,
                _ => ("fixture:refusal", false),
            };
            let (message, only_streamed) = asked;
            let body = client.ask(provider, model, message, false);
            if only_streamed {
                let streamed = client.ask(provider, model, message, true);
                let told = Told::of(client, client.send(&app, model, &streamed, true)).await;
                wrong.check(told.status == 200 && told.has_ended(), || {
                    format!("{at}: {}", told.raw)
                });
                continue;
            }
            let answers = both(&app, client, model, &body, &mut wrong).await;
            same(client, &at, &answers, &mut wrong);
            for told in answers.iter().filter(|told| told.status == 200) {
                let whole = told.whole();
                let finish = client.finish(&whole);
                let message = &whole["choices"][0]["message"];
                let item = whole["output"].to_string();
                let says = match client.base() {
                    Client::Chat => finish == "content_filter" || message["refusal"].is_string(),
                    Client::Responses => finish == "content_filter" || item.contains("\"refusal\""),
                    Client::Messages => finish == "refusal",
                    _ => {
                        !matches!(finish.as_str(), "STOP" | "MAX_TOKENS")
                            || !whole["promptFeedback"].is_null()
                    }
                };
                // In words only, as some models do: then the words have to arrive.
                let words = !client.text(&whole).is_empty();
                wrong.check(says || words, || format!("{at}: {finish}: {whole}"));
            }
        }
    }
    app.close().await;
    wrong.end();
}

/// What has no word in the provider's dialect is named, or refused where nothing may be lost.
#[tokio::test]
async fn what_is_lost_is_named_or_refused() {
    let app = App::start().await;
    let mut wrong = Wrong::default();
    // Client, its field, the value, and the providers that have no word for it.
    let lost: [(Client, &str, Value, &[&str]); 4] = [
        (
            Client::Chat,
            "logit_bias",
            json!({ "50256": -100 }),
            &["anthropic", "gemini", "deepseek"],
        ),
        (Client::Responses, "truncation", json!("auto"), &["anthropic", "gemini", "deepseek"]),
        (Client::Messages, "top_k", json!(5), &["openai", "deepseek"]),
        (
            Client::Gemini,
            "safetySettings",
            json!([{ "category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE" }]),
            &["openai", "anthropic", "deepseek"],
        ),
    ];
    for (client, field, value, without) in lost {
        for (provider, model) in MODELS {
            let at = format!("{client:?} × {model}, {field}");
            for stream in [false, true] {
                let mut body = client.ask(provider, model, "Hello", stream);
                body[field] = value.clone();
                let told = Told::of(client, client.send(&app, model, &body, stream)).await;
                wrong.check(told.status == 200, || format!("{at}: {} {}", told.status, told.raw));
                let named = told.header("x-tollgate-dropped").split(", ").any(|name| name == field);
                wrong.check(named == without.contains(&provider), || {
                    format!("{at}: dropped {:?}", told.header("x-tollgate-dropped"))
                });
                let before = app.simulator.count();
                let strict =
                    client.send(&app, model, &body, stream).header("x-tollgate-strict", "true");
                let told = Told::of(client, strict).await;
                let refused = told.status == 400 && told.raw.contains(field);
                wrong.check(refused == without.contains(&provider), || {
                    format!("{at}, strict: {} {}", told.status, told.raw)
                });
                wrong.check(!refused || app.simulator.count() == before, || format!("{at}: asked"));
            }
        }
    }
    for fault in sent_faults(&app) {
        wrong.check(false, || fault);
    }
    app.close().await;
    wrong.end();
}

/// What is left out or refused is named as the client has written it.
#[tokio::test]
async fn fields_have_the_clients_own_names() {
    let app = App::start().await;
    let url = json!({ "type": "image_url", "image_url": { "url": "https://example.com/a.png" } });
    let elsewhere = json!([{ "role": "user", "content": [url] }]);
    let cases = [
        (
            Client::Messages,
            "gemini",
            "metadata",
            json!({ "user_id": "u" }),
            200,
            "metadata.user_id",
        ),
        (
            Client::Messages,
            "openai",
            "stop_sequences",
            json!(["a", "b", "c", "d", "e"]),
            200,
            "stop_sequences",
        ),
        (
            Client::Responses,
            "anthropic",
            "text",
            json!({ "verbosity": "low" }),
            200,
            "text.verbosity",
        ),
        (
            Client::Gemini,
            "openai",
            "generationConfig",
            json!({ "topK": 5 }),
            200,
            "generationConfig.topK",
        ),
        (Client::Chat, "anthropic", "seed", json!(5), 200, "seed"),
        (Client::Chat, "gemini", "messages", elsewhere, 400, "image_url"),
    ];
    for (client, to, field, value, status, name) in cases {
        let (provider, model) =
            MODELS.into_iter().find(|(provider, _)| *provider == to).expect("a model");
        let mut body = client.ask(provider, model, "Hello", false);
        body[field] = value;
        let told = Told::of(client, client.send(&app, model, &body, false)).await;
        let at = format!("{client:?} × {model}, {field}: {} {}", told.status, told.raw);
        assert_eq!(told.status, status, "{at}");
        let dropped = told.header("x-tollgate-dropped");
        let is_named = match status {
            200 => dropped.split(", ").any(|word| word.split(": ").next() == Some(name)),
            _ => told.raw.contains(&format!("\"{name}: ")),
        };
        assert!(is_named, "{at}, dropped {dropped:?}");
    }
    app.close().await;
}
