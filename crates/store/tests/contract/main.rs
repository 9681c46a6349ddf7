//! One story that calls every function of the store, told to both engines.

#[cfg(test)]
mod aside;
#[cfg(test)]
mod auth_codes;
#[cfg(test)]
mod common;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod idempotency;
#[cfg(test)]
mod imports;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod money;
#[cfg(test)]
mod money_audit;
#[cfg(test)]
mod money_crowd;
#[cfg(test)]
mod money_moments;
#[cfg(test)]
mod money_stories;
#[cfg(test)]
mod money_upgrade;
#[cfg(test)]
mod own_keys;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod people;
#[cfg(test)]
mod proof;
#[cfg(test)]
mod rollups;
#[cfg(test)]
mod seals;
#[cfg(test)]
mod silence;
#[cfg(test)]
mod statements;
#[cfg(test)]
mod story;

use common::TestDatabase;
use store::{Store, StoreError};
use story::story;

#[tokio::test(flavor = "multi_thread")]
async fn the_story_on_sqlite() {
    let database = TestDatabase::sqlite();
    Box::pin(story(database, 100_000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_on_postgres() {
    if let Some(database) = TestDatabase::postgres("story").await {
        Box::pin(story(database, 10_000)).await;
    }
}

/// As behind a pooler: nothing is prepared by name, everything is a transaction.
#[tokio::test(flavor = "multi_thread")]
async fn the_story_on_postgres_behind_a_pooler() {
    if let Some(mut database) = TestDatabase::postgres("pooled").await {
        database.url.push_str("?sslmode=disable&pgbouncer=true");
        Box::pin(story(database, 1_000)).await;
    }
}

#[tokio::test]
async fn other_urls_are_refused() {
    let refused = Store::open("mysql://localhost/x", 1).await;
    assert!(matches!(refused, Err(StoreError::Url)), "{refused:?}");
}
