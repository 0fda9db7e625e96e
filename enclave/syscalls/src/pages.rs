//! The pages of the program: what `enclave_mm` asks of SGX2 and of the host.

use enclave_core::{
    AppSlice,
    pages::{self, PageBuffer, PageError},
};
use enclave_hostcalls::{Call, Errno, Wait, remove, restrict, trim};
use enclave_mm::{MmError, PAGE_SIZE, PageRange, Pages, Prot};
use sgx_types::SecInfoFlags;

use crate::{
    process::{Backing, CodeRead, Source},
    rewrite,
};

mod nr {
    pub(super) const PWRITE64: u64 = 18;
    pub(super) const FDATASYNC: u64 = 75;
}

/// Largest piece written back by one call.
const PIECE: u64 = 1 << 20;

/// The pages of the enclave.
#[derive(Debug)]
pub(crate) struct EnclavePages;

fn flags(prot: Prot) -> SecInfoFlags {
    let mut flags = SecInfoFlags::empty();
    flags.set(SecInfoFlags::R, prot.contains(Prot::READ));
    flags.set(SecInfoFlags::W, prot.contains(Prot::WRITE));
    flags.set(SecInfoFlags::X, prot.contains(Prot::EXEC));
    flags
}

/// The processor refused a page although the bookkeeping says that it may not: the host changed
/// pages behind our back.
fn refused(_: PageError) -> MmError {
    MmError::Lost
}

fn no_memory(_: PageError) -> MmError {
    MmError::NoMemory
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
        pages::accept_new(range.start(), range.len(), awaited).map_err(no_memory)?;
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
        let at_hand = file.at_hand.upgrade();
        if let Some((read, first)) = at_hand.as_ref().and_then(|read| read.part(range, offset)) {
            let len = range.len().min(read.len.saturating_sub(first));
            let source = (&read.buffer, first / PAGE_SIZE);
            pages::accept_copy(range.start(), len, awaited, source, flags(prot))
                .map_err(no_memory)?;
            return Ok(len);
        }
        let mut buffer = PageBuffer::new(range.len());
        let count = file.source.read_at(offset, buffer.bytes_mut()).map_err(|_| MmError::Io)?;
        let len = (count as u64).next_multiple_of(PAGE_SIZE);
        if let Some(patches) = &file.patches {
            rewrite::apply(patches, range.start(), buffer.bytes_mut());
        }
        pages::accept_copy(range.start(), len, awaited, (&buffer, 0), flags(prot))
            .map_err(no_memory)?;
        Ok(len)
    }

    fn protect(&mut self, range: PageRange, from: Prot, to: Prot) -> Result<(), MmError> {
        if !(to - from).is_empty() {
            pages::extend(range.start(), range.len(), flags(to | from)).map_err(refused)?;
        }
        if !(from - to).is_empty() {
            restrict(range.start(), range.len(), flags(to).bits()).map_err(|_| MmError::Lost)?;
            pages::accept_restricted(range.start(), range.len(), flags(to)).map_err(refused)?;
        }
        Ok(())
    }

    fn decommit(&mut self, range: PageRange) -> Result<(), MmError> {
        trim(range.start(), range.len()).map_err(|_| MmError::Lost)?;
        pages::accept_trimmed(range.start(), range.len()).map_err(refused)?;
        remove(range.start(), range.len()).map_err(|_| MmError::Lost)
    }

    fn copy_within(&mut self, src: PageRange, dst: u64, prot: Prot) -> Result<(), MmError> {
        let target = PageRange::from_len(dst, src.len()).ok_or(MmError::Invalid)?;
        pages::accept_new(dst, src.len(), None).map_err(no_memory)?;
        app(target)?.copy_from(app(src)?).map_err(|_| MmError::Lost)?;
        self.protect(target, Prot::RW, prot)
    }

    fn zero(&mut self, range: PageRange) -> Result<(), MmError> {
        app(range)?.zero().map_err(|_| MmError::Lost)
    }

    fn write_backing(
        &mut self,
        file: &Backing,
        offset: u64,
        range: PageRange,
    ) -> Result<(), MmError> {
        let end = file.len().map_err(|_| MmError::Io)?;
        let len = range.len().min(end.saturating_sub(offset));
        let bytes = app(range)?.first(len);
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

impl CodeRead {
    /// Where in it a part of a mapping begins, if it was read for that.
    fn part(&self, range: PageRange, offset: u64) -> Option<(&Self, u64)> {
        let first = range.start().checked_sub(self.range.start())?;
        (self.range.covers(range) && self.offset + first == offset).then_some((self, first))
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
