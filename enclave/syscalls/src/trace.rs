//! `--trace`: a line for each system call, in the manner of strace.

use alloc::{format, string::String, vec::Vec};
use core::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
};

use enclave_core::{AppPtr, AppSlice};
use enclave_hostcalls::{Call, Errno, Wait};
use enclave_threads::current;
use hostcall_abi::{shapes, syscalls};

use crate::stats;

/// Descriptor of the host to which lines are written.
static DESCRIPTOR: AtomicU64 = AtomicU64::new(u64::MAX);
/// Longest string that is shown.
const SHOWN: usize = 48;

/// Takes the descriptor, `u64::MAX` for no trace.
pub(crate) fn init(descriptor: u64) {
    DESCRIPTOR.store(descriptor, Ordering::Relaxed);
}

/// Whether calls are to be traced.
pub(crate) fn wanted() -> bool {
    DESCRIPTOR.load(Ordering::Relaxed) != u64::MAX
}

/// Describes a call before it is made: its strings may be gone afterwards.
pub(crate) fn describe(number: u64, args: [u64; 6]) -> String {
    let (name, _) = stats::describe(number);
    let mut out = format!("[{}] {name}(", current().tid());
    let shape = shapes::shape(number).unwrap_or("xxxxxx");
    for (index, (kind, value)) in shape.bytes().zip(args).enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        show(&mut out, kind, value, args.get(index + 1).copied().unwrap_or(0));
    }
    out.push(')');
    out
}

fn show(out: &mut String, kind: u8, value: u64, next: u64) {
    let at_fdcwd = value & 0xffff_ffff == 0xffff_ff9c;
    let _ = match kind {
        b's' => return show_string(out, value),
        b'b' => return show_bytes(out, value, next),
        b'D' if at_fdcwd => write!(out, "AT_FDCWD"),
        b'd' | b'D' | b'i' => write!(out, "{}", value.cast_signed()),
        b'u' => write!(out, "{value}"),
        b'o' => write!(out, "{value:#o}"),
        b'p' if value == 0 => write!(out, "NULL"),
        _ => write!(out, "{value:#x}"),
    };
}

fn show_string(out: &mut String, address: u64) {
    match AppPtr::<u8>::new(address).read_cstr(4096) {
        Ok(bytes) => quote(out, &bytes, bytes.len()),
        Err(_) => {
            let _ = write!(out, "{address:#x}");
        }
    }
}

fn show_bytes(out: &mut String, address: u64, len: u64) {
    let shown = len.min(SHOWN as u64);
    match AppSlice::new(address, shown).and_then(AppSlice::to_vec) {
        Ok(bytes) => quote(out, &bytes, usize::try_from(len).unwrap_or(usize::MAX)),
        Err(_) => {
            let _ = write!(out, "{address:#x}");
        }
    }
}

fn quote(out: &mut String, bytes: &[u8], len: usize) {
    out.push('"');
    for byte in &bytes[..bytes.len().min(SHOWN)] {
        let _ = write!(out, "{}", byte.escape_ascii());
    }
    out.push('"');
    if len > SHOWN {
        out.push_str("...");
    }
}

/// Writes the line of a call that has returned.
pub(crate) fn write(mut line: String, number: u64, result: Result<u64, Errno>, nanoseconds: u64) {
    let class = syscalls::find(number).map_or("unknown", |call| stats::class_name(call.class));
    let _ = match result {
        Ok(value) if value > 1 << 32 => write!(line, " = {value:#x}"),
        Ok(value) => write!(line, " = {value}"),
        Err(errno) => write!(line, " = -{}", errno.number()),
    };
    let us = nanoseconds / 1000;
    let _ = writeln!(line, " <{class} {us}.{:03} us>", nanoseconds % 1000);
    send(line.into_bytes());
}

fn send(line: Vec<u8>) {
    const WRITE: u64 = 1;
    if let Ok(mut call) = Call::new(WRITE, line.len() as u64) {
        let address = call.bytes(&line);
        // A trace that cannot be written must not change what the program does.
        let _ = call
            .args([DESCRIPTOR.load(Ordering::Relaxed), address, line.len() as u64])
            .run(Wait::No);
    }
}
