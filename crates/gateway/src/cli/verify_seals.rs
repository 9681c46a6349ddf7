//! The part of `tollgate verify` that checks seals: nothing that was sealed has been changed or taken out.

use ledger::to_hex;
use serde_json::{Value, json};
use store::{SealAudit, Store};

use super::output::Output;

/// Tells `fault` what is wrong, and returns what there is.
pub(super) async fn run(
    store: &Store,
    output: &Output,
    fault: impl FnMut(String) + Send,
) -> anyhow::Result<(Value, SealAudit)> {
    let audit = store.verify_seals(fault).await?;
    output.note(format_args!(
        "{} seals of {} replicas checked: {} receipts are where they were sealed, {} have no seal.",
        audit.seals,
        audit.keys.len(),
        audit.sealed,
        audit.unsealed
    ))?;
    if audit.newer > 0 {
        output.note(format_args!(
            "{} seals have a newer form than this program knows: neither they nor their receipts can be judged by it. Use the newer program.",
            audit.newer
        ))?;
    }
    let mut replicas = Vec::with_capacity(audit.keys.len());
    for (replica, keys) in &audit.keys {
        let keys: Vec<String> = keys.iter().map(|key| to_hex(key)).collect();
        output.note(format_args!("Replica {replica} signs with {}.", keys.join(", then ")))?;
        replicas.push(json!({ "id": replica, "public_keys": keys }));
    }
    let told = json!({
        "count": audit.seals, "receipts": audit.sealed, "unsealed": audit.unsealed, "newer": audit.newer, "replicas": replicas,
    });
    Ok((told, audit))
}
