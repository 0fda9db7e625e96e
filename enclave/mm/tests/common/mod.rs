//! A machine that keeps pages in a map and refuses every call that breaks the contract of `Pages`.

#![expect(dead_code, reason = "each test binary uses another part of it")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

pub(crate) mod naive;
pub(crate) mod ops;

use std::collections::BTreeMap;

use enclave_mm::{
    Access, AddressSpace, Backing, BackingFile, FaultOutcome, Layout, MapRequest, MmError,
    PAGE_SIZE, PageRange, Pages, Policy, Prot,
};

/// A file by number; its bytes are in the [`Machine`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TestFile(pub(crate) u32);

impl BackingFile for TestFile {
    fn is_same(&self, other: &Self) -> bool {
        self == other
    }

    /// Of those from 100 on, the host has to be believed.
    fn is_surely(&self, other: &Self) -> bool {
        self == other && self.0 < 100
    }

    fn device(&self) -> (u32, u32) {
        (8, 2)
    }

    fn inode(&self) -> u64 {
        u64::from(self.0)
    }

    fn write_path(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("/tmp/file{}", self.0).as_bytes());
    }
}

pub(crate) type Page = Box<[u8; 4096]>;
pub(crate) type Space = AddressSpace<Machine, TestFile>;

#[derive(Debug, Default)]
pub(crate) struct Machine {
    pub(crate) present: BTreeMap<u64, (Prot, Page)>,
    pub(crate) files: BTreeMap<u32, Vec<u8>>,
    /// Calls that succeed before one fails; `None`: all do.
    pub(crate) fail_after: Option<u32>,
    pub(crate) commits: Vec<PageRange>,
    pub(crate) synced: Vec<u32>,
    /// How often the length of a file was asked for.
    pub(crate) asked_len: u32,
}

fn pages(range: PageRange) -> impl Iterator<Item = u64> {
    assert!(!range.is_empty(), "empty range {range:?}");
    (range.start()..range.end()).step_by(4096)
}

fn index(value: u64) -> usize {
    usize::try_from(value).unwrap()
}

