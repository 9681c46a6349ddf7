//! What a receipt says, as the bytes that are hashed: whoever keeps receipts and whoever checks a bill hash the same.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::receipt::Receipt;
use crate::scope::encode_scopes;
use crate::usage::{Meter, UsageReport};
use crate::usd::Usd;

/// Everything that a receipt says, in the order in which it is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content<'a> {
    /// Request, account, user, key.
    pub ids: [Uuid; 4],
    /// Surface, provider, model, the report as it is stored, who reported, how it ended.
    pub texts: [&'a str; 6],
    /// The model served, the provider's id.
    pub optional: [Option<&'a str>; 2],
    /// Attempt, price version, commission in basis points, the six [`Counters`], cost, commission, charge, start, end.
    pub numbers: [i64; 14],
    /// What was held for it.
    pub held: Held<'a>,
}

/// What a receipt says of its hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held<'a> {
    /// What the house pays.
    pub absorbed: i64,
    /// The most that could be charged.
    pub bound: Option<i64>,
    /// Where it was held, as [`encode_scopes`] writes it.
    pub scopes: Option<Cow<'a, [u8]>>,
}

/// The sums of a report that are kept beside it.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// All prompt tokens.
    pub input_tokens: i64,
    /// All generated tokens.
    pub output_tokens: i64,
    /// Prompt tokens read from a cache.
    pub cache_read: i64,
    /// Prompt tokens written to the ordinary cache.
    pub cache_write_5m: i64,
    /// Prompt tokens written to the 1-hour cache.
    pub cache_write_1h: i64,
    /// Thinking tokens.
    pub reasoning: i64,
}

impl Counters {
    /// Those of a report; `None` where one of them fits no column.
    pub fn of(report: &UsageReport) -> Option<Self> {
        let total = report.total();
        let fit = |count: u64| i64::try_from(count).ok();
        Some(Self {
            input_tokens: fit(total.input_tokens())?,
            output_tokens: fit(total.output_tokens())?,
            cache_read: fit(total.get(Meter::CacheRead))?,
            cache_write_5m: fit(total.get(Meter::CacheWrite5m))?,
            cache_write_1h: fit(total.get(Meter::CacheWrite1h))?,
            reasoning: fit(total.get(Meter::Reasoning))?,
        })
    }
}

impl<'a> Content<'a> {
    /// What `receipt` says, with its report as the text that is stored. `None` where a counter fits no column.
    pub fn of(receipt: &'a Receipt, report: &'a str) -> Option<Self> {
        let counters = Counters::of(&receipt.report)?;
        Some(Self {
            ids: [receipt.request_id, receipt.account_id, receipt.user_id, receipt.key_id],
            texts: [
                &receipt.surface,
                &receipt.provider,
                &receipt.model,
                report,
                receipt.usage_source.name(),
                receipt.outcome.name(),
            ],
            optional: [receipt.model_served.as_deref(), receipt.upstream_id.as_deref()],
            numbers: [
                receipt.attempt.into(),
                receipt.price_version,
                receipt.commission_bps.into(),
                counters.input_tokens,
                counters.output_tokens,
                counters.cache_read,
                counters.cache_write_5m,
                counters.cache_write_1h,
                counters.reasoning,
                receipt.cost.pico(),
                receipt.commission.pico(),
                receipt.charge.pico(),
                receipt.started_at,
                receipt.ended_at,
            ],
            held: Held {
                absorbed: receipt.absorbed.pico(),
                bound: receipt.bound.map(Usd::pico),
                scopes: encode_scopes(&receipt.scopes).map(Cow::Owned),
            },
        })
    }

    /// SHA-256 of it. Each text is preceded by its length, so that no two receipts are the same bytes.
    pub fn hash(&self) -> [u8; 32] {
        let mut bytes = Vec::with_capacity(1024);
        for id in self.ids {
            bytes.extend_from_slice(id.as_bytes());
        }
        let mut text = |text: Option<&str>| {
            let len = text.map_or(u64::MAX, |text| text.len() as u64);
            bytes.extend_from_slice(&len.to_le_bytes());
            bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
        };
        self.texts.iter().for_each(|value| text(Some(value)));
        self.optional.iter().for_each(|value| text(*value));
        for value in self.numbers {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        // What was written before there were holds has none of these, and keeps its hash.
        if self.held != Held::default() {
            let Held { absorbed, bound, scopes } = &self.held;
            bytes.extend_from_slice(&absorbed.to_le_bytes());
            bytes.extend_from_slice(&bound.unwrap_or(-1).to_le_bytes());
            bytes.extend_from_slice(scopes.as_deref().unwrap_or_default());
        }
        Sha256::digest(&bytes).into()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{Content, Counters};
    use crate::hex::to_hex;
    use crate::receipt::{Outcome, Receipt, UsageSource};
    use crate::usage::{Meter, Usage, UsageReport};
    use crate::usd::Usd;

    /// Worked out by another program from the description above: rows that are years old must keep their hash.
    #[test]
    fn the_hash_stays_what_it_is() {
        let usage = Usage::of(&[(Meter::Input, 10), (Meter::CacheRead, 2), (Meter::Output, 5)]);
        let [request_id, account_id, user_id, key_id] = [1, 2, 3, 4].map(Uuid::from_u128);
        let receipt = Receipt {
            request_id,
            attempt: 1,
            account_id,
            user_id,
            key_id,
            surface: "native".to_owned(),
            provider: "openai".to_owned(),
            model: "gpt-4o".to_owned(),
            model_served: Some("naïve".to_owned()),
            upstream_id: None,
            price_version: 7,
            commission_bps: 500,
            report: UsageReport::single(usage),
            usage_source: UsageSource::Provider,
            outcome: Outcome::Ok,
            cost: Usd::from_pico(100),
            commission: Usd::from_pico(5),
            charge: Usd::from_pico(105),
            absorbed: Usd::ZERO,
            bound: None,
            scopes: Vec::new(),
            started_at: 1_000,
            ended_at: 2_000,
        };
        let report = "{\"passes\":[{\"usage\":{\"input\":10,\"cache_read\":2,\"output\":5}}],\
                      \"service_tier\":\"standard\",\"fast\":false,\"region\":\"global\",\"inconsistent\":false}";
        assert_eq!(serde_json::to_string(&receipt.report).unwrap(), report);
        let content = Content::of(&receipt, report).unwrap();
        let hash = "a267e2249b5acd24d924aa2a0031246ce9b704d0d6ec9f48ee798531ff279fab";
        assert_eq!(to_hex(&content.hash()), hash);
    }

    #[test]
    fn counters_that_fit_no_column_are_none() {
        let report = |count| UsageReport::single(Usage::of(&[(Meter::Output, count)]));
        let most = i64::MAX.unsigned_abs();
        assert_eq!(Counters::of(&report(most)).map(|c| c.output_tokens), Some(i64::MAX));
        assert_eq!(Counters::of(&report(most + 1)), None);
    }
}
