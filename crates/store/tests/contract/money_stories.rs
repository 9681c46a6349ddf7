//! Credit, budgets and slices, told to both engines.

use std::collections::BTreeMap;

use ledger::{BudgetPeriod, Receipt, Usd};
use store::{
    Adjustment, AdjustmentKind, Applied, Audited, Balance, Batch, BudgetOwner, Entries, NewBudget,
    NewCredit, Period, StoreError,
};
use uuid::Uuid;

use crate::common::{TestDatabase, id};
use crate::money::{
    ACCOUNT, Books, NOW, REPLICA, budget_of, credit, credit_of, held, on_both, signer, usd,
};

fn correction(number: u128, kind: AdjustmentKind, pico: i64, corrects: Uuid) -> Adjustment {
    Adjustment {
        id: id(number),
        account_id: id(ACCOUNT),
        amount: usd(pico),
        kind,
        corrects: Some(corrects),
        actor: "ada".to_owned(),
        reason: "a test".to_owned(),
        at: NOW,
    }
}

on_both!(
    credit_comes_and_is_corrected,
    a_gift_is_not_paid_out,
    what_pays_a_debt_does_not_expire,
    nobody_is_granted_what_is_not_there,
    settling_leaves_available_as_it_is,
    any_cut_makes_the_same_ledger,
    what_nobody_holds_is_absorbed,
    a_small_slice_is_spent_to_its_end,
    a_lower_budget_keeps_what_is_spent,
    a_period_that_was_lost_is_opened,
    credit_expires_when_nobody_holds_it,
    what_has_expired_pays_for_nothing_later,
    what_is_used_up_is_in_nobodys_way,
    what_the_house_has_paid_uses_no_credit_up,
    what_a_dead_replica_held_is_free,
    accounts_change_how_they_pay
);

async fn credit_comes_and_is_corrected(database: TestDatabase) {
    let mut books = Books::open(database).await;
    books.add_credit(100, 1_000, None).await;
    assert_eq!(books.balance().await, (1_000, 0));
    let again = books.store.add_credit(credit(100, 1_000, None)).await;
    assert!(!again.unwrap(), "the same once more does nothing");
    let other = books.store.add_credit(credit(100, 999, None)).await;
    assert!(matches!(other, Err(StoreError::Done { id: done }) if done == id(100)), "{other:?}");
    let nobody = NewCredit { account_id: id(77), ..credit(101, 5, None) };
    let nobody = books.store.add_credit(nobody).await;
    assert!(matches!(nobody, Err(StoreError::NotFound { what: "account" })), "{nobody:?}");
    for pico in [0, -5] {
        let less = books.store.add_credit(credit(102, pico, None)).await;
        assert!(matches!(less, Err(StoreError::OutOfRange { .. })), "{less:?}");
    }

    books.grant(credit_of(ACCOUNT), 300, 300).await;
    books.apply(&[held(1, 200, &[credit_of(ACCOUNT)])]).await;
    assert_eq!(books.balance().await, (800, 100));
    let request = held(1, 200, &[]).request_id;
    let note = correction(103, AdjustmentKind::CreditNote, 50, request);
    assert!(books.store.adjust(note.clone()).await.unwrap());
    assert!(!books.store.adjust(note.clone()).await.unwrap());
    assert_eq!(books.balance().await, (850, 100));
    // No more is taken back than was charged, all notes together.
    let more = correction(106, AdjustmentKind::CreditNote, 151, request);
    let more = books.store.adjust(more).await;
    assert!(matches!(more, Err(StoreError::TooLittle { .. })), "{more:?}");
    let month = Period::ALL;
    let corrections = books.store.corrections(id(ACCOUNT), month).await.unwrap();
    assert_eq!(corrections.iter().map(|one| one.amount).collect::<Vec<_>>(), [50]);
    let refund = |number, pico| correction(number, AdjustmentKind::Refund, pico, id(100));
    // What a replica holds is not there to be paid out.
    let too_much = books.store.adjust(refund(104, -751)).await;
    assert!(matches!(too_much, Err(StoreError::TooLittle { .. })), "{too_much:?}");
    // What is paid out was paid in, by what it corrects.
    let never_paid = correction(107, AdjustmentKind::Refund, -1, request);
    for more in [never_paid, refund(107, -1_001)] {
        let more = books.store.adjust(more).await;
        assert!(matches!(more, Err(StoreError::TooLittle { .. })), "{more:?}");
    }
    assert!(books.store.adjust(refund(104, -750)).await.unwrap());
    let twice = books.store.adjust(refund(108, -251)).await;
    assert!(
        matches!(&twice, Err(StoreError::TooLittle { what }) if what.contains("paid")),
        "{twice:?}"
    );
    assert_eq!(books.balance().await, (100, 100));
    for (number, kind, pico, corrects) in [
        (105, AdjustmentKind::CreditNote, -1, request),
        (105, AdjustmentKind::Refund, 1, request),
        (105, AdjustmentKind::Adjustment, 0, request),
    ] {
        let refused = books.store.adjust(correction(number, kind, pico, corrects)).await;
        assert!(matches!(refused, Err(StoreError::OutOfRange { .. })), "{refused:?}");
    }
    let unknown = Adjustment { corrects: Some(id(9_999)), id: id(105), ..note };
    let unknown = books.store.adjust(unknown).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })), "{unknown:?}");

    let statement = books.store.transactions(id(ACCOUNT), None, 10).await.unwrap();
    let amounts: BTreeMap<&str, i64> =
        statement.iter().map(|one| (one.kind.as_str(), one.amount)).collect();
    let expected = [("credit_note", 50), ("refund", -750), ("top_up", 1_000), ("usage", -200)];
    assert_eq!(amounts, expected.into());
    let mut last = None;
    let mut paged = Vec::new();
    while let [one] = books.store.transactions(id(ACCOUNT), last, 1).await.unwrap().as_slice() {
        last = Some((one.created_at, one.id));
        paged.push(one.clone());
    }
    assert_eq!(paged, statement);
    books.close().await;
}

