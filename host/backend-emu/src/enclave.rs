//! The state of an enclave.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use backend::{EnterLeaf, Exception};
use measure::Measurement;
use sgx_types::{SecInfoFlags, Secs};

use crate::context::{Context, Run};
use crate::cost::{CostModel, spend};
use crate::epcm::{Entry, Epcm};
use crate::lookup;
use crate::mapping::{HUGE_PAGE, Mapping};
use crate::patch::Stubs;
use crate::ssa::Event;
use crate::tcs::TcsState;

/// An emulated enclave.
pub(crate) struct Inner {
    /// As ECREATE took it, without what EINIT fills in.
    pub(crate) secs: Secs,
    /// Identity, once EINIT has accepted it.
    pub(crate) identity: OnceLock<Identity>,
    pub(crate) epcm: Epcm,
    /// Before the mapping, which a thread that measures reads.
    pub(crate) build: Mutex<Build>,
    pub(crate) mapping: Mapping,
    pub(crate) tcs: RwLock<BTreeMap<u64, Arc<TcsState>>>,
    pub(crate) stubs: OnceLock<Stubs>,
    pub(crate) costs: CostModel,
    /// Whether threads are watched by seccomp.
    pub(crate) audit: bool,
    pub(crate) counters: Counters,
    pub(crate) initialised: AtomicBool,
    /// Bytes of the XSAVE area with the components of XFRM.
    pub(crate) xsave_size: u64,
}

/// What EINIT writes into the SECS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) mrenclave: [u8; 32],
    pub(crate) mrsigner: [u8; 32],
    pub(crate) isv_prod_id: u16,
    pub(crate) isv_svn: u16,
    pub(crate) isv_family_id: [u8; 16],
    pub(crate) isv_ext_prod_id: [u8; 16],
}

/// What is needed until EINIT.
pub(crate) struct Build {
    /// The running measurement.
    pub(crate) measurement: Measurement,
    /// Pages with code, as adjacent ranges.
    pub(crate) code: Vec<Range<u64>>,
}

