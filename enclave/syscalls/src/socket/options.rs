//! setsockopt(2) and getsockopt(2).

use enclave_core::{AppPtr, AppSlice};
use enclave_files::Cork;
use enclave_hostcalls::{Call, Errno, Wait, can_post, flush, misbehaved};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{SOL_SOCKET, Socket, address, local};
use crate::{
    Sys,
    args::{self, uint},
};

const SETSOCKOPT: u64 = 54;
const GETSOCKOPT: u64 = 55;
const SO_ERROR: u64 = 4;

/// Longest value in bytes.
const LONGEST: u64 = 64 << 10;

const IPPROTO_TCP: u64 = 6;
const TCP_CORK: u64 = 3;

/// `struct sock_fprog`: a classic BPF program.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct FilterProgram {
    count: u16,
    pad: [u16; 3],
    filter: u64,
}

/// `struct sock_filter` in bytes, and how many a program has at most.
const INSTRUCTION: u64 = 8;
const MAX_INSTRUCTIONS: u16 = 4096;

/// What an option needs beyond a copy of its value.
enum Shape {
    /// Its value is data.
    Data,
    /// `struct sock_fprog`, with a pointer to instructions.
    Filter,
    /// Its value names memory or descriptors in ways that are not translated.
    Refused,
}

const SOL_IP: u64 = 0;
const SOL_IPV6: u64 = 41;
const SOL_PACKET: u64 = 263;

/// Options by level and name (`linux/socket.h` and the headers of the protocols).
fn shape(level: u64, name: u64) -> Shape {
    const SOL_SCTP: u64 = 132;
    const SOL_RDS: u64 = 276;
    const SOL_XDP: u64 = 283;
    match (level, name) {
        // SO_ATTACH_FILTER, SO_ATTACH_REUSEPORT_CBPF
        (SOL_SOCKET, 26 | 51) => Shape::Filter,
        // SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_EBPF: descriptors. SO_ZEROCOPY: the kernel would read
        // the staging buffer later. SO_PASSPIDFD, SO_PEERPIDFD: descriptors.
        (SOL_SOCKET, 50 | 52 | 60 | 76 | 77) => Shape::Refused,
        // TCP_ZEROCOPY_RECEIVE: maps pages of the kernel.
        (IPPROTO_TCP, 35) => Shape::Refused,
        // Tables of netfilter, with pointers.
        (SOL_IP | SOL_IPV6, 64..=95) => Shape::Refused,
        // PACKET_RX_RING, PACKET_TX_RING (mapped), PACKET_FANOUT_DATA (a pointer)
        (SOL_PACKET, 5 | 13 | 22) => Shape::Refused,
        // SCTP_SOCKOPT_PEELOFF, SCTP_SOCKOPT_PEELOFF_FLAGS (descriptors), SCTP_SOCKOPT_CONNECTX3 (a pointer)
        (SOL_SCTP, 102 | 111 | 122) => Shape::Refused,
        (SOL_RDS | SOL_XDP, _) => Shape::Refused,
        _ => Shape::Data,
    }
}

/// Whether getsockopt(2) may read the value, too: nothing else that is in the program's memory is for the host.
fn is_question(level: u64, name: u64) -> bool {
    const SOL_UDP: u64 = 17;
    const SOL_ICMPV6: u64 = 58;
    const SOL_UDPLITE: u64 = 136;
    const SOL_RAW: u64 = 255;
    const SOL_NETLINK: u64 = 270;
    const SOL_TLS: u64 = 282;
    match level {
        SOL_SOCKET | IPPROTO_TCP | SOL_UDP | SOL_ICMPV6 | SOL_UDPLITE => false,
        SOL_RAW | SOL_NETLINK | SOL_TLS => false,
        // IP_MSFILTER, MCAST_MSFILTER, netfilter
        SOL_IP => matches!(name, 41 | 48 | 64..),
        // IPV6_FLOWLABEL_MGR, MCAST_MSFILTER, netfilter
        SOL_IPV6 => matches!(name, 32 | 48 | 64..),
        // PACKET_HDRLEN
        SOL_PACKET => name == 11,
        _ => true,
    }
}

pub(crate) fn setsockopt(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, level, name, pointer, len, _] = sys.args;
    let file = args::file(fd)?;
    if let Some(socket) = local::of(&file) {
        return local::setsockopt(socket, sys.args);
    }
    let socket = Socket::new(file)?;
    let (level, name, len) = (uint(level), uint(name), address::length(len)?);
    if len > LONGEST {
        return Err(Errno::EINVAL);
    }
    match shape(level, name) {
        Shape::Refused => Err(Errno::ENOPROTOOPT),
        Shape::Filter => set_filter(&socket, name, pointer, len),
        Shape::Data => {
            if let Some(cork) = cork(&socket, level, name).filter(|_| len >= 4) {
                let on = AppPtr::<u32>::new(pointer).read()? != 0;
                if !on && let Some(stream) = socket.stream() {
                    stream.uncork();
                }
                if !cork.set(on) {
                    return Ok(0);
                }
            }
            let mut call = Call::new(SETSOCKOPT, len)?;
            let value = match len {
                0 => 0,
                _ => call.app(AppSlice::new(pointer, len)?)?,
            };
            call.args([socket.fd, level, name, value, len]);
            if always_succeeds(&socket, level, name, len) && can_post() {
                call.post();
            } else {
                call.zero(Wait::No)?;
            }
            limits_changed(&socket, level, name);
            Ok(0)
        }
    }
}

