//! What the program was told of a stream: whether it can be received from.
//!
//! Many a server receives until there is no more. If it was told that there is something, and not that this is
//! the end, and then received less than it had room for, then the kernel has no more: it is told so once
//! without asking, as if what has come since were still on its way. Whatever comes after it was told makes
//! the next wait report again, by edge as well.

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// What a stream's registrations share with it.
#[derive(Debug, Default)]
pub struct Told {
    what: AtomicU8,
    reports: AtomicU64,
}

/// Nothing that matters.
const NOTHING: u8 = 0;
/// That it can be received from, and that this is not the end.
const READABLE: u8 = 1;
/// The same, and the program receives.
const RECEIVING: u8 = 2;
/// The same, and it has received all.
const DRAINED: u8 = 3;
/// That it ends, or has something else to tell than data.
const ENDED: u8 = 4;

impl Told {
    /// The program is about to be told that it can be received from; `ends` if that may be the end, or no
    /// data.
    pub fn readable(&self, ends: bool) {
        self.reports.fetch_add(1, Ordering::SeqCst);
        if ends {
            self.what.store(ENDED, Ordering::SeqCst);
        } else {
            self.set(READABLE);
        }
    }

    /// How often it was told that it can be received from.
    pub(super) fn reports(&self) -> u64 {
        self.reports.load(Ordering::SeqCst)
    }

    /// The program may learn in another way what can be received.
    pub fn forget(&self) {
        self.set(NOTHING);
    }

    fn set(&self, to: u8) {
        let (success, failure) = (Ordering::SeqCst, Ordering::SeqCst);
        // It stays ended.
        let _ = self.what.fetch_update(success, failure, |now| (now != ENDED).then_some(to));
    }

    /// To be called when the program asks the kernel, or may: returns whether [`Self::received`] is to be
    /// told what comes of it.
    pub(super) fn asks(&self) -> bool {
        self.change(DRAINED, NOTHING);
        self.change(READABLE, RECEIVING)
    }

    /// The program has received something; `all` if there was room for more.
    pub(super) fn received(&self, all: bool) {
        self.change(RECEIVING, if all { DRAINED } else { READABLE });
    }

    /// Whether the program has received all that there was. Once.
    pub(super) fn is_drained(&self) -> bool {
        self.change(DRAINED, NOTHING)
    }

    fn change(&self, from: u8, to: u8) -> bool {
        self.what.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}
