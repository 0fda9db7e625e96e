//! A socket inside as an open file.

use alloc::{format, vec::Vec};

use enclave_core::{AppPtr, to_usize};
use enclave_files::{Io, Object, OpenFile, Stat, WaitQueue, kind};
use enclave_hostcalls::Errno;

use super::{
    LocalSocket,
    pair::{How, With},
};
use crate::ids;

impl Object for LocalSocket {
    fn read(&self, file: &OpenFile, io: &Io<'_>) -> Result<u64, Errno> {
        if io.at.is_some() {
            return Err(Errno::ESPIPE);
        }
        if io.is_empty() {
            return Ok(0);
        }
        let how = How::new(file, 0);
        let drain = |at: usize, part: &[u8]| io.scatter(at, part);
        Ok(self.receive(how, to_usize(io.len()), drain)?.count as u64)
    }

    fn write(&self, file: &OpenFile, io: &Io<'_>) -> Result<u64, Errno> {
        if io.at.is_some() {
            return Err(Errno::ESPIPE);
        }
        let how = How::new(file, 0);
        let fill = |at: usize, part: &mut [u8]| io.gather(at, part);
        Ok(self.send(how, to_usize(io.len()), With::own(), fill)? as u64)
    }

    fn fetch(&self, file: &OpenFile, bytes: &mut [u8], _: Option<u64>) -> Result<usize, Errno> {
        let len = bytes.len();
        let drain = |at: usize, part: &[u8]| {
            bytes[at..at + part.len()].copy_from_slice(part);
            Ok(())
        };
        Ok(self.receive(How::new(file, 0), len, drain)?.count)
    }

    fn store(&self, file: &OpenFile, bytes: &[u8], _: Option<u64>) -> Result<usize, Errno> {
        let fill = |at: usize, part: &mut [u8]| {
            part.copy_from_slice(&bytes[at..at + part.len()]);
            Ok(())
        };
        self.send(How::new(file, 0), bytes.len(), With::own(), fill)
    }

    fn stat(&self) -> Result<Stat, Errno> {
        let [uid, gid] = ids::of_files();
        let stat = Stat::inside(kind::SOCKET | 0o777, self.inode());
        Ok(Stat { uid, gid, ..stat })
    }

    fn ready(&self) -> u32 {
        self.events()
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(self.queue_of_own())
    }

    fn ioctl(&self, _: &OpenFile, request: u64, arg: u64) -> Option<Result<u64, Errno>> {
        const FIONREAD: u64 = 0x541b;
        const TIOCOUTQ: u64 = 0x5411;
        let bytes = match request {
            FIONREAD => self.pending(),
            TIOCOUTQ => self.unsent(),
            _ => return None,
        };
        let written = AppPtr::new(arg).write(&u32::try_from(bytes).unwrap_or(u32::MAX));
        Some(written.map(|()| 0).map_err(Errno::from))
    }

    fn name(&self) -> Vec<u8> {
        format!("socket:[{}]", self.inode()).into_bytes()
    }
}
