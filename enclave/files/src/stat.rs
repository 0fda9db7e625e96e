//! `struct stat`.

use enclave_threads::clock;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Types of files in [`Stat::mode`].
pub mod kind {
    /// Mask of the type.
    pub const MASK: u32 = 0o170_000;
    /// Named or unnamed pipe.
    pub const PIPE: u32 = 0o010_000;
    /// Character device.
    pub const CHARACTER: u32 = 0o020_000;
    /// Directory.
    pub const DIRECTORY: u32 = 0o040_000;
    /// Block device.
    pub const BLOCK: u32 = 0o060_000;
    /// Regular file.
    pub const REGULAR: u32 = 0o100_000;
    /// Symbolic link.
    pub const LINK: u32 = 0o120_000;
    /// Socket.
    pub const SOCKET: u32 = 0o140_000;
}

/// `struct stat` of x86-64.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Stat {
    /// Device that holds the file.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Number of links.
    pub nlink: u64,
    /// Type and permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Zero.
    pub pad: u32,
    /// The device that this file is.
    pub rdev: u64,
    /// Size in bytes.
    pub size: u64,
    /// Good size of transfers in bytes.
    pub blksize: u64,
    /// Blocks of 512 bytes.
    pub blocks: u64,
    /// Last access: seconds and nanoseconds.
    pub atime: [u64; 2],
    /// Last change of the contents.
    pub mtime: [u64; 2],
    /// Last change of the inode.
    pub ctime: [u64; 2],
    /// Zero.
    pub unused: [u64; 3],
}

const _: () = assert!(size_of::<Stat>() == 144);

/// A device number (0:21) as file systems without a disk have it.
const DEVICE: u64 = 0x15;

impl Stat {
    /// The type of the file, one of [`kind`].
    #[must_use]
    pub fn kind(&self) -> u32 {
        self.mode & kind::MASK
    }

    /// Of an object that exists inside only; as in `/proc`, its times are now.
    #[must_use]
    pub fn inside(mode: u32, ino: u64) -> Self {
        let now = clock::realtime();
        let now = [now / 1_000_000_000, now % 1_000_000_000];
        let times = Self { atime: now, mtime: now, ctime: now, ..Self::default() };
        Self { dev: DEVICE, ino, nlink: 1, mode, blksize: 4096, ..times }
    }
}
