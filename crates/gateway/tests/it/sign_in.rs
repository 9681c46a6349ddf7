//! Signing in: sessions and their cookies, forms and who may send them, addresses that work once.

use std::process::Stdio;

use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use tokio::io::AsyncWriteExt as _;

use crate::app::{App, Start, USER};
use crate::books::Books;

const PASSWORD: &str = "correct horse battery";

/// One test on each engine.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                Box::pin(super::$name(crate::books::Books::sqlite())).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                let name = concat!("in_", stringify!($name));
                if let Some(books) = crate::books::Books::postgres(name).await {
                    Box::pin(super::$name(books)).await;
                }
            })*
        }
    };
}
pub(crate) use on_both;

on_both! {
    the_life_of_a_session
    a_session_is_new_at_each_sign_in
    sessions_end_by_themselves
    a_form_without_its_word_does_nothing
    another_password_ends_the_other_sessions
    who_is_shut_out_is_out
    who_comes_and_who_is_refused_is_in_the_log
    the_first_operator
    an_address_to_choose_a_password
}

impl Books {
    /// Gives a user a password, as an operator does.
    pub(crate) async fn set_password(&self, user: &str, password: &str) {
        let arguments = ["user", "password", user, "--stdin"];
        let mut command = self.command(&arguments);
        let mut process = command.stdin(Stdio::piped()).spawn().expect("the program starts");
        let mut stdin = process.stdin.take().expect("its input");
        stdin.write_all(format!("{password}\n").as_bytes()).await.expect("written");
        drop(stdin);
        let status = process.wait().await.expect("an end");
        assert!(status.success(), "{arguments:?} ended with {status}");
    }
}

/// A browser: it keeps cookies and goes where it is sent only when it is told to.
pub(crate) struct Browser {
    client: Client,
    url: String,
    /// Name and value.
    pub(crate) cookies: Vec<(String, String)>,
}

/// What a browser was answered.
pub(crate) struct Shown {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Shown {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// The value of a hidden field.
    fn field(&self, name: &str) -> &str {
        let rest = self.text.split_once(&format!("name=\"{name}\" value=\""));
        rest.and_then(|(_, rest)| rest.split_once('"')).map_or("", |(value, _)| value)
    }
}

impl Browser {
    pub(crate) fn at(app: &App) -> Self {
        let client = Client::builder().redirect(Policy::none()).no_proxy().build();
        let client = client.expect("a client");
        Self { client, url: app.url.clone(), cookies: Vec::new() }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        let pairs: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if pairs.is_empty() { request } else { request.header("cookie", pairs.join("; ")) }
    }

