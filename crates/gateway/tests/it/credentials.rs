//! Providers' credentials that are kept in the books: sealed, in force at once, and never another's in their place.

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::{Answer, App, Start, USER};
use crate::books::Books;
use crate::chat::{MODELS, say};
use crate::console::{Browser, acts};
use crate::speak::Client;

pub(crate) const MASTER_KEY: &str = "TOLLGATE_MASTER_KEY";
const OPERATOR: &str = "olga";

/// A master key of one repeated byte.
pub(crate) fn master(byte: u8) -> String {
    format!("{byte:02x}").repeat(32)
}

/// A command with a master key, at whose standard input somebody types.
pub(crate) async fn typed(books: &Books, master: &str, arguments: &[&str], text: &str) -> Output {
    let mut command = books.command(arguments);
    command.env(MASTER_KEY, master).env("RUST_LOG", "trace").stdin(Stdio::piped());
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
    let mut stdin = child.stdin.take().expect("its input");
    // One that refuses before it has read closes its input.
    drop(stdin.write_all(text.as_bytes()).await);
    drop(stdin);
    child.wait_with_output().await.expect("its output")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// A command that has to succeed: the JSON that it prints.
pub(crate) async fn done(books: &Books, master: &str, arguments: &[&str], text: &str) -> Value {
    let arguments = [arguments, &["--json"]].concat();
    let output = typed(books, master, &arguments, text).await;
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    serde_json::from_slice(&output.stdout).expect("one JSON value")
}

/// What `provider list` says of one.
async fn listed(books: &Books, master: &str, provider: &str) -> Value {
    let all = done(books, master, &["provider", "list"], "").await;
    let all = all.as_array().expect("a list").clone();
    let found = all.into_iter().find(|one| one["provider"] == provider);
    found.expect("the provider")
}

/// A change is looked for four times a second; a machine with more to do takes longer for each.
const SOON: Duration = Duration::from_secs(5);

/// The credential that the simulator was last called with.
fn last_seen(app: &App, provider: &str) -> String {
    let seen = app.simulator.seen();
    let headers = &seen.last().expect("a call").headers;
    let text = |name: &str| headers[name].to_str().expect("text").to_owned();
    match provider {
        "anthropic" => text("x-api-key"),
        "gemini" => text("x-goog-api-key"),
        _ => text("authorization").strip_prefix("Bearer ").expect("a bearer").to_owned(),
    }
}

/// Chats until the provider is called with that credential: how many were refused until then.
async fn called_with(app: &App, url: &str, (provider, model): (&str, &str), wanted: &str) -> usize {
    let (start, mut refused) = (Instant::now(), 0);
    loop {
        let chat = app.client.post(format!("{url}/api/layers/chat")).header("user", USER);
        let chat = chat.header("api-key", &app.key).json(&say(provider, model, "Hello"));
        let answer = Answer::of(chat).await;
        if answer.status == 200 && last_seen(app, provider) == wanted {
            return refused;
        }
        refused += usize::from(answer.status != 200);
        assert!(start.elapsed() < SOON, "{provider}: {}", answer.body);
    }
}

/// Chats until the answer has that status.
async fn answered(app: &App, (provider, model): (&str, &str), status: u16) {
    let start = Instant::now();
    while Answer::of(app.chat(&say(provider, model, "Hello"))).await.status != status {
        assert!(start.elapsed() < SOON, "{provider}: never {status}");
    }
}

async fn with_master_key(books: Books) -> App {
    books.cli(&["user", "add", OPERATOR, "--operator"]).await;
    App::start_on(books, Start::default().set(MASTER_KEY, master(1))).await
}

/// Set, replaced and removed by the command line, while two processes serve.
async fn all_take_it_up(app: App) {
    let (mut other, beside) = app.another().await;
    let key = master(1);
    for (provider, model) in MODELS {
        let environment = format!("canary-{provider}_api_key");
        let called = async |wanted: &str| {
            for url in [&app.url, &beside] {
                let refused = called_with(&app, url, (provider, model), wanted).await;
                assert_eq!(refused, 0, "one is in force at every moment");
            }
        };
        called(&environment).await;
        for number in [1, 2] {
            let secret = format!("sk-{provider}-secret-000{number}");
            let set = ["provider", "set-key", provider, "--name", "ours"];
            let view = done(&app.books, &key, &set, &format!("  {secret}\r\n")).await;
            called(&secret).await;
            let end = format!("000{number}");
            assert_eq!(
                (&view["credential"], &view["last4"], &view["name"], &view["by"]),
                (&"stored".into(), &end.into(), &"ours".into(), &"the command line".into())
            );
            if number == 2 {
                assert_eq!(listed(&app.books, &key, provider).await, view);
            }
        }
        let view = done(&app.books, &key, &["provider", "remove-key", provider], "").await;
        called(&environment).await;
        // The command line knows no other.
        assert_eq!((&view["credential"], &view["since"]), (&"none".into(), &Value::Null));
    }
    let again = typed(&app.books, &key, &["provider", "remove-key", "openai"], "").await;
    assert!(!again.status.success() && said(&again).contains("no such stored credential"));
    let seen = app.simulator.seen();
    assert!(seen.iter().all(|seen| !format!("{seen:?}").contains("tg-")), "{seen:?}");
    let acts = acts(&app).await;
    let count = |action: &str| acts.iter().filter(|act| act.action == action).count();
    assert_eq!((count("provider.credential.set"), count("provider.credential.remove")), (8, 4));
    crate::app::signal(&other, "TERM").await;
    assert!(other.wait().await.expect("an end").success());
    app.close().await;
}

#[tokio::test]
async fn all_take_it_up_on_sqlite() {
    all_take_it_up(with_master_key(Books::sqlite()).await).await;
}

#[tokio::test]
async fn all_take_it_up_on_postgres() {
    if let Some(books) = Books::postgres("credentials").await {
        all_take_it_up(with_master_key(books).await).await;
    }
}

/// Every kind of client is told that the provider is off, and the provider hears of nothing.
async fn refused_everywhere(app: &App) {
    let before = app.simulator.count();
    for client in Client::ALL {
        let body = client.ask("openai", "gpt-4o", "Hello", false);
        let answer = Answer::of(client.send(app, "gpt-4o", &body, false)).await;
        // Anthropic has a number of its own for it.
        let wanted = if client.base() == Client::Messages { 529 } else { 503 };
        assert_eq!(answer.status, wanted, "{client:?}: {}", answer.body);
        assert!(answer.body.to_string().contains("has no credential here"), "{}", answer.body);
    }
    assert_eq!(app.simulator.count(), before, "nothing was sent with the environment's");
    let models = app.request(Method::GET, "/v1/models").bearer_auth(&app.key);
    let models = Answer::of(models).await.body.to_string();
    assert!(models.contains("claude-sonnet-4-5") && !models.contains("gpt-4o"), "{models}");
    app.chatted(&say("anthropic", "claude-sonnet-4-5", "Hello")).await;
}

#[tokio::test]
async fn with_another_master_key_nothing_is_called() {
    let mut app = with_master_key(Books::sqlite()).await;
    let secret = "sk-openai-secret-0001";
    let mut olga = Browser::of(&app, OPERATOR).await;
    done(&app.books, &master(1), &["provider", "set-key", "openai"], secret).await;
    let row = listed(&app.books, &master(1), "openai").await;
    for (key, why) in
        [(master(2), "which is not in TOLLGATE_MASTER_KEY"), (String::new(), "is not set")]
    {
        app.kill().await;
        app.set(MASTER_KEY, key.clone());
        app.restart().await;
        refused_everywhere(&app).await;
        let log = app.log().await;
        assert!(log.contains("does not open") && log.contains(why), "{log}");
        assert!(log.contains("tollgate provider set-key openai"), "what to do: {log}");
        let view = listed(&app.books, &key, "openai").await;
        assert_eq!((&view["credential"], &view["callable"]), (&"stored".into(), &false.into()));
        assert!(view["fault"].as_str().is_some_and(|fault| fault.contains(why)), "{view}");
        let doctor = typed(&app.books, &key, &["doctor"], "").await;
        assert!(!doctor.status.success() && said(&doctor).contains("does not open"));
        olga.url.clone_from(&app.url);
        let page = olga.page("/operator/providers").await;
        assert!(page.contains("does not open") && page.contains(why), "{page}");
    }

    // The new key seals, the old one still opens.
    let both = format!("{}, {}", master(2), master(1));
    app.kill().await;
    app.set(MASTER_KEY, both.clone());
    app.restart().await;
    called_with(&app, &app.url, ("openai", "gpt-4o"), secret).await;
    let early = typed(&app.books, &master(2), &["provider", "reseal"], "").await;
    assert!(!early.status.success() && said(&early).contains("do not open and stay"));
    assert_eq!(listed(&app.books, &master(1), "openai").await, row, "nothing was changed");
    let resealed = done(&app.books, &both, &["provider", "reseal"], "").await;
    assert_eq!(resealed["resealed"], 1);
    assert_eq!(done(&app.books, &both, &["provider", "reseal"], "").await["resealed"], 0);
    app.kill().await;
    app.set(MASTER_KEY, master(2));
    app.restart().await;
    called_with(&app, &app.url, ("openai", "gpt-4o"), secret).await;
    let view = listed(&app.books, &master(2), "openai").await;
    assert_eq!((&view["since"], &view["last4"]), (&row["since"], &"0001".into()));
    assert_ne!(view["master_key"], row["master_key"]);
    app.close().await;
}

/// What somebody with a shell at the database can do: nothing but switch a provider off.
#[tokio::test]
async fn a_row_opens_in_its_place_alone() {
    let app = with_master_key(Books::sqlite()).await;
    let key = master(1);
    let forge = [
        "provider = 'deepseek'",
        "id = x'00000000000070000000000000000000'",
        "sealed = CAST(x'02' || substr(sealed, 2) AS BLOB)",
        "sealed = CAST(substr(sealed, 1, length(sealed) - 1) || x'00' AS BLOB)",
        "sealed = substr(sealed, 1, length(sealed) - 1)",
    ];
    for change in forge {
        let (provider, model) = if change.starts_with("provider") { MODELS[3] } else { MODELS[0] };
        done(&app.books, &key, &["provider", "set-key", "openai"], "sk-openai-secret-0001").await;
        called_with(&app, &app.url, MODELS[0], "sk-openai-secret-0001").await;
        let change = format!(
            "UPDATE tollgate.provider_credentials SET {change} WHERE removed_at IS NULL; \
             UPDATE tollgate.revision SET value = value + 1"
        );
        app.books.shell(&change).await;
        answered(&app, (provider, model), 503).await;
        let view = listed(&app.books, &key, provider).await;
        assert_eq!(view["fault"], "what is stored was changed, or is another row's", "{change}");
        done(&app.books, &key, &["provider", "remove-key", provider], "").await;
    }
    app.close().await;
}

#[tokio::test]
async fn the_command_line_takes_no_nonsense() {
    let books = Books::sqlite();
    let key = books.cli(&["provider", "master-key"]).await;
    assert_ne!(key, books.cli(&["provider", "master-key"]).await);
    let set = ["provider", "set-key", "openai"];
    for (master, arguments, text, complaint) in [
        ("", &set[..], "sk-0123456789", "TOLLGATE_MASTER_KEY is not set"),
        ("", &["provider", "reseal"], "", "TOLLGATE_MASTER_KEY is not set"),
        ("canary-short", &set, "sk-0123456789", "TOLLGATE_MASTER_KEY: key 1 is not 32 bytes"),
        ("canary-short", &["serve"], "", "TOLLGATE_MASTER_KEY: key 1 is not 32 bytes"),
        (&format!("{key},"), &set, "sk-0123456789", "TOLLGATE_MASTER_KEY: key 2 is not 32 bytes"),
        (&key, &set, "", "the credential: there is none"),
        (&key, &set, "canary-0123 456789", "a character that no key has"),
        (&key, &set, "canary", "8 to 1024 characters"),
        (&key, &["provider", "set-key", "mistral"], "canary-0123456789", "expected one of openai"),
        (&key, &["provider", "set-key", "openai", "canary-0123456789"], "", "unexpected argument"),
        (&key, &["provider", "check", "openai"], "", "there is none"),
    ] {
        let output = typed(&books, master, arguments, text).await;
        let told = said(&output);
        assert!(!output.status.success() && told.contains(complaint), "{arguments:?}: {told}");
        let repeats = told.contains("canary") && !arguments.join(" ").contains("canary");
        assert!(!repeats && !told.contains(&key), "{arguments:?}: {told}");
    }
    assert_eq!(books.count("SELECT id FROM tollgate.provider_credentials").await, 0);
    let view = done(&books, &key, &["provider", "set-key", "google"], "sk-0123456789\n").await;
    assert_eq!((&view["provider"], &view["last4"]), (&"gemini".into(), &"".into()));
    let table = books.cli(&["provider", "list"]).await;
    let gemini = table.lines().find(|line| line.starts_with("gemini")).expect("a line");
    assert!(gemini.contains("does not open"), "without the key: {table}");
}

#[tokio::test]
async fn an_operator_sets_checks_and_removes_one() {
    let app = with_master_key(Books::sqlite()).await;
    let (ada, olga) = (Browser::of(&app, USER).await, Browser::of(&app, OPERATOR).await);
    let page = olga.page("/operator/providers").await;
    assert!(page.contains("OPENAI_API_KEY") && page.contains("name=\"secret\" type=\"password\""));
    assert!(!page.contains("/credential/remove"), "there is nothing to remove");
    let (set, secret) = ("/operator/providers/openai/credential", "sk-openai-<b>secret&0001");
    let fields = [("secret", secret), ("name", "<i>ours")];
    assert_eq!(ada.post(set, &fields).await.status, 404);
    assert_eq!(olga.post_with(set, &fields, "wrong").await.status, 403);
    for (fields, why) in [
        (vec![("secret", "canary 0123")], "The credential: it has a character"),
        (vec![("secret", "")], "The credential: there is none"),
        (vec![("secret", "canary-0123"), ("name", "two\nlines")], "Name: expected at most"),
    ] {
        let got = olga.post(set, &fields).await;
        assert!(got.status == 400 && got.text.contains(why), "{}", got.text);
        assert!(!got.text.contains("canary"), "what was typed is not shown");
    }
    let nobody = olga.post("/operator/providers/mistral/credential", &fields).await;
    assert_eq!(nobody.status, 404);
    app.chatted(&say("openai", "gpt-4o", "Hello")).await;
    assert_eq!(last_seen(&app, "openai"), "canary-openai_api_key");

    let gone = olga.done(set, &fields).await;
    assert_eq!(gone, "/operator/providers?done=credential-set");
    app.chatted(&say("openai", "gpt-4o", "Hello")).await;
    assert_eq!(last_seen(&app, "openai"), secret, "at once");
    let page = olga.page("/operator/providers?done=credential-set").await;
    for shown in
        ["…0001", "&lt;i&gt;ours", "olga", "sealed", "Replace it", "is sealed and in force"]
    {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    assert!(!page.contains("secret&") && !page.contains("<i>ours"), "{page}");

    let check = async || olga.post("/operator/providers/openai/check", &[]).await.text;
    assert!(check().await.contains("The credential of openai works."));
    let asked = app.simulator.seen().pop().expect("a call");
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("GET", "/v1/models"));
    assert_eq!(last_seen(&app, "openai"), secret);

    olga.done("/operator/providers/openai/credential/remove", &[]).await;
    app.chatted(&say("openai", "gpt-4o", "Hello")).await;
    assert_eq!(last_seen(&app, "openai"), "canary-openai_api_key");
    let again = olga.post("/operator/providers/openai/credential/remove", &[]).await;
    assert_eq!(again.status, 404);
    let acts = acts(&app).await;
    let own: Vec<(&str, &str, &str)> = acts
        .iter()
        .rev()
        .filter(|act| act.via == "console")
        .map(|act| (act.actor.as_str(), act.action.as_str(), act.target.as_str()))
        .collect();
    let act = |action| (OPERATOR, action, "provider openai");
    let expected = ["set", "check", "remove"].map(|what| format!("provider.credential.{what}"));
    assert_eq!(own, expected.iter().map(|what| act(what.as_str())).collect::<Vec<_>>());
    assert!(acts.iter().all(|act| !act.detail.contains("secret&")), "{acts:?}");
    app.close().await;
}

#[tokio::test]
async fn without_a_master_key_the_page_says_what_to_set() {
    let books = Books::sqlite();
    books.cli(&["user", "add", OPERATOR, "--operator"]).await;
    let app = App::start_on(books, Start::default()).await;
    let olga = Browser::of(&app, OPERATOR).await;
    let page = olga.page("/operator/providers").await;
    assert!(page.contains("tollgate provider master-key") && !page.contains("name=\"secret\""));
    let refused =
        olga.post("/operator/providers/openai/credential", &[("secret", "sk-0123456789")]);
    let refused = refused.await;
    assert!(refused.status == 400 && refused.text.contains("TOLLGATE_MASTER_KEY is not set here"));
    assert_eq!(app.books.count("SELECT id FROM tollgate.provider_credentials").await, 0);
    app.close().await;
}

/// What a provider says to its list of models tells whether the credential works.
#[tokio::test]
async fn a_check_tells_works_from_refused_and_unreachable() {
    let app = with_master_key(Books::sqlite()).await;
    let check = async |provider: &str, base: &str| {
        let mut command = app.books.command(&["provider", "check", provider, "--json"]);
        let upper = provider.to_uppercase();
        command
            .env(format!("{upper}_API_KEY"), "canary-0123")
            .env(format!("{upper}_BASE_URL"), base);
        let output = command.output().await.expect("the program runs");
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert!(!told.to_string().contains("canary"), "{told}");
        (output.status.success(), told[0]["result"].as_str().expect("a word").to_owned())
    };
    let works = (true, "works".to_owned());
    for (provider, _) in MODELS {
        let base =
            if provider == "openai" { app.simulator.openai_url() } else { app.simulator.url() };
        assert_eq!(check(provider, &base).await, works, "{provider}");
        assert_eq!(last_seen(&app, provider), "canary-0123");
    }
    for (status, word) in [
        (400, "refused"),
        (401, "refused"),
        (403, "refused"),
        (429, "unreachable"),
        (500, "unreachable"),
    ] {
        let server = says(status).await;
        assert_eq!(check("anthropic", &server).await, (false, word.to_owned()), "{status}");
    }
    let nowhere = (false, "unreachable".to_owned());
    assert_eq!(check("deepseek", "http://127.0.0.1:1").await, nowhere);
    app.close().await;
}

/// Reads one request from a connection: the bearer that it brings.
async fn bearer(stream: &mut TcpStream) -> String {
    let (mut request, mut piece) = (String::new(), [0; 4_096]);
    loop {
        let read = stream.read(&mut piece).await.expect("a request");
        request.push_str(std::str::from_utf8(&piece[..read]).expect("text"));
        let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let of = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        let length = of("content-length: ").map_or(0, |text| text.parse().expect("a length"));
        if body.len() >= length {
            return of("authorization: bearer ").unwrap_or_default().to_owned();
        }
    }
}

async fn answer(stream: &mut TcpStream, status: u16, body: &str) {
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await.expect("somebody reads it");
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    (listener, url)
}

/// A server that answers everything with that status.
async fn says(status: u16) -> String {
    let (listener, url) = listener().await;
    TaskTracker::new().spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            bearer(&mut stream).await;
            answer(&mut stream, status, "{}").await;
        }
    });
    url
}

