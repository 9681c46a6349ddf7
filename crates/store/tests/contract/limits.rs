//! Limits of keys, users, accounts and models, and how many replicas share them.

use store::{ActFilter, Actor, Limit, LimitOwner, Limits, NewUser, StoreError};
use uuid::Uuid;

use crate::common::{TestDatabase, id, new_key, new_user};

const NOW: i64 = 1_795_608_000_000_000;

fn limits(requests: i64, tokens: i64, concurrent: i64) -> Limits {
    let [requests_per_minute, tokens_per_minute, concurrent_requests] =
        [requests, tokens, concurrent].map(|limit| Some(limit).filter(|limit| *limit > 0));
    Limits { requests_per_minute, tokens_per_minute, concurrent_requests }
}

async fn kept(database: TestDatabase) {
    let store = database.open().await;
    store.migrate(0).await.unwrap();
    store.add_user(NewUser { account_id: id(2), ..new_user(0, "ada") }).await.unwrap();
    store.add_key(new_key(31, "ada")).await.unwrap();
    let desk = store.by(Actor { id: None, name: "desk".to_owned(), via: "cli", at: NOW });
    let model = |account| LimitOwner::Model(account, "openai/gpt-4o".to_owned());
    let all = [
        (50, LimitOwner::User(id(0)), limits(5, 0, 0)),
        (51, LimitOwner::Account(id(2)), limits(0, 600, 7)),
        (52, model(None), limits(1, 0, 0)),
        (53, model(Some(id(2))), limits(2, 3, 4)),
    ];
    let mut revision = store.revision().await.unwrap();
    for (number, owner, limits) in all.clone() {
        let limit = Limit { id: id(number), owner, limits };
        let at = NOW + i64::try_from(number).unwrap();
        assert_eq!(desk.set_limit(limit, at).await.unwrap(), id(number));
        let next = store.revision().await.unwrap();
        assert!(next > revision, "replicas see it");
        revision = next;
    }
    let expected =
        |number: u128, owner: LimitOwner, limits| Limit { id: id(number), owner, limits };
    let mut listed: Vec<Limit> = all.map(|(n, owner, limits)| expected(n, owner, limits)).into();
    assert_eq!(store.limits().await.unwrap(), listed);

    // Another of the same owner takes the place of the first, and keeps its id.
    let again = expected(60, model(None), limits(0, 0, 9));
    assert_eq!(desk.set_limit(again, NOW).await.unwrap(), id(52));
    listed[2].limits = limits(0, 0, 9);
    assert_eq!(store.limits().await.unwrap(), listed);

    // A key's are with the key.
    let of_key = expected(61, LimitOwner::Key(id(31)), limits(8, 0, 9));
    assert_eq!(desk.set_limit(of_key, NOW).await.unwrap(), id(31));
    let key = store.key(store::Whose::Anybodys, id(31)).await.unwrap();
    let own = (key.requests_per_minute, key.tokens_per_minute, key.concurrent_requests);
    assert_eq!(own, (Some(8), None, Some(9)));
    assert_eq!(store.limits().await.unwrap().len(), 4);
    desk.remove_limit(id(31), NOW).await.unwrap();
    let key = store.key(store::Whose::Anybodys, id(31)).await.unwrap();
    assert_eq!((key.requests_per_minute, key.concurrent_requests), (None, None));

    desk.remove_limit(id(51), NOW).await.unwrap();
    listed.remove(1);
    assert_eq!(store.limits().await.unwrap(), listed);
    let gone = desk.remove_limit(id(51), NOW).await;
    assert!(matches!(gone, Err(StoreError::NotFound { what: "limit" })), "{gone:?}");
    let nobody = expected(62, LimitOwner::Key(id(77)), limits(1, 0, 0));
    let nobody = desk.set_limit(nobody, NOW).await;
    assert!(matches!(nobody, Err(StoreError::NotFound { what: "key" })), "{nobody:?}");
    let acts = async |action: &str| {
        let (action, actor) = (action.to_owned(), "desk".to_owned());
        let filter = ActFilter { action, actor, ..ActFilter::default() };
        store.acts(&filter, None, 100).await.unwrap().len()
    };
    let counts = (acts("limit.set").await, acts("limit.remove").await, acts("key.change").await);
    assert_eq!(counts, (5, 1, 2));
    for wrong in ["requests_per_minute = 0", "owner_kind = 'key'", "model = ''"] {
        let statement = format!("UPDATE tollgate.limits SET {wrong} WHERE owner_kind = 'model'");
        assert!(database.shell(&statement).await.is_err(), "{wrong}");
    }
    database.drop(store).await;
}

async fn live(database: TestDatabase) {
    let store = database.open().await;
    store.migrate(0).await.unwrap();
    assert_eq!(store.live_replicas(0).await.unwrap(), 0);
    for (number, at) in [(1, NOW), (2, NOW + 10), (3, NOW + 20)] {
        store.begin_epoch(id(number), 0, Uuid::from_u128(number), at).await.unwrap();
    }
    assert_eq!(store.live_replicas(NOW + 10).await.unwrap(), 2);
    assert!(store.release(id(3), NOW + 30, true).await.unwrap());
    assert_eq!(store.live_replicas(NOW + 10).await.unwrap(), 1);
    database.drop(store).await;
}

#[tokio::test]
async fn limits_are_kept_on_sqlite() {
    kept(TestDatabase::sqlite()).await;
    live(TestDatabase::sqlite()).await;
}

#[tokio::test]
async fn limits_are_kept_on_postgres() {
    let (one, two) = (TestDatabase::postgres("limits").await, TestDatabase::postgres("live").await);
    if let (Some(one), Some(two)) = (one, two) {
        kept(one).await;
        live(two).await;
    }
}
