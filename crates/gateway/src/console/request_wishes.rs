//! What the address of `/requests` asks for: which of the account's receipts, in which order, from where on.

use ledger::{Outcome, parse_date};
use store::{Cursor, Ended, ReceiptFilter, ReceiptOrder, ReceiptPlace, Size};
use uuid::Uuid;

use super::html::{self, Head, SortLink};
use super::page::{DAY, Desk, missing, query};
use super::requests::Pick;
use crate::problem::Problem;
use crate::telemetry::SURFACES;
use crate::web::Call;

/// Receipts within the chosen days that are read to sort them by size.
pub(super) const MOST_SORTED: i64 = 10_000;

/// The orders, as `sort=` has them, and as they are called.
const ORDERS: [(&str, &str, ReceiptOrder); 8] = [
    ("-time", "newest first", ReceiptOrder::Newest),
    ("time", "oldest first", ReceiptOrder::Oldest),
    ("-charge", "largest charge first", ReceiptOrder::Largest(Size::Charge)),
    ("charge", "smallest charge first", ReceiptOrder::Smallest(Size::Charge)),
    ("-input", "most tokens in first", ReceiptOrder::Largest(Size::Input)),
    ("input", "fewest tokens in first", ReceiptOrder::Smallest(Size::Input)),
    ("-output", "most tokens out first", ReceiptOrder::Largest(Size::Output)),
    ("output", "fewest tokens out first", ReceiptOrder::Smallest(Size::Output)),
];

/// What stands above the columns, and by which order the list goes by them.
const HEADS: [(&str, &str); 7] = [
    ("When", "time"),
    ("Model", ""),
    ("Key", ""),
    ("Tokens in", "input"),
    ("Tokens out", "output"),
    ("Charge", "charge"),
    ("", ""),
];

/// How requests end, as `outcome=` has it.
const OUTCOMES: [(Ended, &str); 7] = [
    (Ended::Badly, "anything but an answer"),
    (Ended::With(Outcome::Ok), "answered"),
    (Ended::With(Outcome::ClientGone), "hung up"),
    (Ended::With(Outcome::UpstreamFailed), "provider failed"),
    (Ended::With(Outcome::Failed), "no answer"),
    (Ended::With(Outcome::Crashed), "broke off"),
    (Ended::With(Outcome::Unpriced), "no price"),
];

/// What is asked for.
pub(super) struct Wishes {
    pub(super) filter: ReceiptFilter,
    pub(super) order: ReceiptOrder,
    pub(super) after: Option<ReceiptPlace>,
    /// `provider/model`, `provider/`, or nothing.
    pub(super) item: String,
    /// Days, as they were typed.
    pub(super) from: String,
    pub(super) to: String,
    /// That request alone: as it was typed, and its id, which is nobody's where it is none.
    pub(super) id_text: String,
    pub(super) id: Option<Uuid>,
}

impl Wishes {
    /// Of the account's receipts, those that this person may see.
    pub(super) fn of(call: &Call, desk: &Desk) -> Result<Self, Problem> {
        desk.keys()?;
        let text = |name: &str| query(call, name).unwrap_or_default();
        let key = query(call, "key").map(|text| text.parse::<Uuid>().map_err(|_| missing()));
        let id = query(call, "id").map(|text| text.parse().unwrap_or_default());
        let (item, from, to) = (text("model"), text("from"), text("to"));
        let (provider, model) = item.split_once('/').unwrap_or((&item, ""));
        let filter = ReceiptFilter {
            account_id: desk.account,
            user_id: (!desk.sees_all()).then_some(desk.person.id),
            key_id: key.transpose()?,
            provider: provider.to_owned(),
            model: model.to_owned(),
            surface: text("surface"),
            ended: ended(&text("outcome"))?,
            from: day("from", &from)?,
            // The last day is one of them.
            to: day("to", &to)?.map(|at| at.saturating_add(DAY)),
        };
        let after =
            query(call, "after").map(|text| place(&text).ok_or_else(missing)).transpose()?;
        let (order, id_text) = (order(&text("sort"))?, text("id"));
        Ok(Self { filter, order, after, item, from, to, id_text, id })
    }

    pub(super) fn by_size(&self) -> bool {
        matches!(self.order, ReceiptOrder::Largest(_) | ReceiptOrder::Smallest(_))
    }

    /// By time instead, from the beginning.
    pub(super) fn by_time(&mut self) {
        (self.order, self.after) = (ReceiptOrder::Newest, None);
    }

    /// Whether anything is left out.
    pub(super) fn is_narrow(&self) -> bool {
        let all = ReceiptFilter {
            account_id: self.filter.account_id,
            user_id: self.filter.user_id,
            ..ReceiptFilter::default()
        };
        self.id.is_some() || self.filter != all
    }