/// A refund takes what was paid off, and leaves what was given: that still ends at its time.
async fn a_gift_is_not_paid_out(database: TestDatabase) {
    let books = Books::open(database).await;
    books.add_credit(100, 1_000, None).await;
    books.add_credit(101, 500, Some(NOW + 10)).await;
    let refund = |number, pico| correction(number, AdjustmentKind::Refund, pico, id(100));
    assert!(books.store.adjust(refund(102, -400)).await.unwrap());
    assert!(!books.store.adjust(refund(102, -400)).await.unwrap());
    assert_eq!(books.store.expire_credit(NOW + 10).await.unwrap(), usd(500));
    assert_eq!(books.balance().await, (600, 0));

    // The payment is used up, so that only a gift is there.
    let used = correction(103, AdjustmentKind::Adjustment, -600, id(100));
    assert!(books.store.adjust(used).await.unwrap());
    books.add_credit(104, 500, Some(NOW + 20)).await;
    let gift = books.store.adjust(refund(105, -1)).await;
    assert!(
        matches!(&gift, Err(StoreError::TooLittle { what }) if what.contains("given")),
        "{gift:?}"
    );
    // A second payment is money that can go back, whichever of the two is named.
    books.add_credit(106, 200, None).await;
    assert!(books.store.adjust(refund(107, -200)).await.unwrap());
    let more = books.store.adjust(refund(108, -1)).await;
    assert!(matches!(more, Err(StoreError::TooLittle { .. })), "{more:?}");
    assert_eq!(books.balance().await, (500, 0));

    let over = books.store.add_credit(credit(109, i64::MAX - 499, None)).await;
    assert!(matches!(over, Err(StoreError::OutOfRange { what: "balance" })), "{over:?}");
    assert_eq!(books.balance().await, (500, 0));
    books.close().await;
}

