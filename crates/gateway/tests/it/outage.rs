//! A database that is away for a while, under a steady load: nobody waits for it, nothing is lost, nothing comes twice.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::app::{App, Start};
use crate::books::{Books, number};
use crate::cable::Cable;
use crate::chat::say;

/// How long the database is away, in seconds, unless `TOLLGATE_TEST_OUTAGE` says otherwise.
const SECONDS: u64 = 5;
/// Requests a second.
const RATE: u64 = 200;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_for_a_while() {
    let seconds = number("TOLLGATE_TEST_OUTAGE", SECONDS);
    let Some(books) = Books::postgres("outage").await else { return };
    let (cable, url) = Cable::to(&books).await;
    let app = App::start_on(books, Start::default().set("DATABASE_URL", url)).await;
    let before = load(&app, seconds).await;
    app.price_to_pay().await;
    cable.cut();
    let away = load(&app, seconds).await;
    cable.mend();
    // The question waits until everything is there.
    let (start, mut asked) = (Instant::now(), 0);
    while app
        .native(reqwest::Method::GET, "/api/usage/check")
        .send()
        .await
        .expect("an answer")
        .status()
        != 200
    {
        asked += 1;
        assert!(start.elapsed() < Duration::from_mins(1), "asked {asked} times");
    }
    let drained = start.elapsed();
    let rate = f64::from(u32::try_from(away.len()).expect("few")) / drained.as_secs_f64();
    println!(
        "{seconds} s away at {RATE} requests a second: p99 {:?} before, {:?} while it was away; {} receipts in {drained:?}, \
         {rate:.0} a second",
        p99(&before),
        p99(&away),
        away.len(),
    );
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
