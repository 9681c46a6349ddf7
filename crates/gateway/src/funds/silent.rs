//! Which replicas are silent, by this process's own clock: what another machine's clock says proves nothing.

use std::collections::HashMap;

use store::Replica;
use uuid::Uuid;

use super::FENCE_SECONDS;

/// Who was silent for so long (seconds) has stopped to spend by itself before.
const SILENT_SECONDS: i64 = FENCE_SECONDS + 60 * 60;

/// What each replica last said, and since when nothing else.
#[derive(Default)]
pub(super) struct Silent(HashMap<Uuid, (i64, i64)>);

impl Silent {
    /// Those of `replicas` that have said nothing since the process began to look, which was long enough ago. `now`: in
    /// seconds of a clock that only goes forward, and goes on while the machine sleeps.
    pub(super) fn of<'a>(&mut self, replicas: &'a [Replica], now: i64) -> Vec<&'a Replica> {
        let known = |id: &Uuid| replicas.iter().any(|replica| replica.id == *id);
        self.0.retain(|id, _| known(id));
        let mut silent = Vec::new();
        for replica in replicas {
            let seen = self.0.entry(replica.id).or_insert((replica.heartbeat_at, now));
            if seen.0 != replica.heartbeat_at {
                *seen = (replica.heartbeat_at, now);
            }
            if now.saturating_sub(seen.1) > SILENT_SECONDS && replica.released_at.is_none() {
                silent.push(replica);
            }
        }
        silent
    }
}

#[cfg(test)]
mod tests {
    use ledger::Usd;

    use super::*;

    fn replica(id: u128, heartbeat_at: i64) -> Replica {
        let (id, held) = (Uuid::from_u128(id), Usd::ZERO);
        Replica { id, epoch: 1, cursor: 0, heartbeat_at, released_at: None, held, public_key: None }
    }

    #[test]
    fn only_what_was_seen_to_be_silent_is() {
        let mut silent = Silent::default();
        let mut ids = |replicas: &[Replica], now: i64| -> Vec<u128> {
            silent.of(replicas, now).into_iter().map(|replica| replica.id.as_u128()).collect()
        };
        // However old what they said looks: this process has only just begun to look.
        assert!(ids(&[replica(1, 0), replica(2, 0)], 1_000_000).is_empty());
        let later = 1_000_000 + SILENT_SECONDS;
        assert!(ids(&[replica(1, 0), replica(2, 5)], later).is_empty());
        assert_eq!(ids(&[replica(1, 0), replica(2, 5)], later + 1), [1]);
        let released = Replica { released_at: Some(9), ..replica(1, 0) };
        assert_eq!(ids(&[released, replica(2, 5)], later + SILENT_SECONDS + 1), [2]);
        // Another clock's word may go back: it was heard of.
        assert!(ids(&[replica(2, 4)], later + SILENT_SECONDS + 2).is_empty());
        // Who was away and comes again is new.
        assert!(ids(&[], later + SILENT_SECONDS + 3).is_empty());
        assert!(ids(&[replica(2, 4)], later + 3 * SILENT_SECONDS).is_empty());
    }
}
