//! `tollgate replica list|release`: the processes that spend, and what they hold.

use ledger::to_hex;
use serde_json::json;
use uuid::Uuid;

use super::output::Output;
use crate::clock;
use crate::config::Settings;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List replicas, with when each was last heard of, what it holds of credit and budgets, and the key that its seals
    /// are checked with
    List,
    /// Give back what a replica holds that is gone for good. It may not spend again without a new start
    Release {
        /// Its id, as `tollgate replica list` shows it
        id: Uuid,

        /// Even if it was heard of in the last 24 hours: only when its process is known to be gone
        #[arg(long)]
        force: bool,
    },
}

pub(super) async fn run(
    command: Command,
    settings: &Settings,
    output: &Output,
) -> anyhow::Result<()> {
    let store = super::books_desk(settings).await?;
    if let Command::Release { id, force } = command {
        if !store.release(id, clock::now(), force).await? {
            anyhow::bail!(
                "there is no such replica, or it was heard of in the last 24 hours; --force releases it all the same"
            );
        }
        return output.say(&json!({ "released": true }), "What it held is the ledger's again.");
    }
    let replicas = store.replicas().await?;
    let json = replicas.iter().map(|replica| {
        json!({
            "id": replica.id,
            "epoch": replica.epoch,
            "cursor": replica.cursor,
            "heartbeat_at": clock::rfc3339(replica.heartbeat_at),
            "released_at": replica.released_at.map(clock::rfc3339),
            "held": replica.held.to_string(),
            "public_key": replica.public_key.map(|key| to_hex(&key)),
        })
    });
    let rows = replicas.iter().map(|replica| {
        let state = match replica.released_at {
            Some(at) => format!("released {}", clock::rfc3339(at)),
            None => clock::rfc3339(replica.heartbeat_at),
        };
        let key = replica.public_key.map_or_else(|| "-".to_owned(), |key| to_hex(&key));
        let (id, epoch, held) = (replica.id, replica.epoch, replica.held);
        vec![id.to_string(), epoch.to_string(), state, held.to_string(), key]
    });
    let columns = [
        ("ID", false),
        ("EPOCH", true),
        ("LAST HEARD OF", false),
        ("HOLDS USD", true),
        ("PUBLIC KEY", false),
    ];
    output.table(&json.collect(), &columns, rows.collect())
}
