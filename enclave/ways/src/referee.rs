//! Whether rings, and posting, do any good at all.
//!
//! What a call costs the thread that makes it is not what it costs: the host's threads, the waiting that
//! others do for a lock, and the clients of a server pay too, where there are few processors. And what is
//! posted saves exits, but keeps answers back until the next call leaves. So now and then calls leave in
//! another regime for a while, in turn with the one that is kept, and whichever let the program get more
//! done in the same time is kept.

use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Ticks of one window (20 ms at 2.5 GHz).
const WINDOW: u64 = 50_000_000;
/// Windows of a comparison at most: half of them each regime, in turn.
const WINDOWS: u64 = 16;
/// Ticks between two looks, or of a window, after which the program has had nothing to do: a window with such a
/// pause says nothing.
const PAUSE: u64 = 2 * WINDOW;
/// A window is ahead of the one before if it is so by this part of it: less is noise.
const AHEAD: u128 = 32;
/// So many windows with a pause in the other regime, and it is given up.
const PAUSES: u64 = WINDOWS / 4;
/// Ticks between two rounds of comparisons without what was paused, at least and at most (0.4 s and 8 s at
/// 2.5 GHz). In each, at most `WINDOWS / 2` windows are spent in each worse regime.
const HOLD: [u64; 2] = [1_000_000_000, 20_000_000_000];
/// So many times as long is the next hold after a round that has changed nothing.
const GROWTH: u64 = 2;

/// Which calls go by rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rings {
    /// None: all leave by exits.
    #[default]
    None,
    /// Those for whose kind rings were chosen.
    Chosen,
    /// All that can.
    All,
}

/// How calls leave as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Regime {
    /// Which calls go by rings.
    pub rings: Rings,
    /// Calls whose answers are known leave with the next one.
    pub posts: bool,
}

impl Regime {
    /// Each call leaves by itself, by an exit.
    pub(crate) const EXITS: Self = Self { rings: Rings::None, posts: false };
    /// Exits, and calls are posted.
    pub(crate) const POSTS: Self = Self { rings: Rings::None, posts: true };
    /// The way that was chosen for each kind.
    pub(crate) const CHOSEN: Self = Self { rings: Rings::Chosen, posts: false };
    /// That way, and calls are posted.
    pub(crate) const CHOSEN_POSTS: Self = Self { rings: Rings::Chosen, posts: true };
    /// All by rings, and calls are posted.
    pub(crate) const RINGS: Self = Self { rings: Rings::All, posts: true };

    const fn to_word(self) -> u64 {
        let rings = match self.rings {
            Rings::None => 0,
            Rings::Chosen => 1,
            Rings::All => 2,
        };
        rings * 2 + self.posts as u64
    }

