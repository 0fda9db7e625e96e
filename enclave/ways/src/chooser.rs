//! The choice.

use alloc::{boxed::Box, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{
    Comparisons, Costs, PAYBACK, Regime, Rings, Way,
    kind::Kind,
    referee::{Done, Referee},
};

/// Calls of a trial.
const TRIAL: usize = 16;
/// One of so many calls is timed outside of trials (a power of two).
const SAMPLED: u64 = 16;
/// Ticks after which a call that may wait is known to have waited (20 us at 2.5 GHz).
const WAITED: u64 = 50_000;
/// Ticks between two trials at least and at most (2 ms and 0.4 s at 2.5 GHz).
const SPACING: [u64; 2] = [5_000_000, 1_000_000_000];
/// Ticks after which a trial is given up (0.1 s at 2.5 GHz).
const LONGEST_TRIAL: u64 = 250_000_000;
/// Ticks before the first trial: a short program shall not pay for a host thread.
const FIRST_TRIAL: u64 = 50_000_000;

/// How one call is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Its way.
    pub way: Way,
    /// How long it takes is to be told ([`Chooser::took`]).
    pub timed: bool,
}

/// Chooses the way of each call, by its kind.
///
/// The caller maps calls to kinds: those of one kind should cost about the same.
#[derive(Debug)]
pub struct Chooser {
    kinds: Box<[Kind]>,
    /// The way of kinds of which nothing is known.
    default: AtomicU64,
    /// The kind that is being tried the other way, plus one.
    tried: AtomicU64,
    samples: [AtomicU64; TRIAL],
    taken: AtomicU64,
    /// When the next trial may begin, in ticks.
    next: AtomicU64,
    spacing: AtomicU64,
    referee: Referee,
    /// Calls of the program that got something done, and those that were posted.
    worked: AtomicU64,
    posted: AtomicU64,
}

impl Chooser {
    /// A chooser for `kinds` kinds of calls, which starts with `default` and with posting at `now`.
    #[must_use]
    pub fn new(kinds: usize, default: Way, now: u64) -> Self {
        const CANDIDATES: &[Regime] =
            &[Regime::CHOSEN_POSTS, Regime::CHOSEN, Regime::POSTS, Regime::EXITS, Regime::RINGS];
        Self::build(kinds, default, Referee::new(Regime::CHOSEN_POSTS, CANDIDATES, now))
    }

    /// One whose calls leave by exits, and that only finds out whether it is worth while to post some, or to use
    /// rings for all.
    #[must_use]
    pub fn exits(kinds: usize, now: u64) -> Self {
        const CANDIDATES: &[Regime] = &[Regime::EXITS, Regime::POSTS, Regime::RINGS];
        Self::build(kinds, Way::Exit, Referee::new(Regime::EXITS, CANDIDATES, now))
    }

    /// One that always chooses the same; but a call that waits never blocks a ring.
    #[must_use]
    pub fn fixed(kinds: usize, way: Way, posts: bool) -> Self {
        let rings = match way {
            Way::Exit => Rings::None,
            Way::Ring => Rings::All,
        };
        Self::build(kinds, way, Referee::new(Regime { rings, posts }, &[], 0))
    }

    fn build(kinds: usize, default: Way, referee: Referee) -> Self {
        let kinds: Vec<_> = (0..kinds).map(|_| Kind::new()).collect();
        Self {
            kinds: kinds.into_boxed_slice(),
            default: AtomicU64::new(default.to_word()),
            tried: AtomicU64::new(0),
            samples: [const { AtomicU64::new(0) }; TRIAL],
            taken: AtomicU64::new(0),
            next: AtomicU64::new(referee.began().saturating_add(FIRST_TRIAL)),
            spacing: AtomicU64::new(SPACING[0]),
            referee,
            worked: AtomicU64::new(0),
            posted: AtomicU64::new(0),
        }
    }

    /// The way of the next call of a kind that need not wait.
    #[must_use]
    pub fn choose(&self, kind: usize) -> Decision {
        let Some(entry) = self.kinds.get(kind) else {
            return Decision { way: Way::Exit, timed: false };
        };
        let way = match self.referee.regime().rings {
            Rings::None => Way::Exit,
            Rings::All => Way::Ring,
            Rings::Chosen if self.tried.load(Relaxed) == kind as u64 + 1 => {
                let way = self.way(entry).other();
                entry.count(way);
                return Decision { way, timed: true };
            }
            Rings::Chosen => self.way(entry),
        };
        Decision { way, timed: entry.count(way).is_multiple_of(SAMPLED) }
    }

    /// The way of the next call of a kind that may wait: only calls that are mostly answered at
    /// once gain by a ring.
    #[must_use]
    pub fn choose_waiting(&self, kind: usize) -> Decision {
        match self.kinds.get(kind) {
            Some(entry) if entry.is_prompt() => Decision { timed: true, ..self.choose(kind) },
            Some(entry) => {
                entry.count(Way::Exit);
                Decision { way: Way::Exit, timed: true }
            }
            None => Decision { way: Way::Exit, timed: false },
        }
    }

