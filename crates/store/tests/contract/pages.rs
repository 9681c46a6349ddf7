//! What pages for people are made of.

use ledger::{Meter, Outcome, Receipt, Usage};
use store::{
    Cursor, Ended, NewKey, ProviderHour, ReceiptFilter, ReceiptOrder, ReceiptPlace, Size, Store,
};
use uuid::Uuid;

use crate::common::{TestDatabase, id, insert, new_key, new_user, receipt};

const MANY: u128 = 700;
const DAY: i64 = 86_400_000_000;

/// Of two users with two keys each, of which one is seldom used; some are another account's, and some are of one moment.
fn written(number: u128) -> Receipt {
    let (user, key) = match number % 10 {
        0..6 => (id(0), id(11)),
        6..9 => (id(4), id(13)),
        _ if number % 100 == 9 => (id(0), id(12)),
        _ => (id(4), id(14)),
    };
    let account_id = if key == id(14) { id(5) } else { id(1) };
    let model = if number.is_multiple_of(7) { "small" } else { "large" }.to_owned();
    let whole = receipt(number, user, key, i64::try_from(number * 37 % 211).unwrap(), 50);
    let started_at = whole.started_at + i64::try_from(number / 50).unwrap() * DAY;
    let started_at = if number.is_multiple_of(3) { started_at / DAY * DAY } else { started_at };
    let outcome = match number % 11 {
        3 => Outcome::Failed,
        7 => Outcome::ClientGone,
        _ => Outcome::Ok,
    };
    let surface = if number.is_multiple_of(4) { "anthropic" } else { "native" }.to_owned();
    let provider = if number.is_multiple_of(9) { "openai" } else { "gemini" }.to_owned();
    let mut report = whole.report.clone();
    let tokens = u64::try_from(number % 13).unwrap();
    report.passes[0].usage =
        Usage::of(&[(Meter::Input, tokens * 10), (Meter::Output, 99 - tokens)]);
    let ended_at = started_at + 5;
    Receipt { account_id, provider, model, surface, outcome, report, started_at, ended_at, ..whole }
}

async fn books(store: &Store) {
    store.migrate(0).await.unwrap();
    for (number, name) in [(0, "ada"), (4, "bob")] {
        store.add_user(new_user(number, name)).await.unwrap();
    }
    for (number, user, payer) in
        [(11, "ada", "ada"), (12, "ada", "ada"), (13, "bob", "ada"), (14, "bob", "bob")]
    {
        let key = NewKey { payer: Some(payer.to_owned()), ..new_key(number, user) };
        store.add_key(key).await.unwrap();
    }
    let all: Vec<Receipt> = (0..MANY).map(written).collect();
    insert(store, &all).await.unwrap();
}

/// All that a filter lets through, page by page.
async fn paged(
    store: &Store,
    filter: &ReceiptFilter,
    order: ReceiptOrder,
    limit: u16,
) -> Vec<Receipt> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.receipts_page(filter, order, after, limit).await.unwrap();
        assert!(page.receipts.len() <= usize::from(limit));
        found.extend(page.receipts);
        assert!(page.next.is_none() || page.next != after, "it goes on");
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

fn fits(filter: &ReceiptFilter, receipt: &Receipt) -> bool {
    let is = |wanted: &str, text: &str| wanted.is_empty() || wanted == text;
    receipt.account_id == filter.account_id
        && filter.user_id.is_none_or(|user| receipt.user_id == user)
        && filter.key_id.is_none_or(|key| receipt.key_id == key)
        && is(&filter.provider, &receipt.provider)
        && is(&filter.model, &receipt.model)
        && is(&filter.surface, &receipt.surface)
        && filter.from.is_none_or(|from| receipt.started_at >= from)
        && filter.to.is_none_or(|to| receipt.started_at < to)
        && match filter.ended {
            Ended::Anyhow => true,
            Ended::Badly => receipt.outcome != Outcome::Ok,
            Ended::With(outcome) => receipt.outcome == outcome,
        }
}

