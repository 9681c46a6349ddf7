//! What is used is sealed by the replica that served it: a bill shows it with nothing but that replica's key, and whoever
//! changes the books afterwards is found out.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use ledger::{Content, Receipt, Signer, from_hex, to_hex};
use serde_json::{Value, json};

use crate::app::{App, Start, USER};
use crate::bill_file::verify;
use crate::books::Books;
use crate::chat::say;

/// Where a journal keeps its key.
fn key_file(app: &App, journal: u8) -> PathBuf {
    app.books.folder.path().join(format!("tollgate-data/{journal}/signing.key"))
}

/// The secret of a journal, and the key that belongs to it.
fn keys(app: &App, journal: u8) -> (String, String) {
    let secret = std::fs::read_to_string(key_file(app, journal)).expect("the key");
    let secret = secret.trim_end().to_owned();
    let signer = Signer::from_secret(&from_hex(&secret).expect("hexadecimal"));
    (secret, to_hex(&signer.public_key()))
}

/// Writes the bill as JSON, and says where.
async fn bill(app: &App) -> PathBuf {
    let file = app.books.folder.path().join("bill.json");
    let out = file.to_str().expect("text");
    app.books.cli(&["bill", "--user", USER, "--format", "json", "--out", out]).await;
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bill_is_signed_by_every_replica_that_served() {
    signed_by_two(Books::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bill_is_signed_by_every_replica_that_served_on_postgres() {
    if let Some(books) = Books::postgres("sealed").await {
        signed_by_two(books).await;
    }
}

async fn signed_by_two(books: Books) {
    let mut app = App::start_on(books, Start::default()).await;
    let (mut other, url) = app.another().await;
    let hello = say("openai", "gpt-4o", "Hello");
    let chat = async |base: &str| {
        let chat = app.client.post(format!("{base}/api/layers/chat")).json(&hello);
        let chat = chat.header("user", USER).header("api-key", &app.key);
        assert_eq!(chat.send().await.expect("an answer").status(), 200);
    };
    for _ in 0..5 {
        chat(&app.url).await;
        chat(&url).await;
    }
    // What has come so far is in the database, what comes now is in the journals alone, and both die.
    app.books.cli(&["usage"]).await;
    for _ in 0..2 {
        chat(&app.url).await;
        chat(&url).await;
    }
    app.kill().await;
    other.kill().await.expect("the process dies");

    let file = bill(&app).await;
    let [(secret, one), (_, two)] = [1, 2].map(|journal| keys(&app, journal));
    let signers = BTreeSet::from([one.as_str(), two.as_str()]);
    let good = |(code, told, error): (Option<i32>, Value, String)| {
        assert_eq!((code, &told["good"]), (Some(0), &json!(true)), "{told} {error}");
        assert_eq!((&told["sealed"], &told["unproved"]), (&json!(14), &json!(0)));
        assert_eq!(told["public_keys"], json!(signers));
    };
    good(verify(&file, &[]).await);
    good(verify(&file, &["--public-key", &one, "--public-key", &two]).await);
    let (code, told, _) = verify(&file, &["--public-key", &one]).await;
    assert_eq!((code, &told["difference"]["field"]), (Some(1), &json!("public_key")));
    assert_eq!(told["difference"]["stated"], json!(two));
    let text = app.books.cli(&["bill", "--user", USER]).await;
    assert!(text.contains("Sealed: 14 of 14 receipts."), "{text}");

    let listed = app.books.cli_json(&["replica", "list"]).await;
    let listed = listed.as_array().expect("a list").iter();
    let listed = listed.map(|replica| replica["public_key"].as_str().expect("a key"));
    assert_eq!(listed.collect::<BTreeSet<_>>(), signers);

    // The chain goes on with the next run.
    app.restart().await;
    app.chatted(&hello).await;
    assert_eq!(app.finish().await.len(), 15);
    let seals = app.books.audit().await["seals"].take();
    assert_eq!((&seals["receipts"], &seals["unsealed"]), (&json!(15), &json!(0)), "{seals}");
    let of_replica = |replica: &Value| replica["public_keys"].as_array().map(Vec::len);
    let replicas = seals["replicas"].as_array().expect("a list").iter().map(of_replica);
    assert_eq!(replicas.collect::<Vec<_>>(), [Some(1), Some(1)], "{seals}");
    assert!(!app.written_log().contains(&secret));
    let mode = key_file(&app, 1).metadata().expect("the key").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    app.books.remove().await;
}

/// Runs `verify`, which has to find exactly one fault, and returns it.
async fn fault(app: &App) -> String {
    let output = app.books.try_cli(&["verify", "--json"]).await;
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &told["clean"]), (Some(1), &json!(false)), "{told}");
    let seals = |fault: &&Value| fault.as_str().is_some_and(|text| text.contains("of replica"));
    let named: Vec<_> = told["examples"].as_array().expect("a list").iter().filter(seals).collect();
    assert_eq!(named.len(), 1, "{told}");
    named[0].as_str().expect("text").to_owned()
}

/// All is as it was, but for the guards of receipts.
async fn unguarded(app: &App) {
    let output = app.books.try_cli(&["verify", "--json"]).await;
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let faults = told["examples"].as_array().expect("a list");
    let is_guard = |fault: &Value| {
        fault.as_str().is_some_and(|text| text.starts_with("schema trigger receipts."))
    };
    assert!(!faults.is_empty() && faults.iter().all(is_guard), "{told}");
}

#[tokio::test]
async fn what_is_changed_past_the_program_is_found() {
    let mut app = App::start().await;
    for number in 0..4 {
        app.chatted(&say("openai", "gpt-4o", &format!("Number {number}"))).await;
    }
    app.kill().await;
    let receipts = app.books.receipts().await;
    app.books.audit().await;

    // Changed, with a hash that is right again: only the seal knows what it was.
    let Receipt { request_id, .. } = receipts[1];
    let elsewhere = Receipt { surface: "elsewhere".to_owned(), ..receipts[1].clone() };
    let report = serde_json::to_string(&elsewhere.report).expect("JSON");
    let rewrite = async |receipt: &Receipt| {
        let hash = to_hex(&Content::of(receipt, &report).expect("small numbers").hash());
        let (id, surface) = (request_id.simple(), &receipt.surface);
        let sql = format!(
            "UPDATE tollgate.receipts SET surface = '{surface}', content_hash = x'{hash}' \
             WHERE request_id = x'{id}'"
        );
        app.books.shell(&sql).await;
    };
    app.books.shell("DROP TRIGGER receipts_no_update").await;
    rewrite(&elsewhere).await;
    let named = fault(&app).await;
    let start = format!("receipts: receipt {request_id}/1: its content hash is not leaf ");
    assert!(named.starts_with(&start), "{named}");
    // No seal proves it any more.
    let file = bill(&app).await;
    let (_, told, _) = verify(&file, &[]).await;
    assert_eq!((&told["sealed"], &told["unproved"]), (&json!(3), &json!(1)), "{told}");
    let (code, told, _) = verify(&file, &["--public-key", &keys(&app, 1).1]).await;
    assert_eq!((code, &told["difference"]["field"]), (Some(1), &json!("proof")), "{told}");
    rewrite(&receipts[1]).await;
    unguarded(&app).await;

    // Taken out.
    app.books.shell("CREATE TABLE kept AS SELECT * FROM receipts").await;
    app.books.shell("DROP TRIGGER receipts_no_delete").await;
    let id = request_id.simple();
    app.books.shell(&format!("DELETE FROM receipts WHERE request_id = x'{id}'")).await;
    let named = fault(&app).await;
    assert!(named.starts_with("seals: seal ") && named.ends_with(" is missing"), "{named}");
    app.books.shell("INSERT OR IGNORE INTO receipts SELECT * FROM kept").await;
    unguarded(&app).await;

    // A seal that was changed proves nothing, and no bill takes it.
    app.books.shell("DROP TRIGGER seals_no_update").await;
    app.books.shell("UPDATE seals SET signature = zeroblob(64) WHERE number = 1").await;
    let named = fault(&app).await;
    assert!(named.ends_with("its signature is not that of its key"), "{named}");
    let refused = app.books.refused(&["bill", "--user", USER]).await;
    assert!(refused.contains("seal 1 of replica") && refused.contains("corrupt"), "{refused}");
    app.books.remove().await;
}

/// In a rolling upgrade programs meet what newer ones have sealed: they say so, and call it neither right nor wrong.
#[tokio::test]
async fn what_a_newer_program_has_sealed_is_not_judged() {
    let mut app = App::start().await;
    app.chatted(&say("openai", "gpt-4o", "Hello")).await;
    app.kill().await;
    app.books.audit().await;
    let guard = "CREATE TRIGGER seals_no_update BEFORE UPDATE ON seals\n\
                 BEGIN SELECT RAISE(ABORT, 'seals is append-only'); END";
    let newer = "UPDATE seals SET form = 2, signature = zeroblob(64)";
    app.books.shell(&format!("DROP TRIGGER seals_no_update; {newer}; {guard}")).await;
    let output = app.books.try_cli(&["verify", "--json"]).await;
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &told["faults"]), (Some(3), &json!(0)), "{told}");
    assert_eq!((&told["clean"], &told["seals"]["newer"]), (&json!(false), &json!(1)), "{told}");
    let output = app.books.try_cli(&["verify"]).await;
    let told = String::from_utf8(output.stdout).expect("text");
    assert!(told.contains("1 seals have a newer form than this program knows"), "{told}");
    let refused = app.books.refused(&["bill", "--user", USER]).await;
    assert!(refused.contains("has form 2, this program knows up to 1"), "{refused}");
    app.books.remove().await;
}

