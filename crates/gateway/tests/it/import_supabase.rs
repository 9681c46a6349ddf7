//! `tollgate import supabase`: out of a database that another gateway has left, into both engines.

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{Answer, App, Start};
use crate::books::Books;
use crate::chat::say;

const ADA_KEY: &str = "sk_live_0123456789abcdefghijklmnop";
const BOB_KEY: &str = "6b7e0c1a-9f1d-4c55-8a43-0d6a5c1f2e3d";
const SHORT_KEY: &str = "bobs+key/1=";
const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";
/// Looks like ours, and its checksum is wrong.
const NEARLY_OURS: &str = "tg-000000000000000000000000000000xxxxxx";

/// A database of the source's own; `None` where there is no PostgreSQL.
pub(crate) async fn source(name: &str) -> Option<Books> {
    Books::postgres(&format!("source_{name}")).await
}

/// As Supabase's editor makes the tables: names in quotes, more columns than are needed.
async fn fill(source: &Books) {
    let tables = format!(
        "CREATE TABLE \"Users\" (id bigserial PRIMARY KEY, created_at timestamptz DEFAULT now(), \"User_name\" text);
        CREATE TABLE \"API_Keys\" (\"API_key\" text, \"User_name\" text, note text);
        CREATE TABLE pricing (provider text, model text, price_per_token double precision);
        CREATE TABLE api_usage (id bigserial, api_key text, provider text, model text, input_tokens integer,
            output_tokens bigint, total_tokens numeric, price numeric);
        INSERT INTO \"Users\" (\"User_name\") VALUES ('ada'), ('Bob'), ('Bob'), ('Eve Smith'), (NULL), ('');
        INSERT INTO \"API_Keys\" VALUES ('{ADA_KEY}', 'ada'), ('{BOB_KEY}', 'Bob'), ('{SHORT_KEY}', 'Bob'),
            ('{NEARLY_OURS}', 'ada'), ('{JWT}', 'ada'), ('two words', 'ada'), ('short', 'ada'), ('', 'ada'),
            (NULL, 'ada'), ('key-of-a-stranger', 'nobody'), ('key-of-eve-smith-0001', 'Eve Smith'),
            ('key-without-a-user', NULL), ('key-of-both-users', 'ada'), ('key-of-both-users', 'Bob');
        INSERT INTO pricing VALUES ('OpenAI', 'house-model', 1.5e-07), ('openai', 'gpt-4o', 0.000009),
            ('mistral', 'large', 0.000001), ('openai', 'free-model', 0), ('openai', 'negative', -1),
            ('openai', 'unknown', NULL), ('openai', 'twice', 0.000001), ('openai', 'twice', 0.000002);
        INSERT INTO api_usage (api_key, provider, model, input_tokens, output_tokens, total_tokens, price) VALUES
            ('{ADA_KEY}', 'openai', 'gpt-4o', 1000, 200, 1200, 0.00450000001),
            ('{ADA_KEY}', 'OpenAI', 'gpt-4o', 10, 2, 12, 0.000045),
            ('{ADA_KEY}', 'anthropic', 'claude-sonnet-4', 7, NULL, 7, 0.000021),
            ('{BOB_KEY}', 'deepseek', 'deepseek-chat', 5, 5, 11, 0.0000000000016),
            ('{ADA_KEY}', 'openai', 'gpt-4o', -5, 2, 12, 0.000045),
            ('{ADA_KEY}', 'openai', 'gpt-4o', 5, 2, 7, NULL),
            ('nobodys-key-anymore', 'openai', 'gpt-4o', 5, 2, 7, 0.01),
            ('key-of-a-stranger', 'openai', 'gpt-4o', 5, 2, 7, 0.01),
            (NULL, 'openai', 'gpt-4o', 5, 2, 7, 0.01)"
    );
    source.shell(&tables).await;
}

fn import<'a>(from: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["import", "supabase", "--from", from][..], more].concat()
}

pub(crate) fn counts(report: &Value, what: &str) -> [u64; 4] {
    let tables = report["tables"].as_array().expect("tables");
    let table = tables.iter().find(|table| table["what"] == what).expect("the table");
    ["found", "here", "comes", "cannot"].map(|name| table[name].as_u64().expect("a number"))
}

pub(crate) fn reason(report: &Value, what: &str, which: &str) -> String {
    let rows = report["cannot"].as_array().expect("a list");
    let row = rows.iter().find(|row| {
        row["what"] == what && row["which"].as_str().is_some_and(|name| name.starts_with(which))
    });
    row.and_then(|row| row["why"].as_str()).unwrap_or_else(|| panic!("{which} in {report}")).into()
}

