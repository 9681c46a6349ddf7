//! A bill as pages to print. For reading: what proves it is the JSON.

use ledger::statement::{Statement, Sums};
use ledger::{sum_six_decimals, to_hex};
use pdf_writer::{Content, Finish as _, Name, Pdf, Rect, Ref, Str, TextStr};

use super::bill::sealed;
use crate::clock;

/// A4, in points.
const PAGE: (f32, f32) = (595.0, 842.0);
const LEFT: f32 = 48.0;
const RIGHT: f32 = 547.0;
const TOP: f32 = 790.0;
/// Where a page ends; the footer stands below.
const BOTTOM: f32 = 72.0;
const ROW: f32 = 17.0;

const PLAIN: Font = Font(b"F1", b"Helvetica");
const BOLD: Font = Font(b"F2", b"Helvetica-Bold");
const CODE: Font = Font(b"F3", b"Courier");

const INK: Colour = (0.10, 0.12, 0.16);
const GREY: Colour = (0.45, 0.48, 0.53);
const ACCENT: Colour = (0.09, 0.30, 0.52);
const SHADE: Colour = (0.95, 0.96, 0.98);

type Colour = (f32, f32, f32);

/// Its name in the file, and one of those that every reader has.
#[derive(Copy, Clone, PartialEq, Eq)]
struct Font(&'static [u8], &'static [u8]);

/// A column behind the model's name: its right edge, how wide it may be, and its title.
const COLUMNS: [(f32, f32, &str); 6] = [
    (228.0, 44.0, "Requests"),
    (291.0, 56.0, "Input tokens"),
    (350.0, 53.0, "Output tokens"),
    (420.0, 64.0, "Cost"),
    (480.0, 54.0, "Commission"),
    (RIGHT, 61.0, "Charge"),
];
const NAME_WIDTH: f32 = 134.0;

/// The pages of a bill.
pub(super) fn pages(bill: &Statement) -> Vec<u8> {
    let mut book = Book::default();
    book.title(bill);
    book.columns();
    for (number, line) in bill.lines.iter().enumerate() {
        book.room(ROW, true);
        if number % 2 == 0 {
            book.shade();
        }
        book.row(&format!("{}/{}", line.provider, line.model), &line.sums, PLAIN);
    }
    book.room(ROW * 2.0, true);
    book.rule(ACCENT);
    book.row("Total", &bill.totals, BOLD);
    book.how_to_verify(bill);
    book.bind(bill)
}

/// Pages as they are filled, from the top down.
struct Book {
    full: Vec<Content>,
    page: Content,
    /// The base of the next line.
    y: f32,
}

impl Default for Book {
    fn default() -> Self {
        Self { full: Vec::new(), page: Content::new(), y: TOP }
    }
}

impl Book {
    fn text(&mut self, font: Font, size: f32, colour: Colour, x: f32, text: &str) {
        let (r, g, b) = colour;
        self.page.set_fill_rgb(r, g, b).begin_text().set_font(Name(font.0), size);
        self.page.next_line(x, self.y).show(Str(&win_ansi(text))).end_text();
    }

    /// Text that ends at `right`, smaller where it would be wider than `most`.
    fn number(&mut self, font: Font, size: f32, right: f32, most: f32, text: &str) {
        let wide = width(text, size);
        let (size, wide) = if wide > most { (size * most / wide, most) } else { (size, wide) };
        self.text(font, size, INK, right - wide, text);
    }

    fn shade(&mut self) {
        let (r, g, b) = SHADE;
        self.page.set_fill_rgb(r, g, b).rect(LEFT - 6.0, self.y - 5.0, RIGHT - LEFT + 12.0, ROW);
        self.page.fill_nonzero();
    }

    /// A line across the page, above the next text.
    fn rule(&mut self, (r, g, b): Colour) {
        let y = self.y + ROW - 5.0;
        self.page.set_stroke_rgb(r, g, b).set_line_width(0.8);
        self.page.move_to(LEFT - 6.0, y).line_to(RIGHT + 6.0, y).stroke();
    }

