//! The host's part of changing dynamic pages.

use enclave_core::own_call;
use hostcall_abi::service;

use crate::Errno;

fn service(number: u64, args: [u64; 3]) -> Result<(), Errno> {
    match own_call(number, args) {
        0 => Ok(()),
        result => Err(Errno::from_result(result).unwrap_or(Errno::EIO)),
    }
}

/// Restricts the permissions of committed pages to `permissions` (bits 0..2 = R, W, X); the
/// caller must accept the change.
///
/// # Errors
///
/// What the driver said.
pub fn restrict(start: u64, len: u64, permissions: u64) -> Result<(), Errno> {
    service(service::RESTRICT, [start, len, permissions])
}

/// Marks committed pages for removal; the caller must accept that and then [`remove`] them.
///
/// # Errors
///
/// What the driver said.
pub fn trim(start: u64, len: u64) -> Result<(), Errno> {
    service(service::TRIM, [start, len, 0])
}

/// Removes pages whose trimming was accepted.
///
/// # Errors
///
/// What the driver said.
pub fn remove(start: u64, len: u64) -> Result<(), Errno> {
    service(service::REMOVE, [start, len, 0])
}
