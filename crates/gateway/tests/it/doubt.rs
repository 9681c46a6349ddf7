//! Counters that cannot be true, answers without a price, jobs that nobody meters: none of them is free, and none of them
//! stops the books.

use http::Method;
use ledger::{Outcome, Receipt, UsageSource, Usd};
use serde_json::{Value, json};

use crate::app::{App, Start};
use crate::books::Books;
use crate::pairs::Wrong;
use crate::prices::pico_dollars;
use crate::scripted::{Provider, Scripted};
use crate::speak::{Client, Told};

const CLIENTS: [(Client, &str, &str); 4] = [
    (Client::Chat, "openai", "gpt-4o"),
    (Client::Responses, "openai", "gpt-4o"),
    (Client::Messages, "anthropic", "claude-sonnet-4-5"),
    (Client::Gemini, "gemini", "gemini-2.5-flash"),
];

const PROMPT: &str = "Say the names of the numbers, please.";

fn words() -> String {
    (0..40).map(|number| format!("number {number}")).collect::<Vec<_>>().join(", ")
}

/// What the dialect calls the counters of the prompt and of the answer.
fn names(client: Client) -> [&'static str; 2] {
    match client {
        Client::Chat => ["prompt_tokens", "completion_tokens"],
        Client::Gemini => ["promptTokenCount", "candidatesTokenCount"],
        _ => ["input_tokens", "output_tokens"],
    }
}

/// An answer of these words, whole.
fn body(client: Client, usage: &Value) -> Value {
    let text = words();
    match client {
        Client::Chat => json!({
            "id": "c1", "object": "chat.completion", "created": 1, "model": "gpt-4o",
            "choices": [{ "index": 0, "message": { "role": "assistant", "content": text },
                          "finish_reason": "stop" }],
            "usage": usage,
        }),
        Client::Responses => json!({
            "id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-4o",
            "status": "completed", "usage": usage,
            "output": [{ "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                         "content": [{ "type": "output_text", "text": text, "annotations": [] }] }],
        }),
        Client::Messages => json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
            "content": [{ "type": "text", "text": text }], "stop_reason": "end_turn",
            "stop_sequence": null, "usage": usage,
        }),
        _ => json!({
            "candidates": [{ "content": { "role": "model", "parts": [{ "text": text }] },
                             "finishReason": "STOP", "index": 0 }],
            "usageMetadata": usage, "modelVersion": "gemini-2.5-flash", "responseId": "r1",
        }),
    }
}

/// The same bit by bit.
fn events(client: Client, usage: &Value) -> Vec<Value> {
    let whole = body(client, usage);
    let text = words();
    match client {
        Client::Chat => {
            let chunk = |choices: Value, usage: &Value| {
                json!({ "id": "c1", "object": "chat.completion.chunk", "created": 1,
                        "model": "gpt-4o", "choices": choices, "usage": usage })
            };
            let delta =
                json!([{ "index": 0, "delta": { "content": text }, "finish_reason": null }]);
            let end = json!([{ "index": 0, "delta": {}, "finish_reason": "stop" }]);
            let none = Value::Null;
            vec![chunk(delta, &none), chunk(end, &none), chunk(json!([]), usage)]
        }
        Client::Responses => vec![
            json!({ "type": "response.created", "sequence_number": 0,
                    "response": { "id": "resp_1", "object": "response", "created_at": 1,
                                  "model": "gpt-4o", "status": "in_progress", "output": [] } }),
            json!({ "type": "response.output_text.delta", "sequence_number": 1, "item_id": "msg_1",
                    "output_index": 0, "content_index": 0, "delta": text }),
            json!({ "type": "response.completed", "sequence_number": 2, "response": whole }),
        ],
        Client::Messages => vec![
            json!({ "type": "message_start", "message": {
                "id": "msg_1", "type": "message", "role": "assistant", "content": [],
                "model": "claude-sonnet-4-5", "stop_reason": null, "stop_sequence": null,
                "usage": { "input_tokens": 9, "output_tokens": 1 } } }),
            json!({ "type": "content_block_start", "index": 0,
                    "content_block": { "type": "text", "text": "" } }),
            json!({ "type": "content_block_delta", "index": 0,
                    "delta": { "type": "text_delta", "text": text } }),
            json!({ "type": "content_block_stop", "index": 0 }),
            json!({ "type": "message_delta", "usage": usage,
                    "delta": { "stop_reason": "end_turn", "stop_sequence": null } }),
            json!({ "type": "message_stop" }),
        ],
        _ => vec![whole],
    }
}

