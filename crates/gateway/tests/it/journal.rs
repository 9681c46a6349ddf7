//! The journal between the requests and the database: what it carries over an outage, a crash and a mistake.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Method;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::{App, Start};
use crate::books::Books;
use crate::chat::say;

/// A way to a database server that can be cut.
struct Cable {
    address: String,
    cut: Arc<AtomicBool>,
    all: CancellationToken,
}

impl Cable {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let cable = Self { address, cut: Arc::default(), all: CancellationToken::new() };
        let (cut, all) = (Arc::clone(&cable.cut), cable.all.clone());
        let mut connections = JoinSet::new();
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                if cut.load(Ordering::SeqCst) {
                    continue;
                }
                let (server, all) = (server.clone(), all.child_token());
                connections.spawn(async move {
                    let mut far = TcpStream::connect(server).await.expect("the server");
                    let _ = all.run_until_cancelled(copy_bidirectional(&mut near, &mut far)).await;
                });
            }
        });
        cable
    }

    /// Breaks every connection and lets none through from now on.
    fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        self.all.cancel();
    }
}

/// The journal's only segment.
fn segment(app: &App) -> PathBuf {
    app.books.folder.path().join("tollgate-data").join("00000000000000000001.journal")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away() {
    const CHATS: usize = 30;
    let Some(books) = Books::postgres("away").await else { return };
    let (start, rest) =
        books.url.rsplit_once('@').unwrap_or_else(|| books.url.split_once("://").expect("a URL"));
    let (server, database) = rest.split_once('/').expect("a database");
    let cable = Cable::to(server.to_owned()).await;
    let between = if books.url.contains('@') { "@" } else { "://" };
    let url = format!("{start}{between}{}/{database}", cable.address);
    let mut app = App::start_on(books, Start::default().set("DATABASE_URL", url)).await;
    app.chatted(&say("openai", "gpt-4o", "Hello")).await;
    cable.cut();
    for number in 0..CHATS {
        let answer = app.chatted(&say("openai", "gpt-4o", &format!("Number {number}"))).await;
        assert_eq!(answer.status, 200, "{number}");
    }
    // It dies with all of that in the journal; whoever asks first, by another way, finds it.
    app.kill().await;
    let usage = app.books.cli_json(&["bill", "--user", crate::app::USER]).await;
    let receipts = app.books.receipts().await;
    assert_eq!(receipts.len(), CHATS + 1, "{usage}");
    app.books.audit().await;
    app.books.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_writes_a_journal() {
    let app = App::start().await;
    let refused = app.books.refused(&["serve", "--port", "0"]).await;
    assert!(refused.contains("TOLLGATE_DATA_DIR"), "{refused}");
    app.close().await;
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
    torn.extend_from_slice(&whole[32..100]);
    std::fs::write(segment(&app), torn).expect("written");
    app.restart().await;
    app.chatted(&say("openai", "gpt-4o", "Hello again")).await;
    app.kill().await;
    assert_eq!(app.books.receipts().await.len(), 4);

    // A database from before: the journal feeds it once more, unless it is damaged.
    app.books.shell("UPDATE tollgate.replicas SET cursor_seq = 0").await;
    let mut damaged = std::fs::read(segment(&app)).expect("the journal");
    damaged[60] ^= 4;
    std::fs::write(segment(&app), &damaged).expect("written");
    for command in [&["serve", "--port", "0"][..], &["usage"], &["verify"]] {
        let refused = app.books.refused(command).await;
        assert!(refused.contains("0001.journal is damaged at its byte 32"), "{refused}");
    }
    damaged[60] ^= 4;
    std::fs::write(segment(&app), &damaged).expect("written");
    app.restart().await;
    assert_eq!(app.close().await.len(), 4);
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
