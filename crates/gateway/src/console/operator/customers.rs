//! `/operator/customers/{name}`: how one customer stands, and what can be done about it.

use askama::Template;
use axum::response::Response;
use ledger::{BudgetPeriod, Usd};
use store::{
    Adjustment, AdjustmentKind, Balance, Budget, BudgetOwner, CreditSource, Grain, NewBudget,
    NewCredit, User,
};
use uuid::Uuid;

use super::super::chart;
use super::super::connect::base;
use super::super::html::{self, Html};
use super::super::key_form::{self, dollars};
use super::super::list::List;
use super::super::overview::{Tile, model_list};
use super::super::page::{self, Desk, Fields, Frame, Notice, missing, told};
use super::super::requests::Pick;
use super::super::sums::{self, Total};
use super::customer_lists;
use super::limits::{self, Shown as Limits};
use super::users::state;
use crate::clock;
use crate::manage::acts;
use crate::manage::keys::expiry;
use crate::people::links;
use crate::problem::Problem;
use crate::web::Call;

/// A budget of a customer.
pub(super) struct BudgetRow {
    pub(super) budget: Budget,
    pub(super) whose: &'static str,
    pub(super) user: String,
    pub(super) csrf: String,
}

#[derive(Template)]
#[template(path = "customer.html")]
struct Page {
    frame: Frame,
    user: User,
    state: Html,
    tiles: Vec<Tile>,
    chart: Html,
    models: List,
    budgets: List,
    periods: Vec<Pick>,
    limits: Limits,
    entries: List,
    members: List,
    floor: String,
    /// Makes what is done by a form that is sent twice one act.
    act: Uuid,
    /// Nobody shuts themselves out.
    own: bool,
}

/// `GET /operator/customers/{name}`
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    page::settled(&call).await;
    let (desk, user) = (Desk::of(&call)?, customer(&call).await?);
    let budgets = call.app.store.budgets(call.now).await.map_err(told)?;
    let budgets = budgets_of(budgets, &user, &desk.csrf);
    if let Some(sheet) = customer_lists::budgets_sheet(&call, budgets, &user)? {
        return Ok(sheet);
    }
    match customer_lists::sheet(&call, &user).await? {
        Some(sheet) => Ok(sheet),
        None => page::show(&show(&call, None).await?),
    }
}

async fn customer(call: &Call) -> Result<User, Problem> {
    call.app.store.user(call.param("name")).await.map_err(told)
}

async fn show(call: &Call, notice: Option<Notice>) -> Result<Page, Problem> {
    let (desk, user) = (Desk::of(call)?, customer(call).await?);
    let store = &call.app.store;
    let balance = store.balance(user.account_id, call.now).await.map_err(told)?;
    let (days, rows) = customer_lists::rollups(call, &user).await?;
    let month = sums::month_of(call.now);
    let spent =
        store.rollup_total(Grain::AccountMonth, user.account_id, month).await.map_err(told)?;
    let budgets = store.budgets(call.now).await.map_err(told)?;
    let (labels, series) = sums::by_day(&rows, days, sums::charge);
    let title = user.name.clone();
    let list = match user.kind.as_str() {
        "organization" => "/operator/organizations",
        _ => "/operator/users",
    };
    Ok(Page {
        frame: Frame::new(call, &desk, &title).under(list).saying(notice),
        state: state(&user),
        tiles: tiles(&balance, &Total::of([&spent])),
        chart: chart::bars("Spent by day, the last 30 days", &labels, &series, html::short_dollars),
        models: model_list(call, "By model, the last 30 days", &rows)?
            .or("Nothing in these days.", None),
        budgets: customer_lists::budgets(call, budgets_of(budgets, &user, &desk.csrf))?,
        periods: key_form::periods(BudgetPeriod::Month),
        limits: limits::shown(call, &user).await?,
        entries: customer_lists::entries(call, &user).await?,
        members: customer_lists::members(call, &user).await?,
        floor: Usd::from_pico(balance.floor.pico().saturating_neg()).to_string(),
        act: clock::new_id(),
        own: user.id == desk.person.id,
        user,
    })
}

