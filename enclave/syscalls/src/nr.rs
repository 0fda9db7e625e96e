//! Numbers of the system calls that are made on the host.

macro_rules! numbers {
    ($($name:ident = $number:literal,)*) => { $(pub(crate) const $name: u64 = $number;)* };
}

numbers! {
    WRITE = 1, IOCTL = 16, PREAD64 = 17, SENDFILE = 40, FCNTL = 72, FSYNC = 74, FDATASYNC = 75,
    TRUNCATE = 76, FTRUNCATE = 77, GETDENTS = 78, GETCWD = 79, CHDIR = 80, FCHDIR = 81,
    FCHMOD = 91, FCHOWN = 93, UMASK = 95, STATFS = 137, FSTATFS = 138,
    SYNC = 162, GETDENTS64 = 217, MKDIRAT = 258, MKNODAT = 259,
    FCHOWNAT = 260, NEWFSTATAT = 262, UNLINKAT = 263, LINKAT = 265,
    SYMLINKAT = 266, READLINKAT = 267, FCHMODAT = 268, FACCESSAT = 269, SPLICE = 275, TEE = 276,
    UTIMENSAT = 280, FALLOCATE = 285,
    RENAMEAT2 = 316, MEMFD_CREATE = 319, COPY_FILE_RANGE = 326, STATX = 332, OPENAT2 = 437,
    FACCESSAT2 = 439,
}
