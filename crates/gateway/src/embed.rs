//! Vectors of texts. Bytes pass between a client and a provider of one dialect; between the two others they are read and
//! written again. An answer without counters is estimated.

use bytes::Bytes;
use http::{Response, header};
use ledger::{Outcome, UsageReport};
use wire::Malformed;
use wire::embed::{Embed, Embedded, gemini, openai};
use wire::names::Names;

use crate::answer::{Answer, Head};
use crate::inbound::Inbound;
use crate::outbound::{Carry, Outbound, pass, translated};
use crate::pipeline::Attempt;
use crate::problem::Problem;
use crate::routing::Target;
use crate::upstream::Body;
use crate::{failure, large, settle, whole};

/// What Gemini calls it when there are several.
const BATCH: &str = "batchEmbedContents";

fn is_gemini(inbound: &Inbound) -> bool {
    inbound.face.is(wire::gemini::NAME)
}

/// Whether a target takes the body as it stands.
pub(crate) fn is_same(inbound: &Inbound, target: &Target) -> bool {
    match target.provider {
        "openai" => !is_gemini(inbound),
        _ => is_gemini(inbound),
    }
}

/// The request for a target.
pub(crate) fn prepare(inbound: &Inbound, target: &Target) -> Result<Outbound, Problem> {
    let same = match target.provider {
        "openai" | "gemini" => is_same(inbound, target),
        provider => {
            let message = format!("model: {provider} has no embeddings");
            return Err(Problem::bad_request(message).with_code("unsupported_operation"));
        }
    };
    let path = match target.provider {
        "gemini" if same => wire::gemini::path(&target.model, &inbound.verb),
        "gemini" => wire::gemini::path(&target.model, BATCH),
        _ => "/embeddings".to_owned(),
    };
    if same {
        return Ok(pass(inbound, target, path, |dialect| dialect.reader()));
    }
    let embed = read(inbound).map_err(Problem::malformed)?;
    let written = match target.provider {
        "gemini" => gemini::write_request(&embed, &target.wire()),
        _ => openai::write_request(&embed, &target.wire()),
    };
    translated(inbound.face, path, written)
}

fn read(inbound: &Inbound) -> Result<Embed, Malformed> {
    let read = if is_gemini(inbound) { gemini::read_request } else { openai::read_request };
    if inbound.weight.is_some() {
        return large::beside(|| read(&inbound.body));
    }
    read(&inbound.body)
}

/// Reads the answer, settles it, and only then gives it to the client.
pub(crate) async fn relay(
    attempt: &Attempt<'_>,
    response: Response<Body>,
    head: &mut Head,
) -> Result<(), Problem> {
    let (parts, body) = response.into_parts();
    let body = attempt.read(body).await?;
    let unreadable = |error: Malformed| failure::of_reply(&error, attempt);
    let embedded = match attempt.target.provider {
        "gemini" => gemini::read_reply(&body),
        _ => openai::read_reply(&body),
    };
    let mut embedded = embedded.map_err(unreadable)?;
    let names = Names::of(&body);
    let report = embedded.usage.take();
    let mut finished = settle::finished(attempt, names.id, names.model, report, || 0);
    without_output(&mut finished.report);
    let outcome = if head.is_gone() { Outcome::ClientGone } else { Outcome::Ok };
    let receipt = settle::settle(attempt, finished, outcome, false).await?;
    embedded.usage = Some(receipt.report.clone());
    let (content_type, body) = match attempt.outbound.carry {
        Carry::Same { .. } => (parts.headers.get(header::CONTENT_TYPE).cloned(), body),
        Carry::Translated { .. } => {
            (None, Bytes::from(write(attempt, embedded).map_err(unreadable)?))
        }
    };
    let body = whole::told_of_cost(attempt, body, &receipt);
    let answer = Answer::whole(body, content_type)
        .with_dropped(&attempt.outbound.dropped)
        .with_tried(&attempt.hold.tried());
    head.send(Ok(answer.with_cost(receipt.charge)));
    Ok(())
}

/// Vectors are no tokens: an estimate is one of the texts alone.
fn without_output(report: &mut UsageReport) {
    for pass in &mut report.passes {
        pass.usage.set(ledger::Meter::Output, 0);
    }
}

fn write(attempt: &Attempt<'_>, mut embedded: Embedded) -> Result<Vec<u8>, Malformed> {
    if embedded.model.is_empty() {
        embedded.model.clone_from(&attempt.target.model);
    }
    if is_gemini(attempt.inbound) {
        gemini::write_reply(&embedded, attempt.inbound.verb == BATCH)
    } else {
        openai::write_reply(&embedded, read(attempt.inbound)?.encoding)
    }
}

/// Bytes of all texts to embed, for an estimate.
pub(crate) fn text_bytes(inbound: &Inbound) -> usize {
    let embed = read(inbound).unwrap_or_default();
    let texts = embed.inputs.iter().map(|input| match input {
        wire::embed::Input::Text(text) => text.len(),
        wire::embed::Input::Native(native) => native.raw.get().len(),
    });
    texts.sum()
}
