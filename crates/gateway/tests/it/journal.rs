//! The journal between the requests and the database: what it carries over an outage, a crash and a mistake.

use std::path::PathBuf;

use reqwest::Method;
use tokio::task::JoinSet;

use crate::app::{App, Start, USER};
use crate::books::Books;
use crate::cable::Cable;
use crate::chat::say;

/// The journal's only segment.
fn segment(app: &App) -> PathBuf {
    app.books.folder.path().join("tollgate-data/1/00000000000000000001.journal")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away() {
    const CHATS: usize = 30;
    let Some(books) = Books::postgres("away").await else { return };
    let (cable, url) = Cable::to(&books);
    let mut app = App::start_on(books, Start::default().set("DATABASE_URL", url)).await;
    app.chatted(&say("openai", "gpt-4o", "Hello")).await;
    cable.cut();
    for number in 0..CHATS {
        let answer = app.chatted(&say("openai", "gpt-4o", &format!("Number {number}"))).await;
        assert_eq!(answer.status, 200, "{number}");
        if number == CHATS / 2 {
            // Until it has been tried to apply some, and in vain.
            while !app.written_log().contains("receipts wait in the journal") {
                tokio::task::yield_now().await;
            }
        }
    }
    // It dies with all of that in the journal; whoever asks first, by another way, finds it.
    app.kill().await;
    let usage = app.books.cli_json(&["bill", "--user", USER]).await;
    let receipts = app.books.receipts().await;
    assert_eq!(receipts.len(), CHATS + 1, "{usage}");
    app.books.audit().await;
    app.books.remove().await;
}

/// Each of two processes has a journal of its own. What one leaves behind when it dies, the next that starts finds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_share_a_folder() {
    let Some(books) = Books::postgres("shared").await else { return };
    let mut app = App::start_on(books, Start::default()).await;
    let (mut other, url) = app.another().await;
    let hello = say("openai", "gpt-4o", "Hello");
    let tokens = app.chatted(&hello).await.body["usage"]["totalTokens"].as_u64().expect("tokens");
    for number in 1..10 {
        let base = if number % 2 == 0 { &app.url } else { &url };
        let chat = app.client.post(format!("{base}/api/layers/chat")).json(&hello);
        let chat = chat.header("user", USER).header("api-key", &app.key);
        assert_eq!(chat.send().await.expect("an answer").status(), 200, "{number}");
    }
    other.kill().await.expect("the process dies");
    app.kill().await;
    app.restart().await;
    assert_eq!(app.price_to_pay().await["total_tokens"], 10 * tokens);
    assert_eq!(app.finish().await.len(), 10);
    app.books.remove().await;
}

/// Whoever moves to another database does not take along what belongs to the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_stays_with_its_database() {
    let app = App::start().await;
    app.chatted(&say("openai", "gpt-4o", "Hello")).await;
    let new = format!("sqlite://{}", app.books.folder.path().join("new.db").display());
    let own = app.books.url.clone();
    let mut app = app.on(new).await;
    app.books.add_user(USER).await;
    app.kill().await;
    app.restart().await;
    assert!(app.finish().await.is_empty());
    assert!(app.books.folder.path().join("tollgate-data/2/replica").exists());
    let app = app.on(own).await;
    assert_eq!(app.close().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_end_is_forgotten_and_damage_is_named() {
    let mut app = App::start().await;
    for _ in 0..3 {
        app.chatted(&say("openai", "gpt-4o", "Hello")).await;
    }
    app.kill().await;
    assert_eq!(app.books.receipts().await.len(), 3);
    let whole = std::fs::read(segment(&app)).expect("the journal");

    // What a writer was stopped in the middle of.
    let mut torn = whole.clone();
    torn.extend_from_slice(&whole[48..100]);
    std::fs::write(segment(&app), torn).expect("written");
    app.restart().await;
    app.chatted(&say("openai", "gpt-4o", "Hello again")).await;
    app.kill().await;
    assert_eq!(app.books.receipts().await.len(), 4);

    // A database from before: the journal feeds it once more, unless it is damaged.
    app.books.shell("UPDATE tollgate.replicas SET cursor_seq = 0").await;
    let mut damaged = std::fs::read(segment(&app)).expect("the journal");
    damaged[80] ^= 4;
    std::fs::write(segment(&app), &damaged).expect("written");
    for command in [&["serve", "--port", "0"][..], &["usage"], &["verify"]] {
        let refused = app.books.refused(command).await;
        assert!(refused.contains("0001.journal is damaged at its byte 48"), "{refused}");
    }
    damaged[80] ^= 4;
    std::fs::write(segment(&app), &damaged).expect("written");
    app.restart().await;
    assert_eq!(app.close().await.len(), 4);
}

/// What is answered until it is seen that somebody has taken the file away is on the books all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_taken_away_is_missed() {
    let app = App::start().await;
    let hello = say("openai", "gpt-4o", "Hello");
    app.chatted(&hello).await;
    // By now the file is being read.
    app.price_to_pay().await;
    std::fs::remove_file(segment(&app)).expect("removed");
    let mut answered = 1;
    loop {
        match app.chat(&hello).send().await.expect("an answer").status().as_u16() {
            503 => break,
            status => assert_eq!(status, 200),
        }
        answered += 1;
    }
    while !app.written_log().contains("0001.journal was taken away") {
        tokio::task::yield_now().await;
    }
    assert_eq!(app.close().await.len(), answered);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strict_answers_wait_for_the_disk() {
    let app = App::start_with(Start::default().set("TOLLGATE_DURABILITY", "strict")).await;
    let mut chats = JoinSet::new();
    for number in 0..20 {
        let chat = app.chat(&say("openai", "gpt-4o", &format!("Number {number}")));
        chats.spawn(async move { chat.send().await.expect("an answer").status() });
    }
    for status in chats.join_all().await {
        assert_eq!(status, 200);
    }
    let checked = app.native(Method::GET, "/api/usage/check").send().await.expect("an answer");
    assert_eq!(checked.status(), 200);
    assert_eq!(app.close().await.len(), 20);
}
