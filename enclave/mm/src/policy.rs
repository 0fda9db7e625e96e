//! Numbers that decide when pages are committed, in one place so that they can be measured.

use crate::range::PageRange;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Where things lie.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// All that the program may ever map. Fixed mappings below it get EPERM, above it ENOMEM.
    pub area: PageRange,
    /// Mappings without a place of their own are put below this address, downwards (the caller
    /// has subtracted the stack and a random offset).
    pub mmap_top: u64,
}

impl Default for Layout {
    fn default() -> Self {
        Self { area: PageRange::of(0x1_0000, 0x3f00_0000_0000), mmap_top: 0x3eff_f000_0000 }
    }
}

/// When and how much is committed. Sizes in bytes.
///
/// Measured on the build machines: a first touch that faults costs about 10 us, committing
/// without a fault about 1 us per call, and 2 MiB blocks let the host use huge pages.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Anonymous mappings, heap growth and `mprotect` from nothing up to this are committed at once. A
    /// MiB that is used is there after 74 us instead of 223, natively after 354; one of which only a page is
    /// used takes 73 instead of 17.
    pub eager_anon: u64,
    /// Private file mappings up to this are read at once.
    pub eager_file: u64,
    /// The same for writable data of programs: most of it is used, and files of programs do not change.
    pub eager_data: u64,
    /// The topmost bytes of `MAP_STACK` mappings are committed at once.
    pub eager_stack: u64,
    /// First block committed by a fault in anonymous memory; a power of two.
    pub anon_block_min: u64,
    /// Largest such block, reached by sequential faults; a power of two.
    pub anon_block_max: u64,
    /// First block read by a fault in a file mapping; a power of two.
    pub file_block_min: u64,
    /// Largest such block; a power of two.
    pub file_block_max: u64,
    /// Largest block of a shared file mapping that one write fault makes dirty; a power of two.
    pub dirty_block_max: u64,
    /// `MADV_DONTNEED` of less than this zeroes; of more gives pages back.
    pub zero_limit: u64,
    /// Anonymous mappings of at least this get its alignment; a power of two.
    pub huge_page: u64,
    /// Moved mappings (`mremap`) leave as much room behind them as they are long, up to this.
    pub remap_slack: u64,
    /// Nothing of the runtime is put this far behind the heap's end, so that `brk` can grow.
    pub brk_reserve: u64,
    /// `stack_guard_gap`: what stays free below a mapping that grows down.
    pub stack_gap: u64,
    /// `vm.max_map_count`.
    pub max_map_count: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            eager_anon: MIB,
            eager_file: 128 * KIB,
            eager_data: 2 * MIB,
            eager_stack: 32 * KIB,
            anon_block_min: 64 * KIB,
            anon_block_max: 2 * MIB,
            file_block_min: 64 * KIB,
            file_block_max: 256 * KIB,
            dirty_block_max: 64 * KIB,
            zero_limit: 64 * KIB,
            huge_page: 2 * MIB,
            remap_slack: 1 << 36,
            brk_reserve: 1 << 30,
            stack_gap: MIB,
            max_map_count: 65530,
        }
    }
}

/// What the program may use. Bytes; `u64::MAX` is no limit.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Committed memory (`--heap`).
    pub committed: u64,
    /// `RLIMIT_AS`.
    pub address_space: u64,
    /// `RLIMIT_DATA`: the heap, and all private memory that may be written and is no stack.
    pub data: u64,
    /// `RLIMIT_STACK`: how large a mapping that grows down may become.
    pub stack: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { committed: u64::MAX, address_space: u64::MAX, data: u64::MAX, stack: u64::MAX }
    }
}
