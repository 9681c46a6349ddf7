//! All metrics, one after the other, by their names. `docs/metrics.md` describes each; a test compares the two.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ledger::Meter;

use super::exposition::{Number, Page};
use super::histogram::Reading;
use super::metrics::{Dollars, Model, SETTLED, SOURCES};
use super::outcome::OUTCOMES;
use super::process::Process;
use crate::app::App;
use crate::breaker::Standing;
use crate::clock;
use crate::health::Attempts;

const BYTES: Option<&str> = Some("bytes");
const DOLLARS: Option<&str> = Some("dollars");
const SECONDS: Option<&str> = Some("seconds");

/// Writes all of them.
pub(super) fn write(app: &App, page: &mut Page<'_>) -> fmt::Result {
    let models = app.telemetry.metrics.all_models();
    requests(app, page, &models)?;
    money(page, &models)?;
    upstream(app, page)?;
    slices(app, page)?;
    journal(app, page)?;
    limits(app, page)?;
    rest(app, page)
}

fn requests(app: &App, page: &mut Page<'_>, models: &[Arc<Model>]) -> fmt::Result {
    let metrics = &app.telemetry.metrics;
    let series = || {
        models.iter().flat_map(|model| {
            model.all_series().map(move |(surface, operation, series)| {
                let labels = [
                    ("surface", surface),
                    ("operation", operation),
                    ("provider", model.provider),
                    ("model", model.name.as_str()),
                ];
                (labels, series)
            })
        })
    };
    let outcomes = series().flat_map(|([a, b, c, d], series)| {
        let counts = OUTCOMES.iter().zip(&series.outcomes);
        let counts = counts.map(|(name, count)| (*name, count.load(Ordering::Relaxed)));
        let counts = counts.filter(|(_, count)| *count > 0);
        counts.map(move |(name, count)| ([a, b, c, d, ("outcome", name)], count))
    });
    page.counters(("tollgate_requests", None, "Requests that have ended, by how"), outcomes)?;
    page.histograms(
        ("tollgate_request_duration", "From a request to the end of its answer"),
        series().map(|(labels, series)| (labels, series.duration.read())),
    )?;
    let first_bytes = series().map(|(labels, series)| (labels, series.first_byte.read()));
    page.histograms(
        ("tollgate_time_to_first_byte", "From a request to the first byte of its stream"),
        first_bytes.filter(|(_, reading)| reading.count() > 0),
    )?;
    page.histograms(
        ("tollgate_overhead", "What the gateway itself has added to a request that was answered"),
        [([], metrics.overhead.read())],
    )?;
    let refused = metrics.all_refused();
    let statuses: Vec<_> = refused.iter().map(|((_, status, _), _)| status.to_string()).collect();
    let refused = refused.iter().zip(&statuses).map(|(((surface, _, code), count), status)| {
        ([("surface", *surface), ("status", status.as_str()), ("code", *code)], *count)
    });
    page.counters(("tollgate_refusals", None, "Requests answered with an error"), refused)?;
    let level = |level: &AtomicI64| u64::try_from(level.load(Ordering::Relaxed)).unwrap_or(0);
    page.gauge(
        ("tollgate_requests_in_flight", None, "Requests that have not ended"),
        level(&metrics.in_flight),
    )?;
    page.gauge(
        ("tollgate_streams_in_flight", None, "Streams that have begun and not ended"),
        level(&metrics.streams),
    )
}

/// A sum of money: its name, its help, and where it is.
type Amount = (&'static str, &'static str, fn(&Model) -> &Dollars);

