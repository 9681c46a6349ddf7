//! Steps 8 and 9 for an answer that comes whole.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use hyper::body::Incoming;
use ledger::{Outcome, UsageReport};
use wire::peek::Names;
use wire::{Reply, Shape};

use crate::answer::{Answer, AnswerBody, COST, Head};
use crate::clock;
use crate::failure;
use crate::outbound::Carry;
use crate::pipeline::Attempt;
use crate::problem::Problem;
use crate::settle::{self, Finished};

/// Reads the answer, settles it, and only then gives it to the client. An error means that nothing was given.
pub(crate) async fn relay(
    attempt: &Attempt<'_>,
    response: Response<Incoming>,
    head: &mut Head,
) -> Result<(), Problem> {
    let (parts, body) = response.into_parts();
    let body = attempt.app.upstream.read(body).await;
    let body = body.map_err(|error| failure::of_transport(&error, attempt))?;
    let read = Read::of(attempt, &body)?;
    let outcome = if head.is_gone() { Outcome::ClientGone } else { Outcome::Ok };
    let receipt = settle::settle(attempt, read.finished, outcome).await?;
    let content_type = parts.headers.get(header::CONTENT_TYPE).cloned();
    let (content_type, body) = match read.reply {
        None => (content_type, told_of_cost(attempt, body, &receipt.report)),
        Some(mut reply) => {
            let shape = Shape { cost: cost(attempt, &receipt.report), ..shape(attempt) };
            reply.created = reply.created.or(Some(shape.created));
            reply.usage = Some(receipt.report.clone());
            (None, Bytes::from(attempt.inbound.face.write_reply(&reply, &shape)))
        }
    };
    let json = HeaderValue::from_static("application/json");
    let mut answer = Answer::new(AnswerBody::Whole(body), content_type.unwrap_or(json))
        .with_dropped(&attempt.outbound.dropped);
    if let Ok(value) = HeaderValue::try_from(receipt.charge.to_string()) {
        answer.headers.insert(COST, value);
    }
    head.send(Ok(answer));
    Ok(())
}

/// An answer as far as it has to be known.
struct Read {
    finished: Finished,
    /// Only where the client speaks another dialect.
    reply: Option<Reply>,
}

impl Read {
    fn of(attempt: &Attempt<'_>, body: &[u8]) -> Result<Self, Problem> {
        let dialect = attempt.target.dialect();
        let unreadable = |error: wire::Malformed| failure::of_reply(&error, attempt);
        match &attempt.outbound.carry {
            Carry::Same { .. } => {
                let report = dialect.read_body_usage(body).map_err(unreadable)?;
                let names = Names::of(body);
                let text =
                    || dialect.read_reply(body).map_or(body.len(), |reply| reply.text().len());
                let finished = settle::finished(attempt, names.id, names.model, report, text);
                Ok(Self { finished, reply: None })
            }
            Carry::Translated { renamed } => {
                let mut reply = dialect.read_reply(body).map_err(unreadable)?;
                restore_names(&mut reply, renamed);
                let report = reply.usage.clone();
                let (id, model) = (some(&reply.id), some(&reply.model));
                let finished = settle::finished(attempt, id, model, report, || reply.text().len());
                Ok(Self { finished, reply: Some(reply) })
            }
        }
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The client's names of its tools.
fn restore_names(reply: &mut Reply, renamed: &[(String, String)]) {
    for block in &mut reply.blocks {
        if let wire::chat::Block::ToolUse { name, .. } = block
            && let Some((_, original)) = renamed.iter().find(|(changed, _)| changed == name)
        {
            name.clone_from(original);
        }
    }
}

/// The shape of answer that the client asked for.
pub(crate) fn shape(attempt: &Attempt<'_>) -> Shape {
    let inbound = attempt.inbound;
    Shape {
        id: inbound.id.simple().to_string(),
        model: attempt.target.model.clone(),
        created: u64::try_from(clock::now() / 1_000_000).unwrap_or(0),
        include_usage: inbound.peek.include_usage || inbound.face.openrouter,
        no_null_usage: inbound.face.openrouter,
        json_array: inbound.json_array,
        cost: None,
        echo: inbound.face.echo(&inbound.body),
    }
}

/// What the client is told of the costs, where it is told.
pub(crate) fn cost(attempt: &Attempt<'_>, report: &UsageReport) -> Option<wire::stream::Cost> {
    if !attempt.inbound.face.openrouter {
        return None;
    }
    attempt.inbound.face.cost(settle::price(attempt, report).ok().as_ref())
}

/// A body that passes, with what it costs where the client is to be told.
fn told_of_cost(attempt: &Attempt<'_>, body: Bytes, report: &UsageReport) -> Bytes {
    let Some(cost) = cost(attempt, report) else { return body };
    match std::str::from_utf8(&body) {
        Ok(text) => Bytes::from(wire::openai_chat::add_cost(text, &cost)),
        Err(_) => body,
    }
}
