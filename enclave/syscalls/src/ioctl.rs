//! ioctl(2): requests whose arguments are known, as a table. Others are ENOTTY and counted.

use alloc::{collections::BTreeMap, vec};

use enclave_core::{AppPtr, AppSlice, Mutex, to_usize};
use enclave_files::{HostFd, HostFile, OpenFile, flag, kind, table};
use enclave_hostcalls::{Call, Errno, Wait, misbehaved};

use crate::{
    Sys,
    args::{
        self,
        Arg::{In, InOut, Int, Out},
        at_most, forward, uint, zero,
    },
    coherence, ids, nr, socket,
};

/// What the argument of a request is, with the size of what it points to.
#[derive(Clone, Copy)]
enum Shape {
    /// A number, or nothing.
    Number,
    /// Memory that the host reads.
    Reads(u64),
    /// Memory that the host fills.
    Fills(u64),
    /// Memory that the host reads and changes.
    Changes(u64),
    /// A `struct ifreq`, and how much behind the name the host fills.
    Interface(u64),
    /// A `struct ifreq`, and how much behind the name the host reads.
    SetInterface(u64),
}

use Shape::{Changes, Fills, Interface, Number, Reads, SetInterface};

/// Requests that are forwarded, by number.
#[rustfmt::skip]
static REQUESTS: &[(u64, Shape)] = &[
    (0x0001, Changes(4)),          // FIBMAP
    (0x0002, Fills(4)),            // FIGETBSZ
    (0x125e, Fills(4)),            // BLKROGET
    (0x1260, Fills(8)),            // BLKGETSIZE
    (0x1261, Number),              // BLKFLSBUF
    (0x1268, Fills(4)),            // BLKSSZGET
    (0x1278, Fills(4)),            // BLKIOMIN
    (0x1279, Fills(4)),            // BLKIOOPT
    (0x127b, Fills(4)),            // BLKPBSZGET
    (0x5401, Fills(36)),           // TCGETS
    (0x5402, Reads(36)),           // TCSETS
    (0x5403, Reads(36)),           // TCSETSW
    (0x5404, Reads(36)),           // TCSETSF
    (0x5405, Fills(18)),           // TCGETA
    (0x5406, Reads(18)),           // TCSETA
    (0x5407, Reads(18)),           // TCSETAW
    (0x5408, Reads(18)),           // TCSETAF
    (0x5409, Number),              // TCSBRK
    (0x540a, Number),              // TCXONC
    (0x540b, Number),              // TCFLSH
    (0x540c, Number),              // TIOCEXCL
    (0x540d, Number),              // TIOCNXCL
    (0x540e, Number),              // TIOCSCTTY
    (0x540f, Fills(4)),            // TIOCGPGRP
    (0x5410, Reads(4)),            // TIOCSPGRP
    (0x5411, Fills(4)),            // TIOCOUTQ
    (0x5412, Reads(1)),            // TIOCSTI
    (0x5413, Fills(8)),            // TIOCGWINSZ
    (0x5414, Reads(8)),            // TIOCSWINSZ
    (0x5415, Fills(4)),            // TIOCMGET
    (0x5416, Reads(4)),            // TIOCMBIS
    (0x5417, Reads(4)),            // TIOCMBIC
    (0x5418, Reads(4)),            // TIOCMSET
    (0x541b, Fills(4)),            // FIONREAD
    (0x5420, Reads(4)),            // TIOCPKT
    (0x5421, Reads(4)),            // FIONBIO
    (0x5422, Number),              // TIOCNOTTY
    (0x5423, Reads(4)),            // TIOCSETD
    (0x5424, Fills(4)),            // TIOCGETD
    (0x5425, Number),              // TCSBRKP
    (0x5427, Number),              // TIOCSBRK
    (0x5428, Number),              // TIOCCBRK
    (0x5429, Fills(4)),            // TIOCGSID
    (0x5437, Number),              // TIOCVHANGUP
    (0x5452, Reads(4)),            // FIOASYNC
    (0x5460, Fills(8)),            // FIOQSIZE
    (0x8903, Fills(4)),            // FIOGETOWN
    (0x8904, Fills(4)),            // SIOCGPGRP
    (0x8905, Fills(4)),            // SIOCATMARK
    (0x8906, Fills(16)),           // SIOCGSTAMP
    (0x8907, Fills(16)),           // SIOCGSTAMPNS
    (0x8910, Interface(0)),        // SIOCGIFNAME
    (0x8913, Interface(2)),        // SIOCGIFFLAGS
    (0x8914, SetInterface(2)),     // SIOCSIFFLAGS
    (0x8915, Interface(16)),       // SIOCGIFADDR
    (0x8916, SetInterface(16)),    // SIOCSIFADDR
    (0x8917, Interface(16)),       // SIOCGIFDSTADDR
    (0x8918, SetInterface(16)),    // SIOCSIFDSTADDR
    (0x8919, Interface(16)),       // SIOCGIFBRDADDR
    (0x891b, Interface(16)),       // SIOCGIFNETMASK
    (0x891c, SetInterface(16)),    // SIOCSIFNETMASK
    (0x891d, Interface(4)),        // SIOCGIFMETRIC
    (0x8921, Interface(4)),        // SIOCGIFMTU
    (0x8922, SetInterface(4)),     // SIOCSIFMTU
    (0x8927, Interface(16)),       // SIOCGIFHWADDR
    (0x8933, Interface(4)),        // SIOCGIFINDEX
    (0x8936, SetInterface(16)),    // SIOCDIFADDR
    (0x8942, Interface(4)),        // SIOCGIFTXQLEN
    (0x8970, Interface(21)),       // SIOCGIFMAP
    (0x401c_5820, Reads(28)),      // FS_IOC_FSSETXATTR
    (0x4004_5431, Reads(4)),       // TIOCSPTLCK
    (0x4008_6602, Reads(4)),       // FS_IOC_SETFLAGS
    (0x402c_542b, Reads(44)),      // TCSETS2
    (0x402c_542c, Reads(44)),      // TCSETSW2
    (0x402c_542d, Reads(44)),      // TCSETSF2
    (0x8004_5430, Fills(4)),       // TIOCGPTN
    (0x8004_5432, Fills(4)),       // TIOCGDEV
    (0x8004_5438, Fills(4)),       // TIOCGPKT
    (0x8004_5439, Fills(4)),       // TIOCGPTLCK
    (0x8004_5440, Fills(4)),       // TIOCGEXCL
    (0x8008_1270, Fills(4)),       // BLKBSZGET
    (0x8008_1272, Fills(8)),       // BLKGETSIZE64
    (0x8008_6601, Fills(4)),       // FS_IOC_GETFLAGS
    (0x8008_7601, Fills(4)),       // FS_IOC_GETVERSION
    (0x801c_581f, Fills(28)),      // FS_IOC_FSGETXATTR
    (0x802c_542a, Fills(44)),      // TCGETS2
];