    pub(super) fn order_text(&self) -> &'static str {
        self.named().1
    }

    fn named(&self) -> (&'static str, &'static str, ReceiptOrder) {
        ORDERS.into_iter().find(|(.., order)| *order == self.order).unwrap_or(ORDERS[0])
    }

    pub(super) fn orders(&self) -> Vec<Pick> {
        let pick = |(value, label, order): &(&str, &str, ReceiptOrder)| Pick {
            value: (*value).to_owned(),
            label: (*label).to_owned(),
            selected: *order == self.order,
        };
        ORDERS.iter().map(pick).collect()
    }

    /// What stands above the columns. What is largest or latest comes first, and last once more.
    pub(super) fn heads(&self) -> Vec<Head> {
        let (sorted, falls) = match self.named().0.strip_prefix('-') {
            Some(word) => (word, true),
            None => (self.named().0, false),
        };
        let head = |(name, word): (&'static str, &'static str)| {
            let is_current = !word.is_empty() && word == sorted;
            let sort = if is_current && falls { word.to_owned() } else { format!("-{word}") };
            let link = (!word.is_empty()).then(|| SortLink {
                href: self.address_by(&sort, "", None),
                id: format!("list-by-{word}"),
            });
            let order = html::order(is_current, falls);
            let numeric = !matches!(word, "" | "time");
            Head { name, numeric, link, order, ..Head::default() }
        };
        HEADS.map(head).to_vec()
    }

    /// Where the same is shown, or kept as a sheet, from a place on.
    pub(super) fn address(&self, format: &str, after: Option<&ReceiptPlace>) -> String {
        self.address_by(self.named().0, format, after)
    }

    fn address_by(&self, sort: &str, format: &str, after: Option<&ReceiptPlace>) -> String {
        let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        let sort = if sort == ORDERS[0].0 { "" } else { sort };
        let pairs = [
            ("from", self.from.clone()),
            ("to", self.to.clone()),
            ("model", self.item.clone()),
            ("key", id(self.filter.key_id)),
            ("outcome", outcome_word(self.filter.ended).to_owned()),
            ("surface", self.filter.surface.clone()),
            ("id", self.id_text.clone()),
            ("sort", sort.to_owned()),
            ("format", format.to_owned()),
            ("after", after.map(written).unwrap_or_default()),
        ];
        let pairs: Vec<_> = pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let query = serde_urlencoded::to_string(pairs).unwrap_or_default();
        if query.is_empty() { "/requests".to_owned() } else { format!("/requests?{query}") }
    }
}

fn order(text: &str) -> Result<ReceiptOrder, Problem> {
    if text.is_empty() {
        return Ok(ReceiptOrder::default());
    }
    let found = ORDERS.iter().find(|(word, ..)| *word == text).map(|(.., order)| *order);
    found.ok_or_else(|| {
        let words: Vec<_> = ORDERS.iter().map(|(word, ..)| *word).collect();
        Problem::bad_request(format!("sort: there are {}", words.join(", ")))
    })
}

const fn outcome_word(ended: Ended) -> &'static str {
    match ended {
        Ended::Anyhow => "",
        Ended::Badly => "trouble",
        Ended::With(outcome) => outcome.name(),
    }
}

fn ended(text: &str) -> Result<Ended, Problem> {
    match text {
        "" => Ok(Ended::Anyhow),
        "trouble" => Ok(Ended::Badly),
        name => Outcome::from_name(name)
            .map(Ended::With)
            .ok_or_else(|| Problem::bad_request("outcome: requests do not end like that")),
    }
}

pub(super) fn outcomes(chosen: Ended) -> Vec<Pick> {
    let pick = |(ended, label): &(Ended, &str)| Pick {
        value: outcome_word(*ended).to_owned(),
        label: (*label).to_owned(),
        selected: *ended == chosen,
    };
    OUTCOMES.iter().map(pick).collect()
}

pub(super) fn surfaces(chosen: &str) -> Vec<Pick> {
    let known = SURFACES.contains(&chosen) || chosen.is_empty();
    let all = SURFACES.into_iter().chain((!known).then_some(chosen));
    let pick = |surface: &str| Pick {
        value: surface.to_owned(),
        label: surface.replace('_', " "),
        selected: surface == chosen,
    };
    all.map(pick).collect()
}

fn day(field: &str, text: &str) -> Result<Option<i64>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    parse_date(text)
        .map(Some)
        .ok_or_else(|| Problem::bad_request(format!("{field}: expected a day such as 2026-11-30")))
}

/// A place in the list, as an address has it.
fn written(place: &ReceiptPlace) -> String {
    let ReceiptPlace { size, at: Cursor { started_at, request_id, attempt } } = place;
    let id = request_id.simple();
    if *size == 0 {
        format!("{started_at}.{id}.{attempt}")
    } else {
        format!("{started_at}.{id}.{attempt}.{size}")
    }
}

fn place(text: &str) -> Option<ReceiptPlace> {
    let mut parts = text.splitn(4, '.');
    let at = Cursor {
        started_at: parts.next()?.parse().ok()?,
        request_id: parts.next()?.parse().ok()?,
        attempt: parts.next()?.parse().ok()?,
    };
    let size = parts.next().map_or(Some(0), |text| text.parse().ok())?;
    Some(ReceiptPlace { size, at })
}

#[cfg(test)]
mod tests {
    use store::{Cursor, ReceiptPlace};
    use uuid::Uuid;

    use super::{ORDERS, order, outcomes, place, written};

    #[test]
    fn a_place_in_the_list_survives_an_address() {
        let at = Cursor {
            started_at: 1_795_000_000_000_001,
            request_id: Uuid::from_u128(7),
            attempt: 2,
        };
        for size in [0, 1, i64::MAX] {
            let whole = ReceiptPlace { size, at };
            assert_eq!(place(&written(&whole)), Some(whole));
        }
        for text in [
            "",
            "1",
            "1.x.2",
            "1.00000000000000000000000000000007",
            "a.b.c",
            "1.00000000000000000000000000000007.2.x",
        ] {
            assert_eq!(place(text), None, "{text}");
        }
    }

    #[test]
    fn every_order_and_every_outcome_has_a_word() {
        for (word, _, meant) in ORDERS {
            assert_eq!(order(word).ok(), Some(meant));
        }
        assert!(order("colour").is_err());
        for pick in outcomes(store::Ended::Anyhow) {
            assert!(super::ended(&pick.value).is_ok_and(|ended| ended != store::Ended::Anyhow));
        }
    }
}
