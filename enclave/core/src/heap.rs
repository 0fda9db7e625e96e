//! The runtime's own heap: talc over pages that are accepted as it grows.

use core::alloc::Layout;

use hostcall_abi::layout::HEAP_BASE;
use talc::{TalcLock, base::Talc, base::binning::Binning, source::Source};

use crate::{app::to_usize, pages, stacks::STACKS_BASE, sync::RawSpin};

/// The heap grows by multiples of this many bytes: all of a huge page, where the host has such.
const STEP: u64 = 2 << 20;

#[global_allocator]
static HEAP: TalcLock<RawSpin, Grow> = TalcLock::new(Grow { end: HEAP_BASE, claimed: None });

/// Extends the one heap at its end.
#[derive(Debug)]
struct Grow {
    end: u64,
    claimed: Option<core::ptr::NonNull<u8>>,
}

// SAFETY: the pointer is only used under the allocator's lock.
unsafe impl Send for Grow {}

// SAFETY: `acquire` touches no allocator but the one it is given.
unsafe impl Source for Grow {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let wanted = (layout.size() + layout.align()) as u64 + 4096;
        let start = talc.source.end;
        let len = wanted.next_multiple_of(STEP);
        if len > STACKS_BASE - start {
            return Err(());
        }
        pages::accept_new(start, len, None);
        let end = start + len;
        // SAFETY: the pages were just accepted and nobody else uses this part of the layout.
        let claimed = unsafe {
            match talc.source.claimed {
                Some(old) => Some(talc.extend(old, end as *mut u8)),
                None => talc.claim(start as *mut u8, to_usize(len)),
            }
        };
        talc.source.end = end;
        talc.source.claimed = claimed;
        claimed.map(|_| ()).ok_or(())
    }
}