impl Machine {
    fn may_fail(&mut self, error: MmError) -> Result<(), MmError> {
        match &mut self.fail_after {
            Some(0) => {
                self.fail_after = None;
                Err(error)
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn add(&mut self, page: u64, prot: Prot, bytes: Page) {
        assert_eq!(prot, prot.effective(), "protection of {page:#x} is not effective");
        assert!(!prot.is_empty(), "page {page:#x} committed without access");
        let old = self.present.insert(page, (prot, bytes));
        assert!(old.is_none(), "page {page:#x} was present");
    }

    fn get(&self, page: u64) -> &(Prot, Page) {
        self.present.get(&page).unwrap_or_else(|| panic!("page {page:#x} is absent"))
    }

    fn readable(&self, page: u64) -> &Page {
        let (prot, bytes) = self.get(page);
        assert!(prot.contains(Prot::READ), "page {page:#x} is not readable");
        bytes
    }

    pub(crate) fn file_page(&self, file: u32, offset: u64) -> Page {
        let mut page = Box::new([0; 4096]);
        let bytes = self.files[&file].get(index(offset)..).unwrap_or_default();
        let len = bytes.len().min(4096);
        page[..len].copy_from_slice(&bytes[..len]);
        page
    }

    /// What the processor would do.
    pub(crate) fn load(&self, addr: u64) -> Option<u8> {
        let (prot, bytes) = self.present.get(&(addr & !0xfff))?;
        prot.contains(Prot::READ).then(|| bytes[index(addr & 0xfff)])
    }

    pub(crate) fn store(&mut self, addr: u64, value: u8) -> Option<()> {
        let (prot, bytes) = self.present.get_mut(&(addr & !0xfff))?;
        prot.contains(Prot::WRITE).then(|| bytes[index(addr & 0xfff)] = value)
    }
}

impl Pages<TestFile> for Machine {
    fn commit(&mut self, range: PageRange, prot: Prot, _: Option<u64>) -> Result<(), MmError> {
        self.may_fail(MmError::NoMemory)?;
        self.commits.push(range);
        pages(range).for_each(|page| self.add(page, prot, Box::new([0; 4096])));
        Ok(())
    }

    fn commit_file(
        &mut self,
        range: PageRange,
        prot: Prot,
        _: Option<u64>,
        file: &TestFile,
        offset: u64,
    ) -> Result<u64, MmError> {
        self.may_fail(MmError::Io)?;
        let end = u64::try_from(self.files[&file.0].len()).unwrap().next_multiple_of(4096);
        let len = end.saturating_sub(offset).min(range.len());
        if len != 0 {
            let range = PageRange::from_len(range.start(), len).unwrap();
            self.commits.push(range);
            for page in pages(range) {
                let bytes = self.file_page(file.0, offset + (page - range.start()));
                self.add(page, prot, bytes);
            }
        }
        Ok(len)
    }

    fn protect(&mut self, range: PageRange, from: Prot, to: Prot) -> Result<(), MmError> {
        self.may_fail(MmError::NoMemory)?;
        assert_ne!(from, to);
        assert_eq!(to, to.effective());
        for page in pages(range) {
            let (prot, _) = self.present.get_mut(&page).expect("protected page is absent");
            assert_eq!(*prot, from, "page {page:#x} has another protection");
            *prot = to;
        }
        Ok(())
    }

    fn decommit(&mut self, range: PageRange) -> Result<(), MmError> {
        self.may_fail(MmError::NoMemory)?;
        for page in pages(range) {
            assert!(self.present.remove(&page).is_some(), "page {page:#x} is absent");
        }
        Ok(())
    }

    fn copy_within(&mut self, src: PageRange, dst: u64, prot: Prot) -> Result<(), MmError> {
        self.may_fail(MmError::NoMemory)?;
        for page in pages(src) {
            let bytes = self.readable(page).clone();
            self.add(dst + (page - src.start()), prot, bytes);
        }
        Ok(())
    }

    fn zero(&mut self, range: PageRange) -> Result<(), MmError> {
        for page in pages(range) {
            let (prot, bytes) = self.present.get_mut(&page).expect("zeroed page is absent");
            assert!(prot.contains(Prot::RW), "page {page:#x} is not writable");
            bytes.fill(0);
        }
        Ok(())
    }

    fn contents(&mut self, page: u64) -> Result<Vec<u8>, MmError> {
        self.may_fail(MmError::Io)?;
        Ok(self.readable(page).to_vec())
    }

    fn backing_len(&mut self, file: &TestFile) -> Result<u64, MmError> {
        self.may_fail(MmError::Io)?;
        self.asked_len += 1;
        Ok(self.files[&file.0].len() as u64)
    }

    fn write_backing(
        &mut self,
        file: &TestFile,
        offset: u64,
        addr: u64,
        len: u64,
    ) -> Result<(), MmError> {
        self.may_fail(MmError::NoSpace)?;
        assert_ne!(len, 0, "nothing is written");
        for at in 0..len {
            let byte = self.readable((addr + at) & !0xfff)[index((addr + at) & 0xfff)];
            let file = self.files.get_mut(&file.0).expect("no such file");
            *file.get_mut(index(offset + at)).expect("behind the end of the file") = byte;
        }
        Ok(())
    }

    fn sync_backing(&mut self, file: &TestFile) -> Result<(), MmError> {
        self.synced.push(file.0);
        Ok(())
    }
}

/// What a program gets from an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Touched {
    Value(u8),
    Failed(FaultOutcome),
}

/// Loads a byte as a program does: with faults.
pub(crate) fn load(space: &mut Space, addr: u64) -> Touched {
    if let Some(value) = space.pages().load(addr) {
        return Touched::Value(value);
    }
    match space.fault(addr, Access::Read) {
        FaultOutcome::Resolved => {
            Touched::Value(space.pages().load(addr).expect("resolved, yet not readable"))
        }
        failed => Touched::Failed(failed),
    }
}

/// What a reader finds who needs no page, if it is read so: none may be there.
pub(crate) fn shown_through(space: &mut Space, addr: u64) -> Option<Touched> {
    let there = space.committed().contains(addr);
    let place = space.read_through(addr, 1)?;
    assert!(!there, "the page of {addr:#x} is there, and may have been changed");
    let byte = space.pages().files[&place.file.0].get(index(place.offset)).copied();
    Some(byte.map_or(Touched::Failed(FaultOutcome::Bus), Touched::Value))
}

/// Stores a byte as a program does; the value that was stored, or what happened.
pub(crate) fn store(space: &mut Space, addr: u64, value: u8) -> Touched {
    if space.pages_mut().store(addr, value).is_none() {
        match space.fault(addr, Access::Write) {
            FaultOutcome::Resolved => {
                space.pages_mut().store(addr, value).expect("resolved, yet not writable");
            }
            failed => return Touched::Failed(failed),
        }
    }
    Touched::Value(value)
}

pub(crate) const R: u64 = 1;
pub(crate) const RW: u64 = 3;
pub(crate) const RX: u64 = 5;
pub(crate) const SHARED: u64 = 1;
pub(crate) const PRIVATE: u64 = 2;
pub(crate) const FIXED: u64 = 0x10;
pub(crate) const ANON: u64 = 0x20;
pub(crate) const NOREPLACE: u64 = 0x10_0000;
pub(crate) const POPULATE: u64 = 0x8000;

/// A request for anonymous private memory.
pub(crate) fn anon(hint: u64, len: u64, prot: u64, flags: u64) -> MapRequest<TestFile> {
    MapRequest { hint, len, prot, flags: flags | PRIVATE | ANON, offset: 0, file: None }
}

/// `count` pages from `start`.
pub(crate) fn page_range(start: u64, count: u64) -> PageRange {
    PageRange::from_len(start, count * PAGE_SIZE).unwrap()
}

/// An address space with the default layout and policy.
pub(crate) fn space() -> Space {
    AddressSpace::new(Layout::default(), Policy::default(), Machine::default())
}

/// A mapping of file `id` from its start on.
pub(crate) fn file(hint: u64, id: u32, len: u64, prot: u64, flags: u64) -> MapRequest<TestFile> {
    let file = Backing { file: TestFile(id), readable: true, writable: true, executable: true };
    MapRequest { hint, len, prot, flags, offset: 0, file: Some(file) }
}

/// An address space, and file `id` of `len` bytes, other ones on each page.
pub(crate) fn with_file(id: u32, len: usize) -> Space {
    let mut space = space();
    let bytes = (0..len).map(|i| u8::try_from(i / 4096 % 250 + 1).unwrap()).collect();
    space.pages_mut().files.insert(id, bytes);
    space
}

/// Checks all that ties mappings, pages and the machine together.
pub(crate) fn check_invariants(space: &Space) {
    let mut end = 0;
    let mut seen = 0;
    for vma in space.vmas() {
        assert!(vma.range().start() >= end, "mappings overlap at {:?}", vma.range());
        assert!(!vma.range().is_empty());
        end = vma.range().end();
        for run in space.committed().runs_in(vma.range()) {
            for page in pages(run) {
                seen += 1;
                let (prot, _) = space.pages().get(page);
                let wanted = vma.prot().effective();
                let clean = matches!(vma.kind(), enclave_mm::VmaKind::FileShared(_))
                    && *prot == wanted - Prot::WRITE;
                assert!(*prot == wanted || clean, "{page:#x} has {prot:?}, not {wanted:?}");
            }
        }
    }
    assert_eq!(seen, space.committed().pages(), "committed pages outside of mappings");
    assert_eq!(space.pages().present.len(), index(seen), "pages that nobody knows");
    let mapped: u64 = space.vmas().map(|vma| vma.range().pages()).sum();
    assert_eq!(mapped, space.usage().mapped);
}
