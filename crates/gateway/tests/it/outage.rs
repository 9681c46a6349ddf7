//! A database that is away for a while, under a steady load: nobody waits for it, nothing is lost, nothing comes twice.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use reqwest::Method;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::app::{Answer, App, Start};
use crate::books::{Books, number};
use crate::cable::Cable;
use crate::chat::say;

/// How long the database is away, in seconds, unless `TOLLGATE_TEST_OUTAGE` says otherwise.
const SECONDS: u64 = 5;
/// Requests a second.
const RATE: u64 = 200;
/// How often to look whether the database has everything.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Receipts a second that a database takes which is there again, with the release of the program.
const DRAIN: f64 = 5_000.0;

/// What was seen of one request.
struct Seen {
    id: String,
    took: Duration,
}

/// Sends at the rate for so long. Every answer has to be good.
async fn load(app: &App, seconds: u64) -> Vec<Seen> {
    let (tell, mut seen) = mpsc::unbounded_channel();
    let mut asked = JoinSet::new();
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(RATE).expect("small"));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0..seconds * RATE {
        ticks.tick().await;
        let chat = app.chat(&say("openai", "gpt-4o", &format!("Number {number}")));
        let tell = tell.clone();
        asked.spawn(async move {
            let start = Instant::now();
            let answer = chat.send().await.expect("an answer");
            let status = answer.status().as_u16();
            let id = answer.headers()["x-request-id"].to_str().expect("ASCII").to_owned();
            let text = answer.text().await.expect("a whole answer");
            assert_eq!(status, 200, "{text}");
            tell.send(Seen { id, took: start.elapsed() }).expect("somebody listens");
        });
    }
    drop(tell);
    let mut all = Vec::new();
    while let Some(one) = seen.recv().await {
        all.push(one);
    }
    asked.join_all().await;
    all
}

fn p99(seen: &[Seen]) -> Duration {
    let mut took: Vec<_> = seen.iter().map(|one| one.took).collect();
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

/// How many receipts the database has.
async fn receipts(shell: &mut PgConnection) -> usize {
    let count = sqlx::query_as("SELECT COUNT(*) FROM tollgate.receipts").fetch_one(shell).await;
    let (count,): (i64,) = count.expect("a number");
    usize::try_from(count).expect("few")
}

/// Load balancers are told yes, whatever else, and sooner or later this.
async fn ready(app: &App, what: &str) {
    let start = Instant::now();
    loop {
        let answer = Answer::of(app.request(Method::GET, "/readyz")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let text = answer.body.as_str().expect("a line");
        if text.starts_with(what) {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "not {what:?} but {text:?}");
        sleep(LOOK_EVERY).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_for_a_while() {
    let seconds = number("TOLLGATE_TEST_OUTAGE", SECONDS);
    let Some(books) = Books::postgres("outage").await else { return };
    let (mut cable, url) = Cable::to(&books);
    let app = App::start_on(books, Start::default().set("DATABASE_URL", url)).await;
    let before = load(&app, seconds).await;
    app.price_to_pay().await;
    let mut shell = PgConnection::connect(&app.books.url).await.expect("the books");
    cable.stop().await;
    let away = load(&app, seconds).await;
    // Nobody is to be sent elsewhere, where the same database is away.
    ready(&app, "ready, but the database has not answered for ").await;
    cable.mend();
    // From when the database takes connections until it has every receipt, looked at past the program: nobody asks it for
    // usage, which would have it look for the database at once.
    let (start, wanted) = (Instant::now(), before.len() + away.len());
    while receipts(&mut shell).await < wanted {
        assert!(start.elapsed() < Duration::from_mins(1), "they do not come");
        sleep(LOOK_EVERY).await;
    }
    let drained = start.elapsed();
    ready(&app, "ready\n").await;
    app.price_to_pay().await;
    let rate = f64::from(u32::try_from(away.len()).expect("few")) / drained.as_secs_f64();
    println!(
        "{seconds} s away at {RATE} requests a second: p99 {:?} before, {:?} while it was away; {} receipts in {drained:?}, \
         {rate:.0} a second",
        p99(&before),
        p99(&away),
        away.len(),
    );
    shell.close().await.expect("an end");
    let receipts = app.close().await;
    let ids: BTreeSet<String> =
        receipts.iter().map(|receipt| receipt.request_id.to_string()).collect();
    assert_eq!(ids.len(), receipts.len());
    let seen: BTreeSet<String> = before.into_iter().chain(away).map(|one| one.id).collect();
    assert_eq!(ids, seen, "each that was answered is there, once, and nothing else");
    // Of a short outage most of the time is waiting for the next try.
    if std::env::var_os("TOLLGATE_TEST_RELEASE").is_some() && seconds >= 60 {
        assert!(rate >= DRAIN, "{rate:.0} receipts a second");
    }
}
