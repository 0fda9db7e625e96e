//! Data that is to be sent.

use alloc::vec;

use enclave_core::{AppSlice, to_usize};
use enclave_hostcalls::{Call, Errno};

/// What is to be sent.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// Memory of the program.
    App(&'a [AppSlice]),
    /// Memory of the runtime.
    Own(&'a [u8]),
}

impl Data<'_> {
    pub(crate) fn len(self) -> u64 {
        match self {
            Self::App(buffers) => buffers.iter().map(|buffer| buffer.len()).sum(),
            Self::Own(bytes) => bytes.len() as u64,
        }
    }

    /// Copies all of it.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the program cannot read it.
    ///
    /// # Panics
    ///
    /// If `target` is not as long as the data.
    pub(crate) fn read(self, target: &mut [u8]) -> Result<(), Errno> {
        match self {
            Self::App(buffers) => {
                let mut rest = target;
                for buffer in buffers {
                    let (part, behind) = rest.split_at_mut(to_usize(buffer.len()));
                    buffer.read_data(part)?;
                    rest = behind;
                }
            }
            Self::Own(bytes) => target.copy_from_slice(bytes),
        }
        Ok(())
    }

    /// Stages all of it as the next buffer of a call; returns its host address.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the program cannot read it.
    pub(crate) fn stage(self, call: &mut Call) -> Result<u64, Errno> {
        match self {
            Self::App(&[one]) => call.app(one),
            Self::App(_) => {
                let mut all = vec![0; to_usize(self.len())];
                self.read(&mut all)?;
                Ok(call.bytes(&all))
            }
            Self::Own(bytes) => Ok(call.bytes(bytes)),
        }
    }
}
