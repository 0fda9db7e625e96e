//! How the driver refuses.

use std::fmt;

use sgx_types::SgxError;

/// A refused operation, in the terms of the driver's ioctls.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation} failed after {done} bytes: {reason} ({errno}{})", code_suffix(*code))]
pub struct Refused {
    /// What was asked.
    pub operation: Operation,
    /// The errno that the ioctl returns.
    pub errno: Errno,
    /// What the ENCLS leaf returned, if it ran and the driver tells.
    pub code: Option<SgxError>,
    /// Bytes for which the operation succeeded.
    pub done: u64,
    /// What was wrong, with the wrong value.
    pub reason: String,
}

fn code_suffix(code: Option<SgxError>) -> String {
    code.map_or_else(String::new, |code| format!(", {code}"))
}

impl Refused {
    /// A refusal without SGX error and with nothing done.
    #[must_use]
    pub fn new(operation: Operation, errno: Errno, reason: impl Into<String>) -> Self {
        Self { operation, errno, code: None, done: 0, reason: reason.into() }
    }

    /// The same with the code that the ENCLS leaf returned.
    #[must_use]
    pub fn with_code(mut self, code: SgxError) -> Self {
        self.code = Some(code);
        self
    }

    /// The same with the count of bytes that succeeded.
    #[must_use]
    pub fn after(mut self, done: u64) -> Self {
        self.done = done;
        self
    }
}

/// An operation of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `SGX_IOC_ENCLAVE_CREATE`.
    Create,
    /// `SGX_IOC_ENCLAVE_ADD_PAGES`.
    AddPages,
    /// `SGX_IOC_ENCLAVE_INIT`.
    Init,
    /// `SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS`.
    RestrictPermissions,
    /// `SGX_IOC_ENCLAVE_MODIFY_TYPES`.
    ModifyTypes,
    /// `SGX_IOC_ENCLAVE_REMOVE_PAGES`.
    RemovePages,
    /// Installing a kick handler.
    InstallKick,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "creating the enclave",
            Self::AddPages => "adding pages",
            Self::Init => "initialising the enclave",
            Self::RestrictPermissions => "restricting permissions",
            Self::ModifyTypes => "changing page types",
            Self::RemovePages => "removing pages",
            Self::InstallKick => "installing a kick handler",
        })
    }
}

/// An errno value, positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// Operation not permitted.
    pub const EPERM: Self = Self(1);
    /// Interrupted.
    pub const EINTR: Self = Self(4);
    /// Input/output error: an ENCLS leaf faulted.
    pub const EIO: Self = Self(5);
    /// Try again.
    pub const EAGAIN: Self = Self(11);
    /// Out of memory.
    pub const ENOMEM: Self = Self(12);
    /// Permission denied.
    pub const EACCES: Self = Self(13);
    /// Bad address.
    pub const EFAULT: Self = Self(14);
    /// Busy.
    pub const EBUSY: Self = Self(16);
    /// Exists already.
    pub const EEXIST: Self = Self(17);
    /// No such device, or not offered by it.
    pub const ENODEV: Self = Self(19);
    /// Invalid argument.
    pub const EINVAL: Self = Self(22);
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::io::Error::from_raw_os_error(self.0).fmt(f)
    }
}
