//! stat(2) and its family.

use enclave_core::{AppPtr, AppSlice};
use enclave_files::Stat;
use enclave_hostcalls::Errno;
use zerocopy::{Immutable, IntoBytes};

use crate::{
    Sys,
    args::{
        self,
        Arg::{Int, Out, Str},
        forward_zero, int, uint,
    },
    ephemeral::{self, Spot},
    nr,
    path::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, Place, place, place_of},
};

const STAT_SIZE: u64 = size_of::<Stat>() as u64;
const STATX_SIZE: u64 = size_of::<Statx>() as u64;
const AT_NO_AUTOMOUNT: u64 = 0x800;
const AT_STATX_SYNC_TYPE: u64 = 0x6000;

fn of_place(place: &Place, out: u64, flags: u64) -> Result<u64, Errno> {
    match place {
        Place::Host(at) => {
            let out = Out(AppSlice::new(out, STAT_SIZE)?);
            forward_zero(nr::NEWFSTATAT, [Int(at.directory), Str(&at.path), out, Int(flags)])
        }
        Place::Inside(node) => give(&node.stat()?, out),
        Place::Memory(spot) => give(&spot.stat()?, out),
    }
}

fn give(stat: &Stat, out: u64) -> Result<u64, Errno> {
    AppPtr::new(out).write(stat)?;
    Ok(0)
}

pub(crate) fn stat(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    of_place(&place(AT_FDCWD, sys.args[0], true)?, sys.args[1], 0)
}

pub(crate) fn lstat(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    of_place(&place(AT_FDCWD, sys.args[0], false)?, sys.args[1], AT_SYMLINK_NOFOLLOW)
}

pub(crate) fn fstat(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    give(&args::file(sys.args[0])?.stat()?, sys.args[1])
}

/// Whether a call means the directory descriptor itself; a null path does since Linux 6.11.
fn means_file(directory: u64, path: u64, flags: u64) -> Result<bool, Errno> {
    if flags & AT_EMPTY_PATH == 0 || int(directory) == int(AT_FDCWD) {
        return Ok(false);
    }
    if path == 0 {
        return Ok(true);
    }
    // One byte tells; most calls of this kind are fstat(3).
    Ok(AppPtr::<u8>::new(path).read()? == 0)
}

pub(crate) fn newfstatat(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [directory, path, out, flags, ..] = sys.args;
    if uint(flags) & !(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0 {
        return Err(Errno::EINVAL);
    }
    if means_file(directory, path, flags)? {
        return give(&args::file(directory)?.stat()?, out);
    }
    let path = args::path(path)?;
    if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        if let Some(held) = ephemeral::of_cwd() {
            return give(&Spot::of_node(&held).stat()?, out);
        }
        let out = Out(AppSlice::new(out, STAT_SIZE)?);
        return forward_zero(nr::NEWFSTATAT, [Int(AT_FDCWD), Str(b""), out, Int(flags)]);
    }
    of_place(&place_of(directory, path, flags & AT_SYMLINK_NOFOLLOW == 0)?, out, uint(flags))
}

/// `struct statx_timestamp`.
#[derive(Clone, Copy, Default, IntoBytes, Immutable)]
#[repr(C)]
struct Timestamp {
    seconds: u64,
    nanoseconds: u32,
    zero: u32,
}

/// `struct statx`.
#[derive(Clone, Copy, IntoBytes, Immutable)]
#[repr(C)]
struct Statx {
    mask: u32,
    block_size: u32,
    attributes: u64,
    links: u32,
    user: u32,
    group: u32,
    mode: u16,
    zero: u16,
    inode: u64,
    size: u64,
    blocks: u64,
    attributes_mask: u64,
    /// Access, birth, change, modification.
    times: [Timestamp; 4],
    device: [u32; 2],
    held_by: [u32; 2],
    rest: [u64; 14],
}

const _: () = assert!(size_of::<Statx>() == 256);

fn low(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or(0)
}

fn device(number: u64) -> [u32; 2] {
    let major = number >> 8 & 0xfff | number >> 32 & 0xffff_f000;
    [low(major), low(number & 0xff | number >> 12 & 0xf_ff00)]
}

/// `struct statx` of an object without a descriptor of the host.
fn statx_of(stat: &Stat) -> Statx {
    const BASIC: u32 = 0x7ff;
    let time = |time: [u64; 2]| Timestamp { seconds: time[0], nanoseconds: low(time[1]), zero: 0 };
    Statx {
        mask: BASIC,
        block_size: low(stat.blksize),
        attributes: 0,
        links: low(stat.nlink),
        user: stat.uid,
        group: stat.gid,
        mode: u16::try_from(stat.mode).unwrap_or(0),
        zero: 0,
        inode: stat.ino,
        size: stat.size,
        blocks: stat.blocks,
        attributes_mask: 0,
        times: [time(stat.atime), Timestamp::default(), time(stat.ctime), time(stat.mtime)],
        device: device(stat.rdev),
        held_by: device(stat.dev),
        rest: [0; 14],
    }
}

pub(crate) fn statx(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [directory, path, flags, mask, out, _] = sys.args;
    let known = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE;
    const RESERVED: u64 = 1 << 31;
    if uint(flags) & !known != 0 || mask & RESERVED != 0 {
        return Err(Errno::EINVAL);
    }
    let slice = Out(AppSlice::new(out, STATX_SIZE)?);
    let (flags, mask) = (Int(uint(flags)), Int(uint(mask)));
    if means_file(directory, path, sys.args[2])? {
        let file = args::file(directory)?;
        let Some(host) = file.host() else { return give_statx(&file.stat()?, out) };
        return forward_zero(nr::STATX, [Int(host.number()), Str(b""), flags, mask, slice]);
    }
    let path = args::path(path)?;
    if path.is_empty() && sys.args[2] & AT_EMPTY_PATH != 0 {
        if let Some(held) = ephemeral::of_cwd() {
            return give_statx(&Spot::of_node(&held).stat()?, out);
        }
        return forward_zero(nr::STATX, [Int(AT_FDCWD), Str(b""), flags, mask, slice]);
    }
    match place_of(directory, path, sys.args[2] & AT_SYMLINK_NOFOLLOW == 0)? {
        Place::Host(at) => {
            forward_zero(nr::STATX, [Int(at.directory), Str(&at.path), flags, mask, slice])
        }
        Place::Inside(node) => give_statx(&node.stat()?, out),
        Place::Memory(spot) => give_statx(&spot.stat()?, out),
    }
}

fn give_statx(stat: &Stat, out: u64) -> Result<u64, Errno> {
    AppSlice::new(out, STATX_SIZE)?.write_bytes(statx_of(stat).as_bytes())?;
    Ok(0)
}
