//! Long answers of Gemini, which come in hops: a client of Gemini's sees them as they are, every other one sees one
//! answer and pays for all of it.

use ledger::{Meter, Outcome, Receipt, UsageSource};
use serde_json::{Value, json};

use crate::app::{App, Start};
use crate::pairs::Wrong;
use crate::scripted::{Provider, Scripted};
use crate::speak::{Client, Counters, Told};

const MODEL: &str = "gemini-2.5-flash";

/// An element with these parts. Each hop has counters of its own.
fn element(parts: &Value, (input, output): (u64, u64)) -> Value {
    json!({
        "candidates": [{ "content": { "role": "model", "parts": parts }, "index": 0 }],
        "usageMetadata": { "promptTokenCount": input, "candidatesTokenCount": output,
                           "totalTokenCount": input + output },
        "modelVersion": MODEL, "responseId": format!("hop{input}"),
    })
}

fn goes_on(mut element: Value, token: &str) -> Value {
    element["candidates"][0]["finishReason"] = "CONTINUATION".into();
    element["candidates"][0]["continuationToken"] = token.into();
    element
}

fn ends(mut element: Value) -> Value {
    element["candidates"][0]["finishReason"] = "STOP".into();
    element
}

fn three_hops() -> [Scripted; 3] {
    [
        Scripted::events(&[
            element(&json!([{ "text": "One, " }]), (10, 1)),
            goes_on(element(&json!([{ "text": "two, " }]), (10, 2)), "first"),
        ]),
        Scripted::events(&[goes_on(element(&json!([{ "text": "three, " }]), (12, 3)), "second")]),
        Scripted::events(&[
            element(&json!([{ "text": "four." }]), (15, 4)),
            ends(element(
                &json!([{ "functionCall": { "name": "stop", "args": { "at": 5 } } }]),
                (15, 6),
            )),
        ]),
    ]
}

async fn start(script: impl IntoIterator<Item = Scripted>) -> (App, Provider) {
    let provider = Provider::start(script).await;
    let app = App::start_with(Start::default().set("GEMINI_BASE_URL", provider.url.clone())).await;
    (app, provider)
}

async fn ask(app: &App, client: Client) -> Told {
    let mut body = client.ask("gemini", MODEL, "Count, please.", true);
    if !matches!(client.base(), Client::Native | Client::Completions) {
        client.offer(&mut body, &["stop"]);
    }
    Told::of(client, client.send(app, MODEL, &body, true)).await
}

fn one(receipts: Vec<Receipt>) -> Receipt {
    let [receipt] = <[Receipt; 1]>::try_from(receipts).expect("one receipt");
    receipt
}

/// The receipts in the order of what was asked, one of each.
async fn all(app: App, asked: usize) -> Vec<Receipt> {
    let receipts = app.close().await;
    assert_eq!(receipts.len(), asked);
    receipts
}

#[tokio::test]
async fn one_seamless_answer() {
    let mut wrong = Wrong::default();
    let (app, provider) = start([]).await;
    let clients = || Client::ALL.into_iter().filter(|client| *client != Client::Gemini);
    for client in clients() {
        provider.say(three_hops());
        let told = ask(&app, client).await;
        let at = format!("{client:?}");
        let asked = provider.asked();
        wrong.check(asked.len() == 3, || format!("{at}: asked {} times", asked.len()));
        let tokens: Vec<&Value> = asked.iter().map(|body| &body["continuationToken"]).collect();
        wrong.check(tokens == [&json!(null), &json!("first"), &json!("second")], || {
            format!("{at}: {tokens:?}")
        });
        for body in &asked {
            let mut body = body.clone();
            body.as_object_mut().expect("an object").remove("continuationToken");
            wrong.check(body == asked[0], || format!("{at}: another request: {body}"));
        }
        wrong.check(told.has_ended() && told.failure().is_none(), || format!("{at}: {}", told.raw));
        for fault in told.faults() {
            wrong.check(false, || format!("{at}: {fault}"));
        }
        let whole = told.whole();
        let text = client.text(&whole);
        wrong.check(text == "One, two, three, four.", || format!("{at}: {text:?}"));
        let counters = client.counters(&whole);
        wrong.check(counters == Counters { input: 37, output: 11 }, || {
            format!("{at}: {counters:?}")
        });
        if !matches!(client.base(), Client::Native | Client::Completions) {
            let calls = client.calls(&whole);
            wrong.check(calls == [("stop".to_owned(), json!({ "at": 5 }))], || {
                format!("{at}: {calls:?}")
            });
        }
        // One text, not one a hop.
        let texts = match client.base() {
            Client::Messages => whole["content"].as_array().expect("blocks").len(),
            Client::Responses => whole["output"].as_array().expect("items").len(),
            _ => 2,
        };
        wrong.check(texts == 2, || format!("{at}: {whole}"));
    }
    for (client, receipt) in clients().zip(all(app, clients().count()).await) {
        let at = format!("{client:?}");
        let total = receipt.report.total();
        let used = (receipt.report.passes.len(), total.get(Meter::Input), total.output_tokens());
        wrong.check(used == (3, 37, 11), || format!("{at}: {receipt:?}"));
        wrong.check(receipt.outcome == Outcome::Ok, || format!("{at}: {receipt:?}"));
        wrong.check(receipt.usage_source == UsageSource::Provider, || format!("{at}: {receipt:?}"));
        wrong.check(receipt.upstream_id.as_deref() == Some("hop10"), || {
            format!("{at}: {receipt:?}")
        });
    }
    wrong.end();
}

