//! What the launcher asks of an SGX implementation.
//!
//! Principles:
//! - The contract is that of Linux: the `SGX_IOC_ENCLAVE_*` ioctls of `/dev/sgx_enclave` with their
//!   errno and count of bytes done, and `__vdso_sgx_enter_enclave` (kernel documentation,
//!   `arch/x86/sgx.rst`; uapi `asm/sgx.h`). Nobody can tell from behaviour which backend runs,
//!   except by [`Capabilities::kind`].
//! - Both traits are object-safe and small; a backend adds nothing that the launcher calls.
//! - An enclave is used from many threads at once; a TCS belongs to one thread at a time, which the
//!   backend enforces as the processor does (#GP on a busy TCS), not by types.

mod capabilities;
mod error;
mod kick;
mod run;
#[cfg(feature = "suite")]
pub mod suite;

pub use capabilities::{Capabilities, Kind, xsave_size};
pub use error::{Errno, Operation, Refused};
pub use kick::{Kick, KickHandler};
pub use run::{ENTRY_FLAGS, EnterLeaf, Exception, ExitHandler, Outcome, Run};

use std::ops::Range;
use std::sync::Arc;

use sgx_types::{PageType, SecInfo, SecInfoFlags, Secs, Sigstruct};

/// A machine that runs enclaves.
pub trait Backend: Send + Sync {
    /// What this machine offers.
    fn capabilities(&self) -> Capabilities;

    /// ECREATE (`SGX_IOC_ENCLAVE_CREATE`): reserves ELRANGE and creates an enclave without pages.
    ///
    /// # Errors
    /// EINVAL: `secs` breaks a rule of ECREATE or asks for what the machine does not have (size,
    /// attributes, XFRM, SSAFRAMESIZE). ENOMEM or EEXIST: ELRANGE is not free.
    fn create(&self, secs: &Secs) -> Result<Arc<dyn Enclave>, Refused>;
}

/// An enclave; dropping the last handle destroys it.
///
/// Offsets and ranges count bytes from the start of ELRANGE and are multiples of a page.
pub trait Enclave: Send + Sync {
    /// EADD, and EEXTEND when `measure` (`SGX_IOC_ENCLAVE_ADD_PAGES`): adds pages from `offset` on.
    ///
    /// # Errors
    /// EINVAL: misaligned, outside of ELRANGE, bad SECINFO, already initialised. EBUSY: a page is
    /// there already. EIO: EADD or EEXTEND faulted. [`Refused::done`] tells how many bytes were added.
    fn add_pages(
        &self,
        offset: u64,
        secinfo: &SecInfo,
        source: Source<'_>,
        measure: bool,
    ) -> Result<(), Refused>;

    /// EINIT (`SGX_IOC_ENCLAVE_INIT`): checks the certificate against what was added.
    ///
    /// # Errors
    /// EPERM: EINIT returned an SGX error (which the emulator reports in [`Refused::code`]).
    /// EINVAL: already initialised, or a certificate that the driver refuses.
    fn init(&self, sigstruct: &Sigstruct) -> Result<(), Refused>;

    /// EENTER or ERESUME (`__vdso_sgx_enter_enclave`), until EEXIT or an exception.
    ///
    /// Interrupts and kicks do not return: the thread resumes after the kick's handler. Exits go to
    /// `handler`, if there is one and the backend can call it.
    fn enter_with(&self, run: &mut Run, handler: Option<&ExitHandler>) -> Outcome;

    /// The same without a handler.
    fn enter(&self, run: &mut Run) -> Outcome {
        self.enter_with(run, None)
    }

    /// EMODPR (`SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS`): the enclave has to EACCEPT afterwards.
    ///
    /// # Errors
    /// EINVAL: misaligned, empty, outside, W without R, not a regular page, not initialised.
    /// EFAULT: no such page, or EMODPR failed, with its code in [`Refused::code`]. ENODEV: no SGX2.
    fn restrict_permissions(
        &self,
        range: Range<u64>,
        permissions: SecInfoFlags,
    ) -> Result<(), Refused>;

    /// EMODT (`SGX_IOC_ENCLAVE_MODIFY_TYPES`) to TCS or TRIM: the enclave has to EACCEPT afterwards.
    ///
    /// # Errors
    /// As for [`Enclave::restrict_permissions`]; EINVAL also for other types.
    fn modify_types(&self, range: Range<u64>, page_type: PageType) -> Result<(), Refused>;

    /// EREMOVE (`SGX_IOC_ENCLAVE_REMOVE_PAGES`) of pages that are trimmed and accepted.
    ///
    /// # Errors
    /// EPERM: a page is not of type TRIM, or that was not accepted. EFAULT: no such page. EINVAL:
    /// misaligned, empty, outside, not initialised.
    fn remove_pages(&self, range: Range<u64>) -> Result<(), Refused>;

    /// Installs `handler` for `signal`, process-wide. See [`Kick`] for what it may do. A system call
    /// that the signal hits outside returns EINTR.
    ///
    /// # Errors
    /// EINVAL: a signal that cannot be caught, or that the backend needs itself.
    fn install_kick(&self, signal: i32, handler: KickHandler) -> Result<(), Refused>;

    /// Lines for the statistics: name and value.
    fn statistics(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

/// Where the contents of added pages come from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// These bytes, a multiple of a page.
    Bytes(&'a [u8]),
    /// So many zero bytes, a multiple of a page.
    Zero(u64),
}

impl Source<'_> {
    /// Bytes in all.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Zero(len) => *len,
        }
    }

    /// Whether there is nothing to add.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