    /// Turns the page where less than `height` is left.
    fn room(&mut self, height: f32, in_table: bool) {
        if self.y - height < BOTTOM {
            self.full.push(std::mem::replace(&mut self.page, Content::new()));
            self.y = TOP;
            if in_table {
                self.columns();
            }
        }
    }

    fn title(&mut self, bill: &Statement) {
        self.text(BOLD, 26.0, ACCENT, LEFT, "Bill");
        self.y -= 34.0;
        let (from, to) = (clock::rfc3339(bill.period.from), clock::rfc3339(bill.period.to));
        let period =
            if bill.period.from == 0 { format!("up to {to}") } else { format!("{from} to {to}") };
        let (name, account) = (bill.user.name.clone(), bill.account_id.to_string());
        let (made, rate) = (clock::rfc3339(bill.made_at), rates(&bill.commission_bps));
        for (label, value) in [
            ("Customer", name),
            ("Account", account),
            ("Period", period),
            ("Made at", made),
            ("Commission", rate),
        ] {
            self.text(PLAIN, 9.0, GREY, LEFT, label);
            self.text(PLAIN, 9.0, INK, LEFT + 74.0, &shortened(&value, 9.0, 420.0));
            self.y -= 14.0;
        }
        self.y -= 16.0;
        self.text(PLAIN, 9.0, GREY, LEFT, "To pay");
        self.y -= 22.0;
        let charge = bill.due();
        let amount = grouped(&sum_six_decimals(charge.pico));
        self.text(BOLD, 20.0, INK, LEFT, &format!("{amount} USD"));
        self.y -= 14.0;
        self.text(PLAIN, 9.0, GREY, LEFT, &format!("exactly {} USD", charge.usd));
        let direct = super::bill::directly(bill).into_iter().take(1);
        for line in super::bill::corrected(bill).into_iter().chain(direct) {
            self.y -= 14.0;
            self.room(14.0, false);
            self.text(PLAIN, 9.0, GREY, LEFT, &shortened(&line, 9.0, RIGHT - LEFT));
        }
        self.y -= 36.0;
    }

    fn columns(&mut self) {
        self.text(PLAIN, 7.5, GREY, LEFT, "Model");
        for (right, _, title) in COLUMNS {
            let x = right - width(title, 7.5);
            self.text(PLAIN, 7.5, GREY, x, title);
        }
        self.y -= ROW;
        self.rule(GREY);
    }

    fn row(&mut self, name: &str, sums: &Sums, font: Font) {
        self.text(font, 8.5, INK, LEFT, &shortened(name, 8.5, NAME_WIDTH));
        let cells = [
            grouped(&sums.receipts.to_string()),
            grouped(&sums.input_tokens.to_string()),
            grouped(&sums.output_tokens.to_string()),
            grouped(&sum_six_decimals(sums.cost.pico)),
            grouped(&sum_six_decimals(sums.commission.pico)),
            grouped(&sum_six_decimals(sums.charge.pico)),
        ];
        for ((right, most, _), cell) in COLUMNS.into_iter().zip(cells) {
            self.number(font, 8.5, right, most, &cell);
        }
        self.y -= ROW;
    }

