//! Linux error numbers.

use enclave_core::{CStrError, Fault};

/// A Linux error number, positive. As wide as the results of system calls, so that a result of one or
/// the other is returned in two registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(u64);

macro_rules! errnos {
    ($($name:ident = $number:literal,)*) => {
        impl Errno {
            $(#[doc = concat!("`", stringify!($name), "`")] pub const $name: Self = Self($number);)*
        }
    };
}

errnos! {
    EPERM = 1, ENOENT = 2, ESRCH = 3, EINTR = 4, EIO = 5, ENXIO = 6, E2BIG = 7, ENOEXEC = 8,
    EBADF = 9, ECHILD = 10, EAGAIN = 11, ENOMEM = 12, EACCES = 13, EFAULT = 14, EBUSY = 16,
    EEXIST = 17, EXDEV = 18, ENODEV = 19, ENOTDIR = 20, EISDIR = 21, EINVAL = 22, ENFILE = 23,
    EMFILE = 24, ENOTTY = 25, ETXTBSY = 26, EFBIG = 27, ENOSPC = 28, ESPIPE = 29, EROFS = 30,
    EMLINK = 31, EPIPE = 32, EDOM = 33, ERANGE = 34, EDEADLK = 35, ENAMETOOLONG = 36, ENOLCK = 37,
    ENOSYS = 38, ENOTEMPTY = 39, ELOOP = 40, ENOMSG = 42, EIDRM = 43, ENODATA = 61, EBADFD = 77,
    EOVERFLOW = 75, ENOTSOCK = 88,
    EDESTADDRREQ = 89, EMSGSIZE = 90, EPROTOTYPE = 91, ENOPROTOOPT = 92, EPROTONOSUPPORT = 93,
    EOPNOTSUPP = 95, EAFNOSUPPORT = 97, EADDRINUSE = 98, EADDRNOTAVAIL = 99, ENETDOWN = 100,
    ENETUNREACH = 101, ECONNABORTED = 103, ECONNRESET = 104, ENOBUFS = 105, EISCONN = 106,
    ENOTCONN = 107, ETIMEDOUT = 110, ECONNREFUSED = 111, EHOSTUNREACH = 113, EALREADY = 114,
    EINPROGRESS = 115, EOWNERDEAD = 130,
}

impl Errno {
    /// Largest number that Linux returns as an error.
    const MAX: u64 = 4095;

    /// The error in what a system call returned, if it is one. Numbers that only the kernel may
    /// see (512..=530, ERESTARTSYS and kin) are no errors a host can return.
    #[must_use]
    pub fn from_result(result: u64) -> Option<Self> {
        let number = result.wrapping_neg();
        (1..=Self::MAX).contains(&number).then_some(Self(number))
    }

    /// An error number, if it is in the range of errors.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        u64::try_from(number).ok().filter(|number| (1..=Self::MAX).contains(number)).map(Self)
    }

    /// The number, positive.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "it is at most MAX")]
    pub const fn number(self) -> u16 {
        self.0 as u16
    }

    /// As a system call returns it.
    #[must_use]
    pub fn as_result(self) -> u64 {
        self.0.wrapping_neg()
    }

    /// Whether a host may answer with it: no error that exists only inside of a kernel.
    #[must_use]
    pub(crate) const fn is_host_error(self) -> bool {
        self.0 <= 133
    }
}

impl From<Fault> for Errno {
    fn from(Fault: Fault) -> Self {
        Self::EFAULT
    }
}

impl From<CStrError> for Errno {
    fn from(error: CStrError) -> Self {
        match error {
            CStrError::Fault => Self::EFAULT,
            CStrError::TooLong => Self::ENAMETOOLONG,
        }
    }
}
