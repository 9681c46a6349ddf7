//! The time that a receipt takes on its way into the journal and out of it: `cargo bench -p store`.

#![expect(clippy::expect_used, reason = "the inputs are our own")]

use std::hint::black_box;

use divan::Bencher;
use divan::counter::BytesCount;
use ledger::{Meter, Outcome, Receipt, Usage, UsageReport, UsageSource, Usd};
use store::{Before, Entry};
use uuid::Uuid;

fn main() {
    divan::main();
}

fn receipt() -> Receipt {
    let [cost, commission, charge] = [525_300_000, 26_265_000, 551_565_000].map(Usd::from_pico);
    let usage = Usage::of(&[(Meter::Input, 1_234), (Meter::Output, 567)]);
    Receipt {
        request_id: Uuid::from_u128(1),
        attempt: 1,
        account_id: Uuid::from_u128(2),
        user_id: Uuid::from_u128(3),
        key_id: Uuid::from_u128(4),
        surface: "native".to_owned(),
        provider: "openai".to_owned(),
        model: "gpt-4o-mini".to_owned(),
        model_served: Some("gpt-4o-mini-2024-07-18".to_owned()),
        upstream_id: Some("chatcmpl-1".to_owned()),
        price_version: 1,
        commission_bps: 500,
        report: UsageReport::single(usage),
        usage_source: UsageSource::Provider,
        outcome: Outcome::Ok,
        cost,
        commission,
        charge,
        absorbed: Usd::ZERO,
        bound: Some(charge),
        scopes: Vec::new(),
        started_at: 1_750_000_000_000_000,
        ended_at: 1_750_000_001_234_567,
    }
}

/// Into the bytes of the journal, which has room, with the hash of what it says.
#[divan::bench]
fn encode_a_receipt(bencher: Bencher<'_, '_>) {
    let receipt = receipt();
    let mut bytes = Vec::new();
    Entry::encode_receipt(&receipt, &mut bytes).expect("an entry");
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| {
        bytes.clear();
        Entry::encode_receipt(black_box(&receipt), &mut bytes)
    });
}

/// Out of it, where the hash is checked.
#[divan::bench]
fn decode_an_entry(bencher: Bencher<'_, '_>) {
    let mut bytes = Vec::new();
    Entry::encode_receipt(&receipt(), &mut bytes).expect("an entry");
    let mut before = Before::default();
    let bencher = bencher.counter(BytesCount::new(bytes.len()));
    bencher.bench_local(|| Entry::decode(black_box(&bytes), &mut before));
}