/// Whether the kernel takes the option whatever its value: `TCP_NODELAY`, `TCP_CORK` and `TCP_QUICKACK`.
fn always_succeeds(socket: &Socket, level: u64, name: u64, len: u64) -> bool {
    let tcp = || socket.stream().is_some_and(|stream| stream.is_tcp());
    level == IPPROTO_TCP && matches!(name, 1 | TCP_CORK | 12) && len >= 4 && tcp()
}

/// The cork, if that is the option.
fn cork(socket: &Socket, level: u64, name: u64) -> Option<&Cork> {
    socket.stream()?.cork().filter(|_| (level, name) == (IPPROTO_TCP, TCP_CORK))
}

/// Some options change how much data the kernel takes, or what it gives.
fn limits_changed(socket: &Socket, level: u64, name: u64) {
    const SO_PEEK_OFF: u64 = 42;
    // From TCP_ULP on, options are less common.
    let gives_as_ever = match level {
        SOL_SOCKET => name != SO_PEEK_OFF,
        IPPROTO_TCP => name < 19,
        _ => level < IPPROTO_TCP || level == 41,
    };
    if !gives_as_ever && let Some(stream) = socket.stream() {
        stream.look_no_more();
    }
    const TCP_NOTSENT_LOWAT: u64 = 25;
    let never = (level, name) == (IPPROTO_TCP, TCP_NOTSENT_LOWAT);
    // SO_SNDBUF, SO_SNDBUFFORCE
    if (never || level == SOL_SOCKET && matches!(name, 7 | 32))
        && let Some(stream) = socket.stream()
    {
        stream.forget_room();
        if never {
            stream.post_no_more();
        }
    }
}

fn set_filter(socket: &Socket, name: u64, pointer: u64, len: u64) -> Result<u64, Errno> {
    const BYTES: u64 = size_of::<FilterProgram>() as u64;
    if len != BYTES {
        return Err(Errno::EINVAL);
    }
    let program = AppPtr::<FilterProgram>::new(pointer).read()?;
    if program.count == 0 || program.count > MAX_INSTRUCTIONS {
        return Err(Errno::EINVAL);
    }
    let code = AppSlice::new(program.filter, INSTRUCTION * u64::from(program.count))?;
    let mut call = Call::new(SETSOCKOPT, BYTES + code.len())?;
    let staged = call.room(BYTES);
    let code = call.app(code)?;
    staged.word(0).write(program.count.into());
    staged.word(1).write(code);
    call.args([socket.fd, SOL_SOCKET, name, staged.address(), BYTES]).zero(Wait::No)?;
    Ok(0)
}

pub(crate) fn getsockopt(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, level, name, pointer, len_pointer, _] = sys.args;
    let file = args::file(fd)?;
    if let Some(socket) = local::of(&file) {
        return local::getsockopt(socket, sys.args);
    }
    let socket = Socket::new(file)?;
    let (level, name) = (uint(level), uint(name));
    if !matches!(shape(level, name), Shape::Data) {
        return Err(Errno::ENOPROTOOPT);
    }
    let len_pointer = AppPtr::<u32>::new(len_pointer);
    let room = address::length(len_pointer.read()?.into())?.min(LONGEST);
    let target = AppSlice::new(pointer, room)?;
    if let Some(cork) = cork(&socket, level, name) {
        cork.tell()?;
    }
    if always_succeeds(&socket, level, name, room) {
        // Another thread may have set it.
        flush();
    }
    let words = room.next_multiple_of(8);
    let mut call = Call::new(GETSOCKOPT, words + 8)?;
    let (value, len) = (call.room(words), call.room(8));
    if is_question(level, name) {
        value.write_app(target)?;
    }
    len.word(0).write(room);
    let result = call.args([socket.fd, level, name, value.address(), len.address()]).zero(Wait::No);
    let len = len.word(0).read();
    let is_error = level == SOL_SOCKET && name == SO_ERROR;
    if is_error
        && !value.is_empty()
        && let Some(errno) = socket.stream().and_then(|stream| stream.error())
    {
        value.word(0).write(errno.number().into());
    }
    match result {
        Ok(()) if len > room => {
            misbehaved("the host misbehaved: an option longer than there was room for")
        }
        // Programs do not ask whether they have been told of an error.
        Ok(()) if is_error && len < room.min(4) => {
            misbehaved("the host misbehaved: an option shorter than it is")
        }
        Ok(()) => value.part(0, len).read_app(target.first(len))?,
        // The length says how much room there should be.
        Err(Errno::ERANGE) => {}
        Err(errno) => return Err(errno),
    }
    len_pointer.write(&u32::try_from(len & 0xffff_ffff).unwrap_or(0))?;
    result.map(|()| 0)
}