/// Credit of somebody who owes is used up as far as that goes, also where more is paid later.
async fn what_pays_a_debt_does_not_expire(database: TestDatabase) {
    let mut books = Books::open(database).await;
    books.store.set_prepaid(id(ACCOUNT), false, Usd::ZERO).await.unwrap();
    books.apply(&[held(1, 300, &[])]).await;
    books.add_credit(100, 100, Some(NOW + 10)).await;
    books.add_credit(101, 250, Some(NOW + 10)).await;
    assert_eq!(books.balance().await, (50, 0));
    assert_eq!(books.store.expire_credit(NOW + 10).await.unwrap(), usd(50));
    books.add_credit(102, 1_000, None).await;
    assert_eq!(books.store.expire_credit(NOW + 11).await.unwrap(), Usd::ZERO);
    assert_eq!(books.store.balance(id(ACCOUNT), NOW + 11).await.unwrap().posted, usd(1_000));
    books.close().await;
}

/// Sixty-four at once, of four replicas: together they get what there is, to the last bit of it.
async fn nobody_is_granted_what_is_not_there(database: TestDatabase) {
    let mut books = Books::open(database).await;
    books.add_credit(100, 1_000, None).await;
    books.set_budget(200, 600).await;
    let today = BudgetPeriod::Day.start(NOW);
    for replica in 51..54 {
        books.store.begin_epoch(id(replica), 0, Uuid::now_v7(), NOW).await.unwrap();
    }
    for (scope, there) in [(credit_of(ACCOUNT), 1_000), (budget_of(200, today), 600)] {
        let mut asking = tokio::task::JoinSet::new();
        for number in 0..64_u128 {
            let store = books.store.clone();
            asking.spawn(async move {
                let replica = id(REPLICA + number % 4);
                let grant = store.grant(replica, 1, scope, usd(30), usd(30), NOW).await;
                grant.unwrap().granted.pico()
            });
        }
        let granted = asking.join_all().await;
        assert!(granted.iter().all(|granted| [0, 30].contains(granted)), "{granted:?}");
        assert_eq!(granted.iter().sum::<i64>(), there / 30 * 30);
    }
    assert_eq!(books.balance().await, (1_000, 990));
    assert_eq!(books.budget().await, (0, 600));
    let rest = books.grant(credit_of(ACCOUNT), 11, 11).await;
    assert_eq!((rest.granted.pico(), rest.available.pico()), (0, 10));
    let all: i64 = books.store.replicas().await.unwrap().iter().map(|one| one.held.pico()).sum();
    assert_eq!(all, 990);
    assert_eq!(books.faults().await, Vec::<String>::new());

    // One that needs less than its share gets no more than half of that, of which there are eight.
    books.store.close_slices(id(REPLICA), 2, NOW).await.unwrap();
    books.begin().await;
    let (_, leased) = books.balance().await;
    let share = (1_000 - leased) / 8;
    assert!(share > 1);
    let grant = books.grant(credit_of(ACCOUNT), 1, 1_000).await;
    assert_eq!(grant.granted.pico(), share);
    assert_eq!(grant.leased_elsewhere.pico(), leased);
    books.close().await;
}

async fn settling_leaves_available_as_it_is(database: TestDatabase) {
    let mut books = Books::open(database).await;
    books.add_credit(100, 1_000, None).await;
    books.set_budget(200, 700).await;
    let today = BudgetPeriod::Day.start(NOW);
    let scopes = [credit_of(ACCOUNT), budget_of(200, today)];
    for scope in scopes {
        assert_eq!(books.grant(scope, 600, 600).await.granted.pico(), 600);
    }
    let mut spent = 0;
    for number in 1..=5_u128 {
        let receipts = [held(number * 2, 70, &scopes), held(number * 2 + 1, 50, &scopes)];
        let applied = books.apply(&receipts).await;
        spent += 120;
        assert_eq!(applied, Applied { new: 2, ..Applied::default() });
        assert_eq!(books.balance().await, (1_000 - spent, 600 - spent));
        assert_eq!(books.budget().await, (spent, 600 - spent));
    }
    let none = books.grant(credit_of(ACCOUNT), 401, 401).await;
    assert_eq!((none.granted.pico(), none.available.pico()), (0, 400));
    let none = books.grant(budget_of(200, today), 101, 101).await;
    assert_eq!((none.granted.pico(), none.available.pico()), (0, 100));
    assert_eq!(none.renews_at, BudgetPeriod::Day.end(NOW));
    // More than a slice has is never given back; what was asked for by nobody changes nothing.
    books.apply(&[held(50, 0, &scopes)]).await;
    assert_eq!(books.balance().await, (400, 0));
    books.store.give_back(books.replica, books.epoch, scopes[0], usd(1)).await.unwrap();
    books.store.give_back(books.replica, books.epoch, scopes[0], usd(-1)).await.unwrap();
    assert_eq!(books.balance().await, (400, 0));
    books.grant(scopes[0], 100, 100).await;
    books.store.give_back(books.replica, books.epoch, scopes[0], usd(40)).await.unwrap();
    assert_eq!(books.balance().await, (400, 60));
    books.close().await;
}

