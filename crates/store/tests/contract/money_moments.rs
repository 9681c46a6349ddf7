//! What happens at a moment: credit ends, and a budget is set while requests are under way.

use ledger::{BudgetPeriod, Receipt, Usd};

use crate::common::{TestDatabase, id};
use crate::money::{ACCOUNT, Books, KEY, NOW, budget_of, credit_of, held, on_both, usd};

on_both!(credit_ends_at_its_moment, what_is_under_way_counts_against_a_new_budget);

/// Nothing of what has expired is set aside for anybody, whoever was the last to look.
async fn credit_ends_at_its_moment(database: TestDatabase) {
    let mut books = Books::open(database).await;
    books.add_credit(100, 50, Some(NOW + 10)).await;
    books.add_credit(101, 30, None).await;
    let scope = credit_of(ACCOUNT);
    let grant = async |books: &Books, amount: i64, at: i64| {
        let (least, want) = (usd(amount), usd(amount));
        books.store.grant(books.replica, books.epoch, scope, least, want, at).await.unwrap()
    };
    let first = grant(&books, 20, NOW + 9).await;
    assert_eq!((first.granted, first.ends_at), (usd(20), Some(NOW + 10)));
    // Of the 60 that nobody holds, 50 are gone at that moment, although nobody has taken them off.
    let late = grant(&books, 11, NOW + 10).await;
    assert_eq!((late.granted, late.available, late.ends_at), (Usd::ZERO, usd(10), None));
    assert_eq!(books.balance().await, (80, 20));
    assert_eq!(grant(&books, 10, NOW + 10).await.granted, usd(10));
    // What began later uses up what has not expired.
    books.apply(&[held(1, 30, &[scope])]).await;
    assert_eq!(books.balance().await, (50, 0));
    assert_eq!(grant(&books, 1, NOW + 10).await.granted, Usd::ZERO);
    assert_eq!(books.store.expire_credit(NOW + 10).await.unwrap(), usd(50));
    assert_eq!(books.balance().await, (0, 0));
    books.close().await;
}

/// A request that was admitted before there was the budget names none, and counts all the same, once.
async fn what_is_under_way_counts_against_a_new_budget(database: TestDatabase) {
    let mut books = Books::open(database).await;
    books.add_credit(100, 1_000, None).await;
    let credit = credit_of(ACCOUNT);
    books.grant(credit, 500, 500).await;
    let before = Receipt { started_at: NOW - 1, ..held(1, 40, &[credit]) };
    let under_way =
        |number, charge| Receipt { started_at: NOW - 1, ..held(number, charge, &[credit]) };
    books.set_budget(200, 300).await;
    // Nobody has held anything of it yet: it will be found among what was spent.
    books.apply(&[before]).await;
    assert_eq!(books.budget().await, (0, 0));
    let today = budget_of(200, BudgetPeriod::Day.start(NOW));
    books.grant(today, 100, 100).await;
    assert_eq!(books.budget().await, (40, 100));
    books.apply(&[under_way(2, 60), held(3, 25, &[credit, today])]).await;
    assert_eq!(books.budget().await, (125, 75));
    // It was spent, whatever the limit says, and leaves nothing.
    books.apply(&[under_way(4, 200)]).await;
    assert_eq!(books.budget().await, (325, 75));
    assert_eq!(books.grant(today, 1, 1).await.granted, Usd::ZERO);
    // Of another day, and somebody else's.
    let yesterday = Receipt { started_at: NOW - 86_400_000_000, ..held(5, 7, &[credit]) };
    let theirs = Receipt { key_id: id(KEY + 1), ..under_way(6, 9) };
    books.apply(&[yesterday, theirs]).await;
    assert_eq!(books.budget().await, (325, 75));
    books.close().await;
}
