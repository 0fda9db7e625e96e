//! Files that are written while they are mapped, by `write(2)` and whatever else changes them on the host.
//!
//! A fault meanwhile may read what was there before, and nobody can say which bytes of a page are old. So the
//! pages go when the write is over. If the program has stored to one of them, only what it stored may
//! be written to the file, for the rest would undo the write: such a page has a before-image, a copy
//! from when it became dirty, and what differs from that is what was stored. (Twins and diffs of
//! TreadMarks, Keleher et al., USENIX 1994.) Nobody waits for anybody: a writer may read what it writes from the
//! same mapping, or wait for a pipe that is filled by who stores there.

use alloc::vec::Vec;
use core::ops::Range;

use crate::errors::MmError;
use crate::pages::{BackingFile, Pages};
use crate::range::{PAGE_SIZE, PageRange};
use crate::shared::Extent;
use crate::space::AddressSpace;
use crate::store::Store;

/// Before-images that are kept; when there are as many, their pages are written back first.
pub(crate) const MOST_IMAGES: usize = 256;

/// A part of a file that is being written.
#[derive(Debug)]
pub(crate) struct Write<F> {
    file: F,
    offset: u64,
    len: u64,
}

impl<F> Write<F> {
    pub(crate) fn extent(&self) -> Extent<'_, F> {
        Extent::new(&self.file, self.offset, self.len)
    }
}

impl<P: Pages<F>, F: BackingFile> AddressSpace<P, F> {
    /// To be called before `len` bytes from `offset` of `file` are written, or its size changes there. Pages
    /// stay, and show what was there before, until [`AddressSpace::end_write`] with the same
    /// arguments. Writes may overlap. After an error, nothing has begun.
    pub fn begin_write(&mut self, file: &F, offset: u64, len: u64) -> Result<(), MmError> {
        self.flush_file(file, offset, len)?;
        self.writes.push(Write { file: file.clone(), offset, len });
        Ok(())
    }

    /// To be called when the write is over, however it ended: mappings show what was written, and what the
    /// program has stored meanwhile.
    pub fn end_write(&mut self, file: &F, offset: u64, len: u64) -> Result<(), MmError> {
        let is_it = |write: &Write<F>| {
            (write.offset, write.len) == (offset, len) && write.file.is_same(file)
        };
        if let Some(at) = self.writes.iter().position(is_it) {
            self.writes.swap_remove(at);
        }
        self.drop_file(file, offset, len)
    }
}

impl<P> Store<P> {
    /// Keeps before-images of the clean pages `run`.
    pub(crate) fn keep_images<F>(&mut self, run: PageRange) -> Result<(), MmError>
    where
        P: Pages<F>,
    {
        for page in (0..run.pages()).map(|index| run.start() + index * PAGE_SIZE) {
            let image = self.pages.contents(page)?;
            self.images.insert(page, image);
        }
        Ok(())
    }

    /// Writes the readable pages `run` to `file` at `offset`, up to its end at `end`; of those with
    /// before-images, what the program has stored.
    pub(crate) fn write_run<F>(
        &mut self,
        file: &F,
        offset: u64,
        end: u64,
        run: PageRange,
    ) -> Result<(), MmError>
    where
        P: Pages<F>,
    {
        let Self { pages, images, .. } = self;
        let write = |pages: &mut P, part: Range<u64>| {
            let at = offset + (part.start - run.start());
            let len = (part.end - part.start).min(end.saturating_sub(at));
            if len == 0 { Ok(()) } else { pages.write_backing(file, at, part.start, len) }
        };
        let mut done = run.start();
        for (&page, image) in images.range(run.start()..run.end()) {
            write(pages, done..page)?;
            done = page + PAGE_SIZE;
            for part in differences(image, &pages.contents(page)?) {
                write(pages, page + part.start..page + part.end)?;
            }
        }
        write(pages, done..run.end())
    }
}

/// Where two pages differ.
fn differences(one: &[u8], other: &[u8]) -> Vec<Range<u64>> {
    let mut parts: Vec<Range<u64>> = Vec::new();
    for (at, (a, b)) in (0..).zip(one.iter().zip(other)) {
        match parts.last_mut() {
            _ if a == b => {}
            Some(last) if last.end == at => last.end += 1,
            _ => parts.push(at..at + 1),
        }
    }
    parts
}
