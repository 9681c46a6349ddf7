//! The command line, as programs use it: `--json` in, one value out; and what it refuses.

use serde_json::{Value, json};

use crate::app::{App, Start, USER};
use crate::books::Books;
use crate::chat::{MODELS, say};

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} of {value}"))
}

#[tokio::test]
async fn users_and_keys() {
    let books = Books::sqlite();
    let ada = books.cli_json(&["user", "add", USER]).await;
    assert_eq!((text(&ada, "name"), &ada["operator"]), (USER, &false.into()));
    let eve = books.cli_json(&["user", "add", "eve@example.org", "--operator"]).await;
    assert_eq!(eve["operator"], true);
    assert_eq!(books.cli_json(&["user", "list"]).await, json!([ada, eve]));
    for (arguments, words) in [
        (&["user", "add", USER][..], "this user already exists"),
        (&["user", "add", "a b"], "expected 1 to 100 letters, digits and . _ - @ +"),
        (&["user", "add", ""], "expected 1 to 100 letters"),
        (&["key", "create", "--user", "nobody"], "no such user"),
        (&["key", "create"], "--user"),
        (
            &["key", "create", "--user", USER, "--expires-at", "2020-01-01"],
            "expected a moment to come",
        ),
        (&["key", "create", "--user", USER, "--model", "gpt-4o"], "--model: \"gpt-4o\" is not in"),
        (&["key", "revoke", "nothing"], "expected a key such as tg-… or an id"),
        (&["key", "revoke", "01234567-89ab-7def-8123-456789abcdef"], "there is no such key"),
        (&["key", "list", "--user", "nobody"], "no such user"),
        (&["nonsense"], "unrecognized subcommand"),
        (&["verify", "--port", "99999"], "99999 is not in 0..=65535"),
    ] {
        let complaint = books.refused(arguments).await;
        assert!(complaint.contains(words), "{arguments:?}: {complaint}");
    }

    let create =
        ["key", "create", "--user", USER, "--name", "laptop", "--expires-at", "2099-01-31"];
    let made =
        books.cli_json(&[&create[..], &["--model", "google/gemini-2.5-flash"]].concat()).await;
    assert_eq!(made, json!({ "key": text(&made, "key"), "id": text(&made, "id") }));
    let plain = books.cli(&["key", "create", "--user", "eve@example.org"]).await;
    assert!(plain.starts_with("tg-") && plain.len() == 39, "the key alone: {plain}");
    let listed = books.cli_json(&["key", "list", "--user", USER]).await;
    let key = text(&made, "key");
    let expected = json!([{
        "id": made["id"], "user": USER, "name": "laptop", "key_prefix": &key[..7], "last4": &key[35..],
        "created_at": listed[0]["created_at"], "last_used_at": null, "expires_at": "2099-01-31T00:00:00Z",
        "revoked": false, "budget_usd": null, "models": ["gemini/gemini-2.5-flash"], "disabled": false,
        "scopes": ["inference", "usage", "keys"], "allowed_ips": null, "requests_per_minute": null,
        "tokens_per_minute": null, "concurrent_requests": null,
    }]);
    assert_eq!(listed, expected);
    assert_eq!(books.cli_json(&["key", "list"]).await.as_array().map(Vec::len), Some(2));
    for changed in [true, false] {
        let revoked = books.cli_json(&["key", "revoke", key]).await;
        assert_eq!(revoked, json!({ "revoked": true, "changed": changed }));
    }
    let listed = books.cli_json(&["key", "list", "--user", USER]).await;
    assert_eq!(listed[0]["revoked"], true);
}

/// By whom and when, though these commands take up the journal first.
#[tokio::test]
async fn what_is_done_to_the_books_is_in_the_audit_log() {
    let mut app = App::start().await;
    app.kill().await;
    app.books.cli(&["budget", "set", "--user", USER, "--period", "day", "--usd", "5"]).await;
    app.books.cli(&["credit", "add", "--user", USER, "--usd", "5"]).await;
    let replicas = app.books.cli_json(&["replica", "list"]).await;
    app.books.cli(&["replica", "release", text(&replicas[0], "id"), "--force"]).await;
    for action in ["budget.set", "credit.add", "replica.release"] {
        let noted = "SELECT number FROM tollgate.audit_log WHERE via = 'cli' AND actor = 'the command line' AND at > 0";
        assert_eq!(
            app.books.count(&format!("{noted} AND action = '{action}'")).await,
            1,
            "{action}"
        );
    }
    app.books.remove().await;
}

