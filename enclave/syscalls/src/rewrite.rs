//! System call sites of mapped code: to trampolines, before the code can run.

use alloc::vec::Vec;

use enclave_core::{AppSlice, Mutex};
use enclave_hostcalls::Errno;
use enclave_loader::PAGE_SIZE;
use enclave_mm::{PageRange, Prot, VmaKind};
use enclave_rewriter::{Area, Code, Origin, Stats, rewrite, scan};

use crate::{memory::errno, process::process};

/// How far a `jmp rel32` reaches, less the size of large programs.
const REACH: u64 = 0x7000_0000;

/// Where trampolines are looked for first, from the start of the code.
const DISTANCE: u64 = 0x3000_0000;

/// Counts of all sites so far.
pub(crate) static SITES: Mutex<Option<Stats>> = Mutex::new(None);

/// Rewrites the sites of a file's code, which is mapped readable and writable, not executable yet.
///
/// # Errors
///
/// `EFAULT` if the mapping vanished meanwhile. Whatever cannot be rewritten is left to trap.
pub(crate) fn rewrite_file(range: PageRange) -> Result<(), Errno> {
    let bytes = AppSlice::new(range.start(), range.len())?.to_vec()?;
    let code = Code { bytes: &bytes, addr: range.start(), origin: Origin::File };
    let sites = scan(&code);
    if sites.is_empty() {
        return Ok(());
    }
    let size = (sites.area_size() as u64).next_multiple_of(PAGE_SIZE);
    let Some(area) = take_area(range, size)? else { return Ok(()) };
    let (addr, room) = (area.start(), enclave_core::to_usize(size));
    let mut map = process().rewritten.lock();
    map.remove(range.start()..range.end());
    let out = rewrite(&code, &sites, Area { addr, size: room }, &map);
    let patches: Vec<_> = out.patches;
    map.add(out.moved);
    drop(map);
    SITES.lock().get_or_insert_default().add(&out.stats);
    AppSlice::new(addr, out.trampolines.len() as u64)?.write_bytes(&out.trampolines)?;
    process().space().protect_runtime(area, Prot::RX).map_err(errno)?;
    for patch in &patches {
        AppSlice::new(patch.addr, patch.bytes().len() as u64)?.write_bytes(patch.bytes())?;
    }
    Ok(())
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