/// What a ledger comes to, however its receipts came in.
async fn summary(books: &Books) -> (Balance, Vec<store::Budget>, Usd, store::Sums, u64) {
    let replicas = books.store.replicas().await.unwrap();
    (
        books.store.balance(id(ACCOUNT), 0).await.unwrap(),
        books.store.budgets(NOW).await.unwrap(),
        replicas[0].held,
        books.store.total().await.unwrap(),
        replicas[0].cursor,
    )
}

async fn any_cut_makes_the_same_ledger(database: TestDatabase) {
    let mut books = Books::open(database).await;
    books.add_credit(100, 10_000, None).await;
    books.set_budget(200, 9_000).await;
    let scopes = [credit_of(ACCOUNT), budget_of(200, BudgetPeriod::Day.start(NOW))];
    for scope in scopes {
        books.grant(scope, 4_000, 4_000).await;
    }
    let receipts: Vec<Receipt> = (1..=60).map(|number| held(number, 50, &scopes)).collect();
    let whole = books.batch(&receipts);
    let cut = |from: u64, to: u64| {
        let mut entries = Entries::default();
        for (seq, entry) in whole.entries.behind(from).take_while(|(seq, _)| *seq <= to) {
            entries.push(seq, entry);
        }
        let id = Uuid::now_v7();
        Batch { id, after: from, seq: to, open: to + 1, entries, ..whole.clone() }
    };
    let cuts = [(0, 1), (0, 17), (5, 17), (16, 40), (0, 39), (40, 40), (40, 60), (0, 60), (59, 60)];
    let mut new = 0;
    for (from, to) in cuts {
        new += books.store.apply(&cut(from, to), &signer()).await.unwrap().new;
    }
    assert_eq!(new, 60);
    let before = summary(&books).await;
    assert_eq!(books.balance().await, (10_000 - 60 * 50, 4_000 - 60 * 50));
    assert_eq!(books.budget().await, (60 * 50, 4_000 - 60 * 50));
    assert_eq!(books.store.apply(&whole, &signer()).await.unwrap(), Applied::default());
    assert_eq!(summary(&books).await, before);

    // Behind a cursor that has been lost, the rows themselves are known.
    books.database.shell("UPDATE tollgate.replicas SET cursor_seq = 30").await.unwrap();
    assert_eq!(books.store.apply(&cut(30, 60), &signer()).await.unwrap().new, 0);
    assert_eq!(summary(&books).await, before);

    // Something else under an id that was used: neither rows, nor money, nor the cursor.
    for other in [held(60, 51, &scopes), held(60, 50, &scopes[..1])] {
        let batch = books.batch(&[held(61, 10, &scopes), other]);
        books.seq -= 2;
        let refused = books.store.apply(&batch, &signer()).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
        assert_eq!(summary(&books).await, before);
    }
    let fenced = Batch { epoch: 2, ..books.batch(&[held(62, 10, &scopes)]) };
    let fenced = books.store.apply(&fenced, &signer()).await;
    assert!(matches!(fenced, Err(StoreError::Fenced)), "{fenced:?}");
    assert_eq!(summary(&books).await, before);
    books.close().await;
}

