//! Long answers that a provider gives in hops: one request after the other, each of which goes on where the one before
//! stopped. A client of another dialect sees one answer.

use ledger::UsageReport;
use wire::reply::Finish;
use wire::stream::{Event, Opening, Seen};

/// How often a provider may give the same token again.
const SAME_TOKEN: u8 = 3;
/// No answer is as long as that; each hop costs its prompt again.
const MOST: u8 = 100;

/// What stands between the hops of an answer.
#[derive(Default)]
pub(crate) struct Hops {
    /// What the hops before this one brought; boxed, because few answers have any.
    before: Option<Box<Seen>>,
    /// Added to the numbers of this hop's blocks.
    base: u32,
    /// The number of the next block.
    next: u32,
    /// A block of the hop before, left open for more of its kind.
    open: Option<(u32, Kind)>,
    /// The last block of this hop that more of its kind may follow.
    last: Option<(u32, Kind)>,
    token: String,
    repeated: u8,
    count: u8,
}

/// What a block is that more of its kind may follow.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
}

impl Kind {
    const fn of(block: &Opening) -> Option<Self> {
        match block {
            Opening::Text => Some(Self::Text),
            Opening::Thinking => Some(Self::Thinking),
            _ => None,
        }
    }
}

impl Hops {
    /// The token of the next hop, where this one has ended and is not the last.
    pub(crate) fn next(&mut self, seen: &Seen) -> Option<String> {
        let token = seen.continuation.clone().filter(|_| seen.whole && seen.finish.is_none())?;
        self.repeated = if token == self.token { self.repeated + 1 } else { 0 };
        self.count += 1;
        if self.repeated >= SAME_TOKEN || self.count >= MOST {
            return None;
        }
        self.token.clone_from(&token);
        Some(token)
    }

    /// Events as the client of the whole answer sees them.
    pub(crate) fn map(&mut self, events: &mut Vec<Event>) {
        if self.before.is_none() {
            for event in &*events {
                self.note(event);
            }
            return;
        }
        for event in std::mem::take(events) {
            self.event(event, events);
        }
    }

    /// Remembers where an answer stands.
    fn note(&mut self, event: &Event) {
        match event {
            Event::Open { index, block } => {
                self.next = index.saturating_add(1);
                self.last = Kind::of(block).map(|kind| (*index, kind));
            }
            // What is sealed is whole.
            Event::Seal { .. } => self.last = None,
            _ => {}
        }
    }

    /// An event of a later hop.
    fn event(&mut self, mut event: Event, out: &mut Vec<Event>) {
        match &mut event {
            Event::Start { .. } => return,
            Event::Usage(metered) => metered.report = self.with_before(metered.report.clone()),
            Event::Open { index, block } => {
                if let Some((open, kind)) = self.open.take() {
                    if Kind::of(block) == Some(kind) {
                        self.base = open;
                        self.last = Some((open, kind));
                        return;
                    }
                    out.push(Event::Close { index: open });
                }
                *index = index.saturating_add(self.base);
            }
            Event::Text { index, .. }
            | Event::Json { index, .. }
            | Event::Cite { index, .. }
            | Event::Seal { index, .. }
            | Event::Close { index } => *index = index.saturating_add(self.base),
            Event::Finish { .. } | Event::Problem(_) | Event::End => self.close(out),
        }
        self.note(&event);
        out.push(event);
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        if let Some((index, _)) = self.open.take() {
            out.push(Event::Close { index });
        }
    }

    /// Leaves the end of a hop out that another one follows.
    pub(crate) fn go_on(&mut self, events: &mut Vec<Event>, seen: Seen) {
        events.retain(|event| *event != Event::End);
        let last = self.last.take();
        if let (Some(Event::Close { index }), Some((open, _))) = (events.last(), &last)
            && index == open
        {
            events.pop();
            self.open = last;
        }
        self.base = self.next;
        self.before = Some(Box::new(self.with(seen)));
    }

    /// Ends an answer that is to go on, but will not.
    pub(crate) fn give_up(events: &mut Vec<Event>) {
        let at = events.iter().position(|event| *event == Event::End).unwrap_or(events.len());
        events.insert(at, Event::Finish { finish: Finish::Length, stop_sequence: None });
    }

    /// What is known of all hops, by what is known of this one.
    pub(crate) fn with(&self, mut seen: Seen) -> Seen {
        let Some(before) = &self.before else { return seen };
        (seen.output_bytes, seen.usage) = self.added_to(seen.output_bytes, seen.usage);
        seen.id.clone_from(&before.id);
        seen.model.clone_from(&before.model);
        seen
    }

    /// The same of the length and the usage alone.
    pub(crate) fn added_to(
        &self,
        output_bytes: u64,
        usage: Option<UsageReport>,
    ) -> (u64, Option<UsageReport>) {
        let Some(before) = &self.before else { return (output_bytes, usage) };
        let usage = usage.map_or_else(|| before.usage.clone(), |own| Some(self.with_before(own)));
        (output_bytes.saturating_add(before.output_bytes), usage)
    }

    fn with_before(&self, mut report: UsageReport) -> UsageReport {
        if let Some(before) = self.before.as_ref().and_then(|before| before.usage.as_ref()) {
            let passes = before.passes.iter().cloned().chain(std::mem::take(&mut report.passes));
            report.passes = passes.collect();
        }
        report
    }
}
