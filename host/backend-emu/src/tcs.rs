//! Thread control structures.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use sgx_types::{PAGE_SIZE, Secs, Tcs};

use crate::lookup::GsKey;

const PAGE: u64 = PAGE_SIZE as u64;

/// A thread control structure as the processor keeps it: software cannot read its page.
#[derive(Debug)]
pub(crate) struct TcsState {
    pub(crate) address: u64,
    pub(crate) oentry: u64,
    pub(crate) nssa: u32,
    pub(crate) fs_base: u64,
    pub(crate) gs_base: u64,
    /// Index of the next SSA frame.
    pub(crate) cssa: AtomicU32,
    pub(crate) busy: AtomicBool,
    pub(crate) gone: AtomicBool,
    /// How often EENTER succeeded. Only the thread that has the TCS adds.
    pub(crate) entries: AtomicU64,
    pub(crate) key: GsKey,
    /// Address and size of the SSA frames.
    ssa: u64,
    frame: u64,
}

impl TcsState {
    /// Checks the page's contents as EADD and EACCEPT do.
    ///
    /// # Errors
    /// The name of the rule that it breaks; the leaf raises #GP(0).
    pub(crate) fn new(address: u64, tcs: &Tcs, secs: &Secs) -> Result<Self, &'static str> {
        let rules = [
            (tcs.reserved_is_zero(), "TCS reserved bytes are not zero"),
            (tcs.flags.is_empty(), "TCS.FLAGS is not zero"),
            (tcs.stage == 0 && tcs.aep == 0, "TCS state is not zero"),
            (tcs.cssa == 0, "TCS.CSSA is not zero"),
            (tcs.ossa.is_multiple_of(PAGE), "TCS.OSSA is not page aligned"),
            (tcs.ofs_base.is_multiple_of(PAGE), "TCS.OFSBASE is not page aligned"),
            (tcs.ogs_base.is_multiple_of(PAGE), "TCS.OGSBASE is not page aligned"),
            (tcs.fs_limit & 0xfff == 0xfff, "TCS.FSLIMIT's low bits are not set"),
            (tcs.gs_limit & 0xfff == 0xfff, "TCS.GSLIMIT's low bits are not set"),
        ];
        if let Some((_, rule)) = rules.iter().find(|(kept, _)| !kept) {
            return Err(rule);
        }
        let gs_base = secs.base.wrapping_add(tcs.ogs_base);
        Ok(Self {
            address,
            oentry: secs.base.wrapping_add(tcs.oentry),
            nssa: tcs.nssa,
            fs_base: secs.base.wrapping_add(tcs.ofs_base),
            gs_base,
            cssa: AtomicU32::new(0),
            busy: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            entries: AtomicU64::new(0),
            key: GsKey::register(gs_base),
            ssa: secs.base.wrapping_add(tcs.ossa),
            frame: u64::from(secs.ssa_frame_size) * PAGE,
        })
    }

    /// Whether this is still the TCS at `address`.
    pub(crate) fn is_at(&self, address: u64) -> bool {
        self.address == address && !self.gone.load(Ordering::Acquire)
    }

    /// The page is no TCS any more, or the enclave is no more.
    pub(crate) fn retire(&self) {
        self.gone.store(true, Ordering::Release);
    }

    /// Marks the TCS as in use; whether it was free.
    pub(crate) fn acquire(&self) -> bool {
        !self.busy.swap(true, Ordering::Acquire)
    }

    /// Marks the TCS as free.
    pub(crate) fn release(&self) {
        self.busy.store(false, Ordering::Release);
    }

    /// Counts an EENTER of the thread that has the TCS.
    pub(crate) fn count_entry(&self) {
        self.entries.store(self.entries.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Address of SSA frame `index`.
    pub(crate) fn frame(&self, index: u32) -> u64 {
        self.ssa.wrapping_add(u64::from(index) * self.frame)
    }

    /// Bytes of one frame.
    pub(crate) fn frame_size(&self) -> u64 {
        self.frame
    }
}
