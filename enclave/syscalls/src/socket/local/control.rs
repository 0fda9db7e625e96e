//! Control data of messages between sockets inside: files are handed over as they are.

use alloc::vec::Vec;

use enclave_files::table;
use enclave_hostcalls::Errno;

use super::{
    super::{
        SOL_SOCKET,
        control::{HEADER, RIGHTS, part},
    },
    pair::With,
};
use crate::{args, ids, process::process};

const SCM_CREDENTIALS: u64 = 2;
/// Level and type of control data that tells the sender, as one word.
const CREDENTIALS: u64 = SCM_CREDENTIALS << 32 | SOL_SOCKET;
/// Most files in one message (`SCM_MAX_FD`).
const MAX_FILES: usize = 253;

/// What control data of the program says.
pub(super) fn outgoing(bytes: &[u8]) -> Result<With, Errno> {
    let mut with = With::own();
    let mut at = 0;
    while bytes.len().saturating_sub(at) >= HEADER {
        let part = part(bytes, at).ok_or(Errno::EINVAL)?;
        let data = &bytes[part.start..part.end];
        match part.kind {
            RIGHTS => {
                for fd in data.as_chunks::<4>().0 {
                    with.files.push(args::file(u32::from_le_bytes(*fd).into())?);
                }
            }
            CREDENTIALS => with.sender = sender(data)?,
            // Messages of another level are another protocol's.
            kind if kind & 0xffff_ffff != SOL_SOCKET => {}
            _ => return Err(Errno::EINVAL),
        }
        at = part.end.next_multiple_of(8);
    }
    if with.files.len() > MAX_FILES { Err(Errno::EINVAL) } else { Ok(with) }
}

/// The sender that a program claims to be: itself, unless it is privileged.
fn sender(data: &[u8]) -> Result<[u32; 3], Errno> {
    let (words, rest) = data.as_chunks::<4>();
    let (&[process_id, user, group], []) = (words, rest) else { return Err(Errno::EINVAL) };
    let [process_id, user, group] = [process_id, user, group].map(u32::from_le_bytes);
    let own = process_id == process().pid && ids::may_claim(user, group);
    if own || ids::is_privileged() { Ok([process_id, user, group]) } else { Err(Errno::EPERM) }
}

/// Control data for the program.
pub(super) struct Incoming {
    pub(super) bytes: Vec<u8>,
    /// Some of it did not fit (`MSG_CTRUNC`).
    pub(super) truncated: bool,
}

/// Gives the files numbers, and tells the sender if that is wanted, in at most `room` bytes.
pub(super) fn incoming(with: With, room: usize, tell: bool, close_on_exec: bool) -> Incoming {
    let mut result = Incoming { bytes: Vec::new(), truncated: false };
    if tell {
        let data: Vec<u8> = with.sender.iter().flat_map(|word| word.to_le_bytes()).collect();
        result.add(CREDENTIALS, &data, room);
    }
    let free = room.saturating_sub(result.bytes.len());
    let fit = with.files.len().min(free.saturating_sub(HEADER) / 4);
    let mut numbers = Vec::new();
    for file in with.files.iter().take(fit) {
        let Ok(number) = table().insert(file.clone(), close_on_exec) else { break };
        numbers.extend_from_slice(&u32::try_from(number).unwrap_or(0).to_le_bytes());
    }
    result.truncated |= numbers.len() < 4 * with.files.len();
    if !numbers.is_empty() {
        result.add(RIGHTS, &numbers, room);
    }
    result
}

impl Incoming {
    fn add(&mut self, kind: u64, data: &[u8], room: usize) {
        let len = HEADER + data.len();
        if len > room.saturating_sub(self.bytes.len()) {
            self.truncated = true;
            return;
        }
        self.bytes.extend_from_slice(&(len as u64).to_le_bytes());
        self.bytes.extend_from_slice(&kind.to_le_bytes());
        self.bytes.extend_from_slice(data);
        let padded = self.bytes.len().next_multiple_of(8).min(room);
        self.bytes.resize(padded, 0);
    }
}
