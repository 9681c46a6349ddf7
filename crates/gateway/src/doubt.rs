//! Which of a provider's counters are believed.
//!
//! They are what is billed, as a rule without a look at the text. But text for which nothing is counted is not free, what
//! contradicts itself or cannot be read is no reason to charge less than what plainly came, and what no request can have
//! used is not charged to anybody. The receipt says so: `inconsistent`, and `estimated` where a figure is ours.

use ledger::{Meter, Pass, Usage, UsageReport, UsageSource};
use wire::chat::Tool;

use crate::afford::CHOICES;
use crate::inbound::{Inbound, Operation};
use crate::pipeline::Attempt;
use crate::settle::{prompt, tokens};

/// So many tokens of one side are believed of any model.
const LIKELY: u64 = 1_000_000;
/// So many times as much as a model takes or gives at once is not.
const TIMES: u64 = 10;
/// Nor are more calls of a provider's tools than this.
const CALLS: u64 = 10_000;
/// Members that bring more into the prompt than is in the request.
const ELSEWHERE: [&str; 7] = [
    "previous_response_id",
    "conversation",
    "cachedContent",
    "container",
    "prompt",
    "web_search_options",
    "mcp_servers",
];

/// The provider's counters, as far as they can be believed, and whose word that is then. `output_bytes` is how much came.
pub(crate) fn believed(
    attempt: &Attempt<'_>,
    mut report: UsageReport,
    output_bytes: impl FnOnce() -> usize,
) -> (UsageReport, UsageSource) {
    leave_out(attempt, &mut report);
    let said = report.total();
    let (input, output) = (said.input_tokens(), said.output_tokens());
    let generates = attempt.inbound.operation == Operation::Chat;
    if !report.inconsistent && input > 0 && (output > 0 || !generates) {
        return (report, UsageSource::Provider);
    }
    let came = if generates { output_bytes() } else { 0 };
    if generates && !report.inconsistent && came == 0 && output == 0 {
        // A refusal, an error: nothing was generated, and nothing is said to have been.
        return (report, UsageSource::Provider);
    }
    let least_output = if came == 0 { 0 } else { tokens(came) };
    // A side that is told, in a report that is right in itself, stands.
    let missing = |said: u64, least: u64| {
        if report.inconsistent || said == 0 { least.saturating_sub(said) } else { 0 }
    };
    let more_input = missing(input, prompt(attempt.inbound));
    let more_output = missing(output, least_output);
    add(&mut report, Meter::Input, more_input);
    add(&mut report, Meter::Output, more_output);
    report.inconsistent = true;
    let total = report.total();
    tracing::warn!(
        request_id = %attempt.inbound.id, provider = attempt.target.provider, model = attempt.target.model,
        said_input = input, said_output = output,
        input = total.input_tokens(), output = total.output_tokens(),
        "a provider's counters cannot be right; its answer is charged by its text at least"
    );
    let is_ours = more_input > 0 || more_output > 0;
    (report, if is_ours { UsageSource::Estimated } else { UsageSource::Provider })
}

/// Takes out, and marks, what no request can have used.
pub(crate) fn leave_out(attempt: &Attempt<'_>, report: &mut UsageReport) {
    let said = report.total();
    let (input, output) = (said.input_tokens(), said.output_tokens());
    let no_input = input > LIKELY && input > most_input(attempt);
    let no_output = output > LIKELY && output > most_output(attempt);
    let no_calls = Meter::CALLS.iter().any(|meter| said.get(*meter) > CALLS);
    if !(no_input || no_output || no_calls) {
        return;
    }
    report.inconsistent = true;
    let is_absurd = |meter: Meter| {
        no_input && meter.is_input_token()
            || no_output && meter.is_output_token()
            || no_calls && Meter::CALLS.contains(&meter)
    };
    for pass in &mut report.passes {
        for meter in Meter::ALL.into_iter().filter(|meter| is_absurd(*meter)) {
            // Of calls, one is sure.
            let one = u64::from(!meter.is_token()).min(pass.usage.get(meter));
            pass.usage.set(meter, one);
        }
    }
    tracing::warn!(
        request_id = %attempt.inbound.id, provider = attempt.target.provider, model = attempt.target.model,
        ?said, "a provider counts more than any request can use; that is left out"
    );
}

/// The most prompt tokens that can be true, with a wide margin.
fn most_input(attempt: &Attempt<'_>) -> u64 {
    let inbound = attempt.inbound;
    let body = u64::try_from(inbound.body.len()).unwrap_or(u64::MAX);
    if inbound.operation == Operation::Embed {
        return body.saturating_mul(TIMES);
    }
    let window = info(attempt).and_then(|info| info.context_window);
    match window {
        // What a provider's own tools bring is read again with every call.
        Some(window) if !calls_tools(inbound) => window.saturating_mul(TIMES).max(body),
        _ => u64::MAX,
    }
}

/// The same of the generated tokens.
fn most_output(attempt: &Attempt<'_>) -> u64 {
    let Some(info) = info(attempt) else { return u64::MAX };
    let Some(most) = info.max_output_tokens.max(info.context_window) else { return u64::MAX };
    let choices = attempt.inbound.chat().map_or(1, |chat| {
        let all = chat.native.iter().filter(|native| CHOICES.contains(&native.field.as_str()));
        all.filter_map(|native| native.raw.get().parse().ok()).max().unwrap_or(1)
    });
    most.saturating_mul(TIMES).saturating_mul(choices)
}

fn info<'a>(attempt: &Attempt<'a>) -> Option<&'a ledger::ModelInfo> {
    let model = attempt.plan.catalogue.get(attempt.target.provider, &attempt.target.model);
    model.map(|model| &model.info)
}

/// Whether the provider may run tools of its own, or has more of the conversation than the request.
fn calls_tools(inbound: &Inbound) -> bool {
    let Ok(chat) = inbound.chat() else { return true };
    chat.tools.iter().any(|tool| !matches!(tool, Tool::Function { .. }))
        || chat.native.iter().any(|native| ELSEWHERE.contains(&native.field.as_str()))
}

/// Adds to what the report says of the model asked for, the last run of it.
fn add(report: &mut UsageReport, meter: Meter, tokens: u64) {
    if tokens == 0 {
        return;
    }
    let own = report.passes.iter().rposition(|pass| pass.model.is_none());
    let at = own.unwrap_or(report.passes.len().saturating_sub(1));
    match report.passes.get_mut(at) {
        Some(pass) => pass.usage.add(meter, tokens),
        None => report.passes.push(Pass { model: None, usage: Usage::of(&[(meter, tokens)]) }),
    }
}
