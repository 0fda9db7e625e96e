//! Start-up of enclave threads, and the targets of the assembler.

use core::sync::atomic::{AtomicU64, Ordering};

use hostcall_abi::{boot, layout, layout::thread_data};

use crate::{
    HostSlice, Stack, UserRegs, asm, call,
    data::{self, RUNTIME_STACK, SCHED_STACK},
    fatal,
    hooks::hooks,
};

static BOOT: AtomicU64 = AtomicU64::new(0);

/// First Rust code of the runtime, on the lower half of the exception stack of the first enclave thread.
pub(crate) extern "sysv64" fn first_start(boot: u64) -> ! {
    BOOT.store(boot, Ordering::Relaxed);
    for index in 0..layout::TCS_COUNT {
        data::write_other(index, thread_data::SYSCALL_ENTRY, asm::syscall_entry_address());
    }
    prepare_thread(0);
    let top = data::read::<SCHED_STACK>();
    // SAFETY: the stack was just made, for this enclave thread alone.
    unsafe { asm::scone_on_stack(top, start_on_stack) }
}

extern "sysv64" fn start_on_stack() -> ! {
    let boot = HostSlice::new(BOOT.load(Ordering::Relaxed), boot::WORDS * 8);
    let Ok(boot) = boot else { fatal("the host misbehaved: its boot parameters are not outside") };
    (hooks().start)(boot)
}

/// Gives enclave thread `index` a stack for its scheduler, so that it may enter.
///
/// # Panics
///
/// If there is no such thread.
pub fn prepare_thread(index: u64) {
    let stack = Stack::new();
    let top = stack.top();
    // The scheduler of an enclave thread lives as long as the enclave.
    core::mem::forget(stack);
    data::write_other(index, RUNTIME_STACK, top);
    data::write_other(index, SCHED_STACK, top - size_of::<UserRegs>() as u64);
}

/// Takes what the core needs of the arena; must be called once, before any call outside. Returns
/// the rest of the arena.
#[must_use]
pub fn ready(arena: HostSlice) -> HostSlice {
    call::take_own_requests(arena)
}

pub(crate) extern "sysv64" fn thread_start() -> ! {
    (hooks().thread_start)()
}

pub(crate) extern "sysv64" fn syscall(regs: &mut UserRegs) {
    (hooks().syscall)(regs);
}

pub(crate) extern "sysv64" fn before_return(regs: &mut UserRegs) {
    (hooks().before_return)(regs);
}