#[tokio::test]
async fn a_faulty_price_list_is_refused_whole_and_by_place() {
    let books = Books::sqlite();
    let before = books.cli_json(&["prices", "list"]).await;
    let cases: [(&[u8], &str); 9] = [
        (
            b"provider,model,price_per_token\nopenai,a,0.000001\nopenai,b,-1\n",
            "line 3, column 3 (price_per_token): a price is never negative",
        ),
        (
            b"openai,a,0.000001\nopenai,b,cheap\n",
            "line 2, column 3 (price_per_token): expected a plain decimal number",
        ),
        (
            b"openai,a,0.000001\nopenai,b,0\n",
            "line 2, column 3 (price_per_token): 0 is not taken for a price; write free",
        ),
        (
            b"openai,a,0.000001\nopenai,a,0.000002\n",
            "line 2, column 2 (model): this provider and model stand in the file twice",
        ),
        (
            b"openai,a,0.000001\n,b,0.000002\n",
            "line 2, column 1 (provider): expected a name without spaces",
        ),
        (b"openai,a,0.000001\nopenai,b\n", "line 2, column 2 (row): 2 cells, but the header has 3"),
        (
            b"provider,model,input_per_mtok,output_per_mtok\nopenai,a,1,1e3\n",
            "line 2, column 4 (output_per_mtok): expected a plain decimal",
        ),
        (b"", "line 1, column 1 (provider): empty"),
        (b"openai,a,0.000001\nopenai,\xff,0.000002\n", "line 2 is not UTF-8 text"),
    ];
    let file = books.folder.path().join("list.csv");
    let path = file.to_str().expect("text");
    for (list, words) in cases {
        std::fs::write(&file, list).expect("written");
        let complaint = books.refused(&["prices", "import", path]).await;
        assert!(complaint.contains(words), "{complaint}");
        assert!(complaint.contains(path), "{complaint}");
    }
    // Every fault is told at once.
    std::fs::write(
        &file,
        "provider,model,price_per_token\nopenai,a,x\nopenai,b,0.000001\nopenai,c,y\n",
    )
    .expect("written");
    let complaint = books.refused(&["prices", "import", path]).await;
    assert!(
        complaint.contains("line 2, column 3") && complaint.contains("line 4, column 3"),
        "{complaint}"
    );
    let nowhere = books.refused(&["prices", "import", "/nowhere.csv"]).await;
    assert!(nowhere.contains("/nowhere.csv: No such file"), "{nowhere}");
    assert_eq!(books.cli_json(&["prices", "list"]).await, before, "nothing was imported");
    let unknown = books.refused(&["prices", "show", "openai/b"]).await;
    assert!(unknown.contains("openai/b: not in the price list"), "{unknown}");
}

#[tokio::test]
async fn price_versions() {
    let books = Books::sqlite();
    let file = books.folder.path().join("list.csv");
    let path = file.to_str().expect("text");
    std::fs::write(
        &file,
        "provider,model,price_per_token\nopenai,house-model,0.00000125\nopenai,gpt-4o,free\n",
    )
    .expect("written");
    let imported = books.cli_json(&["prices", "import", path, "--note", "for the house"]).await;
    let models = imported["models"].as_u64().expect("a number");
    assert_eq!(imported, json!({ "version": 2, "imported": 2, "models": models }));
    assert!(models > 400, "the others stay: {models}");
    let again = books.cli_json(&["prices", "import", path]).await;
    assert_eq!(again["models"], models);
    let replaced = books.cli_json(&["prices", "import", path, "--replace"]).await;
    assert_eq!((&replaced["models"], &replaced["imported"]), (&2.into(), &2.into()));

    let versions = books.cli_json(&["prices", "list"]).await;
    let versions = versions.as_array().expect("a list");
    assert_eq!(text(&versions[0], "source"), "shipped");
    assert_eq!((&versions[1]["version"], text(&versions[1], "note")), (&2.into(), "for the house"));
    assert_eq!(text(&versions[1], "source"), "list.csv");
    assert!(versions.iter().all(|version| text(version, "sha256").len() == 64));

    let shown = books.cli_json(&["prices", "show", "house-model"]).await;
    assert_eq!((text(&shown, "provider"), text(&shown, "model")), ("openai", "house-model"));
    assert_eq!(shown["prices"]["input"], json!({ "standard": 1_250_000 }));
    assert_eq!(shown["prices"]["output"], json!({ "standard": 1_250_000 }));
    let free = books.cli_json(&["prices", "show", "openai/gpt-4o"]).await;
    assert_eq!(free["prices"]["input"], json!({ "standard": 0 }));
    let table = books.cli(&["prices", "show", "house-model"]).await;
    assert!(table.contains("1.25"), "per million tokens: {table}");
}

