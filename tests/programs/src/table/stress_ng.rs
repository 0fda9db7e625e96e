//! Stressors of Debian's stress-ng with `--verify`, each run inside one process.
//!
//! stress-ng always makes its workers by fork, and has no option against it. A small preloaded
//! object (`sources/c/nofork.c`) lets the first process become the worker, so that the unmodified
//! binary runs one stressor and exits with that worker's verdict. Listed are the stressors that
//! pass natively in this way. Those that wait for, signal or talk to a child of their own wait for
//! children in the enclave: alarm, bad-altstack, munmap, opcode, pipe, poll, session, shm,
//! shm-sysv, sigabrt, sock, sockfd, sockmany, switch, sysbadaddr, tee, udp, vm-segv.

use crate::case::{Case, Tool, case};
use crate::process::Output;

/// Stressors by class.
const STRESSORS: &[(&str, &[&str])] = &[
    (
        "cpu",
        &[
            "atomic",
            "branch",
            "bsearch",
            "context",
            "cpu",
            "crypt",
            "fp",
            "fp-error",
            "funccall",
            "funcret",
            "getrandom",
            "goto",
            "hash",
            "heapsort",
            "hsearch",
            "jpeg",
            "judy",
            "list",
            "longjmp",
            "lsearch",
            "matrix",
            "matrix-3d",
            "mergesort",
            "nop",
            "numa",
            "pkey",
            "prefetch",
            "priv-instr",
            "qsort",
            "radixsort",
            "regs",
            "rotate",
            "secretmem",
            "shellsort",
            "skiplist",
            "sparsematrix",
            "str",
            "stream",
            "syncload",
            "tree",
            "tsearch",
            "vecfp",
            "vecmath",
            "vecshuf",
            "vecwide",
            "waitcpu",
            "wcs",
            "x86cpuid",
        ],
    ),
    (
        "memory",
        &[
            "malloc",
            "mcontend",
            "membarrier",
            "memcpy",
            "memfd",
            "memrate",
            "memthrash",
            "mincore",
            "misaligned",
            "null",
            "pipeherd",
            "randlist",
            "remap",
            "stack",
            "tlb-shootdown",
            "vm",
            "vm-addr",
            "vm-rw",
            "zero",
        ],
    ),
    (
        "vm",
        &[
            "brk",
            "dev-shm",
            "env",
            "madvise",
            "mlock",
            "mmap",
            "mmapaddr",
            "mmapfixed",
            "mmaphuge",
            "mmapmany",
            "mprotect",
            "mremap",
            "msync",
            "msyncmany",
            "pagemove",
            "pageswap",
            "vm-splice",
        ],
    ),
    ("pthread", &["affinity", "futex", "mutex", "pthread", "sem", "sem-sysv", "yield"]),
    ("io", &["aio", "aiol", "hdd", "io-uring", "readahead", "revio", "seek", "sync-file"]),
    ("pipe", &["fifo", "ring-pipe", "sendfile", "splice"]),
    ("sock", &["epoll", "eventfd", "sockdiag", "sockpair"]),
    ("timer", &["clock", "hrtimers", "itimer", "nanosleep", "sleep", "timer", "timerfd"]),
    (
        "os",
        &[
            "access",
            "chmod",
            "chown",
            "close",
            "copy-file",
            "dentry",
            "dir",
            "dirdeep",
            "dirmany",
            "fallocate",
            "fault",
            "fcntl",
            "filename",
            "flock",
            "fstat",
            "get",
            "getdent",
            "inotify",
            "iomix",
            "link",
            "locka",
            "lockf",
            "lockofd",
            "mq",
            "msg",
            "nice",
            "open",
            "personality",
            "rename",
            "rlimit",
            "schedpolicy",
            "set",
            "sigfd",
            "sigfpe",
            "signal",
            "signest",
            "sigpending",
            "sigpipe",
            "sigq",
            "sigrt",
            "sigsegv",
            "sigsuspend",
            "sigtrap",
            "sysinfo",
            "touch",
            "urandom",
            "utime",
            "vdso",
            "xattr",
        ],
    ),
];

/// Those that are known to fail in the enclave, with the reason.
const KNOWN: &[(&str, &str)] = &[
    ("io-uring", "io_uring is not offered"),
    ("remap", "remap_file_pages is not offered"),
    ("secretmem", "memfd_secret is not offered"),
    ("vm-rw", "clone without CLONE_THREAD needs children (PROCESSES)"),
];

/// Those run on every change.
const QUICK: &[&str] = &[
    "cpu", "matrix", "malloc", "mremap", "futex", "pthread", "timerfd", "eventfd", "seek",
    "hsearch",
];

pub(super) fn cases() -> Vec<Case> {
    STRESSORS
        .iter()
        .flat_map(|(class, names)| names.iter().map(move |name| stressor(class, name)))
        .collect()
}

fn stressor(class: &str, name: &str) -> Case {
    let option = format!("--{name}");
    let argv = [
        "/lib64/ld-linux-x86-64.so.2",
        "--preload",
        "{bin}/nofork.so",
        "/usr/bin/stress-ng",
        &option,
        "1",
        "--timeout",
        "1",
        "--verify",
        "--vm-bytes",
        "64M",
        "--temp-path",
        ".",
    ];
    let entry = case(&format!("{class}-{name}"), &argv)
        .package("stress-ng")
        .build(Tool::GccShared, "c/nofork.c", "nofork.so")
        .check(no_failures)
        .limit(40);
    let entry = if QUICK.contains(&name) { entry } else { entry.full() };
    match KNOWN.iter().find(|(known, _)| *known == name) {
        Some((_, reason)) => entry.fails(reason),
        None => entry,
    }
}

fn no_failures(out: &Output) -> Result<(), String> {
    let all = [out.stdout.as_slice(), &out.stderr].concat();
    let text = String::from_utf8_lossy(&all);
    match text.lines().find(|line| line.contains("fail:") || line.contains("error:")) {
        Some(line) => Err(line.to_owned()),
        None => Ok(()),
    }
}
