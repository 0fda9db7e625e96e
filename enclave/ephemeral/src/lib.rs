//! A file system in memory.
//!
//! Design principles:
//!
//! * **Pure.** No clock, no locks, no memory of the program: the caller says what time it is and who
//!   asks, and copies through closures. So everything is tested on any machine.
//! * **As Linux.** Errors, link counts, which times change: what tmpfs does.
//! * **A limit that is felt.** Blocks of contents, and a share for each node, are counted; what does
//!   not fit is [`Error::NoSpace`] before anything has changed.

#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod attributes;
mod blocks;
mod contents;
mod data;
mod directory;
mod error;
mod names;
mod node;
mod tree;
mod walk;

pub use blocks::BLOCK;
pub use contents::Contents;
pub use directory::Entry;
pub use error::Error;
pub use node::{Attributes, Kind, Times};
pub use tree::{FileSystem, Ino, ROOT, Replace};
pub use walk::{Following, Found, Scope, Who};
