//! The lists of the console, each with what it can be sorted by and what narrows it down.

use uuid::Uuid;

use crate::keys::{self, key_columns};
use crate::lists::{Listing, Paged, Scalar, Seek, Sort, having, seek};
use crate::members::{self, member_columns, member_tables};
use crate::rollups::Kept;
use crate::users::{user_columns, user_tables};
use crate::{Act, ActFilter, Key, Member, Rollup, Store, StoreError, Transaction, User, Whose};

macro_rules! key_state {
    () => {
        "CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked' WHEN k.expires_at <= $5 THEN 'expired' \
         WHEN k.disabled_at IS NOT NULL OR u.disabled_at IS NOT NULL THEN 'off' ELSE 'active' END"
    };
}
macro_rules! charge {
    () => {
        "COALESCE(r.charge_high * 1000000000 + r.charge_low, 0)"
    };
}

/// Keys, by `name`, `user`, `scopes`, `spent_usd`, `last_used_at`, `created_at`, `expires_at` or `state`.
pub static KEYS: Listing = Listing {
    sorts: &[
        Sort::Text("name", "lower(k.name)"),
        Sort::Text("user", "lower(u.name)"),
        Sort::Text("scopes", "k.scopes"),
        Sort::Number("spent_usd", charge!()),
        Sort::Number("last_used_at", "COALESCE(k.last_used_at, 0)"),
        Sort::Number("created_at", "k.created_at"),
        // One that does not expire is the last to do so.
        Sort::Number("expires_at", "COALESCE(k.expires_at, 9223372036854775807)"),
        Sort::Text("state", key_state!()),
    ],
    id: "k.id",
    is_numbered: false,
    columns: sql!(key_columns!(), ", ", charge!(), " AS spent"),
    from: sql!(
        "FROM tollgate.api_keys k JOIN tollgate.users u ON u.id = k.user_id ",
        "LEFT JOIN tollgate.rollups r ON r.grain = 'key_month' AND r.id = k.id AND r.day = $1 AND r.item = '' ",
        "WHERE (k.user_id = $2 OR $2 IS NULL) AND (k.account_id = $3 OR $3 IS NULL) ",
        "AND ($4 = 'all' OR ($4 = '' AND k.revoked_at IS NULL) OR $4 = ",
        key_state!(),
        ") AND (lower(k.name) LIKE $6 ESCAPE '!' OR lower(k.prefix || '…' || k.last4) LIKE $6 ESCAPE '!') ",
        "AND lower(u.name) LIKE $7 ESCAPE '!'"
    ),
    binds: 7,
};

/// Which keys are wanted.
#[derive(Clone, Debug)]
pub struct KeysWanted {
    /// Whose.
    pub whose: Whose,
    /// What the name has in it, or the secret's beginning and end.
    pub part: String,
    /// What the name of its user has in it.
    pub user: String,
    /// `active`, `off`, `expired`, `revoked`, `all`; an empty text: all but revoked ones.
    pub state: String,
    /// The first day of the month whose spending is told.
    pub month: i64,
    /// Microseconds since 1970.
    pub now: i64,
}

/// A key in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedKey {
    /// The key.
    pub key: Key,
    /// What it has spent in the month, in pico-dollars.
    pub spent: i64,
}

#[derive(sqlx::FromRow)]
struct KeyRow {
    #[sqlx(flatten)]
    key: keys::Row,
    spent: i64,
}

macro_rules! user_state {
    () => {
        "CASE WHEN u.disabled_at IS NULL THEN 'active' ELSE 'off' END"
    };
}
macro_rules! user_role {
    () => {
        "CASE WHEN u.operator THEN 'operator' WHEN u.kind = 'person' THEN 'customer' ELSE u.kind END"
    };
}

/// Users and organizations, by `name`, `role`, `pays`, `balance_usd`, `spent_usd`, `created_at` or `state`.
pub static USERS: Listing = Listing {
    sorts: &[
        Sort::Text("name", "lower(u.name)"),
        Sort::Text("role", user_role!()),
        Sort::Text("pays", "CASE WHEN l.prepaid THEN 'first' ELSE 'later' END"),
        Sort::Number("balance_usd", "l.posted"),
        Sort::Number("spent_usd", charge!()),
        Sort::Number("created_at", "u.created_at"),
        Sort::Text("state", user_state!()),
    ],
    id: "u.id",
    is_numbered: false,
    columns: sql!(user_columns!(), ", l.posted AS balance, ", charge!(), " AS spent"),
    from: sql!(
        user_tables!(),
        "LEFT JOIN tollgate.rollups r ON r.grain = 'account_month' AND r.id = a.id AND r.day = $1 AND r.item = '' ",
        "WHERE u.kind = $2 AND lower(u.name) LIKE $3 ESCAPE '!' AND ($4 = '' OR $4 = ",
        user_state!(),
        ") AND ($5 = '' OR $5 = ",
        user_role!(),
        ") AND ($6 = '' OR $6 = CASE WHEN l.prepaid THEN 'first' ELSE 'later' END)"
    ),
    binds: 6,
};

