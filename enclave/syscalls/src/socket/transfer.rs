//! sendto(2) and recvfrom(2): the hot path of servers.

use enclave_core::AppSlice;
use enclave_hostcalls::{Call, Errno, Wait};

use super::{LONGEST_TRANSFER, PIECE, Socket, address, local, msg};
use crate::{
    Sys,
    args::{self, uint},
    wait::interrupted,
};

const SENDTO: u64 = 44;
const RECVFROM: u64 = 45;

pub(crate) fn sendto(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, buffer, len, flags, pointer, address_len] = sys.args;
    let file = args::file(fd)?;
    if let Some(socket) = local::of(&file) {
        return local::sendto(&file, socket, sys.args);
    }
    let socket = Socket::new(file)?;
    let flags = uint(flags) & !msg::ZEROCOPY;
    let data = AppSlice::new(buffer, len.min(LONGEST_TRANSFER))?;
    let name = (pointer != 0).then_some([pointer, address_len]);
    if name.is_none() {
        return socket.send(&[data], flags, || send_all(&socket, data, flags, name));
    }
    socket.before_sending(flags)?;
    send_all(&socket, data, flags, name)
}

fn send_all(
    socket: &Socket,
    data: AppSlice,
    flags: u64,
    name: Option<[u64; 2]>,
) -> Result<u64, Errno> {
    let first = data.first(data.len().min(PIECE));
    if first.len() < data.len() && !socket.is_stream()? {
        return Err(Errno::EMSGSIZE);
    }
    let sent = send(socket, first, flags, name)?;
    Ok(socket.send_rest(sent, data.len(), flags, |done| {
        send(socket, data.part(done, (data.len() - done).min(PIECE)), flags, None)
    }))
}

fn send(socket: &Socket, data: AppSlice, flags: u64, name: Option<[u64; 2]>) -> Result<u64, Errno> {
    let (wait, flags) = socket.wait(flags);
    let name_room = if name.is_some() { address::LONGEST } else { 0 };
    let mut call = Call::new(SENDTO, data.len().next_multiple_of(8) + name_room)?;
    let buffer = call.app(data)?;
    let [pointer, len] = match name {
        Some([pointer, len]) => address::stage(&mut call, pointer, len)?,
        None => [0; 2],
    };
    call.args([socket.fd, buffer, data.len(), flags | msg::NOSIGNAL, pointer, len]);
    call.count(wait, data.len())
}

pub(crate) fn recvfrom(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, buffer, len, flags, pointer, len_pointer] = sys.args;
    let file = args::file(fd)?;
    if let Some(socket) = local::of(&file) {
        return local::recvfrom(&file, socket, sys.args);
    }
    let socket = Socket::new(file)?;
    let flags = uint(flags);
    let target = AppSlice::new(buffer, len.min(LONGEST_TRANSFER))?;
    let plain = pointer == 0 && flags & !(msg::DONTWAIT | msg::NOSIGNAL) == 0;
    socket.receive(plain.then_some(&[target][..]), flags, || {
        receive(&socket, target, flags, [pointer, len_pointer])
    })
}

fn receive(
    socket: &Socket,
    target: AppSlice,
    flags: u64,
    [pointer, len_pointer]: [u64; 2],
) -> Result<u64, Errno> {
    let given = socket.given(flags)?;
    let (wait, flags) = socket.wait(flags);
    let room = target.len().min(PIECE);
    let name_room = if pointer == 0 { 0 } else { address::Reply::ROOM };
    let mut call = Call::new(RECVFROM, room.next_multiple_of(8) + name_room)?;
    let staged = call.room(room);
    let reply = address::optional(socket, &mut call, pointer, len_pointer)?;
    let [pointer, len] = reply.as_ref().map_or([0; 2], address::Reply::args);
    call.args([socket.fd, staged.address(), room, flags, pointer, len]);
    let count = call.count(wait, given.limit(room))?;
    let bytes = given.bytes(count, room);
    staged.part(0, bytes).read_app(target.first(bytes))?;
    let all = flags & (msg::WAITALL | msg::DONTWAIT | msg::PEEK | msg::TRUNC) == msg::WAITALL;
    if all && count > 0 && count < target.len() && socket.is_stream()? {
        return finish(receive_rest(socket, target, count, flags), reply);
    }
    finish(count, reply)
}

fn finish(count: u64, reply: Option<address::Reply>) -> Result<u64, Errno> {
    if let Some(reply) = reply {
        reply.collect()?;
    }
    Ok(count)
}

/// Goes on with `MSG_WAITALL` on a stream after `done` bytes: until the buffer is full, the stream
/// ends or a signal comes.
fn receive_rest(socket: &Socket, target: AppSlice, mut done: u64, flags: u64) -> u64 {
    while done < target.len() && !interrupted() {
        let room = (target.len() - done).min(PIECE);
        let Ok(mut call) = Call::new(RECVFROM, room) else { break };
        let staged = call.room(room);
        match call.args([socket.fd, staged.address(), room, flags]).count(Wait::Maybe, room) {
            Ok(count) if count > 0 => {
                if staged.part(0, count).read_app(target.part(done, count)).is_err() {
                    break;
                }
                done += count;
            }
            Err(Errno::EINTR) => enclave_threads::check_events(),
            _ => break,
        }
    }
    done
}
