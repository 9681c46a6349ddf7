//! Lists by every column, up and down, page by page: each row once, in one order, whatever falls together.

use std::fmt::Debug;

use store::{
    ACTS, ActFilter, CUSTOMERS, ENTRIES, EntriesWanted, KEYS, KeysWanted, Listing, MEMBERS, NewKey,
    NewUser, Paged, Role, Seek, Store, StoreError, USERS, UsersWanted, Whose,
};
use uuid::Uuid;

use crate::common::{TestDatabase, id, insert, new_key, new_user, receipt};

const NOW: i64 = 1_750_000_100_000_000;
/// The first day of the month of the receipts.
const MONTH: i64 = 20_240;
const ALL: u16 = 1_000;

/// Two users, an organization with five members, and forty keys whose names and sums fall together in threes and fours.
async fn filled(database: &TestDatabase) -> Store {
    let store = database.open().await;
    store.migrate(0).await.unwrap();
    for (number, name) in
        [(1_000, "ada"), (1_010, "Bob"), (1_020, "carl"), (1_030, "dan"), (1_040, "eve")]
    {
        store.add_user(NewUser { prepaid: name == "ada", ..new_user(number, name) }).await.unwrap();
    }
    let owner = Some(id(1_000));
    let acme = store.add_user(NewUser { owner, ..new_user(1_050, "acme") }).await.unwrap();
    for (number, role) in
        [(1_010, Role::Admin), (1_020, Role::Member), (1_030, Role::Member), (1_040, Role::Billing)]
    {
        let user = store.user_by_id(id(number)).await.unwrap();
        store.set_member(&acme, &user, role, NOW).await.unwrap();
    }
    let names = ["alpha", "Alpha", "", "beta%", "Gamma"];
    for number in 0..40_u128 {
        let place = usize::try_from(number).unwrap();
        let key = NewKey {
            name: names[place % 5].to_owned(),
            created_at: NOW - i64::try_from(number / 3).unwrap(),
            expires_at: [None, None, Some(NOW - 1), Some(NOW + 1)][place % 4],
            ..new_key(2_000 + number, if number % 2 == 0 { "ada" } else { "Bob" })
        };
        store.add_key(key).await.unwrap();
    }
    for number in [2_004, 2_005] {
        store.revoke_key(Whose::Anybodys, id(number), NOW).await.unwrap();
    }
    for (number, key) in (0..30).zip([2_000, 2_001, 2_002, 2_006, 2_007].into_iter().cycle()) {
        let user = if key % 2 == 0 { 1_000 } else { 1_010 };
        let cost = 100 * (1 + i64::try_from(key % 3).unwrap());
        let mut row = receipt(number, id(user), id(key), cost, 5);
        row.account_id = id(user + 1);
        insert(&store, &[row]).await.unwrap();
    }
    store
}

/// All rows of a list, by each column, up and down, in pages of seven.
async fn walk<T: Debug + PartialEq, I: Debug + Ord>(
    listing: &'static Listing,
    words: &[&str],
    rows: usize,
    id: impl Fn(&T) -> I,
    read: impl AsyncFn(Seek) -> Result<Paged<T>, StoreError>,
) {
    for word in words {
        assert!(listing.goes_by(word), "{word}");
        let whole = async |down| read(listing.by(word, down, ALL).unwrap()).await.unwrap();
        let (up, down) = (whole(false).await.rows, whole(true).await.rows);
        let mut ids: Vec<I> = up.iter().map(&id).collect();
        assert!(ids.iter().eq(down.iter().rev().map(&id).collect::<Vec<_>>().iter()), "{word}");
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), rows, "{word}: {up:?}");
        for (descending, all) in [(false, up), (true, down)] {
            let first = listing.by(word, descending, 7).unwrap();
            let (mut seek, mut found) = (first.clone(), Vec::new());
            loop {
                let page = read(seek.clone()).await.unwrap();
                assert!(page.rows.len() <= 7);
                found.extend(page.rows);
                let Some(place) = page.next else { break };
                // As it goes through an address.
                let written = first.write(&place);
                assert_eq!(first.read(&written).as_ref(), Some(&place), "{written}");
                let other = listing.by(word, !descending, 7).unwrap();
                assert_eq!(other.read(&written), None, "that is a place in another order");
                seek = first.clone().behind(Some(place));
            }
            assert_eq!(found, all, "{word}, down: {descending}");
        }
    }
    assert!(listing.by("hash", false, 7).is_none() && !listing.goes_by(""));
}