fn tiles(balance: &Balance, spent: &Total) -> Vec<Tile> {
    let tile = |label, value, note| Tile { label, value, note, spark: Html::default() };
    let pays = if balance.prepaid { "pays first" } else { "pays later" };
    let posted = i128::from(balance.posted.pico());
    let (label, shown) = if posted < 0 { ("Owes", -posted) } else { ("Balance", posted) };
    vec![
        tile(label, html::amount(shown), Html::text(pays)),
        tile(
            "Held by replicas",
            html::amount(balance.leased.pico()),
            Html::text("set aside for requests under way"),
        ),
        tile(
            "Spent this month",
            html::amount(spent.charge),
            Html::text(&format!("{} requests", html::grouped(spent.requests))),
        ),
        tile(
            "Margin this month",
            html::amount(spent.margin()),
            Html::text("charge less provider's cost"),
        ),
    ]
}

fn budgets_of(all: Vec<Budget>, user: &User, csrf: &str) -> Vec<BudgetRow> {
    let own =
        [(BudgetOwner::Account(user.account_id), "account"), (BudgetOwner::User(user.id), "user")];
    let row = |budget: Budget| {
        let (_, whose) = own.iter().find(|(owner, _)| *owner == budget.owner)?;
        Some(BudgetRow { budget, whose, user: user.name.clone(), csrf: csrf.to_owned() })
    };
    all.into_iter().filter_map(row).collect()
}

/// `POST /operator/customers/{name}/{act}`
pub(crate) async fn act(call: Call) -> Result<Response, Problem> {
    let user = customer(&call).await?;
    let fields = Fields::of(&call)?;
    if call.param("act") == "password" {
        return password(&call, user).await;
    }
    let done = match call.param("act") {
        "credit" => credit(&call, &user, &fields).await,
        "correct" => correct(&call, &user, &fields).await,
        "budget" => budget(&call, &user, &fields).await,
        "budget-removed" => remove_budget(&call, &user, &fields).await,
        "limit" => limits::set(&call, &user, &fields).await.map(|()| "limit-set"),
        "limit-removed" => limits::remove(&call, &user, &fields).await.map(|()| "limit-removed"),
        "pays" => pays(&call, &user, &fields).await,
        "disabled" => disable(&call, &user, &fields).await,
        "operator" => make_operator(&call, &user, &fields).await,
        _ => Err(missing()),
    };
    match done {
        Ok(done) => {
            page::refreshed(&call).await?;
            Ok(page::go(&format!("/operator/customers/{}?done={done}", user.name)))
        }
        Err(problem) if problem.status.is_client_error() && problem.code != "not_found" => {
            let status = problem.status;
            let page = show(&call, Some(Notice::bad(problem.message.into_owned()))).await?;
            page::show_as(status, &page)
        }
        Err(problem) => Err(problem),
    }
}

#[derive(Template)]
#[template(path = "link_made.html")]
struct Link {
    frame: Frame,
    user: User,
    link: String,
}

/// An address by which somebody chooses a password. This is the one page on which it stands.
async fn password(call: &Call, user: User) -> Result<Response, Problem> {
    if user.kind != "person" {
        return Err(missing());
    }
    let desk = Desk::of(call)?;
    let (store, base) = (call.store(), base(call));
    let link = links::password(&store, &base, &user, call.now).await.map_err(told)?;
    let frame = Frame::new(call, &desk, "A link for a password").under("/operator/users");
    page::show(&Link { frame, user, link })
}

type Done = Result<&'static str, Problem>;

/// The reason that stands in the books.
fn reason(fields: &Fields) -> Result<String, Problem> {
    let text = fields
        .some("reason")
        .ok_or_else(|| Problem::bad_request("reason: expected a few words, for the books"))?;
    acts::reason(text).map_err(page::wrong("reason"))
}

/// The id that the form had, so that one that is sent twice is done once.
fn act_id(fields: &Fields) -> Result<Uuid, Problem> {
    let id = fields.id("act");
    id.ok_or_else(|| Problem::bad_request("act: expected the id that the form had; open it again"))
}

