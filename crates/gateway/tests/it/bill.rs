//! `GET /api/usage/check`, and sums of many receipts.

use std::io::Write as _;
use std::process::{Command, Stdio};

use ledger::{Bill, Catalogue, Meter, Outcome, PriceFiles, Receipt, ServiceTier, UsageReport};
use ledger::{Usage, UsageSource, Usd, sum_exact};
use reqwest::Method;
use serde_json::{Value, json};
use store::Store;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::app::{Answer, App, Start, USER};
use crate::books::{Books, not_in_ci};
use crate::chat::{MODELS, say};
use crate::prices::pico_dollars;

/// 1 234 tokens in at 0.15 dollars a million, 567 out at 0.60.
#[tokio::test]
async fn the_worked_example() {
    let app = App::start().await;
    let request = || app.native(Method::GET, "/api/usage/check").send();
    let text = async || request().await.expect("an answer").text().await.expect("a body");
    assert_eq!(
        text().await,
        r#"{"priceToPay":{"username":"ada","total_input_tokens":0,"total_output_tokens":0,"total_tokens":0,"base_price":0.000000,"commission_5_percent":0.000000,"final_price":0.000000,"exact":{"base_price":"0","commission_5_percent":"0","final_price":"0"}}}"#
    );
    let answer = app.chatted(&say("openai", "gpt-4o-mini", "fixture:worked_example")).await;
    assert_eq!(
        answer.body["usage"],
        json!({ "inputTokens": 1234, "outputTokens": 567, "totalTokens": 1801 })
    );
    assert_eq!(answer.header("x-tollgate-cost"), "0.000551565");
    assert_eq!(
        text().await,
        r#"{"priceToPay":{"username":"ada","total_input_tokens":1234,"total_output_tokens":567,"total_tokens":1801,"base_price":0.000525,"commission_5_percent":0.000026,"final_price":0.000552,"exact":{"base_price":"0.0005253","commission_5_percent":"0.000026265","final_price":"0.000551565"}}}"#
    );
    let receipts = app.close().await;
    let [receipt] = receipts.as_slice() else { panic!("{receipts:?}") };
    let amounts = [receipt.cost, receipt.commission, receipt.charge].map(ledger::Usd::pico);
    assert_eq!(amounts, [525_300_000, 26_265_000, 551_565_000]);
}

/// Every answer is in the very next bill, whoever else is being answered at the same time.
#[tokio::test]
async fn the_bill_has_every_answer_at_once() {
    bill_has_every_answer(Books::sqlite()).await;
}

#[tokio::test]
async fn the_bill_has_every_answer_at_once_on_postgres() {
    if let Some(books) = Books::postgres("bill").await {
        bill_has_every_answer(books).await;
    }
}

async fn bill_has_every_answer(books: Books) {
    const USERS: usize = 6;
    const CHATS: usize = 12;
    let mut clients = Vec::new();
    for number in 0..USERS {
        let name = format!("user-{number}");
        clients.push((books.add_user(&name).await, name));
    }
    let app = App::start_on(books, Start::default()).await;
    let mut running = JoinSet::new();
    for (key, name) in clients {
        let native = |method, path: &str| {
            app.request(method, path).header("user", &name).header("api-key", &key)
        };
        let chat = native(Method::POST, "/api/layers/chat");
        let check = native(Method::GET, "/api/usage/check");
        running.spawn(async move {
            let again = |request: &reqwest::RequestBuilder| request.try_clone().expect("a request");
            let mut owed = 0;
            for number in 0..CHATS {
                let (provider, model) = MODELS[number % MODELS.len()];
                let message = format!("{name} says {number} for the {}th time", number * 7);
                let answer = Answer::of(again(&chat).json(&say(provider, model, &message))).await;
                owed += pico_dollars(answer.header("x-tollgate-cost"));
                let bill = Answer::of(again(&check)).await.body["priceToPay"].clone();
                let told = bill["exact"]["final_price"].as_str().expect("a price");
                assert_eq!(pico_dollars(told), owed, "{name} after {number}");
                assert_eq!(bill["username"], name);
            }
            owed
        });
    }
    let owed: i128 = running.join_all().await.iter().sum();
    let receipts = app.close().await;
    assert_eq!(receipts.len(), USERS * CHATS);
    assert_eq!(
        receipts.iter().map(|receipt| i128::from(receipt.charge.pico())).sum::<i128>(),
        owed
    );
}

