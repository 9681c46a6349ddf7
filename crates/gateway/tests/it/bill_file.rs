//! `tollgate bill` in its four forms, and `tollgate verify-bill`, which has nothing but the file.

use std::path::Path;

use ledger::statement::Document;
use serde_json::{Value, json};

use crate::app::{App, Start, USER};
use crate::books::Books;
use crate::chat::{MODELS, say};

/// A few answers of every provider on these books.
async fn chatted(books: Books) -> App {
    let app = App::start_on(books, Start::default()).await;
    for (provider, model) in MODELS {
        for message in ["Hello", "fixture:cache"] {
            app.chat(&say(provider, model, message)).send().await.expect("an answer");
        }
    }
    app
}

/// Verifies a file far away from any books.
pub(crate) async fn verify(file: &Path, more: &[&str]) -> (Option<i32>, Value, String) {
    let elsewhere = Books::sqlite();
    let file = file.to_str().expect("text");
    let arguments = [&["verify-bill", file, "--json"], more].concat();
    let mut command = elsewhere.command(&arguments);
    let output = command.env("DATABASE_URL", "nowhere://").output().await.expect("it runs");
    let left = std::fs::read_dir(elsewhere.folder.path()).expect("a folder").count();
    assert_eq!(left, 0, "it leaves nothing behind");
    let told = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), told, String::from_utf8(output.stderr).expect("text"))
}

#[tokio::test]
async fn all_forms_of_a_bill_agree() {
    all_forms_agree(Books::sqlite()).await;
}

#[tokio::test]
async fn all_forms_of_a_bill_agree_on_postgres() {
    if let Some(books) = Books::postgres("forms").await {
        all_forms_agree(books).await;
    }
}

async fn all_forms_agree(books: Books) {
    let stranger = books.add_user("bob").await;
    let app = chatted(books).await;
    let bob = app.request(reqwest::Method::POST, "/api/layers/chat").header("user", "bob");
    let bob = bob.header("api-key", stranger).json(&say("openai", "gpt-4o", "Hello"));
    assert_eq!(bob.send().await.expect("an answer").status(), 200);
    let owed = app.price_to_pay().await["exact"]["final_price"].as_str().expect("text").to_owned();
    let receipts = app.books.receipts().await;
    let ada = receipts.iter().filter(|receipt| receipt.key_id == receipts[0].key_id).count();
    let path = |name: &str| app.books.folder.path().join(name);
    for form in ["json", "csv", "pdf", "text"] {
        let out = path(form);
        let arguments = ["bill", "--user", USER, "--format", form, "--out"];
        let told = app.books.cli(&[&arguments[..], &[out.to_str().expect("text")]].concat()).await;
        assert_eq!(told, "", "{form}: the file has it all");
    }
    let summary = app.books.cli_json(&["bill", "--user", USER]).await;
    assert_eq!(summary["total"]["charge"], json!(owed));
    assert_eq!(summary["unproved"], 0);
    let text = std::fs::read_to_string(path("text")).expect("text");
    // All but the moment of writing.
    let below = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(below(&text), below(&app.books.cli(&["bill", "--user", USER]).await));
    assert!(text.contains(&format!("exactly {owed}\n")), "{text}");
    assert!(text.contains(&format!("Sealed: {ada} of {ada} receipts.")), "{text}");
    let pdf = std::fs::read(path("pdf")).expect("a PDF");
    let exactly = format!("(exactly {owed} USD) Tj");
    assert!(pdf.windows(exactly.len()).any(|window| window == exactly.as_bytes()));

    for (form, sealed) in [("json", ada), ("csv", 0)] {
        let (code, told, error) = verify(&path(form), &[]).await;
        assert_eq!((code, &told["good"]), (Some(0), &json!(true)), "{form}: {told} {error}");
        assert_eq!((&told["charge"], &told["receipts"]), (&json!(owed), &json!(ada)), "{form}");
        assert_eq!(
            (&told["sealed"], &told["unproved"]),
            (&json!(sealed), &json!(ada - sealed)),
            "{form}"
        );
        assert_eq!(told["cost"], summary["total"]["cost"]);
    }
    let document = std::fs::read_to_string(path("json")).expect("JSON");
    let printed = app.books.cli(&["bill", "--user", USER, "--format", "json"]).await;
    let receipts =
        |text: &str| serde_json::from_str::<Document>(text).expect("a document").bill.receipts;
    assert_eq!(receipts(&document), receipts(&printed));
    app.close().await;
}