fn stream(events: &[Value]) -> Scripted {
    let named = events.iter().map(|event| {
        let name =
            event["type"].as_str().map_or_else(String::new, |name| format!("event: {name}\n"));
        format!("{name}data: {event}\n\n")
    });
    let done = if events[0]["object"] == "chat.completion.chunk" { "data: [DONE]\n\n" } else { "" };
    let body = named.chain([done.to_owned()]).collect::<Vec<_>>().concat();
    Scripted { head: "content-type: text/event-stream".to_owned(), body, times: 1 }
}

fn whole(body: &Value) -> Scripted {
    let head = "content-type: application/json".to_owned();
    Scripted { head, body: body.to_string(), times: 1 }
}

async fn start_on(books: Books) -> (App, Provider) {
    let provider = Provider::start([]).await;
    let mut start = Start::default();
    for name in ["OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "GEMINI_BASE_URL"] {
        start = start.set(name, provider.url.clone());
    }
    (App::start_on(books, start).await, provider)
}

/// Asks for the words, and returns what the client was told.
async fn ask(app: &App, (client, provider, model): (Client, &str, &str), stream: bool) -> Told {
    let mut body = client.ask(provider, model, PROMPT, stream);
    client.limit(&mut body, 500);
    Told::of(client, client.send(app, model, &body, stream)).await
}

/// Objects that are wrong, by the dialect's names of the two counters.
fn absurd([input, output]: [&str; 2]) -> Vec<Value> {
    vec![
        json!({}),
        json!([1]),
        json!("x"),
        json!({ input: "10", output: "5" }),
        json!({ input: 10.7, output: 5.2 }),
        json!({ input: -5, output: -5 }),
        json!({ input: 0, output: 0 }),
        json!({ input: 10 }),
        json!({ input: 900_000_000_000_u64, output: 900_000_000_000_u64 }),
        // Ten times what the model takes and gives, and more.
        json!({ input: 30_000_000, output: 30_000_000 }),
    ]
}

#[tokio::test]
async fn counters_that_cannot_be_true_make_no_answer_free_or_a_fortune() {
    let (app, provider) = start_on(Books::sqlite()).await;
    let (mut wrong, mut asked) = (Wrong::default(), Vec::new());
    for one in CLIENTS {
        for usage in absurd(names(one.0)) {
            for streams in [false, true] {
                let at = format!("{:?}, stream {streams}: {usage}", one.0);
                provider.say([if streams {
                    stream(&events(one.0, &usage))
                } else {
                    whole(&body(one.0, &usage))
                }]);
                let told = ask(&app, one, streams).await;
                wrong.check(told.raw.contains("number 39"), || format!("{at}: {}", told.raw));
                asked.push(at);
            }
        }
    }
    let log = app.log().await;
    let receipts = app.close().await;
    assert_eq!(receipts.len(), asked.len());
    let least = u64::try_from(words().len().div_ceil(4)).expect("small");
    for (at, receipt) in asked.into_iter().zip(receipts) {
        let total = receipt.report.total();
        let (input, output) = (total.input_tokens(), total.output_tokens());
        let is_right = output >= least && output < 2 * least && input > 0 && input < 100;
        wrong.check(is_right, || format!("{at}: {input} and {output} of {least}"));
        let is_said = receipt.report.inconsistent && receipt.usage_source == UsageSource::Estimated;
        wrong.check(is_said, || format!("{at}: not said"));
        wrong.check(receipt.outcome == Outcome::Ok && receipt.charge > Usd::ZERO, || {
            format!("{at}: {receipt:?}")
        });
        let id = receipt.request_id.to_string();
        let is_logged =
            log.lines().any(|line| line.contains(&id) && line.contains("cannot be right"));
        wrong.check(is_logged, || format!("{at}: not in the log"));
    }
    wrong.end();
}

/// The costs in an answer, as they were told last.
fn told_cost(told: &Told) -> Option<i128> {
    let lines = told.raw.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line));
    let mut costs =
        lines.filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter_map(|said| {
            let usage = if said["response"].is_object() {
                &said["response"]["usage"]
            } else {
                &said["usage"]
            };
            usage
                .get("cost")
                .map(|cost| pico_dollars(&format!("{:.12}", cost.as_f64().expect("a number"))))
        });
    let last = costs.next_back();
    last.or_else(|| {
        let whole: Value = serde_json::from_str(&told.raw).ok()?;
        Some(pico_dollars(&format!("{:.12}", whole["usage"]["cost"].as_f64()?)))
    })
}

