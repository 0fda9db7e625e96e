//! Whether a file system has much more room than is written.

use enclave_hostcalls::{Call, Wait};
use enclave_threads::clock;

use crate::HostFd;

const FSTATFS: u64 = 138;
/// `struct statfs` in bytes.
const STATFS: u64 = 120;
/// Nanoseconds for which an answer is believed.
const LIFETIME: u64 = 100_000_000;
/// Bytes that must be free, and the share of them that is believed to stay so.
const ENOUGH: u64 = 64 << 20;
const SHARE: u64 = 16;
/// Most bytes that are written until the host is asked again.
const MOST: u64 = 16 << 20;
/// File systems of this machine that refuse a write for want of room only: ext4, XFS, Btrfs, tmpfs, overlayfs,
/// F2FS, ZFS, bcachefs. Others may have something to say to each write, as `/proc` and those of the network.
const PLAIN: [u64; 8] = [
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0x0102_1994,
    0x794c_7630,
    0xf2f5_2010,
    0x2fc1_2fc1,
    0xca45_1a4e,
];

/// Room that a file system is known to have.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Bytes.
    free: u64,
    /// Until when, in nanoseconds of [`clock::monotonic`].
    until: u64,
}

impl Room {
    /// Asks the host about the file system of a file.
    pub(super) fn ask(fd: &HostFd) -> Self {
        let free = free_on(fd).filter(|&free| free >= ENOUGH);
        let free = free.map_or(0, |free| (free / SHARE).min(MOST));
        Self { free, until: clock::monotonic().saturating_add(LIFETIME) }
    }

    /// Takes `len` bytes; false if there is too little room. `None` if the host is to be asked.
    pub(super) fn take(&mut self, len: u64) -> Option<bool> {
        let known = clock::monotonic() < self.until;
        if known && self.free >= len {
            self.free -= len;
            return Some(true);
        }
        // One that had room once may have more of it.
        (known && self.free == 0).then_some(false)
    }
}

/// Bytes that anybody may use on the file system of a file, if it is a plain one.
fn free_on(fd: &HostFd) -> Option<u64> {
    let mut call = Call::new(FSTATFS, STATFS).ok()?;
    let answer = call.room(STATFS);
    call.args([fd.number(), answer.address()]).zero(Wait::No).ok()?;
    // f_type, f_bsize, f_blocks, f_bfree, f_bavail.
    let [kind, block, _, _, available] = [0, 1, 2, 3, 4].map(|index| answer.word(index).read());
    PLAIN.contains(&kind).then(|| available.saturating_mul(block))
}
