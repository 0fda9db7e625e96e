//! recvmsg(2) and recvmmsg(2).

use alloc::vec::Vec;

use enclave_core::{AppPtr, AppSlice, HostSlice};
use enclave_hostcalls::{Call, Errno, misbehaved};
use enclave_threads::{check_events, clock};

use super::{
    BATCH, PIECE, Socket, address, control, local,
    message::{self, ENTRY, HEADER, Message, word},
    msg,
    send::write_count,
};
use crate::{
    Sys,
    args::{self, uint},
    time::{self, Timespec},
    wait::interrupted,
};

const RECVMSG: u64 = 47;
const RECVMMSG: u64 = 299;

pub(crate) fn recvmsg(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, message, flags, ..] = sys.args;
    let file = args::file(fd)?;
    if let Some(socket) = local::of(&file) {
        return local::recvmsg(&file, socket, sys.args);
    }
    let socket = Socket::new(file)?;
    let flags = uint(flags);
    let incoming = Incoming::read(message)?;
    let given = socket.given(flags)?;
    let mut call = Call::new(RECVMSG, HEADER + incoming.room())?;
    let slot = call.room(HEADER);
    let staged = incoming.stage(&mut call, slot);
    let (wait, host) = socket.wait(flags);
    let args = [socket.fd, slot.address(), host | msg::CMSG_CLOEXEC];
    let limit = given.limit(incoming.0.len());
    let count = socket.receive(None, flags, || call.args(args).count(wait, limit))?;
    staged.collect(&socket, &incoming.0, given.bytes(count, limit), flags)?;
    Ok(count)
}

/// A message to be received.
struct Incoming(Message);

impl Incoming {
    fn read(address: u64) -> Result<Self, Errno> {
        Ok(Self(Message::read(address)?.cut(0, PIECE)))
    }

    fn control_room(&self) -> u64 {
        self.0.control[1].min(control::LONGEST)
    }

    /// Room in a call, without the header.
    fn room(&self) -> u64 {
        self.0.room() + address::LONGEST + self.control_room().next_multiple_of(8)
    }

    fn stage(&self, call: &mut Call, slot: HostSlice) -> Staged {
        let buffers = self.0.stage_vector(call, slot);
        let name = call.room(address::LONGEST);
        if self.0.name[0] != 0 {
            let words = [word::NAME, word::NAME_LEN];
            message::set(slot, words, name.address(), address::LONGEST);
        }
        let control = call.room(self.control_room());
        if !control.is_empty() {
            let words = [word::CONTROL, word::CONTROL_LEN];
            message::set(slot, words, control.address(), control.len());
        }
        Staged { slot, buffers, name, control }
    }
}

/// Where the host leaves a message.
struct Staged {
    slot: HostSlice,
    buffers: Vec<HostSlice>,
    name: HostSlice,
    control: HostSlice,
}

impl Staged {
    /// Gives the program the message, `count` bytes of it.
    fn collect(
        &self,
        socket: &Socket,
        message: &Message,
        count: u64,
        flags: u64,
    ) -> Result<(), Errno> {
        let received = self.control();
        if let Err(errno) = scatter(&self.buffers, &message.buffers, count) {
            control::refuse(&received);
            return Err(errno);
        }
        let control = control::incoming(&received, flags & msg::CMSG_CLOEXEC != 0);
        let [name, room] = message.name;
        if name != 0 {
            let len = self.slot.word(word::NAME_LEN).read() & 0xffff_ffff;
            let len = address::Longest::of(socket).checked(len, room);
            let target = AppSlice::new(name, len.min(room))?;
            self.name.part(0, target.len()).read_app(target)?;
            write_low(message, word::NAME_LEN, len)?;
        }
        let len = control.bytes.len() as u64;
        AppSlice::new(message.control[0], len)?.write_bytes(&control.bytes)?;
        AppPtr::<u64>::new(message.address + 8 * word::CONTROL_LEN).write(&len)?;
        let mut reply = self.slot.word(word::FLAGS).read() & !msg::CMSG_CLOEXEC;
        reply |= flags & msg::CMSG_CLOEXEC;
        if control.truncated {
            reply |= msg::CTRUNC;
        }
        write_low(message, word::FLAGS, reply)
    }

    /// The control data that came.
    fn control(&self) -> Vec<u8> {
        let len = self.slot.word(word::CONTROL_LEN).read();
        if len > self.control.len() {
            misbehaved("the host misbehaved: more control data than there was room for");
        }
        control::read(self.control, len)
    }
}

/// Writes the low half of a word of the program's message.
fn write_low(message: &Message, word: u64, value: u64) -> Result<(), Errno> {
    let value = u32::try_from(value & 0xffff_ffff).unwrap_or(0);
    Ok(AppPtr::<u32>::new(message.address + 8 * word).write(&value)?)
}

