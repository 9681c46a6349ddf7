//! `tollgate prices import|list|show`

use std::path::PathBuf;

use clap::Args;
use ledger::{Catalogue, Meter, Model, PriceFiles, ServiceTier, Terms, import, sum_exact};
use serde_json::{Value, json};
use store::Store;

use super::output::Output;
use crate::config::Settings;
use crate::{catalogue, clock};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Import a price list as a new version: a file of models in full or plain form
    Import(Import),
    /// Give up prices that are still to come, as a new version
    Withdraw(Withdraw),
    /// List the price versions
    List,
    /// Show what a model costs
    Show(Show),
}

#[derive(Debug, Args)]
pub(super) struct Import {
    /// The file: a row per model as in the folder pricing, or "provider,model,PRICE" with the price of one token
    file: PathBuf,

    /// A file of prices by date
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,

    /// A file of pictures by quality and size
    #[arg(long, value_name = "FILE")]
    images: Option<PathBuf>,

    /// Drop the models that the file does not name; otherwise they stay as they are
    #[arg(long)]
    replace: bool,

    /// From when on the prices hold, such as 2027-01-01; at once where it is not given
    #[arg(long, value_name = "DATE", value_parser = moment, conflicts_with_all = ["history", "images", "replace"])]
    from: Option<i64>,

    /// Why, for the record
    #[arg(long, default_value = "")]
    note: String,
}

#[derive(Debug, Args)]
pub(super) struct Withdraw {
    /// The model: openai/gpt-4o
    #[arg(required_unless_present = "all")]
    model: Option<String>,

    /// The upcoming prices of all models
    #[arg(long, conflicts_with = "model")]
    all: bool,

    /// Why, for the record
    #[arg(long, default_value = "")]
    note: String,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The model: openai/gpt-4o, or gpt-4o where only one provider has it
    model: String,

    /// At that moment instead of now, such as 2027-01-01
    #[arg(long, value_name = "DATE", value_parser = moment)]
    at: Option<i64>,
}

fn moment(text: &str) -> Result<i64, String> {
    clock::parse_moment(text)
        .ok_or_else(|| "expected a moment such as 2027-01-01 or 2027-01-01T04:30:00Z".to_owned())
}

pub(super) async fn run(
    command: Command,
    settings: &Settings,
    output: &Output,
) -> anyhow::Result<()> {
    let store = super::desk(settings).await?;
    match command {
        Command::Import(args) => import_file(args, &store, output).await,
        Command::Withdraw(args) => withdraw(args, &store, output).await,
        Command::List => list(&store, output).await,
        Command::Show(args) => show(args, &store, output).await,
    }
}

async fn import_file(args: Import, store: &Store, output: &Output) -> anyhow::Result<()> {
    let models = catalogue::read_file(&args.file)?;
    let history = args.history.as_deref().map(catalogue::read_file).transpose()?;
    let images = args.images.as_deref().map(catalogue::read_file).transpose()?;
    let files =
        PriceFiles { models: &models, history: history.as_deref(), images: images.as_deref() };
    let imported = import(files).map_err(|faults| {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}: nothing was imported\n  {}", args.file.display(), faults.join("\n  "))
    })?;
    if let Some(stranger) = catalogue::stranger(&imported) {
        anyhow::bail!("{}: nothing was imported\n  {stranger}", args.file.display());
    }
    let base = store.latest_price_version().await?.map(|version| version.id);
    let taken = imported.len();
    let now = clock::now();
    anyhow::ensure!(args.from.is_none_or(|from| from > now), "--from: that moment has passed");
    let (whole, origin) = match base {
        Some(version) if !args.replace => {
            let known = store.catalogue(version).await?;
            let whole = match args.from {
                Some(from) => known.with_upcoming(&imported, from)?,
                None => known.overlaid(&imported.informed_by(&known)),
            };
            (whole, version.to_string())
        }
        _ => {
            let none = Catalogue::default();
            let planned = args.from.map(|from| none.with_upcoming(&imported, from)).transpose()?;
            (planned.unwrap_or(imported), "none".to_owned())
        }
    };
    let mode = match args.from {
        Some(from) => format!("from {from}"),
        None if args.replace => "replace".to_owned(),
        None => "over".to_owned(),
    };
    let sha256 = catalogue::fingerprint(&[
        &models,
        history.as_deref().unwrap_or_default(),
        images.as_deref().unwrap_or_default(),
        &mode,
        &origin,
    ]);
    let source =
        args.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let version = store.add_price_version(&source, &args.note, &sha256, &whole, now).await?;
    let json = json!({ "version": version, "imported": taken, "models": whole.len() });
    output.say(
        &json,
        format_args!("Price version {version}: {taken} models imported, {} in all.", whole.len()),
    )
}

