//! System call sites of mapped code: to trampolines, before the code can run.
//!
//! What is to be written over code is decided part by part, before any page of that part is there, and
//! belongs to the mapping: a page that was dropped is read with it again. If the code is not too long, all
//! of it is looked at when it is mapped; else each part when it is touched. A part's pages come with it.

use alloc::{sync::Arc, vec::Vec};
use core::{mem, ops::Range};

use enclave_core::{AppSlice, Mutex, pages::PageBuffer, to_usize};
use enclave_hostcalls::Errno;
use enclave_loader::PAGE_SIZE;
use enclave_mm::{Backing as MmBacking, MapRequest, PageRange, Prot, Vma, VmaKind};
use enclave_rewriter::{Area, Code, Parts, Patch, Sites, Stats, rewrite};

use crate::{
    exception::code_at,
    memory::errno,
    pages::Supply,
    process::{Backing, Space, process},
};

/// How far a `jmp rel32` reaches, less the size of large programs.
const REACH: u64 = 0x7000_0000;

/// Where trampolines are looked for first, from the start of the code.
const DISTANCE: u64 = 0x3000_0000;

/// Code up to this long is looked at when it is mapped.
const SHORT: u64 = 4 << 20;

/// Bytes of a part of longer code.
const PART: usize = 256 << 10;

const MAP_LOCKED: u64 = 0x2000;
const MAP_POPULATE: u64 = 0x8000;

/// Counts of all sites so far.
pub(crate) static SITES: Mutex<Option<Stats>> = Mutex::new(None);

/// A mapping of code.
#[derive(Debug)]
pub(crate) struct Text {
    range: PageRange,
    /// Where it begins in the file.
    offset: u64,
    /// Bytes of a part.
    part: usize,
    known: Mutex<Known>,
}

/// What is known of its code.
#[derive(Debug, Default)]
struct Known {
    /// By number; a part that is not there is not known.
    parts: Vec<bool>,
    /// What is written over it, by rising address, without overlaps.
    patches: Vec<Patch>,
}

impl Known {
    fn add(&mut self, part: usize, patches: Vec<Patch>) {
        if self.parts.len() <= part {
            self.parts.resize(part + 1, false);
        }
        self.parts[part] = true;
        if patches.is_empty() {
            return;
        }
        self.patches.extend(patches);
        self.patches.sort_by_key(|patch| patch.addr);
    }
}

/// Maps the code of `file` at `range`, as `request` says. Whatever cannot be rewritten is left to trap. Nobody
/// else comes to the pages of `space` before it is known what is written over them.
///
/// # Errors
///
/// As mmap(2), and as pread(2); then nothing is mapped at `range`.
pub(crate) fn map(
    space: &mut Space,
    request: MapRequest<Backing>,
    mut file: MmBacking<Backing>,
    range: PageRange,
) -> Result<u64, Errno> {
    let at_once = range.len() <= SHORT || request.flags & (MAP_POPULATE | MAP_LOCKED) != 0;
    let part = if range.len() <= SHORT { Parts::<PageBuffer>::LONGEST } else { PART };
    let known = Mutex::new(Known::default());
    let text = Arc::new(Text { range, offset: request.offset, part, known });
    file.file.text = Some(Arc::clone(&text));
    let backing = file.file.clone();
    let start = space.mmap(MapRequest { file: Some(file), ..request }).map_err(errno)?;
    process().rewritten.lock().remove(range.start()..range.end());
    if at_once && let Err(error) = text.learn(space, &backing, 0..text.len().div_ceil(part)) {
        space.munmap(range.start(), range.len()).map_err(errno)?;
        return Err(error);
    }
    Ok(start)
}

/// Looks at the part of code at `address`, which is not there, unless that has been done. What cannot be read
/// stays unknown.
pub(crate) fn before_fault(space: &mut Space, address: u64) {
    let Some(vma) = space.find(address) else { return };
    let Some((file, text)) = vma.file().and_then(|file| Some((file, file.file.text.as_ref()?)))
    else {
        return;
    };
    let offset = file.offset + (address - vma.range().start());
    let Some(part) = text.part_at(address, offset).filter(|&part| !text.knows(part)) else {
        return;
    };
    let (backing, text) = (file.file.clone(), Arc::clone(text));
    let _ = text.learn(space, &backing, part..part + 1);
}