/// Prices by date: the shipped list knows changes to come.
#[tokio::test]
async fn prices_at_a_moment() {
    let books = Books::sqlite();
    let at = async |moment: &str| {
        let shown =
            books.cli_json(&["prices", "show", "google/gemini-2.5-flash", "--at", moment]).await;
        text(&shown, "at").to_owned()
    };
    assert_eq!(at("2026-11-24").await, "2026-11-24T00:00:00Z");
    assert_eq!(at("2026-11-24T12:00:00+02:00").await, "2026-11-24T10:00:00Z");
    let refused = books.refused(&["prices", "show", "gpt-4o", "--at", "tomorrow"]).await;
    assert!(refused.contains("expected a moment such as 2027-01-01"), "{refused}");
}

/// A new price is taken by a running program within a second; receipts keep the price of their time.
#[tokio::test]
async fn a_price_that_changes_while_serving() {
    let app = App::start().await;
    let chat = say("openai", "gpt-4o-mini", "fixture:worked_example");
    assert_eq!(app.chatted(&chat).await.header("x-tollgate-cost"), "0.000551565");
    let file = app.books.folder.path().join("list.csv");
    std::fs::write(&file, "openai,gpt-4o-mini,0.000001\n").expect("written");
    app.books.cli(&["prices", "import", file.to_str().expect("text")]).await;
    // 1 801 tokens at a micro-dollar each, and 5 %.
    let start = std::time::Instant::now();
    while app.chatted(&chat).await.header("x-tollgate-cost") != "0.00189105" {
        assert!(start.elapsed() < std::time::Duration::from_secs(1), "still the old price");
    }
    let receipts = app.close().await;
    let versions: Vec<i64> = receipts.iter().map(|receipt| receipt.price_version).collect();
    assert_eq!((versions.first(), versions.last()), (Some(&1), Some(&2)));
}

