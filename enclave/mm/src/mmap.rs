//! `mmap(2)`: the checks, the place, the mapping.

use bitflags::bitflags;

use crate::errors::MmError;
use crate::gaps::Want;
use crate::pages::{BackingFile, Pages};
use crate::range::{PAGE_SIZE, PageRange, align_down, is_page_aligned, page_align};
use crate::space::AddressSpace;
use crate::vma::{FileRef, Prot, Vma, VmaFlags, VmaKind};

bitflags! {
    /// The flags of `mmap(2)` on x86-64, except for the type in the lowest four bits.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct MapFlags: u64 {
        /// `MAP_FIXED`
        const FIXED = 0x10;
        /// `MAP_ANONYMOUS`
        const ANONYMOUS = 0x20;
        /// `MAP_32BIT`
        const LOW_2G = 0x40;
        /// `MAP_GROWSDOWN`
        const GROWS_DOWN = 0x100;
        /// `MAP_DENYWRITE`: set by those who load programs, says only that
        const DENY_WRITE = 0x800;
        /// `MAP_EXECUTABLE`, ignored
        const EXECUTABLE = 0x1000;
        /// `MAP_LOCKED`
        const LOCKED = 0x2000;
        /// `MAP_NORESERVE`
        const NO_RESERVE = 0x4000;
        /// `MAP_POPULATE`
        const POPULATE = 0x8000;
        /// `MAP_NONBLOCK`
        const NON_BLOCK = 0x1_0000;
        /// `MAP_STACK`
        const STACK = 0x2_0000;
        /// `MAP_HUGETLB`
        const HUGE_TLB = 0x4_0000;
        /// `MAP_SYNC`
        const SYNC = 0x8_0000;
        /// `MAP_FIXED_NOREPLACE`
        const FIXED_NOREPLACE = 0x10_0000;
    }
}

const MAP_TYPE: u64 = 0xf;
const MAP_SHARED: u64 = 1;
const MAP_PRIVATE: u64 = 2;
const MAP_SHARED_VALIDATE: u64 = 3;
/// `LEGACY_MAP_MASK` of Linux, all that `MAP_SHARED_VALIDATE` knows: the flags up to `MAP_HUGETLB` and the
/// huge page size.
const LEGACY_MASK: u64 = 0xfc07_f9f3;
/// Where `MAP_32BIT` puts mappings.
const LOW_2G: (u64, u64) = (0x4000_0000, 0x8000_0000);

/// An open file to be mapped.
#[derive(Debug, Clone)]
pub struct Backing<F> {
    /// The file.
    pub file: F,
    /// Whether the descriptor is open for reading.
    pub readable: bool,
    /// Whether the descriptor is open for writing (and the file is not append-only).
    pub writable: bool,
    /// Whether the file may be executed at all (no `noexec` mount).
    pub executable: bool,
}

/// The arguments of `mmap(2)`, as in the registers.
#[derive(Debug, Clone)]
pub struct MapRequest<F> {
    /// Address: a hint, or the place with `MAP_FIXED`.
    pub hint: u64,
    /// Length in bytes.
    pub len: u64,
    /// `PROT_*`; unknown bits are ignored, as Linux does.
    pub prot: u64,
    /// `MAP_*`.
    pub flags: u64,
    /// Offset in bytes.
    pub offset: u64,
    /// The file; `None` for `MAP_ANONYMOUS` (EBADF and ENODEV are the caller's).
    pub file: Option<Backing<F>>,
}

/// A request that has passed the checks: everything but the place.
struct Plan<F> {
    len: u64,
    prot: Prot,
    may: Prot,
    vma_flags: VmaFlags,
    flags: MapFlags,
    kind: VmaKind<F>,
}

impl<F> MapRequest<F> {
    fn plan(self) -> Result<Plan<F>, MmError> {
        if !is_page_aligned(self.offset) || self.len == 0 {
            return Err(MmError::Invalid);
        }
        let len = page_align(self.len).ok_or(MmError::NoMemory)?;
        let end = self.offset.checked_add(len).ok_or(MmError::Overflow)?;
        let prot = Prot::from_bits_truncate(self.prot);
        let mut flags = MapFlags::from_bits_truncate(self.flags);
        if flags.contains(MapFlags::FIXED_NOREPLACE) {
            flags |= MapFlags::FIXED;
        }
        let (kind, may) = match self.file {
            None => (anon_kind(self.flags, flags)?, Prot::all()),
            Some(_) if end > i64::MAX.unsigned_abs() => return Err(MmError::Overflow),
            Some(file) => file_kind(file, self.flags, prot, self.offset)?,
        };
        Ok(Plan { len, prot, may, vma_flags: vma_flags(flags), flags, kind })
    }
}