/// The same for all code within `len` bytes from `addr`, which somebody wants to be there.
pub(crate) fn before_populating(space: &mut Space, addr: u64, len: u64) {
    let start = addr - addr % PAGE_SIZE;
    let end = addr.checked_add(len).and_then(|end| end.checked_next_multiple_of(PAGE_SIZE));
    let Some(range) = end.and_then(|end| PageRange::new(start, end)) else { return };
    let texts = space.overlapping(range).filter_map(|vma| vma.file()?.file.text.clone());
    let texts: Vec<_> = texts.filter(|text| text.range.len() > SHORT).collect();
    for text in texts {
        let shown = text.range.intersect(range);
        let mut address = shown.start();
        while address < shown.end() {
            before_fault(space, address);
            address += text.part as u64;
        }
        before_fault(space, shown.end().saturating_sub(1));
    }
}

/// Where to go on instead of at `rip`, if a system call's jump has been written over the instruction there,
/// and still is.
pub(crate) fn relocated(rip: u64) -> Option<u64> {
    let inside = process().rewritten.lock().inside(rip)?;
    inside.is_there(&code_at(inside.patch)).then_some(inside.now)
}

impl Text {
    fn len(&self) -> usize {
        to_usize(self.range.len())
    }

    /// The number of the part at an address, where `offset` of the file is to be seen; `None` elsewhere, for
    /// the mapping may have been moved.
    fn part_at(&self, address: u64, offset: u64) -> Option<usize> {
        let place = address.wrapping_sub(self.range.start());
        let here = self.range.contains(address) && offset.wrapping_sub(self.offset) == place;
        here.then(|| to_usize(place) / self.part)
    }

    /// Where a part of the code is still mapped: something else may have been mapped over some of it.
    fn shown(&self, space: &Space, part: &Range<usize>) -> Vec<PageRange> {
        let start = self.range.start() + part.start as u64;
        let Some(range) = PageRange::from_len(start, part.len() as u64) else { return Vec::new() };
        let own = |vma: &&Vma<Backing>| {
            let file = vma.file().filter(|file| {
                file.file.text.as_deref().is_some_and(|text| core::ptr::eq(text, self))
            });
            file.is_some_and(|file| self.part_at(vma.range().start(), file.offset).is_some())
        };
        space.overlapping(range).filter(own).map(|vma| vma.range().intersect(range)).collect()
    }

    /// Whether all of a part is shown, and no page of it is there. Else half a patch might be written: something
    /// else was mapped over some of it, or pages came elsewhere and were moved here.
    fn is_untouched(&self, space: &Space, part: &Range<usize>) -> bool {
        let shown = self.shown(space, part);
        let len: u64 = shown.iter().map(|range| range.len()).sum();
        let there = |range: &PageRange| space.committed().runs_in(*range).next().is_some();
        len == part.len() as u64 && !shown.iter().any(there)
    }

    fn knows(&self, part: usize) -> bool {
        self.known.lock().parts.get(part).is_some_and(|&known| known)
    }

    /// Bytes from the begin of `range` on of which it is known what is written over them.
    pub(crate) fn known(&self, range: PageRange, offset: u64) -> u64 {
        let Some(first) = self.part_at(range.start(), offset) else { return range.len() };
        let end = range.end().min(self.range.end());
        let last = to_usize(end - 1 - self.range.start()) / self.part;
        match (first..=last).find(|&part| !self.knows(part)) {
            Some(part) => {
                let start = self.range.start() + (part * self.part) as u64;
                start.saturating_sub(range.start())
            }
            None => range.len(),
        }
    }

    /// Writes over the bytes that will be seen from `start` on, and are at `offset` of the file.
    pub(crate) fn write_over(&self, start: u64, offset: u64, bytes: &mut [u8]) {
        if self.part_at(start, offset).is_some() {
            apply(&self.known.lock().patches, start, bytes, |_, _| {});
        }
    }

    /// Decides what is written over the sites of some parts, and lays out their trampolines.
    fn learn(&self, space: &mut Space, file: &Backing, parts: Range<usize>) -> Result<(), Errno> {
        let len = self.len().min(Parts::<PageBuffer>::buffer_for(self.part));
        let buffer = space.pages_mut().take_buffer(len as u64);
        let mut code = Parts::new(self.range.start(), self.len(), buffer);
        let result =
            parts.into_iter().try_for_each(|part| self.learn_part(space, file, part, &mut code));
        space.pages_mut().give_buffer(mem::take(code.buffer_mut()));
        result
    }

