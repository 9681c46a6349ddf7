//! Moving in: many users and keys at once, and sums of what was used elsewhere.

use std::collections::{BTreeMap, HashMap};

use ledger::Usd;
use serde_json::json;
use uuid::Uuid;

use crate::covered::Covered;
use crate::engine::{Conn, Sql};
use crate::{NewBudget, NewKey, NewUser, Role, Store, StoreError, budgets, members, people};

/// A user or an organization that moves in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedUser {
    /// The user or the organization.
    pub new: NewUser,
    /// The most that may be spent.
    pub budget: Option<NewBudget>,
    /// Who else belongs to an organization: by id and name.
    pub members: Vec<(Uuid, String, Role)>,
}

/// What was used elsewhere, of one key and model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewImported {
    /// The key.
    pub key_id: Uuid,
    /// Its user.
    pub user_id: Uuid,
    /// Whose money it spends.
    pub account_id: Uuid,
    /// The provider.
    pub provider: String,
    /// The provider's model.
    pub model: String,
    /// The sums, all of them: what is recorded already is taken off here.
    pub sums: Imported,
}

/// Sums of what was used elsewhere. Amounts are pico-dollars.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// How many requests.
    pub requests: i64,
    /// Prompt tokens.
    pub input_tokens: i64,
    /// Generated tokens.
    pub output_tokens: i64,
    /// All tokens, as the source counts them.
    pub total_tokens: i64,
    /// What the providers charged.
    pub base: i64,
}

/// What was used elsewhere, as it is kept; sums may be past those of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedRow {
    /// What it stands for: `openai/gpt-4o`, `openai`, the id of a key or of a user, or the name of a source.
    pub item: String,
    /// The same for people.
    pub label: String,
    /// How many requests.
    pub requests: i64,
    /// Prompt tokens.
    pub input_tokens: i128,
    /// Generated tokens.
    pub output_tokens: i128,
    /// All tokens, as the source counts them.
    pub total_tokens: i128,
    /// What the providers charged, in pico-dollars.
    pub base: i128,
    /// Our share of it, in pico-dollars.
    pub commission: i128,
}

/// What rows of imported usage are summed by.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum ImportedBy {
    /// The name of the source.
    Source,
    /// `provider/model`.
    Model,
    /// The provider.
    Provider,
    /// The key.
    Key,
    /// The user.
    User,
}

#[derive(sqlx::FromRow)]
struct Row {
    key_id: Uuid,
    key_name: String,
    user_id: Uuid,
    user_name: String,
    source: String,
    provider: String,
    model: String,
    requests: i64,
    input_tokens: i64,
    output_tokens: i64,
    total_tokens: i64,
    base: i64,
    commission: i64,
}

#[derive(sqlx::FromRow)]
struct Recorded {
    key_id: Uuid,
    provider: String,
    model: String,
    run: i64,
    requests: i64,
    input_tokens: i64,
    output_tokens: i64,
    total_tokens: i64,
    base: i64,
}

macro_rules! select {
    ($rest:literal) => {
        sql!(
            "SELECT i.key_id, k.name AS key_name, i.user_id, u.name AS user_name, i.source, i.provider, i.model, ",
            "i.requests, i.input_tokens, i.output_tokens, i.total_tokens, i.base, i.commission ",
            "FROM tollgate.imported_usage i JOIN tollgate.api_keys k ON k.id = i.key_id ",
            "JOIN tollgate.users u ON u.id = i.user_id ",
            $rest
        )
    };
}

const ALL: Sql = select!("");
const OF_USER: Sql = select!("WHERE i.user_id = $1");
const OF_ACCOUNT: Sql = select!("WHERE i.account_id = $1");
const RECORDED: Sql = sql!(
    "SELECT key_id, provider, model, run, requests, input_tokens, output_tokens, total_tokens, base ",
    "FROM tollgate.imported_usage WHERE source = $1"
);
const INSERT: Sql = sql!(
    "INSERT INTO tollgate.imported_usage (source, key_id, provider, model, run, user_id, account_id, requests, ",
    "input_tokens, output_tokens, total_tokens, base, commission_bps, commission, imported_at) ",
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
);
const DISABLE: Sql = sql!("UPDATE tollgate.api_keys SET disabled_at = $1 WHERE id = $2");

