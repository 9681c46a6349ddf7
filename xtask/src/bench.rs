//! `cargo xtask bench`: the gateway beside nginx as a plain proxy.
//!
//! Both stand in front of the same provider simulator and get the same load. The proxy under test has core 0 to
//! itself; the simulator and the load generator share core 1. The figure that counts is the proxy's own CPU time per
//! request, taken from the kernel: it does not depend on how fast the other core is.

mod figures;
mod load;
mod options;
mod process;
mod report;
mod scenario;
mod servers;

use std::path::{Path, PathBuf};

use crate::janitor::TempDir;
use crate::{Result, packages, sh, ui};
use figures::{Comparison, Pair};
use load::Target;
use options::Options;
use report::Machine;
use scenario::Scenario;
use servers::{Gateway, Nginx, Simulator};

/// Where the proxy under test runs, and where everything else does.
const PROXY_CORE: &str = "0";
const LOAD_CORE: &str = "1";

const WARM_UP_SECONDS: u32 = 3;

pub(crate) fn run(args: &[String]) -> Result {
    let options = Options::parse(args)?;
    let tools = Tools::find()?;
    let bins = binaries(&options)?;
    let machine = Machine::look(&tools);

    let comparisons = measure(&options, &tools, &bins)?;
    ui::print(&report::text(&comparisons, &options, &machine))?;
    if let Some(name) = &options.record {
        let path = sh::root().join("docs").join("benchmarks").join(format!("{name}.md"));
        let page = report::page(name, &comparisons, &options, &machine);
        std::fs::write(&path, page)
            .map_err(|why| format!("cannot write {}: {why}", path.display()))?;
        ui::note(&format!("recorded in docs/benchmarks/{name}.md"));
    }
    Ok(())
}

/// The programs of others that this needs.
pub(crate) struct Tools {
    nginx: PathBuf,
    wrk: PathBuf,
}

impl Tools {
    fn find() -> Result<Self> {
        if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
            return Err("this needs two cores: one for the proxy, one for the load".to_owned());
        }
        packages::program("taskset", "util-linux")?;
        let nginx = packages::program("nginx", "nginx-light")?;
        Ok(Self { nginx, wrk: packages::program("wrk", "wrk")? })
    }
}

/// The folder of `tollgate` and `simulator`, which are built unless a folder is given.
fn binaries(options: &Options) -> Result<PathBuf> {
    if let Some(folder) = &options.bins {
        return folder.canonicalize().map_err(|why| format!("{}: {why}", folder.display()));
    }
    ui::heading("release build");
    sh::run(&mut sh::cargo(&[
        "build",
        "--release",
        "--package",
        "gateway",
        "--package",
        "testkit",
    ]))?;
    Ok(sh::target_dir()?.join("release"))
}

fn measure(options: &Options, tools: &Tools, bins: &Path) -> Result<Vec<Comparison>> {
    ui::heading("servers");
    // In the target folder, so that the gateway writes to a disk and not to a file system in memory.
    let dir = TempDir::new(&sh::target_dir()?, "bench")?;
    let simulator = Simulator::start(bins, dir.path())?;
    let nginx = Nginx::start(&tools.nginx, dir.path(), &simulator)?;
    let gateway = Gateway::start(bins, dir.path(), &simulator)?;
    let idle_kib = gateway.server.resident_kib()?;
    let mut comparisons = Vec::new();
    for scenario in &options.scenarios {
        let pairs = pairs(*scenario, options, tools, dir.path(), &gateway, &nginx)?;
        let loaded_kib = gateway.server.resident_kib()?;
        comparisons.push(Comparison { scenario: *scenario, pairs, idle_kib, loaded_kib });
    }
    Ok(comparisons)
}

fn pairs(
    scenario: Scenario,
    options: &Options,
    tools: &Tools,
    dir: &Path,
    gateway: &Gateway,
    nginx: &Nginx,
) -> Result<Vec<Pair>> {
    ui::heading(scenario.title());
    let a = Target::gateway(gateway, scenario, dir)?;
    let b = Target::nginx(nginx, scenario, dir)?;
    let load = |target: &Target, bytes, seconds| {
        load::run(target, bytes, &tools.wrk, options.connections, seconds)
    };
    let (a_bytes, b_bytes) = (a.check()?, b.check()?);
    load(&a, a_bytes, WARM_UP_SECONDS)?;
    load(&b, b_bytes, WARM_UP_SECONDS)?;
    let mut pairs = Vec::new();
    for number in 1..=options.runs {
        let gateway = load(&a, a_bytes, options.seconds)?;
        let nginx = load(&b, b_bytes, options.seconds)?;
        ui::note(&format!("{number}: gateway {}; nginx {}", gateway.short(), nginx.short()));
        pairs.push(Pair { gateway, nginx });
    }
    Ok(pairs)
}
