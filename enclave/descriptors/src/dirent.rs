//! Records of getdents(2) and getdents64(2).

use alloc::vec::Vec;

/// The layout of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `struct linux_dirent`: the type stands in the last byte.
    Old,
    /// `struct linux_dirent64`: the type stands before the name.
    New,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Inode number.
    pub ino: u64,
    /// Type, as in the mode of `struct stat`.
    pub kind: u32,
    /// Name.
    pub name: Vec<u8>,
}

/// A record that cannot be: its length or its name is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// Where it begins.
    pub offset: usize,
}

/// Longest name in bytes (`PATH_MAX`, less its end). Linux writes up to 255; but VFAT and its like count
/// characters, and FUSE has its own bound.
const LONGEST: usize = 4095;

impl Format {
    /// Bytes before the name.
    const fn head(self) -> usize {
        match self {
            Self::Old => 18,
            Self::New => 19,
        }
    }
}

/// Checks that `bytes` are whole records, each with a name that a directory can have, and calls
/// `each` with the names.
///
/// # Errors
///
/// [`BadRecord`] tells where they are not; `each` was called for the records before.
pub fn check(bytes: &[u8], format: Format, mut each: impl FnMut(&[u8])) -> Result<(), BadRecord> {
    let mut offset = 0;
    while let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) {
        let (name, len) = first(rest, format).ok_or(BadRecord { offset })?;
        each(name);
        offset += len;
    }
    Ok(())
}

/// Name and length of the first record.
fn first(bytes: &[u8], format: Format) -> Option<(&[u8], usize)> {
    let len = usize::from(u16::from_le_bytes(bytes.get(16..18)?.try_into().ok()?));
    let name = bytes.get(format.head()..len)?;
    let end = name.iter().take(LONGEST + 1).position(|&byte| byte == 0)?;
    let good = end > 0 && !name[..end].contains(&b'/') && len.is_multiple_of(8);
    good.then_some((&name[..end], len))
}

/// Appends a record; `next` is the position of the entry behind it.
pub fn write(out: &mut Vec<u8>, entry: &DirEntry, next: u64, format: Format) {
    let kind = u8::try_from(entry.kind >> 12).unwrap_or(0);
    let tail = if format == Format::Old { 2 } else { 1 };
    let len = (format.head() + entry.name.len() + tail).next_multiple_of(8);
    let start = out.len();
    out.extend_from_slice(&entry.ino.to_le_bytes());
    out.extend_from_slice(&next.to_le_bytes());
    out.extend_from_slice(&u16::try_from(len).unwrap_or(0).to_le_bytes());
    if format == Format::New {
        out.push(kind);
    }
    out.extend_from_slice(&entry.name);
    out.resize(start + len, 0);
    if format == Format::Old {
        out[start + len - 1] = kind;
    }
}
