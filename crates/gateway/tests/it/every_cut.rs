//! Streams that are cut everywhere, by the provider and by the client: one receipt each, for what there was, and the more
//! there was, the more it costs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use ledger::{Outcome, Receipt, UsageSource};
use reqwest::Method;
use serde_json::Value;
use testkit::recordings;
use tokio::task::JoinSet;

use crate::app::{App, Start, are_free};
use crate::cut_streams::{Stream, at_least, made_up, output, recorded, said};
use crate::cuts::is_error;
use crate::pairs::Wrong;
use crate::speak::{Client, Told};

/// More events than any of the streams has.
const MANY: usize = 1_000;

/// No fault, but asked for in as many letters as one.
const WHOLE: &str = "fault:slow:000";
/// So slow that a client can hang up in between.
const SLOWLY: &str = "fault:slow:001";

async fn app(recordings: Option<PathBuf>) -> Arc<App> {
    let start = Start::default();
    Arc::new(
        App::start_with(match recordings {
            Some(folder) => start.with_recordings(&folder),
            None => start,
        })
        .await,
    )
}

/// The receipts by request; no request has two.
async fn receipts_of(app: Arc<App>) -> BTreeMap<String, Receipt> {
    let mut by_id = BTreeMap::new();
    for receipt in Arc::into_inner(app).expect("nobody else has it").close().await {
        let twice = by_id.insert(receipt.request_id.to_string(), receipt);
        assert!(twice.is_none(), "two receipts of one stream: {twice:?}");
    }
    by_id
}

/// A stream that was cut at the provider.
struct Cut {
    fault: String,
    told: Told,
    /// Bytes of text that the client has.
    said: usize,
    failed: bool,
    ended: bool,
}

/// Asks for a stream with a fault.
async fn cut(app: &App, stream: &Stream, fault: String) -> Cut {
    let told = stream.read(app, &fault).await;
    let said = said(stream.client, &told.values());
    let (failed, ended) = (told.failure().is_some(), told.has_ended());
    Cut { fault, told, said, failed, ended }
}

/// Cuts a stream between and within all of its events, until there is nothing left to cut.
async fn cut_everywhere(app: &App, stream: &Stream) -> Vec<Cut> {
    let mut cuts = Vec::new();
    let mut whole = 0;
    for events in 0..MANY {
        // All of the same length, which the prompt's tokens are counted from.
        let torn = stream.passes().then(|| format!("fault:tear:{events:03}"));
        for fault in [format!("fault:cut:{events:04}")].into_iter().chain(torn) {
            let cut = cut(app, stream, fault).await;
            whole = if cut.ended && !cut.failed { whole + 1 } else { 0 };
            cuts.push(cut);
        }
        // A stream may be whole a few events before its last one.
        if whole >= 6 {
            return cuts;
        }
    }
    panic!("{}: no end of it", stream.name());
}

async fn at_the_provider(streams: Vec<Stream>, recordings: Option<PathBuf>) {
    let app = app(recordings).await;
    let mut tasks = JoinSet::new();
    for stream in streams {
        let app = Arc::clone(&app);
        tasks.spawn(async move {
            let whole = cut(&app, &stream, WHOLE.to_owned()).await;
            let cuts = cut_everywhere(&app, &stream).await;
            (stream, cuts, whole)
        });
    }
    let all = tasks.join_all().await;
    let receipts = receipts_of(app).await;
    let mut wrong = Wrong::default();
    for (stream, cuts, whole) in &all {
        let mut before = 0;
        for cut in cuts {
            before = check_cut(stream, cut, &receipts, before, &mut wrong);
        }
        let at = format!("{}, whole", stream.name());
        let Some(receipt) = receipts.get(whole.told.header("x-request-id")) else {
            wrong.check(false, || format!("{at}: no receipt: {}", whole.told.raw));
            continue;
        };
        wrong.check(receipt.outcome == Outcome::Ok, || format!("{at}: {receipt:?}"));
        let charge = receipt.charge.pico();
        wrong.check(charge == before, || {
            format!("{at}: {charge}, but {before} when cut behind its end")
        });
    }
    wrong.end();
}

