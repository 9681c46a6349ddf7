//! Sums by day and month are those of their receipts, whatever the order in which these come.

use ledger::{Receipt, Usd};
use store::{BudgetOwner, Grain, Store};

use crate::common::{TestDatabase, id};
use crate::money::{ACCOUNT, Books, KEY, NOW, held};

crate::money::on_both!(
    sums_follow_the_receipts,
    a_changed_sum_is_named,
    what_providers_bill_themselves_is_summed
);

const DAY: i64 = 86_400_000_000;

fn at(number: u128, charge: i64, days: i64) -> Receipt {
    let started_at = NOW + days * DAY;
    Receipt { started_at, ended_at: started_at + 1, ..held(number, charge, &[]) }
}

async fn verified(store: &Store) -> Vec<String> {
    let mut faults = Vec::new();
    store.verify_rollups(|fault| faults.push(fault.to_string())).await.unwrap();
    faults
}

async fn sums_follow_the_receipts(database: TestDatabase) {
    let mut books = Books::open(database).await;
    books.add_credit(900, 1_000_000, None).await;
    // NOW is the 15th of June 2025.
    let first = [at(1, 100, 0), at(2, 20, 0), at(4, 3, 1), at(6, 1_000, 16)];
    books.apply(&first).await;
    books.apply(&[at(8, 7, 0), at(10, 50, -15)]).await;
    // Receipts that are there count once.
    let again = books.batch(&[at(8, 7, 0), at(12, 9, 16)]);
    books.store.apply(&again, &crate::money::signer()).await.unwrap();
    assert_eq!(verified(&books.store).await, Vec::<String>::new());

    let all = (0, i64::MAX);
    let today = NOW / DAY;
    let days = books.store.rollups(Grain::Key, id(KEY), all).await.unwrap();
    let of_day = |day: i64| -> (i64, i64) {
        let rows = days.iter().filter(|row| row.day == day);
        rows.fold((0, 0), |sum, row| (sum.0 + row.receipts, sum.1 + row.charge))
    };
    assert_eq!([of_day(today), of_day(today + 1)], [(3, 127), (1, 3)]);
    assert_eq!([of_day(today + 16), of_day(today - 15)], [(2, 1_009), (1, 50)]);
    let months = books.store.rollups(Grain::AccountMonth, id(ACCOUNT), all).await.unwrap();
    let months: Vec<_> = months.iter().map(|row| (row.receipts, row.charge)).collect();
    assert_eq!(months, [(1, 50), (4, 130), (2, 1_009)], "May, June, July");
    let june = ledger::parse_date("2025-06-01").unwrap() / DAY;
    let seek = store::CUSTOMERS.by("charge_usd", true, 5).unwrap();
    let top = books.store.customers_list((june, ""), &seek).await.unwrap().rows;
    assert_eq!(
        top.iter().map(|(_, row)| (row.id, row.charge)).collect::<Vec<_>>(),
        [(id(ACCOUNT), 130)]
    );
    let top = books.store.top_keys(id(ACCOUNT), june, 5).await.unwrap();
    assert_eq!(top.iter().map(|row| (row.id, row.charge)).collect::<Vec<_>>(), [(id(KEY), 130)]);
    let house = books.store.house_rollups((today, today + 1)).await.unwrap();
    assert_eq!(house.iter().map(|row| row.charge).sum::<i64>(), 127);
    assert_eq!(house.iter().map(|row| row.cost + row.commission).sum::<i64>(), 127);
    let total = books.store.rollup_total(Grain::User, id(0), all).await.unwrap();
    assert_eq!((total.receipts, total.charge), (7, 1_189));
    let nothing = books.store.rollup_total(Grain::User, id(77), all).await.unwrap();
    assert_eq!((nothing.receipts, nothing.charge), (0, 0));
    books.close().await;
}

async fn a_changed_sum_is_named(database: TestDatabase) {
    let mut books = Books::open(database).await;
    books.add_credit(900, 1_000, None).await;
    books.apply(&[at(1, 100, 0)]).await;
    for (change, back, named) in [
        ("charge_low = charge_low + 1", "charge_low = charge_low - 1", "charge 0.000000000001 USD"),
        ("cost_high = cost_high + 1", "cost_high = cost_high - 1", "cost 0.001 USD"),
        ("receipts = receipts + 2", "receipts = receipts - 2", "receipts 2"),
        ("reasoning = reasoning + 5", "reasoning = reasoning - 5", "reasoning 5"),
        ("direct_low = direct_low + 3", "direct_low = direct_low - 3", "direct 0.000000000003 USD"),
    ] {
        for grain in ["house", "account", "user", "key", "account_month", "key_month"] {
            let update =
                |set: &str| format!("UPDATE tollgate.rollups SET {set} WHERE grain = '{grain}'");
            books.database.shell(&update(change)).await.unwrap();
            let faults = verified(&books.store).await;
            let found = |fault: &String| {
                fault.starts_with(&format!("rollups {grain}/")) && fault.ends_with(named)
            };
            assert!(faults.iter().any(found), "{grain} {change}: {faults:?}");
            books.database.shell(&update(back)).await.unwrap();
        }
    }
    assert_eq!(verified(&books.store).await, Vec::<String>::new());
    books.close().await;
}

/// The same by what receipts say as they are written, and by the migration, where they were there before it.
async fn what_providers_bill_themselves_is_summed(database: TestDatabase) {
    let mut books = Books::open(database).await;
    books.add_credit(900, 1_000_000, None).await;
    let direct = |number: u128, days: i64, amount: i64| {
        let mut receipt = at(number, 10, days);
        receipt.report.pay_directly(Usd::from_pico(amount));
        receipt
    };
    books.apply(&[direct(1, 0, 5_000_000_007), at(2, 100, 0), direct(4, 0, 300)]).await;
    books.apply(&[direct(6, 16, 9_000_000_000), direct(8, -15, 2)]).await;
    let check = async |store: &Store| {
        assert_eq!(verified(store).await, Vec::<String>::new());
        let all = (0, i64::MAX);
        for (grain, whose) in [(Grain::Key, KEY), (Grain::Account, ACCOUNT), (Grain::KeyMonth, KEY)]
        {
            let rows = store.rollups(grain, id(whose), all).await.unwrap();
            let mut sums: Vec<i64> =
                rows.iter().map(|row| row.direct).filter(|n| *n != 0).collect();
            sums.sort_unstable();
            // All of one day are of one month, and of two models.
            let whole: i64 = sums.iter().sum();
            assert_eq!((whole, sums.first()), (14_000_000_309, Some(&2)), "{grain:?} {sums:?}");
        }
        let used = store.direct_by(&[BudgetOwner::Key(id(KEY))], NOW).await.unwrap()[0];
        assert_eq!((used.ever, used.today), (14_000_000_309, 14_000_000_307));
    };
    check(&books.store).await;
    for statement in [
        "ALTER TABLE tollgate.rollups DROP COLUMN direct_high",
        "ALTER TABLE tollgate.rollups DROP COLUMN direct_low",
        "DELETE FROM tollgate.schema_migrations WHERE version = 14",
    ] {
        books.database.shell(statement).await.unwrap();
    }
    assert_eq!(books.store.migrate(NOW).await.unwrap(), 1);
    check(&books.store).await;
    books.close().await;
}
