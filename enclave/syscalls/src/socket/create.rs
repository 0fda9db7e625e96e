//! Sockets come to be, get names, and are connected.

use alloc::sync::Arc;

use enclave_core::AppPtr;
use enclave_files::{Cork, HostFd, HostFile, Made, OpenFile, Transport, flag, table};
use enclave_hostcalls::{Call, Errno, Wait, connect_by, has_both_ends, misbehaved};

use super::{Socket, address, family, local};
use crate::{
    Sys,
    args::{self, Arg, forward_zero, uint},
};

mod nr {
    pub(super) const SOCKET: u64 = 41;
    pub(super) const CONNECT: u64 = 42;
    pub(super) const SHUTDOWN: u64 = 48;
    pub(super) const BIND: u64 = 49;
    pub(super) const LISTEN: u64 = 50;
    pub(super) const GETSOCKNAME: u64 = 51;
    pub(super) const GETPEERNAME: u64 = 52;
    pub(super) const SOCKETPAIR: u64 = 53;
    pub(super) const ACCEPT4: u64 = 288;
}

/// `SOCK_CLOEXEC`: descriptors of the host never survive an exec there.
const CLOEXEC: u64 = flag::CLOEXEC;
/// `SOCK_NONBLOCK`.
const NONBLOCK: u64 = flag::NONBLOCK;

/// Two descriptors that the host wrote to one word.
fn adopt_pair(word: u64) -> [HostFd; 2] {
    [word & 0xffff_ffff, word >> 32].map(|fd| match u32::try_from(fd) {
        Ok(fd) if fd <= i32::MAX.unsigned_abs() => HostFd::adopt(fd),
        _ => misbehaved("the host misbehaved: a descriptor that cannot exist"),
    })
}

/// An open file for a socket that the host just made.
fn open(fd: HostFd, flags: u64, made: Option<Made>) -> Arc<OpenFile> {
    let file = HostFile::socket(fd, made, made.and_then(stream));
    OpenFile::new(file, flag::RDWR | flags & NONBLOCK)
}

/// What these arguments of socket(2) make.
fn made(domain: u64, kind: u64, protocol: u64) -> Made {
    const SOCK_PACKET: u64 = 10;
    match (domain, kind & 0xf) {
        // As Linux does, which then has no other name for it.
        (family::INET, SOCK_PACKET) => Made { domain: family::PACKET, kind: SOCK_PACKET, protocol },
        (domain, kind) => Made { domain, kind, protocol },
    }
}

/// Where it goes, if it is a stream whose data the kernel keeps until it is sent.
fn stream(made: Made) -> Option<Transport> {
    const SOCK_STREAM: u64 = 1;
    const IPPROTO_TCP: u64 = 6;
    match (made.domain, made.kind, made.protocol) {
        (family::UNIX, SOCK_STREAM, _) => Some(Transport::Local),
        (family::INET | family::INET6, SOCK_STREAM, 0 | IPPROTO_TCP) => Some(Transport::Tcp),
        _ => None,
    }
}

pub(crate) fn socket(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [domain, kind, protocol] = [0, 1, 2].map(|index: usize| uint(sys.args[index]));
    if domain == family::XDP {
        return Err(Errno::EAFNOSUPPORT);
    }
    let mut call = Call::new(nr::SOCKET, 0)?;
    let fd = call.args([domain, kind | CLOEXEC, protocol]).descriptor(Wait::No)?;
    let file = open(HostFd::adopt(fd), kind, Some(made(domain, kind, protocol)));
    table().insert(file, kind & CLOEXEC != 0)
}

/// A pair of a kind that does not live inside.
fn pair_of_host(domain: u64, kind: u64, protocol: u64) -> Result<[Arc<OpenFile>; 2], Errno> {
    let mut call = Call::new(nr::SOCKETPAIR, 8)?;
    let pair = call.room(8);
    call.args([domain, kind | CLOEXEC, protocol, pair.address()]).zero(Wait::No)?;
    let made = made(domain, kind, protocol);
    Ok(adopt_pair(pair.word(0).read()).map(|fd| open(fd, kind, Some(made))))
}

pub(crate) fn socketpair(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [domain, kind, protocol] = [0, 1, 2].map(|index: usize| uint(sys.args[index]));
    let target = AppPtr::<[u32; 2]>::new(sys.args[3]);
    let files = match local::socketpair(domain, kind, protocol) {
        Some(pair) => pair.map(|end| OpenFile::new(end, flag::RDWR | kind & NONBLOCK)),
        None => pair_of_host(domain, kind, protocol)?,
    };
    let fds = table().insert_pair(files, kind & CLOEXEC != 0)?;
    let written = target.write(&fds.map(|fd| u32::try_from(fd).unwrap_or(0)));
    if written.is_err() {
        table().remove(fds[0])?;
        table().remove(fds[1])?;
    }
    written?;
    Ok(0)
}

