//! The time that money takes on the way of every request: `cargo bench -p ledger`.

#![expect(clippy::expect_used, reason = "the inputs are our own")]

use std::hint::black_box;

use divan::Bencher;
use ledger::{
    Bill, Catalogue, Demand, Meter, PriceFiles, Purse, Scope, ScopeKind, Usage, UsageReport, Usd,
    bound, import,
};
use uuid::Uuid;

const LIST: &str = "provider,model,input_per_mtok,output_per_mtok\nopenai,m,0.15,0.6\n";

fn main() {
    divan::main();
}

fn catalogue() -> Catalogue {
    import(PriceFiles { models: LIST, ..PriceFiles::default() }).expect("prices")
}

/// The most that a request may be charged, before it is sent.
#[divan::bench]
fn bound_a_request(bencher: Bencher<'_, '_>) {
    let catalogue = catalogue();
    let model = catalogue.get("openai", "m").expect("a model");
    let demand =
        Demand { input_tokens: 1_234, output_tokens: 16_384, choices: 1, ..Demand::default() };
    bencher.bench_local(|| bound(black_box(&model.price), black_box(&demand), 0, 500));
}

/// What it is charged, once that is known.
#[divan::bench]
fn price_a_request(bencher: Bencher<'_, '_>) {
    let catalogue = catalogue();
    let usage = Usage::of(&[(Meter::Input, 1_234), (Meter::Output, 567)]);
    let report = UsageReport::single(usage);
    bencher.bench_local(|| Bill::of(&catalogue, "openai", "m", black_box(&report), 0, 500));
}

/// A hold on an account and three budgets, and its end, among so many others.
#[divan::bench(args = [1, 1_000, 100_000])]
fn hold_and_settle(bencher: Bencher<'_, '_>, others: u128) {
    let scope = |number: u128, kind| Scope { kind, id: Uuid::from_u128(number), period_start: 0 };
    let mut purse = Purse::default();
    let much = Usd::from_pico(1_000_000_000_000);
    for number in 0..others {
        purse.granted(scope(number, ScopeKind::Account), much).expect("granted");
    }
    let mut scopes = vec![scope(others / 2, ScopeKind::Account)];
    scopes.extend((1..4).map(|number| scope(number, ScopeKind::Budget)));
    for one in &scopes {
        purse.granted(*one, much).expect("granted");
    }
    let amount = Usd::from_pico(10_000_000);
    bencher.bench_local(|| {
        purse.hold(black_box(&scopes), amount).expect("enough");
        purse.settle(&scopes, amount, Usd::ZERO, 0)
    });
}
