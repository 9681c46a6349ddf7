//! Keys of accounts at providers, sealed: one in force of each, nothing left of the others, every change in the log and seen by
//! all. And models that are hidden.

use store::{ActFilter, Actor, NewUser, OwnKey, ResealedOwn, Store, StoreError};

use crate::common::{TestDatabase, id};

const NOW: i64 = 1_700_000_000_000_000;

fn key(number: u128, account: u128, provider: &str) -> OwnKey {
    OwnKey {
        id: id(number),
        account_id: id(account),
        provider: provider.to_owned(),
        name: format!("number {number}"),
        sealed: vec![u8::try_from(number).unwrap(); 40],
        key_id: "old".to_owned(),
        last4: format!("end{number}"),
        always: number.is_multiple_of(2),
        created_at: NOW,
        created_by: "olga".to_owned(),
    }
}

async fn add_user(store: &Store, name: &str, user: u128) {
    let new = NewUser {
        id: id(user),
        account_id: id(user + 1),
        name: name.to_owned(),
        owner: None,
        operator: false,
        prepaid: false,
        created_at: NOW,
    };
    store.add_user(new).await.unwrap();
}

async fn own_keys(database: TestDatabase) {
    let plain = database.open().await;
    plain.migrate(0).await.unwrap();
    let actor = Actor { id: None, name: "olga".to_owned(), via: "console", at: NOW };
    let store = plain.by(actor);
    add_user(&store, "ada", 20).await;
    add_user(&store, "bob", 22).await;
    let begun = store.revision().await.unwrap();
    for (number, account, provider) in
        [(1, 21, "openai"), (2, 21, "gemini"), (3, 23, "openai"), (4, 21, "openai")]
    {
        store.set_own_key(&key(number, account, provider)).await.unwrap();
    }
    assert!(store.revision().await.unwrap() > begun, "everybody hears of it");
    let of_ada = [key(2, 21, "gemini"), key(4, 21, "openai")];
    assert_eq!(store.own_keys_of(id(21)).await.unwrap(), of_ada);
    assert_eq!(store.own_keys().await.unwrap(), [&of_ada[..], &[key(3, 23, "openai")]].concat());

    // Of what was replaced nothing is left to open, and a second in force is refused by the database itself.
    let kept = "DELETE FROM tollgate.own_keys WHERE removed_at IS NOT NULL AND sealed IS NULL";
    assert_eq!(database.shell(kept).await.unwrap(), 1);
    let two = "UPDATE tollgate.own_keys SET provider = 'openai' WHERE provider = 'gemini'";
    assert!(database.shell(two).await.is_err());
    let half = "UPDATE tollgate.own_keys SET removed_at = 7 WHERE provider = 'gemini'";
    assert!(database.shell(half).await.is_err(), "removed, and still there");
    let nobody = key(5, 77, "openai");
    assert!(store.set_own_key(&nobody).await.is_err(), "there is no such account");
    let taken = store.set_own_key(&key(4, 23, "gemini")).await;
    assert!(matches!(taken, Err(StoreError::Duplicate { .. })), "{taken:?}");

    store.change_own_key((id(21), "gemini"), false).await.unwrap();
    let resealed =
        [ResealedOwn { from: key(2, 21, "gemini"), sealed: vec![9; 50], key_id: "new".to_owned() }];
    assert_eq!(store.reseal_own_keys(&resealed).await.unwrap(), 1);
    assert_eq!(store.reseal_own_keys(&resealed).await.unwrap(), 0, "it is done");
    let anew = OwnKey {
        always: false,
        sealed: vec![9; 50],
        key_id: "new".to_owned(),
        ..key(2, 21, "gemini")
    };
    assert_eq!(store.own_keys_of(id(21)).await.unwrap()[0], anew);
    store.remove_own_key((id(21), "openai"), NOW).await.unwrap();
    for (account, provider) in [(21, "openai"), (21, "deepseek"), (99, "gemini")] {
        let gone = store.remove_own_key((id(account), provider), NOW).await;
        assert!(matches!(gone, Err(StoreError::NotFound { .. })), "{gone:?}");
        let gone = store.change_own_key((id(account), provider), true).await;
        assert!(matches!(gone, Err(StoreError::NotFound { .. })), "{gone:?}");
    }
    hidden_models(&store).await;
    let acts = store.acts(&ActFilter::default(), None, 20).await.unwrap();
    let actions: Vec<&str> = acts.iter().rev().map(|act| act.action.as_str()).collect();
    let own = ["set", "set", "set", "set", "change", "reseal", "remove"];
    let own = own.map(|what| format!("own_key.{what}"));
    let expected: Vec<&str> = ["user.create", "user.create"]
        .into_iter()
        .chain(own.iter().map(String::as_str))
        .chain(["model.hide", "model.unhide"])
        .collect();
    assert_eq!(actions, expected);
    assert!(acts.iter().all(|act| !act.detail.contains("sealed")), "{acts:?}");
    drop(store);
    database.drop(plain).await;
}

async fn hidden_models(store: &Store) {
    assert!(store.hide_model("openai/gpt-4o", NOW).await.unwrap());
    let revision = store.revision().await.unwrap();
    assert!(!store.hide_model("openai/gpt-4o", NOW + 1).await.unwrap(), "it is hidden already");
    assert_eq!(store.revision().await.unwrap(), revision);
    let hidden = store.hidden_models().await.unwrap();
    assert_eq!((hidden.len(), hidden[0].created_at), (1, NOW));
    assert_eq!(hidden[0].model_id, "openai/gpt-4o");
    store.unhide_model("openai/gpt-4o").await.unwrap();
    let gone = store.unhide_model("openai/gpt-4o").await;
    assert!(matches!(gone, Err(StoreError::NotFound { .. })), "{gone:?}");
    assert!(store.hidden_models().await.unwrap().is_empty());
}

#[tokio::test]
async fn own_keys_on_sqlite() {
    own_keys(TestDatabase::sqlite()).await;
}

#[tokio::test]
async fn own_keys_on_postgres() {
    if let Some(database) = TestDatabase::postgres("own_keys").await {
        own_keys(database).await;
    }
}
