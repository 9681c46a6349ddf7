//! One dialect on both sides: real exchanges pass through the whole program byte for byte, whole and as streams, and are
//! billed as they were worked out elsewhere.

use std::collections::BTreeMap;

use ledger::{Receipt, UsageSource};
use serde_json::{Value, json};
use testkit::{Recording, recordings};

use crate::app::{App, Start};
use crate::books::Books;
use crate::prices::{self, pico_dollars};
use crate::scripted::{Provider, Scripted};
use crate::speak::{Client, Told};

/// Exchanges that do not pass on purpose, with the reason.
const REFUSED: [(&str, &str); 4] = [
    (
        "anthropic.messages-6691242f38d5",
        "claude-2.1 is in no price list any more, and what has no price is not sent",
    ),
    ("openai.responses-39209ba0a733", BACKGROUND),
    ("openai.responses-52039885effc", BACKGROUND),
    ("openai.responses-d4090c19ae2c", BACKGROUND),
];
const BACKGROUND: &str = "a job in the background is fetched later, past every meter";

/// Requests that are refused before they are sent, with words of the refusal and the reason.
const UNSENT: [(&str, &str, &str); 9] = [
    (
        "deepseek.responses-3d52824c4213",
        "web_search",
        "DeepSeek charges for searches, and the price list has no price of one",
    ),
    ("openai.chat-2191c007eac4", "].content[", DEAF),
    ("openai.chat-7490663d1c42", "].content[", DEAF),
    ("openai.chat-ad661bbdfeb1", "].content[", DEAF),
    ("openai.chat-c23b871e8ced", "].content[", DEAF),
    ("openai.responses-a49494e0ed06", "stored prompt", NAMELESS),
    ("openai.responses-b59ca3ec3aa2", "stored prompt", NAMELESS),
    ("openai.responses-c0a8965c02cf", "stored prompt", NAMELESS),
    ("openai.responses-e30e2d0be30e", "stored prompt", NAMELESS),
];
const DEAF: &str = "the model takes no sound, and the provider's refusal does not name the part";
const NAMELESS: &str =
    "OpenAI alone knows which model its stored prompt names, and what has no price is not sent";
/// Requests that are written anew, with what DeepSeek does not document in them.
const REWRITTEN: [(&str, &str); 5] = [
    ("deepseek.chat-2f0c0b2aa66d", "n"),
    ("deepseek.chat-553bf4d3706d", "strict tools"),
    ("deepseek.chat-5ae68e3beedd", "strict tools"),
    ("deepseek.chat-932c1dbd007b", "strict tools"),
    ("deepseek.chat-f40b271b2976", "reasoning beside reasoning_content"),
];

/// Calls that cost nothing and leave no receipt.
const FREE: [&str; 3] =
    ["anthropic.count_tokens", "gemini.countTokens", "openai.responses_input_tokens"];

#[tokio::test]
async fn chat_completions() {
    replay(&[("openai.chat", 300), ("openai.completions", 20), ("deepseek.chat", 25)]).await;
}

#[tokio::test]
async fn responses() {
    replay(&[("openai.responses", 300), ("deepseek.responses", 8)]).await;
}

#[tokio::test]
async fn messages() {
    replay(&[("anthropic.messages", 300)]).await;
}

#[tokio::test]
async fn generate_content() {
    replay(&[("gemini.generateContent", 200), ("gemini.streamGenerateContent", 50)]).await;
}

/// Calls of another model have no signature, and Gemini 3 refuses those of the current turn: its stand-in is all that is added.
#[tokio::test]
async fn a_call_without_a_signature_gets_the_stand_in() {
    let provider = Provider::start([]).await;
    let app = App::start_with(Start::default().set("GEMINI_BASE_URL", provider.url.clone())).await;
    let call = json!({ "functionCall": { "name": "look", "args": {} } });
    let result = json!({ "functionResponse": { "name": "look", "response": { "found": 1.50 } } });
    let body = |call: &Value| {
        json!({ "contents": [
            { "role": "user", "parts": [{ "text": "Look." }] },
            { "role": "model", "parts": [call] },
            { "role": "user", "parts": [result] },
        ], "new": true })
    };
    let mut signed = call.clone();
    signed["thoughtSignature"] = "skip_thought_signature_validator".into();
    for (model, sent) in [("gemini-3-flash-preview", &signed), ("gemini-2.5-flash", &call)] {
        let said = json!({
            "candidates": [{ "content": { "parts": [{ "text": "Found." }] }, "finishReason": "STOP" }],
            "usageMetadata": { "promptTokenCount": 9, "candidatesTokenCount": 2, "totalTokenCount": 11 },
        });
        let head = "content-type: application/json".to_owned();
        provider.say([Scripted { head, body: said.to_string(), times: 1 }]);
        let request = Client::Gemini.send(&app, model, &body(&call), false);
        let told = Told::of(Client::Gemini, request).await;
        assert_eq!(told.status, 200, "{}", told.raw);
        assert_eq!(provider.asked(), [body(sent)], "{model}");
        let dropped = if *sent == signed { "thoughtSignature: none -> " } else { "" };
        assert!(told.header("x-tollgate-dropped").starts_with(dropped), "{model}");
    }
    app.close().await;
}

