//! Devices that need no host: `/dev/null`, `/dev/zero`, `/dev/full`, `/dev/random`, `/dev/urandom`.

use alloc::{sync::Arc, vec::Vec};

use enclave_core::{AppSlice, fill_random};
use enclave_hostcalls::Errno;
use enclave_threads::interrupted;

use crate::{Io, Object, OpenFile, Stat, kind};

/// A device of the runtime's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// Reads nothing, swallows everything.
    Null,
    /// Reads zeros, swallows everything.
    Zero,
    /// Reads zeros, takes nothing.
    Full,
    /// Reads random bytes of the processor, swallows everything.
    Random,
    /// As [`Self::Random`], under the other name.
    Urandom,
}

impl Device {
    /// The device with this path, if it is one.
    #[must_use]
    pub fn find(path: &[u8]) -> Option<Self> {
        let all = [Self::Null, Self::Zero, Self::Full, Self::Random, Self::Urandom];
        all.into_iter().find(|device| device.path() == path)
    }

    const fn path(self) -> &'static [u8] {
        match self {
            Self::Null => b"/dev/null",
            Self::Zero => b"/dev/zero",
            Self::Full => b"/dev/full",
            Self::Random => b"/dev/random",
            Self::Urandom => b"/dev/urandom",
        }
    }

    fn fill(self, buffer: AppSlice) -> Result<(), Errno> {
        match self {
            Self::Random | Self::Urandom => randomize(buffer),
            _ => Ok(buffer.zero()?),
        }
    }

    /// Minor number; the major number is 1.
    const fn minor(self) -> u64 {
        match self {
            Self::Null => 3,
            Self::Zero => 5,
            Self::Full => 7,
            Self::Random => 8,
            Self::Urandom => 9,
        }
    }
}

const PAGE: u64 = 4096;

/// Fills memory of the program with random bytes.
fn randomize(buffer: AppSlice) -> Result<(), Errno> {
    let mut bytes = [0; 256];
    let mut done = 0;
    while done < buffer.len() {
        let len = (buffer.len() - done).min(bytes.len() as u64);
        let piece = &mut bytes[..enclave_core::to_usize(len)];
        fill_random(piece);
        buffer.part(done, len).write_bytes(piece)?;
        done += len;
    }
    Ok(())
}

impl Object for Device {
    fn read(&self, _: &OpenFile, io: &Io<'_>) -> Result<u64, Errno> {
        if *self == Self::Null {
            return Ok(0);
        }
        let mut done = 0;
        for buffer in io.buffers {
            let mut at = 0;
            while at < buffer.len() {
                // All that can be written is.
                let in_page = PAGE - (buffer.address() + at) % PAGE;
                let piece =
                    buffer.part(at, (buffer.len() - at).min(in_page).min(PAGE - done % PAGE));
                match self.fill(piece) {
                    Err(_) if done > 0 => return Ok(done),
                    filled => filled?,
                }
                (at, done) = (at + piece.len(), done + piece.len());
                // It may be very much: as on Linux, a signal waits for a page of it, not for all (random(4)).
                if done.is_multiple_of(PAGE) && interrupted() {
                    return Ok(done);
                }
            }
        }
        Ok(done)
    }

    fn write(&self, _: &OpenFile, io: &Io<'_>) -> Result<u64, Errno> {
        if *self == Self::Full && !io.is_empty() { Err(Errno::ENOSPC) } else { Ok(io.len()) }
    }

    fn fetch(&self, _: &OpenFile, bytes: &mut [u8], _: Option<u64>) -> Result<usize, Errno> {
        match self {
            Self::Null => return Ok(0),
            Self::Random | Self::Urandom => fill_random(bytes),
            Self::Zero | Self::Full => bytes.fill(0),
        }
        Ok(bytes.len())
    }

    fn store(&self, _: &OpenFile, bytes: &[u8], _: Option<u64>) -> Result<usize, Errno> {
        if *self == Self::Full && !bytes.is_empty() { Err(Errno::ENOSPC) } else { Ok(bytes.len()) }
    }

    fn seek(&self, _: u64, _: u64) -> Result<u64, Errno> {
        Ok(0)
    }

    fn stat(&self) -> Result<Stat, Errno> {
        let rdev = 1 << 8 | self.minor();
        Ok(Stat { rdev, ..Stat::inside(kind::CHARACTER | 0o666, self.minor()) })
    }

    fn reopen(&self, flags: u64) -> Result<Arc<OpenFile>, Errno> {
        Ok(OpenFile::new(*self, flags))
    }

    fn name(&self) -> Vec<u8> {
        self.path().to_vec()
    }
}