fn anon_kind<F>(raw: u64, flags: MapFlags) -> Result<VmaKind<F>, MmError> {
    match raw & MAP_TYPE {
        // No huge pages are set aside.
        MAP_SHARED | MAP_PRIVATE if flags.contains(MapFlags::HUGE_TLB) => Err(MmError::NoMemory),
        MAP_SHARED if flags.contains(MapFlags::GROWS_DOWN) => Err(MmError::Invalid),
        MAP_SHARED => Ok(VmaKind::AnonShared),
        MAP_PRIVATE => Ok(VmaKind::Anon),
        _ => Err(MmError::Invalid),
    }
}

fn file_kind<F>(
    file: Backing<F>,
    raw: u64,
    prot: Prot,
    offset: u64,
) -> Result<(VmaKind<F>, Prot), MmError> {
    let shared = match raw & MAP_TYPE {
        MAP_SHARED_VALIDATE if raw & !LEGACY_MASK != 0 => return Err(MmError::NotSupported),
        MAP_SHARED | MAP_SHARED_VALIDATE => true,
        MAP_PRIVATE => false,
        _ => return Err(MmError::Invalid),
    };
    let mut may = Prot::all();
    if shared && !file.writable {
        may -= Prot::WRITE;
    }
    if !may.contains(prot & Prot::WRITE) || !file.readable {
        return Err(MmError::Access);
    }
    if !file.executable {
        may -= Prot::EXEC;
        if prot.contains(Prot::EXEC) {
            return Err(MmError::NotPermitted);
        }
    }
    if MapFlags::from_bits_truncate(raw).intersects(MapFlags::GROWS_DOWN | MapFlags::HUGE_TLB) {
        return Err(MmError::Invalid);
    }
    let place = FileRef { file: file.file, offset };
    let kind = if shared { VmaKind::FileShared(place) } else { VmaKind::FilePrivate(place) };
    Ok((kind, may))
}

fn vma_flags(flags: MapFlags) -> VmaFlags {
    [
        (MapFlags::GROWS_DOWN, VmaFlags::GROWS_DOWN),
        (MapFlags::NO_RESERVE, VmaFlags::NO_RESERVE),
        (MapFlags::LOCKED, VmaFlags::LOCKED),
        (MapFlags::STACK, VmaFlags::THREAD_STACK),
    ]
    .into_iter()
    .filter(|&(flag, _)| flags.contains(flag))
    .fold(VmaFlags::empty(), |all, (_, flag)| all | flag)
}

impl<P: Pages<F>, F: BackingFile> AddressSpace<P, F> {
    /// `mmap(2)`. Returns the address.
    ///
    /// Beyond Linux: with `MAP_POPULATE`, ENOMEM when the pages cannot be committed; a fixed place
    /// that the runtime needs itself gives ENOMEM.
    pub fn mmap(&mut self, request: MapRequest<F>) -> Result<u64, MmError> {
        let hint = request.hint;
        let mut plan = request.plan()?;
        if self.lock_future {
            plan.vma_flags |= VmaFlags::LOCKED;
        }
        if self.map.is_full() {
            return Err(MmError::NoMemory);
        }
        let range = self.place(hint, &plan)?;
        self.check_commitment(&plan)?;
        let replaced = self.map.overlapping(range).map(|vma| vma.range().intersect(range).pages());
        let replaced = replaced.sum();
        let Plan { prot, may, vma_flags: flags, .. } = plan;
        let vma = Vma { range, prot, may, flags, kind: plan.kind };
        self.check_limits(vma.is_data(), range.pages(), replaced)?;
        if plan.flags.contains(MapFlags::FIXED) {
            self.make_room(range, plan.flags)?;
        }
        self.insert(vma);
        self.populate_new(range, prot, plan.flags, flags)?;
        Ok(range.start())
    }

    fn populate_new(
        &mut self,
        range: PageRange,
        prot: Prot,
        flags: MapFlags,
        vma_flags: VmaFlags,
    ) -> Result<(), MmError> {
        let asked = flags & (MapFlags::POPULATE | MapFlags::NON_BLOCK) == MapFlags::POPULATE;
        if !asked && !vma_flags.contains(VmaFlags::LOCKED) {
            let eager_file = if !flags.contains(MapFlags::DENY_WRITE) {
                self.policy.eager_file
            } else if prot.contains(Prot::WRITE) {
                self.policy.eager_data
            } else if flags.contains(MapFlags::FIXED) {
                self.policy.eager_file
            } else {
                // The first part of a library takes the room of all, and the others are mapped over it.
                0
            };
            self.populate_up_to(range, eager_file);
            return Ok(());
        }
        match self.populate(range) {
            Err(MmError::NoMemory) if asked => {
                self.unmap(range)?;
                Err(MmError::NoMemory)
            }
            // As in Linux: a fault will tell.
            _ => Ok(()),
        }
    }

