//! `struct sigevent`: how a program wants to be told that something has happened.

use enclave_core::AppPtr;
use enclave_hostcalls::Errno;
use enclave_signals::number::is_valid;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// `struct sigevent`, as far as the kernel reads it (sigevent(3type)).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct SigEvent {
    pub(crate) value: u64,
    pub(crate) signal: i32,
    /// One of [`notify`].
    pub(crate) notify: i32,
    pub(crate) thread: u32,
    pub(crate) rest: [u32; 11],
}

/// Ways to be told.
pub(crate) mod notify {
    pub(crate) const SIGNAL: i32 = 0;
    pub(crate) const NONE: i32 = 1;
    pub(crate) const THREAD: i32 = 2;
    pub(crate) const THREAD_ID: i32 = 4;
}

impl SigEvent {
    /// Reads the one at `address`; `None` if that is null.
    pub(crate) fn read(address: u64) -> Result<Option<Self>, Errno> {
        if address == 0 { Ok(None) } else { Ok(Some(AppPtr::new(address).read()?)) }
    }

    /// The signal to send.
    pub(crate) fn signal(&self) -> Result<u32, Errno> {
        u32::try_from(self.signal).ok().filter(|&signal| is_valid(signal)).ok_or(Errno::EINVAL)
    }
}
