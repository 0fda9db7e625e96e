//! Switching between threads of the runtime.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::{
    Stack, UserRegs,
    asm::{scone_switch, scone_thread_trampoline},
    data::{self, RUNTIME_STACK},
    fs_base, set_fs_base,
    sync::locks_held,
    xstate::{self, restore_live, save_live, write_image},
};

/// A suspended or running flow of execution with a runtime stack of its own.
#[derive(Debug)]
pub struct Context {
    /// Where it is suspended; zero while it runs.
    rsp: AtomicU64,
    top: u64,
    /// Owns the stack; a scheduler's context borrows the one it was started on.
    _stack: Option<Stack>,
}

const REGS: u64 = size_of::<UserRegs>() as u64;

impl Context {
    /// A context that will call `start(argument)` on `stack`, and if that returns, enter the
    /// program with `regs` and the XSAVE image `xstate` (empty for the initial state).
    #[must_use]
    pub fn new(
        stack: Stack,
        start: extern "sysv64" fn(u64),
        argument: u64,
        regs: &UserRegs,
        xstate: &[u8],
    ) -> Self {
        let top = stack.top();
        write_image(top, if xstate.is_empty() { &INITIAL_XSTATE } else { xstate });
        let regs = UserRegs { flags: UserRegs::FULL, ..*regs };
        let trampoline = scone_thread_trampoline as *const () as u64;
        // What `scone_switch` pops: MXCSR, r15, r14, r13, r12, rbp, rbx, and the return address.
        let frame = [0x1f80, 0, 0, argument, start as usize as u64, 0, 0, trampoline];
        let rsp = top - REGS - size_of_val(&frame) as u64;
        // SAFETY: the stack is ours alone, mapped, and large enough; the addresses are aligned.
        unsafe {
            ((top - REGS) as *mut UserRegs).write(regs);
            (rsp as *mut [u64; 8]).write(frame);
        }
        Self { rsp: AtomicU64::new(rsp), top, _stack: Some(stack) }
    }

    /// The context of the code that runs now: a scheduler, on the stack it was started on.
    #[must_use]
    pub fn running() -> Self {
        Self { rsp: AtomicU64::new(0), top: data::read::<RUNTIME_STACK>(), _stack: None }
    }
}

/// Legacy region of an XSAVE image in its initial state (x87 and SSE present).
const INITIAL_XSTATE: [u8; 576] = {
    let mut bytes = [0; 576];
    bytes[0] = 0x7f;
    bytes[1] = 0x03;
    bytes[24] = 0x80;
    bytes[25] = 0x1f;
    bytes[512] = 3;
    bytes
};

/// Suspends `thread`, which must be what runs now, and continues `scheduler`. Returns when somebody
/// calls [`run`] for the thread, possibly on another enclave thread.
///
/// # Panics
///
/// If `scheduler` is running already.
pub fn leave(thread: &Context, scheduler: &Context) {
    let fs = fs_base();
    let live = save_live();
    switch(thread, scheduler);
    set_fs_base(fs);
    restore_live(live);
}

/// Suspends `scheduler`, which must be what runs now, and continues `thread`, until that calls
/// [`leave`] or [`abandon`].
///
/// A scheduler has nothing of its own beyond the general registers: what it finds in the others
/// is of the thread that left.
///
/// # Panics
///
/// If `thread` is running already.
pub fn run(scheduler: &Context, thread: &Context) {
    switch(scheduler, thread);
}

fn switch(from: &Context, to: &Context) {
    assert!(from.top == data::read::<RUNTIME_STACK>());
    assert!(!locks_held(), "a thread waits while it holds a spin lock");
    let load = to.rsp.swap(0, Ordering::Acquire);
    assert!(load != 0, "a context that runs was switched to");
    data::write::<RUNTIME_STACK>(to.top);
    // SAFETY: `load` was stored by `scone_switch` or `Context::new` and taken by us alone, so the
    // stack it points to is suspended there. `from.rsp` is stored as the last use of our stack.
    unsafe { scone_switch(from.rsp.as_ptr(), load) };
}

/// Gives the registers with which the current thread will enter the program for the first time.
///
/// # Panics
///
/// If called on a scheduler's stack.
pub fn enter_user(regs: &UserRegs) {
    let top = data::read::<RUNTIME_STACK>();
    write_image(top, &INITIAL_XSTATE);
    // Until the program sets it, it has no thread pointer.
    data::set_fs_base(0);
    let regs = UserRegs { flags: UserRegs::FULL, ..*regs };
    // SAFETY: the place at the top of a thread's runtime stack is reserved for this.
    unsafe { ((top - REGS) as *mut UserRegs).write(regs) }
}

/// Continues `to` and never comes back: the stack of what runs now may be reused.
///
/// # Panics
///
/// If `to` is running already.
pub fn abandon(to: &Context) -> ! {
    let load = to.rsp.swap(0, Ordering::Acquire);
    assert!(load != 0, "a context that runs was switched to");
    xstate::reset();
    data::write::<RUNTIME_STACK>(to.top);
    let mut nowhere = 0;
    // SAFETY: as in `switch`; what is saved of this stack is never used.
    unsafe { scone_switch(&raw mut nowhere, load) };
    crate::fatal("a thread that has ended was continued")
}
