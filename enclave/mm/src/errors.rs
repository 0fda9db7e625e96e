//! Why an operation on the address space was refused, in Linux's terms.

use core::fmt;

/// The reason an operation failed. Each variant is the errno that Linux gives in the same case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MmError {
    /// EPERM: below the lowest address, or `PROT_EXEC` of a file that must not be executed.
    NotPermitted,
    /// EIO: the file behind a mapping could not be read or written.
    Io,
    /// ENOMEM: no space, a limit, a hole in the range, or no pages left.
    NoMemory,
    /// EACCES: the file was not opened for what the mapping asks.
    Access,
    /// EFAULT: no mapping there.
    Fault,
    /// EBUSY: `MS_INVALIDATE` of locked pages.
    Busy,
    /// EEXIST: `MAP_FIXED_NOREPLACE` found something.
    Exists,
    /// EINVAL: an argument is wrong.
    Invalid,
    /// ENOSPC: no space for the file behind a mapping.
    NoSpace,
    /// EOVERFLOW: the file offset plus the length does not fit.
    Overflow,
    /// EOPNOTSUPP: an unknown flag with `MAP_SHARED_VALIDATE`.
    NotSupported,
    /// Pages of the program were lost half-way through a move: the enclave has to end.
    Lost,
}

impl MmError {
    /// The positive errno of Linux on x86-64.
    #[must_use]
    pub const fn errno(self) -> i32 {
        match self {
            Self::NotPermitted => 1,
            Self::Io | Self::Lost => 5,
            Self::NoMemory => 12,
            Self::Access => 13,
            Self::Fault => 14,
            Self::Busy => 16,
            Self::Exists => 17,
            Self::Invalid => 22,
            Self::NoSpace => 28,
            Self::Overflow => 75,
            Self::NotSupported => 95,
        }
    }
}

impl fmt::Display for MmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPermitted => "operation not permitted",
            Self::Io => "file behind the mapping cannot be read or written",
            Self::NoMemory => "no memory",
            Self::Access => "file is not open for this access",
            Self::Fault => "no mapping at this address",
            Self::Busy => "pages are locked",
            Self::Exists => "range is already mapped",
            Self::Invalid => "invalid argument",
            Self::NoSpace => "no space left for the file",
            Self::Overflow => "file offset overflows",
            Self::NotSupported => "flag is not supported",
            Self::Lost => "pages were lost while they were moved",
        })
    }
}

impl core::error::Error for MmError {}
