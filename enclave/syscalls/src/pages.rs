//! The pages of the program: what `enclave_mm` asks of SGX2 and of the host.

use alloc::vec::Vec;
use core::mem;

use enclave_core::{
    AppSlice, fatal,
    pages::{self, PageBuffer},
    to_usize,
};
use enclave_hostcalls::{Call, Errno, Wait, remove, restrict, trim};
use enclave_mm::{MmError, PAGE_SIZE, PageRange, Pages, Prot};
use sgx_types::SecInfoFlags;

use crate::process::{Backing, Source};

mod nr {
    pub(super) const PWRITE64: u64 = 18;
    pub(super) const FDATASYNC: u64 = 75;
}

/// Largest piece written back by one call.
const PIECE: u64 = 1 << 20;

/// The pages of the enclave.
#[derive(Debug, Default)]
pub(crate) struct EnclavePages {
    /// Where files are read to, for the next as well.
    buffer: PageBuffer,
    supply: Option<Supply>,
}

/// Contents of code that is being mapped: nothing else is read meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Supply {
    pub(crate) buffer: PageBuffer,
    /// The page of the buffer with which `range` begins.
    pub(crate) first: u64,
    /// Where they will be seen; other pages stay absent.
    pub(crate) range: Option<PageRange>,
}

impl EnclavePages {
    /// Takes contents from `supply` from now on instead of reading them; `None` to read them again.
    /// Returns what was given before.
    pub(crate) fn supply(&mut self, supply: Option<Supply>) -> Option<Supply> {
        mem::replace(&mut self.supply, supply)
    }

    /// A buffer of at least `len` bytes, to be given back.
    pub(crate) fn take_buffer(&mut self, len: u64) -> PageBuffer {
        let mut buffer = mem::take(&mut self.buffer);
        buffer.grow(len);
        buffer
    }

    pub(crate) fn give_buffer(&mut self, buffer: PageBuffer) {
        self.buffer = buffer;
    }
}

fn flags(prot: Prot) -> SecInfoFlags {
    let mut flags = SecInfoFlags::empty();
    flags.set(SecInfoFlags::R, prot.contains(Prot::READ));
    flags.set(SecInfoFlags::W, prot.contains(Prot::WRITE));
    flags.set(SecInfoFlags::X, prot.contains(Prot::EXEC));
    flags
}

/// The host did not change pages as it should, or they cannot be used although they are there: what is
/// accepted and what is known to be no longer agree, so nothing may go on.
fn lost<E>(_: E) -> MmError {
    fatal("the host misbehaved: it did not change pages of the enclave")
}

fn app(range: PageRange) -> Result<AppSlice, MmError> {
    AppSlice::new(range.start(), range.len()).map_err(|_| MmError::Fault)
}

impl Pages<Backing> for EnclavePages {
    fn commit(
        &mut self,
        range: PageRange,
        prot: Prot,
        awaited: Option<u64>,
    ) -> Result<(), MmError> {
        pages::accept_new(range.start(), range.len(), awaited);
        self.protect(range, Prot::RW, prot)
    }

    fn commit_file(
        &mut self,
        range: PageRange,
        prot: Prot,
        awaited: Option<u64>,
        file: &Backing,
        offset: u64,
    ) -> Result<u64, MmError> {
        if let Some(supply) = &self.supply {
            let Some(first) = supply.page_of(range) else { return Ok(0) };
            let source = (&supply.buffer, first);
            pages::accept_copy(range.start(), range.len(), awaited, source, flags(prot));
            return Ok(range.len());
        }
        let wanted = match &file.text {
            Some(text) => text.known(range, offset),
            None => range.len(),
        };
        if wanted == 0 {
            return Ok(0);
        }
        self.buffer.grow(wanted);
        let bytes = self.buffer.as_mut().get_mut(..to_usize(wanted)).unwrap_or_default();
        let count = file.source.read_at(offset, bytes).map_err(|_| MmError::Io)?;
        let len = (count as u64).next_multiple_of(PAGE_SIZE);
        // What is behind the end of the file is not what the buffer held before.
        bytes[count..to_usize(len)].fill(0);
        if let Some(text) = &file.text {
            text.write_over(range.start(), offset, &mut bytes[..to_usize(len)]);
        }
        pages::accept_copy(range.start(), len, awaited, (&self.buffer, 0), flags(prot));
        Ok(len)
    }

