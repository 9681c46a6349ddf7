//! Price versions: immutable sets of models and prices.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use ledger::{
    Catalogue, Condition, Meter, Model, ModelPrice, Multipliers, Rates, ServiceTier, Tariff,
    UnitPrice,
};
use sqlx::query::Query;
use sqlx::{Database, Encode, Type};

use crate::covered::Covered;
use crate::engine::{Conn, Sql};
use crate::insert::Insert;
use crate::{Store, StoreError};

/// `valid_from` of a tariff that is valid from the beginning: a primary key holds no NULL.
const FROM_THE_BEGINNING: i64 = i64::MIN;
/// The meter, or the tier, of a row that stands for an empty list.
const NOTHING: &str = "";

/// A price version.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct PriceVersion {
    /// Its number, from 1.
    pub id: i64,
    /// SHA-256 of the file it was read from, in hexadecimal.
    pub sha256: String,
    /// Where it comes from.
    pub source: String,
    /// What the operator says of it.
    pub note: String,
    /// Microseconds since 1970.
    pub created_at: i64,
    /// How many models it has.
    pub models: i64,
}

#[derive(sqlx::FromRow)]
struct ModelRow {
    provider: String,
    model: String,
    info: String,
    long_context_above: Option<i64>,
    off_peak: String,
    fast_bps: Option<i64>,
    us_bps: Option<i64>,
    eu_bps: Option<i64>,
}

#[derive(Clone, sqlx::FromRow)]
struct PriceRow {
    provider: String,
    model: String,
    valid_from: i64,
    service_tier: String,
    long_context: bool,
    off_peak: bool,
    meter: String,
    tariff: i64,
    rate: i64,
    unit_price: i64,
}

const EXISTING: Sql = sql!("SELECT id FROM tollgate.price_versions WHERE sha256 = $1");
const NEXT: Sql = sql!("SELECT COALESCE(MAX(id), 0) + 1 FROM tollgate.price_versions");
const INSERT: Sql = sql!(
    "INSERT INTO tollgate.price_versions (id, sha256, source, note, created_at, models) ",
    "VALUES ($1, $2, $3, $4, $5, $6)"
);
const VERSIONS: Sql = sql!(
    "SELECT id, sha256, source, note, created_at, models FROM tollgate.price_versions ORDER BY id"
);
const LATEST: Sql = sql!(
    "SELECT id, sha256, source, note, created_at, models FROM tollgate.price_versions ",
    "ORDER BY id DESC LIMIT 1"
);
const VERSION: Sql = sql!("SELECT models FROM tollgate.price_versions WHERE id = $1");
const MODELS: Sql = sql!(
    "SELECT provider, model, info, long_context_above, off_peak, fast_bps, us_bps, eu_bps ",
    "FROM tollgate.models WHERE version_id = $1"
);
const PRICES: Sql = sql!(
    "SELECT provider, model, valid_from, service_tier, long_context, off_peak, meter, tariff, rate, ",
    "unit_price FROM tollgate.prices WHERE version_id = $1 ORDER BY provider, model, tariff, rate"
);

pub(crate) fn insert_models() -> Insert {
    let columns =
        "version_id, provider, model, info, long_context_above, off_peak, fast_bps, us_bps, eu_bps";
    Insert::new(sql!("INSERT INTO tollgate.models"), columns, "")
}

pub(crate) fn insert_prices() -> Insert {
    let columns = "version_id, provider, model, valid_from, service_tier, long_context, off_peak, meter, tariff, \
                   rate, unit_price, free";
    Insert::new(sql!("INSERT INTO tollgate.prices"), columns, "")
}

impl Store {
    /// Adds a price version and returns its number; where there is one of that very content, the number of that one.
    /// `sha256` is of the file that the catalogue was read from.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] where a model names the same moment, condition and meter twice.
    pub async fn add_price_version(
        &self,
        source: &str,
        note: &str,
        sha256: &str,
        catalogue: &Catalogue,
        at: i64,
    ) -> Result<i64, StoreError> {
        let models = catalogue.models().map(ModelRow::of).collect::<Result<Vec<_>, _>>()?;
        let prices = catalogue.models().map(price_rows).collect::<Result<Vec<_>, _>>()?.concat();
        let mut conn = self.begin_act().await?;
        let existing: Option<(i64,)> =
            on!(conn, EXISTING => _, (q, c) => q.bind(sha256).fetch_optional(c).await)?;
        if let Some((id,)) = existing {
            return Ok(id);
        }
        let (id,): (i64,) = on!(conn, NEXT => _, (q, c) => q.fetch_one(c).await)?;
        let count = i64::try_from(models.len()).unwrap_or(i64::MAX);
        on!(conn, INSERT, (q, c) => {
            let q = q.bind(id).bind(sha256).bind(source).bind(note).bind(at).bind(count);
            q.execute(c).await.map(drop)
        })?;
        self.write_models(&mut conn, id, &models).await?;
        self.write_prices(&mut conn, id, &prices).await?;
        let detail = serde_json::json!({ "source": source, "models": count });
        let (target, row) = (format!("prices {id}"), [Covered::Prices(id)]);
        self.wrote(&mut conn, "prices.import", &target, &detail, &row).await?;
        conn.commit().await?;
        Ok(id)
    }

