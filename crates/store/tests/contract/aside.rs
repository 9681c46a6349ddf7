//! Receipts that no balance can take do not stop the others.

use store::{Before, Entry, StoreError};

use crate::common::{TestDatabase, id, receipt};
use crate::money::{Books, KEY, signer};

/// Two of it are more than a balance holds.
const HUGE: i64 = 5_000_000_000_000_000_000;

async fn a_receipt_that_is_too_much(database: TestDatabase) {
    let mut books = Books::open(database).await;
    let of = |number, cost| receipt(number, id(0), id(KEY), cost, 0);
    books.apply(&[of(1, HUGE)]).await;
    // Whether it is too much by itself, or what comes with it.
    for batch in [vec![of(2, HUGE)], vec![of(2, HUGE), of(3, HUGE)]] {
        let (seq, batch) = (books.seq, books.batch(&batch));
        let error = books.store.apply(&batch, &signer()).await.unwrap_err();
        assert!(error.is_out_of_range() && !error.is_transient(), "{error:?}");
        books.seq = seq;
    }
    assert!(books.store.set_asides().await.unwrap().is_empty());

    let batch = books.batch(&[of(2, HUGE)]);
    books.store.set_aside(&batch, "too much").await.unwrap();
    // Told again, it is there once.
    books.store.set_aside(&batch, "too much").await.unwrap();
    let asides = books.store.set_asides().await.unwrap();
    let [aside] = asides.as_slice() else { panic!("{asides:?}") };
    assert_eq!(
        (aside.replica_id, aside.seq, aside.reason.as_str()),
        (books.replica, 2, "too much")
    );
    assert_eq!((aside.request_id, aside.attempt), (of(2, HUGE).request_id, 1));
    // Nothing of it is lost.
    let entry = Entry::decode(&aside.entry, &mut Before::default()).unwrap();
    assert_eq!(entry, Entry::of(&of(2, HUGE)).unwrap());
    // The others go on behind it.
    assert_eq!(books.apply(&[of(3, 7)]).await.new, 1);

    let mut batch = books.batch(&[of(4, 7)]);
    batch.epoch -= 1;
    let fenced = books.store.set_aside(&batch, "").await;
    assert!(matches!(fenced, Err(StoreError::Fenced)), "{fenced:?}");
    books.seq -= 1;
    books.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_is_too_much_on_sqlite() {
    a_receipt_that_is_too_much(TestDatabase::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_is_too_much_on_postgres() {
    if let Some(database) = TestDatabase::postgres("aside").await {
        a_receipt_that_is_too_much(database).await;
    }
}
