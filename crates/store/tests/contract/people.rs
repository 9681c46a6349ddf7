//! Sessions, addresses that work once, organizations, keys that are changed and rotated, and the log of all that.

use ledger::{BudgetPeriod, Usd};
use store::{
    ActFilter, Actor, BudgetOwner, Key, KeyChange, LinkPurpose, NewKey, NewUser, Role, Store,
    StoreError, Whose,
};

use uuid::Uuid;

use crate::common::{TestDatabase, id, new_key, new_user};

crate::money::on_both!(
    sessions_end,
    a_link_works_once,
    an_organization_keeps_an_owner,
    keys_change_and_rotate,
    acts_are_logged
);

const NOW: i64 = 1_750_000_000_000_000;

/// Ada (0, account 1) and Bob (10, account 11).
async fn open(database: &TestDatabase) -> Store {
    let store = database.open().await;
    store.migrate(1).await.unwrap();
    store.add_user(new_user(0, "ada")).await.unwrap();
    store.add_user(new_user(10, "bob")).await.unwrap();
    store
}

async fn sessions_end(database: TestDatabase) {
    let store = open(&database).await;
    let (ada, bob) = (store.user("ada").await.unwrap(), store.user("bob").await.unwrap());
    let [first, second, third] = [[1; 32], [2; 32], [3; 32]];
    store.begin_session(first, &ada, (NOW, NOW + 100)).await.unwrap();
    store.begin_session(second, &ada, (NOW, NOW + 100)).await.unwrap();
    store.begin_session(third, &bob, (NOW, NOW + 100)).await.unwrap();
    let who = async |hash, at| store.session(hash, at).await.unwrap().map(|one| one.user_id);
    assert_eq!(who(first, NOW + 99).await, Some(ada.id));
    assert_eq!(who(first, NOW + 100).await, None, "it is over");
    assert_eq!(who([9; 32], NOW).await, None);
    store.touch_session(first, NOW + 5).await.unwrap();
    assert_eq!(store.session(first, NOW).await.unwrap().unwrap().seen_at, NOW + 5);
    store.touch_session(first, NOW + 3).await.unwrap();
    assert_eq!(store.session(first, NOW).await.unwrap().unwrap().seen_at, NOW + 5);

    store.set_password(&ada, "$argon2id$x", Some(first)).await.unwrap();
    assert_eq!((who(first, NOW).await, who(second, NOW).await), (Some(ada.id), None));
    assert_eq!(store.password_hash(ada.id).await.unwrap().as_deref(), Some("$argon2id$x"));
    assert_eq!(store.password_hash(bob.id).await.unwrap(), None);
    store.end_session(first).await.unwrap();
    assert_eq!(who(first, NOW).await, None);
    assert_eq!(who(third, NOW).await, Some(bob.id));
    store.set_disabled(&bob, Some(NOW)).await.unwrap();
    assert_eq!(who(third, NOW).await, None, "who is shut out has no session");
    store.set_disabled(&bob, None).await.unwrap();
    assert_eq!(who(third, NOW).await, None, "nor gets the old one back");
    assert_eq!(store.operators().await.unwrap(), 1, "Ada");
    store.set_operator(&bob, true).await.unwrap();
    assert_eq!(store.operators().await.unwrap(), 2);

    store.add_identity(("https://issuer", "sub"), &bob, NOW).await.unwrap();
    assert_eq!(store.identity("https://issuer", "sub").await.unwrap(), Some(bob.id));
    assert_eq!(store.identity("https://other", "sub").await.unwrap(), None);
    let twice = store.add_identity(("https://issuer", "sub"), &ada, NOW).await;
    assert!(matches!(twice, Err(StoreError::Duplicate { what: "identity" })), "{twice:?}");
    database.drop(store).await;
}

async fn a_link_works_once(database: TestDatabase) {
    let store = open(&database).await;
    let ada = store.user("ada").await.unwrap().id;
    let password = LinkPurpose::Password(ada);
    store.add_link([1; 32], password, (NOW, NOW + 100)).await.unwrap();
    store.add_link([2; 32], LinkPurpose::FirstOperator, (NOW, NOW + 100)).await.unwrap();
    store.add_link([3; 32], LinkPurpose::FirstOperator, (NOW, NOW + 100)).await.unwrap();
    assert_eq!(store.password_link([1; 32], NOW).await.unwrap(), Some(ada));
    assert_eq!(
        store.password_link([3; 32], NOW).await.unwrap(),
        None,
        "that is for something else"
    );
    assert_eq!(store.password_link([1; 32], NOW + 100).await.unwrap(), None);
    assert!(!store.operator_link([2; 32], NOW).await.unwrap(), "a newer one is in its place");
    assert!(store.operator_link([3; 32], NOW).await.unwrap());
    let of_bob = LinkPurpose::Password(id(10));
    assert!(!store.use_link([1; 32], of_bob, NOW).await.unwrap());
    assert!(!store.use_link([1; 32], password, NOW + 100).await.unwrap());
    let both = tokio::join!(
        store.use_link([1; 32], password, NOW),
        store.use_link([1; 32], password, NOW)
    );
    assert_eq!(u8::from(both.0.unwrap()) + u8::from(both.1.unwrap()), 1, "one of two at once");
    assert_eq!(store.password_link([1; 32], NOW).await.unwrap(), None);
    database.drop(store).await;
}