/// Requests that need more than a copy.
mod request {
    pub(super) const FIONBIO: u64 = 0x5421;
    pub(super) const TIOCGPTPEER: u64 = 0x5441;
    pub(super) const FIONCLEX: u64 = 0x5450;
    pub(super) const FIOASYNC: u64 = 0x5452;
    pub(super) const FIOCLEX: u64 = 0x5451;
    pub(super) const FIOSETOWN: u64 = 0x8901;
    pub(super) const SIOCSPGRP: u64 = 0x8902;
    pub(super) const SIOCGIFNAME: u64 = 0x8910;
    pub(super) const SIOCGIFCONF: u64 = 0x8912;
    pub(super) const SIOCSIFADDR: u64 = 0x8916;
    pub(super) const SIOCSIFDSTADDR: u64 = 0x8918;
    pub(super) const SIOCDIFADDR: u64 = 0x8936;
    pub(super) const SIOCETHTOOL: u64 = 0x8946;
    pub(super) const FICLONE: u64 = 0x4004_9409;
    pub(super) const FICLONERANGE: u64 = 0x4020_940d;
    pub(super) const RNDGETENTCNT: u64 = 0x8004_5200;
}

static UNKNOWN: Mutex<BTreeMap<u64, u64>> = Mutex::new(BTreeMap::new());

/// Requests that were refused because they are unknown, and how often; for the report at the end.
pub(crate) fn unknown() -> BTreeMap<u64, u64> {
    UNKNOWN.lock().clone()
}

