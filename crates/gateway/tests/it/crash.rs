//! `kill -9` in the middle of everything: what a client has seen is in the books.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ledger::{Outcome, Receipt};
use reqwest::RequestBuilder;
use testkit::{Fault, Simulator};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::app::{App, Start};
use crate::books::{Books, number};
use crate::chat::{MODELS, say};
use crate::prices::pico_dollars;
use crate::speak::Client;

const CLIENTS: usize = 8;
/// So many answers at most before the end comes.
const MOST_ANSWERS: u64 = 60;
/// How often it is killed on each database, unless `TOLLGATE_TEST_KILLS` says otherwise.
const KILLS: u64 = 150;
/// A start after a crash takes no longer.
const RECOVERY: Duration = Duration::from_secs(2);
/// What is said again and again: one frame each.
const WORD: &str = "word, ";
/// How often.
const WORDS: usize = 30;
/// How far the journal is ahead of what was delivered of so short an answer, in bytes.
const AHEAD: usize = 128;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_seen_has_its_receipt() {
    survives(Books::sqlite(), number("TOLLGATE_TEST_KILLS", KILLS), 0x5eed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_seen_has_its_receipt_on_postgres() {
    if let Some(books) = Books::postgres("crash").await {
        survives(books, number("TOLLGATE_TEST_KILLS", KILLS), 0x0dd).await;
    }
}

/// What a client has seen of an answer.
struct Sight {
    id: String,
    /// What it cost, where the answer has come to its end.
    cost: Option<i128>,
    /// Bytes of text.
    bytes: usize,
}

/// Half of the clients ask for streams, in every dialect.
const STREAMS: [(Client, &str, &str); 4] = [
    (Client::Chat, "openai", "gpt-4o"),
    (Client::Messages, "anthropic", "claude-sonnet-4-5"),
    (Client::Gemini, "gemini", "gemini-2.5-flash"),
    (Client::Messages, "deepseek", "deepseek-v4-flash"),
];

/// After so many it says how far it is.
const PROGRESS: u64 = 500;

async fn survives(books: Books, cycles: u64, mut random: u64) {
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    // A frame each millisecond, so that the end comes in the midst of streams.
    let simulator = Simulator::new().fault(Fault::Slow(Duration::from_millis(1)));
    let mut app = App::start_on(books, Start { simulator, ..Start::default() }).await;
    let mut seen = BTreeMap::new();
    let (mut cut, mut slowest, mut audited_next) = (0, Duration::ZERO, 0);
    for cycle in 0..cycles {
        let (sender, mut sights) = mpsc::unbounded_channel();
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let sender = sender.clone();
            if number % 2 == 0 {
                let (provider, model) = MODELS[number / 2 % MODELS.len()];
                let chat = say(provider, model, &format!("client {number}, cycle {cycle}"));
                clients.spawn(ask_until_it_dies(app.chat(&chat), sender));
            } else {
                let (client, provider, model) = STREAMS[number / 2 % STREAMS.len()];
                let body =
                    client.ask(provider, model, &format!("say:{}", WORD.repeat(WORDS)), true);
                clients.spawn(read_until_it_dies(client.send(&app, model, &body, true), sender));
            }
        }
        drop(sender);
        // After so many answers, and then at any moment between two of them.
        for _ in 0..next(MOST_ANSWERS) {
            let sight = sights.recv().await.expect("another answer");
            seen.insert(sight.id.clone(), sight);
        }
        tokio::time::sleep(Duration::from_micros(next(30_000))).await;
        app.kill().await;
        clients.join_all().await;
        while let Some(sight) = sights.recv().await {
            cut += u64::from(sight.bytes > 0 && sight.bytes < WORD.len() * WORDS);
            seen.insert(sight.id.clone(), sight);
        }
        // Sometimes the auditor is the first who finds the books as they were left, and cleans up. It reads all of them, and so
        // comes more seldom as they grow.
        if cycle >= audited_next {
            audited_next = cycle + 16.max(cycle / 16);
            app.books.audit().await;
        }
        if cycle > 0 && cycle % PROGRESS == 0 {
            println!("{cycle} of {cycles} times killed; slowest start {slowest:?}");
        }
        let start = Instant::now();
        app.restart().await;
        slowest = slowest.max(start.elapsed());
    }
    app.chatted(&say("openai", "gpt-4o", "Still there?")).await;
    let sent = app.simulator.count();
    let receipts = app.close().await;
    let charged = receipts.iter().filter(|receipt| receipt.charge.pico() > 0).count() as u64;
    assert!(charged <= sent, "{charged} receipts of {sent} requests to a provider");
    check(&seen, &receipts);
    assert!(seen.len() as u64 > cycles, "only {} answers were seen", seen.len());
    assert!(cut > cycles, "only {cut} streams were cut");
    let crashed = receipts.iter().filter(|receipt| receipt.outcome == Outcome::Crashed).count();
    println!(
        "{cycles} times killed, {} answers seen, {cut} of them cut; {} receipts, {crashed} settled \
         afterwards; slowest start {slowest:?}",
        seen.len(),
        receipts.len(),
    );
    // How fast the program is that the tests are built with, on a machine that does other things too, says nothing.
    if std::env::var_os("TOLLGATE_TEST_RELEASE").is_some() {
        assert!(slowest < RECOVERY, "a start took {slowest:?}");
    }
}

/// Each answer that was seen has one receipt, which has at least what was seen of it, and never much more.
fn check(seen: &BTreeMap<String, Sight>, receipts: &[Receipt]) {
    let mut by_id = BTreeMap::new();
    for receipt in receipts {
        let twice = by_id.insert(receipt.request_id.to_string(), receipt);
        assert!(twice.is_none(), "two receipts of one request: {twice:?}");
        if receipt.outcome == Outcome::Crashed {
            // Little more than there was to have.
            let tokens = usize::try_from(receipt.report.total().output_tokens()).expect("few");
            assert!(tokens <= (WORD.len() * WORDS + AHEAD).div_ceil(4), "{receipt:?}");
        }
    }
    for Sight { id, cost, bytes } in seen.values() {
        let receipt = by_id.get(id);
        if *bytes == 0 && cost.is_none() {
            continue;
        }
        let receipt = receipt.unwrap_or_else(|| panic!("{id} has no receipt, {bytes} bytes seen"));
        let charge = i128::from(receipt.charge.pico());
        assert!(charge > 0, "{receipt:?}");
        if let Some(cost) = cost {
            assert_eq!(charge, *cost, "{receipt:?}");
        } else {
            let tokens = usize::try_from(receipt.report.total().output_tokens()).expect("few");
            // The simulator counts a token for four bytes, as an estimate does.
            assert!(tokens * 4 >= *bytes, "{bytes} bytes seen, {receipt:?}");
        }
    }
}

/// A database that throws everybody out is joined again, and nothing is lost or counted twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_hangs_up() {
    const TIMES: u64 = 6;
    let Some(books) = Books::postgres("hangs_up").await else { return };
    let mut app = App::start_on(books, Start::default()).await;
    let (sender, mut answers) = mpsc::unbounded_channel();
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let chat = app.chat(&say("openai", "gpt-4o", &format!("client {number}")));
        clients.spawn(ask_until_it_dies(chat, sender.clone()));
    }
    drop(sender);
    let mut seen = BTreeMap::new();
    for _ in 0..TIMES {
        for _ in 0..20 {
            let sight = answers.recv().await.expect("another answer");
            seen.insert(sight.id.clone(), sight);
        }
        let out = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        app.books.shell(out).await;
    }
    for _ in 0..100 {
        let sight = answers.recv().await.expect("another answer");
        seen.insert(sight.id.clone(), sight);
    }
    clients.shutdown().await;
    while let Some(sight) = answers.recv().await {
        seen.insert(sight.id.clone(), sight);
    }
    let receipts = app.finish().await;
    let sent = app.simulator.count();
    assert_eq!(receipts.len() as u64, sent, "each that was sent is there once");
    check(&seen, &receipts);
    app.books.remove().await;
}

