//! What happens at a moment: credit ends, and a budget is set while requests are under way.

use ledger::{BudgetPeriod, Receipt, Scope, Usd};
use uuid::Uuid;

use crate::common::{TestDatabase, id};
use crate::money::{ACCOUNT, Books, KEY, NOW, budget_of, credit_of, held, on_both, usd};

on_both!(
    all_that_ends_at_a_moment_is_taken_off,
    credit_ends_at_its_moment,
    what_began_later_leaves_what_has_ended,
    what_is_held_when_credit_ends_is_spent_of_it,
    what_is_under_way_counts_against_a_new_budget
);

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
    // What is held is of the 50 that end at that moment; nobody has anything of the others any more.
    assert_eq!(books.left(NOW + 10).await, 30);
    let late = grant(&books, 31, NOW + 10).await;
    assert_eq!((late.granted, late.available, late.ends_at), (Usd::ZERO, usd(30), None));
    assert_eq!(books.balance().await, (50, 20));
    assert_eq!(grant(&books, 30, NOW + 10).await.granted, usd(30));
    // What began later uses up what has not expired.
    books.apply(&[held(1, 30, &[scope])]).await;
    assert_eq!(books.balance().await, (20, 20));
    assert_eq!(books.left(NOW + 10).await, 0);
    assert_eq!(grant(&books, 1, NOW + 10).await.granted, Usd::ZERO);
    books.store.give_back_stale(books.replica, books.epoch, scope, usd(20)).await.unwrap();
    assert_eq!(grant(&books, 1, NOW + 10).await.granted, Usd::ZERO);
    assert_eq!(books.balance().await, (0, 0));
    books.close().await;
}

/// Each credit has transactions of its own, however alike the ids and amounts of several are.
async fn all_that_ends_at_a_moment_is_taken_off(database: TestDatabase) {
    let books = Books::open(database).await;
    for number in 0..8_i64 {
        for amount in 1..8 {
            let id = 1_000 + u128::try_from(number * 8 + amount).unwrap();
            books.add_credit(id, amount, Some(NOW + 10)).await;
        }
    }
    assert_eq!(books.store.expire_credit(NOW + 10).await.unwrap(), usd(8 * 28));
    assert_eq!(books.balance().await, (0, 0));
    books.close().await;
}

/// Credit of which 50 end at a moment and 90 never, and 20 of which are held.
async fn ending(database: TestDatabase) -> (Books, Scope) {
    let books = Books::open(database).await;
    books.add_credit(100, 50, Some(NOW + 10)).await;
    books.add_credit(101, 90, None).await;
    let scope = credit_of(ACCOUNT);
    books.grant(scope, 20, 20).await;
    (books, scope)
}

/// What began when credit had ended leaves it to what began before, also where nobody has noticed the end yet.
async fn what_began_later_leaves_what_has_ended(database: TestDatabase) {
    let (mut books, scope) = ending(database).await;
    let (least, want) = (usd(5), usd(5));
    let grant = books.store.grant(books.replica, books.epoch, scope, least, want, NOW + 15).await;
    assert_eq!(grant.unwrap().granted, usd(5));
    let (before, after) = (
        Receipt { started_at: NOW + 9, ..held(1, 20, &[scope]) },
        Receipt { started_at: NOW + 12, ..held(2, 5, &[scope]) },
    );
    books.apply(&[after]).await;
    assert_eq!(books.store.expire_credit(NOW + 16).await.unwrap(), Usd::ZERO);
    assert_eq!(books.balance().await, (105, 20));
    books.apply(&[before]).await;
    assert_eq!((books.balance().await, books.left(NOW + 16).await), ((85, 0), 85));
    books.close().await;
}

/// A request that began before is paid with what expires under it, whoever takes off the rest, and whatever comes meanwhile.
async fn what_is_held_when_credit_ends_is_spent_of_it(database: TestDatabase) {
    let (mut books, scope) = ending(database).await;
    // Another replica has more than what ends, and never comes back.
    books.store.begin_epoch(id(51), 0, Uuid::now_v7(), NOW).await.unwrap();
    books.store.grant(id(51), 1, scope, usd(60), usd(60), NOW).await.unwrap();
    assert_eq!(books.store.expire_credit(NOW + 10).await.unwrap(), Usd::ZERO);
    let (least, want) = (usd(60), usd(60));
    let later = books.store.grant(books.replica, books.epoch, scope, least, want, NOW + 11).await;
    assert_eq!(later.unwrap().granted, usd(60));
    let (before, after) = (
        Receipt { started_at: NOW + 9, ..held(1, 20, &[scope]) },
        Receipt { started_at: NOW + 11, ..held(2, 40, &[scope]) },
    );
    books.apply(&[after]).await;
    assert_eq!(books.store.expire_credit(NOW + 12).await.unwrap(), Usd::ZERO);
    books.apply(&[before]).await;
    assert_eq!((books.balance().await, books.left(NOW + 12).await), ((80, 80), 50));
    books.store.give_back(books.replica, books.epoch, scope, usd(20)).await.unwrap();
    books.store.close_slices(id(51), 2, NOW + 12).await.unwrap();
    assert_eq!(books.store.expire_credit(NOW + 12).await.unwrap(), usd(30));
    assert_eq!(books.balance().await, (50, 0));
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
