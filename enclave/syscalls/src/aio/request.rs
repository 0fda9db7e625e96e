//! A request: what it asks for, and its execution.

use alloc::{sync::Arc, vec::Vec};

use enclave_core::{AppPtr, AppSlice};
use enclave_files::{Io, OpenFile, flag};
use enclave_hostcalls::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::context::{Context, Event};
use crate::{args, dispatch::with_restarts, event, file, ids, nr, signal};

/// `struct iocb`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Request {
    data: u64,
    key: u32,
    /// As for preadv2(2).
    transfer_flags: u32,
    operation: u16,
    priority: u16,
    fd: u32,
    /// Address of the buffer, or of an array of them.
    buffer: u64,
    /// Bytes of the buffer, or how many buffers there are.
    len: u64,
    offset: u64,
    reserved: u64,
    flags: u32,
    /// Descriptor of the eventfd to signal.
    eventfd: u32,
}

const _: () = assert!(size_of::<Request>() == 64);

/// `IOCB_CMD_` numbers. Linux has no more but `IOCB_CMD_POLL`: the host's files would have to be
/// watched by a thread of their own.
mod operation {
    pub(super) const READ: u16 = 0;
    pub(super) const WRITE: u16 = 1;
    pub(super) const SYNC: u16 = 2;
    pub(super) const DATA_SYNC: u16 = 3;
    pub(super) const READ_VECTOR: u16 = 7;
    pub(super) const WRITE_VECTOR: u16 = 8;
}

/// `IOCB_FLAG_RESFD` and `IOCB_FLAG_IOPRIO`.
const HAS_EVENTFD: u32 = 1;
const HAS_PRIORITY: u32 = 2;

/// How an operation ended; outside, why it is refused.
type Outcome = Result<Result<u64, Errno>, Errno>;

/// The key in a request, which is zero once it was submitted.
pub(super) fn key(address: u64) -> AppPtr<u32> {
    AppPtr::new(address.wrapping_add(8))
}

/// Executes the request at `address`.
pub(super) fn submit(context: &Context, address: u64) -> Result<(), Errno> {
    let request = AppPtr::<Request>::new(address).read()?;
    if request.reserved != 0 || i64::try_from(request.len).is_err() {
        return Err(Errno::EINVAL);
    }
    let mut eventfd = None;
    context.run(|| {
        let file = args::file(request.fd.into())?;
        if file.status() & flag::PATH != 0 {
            return Err(Errno::EBADF);
        }
        eventfd = request.eventfd()?;
        key(address).write(&0)?;
        let result = request.execute(&file)?.unwrap_or_else(Errno::as_result);
        Ok(Event { data: request.data, request: address, result, more: 0 })
    })?;
    eventfd.iter().for_each(|file| event::signal(file));
    Ok(())
}

impl Request {
    fn eventfd(&self) -> Result<Option<Arc<OpenFile>>, Errno> {
        if self.flags & HAS_EVENTFD == 0 {
            return Ok(None);
        }
        let file = args::file(self.eventfd.into())?;
        if event::is_eventfd(&file) { Ok(Some(file)) } else { Err(Errno::EINVAL) }
    }

    fn execute(&self, file: &OpenFile) -> Outcome {
        match self.operation {
            operation::READ | operation::READ_VECTOR => {
                self.transfer(file, flag::WRONLY, file::read_into)
            }
            operation::WRITE | operation::WRITE_VECTOR => {
                let written = self.transfer(file, 0, file::write_from)?;
                if let Err(errno) = written {
                    signal::write_failed(self.fd.into(), errno);
                }
                Ok(written)
            }
            operation::SYNC => self.synchronize(file, nr::FSYNC),
            operation::DATA_SYNC => self.synchronize(file, nr::FDATASYNC),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Reads or writes, unless the file was opened for the `other` only.
    fn transfer(
        &self,
        file: &OpenFile,
        other: u64,
        transfer: fn(&OpenFile, &Io<'_>) -> Result<u64, Errno>,
    ) -> Outcome {
        self.check_priority()?;
        let flags = self.transfer_flags()?;
        if file.status() & flag::ACCMODE == other {
            return Err(Errno::EBADF);
        }
        let buffers = match self.buffers() {
            Err(Errno::EFAULT) if self.is_refused_late() => return Ok(Err(Errno::EFAULT)),
            buffers => buffers?,
        };
        let len = buffers.iter().map(|buffer| buffer.len()).sum();
        let end = self.offset.checked_add(len).and_then(|end| i64::try_from(end).ok());
        if end.is_none() {
            return Err(Errno::EINVAL);
        }
        let at = |at| transfer(file, &Io { buffers: &buffers, at, flags });
        let result = with_restarts(|| match at(Some(self.offset)) {
            // What has no offsets is read and written as it comes.
            Err(Errno::ESPIPE) => at(None),
            result => result,
        });
        match result {
            Err(Errno::EISDIR) => Err(Errno::EINVAL),
            Err(Errno::EOPNOTSUPP) if flags != 0 => Err(Errno::EOPNOTSUPP),
            result => Ok(result),
        }
    }

    fn buffers(&self) -> Result<Vec<AppSlice>, Errno> {
        match self.operation {
            operation::READ | operation::WRITE => {
                let len = self.len.min(file::MAX_COUNT);
                Ok(alloc::vec![AppSlice::new(self.buffer, len)?])
            }
            _ => file::buffers(self.buffer, self.len),
        }
    }

    /// Whether a buffer is where Linux could have one, and is found not to be there only when it is used.
    fn is_refused_late(&self) -> bool {
        const END: u64 = 0x7fff_ffff_f000;
        let is_one = matches!(self.operation, operation::READ | operation::WRITE);
        let end = self.buffer.checked_add(self.len.min(file::MAX_COUNT));
        is_one && end.is_some_and(|end| end <= END)
    }

    fn transfer_flags(&self) -> Result<u64, Errno> {
        /// `RWF_HIPRI`: nobody polls for a request.
        const POLLED: u32 = 1;
        const APPEND: u32 = 0x10;
        const NO_APPEND: u32 = 0x20;
        const KNOWN: u32 = 0xff;
        let flags = self.transfer_flags;
        if flags & !KNOWN != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        if flags & APPEND != 0 && flags & NO_APPEND != 0 {
            return Err(Errno::EINVAL);
        }
        Ok((flags & !POLLED).into())
    }

    /// Whether the priority is one. It has no effect.
    fn check_priority(&self) -> Result<(), Errno> {
        const LEVEL: u16 = 7;
        if self.flags & HAS_PRIORITY == 0 {
            return Ok(());
        }
        match self.priority >> 13 {
            // None, real-time, best effort, idle.
            0 if self.priority & LEVEL == 0 => Ok(()),
            1 if !ids::is_privileged() => Err(Errno::EPERM),
            1..=3 => Ok(()),
            _ => Err(Errno::EINVAL),
        }
    }

    fn synchronize(&self, file: &OpenFile, number: u64) -> Outcome {
        let unused = [self.buffer, self.len, self.offset, self.transfer_flags.into()];
        if unused != [0; 4] {
            return Err(Errno::EINVAL);
        }
        match with_restarts(|| file::synchronize(file, number)) {
            Err(Errno::EINVAL) => Err(Errno::EINVAL),
            result => Ok(result),
        }
    }
}
