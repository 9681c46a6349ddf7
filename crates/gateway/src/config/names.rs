//! Names that are no setting's, but look as if one was meant.

use super::source::Setting;

const OURS: &str = "TOLLGATE_";
/// A name that is further from any other is no slip of the hand.
const FURTHEST: usize = 4;

/// Whether a name is one of ours and says nothing. What Kubernetes tells its pods of a service called `tollgate` is not meant.
pub(super) fn is_strange(name: &str, value: &str, settings: &[Setting]) -> bool {
    let of_kubernetes =
        ["_SERVICE_HOST", "_SERVICE_PORT", "_TCP", "_UDP"].iter().any(|part| name.contains(part))
            || name.ends_with("_PORT") && value.contains("://");
    name.starts_with(OURS)
        && !of_kubernetes
        && !settings.iter().any(|setting| setting.variable == name)
}

/// That a name is unknown, and which one may be meant.
pub(super) fn unknown(place: &str, name: &str, settings: &[Setting]) -> String {
    let others = settings.iter().map(|setting| setting.variable.as_str());
    let nearest = others.map(|other| (strsim::levenshtein(name, other), other)).min();
    match nearest.filter(|(far, _)| *far <= FURTHEST) {
        Some((_, other)) => format!("{place}: {name} is no setting and does nothing; {other}?"),
        None => format!("{place}: {name} is no setting and does nothing"),
    }
}
