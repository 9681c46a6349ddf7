//! What pages for people are made of.

use ledger::Receipt;
use store::{Cursor, NewKey, ProviderHour, ReceiptFilter, Store};

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
    let whole = receipt(number, user, key, 1_000, 50);
    let started_at = whole.started_at + i64::try_from(number / 50).unwrap() * DAY;
    let started_at = if number.is_multiple_of(3) { started_at / DAY * DAY } else { started_at };
    Receipt { account_id, model, started_at, ended_at: started_at + 5, ..whole }
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
async fn paged(store: &Store, filter: &ReceiptFilter, limit: u16) -> Vec<Receipt> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.receipts_page(filter, after, limit).await.unwrap();
        assert!(page.receipts.len() <= usize::from(limit));
        found.extend(page.receipts);
        assert!(page.next.is_none() || page.next != after, "it goes on");
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

async fn pages(database: TestDatabase) {
    let store = database.open().await;
    books(&store).await;
    let of_account = ReceiptFilter { account_id: id(1), ..ReceiptFilter::default() };
    for (filter, limit) in [
        (of_account.clone(), 50),
        (of_account.clone(), 7),
        (ReceiptFilter { user_id: Some(id(4)), ..of_account.clone() }, 20),
        (ReceiptFilter { key_id: Some(id(12)), ..of_account.clone() }, 3),
        (ReceiptFilter { item: "gemini/small".to_owned(), ..of_account.clone() }, 10),
        (ReceiptFilter { item: "openai/small".to_owned(), ..of_account.clone() }, 10),
        // A key of another account shows nothing of it.
        (ReceiptFilter { key_id: Some(id(14)), ..of_account.clone() }, 10),
        (ReceiptFilter { account_id: id(5), ..ReceiptFilter::default() }, 10),
        (ReceiptFilter { account_id: id(99), ..ReceiptFilter::default() }, 10),
    ] {
        let fits = |receipt: &Receipt| {
            receipt.account_id == filter.account_id
                && filter.user_id.is_none_or(|user| receipt.user_id == user)
                && filter.key_id.is_none_or(|key| receipt.key_id == key)
                && (filter.item.is_empty()
                    || format!("{}/{}", receipt.provider, receipt.model) == filter.item)
        };
        let mut expected: Vec<Receipt> = (0..MANY).map(written).filter(fits).collect();
        expected.sort_by_key(|r| std::cmp::Reverse((r.started_at, r.request_id, r.attempt)));
        assert!(paged(&store, &filter, limit).await == expected, "{filter:?}");
    }
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