    async fn write_models(
        &self,
        conn: &mut Conn,
        version: i64,
        mut rows: &[ModelRow],
    ) -> Result<(), StoreError> {
        while let Some(chunk) = self.inserts.models.chunk(rows.len()) {
            let (now, later) = rows.split_at(chunk.rows);
            on!(*conn, chunk, (q, c) => {
                let q = now.iter().fold(q, |q, row| row.bind(version, q));
                q.execute(c).await.map(drop)
            })?;
            rows = later;
        }
        Ok(())
    }

    async fn write_prices(
        &self,
        conn: &mut Conn,
        version: i64,
        mut rows: &[PriceRow],
    ) -> Result<(), StoreError> {
        while let Some(chunk) = self.inserts.prices.chunk(rows.len()) {
            let (now, later) = rows.split_at(chunk.rows);
            on!(*conn, chunk, (q, c) => {
                let q = now.iter().fold(q, |q, row| row.bind(version, q));
                q.execute(c).await.map(drop)
            })
            .map_err(|error| StoreError::or_duplicate(error, "price"))?;
            rows = later;
        }
        Ok(())
    }

    /// All price versions, oldest first.
    pub async fn price_versions(&self) -> Result<Vec<PriceVersion>, StoreError> {
        let mut conn = self.read().await?;
        Ok(on!(conn, VERSIONS => _, (q, c) => q.fetch_all(c).await)?)
    }

    /// The newest price version, if there is any.
    pub async fn latest_price_version(&self) -> Result<Option<PriceVersion>, StoreError> {
        let mut conn = self.read().await?;
        Ok(on!(conn, LATEST => _, (q, c) => q.fetch_optional(c).await)?)
    }

    /// The catalogue of a price version, exactly as it was written.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such version, [`StoreError::Corrupt`] where it is not whole.
    pub async fn catalogue(&self, version: i64) -> Result<Catalogue, StoreError> {
        let mut conn = self.read().await?;
        let known: Option<(i64,)> =
            on!(conn, VERSION => _, (q, c) => q.bind(version).fetch_optional(c).await)?;
        let (count,) = known.ok_or(StoreError::NotFound { what: "price version" })?;
        let corrupt = |what: &str| StoreError::corrupt(format!("price version {version}: {what}"));
        // Row by row: all of them at once are more than everything that is kept of them.
        let mut tariffs = Tariffs::default();
        on!(conn, PRICES => PriceRow, (q, c) => {
            let mut rows = q.bind(version).fetch(c);
            while let Some(row) = rows.try_next().await? {
                tariffs.add(&row).ok_or_else(|| corrupt(&row.model))?;
            }
            Ok::<_, StoreError>(())
        })?;
        let mut catalogue = Catalogue::default();
        on!(conn, MODELS => ModelRow, (q, c) => {
            let mut rows = q.bind(version).fetch(c);
            while let Some(row) = rows.try_next().await? {
                let (tariffs, name) = (tariffs.take(&row), row.model.clone());
                catalogue.insert(row.model(tariffs).ok_or_else(|| corrupt(&name))?);
            }
            Ok::<_, StoreError>(())
        })?;
        if i64::try_from(catalogue.len()) != Ok(count) {
            return Err(corrupt("models are missing"));
        }
        Ok(catalogue)
    }
}

/// The tariffs of each model, by provider and name.
#[derive(Default)]
struct Tariffs(BTreeMap<(String, String), Vec<Tariff>>);

impl Tariffs {
    /// `None` where the row says nothing known.
    fn add(&mut self, row: &PriceRow) -> Option<()> {
        let key = (row.provider.clone(), row.model.clone());
        // Most models have one price; a vector that grows by itself begins with room for four.
        row.add_to(self.0.entry(key).or_insert_with(|| Vec::with_capacity(1)))
    }

    fn take(&mut self, row: &ModelRow) -> Vec<Tariff> {
        let mut tariffs =
            self.0.remove(&(row.provider.clone(), row.model.clone())).unwrap_or_default();
        // They stay as long as the catalogue, and there are hundreds of them.
        for tariff in &mut tariffs {
            tariff.rates.shrink_to_fit();
        }
        tariffs
    }
}

impl ModelRow {
    fn of(model: &Model) -> Result<Self, StoreError> {
        let Multipliers { fast, us, eu } = model.price.multipliers;
        let text = |json: serde_json::Result<String>| {
            json.map_err(|_| StoreError::OutOfRange { what: "description of a model" })
        };
        let above = model.price.long_context_above.map(i64::try_from).transpose();
        Ok(Self {
            provider: model.provider.clone(),
            model: model.name.clone(),
            info: text(serde_json::to_string(&model.info))?,
            long_context_above: above
                .map_err(|_| StoreError::OutOfRange { what: "long_context_above" })?,
            off_peak: text(serde_json::to_string(&model.price.off_peak))?,
            fast_bps: fast.map(i64::from),
            us_bps: us.map(i64::from),
            eu_bps: eu.map(i64::from),
        })
    }

