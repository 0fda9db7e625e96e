//! Number to handler. What each call is, is in `hostcall_abi::syscalls`; that the two lists agree
//! is checked when this is compiled.

use enclave_hostcalls::Errno;
use hostcall_abi::syscalls::SYSCALLS;

use crate::{Sys, attributes, descriptor, dir, file, identity, ioctl, memory, names, open, pipe, stat, thread, transfer, xattr};

/// Executes a system call.
pub(crate) type Handler = fn(&mut Sys<'_>) -> Result<u64, Errno>;

/// All handlers, by number.
#[rustfmt::skip]
static HANDLERS: &[(u16, Handler)] = &[
    (0, file::read),
    (1, file::write),
    (2, open::open),
    (3, open::close),
    (4, stat::stat),
    (5, stat::fstat),
    (6, stat::lstat),
    (8, file::lseek),
    (9, memory::mmap),
    (10, memory::mprotect),
    (11, memory::munmap),
    (12, memory::brk),
    (16, ioctl::ioctl),
    (17, file::pread64),
    (18, file::pwrite64),
    (19, file::readv),
    (20, file::writev),
    (21, attributes::access),
    (22, pipe::pipe),
    (24, thread::sched_yield),
    (25, memory::mremap),
    (26, memory::msync),
    (27, memory::mincore),
    (28, memory::madvise),
    (32, descriptor::dup),
    (33, descriptor::dup2),
    (39, identity::getpid),
    (40, transfer::sendfile),
    (56, thread::clone),
    (60, thread::exit),
    (72, descriptor::fcntl),
    (73, file::flock),
    (74, file::fsync),
    (75, file::fsync),
    (76, attributes::truncate),
    (77, attributes::ftruncate),
    (78, dir::getdents),
    (79, dir::getcwd),
    (80, dir::chdir),
    (81, dir::fchdir),
    (82, names::rename),
    (83, names::mkdir),
    (84, names::rmdir),
    (85, open::creat),
    (86, names::link),
    (87, names::unlink),
    (88, names::symlink),
    (89, names::readlink),
    (90, attributes::chmod),
    (91, attributes::fchmod),
    (92, attributes::chown),
    (93, attributes::fchown),
    (94, attributes::lchown),
    (95, attributes::umask),
    (110, identity::getppid),
    (132, attributes::utime),
    (133, names::mknod),
    (137, attributes::statfs),
    (138, attributes::fstatfs),
    (149, memory::mlock),
    (150, memory::munlock),
    (151, memory::mlockall),
    (152, memory::munlockall),
    (158, thread::arch_prctl),
    (161, refused),
    (162, file::sync),
    (186, identity::gettid),
    (187, file::readahead),
    (188, xattr::setxattr),
    (189, xattr::lsetxattr),
    (190, xattr::fsetxattr),
    (191, xattr::getxattr),
    (192, xattr::lgetxattr),
    (193, xattr::fgetxattr),
    (194, xattr::listxattr),
    (195, xattr::llistxattr),
    (196, xattr::flistxattr),
    (197, xattr::removexattr),
    (198, xattr::lremovexattr),
    (199, xattr::fremovexattr),
    (202, thread::futex),
    (217, dir::getdents64),
    (218, thread::set_tid_address),
    (221, file::fadvise64),
    (231, thread::exit_group),
    (235, attributes::utimes),
    (257, open::openat),
    (258, names::mkdirat),
    (259, names::mknodat),
    (260, attributes::fchownat),
    (261, attributes::futimesat),
    (262, stat::newfstatat),
    (263, names::unlinkat),
    (264, names::renameat),
    (265, names::linkat),
    (266, names::symlinkat),
    (267, names::readlinkat),
    (268, attributes::fchmodat),
    (269, attributes::faccessat),
    (273, thread::set_robust_list),
    (274, thread::get_robust_list),
    (275, transfer::splice),
    (276, transfer::tee),
    (277, file::sync_file_range),
    (278, transfer::vmsplice),
    (280, attributes::utimensat),
    (285, attributes::fallocate),
    (292, descriptor::dup3),
    (293, pipe::pipe2),
    (295, file::preadv),
    (296, file::pwritev),
    (303, unsupported),
    (304, refused),
    (306, file::syncfs),
    (316, names::renameat2),
    (319, open::memfd_create),
    (325, memory::mlock),
    (326, transfer::copy_file_range),
    (327, file::preadv2),
    (328, file::pwritev2),
    (332, stat::statx),
    (334, denied),
    (435, thread::clone3),
    (436, open::close_range),
    (437, open::openat2),
    (439, attributes::faccessat2),
    (452, attributes::fchmodat2),
];

/// Calls that are refused on purpose.
fn denied(_: &mut Sys<'_>) -> Result<u64, Errno> {
    Err(Errno::ENOSYS)
}

/// Calls that would need rights that the program does not get.
fn refused(_: &mut Sys<'_>) -> Result<u64, Errno> {
    Err(Errno::EPERM)
}

/// Calls that no file system here supports.
fn unsupported(_: &mut Sys<'_>) -> Result<u64, Errno> {
    Err(Errno::EOPNOTSUPP)
}

/// One more than the largest number.
const END: usize = 512;

/// Handlers by number.
static BY_NUMBER: [Option<Handler>; END] = {
    let mut table: [Option<Handler>; END] = [None; END];
    let mut index = 0;
    assert!(HANDLERS.len() == SYSCALLS.len(), "a system call lacks its handler or its description");
    while index < HANDLERS.len() {
        let (number, handler) = HANDLERS[index];
        assert!(number == SYSCALLS[index].number, "the lists of system calls differ");
        assert!(index == 0 || HANDLERS[index - 1].0 < number, "the list is not sorted");
        table[number as usize] = Some(handler);
        index += 1;
    }
    table
};

/// The handler of a system call.
#[inline]
pub(crate) fn handler(number: u64) -> Option<Handler> {
    BY_NUMBER.get(usize::try_from(number).ok()?).copied().flatten()
}
