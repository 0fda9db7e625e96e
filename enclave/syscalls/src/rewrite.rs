//! System call sites of mapped code: to trampolines, before the code can run.
//!
//! What is to be written over code is decided when it is mapped, and belongs to the mapping, so that a
//! page that was dropped is read with it again. All of the code has to be read for that, part by part:
//! if it is not too long, the mapping is filled with each part at once; otherwise it is read again when
//! it is touched.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::mem;

use enclave_core::{AppSlice, Mutex, Once, pages::PageBuffer, to_usize};
use enclave_hostcalls::Errno;
use enclave_loader::PAGE_SIZE;
use enclave_mm::{Backing as MmBacking, MapRequest, PageRange, Prot, VmaKind};
use enclave_rewriter::{Area, Code, Parts, Patch, Sites, Stats, rewrite};

use crate::{
    memory::errno,
    pages::Supply,
    process::{Backing, Space, process},
};

/// How far a `jmp rel32` reaches, less the size of large programs.
const REACH: u64 = 0x7000_0000;

/// Where trampolines are looked for first, from the start of the code.
const DISTANCE: u64 = 0x3000_0000;

/// Code up to this long is read once.
const KEPT: u64 = 4 << 20;

/// Counts of all sites so far.
pub(crate) static SITES: Mutex<Option<Stats>> = Mutex::new(None);

/// Maps the code of `file` at `range`, as `request` says: system call sites are rewritten, and its
/// pages are there unless it is too long. Whatever cannot be rewritten is left to trap.
///
/// # Errors
///
/// As mmap(2), and as pread(2); then nothing is mapped at `range`.
pub(crate) fn map(
    request: MapRequest<Backing>,
    mut file: MmBacking<Backing>,
    range: PageRange,
) -> Result<u64, Errno> {
    // Nobody else comes to the pages before it is known what is written over them.
    let mut space = process().space();
    process().rewritten.lock().remove(range.start()..range.end());
    let patches = Arc::new(Once::new());
    file.file.patches = Some(Arc::clone(&patches));
    let plan = Plan { file: file.file.clone(), offset: request.offset, range };
    let request = MapRequest { file: Some(file), ..request };
    if range.len() > KEPT {
        patches.set(plan.make(&mut space)?);
        return space.mmap(request).map_err(errno);
    }
    space.pages_mut().supply(Some(Supply::default()));
    let mapped = space.mmap(request);
    let made = match mapped {
        Ok(_) => plan.make(&mut space),
        Err(_) => Ok(Box::default()),
    };
    space.pages_mut().supply(None);
    match made {
        Ok(made) => {
            patches.set(made);
            mapped.map_err(errno)
        }
        Err(error) => {
            space.munmap(range.start(), range.len()).map_err(errno)?;
            Err(error)
        }
    }
}

/// Code that is mapped.
struct Plan {
    file: Backing,
    offset: u64,
    range: PageRange,
}

impl Plan {
    /// Decides what is written over the sites, and lays out the trampolines. Fills the mapping, if the
    /// pages are to be supplied.
    fn make(&self, space: &mut Space) -> Result<Box<[Patch]>, Errno> {
        let len = match self.range.len() {
            len if len > KEPT => len.min(self.file.len()?.saturating_sub(self.offset)),
            len => len,
        };
        let buffer = space.pages_mut().take_buffer(len.min(Parts::<PageBuffer>::BUFFER as u64));
        let mut parts = Parts::new(self.range.start(), to_usize(len), buffer);
        let patches = self.make_parts(space, &mut parts);
        space.pages_mut().give_buffer(mem::take(parts.buffer_mut()));
        patches.map(Vec::into_boxed_slice)
    }

    fn make_parts(
        &self,
        space: &mut Space,
        parts: &mut Parts<PageBuffer>,
    ) -> Result<Vec<Patch>, Errno> {
        let mut patches = Vec::new();
        while let Some((code, sites)) =
            parts.next(|from, bytes| self.file.source.read_at(self.offset + from as u64, bytes))?
        {
            if !sites.is_empty() {
                plan_part(space, self.range, &code, &sites, &mut patches)?;
                patches.sort_by_key(|patch| patch.addr);
            }
            if self.range.len() <= KEPT {
                self.fill(space, parts, &patches);
            }
        }
        Ok(patches)
    }

    /// Fills the mapping with the pages of a part, if there is memory: a fault will tell else.
    fn fill(&self, space: &mut Space, parts: &mut Parts<PageBuffer>, patches: &[Patch]) {
        let (start, settled) = parts.take_settled();
        let from = self.range.start() + settled.start as u64;
        let Some(range) = PageRange::from_len(from, settled.len() as u64) else { return };
        let place = settled.start - start..settled.end - start;
        let first = place.start as u64 / PAGE_SIZE;
        let mut buffer = mem::take(parts.buffer_mut());
        // Later parts are looked at as they are in the file.
        let mut before = Vec::new();
        if let Some(bytes) = buffer.as_mut().get_mut(place.clone()) {
            apply(patches, from, bytes, |at, byte| before.push((at, byte)));
        }
        let supply = Supply { buffer, first, range: Some(range) };
        space.pages_mut().supply(Some(supply));
        let _ = space.populate(range);
        let supply = space.pages_mut().supply(Some(Supply::default()));
        buffer = supply.map(|supply| supply.buffer).unwrap_or_default();
        let bytes = buffer.as_mut().get_mut(place).unwrap_or_default();
        for (at, byte) in before {
            bytes[at] = byte;
        }
        *parts.buffer_mut() = buffer;
    }
}

/// Adds what is to be written over some sites of the code at `range` to `patches`.
fn plan_part(
    space: &mut Space,
    range: PageRange,
    code: &Code<'_>,
    sites: &Sites,
    patches: &mut Vec<Patch>,
) -> Result<(), Errno> {
    let size = (sites.area_size() as u64).next_multiple_of(PAGE_SIZE);
    let Some(area) = take_area(space, range, size)? else { return Ok(()) };
    let (addr, room) = (area.start(), to_usize(size));
    let mut map = process().rewritten.lock();
    let out = rewrite(code, sites, Area { addr, size: room }, &map);
    map.add(out.moved);
    drop(map);
    SITES.lock().get_or_insert_default().add(&out.stats);
    let place = AppSlice::new(addr, out.trampolines.len() as u64)?;
    place.write_present(0, &out.trampolines).map_err(|_| Errno::EFAULT)?;
    space.protect_runtime(area, Prot::RX).map_err(errno)?;
    patches.extend(out.patches);
    Ok(())
}

/// Writes the parts of `patches` that lie in `bytes`, which will be seen from `start` on; calls `replaced`
/// with the index and the value of each byte before.
pub(crate) fn apply(
    patches: &[Patch],
    start: u64,
    bytes: &mut [u8],
    mut replaced: impl FnMut(usize, u8),
) {
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

/// Takes writable memory for trampolines near `range`, if there is any.
fn take_area(space: &mut Space, range: PageRange, size: u64) -> Result<Option<PageRange>, Errno> {
    // Away from the image and from what may grow behind it, if there is room.
    let far = space.find_free_near(range.start() + DISTANCE, size, REACH - DISTANCE);
    let Some(addr) = far.or_else(|| space.find_free_near(range.start(), size, REACH)) else {
        return Ok(None);
    };
    let area = PageRange::from_len(addr, size).ok_or(Errno::ENOMEM)?;
    space.map_runtime(area, Prot::RW, VmaKind::Special("trampolines")).map_err(errno)?;
    Ok(Some(area))
}
