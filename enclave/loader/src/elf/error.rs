//! What can be wrong with an executable.

use core::fmt;

use super::PHDR_SIZE;

/// Why a file can't be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElfError<E> {
    /// The file can't be read.
    Read(E),
    /// It doesn't begin with `\x7fELF`.
    NotElf,
    /// It ends before what its headers name: (needed, had) in bytes.
    Truncated(u64, u64),
    /// Not 64-bit: the class byte.
    Class(u8),
    /// Not little-endian: the data byte.
    Endian(u8),
    /// Not the current version.
    Version(u32),
    /// Neither executable nor shared object.
    Type(u16),
    /// Not for x86-64.
    Machine(u16),
    /// Size of a program header.
    PhentSize(u16),
    /// Number of program headers.
    PhNum(u16),
    /// The entry address lies outside the program's area.
    Entry(u64),
    /// A segment has more bytes in the file than in memory: (filesz, memsz).
    SegmentSize(u64, u64),
    /// A segment lies outside the program's area or wraps around: (vaddr, memsz).
    SegmentRange(u64, u64),
    /// A segment's address and offset differ modulo the page size: (vaddr, offset).
    SegmentCongruence(u64, u64),
    /// A segment's alignment is no power of two or absurdly large.
    SegmentAlign(u64),
    /// A segment begins before the end of the one before it: (vaddr, previous end).
    SegmentOverlap(u64, u64),
    /// There is nothing to load.
    NoSegments,
    /// Length of the interpreter's path.
    InterpLength(u64),
    /// The interpreter's path isn't terminated, or has a NUL inside.
    InterpNul,
}

impl<E: fmt::Display> fmt::Display for ElfError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "can't read the file: {error}"),
            Self::NotElf => write!(f, "not an elf file"),
            Self::Truncated(need, had) => {
                write!(f, "truncated elf file: {need} bytes needed, {had} there")
            }
            Self::Class(class) => write!(f, "elf class {class} is not 64-bit"),
            Self::Endian(data) => write!(f, "elf data encoding {data} is not little-endian"),
            Self::Version(version) => write!(f, "elf version {version} is not 1"),
            Self::Type(kind) => write!(f, "elf type {kind} is not executable"),
            Self::Machine(machine) => write!(f, "elf machine {machine} is not x86-64"),
            Self::PhentSize(size) => write!(f, "program header size {size} is not {PHDR_SIZE}"),
            Self::PhNum(num) => write!(f, "impossible number of program headers: {num}"),
            Self::Entry(entry) => write!(f, "entry {entry:#x} is outside the program's area"),
            Self::SegmentSize(filesz, memsz) => {
                write!(f, "segment has {filesz:#x} bytes in the file, {memsz:#x} in memory")
            }
            Self::SegmentRange(vaddr, memsz) => {
                write!(f, "segment at {vaddr:#x} of {memsz:#x} bytes is outside the program's area")
            }
            Self::SegmentCongruence(vaddr, offset) => {
                write!(f, "segment at {vaddr:#x} can't be mapped from file offset {offset:#x}")
            }
            Self::SegmentAlign(align) => write!(f, "segment alignment {align:#x} is impossible"),
            Self::SegmentOverlap(vaddr, end) => {
                write!(f, "segment at {vaddr:#x} begins before the previous one's end {end:#x}")
            }
            Self::NoSegments => write!(f, "elf file has nothing to load"),
            Self::InterpLength(len) => write!(f, "interpreter path of {len} bytes is impossible"),
            Self::InterpNul => write!(f, "interpreter path isn't a terminated string"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for ElfError<E> {}
