//! Records of directories: what is written can be read, and what is hostile is refused.

use enclave_descriptors::dirent::{BadRecord, DirEntry, Format, check, write};
use proptest::prelude::*;

fn names(bytes: &[u8], format: Format) -> Result<Vec<Vec<u8>>, BadRecord> {
    let mut names = Vec::new();
    check(bytes, format, |name| names.push(name.to_vec())).map(|()| names)
}

fn record(name: &[u8], format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    let entry = DirEntry { ino: 7, kind: 0o100_000, name: name.to_vec() };
    write(&mut out, &entry, 1, format);
    out
}

fn format() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::Old), Just(Format::New)]
}

proptest! {
    #[test]
    fn what_is_written_is_well_formed(
        format in format(),
        wanted in proptest::collection::vec("[a-zA-Z0-9._ -]{1,255}", 0..20),
    ) {
        let mut bytes = Vec::new();
        for (index, name) in wanted.iter().enumerate() {
            let entry = DirEntry { ino: 1, kind: 0o040_000, name: name.clone().into_bytes() };
            write(&mut bytes, &entry, index as u64, format);
        }
        let wanted: Vec<_> = wanted.into_iter().map(String::into_bytes).collect();
        prop_assert_eq!(names(&bytes, format), Ok(wanted));
    }

    #[test]
    fn hostile_bytes_are_only_refused(
        format in format(),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        if let Ok(names) = names(&bytes, format) {
            prop_assert!(names.iter().all(|name| !name.is_empty() && !name.contains(&b'/')));
        }
    }

    #[test]
    fn a_changed_length_does_not_lead_outside(format in format(), len in any::<u16>()) {
        let mut bytes = [record(b"one", format), record(b"two", format)].concat();
        bytes[16..18].copy_from_slice(&len.to_le_bytes());
        if let Ok(names) = names(&bytes, format) {
            prop_assert!(names.iter().map(Vec::len).sum::<usize>() <= bytes.len());
        }
    }
}

#[test]
fn impossible_records_are_named() {
    let good = record(b"good", Format::New);
    for name in [b"".as_slice(), b"a/b"] {
        let bytes = [good.clone(), record(name, Format::New)].concat();
        assert_eq!(names(&bytes, Format::New), Err(BadRecord { offset: good.len() }));
    }
    assert_eq!(names(&good[..good.len() - 1], Format::New), Err(BadRecord { offset: 0 }));
    assert_eq!(names(&[0; 24], Format::New), Err(BadRecord { offset: 0 }));
}

/// Of VFAT, 255 characters; of FUSE, as long as a path may be.
#[test]
fn names_may_be_longer_than_255_bytes() {
    for format in [Format::Old, Format::New] {
        for len in [256, 765, 4095] {
            let name = vec![b'x'; len];
            assert_eq!(names(&record(&name, format), format), Ok(vec![name]));
        }
        let longer = record(&[b'x'; 4096], format);
        assert_eq!(names(&longer, format), Err(BadRecord { offset: 0 }));
    }
}

#[test]
fn the_layout_is_that_of_linux() {
    let bytes = record(b"abc", Format::New);
    assert_eq!(bytes.len(), 24);
    assert_eq!(bytes[16..19], [24, 0, 8]);
    assert_eq!(&bytes[19..23], b"abc\0");
    let bytes = record(b"abcd", Format::Old);
    assert_eq!(bytes.len(), 24);
    assert_eq!(&bytes[18..24], b"abcd\0\x08");
}
