//! What the address space needs from the machine below it.

use alloc::vec::Vec;

use crate::errors::MmError;
use crate::range::PageRange;
use crate::vma::Prot;

/// The file behind a mapping. Mappings of equal files with contiguous offsets merge.
pub trait BackingFile: Clone + PartialEq {
    /// Whether the contents are those of `other`: [`crate::AddressSpace::flush_file`] finds its
    /// mappings by it.
    fn is_same(&self, other: &Self) -> bool;
    /// Whether that is certain, and not only what the host says of both.
    fn is_surely(&self, other: &Self) -> bool;
    /// Device (major, minor) for `/proc/self/maps`.
    fn device(&self) -> (u32, u32);
    /// Inode number for `/proc/self/maps`.
    fn inode(&self) -> u64;
    /// Appends the path as `/proc/self/maps` shows it (with ` (deleted)` when it is so).
    fn write_path(&self, out: &mut Vec<u8>);
}

/// The operations on enclave pages. Implemented by the runtime with EACCEPT, EACCEPTCOPY, EMODPE
/// and host calls for the rest; by a mock in tests.
///
/// The address space keeps the contract that each method names and is the only caller for its
/// area. Every [`Prot`] handed over is effective: write or execute implies read. An error means
/// that nothing was changed.
pub trait Pages<F> {
    /// Makes the pages of `range`, none of which is present, present: zeroed, with `prot` (never
    /// empty). A thread waits for the page at `awaited`, if that is one of them: it had better come
    /// last. [`MmError::NoMemory`] when there are none left.
    fn commit(&mut self, range: PageRange, prot: Prot, awaited: Option<u64>)
    -> Result<(), MmError>;

    /// As [`Pages::commit`], with the contents of `file` from `offset`; pages wholly behind its end
    /// stay absent. Returns how many bytes of `range` are present now, which are its first. No other
    /// thread may see the pages before their contents (EACCEPTCOPY does that). [`MmError::Io`] when
    /// the file cannot be read.
    fn commit_file(
        &mut self,
        range: PageRange,
        prot: Prot,
        awaited: Option<u64>,
        file: &F,
        offset: u64,
    ) -> Result<u64, MmError>;

    /// Changes the protection of pages that are all present with exactly `from`. Either may be
    /// empty (`PROT_NONE`); the contents stay.
    fn protect(&mut self, range: PageRange, from: Prot, to: Prot) -> Result<(), MmError>;

    /// Removes pages that are all present; their contents are gone.
    fn decommit(&mut self, range: PageRange) -> Result<(), MmError>;

    /// Makes the absent pages from `dst` on present, with `prot` and the contents of the present
    /// and readable pages of `src` (as long as `src`, not overlapping it).
    fn copy_within(&mut self, src: PageRange, dst: u64, prot: Prot) -> Result<(), MmError>;

    /// Fills present and writable pages with zeroes.
    fn zero(&mut self, range: PageRange) -> Result<(), MmError>;

    /// What a present and readable page holds.
    fn contents(&mut self, page: u64) -> Result<Vec<u8>, MmError>;

    /// How many bytes `file` has.
    fn backing_len(&mut self, file: &F) -> Result<u64, MmError>;

    /// Writes `len` bytes from `addr`, of present and readable pages, to `file` at `offset`, none of them beyond
    /// its [`Pages::backing_len`]: a mapping does not extend its file.
    fn write_backing(&mut self, file: &F, offset: u64, addr: u64, len: u64) -> Result<(), MmError>;

    /// Makes earlier [`Pages::write_backing`]s durable (`fdatasync`), for `MS_SYNC`.
    fn sync_backing(&mut self, file: &F) -> Result<(), MmError>;
}
