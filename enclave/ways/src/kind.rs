//! What is known of one kind of calls.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How a call leaves the enclave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The enclave thread leaves, and makes it itself.
    Exit,
    /// A host thread makes it, while the enclave thread stays inside.
    Ring,
}

impl Way {
    /// The one that this is not.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Exit => Self::Ring,
            Self::Ring => Self::Exit,
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Exit => 0,
            Self::Ring => 1,
        }
    }

    pub(crate) const fn from_word(word: u64) -> Option<Self> {
        match word {
            1 => Some(Self::Exit),
            2 => Some(Self::Ring),
            _ => None,
        }
    }

    pub(crate) const fn to_word(self) -> u64 {
        self.index() as u64 + 1
    }
}

/// Calls of one kind by one way, for reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// Calls that went that way.
    pub calls: u64,
    /// What one costs, in ticks; zero if that is not known.
    pub ticks: u64,
}

/// The share of a new sample in the mean: one part in 2^3.
const SHARE: u32 = 3;
/// A sample counts as at most this many times the mean: the scheduler of the host takes a thread
/// away for a thousand times as long as a call takes.
const CLIP: u64 = 2;
/// What [`Kind::prompt`] is made of: all calls were answered at once.
const ALL: u64 = 1 << 8;

/// One kind of calls.
#[derive(Debug)]
pub(crate) struct Kind {
    calls: [AtomicU64; 2],
    ticks: [AtomicU64; 2],
    /// The way that was chosen; zero if none was.
    pub(crate) way: AtomicU64,
    /// How many of [`ALL`] calls were answered at once, of late.
    prompt: AtomicU64,
}

impl Kind {
    pub(crate) const fn new() -> Self {
        Self {
            calls: [const { AtomicU64::new(0) }; 2],
            ticks: [const { AtomicU64::new(0) }; 2],
            way: AtomicU64::new(0),
            prompt: AtomicU64::new(ALL / 2),
        }
    }

    /// Counts a call, and returns how many went that way before.
    pub(crate) fn count(&self, way: Way) -> u64 {
        let calls = &self.calls[way.index()];
        let before = calls.load(Relaxed);
        calls.store(before.wrapping_add(1), Relaxed);
        before
    }

    pub(crate) fn costs(&self, way: Way) -> Costs {
        let at = way.index();
        Costs { calls: self.calls[at].load(Relaxed), ticks: self.ticks[at].load(Relaxed) }
    }

    /// The cost by `way` is now known to be `ticks`.
    pub(crate) fn set(&self, way: Way, ticks: u64) {
        self.ticks[way.index()].store(ticks.max(1), Relaxed);
    }

    /// Takes a sample into the mean.
    pub(crate) fn sample(&self, way: Way, ticks: u64) {
        let mean = self.costs(way).ticks;
        if mean == 0 {
            return self.set(way, ticks);
        }
        let clipped = ticks.min(mean.saturating_mul(CLIP));
        let moved = mean - (mean >> SHARE) + (clipped >> SHARE);
        self.set(way, moved);
    }

    /// Notes whether a call that may wait was answered at once.
    pub(crate) fn note_prompt(&self, prompt: bool) {
        let before = self.prompt.load(Relaxed);
        let target = if prompt { ALL } else { 0 };
        let after = (before * 7 + target + if prompt { 7 } else { 0 }) / 8;
        self.prompt.store(after.min(ALL), Relaxed);
    }

    /// Whether three of four calls were answered at once.
    pub(crate) fn is_prompt(&self) -> bool {
        self.prompt.load(Relaxed) >= ALL / 4 * 3
    }
}