#[tokio::test]
async fn a_key_that_is_damaged_is_named_and_one_that_is_missing_is_made() {
    let mut app = App::start().await;
    let hello = say("openai", "gpt-4o", "Hello");
    app.chatted(&hello).await;
    app.kill().await;
    app.books.audit().await;
    let (secret, first) = keys(&app, 1);
    let path = key_file(&app, 1);
    for damaged in ["canary", &secret[1..], &secret.to_uppercase().replace('0', "X"), ""] {
        std::fs::write(&path, damaged).expect("written");
        let refused = app.books.refused(&["serve", "--port", "0"]).await;
        assert!(refused.contains("1/signing.key: expected a signing key"), "{refused}");
        assert!(damaged.is_empty() || !refused.contains(damaged), "{refused}");
    }
    // A folder from before there were keys has none. From then on the replica signs with the new one.
    std::fs::remove_file(&path).expect("removed");
    app.restart().await;
    app.chatted(&hello).await;
    assert_eq!(app.finish().await.len(), 2);
    let (_, second) = keys(&app, 1);
    assert_ne!(first, second);
    let seals = app.books.audit().await["seals"].take();
    assert_eq!(seals["replicas"][0]["public_keys"], json!([first, second]), "{seals}");
    let listed = app.books.cli_json(&["replica", "list"]).await;
    assert_eq!(listed[0]["public_key"], json!(second));
    let file = bill(&app).await;
    for (key, code) in [(&first, 1), (&second, 1)] {
        assert_eq!(verify(&file, &["--public-key", key]).await.0, Some(code));
    }
    let (code, told, _) = verify(&file, &["--public-key", &first, "--public-key", &second]).await;
    assert_eq!((code, &told["sealed"]), (Some(0), &json!(2)), "{told}");
    app.books.remove().await;
}
