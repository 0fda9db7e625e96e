//! Random sequences of all calls against the naive model: results, mappings and contents.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use common::naive::{FILE_PAGES, Kind, Model, PAGES, PRIVATE_FILE, file_value, kind_of};
use common::ops::{HEAP, Op, addr, bytes, config, op, page, small_space};
use common::*;
use enclave_mm::{Backing, MapRequest, MmError, PAGE_SIZE, PageRange, Prot, VmaFlags, VmaKind};
use proptest::prelude::*;

struct Pair {
    space: Space,
    model: Model,
    next_file: u32,
}

impl Pair {
    fn new() -> Self {
        let mut pair = Self { space: small_space(), model: Model::new(HEAP), next_file: 10 };
        pair.create(PRIVATE_FILE);
        pair.create(pair.next_file);
        pair
    }

    fn create(&mut self, file: u32) {
        let contents = (0..FILE_PAGES).flat_map(|page| [file_value(page); 4096]).collect();
        self.space.pages_mut().files.insert(file, contents);
        self.model.add_file(file);
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Map { at, len, prot, what, offset, mode } => {
                let kind = match what {
                    0 | 1 => Kind::Anon,
                    2 => Kind::AnonShared,
                    3 => Kind::Private(PRIVATE_FILE, offset),
                    // Perhaps one that is mapped already, or one of its own.
                    4 => Kind::Shared(self.file(mode.into()), offset),
                    _ => {
                        self.next_file += 1;
                        self.create(self.next_file);
                        Kind::Shared(self.next_file, offset)
                    }
                };
                self.mmap(at, len, prot, kind, mode);
            }
            Op::Unmap { at, len } => {
                let result = self.space.munmap(addr(at), bytes(len));
                let valid = len != 0 && at + len <= PAGES;
                assert_eq!(result, valid.then_some(()).ok_or(MmError::Invalid));
                if valid {
                    self.model.unmap(at, len);
                }
            }
            Op::Protect { at, len, prot } => {
                let result = self.space.mprotect(addr(at), bytes(len), prot);
                let prot = Prot::from_bits(prot).unwrap();
                let expected = self.model.change(at, len, |page| {
                    page.prot = prot;
                    Ok(())
                });
                assert_eq!(result, expected);
            }
            Op::Remap { old, old_len, len, flags, new } => {
                self.mremap(old, old_len, len, flags, new)
            }
            Op::Advise { at, len, advice } => self.madvise(at, len, advice),
            Op::Lock { at, len, on } => {
                let change = if on { Space::mlock } else { Space::munlock };
                let result = change(&mut self.space, addr(at), bytes(len));
                let expected = self.model.change(at, len, |page| {
                    page.flags.set(VmaFlags::LOCKED, on);
                    Ok(())
                });
                assert_eq!(result, expected);
            }
            Op::Brk { to } => self.brk(to),
            Op::Sync { at, len, flags } => self.msync(at, len, flags),
            Op::Load { at } => {
                assert_eq!(load(&mut self.space, addr(at) + 5), self.model.load(at));
            }
            Op::ReadThrough { at } => self.read_through(at),
            Op::Store { at, value } => {
                let result = store(&mut self.space, addr(at) + 5, value);
                assert_eq!(result, self.model.store(at, value));
            }
            Op::FileRead { index, page } => self.file_read(self.file(index), page),
            Op::FileWrite { index, page, value } => self.file_write(self.file(index), page, value),
            Op::MapSpecial { at, len } => self.map_special(at, len),
            Op::UnmapSpecial { at, len } => self.unmap_special(at, len),
        }
    }

    /// A reader that needs no page finds what the page would show, once.
    fn read_through(&mut self, at: usize) {
        if let Some(shown) = shown_through(&mut self.space, addr(at) + 5) {
            assert_eq!(shown, self.model.load(at));
            assert!(shown_through(&mut self.space, addr(at)).is_none(), "page {at} twice");
        }
    }

    /// One of the shared files.
    fn file(&self, index: usize) -> u32 {
        self.next_file - u32::try_from(index).unwrap().min(self.next_file - 10)
    }

    fn mmap(&mut self, at: usize, len: usize, prot: u64, kind: Kind, mode: u8) {
        let (file, flags, offset) = match kind {
            Kind::Private(file, offset) => (Some(file), PRIVATE, offset),
            Kind::Shared(file, offset) => (Some(file), SHARED, offset),
            Kind::AnonShared => (None, SHARED | ANON, 0),
            _ => (None, PRIVATE | ANON, 0),
        };
        let (mode_flags, vma_flags) = match mode {
            0 => (0, VmaFlags::empty()),
            1 => (FIXED, VmaFlags::empty()),
            2 => (NOREPLACE, VmaFlags::empty()),
            3 => (POPULATE, VmaFlags::empty()),
            _ => (FIXED | 0x2_0000, VmaFlags::THREAD_STACK),
        };
        let open = |file| Backing {
            file: TestFile(file),
            readable: true,
            writable: true,
            executable: true,
        };
        let result = self.space.mmap(MapRequest {
            hint: addr(at),
            len: bytes(len),
            prot,
            flags: flags | mode_flags,
            offset: bytes(offset),
            file: file.map(open),
        });
        let fixed = matches!(mode, 1 | 2 | 4);
        let expected = if len == 0 {
            Err(MmError::Invalid)
        } else if fixed {
            self.fixed_result(at, len, mode == 2)
        } else if self.model.is_free(at, len) {
            Ok(Some(at))
        } else if self.model.has_room(len) {
            Ok(None)
        } else {
            Err(MmError::NoMemory)
        };
        let Some(at) = self.check_place(result, expected, len, fixed) else { return };
        self.model.unmap(at, len);
        self.model.map(at, len, Prot::from_bits(prot).unwrap(), vma_flags, kind);
    }

    fn fixed_result(&self, at: usize, len: usize, keep: bool) -> Result<Option<usize>, MmError> {
        if at + len > PAGES {
            return Err(MmError::NoMemory);
        }
        if keep && !self.model.is_free(at, len) {
            return Err(MmError::Exists);
        }
        if self.model.has_special(at, len) { Err(MmError::NoMemory) } else { Ok(Some(at)) }
    }

    /// Compares a result that is a place; `Ok(None)` expects any free one.
    fn check_place(
        &self,
        result: Result<u64, MmError>,
        expected: Result<Option<usize>, MmError>,
        len: usize,
        replaces: bool,
    ) -> Option<usize> {
        let at = result.map(page);
        match expected {
            Ok(Some(place)) => assert_eq!(at, Ok(place)),
            Ok(None) => assert!(at.is_ok(), "{at:?}"),
            Err(error) => assert_eq!(at, Err(error)),
        }
        let at = at.ok()?;
        assert!(replaces || self.model.is_free(at, len), "page {at} is not free");
        Some(at)
    }

    fn mremap(&mut self, old: usize, mut old_len: usize, len: usize, flags: u64, new: usize) {
        let kind = self.model.pages.get(old).copied().flatten().map(|page| page.kind);
        let (may_move, fixed, keeps) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
        if matches!(kind, Some(Kind::Shared(..))) && old_len == 0 {
            // A second mapping, of which the model knows nothing; tested elsewhere.
            return;
        }
        let result = self.space.mremap(addr(old), bytes(old_len), bytes(len), flags, addr(new));
        let expected = self.mremap_model(old, &mut old_len, len, (may_move, fixed, keeps), new);
        let in_place = expected == Ok(Some(old));
        let Some(at) = self.check_place(result, expected, len, in_place) else { return };
        if in_place {
            let end = old + old_len;
            if len > old_len {
                let last = self.model.pages[end - 1].unwrap();
                self.model.map(end, len - old_len, last.prot, last.flags, last.kind.plus(1));
            }
        } else {
            self.model.relocate(old, old_len, len - old_len, at, keeps);
        }
    }

    fn mremap_model(
        &mut self,
        old: usize,
        old_len: &mut usize,
        len: usize,
        (may_move, fixed, keeps): (bool, bool, bool),
        new: usize,
    ) -> Result<Option<usize>, MmError> {
        if len == 0 || (fixed && !may_move) || (keeps && (!may_move || *old_len != len)) {
            return Err(MmError::Invalid);
        }
        let page = self.model.pages.get(old).copied().flatten();
        page.filter(|page| page.kind != Kind::Special).ok_or(MmError::Fault)?;
        if fixed {
            let apart = new + len <= old || old + *old_len <= new;
            let apart = apart && (*old_len != 0 || !(new..new + len).contains(&old));
            if new + len > PAGES || !apart {
                return Err(MmError::Invalid);
            }
            if self.model.has_special(new, len) {
                return Err(MmError::NoMemory);
            }
            self.model.unmap(new, len);
        }
        if *old_len >= len && !keeps {
            self.model.unmap(old + len, *old_len - len);
            *old_len = len;
            if !fixed {
                return Ok(Some(old));
            }
        }
        let kind = self.model.pages[old].map(|page| page.kind);
        if *old_len == 0 || keeps && kind == Some(Kind::AnonShared) {
            return Err(MmError::Invalid);
        }
        let end = old + *old_len;
        let mapping_end = self.model.mapping_end(old);
        if end > mapping_end {
            return Err(MmError::Fault);
        }
        if fixed {
            return Ok(Some(new));
        }
        if !keeps && end == mapping_end && self.model.is_free(end, len - *old_len) {
            return Ok(Some(old));
        }
        let can_move = may_move && self.model.has_room(len);
        if can_move { Ok(None) } else { Err(MmError::NoMemory) }
    }

    fn madvise(&mut self, at: usize, len: usize, advice: u64) {
        let result = self.space.madvise(addr(at), bytes(len), advice);
        let expected = self.model.change_all(at, len, |page| {
            let private = matches!(page.kind, Kind::Anon | Kind::Heap);
            match advice {
                4 | 21 if page.flags.contains(VmaFlags::LOCKED) => return Err(MmError::Invalid),
                4 if page.kind != Kind::AnonShared => page.stored = None,
                8 if !private => return Err(MmError::Invalid),
                10 => page.flags |= VmaFlags::DONT_FORK,
                11 => page.flags -= VmaFlags::DONT_FORK,
                14 => page.flags = (page.flags | VmaFlags::HUGE) - VmaFlags::NO_HUGE,
                15 => page.flags = (page.flags | VmaFlags::NO_HUGE) - VmaFlags::HUGE,
                _ => {}
            }
            Ok(())
        });
        assert_eq!(result, expected);
    }

    fn brk(&mut self, to: usize) {
        let (start, end) = self.model.heap;
        let guard = usize::from(to < PAGES);
        let can = to <= end || self.model.is_free(end, to - end + guard);
        if can {
            if to < end {
                self.model.unmap(to, end - to);
            } else {
                self.model.map(end, to - end, Prot::RW, VmaFlags::empty(), Kind::Heap);
            }
            self.model.heap = (start, to);
        }
        assert_eq!(self.space.brk(addr(to)), addr(self.model.heap.1));
    }

    fn msync(&mut self, at: usize, len: usize, flags: u64) {
        let result = self.space.msync(addr(at), bytes(len), flags);
        let mut written = Vec::new();
        let expected = self.model.change_all(at, len, |page| {
            if flags & 2 != 0 && page.flags.contains(VmaFlags::LOCKED) {
                return Err(MmError::Busy);
            }
            if let Kind::Shared(file, index) = page.kind {
                written.push((file, index));
            }
            Ok(())
        });
        assert_eq!(result, expected);
        written.into_iter().for_each(|(file, index)| self.check_file(file, index));
    }

    /// The file outside is what the program believes.
    fn check_file(&self, file: u32, index: usize) {
        if let Some(&value) = self.model.files[&file].get(index) {
            let outside = self.space.pages().files[&file][index * 4096 + 5];
            assert_eq!(outside, value, "page {index} of file {file}");
        }
    }

    fn file_read(&mut self, file: u32, page: usize) {
        if self.model.files.contains_key(&file) {
            self.space.flush_file(&TestFile(file), bytes(page) + 5, 1).unwrap();
            self.check_file(file, page);
        }
    }

    fn file_write(&mut self, file: u32, page: usize, value: u8) {
        if let Some(contents) = self.model.files.get_mut(&file) {
            contents[page] = value;
            self.space.begin_write(&TestFile(file), bytes(page) + 5, 1).unwrap();
            let outside = self.space.pages_mut().files.get_mut(&file).unwrap();
            outside[page * 4096 + 5] = value;
            self.space.end_write(&TestFile(file), bytes(page) + 5, 1).unwrap();
        }
    }

    fn map_special(&mut self, at: usize, len: usize) {
        let range = PageRange::from_len(addr(at), bytes(len)).unwrap();
        let result = self.space.map_runtime(range, Prot::READ, VmaKind::Special("own"));
        if at + len > PAGES {
            assert_eq!(result, Err(MmError::Invalid));
        } else if self.model.is_free(at, len) {
            assert_eq!(result, Ok(()));
            self.model.map(at, len, Prot::READ, VmaFlags::empty(), Kind::Special);
        } else {
            assert_eq!(result, Err(MmError::Exists));
        }
    }

    fn unmap_special(&mut self, at: usize, len: usize) {
        let range = PageRange::from_len(addr(at), bytes(len)).unwrap();
        let result = self.space.unmap_runtime(range);
        let is_special = at < PAGES
            && self.model.pages[at].is_some_and(|page| page.kind == Kind::Special)
            && at + len <= self.model.mapping_end(at);
        assert_eq!(result, is_special.then_some(()).ok_or(MmError::Invalid));
        if is_special {
            self.model.pages[at..at + len].fill(None);
        }
    }

    /// The mappings are those of the model, and no more of them than needed.
    fn compare(&self) {
        check_invariants(&self.space);
        for (at, page) in self.model.pages.iter().enumerate() {
            let vma = self.space.find(addr(at));
            let seen = vma.map(|vma| {
                let further = (addr(at) - vma.range().start()) / PAGE_SIZE;
                (
                    vma.prot(),
                    vma.flags(),
                    kind_of(vma.kind()).plus(usize::try_from(further).unwrap()),
                )
            });
            assert_eq!(seen, page.map(|page| (page.prot, page.flags, page.kind)), "page {at}");
        }
        assert_eq!(self.space.vmas().count(), self.model.mappings(), "not merged");
    }

    /// Every page has the contents that it should have; and so have the files, in the end.
    fn compare_contents(&mut self) {
        for at in 0..PAGES {
            assert_eq!(load(&mut self.space, addr(at) + 5), self.model.load(at), "page {at}");
        }
        self.space.flush_all().unwrap();
        for &file in self.model.files.keys() {
            (0..FILE_PAGES).for_each(|index| self.check_file(file, index));
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn all_calls_do_what_the_model_does(ops in prop::collection::vec(op(), 1..120)) {
        let mut pair = Pair::new();
        for op in &ops {
            pair.apply(op);
            pair.compare();
        }
        pair.compare_contents();
    }
}