#[tokio::test]
async fn what_was_used_and_what_it_costs() {
    let books = Books::sqlite();
    let bob_key = books.add_user("bob").await;
    let app = App::start_on(books, Start::default()).await;
    for (provider, model) in MODELS {
        for message in ["Hello", "How are you?"] {
            app.chatted(&say(provider, model, message)).await;
        }
    }
    let bob = app.request(reqwest::Method::POST, "/api/layers/chat").header("user", "bob");
    let bob = bob.header("api-key", bob_key).json(&say("openai", "gpt-4o", "fixture:cache"));
    assert_eq!(bob.send().await.expect("an answer").status(), 200);
    let owed = app.price_to_pay().await;

    let receipts = app.books.receipts().await;
    let ada: Vec<_> = receipts.iter().filter(|r| r.key_id == receipts[0].key_id).collect();
    let sum = |of: fn(&ledger::Receipt) -> i64, among: &[&ledger::Receipt]| -> String {
        ledger::sum_exact(among.iter().map(|r| i128::from(of(r))).sum())
    };
    let everybody: Vec<_> = receipts.iter().collect();
    let bill = app.books.cli_json(&["bill", "--user", USER]).await;
    assert_eq!(bill["total"]["charge"], owed["exact"]["final_price"]);
    assert_eq!(text(&bill["total"], "charge"), sum(|r| r.charge.pico(), &ada));
    assert_eq!((&bill["total"]["requests"], text(&bill, "user")), (&8.into(), USER));
    let models: Vec<&str> =
        bill["lines"].as_array().expect("lines").iter().map(|line| text(line, "model")).collect();
    let mut expected = MODELS.map(|(provider, model)| format!("{provider}/{model}"));
    expected.sort();
    assert_eq!(models, expected);

    for (by, rows) in [("day", 1), ("model", 4), ("key", 2), ("provider", 4), ("user", 2)] {
        let usage = app.books.cli_json(&["usage", "--by", by]).await;
        let total = &usage["total"];
        assert_eq!(text(total, "cost"), sum(|r| r.cost.pico(), &everybody), "by {by}");
        assert_eq!(text(total, "commission"), sum(|r| r.commission.pico(), &everybody), "by {by}");
        assert_eq!(total["requests"], 9);
        // A test may run at midnight.
        let found = usage["rows"].as_array().map_or(0, Vec::len);
        assert!(found == rows || (by == "day" && found == 2), "by {by}: {usage}");
    }
    let mine = app.books.cli_json(&["usage", "--user", "bob", "--by", "model"]).await;
    let [line] = mine["rows"].as_array().expect("rows").as_slice() else { panic!("{mine}") };
    assert_eq!((text(line, "item"), &line["requests"]), ("openai/gpt-4o", &1.into()));
    let used = ["input_tokens", "cache_read_tokens", "output_tokens", "reasoning_tokens"];
    assert_eq!(used.map(|name| line[name].as_u64()), [Some(4_400), Some(2_816), Some(11), Some(0)]);

    let csv = app.books.cli(&["usage", "--by", "user", "--csv"]).await;
    let mut csv = csv.lines();
    assert_eq!(
        csv.next(),
        Some(
            "item,label,requests,input_tokens,cache_read_tokens,output_tokens,cost,commission,charge"
        )
    );
    let line = csv.find(|line| line.contains(",ada,")).expect("ada's line");
    assert!(line.ends_with(&format!(",{}", text(&bill["total"], "charge"))), "{line}");

    let month = &ledger_month(receipts[0].started_at);
    let monthly = app.books.cli_json(&["bill", "--user", USER, "--month", month]).await;
    assert!(monthly["total"]["requests"].as_u64() >= Some(1));
    let none = app.books.cli_json(&["bill", "--user", USER, "--month", "2020-02"]).await;
    assert_eq!((text(&none["total"], "charge"), &none["lines"]), ("0", &json!([])));
    assert_eq!(
        (text(&none, "from"), text(&none, "to")),
        ("2020-02-01T00:00:00Z", "2020-03-01T00:00:00Z")
    );
    for (arguments, words) in [
        (&["bill", "--user", "nobody"][..], "no such user"),
        (&["bill"], "--user"),
        (&["bill", "--user", USER, "--month", "2026-13"], "expected a month such as 2026-11"),
        (&["usage", "--by", "hour"], "possible values: day, model, key, provider, user"),
    ] {
        let complaint = app.books.refused(arguments).await;
        assert!(complaint.contains(words), "{arguments:?}: {complaint}");
    }
    app.close().await;
}

fn ledger_month(micros: i64) -> String {
    let moment = jiff::Timestamp::from_microsecond(micros).expect("a moment");
    moment.strftime("%Y-%m").to_string()
}

/// Whoever changes a receipt past the program is found out.
#[tokio::test]
async fn verify_finds_what_was_tampered_with() {
    let app = App::start().await;
    for message in ["one", "two", "three"] {
        app.chatted(&say("openai", "gpt-4o", message)).await;
    }
    let (id, report) =
        (app.books.receipts().await[1].request_id.to_string(), app.books.audit().await);
    assert_eq!((&report["receipts"], &report["price_versions"]), (&3.into(), &1.into()));
    let tamper = "DROP TRIGGER receipts_no_update; UPDATE tollgate.receipts SET cost = cost - 1, charge = charge - 1 \
                  WHERE request_id = (SELECT request_id FROM tollgate.receipts ORDER BY request_id LIMIT 1 OFFSET 1)";
    app.books.shell(tamper).await;
    let output = app.books.try_cli(&["verify", "--json"]).await;
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["clean"], report["receipts"].as_u64()), (&false.into(), Some(3)));
    assert!(report["faults"].as_u64() >= Some(1), "{report}");
    assert!(report["examples"].to_string().contains(&id), "{report} does not name {id}");
    // The receipt by itself, and the batch that it was posted in.
    assert!(report["examples"].to_string().contains("ledger_transactions "), "{report}");
    assert_eq!(report["ledger"]["accounts"], 1);
    let said = app.books.try_cli(&["verify"]).await;
    assert!(String::from_utf8_lossy(&said.stdout).contains("NOT right"));
}