/// Which users are wanted; an empty text is any.
#[derive(Clone, Debug, Default)]
pub struct UsersWanted {
    /// `person` or `organization`.
    pub kind: &'static str,
    /// What the name has in it.
    pub part: String,
    /// `active` or `off`.
    pub state: String,
    /// `operator` or `customer`.
    pub role: String,
    /// `first` or `later`.
    pub pays: String,
    /// The first day of the month whose spending is told.
    pub month: i64,
}

/// A user in a list.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ListedUser {
    /// The user.
    #[sqlx(flatten)]
    pub user: User,
    /// What is left, in pico-dollars; negative: what is owed.
    pub balance: i64,
    /// What was spent in the month.
    pub spent: i64,
}

/// Members of an organization, by `name`, `role` or `created_at`.
pub static MEMBERS: Listing = Listing {
    sorts: &[
        Sort::Text("name", "lower(u.name)"),
        Sort::Text("role", "m.role"),
        Sort::Number("created_at", "m.created_at"),
    ],
    id: "m.user_id",
    is_numbered: false,
    columns: sql!(member_columns!()),
    from: sql!(
        member_tables!(),
        "WHERE m.organization_id = $1 AND lower(u.name) LIKE $2 ESCAPE '!' AND ($3 = '' OR m.role = $3)"
    ),
    binds: 3,
};

/// The audit log, by `number`.
pub static ACTS: Listing = Listing {
    sorts: &[Sort::Number("number", "number")],
    id: "number",
    is_numbered: true,
    columns: sql!("number, at, actor_id, actor, via, action, target, detail"),
    from: sql!(
        "FROM tollgate.audit_log WHERE (action = $1 OR $1 = '') AND ($2 = '%%' OR lower(actor) LIKE $2 ESCAPE '!') ",
        "AND at >= $3 AND at < $4"
    ),
    binds: 4,
};

/// Entries of the ledger of an account, by `created_at`, `kind`, `amount_usd` or `actor`.
pub static ENTRIES: Listing = Listing {
    sorts: &[
        Sort::Number("created_at", "t.created_at"),
        Sort::Text("kind", "t.kind"),
        Sort::Number("amount_usd", "t.amount"),
        Sort::Text("actor", "lower(t.actor)"),
    ],
    id: "t.id",
    is_numbered: false,
    columns: sql!("t.id, t.kind, t.amount, t.corrects, t.actor, t.reason, t.created_at"),
    from: sql!(
        "FROM (SELECT t.id, t.kind, CAST(SUM(e.amount) AS BIGINT) AS amount, t.corrects, t.actor, t.reason, t.created_at ",
        "FROM tollgate.ledger_entries e JOIN tollgate.ledger_transactions t ON t.id = e.tx_id ",
        "WHERE e.account_id = $1 AND ($2 = '' OR t.kind = $2) AND t.created_at >= $3 AND t.created_at < $4 ",
        "GROUP BY t.id, t.kind, t.corrects, t.actor, t.reason, t.created_at) AS t WHERE TRUE"
    ),
    binds: 4,
};

/// Which entries are wanted.
#[derive(Clone, Debug)]
pub struct EntriesWanted {
    /// Of that account.
    pub account_id: Uuid,
    /// Of that kind; an empty text is any.
    pub kind: String,
    /// From that moment on, microseconds since 1970.
    pub from: Option<i64>,
    /// Before that moment.
    pub to: Option<i64>,
}

