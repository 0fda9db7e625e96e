//! What of files can be decided without a machine, memory or a host: which descriptor is free,
//! whether a directory's entries are well-formed, where a path leads by its letters, what a pipe
//! or a pair of sockets holds, which locks exclude each other.
//!
//! Design principles:
//!
//! * **As Linux.** The lowest free number; records of `getdents64(2)`; `.` and `..` and `//`.
//! * **Bytes of the host are hostile.** Whatever they are, the functions here return; they never
//!   panic and never look beyond the slice.

#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod byte_queue;
mod channel;
pub mod dirent;
pub mod path;
mod pipe_buffer;
mod record_locks;
mod slots;

pub use byte_queue::ByteQueue;
pub use channel::{Attachment, Channel, Received};
pub use pipe_buffer::{PIPE_BUF, PipeBuffer};
pub use record_locks::{RecordLock, RecordLocks};
pub use slots::Slots;