    /// Linux's heuristic overcommit: refuse a single mapping that can never be filled.
    fn check_commitment(&self, plan: &Plan<F>) -> Result<(), MmError> {
        let counted = plan.prot.contains(Prot::WRITE)
            && !plan.vma_flags.contains(VmaFlags::NO_RESERVE)
            && !matches!(plan.kind, VmaKind::FileShared(_));
        let too_much = counted && plan.len > self.limits.committed;
        if too_much { Err(MmError::NoMemory) } else { Ok(()) }
    }

    fn make_room(&mut self, range: PageRange, flags: MapFlags) -> Result<(), MmError> {
        if self.map.gaps().is_free(range) {
            return Ok(());
        }
        if flags.contains(MapFlags::FIXED_NOREPLACE) {
            return Err(MmError::Exists);
        }
        if self.map.overlapping(range).any(Vma::is_special) {
            return Err(MmError::NoMemory);
        }
        self.unmap(range)
    }

    fn place(&self, hint: u64, plan: &Plan<F>) -> Result<PageRange, MmError> {
        let len = plan.len;
        let area = self.layout.area;
        if plan.flags.contains(MapFlags::FIXED) {
            return self.fixed_place(hint, len);
        }
        if let Some(hinted) = self.hinted_place(hint, len) {
            return Ok(hinted);
        }
        let (low, high) = if plan.flags.contains(MapFlags::LOW_2G) {
            (LOW_2G.0.max(area.start()), LOW_2G.1.min(area.end()))
        } else {
            (area.start(), self.layout.mmap_top)
        };
        let huge = self.policy.huge_page;
        let aligns = matches!(plan.kind, VmaKind::Anon | VmaKind::AnonShared)
            && len >= huge
            && !plan.vma_flags.contains(VmaFlags::THREAD_STACK);
        let align = if aligns { huge } else { PAGE_SIZE };
        self.find_place(Want { len, align, low, high }, plan.flags).ok_or(MmError::NoMemory)
    }

    /// The exact place, as `MAP_FIXED` and `MREMAP_FIXED` want it.
    pub(crate) fn fixed_place(&self, addr: u64, len: u64) -> Result<PageRange, MmError> {
        let area = self.layout.area;
        if area.end().checked_sub(len).is_none_or(|last| addr > last) {
            return Err(MmError::NoMemory);
        }
        let range = PageRange::from_len(addr, len).ok_or(MmError::Invalid)?;
        if addr < area.start() { Err(MmError::NotPermitted) } else { Ok(range) }
    }

    fn hinted_place(&self, hint: u64, len: u64) -> Option<PageRange> {
        let area = self.layout.area;
        if hint < PAGE_SIZE {
            return None;
        }
        let hint = page_align(align_down(hint, PAGE_SIZE).max(area.start()))?;
        let range = PageRange::from_len(hint, len)?;
        (area.covers(range) && self.map.gaps().is_free(range)).then_some(range)
    }

    fn find_place(&self, want: Want, flags: MapFlags) -> Option<PageRange> {
        let gaps = self.map.gaps();
        let unaligned = Want { align: PAGE_SIZE, ..want };
        let above = Want { high: self.layout.area.end(), ..unaligned };
        gaps.find_top_down(want)
            .or_else(|| gaps.find_top_down(unaligned))
            .or_else(|| gaps.find_top_down(above).filter(|_| !flags.contains(MapFlags::LOW_2G)))
            .and_then(|at| PageRange::from_len(at, want.len))
    }

    /// A place for a mapping that `mremap` moves, with room behind it to grow further.
    pub(crate) fn place_to_grow(&self, len: u64) -> Result<PageRange, MmError> {
        let slack = len.min(self.policy.remap_slack);
        let high = self.layout.mmap_top;
        let align = if len >= self.policy.huge_page { self.policy.huge_page } else { PAGE_SIZE };
        let want = Want { len: len + slack, align, low: self.layout.area.start(), high };
        let tight = Want { len, align: PAGE_SIZE, ..want };
        self.find_place(want, MapFlags::empty())
            .or_else(|| self.find_place(tight, MapFlags::empty()))
            .and_then(|place| PageRange::from_len(place.start(), len))
            .ok_or(MmError::NoMemory)
    }
}
