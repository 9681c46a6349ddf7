//! Settings as files for containers pass them, and as people mistype them.

use std::ffi::OsStr;

use crate::app::{App, Start};
use crate::books::Books;
use crate::network::until;

/// Every setting that there is.
fn names() -> Vec<String> {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tollgate.env.example");
    let text = std::fs::read_to_string(example).expect("the example");
    let line = |line: &str| Some(line.strip_prefix('#')?.split_once('=')?.0.to_owned());
    let names = text.lines().filter_map(line);
    let names: Vec<_> = names.filter(|name| !name.contains(' ')).collect();
    assert!(names.len() > 60, "{names:?}");
    names
}

/// What `doctor` prints with these in the environment, and whether it ended well.
async fn doctor<S: AsRef<OsStr>>(books: &Books, settings: &[(S, &str)]) -> (bool, String) {
    let mut command = books.command(&["doctor", "--host", "0.0.0.0", "--port", "0"]);
    let output = command.envs(settings.iter().map(|(name, value)| (name, value)));
    let output = output.output().await.expect("the program runs");
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
    (output.status.success(), text)
}

/// An empty variable counts as none, except where it would say that the books are somewhere else.
#[tokio::test]
async fn an_empty_variable_is_none() {
    const BOOKS: [&str; 2] = ["DATABASE_URL", "TOLLGATE_DATA_DIR"];
    let books = Books::sqlite();
    books.add_user("ada").await;
    let names = names();
    let others = names.iter().filter(|name| !BOOKS.contains(&name.as_str()));
    let empty: Vec<_> = others.map(|name| (name, "")).collect();
    let without = doctor::<&str>(&books, &[]).await;
    assert!(without.0 && without.1.contains("TOLLGATE_PUBLIC_URL is not set"), "{}", without.1);
    // Room on the disk may change between two looks at it.
    let still = |(ended_well, text): (bool, String)| {
        let lines = text.lines().filter(|line| !line.contains("MiB free"));
        (ended_well, lines.map(str::to_owned).collect::<Vec<_>>())
    };
    assert_eq!(still(doctor(&books, &empty).await), still(without));
    for name in BOOKS {
        let (ended_well, said) = doctor(&books, &[(name, "")]).await;
        assert!(!ended_well, "{name}: {said}");
    }
    let described = books.command(&["openapi"]).env("TOLLGATE_PUBLIC_URL", "").output().await;
    let described = String::from_utf8(described.expect("it runs").stdout).expect("text");
    let described: serde_json::Value = serde_json::from_str(&described).expect("JSON");
    let plain = books.cli_json(&["openapi"]).await;
    assert_eq!(described["servers"], plain["servers"]);
}

