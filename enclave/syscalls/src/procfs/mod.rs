//! Paths that mean something else inside than on the host: `/proc/self` and some of `/dev`.
//!
//! What describes the process is made inside; the process of the host, with its memory and its
//! descriptors, is never shown. What describes the machine (`/proc/cpuinfo`, `/proc/meminfo`,
//! `/proc/sys`, ...) is the host's claim.

mod content;
mod node;
mod smaps;
mod text;

use alloc::{format, vec::Vec};

use enclave_core::Mutex;
use enclave_files::{Device, DirEntry, kind, table};
use enclave_hostcalls::Errno;
use enclave_threads::current;

pub(crate) use content::note_stack;
pub(crate) use node::Node;
pub(crate) use text::of_host;

use crate::{ephemeral, process::process, signal};

/// What a path turned out to be.
pub(crate) enum Found {
    /// Another path on the host.
    Host(Vec<u8>),
    /// Something inside.
    Inside(Node),
    /// What it says, on the host.
    Same,
}

/// The current directory, if names in it may mean something else than on the host.
static DIRECTORY: Mutex<Option<Vec<u8>>> = Mutex::new(None);

/// The base of relative paths, if they have to be looked at.
pub(crate) fn current_directory() -> Option<Vec<u8>> {
    DIRECTORY.lock().clone()
}

/// Notes that the current directory is now what `path` was before; relative paths in an ordinary
/// directory lead to ordinary directories.
pub(crate) fn changed_directory(path: &[u8]) {
    let special = may_be_special(path) || !path.starts_with(b"/") && DIRECTORY.lock().is_some();
    let now = if special { crate::dir::current().ok() } else { None };
    *DIRECTORY.lock() = now.filter(|path| may_be_special(path));
}

/// Whether a path is that of this process's directory.
pub(crate) fn is_own(path: &[u8]) -> bool {
    path.strip_prefix(b"/proc/").is_some_and(names_own)
}

/// Whether that directory is called so in `/proc`.
fn names_own(name: &[u8]) -> bool {
    name == b"self" || name == format!("{}", process().pid).as_bytes()
}

/// The thread whose directory is called so in `/proc`, where it is not listed.
fn thread_named(name: &[u8]) -> Option<u32> {
    let thread = u32::try_from(parse(name).ok()?).ok()?;
    signal::find_thread(thread).map(|_| thread)
}

/// Whether an absolute path has to be looked at.
pub(crate) fn may_be_special(path: &[u8]) -> bool {
    let Some(path) = path.strip_prefix(b"/") else { return false };
    let slashes = path.iter().take_while(|&&byte| byte == b'/').count();
    let path = &path[slashes..];
    path.starts_with(b"proc") || path.starts_with(b"dev") || path.starts_with(b".")
}

/// Entries of `/proc/self` that are the host's: they describe what the process shares with it.
const OF_HOST: &[&str] = &[
    "attr",
    "cgroup",
    "coredump_filter",
    "cpuset",
    "cwd",
    "gid_map",
    "io",
    "limits",
    "loginuid",
    "mountinfo",
    "mounts",
    "mountstats",
    "net",
    "ns",
    "oom_adj",
    "oom_score",
    "oom_score_adj",
    "personality",
    "projid_map",
    "root",
    "sched",
    "schedstat",
    "sessionid",
    "setgroups",
    "timerslack_ns",
    "uid_map",
];

/// Finds out what a path without `.` and `..` is.
///
/// # Errors
///
/// `ENOENT`, `ENOTDIR`.
pub(crate) fn find(path: &[u8], follow: bool) -> Result<Found, Errno> {
    if let Some(device) = Device::find(path) {
        return Ok(Found::Inside(Node::Device(device)));
    }
    match path {
        b"/dev/stdin" => return descriptor(b"0", &[]),
        b"/dev/stdout" => return descriptor(b"1", &[]),
        b"/dev/stderr" => return descriptor(b"2", &[]),
        b"/proc/sys/kernel/random/uuid" => {
            return Ok(Found::Inside(Node::text(path, 0, text::uuid)));
        }
        b"/proc/thread-self" if !follow => {
            let target = format!("{}/task/{}", process().pid, current().tid());
            return Ok(Found::Inside(Node::link(path, target.into_bytes())));
        }
        _ => {}
    }
    let parts: Vec<&[u8]> = path.split(|&byte| byte == b'/').skip(1).collect();
    let pid = process().pid;
    match *parts.as_slice() {
        [b"dev", b"fd"] if follow => in_process(path, pid, &[b"fd"], follow),
        [b"dev", b"fd", ref rest @ ..] if !rest.is_empty() => {
            in_process(path, pid, &[&[b"fd".as_slice()], rest].concat(), follow)
        }
        // The link itself is the host's: it names the process.
        [b"proc", b"self"] if !follow => Ok(Found::Same),
        [b"proc", who, ref rest @ ..] if names_own(who) => in_process(path, pid, rest, follow),
        [b"proc", b"thread-self", ref rest @ ..] => in_process(path, current().tid(), rest, follow),
        [b"proc", who, ref rest @ ..] => match thread_named(who) {
            Some(thread) => in_process(path, thread, rest, follow),
            None => Ok(Found::Same),
        },
        _ => Ok(Found::Same),
    }
}

