//! What is said of an act for the books, where it stays for good.

/// More than a reason needs.
const LONGEST: usize = 500;

/// A few words on one line.
pub(crate) fn reason(text: &str) -> Result<String, String> {
    super::one_line(text, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn a_reason_is_short_and_on_one_line() {
        assert_eq!(reason("goodwill"), Ok("goodwill".to_owned()));
        assert!(reason(&"é".repeat(500)).is_ok());
        for text in ["é".repeat(501), "a\nb".to_owned(), "a\0".to_owned()] {
            assert!(reason(&text).is_err(), "{text:?}");
        }
    }
}