/// Addresses are made from it, so that it has to be one.
#[tokio::test]
async fn the_public_url_is_one() {
    let books = Books::sqlite();
    for bad in [
        "gate.example.com",
        "ftp://gate.example.com",
        "https://",
        "https:///connect",
        "https://gate.example.com/v1",
        "https://gate.example.com/v1/",
        "https://gate.example.com//x",
        "https://gate.example.com?x=1",
        "https://gate.example.com/#x",
        "https://me:secret@gate.example.com",
        "https://gate example",
    ] {
        for command in ["serve", "doctor"] {
            let mut command = books.command(&[command, "--port", "0"]);
            let output = command.env("TOLLGATE_PUBLIC_URL", bad).output().await.expect("it runs");
            let said = String::from_utf8(output.stderr).expect("text");
            let named = "TOLLGATE_PUBLIC_URL: expected a URL such as https://gate.example.com";
            assert!(!output.status.success() && said.contains(named), "{bad}: {said}");
        }
    }
    for (good, base) in [
        ("https://gate.example.com/", "https://gate.example.com"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:3000//", "http://[::1]:3000"),
        ("https://example.com/gate/", "https://example.com/gate"),
    ] {
        let mut command = books.command(&["openapi", "--public-url", good]);
        let output = command.output().await.expect("it runs");
        let described: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(described["servers"][0]["url"], base);
    }
}

/// Without certificates no provider can be called; and what is usual is no mistake.
#[tokio::test]
async fn doctor_looks_for_certificates() {
    let books = Books::sqlite();
    books.add_user("ada").await;
    let mut settings = vec![
        ("ANTHROPIC_API_KEY", "sk-ant-x"),
        ("RUST_LOG", "info,sqlx=warn,gateway::reload"),
        ("SSL_CERT_FILE", "no-such-file"),
        ("SSL_CERT_DIR", "no-such-folder"),
    ];
    let (ended_well, said) = doctor(&books, &settings).await;
    assert!(!ended_well && said.contains("certificates"), "{said}");
    settings.truncate(2);
    let (ended_well, said) = doctor(&books, &settings).await;
    let odd = ["certificates", "is no level", "as a key of"];
    assert!(ended_well && odd.iter().all(|odd| !said.contains(odd)), "{said}");
}

/// With what the program does not start, `doctor` does not end well, and both say which setting it is.
#[tokio::test]
async fn doctor_fails_where_serve_does_not_start() {
    const COLLECTOR: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    let books = Books::sqlite();
    books.add_user("ada").await;
    for settings in [
        &[("OTEL_EXPORTER_OTLP_HEADERS", "foo"), COLLECTOR][..],
        &[("OTEL_EXPORTER_OTLP_HEADERS", "a b=c"), COLLECTOR],
        &[("OTEL_TRACES_SAMPLER", "foo"), COLLECTOR],
        &[("OTEL_TRACES_SAMPLER_ARG", "2"), COLLECTOR],
        &[("OTEL_RESOURCE_ATTRIBUTES", "foo"), COLLECTOR],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318")],
        &[("TOLLGATE_CAPTURE_KEYS", "foo")],
        &[("TOLLGATE_CAPTURE_DIR", "tollgate.db/recordings")],
        &[("TOLLGATE_CORS_ORIGINS", "https://a.example/path")],
        &[("TOLLGATE_CORS_ORIGINS", "https://a.example,foo")],
        &[("TOLLGATE_METRICS_ADDR", "localhost")],
        &[("TOLLGATE_OIDC_ISSUER", "https://login.example.com")],
        &[("SUPABASE_URL", "x.supabase.co")],
        &[("REDIS_URL", "http://127.0.0.1")],
        &[("TOLLGATE_MASTER_KEY", "short")],
    ] {
        let name = settings[0].0;
        let mut command = books.command(&["serve", "--port", "0"]);
        let output = command.envs(settings.iter().copied()).output().await.expect("it runs");
        let refused = String::from_utf8(output.stderr).expect("text");
        assert!(!output.status.success() && refused.contains(name), "{settings:?}: {refused}");
        let (ended_well, said) = doctor(&books, settings).await;
        assert!(!ended_well && said.contains(name), "{settings:?}: {said}");
    }
    // Meant for other programs, perhaps.
    let (ended_well, said) = doctor(&books, &[("OTEL_TRACES_SAMPLER", "foo")]).await;
    assert!(ended_well && said.contains("OTEL_TRACES_SAMPLER: expected"), "{said}");
    let origins = "https://App.example/, http://localhost:5173,chrome-extension://abc,";
    for good in
        [("TOLLGATE_CORS_ORIGINS", origins), ("TOLLGATE_PUBLIC_URL", "https://a.example/gate")]
    {
        let (ended_well, said) = doctor(&books, &[good]).await;
        assert!(ended_well, "{said}");
    }
}

/// A name that is no setting's does nothing, which costs money where it was meant to.
#[tokio::test]
async fn mistyped_names_are_told() {
    let books = Books::sqlite();
    let file = books.folder.path().join("gate.env");
    let text = "TOLLGATE_RETRYS=1\nTOLLGATE_RETRIES=2\nTOLLGATE_RETRIES=3\nTOLLGATE_NOTHING_LIKE_THIS=secret\nELSE=1\n";
    std::fs::write(&file, text).expect("written");
    let path = file.to_str().expect("text").to_owned();
    let start = Start::default()
        .set("TOLLGATE_ENV_FILE", path.clone())
        .set("TOLLGATE_COMMISION_BPS", "700")
        .set("TOLLGATE_PORT_3000_TCP_ADDR", "10.0.0.1")
        .set("TOLLGATE_SERVICE_HOST", "10.0.0.1")
        .set("TOLLGATE_PORT", "tcp://10.0.0.1:3000");
    let settings = start.settings.clone();
    let expected = [
        "the environment: TOLLGATE_COMMISION_BPS is no setting and does nothing; TOLLGATE_COMMISSION_BPS?".to_owned(),
        format!("{path}: TOLLGATE_RETRYS is no setting and does nothing; TOLLGATE_RETRIES?"),
        format!("{path}: TOLLGATE_RETRIES is set more than once; the first counts"),
        format!("{path}: TOLLGATE_NOTHING_LIKE_THIS is no setting and does nothing"),
    ];
    let mut app = App::start_on(books, start).await;
    let settings: Vec<(&str, &str)> =
        settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (ended_well, said) = doctor(&app.books, &settings).await;
    assert!(ended_well && said.matches("mistyped").count() == expected.len(), "{said}");
    assert!(!said.contains("secret"), "{said}");
    let log = app.log().await;
    for sentence in &expected {
        assert!(said.contains(sentence) && log.contains(sentence), "{sentence}: {said}{log}");
    }
    assert_eq!(log.matches("looks mistyped").count(), expected.len(), "{log}");
    std::fs::write(&file, "TOLLGATE_RETRIES=2\nTOLLGATE_BODY_LIMIT=1\n").expect("written");
    app.signal("HUP").await;
    let again = "TOLLGATE_BODY_LIMIT is no setting";
    until("the file is read again", || app.written_log().contains(again)).await;
    assert_eq!(app.log().await.matches("TOLLGATE_COMMISION_BPS").count(), 2);
    assert_eq!(app.written_log().matches("TOLLGATE_RETRYS").count(), 1);
    app.finish().await;
    app.books.remove().await;
}
