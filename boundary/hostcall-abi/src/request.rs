//! A request: sixteen words in untrusted memory, aligned to two cache lines.

/// Words of a request.
pub const WORDS: u64 = 16;
/// Bytes of a request; also its alignment.
pub const BYTES: u64 = WORDS * 8;

/// Word index of the call's number.
pub const NUMBER: u64 = 0;
/// Word index of the first of six arguments.
pub const ARGS: u64 = 1;
/// Arguments of a request.
pub const ARG_COUNT: usize = 6;
/// Word index of the result: what the call returned, an error as `-errno`.
pub const RESULT: u64 = 7;
/// Word index of the state, see [`state`]; only used by requests that are handed over or
/// in a ring.
pub const STATE: u64 = 8;
/// Word index of the address of the next completed request (a list headed by
/// [`crate::control::COMPLETED`]).
pub const NEXT: u64 = 9;
/// Word index of the flags ([`flag`]); only used by requests in a ring.
pub const FLAGS: u64 = 10;

/// Word index of the address of the chunk before, see [`flag::CHUNK`]; 0 for the first.
pub const AFTER: u64 = 11;

/// Word index of the address of a posted request that is to be made before this one, 0 for none. Its
/// own word names the one that follows, so that they are made in the order of the list; each becomes
/// [`state::DONE`] when it is made. A posted request never waits.
pub const POSTED: u64 = 12;

/// Word index of the address of the block of looks that are to be made with this wait ([`crate::looks`]),
/// 0 for none.
pub const LOOKS: u64 = 13;

/// Word index of the address of the first request that is to be made right after this one, unless it returns
/// an error; 0 for none. Its own word names the next. The first argument of each is what this one returned.
pub const THEN: u64 = 14;

/// Word index of the address of the first request that is to be made after this one, its looks and those of
/// [`THEN`], for the program is expected to make it next; 0 for none. Its own word names the next, and each has
/// others to be made with its result. If this one comes with looks, as many are made as have seen something;
/// else all, unless this one returns an error.
pub const EXPECTED: u64 = 15;

/// Bits of the flags.
pub mod flag {
    /// The call may wait: the host thread of the ring tries it, and has another one wait.
    pub const MAY_WAIT: u64 = 1;
    /// Set by the host: another thread waits for the call.
    pub const HANDED_ON: u64 = 2;
    /// A chunk of a transfer ([`crate::chunks`]). It is called off if the chunk before has not done
    /// all that its third argument asked for. Both are in the same ring, or in the same list of posted
    /// requests.
    pub const CHUNK: u64 = 4;
}

/// Whether a result is `-errno`: one of the largest 4095 numbers.
#[must_use]
pub const fn is_error(result: u64) -> bool {
    result >= 4095_u64.wrapping_neg()
}

/// Result of a request that was called off before it was made, for its thread is wanted (the number
/// that the kernel uses inside for calls to be made again).
pub const CALLED_OFF: u64 = 512_u64.wrapping_neg();

/// Whether the host can try a system call that may wait, and be told at once or soon that it has to; or
/// whether it waits so long that it should not be made where anything else waits (fsync, fdatasync,
/// connect). Such a call may be called off at any time, and made again.
#[must_use]
pub const fn can_be_tried(number: u64) -> bool {
    const READ: u64 = 0;
    const WRITE: u64 = 1;
    const POLL: u64 = 7;
    const READV: u64 = 19;
    const WRITEV: u64 = 20;
    const CONNECT: u64 = 42;
    const ACCEPT: u64 = 43;
    const SENDTO: u64 = 44;
    const RECVFROM: u64 = 45;
    const SENDMSG: u64 = 46;
    const RECVMSG: u64 = 47;
    const FCNTL: u64 = 72;
    const FLOCK: u64 = 73;
    const FSYNC: u64 = 74;
    const FDATASYNC: u64 = 75;
    const EPOLL_WAIT: u64 = 232;
    const PPOLL: u64 = 271;
    const EPOLL_PWAIT: u64 = 281;
    const ACCEPT4: u64 = 288;
    const RECVMMSG: u64 = 299;
    const SENDMMSG: u64 = 307;
    const PREADV2: u64 = 327;
    const PWRITEV2: u64 = 328;
    let waits = matches!(
        number,
        READ | WRITE
            | POLL
            | READV
            | WRITEV
            | CONNECT
            | ACCEPT
            | SENDTO
            | RECVFROM
            | SENDMSG
            | RECVMSG
            | FCNTL
            | FLOCK
            | FSYNC
            | FDATASYNC
            | EPOLL_WAIT
            | PPOLL
            | EPOLL_PWAIT
            | ACCEPT4
            | RECVMMSG
            | SENDMMSG
            | PREADV2
            | PWRITEV2
    );
    waits || hardly_waits(number)
}

/// Whether a system call hardly ever waits, but cannot be asked not to: open(2) does for the other end of a
/// named pipe, sendfile(2) and its kind for room, ioctl(2) for a terminal.
#[must_use]
pub const fn hardly_waits(number: u64) -> bool {
    const IOCTL: u64 = 16;
    const SENDFILE: u64 = 40;
    const OPENAT: u64 = 257;
    const SPLICE: u64 = 275;
    const TEE: u64 = 276;
    const OPENAT2: u64 = 437;
    matches!(number, IOCTL | SENDFILE | OPENAT | SPLICE | TEE | OPENAT2)
}

/// Values of the state word.
pub mod state {
    /// Handed to the host, and its thread looks at this word.
    pub const SUBMITTED: u64 = 1;
    /// Executed: the result stands in the request.
    pub const DONE: u64 = 2;
    /// Handed to the host, and its thread waits to be told when it is done.
    pub const AWAITED: u64 = 3;
}
