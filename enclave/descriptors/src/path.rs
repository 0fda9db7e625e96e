//! Paths by their letters.

use alloc::vec::Vec;

/// The absolute path without `.`, `..` and repeated slashes; nothing for the root.
#[must_use]
pub fn normal(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.iter().flat_map(|part| [b"/", *part].concat()).collect()
}

/// A path relative to a directory.
#[must_use]
pub fn join(base: &[u8], path: &[u8]) -> Vec<u8> {
    [base, b"/", path].concat()
}
