//! The address space itself: its state and what looks at it without a change.

use alloc::vec::Vec;

use crate::brk::Heap;
use crate::errors::MmError;
use crate::map::VmaMap;
use crate::pages::{BackingFile, Pages};
use crate::policy::{Layout, Limits, Policy};
use crate::range::{PAGE_SIZE, PageRange};
use crate::runs::PageSet;
use crate::shared;
use crate::store::Store;
use crate::vma::{Vma, VmaFlags, VmaKind};
use crate::writes::Write;

/// The address space of one program: mappings of `F`, on pages of `P`.
#[derive(Debug)]
pub struct AddressSpace<P, F> {
    pub(crate) map: VmaMap<F>,
    pub(crate) store: Store<P>,
    pub(crate) layout: Layout,
    pub(crate) policy: Policy,
    pub(crate) limits: Limits,
    pub(crate) heap: Heap,
    pub(crate) lock_future: bool,
    pub(crate) peak_mapped: u64,
    /// What is being written of files.
    pub(crate) writes: Vec<Write<F>>,
}

impl<P: Pages<F>, F: BackingFile> AddressSpace<P, F> {
    /// An empty address space without limits.
    pub fn new(layout: Layout, policy: Policy, pages: P) -> Self {
        Self {
            map: VmaMap::new(layout.area, policy.max_map_count),
            store: Store::new(pages),
            layout,
            policy,
            limits: Limits::default(),
            heap: Heap::default(),
            lock_future: false,
            peak_mapped: 0,
            writes: Vec::new(),
        }
    }

    /// What the program may use.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Sets what the program may use; what it has already stays.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.store.limit = limits.committed / PAGE_SIZE;
    }

    /// What is below.
    pub const fn pages(&self) -> &P {
        &self.store.pages
    }

    /// What is below, to be changed.
    pub const fn pages_mut(&mut self) -> &mut P {
        &mut self.store.pages
    }

    /// The mapping at `addr`.
    pub fn find(&self, addr: u64) -> Option<&Vma<F>> {
        self.map.find(addr)
    }

    /// All mappings, by address.
    pub fn vmas(&self) -> impl Iterator<Item = &Vma<F>> {
        self.map.iter()
    }

    /// Those that have pages in `range`.
    pub fn overlapping(&self, range: PageRange) -> impl Iterator<Item = &Vma<F>> {
        self.map.overlapping(range)
    }

    /// The pages that are present.
    pub const fn committed(&self) -> &PageSet {
        &self.store.committed
    }

    /// Commits all pages of `range` that may be accessed at all, e.g. before a sweep over them. ENOMEM
    /// when there are holes or no pages left; the part before is committed then.
    pub fn populate(&mut self, range: PageRange) -> Result<(), MmError> {
        let mut at = range.start();
        for vma in self.map.overlapping(range) {
            let part = vma.range().intersect(range);
            if part.start() != at {
                return Err(MmError::NoMemory);
            }
            at = part.end();
            if !vma.prot().is_empty() {
                shared::fill(&self.map, &mut self.store, vma, part, None)?;
            }
        }
        if at == range.end() { Ok(()) } else { Err(MmError::NoMemory) }
    }

    /// Commits `range` when it is small enough that faults would cost more. Failing is no error: a
    /// fault will tell.
    pub(crate) fn populate_eagerly(&mut self, range: PageRange) {
        self.populate_up_to(range, self.policy.eager_file);
    }

    /// The same, where so many bytes of a private file mapping are small enough.
    pub(crate) fn populate_up_to(&mut self, range: PageRange, eager_file: u64) {
        let Some(vma) = self.map.find(range.start()) else { return };
        let part = vma.range().intersect(range);
        let len = part.len();
        let wanted = match vma.kind() {
            _ if vma.prot().is_empty() => PageRange::of(part.end(), part.end()),
            _ if vma.flags().contains(VmaFlags::THREAD_STACK) => {
                PageRange::of(part.end() - len.min(self.policy.eager_stack), part.end())
            }
            VmaKind::Anon | VmaKind::AnonShared | VmaKind::Heap
                if len <= self.policy.eager_anon =>
            {
                part
            }
            VmaKind::FilePrivate(_) if len <= eager_file => part,
            _ => PageRange::of(part.end(), part.end()),
        };
        // Best effort by design.
        let _ = shared::fill(&self.map, &mut self.store, vma, wanted, None);
    }

    /// Whether `pages` more, in the place of `replaced` ones, are within the limits for address space
    /// and, if they are `data`, for that.
    pub(crate) fn check_limits(
        &self,
        data: bool,
        pages: u64,
        replaced: u64,
    ) -> Result<(), MmError> {
        let fits = |now: u64, limit: u64| {
            now.saturating_sub(replaced).saturating_add(pages) <= limit / PAGE_SIZE
        };
        let fits_in_data = !data || fits(self.map.data_pages(), self.limits.data);
        if fits_in_data && fits(self.map.pages(), self.limits.address_space) {
            Ok(())
        } else {
            Err(MmError::NoMemory)
        }
    }

    /// Adds a mapping in a free place.
    pub(crate) fn insert(&mut self, vma: Vma<F>) {
        let range = vma.range();
        self.map.insert(vma);
        self.map.merge(range);
        self.peak_mapped = self.peak_mapped.max(self.map.pages());
    }
}
