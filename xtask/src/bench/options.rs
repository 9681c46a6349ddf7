//! The command line of the benchmark.

use std::path::PathBuf;

use super::scenario::Scenario;
use crate::Result;

pub(crate) struct Options {
    pub(crate) seconds: u32,
    pub(crate) connections: u32,
    pub(crate) runs: u32,
    pub(crate) json: bool,
    pub(crate) record: Option<String>,
    pub(crate) bins: Option<PathBuf>,
    /// Whether `LiteLLM`'s proxy is measured, too.
    pub(crate) litellm: bool,
    pub(crate) scenarios: Vec<Scenario>,
}

impl Options {
    pub(crate) fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self {
            seconds: 5,
            connections: 32,
            runs: 5,
            json: false,
            record: None,
            bins: None,
            litellm: false,
            scenarios: Scenario::ALL.to_vec(),
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value =
                || args.next().map(String::as_str).ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--seconds" => options.seconds = positive(arg, value()?)?,
                "--connections" => options.connections = positive(arg, value()?)?,
                "--runs" => options.runs = positive(arg, value()?)?,
                "--litellm" => options.litellm = true,
                "--json" => options.json = true,
                "--record" => options.record = Some(page_name(value()?)?),
                "--only" => options.scenarios = vec![scenario(value()?)?],
                "--bins" => options.bins = Some(PathBuf::from(value()?)),
                unknown => {
                    return Err(format!(
                        "unknown option `{unknown}`; `cargo xtask help` lists them"
                    ));
                }
            }
        }
        Ok(options)
    }
}

fn positive(option: &str, value: &str) -> Result<u32> {
    let number = value.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("{option} needs a whole number above zero, not `{value}`"))
}

fn scenario(name: &str) -> Result<Scenario> {
    let names = Scenario::ALL.map(Scenario::name).join(", ");
    Scenario::from_name(name).ok_or_else(|| format!("--only needs one of {names}, not `{name}`"))
}

/// A name that is a file name and nothing else.
fn page_name(name: &str) -> Result<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(plain)
        && name != "README"
    {
        Ok(name.to_owned())
    } else {
        Err(format!("--record needs a name of letters, digits, `.`, `-` and `_`, not `{name}`"))
    }
}
