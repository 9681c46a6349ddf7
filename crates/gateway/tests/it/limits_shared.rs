//! Limits that several replicas keep together in Redis, through its death and theirs; and what becomes of them without it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use tokio::process::Child;
use tokio::task::JoinSet;

use crate::app::{Answer, App, Start, USER};
use crate::books::Books;
use crate::chat::say;
use crate::redis::Redis;

const AT_ONCE: &str = "--concurrent-requests";

/// Three replicas on one database, whose user has limits.
struct Three {
    app: App,
    others: Vec<(Child, String)>,
}

impl Three {
    async fn start(name: &str, limits: &[&str], redis: Option<&Redis>) -> Option<Self> {
        let books = Books::postgres(name).await?;
        let key = books.add_user(USER).await;
        books.cli(&[&["limit", "set", "--user", USER], limits].concat()).await;
        let mut start = Start::default().set("TOLLGATE_METRICS_ADDR", "127.0.0.1:0");
        if let Some(redis) = redis {
            start = start.set("REDIS_URL", redis.url());
        }
        let app = App::start_with_key(books, start, key).await;
        let others = vec![app.another().await, app.another().await];
        let three = Self { app, others };
        if redis.is_some() {
            three.until_connected(3).await;
        }
        Some(three)
    }

    fn urls(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.app.url).chain(self.others.iter().map(|(_, url)| url))
    }

    fn hello(&self, url: &str) -> RequestBuilder {
        self.chat(url, "Hello")
    }

    fn chat(&self, url: &str, message: &str) -> RequestBuilder {
        let mut body = say("openai", "gpt-4o", message);
        body["stream"] = message.starts_with("fault:").into();
        let chat = self.app.client.request(Method::POST, format!("{url}/api/layers/chat"));
        chat.json(&body).header("user", USER).header("api-key", &self.app.key)
    }

    /// Waits until the program says of the first replica what is expected.
    async fn until_metric(&self, name: &str, value: &str) {
        let start = Instant::now();
        let wanted = format!("{name} {value}");
        loop {
            let url = self.app.metrics.as_ref().expect("metrics are served");
            let page = self.app.client.get(url).send().await.expect("an answer");
            let page = page.text().await.expect("a page");
            if page.lines().any(|line| line == wanted) {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "{wanted}: {page}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until so many connections were made to Redis, by all replicas together.
    async fn until_connected(&self, times: usize) {
        let start = Instant::now();
        while self.app.written_log().matches("limits are kept in Redis").count() < times {
            assert!(start.elapsed() < Duration::from_secs(30), "{}", self.app.written_log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Asks all replicas again and again, many at a time, until it is stopped.
    fn storm(&self, callers: usize) -> Storm {
        let mut storm = Storm::default();
        let urls: Vec<&String> = self.urls().collect();
        for caller in 0..callers {
            let chat = self.hello(urls[caller % urls.len()]);
            let counts = Arc::clone(&storm.counts);
            storm.tasks.spawn(async move {
                while !counts.stopped.load(Ordering::SeqCst) {
                    let chat = chat.try_clone().expect("a request");
                    let answer = chat.send().await.expect("an answer");
                    match answer.status().as_u16() {
                        200 => counts.good.fetch_add(1, Ordering::SeqCst),
                        429 => counts.refused.fetch_add(1, Ordering::SeqCst),
                        status => panic!("{status}: {}", answer.text().await.unwrap_or_default()),
                    };
                }
            });
        }
        storm
    }

    async fn end(mut self) {
        for (process, _) in &mut self.others {
            process.kill().await.expect("the process dies");
        }
        let log = self.app.written_log();
        assert!(!log.contains("canary-redis"), "a password is in the log: {log}");
        self.app.kill().await;
        self.app.books.remove().await;
    }
}

#[derive(Default)]
struct Counts {
    stopped: AtomicBool,
    good: AtomicU64,
    refused: AtomicU64,
}

#[derive(Default)]
struct Storm {
    counts: Arc<Counts>,
    tasks: JoinSet<()>,
}

impl Storm {
    /// Waits until so many more were refused: whatever there was to be had is gone.
    async fn refused(&self, more: u64) {
        let until = self.counts.refused.load(Ordering::SeqCst) + more;
        let start = Instant::now();
        while self.counts.refused.load(Ordering::SeqCst) < until {
            assert!(start.elapsed() < Duration::from_secs(30), "nothing is refused");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn good(&self) -> u64 {
        self.counts.good.load(Ordering::SeqCst)
    }

    async fn stop(self) -> u64 {
        self.counts.stopped.store(true, Ordering::SeqCst);
        self.tasks.join_all().await;
        self.counts.good.load(Ordering::SeqCst)
    }
}

/// What a limit lets in over so long a time: all of it at once, and then what the pace gives.
fn most(limit: u64, took: Duration) -> u64 {
    limit + limit * u64::try_from(took.as_millis()).expect("a time") / 60_000
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_have_one_limit_together() {
    const LIMIT: u64 = 90;
    let Some(redis) = Redis::start().await else { return };
    let limits = ["--requests-per-minute", "90"];
    let Some(three) = Three::start("limits_exact", &limits, Some(&redis)).await else { return };
    let begun = Instant::now();
    let storm = three.storm(12);
    storm.refused(1_000).await;
    let (good, took) = (storm.stop().await, begun.elapsed());
    let log = three.app.written_log();
    // On a machine that stands still for a while, each of them goes on with its share.
    let away = log.matches("Redis cannot be reached").count() as u64;
    println!("{good} of {LIMIT} in {took:?}; Redis was away {away} times");
    assert!(good >= LIMIT, "{good}");
    assert!(good <= most(LIMIT, took) + 2 * LIMIT * away, "{good} in {took:?}");
    three.end().await;
}

/// The bound that `docs/limits.md` gives: one limit for the beginning, one for each change, and what the pace gives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_dies_and_comes_back_under_load() {
    const LIMIT: u64 = 60;
    let Some(mut redis) = Redis::start().await else { return };
    let limits = ["--requests-per-minute", "60"];
    let Some(three) = Three::start("limits_redis", &limits, Some(&redis)).await else { return };
    // So that each has a third where it is alone.
    three.until_metric("tollgate_limit_replicas", "3").await;
    let begun = Instant::now();
    let storm = three.storm(12);
    storm.refused(300).await;
    let before = (storm.good(), begun.elapsed());
    redis.kill().await;
    three.until_metric("tollgate_redis_up", "0").await;
    storm.refused(600).await;
    let away = (storm.good(), begun.elapsed());
    redis.restart().await;
    three.until_connected(6).await;
    storm.refused(600).await;
    let (good, took) = (storm.stop().await, begun.elapsed());
    println!("{before:?} before, {away:?} while it was away, {good} in {took:?} in all");
    assert!(before.0 >= LIMIT, "{before:?}");
    // Once for each replica, and more often only on a machine that stands still for a while.
    let connected = three.app.written_log().matches("limits are kept in Redis").count() as u64;
    let outages = (connected - 3).div_ceil(3);
    assert!(away.0 <= most(LIMIT, away.1) + LIMIT * (2 * outages - 1), "{away:?}");
    assert!(good <= most(LIMIT, took) + LIMIT * 2 * outages, "{good} in {took:?}");
    three.end().await;
}

/// Without Redis each replica has its share.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_without_redis_share() {
    const LIMIT: u64 = 90;
    let limits = ["--requests-per-minute", "90"];
    let Some(three) = Three::start("limits_shares", &limits, None).await else { return };
    // The others hear of the last one within seconds.
    let start = Instant::now();
    let last = three.others[1].1.clone();
    let header = async |url: &str| {
        let answer = Answer::of(three.hello(url)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.header("x-ratelimit-remaining-requests").parse::<u64>().expect("a number")
    };
    for url in three.urls() {
        while header(url).await >= LIMIT / 3 {
            assert!(start.elapsed() < Duration::from_secs(15), "{url} does not share");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    let begun = Instant::now();
    let storm = three.storm(12);
    storm.refused(300).await;
    let (good, took) = (storm.stop().await, begun.elapsed());
    println!("{good} of {LIMIT} in {took:?}");
    assert!(good <= most(LIMIT, took), "{good} in {took:?}");
    // The last one has been asked least: all but what it was asked for is there.
    assert_eq!(Answer::of(three.hello(&last)).await.status, 429);
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_places_of_a_replica_that_was_killed_come_back() {
    let Some(redis) = Redis::start().await else { return };
    let Some(mut three) = Three::start("limits_places", &[AT_ONCE, "2"], Some(&redis)).await else {
        return;
    };
    let urls: Vec<String> = three.urls().cloned().collect();
    let (mut second, _) = three.others.remove(0);
    let hang = async |url: &str| {
        let answer = three.chat(url, "fault:hang:2\nHello").send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer
    };
    let (kept, lost) = (hang(&urls[0]).await, hang(&urls[1]).await);
    let refused = Answer::of(three.hello(&urls[2])).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "1"), "{}", refused.body);
    second.kill().await.expect("the process dies");
    let until_served = async |most: Duration| {
        let start = Instant::now();
        while Answer::of(three.hello(&urls[2])).await.status != 200 {
            assert!(start.elapsed() < most, "the place is not free again");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        start.elapsed()
    };
    // The dead one's place is forgotten; that of the living one, which is older, is not.
    println!("free again after {:?}", until_served(Duration::from_secs(30)).await);
    let another = hang(&urls[2]).await;
    assert_eq!(Answer::of(three.hello(&urls[0])).await.status, 429);
    // Those of the living come back when their clients hang up.
    drop((kept, lost));
    println!("the other after {:?}", until_served(Duration::from_secs(5)).await);
    drop(another);
    three.end().await;
}

/// A server that loses its memory is told what is under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_outlive_redis() {
    let Some(mut redis) = Redis::start().await else { return };
    let Some(three) = Three::start("limits_held", &[AT_ONCE, "3"], Some(&redis)).await else {
        return;
    };
    let urls: Vec<String> = three.urls().cloned().collect();
    let mut kept = Vec::new();
    for _ in 0..3 {
        let answer = three.chat(&urls[0], "fault:hang:2\nHello").send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        kept.push(answer);
    }
    redis.kill().await;
    three.until_metric("tollgate_redis_up", "0").await;
    redis.restart().await;
    three.until_connected(6).await;
    assert_eq!(Answer::of(three.hello(&urls[2])).await.status, 429);
    drop(kept);
    three.end().await;
}

/// What one replica has let in counts while Redis is away, and when it is there again without a memory.
#[tokio::test]
async fn a_limit_outlives_redis() {
    let Some(mut redis) = Redis::start().await else { return };
    let books = Books::sqlite();
    let key = books.add_user(USER).await;
    books.cli(&["limit", "set", "--user", USER, "--requests-per-minute", "2"]).await;
    books.cli(&["limit", "set", "--account", USER, "--tokens-per-minute", "1000"]).await;
    let start = Start::default().set("REDIS_URL", redis.url());
    let app =
        App::start_with_key(books, start.set("TOLLGATE_METRICS_ADDR", "127.0.0.1:0"), key).await;
    let one = Three { app, others: Vec::new() };
    one.until_connected(1).await;
    let status = async || Answer::of(one.hello(&one.app.url)).await.status;
    assert_eq!((status().await, status().await, status().await), (200, 200, 429));
    let keys = redis.ask("KEYS *").await.expect("an answer");
    for name in ["requests:user", "tokens:account"] {
        assert!(keys.contains(&format!("tollgate:{{limits}}:{name}:")), "{keys}");
    }
    let checked = one.app.books.command(&["doctor"]).env("REDIS_URL", redis.url()).output().await;
    let checked = String::from_utf8(checked.expect("it runs").stdout).expect("text");
    assert!(checked.contains("Redis answers"), "{checked}");
    redis.kill().await;
    one.until_metric("tollgate_redis_up", "0").await;
    assert_eq!(status().await, 429);
    let checked = one.app.books.command(&["doctor"]).env("REDIS_URL", redis.url()).output().await;
    let checked = checked.expect("it runs");
    let text = String::from_utf8(checked.stdout).expect("text");
    assert!(
        !checked.status.success() && text.contains("REDIS_URL: Redis does not answer"),
        "{text}"
    );
    assert!(!text.contains("canary"), "{text}");
    redis.restart().await;
    one.until_connected(2).await;
    assert_eq!(status().await, 429);
    let keys = redis.ask("KEYS *").await.expect("an answer");
    assert!(keys.contains("tollgate:{limits}:tokens:account:"), "{keys}");
    one.end().await;
}
