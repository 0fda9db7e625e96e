//! Runtime stacks: one per thread of the program, one per enclave thread for its scheduler.
//!
//! From the top down: an area for the live vector state across a switch, an area for the full
//! XSAVE image of the program, the stack (its top is where [`crate::UserRegs`] lie), and pages
//! that are never accepted, so that an overflow faults.

use alloc::vec::Vec;

use hostcall_abi::layout::{HEAP_END, PAGE};

use crate::{Mutex, fatal, pages};

/// Where the stacks begin; the heap ends here.
pub(crate) const STACKS_BASE: u64 = 0x3fa0_0000_0000;
/// Distance between stacks.
const SLOT: u64 = 64 * 1024;
/// Accepted bytes of a stack, including [`AREAS`].
pub const STACK_BYTES: u64 = 48 * 1024;
/// Bytes of the two XSAVE areas above the stack.
const AREAS: u64 = 2 * PAGE;

/// Bytes that an XSAVE area has room for.
pub(crate) const AREA_BYTES: u64 = PAGE;

static FREE: Mutex<Pool> = Mutex::new(Pool { next: STACKS_BASE, free: Vec::new() });

struct Pool {
    next: u64,
    free: Vec<u64>,
}

/// A runtime stack; given back when dropped.
#[derive(Debug)]
pub struct Stack {
    slot: u64,
}

impl Stack {
    /// Takes a stack, accepting its pages if it is new.
    ///
    /// Ends the enclave if there is no memory.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it takes a resource")]
    pub fn new() -> Self {
        let mut pool = FREE.lock();
        if let Some(slot) = pool.free.pop() {
            return Self { slot };
        }
        let slot = pool.next;
        if slot + SLOT > HEAP_END {
            fatal("no room for another runtime stack");
        }
        pool.next += SLOT;
        drop(pool);
        let stack = Self { slot };
        pages::accept_new(slot + SLOT - STACK_BYTES, STACK_BYTES, None);
        stack
    }

    /// Top of the stack; the full XSAVE area starts here.
    pub(crate) const fn top(&self) -> u64 {
        self.slot + SLOT - AREAS
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        FREE.lock().free.push(self.slot);
    }
}