fn money(page: &mut Page<'_>, models: &[Arc<Model>]) -> fmt::Result {
    let used = |tokens: bool| {
        models.iter().flat_map(move |model| {
            let used = Meter::ALL.into_iter().zip(&model.used);
            let used = used.map(|(meter, count)| (meter, count.load(Ordering::Relaxed)));
            let used = used.filter(move |(meter, count)| meter.is_token() == tokens && *count > 0);
            used.map(move |(meter, count)| {
                let [provider, name] = names(model);
                ([provider, name, ("kind", meter.name())], count)
            })
        })
    };
    page.counters(("tollgate_tokens", None, "Tokens of receipts; no kind overlaps"), used(true))?;
    page.counters(
        ("tollgate_usage_units", None, "What receipts count beside tokens: searches, pictures"),
        used(false),
    )?;
    let receipts = models.iter().flat_map(|model| {
        let kinds = SETTLED.iter().flat_map(|outcome| SOURCES.map(|source| (outcome, source)));
        let counts = model.receipts.iter().map(|count| count.load(Ordering::Relaxed));
        let counts = kinds.zip(counts).filter(|(_, count)| *count > 0);
        counts.map(move |((outcome, source), count)| {
            let [provider, name] = names(model);
            ([provider, name, ("outcome", outcome.name()), ("source", source.name())], count)
        })
    });
    page.counters(
        ("tollgate_receipts", None, "Receipts, by outcome and by who counted"),
        receipts,
    )?;
    let amounts: [Amount; 4] = [
        ("tollgate_cost", "What the providers charge", |model| &model.cost),
        ("tollgate_commission", "The commission on top of it", |model| &model.commission),
        ("tollgate_charge", "What accounts were charged", |model| &model.charge),
        ("tollgate_absorbed", "What nobody was left to be charged for", |model| &model.absorbed),
    ];
    for (name, help, of) in amounts {
        // A sum that is not there cannot be compared with one that is.
        let known = models.iter().filter(|model| model.cost.pico() > 0 || of(model).pico() > 0);
        let sums = known.map(|model| (names(model), Number::Pico(of(model).pico().into())));
        page.counters((name, DOLLARS, help), sums)?;
    }
    Ok(())
}

