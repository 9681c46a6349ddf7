//! What is refused: with the right status, in words that help, and before anything is sent or charged.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::app::{Answer, App, Start, USER};
use crate::books::Books;
use crate::chat::say;

/// Sends one request that has to be refused with this status and code, in words that begin and go on like this.
async fn refuses(request: RequestBuilder, status: u16, code: &str, words: &[&str]) {
    let what = format!("{:?}", request.try_clone().map(RequestBuilder::build));
    let answer = Answer::of(request).await;
    assert_eq!((answer.status, answer.code()), (status, code), "{} for {what}", answer.body);
    let shape = json!({ "error": { "code": answer.code(), "message": answer.message() } });
    assert_eq!(answer.body, shape, "nothing but the documented fields");
    let message = answer.message();
    assert!(message.starts_with(words[0]), "{message:?} does not begin with {:?}", words[0]);
    for word in words {
        assert!(message.contains(word), "{message:?} does not say {word:?}");
    }
    assert!(message.len() < 400, "{message:?} is too long");
    assert!(!answer.header("x-request-id").is_empty());
}

/// Nothing was sent, nothing was charged.
async fn nothing_happened(app: App) {
    assert_eq!(app.simulator.count(), 0, "a provider was asked");
    assert!(app.close().await.is_empty(), "something was charged");
}

fn with(field: &str, value: impl Into<Value>) -> Value {
    let mut chat = say("openai", "gpt-4o", "Hello");
    chat[field] = value.into();
    chat
}

#[tokio::test]
async fn names_that_are_not_known() {
    let app = App::start().await;
    let known = "openai, gemini, anthropic, deepseek";
    let cases = [
        (
            with("providerName", "mistral"),
            400,
            "unknown_provider",
            ["providerName: \"mistral\"", known],
        ),
        (
            with("providerName", "OpenAI"),
            400,
            "unknown_provider",
            ["providerName: \"OpenAI\"", known],
        ),
        (with("providerName", ""), 400, "unknown_provider", ["providerName: \"\"", known]),
        (with("model_name", "gpt-999"), 404, "unknown_model", ["model_name: ", "\"gpt-999\""]),
        (with("model_name", ""), 404, "unknown_model", ["model_name: ", "\"\""]),
        (with("model_name", "gpt-4o "), 404, "unknown_model", ["model_name: ", "\"gpt-4o \""]),
        (
            with("model_name", "claude-sonnet-4-5"),
            404,
            "unknown_model",
            ["model_name: openai has no", "claude"],
        ),
        (
            with("model_name", "anthropic/claude-sonnet-4-5"),
            404,
            "unknown_model",
            ["model_name: ", "anthropic/"],
        ),
        (with("model_name", "../../v1/files"), 404, "unknown_model", ["model_name: ", "../"]),
        (with("model_name", "x".repeat(10_000)), 404, "unknown_model", ["model_name: ", "…"]),
        // In the list, but with no price for text that is generated.
        (
            with("model_name", "tts-1"),
            400,
            "unpriced_model",
            ["model_name: openai/tts-1", "no price"],
        ),
    ];
    for (chat, status, code, words) in cases {
        refuses(app.chat(&chat), status, code, &words).await;
    }
    nothing_happened(app).await;
}

/// Every field with every kind of value that it cannot have.
#[tokio::test]
async fn wrong_types_of_every_field() {
    let app = App::start().await;
    let text = ("expected a string", vec![json!(5), json!(1.5), json!(true), json!([]), json!({})]);
    let needed = ("expected a string", vec![json!(null)]);
    let number = json!(5);
    let kinds = [
        ("providerName", text.clone()),
        ("providerName", needed.clone()),
        ("model_name", text.clone()),
        ("model_name", needed),
        ("message", text.clone()),
        ("system", text),
        ("messages", ("expected a list", vec![number.clone(), json!("x"), json!(true), json!({})])),
        ("messages[0]", ("expected an object", vec![json!([5]), json!(["x"]), json!([null])])),
        (
            "max_tokens",
            (
                "expected a whole number",
                vec![json!("5"), json!(true), json!([]), json!({}), json!(1.5), json!(5.0)],
            ),
        ),
        ("temperature", ("expected a number", vec![json!("1"), json!(true), json!([]), json!({})])),
        ("stream", ("expected true or false", vec![json!("true"), number, json!(0), json!([])])),
    ];
    for (field, (wanted, values)) in kinds {
        let name = field.trim_end_matches("[0]");
        for value in values {
            let words = [&format!("{field}: "), wanted, "not "];
            refuses(app.chat(&with(name, value)), 400, "invalid_request", &words).await;
        }
    }
    let message =
        |message: Value| with("messages", json!([{ "role": "user", "content": "Hi" }, message]));
    let cases = [
        (json!({ "role": 5, "content": "x" }), "messages[1].role: expected"),
        (
            json!({ "role": "tool", "content": "x" }),
            "messages[1].role: expected system, user or assistant, not \"tool\"",
        ),
        (json!({ "role": "user", "content": 5 }), "messages[1].content: expected a string"),
        (json!({ "role": "user", "content": ["x"] }), "messages[1].content: expected a string"),
        (json!({ "role": "user" }), "messages[1].content: is missing"),
        (json!({ "content": "x" }), "messages[1].role: is missing"),
        (
            json!({ "role": "user", "content": "x", "name": "y" }),
            "messages[1].name: there is no such field",
        ),
    ];
    for (wrong, words) in cases {
        refuses(app.chat(&message(wrong)), 400, "invalid_request", &[words]).await;
    }
    nothing_happened(app).await;
}

