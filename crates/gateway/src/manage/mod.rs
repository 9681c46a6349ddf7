//! What operators and customers do to the place: one function for the command line, the API and the console.

pub(crate) mod acts;
pub(crate) mod aliases;
pub(crate) mod key_fields;
pub(crate) mod keys;
pub(crate) mod limits;
pub(crate) mod organizations;
pub(crate) mod own_keys;
pub(crate) mod people;

/// A text that stands in a list or in the books.
pub(crate) fn one_line(text: &str, longest: usize) -> Result<String, String> {
    if text.chars().count() > longest || text.chars().any(char::is_control) {
        return Err(format!("expected at most {longest} characters on one line"));
    }
    Ok(text.to_owned())
}
