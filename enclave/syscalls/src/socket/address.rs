//! Socket addresses.

use enclave_core::{AppPtr, AppSlice, HostSlice};
use enclave_hostcalls::{Call, Errno, misbehaved};

use super::{Socket, family};
use crate::args::int;

/// `struct sockaddr_storage` in bytes: no address is longer.
pub(super) const LONGEST: u64 = 128;

/// Stages an address of the program; returns its address for the host and its length.
pub(super) fn stage(call: &mut Call, pointer: u64, len: u64) -> Result<[u64; 2], Errno> {
    let len = length(len)?;
    if len > LONGEST {
        return Err(Errno::EINVAL);
    }
    Ok([call.app(AppSlice::new(pointer, len)?)?, len])
}

/// A length as the program passes it: an `int` that is not negative.
pub(super) fn length(len: u64) -> Result<u64, Errno> {
    u64::try_from(int(len)).map_err(|_| Errno::EINVAL)
}

/// The longest address that a socket gives, if its family is known.
#[derive(Clone, Copy)]
pub(super) struct Longest(Option<u64>);

impl Longest {
    pub(super) fn of(socket: &Socket) -> Self {
        const IPPROTO_L2TP: u64 = 115;
        Self(socket.made().and_then(|made| match (made.domain, made.protocol) {
            // A path as long as can be, and the NUL that Linux adds.
            (family::UNIX, _) => Some(111),
            (family::INET, _) => Some(16),
            // With the number of a connection.
            (family::INET6, IPPROTO_L2TP) => Some(32),
            (family::INET6, _) => Some(28),
            (family::NETLINK, _) => Some(12),
            // `struct sockaddr_ll` with a hardware address of Infiniband.
            (family::PACKET, _) => Some(32),
            _ => None,
        }))
    }

    /// Checks the length of an address that the host claims. Returns what the program, which has `room` for it,
    /// is told: it will take so many bytes for the address, so it must have them if nothing else is known.
    pub(super) fn checked(self, len: u64, room: u64) -> u64 {
        if len > self.0.unwrap_or(LONGEST) {
            misbehaved("the host misbehaved: a socket address longer than any");
        }
        if self.0.is_some() { len } else { len.min(room) }
    }
}

/// Where the host leaves an address, and where the program wants it.
pub(super) struct Reply {
    target: AppSlice,
    len_pointer: AppPtr<u32>,
    room: HostSlice,
    len: HostSlice,
    longest: Longest,
}

impl Reply {
    /// Room it takes in a call, in bytes.
    pub(super) const ROOM: u64 = LONGEST + 8;

    /// Stages room for an address that goes to `pointer`, where there is room for as many bytes
    /// as the `int` at `len_pointer` says.
    pub(super) fn stage(
        socket: &Socket,
        call: &mut Call,
        pointer: u64,
        len_pointer: u64,
    ) -> Result<Self, Errno> {
        let len_pointer = AppPtr::<u32>::new(len_pointer);
        let target = AppSlice::new(pointer, length(len_pointer.read()?.into())?.min(LONGEST))?;
        let (room, len) = (call.room(LONGEST), call.room(8));
        len.word(0).write(LONGEST);
        Ok(Self { target, len_pointer, room, len, longest: Longest::of(socket) })
    }

    /// The arguments for the host: address and address of the length.
    pub(super) fn args(&self) -> [u64; 2] {
        [self.room.address(), self.len.address()]
    }

    /// Copies the address to the program, as much as it has room for, and its whole length.
    pub(super) fn collect(&self) -> Result<(), Errno> {
        let len = self.longest.checked(self.len.word(0).read(), self.target.len());
        let target = self.target.first(len);
        self.room.part(0, target.len()).read_app(target)?;
        self.len_pointer.write(&u32::try_from(len).unwrap_or(0))?;
        Ok(())
    }
}

/// The same where the program may pass null.
pub(super) fn optional(
    socket: &Socket,
    call: &mut Call,
    pointer: u64,
    len_pointer: u64,
) -> Result<Option<Reply>, Errno> {
    if pointer == 0 {
        return Ok(None);
    }
    Reply::stage(socket, call, pointer, len_pointer).map(Some)
}
