//! File mappings that are read by somebody who needs no pages: what a program maps only to write it
//! elsewhere (sending a file) is read from the file, and no page comes or goes.

use crate::pages::{BackingFile, Pages};
use crate::range::{PAGE_SIZE, PageRange, align_down, page_align};
use crate::space::AddressSpace;
use crate::vma::{FileRef, Prot};

impl<P: Pages<F>, F: BackingFile> AddressSpace<P, F> {
    /// Where the `len` bytes at `addr` are in a file, if they are read from a mapping of which no page
    /// is there. Once for each page: who reads it again is better served by the page. `None`: the
    /// pages are needed, as after a fault.
    ///
    /// What is behind the end of the file is zero as far as its last page goes, and else not there.
    pub fn read_through(&mut self, addr: u64, len: u64) -> Option<FileRef<F>> {
        let end = page_align(addr.checked_add(len)?)?;
        let range = PageRange::new(align_down(addr, PAGE_SIZE), end).filter(|r| !r.is_empty())?;
        let vma = self.map.find(addr).filter(|vma| vma.range.covers(range))?;
        let place = vma.file()?;
        let store = &mut self.store;
        let absent = store.committed.runs_in(range).next().is_none();
        let first = store.passed.runs_in(range).next().is_none();
        // What was changed through another mapping may be newer than the file.
        let newest = store.dirty.pages() == 0;
        let reads = vma.prot.effective().contains(Prot::READ) && !vma.prot.contains(Prot::EXEC);
        if !(absent && first && newest && reads) {
            return None;
        }
        store.passed.insert(range);
        Some(FileRef {
            file: place.file.clone(),
            offset: place.offset + (addr - vma.range.start()),
        })
    }
}
