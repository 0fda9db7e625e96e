//! The address space of the program inside the enclave: `mmap`, `munmap`, `mprotect`, `mremap`,
//! `madvise`, `brk`, `msync`, `mincore`, `mlock`, page faults, and `/proc/self/maps`.
//!
//! Principles:
//! - Pure logic. What touches pages or files is behind the trait [`Pages`]; so everything here is
//!   tested on the host, against a model that works page by page. No unsafe code.
//! - Linux decides: the order of checks, the errno, what has happened before an error, as in
//!   `mm/mmap.c`, `mm/mprotect.c`, `mm/mremap.c`, `mm/madvise.c` of Linux 6.x.
//! - One invariant ties mappings and pages: a committed page has exactly the protection
//!   [`Vma::prot`] (made effective), less write if it is a clean page of a shared file. So there is
//!   no per-page state: only two sets of runs, the committed and the dirty pages.
//! - One caller at a time (the runtime's lock); nothing is locked or shared in here.
//!
//! # Shared file mappings
//!
//! Enclave pages cannot alias each other or the host's page cache. A `MAP_SHARED` mapping is
//! therefore a cached copy: read on fault (or, by who needs no page,
//! [through the file](AddressSpace::read_through)), written back by `msync`, `munmap`, `mremap` and
//! [`AddressSpace::flush_all`]. Pages become dirty by a write fault, one small block at a time; clean
//! ones are never written back. Of the same part of a file, a dirty page is the only page among all
//! mappings, which faults see to: so these show each other's changes. A private mapping shows them in
//! pages that it reads from then on, another process after a write-back. For `read(2)` and `write(2)`
//! the runtime keeps coherence by calling [`AddressSpace::flush_file`], [`AddressSpace::begin_write`]
//! and [`AddressSpace::end_write`], cheap when [`AddressSpace::has_shared_files`] is false. An
//! instruction that needs two pages of one part at once ([`AddressSpace::are_twins`]) is its caller's
//! to execute.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod advise;
mod brk;
mod errors;
mod fault;
mod gaps;
mod growth;
mod map;
mod maps_format;
mod mmap;
mod pages;
mod policy;
mod protect;
mod range;
mod remap;
mod runs;
mod runtime_areas;
mod shared;
mod space;
mod store;
mod through;
mod unmap;
mod vma;
mod writes;

pub use errors::MmError;
pub use fault::{Access, FaultOutcome, SegvCode};
pub use maps_format::Usage;
pub use mmap::{Backing, MapFlags, MapRequest};
pub use pages::{BackingFile, Pages};
pub use policy::{Layout, Limits, Policy};
pub use range::{PAGE_SIZE, PageRange};
pub use remap::RemapFlags;
pub use runs::PageSet;
pub use shared::SyncFlags;
pub use space::AddressSpace;
pub use vma::{FileRef, Prot, Vma, VmaFlags, VmaKind};