pub(crate) fn ioctl(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, number, arg, ..] = sys.args;
    let number = uint(number);
    let file = args::file(fd)?;
    if let Some(result) = file.ioctl(&file, number, arg) {
        return result;
    }
    match number {
        request::FIOCLEX | request::FIONCLEX => {
            table().set_close_on_exec(fd, number == request::FIOCLEX)?;
            return Ok(0);
        }
        request::FIONBIO => note_nonblocking(&file, arg)?,
        request::RNDGETENTCNT if file.host().is_none() => {
            AppPtr::new(arg).write(&256_u32)?;
            return Ok(0);
        }
        _ => {}
    }
    let Some(host) = file.host() else {
        return if number == request::FIONBIO { Ok(0) } else { Err(Errno::ENOTTY) };
    };
    if let Some(stream) = file.stream() {
        // It may ask how much there is, or have a signal tell when there is more.
        stream.forget_seen();
        if number == request::FIOASYNC {
            stream.look_no_more();
        }
    }
    let at = REQUESTS.iter().find(|(known, _)| *known == number);
    match (number, at) {
        (request::SIOCSIFADDR | request::SIOCSIFDSTADDR | request::SIOCDIFADDR, _)
            if socket::is_ipv6(&file) =>
        {
            forward_shape(host, number, Reads(IN6_IFREQ), arg)
        }
        (_, Some((_, shape))) => forward_shape(host, number, *shape, arg),
        (request::TIOCGPTPEER, _) => open_peer(host, arg),
        (request::SIOCGIFCONF, _) => interfaces(host, arg),
        (request::FIOSETOWN | request::SIOCSPGRP, _) => set_owner(host, number, arg),
        (request::FICLONE, _) => {
            cloning(&file, arg, |source| zero(call(host, number, Int(source.number()))?))
        }
        (request::FICLONERANGE, _) => clone_range(&file, host, arg),
        // Its argument points to another; many drivers know nothing of it either.
        (request::SIOCETHTOOL, _) if file.stat()?.kind() == kind::SOCKET => Err(Errno::EOPNOTSUPP),
        _ => {
            *UNKNOWN.lock().entry(number).or_default() += 1;
            Err(Errno::ENOTTY)
        }
    }
}

fn call(host: &HostFd, number: u64, arg: args::Arg<'_>) -> Result<u64, Errno> {
    forward(nr::IOCTL, Wait::Maybe, [Int(host.number()), Int(number), arg])
}

fn forward_shape(host: &HostFd, number: u64, shape: Shape, arg: u64) -> Result<u64, Errno> {
    let arg = match shape {
        Number => Int(arg),
        Reads(len) => In(AppSlice::new(arg, len)?),
        Fills(len) => Out(AppSlice::new(arg, len)?),
        Changes(len) => InOut(AppSlice::new(arg, len)?),
        Interface(len) => return interface(host, number, arg, len),
        SetInterface(len) => return set_interface(host, number, arg, len),
    };
    at_most(call(host, number, arg)?, i32::MAX.unsigned_abs().into())
}

/// `struct ifreq` in bytes, and the name at its start.
const IFREQ: u64 = 40;
const IFNAME: u64 = 16;
/// `struct in6_ifreq` in bytes: an address, the length of its prefix, and the index of an interface.
const IN6_IFREQ: u64 = 24;

/// The name in a `struct ifreq` of the program; what is behind its end is nobody's to see.
fn interface_name(request: AppSlice) -> Result<[u8; to_usize(IFREQ)], Errno> {
    let mut bytes = [0; to_usize(IFREQ)];
    let name = &mut bytes[..to_usize(IFNAME)];
    request.first(IFNAME).read_bytes(name)?;
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    name[end..].fill(0);
    Ok(bytes)
}

/// Ends the enclave if the name in a `struct ifreq` of the host has no end.
fn check_interface_name(request: &[u8]) {
    if !request.iter().take(to_usize(IFNAME)).any(|&byte| byte == 0) {
        misbehaved("the host misbehaved: a name of an interface without an end");
    }
}

/// What the host says of an interface: its name for an index, or `filled` bytes for a name. It gets to see
/// nothing else of the `struct ifreq`, which the program need not have set.
fn interface(host: &HostFd, number: u64, arg: u64, filled: u64) -> Result<u64, Errno> {
    let request = AppSlice::new(arg, IFREQ)?;
    let (name, rest) = (request.first(IFNAME), request.part(IFNAME, IFREQ - IFNAME));
    let by_index = number == request::SIOCGIFNAME;
    let bytes = if by_index {
        let mut bytes = [0; to_usize(IFREQ)];
        rest.first(4).read_bytes(&mut bytes[to_usize(IFNAME)..][..4])?;
        bytes
    } else {
        interface_name(request)?
    };
    let mut staged = Call::new(nr::IOCTL, IFREQ)?;
    let buffer = staged.room(IFREQ);
    buffer.write_bytes(&bytes);
    staged.args([host.number(), number, buffer.address()]).zero(Wait::No)?;
    if by_index {
        let mut found = [0; to_usize(IFNAME)];
        buffer.part(0, IFNAME).read_bytes(&mut found);
        check_interface_name(&found);
        name.write_bytes(&found)?;
    } else {
        buffer.part(IFNAME, filled).read_app(rest.first(filled))?;
    }
    Ok(0)
}

