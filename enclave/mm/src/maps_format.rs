//! `/proc/self/maps`, `statm` and their kin.

use alloc::vec::Vec;
use core::fmt::Write;

use crate::pages::{BackingFile, Pages};
use crate::space::AddressSpace;
use crate::vma::{Prot, Vma, VmaFlags, VmaKind};

/// Figures for `/proc/self/statm` and `/proc/self/status`, in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Mapped (`VmSize`).
    pub mapped: u64,
    /// Committed (`VmRSS`).
    pub resident: u64,
    /// Most that was ever mapped (`VmPeak`).
    pub peak_mapped: u64,
    /// Most that was ever committed (`VmHWM`).
    pub peak_resident: u64,
    /// Committed pages of files and shared memory (`RssFile` and `RssShmem`).
    pub resident_shared: u64,
    /// Mapped private and writable, without stacks (`VmData`).
    pub data: u64,
    /// Mapped as the stack of the first thread (`VmStk`).
    pub stack: u64,
    /// Mapped executable (`VmExe` and `VmLib`).
    pub exec: u64,
    /// Mapped and locked (`VmLck`).
    pub locked: u64,
}

/// Where the name begins: `seq_setwidth(m, 25 + sizeof(void *) * 6 - 1)` in `fs/proc/task_mmu.c`.
const NAME_COLUMN: usize = 73;

struct Line<'a>(&'a mut Vec<u8>);

impl Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl<P: Pages<F>, F: BackingFile> AddressSpace<P, F> {
    /// Appends all of `/proc/self/maps`.
    pub fn write_maps(&self, out: &mut Vec<u8>) {
        for vma in self.vmas() {
            vma.write_maps_line(out);
        }
    }

    /// The figures now. Takes time linear in the number of mappings.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage {
            mapped: self.map.pages(),
            resident: self.store.committed.pages(),
            peak_mapped: self.peak_mapped,
            peak_resident: self.store.peak,
            ..Usage::default()
        };
        for vma in self.vmas() {
            self.add_usage(vma, &mut usage);
        }
        usage
    }

    fn add_usage(&self, vma: &Vma<F>, usage: &mut Usage) {
        let pages = vma.range.pages();
        let count = |yes: bool| if yes { pages } else { 0 };
        let stack = matches!(vma.kind, VmaKind::Stack);
        usage.stack += count(stack);
        usage.data += count(!stack && !vma.is_shared() && vma.prot.contains(Prot::WRITE));
        usage.exec += count(vma.prot.contains(Prot::EXEC));
        usage.locked += count(vma.flags.contains(VmaFlags::LOCKED));
        if vma.is_shared() || vma.file().is_some() {
            let runs = self.store.committed.runs_in(vma.range);
            usage.resident_shared += runs.map(|run| run.pages()).sum::<u64>();
        }
    }
}

impl<F: BackingFile> Vma<F> {
    /// Appends the mapping's line of `/proc/self/maps`, with the newline.
    pub fn write_maps_line(&self, out: &mut Vec<u8>) {
        let begin = out.len();
        let flag = |bit, letter| if self.prot.contains(bit) { letter } else { '-' };
        let (major, minor) = self.file().map_or((0, 0), |place| place.file.device());
        // Shared anonymous memory is a file of the kernel's own.
        let (minor, inode) = match &self.kind {
            VmaKind::AnonShared => (1, self.range.start() >> 12),
            _ => (minor, self.file().map_or(0, |place| place.file.inode())),
        };
        // Writing to a vector cannot fail.
        let _ = write!(
            Line(out),
            "{:08x}-{:08x} {}{}{}{} {:08x} {major:02x}:{minor:02x} {inode} ",
            self.range.start(),
            self.range.end(),
            flag(Prot::READ, 'r'),
            flag(Prot::WRITE, 'w'),
            flag(Prot::EXEC, 'x'),
            if self.is_shared() { 's' } else { 'p' },
            self.file().map_or(0, |place| place.offset),
        );
        let header = out.len();
        let width = (header - begin).max(NAME_COLUMN - 1) + 1;
        out.resize(begin + width, b' ');
        let name = out.len();
        self.write_name(out);
        if out.len() == name {
            out.truncate(header);
        }
        out.push(b'\n');
    }

    fn write_name(&self, out: &mut Vec<u8>) {
        match &self.kind {
            VmaKind::Anon => {}
            VmaKind::AnonShared => out.extend_from_slice(b"/dev/zero (deleted)"),
            VmaKind::FilePrivate(place) | VmaKind::FileShared(place) => {
                write_path(&place.file, out)
            }
            VmaKind::Stack => out.extend_from_slice(b"[stack]"),
            VmaKind::Heap => out.extend_from_slice(b"[heap]"),
            VmaKind::Vdso => out.extend_from_slice(b"[vdso]"),
            VmaKind::Special(name) => {
                let _ = write!(Line(out), "[{name}]");
            }
        }
    }
}

/// The path, with newlines as Linux shows them.
fn write_path<F: BackingFile>(file: &F, out: &mut Vec<u8>) {
    let mut path = Vec::new();
    file.write_path(&mut path);
    for byte in path {
        if byte == b'\n' { out.extend_from_slice(b"\\012") } else { out.push(byte) }
    }
}
