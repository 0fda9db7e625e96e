//! The pages of the address space: which are present, which are dirty, and how they change
//! together with the mappings.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::errors::MmError;
use crate::pages::Pages;
use crate::range::{PAGE_SIZE, PageRange};
use crate::runs::PageSet;
use crate::vma::{Prot, Vma, VmaKind};

/// The pages, and the machine below them.
#[derive(Debug)]
pub(crate) struct Store<P> {
    pub(crate) pages: P,
    pub(crate) committed: PageSet,
    /// Pages of shared files that may differ from the file: the writable ones. Part of `committed`.
    pub(crate) dirty: PageSet,
    /// Pages of private files that may differ from the file: those that were writable once. Part of
    /// `committed`.
    pub(crate) changed: PageSet,
    /// Absent pages whose contents were read from the file instead.
    pub(crate) passed: PageSet,
    /// Before-images: what dirty pages held when they became so, for those of which only what the
    /// program has stored since may be written to the file.
    pub(crate) images: BTreeMap<u64, Vec<u8>>,
    /// How many pages may be committed.
    pub(crate) limit: u64,
    pub(crate) peak: u64,
}

/// Committed pages and the protection that they have.
type Run = (PageRange, Prot);

impl<P> Store<P> {
    pub(crate) const fn new(pages: P) -> Self {
        Self {
            pages,
            committed: PageSet::new(),
            dirty: PageSet::new(),
            changed: PageSet::new(),
            passed: PageSet::new(),
            images: BTreeMap::new(),
            limit: u64::MAX,
            peak: 0,
        }
    }

    /// The committed runs of `vma` in `range`, with the protection that they would have if the
    /// mapping had `prot`.
    fn present<F>(&self, vma: &Vma<F>, range: PageRange, prot: Prot) -> Vec<Run> {
        let prot = prot.effective();
        let runs = self.committed.runs_in(range);
        if vma.shared_file().is_none() {
            return runs.map(|run| (run, prot)).collect();
        }
        let mut list = Vec::new();
        for run in runs {
            let clean = self.dirty.gaps_in(run).map(|part| (part, prot - Prot::WRITE));
            list.extend(clean.chain(self.dirty.runs_in(run).map(|part| (part, prot))));
        }
        list
    }

    fn add(&mut self, range: PageRange) {
        self.committed.insert(range);
        self.peak = self.peak.max(self.committed.pages());
    }

    /// The committed pages `run` of `vma` get `prot`: from now on the program may change them, if it says so.
    fn note_changes<F>(&mut self, vma: &Vma<F>, run: PageRange, prot: Prot) {
        if matches!(vma.kind, VmaKind::FilePrivate(_)) && prot.contains(Prot::WRITE) {
            self.changed.insert(run);
        }
    }

    /// Checks that `range` may be committed on top of what is.
    fn check_limit(&self, range: PageRange) -> Result<(), MmError> {
        let room = self.limit.saturating_sub(self.committed.pages());
        if range.pages() <= room { Ok(()) } else { Err(MmError::NoMemory) }
    }

    /// Commits what is absent of `range`, a part of `vma` (which is not `PROT_NONE`); of a file
    /// mapping, the pages that have a byte of the file. An error leaves the part before committed.
    pub(crate) fn fill<F>(&mut self, vma: &Vma<F>, range: PageRange) -> Result<(), MmError>
    where
        P: Pages<F>,
    {
        self.fill_for(vma, range, None)
    }

    /// The same, where a thread waits for the page at `awaited`.
    pub(crate) fn fill_for<F>(
        &mut self,
        vma: &Vma<F>,
        range: PageRange,
        awaited: Option<u64>,
    ) -> Result<(), MmError>
    where
        P: Pages<F>,
    {
        let absent: Vec<_> = self.committed.gaps_in(range).collect();
        if absent.is_empty() {
            return Ok(());
        }
        let prot = vma.prot.effective();
        let Some(file) = vma.file() else {
            for gap in absent {
                self.check_limit(gap)?;
                self.pages.commit(gap, prot, awaited)?;
                self.add(gap);
            }
            return Ok(());
        };
        let prot = if vma.is_shared() { prot - Prot::WRITE } else { prot };
        for gap in absent.into_iter().flat_map(|gap| steps(gap, READ_STEP)) {
            self.check_limit(gap)?;
            let (start, offset) = (gap.start(), vma.offset_at(gap.start()));
            let len = self.pages.commit_file(gap, prot, awaited, &file.file, offset)?;
            if len != 0 {
                let there = PageRange::of(start, start + len);
                self.add(there);
                self.note_changes(vma, there, prot);
            }
            if len < gap.len() {
                break;
            }
        }
        Ok(())
    }