async fn credit(call: &Call, user: &User, fields: &Fields) -> Done {
    let expires_at = fields.some("expires").map(|text| expiry(text, call.now)).transpose();
    let new = NewCredit {
        id: act_id(fields)?,
        account_id: user.account_id,
        amount: dollars(fields.text("usd")).map_err(page::wrong("amount"))?,
        source: if fields.is_on("promo") { CreditSource::Promo } else { CreditSource::Paid },
        expires_at: expires_at.map_err(page::wrong("expires"))?,
        actor: call.user()?.1.to_owned(),
        reason: acts::reason(fields.text("reason")).map_err(page::wrong("reason"))?,
        at: call.now,
    };
    call.store().add_credit(new).await.map_err(told)?;
    Ok("credit")
}

async fn correct(call: &Call, user: &User, fields: &Fields) -> Done {
    let usd = dollars(fields.text("usd")).map_err(page::wrong("amount"))?;
    let taken = Usd::from_pico(usd.pico().saturating_neg());
    let (kind, amount) = match fields.text("kind") {
        "credit_note" => (AdjustmentKind::CreditNote, usd),
        "charge" => (AdjustmentKind::Adjustment, taken),
        "refund" => (AdjustmentKind::Refund, taken),
        _ => return Err(Problem::bad_request("kind: expected one of the list")),
    };
    let corrects = fields.id("corrects").ok_or_else(|| {
        Problem::bad_request(
            "corrects: expected the id of an entry or of a request of this customer",
        )
    })?;
    let adjustment = Adjustment {
        id: act_id(fields)?,
        account_id: user.account_id,
        amount,
        kind,
        corrects: Some(corrects),
        actor: call.user()?.1.to_owned(),
        reason: reason(fields)?,
        at: call.now,
    };
    call.store().adjust(adjustment).await.map_err(told)?;
    Ok("corrected")
}

async fn budget(call: &Call, user: &User, fields: &Fields) -> Done {
    let (period, limit) = key_form::budget(fields)
        .and_then(|budget| budget.ok_or_else(|| "expected an amount".to_owned()))
        .map_err(page::wrong("budget"))?;
    let owner = match fields.text("whose") {
        "user" => BudgetOwner::User(user.id),
        "account" => BudgetOwner::Account(user.account_id),
        _ => return Err(Problem::bad_request("whose: expected account or user")),
    };
    let new = NewBudget { id: clock::new_id(), owner, period, limit, at: call.now };
    call.store().set_budget(new).await.map_err(told)?;
    Ok("budget-set")
}

async fn remove_budget(call: &Call, user: &User, fields: &Fields) -> Done {
    let id = fields.id("budget").ok_or_else(missing)?;
    let all = call.app.store.budgets(call.now).await.map_err(told)?;
    // One that is not on this page is not taken away from it.
    if !budgets_of(all, user, "").iter().any(|row| row.budget.id == id) {
        return Err(missing());
    }
    call.store().remove_budget(id, call.now).await.map_err(told)?;
    Ok("budget-removed")
}

async fn pays(call: &Call, user: &User, fields: &Fields) -> Done {
    let line = match fields.some("line") {
        Some("0") | None => Usd::ZERO,
        Some(text) => dollars(text).map_err(page::wrong("credit line"))?,
    };
    let floor = Usd::from_pico(line.pico().saturating_neg());
    let prepaid = match fields.text("pays") {
        "first" => true,
        "later" => false,
        _ => return Err(Problem::bad_request("pays: expected first or later")),
    };
    call.store().set_prepaid(user.account_id, prepaid, floor).await.map_err(told)?;
    Ok("pays")
}

fn not_oneself(call: &Call, user: &User) -> Result<(), Problem> {
    if call.user()?.0 == user.id {
        return Err(Problem::bad_request("not to yourself: somebody else has to do that"));
    }
    Ok(())
}

async fn disable(call: &Call, user: &User, fields: &Fields) -> Done {
    not_oneself(call, user)?;
    let at = fields.is_on("off").then_some(call.now);
    call.store().set_disabled(user, at).await.map_err(told)?;
    Ok("user-changed")
}

async fn make_operator(call: &Call, user: &User, fields: &Fields) -> Done {
    not_oneself(call, user)?;
    call.store().set_operator(user, fields.is_on("on")).await.map_err(told)?;
    Ok("user-changed")
}