/// Looks at one cut, and returns what it costs.
fn check_cut(
    stream: &Stream,
    cut: &Cut,
    receipts: &BTreeMap<String, Receipt>,
    before: i64,
    wrong: &mut Wrong,
) -> i64 {
    let Cut { fault, told, said, failed, ended } = cut;
    let failed = *failed;
    let at = format!("{}, {fault}", stream.name());
    let receipt = receipts.get(told.header("x-request-id"));
    if told.status != 200 {
        wrong.check(told.status == 502 && is_error(stream.client, &told.body()), || {
            format!("{at}: {} {}", told.status, told.raw)
        });
        let free = receipt.is_some_and(|receipt| are_free(std::slice::from_ref(receipt)));
        wrong.check(free && before == 0, || format!("{at}: {before}, {receipt:?}"));
        return 0;
    }
    wrong.check(failed != *ended, || format!("{at}: no proper end: {}", told.raw));
    let marked = told.events.iter().any(|event| event.data == "[DONE]");
    let seems = marked || !stream.tells_reason_first() && told.seems_ended();
    wrong.check(!(failed && seems), || format!("{at}: seems whole: {}", told.raw));
    wrong.check(!told.broke, || format!("{at}: the connection broke"));
    wrong.check(!told.has_garbage(), || format!("{at}: garbage: {}", told.raw));
    let Some(receipt) = receipt else {
        wrong.check(false, || format!("{at}: no receipt: {}", told.raw));
        return before;
    };
    let expected = if failed { Outcome::UpstreamFailed } else { Outcome::Ok };
    wrong.check(receipt.outcome == expected, || format!("{at}: {receipt:?}"));
    let charge = receipt.charge.pico();
    let known = receipt.usage_source == UsageSource::Provider;
    let grows = charge >= before || known && stream.estimated_high();
    wrong.check(charge > 0 && grows, || format!("{at}: {charge} after {before}"));
    wrong.check(
        output(receipt) >= at_least(*said) || receipt.usage_source == UsageSource::Provider,
        || format!("{at}: {said} bytes read, {} tokens charged", output(receipt)),
    );
    charge
}

#[tokio::test]
async fn recorded_streams_at_the_provider() {
    let Some(folder) = recordings::require() else { return };
    at_the_provider(recorded(), Some(folder)).await;
}

#[tokio::test]
async fn made_up_streams_at_the_provider() {
    at_the_provider(made_up(), None).await;
}

/// Gemini's other way to stream stays JSON where it is cut before its last element, with the error in that one's place.
#[tokio::test]
async fn arrays_at_the_provider() {
    let app = App::start().await;
    let client = Client::Gemini;
    let mut wrong = Wrong::default();
    for model in ["gemini-2.5-flash", "gpt-4o"] {
        let path = client.path(model, true).replace("?alt=sse", "");
        for fault in (0..3).flat_map(|at| [format!("fault:cut:{at}"), format!("fault:tear:{at}")]) {
            let at = format!("{model}, {fault}");
            let message = format!("{fault}\nsay:one two three four five six seven eight nine ten");
            let body = client.ask("", model, &message, true);
            let request = client.credential(app.request(Method::POST, &path), &app.key);
            let told = Told::of(client, request.json(&body)).await;
            let elements = serde_json::from_str::<Vec<Value>>(&told.raw).unwrap_or_default();
            let error = elements.last().map(|last| last["error"]["code"].is_u64());
            wrong
                .check(told.status != 200 || error == Some(true), || format!("{at}: {}", told.raw));
        }
    }
    app.close().await;
    wrong.end();
}

/// A stream whose client hung up.
struct Left {
    events: usize,
    id: String,
    said: usize,
}

async fn at_the_client(streams: Vec<Stream>, recordings: Option<PathBuf>) {
    let app = app(recordings).await;
    let mut tasks = JoinSet::new();
    for stream in streams {
        let app = Arc::clone(&app);
        tasks.spawn(async move {
            let whole = stream.read(&app, WHOLE).await;
            let mut left = Vec::new();
            for events in 0..whole.events.len() {
                let (id, said) = stream.leave(&app, SLOWLY, events).await;
                left.push(Left { events, id, said });
            }
            (stream, left, whole)
        });
    }
    let all = tasks.join_all().await;
    let receipts = receipts_of(app).await;
    let mut wrong = Wrong::default();
    let (mut gone, mut count) = (0, 0);
    for (stream, left, whole) in &all {
        let whole = &receipts[whole.header("x-request-id")];
        for Left { events, id, said } in left {
            let at = format!("{}, left after {events}", stream.name());
            let Some(receipt) = receipts.get(id) else {
                wrong.check(false, || format!("{at}: no receipt"));
                continue;
            };
            count += 1;
            gone += usize::from(receipt.outcome == Outcome::ClientGone);
            let known = matches!(receipt.outcome, Outcome::ClientGone | Outcome::Ok);
            wrong.check(known, || format!("{at}: {receipt:?}"));
            wrong.check(receipt.charge.pico() > 0, || format!("{at}: {receipt:?}"));
            if stream.provider == "gemini" {
                // It charges for all of it, and all of it is read.
                wrong.check(
                    receipt.report == whole.report && receipt.usage_source == UsageSource::Provider,
                    || format!("{at}: {receipt:?}"),
                );
                continue;
            }
            let tokens = output(receipt);
            let provider = receipt.usage_source == UsageSource::Provider;
            wrong.check(tokens >= at_least(*said) || provider, || {
                format!("{at}: {said} bytes read, {tokens} tokens charged")
            });
            wrong.check(tokens <= output(whole) || stream.estimated_high(), || {
                format!("{at}: {tokens} tokens charged, {} when whole", output(whole))
            });
        }
    }
    println!("{gone} of {count} were cut in time");
    wrong.check(gone * 2 > count, || format!("only {gone} of {count} were cut in time"));
    wrong.end();
}

#[tokio::test]
async fn recorded_streams_at_the_client() {
    let Some(folder) = recordings::require() else { return };
    at_the_client(recorded(), Some(folder)).await;
}

#[tokio::test]
async fn made_up_streams_at_the_client() {
    at_the_client(made_up(), None).await;
}