/// What `rest` is below `/proc/self`, or below the directory of one of the threads.
fn in_process(path: &[u8], thread: u32, rest: &[&[u8]], follow: bool) -> Result<Found, Errno> {
    match *rest {
        [] => Ok(Found::Inside(Node::directory(path, names_of_process))),
        [b"task"] => Ok(Found::Inside(Node::directory(path, threads))),
        [b"task", number, ref rest @ ..] => {
            let number = u32::try_from(parse(number)?).map_err(|_| Errno::ENOENT)?;
            signal::find_thread(number).ok_or(Errno::ENOENT)?;
            in_process(path, number, rest, follow)
        }
        [b"fd"] => Ok(Found::Inside(Node::directory(path, descriptors))),
        [b"fd", number, ref rest @ ..] => descriptor(number, rest),
        [b"fdinfo"] => Ok(Found::Inside(Node::directory(path, descriptors))),
        [b"fdinfo", number] => descriptor_info(path, number),
        [b"exe"] => {
            let program = process().executable.lock().clone();
            Ok(if follow { Found::Host(program) } else { Found::Inside(Node::link(path, program)) })
        }
        [b"cwd"] if ephemeral::of_cwd().is_some() => {
            let directory = crate::dir::current()?;
            Ok(match follow {
                true => Found::Host(directory),
                false => Found::Inside(Node::link(path, directory)),
            })
        }
        [name] if content::find(name).is_some() => content::find(name)
            .map(|file| Found::Inside(file.node(path, thread)))
            .ok_or(Errno::ENOENT),
        [name, ..] if OF_HOST.iter().any(|known| known.as_bytes() == name) => {
            let rest: Vec<u8> = rest.iter().flat_map(|part| [b"/", *part].concat()).collect();
            Ok(Found::Host([b"/proc/self".as_slice(), &rest].concat()))
        }
        _ => Err(Errno::ENOENT),
    }
}

/// What a descriptor of the program is called on the host; or the object itself.
fn descriptor(number: &[u8], rest: &[&[u8]]) -> Result<Found, Errno> {
    let file = table().get(parse(number)?).map_err(|_| Errno::ENOENT)?;
    let Some(host) = file.host() else {
        return if rest.is_empty() {
            Ok(Found::Inside(Node::Descriptor(file)))
        } else {
            Err(Errno::ENOTDIR)
        };
    };
    let mut target = format!("/proc/self/fd/{}", host.number()).into_bytes();
    for part in rest {
        target.push(b'/');
        target.extend_from_slice(part);
    }
    Ok(Found::Host(target))
}

fn descriptor_info(path: &[u8], number: &[u8]) -> Result<Found, Errno> {
    let file = table().get(parse(number)?).map_err(|_| Errno::ENOENT)?;
    match file.host() {
        Some(host) => Ok(Found::Host(format!("/proc/self/fdinfo/{}", host.number()).into_bytes())),
        None => Ok(Found::Inside(Node::info(path, &file))),
    }
}

/// A number in decimal.
fn parse(number: &[u8]) -> Result<u64, Errno> {
    core::str::from_utf8(number).ok().and_then(|text| text.parse().ok()).ok_or(Errno::ENOENT)
}

fn entry(name: &str, kind: u32) -> DirEntry {
    let ino = name.bytes().fold(0x1000, |hash: u64, byte| hash * 31 % (1 << 40) + u64::from(byte));
    DirEntry { ino, kind, name: name.as_bytes().to_vec() }
}

fn names_of_process() -> Vec<DirEntry> {
    const LINKS: &[&str] = &["cwd", "root"];
    const DIRECTORIES: &[&str] = &["attr", "net", "ns"];
    let kind_of = |name: &&str| {
        if LINKS.contains(name) {
            kind::LINK
        } else if DIRECTORIES.contains(name) {
            kind::DIRECTORY
        } else {
            kind::REGULAR
        }
    };
    let host = OF_HOST.iter().map(|name| entry(name, kind_of(name)));
    let inside = content::FILES.iter().map(|file| entry(file.name, kind::REGULAR));
    let directories = ["fd", "fdinfo", "task"].iter().map(|name| entry(name, kind::DIRECTORY));
    let link = core::iter::once(entry("exe", kind::LINK));
    host.chain(inside).chain(directories).chain(link).collect()
}

fn descriptors() -> Vec<DirEntry> {
    table().numbers().iter().map(|fd| entry(&format!("{fd}"), kind::LINK)).collect()
}

fn threads() -> Vec<DirEntry> {
    let threads = signal::threads();
    threads.iter().map(|thread| entry(&format!("{}", thread.tid()), kind::DIRECTORY)).collect()
}
