//! Wrong results and wrong buffers of single calls, one line for each lie.

use crate::host::{BOTH, End, SYNC, tell};
use anyhow::Result;

/// Numbers of system calls.
mod nr {
    pub(super) const READ: u64 = 0;
    pub(super) const WRITE: u64 = 1;
    pub(super) const FSTAT: u64 = 5;
    pub(super) const LSEEK: u64 = 8;
    pub(super) const IOCTL: u64 = 16;
    pub(super) const PREAD64: u64 = 17;
    pub(super) const PWRITE64: u64 = 18;
    pub(super) const READV: u64 = 19;
    pub(super) const WRITEV: u64 = 20;
    pub(super) const SENDFILE: u64 = 40;
    pub(super) const SOCKET: u64 = 41;
    pub(super) const CONNECT: u64 = 42;
    pub(super) const SENDTO: u64 = 44;
    pub(super) const RECVFROM: u64 = 45;
    pub(super) const SENDMSG: u64 = 46;
    pub(super) const RECVMSG: u64 = 47;
    pub(super) const SHUTDOWN: u64 = 48;
    pub(super) const BIND: u64 = 49;
    pub(super) const LISTEN: u64 = 50;
    pub(super) const GETSOCKNAME: u64 = 51;
    pub(super) const GETPEERNAME: u64 = 52;
    pub(super) const SOCKETPAIR: u64 = 53;
    pub(super) const SETSOCKOPT: u64 = 54;
    pub(super) const GETSOCKOPT: u64 = 55;
    pub(super) const UNAME: u64 = 63;
    pub(super) const FCNTL: u64 = 72;
    pub(super) const FSYNC: u64 = 74;
    pub(super) const FDATASYNC: u64 = 75;
    pub(super) const FTRUNCATE: u64 = 77;
    pub(super) const GETCWD: u64 = 79;
    pub(super) const GETRUSAGE: u64 = 98;
    pub(super) const SYSINFO: u64 = 99;
    pub(super) const GETXATTR: u64 = 191;
    pub(super) const LISTXATTR: u64 = 194;
    pub(super) const GETDENTS64: u64 = 217;
    pub(super) const EPOLL_WAIT: u64 = 232;
    pub(super) const EPOLL_CTL: u64 = 233;
    pub(super) const INOTIFY_ADD_WATCH: u64 = 254;
    pub(super) const OPENAT: u64 = 257;
    pub(super) const NEWFSTATAT: u64 = 262;
    pub(super) const READLINKAT: u64 = 267;
    pub(super) const PPOLL: u64 = 271;
    pub(super) const TIMERFD_CREATE: u64 = 283;
    pub(super) const TIMERFD_SETTIME: u64 = 286;
    pub(super) const ACCEPT4: u64 = 288;
    pub(super) const EPOLL_CREATE1: u64 = 291;
    pub(super) const PIPE2: u64 = 293;
    pub(super) const INOTIFY_INIT1: u64 = 294;
    pub(super) const RECVMMSG: u64 = 299;
    pub(super) const SENDMMSG: u64 = 307;
    pub(super) const GETCPU: u64 = 309;
    pub(super) const COPY_FILE_RANGE: u64 = 326;
    pub(super) const STATX: u64 = 332;
}

fn all(lies: impl IntoIterator<Item = String>, end: End) -> Result<()> {
    lies.into_iter().try_for_each(|lie| tell(&lie, SYNC, end))
}

/// More than there was room for, by one byte or by far.
#[test]
fn counts_larger_than_asked() -> Result<()> {
    let by_one =
        [nr::READ, nr::WRITE, nr::PREAD64, nr::PWRITE64, nr::SENDTO, nr::RECVFROM, nr::GETDENTS64];
    let by_far = [nr::READV, nr::WRITEV, nr::SENDMSG, nr::RECVMSG];
    let exact = [
        (nr::SENDMMSG, 4),
        (nr::RECVMMSG, 4),
        (nr::READLINKAT, 4097),
        (nr::GETCWD, 4097),
        (nr::GETXATTR, 65),
        (nr::LISTXATTR, 65),
        (nr::EPOLL_WAIT, 1025),
        (nr::PPOLL, 4),
        (nr::LSEEK, i64::MIN),
    ];
    all(by_one.map(|call| format!("reply {call} +1")), End::Found)?;
    all(by_far.map(|call| format!("reply {call} 0x100000")), End::Found)?;
    all(exact.map(|(call, result)| format!("reply {call} {result}")), End::Found)
}