    fn how_to_verify(&mut self, bill: &Statement) {
        self.y -= 24.0;
        self.room(110.0, false);
        self.text(BOLD, 10.0, ACCENT, LEFT, "How to check this bill");
        self.y -= 16.0;
        for line in [
            "This page is for reading. The same bill as JSON has every receipt with its counters and its prices, from which every",
            "amount is worked out again. Where a receipt is sealed, its seal shows that it has not been changed since.",
        ] {
            self.text(PLAIN, 8.5, INK, LEFT, line);
            self.y -= 12.0;
        }
        self.y -= 4.0;
        let (user, month) = (&bill.user.name, month(bill));
        let first = format!("tollgate bill --user {user}{month} --format json --out bill.json");
        for line in [first.as_str(), "tollgate verify-bill bill.json"] {
            self.text(CODE, 8.5, INK, LEFT, line);
            self.y -= 12.0;
        }
        self.y -= 4.0;
        self.text(PLAIN, 8.5, INK, LEFT, &sealed(bill));
        let mut keys: Vec<_> = bill.seals.iter().map(|seal| seal.public_key).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            self.y -= 12.0;
            self.room(12.0, false);
            self.text(PLAIN, 8.5, GREY, LEFT, "Signed by");
            self.text(CODE, 7.5, INK, LEFT + 50.0, &to_hex(&key));
        }
    }

    /// The file, with a footer on every page.
    fn bind(mut self, bill: &Statement) -> Vec<u8> {
        self.full.push(self.page);
        let pages = self.full;
        let count = pages.len();
        let mut next = 0;
        let mut reference = || {
            next += 1;
            Ref::new(next)
        };
        let (catalog, tree, info) = (reference(), reference(), reference());
        let fonts = [PLAIN, BOLD, CODE].map(|font| (font, reference()));
        let mut pdf = Pdf::new();
        pdf.catalog(catalog).pages(tree).lang(TextStr("en"));
        let title = format!("Bill of {}", bill.user.name);
        pdf.document_info(info).title(TextStr(&title)).producer(TextStr("Tollgate"));
        let mut kids = Vec::with_capacity(count);
        for (number, content) in (1_usize..).zip(pages) {
            let (page, stream) = (reference(), reference());
            kids.push(page);
            let mut foot = Self { full: Vec::new(), page: content, y: 40.0 };
            foot.text(PLAIN, 7.5, GREY, LEFT, &shortened(&title, 7.5, 380.0));
            let place = format!("Page {number} of {count}");
            foot.text(PLAIN, 7.5, GREY, RIGHT - width(&place, 7.5), &place);
            let mut written = pdf.page(page);
            written.media_box(Rect::new(0.0, 0.0, PAGE.0, PAGE.1)).parent(tree).contents(stream);
            let mut resources = written.resources();
            let mut named = resources.fonts();
            for (font, id) in fonts {
                named.pair(Name(font.0), id);
            }
            named.finish();
            resources.finish();
            written.finish();
            pdf.stream(stream, &foot.page.finish());
        }
        let pages = i32::try_from(count).unwrap_or(i32::MAX);
        pdf.pages(tree).kids(kids).count(pages);
        for (font, id) in fonts {
            let encoding = Name(b"WinAnsiEncoding");
            pdf.type1_font(id).base_font(Name(font.1)).encoding_predefined(encoding);
        }
        pdf.finish()
    }
}

/// The option that asks for the same month again, where the period is one.
fn month(bill: &Statement) -> String {
    let from = clock::rfc3339(bill.period.from);
    let name = from.get(..7).unwrap_or_default();
    let is_one = clock::month(name) == Some((bill.period.from, bill.period.to));
    if is_one { format!(" --month {name}") } else { String::new() }
}

/// The rates of commission, as percentages.
fn rates(bps: &[u32]) -> String {
    let percent = |bps: &u32| {
        let text = format!("{}.{:02}", bps / 100, bps % 100);
        format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
    };
    bps.iter().map(percent).collect::<Vec<_>>().join(", ")
}

/// A number with its whole part in groups of three digits.
fn grouped(number: &str) -> String {
    let (whole, fraction) = number.find('.').map_or((number, ""), |dot| number.split_at(dot));
    let mut text = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + fraction
}

/// Text in the encoding of the fonts, which is that of Windows' Western Europe; what it lacks becomes a question mark.
fn win_ansi(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| match c {
            ' '..='~' | '\u{a1}'..='\u{ff}' => u8::try_from(u32::from(c)).unwrap_or(b'?'),
            '\u{a0}' => b' ',
            '…' => 0x85,
            '€' => 0x80,
            '‘' => 0x91,
            '’' => 0x92,
            '“' => 0x93,
            '”' => 0x94,
            '•' => 0x95,
            '–' => 0x96,
            '—' => 0x97,
            _ => b'?',
        })
        .collect()
}

/// How wide text is in Helvetica. Letters beyond ASCII count as wide ones.
fn width(text: &str, size: f32) -> f32 {
    let of = |c: char| {
        let place = u32::from(c).checked_sub(32).and_then(|place| usize::try_from(place).ok());
        f32::from(place.and_then(|place| WIDTHS.get(place)).copied().unwrap_or(778))
    };
    text.chars().map(of).sum::<f32>() * size / 1_000.0
}

