//! `kill -9` in the middle of everything: what a client has seen is in the books.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::RequestBuilder;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::app::{App, Start};
use crate::books::Books;
use crate::chat::{MODELS, say};
use crate::prices::pico_dollars;

const CLIENTS: usize = 8;
/// So many answers at most before the end comes.
const MOST_ANSWERS: u64 = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_seen_has_its_receipt() {
    survives(Books::sqlite(), 20, 0x5eed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_seen_has_its_receipt_on_postgres() {
    if let Some(books) = Books::postgres("crash").await {
        survives(books, 14, 0x0dd).await;
    }
}

async fn survives(books: Books, cycles: u32, mut random: u64) {
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut app = App::start_on(books, Start::default()).await;
    let mut seen = BTreeMap::new();
    for cycle in 0..cycles {
        let (sender, mut answers) = mpsc::unbounded_channel();
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let (provider, model) = MODELS[number % MODELS.len()];
            let chat = app.chat(&say(provider, model, &format!("client {number}, cycle {cycle}")));
            clients.spawn(ask_until_it_dies(chat, sender.clone()));
        }
        drop(sender);
        // After so many answers, and then at any moment between two of them.
        for _ in 0..next(MOST_ANSWERS) {
            let (id, cost) = answers.recv().await.expect("another answer");
            seen.insert(id, cost);
        }
        tokio::time::sleep(Duration::from_micros(next(4_000))).await;
        app.kill().await;
        clients.join_all().await;
        while let Some((id, cost)) = answers.recv().await {
            seen.insert(id, cost);
        }
        // Sometimes the auditor is the first who finds the books as they were left, and cleans up.
        if cycle % 4 == 0 {
            app.books.audit().await;
        }
        app.restart().await;
    }
    app.chatted(&say("openai", "gpt-4o", "Still there?")).await;
    let sent = app.simulator.count();
    let receipts = app.close().await;
    assert!(receipts.len() as u64 <= sent, "more receipts than requests to a provider");
    let receipts: BTreeMap<String, i128> = receipts
        .iter()
        .map(|receipt| (receipt.request_id.to_string(), i128::from(receipt.charge.pico())))
        .collect();
    assert!(seen.len() > cycles as usize, "only {} answers were seen", seen.len());
    for (id, cost) in &seen {
        assert_eq!(receipts.get(id), Some(cost), "{id}");
    }
    println!("{cycles} times killed, {} answers seen, {} receipts", seen.len(), receipts.len());
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
            let (id, cost) = answers.recv().await.expect("another answer");
            seen.insert(id, cost);
        }
        let out = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        app.books.shell(out).await;
    }
    for _ in 0..100 {
        let (id, cost) = answers.recv().await.expect("another answer");
        seen.insert(id, cost);
    }
    clients.shutdown().await;
    while let Some((id, cost)) = answers.recv().await {
        seen.insert(id, cost);
    }
    let receipts = app.finish().await;
    let sent = app.simulator.count();
    assert_eq!(receipts.len() as u64, sent, "each that was sent is there once");
    for (id, cost) in seen {
        let receipt = receipts.iter().find(|receipt| receipt.request_id.to_string() == id);
        assert_eq!(receipt.map(|receipt| i128::from(receipt.charge.pico())), Some(cost), "{id}");
    }
    app.books.remove().await;
}

/// Tells of every whole answer with its id and cost.
async fn ask_until_it_dies(chat: RequestBuilder, tell: mpsc::UnboundedSender<(String, i128)>) {
    while let Ok(response) = chat.try_clone().expect("a request").send().await {
        assert_eq!(response.status().as_u16(), 200);
        let header = |name: &str| response.headers()[name].to_str().expect("ASCII").to_owned();
        let (id, cost) = (header("x-request-id"), pico_dollars(&header("x-tollgate-cost")));
        if response.bytes().await.is_err() {
            return;
        }
        tell.send((id, cost)).expect("somebody listens");
    }
}
