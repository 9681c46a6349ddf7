//! How long both ends of a stream have heard nothing: of the provider, whose stream is cut for it, and by the client, who is
//! told meanwhile that it goes on.

use std::time::Duration;

use tokio::time::Instant;

/// A client that waits for the first word gets the head of its answer by then.
pub(crate) const HEAD_AFTER: Duration = Duration::from_secs(10);
/// How often a silent stream says that it is alive.
const PING_EVERY: Duration = Duration::from_secs(15);

pub(crate) struct Silence {
    /// How long the provider may be silent.
    idle: Duration,
    heard: Instant,
    told: Instant,
}

/// What there is to do because of the time.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// The provider has been silent for too long.
    Cut,
    /// The client has waited long enough for a sign of life.
    Sign,
    Nothing,
}

impl Silence {
    pub(crate) fn new(idle: Duration, now: Instant) -> Self {
        Self { idle, heard: now, told: now }
    }

    /// Something came of the provider.
    pub(crate) fn hear(&mut self, now: Instant) {
        self.heard = now;
    }

    /// The client was told something. Where that is a sign of life of ours, nothing was heard of the provider.
    pub(crate) fn tell(&mut self, now: Instant) {
        self.told = now;
    }

    /// When either end heard something, the last time.
    pub(crate) fn last(&self) -> Instant {
        self.heard.max(self.told)
    }

    /// How long nothing has been heard.
    pub(crate) fn lasted(&self) -> Duration {
        self.heard.elapsed()
    }

    fn cut_at(&self) -> Instant {
        self.heard + self.idle
    }

    fn sign_at(&self, has_head: bool) -> Instant {
        self.told + if has_head { PING_EVERY } else { HEAD_AFTER }
    }

    /// When to look at the clock next, at the latest. `client` is whether it has the head, if it is still there.
    pub(crate) fn next(&self, client: Option<bool>) -> Instant {
        client.map_or(self.cut_at(), |has_head| self.cut_at().min(self.sign_at(has_head)))
    }

    /// What is to be done now; often nothing, because more has come since the clock was to be looked at.
    pub(crate) fn due(&self, client: Option<bool>, now: Instant) -> Due {
        if self.cut_at() <= now {
            Due::Cut
        } else if client.is_some_and(|has_head| self.sign_at(has_head) <= now) {
            Due::Sign
        } else {
            Due::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When a stream is cut of which nothing has come, and after how many signs of life.
    fn signs_until_cut(idle: u64, mut client: Option<bool>) -> (u32, Duration) {
        let begun = Instant::now();
        let mut silence = Silence::new(Duration::from_secs(idle), begun);
        let mut signs = 0;
        loop {
            let now = silence.next(client);
            match silence.due(client, now) {
                Due::Cut => return (signs, now - begun),
                Due::Sign => {
                    signs += 1;
                    client = Some(true);
                    silence.tell(now);
                }
                Due::Nothing => panic!("woken for nothing"),
            }
        }
    }

    #[test]
    fn signs_of_life_are_no_answer_of_the_provider() {
        let of = |idle, client| {
            let (signs, after) = signs_until_cut(idle, client);
            (signs, after.as_secs())
        };
        assert_eq!(of(300, Some(false)), (20, 300));
        assert_eq!(of(300, Some(true)), (19, 300));
        assert_eq!(of(300, None), (0, 300));
        assert_eq!(of(1, Some(true)), (0, 1));
    }

    #[test]
    fn what_comes_puts_both_off() {
        let begun = Instant::now();
        let mut silence = Silence::new(Duration::from_secs(20), begun);
        let later = begun + Duration::from_secs(12);
        assert_eq!(silence.due(Some(true), later), Due::Nothing);
        silence.hear(later);
        silence.tell(later);
        assert_eq!(silence.due(Some(true), later + Duration::from_secs(14)), Due::Nothing);
        assert_eq!(silence.due(Some(true), later + Duration::from_secs(15)), Due::Sign);
        assert_eq!(silence.due(Some(true), later + Duration::from_secs(20)), Due::Cut);
    }
}
