//! Organizations by the command line: who belongs to one, and what becomes of the keys of who leaves.

use reqwest::Method;
use serde_json::json;

use crate::app::{Answer, App, Start, USER};
use crate::books::Books;
use crate::sign_in::on_both;

on_both! {
    an_organization
    what_a_member_sees_and_owes
}

/// The receipts and the bill of an organization are not each member's, and what it pays nobody else owes.
async fn what_a_member_sees_and_owes(books: Books) {
    for name in [USER, "bob", "eve"] {
        books.cli(&["user", "add", name]).await;
    }
    books.cli(&["org", "add", "house", "--owner", "eve"]).await;
    for name in [USER, "bob"] {
        books.cli(&["org", "member", "set", "house", name, "--role", "member"]).await;
    }
    let key = async |name: &str, more: &[&str]| {
        books.cli(&[&["key", "create", "--user", name], more].concat()).await
    };
    let own = key("bob", &[]).await;
    let [eves, bobs, adas] = [
        key("eve", &["--payer", "house"]).await,
        key("bob", &["--payer", "house"]).await,
        key(USER, &["--payer", "house"]).await,
    ];
    let app = App::start_with_key(books, Start::default(), adas.clone()).await;
    let asked = app.example(&bobs).await;
    assert_eq!(asked.status, 200, "{}", asked.body);
    let ids = [asked.header("x-request-id"), asked.body["id"].as_str().expect("an id")];
    for (who, key, may) in
        [("eve", &eves, true), ("bob", &bobs, true), (USER, &adas, false), ("bob", &own, false)]
    {
        let found = app.v1(key, Method::GET, &format!("generation?id={}", ids[0]), None).await;
        assert_eq!(found.status, if may { 200 } else { 404 }, "{who}: {}", found.body);
        let found = app.v1(key, Method::GET, &format!("generation?id={}", ids[1]), None).await;
        assert_eq!(found.status, if who == "bob" && may { 200 } else { 404 }, "{who}");
    }
    for key in [&eves, &adas, &own] {
        assert_eq!(app.example(key).await.status, 200);
    }
    // 551.565 millionths each.
    for (who, key, owed) in [
        ("eve", &eves, "0.001654695"),
        ("bob", &bobs, "0.000551565"),
        (USER, &adas, "0.000551565"),
        ("bob", &own, "0.000551565"),
    ] {
        let check = app.request(Method::GET, "/api/usage/check").header("user", who);
        let check = Answer::of(check.header("api-key", key)).await;
        let price = &check.body["priceToPay"]["exact"]["final_price"];
        assert_eq!(price, owed, "{who}: {}", check.body);
    }
    // Who only pays from now on spends nothing.
    app.books.cli(&["org", "member", "set", "house", "bob", "--role", "billing"]).await;
    let start = std::time::Instant::now();
    while app.example(&bobs).await.status != 401 {
        assert!(start.elapsed() < std::time::Duration::from_secs(10), "it still spends");
    }
    assert_eq!(app.example(&own).await.status, 200);
    app.close().await;
}

async fn an_organization(books: Books) {
    for name in ["bob", "eve"] {
        books.cli(&["user", "add", name]).await;
    }
    books.cli(&["user", "add", USER]).await;
    let house = books.cli_json(&["org", "add", "house", "--owner", "eve", "--prepaid"]).await;
    assert_eq!((&house["kind"], &house["prepaid"]), (&"organization".into(), &true.into()));
    let set = ["org", "member", "set", "house", "bob", "--role"];
    for role in ["member", "admin", "billing", "member"] {
        let said = books.cli_json(&[&set[..], &[role]].concat()).await;
        assert_eq!(said, json!({ "organization": "house", "user": "bob", "role": role }));
    }
    let shown = books.cli_json(&["org", "show", "house"]).await;
    let who = |n: usize| (shown["members"][n]["user"].clone(), shown["members"][n]["role"].clone());
    assert_eq!(who(0), ("bob".into(), "member".into()));
    assert_eq!(who(1), ("eve".into(), "owner".into()));
    let listed = books.cli_json(&["org", "list"]).await;
    assert_eq!((&listed[0]["name"], &listed[0]["members"]), (&"house".into(), &2.into()));

    // A key that spends from the organization's account goes with its member, one's own stays.
    let create = ["key", "create", "--user", "bob", "--scope", "keys"];
    let own = books.cli(&create).await;
    let theirs = books.cli(&[&create[..], &["--payer", "house"]].concat()).await;
    books.cli(&["user", "disable", USER]).await;
    books.cli(&["user", "enable", USER]).await;
    books.cli(&["org", "member", "set", "house", USER, "--role", "owner"]).await;
    let removed = books.cli_json(&["org", "member", "remove", "house", "bob"]).await;
    assert_eq!(removed["role"], json!(null));
    books.cli(&["org", "member", "remove", "house", "eve"]).await;
    let app = App::start_beside(books, Start::default()).await;
    let keys = async |key: &str| {
        let list = app.request(Method::GET, "/api/keys/list").header("user", "bob");
        Answer::of(list.header("api-key", key)).await
    };
    assert_eq!(keys(&own).await.status, 200);
    let gone = keys(&theirs).await;
    assert_eq!((gone.status, gone.code()), (401, "api_key_revoked"));
    app.close().await;
}

#[tokio::test]
async fn what_is_refused() {
    let books = Books::sqlite();
    for name in ["bob", "eve", USER] {
        books.cli(&["user", "add", name]).await;
    }
    books.cli(&["org", "add", "house", "--owner", "eve"]).await;
    for (arguments, words) in [
        (&["org", "add", "house", "--owner", "eve"][..], "this user already exists"),
        (&["org", "add", "bob", "--owner", "eve"], "this user already exists"),
        (&["org", "add", "a b", "--owner", "eve"], "expected 1 to 100 letters"),
        (&["org", "add", "other", "--owner", "nobody"], "no such user"),
        (&["org", "add", "other", "--owner", "house"], "house is an organization"),
        (
            &["org", "member", "set", "house", "house", "--role", "admin"],
            "house is an organization",
        ),
        (&["org", "member", "set", "bob", "eve", "--role", "admin"], "bob is a person"),
        (
            &["org", "member", "set", "house", "bob", "--role", "king"],
            "expected one of owner, admin",
        ),
        (&["org", "member", "set", "house", "eve", "--role", "admin"], "needs an owner"),
        (&["org", "member", "remove", "house", "eve"], "needs an owner"),
        (&["org", "member", "remove", "house", USER], "no such member"),
        (&["org", "show", "bob"], "bob is a person"),
    ] {
        let complaint = books.refused(arguments).await;
        assert!(complaint.contains(words), "{arguments:?}: {complaint}");
    }
}
