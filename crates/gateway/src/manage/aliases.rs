//! Other names for models.

use ledger::Catalogue;

use crate::providers;
use crate::routing::quoted;

const LONGEST: usize = 128;

/// What another name may be.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'*';
    let fits = !text.is_empty() && text.len() <= LONGEST && text.bytes().all(plain);
    if !fits || text.starts_with("models/") {
        return Err(format!(
            "expected 1 to {LONGEST} visible ASCII characters without *, and not models/… in front"
        ));
    }
    Ok(text.to_owned())
}

/// The id of the model that is meant.
pub(crate) fn model(catalogue: &Catalogue, id: &str) -> Result<String, String> {
    known(catalogue, id).ok_or_else(|| {
        format!("{} is not in the price list; expected an id such as openai/gpt-4o", quoted(id))
    })
}

/// The id of a model of the price list, where it is one.
pub(crate) fn known(catalogue: &Catalogue, id: &str) -> Option<String> {
    let (provider, model) = id.split_once('/')?;
    let provider = providers::canonical(provider);
    catalogue.get(provider, model).map(|_| format!("{provider}/{model}"))
}

/// Whether a name is free: a model's own never means another.
pub(crate) fn check(catalogue: &Catalogue, alias: &str) -> Result<(), String> {
    let own = catalogue.providers_of(alias).next().is_some() || model(catalogue, alias).is_ok();
    if own {
        return Err(format!("{} is a model's own name", quoted(alias)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn names() {
        assert!(name("fast").is_ok() && name("my/own:thing@1").is_ok());
        for bad in ["", "a b", "openai/*", "models/x", "schnell-ü", &"x".repeat(129)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }
}
