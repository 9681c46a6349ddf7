//! Samples of stacks, as `perf script` writes them, added up into a tree.

use std::collections::BTreeMap;

/// A function, and what was called in it.
#[derive(Default)]
pub(super) struct Stacks {
    /// In how many samples it was there.
    total: u64,
    below: BTreeMap<String, Self>,
}

impl Stacks {
    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn below(&self) -> impl Iterator<Item = (&str, &Self)> {
        self.below.iter().map(|(name, stacks)| (name.as_str(), stacks))
    }

    /// The stack without what nearly every sample begins with: threads and the runtime.
    pub(super) fn trunk(&self) -> &Self {
        let largest = self.below.values().max_by_key(|stacks| stacks.total);
        match largest {
            Some(only) if only.total * 10 >= self.total * 9 => only.trunk(),
            _ => self,
        }
    }

    fn add(&mut self, names: impl Iterator<Item = String>) {
        self.total += 1;
        let mut place = self;
        for name in names {
            place = place.below.entry(name).or_default();
            place.total += 1;
        }
    }
}

/// Reads samples: the innermost function first, one a line, and an empty line behind each sample.
pub(super) fn read(text: &str) -> Stacks {
    let mut stacks = Stacks::default();
    let mut sample: Vec<String> = Vec::new();
    for line in text.lines().chain([""]) {
        let line = line.trim();
        if line.is_empty() {
            if !sample.is_empty() {
                stacks.add(sample.drain(..).rev());
            }
            continue;
        }
        let symbol = line.split_once(' ').map_or("", |(_, symbol)| symbol.trim());
        let name = short(symbol);
        // What has no name is of no use, and neither is a function that is there twice, once for its inner part.
        if !name.is_empty() && sample.last() != Some(&name) {
            sample.push(name);
        }
    }
    stacks
}

/// A function's name without its hash and its parameters: `gateway::pipeline::run`.
fn short(symbol: &str) -> String {
    if symbol.starts_with('[') {
        return String::new();
    }
    let is_hash = |end: &str| end.len() == 16 && end.bytes().all(|byte| byte.is_ascii_hexdigit());
    let symbol = match symbol.rsplit_once("::h") {
        Some((name, end)) if is_hash(end) => name,
        _ => symbol,
    };
    let symbol = symbol.replace("{{closure}}", "{closure}").replace("::{closure}", "");
    let symbol = owner(&symbol);
    let (mut name, mut depth) = (String::new(), 0_u32);
    for letter in symbol.replace("->", "").chars() {
        match letter {
            '<' | '(' => depth += 1,
            '>' | ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => name.push(letter),
            _ => {}
        }
    }
    name.replace("::::", "::").trim_matches(':').trim().to_owned()
}

/// `a::Type::method` for `<a::Type as b::Trait>::method` and `<a::Type>::method`.
fn owner(symbol: &str) -> String {
    let Some(rest) = symbol.strip_prefix('<') else { return symbol.to_owned() };
    let mut depth = 1_u32;
    let end = rest.char_indices().find(|(_, letter)| {
        match letter {
            '<' => depth += 1,
            '>' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    let Some((end, _)) = end else { return symbol.to_owned() };
    let (inside, behind) = (&rest[..end], &rest[end + 1..]);
    let own = before_as(inside);
    format!("{}{behind}", owner(own.trim_start_matches(['&', '*'])))
}

/// The type of `type as Trait`, which may have such a thing in it.
fn before_as(text: &str) -> &str {
    let mut depth = 0_u32;
    let end = text.char_indices().find(|(at, letter)| {
        match letter {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && text[*at..].starts_with(" as ")
    });
    end.map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::{read, short};

    #[test]
    fn names_are_short() {
        for (symbol, expected) in [
            ("gateway::pipeline::run::h0123456789abcdef", "gateway::pipeline::run"),
            ("<a::B<c::D> as e::F<g>>::poll::h0123456789abcdef", "a::B::poll"),
            ("<a::B>::of::{{closure}}", "a::B::of"),
            ("core::ptr::drop_in_place<alloc::vec::Vec<u8>>", "core::ptr::drop_in_place"),
            ("<<a::B as c::D>::E as f::G>::h", "a::B::E::h"),
            ("__memmove_avx_unaligned_erms", "__memmove_avx_unaligned_erms"),
            ("[unknown]", ""),
        ] {
            assert_eq!(short(symbol), expected, "{symbol}");
        }
    }

    #[test]
    fn samples_become_a_tree() {
        let text =
            "\n\t 1 inner\n\t 2 outer\n\n\t 3 outer\n\n\t 1 inner\n\t 4 [unknown]\n\t 2 outer\n";
        let stacks = read(text);
        assert_eq!(stacks.total(), 3);
        let (name, outer) = stacks.below().next().unwrap();
        let (below, inner) = outer.below().next().unwrap();
        assert_eq!((name, outer.total(), below, inner.total()), ("outer", 3, "inner", 2));
        assert_eq!(stacks.trunk().total(), 3);
    }
}
