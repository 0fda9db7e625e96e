//! The machine and the process as a whole: uname, sysinfo, getrandom, resource use, membarrier.

use core::sync::atomic::{AtomicU64, Ordering};

use enclave_core::{AppPtr, AppSlice, HostSlice, fill_random};
use enclave_hostcalls::{Call, Errno, Wait, misbehaved};

use crate::{
    Sys,
    args::{
        self,
        Arg::{Int, Out},
        forward, forward_zero, int, optional, uint,
    },
    ids,
    signal::interrupted,
};

/// Fills memory of the program with what a call of the same number says on the host.
fn claim(sys: &Sys<'_>, address: u64, size: u64) -> Result<u64, Errno> {
    forward_zero(sys.regs.orig_rax, [Out(AppSlice::new(address, size)?)])
}

pub(crate) fn uname(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    /// Bytes of a field: a string with its NUL.
    const FIELD: usize = 65;
    const FIELDS: usize = 6;
    let mut names = [0; FIELDS * FIELD];
    let target = AppSlice::new(sys.args[0], names.len() as u64)?;
    let mut call = Call::new(sys.regs.orig_rax, target.len())?;
    let buffer = call.room(target.len());
    call.args([buffer.address()]).zero(Wait::No)?;
    buffer.read_bytes(&mut names);
    if !names.chunks(FIELD).all(|field| field.contains(&0)) {
        misbehaved("the host misbehaved: a name without an end");
    }
    target.write_bytes(&names)?;
    Ok(0)
}

pub(crate) fn sysinfo(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    claim(sys, sys.args[0], 112)
}

pub(crate) fn getrandom(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const NONBLOCK: u64 = 1;
    const RANDOM: u64 = 2;
    const INSECURE: u64 = 4;
    const MAX: u64 = i32::MAX.unsigned_abs() as u64;
    const PAGE: u64 = 4096;
    let [address, len, flags, ..] = sys.args;
    let flags = uint(flags);
    let both = RANDOM | INSECURE;
    if flags & !(NONBLOCK | both) != 0 || flags & both == both {
        return Err(Errno::EINVAL);
    }
    let buffer = AppSlice::new(address, len.min(MAX))?;
    let mut bytes = [0; 256];
    let mut done = 0;
    while done < buffer.len() {
        let part = buffer.part(done, (buffer.len() - done).min(bytes.len() as u64));
        let piece = &mut bytes[..enclave_core::to_usize(part.len())];
        fill_random(piece);
        match part.write_bytes(piece) {
            Err(_) if done > 0 => break,
            written => written?,
        }
        done += part.len();
        // As Linux, which looks after each page.
        if done.is_multiple_of(PAGE) && interrupted() {
            break;
        }
    }
    Ok(done)
}

pub(crate) fn getrusage(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let out = Out(AppSlice::new(sys.args[1], 144)?);
    forward_zero(sys.regs.orig_rax, [Int(sys.args[0]), out])
}

pub(crate) fn times(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    match optional(sys.args[0], 32)? {
        Some(out) => forward(sys.regs.orig_rax, Wait::No, [Out(out)]),
        None => forward(sys.regs.orig_rax, Wait::No, [Int(0)]),
    }
}

/// The processor and the node are indices of tables that programs have: no Linux has more than so many.
pub(crate) fn getcpu(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const MOST: [u32; 2] = [8192, 1024];
    let mut call = Call::new(sys.regs.orig_rax, 16)?;
    let words = [call.room(8), call.room(8)];
    call.args(words.map(HostSlice::address)).zero(Wait::No)?;
    for ((word, most), pointer) in words.into_iter().zip(MOST).zip(sys.args) {
        let number = u32::try_from(word.word(0).read() & 0xffff_ffff).unwrap_or(u32::MAX);
        if number >= most {
            misbehaved("the host misbehaved: a processor that cannot be");
        }
        if pointer != 0 {
            AppPtr::new(pointer).write(&number)?;
        }
    }
    Ok(0)
}

/// The threads of the enclave are threads of the host's process: its barriers reach them all.
pub(crate) fn membarrier(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [command, flags, cpu, ..] = sys.args;
    let args = [Int(uint(command)), Int(uint(flags)), Int(uint(cpu))];
    args::at_most(forward(sys.regs.orig_rax, Wait::No, args)?, i32::MAX.unsigned_abs().into())
}

/// Only what the program sees of it: nothing here depends on the personality.
static PERSONALITY: AtomicU64 = AtomicU64::new(0);

pub(crate) fn personality(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const QUERY: u64 = 0xffff_ffff;
    const DOMAIN: u64 = 0xff;
    let wanted = uint(sys.args[0]);
    if wanted == QUERY {
        return Ok(PERSONALITY.load(Ordering::Relaxed));
    }
    if wanted & DOMAIN != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(PERSONALITY.swap(wanted, Ordering::Relaxed))
}

pub(crate) fn ioprio_get(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const PROCESS: u64 = 1;
    let [which, who, ..] = sys.args;
    let is_thread = uint(which) == PROCESS && uint(who) != 0;
    let who = if is_thread { ids::process_id(who) } else { who };
    let args = [Int(which), Int(who)];
    args::at_most(forward(sys.regs.orig_rax, Wait::No, args)?, 0xffff)
}

/// There are no children yet that could be waited for.
pub(crate) fn wait4(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const KNOWN: i32 = 0x6000_000b_u32.cast_signed();
    const ANY: i32 = KNOWN | 0x8000_0000_u32.cast_signed();
    if int(sys.args[2]) & !ANY != 0 { Err(Errno::EINVAL) } else { Err(Errno::ECHILD) }
}

pub(crate) fn waitid(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const EVENTS: i32 = 0x0000_000e;
    let options = int(sys.args[3]);
    let known = options & 0x00ff_fff0 == options & 0x0100_0000;
    if options & EVENTS == 0 || uint(sys.args[0]) > 3 || !known {
        return Err(Errno::EINVAL);
    }
    Err(Errno::ECHILD)
}