/// What an import could change.
async fn state(books: &Books) -> Value {
    let mut keys = books.cli_json(&["key", "list"]).await;
    for key in keys.as_array_mut().expect("a list") {
        for volatile in ["id", "created_at"] {
            key.as_object_mut().expect("an object").remove(volatile);
        }
    }
    let mut keys = keys.as_array().expect("a list").clone();
    keys.sort_by_key(ToString::to_string);
    let users = books.cli_json(&["user", "list"]).await;
    let names: Vec<Value> =
        users.as_array().expect("a list").iter().map(|user| user["name"].clone()).collect();
    let usage = books.cli_json(&["usage", "--by", "model"]).await;
    let prices = books.cli_json(&["prices", "list"]).await;
    let prices = prices.as_array().map(Vec::len);
    json!({ "keys": keys, "users": names, "usage": usage, "prices": prices })
}

async fn check_moving_in(books: Books, source: Books) {
    fill(&source).await;
    let before = state(&books).await;
    let look = books.cli_json(&import(&source.url, &[])).await;
    assert_eq!(state(&books).await, before, "a look changes nothing");
    assert_eq!(look["applied"], false);
    assert_eq!(counts(&look, "Users"), [6, 0, 2, 4], "{look}");
    assert_eq!(counts(&look, "API_Keys"), [14, 0, 4, 10], "{look}");
    assert_eq!(counts(&look, "prices"), [8, 0, 1, 7], "{look}");
    assert_eq!(counts(&look, "api_usage"), [9, 0, 4, 5], "{look}");
    assert!(reason(&look, "Users", "Eve Smith").contains("--rename \"Eve Smith=NEW\""));
    assert!(reason(&look, "API_Keys", "eyJhbGc").contains("JWT"));
    assert!(reason(&look, "API_Keys", "tw").contains("spaces"));
    assert!(reason(&look, "API_Keys", "sh").contains("shorter than 8"));
    assert!(reason(&look, "API_Keys", "ke").contains("user"));
    assert!(reason(&look, "prices", "mistral/large").contains("no provider of that name"));
    let twice = reason(&look, "prices", "openai/gpt-4o");
    assert!(twice.contains("here 2.5 in and 10 out") && twice.contains("there 9 in and 9 out"));
    assert!(reason(&look, "prices", "openai/free-model").contains("0 is not taken"));
    assert!(reason(&look, "prices", "openai/twice").contains("several prices"));
    assert!(reason(&look, "api_usage", "no").contains("not in API_Keys"));

    let people = books.cli(&import(&source.url, &[])).await;
    assert!(people.contains("WOULD COME") && people.ends_with("--apply brings it."), "{people}");
    let done = books.cli(&import(&source.url, &["--apply"])).await;
    assert!(done.contains("COULD NOT COME") && done.contains("can be guessed"), "{done}");
    for key in [ADA_KEY, BOB_KEY, SHORT_KEY, JWT, NEARLY_OURS, "key-of-a-stranger"] {
        assert!(!people.contains(key) && !done.contains(key) && !look.to_string().contains(key));
    }
    let after = state(&books).await;
    let again = books.cli_json(&import(&source.url, &["--apply"])).await;
    assert_eq!(state(&books).await, after, "twice is once");
    for (what, numbers) in [
        ("Users", [6, 2, 0, 4]),
        ("API_Keys", [14, 4, 0, 10]),
        ("prices", [8, 1, 0, 7]),
        ("api_usage", [9, 4, 0, 5]),
    ] {
        assert_eq!(counts(&again, what), numbers, "{what}");
    }
    assert_eq!(after["prices"], 2, "one more version");
    let price = books.cli_json(&["prices", "show", "openai/house-model"]).await;
    assert_eq!(price["prices"]["input"]["standard"], 150_000);
    assert_eq!(price["prices"]["output"]["standard"], 150_000);
    check_sums(&books, &source).await;

    let app = App::start_with_key(books, Start::default(), ADA_KEY.to_owned()).await;
    check_keys(&app).await;
    check_usage(&app).await;
    for key in [ADA_KEY, BOB_KEY, SHORT_KEY, NEARLY_OURS] {
        assert!(!app.log().await.contains(key), "a key is in the log");
    }
    app.close().await;
    source.remove().await;
}

