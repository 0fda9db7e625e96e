//! System call sites of mapped code: to trampolines, before the code can run.
//!
//! What is to be written over code is decided when it is mapped, and belongs to the mapping, so that a
//! page that was dropped is read with it again. All of the code has to be read for that: if it is not
//! too long, it is kept until the mapping is filled with it; otherwise it is read again when it is
//! touched.

use alloc::{sync::Arc, vec::Vec};

use enclave_core::{AppSlice, Mutex, pages::PageBuffer, to_usize};
use enclave_hostcalls::Errno;
use enclave_loader::PAGE_SIZE;
use enclave_mm::{PageRange, Prot, VmaKind};
use enclave_rewriter::{Area, Code, Origin, Parts, Patch, Sites, Stats, rewrite, scan};

use crate::{
    memory::errno,
    process::{Backing, CodeRead, process},
};

/// How far a `jmp rel32` reaches, less the size of large programs.
const REACH: u64 = 0x7000_0000;

/// Where trampolines are looked for first, from the start of the code.
const DISTANCE: u64 = 0x3000_0000;

/// Code up to this long is read once.
const KEPT: u64 = 4 << 20;

/// How much of it is read at a time.
const PIECE: usize = 128 << 10;

/// Counts of all sites so far.
pub(crate) static SITES: Mutex<Option<Stats>> = Mutex::new(None);

/// What is written over code: by rising address, without overlaps.
type Patches = Option<Arc<[Patch]>>;

/// Decides what is written over the sites of a file's code that will be mapped at `range`, and
/// lays out the trampolines. Returns the code as well, unless it is too long.
///
/// # Errors
///
/// As pread(2). Whatever cannot be rewritten is left to trap.
pub(crate) fn plan(
    file: &Backing,
    offset: u64,
    range: PageRange,
) -> Result<(Patches, Option<Arc<CodeRead>>), Errno> {
    process().rewritten.lock().remove(range.start()..range.end());
    if range.len() > KEPT {
        return Ok((plan_parts(file, offset, range)?, None));
    }
    let mut buffer = PageBuffer::new(range.len());
    let count = read_code(file, offset, buffer.bytes_mut())?;
    let bytes = buffer.bytes_mut().get(..count).unwrap_or_default();
    let code = Code { bytes, addr: range.start(), origin: Origin::File };
    let sites = scan(&code);
    let mut patches = Vec::new();
    if !sites.is_empty() {
        plan_part(range, &code, &sites, &mut patches)?;
    }
    let patches = sorted(patches);
    if let Some(patches) = &patches {
        apply(patches, range.start(), buffer.bytes_mut());
    }
    let len = (count as u64).next_multiple_of(PAGE_SIZE);
    Ok((patches, Some(Arc::new(CodeRead { range, offset, len, buffer }))))
}

/// Reads by pieces, which stay in the processor's cache on their way. Returns the bytes read.
fn read_code(file: &Backing, offset: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
    let mut done = 0;
    for piece in bytes.chunks_mut(PIECE) {
        let count = file.source.read_at(offset + done as u64, piece)?;
        done += count;
        if count < piece.len() {
            break;
        }
    }
    Ok(done)
}

/// The same for code that is too long to be kept.
fn plan_parts(file: &Backing, offset: u64, range: PageRange) -> Result<Patches, Errno> {
    let len = range.len().min(file.len()?.saturating_sub(offset));
    let mut parts = Parts::new(range.start(), to_usize(len));
    let mut patches = Vec::new();
    while let Some((code, sites)) =
        parts.next(|from, bytes| file.source.read_at(offset + from as u64, bytes))?
    {
        if !sites.is_empty() {
            plan_part(range, &code, &sites, &mut patches)?;
        }
    }
    Ok(sorted(patches))
}

fn sorted(mut patches: Vec<Patch>) -> Patches {
    patches.sort_unstable_by_key(|patch| patch.addr);
    (!patches.is_empty()).then(|| patches.into())
}

/// Adds what is to be written over some sites of the code at `range` to `patches`.
fn plan_part(
    range: PageRange,
    code: &Code<'_>,
    sites: &Sites,
    patches: &mut Vec<Patch>,
) -> Result<(), Errno> {
    let size = (sites.area_size() as u64).next_multiple_of(PAGE_SIZE);
    let Some(area) = take_area(range, size)? else { return Ok(()) };
    let (addr, room) = (area.start(), to_usize(size));
    let mut map = process().rewritten.lock();
    let out = rewrite(code, sites, Area { addr, size: room }, &map);
    map.add(out.moved);
    drop(map);
    SITES.lock().get_or_insert_default().add(&out.stats);
    AppSlice::new(addr, out.trampolines.len() as u64)?.write_bytes(&out.trampolines)?;
    process().space().protect_runtime(area, Prot::RX).map_err(errno)?;
    patches.extend(out.patches);
    Ok(())
}

/// Writes the parts of `patches` that lie in `bytes`, which will be seen from `start` on.
pub(crate) fn apply(patches: &[Patch], start: u64, bytes: &mut [u8]) {
    let end = start + bytes.len() as u64;
    let first = patches.partition_point(|patch| patch.end() <= start);
    for patch in patches[first..].iter().take_while(|patch| patch.addr < end) {
        for (address, &byte) in (patch.addr..).zip(patch.bytes()) {
            let at = address.checked_sub(start).map(to_usize);
            if let Some(place) = at.and_then(|at| bytes.get_mut(at)) {
                *place = byte;
            }
        }
    }
}

/// Takes writable memory for trampolines near `range`, if there is any.
fn take_area(range: PageRange, size: u64) -> Result<Option<PageRange>, Errno> {
    let mut space = process().space();
    // Away from the image and from what may grow behind it, if there is room.
    let far = space.find_free_near(range.start() + DISTANCE, size, REACH - DISTANCE);
    let Some(addr) = far.or_else(|| space.find_free_near(range.start(), size, REACH)) else {
        return Ok(None);
    };
    let area = PageRange::from_len(addr, size).ok_or(Errno::ENOMEM)?;
    space.map_runtime(area, Prot::RW, VmaKind::Special("trampolines")).map_err(errno)?;
    Ok(Some(area))
}