fn names(model: &Model) -> [(&'static str, &str); 2] {
    [("provider", model.provider), ("model", &model.name)]
}

fn upstream(app: &App, page: &mut Page<'_>) -> fmt::Result {
    let all: Vec<Attempts> = app.health.attempts().collect();
    let results = all.iter().flat_map(|attempts| {
        let by_outcome = attempts.by_outcome.iter();
        by_outcome
            .map(|(result, count)| ([("provider", attempts.provider), ("result", *result)], *count))
    });
    page.counters(("tollgate_upstream_attempts", None, "Attempts at providers"), results)?;
    let heads = all.iter().map(|attempts| {
        let (beyond, within) = attempts.by_bucket.split_last().unwrap_or((&0, &[]));
        let within = within.iter().enumerate();
        let within = within.map(|(place, count)| ((2_u64 << place) * 1_000, *count)).collect();
        let reading = Reading { within, beyond: *beyond, micros: attempts.micros };
        ([("provider", attempts.provider)], reading)
    });
    page.histograms(
        ("tollgate_upstream_response", "From an attempt to the head of its answer or its failure"),
        heads,
    )?;
    let now = clock::now();
    let further = app.providers.further();
    let all = app.providers.iter().chain(further.iter().map(AsRef::as_ref));
    let states = all.map(|provider| {
        let state = match provider.breaker.standing(now) {
            Standing::Closed => 0_u64,
            Standing::HalfOpen => 1,
            Standing::Open(_) => 2,
        };
        let endpoint = provider.endpoint.as_deref().unwrap_or_default();
        ([("provider", provider.row.name), ("endpoint", endpoint)], state)
    });
    let help = "0 where the breaker is closed, 1 where it is half-open, 2 where it is open";
    page.gauges(("tollgate_breaker_state", None, help), states)
}

fn slices(app: &App, page: &mut Page<'_>) -> fmt::Result {
    let funds = app.funds.figures();
    page.counter(("tollgate_holds", None, "Requests that held credit"), funds.holds)?;
    page.counter(
        (
            "tollgate_ledger_asks",
            None,
            "Times the database was asked for credit while a request waited",
        ),
        funds.asks,
    )?;
    page.gauge(
        ("tollgate_fenced", None, "1 where this process may not spend any more"),
        u64::from(funds.fenced),
    )?;
    let kinds = [("account", &funds.accounts), ("budget", &funds.budgets)];
    let amounts = [
        ("tollgate_slice_granted", "What the ledger has set aside for this process"),
        ("tollgate_slice_spent", "What of it was spent"),
        ("tollgate_slice_held", "What of it requests hold that have not ended"),
        ("tollgate_slice_free", "What of it is left"),
    ];
    for (place, (name, help)) in amounts.into_iter().enumerate() {
        let samples =
            kinds.iter().map(|(kind, sums)| ([("scope", *kind)], Number::Pico(sums[place])));
        page.gauges((name, DOLLARS, help), samples)?;
    }
    Ok(())
}

fn journal(app: &App, page: &mut Page<'_>) -> fmt::Result {
    let figures = app.journal.figures();
    let tally = &app.journal.tally;
    let load = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    page.counter(("tollgate_journal_records", None, "Records in the journal"), figures.records)?;
    page.counter(("tollgate_journal_written", BYTES, "What was written to it"), figures.bytes)?;
    page.gauge(
        ("tollgate_journal_lag_records", None, "Records that the database has not taken"),
        figures.lag,
    )?;
    let waiting = if figures.lag == 0 { 0 } else { tally.waiting_for() };
    page.gauge(
        ("tollgate_journal_lag", SECONDS, "For how long the oldest of them has waited"),
        Number::Millionths(u64::try_from(waiting).unwrap_or(0)),
    )?;
    page.histograms(
        ("tollgate_journal_sync", "How long it takes to sync the journal"),
        [([], tally.sync.read())],
    )?;
    page.histograms(
        ("tollgate_journal_apply", "How long the database takes for a batch of receipts"),
        [([], tally.apply.read())],
    )?;
    page.counter(
        ("tollgate_journal_applied_receipts", None, "Receipts that the database has taken"),
        load(&tally.receipts),
    )?;
    page.counter(
        ("tollgate_journal_apply_failures", None, "Batches that it has not taken"),
        load(&tally.failures),
    )?;
    page.known(
        ("tollgate_journal_disk_free", BYTES, "Room on the disk of the journal"),
        figures.disk_free,
    )?;
    page.gauge(
        ("tollgate_journal_open", None, "1 where requests may begin"),
        u64::from(figures.is_open),
    )
}

fn limits(app: &App, page: &mut Page<'_>) -> fmt::Result {
    let figures = app.rates.figures();
    let refused = figures.refused.iter();
    let refused =
        refused.map(|([scope, limit], count)| ([("scope", *scope), ("limit", *limit)], *count));
    page.counters(
        ("tollgate_limit_refusals", None, "Requests that a limit of ours has refused"),
        refused,
    )?;
    page.gauge(
        ("tollgate_limit_replicas", None, "Replicas that share limits, as this one sees them"),
        figures.replicas,
    )?;
    page.known(
        ("tollgate_redis_up", None, "1 where Redis can be reached, in which limits are kept"),
        figures.redis,
    )?;
    page.counter(
        (
            "tollgate_limit_fallbacks",
            None,
            "Requests that were decided on by a share because Redis was away",
        ),
        figures.alone,
    )
}

fn rest(app: &App, page: &mut Page<'_>) -> fmt::Result {
    let whole = |number: i64| u64::try_from(number).unwrap_or(0);
    let (revision, age) = app.snapshots.freshness();
    let snapshot = app.snapshots.current();
    page.gauge(
        ("tollgate_snapshot_revision", None, "Which state of keys and prices is in memory"),
        whole(revision),
    )?;
    page.gauge(
        (
            "tollgate_snapshot_age",
            SECONDS,
            "Since when the database was not seen to have a newer one",
        ),
        Number::Millionths(age),
    )?;
    page.gauge(
        ("tollgate_price_version", None, "The price version of new requests"),
        whole(snapshot.price_version),
    )?;
    page.counter(
        ("tollgate_log_lines_dropped", None, "Log lines that there was no room for"),
        app.telemetry.lines.dropped(),
    )?;
    page.counter(
        ("tollgate_capture_dropped", None, "Recordings that there was no room for"),
        app.capture.as_ref().map_or(0, |capture| capture.dropped()),
    )?;
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    page.gauges(("tollgate_build_info", None, "Always 1"), [(version, 1)])?;
    page.gauge(
        ("tollgate_clock", SECONDS, "What time it is here, since 1970"),
        Number::Millionths(whole(clock::now())),
    )?;
    let process = Process::read();
    page.counter(
        ("process_cpu", SECONDS, "Time that all processors gave to this process"),
        Number::Pico(i128::from(process.cpu_nanos) * 1_000),
    )?;
    page.known(("process_resident_memory", BYTES, "Memory in use"), process.resident_bytes)?;
    page.known(("process_open_fds", None, "Open files and sockets"), process.open_files)?;
    page.known(("process_max_fds", None, "The most there may be of them"), process.most_files)?;
    page.known(("process_threads", None, "Threads"), process.threads)?;
    page.gauge(
        ("process_start_time", SECONDS, "When this process began, since 1970"),
        Number::Millionths(whole(app.telemetry.started_at)),
    )
}