pub(crate) fn accept(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    accept_with(sys, 0)
}

pub(crate) fn accept4(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    accept_with(sys, uint(sys.args[3]))
}

fn accept_with(sys: &mut Sys<'_>, flags: u64) -> Result<u64, Errno> {
    let [fd, pointer, len, ..] = sys.args;
    let file = args::file(fd)?;
    if let Some(socket) = local::of(&file) {
        return Err(local::refuse(socket, false));
    }
    let socket = Socket::new(file)?;
    let (wait, _) = socket.wait(0);
    let mut call = Call::new(nr::ACCEPT4, address::Reply::ROOM)?;
    let reply = address::optional(&socket, &mut call, pointer, len)?;
    let [pointer, len] = reply.as_ref().map_or([0; 2], address::Reply::args);
    let fd = call.args([socket.fd, pointer, len, flags | CLOEXEC]).descriptor(wait)?;
    // Adopted first: on an error the connection is closed, as Linux does.
    let fd = HostFd::adopt(fd);
    if socket.stream().is_some() && !has_both_ends() {
        fd.close_later();
    }
    let file = open(fd, flags, socket.made());
    if let Some(reply) = reply {
        reply.collect()?;
    }
    table().insert(file, flags & CLOEXEC != 0)
}

pub(crate) fn bind(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    named(nr::BIND, sys, Some(Wait::No))
}

pub(crate) fn connect(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    named(nr::CONNECT, sys, None)
}

/// A call with a socket and an address.
fn named(number: u64, sys: &mut Sys<'_>, wait: Option<Wait>) -> Result<u64, Errno> {
    let [fd, pointer, len, ..] = sys.args;
    let file = args::file(fd)?;
    if let Some(socket) = local::of(&file) {
        return Err(local::refuse(socket, number == nr::CONNECT));
    }
    let socket = Socket::new(file)?;
    let mut call = Call::new(number, address::LONGEST)?;
    let [pointer, len] = address::stage(&mut call, pointer, len)?;
    let wait = wait.unwrap_or_else(|| socket.wait(0).0);
    call.args([socket.fd, pointer, len]);
    match socket.stream().filter(|_| number == nr::CONNECT) {
        Some(stream) => {
            // It may disconnect, too.
            stream.forget_seen();
            connect_by(|| call.zero(wait))?;
        }
        None => call.zero(wait)?,
    }
    Ok(0)
}

pub(crate) fn listen(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let file = args::file(sys.args[0])?;
    if let Some(socket) = local::of(&file) {
        return Err(local::refuse(socket, false));
    }
    let socket = Socket::new(file)?;
    if let Some(stream) = socket.stream() {
        stream.look_no_more();
        // Those that it accepts take its options over.
        stream.cork().map_or(Ok(()), Cork::always_tell)?;
    }
    forward_zero(nr::LISTEN, [Arg::Int(socket.fd), Arg::Int(uint(sys.args[1]))])
}

pub(crate) fn shutdown(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let file = args::file(sys.args[0])?;
    if let Some(socket) = local::of(&file) {
        return local::shutdown(socket, sys.args[1]);
    }
    let socket = Socket::new(file)?;
    if let Some(stream) = socket.stream() {
        stream.post_no_more();
        // An error that a piece has met is for whoever sends or receives.
        match stream.before_sending(true) {
            Err(Errno::EINTR) => return Err(Errno::EINTR),
            Err(errno) => stream.keep(errno),
            Ok(()) => {}
        }
    }
    forward_zero(nr::SHUTDOWN, [Arg::Int(socket.fd), Arg::Int(uint(sys.args[1]))])
}

pub(crate) fn getsockname(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    name(nr::GETSOCKNAME, sys)
}

pub(crate) fn getpeername(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    name(nr::GETPEERNAME, sys)
}

fn name(number: u64, sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, pointer, len, ..] = sys.args;
    let file = args::file(fd)?;
    if let Some(socket) = local::of(&file) {
        return local::name(socket, number == nr::GETPEERNAME, sys.args);
    }
    let socket = Socket::new(file)?;
    let mut call = Call::new(number, address::Reply::ROOM)?;
    let reply = address::Reply::stage(&socket, &mut call, pointer, len)?;
    let [pointer, len] = reply.args();
    call.args([socket.fd, pointer, len]).zero(Wait::No)?;
    reply.collect()?;
    Ok(0)
}
