//! Steps 8 and 9 for an answer that comes whole.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use ledger::{Bill, Outcome, Receipt, UsageReport};
use serde::de::IgnoredAny;
use wire::chat::Block;
use wire::collect::{collect, events};
use wire::problem::{Kind, Problem as WireProblem};
use wire::reply::Finish;
use wire::sse::Frame;
use wire::stream::{Cost, End, Event};
use wire::{Reply, Shape};

use crate::answer::{Answer, Head};
use crate::clock;
use crate::failure;
use crate::hops::Hops;
use crate::outbound::{self, Carry};
use crate::pipeline::Attempt;
use crate::problem::Problem;
use crate::settle::{self, Finished};
use crate::upstream::Body;

/// Whether an answer comes whole, also where a stream was asked for: some servers have none. Gemini sends streams as JSON, too, and
/// answers of the older API are no dialect's.
pub(crate) fn comes(attempt: &Attempt<'_>, response: &Response<Body>) -> bool {
    let (inbound, target) = (attempt.inbound, attempt.target);
    let in_array = inbound.json_array || matches!(attempt.outbound.carry, Carry::Translated { .. });
    let may_stream = (target.dialect().name() == wire::gemini::NAME && in_array)
        || outbound::is_legacy(inbound, target);
    !inbound.stream || (is_json(response) && !may_stream)
}

/// Whether a body says that it is JSON.
pub(crate) fn is_json(response: &Response<Body>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}

/// Reads the answer, settles it, and only then gives it to the client. An error means that nothing was given.
///
/// Streams have room for whatever this keeps while it waits for the body: of the head of the provider's answer no more than is
/// needed, and what comes behind is boxed.
pub(crate) fn relay(
    attempt: &Attempt<'_>,
    response: Response<Body>,
    head: &mut Head,
) -> impl Future<Output = Result<(), Problem>> {
    let content_type = response.headers().get(header::CONTENT_TYPE).cloned();
    let body = response.into_body();
    async move {
        let body = attempt.read(body).await?;
        Box::pin(give(attempt, content_type, body, head)).await
    }
}

async fn give(
    attempt: &Attempt<'_>,
    content_type: Option<HeaderValue>,
    body: Bytes,
    head: &mut Head,
) -> Result<(), Problem> {
    let mut read = Read::of(attempt, &body)?;
    if read.goes_on {
        // Boxed, because hardly any answer needs the room.
        read = Box::pin(in_hops(attempt, body.clone(), head)).await?;
    }
    attempt.inbound.passage.finishes(read.finish);
    let outcome = if head.is_gone() { Outcome::ClientGone } else { Outcome::Ok };
    let receipt = settle::settle(attempt, read.finished, outcome, false).await?;
    let (content_type, body) = match read.reply {
        None => (content_type, told_of_cost(attempt, body, &receipt)),
        Some(mut reply) => {
            let shape = Shape { cost: settled_cost(attempt, &receipt), ..shape(attempt) };
            reply.created = reply.created.or(Some(shape.created));
            reply.usage = Some(receipt.report.clone());
            if attempt.inbound.stream {
                (
                    Some(HeaderValue::from_static("text/event-stream")),
                    streamed(attempt, reply, shape),
                )
            } else {
                (None, Bytes::from(attempt.inbound.face.write_reply(&reply, &shape)))
            }
        }
    };
    let answer = Answer::whole(body, content_type)
        .with_dropped(&attempt.outbound.dropped)
        .with_tried(&attempt.hold.tried());
    head.send(Ok(answer.with_cost(receipt.charge)));
    Ok(())
}

/// A whole answer as the stream that was asked for.
fn streamed(attempt: &Attempt<'_>, reply: Reply, shape: Shape) -> Bytes {
    let cost = shape.cost.clone();
    let mut writer = attempt.inbound.face.writer(shape);
    let mut out = Vec::new();
    for mut event in events(reply) {
        if let Event::Usage(metered) = &mut event {
            metered.cost.clone_from(&cost);
        }
        writer.event(event, &mut out);
    }
    Bytes::from(out)
}

/// An answer as far as it has to be known.
struct Read {
    finished: Finished,
    finish: Option<Finish>,
    /// Only where the client speaks another dialect, or asked for a stream.
    reply: Option<Reply>,
    /// Whether it is the first of several hops, of which such a client sees nothing.
    goes_on: bool,
}

impl Read {
    fn of(attempt: &Attempt<'_>, body: &[u8]) -> Result<Self, Problem> {
        let dialect = attempt.target.dialect();
        let unreadable = |error: wire::Malformed| failure::of_reply(&error, attempt);
        match &attempt.outbound.carry {
            Carry::Same { .. } => {
                let (report, names) = dialect.look_at_body(body).map_err(unreadable)?;
                check_end(attempt, names.finish)?;
                let is_told = report.is_some();
                if !is_told && !is_answer(body) {
                    let problem = "neither an answer nor its usage".to_owned();
                    return Err(unreadable(wire::Malformed { path: String::new(), problem }));
                }
                let came = || match dialect.read_reply(body) {
                    Ok(reply) => settle::output_bytes(&reply),
                    // What is no answer may well have used nothing, where that is what it says.
                    Err(_) if is_told => 0,
                    Err(_) => body.len(),
                };
                let finished = settle::finished(attempt, names.id, names.model, report, came);
                let reply = attempt.inbound.stream.then(|| dialect.read_reply(body));
                let reply = reply.transpose().map_err(unreadable)?;
                Ok(Self { finished, finish: names.finish, reply, goes_on: false })
            }
            Carry::Translated { .. } => {
                let reply = dialect.read_reply(body).map_err(unreadable)?;
                check_end(attempt, Some(reply.finish))?;
                let goes_on = dialect.name() == wire::gemini::NAME && wire::gemini::goes_on(body);
                Ok(Self { goes_on, ..Self::translated(attempt, reply) })
            }
        }
    }