impl Imported {
    fn parts(&self) -> [i64; 5] {
        [self.requests, self.input_tokens, self.output_tokens, self.total_tokens, self.base]
    }

    /// These sums less what is recorded; `None` where less was used than that.
    pub fn beyond(&self, recorded: &Self) -> Option<Self> {
        let less = |now: i64, then: i64| now.checked_sub(then).filter(|more| *more >= 0);
        Some(Self {
            requests: less(self.requests, recorded.requests)?,
            input_tokens: less(self.input_tokens, recorded.input_tokens)?,
            output_tokens: less(self.output_tokens, recorded.output_tokens)?,
            total_tokens: less(self.total_tokens, recorded.total_tokens)?,
            base: less(self.base, recorded.base)?,
        })
    }

    /// Whether there is nothing of anything.
    pub fn is_nothing(&self) -> bool {
        self.parts() == [0; 5]
    }
}

impl Store {
    /// Adds users and organizations, all or none, each as [`Store::add_user`] does, with what comes with them.
    pub async fn import_users(&self, users: &[ImportedUser]) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        for ImportedUser { new, budget, members } in users {
            let user = self.write_user(&mut conn, new.clone()).await?;
            for (id, name, role) in members {
                members::write(&mut conn, (user.id, *id), *role, new.created_at).await?;
                let detail = json!({ "user": name, "role": role.name() });
                self.changed(&mut conn, "member.set", &people::target(&user), &detail).await?;
            }
            if let Some(budget) = budget {
                let row = [Covered::Budget(budgets::set(&mut conn, *budget).await?)];
                let detail =
                    json!({ "period": budget.period.name(), "usd": budget.limit.to_string() });
                self.wrote(&mut conn, "budget.set", &people::target(&user), &detail, &row).await?;
            }
        }
        conn.commit().await
    }

    /// Adds keys, all or none, each as [`Store::add_key`] does. Those with `true` are switched off.
    pub async fn import_keys(&self, keys: &[(NewKey, bool)]) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        for (key, disabled) in keys {
            let added = self.write_key(&mut conn, key).await?;
            if *disabled {
                on!(conn, DISABLE, (q, c) => {
                    q.bind(key.created_at).bind(added.id).execute(c).await.map(drop)
                })?;
            }
        }
        conn.commit().await
    }

    /// Records what was used elsewhere: of each sum what it has more than what is recorded under that source, with the
    /// commission that `bps` is. One that has less stays as it is. Returns how many sums had more.
    pub async fn import_usage(
        &self,
        source: &str,
        usage: &[NewImported],
        bps: u32,
        at: i64,
    ) -> Result<usize, StoreError> {
        let mut conn = self.begin_act().await?;
        let (mut added, mut base) = (0, 0_i128);
        let recorded = recorded(&mut conn, source).await?;
        for new in usage {
            let (run, before) = recorded.get(&new.place()).copied().unwrap_or_default();
            let Some(more) = new.sums.beyond(&before).filter(|more| !more.is_nothing()) else {
                continue;
            };
            let commission = Usd::from_pico(more.base)
                .share(bps)
                .map_err(|_| StoreError::OutOfRange { what: "commission" })?;
            on!(conn, INSERT, (q, c) => {
                let q = q.bind(source).bind(new.key_id).bind(&new.provider).bind(&new.model);
                let q = q.bind(run + 1).bind(new.user_id).bind(new.account_id).bind(more.requests);
                let q = q.bind(more.input_tokens).bind(more.output_tokens).bind(more.total_tokens);
                let q = q.bind(more.base).bind(i64::from(bps)).bind(commission.pico()).bind(at);
                q.execute(c).await.map(drop)
            })?;
            added += 1;
            base += i128::from(more.base);
        }
        if added > 0 {
            let detail = json!({ "sums": added, "base_usd": ledger::sum_exact(base) });
            self.changed(&mut conn, "usage.import", &format!("source {source}"), &detail).await?;
            conn.commit().await?;
        }
        Ok(added)
    }

    /// What is recorded under a source, by key, provider and model.
    pub async fn recorded_usage(
        &self,
        source: &str,
    ) -> Result<HashMap<(Uuid, String, String), Imported>, StoreError> {
        let mut conn = self.read().await?;
        let recorded = recorded(&mut conn, source).await?;
        Ok(recorded.into_iter().map(|(place, (_, sums))| (place, sums)).collect())
    }

    /// What was used elsewhere, of `user` alone where one is given, in rows by `by`, in the order of their items.
    pub async fn imported_usage(
        &self,
        user: Option<Uuid>,
        by: ImportedBy,
    ) -> Result<Vec<ImportedRow>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<Row> = match user {
            None => on!(conn, ALL => _, (q, c) => q.fetch_all(c).await)?,
            Some(id) => on!(conn, OF_USER => _, (q, c) => q.bind(id).fetch_all(c).await)?,
        };
        Ok(grouped(rows, by))
    }

    /// What was used elsewhere with the keys that spend from an account, by source.
    pub async fn imported_usage_of_account(
        &self,
        account: Uuid,
    ) -> Result<Vec<ImportedRow>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<Row> =
            on!(conn, OF_ACCOUNT => _, (q, c) => q.bind(account).fetch_all(c).await)?;
        Ok(grouped(rows, ImportedBy::Source))
    }
}