    /// Gives the committed pages of `range`, a part of `vma`, the protection they have under
    /// `to` instead of the one of `vma`. All or nothing.
    pub(crate) fn protect<F>(
        &mut self,
        vma: &Vma<F>,
        range: PageRange,
        to: Prot,
    ) -> Result<(), MmError>
    where
        P: Pages<F>,
    {
        let from = self.present(vma, range, vma.prot);
        let to = self.present(vma, range, to);
        for (done, (&(run, old), &(_, new))) in from.iter().zip(&to).enumerate() {
            if old == new {
                continue;
            }
            self.note_changes(vma, run, new);
            if let Err(error) = self.pages.protect(run, old, new) {
                for (&(run, old), &(_, new)) in from.iter().zip(&to).take(done) {
                    if old != new {
                        self.pages.protect(run, new, old).map_err(|_| MmError::Lost)?;
                    }
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Gives the committed pages of `range` back; their contents are gone.
    pub(crate) fn discard<F>(&mut self, range: PageRange) -> Result<(), MmError>
    where
        P: Pages<F>,
    {
        let runs: Vec<_> = self.committed.runs_in(range).collect();
        for run in runs {
            self.pages.decommit(run)?;
            self.committed.remove(run);
            self.rest(run);
            self.changed.remove(run);
        }
        self.passed.remove(range);
        Ok(())
    }

    /// Makes the pages of `range` in the shared file mapping `vma` dirty, thus writable; with before-images
    /// if their file is being written.
    pub(crate) fn make_dirty<F>(
        &mut self,
        vma: &Vma<F>,
        range: PageRange,
        is_written: bool,
    ) -> Result<(), MmError>
    where
        P: Pages<F>,
    {
        let prot = vma.prot.effective();
        for (run, now) in self.present(vma, range, prot) {
            if now != prot {
                if is_written {
                    self.keep_images(run)?;
                }
                self.pages.protect(run, now, prot)?;
            }
            self.dirty.insert(run);
        }
        Ok(())
    }

    /// Writes the dirty pages of `range` in `vma` to its file, after which they are clean, even if they go
    /// away next: another thread may still write to them. Without a shared file, nothing. All runs are tried;
    /// the first error is returned, and what could not be written stays dirty.
    pub(crate) fn write_back<F>(&mut self, vma: &Vma<F>, range: PageRange) -> Result<(), MmError>
    where
        P: Pages<F>,
    {
        let Some(place) = vma.shared_file() else { return Ok(()) };
        let runs: Vec<_> = self.dirty.runs_in(range).collect();
        if runs.is_empty() {
            return Ok(());
        }
        let end = self.pages.backing_len(&place.file)?;
        let mut result = Ok(());
        for run in runs {
            result = result.and(self.write_back_run(vma, end, run));
        }
        result
    }

    fn write_back_run<F>(&mut self, vma: &Vma<F>, end: u64, run: PageRange) -> Result<(), MmError>
    where
        P: Pages<F>,
    {
        let Some(FileAt { file, offset }) = file_at(vma, run.start()) else { return Ok(()) };
        let prot = vma.prot.effective();
        // Readable for the write; and no write may come after it unseen.
        let resting = prot - Prot::WRITE;
        let during = resting.union(Prot::READ);
        self.switch(run, prot, during)?;
        if let Err(error) = self.write_run(file, offset, end, run) {
            self.switch(run, during, prot).map_err(|_| MmError::Lost)?;
            return Err(error);
        }
        self.switch(run, during, resting)?;
        self.rest(run);
        Ok(())
    }

    /// The pages of `run` are not dirty any more.
    fn rest(&mut self, run: PageRange) {
        self.dirty.remove(run);
        self.images.retain(|&page, _| !run.contains(page));
    }

    fn switch<F>(&mut self, run: PageRange, from: Prot, to: Prot) -> Result<(), MmError>
    where
        P: Pages<F>,
    {
        if from == to { Ok(()) } else { self.pages.protect(run, from, to) }
    }

    /// Moves the committed pages of `vma` in `range` to `dst`, where nothing is committed. When it
    /// fails, all is as before, or [`MmError::Lost`].
    pub(crate) fn relocate<F>(
        &mut self,
        vma: &Vma<F>,
        range: PageRange,
        dst: u64,
    ) -> Result<(), MmError>
    where
        P: Pages<F>,
    {
        let prot = vma.prot.effective();
        let runs = self.committed.runs_in(range);
        let chunks: Vec<_> = runs.flat_map(|run| steps(run, MOVE_STEP)).collect();
        for (done, &chunk) in chunks.iter().enumerate() {
            let to = dst + (chunk.start() - range.start());
            if let Err(error) = self.relocate_chunk(chunk, to, prot) {
                if error == MmError::Lost {
                    return Err(error);
                }
                for &moved in chunks.iter().take(done) {
                    let from = dst + (moved.start() - range.start());
                    let from = PageRange::of(from, from + moved.len());
                    self.relocate_chunk(from, moved.start(), prot).map_err(|_| MmError::Lost)?;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn relocate_chunk<F>(&mut self, src: PageRange, dst: u64, prot: Prot) -> Result<(), MmError>
    where
        P: Pages<F>,
    {
        let readable = prot.union(Prot::READ);
        self.switch(src, prot, readable)?;
        if let Err(error) = self.pages.copy_within(src, dst, readable) {
            self.switch(src, readable, prot).map_err(|_| MmError::Lost)?;
            return Err(error);
        }
        let dst = PageRange::of(dst, dst + src.len());
        self.committed.insert(dst);
        let changed: Vec<_> = self.changed.runs_in(src).collect();
        for run in changed {
            let start = dst.start() + (run.start() - src.start());
            self.changed.insert(PageRange::of(start, start + run.len()));
        }
        let closed = self.switch(dst, readable, prot);
        closed.and_then(|()| self.discard(src)).map_err(|_| MmError::Lost)
    }
}

/// A file, and the offset of a page in it.
struct FileAt<'a, F> {
    file: &'a F,
    offset: u64,
}

fn file_at<F>(vma: &Vma<F>, addr: u64) -> Option<FileAt<'_, F>> {
    vma.file().map(|file| FileAt { file: &file.file, offset: vma.offset_at(addr) })
}

/// Moves go in steps, so that a big one does not need its memory twice.
const MOVE_STEP: u64 = 512 * PAGE_SIZE;

/// Files are read in steps, so that their pages do not need their memory twice.
const READ_STEP: u64 = 256 * PAGE_SIZE;

fn steps(run: PageRange, step: u64) -> impl Iterator<Item = PageRange> {
    let mut at = run.start();
    core::iter::from_fn(move || {
        let chunk = PageRange::of(at, run.end().min(at + step));
        at = chunk.end();
        (!chunk.is_empty()).then_some(chunk)
    })
}