#[tokio::test]
async fn the_bill_is_that_of_all_keys_of_the_user_and_of_nobody_else() {
    let books = Books::sqlite();
    let stranger = books.add_user("bob").await;
    let app = App::start_on(books, Start::default()).await;
    let generated = Answer::of(app.native(Method::POST, "/api/keys/generate")).await;
    let second = generated.body["key"].as_str().expect("a key").to_owned();
    let chat_as = async |user: &str, key: &str| {
        let request = app.request(Method::POST, "/api/layers/chat");
        let request = request.header("user", user).header("api-key", key);
        let answer = Answer::of(request.json(&say("openai", "gpt-4o", "Hello"))).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        pico_dollars(answer.header("x-tollgate-cost"))
    };
    let mine = chat_as(USER, &app.key).await + chat_as(USER, &second).await;
    let theirs = chat_as("bob", &stranger).await;
    // A key that is gone still has to be paid for.
    let gone = app.native(Method::DELETE, "/api/keys/delete").json(&json!({ "key": second }));
    assert_eq!(Answer::of(gone).await.status, 200);

    let owed = |bill: &Value| pico_dollars(bill["exact"]["final_price"].as_str().expect("a price"));
    assert_eq!(owed(&app.price_to_pay().await), mine);
    let other = app.request(Method::GET, "/api/usage/check");
    let other = Answer::of(other.header("user", "bob").header("api-key", &stranger)).await;
    assert_eq!(other.body["priceToPay"]["username"], "bob");
    assert_eq!(owed(&other.body["priceToPay"]), theirs);
    let foreign = app.request(Method::GET, "/api/usage/check");
    let foreign = Answer::of(foreign.header("user", "bob").header("api-key", &app.key)).await;
    assert_eq!((foreign.status, foreign.code()), (403, "user_mismatch"));
    app.close().await;
}

const MANY: usize = 100_000;

/// A hundred thousand answers of every price: the database, this program and a program in another language, which reads
/// the price file by itself and counts in decimals, come to the same bill to the last digit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_receipts_add_up_everywhere() {
    let books = Books::sqlite();
    let ada = books.cli_json(&["user", "add", USER]).await;
    let receipts = many_receipts(&ada);
    let store = Store::open(&books.url, 1).await.expect("the books");
    for batch in receipts.chunks(1_000) {
        store.insert_receipts(Uuid::now_v7(), batch, 1).await.expect("written");
    }
    store.close().await;
    let sum = |of: fn(&Receipt) -> i64| receipts.iter().map(|r| i128::from(of(r))).sum::<i128>();
    let rust = [sum(|r| r.cost.pico()), sum(|r| r.commission.pico()), sum(|r| r.charge.pico())];
    assert_eq!(rust[0] + rust[1], rust[2]);

    let usd = rust.map(sum_exact);
    let told = |value: &Value| {
        ["cost", "commission", "charge"].map(|name| value[name].as_str().expect("text").to_owned())
    };
    let bill = books.cli_json(&["bill", "--user", USER]).await;
    assert_eq!((told(&bill["total"]), &bill["total"]["requests"]), (usd.clone(), &MANY.into()));
    let usage = books.cli_json(&["usage", "--by", "model"]).await;
    assert_eq!((told(&usage["total"]), usage["rows"].as_array().map(Vec::len)), (usd, Some(8)));
    if let Some(python) = python_sums(&receipts) {
        assert_eq!(python, rust);
    }
}

/// Models of all kinds of prices: cheap, dear, with cache prices and without, with a thinking price of its own.
const PRICED: [(&str, &str); 8] = [
    ("openai", "gpt-4o-mini"),
    ("openai", "o1-pro"),
    ("openai", "gpt-5.6-sol"),
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-opus-4-1"),
    ("gemini", "gemini-2.5-flash"),
    ("gemini", "gemini-2.5-flash-lite"),
    ("deepseek", "deepseek-v3.2"),
];
const COUNTERS: [(Meter, u64); 5] = [
    (Meter::Input, 100_000),
    (Meter::CacheRead, 60_000),
    (Meter::CacheWrite5m, 20_000),
    (Meter::Output, 8_000),
    (Meter::Reasoning, 4_000),
];