    const fn from_word(word: u64) -> Self {
        let rings = match word / 2 {
            0 => Rings::None,
            1 => Rings::Chosen,
            _ => Rings::All,
        };
        Self { rings, posts: word % 2 == 1 }
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
    /// Regimes among which there is a choice.
    candidates: &'static [Regime],
    /// When the window ends, in ticks, or [`TAKEN`]. All else is changed by whoever has taken it.
    end: AtomicU64,
    /// The regime that holds now, and the one that is kept, as words.
    now: AtomicU64,
    kept: AtomicU64,
    /// The number of the candidate, from one, that the kept regime is compared with; zero between rounds.
    other: AtomicUsize,
    /// Of the kept regime: no call went by a ring of late, and none was posted.
    no_rings: AtomicBool,
    no_posts: AtomicBool,
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
    /// Windows in the other regime with a pause.
    paused: AtomicU64,
    hold: AtomicU64,
    compared: AtomicU64,
    changes: AtomicU64,
}

impl Referee {
    /// Starts with a regime, which is to be compared with `candidates` (itself may be among them), at `now`.
    pub(crate) fn new(regime: Regime, candidates: &'static [Regime], now: u64) -> Self {
        Self {
            candidates,
            end: AtomicU64::new(now.saturating_add(HOLD[0])),
            now: AtomicU64::new(regime.to_word()),
            kept: AtomicU64::new(regime.to_word()),
            other: AtomicUsize::new(0),
            no_rings: AtomicBool::new(false),
            no_posts: AtomicBool::new(false),
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
            paused: AtomicU64::new(0),
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
        !self.candidates.is_empty()
    }

    pub(crate) fn comparisons(&self) -> Comparisons {
        Comparisons {
            made: self.compared.load(Relaxed),
            changes: self.changes.load(Relaxed),
            kept: self.kept(),
        }
    }

    /// To be called now and then: ends the window if it is time.
    pub(crate) fn look(&self, now: u64, done: impl FnOnce() -> Done) {
        let quiet = now.saturating_sub(self.seen.fetch_max(now, Relaxed));
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
            self.no_rings.store(no_rings, Relaxed);
            self.no_posts.store(no_posts, Relaxed);
            return self.compare_next();
        }
        let is_other = window.is_multiple_of(2);
        if ticks > PAUSE {
            let paused = self.paused.load(Relaxed) + u64::from(is_other);
            self.paused.store(paused, Relaxed);
            if paused == PAUSES {
                // It may be the other regime that makes it pause.
                return self.compare_next();
            }
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
        let [new, old] = [(work, ticks_before), (work_before, ticks)]
            .map(|(work, ticks)| u128::from(work) * u128::from(ticks));
        let is_ahead = new > old + old / AHEAD;
        let ahead = self.ahead.load(Relaxed) + u64::from(is_ahead);
        self.ahead.store(ahead, Relaxed);
        // The more is known, the less the other one must be ahead to be kept, or behind to be given up. One
        // window in which a neighbour had the processor changes nothing.
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
        let regime = if window.is_multiple_of(2) { self.other() } else { self.kept() };
        self.now.store(regime.to_word(), Relaxed);
        WINDOW
    }

    fn kept(&self) -> Regime {
        Regime::from_word(self.kept.load(Relaxed))
    }

    /// The regime that the kept one is compared with.
    fn other(&self) -> Regime {
        let at = self.other.load(Relaxed).checked_sub(1);
        at.and_then(|at| self.candidates.get(at)).copied().unwrap_or_else(|| self.kept())
    }

    /// Whether calls would leave otherwise than they do in the kept regime, and no other candidate stands for it.
    fn would_differ(&self, candidate: Regime) -> bool {
        let kept = self.kept();
        let same_rings = kept.rings == Rings::Chosen && candidate.rings == Rings::None;
        let same_posts = kept.posts && !candidate.posts;
        candidate != kept
            && !(same_rings && self.no_rings.load(Relaxed))
            && !(same_posts && self.no_posts.load(Relaxed))
    }

    /// Begins to compare with the next regime of the round, if that is another one in effect.
    fn compare_next(&self) -> u64 {
        self.work.clear();
        self.ticks.clear();
        self.ahead.store(0, Relaxed);
        self.paused.store(0, Relaxed);
        let last = self.other.load(Relaxed);
        let mut later = self.candidates.iter().enumerate().skip(last);
        if let Some((at, _)) = later.find(|(_, candidate)| self.would_differ(**candidate)) {
            self.other.store(at + 1, Relaxed);
            return self.begin_window(1);
        }
        if last != 0 {
            self.hold.store((self.hold.load(Relaxed) * GROWTH).min(HOLD[1]), Relaxed);
        }
        self.end_round(self.kept())
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
        self.end_round(self.other())
    }

    fn end_round(&self, kept: Regime) -> u64 {
        self.window.store(0, Relaxed);
        self.other.store(0, Relaxed);
        self.kept.store(kept.to_word(), Relaxed);
        self.now.store(kept.to_word(), Relaxed);
        self.hold.load(Relaxed)
    }
}
