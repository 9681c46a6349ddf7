//! The limits that apply to somebody, as pages show them.

use store::Limits;
use uuid::Uuid;

use super::html::{self, Html, Table};
use crate::snapshot::Snapshot;

/// Limits beside those of a key.
pub(crate) struct Applying<'a> {
    whose: Whose<'a>,
    limits: Limits,
}

#[derive(Copy, Clone)]
enum Whose<'a> {
    User,
    Account,
    /// What the account may ask of that model.
    Model(&'a str),
}

/// What applies to whatever a user asks that an account pays for. Models stand in the order of their names.
pub(crate) fn applying(snapshot: &Snapshot, user: Uuid, account: Uuid) -> Vec<Applying<'_>> {
    let one = |whose, limits: Option<Limits>| limits.map(|limits| Applying { whose, limits });
    let of = |id: Uuid| snapshot.limits.get(&id).copied();
    let own = [one(Whose::User, of(user)), one(Whose::Account, of(account))];
    let mut models: Vec<_> = snapshot.model_limits.iter().collect();
    models.sort_by_key(|(model, _)| *model);
    let models = models.into_iter().filter_map(|(model, known)| {
        one(Whose::Model(model), known.own.get(&account).copied().or(known.each))
    });
    own.into_iter().flatten().chain(models).collect()
}

impl Applying<'_> {
    /// As the page of a key has it.
    pub(crate) fn fact(&self) -> (&'static str, Html) {
        let words = Html::text(&words(&self.limits));
        match self.whose {
            Whose::User => ("Limits of its user", words),
            Whose::Account => ("Limits of its account", words),
            Whose::Model(model) => ("Limits of a model", Html::code(model).below(&words)),
        }
    }

    fn row(&self, payer: &str) -> Vec<Html> {
        let whose = match self.whose {
            Whose::User => Html::text("You, with all your keys"),
            Whose::Account => Html::text(&format!("The account {payer}, whoever spends from it")),
            Whose::Model(model) => {
                Html::code(model).below(&Html::text(&format!("for the account {payer}")))
            }
        };
        std::iter::once(whose).chain(numbers(&self.limits)).collect()
    }
}

/// What applies beside the limits of keys.
pub(crate) fn table(all: &[Applying<'_>], payer: &str) -> Table {
    let columns = ["Of", "#Requests a minute", "#Tokens a minute", "#Requests at once"];
    Table::new("Limits", &columns, all.iter().map(|one| one.row(payer)).collect())
        .or("Nothing limits you but what your keys say themselves.", None)
}

fn numbers(limits: &Limits) -> [Html; 3] {
    let Limits { requests_per_minute, tokens_per_minute, concurrent_requests } = *limits;
    [requests_per_minute, tokens_per_minute, concurrent_requests]
        .map(|most| most.map_or_else(|| Html::text("any"), html::count))
}

/// Limits in words.
pub(crate) fn words(limits: &Limits) -> String {
    let all = [
        (limits.requests_per_minute, "requests a minute"),
        (limits.tokens_per_minute, "tokens a minute"),
        (limits.concurrent_requests, "requests at once"),
    ];
    let said = all.iter().filter_map(|(most, what)| most.map(|most| format!("{most} {what}")));
    said.collect::<Vec<_>>().join(", ")
}