/// As much of the text as fits, and a mark where something is missing.
fn shortened(text: &str, size: f32, most: f32) -> String {
    if width(text, size) <= most {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        // The mark is as wide as the font is high.
        if width(&short, size) + width(c.encode_utf8(&mut [0; 4]), size) + size > most {
            break;
        }
        short.push(c);
    }
    short + "…"
}

/// The widths of Helvetica from the space to the tilde, in thousandths of its size.
const WIDTHS: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556,
    556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667,
    611, 778, 722, 278, 500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667,
    667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500,
    222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
];

#[cfg(test)]
mod tests {
    use ledger::statement::{Builder, Head, Kept, ModelLine, Party, Span};
    use uuid::Uuid;

    use super::*;

    fn bill(name: &str, lines: usize) -> Statement {
        let head = Head {
            user: Party { id: Uuid::from_u128(1), name: name.to_owned() },
            account_id: Uuid::from_u128(2),
            period: Span { from: 0, to: 1 },
            made_at: 0,
        };
        let mut bill = Builder::new(head, Kept::Sums).finish(&[]);
        bill.lines = (0..lines)
            .map(|number| ModelLine {
                provider: "openai".to_owned(),
                model: format!("model-{number}"),
                sums: bill.totals.clone(),
            })
            .collect();
        bill
    }

    fn count(pdf: &[u8], word: &str) -> usize {
        pdf.windows(word.len()).filter(|window| *window == word.as_bytes()).count()
    }

    #[test]
    fn every_line_is_on_a_page_and_pages_are_numbered() {
        for (lines, expected) in [(0, 1), (1, 1), (200, 6)] {
            let pdf = pages(&bill("ada", lines));
            assert!(pdf.starts_with(b"%PDF-") && pdf.ends_with(b"%%EOF"));
            for line in 0..lines {
                assert_eq!(count(&pdf, &format!("(openai/model-{line})")), 1, "line {line}");
            }
            assert_eq!(count(&pdf, "/Type /Page\n"), expected, "{lines} lines");
            for page in 1..=expected {
                assert_eq!(count(&pdf, &format!("(Page {page} of {expected})")), 1);
            }
            assert_eq!(count(&pdf, "(Model)"), expected, "the columns are named on every page");
        }
    }

    #[test]
    fn names_that_the_fonts_lack_break_nothing() {
        let name = "Zoë (\\) 株式会社 \u{202e}\n".repeat(40);
        let pdf = pages(&bill(&name, 1));
        assert_eq!(count(&pdf, "(Page 1 of 1)"), 1);
        assert_eq!(win_ansi("Zoë – 株€\n"), b"Zo\xeb \x96 ?\x80?");
    }

    #[test]
    fn the_same_month_is_asked_for_again() {
        let mut bill = bill("ada", 0);
        assert_eq!(count(&pages(&bill), "(tollgate bill --user ada --format json"), 1);
        let (from, to) = clock::month("2026-12").expect("a month");
        bill.period = Span { from, to };
        assert_eq!(
            count(&pages(&bill), "(tollgate bill --user ada --month 2026-12 --format json"),
            1
        );
        bill.period.to -= 1;
        assert_eq!(count(&pages(&bill), "--month"), 0);
    }

    #[test]
    fn texts_fit() {
        assert_eq!(grouped("1234567"), "1,234,567");
        assert_eq!((grouped("0"), grouped("123.4567")), ("0".to_owned(), "123.4567".to_owned()));
        assert_eq!(grouped("1234.000001"), "1,234.000001");
        assert_eq!(rates(&[0, 500, 725, 1_050]), "0 %, 5 %, 7.25 %, 10.5 %");
        assert!((width("0.15", 10.0) - 19.46).abs() < 0.001);
        let long = shortened(&"m".repeat(100), 8.5, NAME_WIDTH);
        assert!(long.ends_with('…') && width(&long, 8.5) <= NAME_WIDTH, "{long}");
        assert_eq!(shortened("short", 8.5, NAME_WIDTH), "short");
    }
}
