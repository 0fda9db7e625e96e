//! Messages: `struct msghdr` of the program, and its copy for the host.

use alloc::vec::Vec;

use enclave_core::{AppPtr, AppSlice, HostSlice, to_usize};
use enclave_hostcalls::{Call, Errno};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{LONGEST_TRANSFER, address};

/// `struct msghdr` in bytes.
pub(super) const HEADER: u64 = 56;
/// `struct mmsghdr` in bytes: a message and, in its last word, the bytes moved.
pub(super) const ENTRY: u64 = 64;
/// Its words.
pub(super) mod word {
    pub(crate) const NAME: u64 = 0;
    pub(crate) const NAME_LEN: u64 = 1;
    pub(crate) const VECTOR: u64 = 2;
    pub(crate) const VECTOR_LEN: u64 = 3;
    pub(crate) const CONTROL: u64 = 4;
    pub(crate) const CONTROL_LEN: u64 = 5;
    pub(crate) const FLAGS: u64 = 6;
    /// Of `struct mmsghdr`.
    pub(crate) const COUNT: u64 = 7;
}

/// `struct iovec`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Vector {
    base: u64,
    len: u64,
}
const VECTOR: u64 = size_of::<Vector>() as u64;
const MAX_VECTORS: u64 = 1024;

/// A message of the program, its vector read.
pub(super) struct Message {
    pub(super) address: u64,
    /// Name and its length; zero if there is none.
    pub(super) name: [u64; 2],
    pub(super) buffers: Vec<AppSlice>,
    /// Control data and its length; zero if there is none.
    pub(super) control: [u64; 2],
}

impl Message {
    pub(super) fn read(address: u64) -> Result<Self, Errno> {
        let words = AppPtr::<[u64; 7]>::new(address).read()?;
        let [name, name_len, vector, count, control, control_len, _] = words;
        let name_len = address::length(name_len)?;
        let pair = |pointer, len| if pointer == 0 || len == 0 { [0; 2] } else { [pointer, len] };
        Ok(Self {
            address,
            name: pair(name, name_len.min(address::LONGEST)),
            buffers: read_vector(vector, count)?,
            control: pair(control, control_len),
        })
    }

    /// Bytes in all buffers.
    pub(super) fn len(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.len()).sum()
    }

    /// Room in a call for the vector and the buffers, in bytes.
    pub(super) fn room(&self) -> u64 {
        let data: u64 = self.buffers.iter().map(|buffer| buffer.len().next_multiple_of(8)).sum();
        VECTOR * self.buffers.len() as u64 + data
    }

    /// Stages the vector and room for what is in it, and writes the message into `slot` without
    /// name and control data; returns the buffers.
    pub(super) fn stage_vector(&self, call: &mut Call, slot: HostSlice) -> Vec<HostSlice> {
        let vector = call.room(VECTOR * self.buffers.len() as u64);
        let stage = |(index, part): (u64, &AppSlice)| {
            let buffer = call.room(part.len());
            vector.word(2 * index).write(buffer.address());
            vector.word(2 * index + 1).write(part.len());
            buffer
        };
        let buffers = (0..).zip(&self.buffers).map(stage).collect();
        for index in 0..slot.len() / 8 {
            slot.word(index).write(0);
        }
        set(slot, [word::VECTOR, word::VECTOR_LEN], vector.address(), self.buffers.len() as u64);
        buffers
    }

    /// The same with only the `limit` bytes behind the first `skip`.
    pub(super) fn cut(mut self, mut skip: u64, mut limit: u64) -> Self {
        let cut = |buffer: &AppSlice| {
            let start = skip.min(buffer.len());
            let part = buffer.part(start, (buffer.len() - start).min(limit));
            skip -= start;
            limit -= part.len();
            part
        };
        let parts = self.buffers.iter().map(cut).filter(|part| !part.is_empty());
        self.buffers = parts.collect();
        self
    }
}

/// Writes a pointer and a length into words of a message.
pub(super) fn set(slot: HostSlice, words: [u64; 2], pointer: u64, len: u64) {
    slot.word(words[0]).write(pointer);
    slot.word(words[1]).write(len);
}

fn read_vector(address: u64, count: u64) -> Result<Vec<AppSlice>, Errno> {
    if count > MAX_VECTORS {
        return Err(Errno::EMSGSIZE);
    }
    let mut vectors = alloc::vec![Vector { base: 0, len: 0 }; to_usize(count)];
    AppSlice::new(address, VECTOR * count)?.read_bytes(vectors.as_mut_bytes())?;
    let mut rest = LONGEST_TRANSFER;
    let buffers = vectors.iter().map(|vector| {
        if vector.len > i64::MAX.unsigned_abs() {
            return Err(Errno::EINVAL);
        }
        let buffer = AppSlice::new(vector.base, vector.len)?.first(rest);
        rest -= buffer.len();
        Ok(buffer)
    });
    buffers.collect()
}
