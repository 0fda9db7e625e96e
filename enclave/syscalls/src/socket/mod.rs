//! Sockets of every family: made by the host, each reply checked. Pairs of one program are [`local`].
//!
//! Data is copied once, between the program's memory and the staging buffer. Structures with
//! pointers (`msghdr`, `iovec`, filters) are built anew with the addresses of staged copies, and
//! descriptors in control data are translated in both directions.

mod address;
mod control;
mod create;
mod local;
mod message;
mod options;
mod receive;
mod send;
mod timeout;
mod transfer;

pub(crate) use create::{
    accept, accept4, bind, connect, getpeername, getsockname, listen, shutdown, socket, socketpair,
};
pub(crate) use options::{getsockopt, setsockopt};
pub(crate) use receive::{recvmmsg, recvmsg};
pub(crate) use send::{sendmmsg, sendmsg};
pub(crate) use timeout::ends_in_time;
pub(crate) use transfer::{recvfrom, sendto};

use alloc::sync::Arc;

use enclave_core::AppSlice;
use enclave_files::{Data, Made, OpenFile, Stream};
use enclave_hostcalls::{Call, Errno, Wait, connects};
use enclave_threads::check_events;

use crate::{args, wait::interrupted};

/// Flags of the send and receive calls.
mod msg {
    pub(super) const PEEK: u64 = 0x2;
    pub(super) const TRUNC: u64 = 0x20;
    pub(super) const DONTWAIT: u64 = 0x40;
    pub(super) const WAITALL: u64 = 0x100;
    /// What is to be received is an error, with the message that has met it.
    pub(super) const ERRQUEUE: u64 = 0x2000;
    pub(super) const NOSIGNAL: u64 = 0x4000;
    pub(super) const WAITFORONE: u64 = 0x1_0000;
    /// Never set for the host: it would read the staging buffer after the call has returned.
    pub(super) const ZEROCOPY: u64 = 0x400_0000;
    /// It connects, too.
    pub(super) const FASTOPEN: u64 = 0x2000_0000;
    pub(super) const CMSG_CLOEXEC: u64 = 0x4000_0000;
    /// Set by the kernel: control data did not fit.
    pub(super) const CTRUNC: u64 = 0x8;
}

/// Largest piece of data that one call moves, in bytes: with the request it fits into 1 MiB.
const PIECE: u64 = (1 << 20) - (16 << 10);
/// Messages that one call outside moves at most, and one of the program.
const BATCH: u64 = 64;
const MAX_MESSAGES: u64 = 1024;
/// What Linux moves in one call at most.
const LONGEST_TRANSFER: u64 = 0x7fff_f000;

const SOL_SOCKET: u64 = 1;

/// Address families.
mod family {
    pub(super) const UNIX: u64 = 1;
    pub(super) const INET: u64 = 2;
    pub(super) const INET6: u64 = 10;
    pub(super) const NETLINK: u64 = 16;
    pub(super) const PACKET: u64 = 17;
    /// Its sockets work through memory shared with the kernel.
    pub(super) const XDP: u64 = 44;
}

/// What a call that receives gives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Given {
    /// As many bytes as it says.
    Data,
    /// As many as there is room for, of a message that is as long as it says (`MSG_TRUNC`).
    Message,
    /// None: TCP and MPTCP drop as many as it says (`MSG_TRUNC`).
    Count,
}

impl Given {
    /// What the count can be if there is room for `len` bytes.
    fn limit(self, len: u64) -> u64 {
        if self == Self::Message { LONGEST_TRANSFER } else { len }
    }

    /// How many of `count` bytes are there, in a buffer of `room` bytes.
    fn bytes(self, count: u64, room: u64) -> u64 {
        if self == Self::Count { 0 } else { count.min(room) }
    }
}

/// Whether a descriptor is a socket whose messages keep their borders: nothing that is said to it
/// raises SIGPIPE.
pub(crate) fn keeps_borders(fd: u64) -> bool {
    let Ok(file) = args::file(fd) else { return false };
    match local::of(&file) {
        Some(socket) => !socket.is_stream(),
        None => Socket::new(file).is_ok_and(|socket| socket.is_stream() == Ok(false)),
    }
}

/// Whether a file is a socket of IPv6.
pub(crate) fn is_ipv6(file: &Arc<OpenFile>) -> bool {
    Socket::new(Arc::clone(file)).and_then(|socket| socket.domain()) == Ok(family::INET6)
}

/// The program is about to be told of an error or a hang-up of a file.
pub(crate) fn has_failed(file: &OpenFile) {
    if let Some(stream) = file.stream() {
        stream.post_no_more();
    }
}

/// A socket of the program, as far as we know: the host says `ENOTSOCK` if it is none.
struct Socket {
    file: Arc<OpenFile>,
    /// Number on the host.
    fd: u64,
}

impl Socket {
    fn new(file: Arc<OpenFile>) -> Result<Self, Errno> {
        let fd = file.host().ok_or(Errno::ENOTSOCK)?.number();
        Ok(Self { file, fd })
    }

    /// The stream that it is known to be.
    fn stream(&self) -> Option<&Arc<Stream>> {
        self.file.stream()
    }

    /// As what it was made, if it is known.
    fn made(&self) -> Option<Made> {
        self.file.made()
    }

