//! From the headers of an ELF file to an [`ElfPlan`], with the checks of `load_elf_binary`
//! (Linux, `fs/binfmt_elf.c`) and those that a careful loader adds.

mod error;
mod parse;

use alloc::vec;
use alloc::vec::Vec;

pub use error::ElfError;

use crate::{PAGE_SIZE, page_ceil, page_floor};

/// Size of an ELF64 program header, in bytes.
const PHENT: u16 = 56;
/// The same as a length.
const PHDR_SIZE: usize = PHENT as usize;

/// Bounds that a plan must keep.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Lowest address of the program's area.
    pub low: u64,
    /// First address after the program's area.
    pub high: u64,
    /// Length of the file in bytes.
    pub file_len: u64,
}

/// Whether the program must sit at its own addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElfKind {
    /// `ET_EXEC`: addresses are absolute.
    Exec,
    /// `ET_DYN`: addresses are relative to a base that the loader chooses.
    Dyn,
}

/// Access that a segment asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prot {
    /// Readable.
    pub read: bool,
    /// Writable.
    pub write: bool,
    /// Executable.
    pub exec: bool,
}

/// One `PT_LOAD`, in bytes; addresses are relative to the base for [`ElfKind::Dyn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Address of its first byte.
    pub vaddr: u64,
    /// Size in memory, more than `filesz` when it ends in zeroes.
    pub memsz: u64,
    /// Offset of its first byte in the file, congruent to `vaddr` modulo the page size.
    pub file_offset: u64,
    /// Bytes that come from the file.
    pub filesz: u64,
    /// Access.
    pub prot: Prot,
}

impl Segment {
    /// Address of its first page.
    #[must_use]
    pub const fn page_start(&self) -> u64 {
        page_floor(self.vaddr)
    }

    /// Address after its last page.
    #[must_use]
    pub const fn page_end(&self) -> u64 {
        round_up(self.vaddr + self.memsz)
    }

    /// File offset of its first page.
    #[must_use]
    pub const fn page_offset(&self) -> u64 {
        page_floor(self.file_offset)
    }

    /// Address after the last page that comes (in part) from the file; pages from here to
    /// [`Segment::page_end`] are zeroes.
    #[must_use]
    pub const fn file_page_end(&self) -> u64 {
        if self.filesz == 0 { self.page_start() } else { round_up(self.vaddr + self.filesz) }
    }

    /// Bytes `[from, to)` of the last file page that must be cleared, empty when `memsz` equals
    /// `filesz`.
    #[must_use]
    pub const fn zero_tail(&self) -> (u64, u64) {
        let from = self.vaddr + self.filesz;
        if self.memsz == self.filesz || self.filesz == 0 {
            (from, from)
        } else {
            (from, round_up(from))
        }
    }
}

/// Rounds up an address that parsing found far below the end of the address space.
const fn round_up(addr: u64) -> u64 {
    match page_ceil(addr) {
        Some(end) => end,
        None => !(PAGE_SIZE - 1),
    }
}

/// What to map, and what the auxiliary vector has to say about it. Addresses are relative to the
/// base for [`ElfKind::Dyn`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElfPlan {
    /// Absolute or relocatable.
    pub kind: ElfKind,
    /// Address of the first instruction.
    pub entry: u64,
    /// Parts to map, by rising address, disjoint, at least one.
    pub segments: Vec<Segment>,
    /// Path of the program interpreter without its NUL.
    pub interp: Option<Vec<u8>>,
    /// Address of the program headers in memory (`AT_PHDR`), 0 when no segment holds them.
    pub phdr_vaddr: u64,
    /// Number of program headers (`AT_PHNUM`).
    pub phnum: u16,
    /// Size of one program header (`AT_PHENT`).
    pub phent: u16,
    /// The program asks for an executable stack.
    pub stack_exec: bool,
    /// First and last page boundary: `[start, end)` of all segments.
    pub span: (u64, u64),
    /// Alignment that the base of an [`ElfKind::Dyn`] needs: a power of two, at least a page.
    pub align: u64,
}

impl ElfPlan {
    /// Reads the headers through `read`, which fills as much of the buffer as the file has at that
    /// offset and returns the count.
    ///
    /// # Errors
    ///
    /// [`ElfError::Read`] carries an error of `read`; all others mean that the file can't be
    /// executed (`ENOEXEC`).
    pub fn read<E>(
        limits: Limits,
        mut read: impl FnMut(u64, &mut [u8]) -> Result<usize, E>,
    ) -> Result<Self, ElfError<E>> {
        let mut first = vec![0; 4096];
        let got = parse::fill(&mut read, 0, &mut first)?;
        first.truncate(got);
        let header = parse::parse_header::<E>(&first)?;
        let headers = parse::read_phdrs(&header, &first, &mut read)?;
        parse::plan(limits, &header, &headers, &mut read)
    }
}
