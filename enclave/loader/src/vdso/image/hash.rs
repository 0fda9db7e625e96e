//! Hashes of names.

/// The hash of `DT_GNU_HASH`.
pub(super) const fn gnu(name: &[u8]) -> u32 {
    let mut hash = 5381u32;
    let mut i = 0;
    while i < name.len() {
        hash = hash.wrapping_mul(33).wrapping_add(name[i] as u32);
        i += 1;
    }
    hash
}

/// The System V hash, which also identifies versions.
pub(super) const fn sysv(name: &[u8]) -> u32 {
    let mut hash = 0u32;
    let mut i = 0;
    while i < name.len() {
        hash = (hash << 4).wrapping_add(name[i] as u32);
        let top = hash & 0xf000_0000;
        hash = (hash ^ (top >> 24)) & !top;
        i += 1;
    }
    hash
}