fn expected(filter: &ReceiptFilter, order: ReceiptOrder) -> Vec<Receipt> {
    let mut all: Vec<Receipt> = (0..MANY).map(written).filter(|one| fits(filter, one)).collect();
    let tokens = |tokens: u64| i64::try_from(tokens).unwrap();
    let size = |size: Size, receipt: &Receipt| match size {
        Size::Charge => receipt.charge.pico(),
        Size::Input => tokens(receipt.report.total().input_tokens()),
        Size::Output => tokens(receipt.report.total().output_tokens()),
    };
    all.sort_by_key(|r| {
        let sized = match order {
            ReceiptOrder::Newest | ReceiptOrder::Oldest => 0,
            ReceiptOrder::Largest(by) => size(by, r),
            ReceiptOrder::Smallest(by) => -size(by, r),
        };
        std::cmp::Reverse((sized, r.started_at, r.request_id, r.attempt))
    });
    if order == ReceiptOrder::Oldest {
        all.reverse();
    }
    all
}

fn filters() -> Vec<(ReceiptFilter, u16)> {
    let of = ReceiptFilter { account_id: id(1), ..ReceiptFilter::default() };
    let text = str::to_owned;
    let first = written(0).started_at / DAY * DAY;
    let item = |provider, model| ReceiptFilter {
        provider: text(provider),
        model: text(model),
        ..of.clone()
    };
    let days = |from, to| ReceiptFilter {
        from: Some(first + from * DAY),
        to: Some(first + to * DAY),
        ..of.clone()
    };
    vec![
        (of.clone(), 50),
        (of.clone(), 7),
        (ReceiptFilter { user_id: Some(id(4)), ..of.clone() }, 20),
        (ReceiptFilter { key_id: Some(id(12)), ..of.clone() }, 3),
        (item("gemini", "small"), 10),
        (item("openai", "small"), 10),
        (item("openai", ""), 9),
        (item("open", ""), 9),
        (ReceiptFilter { key_id: Some(id(13)), ..item("gemini", "large") }, 6),
        (ReceiptFilter { surface: text("anthropic"), ..of.clone() }, 30),
        (ReceiptFilter { ended: Ended::Badly, ..of.clone() }, 8),
        (ReceiptFilter { ended: Ended::With(Outcome::Failed), ..of.clone() }, 5),
        (ReceiptFilter { ended: Ended::With(Outcome::Ok), user_id: Some(id(0)), ..of.clone() }, 40),
        (ReceiptFilter { ended: Ended::Badly, user_id: Some(id(4)), ..of.clone() }, 4),
        (ReceiptFilter { ended: Ended::Badly, key_id: Some(id(11)), ..item("gemini", "") }, 4),
        (days(3, 5), 11),
        (days(5, 3), 11),
        (ReceiptFilter { key_id: Some(id(12)), ..days(2, 9) }, 2),
        (ReceiptFilter { ended: Ended::Badly, ..days(2, 9) }, 5),
        (ReceiptFilter { user_id: Some(id(4)), key_id: Some(id(13)), ..of.clone() }, 50),
        // Another's key, and that of another account, show nothing.
        (ReceiptFilter { user_id: Some(id(4)), key_id: Some(id(12)), ..of.clone() }, 10),
        (ReceiptFilter { key_id: Some(id(14)), ..of.clone() }, 10),
        (ReceiptFilter { account_id: id(5), ..ReceiptFilter::default() }, 10),
        (ReceiptFilter { account_id: id(99), ..ReceiptFilter::default() }, 10),
    ]
}

async fn pages(database: TestDatabase) {
    let store = database.open().await;
    books(&store).await;
    let sizes = [Size::Charge, Size::Input, Size::Output];
    let sized = sizes.map(|size| [ReceiptOrder::Largest(size), ReceiptOrder::Smallest(size)]);
    let orders = [[ReceiptOrder::Newest, ReceiptOrder::Oldest]].into_iter().chain(sized);
    let orders: Vec<ReceiptOrder> = orders.flatten().collect();
    for (filter, limit) in filters() {
        for order in &orders {
            let all = paged(&store, &filter, *order, limit).await;
            assert!(all == expected(&filter, *order), "{filter:?} {order:?}");
        }
    }
    within(&store).await;
    strange_places(&store).await;
    let one = written(3);
    let stored = store.stored_of_request(one.request_id).await.unwrap();
    assert!(stored.len() == 1 && stored[0].receipt == one && stored[0].batch.is_some());

    // A person's own sums are those of the keys that spend from the account.
    let all = (0, i64::MAX);
    let own = store.rollups_of_keys(id(4), id(1), all).await.unwrap();
    let expected = (0..MANY).map(written).filter(|r| r.key_id == id(13)).count();
    let seen: i64 = own.iter().map(|row| row.receipts).sum();
    assert_eq!(usize::try_from(seen).unwrap(), expected);
    let named = store.key_named(id(4), id(1), "key 13").await.unwrap();
    assert_eq!(named.map(|key| key.id), Some(id(13)));
    assert_eq!(store.key_named(id(0), id(1), "key 13").await.unwrap(), None);
    hours(&store).await;
    sessions(&store).await;
    assert_eq!(Cursor::of(&one).attempt, one.attempt);
    database.drop(store).await;
}