#[tokio::test]
async fn embeddings_and_token_counts() {
    replay(&[
        ("openai.embeddings", 20),
        ("gemini.batchEmbedContents", 10),
        ("anthropic.count_tokens", 5),
        ("gemini.countTokens", 3),
        ("openai.responses_input_tokens", 2),
    ])
    .await;
}

/// What came back for one recording.
struct Exchange {
    recording: Recording,
    bill: Option<Value>,
    status: u16,
    body: Vec<u8>,
    id: String,
    /// What the provider was asked.
    asked: Value,
}

async fn replay(apis: &[(&str, usize)]) {
    let Some(folder) = recordings::require() else { return };
    let bills = recordings::load_bills(&folder).expect("the bills").into_iter();
    let mut bills: BTreeMap<String, Value> =
        bills.map(|bill| (text(&bill, "id").to_owned(), bill)).collect();
    let books = Books::sqlite();
    prices::at_any_time(&books).await;
    let app = App::start_on(books, Start::default().with_recordings(&folder)).await;
    let mut exchanges = Vec::new();
    for (api, at_least) in apis {
        let before = exchanges.len();
        for recording in recordings::load(&folder, api).expect("the recordings") {
            let bill = bills.remove(&recording.id);
            exchanges.extend(exchange(&app, recording, bill).await);
        }
        let (all, billed) =
            (exchanges.get(before..).expect("more"), |e: &&Exchange| e.bill.is_some());
        assert!(all.len() >= *at_least, "only {} exchanges of {api}", all.len());
        assert!(FREE.contains(api) || all.iter().any(|e| billed(&e)), "no bills of {api}");
    }
    let receipts = app.close().await.into_iter();
    let receipts: BTreeMap<String, Receipt> =
        receipts.map(|receipt| (receipt.request_id.to_string(), receipt)).collect();
    let wrong: Vec<String> =
        exchanges.iter().flat_map(|exchange| faults(exchange, &receipts)).collect();
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Sends the recorded request with a model that has a price; nothing where it is refused.
async fn exchange(app: &App, recording: Recording, bill: Option<Value>) -> Option<Exchange> {
    let request = &recording.request;
    if let Some((_, words, _)) = UNSENT.iter().find(|(known, ..)| *known == recording.id) {
        unsent(app, &recording, words).await;
        return None;
    }
    let asked = recording.model.clone().unwrap_or_else(|| panic!("{}: a model", recording.id));
    if REFUSED.iter().any(|(known, _)| *known == recording.id) {
        return None;
    }
    let model = match &bill {
        Some(bill) => text(bill, "price_model"),
        // A model that does not exist, which would not be asked for at all.
        None if recording.response.status >= 400 => some_model(&recording),
        None => asked.as_str(),
    }
    .to_owned();
    let mut body = request.body.clone().unwrap_or_else(|| panic!("{}: a body", recording.id));
    if body.get("model").is_some() {
        body["model"] = Value::from(format!("{}/{model}", recording.provider));
    }
    let path = path(&request.path, &recording.provider, &asked, &model);
    app.simulator.answer_next_with(&recording.id);
    let mut call = app.request(reqwest::Method::POST, &path).bearer_auth(&app.key).json(&body);
    for (name, value) in &request.headers {
        if name.starts_with("anthropic") {
            call = call.header(name, value);
        }
    }
    let before = app.simulator.count();
    let response = call.send().await.expect("an answer");
    let status = response.status().as_u16();
    let id = response.headers()["x-request-id"].to_str().expect("ASCII").to_owned();
    let body = response.bytes().await.expect("a whole answer").to_vec();
    if app.simulator.count() == before {
        let said = String::from_utf8_lossy(&body).into_owned();
        // Nothing was sent, so that the recording would answer the next one.
        panic!("{} was not sent: {status} {said}", recording.id);
    }
    let seen = app.simulator.seen();
    let asked = serde_json::from_slice(&seen.last().expect("a request").body).expect("JSON");
    Some(Exchange { recording, bill, status, body, id, asked })
}

/// Sends a recorded request that never gets to the provider.
async fn unsent(app: &App, recording: &Recording, words: &str) {
    let Recording { id, request, provider, .. } = recording;
    let mut body = request.body.clone().expect("a body");
    if let Some(model) = &recording.model {
        body["model"] = Value::from(format!("{provider}/{model}"));
    }
    let before = app.simulator.count();
    let path = path(&request.path, provider, "", "");
    let call = app.request(reqwest::Method::POST, &path).bearer_auth(&app.key).json(&body);
    let response = call.send().await.expect("an answer");
    let status = response.status().as_u16();
    let said = response.text().await.expect("a whole answer");
    assert_eq!((status, app.simulator.count()), (400, before), "{id}: {said}");
    assert!(said.contains(words), "{id}: {said}");
}

/// A model of the provider's that exists.
fn some_model(recording: &Recording) -> &'static str {
    match (recording.provider.as_str(), recording.api.as_str()) {
        ("openai", "openai.embeddings") => "text-embedding-3-small",
        ("openai", "openai.completions") => "gpt-3.5-turbo-instruct",
        ("openai", _) => "gpt-4o",
        ("anthropic", _) => "claude-sonnet-4-5",
        ("gemini", "gemini.batchEmbedContents") => "gemini-embedding-001",
        ("gemini", _) => "gemini-2.5-flash",
        _ => "deepseek-v4-flash",
    }
}