#[tokio::test]
async fn values_that_make_no_sense() {
    let app = App::start().await;
    let user = json!({ "role": "user", "content": "Hi" });
    let assistant = json!({ "role": "assistant", "content": "Yes?" });
    let mut unsaid = with("messages", json!([user, assistant]));
    unsaid.as_object_mut().expect("an object").remove("message");
    let cases = [
        (with("message", ""), "message: is empty"),
        (with("message", " \n\t "), "message: is empty"),
        (with("message", Value::Null), "message: is missing"),
        (unsaid, "messages: the last one has to be the user's"),
        (
            with("messages", json!([{ "role": "user", "content": "" }])),
            "messages[0].content: is empty",
        ),
        (with("max_tokens", 0), "max_tokens: expected a whole number from 1 to 16384"),
        (with("max_tokens", -1), "max_tokens: expected a whole number"),
        (with("max_tokens", 1e30), "max_tokens: expected a whole number"),
        (with("max_tokens", u64::MAX), "max_tokens: expected a whole number from 1 to 16384"),
        (with("max_tokens", i64::MIN), "max_tokens: expected a whole number"),
        (with("temperature", 3), "temperature: expected a number from 0 to 2"),
        (with("temperature", -0.1), "temperature: expected a number from 0 to 2"),
        (with("temperature", 1e300), "temperature: expected a number from 0 to 2"),
        (with("top_p", 1), "top_p: there is no such field"),
        (with("model", "gpt-4o"), "model: there is no such field"),
    ];
    for (chat, words) in cases {
        refuses(app.chat(&chat), 400, "invalid_request", &[words]).await;
    }
    for missing in ["providerName", "model_name", "message"] {
        let mut chat = say("openai", "gpt-4o", "Hello");
        chat.as_object_mut().expect("an object").remove(missing);
        let words = format!("{missing}: is missing");
        refuses(app.chat(&chat), 400, "invalid_request", &[&words]).await;
    }
    nothing_happened(app).await;
}

