//! `/playground`: a chat with any model, by the ordinary pipeline and with an ordinary receipt. It asks with a key of the
//! person's own whose secret nobody has.

use std::sync::Arc;

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use ledger::{Demand, Meter, Model, Status, Terms, bound, from_hex};
use serde::Deserialize;
use uuid::Uuid;

use super::html::{self, Html};
use super::page::{self, Desk, Frame, missing, told};
use crate::face::{Face, OPENAI_CHAT};
use crate::manage::keys::{self, Wanted};
use crate::pipeline;
use crate::problem::Problem;
use crate::providers::canonical;
use crate::scopes::Scopes;
use crate::snapshot::{KeyEntry, Snapshot};
use crate::web::Call;

/// What its key is called.
const NAME: &str = "Playground";
const FACE: Face = Face::of(OPENAI_CHAT, "playground");
/// What stands around the words of a prompt, in tokens.
const AROUND: u64 = 64;

struct Provider {
    name: String,
    models: Vec<String>,
}

#[derive(Template)]
#[template(path = "playground.html")]
struct Page {
    frame: Frame,
    payer: String,
    providers: Vec<Provider>,
    chosen: String,
}

/// `GET /playground`
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    desk.keys()?;
    let snapshot = call.app.snapshots.current();
    let mut providers: Vec<Provider> = Vec::new();
    let offered = |model: &&Model| is_offered(&call, &snapshot, desk.account, model);
    for model in snapshot.catalogue.models().filter(offered) {
        match providers.last_mut().filter(|known| known.name == model.provider) {
            Some(known) => known.models.push(model.name.clone()),
            None => providers
                .push(Provider { name: model.provider.clone(), models: vec![model.name.clone()] }),
        }
    }
    let wish = page::query(&call, "model").unwrap_or_else(|| "openai/gpt-4o-mini".to_owned());
    let page = Page {
        frame: Frame::new(&call, &desk, "Playground"),
        payer: desk.payer.clone(),
        providers,
        chosen: wish,
    };
    page::show(&page)
}

/// A model that answers in text, has a price and can be called.
fn is_offered(call: &Call, snapshot: &Snapshot, account: Uuid, model: &Model) -> bool {
    let modes = ["chat", "responses"];
    let on = call.app.providers.can_call_for(account, &model.provider);
    on && !snapshot.hides(model)
        && modes.contains(&model.info.mode.as_str())
        && model.info.status != Status::Retired
        && model.price.prices_text(call.now)
}

/// What of the body the price depends on.
#[derive(Deserialize)]
struct Asked {
    model: String,
    #[serde(default)]
    max_tokens: u64,
}

/// `POST /playground/price`: what the chat that would be sent costs at most.
pub(crate) async fn price(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    desk.keys()?;
    let asked: Asked =
        serde_json::from_slice(&call.body).map_err(|_| Problem::bad_request("the chat"))?;
    let snapshot = call.app.snapshots.current();
    let (provider, name) = asked.model.split_once('/').ok_or_else(missing)?;
    let model = snapshot.model(canonical(provider), name).ok_or_else(missing)?;
    let own = call.app.providers.own(desk.account, &model.provider);
    let own = own.filter(|own| own.is_callable()).and_then(|own| own.own.clone());
    let direct = own.is_some_and(|own| own.always);
    let settings = call.app.live.load();
    let bps = if direct { settings.byok_commission_bps } else { settings.commission_bps };
    let length = u64::try_from(call.body.len()).unwrap_or(u64::MAX).saturating_add(AROUND);
    let demand = Demand {
        input_tokens: model.info.context_window.map_or(length, |window| window.min(length)),
        output_tokens: asked.max_tokens,
        direct,
        ..Demand::default()
    };
    let most = bound(&model.price, &demand, call.now, bps);
    let most = most.map_or_else(|_| Html::text("no price"), |most| html::amount(most.pico()));
    let terms = Terms { at: call.now, ..Terms::default() };
    let rates = model.price.rates(0, &terms).unwrap_or_default();
    let rate = |meter| {
        let price = rates.get(meter);
        price.map_or_else(
            || "–".to_owned(),
            |price| {
                let million = i128::from(price.pico()) * 1_000_000;
                html::short_dollars(million)
            },
        )
    };
    let html = format!(
        "<dt>Input, per million</dt><dd>{}</dd><dt>Output, per million</dt><dd>{}</dd>\
         <dt>Commission</dt><dd>{}</dd><dt class=\"most\">Next answer, at most</dt><dd class=\"most\">{most}</dd>",
        rate(Meter::Input),
        rate(Meter::Output),
        super::requests::percent(bps),
    );
    Ok(fragment(html))
}

fn fragment(html: String) -> Response {
    let html_type = [(http::header::CONTENT_TYPE, "text/html; charset=utf-8")];
    (html_type, html).into_response()
}

/// `POST /playground/chat`: the chat itself. Its errors are for the script.
pub(crate) async fn chat(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    let key = match key(&call, &desk).await {
        Ok(key) => key,
        Err(problem) => return Ok(problem.response(FACE)),
    };
    let app = Arc::clone(&call.app);
    Ok(pipeline::serve_with(app, FACE, key, &call.parts, call.body.clone()).await)
}

/// The person's key to the account, made where there is none.
async fn key(call: &Call, desk: &Desk) -> Result<Arc<KeyEntry>, Problem> {
    desk.keys()?;
    if !call.app.journal.is_open() {
        return Err(Problem::store("the journal takes no more receipts"));
    }
    let found = call.app.store.key_named(desk.person.id, desk.account, NAME).await;
    let key = if let Some(key) = found.map_err(told)? {
        key
    } else {
        let wanted = Wanted::of(NAME.to_owned(), Scopes::INFERENCE);
        let payer = desk.organization.is_some().then_some(desk.payer.as_str());
        let store = call.store();
        let made = keys::create(&store, &desk.person.name, payer, wanted, call.now);
        let made = made.await.map_err(told)?;
        page::refreshed(call).await?;
        made.key
    };
    let hash = from_hex(&key.hash).ok_or_else(missing)?;
    let entry = call.app.snapshots.current().keys.get(&hash).map(Arc::clone);
    let entry = entry.ok_or_else(missing)?;
    let expired = entry.expires_at.is_some_and(|at| at <= call.now);
    if entry.disabled || entry.revoked || expired {
        let message = "your key named Playground is switched off or has expired";
        return Err(Problem::new(StatusCode::FORBIDDEN, "api_key_disabled", message));
    }
    Ok(entry)
}

/// `GET /playground/receipts/{id}`: what an answer has cost.
pub(crate) async fn receipt(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    page::settled(&call).await;
    let id: Uuid = call.param("id").parse().map_err(|_| missing())?;
    let whose = desk.keys()?;
    let receipts = call.app.store.receipts_of_request(id).await.map_err(told)?;
    let last = receipts.into_iter().rfind(|r| whose.has(r.user_id, r.account_id));
    let receipt = last.ok_or_else(missing)?;
    let usage = receipt.report.total();
    Ok(fragment(format!(
        "Charged {} for {} tokens in and {} out. <a href=\"/requests/{id}\">Receipt</a>",
        html::amount(receipt.charge.pico()),
        html::grouped(usage.input_tokens()),
        html::grouped(usage.output_tokens()),
    )))
}
