//! Tells the linker which functions of the program lie side by side.
//!
//! The system maps a program's file into memory in pieces of 64 KiB around each place that is touched. What a start and
//! requests run is a seventh of the code; strewn over all of it, it took 10.5 MiB, and side by side takes 3. `layout.txt`
//! names these functions, and `cargo xtask layout` finds them. A name that is not there any more does no harm.

#![expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts by variables alone")]

use std::env::var;
use std::fmt::Write as _;
use std::path::Path;

/// Three blocks of names, with an empty line between them.
const NAMES: &str = include_str!("layout.txt");

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=layout.txt");
    let is = |name: &str, value: &str| var(name).is_ok_and(|found| found == value);
    // The linker of a compiler for GNU/Linux takes such scripts. One that somebody has chosen may not.
    let gnu = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    let chosen = var("RUSTC_LINKER").is_ok()
        || var("CARGO_ENCODED_RUSTFLAGS")
            .is_ok_and(|flags| flags.split('\x1f').any(chooses_linker));
    if is("PROFILE", "release") && gnu && !chosen {
        let script = Path::new(&var("OUT_DIR").unwrap_or_default()).join("layout.ld");
        std::fs::write(&script, sections())?;
        println!("cargo::rustc-link-arg-bin=tollgate=-Wl,-T,{}", script.display());
        // The places that the loader must correct are 560 KiB, all of which it reads; packed they are 7.
        println!("cargo::rustc-link-arg-bin=tollgate=-Wl,-z,pack-relative-relocs");
    }
    Ok(())
}

/// Whether a flag of the compiler is one of `linker`, `link-arg` and their like, by its name: a value may be any path.
fn chooses_linker(flag: &str) -> bool {
    let flag = flag.strip_prefix("--codegen=").unwrap_or(flag);
    flag.split('=').next().is_some_and(|name| name.contains("link"))
}

/// A section for each block of names, in front of the section of all other code.
fn sections() -> String {
    let mut script = "SECTIONS {\n".to_owned();
    for (number, block) in NAMES.split("\n\n").enumerate() {
        let _ = writeln!(script, "  .text.block{number} : {{ *(");
        for name in block.lines().filter(|line| !line.starts_with('#')) {
            // Where the compiler expects that a function runs all the time, or hardly ever, it says so in its section's name.
            let _ = writeln!(script, "    .text.{name} .text.hot.{name} .text.unlikely.{name}");
        }
        script.push_str("  ) }\n");
    }
    script + "}\nINSERT BEFORE .text;\n"
}
