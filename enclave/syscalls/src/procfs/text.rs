//! The texts of `/proc/self`: what the host says about its process, corrected by what is true of
//! the program inside.

use alloc::{format, string::String, vec, vec::Vec};

use enclave_core::fill_random;
use enclave_files::HostFd;
use enclave_hostcalls::Errno;
use enclave_signals::SigSet;
use enclave_threads::live_threads;

use super::content::stack_fields;
use crate::{
    process::process,
    signal::{self, find_thread},
    task,
};

const PAGE_KIB: u64 = 4;

/// Longest text that is read from the host.
const LIMIT: usize = 8192;

/// The host's text about its own process.
pub(crate) fn of_host(path: &[u8]) -> String {
    let mut bytes = vec![0; LIMIT];
    let read = HostFd::open(path, 0, 0).and_then(|file| file.read_at(0, &mut bytes));
    bytes.truncate(read.unwrap_or(0));
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(super) fn maps(_: u32) -> Vec<u8> {
    let mut out = Vec::new();
    process().space().write_maps(&mut out);
    out
}

fn name(thread: u32) -> Vec<u8> {
    find_thread(thread).map_or(Vec::new(), |thread| task::of(&thread).name())
}

pub(super) fn comm(thread: u32) -> Vec<u8> {
    let mut name = name(thread);
    name.push(b'\n');
    name
}

pub(super) fn set_comm(thread: u32, written: &[u8]) -> Result<(), Errno> {
    let thread = find_thread(thread).ok_or(Errno::ESRCH)?;
    task::of(&thread).set_name(written.strip_suffix(b"\n").unwrap_or(written));
    Ok(())
}

pub(super) fn statm(_: u32) -> Vec<u8> {
    let usage = process().space().usage();
    let (shared, data) = (usage.resident_shared, usage.data + usage.stack);
    format!("{} {} {shared} 0 0 {data} 0\n", usage.mapped, usage.resident).into_bytes()
}

/// Replaces lines of the host's `status` whose values differ inside.
pub(super) fn status(thread: u32) -> Vec<u8> {
    let usage = process().space().usage();
    let kib = |pages: u64| format!("{:>8} kB", pages * PAGE_KIB);
    let name = String::from_utf8_lossy(&name(thread)).into_owned();
    let set = |set: SigSet| format!("{:016x}", set.0);
    let signals = signal::standing(thread);
    let mine: [(&str, String); 21] = [
        ("Pid", format!("{thread}")),
        ("Name", name),
        ("State", String::from("R (running)")),
        ("FDSize", format!("{}", enclave_files::table().numbers().len().next_multiple_of(64))),
        ("VmPeak", kib(usage.peak_mapped)),
        ("VmSize", kib(usage.mapped)),
        ("VmHWM", kib(usage.peak_resident)),
        ("VmRSS", kib(usage.resident)),
        ("RssAnon", kib(usage.resident - usage.resident_shared)),
        ("RssFile", kib(usage.resident_shared)),
        ("RssShmem", kib(0)),
        ("VmData", kib(usage.data)),
        ("VmStk", kib(usage.stack)),
        ("Threads", format!("{}", live_threads())),
        ("TracerPid", String::from("0")),
        ("VmSwap", kib(0)),
        ("SigPnd", set(signals.pending)),
        ("ShdPnd", set(signals.shared)),
        ("SigBlk", set(signals.blocked)),
        ("SigIgn", set(signals.ignored)),
        ("SigCgt", set(signals.caught)),
    ];
    let mut out = String::new();
    for line in of_host(b"/proc/self/status").lines() {
        let key = line.split(':').next().unwrap_or_default();
        match mine.iter().find(|(known, _)| *known == key) {
            Some((_, value)) => out.push_str(&format!("{key}:\t{value}\n")),
            None => out.push_str(&format!("{line}\n")),
        }
    }
    out.into_bytes()
}

/// Replaces fields of the host's `stat` (numbered as in proc(5)) whose values differ inside.
pub(super) fn stat(thread: u32) -> Vec<u8> {
    let usage = process().space().usage();
    let host = of_host(b"/proc/self/stat");
    let after_name = host.rfind(')').map_or("", |end| host[end + 1..].trim());
    let [arg_start, arg_end, env_start, env_end] = stack_fields();
    // Real-time signals have no place in it.
    let low = |set: SigSet| set.0 & 0x7fff_ffff;
    let signals = signal::standing(thread);
    let mine = [
        (20, live_threads()),
        (23, usage.mapped * PAGE_KIB * 1024),
        (24, usage.resident),
        (26, 0),
        (27, 0),
        (28, arg_start),
        (31, low(signals.pending)),
        (32, low(signals.blocked)),
        (33, low(signals.ignored)),
        (34, low(signals.caught)),
        (45, 0),
        (46, 0),
        (47, 0),
        (48, arg_start),
        (49, arg_end),
        (50, env_start),
        (51, env_end),
    ];
    let name = String::from_utf8_lossy(&name(thread)).into_owned();
    let mut out = format!("{thread} ({name})");
    for (number, field) in (3..).zip(after_name.split(' ')) {
        match mine.iter().find(|(known, _)| *known == number) {
            Some((_, value)) => out.push_str(&format!(" {value}")),
            None => out.push_str(&format!(" {field}")),
        }
    }
    out.push('\n');
    out.into_bytes()
}

/// A random UUID, version 4.
pub(super) fn uuid(_: u32) -> Vec<u8> {
    let mut bytes = [0; 16];
    fill_random(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    format!("{}\n", parts.join("-")).into_bytes()
}