async fn what_nobody_holds_is_absorbed(database: TestDatabase) {
    let mut books = Books::open(database).await;
    books.add_credit(100, 100, None).await;
    // Without a slice, but there is enough.
    let direct = books.apply(&[held(1, 30, &[credit_of(ACCOUNT)])]).await;
    let expected = vec![(id(ACCOUNT), usd(30))];
    assert_eq!((direct.direct, direct.absorbed), (expected, vec![]));
    assert_eq!(books.balance().await, (70, 0));
    // Another replica holds most of the rest, and keeps it.
    books.store.begin_epoch(id(51), 0, Uuid::now_v7(), NOW).await.unwrap();
    let other = books.store.grant(id(51), 1, credit_of(ACCOUNT), usd(50), usd(50), NOW).await;
    assert_eq!(other.unwrap().granted.pico(), 50);
    let absorbed = books.apply(&[held(2, 45, &[]), held(3, 5, &[credit_of(ACCOUNT)])]).await;
    assert_eq!(absorbed.absorbed, [(id(ACCOUNT), usd(30))]);
    assert_eq!(books.balance().await, (50, 50));
    let statement = books.store.transactions(id(ACCOUNT), None, 10).await.unwrap();
    let mut amounts: Vec<_> = statement.iter().map(|one| (one.kind.as_str(), one.amount)).collect();
    amounts.sort_unstable();
    assert_eq!(amounts, [("absorb", 30), ("top_up", 100), ("usage", -50), ("usage", -30)]);
    // An account that nobody has opened owes all of it.
    let stranger = Receipt { account_id: id(88), ..held(4, 9, &[]) };
    assert_eq!(books.apply(&[stranger]).await.absorbed, []);
    assert_eq!(books.store.balance(id(88), 0).await.unwrap().posted.pico(), -9);
    books.close().await;
}

/// What a slice has is taken from it, of each run in turn, and only the rest from elsewhere.
async fn a_small_slice_is_spent_to_its_end(database: TestDatabase) {
    let mut books = Books::open(database).await;
    books.add_credit(100, 100, None).await;
    books.set_budget(200, 1_000).await;
    let scopes = [credit_of(ACCOUNT), budget_of(200, BudgetPeriod::Day.start(NOW))];
    for _ in 0..2 {
        for scope in scopes {
            assert_eq!(books.grant(scope, 40, 40).await.granted.pico(), 40);
        }
        books.begin().await;
    }
    assert_eq!(books.balance().await, (100, 80));
    let applied = books.apply(&[held(1, 60, &scopes)]).await;
    assert_eq!(applied, Applied { new: 1, ..Applied::default() });
    assert_eq!((books.balance().await, books.budget().await), ((40, 20), (60, 20)));
    let applied = books.apply(&[held(2, 50, &scopes)]).await;
    assert_eq!(applied.direct, [(id(ACCOUNT), usd(30))]);
    assert_eq!(applied.absorbed, [(id(ACCOUNT), usd(10))]);
    assert_eq!((books.balance().await, books.budget().await), ((0, 0), (110, 0)));
    books.close().await;
}

