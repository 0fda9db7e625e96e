//! The program's memory: allegations until used, copied by routines that survive a fault.

use core::marker::PhantomData;

use alloc::vec::Vec;

use hostcall_abi::layout::{PAGE, USER_BASE, USER_END};
use zerocopy::{FromBytes, IntoBytes};

use crate::{
    copies::{scone_cas_u32, scone_copy_bytes, scone_load_u32, scone_store_u32, scone_zero_bytes},
    missing::{Missing, settle, with_pages},
};

/// The program has no right to an address it passed (EFAULT).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

/// Why a string of the program could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CStrError {
    /// It is not readable (EFAULT).
    Fault,
    /// It has no NUL within the limit (ENAMETOOLONG, E2BIG).
    TooLong,
}

/// Largest piece copied in one go, as long as nothing faults.
const PIECE: u64 = 64 * 1024;

/// A 64-bit number as the index type of this 64-bit machine.
#[expect(clippy::cast_possible_truncation, reason = "the enclave is 64-bit only, see the assert")]
#[must_use]
pub const fn to_usize(value: u64) -> usize {
    const { assert!(size_of::<usize>() == size_of::<u64>()) }
    value as usize
}

pub(crate) const fn in_program(address: u64) -> bool {
    address >= USER_BASE && address < USER_END
}

/// A range of the program's memory, inside of its area, not yet known to be accessible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppSlice {
    address: u64,
    len: u64,
}

impl AppSlice {
    /// Checks that the range is inside of the program's area. An empty range may be anywhere.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it is not.
    pub const fn new(address: u64, len: u64) -> Result<Self, Fault> {
        if len == 0 {
            return Ok(Self { address: USER_BASE, len });
        }
        if !in_program(address) || len > USER_END - address {
            return Err(Fault);
        }
        Ok(Self { address, len })
    }

    /// Address of the first byte.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.address
    }

    /// Length in bytes.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.len
    }

    /// Whether the range is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The part of `len` bytes from `offset`.
    ///
    /// # Panics
    ///
    /// If it is not inside of this range.
    #[must_use]
    pub fn part(self, offset: u64, len: u64) -> Self {
        assert!(offset <= self.len && len <= self.len - offset);
        Self { address: self.address + offset, len }
    }

    /// The first `len` bytes, or all if there are fewer.
    #[must_use]
    pub fn first(self, len: u64) -> Self {
        Self { len: self.len.min(len), ..self }
    }

    /// Copies the start of the range into `bytes`.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it is not readable or shorter than `bytes`.
    pub fn read_bytes(self, bytes: &mut [u8]) -> Result<(), Fault> {
        self.copy_with(0, bytes.len() as u64, |_, done, count| {
            self.read_present(done, &mut bytes[to_usize(done)..to_usize(done + count)])
        })
    }

    /// Copies `bytes` to the start of the range.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it is not writable or shorter than `bytes`.
    pub fn write_bytes(self, bytes: &[u8]) -> Result<(), Fault> {
        self.copy_with(0, bytes.len() as u64, |_, done, count| {
            self.write_present(done, &bytes[to_usize(done)..to_usize(done + count)])
        })
    }

    /// Copies from `offset` of the range into `bytes`, but brings no page in: for use in
    /// [`with_pages`], where a lock may be held.
    ///
    /// # Errors
    ///
    /// [`Missing`] if a page is not there; some bytes may have been copied.
    pub fn read_present(self, offset: u64, bytes: &mut [u8]) -> Result<(), Missing> {
        let len = bytes.len() as u64;
        if offset > self.len || len > self.len - offset {
            return Err(Missing::NEVER);
        }
        let target = bytes.as_mut_ptr() as u64;
        // SAFETY: the target is the caller's exclusive slice; the source is in the program's area
        // (never a Rust object), and a fault makes the routine return.
        unsafe { scone_copy_bytes(target, self.address + offset, len) }.done()
    }

    /// Copies `bytes` to `offset` of the range, but brings no page in: as [`Self::read_present`].
    ///
    /// # Errors
    ///
    /// [`Missing`] if a page is not there; some bytes may have been copied.
    pub fn write_present(self, offset: u64, bytes: &[u8]) -> Result<(), Missing> {
        let len = bytes.len() as u64;
        if offset > self.len || len > self.len - offset {
            return Err(Missing::NEVER);
        }
        let source = bytes.as_ptr() as u64;
        // SAFETY: as for `read_present`, the other way round.
        unsafe { scone_copy_bytes(self.address + offset, source, len) }.done()
    }

    /// Fills the range with zeros.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it is not writable.
    pub fn zero(self) -> Result<(), Fault> {
        self.copy_with(0, self.len, |app, _, count| {
            // SAFETY: the program's area holds no Rust object; a fault makes the routine return.
            unsafe { scone_zero_bytes(app, 0, count) }.done()
        })
    }

    /// Copies from one place of the program to another, as memmove if they do not overlap.
    ///
    /// # Errors
    ///
    /// [`Fault`] if one is not accessible or `source` is longer.
    pub fn copy_from(self, source: Self) -> Result<(), Fault> {
        if source.len > self.len {
            return Err(Fault);
        }
        self.copy_with(0, source.len, |app, done, count| {
            // SAFETY: both are in the program's area; a fault makes the routine return.
            unsafe { scone_copy_bytes(app, source.address + done, count) }.done()
        })
    }

    /// Reads the whole range.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it is not readable.
    pub fn to_vec(self) -> Result<Vec<u8>, Fault> {
        let mut bytes = alloc::vec![0; to_usize(self.len)];
        self.read_bytes(&mut bytes)?;
        Ok(bytes)
    }

    /// Calls `copy(address in the program, bytes done, bytes to do)` for pieces of the range: of a piece
    /// that lacks a page, for each page alone. Pieces but for the last are multiples of 8 bytes.
    pub(crate) fn copy_with(
        self,
        from: u64,
        to: u64,
        mut copy: impl FnMut(u64, u64, u64) -> Result<(), Missing>,
    ) -> Result<(), Fault> {
        let mut done = from;
        while done < to {
            let end = to.min(done + PIECE);
            if copy(self.address + done, done, end - done).is_ok() {
                done = end;
            }
            while done < end {
                let address = self.address + done;
                let count = (PAGE - address % PAGE).next_multiple_of(8).min(end - done);
                with_pages(|| copy(address, done, count))?;
                done += count;
            }
        }
        Ok(())
    }
}

