//! Persons: what they may be called.

/// A name that survives a header, a shell and a file name.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-@+".contains(c);
    if text.is_empty() || text.len() > 100 || !text.chars().all(plain) {
        return Err("expected 1 to 100 letters, digits and . _ - @ +".to_owned());
    }
    // In an address they stand for another.
    if matches!(text, "." | "..") {
        return Err("expected a name, not . or ..".to_owned());
    }
    Ok(text.to_owned())
}