async fn an_organization_keeps_an_owner(database: TestDatabase) {
    let store = open(&database).await;
    let (ada, bob) = (store.user("ada").await.unwrap(), store.user("bob").await.unwrap());
    let acme = NewUser { owner: Some(ada.id), ..new_user(20, "acme") };
    let acme = store.add_user(acme).await.unwrap();
    assert_eq!((acme.kind.as_str(), ada.kind.as_str()), ("organization", "person"));
    let owners = async || -> Vec<(String, &'static str)> {
        let members = store.members(acme.id).await.unwrap();
        members.into_iter().map(|one| (one.user, one.role.name())).collect()
    };
    assert_eq!(owners().await, [("ada".to_owned(), "owner")]);
    let left = store.remove_member(&acme, &ada, NOW).await;
    assert!(matches!(left, Err(StoreError::LastOwner)), "{left:?}");
    let lowered = store.set_member(&acme, &ada, Role::Admin, NOW).await;
    assert!(matches!(lowered, Err(StoreError::LastOwner)), "{lowered:?}");
    store.set_member(&acme, &bob, Role::Member, NOW).await.unwrap();
    store.set_member(&acme, &bob, Role::Owner, NOW).await.unwrap();
    store.set_member(&acme, &ada, Role::Billing, NOW).await.unwrap();
    assert_eq!(owners().await, [("ada".to_owned(), "billing"), ("bob".to_owned(), "owner")]);

    let payer = Some("acme".to_owned());
    store.add_key(new_key(31, "ada")).await.unwrap();
    let of_acme = store.add_key(NewKey { payer, ..new_key(32, "ada") }).await.unwrap();
    assert_eq!((of_acme.user_id, of_acme.account_id), (ada.id, acme.account_id));
    store.remove_member(&acme, &ada, NOW).await.unwrap();
    let keys = store.keys_of(ada.id).await.unwrap();
    let revoked: Vec<_> = keys.iter().map(|key| key.revoked_at).collect();
    assert_eq!(revoked, [None, Some(NOW)], "only what spent from the organization's account");
    let nobody = store.remove_member(&acme, &ada, NOW).await;
    assert!(matches!(nobody, Err(StoreError::NotFound { what: "member" })), "{nobody:?}");
    assert!(store.memberships(ada.id).await.unwrap().is_empty());
    assert_eq!(store.memberships(bob.id).await.unwrap()[0].organization, "acme");
    assert_eq!(store.all_members().await.unwrap().len(), 1);
    database.drop(store).await;
}