/// Receipts of the first price version, which every command installs.
fn many_receipts(user: &Value) -> Vec<Receipt> {
    let catalogue: Catalogue = ledger::import(PriceFiles {
        models: include_str!("../../../../pricing/model_prices.csv"),
        history: Some(include_str!("../../../../pricing/price_history.csv")),
        images: Some(include_str!("../../../../pricing/image_prices.csv")),
    })
    .expect("the shipped list");
    let id = |field: &str| user[field].as_str().and_then(|id| id.parse::<Uuid>().ok());
    let (user_id, account_id) = (id("id").expect("an id"), id("account_id").expect("an id"));
    // The day that the file of models is about.
    let day = ledger::parse_date("2026-11-24").expect("a date");
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % limit
    };
    let one = |number: usize| {
        let (provider, model) = PRICED[number % PRICED.len()];
        let usage = Usage::of(&COUNTERS.map(|(meter, most)| (meter, below(most))));
        let report = UsageReport::single(usage);
        let at = day + i64::try_from(number).expect("small");
        let commission_bps = 500;
        let bill = Bill::of(&catalogue, provider, model, &report, at, commission_bps);
        let bill = bill.unwrap_or_else(|error| panic!("{provider}/{model}: {error}"));
        Receipt {
            request_id: Uuid::from_u128((0x0193_0000_0000_7000 << 64) + number as u128),
            attempt: 1,
            account_id,
            user_id,
            key_id: Uuid::from_u128(7),
            surface: "native".to_owned(),
            provider: provider.to_owned(),
            model: model.to_owned(),
            model_served: None,
            upstream_id: None,
            price_version: 1,
            commission_bps,
            report,
            usage_source: UsageSource::Provider,
            outcome: Outcome::Ok,
            cost: bill.cost,
            commission: bill.commission,
            charge: bill.charge,
            absorbed: Usd::ZERO,
            bound: None,
            scopes: Vec::new(),
            started_at: at,
            ended_at: at + 1,
        }
    };
    (0..MANY).map(one).collect()
}

/// Works every receipt out again from its counters and the price file, and adds up. Nothing of ours is in it.
const PYTHON: &str = r#"
import csv, sys
from decimal import Decimal, ROUND_HALF_EVEN, getcontext
getcontext().prec = 60
columns = ["input", "cached_input_read", "cache_write_5m", "output", "reasoning_output"]
instead = {"cached_input_read": "input", "cache_write_5m": "input", "reasoning_output": "output"}
prices = {}
with open(sys.argv[1], newline="", encoding="utf-8") as file:
    for row in csv.DictReader(file):
        def price(column):
            cell = row[column + "_per_mtok"]
            return Decimal(cell) if cell else price(instead[column])
        if all(row[c + "_per_mtok"] for c in ("input", "output")):
            long = row["tier_threshold_tokens"]
            prices[row["provider"], row["model"]] = [price(c) for c in columns], long
pico = Decimal(10) ** -12
cost = commission = charge = Decimal(0)
for line in sys.stdin:
    provider, model, *counters = line.split()
    of_model, long = prices[provider, model]
    counters = [Decimal(n) for n in counters]
    assert not long or sum(counters[:3]) <= Decimal(long), line
    one = sum(n * p for n, p in zip(counters, of_model)) / 1000000
    share = (one * 5 / 100).quantize(pico, rounding=ROUND_HALF_EVEN)
    cost, commission, charge = cost + one, commission + share, charge + one + share
print(*[int(total / pico) for total in (cost, commission, charge)])
assert all(total == total.quantize(pico) for total in (cost, commission, charge))
"#;

/// `None` where there is no Python; a CI always has one.
fn python_sums(receipts: &[Receipt]) -> Option<[i128; 3]> {
    let list = concat!(env!("CARGO_MANIFEST_DIR"), "/../../pricing/model_prices.csv");
    let started = Command::new("python3")
        .args(["-c", PYTHON, list])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut python) = started else {
        not_in_ci("python3 is missing: the CI must have it");
        println!("skipped: no python3");
        return None;
    };
    let mut input = std::io::BufWriter::new(python.stdin.take().expect("its input"));
    for receipt in receipts {
        let usage = receipt.report.total();
        let counters = COUNTERS.map(|(meter, _)| usage.get(meter).to_string()).join(" ");
        writeln!(input, "{} {} {counters}", receipt.provider, receipt.model).expect("written");
        assert_eq!(receipt.report.service_tier, ServiceTier::Standard);
    }
    drop(input);
    let output = python.wait_with_output().expect("its output");
    assert!(output.status.success(), "python3 failed");
    let text = String::from_utf8(output.stdout).expect("text");
    let sums: Vec<i128> = text.split_whitespace().map(|n| n.parse().expect("a sum")).collect();
    Some(sums.try_into().expect("three sums"))
}
