//! The part of `tollgate verify` that checks what people have written, and whether the database still guards it.

use clap::Args;
use ledger::{from_hex, to_hex};
use serde_json::{Value, json};
use store::{Head, HeadOf, SealAudit, Store};

use super::output::Output;
use crate::config::Settings;
use crate::journal;

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The head of a chain as an earlier `tollgate verify` printed it: it has to stand where it stood. May be given several times
    #[arg(long, value_name = "HEAD")]
    expect: Vec<Head>,

    /// A key that may have signed, beside those in the folder of the settings: with this, what any other has signed is a fault. May
    /// be given several times
    #[arg(long, value_name = "KEY", value_parser = key)]
    trust: Vec<[u8; 32]>,
}

fn key(text: &str) -> Result<[u8; 32], String> {
    let key = from_hex(text);
    key.ok_or_else(|| {
        "expected a key as `tollgate verify` prints it: 64 hexadecimal digits".to_owned()
    })
}

/// Tells `fault` what is wrong, and returns what there is.
pub(super) async fn run(
    store: &Store,
    seals: &SealAudit,
    (args, settings): (&VerifyArgs, &Settings),
    output: &Output,
    mut fault: impl FnMut(String) + Send,
) -> anyhow::Result<Value> {
    let own = journal::public_keys(&settings.data_dir)?;
    let is_known = |key: &[u8; 32]| own.contains(key) || args.trust.contains(key);
    let trusts = |key: &[u8; 32]| args.trust.is_empty() || is_known(key);
    for (replica, keys) in &seals.keys {
        for key in keys.iter().filter(|key| !trusts(key)) {
            fault(format!(
                "seals: replica {replica} has signed with a key that is not trusted: {}",
                to_hex(key)
            ));
        }
    }
    store.verify_heads(&args.expect, |found| fault(found.to_string())).await?;
    let look = |found: store::AuditFault| fault(found.to_string());
    let found = store.verify_acts(seals, &args.expect, trusts, look).await?;
    store.verify_schema(|found| fault(found.to_string())).await?;
    let (acts, rows) = (found.acts, found.rows);
    output.note(format_args!("{acts} acts checked, which have left {rows} rows of the books."))?;
    let mut keys = Vec::with_capacity(found.keys.len());
    for (key, first) in &found.keys {
        let key_is_known = is_known(key);
        let whose = if key_is_known {
            ""
        } else {
            ", which this folder does not have: is it one of yours?"
        };
        output
            .note(format_args!("Acts are signed with {}, from {first} on{whose}", to_hex(key)))?;
        keys.push(json!({ "public_key": to_hex(key), "first": first, "known": key_is_known }));
    }
    let of_seals = seals.heads.iter().map(|(replica, (number, hash))| Head {
        of: HeadOf::Seals(*replica),
        number: *number,
        hash: *hash,
    });
    let heads: Vec<String> =
        found.head.into_iter().chain(of_seals).map(|head| head.to_string()).collect();
    for head in &heads {
        output.note(format_args!("Head: {head}"))?;
    }
    Ok(json!({ "acts": acts, "rows": rows, "public_keys": keys, "heads": heads }))
}