/// With `MSG_TRUNC`: a stream gives no more than there is room for, and what a socket is, is known since it was
/// made.
#[test]
fn counts_of_what_is_cut_off() -> Result<()> {
    all([format!("reply {} 40", nr::RECVFROM)], End::Found)?;
    // Of what has met an error there is no more than there is room for, whatever the socket is.
    all([format!("reply {} 20", nr::RECVFROM)], End::Found)?;
    all([format!("word {} 3:0 6", nr::GETSOCKOPT)], End::Harmless)
}

#[test]
fn counts_are_checked_on_all_ways() -> Result<()> {
    for call in [nr::READ, nr::PREAD64, nr::RECVMSG, nr::PPOLL] {
        tell(&format!("reply {call} 0x100000"), BOTH, End::Found)?;
    }
    Ok(())
}

/// Numbers that Linux does not return.
#[test]
fn errors_that_do_not_exist() -> Result<()> {
    let calls = [nr::READ, nr::OPENAT, nr::NEWFSTATAT, nr::RECVMSG, nr::PPOLL, nr::GETSOCKOPT];
    let lies = calls
        .into_iter()
        .flat_map(|call| [-134, -513, -4095].map(|error| format!("reply {call} {error}")));
    all(lies, End::Found)
}

/// Numbers that are ours already, that no process can have, and that are none.
#[test]
fn descriptors_that_cannot_be() -> Result<()> {
    let calls = [
        nr::OPENAT,
        nr::SOCKET,
        nr::ACCEPT4,
        nr::EPOLL_CREATE1,
        nr::TIMERFD_CREATE,
        nr::INOTIFY_INIT1,
    ];
    for value in ["0", "2", "0x1000000", "0x7fffffff", "0x80000000", "0xffffffff", "0x3f8000000000"]
    {
        all(calls.map(|call| format!("reply {call} {value}")), End::Found)?;
    }
    Ok(())
}

/// Both of a pair are the same, one is ours, one is none. Pairs that are made inside are no lies.
#[test]
fn pairs_that_cannot_be() -> Result<()> {
    for value in ["0", "0x900000009", "0x100000009", "0xffffffff00000009", "0x800000009000000"] {
        all([format!("word {} 0:0 {value}", nr::PIPE2)], End::Any)?;
        all([format!("word {} 3:0 {value}", nr::SOCKETPAIR)], End::Any)?;
    }
    Ok(())
}

/// Addresses in the enclave where nothing but zero can be.
#[test]
fn results_that_must_be_zero() -> Result<()> {
    let calls = [
        nr::FSTAT,
        nr::CONNECT,
        nr::SHUTDOWN,
        nr::BIND,
        nr::LISTEN,
        nr::GETSOCKNAME,
        nr::SETSOCKOPT,
        nr::FSYNC,
        // Only io_submit(2) makes it.
        nr::FDATASYNC,
        nr::FTRUNCATE,
        nr::GETRUSAGE,
        nr::SYSINFO,
        nr::EPOLL_CTL,
        nr::NEWFSTATAT,
        nr::TIMERFD_SETTIME,
        nr::STATX,
    ];
    all(calls.map(|call| format!("reply {call} 0x3f8000000000")), End::Found)?;
    let small = [nr::FCNTL, nr::INOTIFY_ADD_WATCH];
    all(small.map(|call| format!("reply {call} 0x3f8000000000")), End::Found)
}

/// Lengths of addresses, options, control data, and messages.
#[test]
fn lengths_larger_than_the_room() -> Result<()> {
    let places = [
        (nr::RECVFROM, "5:0", 129),
        (nr::ACCEPT4, "2:0", 129),
        (nr::GETSOCKNAME, "2:0", 4096),
        (nr::GETPEERNAME, "2:0", -1),
        (nr::GETSOCKOPT, "4:0", 5),
        // Of SO_ERROR there is always all.
        (nr::GETSOCKOPT, "4:0", 0),
        // Name, control data.
        (nr::RECVMSG, "1:1", 129),
        (nr::RECVMSG, "1:5", 65),
        // The first control message: shorter than its head, longer than the data.
        (nr::RECVMSG, "1:4:0", 15),
        (nr::RECVMSG, "1:4:0", 1 << 20),
        // The first message's bytes.
        (nr::RECVMMSG, "1:7", 51),
    ];
    let lies = places.map(|(call, place, value)| format!("word {call} {place} {value}"));
    all(lies, End::Found)
}

/// Addresses that fit, but are longer than any of the family: the program would take what is behind its own
/// structure for a part of them.
#[test]
fn addresses_longer_than_the_family_has() -> Result<()> {
    let places = [
        (nr::RECVFROM, "5:0", 17),
        (nr::ACCEPT4, "2:0", 17),
        (nr::GETSOCKNAME, "2:0", 17),
        // Of a socket of an unknown family, it is cut.
        (nr::GETSOCKNAME, "2:0", 100),
        (nr::GETPEERNAME, "2:0", 17),
        (nr::RECVMSG, "1:1", 112),
    ];
    let lies = places.map(|(call, place, value)| format!("word {call} {place} {value}"));
    all(lies, End::Found)
}

