//! The price list that comes with the program, and the reading of others.

use std::path::Path;

use ledger::{Catalogue, ImportFault, Model, PriceFiles, import, to_hex};
use sha2::{Digest as _, Sha256};
use store::{Actor, Store};

use crate::providers;

const MODELS: &str = include_str!("../../../pricing/model_prices.csv");
const HISTORY: &str = include_str!("../../../pricing/price_history.csv");
const IMAGES: &str = include_str!("../../../pricing/image_prices.csv");

/// The price list in the binary.
///
/// # Errors
/// Its faults; a test sees to it that there is none.
pub(crate) fn shipped() -> Result<Catalogue, Vec<ImportFault>> {
    import(PriceFiles { models: MODELS, history: Some(HISTORY), images: Some(IMAGES) })
}

/// Writes the price list in the binary as the first version, where the store has none.
pub(crate) async fn install_shipped(store: &Store) -> anyhow::Result<()> {
    if store.latest_price_version().await?.is_none() {
        let catalogue = shipped()
            .map_err(|faults| anyhow::anyhow!("the price list in the binary: {faults:?}"))?;
        let sha256 = fingerprint(&[MODELS, HISTORY, IMAGES]);
        let note = format!("the price list of tollgate {}", env!("CARGO_PKG_VERSION"));
        let at = crate::clock::now();
        let program = Actor { id: None, name: "tollgate".to_owned(), via: "program", at };
        let store = store.by(program);
        let version = store.add_price_version("shipped", &note, &sha256, &catalogue, at).await?;
        tracing::info!(version, models = catalogue.len(), "price list installed");
    }
    Ok(())
}

/// The text of a file, or a sentence that says why not.
pub(crate) fn read_file(path: &Path) -> anyhow::Result<String> {
    let bytes =
        std::fs::read(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    String::from_utf8(bytes).map_err(|error| {
        let line = error
            .as_bytes()
            .iter()
            .take(error.utf8_error().valid_up_to())
            .filter(|b| **b == b'\n')
            .count()
            + 1;
        anyhow::anyhow!("{}: line {line} is not UTF-8 text", path.display())
    })
}

/// The SHA-256 of texts, in hexadecimal.
pub(crate) fn fingerprint(texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    to_hex(&hash.finalize())
}

/// What is wrong with prices of providers that nobody here can call; nothing where there are none.
pub(crate) fn stranger(prices: &Catalogue) -> Option<String> {
    let is_known = |model: &Model| providers::ROWS.iter().any(|row| row.name == model.provider);
    let model = prices.models().find(|model| !is_known(model))?;
    let (name, provider, names) = (&model.name, &model.provider, providers::names());
    Some(format!("{name} of {provider}: there is no such provider here; expected {names}"))
}