    fn translated(attempt: &Attempt<'_>, mut reply: Reply) -> Self {
        for block in &mut reply.blocks {
            if let Block::ToolUse { name, .. } = block {
                attempt.outbound.carry.restore(name);
            }
        }
        let report = reply.usage.clone();
        let (id, model) = (Some(reply.id.clone()), Some(reply.model.clone()));
        let finished =
            settle::finished(attempt, id, model, report, || settle::output_bytes(&reply));
        Self { finished, finish: Some(reply.finish), reply: Some(reply), goes_on: false }
    }
}

/// Whether a body has what answers are made of, in whichever dialect, and no error in its place.
fn is_answer(body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Parts {
        error: Option<IgnoredAny>,
        choices: Option<Vec<IgnoredAny>>,
        content: Option<Vec<IgnoredAny>>,
        output: Option<Vec<IgnoredAny>>,
        candidates: Option<Vec<IgnoredAny>>,
    }
    serde_json::from_slice(body).is_ok_and(|parts: Parts| {
        let Parts { error, choices, content, output, candidates } = parts;
        let mut parts = [choices, content, output, candidates].into_iter().flatten();
        error.is_none() && parts.any(|list| !list.is_empty())
    })
}

/// An answer that says itself that it failed is none, such as one that `DeepSeek` broke off for want of capacity: another try
/// may bring the whole.
fn check_end(attempt: &Attempt<'_>, finish: Option<Finish>) -> Result<(), Problem> {
    if finish != Some(Finish::Failed) {
        return Ok(());
    }
    let mut problem = WireProblem::own(Kind::Overloaded, "the provider broke off its answer");
    problem.upstream = true;
    Err(failure::told(attempt, &problem))
}

/// Asks for the hops behind the first, until the answer is whole or the time is up.
async fn in_hops(attempt: &Attempt<'_>, first: Bytes, head: &Head) -> Result<Read, Problem> {
    let unreadable = |message: String| {
        failure::of_reply(&wire::Malformed { path: String::new(), problem: message }, attempt)
    };
    let (mut hops, mut body, mut all) = (Hops::default(), first, Vec::new());
    let seen = loop {
        let mut reader = attempt.target.dialect().reader();
        let data = std::str::from_utf8(&body).map_err(|error| unreadable(error.to_string()))?;
        let mut events = Vec::new();
        reader.frame(&Frame::of_data(data.trim()), &mut events);
        reader.end(End::Closed, &mut events);
        let seen = reader.seen();
        let token = hops.next(&seen).filter(|_| !head.is_gone());
        if seen.whole && seen.finish.is_none() && token.is_none() {
            Hops::give_up(&mut events);
        }
        hops.map(&mut events);
        let Some(token) = token else {
            all.append(&mut events);
            break hops.with(seen);
        };
        hops.go_on(&mut events, seen);
        all.append(&mut events);
        let next = wire::gemini::continued(&attempt.outbound.body, &token);
        let next = next.map_err(|error| failure::of_reply(&error, attempt))?;
        let response = attempt.go_on(Bytes::from(next), attempt.until).await?;
        body = attempt.read(response.into_body()).await?;
    };
    let mut reply = collect(all).map_err(|problem| failure::told(attempt, &problem))?;
    reply.usage = seen.usage;
    Ok(Read::translated(attempt, reply))
}

/// The shape of answer that the client asked for.
pub(crate) fn shape(attempt: &Attempt<'_>) -> Shape {
    let inbound = attempt.inbound;
    Shape {
        id: inbound.id.simple().to_string(),
        model: attempt.target.model.clone(),
        created: u64::try_from(clock::now() / 1_000_000).unwrap_or(0),
        include_usage: inbound.peek.include_usage || inbound.face.openrouter,
        openrouter: inbound.face.openrouter,
        json_array: inbound.json_array,
        cost: None,
        echo: inbound.face.echo(&inbound.body),
    }
}

/// What the client is told of the costs, where it is told.
pub(crate) fn cost(attempt: &Attempt<'_>, report: &UsageReport) -> Option<Cost> {
    if !attempt.inbound.face.openrouter {
        return None;
    }
    let Bill { lines, charge, cost, direct, .. } = settle::price(attempt, report).ok()?;
    let sum = |output: bool| {
        let lines = lines.iter().filter(|(_, line)| line.meter.is_output_token() == output);
        ledger::sum_exact(lines.map(|(_, line)| i128::from(line.amount.pico())).sum())
    };
    let is_byok = attempt.target.is_direct();
    Some(Cost {
        charge: charge.to_string(),
        upstream: if is_byok { direct } else { cost }.to_string(),
        is_byok,
        upstream_parts: Some((sum(false), sum(true))),
    })
}

/// The same of what was settled, which is the last word.
pub(crate) fn settled_cost(attempt: &Attempt<'_>, receipt: &Receipt) -> Option<Cost> {
    let cost = cost(attempt, &receipt.report)?;
    Some(Cost { charge: receipt.charge.to_string(), ..cost })
}

/// A body that passes, with what it costs where the client is to be told.
pub(crate) fn told_of_cost(attempt: &Attempt<'_>, body: Bytes, receipt: &Receipt) -> Bytes {
    let Some(cost) = settled_cost(attempt, receipt) else { return body };
    match std::str::from_utf8(&body) {
        Ok(text) => {
            let dialect = attempt.target.dialect();
            Bytes::from(wire::openai_chat::add_cost(text, dialect, &cost))
        }
        Err(_) => body,
    }
}