/// Tells of every whole answer with its id and cost.
async fn ask_until_it_dies(chat: RequestBuilder, tell: mpsc::UnboundedSender<Sight>) {
    while let Ok(response) = chat.try_clone().expect("a request").send().await {
        assert_eq!(response.status().as_u16(), 200);
        let header = |name: &str| response.headers()[name].to_str().expect("ASCII").to_owned();
        let (id, cost) = (header("x-request-id"), pico_dollars(&header("x-tollgate-cost")));
        if response.bytes().await.is_err() {
            return;
        }
        tell.send(Sight { id, cost: Some(cost), bytes: 0 }).expect("somebody listens");
    }
}

/// Tells of every stream with its id and the text that came of it.
async fn read_until_it_dies(chat: RequestBuilder, tell: mpsc::UnboundedSender<Sight>) {
    while let Ok(mut response) = chat.try_clone().expect("a request").send().await {
        assert_eq!(response.status().as_u16(), 200);
        let id = response.headers()["x-request-id"].to_str().expect("ASCII").to_owned();
        let mut came = Vec::new();
        let whole = loop {
            match response.chunk().await {
                Ok(Some(bytes)) => came.extend_from_slice(&bytes),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        let text = String::from_utf8_lossy(&came);
        let bytes = text.matches(WORD.trim()).count() * WORD.len();
        tell.send(Sight { id, cost: None, bytes }).expect("somebody listens");
        if !whole {
            return;
        }
    }
}
