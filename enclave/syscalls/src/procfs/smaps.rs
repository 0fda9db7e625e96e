//! `/proc/self/smaps`: what is committed of each mapping. Nothing of an enclave is shared with
//! other processes, so all of it is private and dirty.

use alloc::{format, string::String, vec::Vec};

use enclave_mm::{PageRange, VmaKind};

use crate::process::{Space, process};

/// Bytes of a mapping that are committed, and bytes of these that are not of a file, in KiB.
struct Sizes {
    all: u64,
    resident: u64,
    anonymous: u64,
}

impl Sizes {
    fn of(space: &Space, range: PageRange, kind: &VmaKind<crate::process::Backing>) -> Self {
        let resident = space.committed().runs_in(range).map(PageRange::len).sum::<u64>() / 1024;
        let shared = matches!(kind, VmaKind::FileShared(_));
        let anonymous = if shared { 0 } else { resident };
        Self { all: range.len() / 1024, resident, anonymous }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let Self { all, resident, anonymous } = self;
        let lines = [
            ("Size", *all),
            ("KernelPageSize", 4),
            ("MMUPageSize", 4),
            ("Rss", *resident),
            ("Pss", *resident),
            ("Shared_Clean", 0),
            ("Shared_Dirty", 0),
            ("Private_Clean", 0),
            ("Private_Dirty", *resident),
            ("Referenced", *resident),
            ("Anonymous", *anonymous),
            ("Swap", 0),
            ("Locked", 0),
        ];
        let line = |(name, value)| format!("{:<16}{value:>8} kB\n", format!("{name}:"));
        let text: String = lines.into_iter().map(line).collect();
        out.extend_from_slice(text.as_bytes());
    }
}

pub(super) fn smaps(_: u32) -> Vec<u8> {
    let space = process().space();
    let mut out = Vec::new();
    for vma in space.vmas() {
        vma.write_maps_line(&mut out);
        Sizes::of(&space, vma.range(), vma.kind()).write(&mut out);
    }
    out
}

pub(super) fn rollup(_: u32) -> Vec<u8> {
    let space = process().space();
    let mut sum = Sizes { all: 0, resident: 0, anonymous: 0 };
    let (mut start, mut end) = (u64::MAX, 0);
    for vma in space.vmas() {
        let sizes = Sizes::of(&space, vma.range(), vma.kind());
        sum.all += sizes.all;
        sum.resident += sizes.resident;
        sum.anonymous += sizes.anonymous;
        (start, end) = (start.min(vma.range().start()), end.max(vma.range().end()));
    }
    let head = format!("{:08x}-{end:08x} ---p 00000000 00:00 0 [rollup]\n", start.min(end));
    let mut out = head.into_bytes();
    sum.write(&mut out);
    out
}
