//! How long a receipt takes from a journal into the database: `cargo run --release -p store --example insert_receipts [URL] [BATCH] [KEYS]`.
//!
//! Prints the time on the clock, which has a sync of the disk per batch in it, and the time of the processor, over all
//! threads of this process.

use std::io::Write as _;
use std::time::Instant;

use ledger::{Meter, Outcome, Receipt, Signer, Usage, UsageReport, UsageSource, Usd};
use store::{Batch, Entry, Store};
use uuid::Uuid;

const ROWS: usize = 100_000;
const REPLICA: Uuid = Uuid::from_u128(9);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let mut args = std::env::args().skip(1);
    let url = args
        .next()
        .unwrap_or_else(|| format!("sqlite://{}", folder.path().join("bench.db").display()));
    let batch: usize = args.next().map_or(Ok(50), |batch| batch.parse())?;
    let keys: u128 = args.next().map_or(Ok(40), |keys| keys.parse())?;
    let store = Store::open(&url, 2).await?;
    store.migrate(0).await?;
    let entries: Result<Vec<Entry>, _> =
        (0..ROWS as u128).map(|number| Entry::of(&receipt(number, keys.max(1)))).collect();
    let batches = batches(entries?, batch.max(1));
    store.begin_epoch(REPLICA, 0, Uuid::nil(), 1).await?;
    let signer = Signer::from_secret(&[1; 32]);

    let (cpu, clock) = (cpu_seconds()?, Instant::now());
    for batch in batches {
        store.apply(&batch, &signer).await?;
    }
    let (clock, cpu) = (clock.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    store.close().await;
    let per_row = |seconds: f64| seconds * 1e6 / 100_000.0;
    writeln!(
        std::io::stdout(),
        "{ROWS} rows of {keys} keys in batches of {batch}: {:.1} µs/row on the clock, {:.1} µs/row of processor",
        per_row(clock),
        per_row(cpu),
    )?;
    Ok(())
}

/// A journal of one replica, cut into batches.
fn batches(entries: Vec<Entry>, size: usize) -> Vec<Batch> {
    let numbered: Vec<(u64, Entry)> = (1..).zip(entries).collect();
    let batch = |entries: &[(u64, Entry)]| {
        let (first, last) = (entries.first()?.0, entries.last()?.0);
        let entries = entries.iter().cloned().collect();
        let (id, after, open) = (Uuid::now_v7(), first - 1, last + 1);
        Some(Batch { id, replica: REPLICA, epoch: 1, after, seq: last, open, at: 1, entries })
    };
    numbered.chunks(size).filter_map(batch).collect()
}

/// User and system time of this process, which Linux counts in hundredths of a second.
fn cpu_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no fields")?;
    let ticks: Result<Vec<f64>, _> =
        fields.split_whitespace().skip(11).take(2).map(str::parse).collect();
    Ok(ticks?.iter().sum::<f64>() / 100.0)
}

/// Half as many users as keys, each with an account.
fn receipt(number: u128, keys: u128) -> Receipt {
    let id = |number: u128| Uuid::from_u128((0x0193_0000_0000_7000 << 64) + number);
    let usage = Usage::of(&[(Meter::Input, 1_200), (Meter::CacheRead, 800), (Meter::Output, 350)]);
    let started_at = 1_750_000_000_000_000;
    Receipt {
        request_id: id(number + 1_000),
        attempt: 1,
        account_id: id((number % keys).div_ceil(2)),
        user_id: id(100_000 + (number % keys).div_ceil(2)),
        key_id: id(200_000 + number % keys),
        surface: "native".to_owned(),
        provider: "openai".to_owned(),
        model: "gpt-4o".to_owned(),
        model_served: Some("gpt-4o-2024-08-06".to_owned()),
        upstream_id: Some(format!("chatcmpl-{number:026}")),
        price_version: 1,
        commission_bps: 500,
        report: UsageReport::single(usage),
        usage_source: UsageSource::Provider,
        outcome: Outcome::Ok,
        cost: Usd::from_pico(1_000_000),
        commission: Usd::from_pico(50_000),
        charge: Usd::from_pico(1_050_000),
        absorbed: Usd::ZERO,
        bound: None,
        scopes: Vec::new(),
        started_at,
        ended_at: started_at + 900_000,
    }
}
