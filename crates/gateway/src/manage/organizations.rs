//! Organizations: made by operators, and joined and left as their owners and admins say.

use store::{NewUser, Role, Store, StoreError, User};

use crate::clock;
use crate::problem::Problem;

/// By what somebody says who belongs to an organization.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Authority {
    /// Runs the place.
    Operator,
    /// Is this in the organization.
    Member(Role),
}

/// Why it is not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// Somebody else has to.
    #[error("your role in this organization does not let you do that")]
    NotAllowed,
    /// A member is a person.
    #[error("{0} is an organization; expected a person")]
    NoPerson(String),
    /// Members are of organizations.
    #[error("{0} is a person; expected an organization")]
    NoOrganization(String),
    /// Somebody is shut out.
    #[error("{0} is disabled")]
    Disabled(String),
    /// The store says no.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authority {
    /// Whether somebody who is `now` that may become `then`; `None` is no member.
    pub(crate) fn may_change(self, now: Option<Role>, then: Option<Role>) -> bool {
        match self {
            Self::Operator | Self::Member(Role::Owner) => true,
            // Owners are made and unmade by owners.
            Self::Member(Role::Admin) => now != Some(Role::Owner) && then != Some(Role::Owner),
            Self::Member(Role::Member | Role::Billing) => false,
        }
    }
}

/// Makes an organization with an account of its name.
pub(crate) async fn create(
    store: &Store,
    by: Authority,
    name: String,
    owner: &User,
    prepaid: bool,
) -> Result<User, Refused> {
    if by != Authority::Operator {
        return Err(Refused::NotAllowed);
    }
    let new = NewUser {
        id: clock::new_id(),
        account_id: clock::new_id(),
        name,
        owner: Some(person(owner)?.id),
        operator: false,
        prepaid,
        created_at: clock::now(),
    };
    Ok(store.add_user(new).await?)
}

/// Takes somebody into an organization, or changes as what; of who only pays, the keys to its account are revoked.
pub(crate) async fn set_member(
    store: &Store,
    by: Authority,
    organization: &User,
    user: &User,
    role: Role,
) -> Result<(), Refused> {
    let now = current(store, organization, user).await?;
    if !by.may_change(now, Some(role)) {
        return Err(Refused::NotAllowed);
    }
    store.set_member(organization, person(user)?, role, clock::now()).await?;
    Ok(())
}

/// Takes somebody out of an organization; their keys to its account are revoked.
pub(crate) async fn remove_member(
    store: &Store,
    by: Authority,
    organization: &User,
    user: &User,
) -> Result<(), Refused> {
    let now = current(store, organization, user).await?;
    if !by.may_change(now, None) {
        return Err(Refused::NotAllowed);
    }
    store.remove_member(organization, user, clock::now()).await?;
    Ok(())
}

async fn current(store: &Store, organization: &User, user: &User) -> Result<Option<Role>, Refused> {
    if organization.kind != "organization" {
        return Err(Refused::NoOrganization(organization.name.clone()));
    }
    let members = store.members(organization.id).await?;
    Ok(members.iter().find(|member| member.user_id == user.id).map(|member| member.role))
}

fn person(user: &User) -> Result<&User, Refused> {
    if user.kind != "person" {
        Err(Refused::NoPerson(user.name.clone()))
    } else if user.disabled_at.is_some() {
        Err(Refused::Disabled(user.name.clone()))
    } else {
        Ok(user)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        use http::StatusCode;
        match refused {
            Refused::NotAllowed => {
                Self::new(StatusCode::FORBIDDEN, "forbidden", refused.to_string())
            }
            Refused::Store(StoreError::NotFound { what }) => {
                Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
            }
            Refused::Store(error @ (StoreError::LastOwner | StoreError::Duplicate { .. })) => {
                Self::new(StatusCode::CONFLICT, "conflict", error.to_string())
            }
            Refused::Store(error) => Self::store(error),
            refused => Self::bad_request(refused.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use store::Role;

    use super::Authority;

    /// Each authority, who the other is now, who they shall be.
    #[test]
    fn who_may_make_whom_what() {
        let states =
            [None, Some(Role::Owner), Some(Role::Admin), Some(Role::Member), Some(Role::Billing)];
        let count = |by: Authority| {
            let pairs = states.iter().flat_map(|now| states.iter().map(move |then| (*now, *then)));
            pairs.filter(|(now, then)| by.may_change(*now, *then)).count()
        };
        assert_eq!(count(Authority::Operator), 25);
        assert_eq!(count(Authority::Member(Role::Owner)), 25);
        let admin = Authority::Member(Role::Admin);
        assert_eq!(count(admin), 16, "all but from and to owner");
        assert!(!admin.may_change(Some(Role::Owner), None));
        assert!(!admin.may_change(Some(Role::Admin), Some(Role::Owner)));
        assert!(admin.may_change(None, Some(Role::Admin)));
        for role in [Role::Member, Role::Billing] {
            assert_eq!(count(Authority::Member(role)), 0, "{role:?}");
        }
    }
}