impl NewImported {
    /// What its sums are of.
    pub fn place(&self) -> (Uuid, String, String) {
        (self.key_id, self.provider.clone(), self.model.clone())
    }
}

/// The newest run of each sum, and what is recorded by all of its runs.
async fn recorded(
    conn: &mut Conn,
    source: &str,
) -> Result<HashMap<(Uuid, String, String), (i64, Imported)>, StoreError> {
    let rows: Vec<Recorded> =
        on!(*conn, RECORDED => _, (q, c) => q.bind(source).fetch_all(c).await)?;
    let mut sums = HashMap::<_, (i64, Imported)>::new();
    for row in rows {
        let (run, sum) = sums.entry((row.key_id, row.provider, row.model)).or_default();
        *run = row.run.max(*run);
        for (sum, part) in [
            (&mut sum.requests, row.requests),
            (&mut sum.input_tokens, row.input_tokens),
            (&mut sum.output_tokens, row.output_tokens),
            (&mut sum.total_tokens, row.total_tokens),
            (&mut sum.base, row.base),
        ] {
            let added = sum.checked_add(part);
            *sum = added.ok_or(StoreError::OutOfRange { what: "sum of imported usage" })?;
        }
    }
    Ok(sums)
}

fn grouped(rows: Vec<Row>, by: ImportedBy) -> Vec<ImportedRow> {
    let mut groups = BTreeMap::<String, ImportedRow>::new();
    for row in rows {
        let (item, label) = match by {
            ImportedBy::Source => (row.source, String::new()),
            ImportedBy::Model => (format!("{}/{}", row.provider, row.model), String::new()),
            ImportedBy::Provider => (row.provider, String::new()),
            ImportedBy::Key => (row.key_id.to_string(), row.key_name),
            ImportedBy::User => (row.user_id.to_string(), row.user_name),
        };
        let group = groups.entry(item.clone()).or_insert_with(|| ImportedRow {
            item,
            label,
            requests: 0,
            input_tokens: 0,
            output_tokens: 0,
            total_tokens: 0,
            base: 0,
            commission: 0,
        });
        group.requests = group.requests.saturating_add(row.requests);
        group.input_tokens += i128::from(row.input_tokens);
        group.output_tokens += i128::from(row.output_tokens);
        group.total_tokens += i128::from(row.total_tokens);
        group.base += i128::from(row.base);
        group.commission += i128::from(row.commission);
    }
    groups.into_values().collect()
}