/// Copies the first `count` bytes of the host's buffers to the program's.
fn scatter(buffers: &[HostSlice], parts: &[AppSlice], mut count: u64) -> Result<(), Errno> {
    for (buffer, part) in buffers.iter().zip(parts) {
        let len = part.len().min(count);
        buffer.part(0, len).read_app(part.first(len))?;
        count -= len;
    }
    Ok(())
}

pub(crate) fn recvmmsg(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, entries, count, flags, timeout, _] = sys.args;
    let file = args::file(fd)?;
    if let Some(socket) = local::of(&file) {
        return local::recvmmsg(&file, socket, sys.args);
    }
    let socket = Socket::new(file)?;
    let flags = uint(flags);
    let deadline = match timeout {
        0 => None,
        _ => Some(time::after(time::read_timespec(timeout)?.duration()?)),
    };
    let received = receive_all(&socket, entries, uint(count), flags, deadline)?;
    if let Some(deadline) = deadline {
        let rest = deadline.saturating_sub(clock::monotonic());
        AppPtr::new(timeout).write(&Timespec::new(rest))?;
    }
    Ok(received)
}

fn receive_all(
    socket: &Socket,
    entries: u64,
    count: u64,
    flags: u64,
    deadline: Option<u64>,
) -> Result<u64, Errno> {
    let count = count.min(super::MAX_MESSAGES);
    // Linux looks at the time after each message, so those go one by one.
    let most = if deadline.is_some() { 1 } else { BATCH };
    let mut done = 0;
    while done < count {
        if done > 0 && deadline.is_some_and(|deadline| clock::monotonic() >= deadline) {
            break;
        }
        let later = done > 0 && flags & msg::WAITFORONE != 0;
        let batch_flags = if later { flags | msg::DONTWAIT } else { flags };
        let entry = |index| entries.wrapping_add((done + index) * ENTRY);
        match receive_batch(socket, entry, (count - done).min(most), batch_flags) {
            Ok(batch) => {
                done += batch.received;
                // If it was to wait for all, the host has been interrupted.
                let all = flags & msg::WAITFORONE == 0 && !socket.never_waits(flags);
                let short = batch.received < batch.wanted;
                if batch.failed || short && (!all || interrupted()) {
                    break;
                }
            }
            Err(Errno::EINTR) if done > 0 && !interrupted() => check_events(),
            Err(errno) if done == 0 => return Err(errno),
            Err(_) => break,
        }
    }
    Ok(done)
}

/// What came of messages that were to be received by one call.
struct Batch {
    /// How many the program has.
    received: u64,
    /// How many there was room for.
    wanted: u64,
    /// The next could not be given to the program: it is lost, as on Linux, and with it those behind it, which the
    /// host had received already.
    failed: bool,
}

/// Receives at most `count` messages by one call.
fn receive_batch(
    socket: &Socket,
    entry: impl Fn(u64) -> u64,
    count: u64,
    flags: u64,
) -> Result<Batch, Errno> {
    let mut batch = Vec::new();
    let mut room = 0;
    for index in 0..count {
        let message = match Incoming::read(entry(index)) {
            // What comes before it is received.
            Err(_) if !batch.is_empty() => break,
            message => message?,
        };
        let more = ENTRY + message.room();
        if room + more > PIECE && !batch.is_empty() {
            break;
        }
        room += more;
        batch.push(message);
    }
    let wanted = batch.len() as u64;
    let given = socket.given(flags)?;
    let mut call = Call::new(RECVMMSG, room)?;
    let slots = call.room(ENTRY * wanted);
    let slot = |index| slots.part(ENTRY * index, ENTRY);
    let staged: Vec<Staged> =
        (0..).zip(&batch).map(|(index, message)| message.stage(&mut call, slot(index))).collect();
    let (wait, host) = socket.wait(flags);
    let args = [socket.fd, slots.address(), wanted, host | msg::CMSG_CLOEXEC, 0];
    let received = socket.receive(None, flags, || call.args(args).count(wait, wanted))?;
    let collect = |index, staged: &Staged, message: &Message| {
        let bytes = slot(index).word(word::COUNT).read();
        let limit = given.limit(message.len());
        if bytes > limit {
            misbehaved("the host misbehaved: it returned more than was asked for");
        }
        staged.collect(socket, message, given.bytes(bytes, limit), flags)?;
        write_count(entry(index), bytes)
    };
    let mut came = (0..received).zip(staged.iter().zip(&batch));
    while let Some((index, (staged, message))) = came.next() {
        let Err(errno) = collect(index, staged, &message.0) else { continue };
        // Nobody gets what the others brought.
        came.for_each(|(_, (staged, _))| control::refuse(&staged.control()));
        let batch = Batch { received: index, wanted, failed: true };
        return if index > 0 { Ok(batch) } else { Err(errno) };
    }
    Ok(Batch { received, wanted, failed: false })
}