    /// Sends `data` of the program with these flags by `send`, if it is not sent with the next call that
    /// leaves.
    fn send(
        &self,
        data: &[AppSlice],
        flags: u64,
        send: impl FnOnce() -> Result<u64, Errno>,
    ) -> Result<u64, Errno> {
        match self.stream() {
            Some(stream) => stream.send_by(Data::App(data), flags, !self.never_waits(flags), send),
            None => send(),
        }
    }

    /// To be called before something is sent with these flags in another way than by [`Self::send`].
    fn before_sending(&self, flags: u64) -> Result<(), Errno> {
        if flags & msg::FASTOPEN != 0 {
            connects();
        }
        self.stream().map_or(Ok(()), |stream| stream.before_sending(!self.never_waits(flags)))
    }

    /// Sends what follows the first `done` of `len` bytes of a stream by `send`, which is told how many are done:
    /// as Linux would have in one call, which only a signal ends early. Returns how many were sent in all.
    fn send_rest(
        &self,
        mut done: u64,
        len: u64,
        flags: u64,
        send: impl Fn(u64) -> Result<u64, Errno>,
    ) -> u64 {
        while done > 0 && done < len {
            // A short count: the buffer is full, or the thread was wanted. A message has no rest.
            let short = !done.is_multiple_of(PIECE);
            let ends = || self.never_waits(flags) || interrupted() || self.is_stream() != Ok(true);
            if short && ends() {
                break;
            }
            match send(done) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(Errno::EINTR) if !interrupted() => check_events(),
                Err(errno) => {
                    self.stream().into_iter().for_each(|stream| stream.keep_late(errno));
                    break;
                }
            }
        }
        done
    }

    /// Receives with these flags by `receive`, or into `plain` buffers what was seen already.
    fn receive(
        &self,
        plain: Option<&[AppSlice]>,
        flags: u64,
        receive: impl FnOnce() -> Result<u64, Errno>,
    ) -> Result<u64, Errno> {
        match self.stream() {
            Some(stream) => stream.receive_by(plain, !self.never_waits(flags), receive),
            None => receive(),
        }
    }

    /// Whether a call may wait; with the flags for the host that make sure of it.
    fn wait(&self, flags: u64) -> (Wait, u64) {
        if flags & msg::DONTWAIT != 0 || self.file.nonblocking() {
            (Wait::No, flags | msg::DONTWAIT)
        } else {
            (Wait::Maybe, flags)
        }
    }

    /// Whether a call answers at once.
    fn never_waits(&self, flags: u64) -> bool {
        self.wait(flags).0 == Wait::No
    }

    /// An option of level `SOL_SOCKET` that is an `int`.
    fn option(&self, name: u64) -> Result<u64, Errno> {
        Ok(self.option_words(name)?[0] & 0xffff_ffff)
    }

    /// An option of that level that is no longer than two words; what it does not fill is zero.
    fn option_words(&self, name: u64) -> Result<[u64; 2], Errno> {
        const GETSOCKOPT: u64 = 55;
        let mut call = Call::new(GETSOCKOPT, 24)?;
        let (value, len) = (call.room(16), call.room(8));
        value.word(0).write(0);
        value.word(1).write(0);
        len.word(0).write(16);
        call.args([self.fd, SOL_SOCKET, name, value.address(), len.address()]).zero(Wait::No)?;
        Ok([0, 1].map(|index| value.word(index).read()))
    }

    /// Its address family.
    fn domain(&self) -> Result<u64, Errno> {
        const SO_DOMAIN: u64 = 39;
        self.made().map_or_else(|| self.option(SO_DOMAIN), |made| Ok(made.domain))
    }

    /// Whether it is a stream: data without borders, so that it may be moved in pieces. The host is asked only
    /// of sockets that were not made here.
    fn is_stream(&self) -> Result<bool, Errno> {
        const SO_TYPE: u64 = 3;
        const SOCK_STREAM: u64 = 1;
        let kind = self.made().map_or_else(|| self.option(SO_TYPE), |made| Ok(made.kind))?;
        Ok(kind == SOCK_STREAM)
    }

    /// What a call with these flags gives: to be known before it is made.
    fn given(&self, flags: u64) -> Result<Given, Errno> {
        const SO_PROTOCOL: u64 = 38;
        const IPPROTO_TCP: u64 = 6;
        const IPPROTO_MPTCP: u64 = 262;
        if flags & msg::TRUNC == 0 {
            return Ok(Given::Data);
        }
        if flags & msg::ERRQUEUE != 0 {
            // These give what has met the error, as much as there is room for; others know no such queue.
            if matches!(self.domain()?, family::INET | family::INET6 | family::PACKET) {
                return Ok(Given::Data);
            }
        }
        if !self.is_stream()? {
            return Ok(Given::Message);
        }
        let protocol = match self.made() {
            Some(_) if self.stream().is_some_and(|stream| stream.is_tcp()) => IPPROTO_TCP,
            Some(made) => made.protocol,
            None => self.option(SO_PROTOCOL)?,
        };
        let drops = matches!(protocol, IPPROTO_TCP | IPPROTO_MPTCP);
        Ok(if drops { Given::Count } else { Given::Data })
    }
}