#[tokio::test]
async fn migrate_and_doctor() {
    let books = Books::sqlite();
    // A rehearsal changes nothing, however often.
    for _ in 0..2 {
        let steps = books.cli_json(&["migrate", "--check"]).await["steps"].clone();
        assert_eq!(steps.as_array().map(Vec::len), Some(migrations()), "{steps}");
    }
    for _ in 0..2 {
        let migrated = books.cli_json(&["migrate"]).await;
        assert_eq!(migrated, json!({ "engine": "SQLite", "price_version": 1 }));
    }
    let rehearsed = books.cli_json(&["migrate", "--check"]).await;
    assert_eq!(rehearsed, json!({ "engine": "SQLite", "steps": [] }));
    let mut doctor = books.command(&["doctor", "--json"]);
    doctor
        .env("OPENAI_API_KEY", "sk-x")
        .env("TOLLGATE_TRUST_USER_HEADER", "true")
        .env("HOST", "0.0.0.0");
    let output = doctor.output().await.expect("the program runs");
    assert!(output.status.success());
    let checks: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let result = |name: &str| {
        let check = checks.as_array().expect("checks").iter().find(|check| check["check"] == name);
        check.unwrap_or_else(|| panic!("no check {name}"))["result"].clone()
    };
    for (name, expected) in [
        ("database", "ok"),
        ("prices", "ok"),
        ("users", "note"),
        ("openai", "ok"),
        ("gemini", "note"),
        ("address", "note"),
        ("trust", "note"),
        ("journal", "ok"),
        ("public url", "note"),
    ] {
        assert_eq!(result(name), expected, "{name}");
    }
    let mut ill = books.command(&["doctor", "--json"]);
    let ill = ill.env("OPENAI_BASE_URL", "not a URL").output().await.expect("the program runs");
    assert_eq!(ill.status.code(), Some(1));
    let said = String::from_utf8(ill.stdout).expect("text");
    assert!(
        said.contains("OPENAI_BASE_URL: expected a URL such as https://api.openai.com/v1"),
        "{said}"
    );
}

/// How many steps lead to the newest schema.
fn migrations() -> usize {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
    std::fs::read_dir(folder).expect("the steps").count()
}

