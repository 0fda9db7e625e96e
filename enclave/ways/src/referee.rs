//! Whether rings, and posting, do any good at all.
//!
//! What a call costs the thread that makes it is not what it costs: the host's threads, the waiting that
//! others do for a lock, and the clients of a server pay too, where there are few processors. And what is
//! posted saves exits, but keeps answers back until the next call leaves. So now and then calls leave in
//! another regime for a while, in turn with the one that is kept, and whichever let the program get more
//! done in the same time is kept.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Ticks of one window (20 ms at 2.5 GHz).
const WINDOW: u64 = 50_000_000;
/// Windows of a comparison at most: half of them each regime, in turn.
const WINDOWS: u64 = 16;
/// Ticks without a call after which the program has had nothing to do: a window with such a pause says nothing.
const PAUSE: u64 = 2 * WINDOW;
/// Ticks between two rounds of comparisons without what was paused, at least and at most (0.4 s and 8 s at
/// 2.5 GHz). In each, at most `WINDOWS * WINDOW / 2` are spent in each worse regime.
const HOLD: [u64; 2] = [1_000_000_000, 20_000_000_000];
/// So many times as long is the next hold after a round that has changed nothing.
const GROWTH: u64 = 2;

/// How calls leave as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Regime {
    /// Each kind of calls goes the way that was chosen for it; else all leave by exits.
    pub rings: bool,
    /// Calls whose answers are known leave with the next one.
    pub posts: bool,
}

impl Regime {
    const POSTS: u64 = 1;
    const RINGS: u64 = 2;
    const ALL: u64 = Self::POSTS | Self::RINGS;

    const fn to_word(self) -> u64 {
        (self.posts as u64 * Self::POSTS) | (self.rings as u64 * Self::RINGS)
    }

    const fn from_word(word: u64) -> Self {
        Self { posts: word & Self::POSTS != 0, rings: word & Self::RINGS != 0 }
    }
}

/// What a program has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    /// System calls that got something done.
    pub(crate) work: u64,
    /// Calls that went through rings.
    pub(crate) rings: u64,
    /// Calls that were posted.
    pub(crate) posts: u64,
}

/// How often regimes were compared, for reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Comparisons {
    /// Comparisons that came to an end.
    pub made: u64,
    /// Those after which the other regime was kept.
    pub changes: u64,
    /// The regime that is kept.
    pub kept: Regime,
}

/// Nobody else may end a window that somebody ends.
const TAKEN: u64 = u64::MAX;

/// What was done, and the time that it took, in the regime that is kept and in the other one.
#[derive(Debug)]
struct Tally([AtomicU64; 2]);

impl Tally {
    const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; 2])
    }

    fn add(&self, other: bool, amount: u64) {
        let sum = &self.0[usize::from(other)];
        sum.store(sum.load(Relaxed).saturating_add(amount), Relaxed);
    }

    fn sums(&self) -> [u128; 2] {
        self.0.each_ref().map(|sum| sum.load(Relaxed).into())
    }

    fn clear(&self) {
        self.0.iter().for_each(|sum| sum.store(0, Relaxed));
    }
}

/// Compares the regime that is kept with others.
#[derive(Debug)]
pub(crate) struct Referee {
    /// What of a regime may change, as a word of it.
    may_change: u64,
    /// When the window ends, in ticks, or [`TAKEN`]. All else is changed by whoever has taken it.
    end: AtomicU64,
    /// The regime that holds now, and the one that is kept, as words.
    now: AtomicU64,
    kept: AtomicU64,
    /// In what the kept regime and the one that it is compared with differ, as a word; zero between rounds.
    differ: AtomicU64,
    /// What of the kept regime has had no effect of late.
    without_effect: AtomicU64,
    /// Number of the window in a comparison, zero outside of one.
    window: AtomicU64,
    began: AtomicU64,
    /// When somebody looked last.
    seen: AtomicU64,
    /// What was done until the window began: [`Done`].
    work_then: AtomicU64,
    rings_then: AtomicU64,
    posts_then: AtomicU64,
    work: Tally,
    ticks: Tally,
    /// Work and ticks of the window before, and in how many windows the other regime was ahead of it.
    before: [AtomicU64; 2],
    ahead: AtomicU64,
    hold: AtomicU64,
    compared: AtomicU64,
    changes: AtomicU64,
}

impl Referee {
    /// Starts with a regime, in which `may_change` is to be compared, at `now`.
    pub(crate) fn new(regime: Regime, may_change: Regime, now: u64) -> Self {
        Self {
            may_change: may_change.to_word(),
            end: AtomicU64::new(now.saturating_add(HOLD[0])),
            now: AtomicU64::new(regime.to_word()),
            kept: AtomicU64::new(regime.to_word()),
            differ: AtomicU64::new(0),
            without_effect: AtomicU64::new(0),
            window: AtomicU64::new(0),
            began: AtomicU64::new(now),
            seen: AtomicU64::new(now),
            work_then: AtomicU64::new(0),
            rings_then: AtomicU64::new(0),
            posts_then: AtomicU64::new(0),
            work: Tally::new(),
            ticks: Tally::new(),
            before: [const { AtomicU64::new(0) }; 2],
            ahead: AtomicU64::new(0),
            hold: AtomicU64::new(HOLD[0]),
            compared: AtomicU64::new(0),
            changes: AtomicU64::new(0),
        }
    }

    /// When it began to watch, or the last window.
    pub(crate) fn began(&self) -> u64 {
        self.began.load(Relaxed)
    }