async fn keys_change_and_rotate(database: TestDatabase) {
    let store = open(&database).await;
    let old = NewKey { budget: Some((BudgetPeriod::Total, Usd::DOLLAR)), ..new_key(31, "ada") };
    store.add_key(old).await.unwrap();
    let budgets = async || -> Vec<(BudgetPeriod, Usd)> {
        let budgets = store.budgets(NOW).await.unwrap();
        let own = budgets.iter().filter(|one| one.owner == BudgetOwner::Key(id(31)));
        own.map(|one| (one.period, one.limit)).collect()
    };
    let change = KeyChange {
        name: Some("renamed".to_owned()),
        disabled: Some(true),
        scopes: Some("usage".to_owned()),
        budget: Some(Some((BudgetPeriod::Month, Usd::from_pico(7)))),
        models: Some(Some(vec!["openai/gpt-4o".to_owned()])),
        allowed_ips: Some(Some(vec!["10.0.0.0/8".to_owned()])),
        requests_per_minute: Some(Some(5)),
        tokens_per_minute: Some(Some(6)),
        concurrent_requests: Some(Some(7)),
        expires_at: Some(Some(NOW + 9)),
    };
    let foreign = store.change_key(Whose::Users(id(10)), id(31), change.clone(), NOW).await;
    assert!(matches!(foreign, Err(StoreError::NotFound { what: "key" })), "{foreign:?}");
    let changed = store.change_key(Whose::Accounts(id(1)), id(31), change, NOW).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.disabled_at), ("renamed", Some(NOW)));
    assert_eq!((changed.scopes.as_str(), changed.expires_at), ("usage", Some(NOW + 9)));
    assert_eq!((changed.requests_per_minute, changed.tokens_per_minute), (Some(5), Some(6)));
    assert_eq!(changed.concurrent_requests, Some(7));
    assert_eq!((changed.budget, changed.updated_at), (None, Some(NOW)));
    assert_eq!(budgets().await, [(BudgetPeriod::Month, Usd::from_pico(7))]);
    let none =
        store.change_key(Whose::Anybodys, id(31), KeyChange::default(), NOW + 1).await.unwrap();
    assert_eq!(none, Key { updated_at: Some(NOW + 1), ..changed }, "what is not named stays");
    let open = KeyChange {
        disabled: Some(false),
        budget: Some(None),
        models: Some(None),
        allowed_ips: Some(None),
        expires_at: Some(None),
        ..KeyChange::default()
    };
    let opened = store.change_key(Whose::Anybodys, id(31), open, NOW + 2).await.unwrap();
    assert_eq!((opened.disabled_at, opened.models, opened.allowed_ips), (None, None, None));
    assert_eq!(budgets().await, []);

    let new = NewKey { created_at: NOW + 3, ..new_key(41, "ada") };
    let next = store.rotate_key(Whose::Users(id(0)), id(31), new, NOW + 50).await.unwrap();
    let old = store.key(Whose::Anybodys, id(31)).await.unwrap();
    assert_eq!((old.rotated_to, old.expires_at), (Some(next.id), Some(NOW + 50)));
    let twice = store.rotate_key(Whose::Anybodys, id(31), new_key(42, "ada"), NOW + 60).await;
    assert!(matches!(twice, Err(StoreError::Duplicate { what: "rotation" })), "{twice:?}");
    assert!(store.revoke_key(Whose::Anybodys, id(31), NOW + 4).await.unwrap());
    let gone = store.change_key(Whose::Anybodys, id(31), KeyChange::default(), NOW + 5).await;
    assert!(matches!(gone, Err(StoreError::NotFound { what: "key" })), "{gone:?}");

    store.add_key(new_key(43, "bob")).await.unwrap();
    let page = async |whose, before| -> Vec<Uuid> {
        let page = store.keys_page(whose, before, 1).await.unwrap();
        page.into_iter().map(|key| key.id).collect()
    };
    assert_eq!(page(Whose::Anybodys, None).await, [id(43)]);
    assert_eq!(page(Whose::Anybodys, Some(id(43))).await, [id(41)]);
    assert_eq!(
        page(Whose::Anybodys, Some(id(41))).await,
        Vec::<Uuid>::new(),
        "revoked ones are not listed"
    );
    assert_eq!(page(Whose::Users(id(0)), None).await, [id(41)]);
    assert_eq!(page(Whose::Accounts(id(11)), None).await, [id(43)]);
    assert_eq!(page(Whose::UsersOfAccount(id(0), id(11)), None).await, Vec::<Uuid>::new());
    database.drop(store).await;
}

async fn acts_are_logged(database: TestDatabase) {
    let store = open(&database).await;
    let actor = Actor { id: Some(id(0)), name: "ada".to_owned(), via: "console", at: NOW };
    let desk = store.by(actor);
    let before = store.acts(&ActFilter::default(), None, 100).await.unwrap().len();
    desk.add_key(new_key(31, "bob")).await.unwrap();
    let change = KeyChange { name: Some("x\"y".to_owned()), ..KeyChange::default() };
    desk.change_key(Whose::Anybodys, id(31), change, NOW).await.unwrap();
    let refused = desk.add_key(new_key(31, "bob")).await;
    assert!(refused.is_err());
    desk.revoke_key(Whose::Anybodys, id(31), NOW).await.unwrap();
    desk.revoke_key(Whose::Anybodys, id(31), NOW).await.unwrap();
    let log = store.acts(&ActFilter::default(), None, 100).await.unwrap();
    let numbers: Vec<_> = log.iter().rev().map(|act| act.number).collect();
    let many = i64::try_from(log.len()).unwrap();
    assert_eq!(numbers, (1..=many).collect::<Vec<_>>(), "without a gap");
    let new: Vec<_> = log.iter().take(log.len() - before).map(|act| act.action.as_str()).collect();
    assert_eq!(
        new,
        ["key.revoke", "key.change", "key.create"],
        "what was refused or changed nothing is not in it"
    );
    assert!(log[..3].iter().all(|act| act.actor == "ada" && act.via == "console" && act.at == NOW));
    assert!(log[..3].iter().all(|act| act.target == format!("key {}", id(31))));
    assert_eq!(log[1].detail, r#"{"name":"x\"y"}"#);
    let (action, actor) = ("key.change".to_owned(), "ada".to_owned());
    let filter = ActFilter { action, actor, ..ActFilter::default() };
    assert_eq!(store.acts(&filter, None, 9).await.unwrap(), log[1..2]);
    let page = store.acts(&ActFilter::default(), Some(log[0].number), 1).await.unwrap();
    assert_eq!(page, log[1..2]);
    let secret = "0".repeat(10);
    assert!(log.iter().all(|act| !act.detail.contains(&secret)), "no hash of a key is in it");
    for change in ["UPDATE tollgate.audit_log SET actor = 'eve'", "DELETE FROM tollgate.audit_log"]
    {
        let refused = database.shell(change).await;
        assert!(refused.unwrap_err().to_string().contains("append-only"));
    }
    database.drop(store).await;
}