/// What goes badly together, or is wrong with the machine, is named with what would be right.
#[tokio::test]
async fn doctor_knows_the_usual_mistakes() {
    let books = Books::sqlite();
    let folder = books.folder.path();
    let found = async |name: &str, value: &str| -> Vec<(String, String, String)> {
        let mut command = books.command(&["doctor", "--json"]);
        let output = command.env(name, value).output().await.expect("the program runs");
        let checks: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let check = |c: &Value| (text(&c["check"]), text(&c["result"]), text(&c["detail"]));
        checks.iter().map(check).collect()
    };
    let fresh = found("RUST_LOG", "info").await;
    assert!(fresh.iter().any(|(_, _, text)| text.contains("migrate --check")), "{fresh:?}");
    books.cli(&["user", "add", "ada"]).await;
    let file = folder.join("a-file");
    std::fs::write(&file, "").expect("written");
    let in_a_file = file.join("journal").display().to_string();
    for (name, value, check, result, says) in [
        ("RUST_LOG", "info", "operators", "note", "user add NAME --operator"),
        ("RUST_LOG", "debug", "log", "note", "RUST_LOG"),
        ("RUST_LOG", "sqlx=warn,inof", "log", "note", "inof is no level"),
        (
            "OPENAI_API_KEY",
            "\"sk-canary\"",
            "credential",
            "note",
            "OPENAI_API_KEY has quotation marks",
        ),
        ("OPENAI_API_KEY", "Bearer sk-canary", "credential", "note", "begins with `Bearer`"),
        ("OPENAI_API_KEY", "sk-canary\t", "credential", "note", "has blanks"),
        ("OPENAI_API_KEY", "sk-ant-canary", "credential", "note", "a key of anthropic"),
        ("TOLLGATE_METRICS_ADDR", "0.0.0.0:0", "metrics", "note", "needs no key"),
        ("RUST_LOG", "info", "providers", "note", "OPENAI_API_KEY"),
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none", "database", "fail", "DATABASE_URL"),
        ("ANTHROPIC_BASE_URL", "https://api.anthropic.com/v1", "base url", "fail", "leave it out"),
        ("OPENAI_BASE_URL", "https://models.example.org", "base url", "note", "/v1"),
        ("GEMINI_BASE_URL", "http://models.example.org", "base url", "note", "without TLS"),
        ("TOLLGATE_PUBLIC_URL", "http://gate.example.org", "public url", "note", "without TLS"),
        ("TOLLGATE_PUBLIC_URL", "https://gate.example.org", "proxies", "note", "TRUSTED_PROXIES"),
        ("TOLLGATE_TRUSTED_PROXIES", "0.0.0.0/0", "proxies", "note", "every address"),
        ("TOLLGATE_CORS_ORIGINS", "*", "cors", "note", "any web page"),
        ("TOLLGATE_COMMISSION_BPS", "0", "commission", "note", "providers' prices"),
        ("TOLLGATE_SIGN_UP", "true", "sign-up", "note", "TOLLGATE_OIDC_ISSUER"),
        ("TOLLGATE_TRUST_USER_HEADER", "true", "trust", "note", "behind a proxy"),
        ("TOLLGATE_DATA_DIR", &in_a_file, "journal", "fail", "cannot be written"),
    ] {
        let checks = found(name, value).await;
        let hit =
            checks.iter().any(|(c, r, text)| c == check && r == result && text.contains(says));
        assert!(hit, "{name}={value}: {checks:?}");
        assert!(!format!("{checks:?}").contains("canary"), "{name}: {checks:?}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let checks = found("PORT", &port).await;
    assert!(checks.iter().any(|(check, ..)| check == "port"), "{checks:?}");
    let checks = found("TOLLGATE_METRICS_ADDR", &format!("127.0.0.1:{port}")).await;
    assert!(checks.iter().any(|(check, ..)| check == "metrics"), "{checks:?}");
    std::fs::write(folder.join(".env"), "PORT=0\n").expect("written");
    let checks = found("RUST_LOG", "info").await;
    assert!(checks.iter().any(|(check, ..)| check == "settings file"), "{checks:?}");
}

/// Settings that make no sense are refused before anything starts, by name.
#[tokio::test]
async fn settings_that_make_no_sense() {
    let books = Books::sqlite();
    for (name, value) in [
        ("PORT", "none"),
        ("HOST", "localhost:1"),
        ("DATABASE_URL", "mysql://x"),
        ("OPENAI_BASE_URL", "ftp://x"),
        ("TOLLGATE_COMMISSION_BPS", "-1"),
        ("TOLLGATE_COMMISSION_BPS", "5.5"),
        ("TOLLGATE_COMMISSION_BPS", "100001"),
        ("TOLLGATE_TRUST_USER_HEADER", "perhaps"),
        ("TOLLGATE_BODY_LIMIT_BYTES", "10"),
        ("TOLLGATE_UPSTREAM_TIMEOUT_SECONDS", "0"),
        ("RUST_LOG", "info,=="),
        ("TOLLGATE_LOG_FORMAT", "xml"),
    ] {
        let output = books.command(&["serve"]).env("PORT", "0").env(name, value).output();
        let output = output.await.expect("the program runs");
        let complaint = String::from_utf8(output.stderr).expect("text");
        assert!(output.status.code().is_some_and(|code| code != 0), "{name}={value} was taken");
        let flag = name.trim_start_matches("TOLLGATE_").to_lowercase().replace('_', "-");
        let named = complaint.contains(name)
            || complaint.contains(&flag)
            || complaint.contains("the database URL");
        assert!(named, "{name}={value}: {complaint}");
    }
}

/// A `.env` file in the working folder, below what is set already; a line that cannot be read is not repeated.
#[tokio::test]
async fn settings_from_a_file() {
    let books = Books::sqlite();
    let file = books.folder.path().join(".env");
    std::fs::write(&file, "# ours\nHOST=0.0.0.0\nPORT=3456\nOPENAI_API_KEY='sk-x'\n")
        .expect("written");
    let doctor = async |port: Option<&str>| {
        let mut command = books.command(&["doctor"]);
        command.envs(port.map(|port| ("PORT", port)));
        let output = command.output().await.expect("the program runs");
        String::from_utf8([output.stdout, output.stderr].concat()).expect("text")
    };
    let said = doctor(None).await;
    assert!(said.contains("0.0.0.0:3456") && said.contains("credential set"), "{said}");
    assert!(doctor(Some("4567")).await.contains("0.0.0.0:4567"));
    std::fs::write(&file, "OPENAI_API_KEY=\"canary\n").expect("written");
    let said = doctor(None).await;
    assert!(
        said.starts_with("error: .env: a line cannot be read") && !said.contains("canary"),
        "{said}"
    );
}
