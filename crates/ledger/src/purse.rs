//! What one replica may spend without asking the ledger: its slices, and the holds that requests have on them.

use std::collections::BTreeMap;

use crate::scope::{Scope, ScopeKind};
use crate::usd::Usd;

/// The slices of one replica in one epoch, in memory.
///
/// For every scope `spent + held <= granted`, whatever is called in whatever order. A hold is taken from all scopes of
/// a request or from none; an empty list of scopes is that of a post-paid account, which nothing limits. Lists of scopes
/// are in ascending order and name each once.
///
/// Credit comes in by [`granted`](Self::granted) only, after the ledger has set it aside, and goes back by
/// [`take_back`](Self::take_back) only, before the ledger is told. So it is never in two places.
#[derive(Debug, Default)]
pub struct Purse {
    slices: BTreeMap<Scope, Slice>,
    /// The first moment at which credit of any of them ends.
    ends: Option<i64>,
    /// Whether any has credit that has ended.
    has_lapsed: bool,
}

/// One scope's part of a purse.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// What the ledger has granted, less what was given back.
    pub granted: Usd,
    /// What settled requests were charged.
    pub spent: Usd,
    /// What is promised to open ones.
    pub held: Usd,
    /// The last grant: a slice is refilled below half of it.
    size: Usd,
    /// Whether a request has come since [`Purse::idle`] last looked.
    used: bool,
    /// When the first of the credit in it ends.
    ends: Option<i64>,
    /// What was held when credit ended: whatever of it is not spent is not free again.
    stale: Usd,
    /// When that was. What began later holds none of it.
    stale_at: i64,
    /// What has ended and is not the ledger's yet.
    lapsed: Usd,
}

/// A scope has too little for a hold; nothing was held.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{free} USD are free and {held} USD are held by other requests")]
pub struct Short {
    /// The first that has too little.
    pub scope: Scope,
    /// What it has.
    pub free: Usd,
    /// What its open requests may still leave over.
    pub held: Usd,
}

/// The books of a purse do not add up: a mistake of the program. Nothing was changed.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// An amount that cannot be negative is.
    #[error("a negative amount of {0} USD")]
    Negative(Usd),
    /// More is settled or given up than is held.
    #[error("{kind:?} {id}: {hold} USD are to be released and {held} USD are held", kind = scope.kind, id = scope.id)]
    NotHeld {
        /// Of which scope.
        scope: Scope,
        /// What was to be released.
        hold: Usd,
        /// What is held.
        held: Usd,
    },
    /// An amount past the range.
    #[error("{kind:?} {id}: an amount outside the range", kind = .0.kind, id = .0.id)]
    OutOfRange(Scope),
}

impl Slice {
    /// What a hold may be taken from.
    pub fn free(&self) -> Usd {
        let rest =
            self.granted.checked_sub(self.spent).and_then(|rest| rest.checked_sub(self.held));
        debug_assert!(
            rest.is_ok_and(|rest| rest >= Usd::ZERO),
            "more spent than granted: {self:?}"
        );
        rest.unwrap_or_default().max(Usd::ZERO)
    }

    /// Takes what is free out of what is granted.
    fn give_up(&mut self, free: Usd) {
        if let (Ok(granted), Ok(lapsed)) =
            (self.granted.checked_sub(free), self.lapsed.checked_add(free))
        {
            (self.granted, self.lapsed) = (granted, lapsed);
        }
    }

    /// After a hold has ended: as much of it as was held when credit ended, and is not spent, has ended too.
    fn end_stale(&mut self, hold: Usd, charge: Usd) {
        let stale = self.stale.min(hold);
        let unspent = hold.checked_sub(charge).unwrap_or_default().max(Usd::ZERO);
        self.stale = self.stale.checked_sub(stale).unwrap_or_default();
        self.give_up(unspent.min(stale).min(self.free()));
    }
}

impl Purse {
    /// Takes `amount` from every scope, or from none.
    ///
    /// # Errors
    /// The first scope that has too little.
    pub fn hold(&mut self, scopes: &[Scope], amount: Usd) -> Result<(), Short> {
        debug_assert!(amount >= Usd::ZERO, "a hold of {amount} USD");
        debug_assert!(scopes.is_sorted_by(|one, next| one < next), "scopes not in order");
        for (done, scope) in scopes.iter().enumerate() {
            if let Err(short) = self.hold_one(*scope, amount) {
                for earlier in scopes.iter().take(done) {
                    if let Some(slice) = self.slices.get_mut(earlier) {
                        slice.held = slice.held.checked_sub(amount).unwrap_or(slice.held);
                    }
                }
                return Err(short);
            }
        }
        Ok(())
    }