    /// The regime that holds now.
    pub(crate) fn regime(&self) -> Regime {
        Regime::from_word(self.now.load(Relaxed))
    }

    /// Whether there is anything to compare.
    pub(crate) const fn compares(&self) -> bool {
        self.may_change != 0
    }

    pub(crate) fn comparisons(&self) -> Comparisons {
        Comparisons {
            made: self.compared.load(Relaxed),
            changes: self.changes.load(Relaxed),
            kept: Regime::from_word(self.kept.load(Relaxed)),
        }
    }

    /// To be called now and then: ends the window if it is time.
    pub(crate) fn look(&self, now: u64, done: impl FnOnce() -> Done) {
        let quiet = now.saturating_sub(self.seen.load(Relaxed));
        self.seen.store(now, Relaxed);
        let end = self.end.load(Relaxed);
        if quiet > PAUSE && self.window.load(Relaxed) == 0 && end != TAKEN {
            // Else a program that has little to do would be compared whenever it has some. Whoever fails lets
            // another thread end the pause.
            let later = end.saturating_add(quiet).min(TAKEN - 1);
            let _ = self.end.compare_exchange(end, later, Relaxed, Relaxed);
            return;
        }
        if now < end || self.end.compare_exchange(end, TAKEN, Relaxed, Relaxed).is_err() {
            return;
        }
        let next = self.end_window(now, done());
        self.began.store(now, Relaxed);
        self.end.store(now.saturating_add(next), Relaxed);
    }

    /// Ends a window, and returns how long the next one is.
    fn end_window(&self, now: u64, done: Done) -> u64 {
        let window = self.window.load(Relaxed);
        let ticks = now.saturating_sub(self.began.load(Relaxed));
        let work = done.work.wrapping_sub(self.work_then.swap(done.work, Relaxed));
        let [no_rings, no_posts] = [(&self.rings_then, done.rings), (&self.posts_then, done.posts)]
            .map(|(then, now)| then.swap(now, Relaxed) == now);
        if window == 0 {
            let nothing = Regime { rings: no_rings, posts: no_posts };
            self.without_effect.store(nothing.to_word(), Relaxed);
            return self.compare_next();
        }
        let is_other = window.is_multiple_of(2);
        if ticks > PAUSE {
            // Once more, from the regime that is kept.
            return self.begin_window(if is_other { window - 1 } else { window });
        }
        self.work.add(is_other, work);
        self.ticks.add(is_other, ticks);
        let [work_before, ticks_before] = [(&self.before[0], work), (&self.before[1], ticks)]
            .map(|(last, new)| last.swap(new, Relaxed));
        if !is_other {
            return self.begin_window(window + 1);
        }
        let is_ahead = u128::from(work) * u128::from(ticks_before)
            > u128::from(work_before) * u128::from(ticks);
        let ahead = self.ahead.load(Relaxed) + u64::from(is_ahead);
        self.ahead.store(ahead, Relaxed);
        // The more is known, the less the other one must be ahead to be kept, or behind to be given up. One
        // window in which a neighbour had the processor decides nothing.
        let [own, other] = self.rates();
        let mostly = ahead > window / 2 - ahead;
        let better = window > 2 && mostly && other > own + own / u128::from(window);
        let worse = other < own - own / u128::from(window * window);
        if better || worse || window == WINDOWS {
            return self.decide(better);
        }
        self.begin_window(window + 1)
    }

    fn begin_window(&self, window: u64) -> u64 {
        self.window.store(window, Relaxed);
        let differ = if window.is_multiple_of(2) { self.differ.load(Relaxed) } else { 0 };
        self.now.store(self.kept.load(Relaxed) ^ differ, Relaxed);
        WINDOW
    }

    /// Begins to compare with the next regime of the round, if that is another one in effect.
    fn compare_next(&self) -> u64 {
        self.work.clear();
        self.ticks.clear();
        self.ahead.store(0, Relaxed);
        let kept = self.kept.load(Relaxed);
        let same = kept & self.without_effect.load(Relaxed) | !self.may_change;
        let last = self.differ.load(Relaxed);
        if let Some(differ) = (last + 1..=Regime::ALL).find(|differ| differ & same == 0) {
            self.differ.store(differ, Relaxed);
            return self.begin_window(1);
        }
        if last != 0 {
            self.hold.store((self.hold.load(Relaxed) * GROWTH).min(HOLD[1]), Relaxed);
        }
        self.end_round(kept)
    }

    /// What was done in the same time, in the regime that is kept and in the other one, in a unit of their own.
    fn rates(&self) -> [u128; 2] {
        let ([own, other], [own_ticks, other_ticks]) = (self.work.sums(), self.ticks.sums());
        [own * other_ticks, other * own_ticks]
    }

    fn decide(&self, other_is_better: bool) -> u64 {
        self.compared.fetch_add(1, Relaxed);
        if !other_is_better {
            return self.compare_next();
        }
        self.changes.fetch_add(1, Relaxed);
        self.hold.store(HOLD[0], Relaxed);
        self.end_round(self.kept.load(Relaxed) ^ self.differ.load(Relaxed))
    }

    fn end_round(&self, kept: u64) -> u64 {
        self.window.store(0, Relaxed);
        self.differ.store(0, Relaxed);
        self.kept.store(kept, Relaxed);
        self.now.store(kept, Relaxed);
        self.hold.load(Relaxed)
    }
}
