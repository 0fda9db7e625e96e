//! One mapping: a range of addresses with one protection and one kind of contents.

use bitflags::bitflags;

use crate::range::PageRange;

bitflags! {
    /// Protection, with Linux's bits.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct Prot: u64 {
        /// `PROT_READ`
        const READ = 1;
        /// `PROT_WRITE`
        const WRITE = 2;
        /// `PROT_EXEC`
        const EXEC = 4;
    }

    /// What else is known of a mapping.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct VmaFlags: u16 {
        /// `MAP_GROWSDOWN`: it grows when what is below is touched.
        const GROWS_DOWN = 1;
        /// `MAP_NORESERVE`
        const NO_RESERVE = 2;
        /// `mlock`: pages are never given back by advice.
        const LOCKED = 4;
        /// `MADV_HUGEPAGE`: faults commit the largest block from the start.
        const HUGE = 8;
        /// `MADV_NOHUGEPAGE`
        const NO_HUGE = 16;
        /// `MADV_DONTFORK`
        const DONT_FORK = 32;
        /// `MADV_WIPEONFORK`
        const WIPE_ON_FORK = 64;
        /// `MADV_DONTDUMP`
        const DONT_DUMP = 128;
        /// `MAP_STACK`: the stack of a thread.
        const THREAD_STACK = 256;
    }
}

impl Prot {
    /// Read and write.
    pub const RW: Self = Self::READ.union(Self::WRITE);
    /// Read and execute.
    pub const RX: Self = Self::READ.union(Self::EXEC);

    /// What the pages really get: on x86-64, write or execute implies read.
    #[must_use]
    pub const fn effective(self) -> Self {
        if self.is_empty() { self } else { self.union(Self::READ) }
    }
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileRef<F> {
    /// The file.
    pub file: F,
    /// Where the first page of the mapping lies in it, in bytes; a multiple of the page size.
    pub offset: u64,
}

/// What a mapping holds.
#[derive(Debug, Clone, PartialEq)]
pub enum VmaKind<F> {
    /// Zeroed memory of this process.
    Anon,
    /// `MAP_SHARED | MAP_ANONYMOUS`: shared with children only.
    AnonShared,
    /// A copy of a file.
    FilePrivate(FileRef<F>),
    /// A file, written back at `msync`, `munmap` and exit.
    FileShared(FileRef<F>),
    /// The stack of the first thread.
    Stack,
    /// What `brk` moves.
    Heap,
    /// The runtime's own vDSO.
    Vdso,
    /// Belongs to the runtime (e.g. the rewriter's trampolines): for the program's calls, this is
    /// neither free nor a mapping. The name appears in `/proc/self/maps` in brackets.
    Special(&'static str),
}

/// A mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Vma<F> {
    pub(crate) range: PageRange,
    pub(crate) prot: Prot,
    pub(crate) may: Prot,
    pub(crate) flags: VmaFlags,
    pub(crate) kind: VmaKind<F>,
}

impl<F> Vma<F> {
    /// Its addresses.
    #[must_use]
    pub const fn range(&self) -> PageRange {
        self.range
    }

    /// The protection the program asked for.
    #[must_use]
    pub const fn prot(&self) -> Prot {
        self.prot
    }

    /// What `mprotect` may ask for.
    #[must_use]
    pub const fn may(&self) -> Prot {
        self.may
    }

    /// Its flags.
    #[must_use]
    pub const fn flags(&self) -> VmaFlags {
        self.flags
    }

    /// What it holds.
    #[must_use]
    pub const fn kind(&self) -> &VmaKind<F> {
        &self.kind
    }

    /// Whether others see what is written to it.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self.kind, VmaKind::AnonShared | VmaKind::FileShared(_))
    }

    /// Whether it grows when what is below it is touched.
    pub(crate) const fn grows_down(&self) -> bool {
        matches!(self.kind, VmaKind::Stack) || self.flags.contains(VmaFlags::GROWS_DOWN)
    }

    /// Whether `RLIMIT_DATA` counts it while it may be written.
    pub(crate) const fn may_be_data(&self) -> bool {
        let of_runtime = matches!(self.kind, VmaKind::Vdso | VmaKind::Special(_));
        !of_runtime && !self.is_shared() && !self.grows_down()
    }

    /// Whether `RLIMIT_DATA` counts it.
    pub(crate) const fn is_data(&self) -> bool {
        self.prot.contains(Prot::WRITE) && self.may_be_data()
    }

    /// How many of its pages `RLIMIT_DATA` counts.
    pub(crate) const fn data_pages(&self) -> u64 {
        if self.is_data() { self.range.pages() } else { 0 }
    }

    pub(crate) const fn is_special(&self) -> bool {
        matches!(self.kind, VmaKind::Special(_))
    }

    /// The file that is mapped.
    pub const fn file(&self) -> Option<&FileRef<F>> {
        match &self.kind {
            VmaKind::FilePrivate(file) | VmaKind::FileShared(file) => Some(file),
            _ => None,
        }
    }

    pub(crate) const fn shared_file(&self) -> Option<&FileRef<F>> {
        match &self.kind {
            VmaKind::FileShared(file) => Some(file),
            _ => None,
        }
    }

    /// Where the page at `addr` lies in the file (0 when there is none).
    pub(crate) fn offset_at(&self, addr: u64) -> u64 {
        self.file().map_or(0, |file| file.offset + (addr - self.range.start()))
    }
}

impl<F: Clone + PartialEq> Vma<F> {
    /// The same mapping, cut to `range` (within its own).
    pub(crate) fn cut(&self, range: PageRange) -> Self {
        Self { kind: self.kind_at(range.start()), range, ..self.clone() }
    }

    /// What it holds from `addr` on.
    pub(crate) fn kind_at(&self, addr: u64) -> VmaKind<F> {
        let at = |file: &FileRef<F>| FileRef {
            file: file.file.clone(),
            offset: file.offset + (addr - self.range.start()),
        };
        match &self.kind {
            VmaKind::FilePrivate(file) => VmaKind::FilePrivate(at(file)),
            VmaKind::FileShared(file) => VmaKind::FileShared(at(file)),
            other => other.clone(),
        }
    }

    /// Whether `next`, which begins where this ends, is the same in all but the range.
    pub(crate) fn continues_in(&self, next: &Self) -> bool {
        self.range.end() == next.range.start()
            && (self.prot, self.may, self.flags) == (next.prot, next.may, next.flags)
            && match (self.file(), next.file()) {
                (None, None) => self.kind == next.kind,
                (Some(a), Some(b)) => {
                    self.is_shared() == next.is_shared()
                        && a.file == b.file
                        && a.offset + self.range.len() == b.offset
                }
                _ => false,
            }
    }
}
