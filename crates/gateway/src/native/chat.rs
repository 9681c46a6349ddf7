//! `POST /api/layers/chat`: one message in, one answer out.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Uri};
use ledger::{Meter, Usage, UsageReport, UsageSource};
use serde::{Deserialize, Serialize};
use wire::chat::{Block, Role, Turn};
use wire::{Chat, Reply};

use super::{read_body, read_json};
use crate::app::App;
use crate::auth::native_caller;
use crate::clock;
use crate::pipeline::{self, Answered};
use crate::problem::Problem;
use crate::settle::Finished;

/// A token is about four bytes of text: used only where a provider's answer has no counters.
const BYTES_PER_TOKEN: usize = 4;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    #[serde(rename = "providerName")]
    provider_name: String,
    model_name: String,
    message: Option<String>,
    system: Option<String>,
    messages: Option<Vec<Message>>,
    max_tokens: Option<u64>,
    temperature: Option<f64>,
    stream: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    role: Speaker,
    content: String,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Speaker {
    System,
    User,
    Assistant,
}

#[derive(Serialize)]
struct Answer {
    content: String,
    usage: Tokens,
}

/// All prompt tokens, cached ones too, and all generated ones, thinking too.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tokens {
    input_tokens: u64,
    output_tokens: u64,
    total_tokens: u64,
}

/// The handler: authenticates before it reads, reads before it admits, and answers after the receipt is safe.
pub(crate) async fn chat(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    uri: Uri,
    body: Body,
) -> Result<Response, Problem> {
    let snapshot = app.snapshots.current();
    let caller = native_caller(&snapshot, &headers, &uri, clock::now())?;
    let body = read_body(body, app.settings.body_limit_bytes).await?;
    let request: Request = read_json(&body)?;
    let admitted = pipeline::admit(&app, &caller, &request.provider_name, &request.model_name)?;
    let chat = canonical(request, &admitted.model, admitted.max_output_tokens)?;
    drop((caller, snapshot));
    let Answered { reply, receipt } = pipeline::answer(app, admitted, chat).await?;

    let usage = receipt.report.total();
    let (input_tokens, output_tokens) = (usage.input_tokens(), usage.output_tokens());
    let usage = Tokens {
        input_tokens,
        output_tokens,
        total_tokens: input_tokens.saturating_add(output_tokens),
    };
    let mut response = Json(Answer { content: reply.text(), usage }).into_response();
    let id = receipt.request_id.to_string();
    for (name, value) in [("x-request-id", id), ("x-tollgate-cost", receipt.charge.to_string())] {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// The request in the canonical form; everything that makes no sense is refused by its field.
fn canonical(request: Request, model: &str, most: Option<u64>) -> Result<Chat, Problem> {
    if request.stream == Some(true) {
        return Err(Problem::bad_request(
            "stream: this endpoint does not stream yet; leave it out or send false",
        ));
    }
    let mut chat = Chat { model: model.to_owned(), ..Chat::default() };
    chat.system.extend(request.system.filter(|text| !text.trim().is_empty()).map(Block::Text));
    for (index, message) in request.messages.unwrap_or_default().into_iter().enumerate() {
        if message.content.trim().is_empty() {
            return Err(Problem::bad_request(format!("messages[{index}].content: is empty")));
        }
        let block = Block::Text(message.content);
        match message.role {
            Speaker::System if chat.turns.is_empty() => chat.system.push(block),
            Speaker::System => chat.turns.push(turn(Role::System, block)),
            Speaker::User => chat.turns.push(turn(Role::User, block)),
            Speaker::Assistant => chat.turns.push(turn(Role::Assistant, block)),
        }
    }
    match request.message {
        Some(text) if text.trim().is_empty() => {
            return Err(Problem::bad_request("message: is empty"));
        }
        Some(text) => chat.turns.push(turn(Role::User, Block::Text(text))),
        None if chat.turns.is_empty() => {
            return Err(Problem::bad_request("message: is missing; it holds what you want to say"));
        }
        None if chat.turns.last().is_some_and(|turn| turn.role != Role::User) => {
            return Err(Problem::bad_request("messages: the last one has to be the user's"));
        }
        None => {}
    }
    if let Some(tokens) = request.max_tokens {
        let most = most.unwrap_or(u64::from(u32::MAX));
        if !(1..=most).contains(&tokens) {
            return Err(Problem::bad_request(format!(
                "max_tokens: expected a whole number from 1 to {most}"
            )));
        }
        chat.max_tokens = Some(tokens);
    }
    if let Some(temperature) = request.temperature {
        if !(0.0..=2.0).contains(&temperature) {
            return Err(Problem::bad_request("temperature: expected a number from 0 to 2"));
        }
        chat.sampling.temperature = Some(temperature);
    }
    Ok(chat)
}

fn turn(role: Role, block: Block) -> Turn {
    Turn { role, blocks: vec![block], name: None }
}

/// What an answer used: the provider's word for it, or, where it has none, an estimate from the text on both sides.
pub(crate) fn finished(reply: &Reply, chat: &Chat) -> Finished {
    let (report, usage_source) = match &reply.usage {
        Some(report) => (report.clone(), UsageSource::Provider),
        None => (estimate(reply, chat), UsageSource::Estimated),
    };
    Finished {
        model_served: some(&reply.model),
        upstream_id: some(&reply.id),
        report,
        usage_source,
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn estimate(reply: &Reply, chat: &Chat) -> UsageReport {
    let blocks = chat.system.iter().chain(chat.turns.iter().flat_map(|turn| &turn.blocks));
    let asked: usize =
        blocks.map(|block| if let Block::Text(text) = block { text.len() } else { 0 }).sum();
    let tokens =
        |bytes: usize| u64::try_from(bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(u64::MAX).max(1);
    UsageReport::single(Usage::of(&[
        (Meter::Input, tokens(asked)),
        (Meter::Output, tokens(reply.text().len())),
    ]))
}
