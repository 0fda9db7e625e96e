//! Which descriptors of the host this process owns.
//!
//! A host that hands out a number twice could make the program write to a file that it did not
//! mean: so the set is kept inside, and such a reply ends the enclave.

use alloc::vec::Vec;

use enclave_core::{Mutex, to_usize};
use enclave_hostcalls::misbehaved;

/// One bit per descriptor.
static OWNED: Mutex<Vec<u64>> = Mutex::new(Vec::new());
/// No Linux is set up for more descriptors per process.
const END: u32 = 1 << 24;

/// Notes that the host handed out `fd`.
pub(crate) fn take(fd: u32) {
    if fd >= END {
        misbehaved("the host misbehaved: a descriptor larger than any limit");
    }
    let (word, bit) = place(fd);
    let mut owned = OWNED.lock();
    if owned.len() <= word {
        owned.resize(word + 1, 0);
    }
    if owned[word] & bit != 0 {
        misbehaved("the host misbehaved: a descriptor that is in use already");
    }
    owned[word] |= bit;
}

/// Forgets `fd`, just before it is closed.
pub(crate) fn release(fd: u32) {
    let (word, bit) = place(fd);
    if let Some(word) = OWNED.lock().get_mut(word) {
        *word &= !bit;
    }
}

fn place(fd: u32) -> (usize, u64) {
    (to_usize(u64::from(fd / 64)), 1 << (fd % 64))
}
