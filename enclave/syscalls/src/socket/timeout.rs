//! Timeouts of sockets (`SO_RCVTIMEO`, `SO_SNDTIMEO`).

use super::{Socket, local};
use crate::args;

mod nr {
    pub(super) const READ: u64 = 0;
    pub(super) const WRITE: u64 = 1;
    pub(super) const READV: u64 = 19;
    pub(super) const WRITEV: u64 = 20;
    pub(super) const SENDFILE: u64 = 40;
    pub(super) const CONNECT: u64 = 42;
    pub(super) const ACCEPT: u64 = 43;
    pub(super) const SENDTO: u64 = 44;
    pub(super) const RECVFROM: u64 = 45;
    pub(super) const SENDMSG: u64 = 46;
    pub(super) const RECVMSG: u64 = 47;
    pub(super) const SPLICE: u64 = 275;
    pub(super) const ACCEPT4: u64 = 288;
    pub(super) const RECVMMSG: u64 = 299;
    pub(super) const SENDMMSG: u64 = 307;
    pub(super) const PREADV2: u64 = 327;
    pub(super) const PWRITEV2: u64 = 328;
}

/// Whether a call has a timeout that its socket has been given: such a call is not made again after a handler
/// (signal(7)).
pub(crate) fn ends_in_time(number: u64, args: &[u64; 6]) -> bool {
    let [first, _, third, ..] = *args;
    match number {
        nr::READ
        | nr::READV
        | nr::PREADV2
        | nr::ACCEPT
        | nr::ACCEPT4
        | nr::RECVFROM
        | nr::RECVMSG
        | nr::RECVMMSG => has_timeout(first, true),
        nr::WRITE
        | nr::WRITEV
        | nr::PWRITEV2
        | nr::CONNECT
        | nr::SENDTO
        | nr::SENDMSG
        | nr::SENDMMSG
        | nr::SENDFILE => has_timeout(first, false),
        nr::SPLICE => has_timeout(first, true) || has_timeout(third, false),
        _ => false,
    }
}

/// Whether a descriptor is a socket with a timeout for what it receives, or for what it sends.
fn has_timeout(fd: u64, receives: bool) -> bool {
    const SO_RCVTIMEO: u64 = 20;
    const SO_SNDTIMEO: u64 = 21;
    let Ok(file) = args::file(fd) else { return false };
    if let Some(socket) = local::of(&file) {
        return local::has_timeout(socket, receives);
    }
    let option = if receives { SO_RCVTIMEO } else { SO_SNDTIMEO };
    let timeout = Socket::new(file).and_then(|socket| socket.option_words(option));
    timeout.is_ok_and(|timeout| timeout != [0; 2])
}
