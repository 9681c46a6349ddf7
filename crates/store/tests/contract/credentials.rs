//! Sealed credentials: one in force of each provider, nothing left of the others, every change in the log and seen by all.

use store::{ActFilter, Actor, ProviderCredential, Resealed, Store, StoreError};

use crate::common::{TestDatabase, id};

const NOW: i64 = 1_700_000_000_000_000;

fn credential(number: u128, provider: &str) -> ProviderCredential {
    let byte = u8::try_from(number).unwrap();
    ProviderCredential {
        id: id(number),
        provider: provider.to_owned(),
        name: format!("number {number}"),
        sealed: vec![byte; 40],
        key_id: "old".to_owned(),
        last4: format!("end{number}"),
        created_at: NOW + i64::try_from(number).unwrap(),
        created_by: "whoever says so".to_owned(),
        endpoint: String::new(),
        base_url: String::new(),
        priority: 0,
        weight: 1,
    }
}

/// As it comes back: it is the store that knows who has set it.
fn by_olga(number: u128, provider: &str) -> ProviderCredential {
    ProviderCredential { created_by: "olga".to_owned(), ..credential(number, provider) }
}

/// It has a credential of its own, and is found behind the provider's.
async fn a_further_endpoint(store: &Store, others: &[ProviderCredential]) {
    let eu = |number: u128| ProviderCredential {
        endpoint: "eu".to_owned(),
        base_url: "https://eu.example.org/v1".to_owned(),
        priority: 2,
        weight: 5,
        ..credential(number, "openai")
    };
    for number in [30, 31] {
        store.set_provider_credential(&eu(number)).await.unwrap();
    }
    let of_eu = ProviderCredential { created_by: "olga".to_owned(), ..eu(31) };
    let here = store.provider_credentials().await.unwrap();
    assert_eq!(here, [others, &[of_eu]].concat());
    assert_eq!(here[2].place(), "openai/eu");
    store.remove_provider_credential(("openai", "eu"), NOW).await.unwrap();
    assert_eq!(store.provider_credentials().await.unwrap(), others);
}

async fn credentials(database: TestDatabase) {
    let plain = database.open().await;
    plain.migrate(0).await.unwrap();
    let actor = Actor { id: Some(id(0)), name: "olga".to_owned(), via: "console", at: NOW };
    let store = plain.by(actor);
    let mut revision = store.revision().await.unwrap();
    let mut moved = async |store: &Store| {
        let before = std::mem::replace(&mut revision, store.revision().await.unwrap());
        revision > before
    };

    for (number, provider) in [(1, "openai"), (2, "gemini"), (3, "openai")] {
        store.set_provider_credential(&credential(number, provider)).await.unwrap();
        assert!(moved(&store).await);
    }
    let in_force = store.provider_credentials().await.unwrap();
    assert_eq!(in_force, [by_olga(2, "gemini"), by_olga(3, "openai")]);

    // Of what was replaced nothing is left to open, and a second in force is refused by the database itself.
    let kept =
        "DELETE FROM tollgate.provider_credentials WHERE removed_at IS NOT NULL AND sealed IS NULL";
    let two = "INSERT INTO tollgate.provider_credentials SELECT * FROM tollgate.provider_credentials WHERE provider = 'gemini'";
    assert!(database.shell(two).await.is_err());
    let half = "UPDATE tollgate.provider_credentials SET removed_at = 7 WHERE provider = 'gemini'";
    assert!(database.shell(half).await.is_err(), "removed, and still there");
    assert_eq!(database.shell(kept).await.unwrap(), 1);

    let anew = |row: &ProviderCredential| Resealed {
        from: row.clone(),
        sealed: vec![9; 50],
        key_id: "new".to_owned(),
    };
    a_further_endpoint(&store, &in_force).await;
    assert!(moved(&store).await);
    assert_eq!(database.shell(kept).await.unwrap(), 2);

    // One of them is replaced between the reading and the sealing.
    let read = in_force.clone();
    store.set_provider_credential(&credential(4, "openai")).await.unwrap();
    let resealed: Vec<Resealed> = read.iter().map(anew).collect();
    assert!(moved(&store).await);
    assert_eq!(store.reseal_provider_credentials(&resealed).await.unwrap(), 1);
    assert!(moved(&store).await);
    let of_gemini = by_olga(2, "gemini");
    let of_gemini =
        ProviderCredential { sealed: vec![9; 50], key_id: "new".to_owned(), ..of_gemini };
    let in_force = [of_gemini, by_olga(4, "openai")];
    assert_eq!(store.provider_credentials().await.unwrap(), in_force);
    assert_eq!(store.reseal_provider_credentials(&resealed).await.unwrap(), 0, "it is done");
    assert!(!moved(&store).await);

    let taken = store.set_provider_credential(&credential(4, "deepseek")).await;
    assert!(matches!(taken, Err(StoreError::Duplicate { .. })), "{taken:?}");
    store.remove_provider_credential(("openai", ""), NOW).await.unwrap();
    assert!(moved(&store).await);
    for nobody in ["openai", "deepseek"] {
        let gone = store.remove_provider_credential((nobody, ""), NOW).await;
        assert!(matches!(gone, Err(StoreError::NotFound { .. })), "{gone:?}");
    }
    assert!(!moved(&store).await, "what was refused is not there");
    assert_eq!(store.provider_credentials().await.unwrap(), in_force[..1]);

    every_act_is_logged(&store).await;
    drop(store);
    database.drop(plain).await;
}

async fn every_act_is_logged(store: &Store) {
    let acts = store.acts(&ActFilter::default(), None, 20).await.unwrap();
    let acts: Vec<(&str, &str, &str)> = acts
        .iter()
        .rev()
        .map(|act| (act.actor.as_str(), act.action.as_str(), act.target.as_str()))
        .collect();
    let act = |action, target| ("olga", action, target);
    assert_eq!(
        acts,
        [
            act("provider.credential.set", "provider openai"),
            act("provider.credential.set", "provider gemini"),
            act("provider.credential.set", "provider openai"),
            act("provider.credential.set", "provider openai/eu"),
            act("provider.credential.set", "provider openai/eu"),
            act("provider.credential.remove", "provider openai/eu"),
            act("provider.credential.set", "provider openai"),
            act("provider.credential.reseal", "provider gemini"),
            act("provider.credential.remove", "provider openai"),
        ]
    );
}

#[tokio::test]
async fn on_sqlite() {
    credentials(TestDatabase::sqlite()).await;
}

#[tokio::test]
async fn on_postgres() {
    if let Some(database) = TestDatabase::postgres("credentials").await {
        credentials(database).await;
    }
}

/// Many at once, of one provider: one is in force, and each act is logged.
async fn a_crowd(database: TestDatabase) {
    const CROWD: u128 = 12;
    let store = database.open().await;
    store.migrate(0).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=CROWD {
        let store = store.clone();
        tasks.spawn(async move {
            store.set_provider_credential(&credential(number, "openai")).await.unwrap();
        });
    }
    tasks.join_all().await;
    let in_force = store.provider_credentials().await.unwrap();
    let acts = store.acts(&ActFilter::default(), None, 100).await.unwrap();
    assert_eq!((in_force.len(), acts.len()), (1, 12));
    let last: serde_json::Value = serde_json::from_str(&acts[0].detail).unwrap();
    assert_eq!(last["last4"], in_force[0].last4.as_str(), "the last one stays");
    database.drop(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_on_sqlite() {
    a_crowd(TestDatabase::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_on_postgres() {
    if let Some(database) = TestDatabase::postgres("credentials_crowd").await {
        a_crowd(database).await;
    }
}