    fn bind<'q, DB: Database>(
        &self,
        version: i64,
        query: Query<'q, DB, DB::Arguments>,
    ) -> Query<'q, DB, DB::Arguments>
    where
        String: Encode<'q, DB> + Type<DB>,
        i64: Encode<'q, DB> + Type<DB>,
        Option<i64>: Encode<'q, DB> + Type<DB>,
    {
        let query = query.bind(version).bind(self.provider.clone()).bind(self.model.clone());
        let query = query.bind(self.info.clone()).bind(self.long_context_above);
        let query = query.bind(self.off_peak.clone());
        query.bind(self.fast_bps).bind(self.us_bps).bind(self.eu_bps)
    }

    fn model(self, tariffs: Vec<Tariff>) -> Option<Model> {
        let factor = |bps: Option<i64>| bps.map(u32::try_from).transpose().ok();
        let multipliers = Multipliers {
            fast: factor(self.fast_bps)?,
            us: factor(self.us_bps)?,
            eu: factor(self.eu_bps)?,
        };
        Some(Model {
            info: serde_json::from_str(&self.info).ok()?,
            price: ModelPrice {
                tariffs,
                long_context_above: self.long_context_above.map(u64::try_from).transpose().ok()?,
                off_peak: serde_json::from_str(&self.off_peak).ok()?,
                multipliers,
            },
            provider: self.provider,
            name: self.model,
        })
    }
}

/// The price rows of a model. An empty list has a row of its own, since what is absent is refused and what is empty on
/// purpose must come back as such.
fn price_rows(model: &Model) -> Result<Vec<PriceRow>, StoreError> {
    let mut rows = Vec::new();
    for (tariff, of_tariff) in (0..).zip(&model.price.tariffs) {
        if of_tariff.valid_from == Some(FROM_THE_BEGINNING) {
            return Err(StoreError::OutOfRange { what: "valid_from" });
        }
        let row =
            |rate, tier: &str, condition: &Condition, meter: &str, price: UnitPrice| PriceRow {
                provider: model.provider.clone(),
                model: model.name.clone(),
                valid_from: of_tariff.valid_from.unwrap_or(FROM_THE_BEGINNING),
                service_tier: tier.to_owned(),
                long_context: condition.long_context,
                off_peak: condition.off_peak,
                meter: meter.to_owned(),
                tariff,
                rate,
                unit_price: price.pico(),
            };
        let free = UnitPrice::FREE;
        if of_tariff.rates.is_empty() {
            rows.push(row(0, NOTHING, &Condition::default(), NOTHING, free));
        }
        for (rate, (condition, rates)) in (0..).zip(&of_tariff.rates) {
            let tier = condition.service_tier.name();
            if rates.is_empty() {
                rows.push(row(rate, tier, condition, NOTHING, free));
            }
            let priced = rates.entries();
            rows.extend(
                priced.map(|(meter, price)| row(rate, tier, condition, meter.name(), price)),
            );
        }
    }
    Ok(rows)
}

impl PriceRow {
    fn bind<'q, DB: Database>(
        &self,
        version: i64,
        query: Query<'q, DB, DB::Arguments>,
    ) -> Query<'q, DB, DB::Arguments>
    where
        String: Encode<'q, DB> + Type<DB>,
        i64: Encode<'q, DB> + Type<DB>,
        bool: Encode<'q, DB> + Type<DB>,
    {
        let query = query.bind(version).bind(self.provider.clone()).bind(self.model.clone());
        let query = query.bind(self.valid_from).bind(self.service_tier.clone());
        let query = query.bind(self.long_context).bind(self.off_peak).bind(self.meter.clone());
        let query = query.bind(self.tariff).bind(self.rate).bind(self.unit_price);
        query.bind(self.unit_price == 0)
    }

    /// Adds what this row says to the tariffs of its model; rows come in the order of their places. `None` where it
    /// says nothing known.
    fn add_to(&self, tariffs: &mut Vec<Tariff>) -> Option<()> {
        let valid_from = Some(self.valid_from).filter(|from| *from != FROM_THE_BEGINNING);
        let (tariff, rate) = (usize::try_from(self.tariff).ok()?, usize::try_from(self.rate).ok()?);
        if tariff == tariffs.len() {
            tariffs.push(Tariff { valid_from, rates: Vec::with_capacity(1) });
        }
        let rates = &mut tariffs.get_mut(tariff).filter(|t| t.valid_from == valid_from)?.rates;
        if self.service_tier == NOTHING {
            return Some(());
        }
        let condition = Condition {
            service_tier: ServiceTier::from_name(&self.service_tier)?,
            long_context: self.long_context,
            off_peak: self.off_peak,
        };
        if rate == rates.len() {
            rates.push((condition, Rates::default()));
        }
        let (_, rates) = rates.get_mut(rate).filter(|(known, _)| *known == condition)?;
        if self.meter != NOTHING {
            rates.set(Meter::from_name(&self.meter)?, UnitPrice::from_pico(self.unit_price)?);
        }
        Some(())
    }
}
