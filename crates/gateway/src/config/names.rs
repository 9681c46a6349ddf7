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
    let nearest = others.map(|other| (distance(name, other), other)).min();
    match nearest.filter(|(far, _)| *far <= FURTHEST) {
        Some((_, other)) => format!("{place}: {name} is no setting and does nothing; {other}?"),
        None => format!("{place}: {name} is no setting and does nothing"),
    }
}

/// How many letters have to be put in, taken out or changed.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], above + 1);
        for (column, with) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *with);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn a_distance_counts_letters() {
        for (one, other, far) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("COMMISION", "COMMISSION", 1),
            ("kitten", "sitting", 3),
            ("abc", "cab", 2),
        ] {
            assert_eq!(distance(one, other), far, "{one} {other}");
        }
    }
}
