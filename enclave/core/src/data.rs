//! The per-thread data page: what GS points to while the enclave runs.

use core::arch::asm;

use hostcall_abi::layout::{self, thread_data};

/// Offset of the top of the current thread's runtime stack (also the address of its area for the
/// full XSAVE image).
pub(crate) const RUNTIME_STACK: u64 = 0x48;
/// Offset of scratch space for the program's stack pointer.
pub(crate) const USER_RSP: u64 = 0x50;
/// Offset of scratch space for the program's instruction pointer.
pub(crate) const USER_RIP: u64 = 0x58;
/// Offset of the host's stack pointer at entry.
pub(crate) const HOST_RSP: u64 = 0x60;
/// Offset of the host's frame pointer at entry.
pub(crate) const HOST_RBP: u64 = 0x68;
/// Offset of the address to which EEXIT goes.
pub(crate) const HOST_RIP: u64 = 0x70;
/// Offset of the stack pointer of a call that is outside.
pub(crate) const CALL_RSP: u64 = 0x78;
/// Offset of the state of this enclave thread, see [`state`].
pub(crate) const STATE: u64 = 0x80;
/// Offset of the program's FS base while a call is outside.
pub(crate) const USER_FS: u64 = 0x88;
/// Offset of the current thread's identity, owned by the scheduler.
pub(crate) const CURRENT: u64 = 0x90;
/// Offset of the flag that the current thread shall look for work before it returns.
pub(crate) const RESCHEDULE: u64 = 0x98;
/// Offset of the host's stack pointer at the entry for an exception.
pub(crate) const EXC_HOST_RSP: u64 = 0xa0;
/// Offset of the host's frame pointer at the entry for an exception.
pub(crate) const EXC_HOST_RBP: u64 = 0xa8;
/// Offset of the address to which EEXIT goes from an exception.
pub(crate) const EXC_HOST_RIP: u64 = 0xb0;
/// Offset of the top of the scheduler's stack.
pub(crate) const SCHED_STACK: u64 = 0xb8;

/// Offset of the number of spin locks that are held.
pub(crate) const LOCKS: u64 = 0xc0;
/// Offset of the instruction of the runtime that faulted at the last exception entry, and zero if none did.
pub(crate) const FAULT_RIP: u64 = 0xc8;
/// Offset of the address at which it did.
pub(crate) const FAULT_ADDRESS: u64 = 0xd0;

/// States of an enclave thread.
pub(crate) mod state {
    /// Never entered.
    pub(crate) const FRESH: u64 = 0;
    /// A call is outside; the next entry brings the reply.
    pub(crate) const IN_CALL: u64 = 1;
    /// Running inside.
    pub(crate) const RUNNING: u64 = 2;
}

/// Reads the word at `OFFSET` of the current enclave thread's data.
#[inline]
pub(crate) fn read<const OFFSET: u64>() -> u64 {
    let value: u64;
    // SAFETY: GS points to the measured data page of this enclave thread, which is always mapped;
    // the offsets are the constants of this module.
    unsafe {
        asm!("mov {}, gs:[{}]", out(reg) value, const OFFSET, options(nostack, preserves_flags));
    }
    value
}

/// Writes the word at `OFFSET` of the current enclave thread's data.
#[inline]
pub(crate) fn write<const OFFSET: u64>(value: u64) {
    // SAFETY: as for `read`; no Rust object lives in the page.
    unsafe {
        asm!("mov gs:[{}], {}", const OFFSET, in(reg) value, options(nostack, preserves_flags));
    }
}

/// Adds to the word at `OFFSET`, which only this enclave thread changes.
#[inline]
pub(crate) fn add<const OFFSET: u64>(value: i32) {
    // SAFETY: as for `write`.
    unsafe {
        asm!("add qword ptr gs:[{}], {:r}", const OFFSET, in(reg) i64::from(value), options(nostack))
    };
}

/// Writes a word into the data page of enclave thread `index`, which must not be running.
pub(crate) fn write_other(index: u64, offset: u64, value: u64) {
    assert!(index < layout::TCS_COUNT && offset < layout::PAGE && offset.is_multiple_of(8));
    let address = layout::tcs_block(index).thread_data + offset;
    // SAFETY: the page is part of the measured image, and no Rust object lives in it.
    unsafe { (address as *mut u64).write_volatile(value) }
}

/// Index of the enclave thread (TCS) that executes this.
#[must_use]
pub fn tcs_index() -> u64 {
    read::<{ thread_data::INDEX }>()
}

/// Whether an exception entry asked the current thread to look for work.
#[inline]
#[must_use]
pub fn reschedule_wanted() -> bool {
    read::<RESCHEDULE>() != 0
}

/// Makes the current thread look for work before it returns to the program.
pub fn want_reschedule() {
    write::<RESCHEDULE>(1);
}

/// Clears the flag of [`reschedule_wanted`].
pub fn clear_reschedule() {
    write::<RESCHEDULE>(0);
}

/// The program's FS base (its thread pointer) as it is in the register.
#[must_use]
pub fn fs_base() -> u64 {
    let value: u64;
    // SAFETY: reads a register; FSGSBASE is always enabled for enclaves.
    unsafe { asm!("rdfsbase {}", out(reg) value, options(nostack, nomem, preserves_flags)) }
    value
}

/// Sets the program's FS base. The runtime itself never uses FS.
pub fn set_fs_base(value: u64) {
    assert!(value < layout::ELRANGE_SIZE, "an FS base outside of the enclave");
    // SAFETY: the runtime makes no FS-relative access; a value the program chose can only make
    // the program's own accesses fault. Non-canonical values were refused (they would #GP).
    unsafe { asm!("wrfsbase {}", in(reg) value, options(nostack, nomem, preserves_flags)) }
}