/// Of clients of `OpenRouter`, by bytes that pass and through the canonical form.
#[tokio::test]
async fn the_costs_told_are_those_charged_whatever_the_provider_counts() {
    let (app, provider) = start_on(Books::sqlite()).await;
    let (mut wrong, mut asked) = (Wrong::default(), Vec::new());
    for client in [Client::RouterChat, Client::RouterResponses, Client::RouterMessages] {
        for (from, name, model) in CLIENTS {
            for usage in absurd(names(from))
                .into_iter()
                .chain([json!({ names(from)[0]: 7, names(from)[1]: 9 })])
            {
                for streams in [false, true] {
                    // What a provider serves by its other dialect is looked at elsewhere.
                    if name == "openai" && client.base() != from.base() {
                        continue;
                    }
                    provider.say([if streams {
                        stream(&events(from, &usage))
                    } else {
                        whole(&body(from, &usage))
                    }]);
                    let named = format!("{name}/{model}");
                    let told = ask(&app, (client, name, &named), streams).await;
                    asked
                        .push((format!("{client:?} of {from:?}, stream {streams}: {usage}"), told));
                }
            }
        }
    }
    let receipts = app.close().await;
    assert_eq!(receipts.len(), asked.len());
    for ((at, told), receipt) in asked.into_iter().zip(receipts) {
        let (cost, charge) = (told_cost(&told), i128::from(receipt.charge.pico()));
        // What is no object has no room for it.
        let has_room = !at.ends_with(": [1]") && !at.ends_with(": \"x\"");
        let is_right =
            if has_room { cost == Some(charge) } else { cost.is_none_or(|cost| cost == charge) };
        wrong.check(is_right, || format!("{at}: {cost:?} told, {charge} charged: {}", told.raw));
    }
    wrong.end();
}