/// More in the source is added, less is said.
async fn check_sums(books: &Books, source: &Books) {
    let usage = books.cli_json(&["usage", "--by", "model"]).await;
    let of = |item: &str, usage: &Value| {
        let rows = usage["rows"].as_array().expect("rows").clone();
        rows.into_iter().find(|row| row["item"] == item).expect("the model")
    };
    let row = of("openai/gpt-4o", &usage);
    assert_eq!((&row["imported"], &row["requests"]), (&true.into(), &2.into()));
    assert_eq!((&row["input_tokens"], &row["output_tokens"]), (&1010.into(), &202.into()));
    assert_eq!((&row["cost"], &row["commission"]), (&"0.00454500001".into(), &"0.00022725".into()));
    // 1.6 pico-dollars are two, once.
    assert_eq!(of("deepseek/deepseek-chat", &usage)["cost"], "0.000000000002");
    let day = books.cli_json(&["usage"]).await;
    assert_eq!(
        (&day["rows"][0]["item"], &day["rows"][0]["label"]),
        (&"before".into(), &"supabase".into())
    );
    let month = books.cli_json(&["usage", "--month", "2026-11"]).await;
    assert_eq!(month["rows"], json!([]), "it has no time");
    let table = books.cli(&["usage", "--by", "user"]).await;
    assert!(table.contains("ada (imported)"), "{table}");

    source
        .shell(&format!(
            "INSERT INTO api_usage (api_key, provider, model, input_tokens, output_tokens, total_tokens, price)
            VALUES ('{ADA_KEY}', 'openai', 'gpt-4o', 1, 1, 2, 0.1);
            DELETE FROM api_usage WHERE api_key = '{BOB_KEY}'"
        ))
        .await;
    let more = books.cli_json(&import(&source.url, &["--apply"])).await;
    assert_eq!(counts(&more, "api_usage"), [9, 3, 1, 5], "{more}");
    source
        .shell(&format!("DELETE FROM api_usage WHERE api_key = '{ADA_KEY}' AND price > 0.05"))
        .await;
    let less = books.cli_json(&import(&source.url, &["--apply"])).await;
    assert!(reason(&less, "api_usage", "sk_liv…mnop openai/gpt-4o").contains("there is less"));
    let usage = books.cli_json(&["usage", "--by", "model"]).await;
    assert_eq!(of("openai/gpt-4o", &usage)["cost"], "0.10454500001");
    books.audit().await;
    // Nobody takes it away again.
    let rows = "SELECT * FROM tollgate.imported_usage";
    let count = books.count(rows).await;
    assert_eq!(count, 4, "three sums, one of two runs");
    assert!(books.try_shell("DELETE FROM tollgate.imported_usage").await.is_err());
    assert!(books.try_shell("UPDATE tollgate.imported_usage SET base = 0").await.is_err());
    assert_eq!(books.count(rows).await, count);
}

/// Everywhere where a key may stand.
async fn check_keys(app: &App) {
    for (user, key) in
        [("ada", ADA_KEY), ("Bob", BOB_KEY), ("Bob", SHORT_KEY), ("ada", NEARLY_OURS)]
    {
        let native = app.request(Method::POST, "/api/layers/chat").header("user", user);
        let native = native.header("api-key", key).json(&say("openai", "gpt-4o", "Hello"));
        assert_eq!(Answer::of(native).await.status, 200, "{user}");
        let chat =
            json!({ "model": "gpt-4o", "messages": [{ "role": "user", "content": "Hello" }] });
        let chat = app.request(Method::POST, "/v1/chat/completions").json(&chat);
        assert_eq!(Answer::of(chat.bearer_auth(key)).await.status, 200);
        for header in ["x-api-key", "x-goog-api-key"] {
            let list = app.request(Method::GET, "/v1/models").header(header, key);
            assert_eq!(Answer::of(list).await.status, 200, "{header}");
        }
        let escaped = key.replace('+', "%2B").replace('/', "%2f").replace('=', "%3D");
        let list = app.request(Method::GET, &format!("/v1beta/models?key={escaped}"));
        assert_eq!(Answer::of(list).await.status, 200);
    }
    for key in [JWT, "short", "key-of-a-stranger", "key-of-both-users", &ADA_KEY[1..]] {
        let list = app.request(Method::GET, "/v1/models").header("x-api-key", key);
        assert_eq!(Answer::of(list).await.status, 401, "{key}");
    }
    // Rotated it is one of ours, deleted it is gone.
    let rotated = app.books.cli(&["key", "rotate", SHORT_KEY]).await;
    assert!(rotated.starts_with("tg-"));
    let delete = app.request(Method::DELETE, "/api/keys/delete").header("user", "Bob");
    let delete = delete.header("api-key", BOB_KEY).json(&json!({ "key": SHORT_KEY }));
    assert_eq!(Answer::of(delete).await.status, 200);
    let list = app.request(Method::GET, "/v1/models").bearer_auth(SHORT_KEY);
    assert_eq!(Answer::of(list).await.status, 401, "deleted");
    app.books.cli(&["key", "revoke", BOB_KEY]).await;
}

