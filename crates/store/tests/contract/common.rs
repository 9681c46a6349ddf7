//! Databases for one test each, and things to put into them.

use std::io::Write as _;
use std::process::{Command, Stdio};

use ledger::{
    Catalogue, Condition, Meter, Model, ModelInfo, ModelPrice, Multipliers, Outcome, Pass, Rates,
    Receipt, Region, ServiceTier, Status, Tariff, UnitPrice, Usage, UsageReport, UsageSource, Usd,
    Windows,
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use store::{NewKey, NewUser, Store, StoreError};
use uuid::Uuid;

/// A database of its own.
pub(crate) struct TestDatabase {
    pub(crate) url: String,
    // Removed with the value.
    _folder: Option<tempfile::TempDir>,
    admin: Option<(String, String)>,
}

impl TestDatabase {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("store.db").display());
        Self { url, _folder: Some(folder), admin: None }
    }

    /// `None` where no server is given; a CI always gives one.
    pub(crate) async fn postgres(name: &str) -> Option<Self> {
        let Some(admin) = std::env::var_os("TOLLGATE_TEST_POSTGRES") else {
            assert!(
                std::env::var_os("CI").is_none_or(|ci| ci != "true"),
                "TOLLGATE_TEST_POSTGRES is not set: the CI must test PostgreSQL too"
            );
            println!("skipped: no PostgreSQL");
            return None;
        };
        let admin = admin.into_string().unwrap();
        let name = format!("store_{name}_{}", std::process::id());
        let mut conn = PgConnection::connect(&admin).await.unwrap();
        for statement in ["DROP DATABASE IF EXISTS", "CREATE DATABASE"] {
            let statement = AssertSqlSafe(format!("{statement} {name}"));
            sqlx::raw_sql(statement).execute(&mut conn).await.unwrap();
        }
        let (server, _) = admin.rsplit_once('/').unwrap();
        Some(Self { url: format!("{server}/{name}"), _folder: None, admin: Some((admin, name)) })
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.url, 4).await.unwrap()
    }

    /// Runs a statement past the store, as somebody with a database shell would.
    pub(crate) async fn shell(&self, statement: &str) -> Result<u64, sqlx::Error> {
        let statement = AssertSqlSafe(statement.to_owned());
        if self.admin.is_some() {
            let mut conn = PgConnection::connect(&self.url).await?;
            Ok(sqlx::raw_sql(statement).execute(&mut conn).await?.rows_affected())
        } else {
            let statement = AssertSqlSafe(statement.0.replace("tollgate.", ""));
            let mut conn = SqliteConnection::connect(&self.url).await?;
            Ok(sqlx::raw_sql(statement).execute(&mut conn).await?.rows_affected())
        }
    }

    pub(crate) async fn drop(self, store: Store) {
        store.close().await;
        if let Some((admin, name)) = &self.admin {
            let mut conn = PgConnection::connect(admin).await.unwrap();
            let deadlocks: i64 =
                sqlx::query_scalar("SELECT deadlocks FROM pg_stat_database WHERE datname = $1")
                    .bind(name)
                    .fetch_one(&mut conn)
                    .await
                    .unwrap();
            assert_eq!(deadlocks, 0, "all lock in one order, so that none waits for ever");
            let statement = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
            sqlx::raw_sql(statement).execute(&mut conn).await.unwrap();
        }
    }
}

pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128((0x0193_0000_0000_7000 << 64) + number)
}

pub(crate) fn new_user(number: u128, name: &str) -> NewUser {
    NewUser {
        id: id(number),
        account_id: id(number + 1),
        name: name.to_owned(),
        owner: None,
        operator: number.is_multiple_of(4),
        prepaid: false,
        created_at: 1_700_000_000_000_000,
    }
}

pub(crate) fn new_key(number: u128, user: &str) -> NewKey {
    NewKey {
        id: id(number),
        user: user.to_owned(),
        name: format!("key {number}"),
        hash: format!("{number:064x}"),
        prefix: "tg-abcd".to_owned(),
        last4: "wxyz".to_owned(),
        scopes: "inference usage keys".to_owned(),
        created_at: 1_700_000_000_000_000 + i64::try_from(number).unwrap(),
        ..NewKey::default()
    }
}