    /// Whether calls are posted whose answers are known.
    #[must_use]
    pub fn posts(&self) -> bool {
        self.referee.regime().posts
    }

    /// Whether some calls may be posted now or later.
    #[must_use]
    pub fn may_post(&self) -> bool {
        self.posts() || self.referee.compares()
    }

    /// Says that a call of the program got something done that may have needed the host.
    pub fn worked(&self) {
        // One that is lost matters less than what it costs to lose none.
        self.worked.store(self.worked.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Says that a call was posted. Nobody else may say so at the same time.
    pub fn post(&self) {
        self.posted.store(self.posted.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Calls that were posted.
    #[must_use]
    pub fn posted(&self) -> u64 {
        self.posted.load(Relaxed)
    }

    /// What was done so far.
    fn done(&self) -> Done {
        let rings = self.kinds.iter().map(|kind| kind.costs(Way::Ring).calls);
        let rings = rings.fold(0, u64::wrapping_add);
        Done { work: self.worked.load(Relaxed), rings, posts: self.posted() }
    }

    /// Compares regimes, if it is time.
    fn compare(&self, now: u64) {
        if self.referee.compares() {
            self.referee.look(now, || self.done());
        }
    }

    fn way(&self, kind: &Kind) -> Way {
        Way::from_word(kind.way.load(Relaxed))
            .or_else(|| Way::from_word(self.default.load(Relaxed)))
            .unwrap_or(Way::Exit)
    }

    /// Says that a call took `ticks` and was back at `now`.
    pub fn took(&self, kind: usize, way: Way, ticks: u64, now: u64) {
        let Some(entry) = self.kinds.get(kind) else { return };
        if self.tried.load(Relaxed) == kind as u64 + 1 && way != self.way(entry) {
            return self.took_in_trial(entry, ticks, now);
        }
        entry.sample(way, ticks);
        self.compare(now);
        if self.referee.regime().rings != Rings::Chosen {
            return;
        }
        let (own, other) = (entry.costs(way).ticks, entry.costs(way.other()).ticks);
        if way == self.way(entry) && other != 0 && own > other + other / 8 {
            // It has become worse than the other way was when it was seen last.
            self.decide(entry, way.other());
        } else if now > self.next.load(Relaxed) {
            // In place of a trial that never ended, for its kind of calls is made no more.
            self.next.store(now.saturating_add(LONGEST_TRIAL), Relaxed);
            self.taken.store(0, Relaxed);
            self.tried.store(kind as u64 + 1, Relaxed);
        }
    }

    /// Says that a call that may wait took `ticks`: until it was answered, if `prompt`.
    pub fn took_waiting(&self, kind: usize, way: Way, ticks: u64, now: u64, handed_on: bool) {
        let Some(entry) = self.kinds.get(kind) else { return };
        let prompt = !handed_on && ticks < WAITED;
        entry.note_prompt(prompt);
        if prompt {
            self.took(kind, way, ticks, now);
        } else {
            self.compare(now);
        }
    }

    /// Takes a sample of a trial, and ends it with the last.
    fn took_in_trial(&self, entry: &Kind, ticks: u64, now: u64) {
        let taken = self.taken.fetch_add(1, Relaxed);
        let slot = usize::try_from(taken).ok().and_then(|taken| self.samples.get(taken));
        if let Some(slot) = slot {
            slot.store(ticks, Relaxed);
        }
        if taken + 1 != TRIAL as u64 {
            return;
        }
        let way = self.way(entry);
        let mut samples = self.samples.each_ref().map(|sample| sample.load(Relaxed));
        let total = samples.iter().fold(0_u64, |sum, sample| sum.saturating_add(*sample));
        samples.sort_unstable();
        let median = samples[TRIAL / 2];
        entry.set(way.other(), median);
        let own = entry.costs(way).ticks;
        let better = median + median / 16 < own;
        let spacing = if better {
            self.decide(entry, way.other());
            SPACING[0]
        } else {
            self.default.store(way.to_word(), Relaxed);
            self.spacing.load(Relaxed).saturating_mul(2).min(SPACING[1])
        };
        self.spacing.store(spacing, Relaxed);
        let lost = total.saturating_sub(own.saturating_mul(TRIAL as u64));
        let pause = lost.saturating_mul(PAYBACK).max(spacing);
        self.next.store(now.saturating_add(pause), Relaxed);
        self.tried.store(0, Relaxed);
    }

    fn decide(&self, kind: &Kind, way: Way) {
        kind.way.store(way.to_word(), Relaxed);
        self.default.store(way.to_word(), Relaxed);
    }

    /// How often regimes were compared.
    #[must_use]
    pub fn comparisons(&self) -> Comparisons {
        self.referee.comparisons()
    }

    /// What is known of a kind: by exits, and by rings.
    #[must_use]
    pub fn costs(&self, kind: usize) -> [Costs; 2] {
        let of = |way| self.kinds.get(kind).map_or(Costs::default(), |kind| kind.costs(way));
        [of(Way::Exit), of(Way::Ring)]
    }
}