/// Events since the enclave was created.
#[derive(Default)]
pub(crate) struct Counters {
    /// By thread control structures that are no more.
    pub(crate) entries: AtomicU64,
    pub(crate) resumes: AtomicU64,
    pub(crate) exceptions: AtomicU64,
    pub(crate) kicks: AtomicU64,
    /// System call instructions inside, which became #UD.
    pub(crate) system_calls: AtomicU64,
    /// ENCLU instructions that trapped instead of being patched.
    pub(crate) trapped_leaves: AtomicU64,
    /// New pages that the enclave accepted, and pages whose permissions it extended.
    pub(crate) accepted: AtomicU64,
    /// Changes of the host's mapping that were put off until a fault.
    pub(crate) late_mappings: AtomicU64,
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Inner {
    /// The counters by name.
    pub(crate) fn statistics(&self) -> Vec<(&'static str, u64)> {
        let counters = &self.counters;
        let all = self.tcs.read().unwrap_or_else(PoisonError::into_inner);
        let entries = all.values().map(|tcs| &tcs.entries).chain([&counters.entries]);
        let mut lines = vec![("entries", entries.map(|e| e.load(Ordering::Relaxed)).sum())];
        lines.extend(
            [
                ("resumes", &counters.resumes),
                ("exceptions inside", &counters.exceptions),
                ("kicks inside", &counters.kicks),
                ("system call instructions refused", &counters.system_calls),
                ("ENCLU instructions trapped", &counters.trapped_leaves),
                ("pages accepted or extended", &counters.accepted),
                ("late mappings", &counters.late_mappings),
            ]
            .map(|(name, counter)| (name, counter.load(Ordering::Relaxed))),
        );
        lines.push(("ENCLU instructions patched", self.stubs.get().map_or(0, Stubs::count)));
        lines
    }

    /// First address of ELRANGE.
    pub(crate) fn base(&self) -> u64 {
        self.secs.base
    }

    /// Whether all of `len` bytes from `address` on lie in ELRANGE.
    pub(crate) fn contains(&self, address: u64, len: u64) -> bool {
        let offset = address.wrapping_sub(self.secs.base);
        offset < self.secs.size && len <= self.secs.size - offset
    }

    pub(crate) fn is_initialised(&self) -> bool {
        self.initialised.load(Ordering::Acquire)
    }

    /// The state of building, even if a thread died while holding it.
    pub(crate) fn building(&self) -> MutexGuard<'_, Build> {
        self.build.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread control structure at `address`.
    pub(crate) fn tcs_at(&self, address: u64) -> Option<Arc<TcsState>> {
        self.tcs.read().unwrap_or_else(PoisonError::into_inner).get(&address).cloned()
    }

    /// EAUG of the page at `address`, as the kernel does when it is first touched.
    pub(crate) fn augment(&self, address: u64) -> Entry {
        if self.mapping.range().contains(&address) && self.is_initialised() {
            self.epcm.replace(address, Entry::NONE, Entry::AUGMENTED);
        }
        self.epcm.get(address)
    }

    /// What the host is told of an exception inside: of addresses in ELRANGE only the page.
    pub(crate) fn exception(&self, event: &Event) -> Exception {
        let hidden = if self.contains(event.address, 1) { 0xfff } else { 0 };
        Exception {
            leaf: EnterLeaf::Eresume,
            vector: event.vector.unwrap_or_default().into(),
            error_code: event.error_code as u16,
            address: event.address & !hidden,
        }
    }

    /// Whether the enclave may access the page now in that way.
    pub(crate) fn allows(&self, address: u64, access: SecInfoFlags) -> bool {
        self.contains(address, 1) && self.epcm.get(address & !0xfff).access().contains(access)
    }

    /// Shows the pages that `context`'s thread has accepted, or extended the permissions of.
    pub(crate) fn flush(&self, context: &mut Context) {
        let Run { start, end, new_since } = mem::take(&mut context.run);
        if start != end {
            let run = start..end;
            let mut locked = self.mapping.lock();
            let mut bring = |since| locked.bring_new(&self.epcm, &run, since);
            if !new_since.is_some_and(&mut bring) && !locked.has_brought(&run) {
                locked.enlarge(run.clone());
                locked.show(&self.epcm, run.clone());
            }
            drop(locked);
            self.charge(run);
        }
    }

    /// Counts pages that were accepted, and what they cost.
    fn charge(&self, run: Range<u64>) {
        let pages = (run.end - run.start) / 4096;
        self.counters.accepted.fetch_add(pages, Ordering::Relaxed);
        spend(pages * self.costs.epc_fault);
    }

    /// Shows the page at `address`, and its like around it, if the EPCM allows the access and only
    /// the mapping lags behind.
    pub(crate) fn catch_up(&self, address: u64, access: SecInfoFlags) -> bool {
        self.show_around(address, access).is_some()
    }

    /// The same for the thread of `context`, which shows all that it accepted there.
    pub(crate) fn catch_up_with(
        &self,
        context: &mut Context,
        address: u64,
        access: SecInfoFlags,
    ) -> bool {
        let accepted = context.run.start..context.run.end;
        if !accepted.contains(&(address & !0xfff)) {
            return self.catch_up(address, access);
        }
        let allowed = self.allows(address, access);
        if allowed {
            count(&self.counters.late_mappings);
            self.flush(context);
        }
        allowed
    }

    fn show_around(&self, address: u64, access: SecInfoFlags) -> Option<Range<u64>> {
        if !self.allows(address, access) {
            return None;
        }
        let page = address & !0xfff;
        let limits = page & !(HUGE_PAGE - 1)..(page & !(HUGE_PAGE - 1)) + HUGE_PAGE;
        let limits = limits.start.max(self.mapping.range().start)..limits.end;
        let locked = self.mapping.lock();
        count(&self.counters.late_mappings);
        let shown = page..page + 4096;
        if locked.has_brought(&shown) {
            return Some(shown);
        }
        let alike = self.epcm.alike(page, limits);
        locked.enlarge(alike.clone());
        locked.show(&self.epcm, alike.clone());
        Some(alike)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        lookup::clear();
        let all = self.tcs.get_mut().unwrap_or_else(PoisonError::into_inner);
        all.values().for_each(|tcs| tcs.retire());
    }
}