async fn within(store: &Store) {
    let all = ReceiptFilter { account_id: id(1), ..ReceiptFilter::default() };
    let count = |filter: &ReceiptFilter| {
        i64::try_from(expected(filter, ReceiptOrder::Newest).len()).unwrap()
    };
    assert_eq!(store.receipts_within(&all).await.unwrap(), count(&all));
    let first = written(0).started_at / DAY * DAY;
    let some = ReceiptFilter { from: Some(first + DAY), to: Some(first + 3 * DAY), ..all.clone() };
    assert_eq!(store.receipts_within(&some).await.unwrap(), count(&some));
    assert!(count(&some) > 0 && count(&some) < count(&all));
}

/// A place comes out of an address, where anything may stand.
async fn strange_places(store: &Store) {
    let filter =
        ReceiptFilter { account_id: id(1), key_id: Some(id(12)), ..ReceiptFilter::default() };
    let day = written(99).started_at / DAY * DAY;
    for started_at in [i64::MIN, -1, 0, day, day - 1, i64::MAX] {
        for (request_id, attempt) in
            [(Uuid::nil(), 0), (Uuid::nil(), i16::MIN), (Uuid::max(), i16::MAX)]
        {
            let place =
                ReceiptPlace { size: i64::MIN, at: Cursor { started_at, request_id, attempt } };
            for order in
                [ReceiptOrder::Newest, ReceiptOrder::Oldest, ReceiptOrder::Largest(Size::Charge)]
            {
                let page = store.receipts_page(&filter, order, Some(place), 5).await.unwrap();
                assert!(page.receipts.iter().all(|one| fits(&filter, one)));
            }
        }
    }
}

async fn hours(store: &Store) {
    let hour = |hour, outcome: &str, attempts| ProviderHour {
        hour,
        provider: "openai".to_owned(),
        outcome: outcome.to_owned(),
        bucket: 3,
        attempts,
    };
    for replica in [id(70), id(71)] {
        let told = [hour(10, "ok", 5), hour(11, "ok", 2), hour(11, "timeout", 1)];
        store.add_provider_hours(replica, &told).await.unwrap();
    }
    store.add_provider_hours(id(70), &[hour(11, "ok", 1)]).await.unwrap();
    let told = store.provider_hours(11).await.unwrap();
    assert_eq!(told, [hour(11, "ok", 5), hour(11, "timeout", 2)]);
}

async fn sessions(store: &Store) {
    let (ada, bob) = (store.user("ada").await.unwrap(), store.user("bob").await.unwrap());
    for (number, user, until) in [(1, &ada, 100), (2, &ada, 200), (3, &bob, 200)] {
        store.begin_session([number; 32], user, (10, until)).await.unwrap();
    }
    let known = store.sessions_of(ada.id, 150).await.unwrap();
    assert_eq!(
        known.iter().map(|(hash, _)| hash[0]).collect::<Vec<_>>(),
        [2],
        "what is over is none"
    );
    // Nobody ends another's.
    store.end_session_of(bob.id, [2; 32]).await.unwrap();
    assert_eq!(store.sessions_of(ada.id, 150).await.unwrap().len(), 1);
    store.end_session_of(ada.id, [2; 32]).await.unwrap();
    assert_eq!(store.sessions_of(ada.id, 150).await.unwrap(), []);
    assert_eq!(store.identities_of(ada.id).await.unwrap(), []);
    store.add_identity(("https://issuer", "a1"), &ada, 9).await.unwrap();
    let known = store.identities_of(ada.id).await.unwrap();
    assert_eq!((known.len(), known[0].subject.as_str()), (1, "a1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_on_sqlite() {
    pages(TestDatabase::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_on_postgres() {
    if let Some(database) = TestDatabase::postgres("pages").await {
        pages(database).await;
    }
}