/// Address of a `T` in the program, not yet checked.
#[derive(Debug)]
pub struct AppPtr<T> {
    address: u64,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for AppPtr<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for AppPtr<T> {}

impl<T> AppPtr<T> {
    /// Takes an address as the program passed it.
    #[must_use]
    pub const fn new(address: u64) -> Self {
        Self { address, of: PhantomData }
    }

    /// The address.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.address
    }

    /// Whether it is the null pointer.
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.address == 0
    }

    /// The pointer `index` elements further.
    #[must_use]
    pub const fn at(self, index: u64) -> Self {
        Self::new(self.address.wrapping_add(index.wrapping_mul(size_of::<T>() as u64)))
    }
}

impl<T: FromBytes + IntoBytes> AppPtr<T> {
    /// Reads the value.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it is not readable.
    pub fn read(self) -> Result<T, Fault> {
        let mut value = T::new_zeroed();
        AppSlice::new(self.address, size_of::<T>() as u64)?.read_bytes(value.as_mut_bytes())?;
        Ok(value)
    }

    /// Writes the value.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it is not writable.
    pub fn write(self, value: &T) -> Result<(), Fault>
    where
        T: zerocopy::Immutable,
    {
        AppSlice::new(self.address, size_of::<T>() as u64)?.write_bytes(value.as_bytes())
    }
}

impl AppPtr<u8> {
    /// Reads a NUL-terminated string of at most `limit` bytes (the NUL not counted), without the
    /// NUL.
    ///
    /// # Errors
    ///
    /// [`CStrError::Fault`] or [`CStrError::TooLong`].
    pub fn read_cstr(self, limit: usize) -> Result<Vec<u8>, CStrError> {
        let mut bytes = Vec::new();
        let mut address = self.address;
        loop {
            // Never past the end of the page: what follows may not be mapped.
            let step = 256.min(4096 - address % 4096);
            let mut piece = [0; 256];
            let piece = &mut piece[..to_usize(step)];
            AppSlice::new(address, step)
                .and_then(|slice| slice.read_bytes(piece))
                .map_err(|Fault| CStrError::Fault)?;
            if let Some(end) = piece.iter().position(|&byte| byte == 0) {
                bytes.extend_from_slice(&piece[..end]);
                return if bytes.len() > limit { Err(CStrError::TooLong) } else { Ok(bytes) };
            }
            bytes.extend_from_slice(piece);
            if bytes.len() > limit {
                return Err(CStrError::TooLong);
            }
            address += step;
        }
    }
}

impl AppPtr<u32> {
    fn aligned(self) -> Result<u64, Fault> {
        AppSlice::new(self.address, 4)?;
        if self.address.is_multiple_of(4) { Ok(self.address) } else { Err(Fault) }
    }

    /// Reads a futex word atomically; it must be aligned.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it is not aligned or not readable.
    pub fn load(self) -> Result<u32, Fault> {
        let address = self.aligned()?;
        // SAFETY: an aligned word in the program's area; a fault makes the routine return.
        settle(|| unsafe { scone_load_u32(address) }).map(low)
    }

    /// Writes a futex word atomically; it must be aligned.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it is not aligned or not writable.
    pub fn store(self, value: u32) -> Result<(), Fault> {
        let address = self.aligned()?;
        // SAFETY: as for `load`.
        settle(|| unsafe { scone_store_u32(address, value.into()) }).map(|_| ())
    }

    /// Replaces `expected` by `new` atomically and returns the value that was there.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it is not aligned or not writable.
    pub fn compare_exchange(self, expected: u32, new: u32) -> Result<u32, Fault> {
        let address = self.aligned()?;
        // SAFETY: as for `load`.
        settle(|| unsafe { scone_cas_u32(address, expected.into(), new.into()) }).map(low)
    }
}

/// The low half of a word.
#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
const fn low(value: u64) -> u32 {
    value as u32
}