    /// Adds `more` to a hold on the same scopes, as for a stream that goes on. All of it, or none.
    ///
    /// # Errors
    /// The first scope that has too little.
    pub fn extend(&mut self, scopes: &[Scope], more: Usd) -> Result<(), Short> {
        self.hold(scopes, more)
    }

    fn hold_one(&mut self, scope: Scope, amount: Usd) -> Result<(), Short> {
        let Some(slice) = self.slices.get_mut(&scope) else {
            let nothing = Short { scope, free: Usd::ZERO, held: Usd::ZERO };
            return if amount == Usd::ZERO { Ok(()) } else { Err(nothing) };
        };
        let free = slice.free();
        slice.used = true;
        match slice.held.checked_add(amount) {
            Ok(held) if amount >= Usd::ZERO && amount <= free => slice.held = held,
            _ => return Err(Short { scope, free, held: slice.held }),
        }
        Ok(())
    }

    /// Ends a hold (as last extended) of a request that began at `begun` with what it came to. Returns what may be charged:
    /// all of it where every scope has that much, the hold and the least that is free else. The rest is the caller's to
    /// absorb.
    ///
    /// # Errors
    /// A scope that holds less than `hold`; a negative amount.
    pub fn settle(
        &mut self,
        scopes: &[Scope],
        hold: Usd,
        owed: Usd,
        begun: i64,
    ) -> Result<Usd, Broken> {
        self.check(scopes, hold)?;
        not_negative(owed)?;
        let mut charge = owed;
        for scope in scopes {
            let most =
                hold.checked_add(self.free(*scope)).map_err(|_| Broken::OutOfRange(*scope))?;
            charge = charge.min(most);
        }
        self.end(scopes, hold, charge, begun)?;
        Ok(charge)
    }

    /// Gives the hold of a request that began at `begun` up: nothing is charged.
    ///
    /// # Errors
    /// A scope that holds less than `hold`; a negative amount.
    pub fn void(&mut self, scopes: &[Scope], hold: Usd, begun: i64) -> Result<(), Broken> {
        self.check(scopes, hold)?;
        self.end(scopes, hold, Usd::ZERO, begun)
    }

    fn check(&self, scopes: &[Scope], hold: Usd) -> Result<(), Broken> {
        not_negative(hold)?;
        for &scope in scopes {
            let held = self.slice(scope).held;
            if hold > held {
                debug_assert!(false, "{scope:?} holds {held} USD, not {hold}");
                return Err(Broken::NotHeld { scope, hold, held });
            }
        }
        Ok(())
    }

    /// After [`check`](Self::check): lowers what is held by `hold` and raises what is spent by `charge`.
    fn end(&mut self, scopes: &[Scope], hold: Usd, charge: Usd, begun: i64) -> Result<(), Broken> {
        let ended = |slice: &Slice, scope: Scope| {
            let out = |_| Broken::OutOfRange(scope);
            let held = slice.held.checked_sub(hold).map_err(out)?;
            Ok::<_, Broken>((held, slice.spent.checked_add(charge).map_err(out)?))
        };
        for scope in scopes {
            ended(&self.slice(*scope), *scope)?;
        }
        for scope in scopes {
            if let Some(slice) = self.slices.get_mut(scope) {
                (slice.held, slice.spent) = ended(slice, *scope)?;
                slice.used = true;
                if slice.stale > Usd::ZERO && begun < slice.stale_at {
                    slice.end_stale(hold, charge);
                    self.has_lapsed |= slice.lapsed > Usd::ZERO;
                }
            }
        }
        Ok(())
    }

    /// Adds what the ledger has granted.
    ///
    /// # Errors
    /// A negative amount, or a sum past the range.
    pub fn granted(&mut self, scope: Scope, amount: Usd) -> Result<(), Broken> {
        not_negative(amount)?;
        let slice = self.slices.entry(scope).or_default();
        slice.granted = slice.granted.checked_add(amount).map_err(|_| Broken::OutOfRange(scope))?;
        slice.size = amount;
        slice.used = true;
        Ok(())
    }