/// The path at the gateway: our own prefix, and the model's name where it has one.
fn path(recorded: &str, provider: &str, asked: &str, model: &str) -> String {
    let (path, query) = recorded.split_once('?').map_or((recorded, None), |(p, q)| (p, Some(q)));
    let own = match provider {
        "gemini" => path.replacen(asked, &format!("gemini/{model}"), 1),
        "deepseek" => format!(
            "/v1/{}",
            path.trim_start_matches("/v1").trim_start_matches("/beta").trim_start_matches('/')
        ),
        _ => path.to_owned(),
    };
    match query {
        Some(query) => format!("{own}?{query}"),
        None => own,
    }
}

fn faults(exchange: &Exchange, receipts: &BTreeMap<String, Receipt>) -> Vec<String> {
    let Exchange { recording, bill, status, body, .. } = exchange;
    let id = &recording.id;
    let mut wrong = Vec::new();
    let mut differ = |what: &str, ours: &str, theirs: &str| {
        if ours != theirs {
            let start = ours.bytes().zip(theirs.bytes()).take_while(|(a, b)| a == b).count();
            let from = |text: &str| {
                text.chars().skip(start.saturating_sub(40)).take(160).collect::<String>()
            };
            wrong.push(format!("{id}: {what} is {:?}, we say {:?}", from(theirs), from(ours)));
        }
    };
    let response = &recording.response;
    // What concerns the operator's credential never looks like the client's own fault.
    let key = recording
        .response
        .body_text
        .as_deref()
        .is_some_and(|body| body.contains("API_KEY_INVALID"));
    if matches!(response.status, 401..=403) || key {
        differ("the status", &status.to_string(), "502");
        return wrong;
    }
    differ("the status", &status.to_string(), &response.status.to_string());
    let sent = response.sse.as_deref().or(response.body_text.as_deref()).unwrap_or_default();
    differ("the body", &String::from_utf8_lossy(body), sent);
    let asked = same(&exchange.asked);
    let recorded = same(&recording.request.body.clone().unwrap_or_default());
    if REWRITTEN.iter().any(|(known, _)| known == id) {
        let passed = if asked == recorded { "passed" } else { "rewritten" };
        differ("the way of the request", passed, "rewritten");
    } else {
        differ("the request", &asked, &recorded);
    }
    match (bill, receipts.get(&exchange.id)) {
        (Some(bill), Some(receipt)) => {
            differ("the source", &format!("{:?}", receipt.usage_source), "Provider");
            for (what, ours, field) in [
                ("base", receipt.cost, "base_usd"),
                ("commission", receipt.commission, "commission_usd"),
                ("total", receipt.charge, "total_usd"),
            ] {
                differ(
                    what,
                    &ours.pico().to_string(),
                    &pico_dollars(text(bill, field)).to_string(),
                );
            }
        }
        (Some(_), None) => differ("the receipt", "missing", "there"),
        (None, Some(receipt)) => {
            // No counters in the answer: estimated, not free.
            let nothing = receipt.report.total() == ledger::Usage::ZERO;
            let estimated = receipt.usage_source == UsageSource::Estimated || nothing;
            differ("the source", if estimated { "estimated" } else { "provider" }, "estimated");
        }
        (None, None) => {
            let free = FREE.contains(&recording.api.as_str()) || response.status != 200;
            differ("the receipt", if free { "" } else { "missing" }, "");
        }
    }
    wrong
}

/// A request without what is ours to change: the model's name and the wish for a stream's usage.
fn same(body: &Value) -> String {
    let mut body = body.clone();
    if let Some(body) = body.as_object_mut() {
        body.remove("model");
        body.remove("stream_options");
    }
    body.to_string()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