async fn a_lower_budget_keeps_what_is_spent(database: TestDatabase) {
    let mut books = Books::open(database).await;
    books.add_credit(100, 10_000, None).await;
    let revision = books.store.revision().await.unwrap();
    books.set_budget(200, 1_000).await;
    assert!(books.store.revision().await.unwrap() > revision);
    let budget = budget_of(200, BudgetPeriod::Day.start(NOW));
    let scopes = [credit_of(ACCOUNT), budget];
    for scope in scopes {
        books.grant(scope, 500, 500).await;
    }
    books.apply(&[held(1, 200, &scopes)]).await;
    assert_eq!(books.budget().await, (200, 300));
    assert_eq!(books.store.recalled(books.replica).await.unwrap(), []);
    // The same owner and period: the same budget, under its first id.
    books.set_budget(201, 250).await;
    assert_eq!(books.store.recalled(books.replica).await.unwrap(), [budget]);
    assert_eq!(books.store.recalled(books.replica).await.unwrap(), [], "asked once");
    assert_eq!(books.budget().await, (200, 300), "what is leased stays so");
    assert_eq!(books.grant(budget, 1, 1).await.granted.pico(), 0);
    books.store.give_back(books.replica, books.epoch, budget, usd(270)).await.unwrap();
    assert_eq!(books.grant(budget, 21, 21).await.granted.pico(), 0, "the limit counts now");
    assert_eq!(books.grant(budget, 20, 20).await.granted.pico(), 20);
    books.set_budget(200, 2_000).await;
    assert_eq!(books.grant(budget, 1_750, 1_750).await.granted.pico(), 1_750);
    // The day after, all of it is there again.
    let next = BudgetPeriod::Day.end(NOW).unwrap();
    let tomorrow = budget_of(200, next);
    let grant = (books.store)
        .grant(books.replica, books.epoch, tomorrow, usd(2_000), usd(2_000), next)
        .await
        .unwrap();
    assert_eq!(grant.granted.pico(), 2_000);

    // A budget that is set late counts what was spent before.
    let (owner, period) = (BudgetOwner::Account(id(ACCOUNT)), BudgetPeriod::Total);
    let late = NewBudget { id: id(300), owner, period, limit: usd(150), at: NOW };
    books.store.set_budget(late).await.unwrap();
    assert_eq!(books.grant(budget_of(300, 0), 1, 1).await.granted.pico(), 0);
    let used: Vec<i64> =
        books.store.budgets(NOW).await.unwrap().iter().map(|one| one.used.pico()).collect();
    assert_eq!(used, [200, 200]);
    books.store.remove_budget(id(300), NOW).await.unwrap();
    let twice = books.store.remove_budget(id(300), NOW).await;
    assert!(matches!(twice, Err(StoreError::NotFound { what: "budget" })), "{twice:?}");
    assert_eq!(books.store.budgets(NOW).await.unwrap().len(), 1);
    books.close().await;
}

/// A database from before a budget's period began is given its receipts: what they say is counted once.
async fn a_period_that_was_lost_is_opened(database: TestDatabase) {
    let mut books = Books::open(database).await;
    books.add_credit(100, 10_000, None).await;
    books.set_budget(200, 1_000).await;
    books.apply(&[held(1, 40, &[])]).await;
    let budget = budget_of(200, BudgetPeriod::Day.start(NOW));
    let unknown = budget_of(999, 0);
    books.apply(&[held(2, 30, &[budget, unknown]), held(3, 20, &[budget])]).await;
    assert_eq!(books.budget().await, (90, 0));
    books.apply(&[held(4, 5, &[budget])]).await;
    assert_eq!(books.budget().await, (95, 0));
    books.close().await;
}

async fn credit_expires_when_nobody_holds_it(database: TestDatabase) {
    let mut books = Books::open(database).await;
    books.add_credit(100, 100, Some(NOW + 10)).await;
    books.add_credit(101, 100, None).await;
    books.add_credit(102, 100, Some(NOW + 5)).await;
    books.grant(credit_of(ACCOUNT), 250, 250).await;
    // What expires first is used first.
    let begun = Receipt { started_at: NOW, ..held(1, 130, &[credit_of(ACCOUNT)]) };
    books.apply(&[begun]).await;
    assert_eq!(books.balance().await, (170, 120));
    assert_eq!(books.store.expire_credit(NOW + 9).await.unwrap(), Usd::ZERO);
    // Seventy are left of it, which are among what is held.
    assert_eq!(books.store.expire_credit(NOW + 10).await.unwrap(), Usd::ZERO);
    assert_eq!(books.balance().await, (170, 120));
    let (replica, epoch) = (books.replica, books.epoch);
    books.store.give_back_stale(replica, epoch, credit_of(ACCOUNT), usd(60)).await.unwrap();
    assert_eq!(books.store.expire_credit(NOW + 12).await.unwrap(), usd(10));
    assert_eq!(books.balance().await, (160, 60));
    assert_eq!(books.store.expire_credit(i64::MAX).await.unwrap(), Usd::ZERO);
    // With a credit line, too, nobody comes to owe what has expired while it was being spent.
    books.store.set_prepaid(id(ACCOUNT), true, usd(-1_000)).await.unwrap();
    books.add_credit(103, 40, Some(NOW + 20)).await;
    books.grant(credit_of(ACCOUNT), 80, 80).await;
    assert_eq!(books.store.expire_credit(NOW + 20).await.unwrap(), Usd::ZERO);
    assert_eq!(books.balance().await, (200, 140));
    books.close().await;
}

