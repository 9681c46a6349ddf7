//! `cargo xtask bench`: the gateway beside nginx as a plain proxy.
//!
//! Both stand in front of the same provider simulator and get the same load. The proxy under test has core 0 to
//! itself; the simulator and the load generator share core 1. The figure that counts is the proxy's own CPU time per
//! request, taken from the kernel: it does not depend on how fast the other core is.

mod figures;
pub(crate) mod layout;
mod load;
mod options;
mod peers;
mod process;
pub(crate) mod profile;
mod report;
mod scenario;
mod servers;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::janitor::TempDir;
use crate::{Result, packages, release, sh, ui};
use figures::{Comparison, Pair, Run};
use load::Target;
use options::Options;
use peers::Peer;
use report::Machine;
use scenario::Scenario;
use servers::{Gateway, Providers};

/// Where the proxy under test runs, and where everything else does.
const PROXY_CORE: &str = "0";
const LOAD_CORE: &str = "1";

const WARM_UP_SECONDS: u32 = 3;
/// After which a program that has started gives back what only its start needed.
const IDLE: Duration = Duration::from_secs(5);

pub(crate) fn run(args: &[String]) -> Result {
    let options = Options::parse(args)?;
    let tools = Tools::find()?;
    let bins = binaries(options.bins.as_deref())?;
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
fn binaries(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(folder) = given {
        return folder.canonicalize().map_err(|why| format!("{}: {why}", folder.display()));
    }
    ui::heading("release build");
    release::build(&["gateway", "testkit"])
}

fn measure(options: &Options, tools: &Tools, bins: &Path) -> Result<Vec<Comparison>> {
    ui::heading("servers");
    // In the target folder, so that the gateway writes to a disk and not to a file system in memory.
    let dir = TempDir::new(&sh::target_dir()?, "bench")?;
    let providers = Providers::start(bins, dir.path())?;
    let bench = Bench {
        options,
        tools,
        dir: dir.path(),
        nginx: Peer::nginx(&tools.nginx, dir.path(), &providers)?,
        litellm: if options.litellm { Some(Peer::litellm(dir.path(), &providers)?) } else { None },
        gateway: Gateway::start(bins, dir.path(), &providers)?,
    };
    thread::sleep(IDLE);
    let idle_kib = bench.gateway.server.resident_kib()?;
    let mut comparisons = Vec::new();
    for scenario in &options.scenarios {
        let pairs = bench.pairs(*scenario)?;
        let loaded_kib = bench.gateway.server.resident_kib()?;
        comparisons.push(Comparison { scenario: *scenario, pairs, idle_kib, loaded_kib });
    }
    Ok(comparisons)
}

struct Bench<'a> {
    options: &'a Options,
    tools: &'a Tools,
    dir: &'a Path,
    nginx: Peer,
    litellm: Option<Peer>,
    gateway: Gateway,
}

impl Bench<'_> {
    fn pairs(&self, scenario: Scenario) -> Result<Vec<Pair>> {
        let Self { options, dir, .. } = *self;
        ui::heading(scenario.title());
        let warm = |target| Warm::up(target, self);
        let gateway = warm(Target::gateway(&self.gateway, scenario, dir)?)?;
        let nginx = warm(Target::peer(&self.nginx, scenario, dir)?)?;
        // It need not be up to the load.
        let weak = |why: String| ui::note(&format!("without LiteLLM: {why}"));
        let peer =
            self.litellm.as_ref().map(|peer| Target::peer(peer, scenario, dir)).transpose()?;
        let litellm = peer.and_then(|peer| warm(peer).map_err(weak).ok());
        let mut pairs = Vec::new();
        for number in 1..=options.runs {
            let (gateway, nginx) = (gateway.run()?, nginx.run()?);
            let litellm = litellm.as_ref().and_then(|warm| warm.run().map_err(weak).ok());
            let third = litellm.as_ref().map(|run| format!("; LiteLLM {}", run.short()));
            let (first, second) = (gateway.short(), nginx.short());
            let third = third.unwrap_or_default();
            ui::note(&format!("{number}: gateway {first}; nginx {second}{third}"));
            pairs.push(Pair { gateway, nginx, litellm });
        }
        Ok(pairs)
    }
}

/// A proxy that has had a little load, and the length of its answer.
struct Warm<'a> {
    target: Target<'a>,
    bytes: u64,
    bench: &'a Bench<'a>,
}

impl<'a> Warm<'a> {
    fn up(target: Target<'a>, bench: &'a Bench<'a>) -> Result<Self> {
        let bytes = target.check()?;
        let warm = Self { target, bytes, bench };
        warm.load(WARM_UP_SECONDS)?;
        Ok(warm)
    }

    fn load(&self, seconds: u32) -> Result<Run> {
        let Bench { options, tools, .. } = self.bench;
        load::run(&self.target, self.bytes, &tools.wrk, options.connections, seconds)
    }

    fn run(&self) -> Result<Run> {
        self.load(self.bench.options.seconds)
    }
}
