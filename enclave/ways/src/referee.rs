//! Whether rings do any good at all.
//!
//! What a call costs the thread that makes it is not what it costs: the host's threads, the waiting that
//! others do for a lock, and the clients of a server pay too, where there are few processors. So now and
//! then all calls leave by exits for a while, in turn with the ways that were chosen for each kind, and
//! whichever let the program make more calls in the same time is kept.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Ticks of one window (10 ms at 2.5 GHz).
const WINDOW: u64 = 25_000_000;
/// Windows of a comparison: half of them each way, in turn.
const WINDOWS: u64 = 8;
/// A window that took so many times its length had nothing to do: it says nothing.
const IDLE: u64 = 2;
/// Ticks between two comparisons, at least and at most (0.2 s and 8 s at 2.5 GHz). At most a part of
/// `WINDOWS * WINDOW / 2` in this is spent the worse way.
const HOLD: [u64; 2] = [500_000_000, 20_000_000_000];
/// The other way must let the program make one part in so many more calls.
const MARGIN: u64 = 8;

/// How often exits were compared with the ways that are chosen for each kind, for reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Comparisons {
    /// Comparisons that came to an end.
    pub made: u64,
    /// Those after which all calls left by exits.
    pub for_exits: u64,
}

/// Nobody else may end a window that somebody ends.
const TAKEN: u64 = u64::MAX;

/// Calls and the time in which they were made, by the way that is kept and by the other one.
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

/// Compares exits with the ways that are chosen for each kind of calls.
#[derive(Debug)]
pub(crate) struct Referee {
    /// When the window ends, in ticks, or [`TAKEN`]. All else is changed by whoever has taken it.
    end: AtomicU64,
    /// All calls leave by exits now.
    exits: AtomicBool,
    /// Exits are what is kept.
    kept: AtomicBool,
    /// Number of the window in a comparison, zero outside of one.
    window: AtomicU64,
    began: AtomicU64,
    calls_then: AtomicU64,
    calls: Tally,
    ticks: Tally,
    hold: AtomicU64,
    compared: AtomicU64,
    for_exits: AtomicU64,
}

impl Referee {
    pub(crate) fn new(now: u64) -> Self {
        Self {
            end: AtomicU64::new(now.saturating_add(HOLD[0])),
            exits: AtomicBool::new(false),
            kept: AtomicBool::new(false),
            window: AtomicU64::new(0),
            began: AtomicU64::new(now),
            calls_then: AtomicU64::new(0),
            calls: Tally::new(),
            ticks: Tally::new(),
            hold: AtomicU64::new(HOLD[0]),
            compared: AtomicU64::new(0),
            for_exits: AtomicU64::new(0),
        }
    }

    /// Whether all calls leave by exits now.
    pub(crate) fn says_exits(&self) -> bool {
        self.exits.load(Relaxed)
    }

    pub(crate) fn comparisons(&self) -> Comparisons {
        let (made, for_exits) = (self.compared.load(Relaxed), self.for_exits.load(Relaxed));
        Comparisons { made, for_exits }
    }

    /// To be called now and then: ends the window if it is time. `calls` counts those that were made so
    /// far, by exits and by rings.
    pub(crate) fn look(&self, now: u64, calls: impl FnOnce() -> [u64; 2]) {
        let end = self.end.load(Relaxed);
        if now < end || self.end.compare_exchange(end, TAKEN, Relaxed, Relaxed).is_err() {
            return;
        }
        let [exits, rings] = calls();
        let next = self.end_window(now, exits.wrapping_add(rings), rings);
        self.began.store(now, Relaxed);
        self.end.store(now.saturating_add(next), Relaxed);
    }

    /// Ends a window, and returns how long the next one is.
    fn end_window(&self, now: u64, calls: u64, rings: u64) -> u64 {
        let window = self.window.load(Relaxed);
        let kept = self.kept.load(Relaxed);
        let ticks = now.saturating_sub(self.began.load(Relaxed));
        let made = calls.wrapping_sub(self.calls_then.swap(calls, Relaxed));
        if window != 0 {
            if ticks > IDLE * WINDOW {
                return self.end_comparison(kept);
            }
            let other = self.says_exits() != kept;
            self.calls.add(other, made);
            self.ticks.add(other, ticks);
            if window.is_multiple_of(2) {
                let [own, other] = self.rates();
                if window == WINDOWS || other < own / 2 {
                    return self.decide(kept, own, other);
                }
            }
        } else if rings == 0 {
            // As good as exits: there is nothing to compare.
            return HOLD[0];
        }
        self.window.store(window + 1, Relaxed);
        self.exits.store(kept ^ window.is_multiple_of(2), Relaxed);
        WINDOW
    }

    /// Calls in the same time, by the way that is kept and by the other one, in a unit of their own.
    fn rates(&self) -> [u128; 2] {
        let ([own, other], [own_ticks, other_ticks]) = (self.calls.sums(), self.ticks.sums());
        [own * other_ticks, other * own_ticks]
    }

    fn decide(&self, kept: bool, own: u128, other: u128) -> u64 {
        let better = other > own + own / u128::from(MARGIN);
        let hold = if better { HOLD[0] } else { self.hold.load(Relaxed) * 2 };
        self.hold.store(hold.min(HOLD[1]), Relaxed);
        let exits = kept ^ better;
        self.compared.fetch_add(1, Relaxed);
        self.for_exits.fetch_add(u64::from(exits), Relaxed);
        self.end_comparison(exits)
    }

    fn end_comparison(&self, kept: bool) -> u64 {
        self.calls.clear();
        self.ticks.clear();
        self.window.store(0, Relaxed);
        self.kept.store(kept, Relaxed);
        self.exits.store(kept, Relaxed);
        self.hold.load(Relaxed)
    }
}