/// What is unusual and true stays as it was told.
#[tokio::test]
async fn counters_that_may_be_true_are_the_bill() {
    let (app, provider) = start_on(Books::sqlite()).await;
    let chat = CLIENTS[0];
    // Much of the prompt is elsewhere, most of the output is thinking that nobody sees.
    let large = json!({ "prompt_tokens": 900_000, "completion_tokens": 200_000, "total_tokens": 1_100_000 });
    provider.say([whole(&body(chat.0, &large))]);
    ask(&app, chat, false).await;
    // Nothing came, and nothing is counted.
    let nothing = json!({ "prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9 });
    let mut empty = body(chat.0, &nothing);
    empty["choices"][0]["message"]["content"] = "".into();
    provider.say([whole(&empty)]);
    ask(&app, chat, false).await;
    let used = |receipt: &Receipt| {
        let total = receipt.report.total();
        assert_eq!(receipt.usage_source, UsageSource::Provider, "{receipt:?}");
        assert!(!receipt.report.inconsistent, "{receipt:?}");
        (total.input_tokens(), total.output_tokens())
    };
    let receipts = app.close().await;
    assert_eq!(receipts.iter().map(used).collect::<Vec<_>>(), [(900_000, 200_000), (9, 0)]);
}

/// What cannot be taken back is charged as far as it has prices; what can be is withheld.
#[tokio::test]
async fn a_delivered_stream_without_a_price_for_all_of_it_is_not_free() {
    let books = Books::sqlite();
    let list = "provider,model,price_per_token\nanthropic,claude-sonnet-4-5,0.000003\n";
    let file = books.folder.path().join("list.csv");
    std::fs::write(&file, list).expect("written");
    books.cli(&["prices", "import", "--replace", file.to_str().expect("text")]).await;
    let (app, provider) = start_on(books).await;
    let messages = CLIENTS[2];
    let searched = json!({ "input_tokens": 10, "output_tokens": 500,
                           "server_tool_use": { "web_search_requests": 1 } });
    let regional = json!({ "input_tokens": 10, "output_tokens": 500, "inference_geo": "us" });
    for usage in [&searched, &regional] {
        provider.say([stream(&events(messages.0, usage))]);
        let told = ask(&app, messages, true).await;
        assert!(told.has_ended() && told.failure().is_none(), "{}", told.raw);
        provider.say([whole(&body(messages.0, usage))]);
        assert_eq!(ask(&app, messages, false).await.status, 502);
    }
    let log = app.log().await;
    assert_eq!(log.matches("a delivered answer has no price for all that it used").count(), 2);
    assert_eq!(app.books.audit().await["unpriced"], 4);
    let receipts = app.close().await;
    let charges: Vec<_> = receipts.iter().map(|receipt| receipt.charge.pico()).collect();
    // 510 tokens at 3 dollars a million, and 5 %.
    assert_eq!(charges, [1_606_500_000, 0, 1_606_500_000, 0]);
    assert!(receipts.iter().all(|receipt| receipt.outcome == Outcome::Unpriced));
}

/// A finished job would be fetched from somewhere else, past every meter.
#[tokio::test]
async fn no_job_runs_where_nobody_meters_it() {
    let (app, provider) = start_on(Books::sqlite()).await;
    for (path, streams, background) in [
        ("/v1/responses", false, json!(true)),
        ("/v1/responses", true, json!(true)),
        ("/api/v1/responses", false, json!(true)),
        ("/v1/responses", false, json!("true")),
    ] {
        let body = json!({ "model": "gpt-4o", "input": PROMPT, "stream": streams,
                           "background": background, "max_output_tokens": 16_000 });
        let request = app.request(Method::POST, path).bearer_auth(&app.key);
        let answer = request.json(&body).send().await.expect("an answer");
        assert_eq!(answer.status(), 400, "{path} {body}");
        let text = answer.text().await.expect("text");
        assert!(text.contains("background: is not supported"), "{text}");
    }
    assert!(provider.asked().is_empty());
    // In the foreground it runs.
    let usage = json!({ "input_tokens": 10, "output_tokens": 500, "total_tokens": 510 });
    for background in [json!(false), Value::Null] {
        provider.say([whole(&body(Client::Responses, &usage))]);
        let body = json!({ "model": "gpt-4o", "input": PROMPT, "background": background });
        let request = app.request(Method::POST, "/v1/responses").bearer_auth(&app.key);
        let answer = request.json(&body).send().await;
        assert_eq!(answer.expect("an answer").status(), 200);
    }
    assert_eq!(app.close().await.len(), 2);
}

/// Asks with a key, and returns the id of the request.
async fn chat(app: &App, key: &str) -> String {
    let body = json!({ "model": "gpt-4o", "messages": [{ "role": "user", "content": PROMPT }] });
    let request = app.request(Method::POST, "/v1/chat/completions").bearer_auth(key);
    let answer = request.json(&body).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.headers()["x-request-id"].to_str().expect("text").to_owned()
}

/// One customer's balance that can take no more is nobody else's trouble.
#[tokio::test]
async fn a_receipt_that_no_balance_can_take_is_set_aside() {
    let books = Books::sqlite();
    let other = books.add_user("grace").await;
    let mut app = App::start_on(books, Start::default()).await;
    let full = "UPDATE tollgate.ledger_accounts SET posted = -9223372036854775807 WHERE id = \
                (SELECT account_id FROM tollgate.receipts)";
    chat(&app, &app.key).await;
    app.price_to_pay().await;
    app.books.shell(full).await;
    let lost = chat(&app, &app.key).await;
    let kept = chat(&app, &other).await;
    // Has been applied, or it would wait for ever.
    app.price_to_pay().await;
    assert!(app.log().await.contains("set aside"), "{}", app.log().await);
    app.restart().await;
    chat(&app, &other).await;
    let verified = app.books.try_cli(&["verify", "--json"]).await;
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(said.contains("\"set_aside\": 1"), "{said}");
    assert!(said.contains(&format!("receipt {lost}/1 was set aside")), "{said}");
    assert!(!verified.status.success());
    let doctor = app.books.try_cli(&["doctor"]).await;
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(said.contains("1 were set aside"), "{said}");
    app.signal("TERM").await;
    assert!(app.ended().await.success());
    let receipts = app.books.receipts().await;
    let ids: Vec<_> = receipts.iter().map(|receipt| receipt.request_id.to_string()).collect();
    assert!(ids.contains(&kept) && !ids.contains(&lost) && ids.len() == 3, "{ids:?}");
    app.books.remove().await;
}