async fn withdraw(args: Withdraw, store: &Store, output: &Output) -> anyhow::Result<()> {
    let (base, known) = super::latest_prices(store).await?;
    let model = args.model.as_deref().map(|wanted| find(&known, wanted)).transpose()?;
    let of = model.map(|model| (model.provider.as_str(), model.name.as_str()));
    let now = clock::now();
    let whole = known.without_upcoming(of, now);
    anyhow::ensure!(whole != known, "there are no upcoming prices to withdraw");
    let name = of.map_or_else(|| "all".to_owned(), |(provider, name)| format!("{provider}/{name}"));
    let sha256 = catalogue::fingerprint(&["withdraw", &name, &base.to_string()]);
    let version = store.add_price_version("withdrawn", &args.note, &sha256, &whole, now).await?;
    let json = json!({ "version": version, "withdrawn": name });
    let said =
        format_args!("Price version {version}: the upcoming prices of {name} are withdrawn.");
    output.say(&json, said)
}

async fn list(store: &Store, output: &Output) -> anyhow::Result<()> {
    let versions = store.price_versions().await?;
    let json = versions
        .iter()
        .map(|v| {
            json!({
                "version": v.id, "created_at": clock::rfc3339(v.created_at), "models": v.models,
                "source": v.source, "note": v.note, "sha256": v.sha256,
            })
        })
        .collect();
    let rows = versions
        .iter()
        .map(|v| {
            let sha: String = v.sha256.chars().take(12).collect();
            vec![
                v.id.to_string(),
                clock::rfc3339(v.created_at),
                v.models.to_string(),
                v.source.clone(),
                sha,
                v.note.clone(),
            ]
        })
        .collect();
    let columns = [
        ("VERSION", true),
        ("CREATED", false),
        ("MODELS", true),
        ("SOURCE", false),
        ("SHA-256", false),
        ("NOTE", false),
    ];
    output.table(&json, &columns, rows)
}

async fn show(args: Show, store: &Store, output: &Output) -> anyhow::Result<()> {
    let (version, catalogue) = super::latest_prices(store).await?;
    let model = find(&catalogue, &args.model)?;
    let at = args.at.unwrap_or_else(clock::now);
    anyhow::ensure!(
        model.price.tariff(at).is_some(),
        "{} had no price at {}",
        args.model,
        clock::rfc3339(at)
    );
    let columns = conditions(model, at);
    if !output.is_json() {
        describe(model, version, at, output)?;
    }
    let mut rows = Vec::new();
    let mut prices = serde_json::Map::new();
    for meter in Meter::ALL {
        let cells: Vec<Option<i64>> = columns
            .iter()
            .map(|(_, rates)| rates.get(meter).map(ledger::UnitPrice::pico))
            .collect();
        if cells.iter().all(Option::is_none) {
            continue;
        }
        let (scale, unit) = if meter.is_token() { (1_000_000, "1M") } else { (1, "1") };
        let text = |pico: i64| sum_exact(i128::from(pico) * scale);
        let mut row = vec![meter.name().to_owned(), unit.to_owned()];
        row.extend(cells.iter().map(|cell| cell.map_or_else(|| "-".to_owned(), text)));
        rows.push(row);
        let by_condition: serde_json::Map<_, _> = columns
            .iter()
            .zip(&cells)
            .filter_map(|((title, _), pico)| Some(((*title).to_owned(), json!((*pico)?))))
            .collect();
        prices.insert(meter.name().to_owned(), Value::Object(by_condition));
    }
    let json = json!({
        "provider": model.provider, "model": model.name, "price_version": version, "at": clock::rfc3339(at),
        "info": model.info, "long_context_above": model.price.long_context_above,
        "unit": "pico-dollars per unit", "prices": prices,
    });
    let mut titles = vec![("USD", false), ("PER", true)];
    titles.extend(columns.iter().map(|(title, _)| (*title, true)));
    output.table(&json, &titles, rows)
}

