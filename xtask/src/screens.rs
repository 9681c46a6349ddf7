//! `cargo xtask screens`: the pictures of the console in `docs/screens`, taken by the test that looks at every page.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, no_arguments, packages, sh, test};

const FOLDER: &str = "docs/screens";
const WHICH: &str = "every_page_in_every_view";
/// What the console is written in where it is there: the pictures are the same on every machine.
const FONT: (&str, &str) = ("fonts-inter", "Inter");

pub(crate) fn run(args: &[String]) -> Result {
    no_arguments(args)?;
    let pngquant = packages::program("pngquant", "pngquant")?;
    packages::ensure(FONT.0, || {
        let found = sh::output(Command::new("fc-match").arg(FONT.1)).ok()?;
        found.contains(FONT.1).then_some(())
    })?;
    let folder = sh::root().join(FOLDER);
    for old in pictures(&folder)? {
        fs::remove_file(&old).map_err(|why| format!("{}: {why}", old.display()))?;
    }
    let folder_name = folder.display().to_string();
    let mut look = sh::cargo(&["test", "--package", "gateway", "--test", "sdk", "--", WHICH]);
    look.env(test::SDKS, test::sdks()?).env(test::CHROMIUM, test::chromium()?);
    sh::run(look.env("TOLLGATE_TEST_SCREENS", folder_name))?;
    // A byte for each point in place of three.
    let mut quantize = Command::new(pngquant);
    quantize.args(["--force", "--ext", ".png", "--speed", "1", "--strip", "256", "--"]);
    sh::run(quantize.args(pictures(&folder)?))
}

fn pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|why| format!("{}: {why}", folder.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|kind| kind == "png")).collect())
}