/// What customers were charged in a month, by `name`, `requests`, `charge_usd`, `cost_usd` or `margin_usd`.
pub static CUSTOMERS: Listing = Listing {
    sorts: &[
        Sort::Text("name", "lower(a.name)"),
        Sort::Number("requests", "r.receipts"),
        Sort::Number("charge_usd", charge!()),
        Sort::Number("cost_usd", "r.cost_high * 1000000000 + r.cost_low"),
        Sort::Number(
            "margin_usd",
            "(r.charge_high - r.cost_high) * 1000000000 + r.charge_low - r.cost_low",
        ),
    ],
    id: "r.id",
    is_numbered: false,
    columns: sql!(
        "a.name, r.id, r.day, r.item, r.receipts, r.input_tokens, r.output_tokens, r.cache_read, r.reasoning, r.cost_high, ",
        "r.cost_low, r.commission_high, r.commission_low, r.charge_high, r.charge_low"
    ),
    from: sql!(
        "FROM tollgate.rollups r JOIN tollgate.accounts a ON a.id = r.id ",
        "WHERE r.grain = 'account_month' AND r.day = $1 AND r.item = '' AND lower(a.name) LIKE $2 ESCAPE '!'"
    ),
    binds: 2,
};

#[derive(sqlx::FromRow)]
struct CustomerRow {
    name: String,
    #[sqlx(flatten)]
    sums: Kept,
}

impl Store {
    /// A page of keys.
    pub async fn keys_list(
        &self,
        wanted: &KeysWanted,
        seek: &Seek,
    ) -> Result<Paged<ListedKey>, StoreError> {
        let (user, account) = wanted.whose.parts();
        let mut conn = self.read().await?;
        let found = seek!(conn, seek => KeyRow, |q| q
            .bind(wanted.month)
            .bind(user)
            .bind(account)
            .bind(&wanted.state)
            .bind(wanted.now)
            .bind(having(&wanted.part))
            .bind(having(&wanted.user)))?;
        let page = seek.page(found, |row| Scalar::Id(row.key.id));
        page.read(|row| Ok(ListedKey { key: row.key.try_into()?, spent: row.spent }))
    }

    /// A page of users or organizations.
    pub async fn users_list(
        &self,
        wanted: &UsersWanted,
        seek: &Seek,
    ) -> Result<Paged<ListedUser>, StoreError> {
        let mut conn = self.read().await?;
        let found = seek!(conn, seek => ListedUser, |q| q
            .bind(wanted.month)
            .bind(wanted.kind)
            .bind(having(&wanted.part))
            .bind(&wanted.state)
            .bind(&wanted.role)
            .bind(&wanted.pays))?;
        Ok(seek.page(found, |row| Scalar::Id(row.user.id)))
    }

    /// A page of the members of an organization whose names have `part` in them, of a role or, where that is empty, of any.
    pub async fn members_list(
        &self,
        organization_id: Uuid,
        (part, role): (&str, &str),
        seek: &Seek,
    ) -> Result<Paged<Member>, StoreError> {
        let mut conn = self.read().await?;
        let found = seek!(conn, seek => members::Row, |q| q
            .bind(organization_id)
            .bind(having(part))
            .bind(role))?;
        seek.page(found, |row| Scalar::Id(row.user_id)).read(members::Row::member)
    }

    /// A page of the audit log.
    pub async fn acts_page(
        &self,
        wanted: &ActFilter,
        seek: &Seek,
    ) -> Result<Paged<Act>, StoreError> {
        let mut conn = self.read().await?;
        let found = seek!(conn, seek => Act, |q| q
            .bind(&wanted.action)
            .bind(having(&wanted.actor))
            .bind(wanted.from.unwrap_or(0))
            .bind(wanted.to.unwrap_or(i64::MAX)))?;
        Ok(seek.page(found, |row| Scalar::Number(row.number)))
    }

    /// A page of the entries of an account.
    pub async fn entries_list(
        &self,
        wanted: &EntriesWanted,
        seek: &Seek,
    ) -> Result<Paged<Transaction>, StoreError> {
        let mut conn = self.read().await?;
        let found = seek!(conn, seek => Transaction, |q| q
            .bind(wanted.account_id)
            .bind(&wanted.kind)
            .bind(wanted.from.unwrap_or(0))
            .bind(wanted.to.unwrap_or(i64::MAX)))?;
        Ok(seek.page(found, |row| Scalar::Id(row.id)))
    }

    /// A page of the customers that were charged in the month that begins with a day, of those whose names have `part` in
    /// them: the name, and the sum.
    pub async fn customers_list(
        &self,
        (month, part): (i64, &str),
        seek: &Seek,
    ) -> Result<Paged<(String, Rollup)>, StoreError> {
        let mut conn = self.read().await?;
        let found = seek!(conn, seek => CustomerRow, |q| q.bind(month).bind(having(part)))?;
        let page = seek.page(found, |row| Scalar::Id(row.sums.id));
        page.read(|row| Ok((row.name, row.sums.try_into()?)))
    }
}