    fn learn_part(
        &self,
        space: &mut Space,
        file: &Backing,
        part: usize,
        parts: &mut Parts<PageBuffer>,
    ) -> Result<(), Errno> {
        let bytes = part * self.part..self.len().min((part + 1) * self.part);
        // What was changed through shared mappings is not in the file yet.
        let start = self.offset + bytes.start as u64;
        space.flush_file(file, start, bytes.len() as u64).map_err(errno)?;
        let read = |from, bytes: &mut [u8]| file.source.read_at(self.offset + from as u64, bytes);
        let (code, sites) = parts.show(bytes.clone(), read)?;
        let new = if sites.is_empty() || !self.is_untouched(space, &bytes) {
            None
        } else {
            plan(space, self.range, &code, &sites)
        };
        self.known.lock().add(part, new.unwrap_or_default());
        self.fill(space, &bytes, parts);
        Ok(())
    }

    /// Fills the mapping with the pages of a part, if there is memory: a fault will tell else.
    fn fill(&self, space: &mut Space, part: &Range<usize>, parts: &mut Parts<PageBuffer>) {
        let place = parts.pages(part);
        let start = self.range.start() + part.start as u64;
        let Some(range) = PageRange::from_len(start, place.len() as u64) else { return };
        let first = place.start as u64 / PAGE_SIZE;
        let mut buffer = mem::take(parts.buffer_mut());
        // What is around the next part is looked at as it is in the file.
        let mut before = Vec::new();
        let bytes = buffer.as_mut().get_mut(place.clone()).unwrap_or_default();
        apply(&self.known.lock().patches, start, bytes, |at, byte| before.push((at, byte)));
        let supply = Supply { buffer, first, range: Some(range) };
        space.pages_mut().supply(Some(supply));
        for shown in self.shown(space, &(part.start..part.start + place.len())) {
            let _ = space.populate(shown);
        }
        let supply = space.pages_mut().supply(None);
        buffer = supply.map(|supply| supply.buffer).unwrap_or_default();
        let bytes = buffer.as_mut().get_mut(place).unwrap_or_default();
        for (at, byte) in before {
            bytes[at] = byte;
        }
        *parts.buffer_mut() = buffer;
    }
}

/// What is to be written over some sites of the code at `range`: nothing if there is no room for trampolines.
fn plan(space: &mut Space, range: PageRange, code: &Code<'_>, sites: &Sites) -> Option<Vec<Patch>> {
    let size = (sites.area_size() as u64).next_multiple_of(PAGE_SIZE);
    // Away from the image and from what may grow behind it, if there is room.
    let far = space.find_free_near(range.start() + DISTANCE, size, REACH - DISTANCE);
    let addr = far.or_else(|| space.find_free_near(range.start(), size, REACH))?;
    let out = rewrite(code, sites, Area { addr, size: to_usize(size) });
    let used = out.trampolines.len() as u64;
    if used != 0 {
        let area = PageRange::from_len(addr, used.next_multiple_of(PAGE_SIZE))?;
        space.map_runtime(area, Prot::RW, VmaKind::Special("trampolines")).ok()?;
        AppSlice::new(addr, used).ok()?.write_present(0, &out.trampolines).ok()?;
        space.protect_runtime(area, Prot::RX).ok()?;
    }
    process().rewritten.lock().add(out.moved);
    SITES.lock().get_or_insert_default().add(&out.stats);
    Some(out.patches)
}

/// Writes the parts of `patches` that lie in `bytes`, which will be seen from `start` on; calls `replaced`
/// with the index and the value of each byte before.
fn apply(patches: &[Patch], start: u64, bytes: &mut [u8], mut replaced: impl FnMut(usize, u8)) {
    let end = start + bytes.len() as u64;
    let first = patches.partition_point(|patch| patch.end() <= start);
    for patch in patches[first..].iter().take_while(|patch| patch.addr < end) {
        for (address, &byte) in (patch.addr..).zip(patch.bytes()) {
            let at = address.checked_sub(start).map(to_usize);
            if let Some(at) = at
                && let Some(place) = bytes.get_mut(at)
            {
                replaced(at, mem::replace(place, byte));
            }
        }
    }
}