fn wanted(whose: Whose, state: &str, part: &str) -> KeysWanted {
    let (state, part) = (state.to_owned(), part.to_owned());
    KeysWanted { whose, part, user: String::new(), state, month: MONTH, now: NOW }
}

async fn keys(store: &Store) {
    let words = [
        "name",
        "user",
        "scopes",
        "spent_usd",
        "last_used_at",
        "created_at",
        "expires_at",
        "state",
    ];
    for (whose, state, part, rows) in [
        (Whose::Anybodys, "all", "", 40),
        (Whose::Anybodys, "", "", 38),
        (Whose::Anybodys, "revoked", "", 2),
        (Whose::Anybodys, "expired", "", 10),
        (Whose::Users(id(1_000)), "active", "", 9),
        (Whose::Accounts(id(1_011)), "", "", 19),
        (Whose::UsersOfAccount(id(1_000), id(1_011)), "all", "", 0),
        (Whose::Anybodys, "all", "ALPHA", 16),
        (Whose::Anybodys, "all", "%", 8),
        (Whose::Anybodys, "all", "abcd…wx", 40),
    ] {
        let wanted = wanted(whose, state, part);
        let read = async |seek: Seek| store.keys_list(&wanted, &seek).await;
        walk(&KEYS, &words, rows, |row| row.key.id, read).await;
    }
    let by = async |word: &str, down: bool| {
        let seek = KEYS.by(word, down, ALL).unwrap();
        store.keys_list(&wanted(Whose::Anybodys, "all", ""), &seek).await.unwrap().rows
    };
    let spent: Vec<i64> = by("spent_usd", true).await.iter().map(|row| row.spent).collect();
    assert!(spent.is_sorted_by(|a, b| a >= b) && spent[0] > 0 && spent[39] == 0, "{spent:?}");
    let names: Vec<_> =
        by("name", false).await.iter().map(|row| row.key.name.to_lowercase()).collect();
    assert!(names.is_sorted(), "{names:?}");
    let expires: Vec<_> =
        by("expires_at", false).await.iter().map(|row| row.key.expires_at).collect();
    assert!(
        expires[0].is_some() && expires[39].is_none(),
        "what does not expire is the last to do so"
    );
    let user = KeysWanted { user: "bO".to_owned(), ..wanted(Whose::Anybodys, "all", "") };
    let found = store.keys_list(&user, &KEYS.by("name", false, ALL).unwrap()).await.unwrap();
    assert!(found.rows.len() == 20 && found.rows.iter().all(|row| row.key.user == "Bob"));
}

async fn others(store: &Store) {
    let words = ["name", "role", "pays", "balance_usd", "spent_usd", "created_at", "state"];
    let people = UsersWanted { kind: "person", month: MONTH, ..UsersWanted::default() };
    let first = UsersWanted { pays: "first".to_owned(), ..people.clone() };
    let part = UsersWanted { part: "A".to_owned(), ..people.clone() };
    let off = UsersWanted { state: "off".to_owned(), ..people.clone() };
    let houses = UsersWanted { kind: "organization", ..people.clone() };
    for (wanted, rows) in [(&people, 5), (&first, 1), (&part, 3), (&off, 0), (&houses, 1)] {
        let read = async |seek: Seek| store.users_list(wanted, &seek).await;
        walk(&USERS, &words, rows, |row| row.user.id, read).await;
    }
    let seek = USERS.by("spent_usd", true, 2).unwrap();
    let top = store.users_list(&people, &seek).await.unwrap().rows;
    assert!(top[0].spent > top[1].spent && top[1].spent > 0, "{top:?}");

    for (part, role, rows) in [("", "", 5), ("", "member", 2), ("A", "", 3), ("z", "", 0)] {
        let read = async |seek: Seek| store.members_list(id(1_050), (part, role), &seek).await;
        walk(&MEMBERS, &["name", "role", "created_at"], rows, |row| row.user_id, read).await;
    }
    let whole = store.acts(&ActFilter::default(), None, ALL).await.unwrap();
    let read = async |seek: Seek| store.acts_page(&ActFilter::default(), &seek).await;
    walk(&ACTS, &["number"], whole.len(), |act| act.number, read).await;
    let keys = ActFilter {
        action: "key.create".to_owned(),
        from: Some(0),
        to: Some(1),
        ..ActFilter::default()
    };
    let read = async |seek: Seek| store.acts_page(&keys, &seek).await;
    walk(&ACTS, &["number"], 40, |act| act.number, read).await;
    let none = ActFilter { from: Some(1), ..keys.clone() };
    assert!(
        store.acts_page(&none, &ACTS.by("number", true, 9).unwrap()).await.unwrap().rows.is_empty()
    );

    let words = ["name", "requests", "charge_usd", "cost_usd", "margin_usd"];
    for (part, rows) in [("", 2), ("BO", 1), ("_", 0)] {
        let read = async |seek: Seek| store.customers_list((MONTH, part), &seek).await;
        walk(&CUSTOMERS, &words, rows, |(name, _)| name.clone(), read).await;
    }
}