#[tokio::test]
async fn bodies_that_are_no_json_object() {
    let app = App::start().await;
    let whole = say("openai", "gpt-4o", "Hello").to_string();
    let with_text = |text: &str| whole.replace('}', &format!(", {text}}}"));
    let invalid_utf8 =
        whole.clone().into_bytes().iter().map(|b| if *b == b'H' { 0xff } else { *b }).collect();
    let deep = format!("{}{}", r#"{"messages":"#, "[".repeat(100_000));
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "the request body is empty"),
        (b"  \r\n".to_vec(), "the request body is empty"),
        (b"hello".to_vec(), "the request body: not valid JSON"),
        (b"null".to_vec(), "the request body: expected an object"),
        (b"5".to_vec(), "the request body: expected an object"),
        (b"\"text\"".to_vec(), "the request body: expected an object"),
        (
            br#"["openai","gpt-4o","Hello",null,null,null,null,null]"#.to_vec(),
            "the request body: expected an object, not a list",
        ),
        (b"{".to_vec(), "the request body: not valid JSON"),
        (whole[..whole.len() - 1].into(), "the request body: not valid JSON"),
        (whole[..whole.len() - 3].into(), "providerName: not valid JSON"),
        (format!("{whole}{whole}").into(), "the request body: not valid JSON: trailing characters"),
        (with_text(r#""temperature":NaN"#).into(), "temperature: not valid JSON"),
        (with_text(r#""temperature":-Infinity"#).into(), "temperature: not valid JSON"),
        (
            with_text(r#""temperature":1e999"#).into(),
            "temperature: not valid JSON: number out of range",
        ),
        (
            with_text(r#""max_tokens":1e999"#).into(),
            "max_tokens: not valid JSON: number out of range",
        ),
        (
            with_text(r#""max_tokens":99999999999999999999999999"#).into(),
            "max_tokens: expected a whole number",
        ),
        (with_text(r#""message":"again""#).into(), "message: is given twice"),
        (with_text(r#""model_name":"gpt-4o""#).into(), "model_name: is given twice"),
        (invalid_utf8, "message: not valid JSON: invalid unicode"),
        (deep.into(), "messages"),
        (
            b"providerName=openai&model_name=gpt-4o&message=Hello".to_vec(),
            "the request body: not valid JSON",
        ),
    ];
    for (body, words) in cases {
        let request = app.native(Method::POST, "/api/layers/chat").body(body);
        refuses(request, 400, "invalid_request", &[words]).await;
    }
    nothing_happened(app).await;
}

/// Headers, and the refusal of whoever comes with them.
type Stranger<'a> = (Vec<(&'a str, &'a str)>, u16, &'static str, &'static str);

fn strangers<'a>(ada: &'a str, bob: &'a str) -> Vec<Stranger<'a>> {
    vec![
        (vec![], 401, "missing_user", "the header user is missing"),
        (vec![("api-key", ada)], 401, "missing_user", "the header user is missing"),
        (vec![("user", ""), ("api-key", ada)], 401, "missing_user", "the header user is missing"),
        (vec![("user", USER)], 401, "missing_api_key", "the header api-key is missing"),
        (
            vec![("user", USER), ("user", "bob"), ("api-key", ada)],
            401,
            "ambiguous_user",
            "the header user is given",
        ),
        (
            vec![("user", "nobody"), ("api-key", ada)],
            401,
            "invalid_api_key",
            "this user and API key",
        ),
        (vec![("user", "ADA"), ("api-key", ada)], 401, "invalid_api_key", "this user and API key"),
        (
            vec![("user", USER), ("api-key", bob)],
            403,
            "user_mismatch",
            "this API key belongs to another user",
        ),
        (
            vec![("user", "bob"), ("api-key", ada)],
            403,
            "user_mismatch",
            "this API key belongs to another user",
        ),
    ]
}

#[tokio::test]
async fn callers_who_are_not_known() {
    let books = Books::sqlite();
    let bob = books.add_user("bob").await;
    let app = App::start_on(books, Start::default()).await;
    // Well-formed, but of another place.
    let foreign = Books::sqlite().add_user(USER).await;
    let mut typo = app.key.clone();
    let last = if typo.pop() == Some('A') { 'B' } else { 'A' };
    typo.push(last);
    let chat = say("openai", "gpt-4o", "Hello");
    let mut cases = strangers(&app.key, &bob);
    for wrong in ["", "tg-", "x", &typo, &foreign, "Bearer", &app.key[3..], &app.key[..38]] {
        let headers = vec![("user", USER), ("api-key", wrong)];
        cases.push((headers, 401, "invalid_api_key", "this user and API key"));
    }
    for (headers, status, code, words) in cases {
        for (method, path) in [
            (Method::POST, "/api/layers/chat"),
            (Method::GET, "/api/keys/list"),
            (Method::POST, "/api/keys/generate"),
            (Method::DELETE, "/api/keys/delete"),
            (Method::GET, "/api/usage/check"),
        ] {
            let mut request = app.request(method, path);
            for (name, value) in &headers {
                request = request.header(*name, *value);
            }
            refuses(request.json(&chat), status, code, &[words]).await;
        }
    }
    nothing_happened(app).await;
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist() {
    let app = App::start().await;
    for (method, path, status, code) in [
        (Method::GET, "/nothing", 404, "not_found"),
        (Method::GET, "/api", 404, "not_found"),
        (Method::POST, "/api/layers/chat/", 404, "not_found"),
        (Method::POST, "/api/layers/..%2f", 404, "not_found"),
        (Method::GET, "/api/layers/chat", 405, "method_not_allowed"),
        (Method::POST, "/api/keys/list", 405, "method_not_allowed"),
        (Method::POST, "/api/keys/delete", 405, "method_not_allowed"),
        (Method::DELETE, "/api/usage/check", 405, "method_not_allowed"),
    ] {
        refuses(app.native(method, path), status, code, &[""]).await;
    }
    nothing_happened(app).await;
}

/// Announced or not, by either version of HTTP, a body over the limit is refused, and the client gets to read why.
#[tokio::test]
async fn bodies_over_the_limit() {
    let app = App::start_with(Start::default().set("TOLLGATE_BODY_LIMIT_BYTES", "4096")).await;
    let h2 =
        reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().expect("a client");
    let words = ["the request body is larger than 4096 bytes"];
    for bytes in [4_097, 20_000, 300_000, 20_000_000] {
        let body = "x".repeat(bytes);
        let chat = || app.native(Method::POST, "/api/layers/chat");
        refuses(chat().body(body.clone()), 413, "body_too_large", &words).await;
        let url = format!("{}/api/layers/chat", app.url);
        let over_h2 = h2.post(url).header("user", USER).header("api-key", &app.key);
        refuses(over_h2.body(body), 413, "body_too_large", &words).await;
    }
    // The largest body that is taken.
    let mut chat = say("openai", "gpt-4o", "");
    let room = 4_096 - chat.to_string().len();
    chat["message"] = "x".repeat(room).into();
    assert_eq!(Answer::of(app.chat(&chat)).await.status, 200);
    chat["message"] = "x".repeat(room + 1).into();
    refuses(app.chat(&chat), 413, "body_too_large", &words).await;
    let generate = app.native(Method::POST, "/api/keys/generate").body("x".repeat(70_000));
    refuses(generate, 413, "body_too_large", &["the request body is larger than 65536"]).await;
    assert_eq!(app.close().await.len(), 1);
}

/// A refusal reaches the client although it has not been asked for its body.
#[tokio::test]
async fn a_refusal_before_the_body_is_read() {
    let app = App::start().await;
    for bytes in [100, 20_000, 300_000, 20_000_000] {
        let body = "x".repeat(bytes);
        let words = ["this user and API key are not known"];
        let wrong = app.request(Method::POST, "/api/layers/chat").header("user", USER);
        let wrong = wrong.header("api-key", "tg-wrong").body(body.clone());
        refuses(wrong, 401, "invalid_api_key", &words).await;
        let nowhere = app.native(Method::POST, "/api/nothing").body(body.clone());
        refuses(nowhere, 404, "not_found", &["there is nothing"]).await;
    }
    nothing_happened(app).await;
}

/// Neither does a head that is too long break off: its client sends all of it, and then reads the refusal.
#[tokio::test]
async fn a_head_that_is_too_long() {
    let app = App::start().await;
    let address = app.url.trim_start_matches("http://");
    for bytes in [200_000, 1_000_000, 20_000_000] {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        let key = "k".repeat(bytes);
        let head =
            format!("GET /v1/models HTTP/1.1\r\nhost: {address}\r\nx-api-key: {key}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent whole");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer and the end");
        assert!(answer.starts_with("HTTP/1.1 431 "), "{bytes}: {answer}");
    }
    nothing_happened(app).await;
}

/// Who asks before it sends its body is told no without being asked for it.
#[tokio::test]
async fn a_refusal_to_who_asks_first() {
    let app = App::start().await;
    let address = app.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let head = format!(
        "POST /api/layers/chat HTTP/1.1\r\nhost: {address}\r\nuser: {USER}\r\napi-key: tg-wrong\r\n\
         content-length: 1000\r\nexpect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer and the end");
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    nothing_happened(app).await;
}

/// A provider that the operator has not set up is known, but off.
#[tokio::test]
async fn a_provider_without_a_credential() {
    let app = App::start_with(Start::default().set("DEEPSEEK_API_KEY", "")).await;
    let chat = say("deepseek", "deepseek-v4-flash", "Hello");
    let words = ["providerName: deepseek has no credential here"];
    refuses(app.chat(&chat), 503, "provider_not_configured", &words).await;
    assert!(app.log().await.contains("DEEPSEEK_API_KEY"), "the log names the setting");
    nothing_happened(app).await;
}

/// A search that nobody can price is not asked for, in whatever words the client or the provider has for it.
#[tokio::test]
async fn searches_without_a_price() {
    let app = App::start().await;
    let hello = json!([{ "role": "user", "content": "Hello" }]);
    let tool = json!({ "type": "web_search_20250305", "name": "web_search" });
    for (path, model, more) in [
        ("/v1/messages", "gemini/gemini-1.5-pro", json!({ "max_tokens": 9, "tools": [tool] })),
        ("/v1/chat/completions", "gemini/gemini-1.5-pro", json!({ "web_search_options": {} })),
        ("/v1/chat/completions", "claude-3-haiku-20240307", json!({ "web_search_options": {} })),
    ] {
        let mut body = json!({ "model": model, "messages": hello });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        let request = app.request(Method::POST, path).bearer_auth(&app.key).json(&body);
        let answer = Answer::of(request.header("anthropic-version", "2023-06-01")).await;
        assert_eq!(answer.status, 400, "{path} {model}: {}", answer.body);
        let message = answer.body["error"]["message"].as_str().expect("a message");
        assert!(message.contains("no price for a search"), "{message}");
    }
    nothing_happened(app).await;
}
