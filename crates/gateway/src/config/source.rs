//! Where settings come from: flags, then the environment, then a file. The file can be read again while the program runs,
//! for which the environment is left as it is.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches as _};

use super::{Settings, names};
use crate::cli;

/// The flag and the variable that name the file.
const FLAG: &str = "--env-file";
pub(crate) const VARIABLE: &str = "TOLLGATE_ENV_FILE";

/// What is set, by the names of the environment.
pub(crate) type Values = BTreeMap<String, Vec<OsString>>;

/// Where settings come from.
pub(crate) struct Source {
    arguments: Vec<OsString>,
    /// What the environment itself says, which goes before the file.
    given: BTreeMap<String, OsString>,
    /// Names in it that look like settings of ours and are none.
    strange: Vec<String>,
    file: Option<PathBuf>,
}

/// A setting: its id, its flag, its variable.
pub(super) struct Setting {
    id: String,
    flag: String,
    pub(super) variable: String,
}

impl Source {
    /// Finds the file, if there is one, and reads it into the environment, before anything else runs; what is set already
    /// wins.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let arguments: Vec<OsString> = std::env::args_os().collect();
        let settings = settings();
        let strange = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, value)| names::is_strange(name, &value.to_string_lossy(), &settings))
            .map(|(name, _)| name)
            .collect();
        let given = settings.into_iter().filter_map(|setting| {
            let value = std::env::var_os(&setting.variable)?;
            Some((setting.variable, value))
        });
        let given = given.collect();
        let variable = || std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
        let named = flag(&arguments).or_else(variable).map(PathBuf::from);
        let file = match named {
            Some(path) => {
                dotenvy::from_path(&path).map_err(|error| unreadable(&path, &error))?;
                Some(path)
            }
            None => match dotenvy::dotenv() {
                Ok(path) => Some(path),
                Err(error) if error.not_found() => None,
                Err(error) => return Err(unreadable(Path::new(".env"), &error)),
            },
        };
        Ok(Self { arguments, given, strange, file })
    }

    /// The file, if there is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What looks mistyped: names that are no setting's, and what stands in the file twice. Sentences, without any value.
    pub(crate) fn oddities(&self) -> Vec<String> {
        let settings = settings();
        let say = |place: &str, name: &str| names::unknown(place, name, &settings);
        let mut odd: Vec<String> =
            self.strange.iter().map(|name| say("the environment", name)).collect();
        let Some(file) = self.file.as_deref() else { return odd };
        let place = file.display().to_string();
        let mut seen = BTreeMap::new();
        for (name, value) in lines(file).into_iter().flatten().flatten() {
            let times: &mut u32 = seen.entry(name.clone()).or_default();
            *times += 1;
            match *times {
                1 if names::is_strange(&name, &value, &settings) => odd.push(say(&place, &name)),
                2 => odd.push(format!("{place}: {name} is set more than once; the first counts")),
                _ => {}
            }
        }
        odd
    }

    /// The command line, the environment and the file. Where they are wrong, the program ends.
    pub(crate) fn matches(&self) -> ArgMatches {
        let command = cli::described(&self.arguments).mut_args(|argument| {
            let variable = argument.get_env().and_then(|name| name.to_str());
            let is_none = variable.is_some_and(|name| {
                std::env::var_os(name).is_some_and(|value| is_none(name, &value))
            });
            if is_none { argument.env(None::<&'static str>) } else { argument }
        });
        command.get_matches_from(&self.arguments)
    }

    /// Reads everything again.
    ///
    /// # Errors
    /// A setting that cannot be read, by its name.
    pub(crate) fn read(&self) -> anyhow::Result<(Settings, Values)> {
        let mut said = self.file.as_deref().map_or_else(|| Ok(BTreeMap::new()), read)?;
        said.extend(self.given.clone());
        said.retain(|name, value| !is_none(name, value));
        let settings = settings();
        // The environment has what the file said at the start.
        let command =
            cli::described(&self.arguments).mut_args(|argument| argument.env(None::<&'static str>));
        let flags = command.clone().try_get_matches_from(&self.arguments)?;
        let mut arguments: Vec<OsString> = self.arguments.iter().take(1).cloned().collect();
        for Setting { id, flag, variable } in &settings {
            let is_flag = flags.value_source(id) == Some(ValueSource::CommandLine);
            if let Some(value) = said.get(variable).filter(|_| !is_flag) {
                let mut argument = OsString::from(format!("--{flag}="));
                argument.push(value);
                arguments.push(argument);
            }
        }
        arguments.extend(self.arguments.iter().skip(1).cloned());
        let matches = command.try_get_matches_from(arguments);
        let matches = matches.map_err(|error| self.wrong(&error, &settings))?;
        let values =
            settings.iter().map(|setting| (setting.variable.clone(), raw(&matches, &setting.id)));
        Ok((Settings::from_arg_matches(&matches)?, values.collect()))
    }

    /// A sentence that names the setting and not its flag.
    fn wrong(&self, error: &clap::Error, settings: &[Setting]) -> anyhow::Error {
        let told = error.to_string();
        let told = told.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let file = self.file.as_deref().unwrap_or(Path::new("the environment")).display();
        let of = |flag: &str| settings.iter().find(|setting| setting.flag == flag);
        let flag = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(text)) => text.trim_start_matches("--"),
            _ => "",
        };
        let flag = flag.split([' ', '=', '[']).next().unwrap_or_default();
        match of(flag) {
            Some(setting) => anyhow::anyhow!("{file}: {}: {told}", setting.variable),
            None => anyhow::anyhow!("{file}: {told}"),
        }
    }
}

fn settings() -> Vec<Setting> {
    let described = Settings::described();
    let all = described.get_arguments().filter_map(|argument| {
        Some(Setting {
            id: argument.get_id().to_string(),
            flag: argument.get_long()?.to_owned(),
            variable: argument.get_env()?.to_str()?.to_owned(),
        })
    });
    all.collect()
}

fn raw(matches: &ArgMatches, id: &str) -> Vec<OsString> {
    let values = matches.get_raw(id).into_iter().flatten();
    values.map(OsString::from).collect()
}

/// An empty variable counts as none, as files for containers pass them. Not so where the books are: they are never looked
/// for somewhere else because a secret was not there.
fn is_none(name: &str, value: &OsStr) -> bool {
    value.is_empty() && !["DATABASE_URL", "TOLLGATE_DATA_DIR"].contains(&name)
}

/// The file that a flag names.
fn flag(arguments: &[OsString]) -> Option<OsString> {
    let mut arguments = arguments.iter().skip(1).take_while(|argument| *argument != "--");
    while let Some(argument) = arguments.next() {
        if argument == FLAG {
            return arguments.next().cloned();
        }
        let path = argument.to_str().and_then(|text| text.strip_prefix(FLAG)?.strip_prefix('='));
        if let Some(path) = path {
            return Some(path.into());
        }
    }
    None
}

/// What a file says.
fn read(path: &Path) -> anyhow::Result<BTreeMap<String, OsString>> {
    let mut said = BTreeMap::new();
    for line in lines(path)? {
        let (name, value) = line?;
        // As at the start, the first one counts.
        said.entry(name).or_insert_with(|| value.into());
    }
    Ok(said)
}

/// Its names and values, in their order.
fn lines(
    path: &Path,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<(String, String)>> + '_> {
    let lines = dotenvy::from_path_iter(path).map_err(|error| unreadable(path, &error))?;
    Ok(lines.map(|line| line.map_err(|error| unreadable(path, &error))))
}

/// Without the line itself, which may hold a credential.
fn unreadable(path: &Path, error: &dotenvy::Error) -> anyhow::Error {
    let path = path.display();
    match error {
        dotenvy::Error::LineParse(_, position) => anyhow::anyhow!(
            "{path}: a line cannot be read near character {position}; expected NAME=value"
        ),
        dotenvy::Error::Io(error) => anyhow::anyhow!("{path}: cannot be read: {error}"),
        _ => anyhow::anyhow!("{path}: cannot be read"),
    }
}