/// A receipt of `user`, with every field set.
pub(crate) fn receipt(number: u128, user: Uuid, key: Uuid, cost: i64, commission: i64) -> Receipt {
    let usage = Usage::of(&[
        (Meter::Input, 1_000),
        (Meter::CacheRead, 200),
        (Meter::CacheWrite5m, 30),
        (Meter::CacheWrite1h, 4),
        (Meter::Output, 500),
        (Meter::Reasoning, 60),
        (Meter::WebSearch, 1),
    ]);
    let passes = vec![Pass { model: None, usage }, Pass { model: Some("other".to_owned()), usage }];
    let started_at = 1_750_000_000_000_000 + i64::try_from(number).unwrap() * 1_000_000;
    Receipt {
        request_id: id(0x1_0000_0000 + number),
        attempt: 1,
        account_id: id(2),
        user_id: user,
        key_id: key,
        surface: "native".to_owned(),
        provider: "openai".to_owned(),
        model: if number.is_multiple_of(2) { "gpt-4o" } else { "o3" }.to_owned(),
        model_served: Some("gpt-4o-2024-08-06".to_owned()),
        upstream_id: None,
        price_version: 1,
        commission_bps: 500,
        report: UsageReport {
            passes,
            service_tier: ServiceTier::Flex,
            fast: true,
            region: Region::Eu,
            inconsistent: true,
            route: None,
        },
        usage_source: UsageSource::Estimated,
        outcome: Outcome::ClientGone,
        cost: Usd::from_pico(cost),
        commission: Usd::from_pico(commission),
        charge: Usd::from_pico(cost).checked_add(Usd::from_pico(commission)).unwrap(),
        absorbed: Usd::ZERO,
        bound: None,
        scopes: Vec::new(),
        started_at,
        ended_at: started_at + 1_234_567,
    }
}

/// A catalogue that uses everything a catalogue has, empty lists too.
pub(crate) fn rich_catalogue() -> Catalogue {
    let rates = |pairs: &[(Meter, i64)]| {
        let mut rates = Rates::default();
        for &(meter, pico) in pairs {
            rates.set(meter, UnitPrice::from_pico(pico).unwrap());
        }
        rates
    };
    let condition =
        |service_tier, long_context, off_peak| Condition { service_tier, long_context, off_peak };
    let all: Vec<_> = Meter::ALL.into_iter().zip(0..).collect();
    let tariffs = vec![
        Tariff {
            valid_from: None,
            rates: vec![
                (Condition::default(), rates(&all)),
                (
                    condition(ServiceTier::Priority, true, false),
                    rates(&[(Meter::Output, i64::MAX)]),
                ),
                (condition(ServiceTier::Flex, false, false), Rates::default()),
                (condition(ServiceTier::Standard, false, true), rates(&[(Meter::Input, 0)])),
            ],
        },
        Tariff { valid_from: Some(0), rates: vec![] },
        Tariff {
            valid_from: Some(1_700_000_000_000_000),
            rates: vec![(condition(ServiceTier::Batch, true, true), rates(&[(Meter::Input, 7)]))],
        },
    ];
    let rich = Model {
        provider: "deepseek".to_owned(),
        name: "deepseek/Chat:v3 'x' \u{e9}".to_owned(),
        info: ModelInfo {
            mode: "chat".to_owned(),
            status: Status::Deprecated,
            deprecation_date: Some("2026-11-30".to_owned()),
            context_window: Some(131_072),
            max_output_tokens: Some(8_192),
            attributes: [("supports_vision".to_owned(), "true".to_owned())].into(),
            source: "https://example.org/prices".to_owned(),
            as_of: "2026-11-01".to_owned(),
        },
        price: ModelPrice {
            tariffs,
            long_context_above: Some(200_000),
            off_peak: Windows::parse("00:00-01:00+04:00-06:00@12345;00:00-00:00@67").unwrap(),
            multipliers: Multipliers { fast: Some(60_000), us: Some(11_000), eu: None },
        },
    };
    let many = (0..150).map(|number| Model {
        provider: "openai".to_owned(),
        name: format!("model-{number}"),
        price: ModelPrice {
            tariffs: vec![Tariff {
                valid_from: None,
                rates: vec![(Condition::default(), rates(&[(Meter::Input, number + 1)]))],
            }],
            ..ModelPrice::default()
        },
        ..Model::default()
    });
    let bare = Model { provider: "gemini".to_owned(), name: "bare".to_owned(), ..Model::default() };
    many.chain([rich, bare]).collect()
}

/// The sums of cost, commission and charge by a program that shares nothing with ours, or `None` where there is no
/// Python.
pub(crate) fn python_sums(receipts: &[Receipt]) -> Option<[i128; 3]> {
    const PROGRAM: &str = "import sys, decimal
decimal.getcontext().prec = 60
rows = [[decimal.Decimal(n) for n in line.split()] for line in sys.stdin]
print(*[sum(column) for column in zip(*rows)])";
    let child = Command::new("python3")
        .args(["-c", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("skipped: no python3");
        return None;
    };
    let line = |r: &Receipt| {
        [r.cost, r.commission, r.charge].map(|amount| amount.pico().to_string()).join(" ")
    };
    let lines = receipts.iter().map(line).collect::<Vec<_>>().join("\n");
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let sums: Vec<i128> = text.split_whitespace().map(|n| n.parse().unwrap()).collect();
    Some(sums.try_into().unwrap())
}

/// Writes receipts as a batch of their own.
pub(crate) async fn insert(store: &Store, receipts: &[Receipt]) -> Result<usize, StoreError> {
    store.insert_receipts(Uuid::now_v7(), receipts, 1).await
}