    fn protect(&mut self, range: PageRange, from: Prot, to: Prot) -> Result<(), MmError> {
        if !(to - from).is_empty() {
            pages::extend(range.start(), range.len(), flags(to | from));
        }
        if !(from - to).is_empty() {
            restrict(range.start(), range.len(), flags(to).bits()).map_err(lost)?;
            pages::accept_restricted(range.start(), range.len(), flags(to));
        }
        Ok(())
    }

    fn decommit(&mut self, range: PageRange) -> Result<(), MmError> {
        trim(range.start(), range.len()).map_err(lost)?;
        pages::accept_trimmed(range.start(), range.len());
        remove(range.start(), range.len()).map_err(lost)
    }

    fn copy_within(&mut self, src: PageRange, dst: u64, prot: Prot) -> Result<(), MmError> {
        let target = PageRange::from_len(dst, src.len()).ok_or(MmError::Invalid)?;
        pages::accept_new(dst, src.len(), None);
        app(target)?.copy_from(app(src)?).map_err(lost)?;
        self.protect(target, Prot::RW, prot)
    }

    fn zero(&mut self, range: PageRange) -> Result<(), MmError> {
        app(range)?.zero().map_err(lost)
    }

    fn contents(&mut self, page: u64) -> Result<Vec<u8>, MmError> {
        AppSlice::new(page, PAGE_SIZE).map_err(|_| MmError::Fault)?.to_vec().map_err(lost)
    }

    fn backing_len(&mut self, file: &Backing) -> Result<u64, MmError> {
        file.len().map_err(|_| MmError::Io)
    }

    fn write_backing(
        &mut self,
        file: &Backing,
        offset: u64,
        addr: u64,
        len: u64,
    ) -> Result<(), MmError> {
        let bytes = AppSlice::new(addr, len).map_err(|_| MmError::Fault)?;
        let mut done = 0;
        while done < len {
            let piece = bytes.part(done, (len - done).min(PIECE));
            let count = file.source.write_at(offset + done, piece).map_err(|_| MmError::Io)?;
            done += count.max(1);
        }
        Ok(())
    }

    fn sync_backing(&mut self, file: &Backing) -> Result<(), MmError> {
        file.source.sync().map_err(|_| MmError::Io)
    }
}

impl Supply {
    /// The page of the buffer with which `range` begins, if all of it is there.
    fn page_of(&self, range: PageRange) -> Option<u64> {
        let supplied = self.range.filter(|supplied| supplied.covers(range))?;
        Some(self.first + (range.start() - supplied.start()) / PAGE_SIZE)
    }
}

impl Source {
    /// Reads until `bytes` is full or the file ends; returns the bytes read.
    pub(crate) fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::Host(fd) => fd.read_at(offset, bytes),
            Self::Memory(held) => held.read_at(offset, bytes),
        }
    }

    /// Writes from pages of the program that are there; returns the bytes written.
    fn write_at(&self, offset: u64, piece: AppSlice) -> Result<u64, Errno> {
        let fd = match self {
            Self::Host(fd) => fd,
            Self::Memory(held) => return held.write_at(offset, &piece.to_vec()?),
        };
        let mut call = Call::new(nr::PWRITE64, piece.len())?;
        let buffer = call.app(piece)?;
        call.args([fd.number(), buffer, piece.len(), offset]);
        call.count(Wait::No, piece.len())
    }

    /// Makes what was written durable.
    fn sync(&self) -> Result<(), Errno> {
        match self {
            Self::Host(fd) => Call::new(nr::FDATASYNC, 0)?.args([fd.number()]).zero(Wait::No),
            Self::Memory(_) => Ok(()),
        }
    }

    /// Length in bytes.
    pub(crate) fn size(&self) -> Result<u64, Errno> {
        match self {
            Self::Host(fd) => fd.stat().map(|stat| stat.size),
            Self::Memory(held) => held.size(),
        }
    }
}
