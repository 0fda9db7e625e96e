//! The ioctls of `/dev/sgx_enclave` (uapi `asm/sgx.h`).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// `SGX_PAGE_MEASURE`: EEXTEND the whole page.
pub(crate) const MEASURE: u64 = 1;

/// A structure that an ioctl takes.
///
/// # Safety
/// `NUMBER` must be the request that takes this structure; its pointers must point to what the
/// request reads or writes there.
pub(crate) unsafe trait Request {
    /// Request number.
    const NUMBER: u64;
}

const MAGIC: u64 = 0xa4;
const WRITE: u64 = 1;
const READ_WRITE: u64 = 3;

/// `_IOC(direction, SGX_MAGIC, number, sizeof(T))`.
const fn number<T>(direction: u64, number: u64) -> u64 {
    direction << 30 | (size_of::<T>() as u64) << 16 | MAGIC << 8 | number
}

macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident = $direction:ident $number:literal { $($field:ident),* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Default)]
            #[repr(C)]
            pub(crate) struct $name {
                $(pub(crate) $field: u64,)*
            }
            // SAFETY: as `asm/sgx.h` has it; who fills in pointers vouches for them.
            unsafe impl Request for $name {
                const NUMBER: u64 = number::<Self>($direction, $number);
            }
        )*
    };
}

requests! {
    /// ECREATE; `src` is the address of the SECS.
    Create = WRITE 0 { src }
    /// EADD and EEXTEND.
    AddPages = READ_WRITE 1 { src, offset, length, secinfo, flags, count }
    /// EINIT; `sigstruct` is its address.
    Init = WRITE 2 { sigstruct }
    /// Allows PROVISIONKEY; `fd` is that of `/dev/sgx_provision`.
    Provision = WRITE 3 { fd }
    /// EMODPR.
    RestrictPermissions = READ_WRITE 5 { offset, length, permissions, result, count }
    /// EMODT.
    ModifyTypes = READ_WRITE 6 { offset, length, page_type, result, count }
    /// EREMOVE.
    RemovePages = READ_WRITE 7 { offset, length, count }
}

/// Performs a request.
///
/// # Errors
/// The errno of the ioctl.
pub(crate) fn perform<T: Request>(file: &File, request: &mut T) -> io::Result<()> {
    // SAFETY: the number belongs to the structure, as the trait demands.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), T::NUMBER, request) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by the C preprocessor from the header of Linux 6.1.
    #[test]
    fn numbers_are_those_of_the_header() {
        assert_eq!(Create::NUMBER, 0x4008_a400);
        assert_eq!(AddPages::NUMBER, 0xc030_a401);
        assert_eq!(Init::NUMBER, 0x4008_a402);
        assert_eq!(Provision::NUMBER, 0x4008_a403);
        assert_eq!(RestrictPermissions::NUMBER, 0xc028_a405);
        assert_eq!(ModifyTypes::NUMBER, 0xc028_a406);
        assert_eq!(RemovePages::NUMBER, 0xc018_a407);
    }
}