/// A client of Gemini's goes on by itself.
#[tokio::test]
async fn geminis_own_clients_go_on_themselves() {
    let script = three_hops();
    let first = script[0].body.clone();
    let (app, provider) = start(script).await;
    let told = ask(&app, Client::Gemini).await;
    assert_eq!((told.raw.as_str(), provider.asked().len()), (first.as_str(), 1));
    let receipt = one(app.close().await);
    assert_eq!((receipt.outcome, receipt.usage_source), (Outcome::Ok, UsageSource::Provider));
    let total = receipt.report.total();
    assert_eq!((total.input_tokens(), total.output_tokens()), (10, 2));
}

/// Where the provider gets no further, the answer ends as one that was cut at its length.
#[tokio::test]
async fn a_token_that_stays_the_same_ends_it() {
    let (app, provider) = start([]).await;
    for client in [Client::Chat, Client::Responses, Client::Messages] {
        let hop = || {
            Scripted::events(&[goes_on(element(&json!([{ "text": "again " }]), (10, 1)), "same")])
        };
        provider.say((0..9).map(|_| hop()));
        let told = ask(&app, client).await;
        // The first one gives the token, three more give it again.
        assert_eq!(provider.asked().len(), 4, "{client:?}");
        assert!(told.has_ended(), "{client:?}: {}", told.raw);
        let whole = told.whole();
        assert_eq!(client.text(&whole), "again again again again ");
        let length = ["length", "max_output_tokens", "max_tokens"];
        assert!(length.contains(&client.finish(&whole).as_str()), "{client:?}: {whole}");
    }
    for receipt in all(app, 3).await {
        assert_eq!((receipt.outcome, receipt.report.total().output_tokens()), (Outcome::Ok, 4));
    }
}

/// A hop that cannot be had, or breaks off, is an answer that broke off; what came is paid for.
#[tokio::test]
async fn a_hop_that_fails() {
    let (app, provider) = start([]).await;
    for client in [Client::Chat, Client::Responses, Client::Messages, Client::Native] {
        let [first, second, _] = three_hops();
        let cut = Scripted::events(&[element(&json!([{ "text": "three" }]), (12, 2))]);
        for script in [vec![first.clone()], vec![first, cut], vec![second]] {
            provider.say(script);
            let told = ask(&app, client).await;
            assert_eq!(provider.asked().len(), 2, "{client:?}");
            assert!(told.failure().is_some() && !told.seems_ended(), "{client:?}: {}", told.raw);
        }
    }
    for receipt in all(app, 12).await {
        assert_eq!(receipt.outcome, Outcome::UpstreamFailed);
        assert_eq!(receipt.usage_source, UsageSource::Estimated);
        assert!(receipt.report.total().input_tokens() >= 10, "{receipt:?}");
        assert!(receipt.report.total().output_tokens() >= 2, "{receipt:?}");
    }
}