async fn entries(store: &Store) {
    for number in 0..20 {
        let credit = store::NewCredit {
            id: id(5_000 + number),
            account_id: id(1_001),
            amount: ledger::Usd::from_pico(1 + i64::try_from(number % 4).unwrap()),
            source: if number % 2 == 0 {
                store::CreditSource::Paid
            } else {
                store::CreditSource::Promo
            },
            expires_at: None,
            actor: ["olga", "Olga", "ben"][usize::try_from(number % 3).unwrap()].to_owned(),
            reason: String::new(),
            at: NOW + i64::try_from(number / 5).unwrap(),
        };
        store.add_credit(credit).await.unwrap();
    }
    let words = ["created_at", "kind", "amount_usd", "actor"];
    let all = EntriesWanted { account_id: id(1_001), kind: String::new(), from: None, to: None };
    let gifts = EntriesWanted { kind: "promo".to_owned(), ..all.clone() };
    let days = EntriesWanted { from: Some(NOW + 1), to: Some(NOW + 3), ..all.clone() };
    let other = EntriesWanted { account_id: id(1_011), ..all.clone() };
    for (wanted, rows) in [(&all, 56), (&gifts, 10), (&days, 10), (&other, 12)] {
        let read = async |seek: Seek| store.entries_list(wanted, &seek).await;
        walk(&ENTRIES, &words, rows, |row| row.id, read).await;
    }
}

fn places_that_make_no_sense() {
    let (keys, acts) =
        (KEYS.by("spent_usd", true, 9).unwrap(), ACTS.by("number", true, 9).unwrap());
    let nobody = Uuid::max().simple();
    for text in [
        String::new(),
        "-spent_usd".to_owned(),
        "-spent_usd~~".to_owned(),
        format!("-spent_usd~{nobody}"),
        format!("-spent_usd~{nobody}~"),
        format!("-spent_usd~{nobody}~much"),
        format!("-spent_usd~{nobody}~9223372036854775808"),
        format!("spent_usd~{nobody}~5"),
        format!("-name~{nobody}~5"),
        "-spent_usd~5~5".to_owned(),
    ] {
        assert_eq!(keys.read(&text), None, "{text}");
    }
    assert!(keys.read(&format!("-spent_usd~{nobody}~5")).is_some());
    assert!(
        acts.read("-number~5~5").is_some() && acts.read(&format!("-number~{nobody}~5")).is_none()
    );
    let name = KEYS.by("name", false, 9).unwrap();
    assert!(name.read(&format!("name~{nobody}~a~b ü")).is_some());
    assert_eq!(name.read(&format!("name~{nobody}~a\0b")), None, "no text of PostgreSQL's");
}

async fn all(database: TestDatabase) {
    let store = filled(&database).await;
    keys(&store).await;
    others(&store).await;
    entries(&store).await;
    database.drop(store).await;
}

#[tokio::test]
async fn lists_on_sqlite() {
    places_that_make_no_sense();
    all(TestDatabase::sqlite()).await;
}

#[tokio::test]
async fn lists_on_postgres() {
    if let Some(database) = TestDatabase::postgres("lists").await {
        all(database).await;
    }
}
