//! `/operator/audit`: who did what to the place.

use askama::Template;
use axum::response::Response;
use store::{Act, ActFilter};

use super::super::html::{self, Html, Table};
use super::super::page::{self, Desk, Frame, query, told};
use crate::clock;
use crate::problem::Problem;
use crate::web::Call;

const PER_PAGE: u16 = 50;
const MOST_ROWS: usize = 50_000;
const ACTIONS: [&str; 42] = [
    "account.pays",
    "alias.remove",
    "alias.set",
    "auth_code.create",
    "auth_code.refuse",
    "budget.remove",
    "budget.set",
    "credit.add",
    "credit.adjust",
    "key.change",
    "key.create",
    "key.revoke",
    "key.rotate",
    "limit.remove",
    "limit.set",
    "link.create",
    "member.remove",
    "member.set",
    "model.hide",
    "model.unhide",
    "own_key.change",
    "own_key.check",
    "own_key.remove",
    "own_key.reseal",
    "own_key.set",
    "prices.import",
    "provider.credential.check",
    "provider.credential.remove",
    "provider.credential.reseal",
    "provider.credential.set",
    "replica.release",
    "session.begin",
    "session.end",
    "session.end_others",
    "session.fail",
    "usage.import",
    "user.create",
    "user.disable",
    "user.enable",
    "user.identity",
    "user.operator",
    "user.password",
];

#[derive(Template)]
#[template(path = "audit.html")]
struct Page {
    frame: Frame,
    table: Table,
    filter: ActFilter,
    actions: [&'static str; 42],
    csv: String,
    older: Option<String>,
    newest: Option<String>,
}

/// `GET /operator/audit`
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    // What was refused in the last minute is a number that is not written yet.
    call.app.people.refusals.settle(&call.app.store, call.now).await;
    let filter = ActFilter {
        action: query(&call, "action").unwrap_or_default(),
        actor: query(&call, "actor").unwrap_or_default(),
    };
    if query(&call, "format").as_deref() == Some("csv") {
        return sheet(&call, &filter).await;
    }
    let before = query(&call, "before").and_then(|text| text.parse().ok());
    let acts = call.app.store.acts(&filter, before, PER_PAGE + 1).await.map_err(told)?;
    let more = acts.len() > usize::from(PER_PAGE);
    let shown = acts.get(..usize::from(PER_PAGE)).unwrap_or(&acts);
    let address = |name: &str, value: &str| {
        let pairs = [("action", filter.action.as_str()), ("actor", &filter.actor), (name, value)];
        let pairs: Vec<_> = pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        format!("/operator/audit?{}", serde_urlencoded::to_string(pairs).unwrap_or_default())
    };
    let older = shown.last().filter(|_| more);
    let names = ["#No.", "When", "Who", "What", "To what", "Detail"];
    let page = Page {
        frame: Frame::new(&call, &desk, "Audit log"),
        table: Table::new("Audit log, newest first", &names, shown.iter().map(row).collect())
            .or("Nothing fits.", Some(("/operator/audit", "Show all"))),
        actions: ACTIONS,
        csv: address("format", "csv"),
        older: older.map(|last| address("before", &last.number.to_string())),
        newest: before.map(|_| address("", "")),
        filter,
    };
    page::show(&page)
}

fn row(act: &Act) -> Vec<Html> {
    let at = if act.at == 0 { Html::text("–") } else { html::moment(act.at) };
    vec![
        html::count(act.number),
        at,
        Html::text(&act.actor).below(&Html::text(&act.via)),
        Html::badge("plain", &act.action),
        Html::code(&act.target),
        detail(&act.detail),
    ]
}

/// What a JSON object says, one field after the other.
fn detail(text: &str) -> Html {
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(text) else {
        return Html::code(text);
    };
    let told = fields.iter().map(|(name, value)| match value {
        serde_json::Value::String(text) => format!("{name} {text}"),
        value => format!("{name} {value}"),
    });
    Html::text(&told.collect::<Vec<_>>().join(", "))
}

async fn sheet(call: &Call, filter: &ActFilter) -> Result<Response, Problem> {
    let mut rows = Vec::new();
    let mut before = None;
    while rows.len() < MOST_ROWS {
        let acts = call.app.store.acts(filter, before, 1_000).await.map_err(told)?;
        let Some(last) = acts.last() else { break };
        before = Some(last.number);
        rows.extend(acts.into_iter().map(|act| {
            let at = clock::rfc3339(act.at);
            let id = act.actor_id.map(|id| id.to_string()).unwrap_or_default();
            vec![
                act.number.to_string(),
                at,
                act.actor,
                id,
                act.via,
                act.action,
                act.target,
                act.detail,
            ]
        }));
    }
    let columns = ["number", "at", "actor", "actor_id", "via", "action", "target", "detail"];
    page::sheet("audit.csv", &columns, rows)
}
