//! What a request weighs, before it is read: how many values it has, and how much memory it takes to read and write it again.

/// Bytes of memory for each byte of a request, and for each of its values: while it is read or written…
const PEAK: (u64, u64) = (7, 768);
/// … and from then on, for its canonical form and what was written.
const KEPT: (u64, u64) = (3, 256);

/// How many values a JSON text has, names not counted. Of what is no JSON it counts something, in one pass without memory.
pub fn values(text: &[u8]) -> u64 {
    let (mut count, mut rest) = (1, text);
    while let Some((byte, after)) = rest.split_first() {
        rest = match byte {
            b'"' => behind_text(after),
            b',' | b'{' | b'[' => {
                count += 1;
                after
            }
            _ => after,
        };
    }
    count
}

fn behind_text(mut rest: &[u8]) -> &[u8] {
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
        let is_end = rest.get(at) == Some(&b'"');
        // Behind a backslash stands one byte that means nothing by itself.
        rest = rest.get(at + if is_end { 1 } else { 2 }..).unwrap_or_default();
        if is_end {
            return rest;
        }
    }
    &[]
}

/// The most memory, in bytes, that it takes to read a request of so many bytes and values into the canonical form and to
/// write it in another dialect.
pub fn peak(bytes: u64, values: u64) -> u64 {
    taken(PEAK, bytes, values)
}

/// What is left of that where both forms are kept.
pub fn kept(bytes: u64, values: u64) -> u64 {
    taken(KEPT, bytes, values)
}

fn taken((byte, value): (u64, u64), bytes: u64, values: u64) -> u64 {
    bytes.saturating_mul(byte).saturating_add(values.saturating_mul(value))
}

#[cfg(test)]
mod tests {
    use super::values;

    #[test]
    fn values_are_counted_and_texts_passed_over() {
        for (text, count) in [
            ("", 1),
            ("{}", 2),
            (r#"{"a":[0,0,0],"b,[{":"x,\",{[\\"}"#, 6),
            (r#"{"a":"\\","b":1}"#, 3),
            (r#"{"a":"open,,,"#, 2),
            (r#""\"#, 1),
        ] {
            assert_eq!(values(text.as_bytes()), count, "{text}");
        }
    }
}
