//! How attempts at providers went, in hours. Nothing is charged by it.

use uuid::Uuid;

use crate::engine::Sql;
use crate::{Store, StoreError};

const ADD: Sql = sql!(
    "INSERT INTO tollgate.provider_hours (hour, provider, replica_id, outcome, bucket, attempts) ",
    "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (hour, provider, replica_id, outcome, bucket) ",
    "DO UPDATE SET attempts = provider_hours.attempts + excluded.attempts"
);
const SINCE: Sql = sql!(
    "SELECT hour, provider, outcome, bucket, CAST(SUM(attempts) AS BIGINT) AS attempts ",
    "FROM tollgate.provider_hours WHERE hour >= $1 GROUP BY hour, provider, outcome, bucket ",
    "ORDER BY hour, provider, outcome, bucket"
);

/// Attempts at a provider in an hour that ended alike.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ProviderHour {
    /// Hours since 1970.
    pub hour: i64,
    /// The provider.
    pub provider: String,
    /// How they ended: `ok`, or what was wrong.
    pub outcome: String,
    /// The number of the power of two of the milliseconds that each took to its first byte.
    pub bucket: i64,
    /// How many.
    pub attempts: i64,
}

impl Store {
    /// Adds to what a replica has told of an hour.
    pub async fn add_provider_hours(
        &self,
        replica: Uuid,
        hours: &[ProviderHour],
    ) -> Result<(), StoreError> {
        let mut conn = self.begin().await?;
        for hour in hours {
            on!(conn, ADD, (q, c) => {
                let q = q.bind(hour.hour).bind(&hour.provider).bind(replica);
                let q = q.bind(&hour.outcome).bind(hour.bucket).bind(hour.attempts);
                q.execute(c).await.map(drop)
            })?;
        }
        conn.commit().await
    }

    /// What all replicas have told of the hours from `hour` on.
    pub async fn provider_hours(&self, hour: i64) -> Result<Vec<ProviderHour>, StoreError> {
        let mut conn = self.read().await?;
        Ok(on!(conn, SINCE => _, (q, c) => q.bind(hour).fetch_all(c).await)?)
    }
}