/// Sets what `used` bytes behind the name of an interface say; the host sees no others.
fn set_interface(host: &HostFd, number: u64, arg: u64, used: u64) -> Result<u64, Errno> {
    let request = AppSlice::new(arg, IFREQ)?;
    let mut bytes = interface_name(request)?;
    let value = &mut bytes[to_usize(IFNAME)..][..to_usize(used)];
    request.part(IFNAME, used).read_bytes(value)?;
    let mut staged = Call::new(nr::IOCTL, IFREQ)?;
    let address = staged.bytes(&bytes);
    staged.args([host.number(), number, address]).zero(Wait::No)?;
    Ok(0)
}

/// The runtime has to know which calls may wait.
fn note_nonblocking(file: &OpenFile, arg: u64) -> Result<(), Errno> {
    let on = AppPtr::<u32>::new(arg).read()? != 0;
    file.note_status(flag::NONBLOCK, if on { flag::NONBLOCK } else { 0 });
    Ok(())
}

/// The other end of a pseudo-terminal.
fn open_peer(host: &HostFd, flags: u64) -> Result<u64, Errno> {
    let mut staged = Call::new(nr::IOCTL, 0)?;
    staged.args([host.number(), request::TIOCGPTPEER, flags | flag::CLOEXEC]);
    let fd = HostFd::adopt(staged.descriptor(Wait::No)?);
    let file = OpenFile::new(HostFile::of_kind(fd, kind::CHARACTER), flags);
    table().insert(file, flags & flag::CLOEXEC != 0)
}

/// `struct ifconf`: a length and a pointer to an array of `struct ifreq`.
fn interfaces(host: &HostFd, arg: u64) -> Result<u64, Errno> {
    const LIMIT: u64 = 64 << 10;
    let pointer = AppPtr::<u64>::new(arg);
    let (len, out) = (pointer.read()? & 0xffff_ffff, pointer.at(1).read()?);
    let room = if out == 0 { 0 } else { len.min(LIMIT) };
    let mut staged = Call::new(nr::IOCTL, 16 + room)?;
    let head = staged.room(16);
    let buffer = staged.room(room);
    head.word(0).write(room);
    head.word(1).write(if out == 0 { 0 } else { buffer.address() });
    staged.args([host.number(), request::SIOCGIFCONF, head.address()]).zero(Wait::No)?;
    let filled = head.word(0).read() & 0xffff_ffff;
    if !filled.is_multiple_of(IFREQ) {
        misbehaved("the host misbehaved: a part of an interface");
    }
    if out != 0 {
        at_most(filled, room)?;
        let mut all = vec![0; to_usize(filled)];
        buffer.part(0, filled).read_bytes(&mut all);
        all.chunks(to_usize(IFREQ)).for_each(check_interface_name);
        AppSlice::new(out, filled)?.write_bytes(&all)?;
    }
    let filled = u32::try_from(filled).unwrap_or(0);
    AppPtr::<u32>::new(arg).write(&filled)?;
    Ok(0)
}

/// Who gets the signals of a file.
fn set_owner(host: &HostFd, number: u64, arg: u64) -> Result<u64, Errno> {
    let owner = ids::known_to_host(AppPtr::<u32>::new(arg).read()?);
    let mut staged = Call::new(nr::IOCTL, 4)?;
    let address = staged.bytes(&owner.to_le_bytes());
    staged.args([host.number(), number, address]).zero(Wait::No)?;
    Ok(0)
}

/// Lets `target` have contents of the file behind the descriptor `source`, by `clone`.
fn cloning(
    target: &OpenFile,
    source: u64,
    clone: impl FnOnce(&HostFd) -> Result<u64, Errno>,
) -> Result<u64, Errno> {
    let source = args::file(source)?;
    let host = source.host().ok_or(Errno::EINVAL)?;
    coherence::before_read(&source, None)?;
    coherence::writing(target, None, || clone(host))
}

/// `struct file_clone_range`, whose first word is a descriptor.
fn clone_range(target: &OpenFile, host: &HostFd, arg: u64) -> Result<u64, Errno> {
    let words = AppPtr::<[u64; 4]>::new(arg).read()?;
    cloning(target, words[0], |source| {
        let mut staged = Call::new(nr::IOCTL, 32)?;
        let range = staged.room(32);
        let values = [source.number(), words[1], words[2], words[3]];
        for (index, value) in (0..).zip(values) {
            range.word(index).write(value);
        }
        staged.args([host.number(), request::FICLONERANGE, range.address()]).zero(Wait::No)?;
        Ok(0)
    })
}
