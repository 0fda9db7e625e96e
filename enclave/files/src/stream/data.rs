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
    pub(super) fn len(self) -> u64 {
        match self {
            Self::App(buffers) => buffers.iter().map(|buffer| buffer.len()).sum(),
            Self::Own(bytes) => bytes.len() as u64,
        }
    }

    pub(super) fn stage(self, call: &mut Call) -> Result<u64, Errno> {
        match self {
            Self::App(&[one]) => call.app(one),
            Self::App(many) => {
                let mut all = vec![0; to_usize(self.len())];
                let mut rest = all.as_mut_slice();
                for buffer in many {
                    let (part, behind) = rest.split_at_mut(to_usize(buffer.len()));
                    buffer.read_data(part)?;
                    rest = behind;
                }
                Ok(call.bytes(&all))
            }
            Self::Own(bytes) => Ok(call.bytes(bytes)),
        }
    }
}
