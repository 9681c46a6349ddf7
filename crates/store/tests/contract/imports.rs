//! Moving in: all or none, sums that only grow, names that come and go.

use std::collections::HashMap;

use store::{
    BudgetOwner, Imported, ImportedBy, ImportedUser, ModelAlias, NewBudget, NewImported, Role,
    Store, StoreError,
};

use crate::common::{TestDatabase, id, new_key, new_user};

const AT: i64 = 1_700_000_000_000_000;

fn person(number: u128, name: &str) -> ImportedUser {
    ImportedUser { new: new_user(number, name), budget: None, members: Vec::new() }
}

fn used(key: u128, requests: i64, base: i64) -> NewImported {
    NewImported {
        key_id: id(key),
        user_id: id(1),
        account_id: id(2),
        provider: "openai".into(),
        model: "gpt-4o".into(),
        sums: Imported { requests, input_tokens: 7, output_tokens: 2, total_tokens: 10, base },
    }
}

async fn moving_in(database: TestDatabase) {
    let store = database.open().await;
    store.migrate(AT).await.unwrap();
    people(&store).await;
    usage(&store, &database).await;
    aliases(&store).await;
    database.drop(store).await;
}

async fn people(store: &Store) {
    let mut house = person(5, "house");
    house.new.owner = Some(id(1));
    house.members = vec![(id(3), "bob".into(), Role::Member)];
    let limit = ledger::Usd::DOLLAR;
    let owner = BudgetOwner::Account(id(6));
    let period = ledger::BudgetPeriod::Day;
    house.budget = Some(NewBudget { id: id(50), owner, period, limit, at: AT });
    let all = [person(1, "ada"), person(3, "bob"), house];
    store.import_users(&all).await.unwrap();
    let roles: Vec<Role> =
        store.members(id(5)).await.unwrap().into_iter().map(|member| member.role).collect();
    assert_eq!(roles, [Role::Owner, Role::Member]);
    assert_eq!(store.budgets(AT).await.unwrap().len(), 1);
    let again = store.import_users(&[person(7, "eve"), person(9, "ada")]).await;
    assert!(matches!(again, Err(StoreError::Duplicate { what: "user" })), "{again:?}");
    assert!(store.user("eve").await.is_err(), "all or none");
    let keys = [(new_key(20, "ada"), false), (new_key(21, "ada"), true)];
    store.import_keys(&keys).await.unwrap();
    let off: Vec<bool> =
        store.all_keys().await.unwrap().iter().map(|key| key.disabled_at.is_some()).collect();
    assert_eq!(off, [false, true]);
    let taken =
        store.import_keys(&[(new_key(22, "bob"), false), (new_key(20, "bob"), false)]).await;
    assert!(matches!(taken, Err(StoreError::Duplicate { what: "key" })), "{taken:?}");
    assert_eq!(store.all_keys().await.unwrap().len(), 2);
}

async fn usage(store: &Store, database: &TestDatabase) {
    let before = store.acts(&store::ActFilter::default(), None, 1).await.unwrap()[0].number;
    // 5 % of 30 is one and a half: half to even.
    assert_eq!(
        store.import_usage("old", &[used(20, 3, 30), used(21, 1, 10)], 500, AT).await.unwrap(),
        2
    );
    assert_eq!(
        store.import_usage("old", &[used(20, 3, 30), used(21, 1, 10)], 500, AT).await.unwrap(),
        0
    );
    let mut more = used(20, 4, 70);
    more.sums.input_tokens = 9;
    assert_eq!(store.import_usage("old", &[more, used(21, 1, 9)], 1_000, AT).await.unwrap(), 1);
    assert_eq!(store.import_usage("older", &[used(20, 1, 1)], 0, AT).await.unwrap(), 1);
    let acts = store.acts(&store::ActFilter::default(), None, 1).await.unwrap();
    assert_eq!((acts[0].number, acts[0].action.as_str()), (before + 3, "usage.import"));
    let recorded: HashMap<_, _> = store.recorded_usage("old").await.unwrap();
    let sums = recorded[&(id(20), "openai".to_owned(), "gpt-4o".to_owned())];
    assert_eq!((sums.requests, sums.input_tokens, sums.output_tokens, sums.base), (4, 9, 2, 70));
    let rows = store.imported_usage(Some(id(1)), ImportedBy::Source).await.unwrap();
    let shown: Vec<_> = rows
        .iter()
        .map(|row| (row.item.as_str(), row.requests, row.total_tokens, row.base, row.commission))
        .collect();
    assert_eq!(shown, [("old", 5, 20, 80, 2 + 4), ("older", 1, 10, 1, 0)]);
    for (by, item, label) in [
        (ImportedBy::Model, "openai/gpt-4o".to_owned(), ""),
        (ImportedBy::Provider, "openai".to_owned(), ""),
        (ImportedBy::User, id(1).to_string(), "ada"),
        (ImportedBy::Key, id(20).to_string(), "key 20"),
    ] {
        let rows = store.imported_usage(None, by).await.unwrap();
        assert_eq!((rows[0].item.as_str(), rows[0].label.as_str()), (item.as_str(), label));
    }
    assert!(store.imported_usage(Some(id(3)), ImportedBy::Model).await.unwrap().is_empty());
    assert_eq!(store.imported_usage_of_account(id(2)).await.unwrap().len(), 2);
    for statement in
        ["UPDATE tollgate.imported_usage SET base = 0", "DELETE FROM tollgate.imported_usage"]
    {
        let refused = database.shell(statement).await.unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{refused}");
    }
    let worst =
        NewImported { sums: Imported { base: i64::MAX, ..used(20, 9, 0).sums }, ..used(20, 9, 0) };
    let past = store.import_usage("worst", &[worst], 100_000, AT).await;
    assert!(matches!(past, Err(StoreError::OutOfRange { .. })), "{past:?}");
}

async fn aliases(store: &Store) {
    let revision = store.revision().await.unwrap();
    let alias = |name: &str, model: &str, hidden| ModelAlias {
        alias: name.into(),
        model_id: model.into(),
        hidden,
        created_at: AT,
    };
    let all = [alias("b", "openai/gpt-4o", false), alias("a", "deepseek/deepseek-chat", true)];
    store.set_aliases(&all).await.unwrap();
    assert_eq!(store.revision().await.unwrap(), revision + 2, "replicas hear of it");
    store.set_aliases(&[alias("b", "openai/gpt-4o-mini", true)]).await.unwrap();
    let found = store.aliases().await.unwrap();
    let named: Vec<_> =
        found.iter().map(|one| (one.alias.as_str(), one.model_id.as_str())).collect();
    assert_eq!(named, [("a", "deepseek/deepseek-chat"), ("b", "openai/gpt-4o-mini")]);
    store.remove_alias("a").await.unwrap();
    assert!(matches!(store.remove_alias("a").await, Err(StoreError::NotFound { what: "alias" })));
}

#[tokio::test]
async fn moving_in_on_sqlite() {
    Box::pin(moving_in(TestDatabase::sqlite())).await;
}

#[tokio::test]
async fn moving_in_on_postgres() {
    if let Some(database) = TestDatabase::postgres("moving_in").await {
        Box::pin(moving_in(database)).await;
    }
}
