//! `tollgate openapi`: the description of the API, or the table of who may use what.

use clap::Args;
use serde_json::json;

use super::output::Output;
use crate::config::Settings;
use crate::endpoints;
use crate::openapi;
use crate::web::routes;

#[derive(Debug, Args)]
pub(super) struct OpenapiArgs {
    /// Every endpoint, pages of the console too, with who may use it, instead of the description
    #[arg(long)]
    routes: bool,
}

pub(super) fn run(args: &OpenapiArgs, settings: &Settings, output: &Output) -> anyhow::Result<()> {
    if !args.routes {
        let whole = openapi::describe(settings.public_url());
        return output.say(&whole, serde_json::to_string_pretty(&whole)?);
    }
    let table = routes()
        .map(|route| (route.method.as_str(), route.path, route.policy))
        .chain(endpoints::described().into_iter().map(|one| (one.method, one.path, one.policy)));
    let rows: Vec<Vec<String>> = table
        .map(|(method, path, policy)| vec![method.to_owned(), path.to_owned(), policy.to_string()])
        .collect();
    let json = rows
        .iter()
        .map(|row| json!({ "method": row[0], "path": row[1], "policy": row[2] }))
        .collect();
    output.table(&json, &[("METHOD", false), ("PATH", false), ("WHO", false)], rows)
}
