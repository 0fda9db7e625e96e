//! The system calls that the runtime knows, as plain data: the coverage page, `scone syscalls` and
//! the names in traces come from here; `enclave/syscalls/table.rs` gives each its handler and
//! refuses to build if the two lists differ.

/// What becomes of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Done inside, without the host.
    Local,
    /// Done inside as far as possible; the host only stores.
    Shielded,
    /// Made by the host, arguments staged and replies checked.
    Forwarded,
    /// Refused on purpose; the note says with which error and why.
    Denied,
}

/// A system call that the runtime knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syscall {
    /// Number on x86-64.
    pub number: u16,
    /// Name as in the manual.
    pub name: &'static str,
    /// What becomes of it.
    pub class: Class,
    /// What differs from Linux, if anything.
    pub note: &'static str,
}

const fn row(number: u16, name: &'static str, class: Class, note: &'static str) -> Syscall {
    Syscall { number, name, class, note }
}

use Class::{Denied, Forwarded, Local};

/// All system calls that the runtime knows, by number.
#[rustfmt::skip]
pub static SYSCALLS: &[Syscall] = &[
    row(0, "read", Forwarded, ""),
    row(1, "write", Forwarded, ""),
    row(2, "open", Forwarded, ""),
    row(3, "close", Forwarded, ""),
    row(4, "stat", Forwarded, ""),
    row(5, "fstat", Forwarded, ""),
    row(6, "lstat", Forwarded, ""),
    row(8, "lseek", Forwarded, ""),
    row(9, "mmap", Local, "contents of files are read from the host on first use"),
    row(10, "mprotect", Local, ""),
    row(11, "munmap", Local, ""),
    row(12, "brk", Local, ""),
    row(16, "ioctl", Forwarded, "known requests only; others are ENOTTY"),
    row(17, "pread64", Forwarded, ""),
    row(18, "pwrite64", Forwarded, ""),
    row(19, "readv", Forwarded, ""),
    row(20, "writev", Forwarded, ""),
    row(21, "access", Forwarded, ""),
    row(22, "pipe", Forwarded, ""),
    row(24, "sched_yield", Local, ""),
    row(25, "mremap", Local, ""),
    row(26, "msync", Forwarded, "writes the whole range back"),
    row(27, "mincore", Local, ""),
    row(28, "madvise", Local, ""),
    row(32, "dup", Local, ""),
    row(33, "dup2", Local, ""),
    row(39, "getpid", Local, ""),
    row(40, "sendfile", Forwarded, "between files of the host; others are EINVAL"),
    row(56, "clone", Local, "threads only"),
    row(60, "exit", Local, ""),
    row(72, "fcntl", Forwarded, ""),
    row(73, "flock", Forwarded, ""),
    row(74, "fsync", Forwarded, ""),
    row(75, "fdatasync", Forwarded, ""),
    row(76, "truncate", Forwarded, ""),
    row(77, "ftruncate", Forwarded, ""),
    row(78, "getdents", Forwarded, ""),
    row(79, "getcwd", Forwarded, ""),
    row(80, "chdir", Forwarded, ""),
    row(81, "fchdir", Forwarded, ""),
    row(82, "rename", Forwarded, ""),
    row(83, "mkdir", Forwarded, ""),
    row(84, "rmdir", Forwarded, ""),
    row(85, "creat", Forwarded, ""),
    row(86, "link", Forwarded, ""),
    row(87, "unlink", Forwarded, ""),
    row(88, "symlink", Forwarded, ""),
    row(89, "readlink", Forwarded, ""),
    row(90, "chmod", Forwarded, ""),
    row(91, "fchmod", Forwarded, ""),
    row(92, "chown", Forwarded, ""),
    row(93, "fchown", Forwarded, ""),
    row(94, "lchown", Forwarded, ""),
    row(95, "umask", Forwarded, ""),
    row(110, "getppid", Local, ""),
    row(132, "utime", Forwarded, ""),
    row(133, "mknod", Forwarded, ""),
    row(137, "statfs", Forwarded, ""),
    row(138, "fstatfs", Forwarded, ""),
    row(149, "mlock", Local, "accepted: enclave memory is never written to swap in the clear"),
    row(150, "munlock", Local, ""),
    row(151, "mlockall", Local, ""),
    row(152, "munlockall", Local, ""),
    row(158, "arch_prctl", Local, "ARCH_SET_GS is refused: GS belongs to the runtime"),
    row(161, "chroot", Denied, "EPERM: the view of files is part of what is attested"),
    row(162, "sync", Forwarded, ""),
    row(186, "gettid", Local, ""),
    row(187, "readahead", Forwarded, ""),
    row(188, "setxattr", Forwarded, ""),
    row(189, "lsetxattr", Forwarded, ""),
    row(190, "fsetxattr", Forwarded, ""),
    row(191, "getxattr", Forwarded, ""),
    row(192, "lgetxattr", Forwarded, ""),
    row(193, "fgetxattr", Forwarded, ""),
    row(194, "listxattr", Forwarded, ""),
    row(195, "llistxattr", Forwarded, ""),
    row(196, "flistxattr", Forwarded, ""),
    row(197, "removexattr", Forwarded, ""),
    row(198, "lremovexattr", Forwarded, ""),
    row(199, "fremovexattr", Forwarded, ""),
    row(202, "futex", Local, "no priority inheritance"),
    row(217, "getdents64", Forwarded, ""),
    row(218, "set_tid_address", Local, ""),
    row(221, "fadvise64", Forwarded, ""),
    row(231, "exit_group", Local, ""),
    row(235, "utimes", Forwarded, ""),
    row(257, "openat", Forwarded, ""),
    row(258, "mkdirat", Forwarded, ""),
    row(259, "mknodat", Forwarded, ""),
    row(260, "fchownat", Forwarded, ""),
    row(261, "futimesat", Forwarded, ""),
    row(262, "newfstatat", Forwarded, ""),
    row(263, "unlinkat", Forwarded, ""),
    row(264, "renameat", Forwarded, ""),
    row(265, "linkat", Forwarded, ""),
    row(266, "symlinkat", Forwarded, ""),
    row(267, "readlinkat", Forwarded, ""),
    row(268, "fchmodat", Forwarded, ""),
    row(269, "faccessat", Forwarded, ""),
    row(273, "set_robust_list", Local, ""),
    row(274, "get_robust_list", Local, ""),
    row(275, "splice", Forwarded, ""),
    row(276, "tee", Forwarded, ""),
    row(277, "sync_file_range", Forwarded, ""),
    row(278, "vmsplice", Forwarded, "copies: pages of an enclave cannot be lent"),
    row(280, "utimensat", Forwarded, ""),
    row(285, "fallocate", Forwarded, ""),
    row(292, "dup3", Local, ""),
    row(293, "pipe2", Forwarded, ""),
    row(295, "preadv", Forwarded, ""),
    row(296, "pwritev", Forwarded, ""),
    row(303, "name_to_handle_at", Denied, "EOPNOTSUPP: handles bypass paths"),
    row(304, "open_by_handle_at", Denied, "EPERM: handles bypass paths"),
    row(306, "syncfs", Forwarded, ""),
    row(316, "renameat2", Forwarded, ""),
    row(319, "memfd_create", Forwarded, "its contents are in the host's memory"),
    row(325, "mlock2", Local, ""),
    row(326, "copy_file_range", Forwarded, ""),
    row(327, "preadv2", Forwarded, ""),
    row(328, "pwritev2", Forwarded, ""),
    row(332, "statx", Forwarded, ""),
    row(334, "rseq", Denied, "ENOSYS: threads are scheduled inside, glibc falls back"),
    row(435, "clone3", Local, "threads only"),
    row(436, "close_range", Forwarded, ""),
    row(437, "openat2", Forwarded, ""),
    row(439, "faccessat2", Forwarded, ""),
    row(452, "fchmodat2", Forwarded, ""),
];

/// Finds a system call by number.
#[must_use]
pub fn find(number: u64) -> Option<&'static Syscall> {
    let at = SYSCALLS.binary_search_by_key(&number, |syscall| syscall.number.into()).ok()?;
    SYSCALLS.get(at)
}
