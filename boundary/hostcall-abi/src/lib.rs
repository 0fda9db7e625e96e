//! The contract between the enclave runtime and its untrusted host.
//!
//! Everything that crosses is made of aligned 64-bit words: the runtime neither reads nor writes
//! untrusted memory in any other unit (CVE-2022-21166, CVE-2022-21233). A call is a
//! [`request`]: a number, six arguments and a result. Numbers below [`service::FIRST`] are Linux
//! system calls whose pointer arguments are addresses of *host* memory, staged there by the
//! runtime; the host executes them as they are. The others are services of the launcher.
//!
//! Nothing here is trusted: the runtime checks each reply against the request it made.

#![cfg_attr(not(test), no_std)]

pub mod boot;
pub mod chunks;
pub mod control;
pub mod exit;
pub mod layout;
pub mod looks;
pub mod manifest;
pub mod missing;
pub mod request;
pub mod service;
pub mod shapes;
pub mod syscalls;

/// Version of this contract; the runtime refuses to start under another one.
pub const VERSION: u64 = 1;