/// What began before and after credit expired comes to the same in one batch as in two.
async fn what_has_expired_pays_for_nothing_later(database: TestDatabase) {
    let mut books = Books::open(database).await;
    books.add_credit(100, 100, Some(NOW + 10)).await;
    books.add_credit(101, 100, None).await;
    books.grant(credit_of(ACCOUNT), 150, 150).await;
    let begun = |number, charge, started_at| Receipt {
        started_at,
        ..held(number, charge, &[credit_of(ACCOUNT)])
    };
    books.apply(&[begun(1, 50, NOW + 11), begun(2, 20, NOW), begun(3, 5, NOW + 10)]).await;
    let (replica, epoch) = (books.replica, books.epoch);
    books.store.give_back(replica, epoch, credit_of(ACCOUNT), usd(75)).await.unwrap();
    assert_eq!(books.store.expire_credit(NOW + 12).await.unwrap(), usd(80));
    assert_eq!(books.balance().await, (45, 0));
    books.close().await;
}

/// Credit that the earlier requests of a batch have used up is passed over by the later ones.
async fn what_is_used_up_is_in_nobodys_way(database: TestDatabase) {
    let mut books = Books::open(database).await;
    for (number, amount, expires_in) in [(100, 10, 10), (101, 10, 20), (102, 100, 40)] {
        books.add_credit(number, amount, Some(NOW + expires_in)).await;
    }
    let begun = |number, charge, started_at| Receipt { started_at, ..held(number, charge, &[]) };
    books.apply(&[begun(1, 20, NOW), begun(2, 5, NOW + 15)]).await;
    assert_eq!(books.store.expire_credit(NOW + 30).await.unwrap(), Usd::ZERO);
    assert_eq!(books.store.expire_credit(NOW + 40).await.unwrap(), usd(95));
    assert_eq!(books.balance().await, (0, 0));
    books.close().await;
}

async fn what_the_house_has_paid_uses_no_credit_up(database: TestDatabase) {
    let mut books = Books::open(database).await;
    books.add_credit(100, 100, Some(NOW + 10)).await;
    books.store.begin_epoch(id(51), 0, Uuid::now_v7(), NOW).await.unwrap();
    books.store.grant(id(51), 1, credit_of(ACCOUNT), usd(50), usd(50), NOW).await.unwrap();
    assert_eq!(books.apply(&[held(1, 80, &[])]).await.absorbed, [(id(ACCOUNT), usd(30))]);
    books.store.give_back(id(51), 1, credit_of(ACCOUNT), usd(50)).await.unwrap();
    assert_eq!(books.store.expire_credit(NOW + 10).await.unwrap(), usd(50));
    assert_eq!(books.balance().await, (0, 0));
    books.close().await;
}