    pub(crate) async fn send(&mut self, request: RequestBuilder) -> Shown {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        for line in headers.get_all("set-cookie") {
            let (pair, _) = line.to_str().expect("ASCII").split_once(';').expect("attributes");
            let (name, value) = pair.split_once('=').expect("a pair");
            self.cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        let text = response.text().await.expect("a whole answer");
        Shown { status: status.as_u16(), headers, text }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Shown {
        self.send(self.request(Method::GET, path)).await
    }

    async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Shown {
        self.send(form(self.request(Method::POST, path), fields)).await
    }

    async fn sign_in(&mut self, user: &str, password: &str) -> Shown {
        self.post("/sign-in", &[("user", user), ("password", password)]).await
    }

    /// The word of the session, from a page.
    async fn csrf(&mut self) -> String {
        let page = self.get("/account/password").await;
        assert_eq!(page.status, 200, "{}", page.text);
        page.field("csrf").to_owned()
    }

    /// Whether it is signed in.
    pub(crate) async fn is_in(&mut self) -> bool {
        let page = self.get("/account/password").await;
        if page.status == 200 {
            return true;
        }
        let to = page.header("location").to_owned();
        assert_eq!((page.status, to.as_str()), (303, "/sign-in?next=%2Faccount%2Fpassword"));
        false
    }

    fn session(&self) -> &str {
        let found = self.cookies.iter().find(|(name, _)| name.ends_with("tollgate"));
        found.map_or("", |(_, value)| value)
    }
}

fn form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let body = serde_urlencoded::to_string(fields).expect("a form");
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

async fn with_password(books: Books) -> App {
    with_settings(books, Start::default()).await
}

async fn with_settings(books: Books, start: Start) -> App {
    let app = App::start_on(books, start).await;
    app.books.set_password(USER, PASSWORD).await;
    app
}

async fn the_life_of_a_session(books: Books) {
    let app = with_password(books).await;
    let mut browser = Browser::at(&app);
    assert!(!browser.is_in().await);
    let refused = browser.sign_in(USER, "correct horse batterz").await;
    assert_eq!((refused.status, refused.header("set-cookie")), (401, ""));
    let unknown = browser.sign_in("nobody", PASSWORD).await;
    let known = refused.text.replace(USER, "nobody");
    assert_eq!((unknown.status, unknown.text), (401, known), "the same for a name that is none");

    let entered = browser.sign_in(USER, PASSWORD).await;
    assert_eq!((entered.status, entered.header("location")), (303, "/"));
    let cookie = entered.header("set-cookie");
    let (pair, attributes) = cookie.split_once("; ").expect("attributes");
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax; Max-Age=604800");
    let token = pair.strip_prefix("tollgate=").expect("the session's cookie");
    assert_eq!(token.len(), 64);
    assert!(browser.is_in().await);

    let csrf = browser.csrf().await;
    let out = browser.post("/sign-out", &[("csrf", &csrf)]).await;
    assert_eq!((out.status, out.header("location")), (303, "/sign-in"));
    assert!(out.header("set-cookie").contains("Max-Age=0"), "{}", out.header("set-cookie"));
    assert!(browser.cookies.is_empty());
    browser.cookies.push(("tollgate".to_owned(), token.to_owned()));
    assert!(!browser.is_in().await, "the session itself is over");
    app.close().await;
}

async fn who_comes_and_who_is_refused_is_in_the_log(books: Books) {
    let app = with_password(books).await;
    let mut browser = Browser::at(&app);
    for _ in 0..3 {
        assert_eq!(browser.sign_in(USER, "wrong horse battery").await.status, 401);
    }
    // A password in the wrong field is kept nowhere.
    for typed in ["my secret horse", "my other secret", "house"] {
        assert_eq!(browser.sign_in(typed, PASSWORD).await.status, 401);
    }
    assert_eq!(browser.sign_in(USER, PASSWORD).await.status, 303);
    let csrf = browser.csrf().await;
    let wrong = [
        ("csrf", csrf.as_str()),
        ("current", "wrong horse"),
        ("password", PASSWORD),
        ("again", PASSWORD),
    ];
    assert_eq!(browser.post("/account/password", &wrong).await.status, 403);
    browser.post("/sign-out", &[("csrf", &csrf)]).await;

    let acts = crate::console::acts(&app).await;
    let of = |action: &str| -> Vec<&store::Act> {
        acts.iter().filter(|act| act.action == action).collect()
    };
    let [begun] = of("session.begin")[..] else { panic!("{acts:?}") };
    assert_eq!((begun.actor.as_str(), begun.target.as_str()), (USER, &*format!("person {USER}")));
    let detail: serde_json::Value = serde_json::from_str(&begun.detail).expect("JSON");
    assert_eq!((&detail["by"], &detail["from"]), (&"password".into(), &"127.0.0.1".into()));
    let [ended] = of("session.end")[..] else { panic!("{acts:?}") };
    assert_eq!((ended.actor.as_str(), ended.target.as_str()), (USER, &*format!("person {USER}")));
    let failed = of("session.fail");
    // One for each name and each way, or two where a minute has ended meanwhile.
    assert!((3..=6).contains(&failed.len()), "{failed:?}");
    for (target, by) in [
        (format!("person {USER}"), "password"),
        ("nobody known here".to_owned(), "password"),
        (format!("person {USER}"), "change of password"),
    ] {
        let by = format!("\"by\":\"{by}\"");
        let found = failed.iter().any(|act| act.target == target && act.detail.contains(&by));
        assert!(found, "{target} {by}: {failed:?}");
    }
    assert!(failed.iter().all(|act| act.actor == "somebody" && act.detail.contains("127.0.0.1")));
    let all = format!("{acts:?}");
    for secret in [PASSWORD, "horse", "my other secret", browser.session()] {
        assert!(secret.is_empty() || !all.contains(secret), "{secret}: {all}");
    }
    app.close().await;
}

/// Behind TLS no other host, and no page without TLS, can set the cookie.
#[tokio::test]
async fn the_cookie_behind_tls() {
    let start = Start::default().set("TOLLGATE_PUBLIC_URL", "https://gate.example.com");
    let app = with_settings(Books::sqlite(), start).await;
    let mut browser = Browser::at(&app);
    let entered = browser.sign_in(USER, PASSWORD).await;
    let cookie = entered.header("set-cookie");
    assert!(cookie.starts_with("__Host-tollgate="), "{cookie}");
    assert!(
        cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Max-Age=604800; Secure"),
        "{cookie}"
    );
    assert_eq!(entered.header("strict-transport-security"), "max-age=63072000");
    assert!(browser.is_in().await);
    let token = browser.session().to_owned();
    browser.cookies = vec![("tollgate".to_owned(), token)];
    assert!(!browser.is_in().await, "under a name that others could have set");
    app.close().await;
}

/// Without a public address, even an empty one, what is shown names the address that the browser has used.
#[tokio::test]
async fn the_address_that_is_shown() {
    for (public, shown) in
        [("", None), ("https://gate.example.com/", Some("https://gate.example.com"))]
    {
        let start = Start::default().set("TOLLGATE_PUBLIC_URL", public);
        let app = with_settings(Books::sqlite(), start).await;
        let mut browser = Browser::at(&app);
        browser.sign_in(USER, PASSWORD).await;
        let page = browser.get("/connect").await;
        assert_eq!(page.status, 200);
        let base = format!("base_url=&#34;{}/v1&#34;", shown.unwrap_or(&app.url));
        assert!(page.text.contains(&base), "{base}: {}", page.text);
        app.close().await;
    }
}

async fn a_session_is_new_at_each_sign_in(books: Books) {
    let app = with_password(books).await;
    let mut browser = Browser::at(&app);
    let planted = "a".repeat(64);
    browser.cookies.push(("tollgate".to_owned(), planted.clone()));
    browser.sign_in(USER, PASSWORD).await;
    let first = browser.session().to_owned();
    assert_ne!(first, planted, "what somebody else has put there");
    let again = browser.sign_in(USER, PASSWORD).await;
    assert_eq!(again.status, 303);
    assert_ne!(browser.session(), first);
    assert!(browser.is_in().await);
    let mut old = Browser::at(&app);
    for token in [first, planted] {
        old.cookies = vec![("tollgate".to_owned(), token)];
        assert!(!old.is_in().await);
    }
    app.close().await;
}

async fn sessions_end_by_themselves(books: Books) {
    let app = with_password(books).await;
    let mut browser = Browser::at(&app);
    // Not used for longer than twelve hours; a minute less; older than it may be.
    for (column, seconds, holds) in [
        ("seen_at", 12 * 3_600 + 1, false),
        ("seen_at", 12 * 3_600 - 60, true),
        ("expires_at", 7 * 24 * 3_600 + 1, false),
        ("expires_at", 7 * 24 * 3_600 - 60, true),
    ] {
        browser.sign_in(USER, PASSWORD).await;
        assert!(browser.is_in().await);
        let earlier = i64::from(seconds) * 1_000_000;
        app.books
            .shell(&format!("UPDATE tollgate.sessions SET {column} = {column} - {earlier}"))
            .await;
        assert_eq!(browser.is_in().await, holds, "{column} {seconds} s ago");
    }
    app.close().await;
}

async fn a_form_without_its_word_does_nothing(books: Books) {
    books.add_user("bob").await;
    books.set_password("bob", PASSWORD).await;
    let app = with_password(books).await;
    let (mut ada, mut bob) = (Browser::at(&app), Browser::at(&app));
    ada.sign_in(USER, PASSWORD).await;
    bob.sign_in("bob", PASSWORD).await;
    let (right, foreign) = (ada.csrf().await, bob.csrf().await);
    assert!(right.len() == 64 && right != foreign && right != ada.session());
    let another = "another horse battery";
    let fields = |csrf| {
        let chosen = [("current", PASSWORD), ("password", another), ("again", another)];
        [("csrf", csrf), chosen[0], chosen[1], chosen[2]]
    };
    let cut = &right[..63];
    let token = ada.session().to_owned();
    for word in ["", "x", cut, &foreign, &token] {
        let answer = ada.post("/account/password", &fields(word)).await;
        assert_eq!(answer.status, 403, "{word}");
        let answer = ada.post("/sign-out", &[("csrf", word)]).await;
        assert_eq!(answer.status, 403, "{word}");
    }
    let without = ada.post("/account/password", &fields("")[1..]).await;
    assert_eq!(without.status, 403);
    assert!(ada.is_in().await, "nothing was done");
    let mut browser = Browser::at(&app);
    assert_eq!(browser.sign_in(USER, another).await.status, 401);
    assert_eq!(browser.sign_in(USER, PASSWORD).await.status, 303, "nothing was changed");
    // The header does as well as the field.
    let request = form(ada.request(Method::POST, "/account/password"), &fields("")[1..]);
    let answer = ada.send(request.header("x-csrf-token", &right)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    app.close().await;
}

async fn another_password_ends_the_other_sessions(books: Books) {
    let app = with_password(books).await;
    let (mut here, mut there) = (Browser::at(&app), Browser::at(&app));
    here.sign_in(USER, PASSWORD).await;
    there.sign_in(USER, PASSWORD).await;
    let csrf = here.csrf().await;
    let another = "another horse battery";
    for (current, password, again, status, words) in [
        ("wrong horse battery", another, another, 403, "That is not your present password."),
        (PASSWORD, "too short", "too short", 400, "at least 12 characters"),
        (PASSWORD, another, "one more battery", 400, "not the same"),
    ] {
        let fields = [
            ("csrf", csrf.as_str()),
            ("current", current),
            ("password", password),
            ("again", again),
        ];
        let answer = here.post("/account/password", &fields).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert!(answer.text.contains(words), "{}", answer.text);
    }
    assert!(there.is_in().await);
    let fields =
        [("csrf", csrf.as_str()), ("current", PASSWORD), ("password", another), ("again", another)];
    let changed = here.post("/account/password", &fields).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert!(here.is_in().await && !there.is_in().await);
    assert_eq!(there.sign_in(USER, PASSWORD).await.status, 401);
    assert_eq!(there.sign_in(USER, another).await.status, 303);
    // From the command line it ends all of them.
    app.books.set_password(USER, PASSWORD).await;
    assert!(!here.is_in().await && !there.is_in().await);
    app.close().await;
}

async fn who_is_shut_out_is_out(books: Books) {
    let app = with_password(books).await;
    let mut browser = Browser::at(&app);
    browser.sign_in(USER, PASSWORD).await;
    app.books.cli(&["user", "disable", USER]).await;
    assert!(!browser.is_in().await, "a session ends");
    let refused = browser.sign_in(USER, PASSWORD).await;
    assert_eq!(refused.status, 401);
    assert!(refused.text.contains("There is no such user with that password."));
    app.books.cli(&["user", "enable", USER]).await;
    assert!(!browser.is_in().await, "it does not come back");
    assert_eq!(browser.sign_in(USER, PASSWORD).await.status, 303);
    app.close().await;
}

/// The path of an address.
fn path(link: &str) -> String {
    let (_, rest) = link.split_once("://").expect("a URL");
    format!("/{}", rest.split_once('/').expect("a path").1)
}

async fn the_first_operator(books: Books) {
    let mut app = App::start_on(books, Start::default()).await;
    let welcome = |log: &str| {
        let found = log.split_whitespace().rev().find(|word| word.contains("/welcome/"));
        path(found.expect("the address").trim_start_matches("link=").trim_matches('"'))
    };
    let first = welcome(&app.log().await);
    app.restart().await;
    let second = welcome(&app.log().await);
    assert_ne!(first, second);
    let mut browser = Browser::at(&app);
    assert_eq!(browser.get(&first).await.status, 404, "the newest address alone");
    assert_eq!(browser.get(&format!("/welcome/{}", "0".repeat(64))).await.status, 404);
    assert_eq!(browser.get(&second).await.status, 200);
    let fields = |user, password, again| [("user", user), ("password", password), ("again", again)];
    for (user, password, words) in [
        ("a b", PASSWORD, "expected 1 to 100 letters"),
        (USER, PASSWORD, "Somebody has that name already."),
        ("eve", "short", "at least 12 characters"),
    ] {
        let answer = browser.post(&second, &fields(user, password, password)).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert!(answer.text.contains(words), "{}", answer.text);
    }
    let cross = form(browser.request(Method::POST, &second), &fields("eve", PASSWORD, PASSWORD));
    let cross = browser.send(cross.header("sec-fetch-site", "cross-site")).await;
    assert_eq!(cross.status, 403);
    let made = browser.post(&second, &fields("eve", PASSWORD, PASSWORD)).await;
    assert_eq!((made.status, made.header("location")), (303, "/"), "{}", made.text);
    assert!(browser.is_in().await);
    let users = app.books.cli_json(&["user", "list"]).await;
    let eve = users.as_array().and_then(|all| all.iter().find(|user| user["name"] == "eve"));
    assert_eq!(eve.map(|eve| &eve["operator"]), Some(&true.into()), "{users}");
    let again = browser.post(&second, &fields("mallory", PASSWORD, PASSWORD)).await;
    assert_eq!(again.status, 404, "it works once");
    let lines = app.log().await.matches("/welcome/").count();
    app.restart().await;
    assert_eq!(app.log().await.matches("/welcome/").count(), lines, "there is an operator");
    app.close().await;
}

/// An address that nobody used in its day works no more, nor one that is not used while somebody else makes an operator.
#[tokio::test]
async fn the_welcome_ends() {
    let app = App::start().await;
    let log = app.log().await;
    let link = log.split_whitespace().find(|word| word.contains("/welcome/")).expect("the address");
    let link = path(link.trim_start_matches("link=").trim_matches('"'));
    let mut browser = Browser::at(&app);
    assert_eq!(browser.get(&link).await.status, 200);
    app.books.cli(&["user", "add", "eve", "--operator"]).await;
    assert_eq!(browser.get(&link).await.status, 404);
    let fields = [("user", "mallory"), ("password", PASSWORD), ("again", PASSWORD)];
    assert_eq!(browser.post(&link, &fields).await.status, 404);
    app.books.cli(&["user", "operator", "eve", "--no"]).await;
    assert_eq!(browser.get(&link).await.status, 200);
    app.books.shell("UPDATE tollgate.links SET expires_at = expires_at - 86400000001").await;
    assert_eq!(browser.get(&link).await.status, 404);
    assert_eq!(browser.post(&link, &fields).await.status, 404);
    app.close().await;
}

async fn an_address_to_choose_a_password(books: Books) {
    let start = Start::default().set("TOLLGATE_PUBLIC_URL", "http://gate.example/");
    let app = App::start_on(books, start).await;
    let link = async || {
        let mut command = app.books.command(&["user", "password", USER]);
        let output = command.env("TOLLGATE_PUBLIC_URL", "http://gate.example/").output().await;
        let text = String::from_utf8(output.expect("the program runs").stdout).expect("text");
        let text = text.trim().to_owned();
        assert!(text.starts_with("http://gate.example/password/"), "{text}");
        path(&text)
    };
    let (one, other) = (link().await, link().await);
    let mut browser = Browser::at(&app);
    let page = browser.get(&one).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("For <strong>ada</strong>"), "{}", page.text);
    let fields = |password, again| [("password", password), ("again", again)];
    let short = browser.post(&one, &fields("elevenchars", "elevenchars")).await;
    assert_eq!(short.status, 400, "and the address holds");
    let chosen = browser.post(&one, &fields(PASSWORD, PASSWORD)).await;
    assert_eq!((chosen.status, chosen.header("location")), (303, "/"));
    assert!(browser.is_in().await);
    for used in [&one, &other] {
        assert_eq!(browser.get(used).await.status, 404, "used, or in vain");
        let again = browser.post(used, &fields(PASSWORD, PASSWORD)).await;
        assert_eq!(again.status, 404);
    }
    assert_eq!(Browser::at(&app).sign_in(USER, PASSWORD).await.status, 303);
    // Nobody who is shut out comes in by it.
    let late = link().await;
    app.books.cli(&["user", "disable", USER]).await;
    assert_eq!(browser.get(&late).await.status, 404);
    app.close().await;
}

/// Nothing on a page comes from elsewhere or stands in its text, and what somebody typed is text.
#[tokio::test]
async fn pages_protect_themselves() {
    let app = with_password(Books::sqlite()).await;
    let mut browser = Browser::at(&app);
    let typed = "\"><script>alert(1)</script>";
    let (welcome, nothing) = ("/sign-in", "/password/x");
    let pages = [
        browser.get(welcome).await,
        browser.get(nothing).await,
        browser.get("/welcome/x").await,
        browser.sign_in(typed, PASSWORD).await,
        browser.sign_in(USER, PASSWORD).await,
        browser.get("/account/password").await,
    ];
    for page in &pages {
        let policy = page.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.split("; ").any(|known| known == part), "{part}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cache-control", "no-store"),
            ("x-frame-options", "DENY"),
            ("strict-transport-security", ""),
        ] {
            assert_eq!(page.header(name), value, "{name}");
        }
        assert!(!page.text.contains("<script") && !page.text.contains("style="), "{}", page.text);
    }
    assert!(pages[3].text.contains("&#60;script") || pages[3].text.contains("&lt;script"));
    app.close().await;
}

#[tokio::test]
async fn nobody_is_led_to_another_site() {
    let app = with_password(Books::sqlite()).await;
    for (next, to) in [
        ("/keys?page=2", "/keys?page=2"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("", "/"),
    ] {
        let mut browser = Browser::at(&app);
        let fields = [("user", USER), ("password", PASSWORD), ("next", next)];
        let entered = browser.post("/sign-in", &fields).await;
        assert_eq!((entered.status, entered.header("location")), (303, to), "{next:?}");
    }
    let mut browser = Browser::at(&app);
    let page = browser.get("/sign-in?next=%2F%2Fevil.example").await;
    assert_eq!(page.field("next"), "/");
    app.close().await;
}

#[tokio::test]
async fn only_our_own_pages_sign_anybody_in() {
    let app = with_password(Books::sqlite()).await;
    let fields = [("user", USER), ("password", PASSWORD)];
    for (name, value, status) in [
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("sec-fetch-site", "same-origin", 303),
        ("origin", &app.url, 303),
    ] {
        let mut browser = Browser::at(&app);
        let request = form(browser.request(Method::POST, "/sign-in"), &fields);
        let answer = browser.send(request.header(name, value)).await;
        assert_eq!(answer.status, status, "{name}: {value}");
        assert_eq!(browser.cookies.is_empty(), status == 403);
    }
    app.close().await;
}

#[tokio::test]
async fn nobody_tries_passwords_by_the_hundred() {
    let app = with_password(Books::sqlite()).await;
    let mut browser = Browser::at(&app);
    let mut tries = 0;
    let over = loop {
        let answer = browser.sign_in(USER, "wrong horse battery").await;
        if answer.status != 401 {
            break answer;
        }
        tries += 1;
        // One more is let through every six seconds, and hashing may take long here.
        assert!(tries < 30, "nobody minds");
    };
    assert!(tries >= 10, "after {tries} tries");
    assert_eq!(over.status, StatusCode::TOO_MANY_REQUESTS.as_u16());
    let wait: u64 = over.header("retry-after").parse().expect("seconds");
    assert!((1..=6).contains(&wait), "{wait}");
    assert_eq!(browser.sign_in("bob", PASSWORD).await.status, 401, "another name goes on");
    // Until the address has tried too much as well, whatever became of it.
    for _ in 0..60 {
        browser.sign_in(USER, PASSWORD).await;
    }
    let mut others = Vec::new();
    for name in ["bob", "eve", "mallory"] {
        others.push(browser.sign_in(name, PASSWORD).await.status);
    }
    assert!(others.contains(&429), "{others:?}");
    app.close().await;
}

#[tokio::test]
async fn what_the_command_line_refuses() {
    let books = Books::sqlite();
    books.add_user(USER).await;
    books.cli(&["org", "add", "house", "--owner", USER]).await;
    for (arguments, words) in [
        (&["user", "password", "nobody"][..], "no such user"),
        (&["user", "password", "house"], "house is an organization, which never signs in"),
        (&["user", "password", USER, "--stdin"], "A password has at least 12 characters."),
        (&["user", "operator", USER], "--yes"),
        (&["user", "operator", USER, "--yes", "--no"], "cannot be used with"),
        (&["user", "operator", "house", "--yes"], "house is an organization"),
        (&["user", "disable", "nobody"], "no such user"),
    ] {
        let complaint = books.refused(arguments).await;
        assert!(complaint.contains(words), "{arguments:?}: {complaint}");
    }
    let eve = books.cli_json(&["user", "operator", USER, "--yes"]).await;
    assert_eq!((&eve["operator"], &eve["disabled"]), (&true.into(), &false.into()));
    let off = books.cli_json(&["user", "disable", USER]).await;
    assert_eq!(off["disabled"], true);
}