/// Thoughts and text are blocks of their own, in whichever hop they come.
#[tokio::test]
async fn blocks_go_on_where_they_stopped() {
    let thought = |text: &str| json!([{ "text": text, "thought": true }]);
    let (app, _provider) = start([
        Scripted::events(&[goes_on(element(&thought("First "), (10, 1)), "a")]),
        Scripted::events(&[
            element(&thought("this."), (11, 1)),
            goes_on(element(&json!([{ "text": "Then " }]), (11, 2)), "b"),
        ]),
        Scripted::events(&[goes_on(element(&json!([{ "text": "that" }]), (12, 1)), "c")]),
        Scripted::events(&[
            element(&thought("Hm."), (13, 1)),
            ends(element(&json!([{ "text": "." }]), (13, 2))),
        ]),
    ])
    .await;
    let told = ask(&app, Client::Messages).await;
    assert!(told.has_ended(), "{}", told.raw);
    assert_eq!(told.faults(), Vec::<String>::new());
    let whole = told.whole();
    let blocks: Vec<(&str, &str)> = whole["content"]
        .as_array()
        .expect("blocks")
        .iter()
        .map(|block| {
            let kind = block["type"].as_str().expect("a type");
            (kind, block[kind].as_str().expect("text"))
        })
        .collect();
    assert_eq!(
        blocks,
        [("thinking", "First this."), ("text", "Then that"), ("thinking", "Hm."), ("text", ".")]
    );
    app.close().await;
}

/// Seconds to wait are said with good answers, too: they are no failure.
#[tokio::test]
async fn a_good_answer_with_retry_after_is_good() {
    let mut good = three_hops()[2].clone();
    good.head.push_str("\r\nretry-after: 7");
    let (app, provider) = start([good]).await;
    let told = ask(&app, Client::Chat).await;
    assert!(told.status == 200 && told.has_ended(), "{}", told.raw);
    assert_eq!((provider.asked().len(), told.header("retry-after")), (1, ""));
    assert_eq!(one(app.close().await).outcome, Outcome::Ok);
}

/// The same as a whole answer.
#[tokio::test]
async fn a_whole_answer_is_whole() {
    let hop = |text: &str, counters| element(&json!([{ "text": text }]), counters);
    let hops = || {
        [
            goes_on(hop("One, ", (10, 1)), "first"),
            goes_on(hop("two, ", (12, 2)), "second"),
            ends(hop("three.", (15, 4))),
        ]
        .map(|element| Scripted {
            head: "content-type: application/json".to_owned(),
            body: element.to_string(),
            times: 1,
        })
    };
    let (app, provider) = start([]).await;
    let clients = || Client::ALL.into_iter().filter(|client| *client != Client::Gemini);
    for client in clients() {
        provider.say(hops());
        let body = client.ask("gemini", MODEL, "Count, please.", false);
        let told = Told::of(client, client.send(&app, MODEL, &body, false)).await;
        assert_eq!(told.status, 200, "{client:?}: {}", told.raw);
        let asked = provider.asked();
        let tokens: Vec<&Value> = asked.iter().map(|body| &body["continuationToken"]).collect();
        assert_eq!(tokens, [&json!(null), &json!("first"), &json!("second")], "{client:?}");
        let whole = told.body();
        assert_eq!(client.text(&whole), "One, two, three.", "{client:?}");
        assert_eq!(client.counters(&whole), Counters { input: 37, output: 7 }, "{client:?}");
        assert!(!told.raw.contains("length"), "{client:?}: {}", told.raw);
    }
    // One that Gemini's own client goes on with.
    let [first, ..] = hops();
    provider.say([first.clone()]);
    let body = Client::Gemini.ask("gemini", MODEL, "Count, please.", false);
    let told = Told::of(Client::Gemini, Client::Gemini.send(&app, MODEL, &body, false)).await;
    assert_eq!((&told.raw, provider.asked().len()), (&first.body, 1));
    // One whose rest cannot be had.
    provider.say([first]);
    let body = Client::Chat.ask("gemini", MODEL, "Count, please.", false);
    let told = Told::of(Client::Chat, Client::Chat.send(&app, MODEL, &body, false)).await;
    assert_eq!((told.status, provider.asked().len()), (502, 2), "{}", told.raw);

    let mut receipts = all(app, clients().count() + 2).await;
    let failed = receipts.pop().expect("a receipt");
    assert_eq!((failed.outcome, failed.charge), (Outcome::Failed, ledger::Usd::ZERO));
    receipts.pop();
    for receipt in receipts {
        let total = receipt.report.total();
        let used = (receipt.report.passes.len(), total.input_tokens(), total.output_tokens());
        assert_eq!((receipt.outcome, used), (Outcome::Ok, (3, 37, 7)), "{receipt:?}");
        assert_eq!(receipt.upstream_id.as_deref(), Some("hop10"));
    }
}
