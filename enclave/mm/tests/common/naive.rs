//! The naive model: an array of pages, each with all that there is to know of it.

use std::collections::BTreeMap;

use enclave_mm::{FaultOutcome, MmError, PAGE_SIZE, Prot, SegvCode, VmaFlags, VmaKind};

use super::{TestFile, Touched};

pub(crate) const PAGES: usize = 128;
/// Pages of the files.
pub(crate) const FILE_PAGES: usize = 6;
/// The file of all private mappings; nobody writes to it.
pub(crate) const PRIVATE_FILE: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Anon,
    AnonShared,
    Private(u32, usize),
    Shared(u32, usize),
    Heap,
    Special,
}

impl Kind {
    /// The kind of the page `by` pages further on in the same mapping.
    pub(crate) fn plus(self, by: usize) -> Self {
        match self {
            Self::Private(file, page) => Self::Private(file, page + by),
            Self::Shared(file, page) => Self::Shared(file, page + by),
            kind => kind,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) prot: Prot,
    pub(crate) flags: VmaFlags,
    pub(crate) kind: Kind,
    /// What was stored in it; `None`: nothing since it appeared.
    pub(crate) stored: Option<u8>,
}

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) pages: [Option<Page>; PAGES],
    pub(crate) files: BTreeMap<u32, Vec<u8>>,
    pub(crate) heap: (usize, usize),
}

type Done = Result<(), MmError>;

/// The value that page `page` of every new file has.
pub(crate) fn file_value(page: usize) -> u8 {
    u8::try_from(page + 1).unwrap()
}

impl Model {
    pub(crate) fn new(heap: usize) -> Self {
        let mut model = Self { pages: [None; PAGES], files: BTreeMap::new(), heap: (heap, heap) };
        model.add_file(PRIVATE_FILE);
        model
    }

    pub(crate) fn add_file(&mut self, file: u32) {
        self.files.insert(file, (0..FILE_PAGES).map(file_value).collect());
    }

    pub(crate) fn is_free(&self, at: usize, len: usize) -> bool {
        at + len <= PAGES && self.pages[at..at + len].iter().all(Option::is_none)
    }

    pub(crate) fn has_room(&self, len: usize) -> bool {
        (0..PAGES).any(|at| self.is_free(at, len))
    }

    pub(crate) fn has_special(&self, at: usize, len: usize) -> bool {
        self.pages[at..at + len].iter().flatten().any(|page| page.kind == Kind::Special)
    }

    fn same_mapping(&self, at: usize) -> bool {
        match (self.pages[at], self.pages.get(at + 1).copied().flatten()) {
            (Some(a), Some(b)) => {
                Page { stored: None, kind: a.kind.plus(1), ..a } == Page { stored: None, ..b }
            }
            _ => false,
        }
    }

    /// How many mappings there are.
    pub(crate) fn mappings(&self) -> usize {
        let ends = |&at: &usize| self.pages[at].is_some() && !self.same_mapping(at);
        (0..PAGES).filter(ends).count()
    }

    /// Where the mapping of page `at` ends.
    pub(crate) fn mapping_end(&self, at: usize) -> usize {
        (at..PAGES).find(|&at| !self.same_mapping(at)).unwrap() + 1
    }

    pub(crate) fn map(&mut self, at: usize, len: usize, prot: Prot, flags: VmaFlags, kind: Kind) {
        for i in 0..len {
            let page = Page { prot, flags, kind: kind.plus(i), stored: None };
            self.pages[at + i] = Some(page);
        }
    }

    pub(crate) fn unmap(&mut self, at: usize, len: usize) {
        let range = at.min(PAGES)..(at + len).min(PAGES);
        for page in &mut self.pages[range] {
            if page.is_some_and(|page| page.kind != Kind::Special) {
                *page = None;
            }
        }
    }

