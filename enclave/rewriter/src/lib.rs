//! Replaces system call instructions in mapped code by jumps to trampolines.

#![cfg_attr(not(test), no_std)]

/// Offset from `gs` of the runtime's entry address in the per-thread data.
pub const ENTRY_SLOT: u32 = 0x40;
