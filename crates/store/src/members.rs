//! Organizations: who belongs to them, and as what.

use serde_json::json;
use uuid::Uuid;

use crate::engine::{Conn, Sql};
use crate::people::target;
use crate::{Store, StoreError, User};

macro_rules! member_columns {
    () => {
        "m.organization_id, m.user_id, o.name AS organization, u.name AS user_name, m.role, m.created_at"
    };
}
macro_rules! member_tables {
    () => {
        "FROM tollgate.members m JOIN tollgate.users u ON u.id = m.user_id \
         JOIN tollgate.users o ON o.id = m.organization_id "
    };
}
pub(crate) use {member_columns, member_tables};

macro_rules! select {
    ($rest:literal) => {
        sql!("SELECT ", member_columns!(), " ", member_tables!(), $rest)
    };
}

const OF_ORGANIZATION: Sql = select!("WHERE m.organization_id = $1 ORDER BY u.name");
const OF_USER: Sql = select!("WHERE m.user_id = $1 ORDER BY o.name");
const ALL: Sql = select!("ORDER BY o.name, u.name");
const SET: Sql = sql!(
    "INSERT INTO tollgate.members (organization_id, user_id, role, created_at) VALUES ($1, $2, $3, $4) ",
    "ON CONFLICT (organization_id, user_id) DO UPDATE SET role = excluded.role"
);
const REMOVE: Sql =
    sql!("DELETE FROM tollgate.members WHERE organization_id = $1 AND user_id = $2");
const OWNERS: Sql = sql!(
    "SELECT COUNT(*) FROM tollgate.members WHERE organization_id = $1 AND role = 'owner' AND user_id <> $2"
);

/// What somebody may do in an organization.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything, owners included.
    Owner,
    /// Members and everybody's keys.
    Admin,
    /// Keys of one's own.
    Member,
    /// The bill, and no keys.
    Billing,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Owner, Self::Admin, Self::Member, Self::Billing];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Billing => "billing",
        }
    }

    /// What [`Role::name`] writes.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// Somebody in an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The organization.
    pub organization_id: Uuid,
    /// The person.
    pub user_id: Uuid,
    /// The organization's name.
    pub organization: String,
    /// The person's name.
    pub user: String,
    /// As what.
    pub role: Role,
    /// Microseconds since 1970.
    pub created_at: i64,
}

#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    organization_id: Uuid,
    pub(crate) user_id: Uuid,
    organization: String,
    user_name: String,
    role: String,
    created_at: i64,
}

impl Store {
    /// Who belongs to an organization, by name.
    pub async fn members(&self, organization_id: Uuid) -> Result<Vec<Member>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<Row> = on!(conn, OF_ORGANIZATION => _, (q, c) => {
            q.bind(organization_id).fetch_all(c).await
        })?;
        rows.into_iter().map(Row::member).collect()
    }

    /// The organizations that a person belongs to, by name.
    pub async fn memberships(&self, user_id: Uuid) -> Result<Vec<Member>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<Row> = on!(conn, OF_USER => _, (q, c) => q.bind(user_id).fetch_all(c).await)?;
        rows.into_iter().map(Row::member).collect()
    }

    /// Everybody in every organization.
    pub async fn all_members(&self) -> Result<Vec<Member>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<Row> = on!(conn, ALL => _, (q, c) => q.fetch_all(c).await)?;
        rows.into_iter().map(Row::member).collect()
    }

    /// Takes somebody into an organization, or changes as what. Who only pays has no keys: those to its account are revoked.
    ///
    /// # Errors
    /// [`StoreError::LastOwner`] where nobody would be left to own it.
    pub async fn set_member(
        &self,
        organization: &User,
        user: &User,
        role: Role,
        at: i64,
    ) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        let detail = json!({ "user": user.name, "role": role.name() });
        // First, so that two owners do not leave at the same time.
        self.changed(&mut conn, "member.set", &target(organization), &detail).await?;
        if role != Role::Owner {
            let (others,): (i64,) = on!(conn, OWNERS => _, (q, c) => {
                q.bind(organization.id).bind(user.id).fetch_one(c).await
            })?;
            if others == 0 {
                return Err(StoreError::LastOwner);
            }
        }
        write(&mut conn, (organization.id, user.id), role, at).await?;
        if role == Role::Billing {
            crate::keys::revoke_of(&mut conn, user.id, organization.account_id, at).await?;
        }
        conn.commit().await
    }

    /// Takes somebody out of an organization. Their keys to its account are revoked.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where they are not in it, [`StoreError::LastOwner`] where nobody would be left to own it.
    pub async fn remove_member(
        &self,
        organization: &User,
        user: &User,
        at: i64,
    ) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        let detail = json!({ "user": user.name });
        self.changed(&mut conn, "member.remove", &target(organization), &detail).await?;
        let (others,): (i64,) = on!(conn, OWNERS => _, (q, c) => {
            q.bind(organization.id).bind(user.id).fetch_one(c).await
        })?;
        if others == 0 {
            return Err(StoreError::LastOwner);
        }
        let removed = on!(conn, REMOVE, (q, c) => {
            let q = q.bind(organization.id).bind(user.id);
            q.execute(c).await.map(|done| done.rows_affected())
        })?;
        if removed == 0 {
            return Err(StoreError::NotFound { what: "member" });
        }
        crate::keys::revoke_of(&mut conn, user.id, organization.account_id, at).await?;
        conn.commit().await
    }
}

/// Writes that a person belongs to an organization.
pub(crate) async fn write(
    conn: &mut Conn,
    (organization, user): (Uuid, Uuid),
    role: Role,
    at: i64,
) -> Result<(), StoreError> {
    on!(*conn, SET, (q, c) => {
        let q = q.bind(organization).bind(user).bind(role.name()).bind(at);
        q.execute(c).await.map(drop)
    })?;
    Ok(())
}

impl Row {
    pub(crate) fn member(self) -> Result<Member, StoreError> {
        Ok(Member {
            organization_id: self.organization_id,
            user_id: self.user_id,
            organization: self.organization,
            user: self.user_name,
            role: Role::from_name(&self.role)
                .ok_or_else(|| StoreError::corrupt("role of a member"))?,
            created_at: self.created_at,
        })
    }
}