/// A provider that refuses every call and repeats its credential. One with `slow` is answered when `go` says so; `seen` hears
/// of all.
async fn repeats(
    slow: &'static str,
    go: CancellationToken,
    seen: UnboundedSender<String>,
) -> String {
    let (listener, url) = listener().await;
    TaskTracker::new().spawn(async move {
        let inner = TaskTracker::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let (go, seen) = (go.clone(), seen.clone());
            inner.spawn(async move {
                let bearer = bearer(&mut stream).await;
                seen.send(bearer.clone()).expect("somebody listens");
                if bearer == slow {
                    go.cancelled().await;
                }
                let body = json!({ "error": { "message": format!("not with {bearer}") } });
                answer(&mut stream, 400, &body.to_string()).await;
            });
        }
    });
    url
}

/// A provider repeats the credential of a call, which another has replaced meanwhile: it is taken out all the same.
#[tokio::test]
async fn a_call_keeps_the_credential_that_it_was_made_with() {
    const OLD: &str = "sk-openai-secret-0001";
    const NEW: &str = "sk-openai-secret-0002";
    let (tell, mut seen) = unbounded_channel();
    let go = CancellationToken::new();
    let provider = repeats(OLD, go.clone(), tell).await;
    let books = Books::sqlite();
    let key = master(1);
    done(&books, &key, &["provider", "set-key", "openai"], OLD).await;
    let start = Start::default().set(MASTER_KEY, key.clone()).set("OPENAI_BASE_URL", provider);
    let app = App::start_on(books, start).await;
    let chat = || app.chat(&say("openai", "gpt-4o", "Hello"));
    let tasks = TaskTracker::new();
    let first = tasks.spawn(Answer::of(chat()));
    assert_eq!(seen.recv().await.as_deref(), Some(OLD));
    done(&app.books, &key, &["provider", "set-key", "openai"], NEW).await;
    // What the program does meanwhile may still be with the old one, and waits too.
    let mut others = Vec::new();
    while others.is_empty() || seen.recv().await.as_deref() != Some(NEW) {
        others.push(tasks.spawn(Answer::of(chat())));
    }
    assert!(!first.is_finished());
    go.cancel();
    others.push(first);
    for answered in others {
        let answer = answered.await.expect("no panic");
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert_eq!(answer.message(), "openai: not with [credential]");
    }
    assert!(!app.log().await.contains("sk-openai-secret"));
    app.close().await;
}
