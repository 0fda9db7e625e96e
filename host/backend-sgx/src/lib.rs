//! Enclaves on SGX processors, through Linux' driver and `__vdso_sgx_enter_enclave`.
//!
//! **Not yet run on hardware.** Written against the kernel's ABI (uapi `asm/sgx.h`,
//! `Documentation/arch/x86/sgx.rst`, `arch/x86/entry/vdso/vsgx.S`), with tests of whatever does not need a
//! processor with SGX. The suite of all backends is in `tests/suite.rs`, ignored: run it first on such
//! a machine.
//!
//! Principles:
//! - Nothing is checked here that the driver or the processor checks: their answers are passed on.
//! - ELRANGE is reserved before ECREATE, and mapped from the driver's file after EINIT: static pages
//!   with the permissions they were added with (the driver allows no more), all else for EDMM.
//! - An interrupted thread is recognised by the state that AEX leaves: RIP at an ENCLU in the vDSO
//!   with ERESUME in RAX.

#![expect(unsafe_code, reason = "ioctls, mappings, and the vDSO")]

mod cpuid;
mod enclave;
mod ioctl;
mod kick;
mod vdso;

use std::fs::{File, OpenOptions};
use std::sync::Arc;

use backend::{Backend, Capabilities, Enclave, Errno, Kind, Operation, Refused};
use sgx_types::{AttributeFlags, PageType, Secs};

use crate::cpuid::Features;
use crate::ioctl::{ModifyTypes, Provision};
use crate::vdso::Vdso;

/// Path of the driver.
pub const DEVICE: &str = "/dev/sgx_enclave";

/// Path of the right to use PROVISIONKEY.
pub const PROVISION: &str = "/dev/sgx_provision";

/// An SGX machine.
#[derive(Debug)]
pub struct SgxBackend {
    features: Features,
    edmm: bool,
    vdso: Vdso,
    enter: u64,
}

/// Why this machine runs no enclaves.
#[derive(Debug, thiserror::Error)]
pub enum Unsupported {
    /// CPUID says so.
    #[error("the processor has no SGX, or the firmware has it disabled")]
    NoSgx,
    /// The driver is not there or not for us.
    #[error("cannot open {DEVICE}: {0}")]
    Device(#[source] std::io::Error),
    /// The kernel is older than 5.11.
    #[error("the vDSO has no __vdso_sgx_enter_enclave")]
    NoVdso,
}

impl SgxBackend {
    /// Looks for processor, driver and vDSO.
    ///
    /// # Errors
    /// What is missing.
    pub fn open() -> Result<Self, Unsupported> {
        let features = cpuid::features().ok_or(Unsupported::NoSgx)?;
        let device = device().map_err(Unsupported::Device)?;
        let vdso = Vdso::find().ok_or(Unsupported::NoVdso)?;
        let enter = vdso.function("__vdso_sgx_enter_enclave").ok_or(Unsupported::NoVdso)?;
        let edmm = features.sgx2 && knows_edmm(&device);
        Ok(Self { features, edmm, vdso, enter })
    }
}

fn device() -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).open(DEVICE)
}

/// Whether the driver has the requests of Linux 6.0: it refuses them on an enclave that was not
/// created (EINVAL), where older ones do not know them (ENOTTY).
fn knows_edmm(device: &File) -> bool {
    let mut request = ModifyTypes { page_type: PageType::Trim as u64, ..ModifyTypes::default() };
    let error = ioctl::perform(device, &mut request).err().and_then(|error| error.raw_os_error());
    error == Some(libc::EINVAL)
}

impl Backend for SgxBackend {
    fn capabilities(&self) -> Capabilities {
        let Features { misc_select, attributes, xfrm, max_size, epc, .. } = self.features;
        Capabilities {
            kind: Kind::Hardware,
            edmm: self.edmm,
            misc_select,
            attributes,
            xfrm,
            max_size,
            epc: Some(epc),
            note: "not yet run on hardware".into(),
        }
    }

    fn create(&self, secs: &Secs) -> Result<Arc<dyn Enclave>, Refused> {
        let refuse = |error: std::io::Error, what: &str| {
            let errno = Errno(error.raw_os_error().unwrap_or(libc::EIO));
            Refused::new(Operation::Create, errno, format!("{what}: {error}"))
        };
        let file = device().map_err(|error| refuse(error, DEVICE))?;
        let enclave = enclave::SgxEnclave::create(file, secs, self.vdso.clone(), self.enter)?;
        if secs.attributes.flags.contains(AttributeFlags::PROVISIONKEY) {
            let right = File::open(PROVISION).map_err(|error| refuse(error, PROVISION))?;
            let fd = std::os::fd::AsRawFd::as_raw_fd(&right);
            let mut request = Provision { fd: u64::from(fd.unsigned_abs()) };
            ioctl::perform(enclave.file(), &mut request)
                .map_err(|error| refuse(error, "the right to PROVISIONKEY"))?;
        }
        Ok(Arc::new(enclave))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// True on every machine: a backend, or the first thing that is missing.
    #[test]
    fn says_what_is_missing() {
        let sgx = cpuid::features().is_some();
        let device = device().is_ok();
        match SgxBackend::open() {
            Ok(backend) => {
                assert!(sgx && device);
                assert!(backend.vdso.range().contains(&backend.enter));
            }
            Err(Unsupported::NoSgx) => assert!(!sgx),
            Err(Unsupported::Device(_)) => assert!(sgx && !device),
            Err(Unsupported::NoVdso) => assert!(sgx && device),
        }
    }

    /// A file that is not the driver does not look like one with SGX2.
    #[test]
    fn other_files_have_no_edmm() {
        assert!(!knows_edmm(&File::open("/dev/null").expect("it is there")));
    }
}