async fn what_a_dead_replica_held_is_free(database: TestDatabase) {
    const DAY: i64 = 86_400_000_000;
    let mut books = Books::open(database).await;
    books.add_credit(100, 100, None).await;
    let scope = credit_of(ACCOUNT);
    books.grant(scope, 80, 80).await;
    assert!(books.store.recall(scope, id(51)).await.unwrap());
    assert!(!books.store.recall(scope, books.replica).await.unwrap(), "not of itself");
    let store = &books.store;
    assert!(!store.release(books.replica, NOW + DAY - 1, false).await.unwrap());
    assert_eq!(books.balance().await, (100, 80));
    assert!(store.release(books.replica, NOW + DAY, false).await.unwrap());
    assert_eq!(books.balance().await, (100, 0));
    // It can take nothing any more, nor give back what it has not; what it did spend still comes.
    let refused = store.grant(books.replica, 1, scope, usd(1), usd(1), NOW).await;
    assert!(matches!(refused, Err(StoreError::Fenced)), "{refused:?}");
    let refused = store.heartbeat(books.replica, 1, NOW).await;
    assert!(matches!(refused, Err(StoreError::Fenced)), "{refused:?}");
    store.give_back(books.replica, 1, scope, usd(80)).await.unwrap();
    store.begin_epoch(id(51), 0, Uuid::now_v7(), NOW).await.unwrap();
    store.grant(id(51), 1, scope, usd(90), usd(90), NOW).await.unwrap();
    let late = books.apply(&[held(1, 60, &[scope])]).await;
    assert_eq!(late.absorbed, [(id(ACCOUNT), usd(50))]);
    assert_eq!(books.balance().await, (90, 90));

    // Another run goes on; of two that know the same, one.
    books.begin().await;
    let clone = books.store.begin_epoch(books.replica, 1, Uuid::now_v7(), NOW).await;
    assert!(matches!(clone, Err(StoreError::Fenced)), "{clone:?}");
    books.store.heartbeat(books.replica, 2, NOW).await.unwrap();
    // Who has given everything back takes nothing more.
    books.store.give_back(id(51), 1, scope, usd(50)).await.unwrap();
    books.grant(scope, 10, 10).await;
    books.store.close_slices(books.replica, 3, NOW).await.unwrap();
    assert_eq!(books.balance().await, (90, 40));
    let refused = books.store.grant(books.replica, 2, scope, usd(1), usd(1), NOW).await;
    assert!(matches!(refused, Err(StoreError::Fenced)), "{refused:?}");
    assert_eq!(books.balance().await, (90, 40));
    books.close().await;
}

async fn accounts_change_how_they_pay(database: TestDatabase) {
    let mut books = Books::open(database).await;
    let account = id(ACCOUNT);
    assert!(books.store.user("ada").await.unwrap().prepaid);
    let revision = books.store.revision().await.unwrap();
    books.store.set_prepaid(account, false, Usd::ZERO).await.unwrap();
    assert_eq!(books.store.revision().await.unwrap(), revision + 1);
    assert!(!books.store.user("ada").await.unwrap().prepaid);
    assert_eq!(books.apply(&[held(1, 70, &[])]).await.absorbed, []);
    assert_eq!(books.balance().await, (-70, 0));
    let owing = books.store.set_prepaid(account, true, usd(-69)).await;
    assert!(matches!(owing, Err(StoreError::TooLittle { .. })), "{owing:?}");
    books.store.set_prepaid(account, true, usd(-100)).await.unwrap();
    assert_eq!(books.grant(credit_of(ACCOUNT), 31, 31).await.granted.pico(), 0);
    assert_eq!(books.grant(credit_of(ACCOUNT), 30, 30).await.granted.pico(), 30);
    // A request of before, which holds nothing.
    assert_eq!(books.apply(&[held(2, 5, &[])]).await.absorbed, [(account, usd(5))]);
    assert_eq!(books.balance().await, (-70, 30));
    books.close().await;
}

#[tokio::test]
async fn an_audit_tells_what_it_has_seen() {
    let mut books = Books::open(TestDatabase::sqlite()).await;
    books.add_credit(100, 100, None).await;
    books.set_budget(200, 100).await;
    books.apply(&[held(1, 5, &[]), held(2, 5, &[])]).await;
    books.grant(budget_of(200, BudgetPeriod::Day.start(NOW)), 1, 1).await;
    let audited = books.store.audit(|fault| panic!("{fault}")).await.unwrap();
    assert_eq!(audited, Audited { transactions: 2, accounts: 1, periods: 1 });
    books.close().await;
}