    /// Does `change` to each page up to the first hole (ENOMEM) or its first error.
    pub(crate) fn change(
        &mut self,
        at: usize,
        len: usize,
        mut change: impl FnMut(&mut Page) -> Done,
    ) -> Done {
        for i in at..at + len {
            let page = self.pages.get_mut(i).and_then(Option::as_mut);
            let page = page.filter(|page| page.kind != Kind::Special);
            change(page.ok_or(MmError::NoMemory)?)?;
        }
        Ok(())
    }

    /// Does `change` to each page; holes give ENOMEM in the end.
    pub(crate) fn change_all(
        &mut self,
        at: usize,
        len: usize,
        mut change: impl FnMut(&mut Page) -> Done,
    ) -> Done {
        let mut result = Ok(());
        for i in at..at + len {
            match self.change(i, 1, &mut change) {
                Err(MmError::NoMemory) => result = Err(MmError::NoMemory),
                other => other?,
            }
        }
        result
    }

    pub(crate) fn load(&self, at: usize) -> Touched {
        match self.access(at, Prot::READ) {
            Ok((Page { stored: Some(value), .. }, _)) => Touched::Value(value),
            Ok((_, from_file)) => Touched::Value(from_file),
            Err(outcome) => Touched::Failed(outcome),
        }
    }

    pub(crate) fn store(&mut self, at: usize, value: u8) -> Touched {
        let page = match self.access(at, Prot::WRITE) {
            Ok((page, _)) => page,
            Err(outcome) => return Touched::Failed(outcome),
        };
        if let Kind::Shared(file, index) = page.kind {
            self.files.get_mut(&file).unwrap()[index] = value;
        } else {
            self.pages[at] = Some(Page { stored: Some(value), ..page });
        }
        Touched::Value(value)
    }

    /// The page, and what it holds when nothing was stored.
    fn access(&self, at: usize, needs: Prot) -> Result<(Page, u8), FaultOutcome> {
        let page = self.pages[at].ok_or(FaultOutcome::Segv(SegvCode::MapErr))?;
        if !page.prot.effective().contains(needs) {
            return Err(FaultOutcome::Segv(SegvCode::AccErr));
        }
        match page.kind {
            Kind::Private(file, index) | Kind::Shared(file, index) => {
                let value = self.files[&file].get(index).ok_or(FaultOutcome::Bus)?;
                Ok((page, *value))
            }
            _ => Ok((page, 0)),
        }
    }

    /// Moves `len` pages and appends `more` new ones; with `keeps`, empty ones stay behind.
    pub(crate) fn relocate(
        &mut self,
        old: usize,
        len: usize,
        more: usize,
        new: usize,
        keeps: bool,
    ) {
        let pages: Vec<Page> = self.pages[old..old + len].iter().flatten().copied().collect();
        for (i, page) in pages.iter().enumerate() {
            let left = Page { stored: None, flags: page.flags - VmaFlags::LOCKED, ..*page };
            self.pages[old + i] = keeps.then_some(left);
        }
        for i in 0..len + more {
            let model = pages[i.min(len - 1)];
            let kind = model.kind.plus(i.saturating_sub(len - 1));
            let kind = if kind == Kind::Heap { Kind::Anon } else { kind };
            let stored = model.stored.filter(|_| i < len);
            self.pages[new + i] = Some(Page { kind, stored, ..model });
        }
    }
}

/// The kind of the first page of a mapping of `kind`.
pub(crate) fn kind_of(kind: &VmaKind<TestFile>) -> Kind {
    let index = |offset: u64| usize::try_from(offset / PAGE_SIZE).unwrap();
    match kind {
        VmaKind::Anon => Kind::Anon,
        VmaKind::AnonShared => Kind::AnonShared,
        VmaKind::FilePrivate(place) => Kind::Private(place.file.0, index(place.offset)),
        VmaKind::FileShared(place) => Kind::Shared(place.file.0, index(place.offset)),
        VmaKind::Heap => Kind::Heap,
        VmaKind::Special(_) => Kind::Special,
        VmaKind::Stack | VmaKind::Vdso => panic!("nobody maps {kind:?}"),
    }
}
