//! The file that this process runs. What of it is in memory can be mapped once more, instead of being
//! copied: nobody can write to a file that is being run.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use object::LittleEndian;
use object::elf::{FileHeader64, PF_W, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

use crate::sys;

const PAGE: usize = 4096;

/// Fewer bytes are rather copied.
const MANY: usize = 16 * PAGE;

/// The file, and what of it is in memory, not to be written to.
struct Executable {
    file: File,
    /// Addresses, and where in the file the first of them comes from.
    segments: Vec<(Range<u64>, u64)>,
}

impl Executable {
    /// `None` where the kernel does not give it, or it is not what this process runs after all.
    fn open() -> Option<Self> {
        let file = File::open("/proc/self/exe").ok()?;
        let mut start = [0; PAGE];
        file.read_exact_at(&mut start, 0).ok()?;
        let (endian, start) = (LittleEndian, &start[..]);
        let header = FileHeader64::<LittleEndian>::parse(start).ok()?;
        let loaded = header.program_headers(endian, start).ok()?.iter();
        let loaded = loaded.filter(|segment| segment.p_type(endian) == PT_LOAD);
        let headers = header.e_phoff(endian);
        let address = loaded.clone().find_map(|segment| {
            let within = headers.checked_sub(segment.p_offset(endian))?;
            (within < segment.p_filesz(endian)).then(|| segment.p_vaddr(endian) + within)
        });
        let base = sys::program_headers().checked_sub(address?)?;
        let constant = loaded.filter(|segment| !segment.p_flags(endian).contains(PF_W));
        let segments = constant.map(|segment| {
            let start = base + segment.p_vaddr(endian);
            (start..start + segment.p_filesz(endian), segment.p_offset(endian))
        });
        Some(Self { segments: segments.collect(), file })
    }

    /// Where in the file `bytes` come from.
    fn offset_of(&self, bytes: &[u8]) -> Option<u64> {
        let start = bytes.as_ptr() as u64;
        let end = start + bytes.len() as u64;
        let holds = |(range, _): &&(Range<u64>, u64)| range.start <= start && end <= range.end;
        let (range, offset) = self.segments.iter().find(holds)?;
        Some(offset + (start - range.start))
    }

    /// Whether the file has the first and the last page of `bytes` at `offset`: it has not where a dynamic
    /// linker was run that then loaded this program.
    fn agrees(&self, bytes: &[u8], offset: u64) -> bool {
        [0, bytes.len() - PAGE].into_iter().all(|at| {
            let mut page = [0; PAGE];
            let read = self.file.read_exact_at(&mut page, offset + at as u64);
            read.is_ok() && page == bytes[at..at + PAGE]
        })
    }
}

/// Maps `bytes`, whole pages, from the file to `start`, which this crate reserved; whether it did.
pub(crate) fn map(start: u64, bytes: &[u8], protection: i32) -> bool {
    static EXECUTABLE: OnceLock<Option<Executable>> = OnceLock::new();
    if protection & libc::PROT_WRITE != 0 || bytes.len() < MANY {
        return false;
    }
    let executable = EXECUTABLE.get_or_init(Executable::open).as_ref();
    executable.is_some_and(|executable| {
        let offset =
            executable.offset_of(bytes).filter(|offset| offset.is_multiple_of(PAGE as u64));
        offset.is_some_and(|offset| {
            executable.agrees(bytes, offset)
                && sys::map_file(start, bytes.len() as u64, protection, (&executable.file, offset))
        })
    })
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::*;

    #[repr(C, align(4096))]
    struct Pages([[u64; PAGE / 8]; 17]);

    static PAGES: Pages = {
        let mut pages = [[0; PAGE / 8]; 17];
        let mut page = 0;
        while page < pages.len() {
            pages[page][0] = 1 + page as u64;
            page += 1;
        }
        Pages(pages)
    };

    #[test]
    fn what_is_in_the_file_is_mapped_again() {
        let bytes = PAGES.0.as_bytes();
        let start = sys::reserve(0, bytes.len() as u64).expect("there is address space");
        let elsewhere = bytes.to_vec();
        assert!(!map(start, &elsewhere, libc::PROT_READ), "not in the file");
        assert!(!map(start, &bytes[PAGE / 2..][..MANY], libc::PROT_READ), "no pages of the file");
        assert!(!map(start, &bytes[..MANY - PAGE], libc::PROT_READ), "few pages");
        assert!(!map(start, bytes, libc::PROT_READ | libc::PROT_WRITE));
        assert!(map(start, bytes, libc::PROT_READ));
        for (page, at) in (1..=17).zip((start..).step_by(PAGE)) {
            let mut word = [0_u64; PAGE / 8];
            assert_eq!(crate::filled::copy(word.as_mut_ptr() as u64, at), 0);
            assert_eq!(word[0], page);
        }
        let executable = Executable::open().expect("tests can read themselves");
        let offset = executable.offset_of(bytes).expect("it is there");
        assert!(
            executable.agrees(bytes, offset) && !executable.agrees(bytes, offset + PAGE as u64)
        );
    }
}