/// Descriptors in control data that are ours, or none.
#[test]
fn received_descriptors_that_cannot_be() -> Result<()> {
    let lies = ["0", "0xffffffff", "0x80000000"]
        .map(|value| format!("word {} 1:4:2 {value}", nr::RECVMSG));
    all(lies, End::Found)
}

/// Events that were not asked for, of things that nobody waits for.
#[test]
fn events_that_were_not_asked_for() -> Result<()> {
    let found = [
        format!("word {} 0:0 0x7fff000100000000", nr::PPOLL),
        format!("word {} 1:0 0x4000000000000001", nr::EPOLL_WAIT),
        format!("word {} 1:1 77", nr::EPOLL_WAIT),
    ];
    all(found, End::Found)?;
    // The token in its place, and all events there are.
    all([format!("word {} 1:0 0xffffffff", nr::EPOLL_WAIT)], End::Any)
}

/// What is registered is reported once by one call, and one-shot once until it is armed again.
#[test]
fn events_that_are_repeated() -> Result<()> {
    tell("events twice", BOTH, End::Found)?;
    tell("events last", BOTH, End::Harmless)
}

/// Offsets that are not where the data was.
#[test]
fn offsets_that_move_elsewhere() -> Result<()> {
    let places = [(nr::SENDFILE, 2), (nr::COPY_FILE_RANGE, 1), (nr::COPY_FILE_RANGE, 3)];
    all(places.map(|(call, place)| format!("word {call} {place}:0 77777")), End::Harmless)
}

/// Names without an end, and without a beginning.
#[test]
fn names_that_cannot_be() -> Result<()> {
    let lies = [
        format!("fill {} 0 48 0x4141414141414141", nr::UNAME),
        format!("reply {} 3", nr::LISTXATTR),
        format!("word {} 1:0 0", nr::LISTXATTR),
        // Of an interface.
        format!("fill {} 2 2 0x4141414141414141", nr::IOCTL),
    ];
    all(lies, End::Found)
}

/// Interfaces that are not whole, processors that no Linux has, locks of no kind.
#[test]
fn numbers_that_cannot_be() -> Result<()> {
    let lies = [
        format!("word {} 2:0 41", nr::IOCTL),
        format!("word {} 0:0 8192", nr::GETCPU),
        format!("word {} 1:0 -1", nr::GETCPU),
        format!("word {} 2:0 3", nr::FCNTL),
        format!("word {} 2:0 0x10000", nr::FCNTL),
    ];
    all(lies, End::Found)
}

/// Records with names whose length is odd, too long, or more than there is.
#[test]
fn notices_that_cannot_be() -> Result<()> {
    for len in ["0x1100000000", "0x12000000000", "0x2000000000"] {
        all([format!("word {} 1:1 {len}", nr::READ)], End::Found)?;
    }
    Ok(())
}

/// What is read of a timer is one count, which is not zero, or nothing.
#[test]
fn counts_of_events_that_cannot_be() -> Result<()> {
    all([format!("reply {} 3", nr::READ), format!("word {} 1:0 0", nr::READ)], End::Found)?;
    all([format!("reply {} 0", nr::READ)], End::Harmless)
}

/// Records of no length, of too much, without a name, with a path for one.
#[test]
fn directory_entries_that_cannot_be() -> Result<()> {
    for record in ["0", "0x0000080000000008", "0x412f410400000018", "0xffffffffffffffff", "0x17"] {
        all([format!("word {} 1:2 {record}", nr::GETDENTS64)], End::Found)?;
    }
    Ok(())
}

/// Claims that only the host can make: they are believed, and do no harm.
#[test]
fn claims_about_files_and_proc() -> Result<()> {
    for word in 0..18 {
        all([format!("word {} 1:{word} -1", nr::FSTAT)], End::Any)?;
    }
    for word in [0, 4, 5, 20, 31] {
        all([format!("word {} 4:{word} -1", nr::STATX)], End::Any)?;
    }
    for value in ["0", "-1", "0x2f2f2f2f2f2f2f2f"] {
        // What files of /proc say.
        all([format!("word {} 1:0 {value}", nr::READ)], End::Any)?;
        all([format!("word {} 2:0 {value}", nr::READLINKAT)], End::Any)?;
    }
    // A current directory with a NUL in it is none.
    all([format!("word {} 0:0 0x2f", nr::GETCWD)], End::Found)
}