async fn check_usage(app: &App) {
    let check = app.request(Method::GET, "/api/usage/check").header("user", "ada");
    let answer = Answer::of(check.header("api-key", ADA_KEY)).await;
    let usage = app.books.cli_json(&["usage", "--by", "user", "--user", "ada"]).await;
    let total = &usage["total"];
    let price = &answer.body["priceToPay"];
    for (ours, theirs) in
        [("cost", "base_price"), ("commission", "commission_5_percent"), ("charge", "final_price")]
    {
        assert_eq!(total[ours], price["exact"][theirs], "{ours}");
    }
    let tokens = |name: &str| total[name].as_u64().expect("a number");
    assert_eq!(price["total_input_tokens"], tokens("input_tokens"));
    assert_eq!(price["total_output_tokens"], tokens("output_tokens"));
    let all = price["total_tokens"].as_u64().expect("a number");
    assert_eq!(all, tokens("input_tokens") + tokens("output_tokens"));
    assert!(tokens("input_tokens") > 1010 + 7 && total["requests"].as_u64() > Some(4));
    let bill = app.books.cli(&["bill", "--user", "ada", "--month", &month()]).await;
    assert!(!bill.contains("0.1045"), "no part of a bill: {bill}");
}

/// The present month.
fn month() -> String {
    jiff::Timestamp::now().strftime("%Y-%m").to_string()
}

mod into {
    use super::{check_moving_in, source};
    use crate::books::Books;

    #[tokio::test]
    async fn sqlite() {
        if let Some(source) = source("a").await {
            Box::pin(check_moving_in(Books::sqlite(), source)).await;
        }
    }

    #[tokio::test]
    async fn postgres() {
        let (source, books) = (source("b").await, Books::postgres("moved").await);
        if let (Some(source), Some(books)) = (source, books) {
            Box::pin(check_moving_in(books, source)).await;
        }
    }
}

#[tokio::test]
async fn folded_names_other_types_and_a_pooler() {
    let Some(source) = source("folded").await else { return };
    let tables = format!(
        "CREATE SCHEMA app; SET search_path = app;
        CREATE TABLE users (user_name varchar(50)); CREATE TABLE api_keys (api_key varchar, user_name varchar);
        CREATE TABLE \"Pricing\" (\"Provider\" text, \"MODEL\" text, price_per_token text);
        CREATE TABLE api_usage (api_key text, provider text, model text, input_tokens text, output_tokens real,
            total_tokens double precision, price double precision);
        INSERT INTO users VALUES ('ada'), ('Eve Smith');
        INSERT INTO api_keys VALUES ('{ADA_KEY}', 'ada'), ('key-of-eve-smith-0001', 'Eve Smith');
        INSERT INTO \"Pricing\" VALUES ('google', 'models-own', '2.5E-6'), ('openai', 'words', 'cheap');
        INSERT INTO api_usage SELECT '{ADA_KEY}', 'gemini', 'gemini-2.5-flash', '3', 4, 7, 1.1e-05
            FROM generate_series(1, 12000)"
    );
    source.shell(&tables).await;
    let books = Books::sqlite();
    let url = format!("{}?pgbouncer=true", source.url);
    let more = ["--schema", "app", "--rename", "Eve Smith=eve", "--apply", "--source", "old"];
    let report = books.cli_json(&import(&url, &more)).await;
    assert_eq!(counts(&report, "Users"), [2, 0, 2, 0], "{report}");
    assert_eq!(counts(&report, "API_Keys"), [2, 0, 2, 0], "{report}");
    assert_eq!(counts(&report, "prices"), [2, 0, 1, 1], "{report}");
    assert_eq!(counts(&report, "api_usage"), [12_000, 0, 12_000, 0], "{report}");
    let usage = books.cli_json(&["usage", "--by", "provider"]).await;
    assert_eq!(usage["total"]["cost"], "0.132", "twelve thousand times 0.000011");
    assert_eq!(usage["total"]["commission"], "0.0066");
    let price = books.cli_json(&["prices", "show", "gemini/models-own"]).await;
    assert_eq!(price["prices"]["input"]["standard"], 2_500_000);
    let keys = books.cli_json(&["key", "list", "--user", "eve"]).await;
    assert_eq!(keys[0]["name"], "from old");
    let log =
        books.count("SELECT * FROM tollgate.audit_log WHERE actor = 'the command line'").await;
    assert_eq!(log, 6, "two users, two keys, a price version, usage");
    source.remove().await;
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let Some(source) = source("missing").await else { return };
    let books = Books::sqlite();
    source.shell("CREATE TABLE \"Users\" (name text); CREATE TABLE other (a int)").await;
    let missing = books.refused(&import(&source.url, &[])).await;
    assert!(missing.contains("no column User_name in table Users, which has: name"), "{missing}");
    source.shell("ALTER TABLE \"Users\" RENAME name TO \"User_name\"").await;
    let missing = books.refused(&import(&source.url, &[])).await;
    assert!(
        missing.contains("no table API_Keys in schema public, which has: Users, other"),
        "{missing}"
    );
    let missing = books.refused(&import(&source.url, &["--schema", "nowhere"])).await;
    assert!(missing.contains("no schema nowhere") && missing.contains("public"), "{missing}");
    let refused = books.refused(&import("mysql://localhost/x", &[])).await;
    assert!(refused.contains("must begin with postgres://"), "{refused}");
    source.remove().await;
}