#[tokio::test]
async fn what_is_no_bill_is_refused_and_what_was_changed_is_named() {
    let app = chatted(Books::sqlite()).await;
    let file = app.books.folder.path().join("bill");
    let bill = app.books.cli(&["bill", "--user", USER, "--format", "json"]).await;
    let sheet = app.books.cli(&["bill", "--user", USER, "--format", "csv"]).await;
    let document: Document = serde_json::from_str(&bill).expect("a document");
    let item = &document.bill.receipts[2];
    let cheaper = {
        let mut changed = document.clone();
        changed.bill.receipts[2].charge = (item.charge.pico - 1).into();
        serde_json::to_string(&Document::from(changed.bill)).expect("JSON")
    };
    let id = item.request_id.to_string();
    let amount = sheet.lines().nth(1).and_then(|line| line.rsplit_once(',')).expect("a row").1;
    for (text, place) in [
        (cheaper, format!("receipt {id}/1")),
        (bill.replacen("\"version\":1,", "\"version\":0,", 1), "the document".to_owned()),
        (bill.replacen("\"name\":\"ada\"", "\"name\":\"bob\"", 1), "the document".to_owned()),
        (sheet.replacen(amount, "0.5", 1), "line 2".to_owned()),
        (sheet.lines().take(9).collect::<Vec<_>>().join("\n"), "the end".to_owned()),
    ] {
        std::fs::write(&file, text).expect("written");
        let (code, told, error) = verify(&file, &[]).await;
        assert_eq!((code, &told["good"]), (Some(1), &json!(false)), "{place}: {told} {error}");
        assert_eq!(told["difference"]["place"], json!(place), "{told}");
    }
    // What a newer program has written is neither right nor wrong for this one.
    for newer in ["\"version\":2,", "\"version\":2,\"new\":[],"] {
        std::fs::write(&file, bill.replacen("\"version\":1,", newer, 1)).expect("written");
        let (code, told, error) = verify(&file, &[]).await;
        assert_eq!((code, &told["good"]), (Some(3), &Value::Null), "{told} {error}");
        assert_eq!(told["newer"], json!({ "found": 2, "known": 1 }), "{told}");
    }
    for (text, words) in [
        ("%PDF-1.7 …", "a PDF is for reading only. Ask for the bill as JSON"),
        ("hello", "not a bill"),
        ("", "not a bill"),
        ("{\"bill\":7}", "bill: invalid type: integer `7`"),
        (&bill[..bill.len() / 2], "EOF while parsing"),
        (&format!("{bill} {{}}"), "trailing characters"),
        (&bill.replacen("\"attempt\":1", "\"attempt\":\"one\"", 1), "bill.receipts[0].attempt"),
    ] {
        std::fs::write(&file, text).expect("written");
        let (code, _, error) = verify(&file, &[]).await;
        assert!(code == Some(1) && error.contains(words), "{words}: {error}");
    }
    let key = "11".repeat(32);
    std::fs::write(&file, &sheet).expect("written");
    let (code, _, error) = verify(&file, &["--public-key", &key]).await;
    assert!(code == Some(1) && error.contains("CSV carries no signatures"), "{error}");
    let (code, _, error) = verify(&file, &["--public-key", "1"]).await;
    assert!(code == Some(2) && error.contains("expected 64 hexadecimal digits"), "{error}");
    let (code, _, error) = verify(Path::new("/nowhere.json"), &[]).await;
    assert!(code == Some(1) && error.contains("/nowhere.json"), "{error}");
    app.close().await;
}