/// The rates worth a column of their own: those in force, and those of each condition that changes them.
fn conditions(model: &Model, at: i64) -> Vec<(&'static str, ledger::Rates)> {
    let long = model.price.long_context_above.map(|limit| limit.saturating_add(1));
    let terms = |service_tier| Terms { at, service_tier, ..Terms::default() };
    let all = [
        ("standard", 0, ServiceTier::Standard),
        ("long", long.unwrap_or(0), ServiceTier::Standard),
        ("flex", 0, ServiceTier::Flex),
        ("priority", 0, ServiceTier::Priority),
        ("batch", 0, ServiceTier::Batch),
    ];
    let mut columns: Vec<(&'static str, ledger::Rates)> = Vec::new();
    for (title, tokens, tier) in all {
        let Ok(rates) = model.price.rates(tokens, &terms(tier)) else { continue };
        let news = columns.first().is_none_or(|(_, standard)| *standard != rates);
        if news {
            columns.push((title, rates));
        }
    }
    columns
}

fn describe(model: &Model, version: i64, at: i64, output: &Output) -> anyhow::Result<()> {
    let info = &model.info;
    let name = output.strong(&format!("{}/{}", model.provider, model.name));
    let end =
        info.deprecation_date.as_ref().map(|date| format!(", ends {date}")).unwrap_or_default();
    output.note(format_args!("{name}  {}, {}{end}", info.mode, info.status.name()))?;
    output.note(format_args!("price version {version}, at {}", clock::rfc3339(at)))?;
    let limit =
        |tokens: Option<u64>| tokens.map_or_else(|| "unknown".to_owned(), |n| n.to_string());
    output.note(format_args!(
        "context {} tokens, answer {} tokens",
        limit(info.context_window),
        limit(info.max_output_tokens)
    ))?;
    if let Some(limit) = model.price.long_context_above {
        output.note(format_args!(
            "above {limit} prompt tokens the whole request costs the long price"
        ))?;
    }
    if !model.price.off_peak.is_empty() {
        let now = model.price.off_peak.contains(ledger::minute_of_week(at));
        output.note(if now {
            "off-peak at that moment"
        } else {
            "peak at that moment; cheaper in off-peak hours"
        })?;
    }
    let pictures = info
        .attributes
        .iter()
        .filter_map(|(name, usd)| Some((name.strip_prefix("usd_per_image:")?, usd)));
    for (kind, usd) in pictures {
        output.note(format_args!("a picture of {kind} costs {usd} USD"))?;
    }
    output.note("")
}

fn find<'a>(catalogue: &'a Catalogue, wanted: &'a str) -> anyhow::Result<&'a Model> {
    if let Some((provider, name)) = wanted.split_once('/') {
        let provider = if provider == "google" { "gemini" } else { provider };
        if let Some(model) = catalogue.get(provider, name) {
            return Ok(model);
        }
    }
    let mut found = catalogue.providers_of(wanted);
    match (found.next(), found.next()) {
        (Some(model), None) => Ok(model),
        (Some(_), Some(_)) => {
            anyhow::bail!("{wanted}: several providers have it; name one, such as openai/{wanted}")
        }
        (None, _) => anyhow::bail!("{wanted}: not in the price list"),
    }
}
