//! Data that the program only passes on: of a file that is mapped, but whose pages are not there, it is
//! known without them.

use alloc::vec::Vec;

use crate::{AppSlice, Fault, hooks::hooks};

impl AppSlice {
    /// What the range shows, if no page is needed for that.
    pub(crate) fn mapped(self) -> Option<Vec<u8>> {
        (hooks().mapped)(self).filter(|bytes| bytes.len() as u64 == self.len())
    }

    /// As [`Self::read_bytes`], of what the program passes on.
    ///
    /// # Errors
    ///
    /// As [`Self::read_bytes`].
    pub fn read_data(self, bytes: &mut [u8]) -> Result<(), Fault> {
        let known = self.first(bytes.len() as u64).mapped();
        match known.filter(|known| known.len() == bytes.len()) {
            Some(known) => bytes.copy_from_slice(&known),
            None => self.read_bytes(bytes)?,
        }
        Ok(())
    }
}
