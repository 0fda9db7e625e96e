//! From the GS base of a thread inside to its context.
//!
//! A patched ENCLU site has neither a free register nor thread-local storage. GS points to the
//! thread's own page at entry and normally stays there, so it serves as key; a miss falls back to
//! asking the kernel for the thread's signal stack. (An enclave that sets GS to the page of another
//! of its threads would confuse the emulator; on hardware it would confuse only itself.)

use std::sync::atomic::{AtomicU64, Ordering};

use crate::context::Context;

const SLOTS: usize = 4096;

/// Bits of an offset into the table: slots of sixteen bytes.
pub(crate) const GS_MASK: usize = (SLOTS - 1) * 16;

/// Set in the key of a slot in use.
const USED: u64 = 1;
/// Set in the key of a slot that two thread control structures claim: nothing matches it.
const AMBIGUOUS: u64 = 2;

/// One entry; the assembler parts know its layout.
#[repr(C, align(16))]
pub(crate) struct GsSlot {
    /// GS base and the flags above; 0 if free.
    key: AtomicU64,
    /// The thread that was last inside with it; 0 if there was none.
    context: AtomicU64,
}

pub(crate) static GS_TABLE: [GsSlot; SLOTS] =
    [const { GsSlot { key: AtomicU64::new(0), context: AtomicU64::new(0) } }; SLOTS];

/// The entry that belongs to one thread control structure.
#[derive(Debug)]
pub(crate) struct GsKey(Option<usize>);

impl GsKey {
    /// Takes the entry for `gs_base`; the key is useless if another one has it or the table is full.
    pub(crate) fn register(gs_base: u64) -> Self {
        let key = gs_base | USED;
        let first = (gs_base >> 12) as usize % SLOTS;
        for index in (first..SLOTS).chain(0..first).take(SLOTS / 2) {
            let slot = &GS_TABLE[index];
            match slot.key.compare_exchange(0, key, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Self(Some(index)),
                Err(found) if found | AMBIGUOUS == key | AMBIGUOUS => {
                    slot.key.store(key | AMBIGUOUS, Ordering::Release);
                    return Self(None);
                }
                Err(_) => {}
            }
        }
        Self(None)
    }

    /// Says which thread goes inside.
    pub(crate) fn enter(&self, context: *const Context) {
        if let Some(index) = self.0 {
            GS_TABLE[index].context.store(context as u64, Ordering::Release);
        }
    }

    /// Where [`Self::enter`] says it; `None` for a useless key.
    pub(crate) fn address(&self) -> Option<u64> {
        self.0.map(|index| GS_TABLE[index].context.as_ptr() as u64)
    }
}

/// Forgets all entries, when the enclave they belong to is destroyed.
pub(crate) fn clear() {
    for slot in &GS_TABLE {
        slot.context.store(0, Ordering::Release);
        slot.key.store(0, Ordering::Release);
    }
}
