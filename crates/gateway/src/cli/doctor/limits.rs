//! Where limits are kept.

use super::{Check, fail, ok};
use crate::config::Settings;
use crate::rates::Shared;

pub(super) async fn look(settings: &Settings) -> Option<Check> {
    const NAME: &str = "limits";
    let shared = match Shared::new(settings.redis_url()?) {
        Ok(shared) => shared,
        Err(error) => return Some(fail(NAME, error.to_string())),
    };
    Some(match shared.check().await {
        Ok(()) => ok(NAME, "Redis answers"),
        Err(why) => fail(
            NAME,
            format!(
                "REDIS_URL: Redis does not answer ({why}): until it does, each replica keeps its share of every limit"
            ),
        ),
    })
}
