//! The texts of `/proc/self`: what the host says about its process, corrected by what is true of
//! the program inside.

use alloc::{collections::BTreeMap, format, string::String, vec, vec::Vec};

use enclave_core::{Mutex, fill_random};
use enclave_files::HostFd;
use enclave_hostcalls::Errno;
use enclave_threads::live_threads;

use super::content::stack_fields;
use crate::process::process;

const PAGE_KIB: u64 = 4;

/// Longest text that is read from the host.
const LIMIT: usize = 8192;

/// The host's text about its own process.
fn of_host(path: &[u8]) -> String {
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

/// Longest name of a thread in bytes.
const NAME_MAX: usize = 15;

/// Names that threads were given.
static NAMES: Mutex<BTreeMap<u32, Vec<u8>>> = Mutex::new(BTreeMap::new());

/// Name of a thread (`PR_GET_NAME`), which at first is that of the program: at most 15 bytes.
pub(crate) fn name(thread: u32) -> Vec<u8> {
    if let Some(name) = NAMES.lock().get(&thread) {
        return name.clone();
    }
    let path = process().executable.lock().clone();
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    name[..name.len().min(NAME_MAX)].to_vec()
}

/// Names a thread (`PR_SET_NAME`); a name ends at a NUL or after 15 bytes.
pub(crate) fn set_name(thread: u32, name: &[u8]) {
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len()).min(NAME_MAX);
    NAMES.lock().insert(thread, name[..end].to_vec());
}

pub(super) fn comm(thread: u32) -> Vec<u8> {
    let mut name = name(thread);
    name.push(b'\n');
    name
}

pub(super) fn set_comm(thread: u32, written: &[u8]) -> Result<(), Errno> {
    set_name(thread, written.strip_suffix(b"\n").unwrap_or(written));
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
    let mine: [(&str, String); 16] = [
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
    let mine = [
        (20, live_threads()),
        (23, usage.mapped * PAGE_KIB * 1024),
        (24, usage.resident),
        (26, 0),
        (27, 0),
        (28, arg_start),
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
