//! Descriptors of the program and the objects behind them.
//!
//! Design principles:
//!
//! * **Three layers, as in Linux.** A number of the program ([`Table`]) leads to an open file
//!   ([`OpenFile`], shared by `dup`), which holds an [`Object`]: what is opened.
//! * **Numbers of the program are not numbers of the host.** An object may own a descriptor of the
//!   host ([`HostFd`]); a number that the host hands out twice ends the enclave.
//! * **An object decides what it can do.** Every method of [`Object`] has the answer of Linux for
//!   objects that cannot as its default; system calls ask the object, they do not look at its type.

#![no_std]

extern crate alloc;

mod ahead;
mod device;
mod host;
mod host_file;
mod object;
mod open_file;
mod owned;
mod stat;
mod stdio;
mod stream;
mod table;
mod text;
mod transfer;
mod wait_queue;
mod writes;

pub use ahead::{Along, Guessed, give_up_guesses};
pub use device::Device;
pub use enclave_descriptors::dirent::DirEntry;
pub use host::HostFd;
pub use host_file::{HostFile, Identity, Made};
pub use object::{Io, Object, ready};
pub use open_file::OpenFile;
pub use stat::{Stat, kind};
pub use stdio::{host_status, init};
pub use stream::{
    Behind, Cork, Data, Moment, Stream, Told, Transport, data_is_left, keep_heads_waiting,
};
pub use table::{Table, table};
pub use text::{Directory, Text};
pub use transfer::{fetch_host, store_host};
pub use wait_queue::{WaitQueue, Watcher};
pub use writes::limit_file_size;

/// Status flags of an open file (`open(2)`) that matter here.
pub mod flag {
    /// Access mode mask.
    pub const ACCMODE: u64 = 3;
    /// Opened for writing only.
    pub const WRONLY: u64 = 1;
    /// Opened for reading and writing.
    pub const RDWR: u64 = 2;
    /// Create the file.
    pub const CREAT: u64 = 0o100;
    /// The file must not exist.
    pub const EXCL: u64 = 0o200;
    /// Make it empty.
    pub const TRUNC: u64 = 0o1000;
    /// Write at the end.
    pub const APPEND: u64 = 0o2000;
    /// Never wait.
    pub const NONBLOCK: u64 = 0o4000;
    /// Each write waits for the disk.
    pub const DSYNC: u64 = 0o10_000;
    /// Bypass the page cache.
    pub const DIRECT: u64 = 0o40_000;
    /// Large files: set in whatever is opened by its path.
    pub const LARGEFILE: u64 = 0o100_000;
    /// Must be a directory.
    pub const DIRECTORY: u64 = 0o200_000;
    /// Do not follow a symbolic link at the end.
    pub const NOFOLLOW: u64 = 0o400_000;
    /// Close at exec: a flag of the descriptor, not of the open file.
    pub const CLOEXEC: u64 = 0o2_000_000;
    /// A path only.
    pub const PATH: u64 = 0o10_000_000;
    /// An unnamed file (includes [`DIRECTORY`]).
    pub const TMPFILE: u64 = 0o20_200_000;
}
