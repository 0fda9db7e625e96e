//! sendmsg(2) and sendmmsg(2).

use alloc::{sync::Arc, vec::Vec};

use enclave_core::{AppPtr, AppSlice, HostSlice};
use enclave_files::OpenFile;
use enclave_hostcalls::{Call, Errno, misbehaved};
use enclave_threads::check_events;

use super::{
    BATCH, PIECE, Socket, address, control, local,
    message::{self, ENTRY, HEADER, Message, word},
    msg,
};
use crate::{
    Sys,
    args::{self, uint},
    wait::interrupted,
};

const SENDMSG: u64 = 46;
const SENDMMSG: u64 = 307;

pub(crate) fn sendmsg(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, message, flags, ..] = sys.args;
    let file = args::file(fd)?;
    if let Some(socket) = local::of(&file) {
        return local::sendmsg(&file, socket, sys.args);
    }
    let socket = Socket::new(file)?;
    let (message, flags) = (Message::read(message)?, uint(flags));
    if message.name[0] != 0 || message.control[0] != 0 {
        socket.before_sending(flags)?;
        return send(&socket, message, flags);
    }
    let buffers = message.buffers.clone();
    socket.send(&buffers, flags, || send(&socket, message, flags))
}

fn send(socket: &Socket, message: Message, flags: u64) -> Result<u64, Errno> {
    let len = message.len();
    if len <= PIECE {
        let message = Outgoing::new(message)?;
        let sent = send_piece(socket, &message, flags)?;
        return Ok(send_rest(socket, &message.message.buffers, sent, flags));
    }
    if !socket.is_stream()? {
        return Err(Errno::EMSGSIZE);
    }
    let buffers = message.buffers.clone();
    let sent = send_piece(socket, &Outgoing::new(message.cut(0, PIECE))?, flags)?;
    Ok(send_rest(socket, &buffers, sent, flags))
}

/// Sends what follows the first `sent` bytes of a stream.
fn send_rest(socket: &Socket, buffers: &[AppSlice], sent: u64, flags: u64) -> u64 {
    let len = buffers.iter().map(|buffer| buffer.len()).sum();
    socket.send_rest(sent, len, flags, |done| {
        let rest = Message { address: 0, name: [0; 2], buffers: buffers.to_vec(), control: [0; 2] };
        send_piece(socket, &Outgoing::new(rest.cut(done, PIECE))?, flags)
    })
}

fn send_piece(socket: &Socket, message: &Outgoing, flags: u64) -> Result<u64, Errno> {
    let mut call = Call::new(SENDMSG, HEADER + message.room())?;
    let slot = call.room(HEADER);
    message.stage(&mut call, slot)?;
    let (wait, flags) = socket.wait(flags);
    let len = message.message.len();
    call.args([socket.fd, slot.address(), host_flags(flags)]).count(wait, len)
}

/// The host raises no signals: the dispatcher does, if the program wants them.
fn host_flags(flags: u64) -> u64 {
    flags & !msg::ZEROCOPY | msg::NOSIGNAL
}

/// A message whose control data was read and translated.
struct Outgoing {
    message: Message,
    control: Vec<u8>,
    /// What the control data passes on; must live until the host has it.
    _files: Vec<Arc<OpenFile>>,
}

impl Outgoing {
    fn new(message: Message) -> Result<Self, Errno> {
        let [pointer, len] = message.control;
        if len > control::LONGEST {
            return Err(Errno::ENOBUFS);
        }
        let mut control = AppSlice::new(pointer, len)?.to_vec()?;
        let files = control::outgoing(&mut control)?;
        Ok(Self { message, control, _files: files })
    }

    /// Room in a call, without the header.
    fn room(&self) -> u64 {
        let control = (self.control.len() as u64).next_multiple_of(8);
        self.message.room() + self.message.name[1].next_multiple_of(8) + control
    }

    fn stage(&self, call: &mut Call, slot: HostSlice) -> Result<(), Errno> {
        let buffers = self.message.stage_vector(call, slot);
        for (buffer, part) in buffers.iter().zip(&self.message.buffers) {
            buffer.write_app(*part)?;
        }
        let [name, len] = self.message.name;
        if len > 0 {
            let [name, len] = address::stage(call, name, len)?;
            message::set(slot, [word::NAME, word::NAME_LEN], name, len);
        }
        if !self.control.is_empty() {
            let pointer = call.bytes(&self.control);
            let len = self.control.len() as u64;
            message::set(slot, [word::CONTROL, word::CONTROL_LEN], pointer, len);
        }
        Ok(())
    }
}

pub(crate) fn sendmmsg(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, entries, count, flags, ..] = sys.args;
    let file = args::file(fd)?;
    if let Some(socket) = local::of(&file) {
        return local::sendmmsg(&file, socket, sys.args);
    }
    let socket = Socket::new(file)?;
    let flags = uint(flags);
    let count = uint(count).min(super::MAX_MESSAGES);
    let mut done = 0;
    while done < count {
        let entry = |index| entries.wrapping_add((done + index) * ENTRY);
        let sent = send_batch(&socket, entry, (count - done).min(BATCH), flags);
        match sent {
            Ok((sent, wanted)) => {
                done += sent;
                let cut_short = sent < wanted;
                if cut_short && (sent == 0 || socket.never_waits(flags) || interrupted()) {
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

/// Sends at most `count` messages by one call; returns how many were sent, of how many.
fn send_batch(
    socket: &Socket,
    entry: impl Fn(u64) -> u64,
    count: u64,
    flags: u64,
) -> Result<(u64, u64), Errno> {
    let mut batch = Vec::new();
    let mut room = 0;
    for index in 0..count {
        let message = match Message::read(entry(index)) {
            Ok(message) if message.len() > PIECE && batch.is_empty() => {
                let sent = send(socket, message, flags)?;
                write_count(entry(index), sent)?;
                return Ok((1, 1));
            }
            message => message.and_then(Outgoing::new),
        };
        let message = match message {
            // What comes before it is sent.
            Err(_) if !batch.is_empty() => break,
            message => message?,
        };
        room += ENTRY + message.room();
        if room > PIECE && !batch.is_empty() {
            break;
        }
        batch.push(message);
    }
    let room = batch.iter().map(|message| ENTRY + message.room()).sum();
    let mut call = Call::new(SENDMMSG, room)?;
    let slots = call.room(ENTRY * batch.len() as u64);
    let slot = |index| slots.part(ENTRY * index, ENTRY);
    let mut wanted = 0;
    for message in &batch {
        match message.stage(&mut call, slot(wanted)) {
            Err(_) if wanted > 0 => break,
            staged => staged?,
        }
        wanted += 1;
    }
    socket.before_sending(flags)?;
    let (wait, flags) = socket.wait(flags);
    let args = [socket.fd, slots.address(), wanted, host_flags(flags)];
    let sent = call.args(args).count(wait, wanted)?;
    for (index, message) in (0..sent).zip(&batch) {
        let count = slot(index).word(word::COUNT).read();
        if count > message.message.len() {
            misbehaved("the host misbehaved: it sent more than there was");
        }
        write_count(entry(index), count)?;
    }
    Ok((sent, wanted))
}

/// Writes `msg_len` of a `struct mmsghdr` of the program.
pub(super) fn write_count(entry: u64, count: u64) -> Result<(), Errno> {
    let at = entry.wrapping_add(8 * word::COUNT);
    Ok(AppPtr::<u32>::new(at).write(&u32::try_from(count).unwrap_or(u32::MAX))?)
}