/// A run that ends in the middle, and the same again, is one run.
#[tokio::test]
async fn a_run_that_died_is_finished_by_the_next() {
    let Some(source) = source("died").await else { return };
    fill(&source).await;
    let whole = Books::sqlite();
    whole.cli(&import(&source.url, &["--apply"])).await;
    for table in ["api_keys", "price_versions", "imported_usage"] {
        let books = Books::sqlite();
        books.cli(&["migrate"]).await;
        let trigger = format!(
            "CREATE TRIGGER dies BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'it dies'); END"
        );
        books.shell(&trigger).await;
        let died = books.refused(&import(&source.url, &["--apply"])).await;
        assert!(died.contains("it dies"), "{died}");
        assert_eq!(books.cli_json(&["user", "list"]).await.as_array().map(Vec::len), Some(2));
        books.shell("DROP TRIGGER dies").await;
        books.cli(&import(&source.url, &["--apply"])).await;
        assert_eq!(state(&books).await, state(&whole).await, "{table}");
    }
    source.remove().await;
}

/// Theirs in place of ours, or none at all.
#[tokio::test]
async fn prices_as_they_are_wanted() {
    let Some(source) = source("prices").await else { return };
    fill(&source).await;
    let books = Books::sqlite();
    let none = books.cli_json(&import(&source.url, &["--apply", "--prices", "none"])).await;
    assert_eq!(counts(&none, "prices"), [8, 0, 0, 8]);
    let theirs = import(&source.url, &["--apply", "--prices", "replace"]);
    let report = books.cli_json(&theirs).await;
    assert_eq!(counts(&report, "prices"), [8, 0, 2, 6]);
    let shown = books.cli_json(&["prices", "show", "openai/gpt-4o"]).await;
    assert_eq!(shown["prices"]["output"]["standard"], 9_000_000);
    assert_eq!(shown["info"]["context_window"], 128_000, "what is known of it stays");
    let report = books.cli_json(&theirs).await;
    assert_eq!(counts(&report, "prices"), [8, 2, 0, 6]);
    assert_eq!(books.cli_json(&["prices", "list"]).await.as_array().map(Vec::len), Some(2));
    source.remove().await;
}

/// Whoever runs the place gets no key that somebody else has seen.
#[tokio::test]
async fn an_operator_gets_no_key() {
    let Some(source) = source("operator").await else { return };
    fill(&source).await;
    let books = Books::sqlite();
    books.cli(&["user", "add", "ada", "--operator"]).await;
    for _ in 0..2 {
        let report = books.cli_json(&import(&source.url, &["--apply"])).await;
        let why = reason(&report, "API_Keys", "sk_l");
        assert!(why.contains("ada is an operator here, who gets no key"), "{report}");
    }
    let keys = books.cli_json(&["key", "list", "--user", "ada"]).await;
    assert_eq!(keys.as_array().map(Vec::len), Some(0), "{keys}");
    source.remove().await;
}