    /// Says when the first of the credit ends that was granted of `scope`.
    pub fn set_end(&mut self, scope: Scope, ends: Option<i64>) {
        if let Some(slice) = self.slices.get_mut(&scope) {
            slice.ends = ends;
            self.ends = self.slices.values().filter_map(|slice| slice.ends).min();
        }
    }

    /// The first moment at which credit ends: from then on [`lapse`](Self::lapse) has something to do.
    pub fn ends(&self) -> Option<i64> {
        self.ends
    }

    /// Ends credit at its moment: what is free of such a slice is not any more, and what is held is not free again. A slice
    /// may have other credit, too: it is granted anew.
    pub fn lapse(&mut self, now: i64) {
        for slice in self.slices.values_mut() {
            let Some(at) = slice.ends.filter(|at| *at <= now) else { continue };
            slice.ends = None;
            (slice.stale, slice.stale_at) = (slice.held, at);
            slice.give_up(slice.free());
            self.has_lapsed |= slice.lapsed > Usd::ZERO;
        }
        self.ends = self.slices.values().filter_map(|slice| slice.ends).min();
    }

    /// Whether [`lapsed`](Self::lapsed) has anything.
    pub fn has_lapsed(&self) -> bool {
        self.has_lapsed
    }

    /// Takes out what has ended, for the caller to give back to the ledger, once.
    pub fn lapsed(&mut self) -> Vec<(Scope, Usd)> {
        self.has_lapsed = false;
        let all = self.slices.iter_mut().filter(|(_, slice)| slice.lapsed > Usd::ZERO);
        all.map(|(scope, slice)| (*scope, std::mem::take(&mut slice.lapsed))).collect()
    }

    /// What a hold on `scope` may take.
    pub fn free(&self, scope: Scope) -> Usd {
        self.slice(scope).free()
    }

    /// The part of `scope`; nothing, where there is none.
    pub fn slice(&self, scope: Scope) -> Slice {
        self.slices.get(&scope).copied().unwrap_or_default()
    }

    /// All parts, in the order of their scopes.
    pub fn slices(&self) -> impl Iterator<Item = (Scope, Slice)> + '_ {
        self.slices.iter().map(|(scope, slice)| (*scope, *slice))
    }

    /// Takes out what is free above `keep`, and returns it. From then on it cannot be spent here: the caller gives it
    /// back to the ledger, once, or lets the ledger keep it until the epoch ends.
    pub fn take_back(&mut self, scope: Scope, keep: Usd) -> Usd {
        let Some(slice) = self.slices.get_mut(&scope) else { return Usd::ZERO };
        let above = slice.free().checked_sub(keep.max(Usd::ZERO)).unwrap_or_default();
        let above = above.max(Usd::ZERO);
        slice.granted = slice.granted.checked_sub(above).unwrap_or(slice.granted);
        above
    }

    /// Whether `scope` has less than half of its last grant left, and should be granted more before it runs out.
    pub fn wants(&self, scope: Scope) -> bool {
        self.slices.get(&scope).is_none_or(|slice| {
            i128::from(slice.free().pico()).saturating_mul(2) < i128::from(slice.size.pico())
        })
    }

    /// The scopes with something free that no request has touched since the last call, for the caller to
    /// [take back](Self::take_back); forgets those that are used up. How often it is called is how long idle credit stays.
    pub fn idle(&mut self) -> Vec<Scope> {
        let used_up = |slice: &Slice| {
            [slice.held, slice.free(), slice.lapsed].iter().all(|part| *part == Usd::ZERO)
        };
        self.slices.retain(|_, slice| slice.used || !used_up(slice));
        let mut idle = Vec::new();
        for (scope, slice) in &mut self.slices {
            if !std::mem::take(&mut slice.used) && slice.free() > Usd::ZERO {
                idle.push(*scope);
            }
        }
        idle
    }

    /// What open requests hold of accounts' credit. Budgets hold the same money once more and are not counted.
    pub fn total_held(&self) -> i128 {
        let credit = self.slices.iter().filter(|(scope, _)| scope.kind == ScopeKind::Account);
        credit.fold(0, |sum, (_, slice)| sum.saturating_add(i128::from(slice.held.pico())))
    }
}

fn not_negative(amount: Usd) -> Result<(), Broken> {
    debug_assert!(amount >= Usd::ZERO, "an amount of {amount} USD");
    if amount < Usd::ZERO { Err(Broken::Negative(amount)) } else { Ok(()) }
}

#[cfg(test)]
#[path = "purse_tests.rs"]
mod tests;
