//! Mapped files that are only written elsewhere: a server maps a file, sends it, and unmaps it. What
//! it sends is read from the file, so that no page has to be accepted, trimmed and removed, and no copy
//! has to fault.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use enclave_core::{AppSlice, locks_held, to_usize};
use enclave_mm::PAGE_SIZE;

use crate::process::process;

/// Mappings that are remembered; who has more of them at a time has others read by faults.
const PLACES: usize = 8;

/// Addresses of a mapping. Only a hint, of which any half may be missing: the address space knows.
struct Place {
    start: AtomicU64,
    end: AtomicU64,
}

static MAPPED: [Place; PLACES] =
    [const { Place { start: AtomicU64::new(0), end: AtomicU64::new(0) } }; PLACES];

/// Whether there ever was one.
static ANY: AtomicBool = AtomicBool::new(false);

/// The place that is used next.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// A file was mapped at `start`, and its first page is not there.
pub(crate) fn expect(start: u64, len: u64) {
    let place = &MAPPED[NEXT.fetch_add(1, Ordering::Relaxed) % PLACES];
    place.start.store(start, Ordering::Relaxed);
    place.end.store(start.saturating_add(len), Ordering::Relaxed);
    ANY.store(true, Ordering::Relaxed);
}

impl Place {
    fn holds(&self, start: u64, end: u64) -> bool {
        self.start.load(Ordering::Relaxed) <= start && end <= self.end.load(Ordering::Relaxed)
    }

    fn clear(&self) {
        self.end.store(0, Ordering::Relaxed);
    }
}

/// What was mapped in this range is no more.
pub(crate) fn forget(start: u64, len: u64) {
    if !ANY.load(Ordering::Relaxed) {
        return;
    }
    let end = start.saturating_add(len);
    for place in &MAPPED {
        if (start..end).contains(&place.start.load(Ordering::Relaxed)) {
            place.clear();
        }
    }
}

/// What a mapped file shows at `range`, if that can be read from the file; else the pages are needed.
pub fn mapped(range: AppSlice) -> Option<Vec<u8>> {
    // Who holds a lock may be writing pages of this very mapping back.
    if !ANY.load(Ordering::Relaxed) || range.is_empty() || locks_held() {
        return None;
    }
    let (start, len) = (range.address(), range.len());
    let place = MAPPED.iter().find(|place| place.holds(start, start + len))?;
    let read = read(start, len);
    if read.is_none() {
        place.clear();
    }
    read
}

fn read(start: u64, len: u64) -> Option<Vec<u8>> {
    let place = process().space().read_through(start, len)?;
    if place.file.text.is_some() {
        return None;
    }
    let mut bytes = alloc::vec![0; to_usize(len)];
    let count = place.file.source.read_at(place.offset, &mut bytes).ok()? as u64;
    // The rest of the file's last page is zero; pages behind it are not there.
    let there = (place.offset + count).next_multiple_of(PAGE_SIZE) - place.offset;
    (count > 0 && len <= there).then_some(bytes)
}
