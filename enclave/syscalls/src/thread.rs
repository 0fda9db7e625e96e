//! Threads: clone and exit.

use alloc::boxed::Box;
use core::sync::atomic::Ordering;

use enclave_core::{AppPtr, UserRegs, exit_forever, fs_base, set_fs_base, xstate};
use enclave_hostcalls::Errno;
use enclave_threads::{Thread, current, exit_current, futex, live_threads, spawn, yield_to_all};
use hostcall_abi::{layout::USER_END, service};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{
    Sys,
    futex::owner_died,
    process::{process, settle},
    signal, task,
    task::Task,
};

const CLONE_VM: u64 = 0x100;
const CLONE_SIGHAND: u64 = 0x800;
const CLONE_THREAD: u64 = 0x1_0000;
const CLONE_SETTLS: u64 = 0x8_0000;
const CLONE_PARENT_SETTID: u64 = 0x10_0000;
const CLONE_CHILD_CLEARTID: u64 = 0x20_0000;
const CLONE_CHILD_SETTID: u64 = 0x100_0000;

pub(crate) fn clone(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [flags, stack, parent_tid, child_tid, tls, _] = sys.args;
    new_thread(sys.regs, &CloneArgs { flags: flags & !0xff, stack, parent_tid, child_tid, tls })
}

/// The arguments of clone(2) that matter for a thread.
struct CloneArgs {
    flags: u64,
    stack: u64,
    parent_tid: u64,
    child_tid: u64,
    tls: u64,
}

/// `struct clone_args`, first version.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct RawCloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
}

pub(crate) fn clone3(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [pointer, size, ..] = sys.args;
    if size < size_of::<RawCloneArgs>() as u64 {
        return Err(Errno::EINVAL);
    }
    if size > 4096 {
        return Err(Errno::E2BIG);
    }
    let raw = AppPtr::<RawCloneArgs>::new(pointer).read()?;
    let stack = raw.stack.checked_add(raw.stack_size).ok_or(Errno::EINVAL)?;
    let (flags, tls) = (raw.flags, raw.tls);
    let (parent_tid, child_tid) = (raw.parent_tid, raw.child_tid);
    new_thread(sys.regs, &CloneArgs { flags, stack, parent_tid, child_tid, tls })
}

fn new_thread(regs: &mut UserRegs, args: &CloneArgs) -> Result<u64, Errno> {
    const THREAD: u64 = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
    let with = |flag, needed| args.flags & flag == 0 || args.flags & needed != 0;
    if !with(CLONE_THREAD, CLONE_SIGHAND) || !with(CLONE_SIGHAND, CLONE_VM) {
        return Err(Errno::EINVAL);
    }
    if args.flags & THREAD != THREAD {
        // A process of its own is not there yet.
        return Err(Errno::ENOSYS);
    }
    let has = |flag| args.flags & flag != 0;
    if has(CLONE_SETTLS) && args.tls >= USER_END {
        return Err(Errno::EPERM);
    }
    let tid = process().new_tid();
    if has(CLONE_PARENT_SETTID) {
        AppPtr::<u32>::new(args.parent_tid).write(&tid)?;
    }
    if has(CLONE_CHILD_SETTID) {
        AppPtr::<u32>::new(args.child_tid).write(&tid)?;
    }
    let child_task = Task::default();
    child_task.set_name(&task::of(&current()).name());
    if has(CLONE_CHILD_CLEARTID) {
        child_task.clear_tid.store(args.child_tid, Ordering::Relaxed);
    }
    // The child has the parent's vector state; its own registers differ in rax and rsp only.
    xstate::capture(regs);
    let mut child = *regs;
    child.rax = 0;
    if args.stack != 0 {
        child.rsp = args.stack;
    }
    let tls = if has(CLONE_SETTLS) { args.tls } else { fs_base() };
    let thread = Thread::new(tid, child_start, tls, &child, &xstate::image(), Box::new(child_task));
    signal::thread_started(&thread);
    spawn(thread);
    Ok(tid.into())
}

extern "sysv64" fn child_start(tls: u64) {
    set_fs_base(tls);
}

pub(crate) fn exit(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    if live_threads() <= 1 {
        exit_group(sys)?;
    }
    let thread = current();
    let task = task::of(&thread);
    release_robust_futexes(task.robust_head(), thread.tid());
    let clear = task.clear_tid.load(Ordering::Relaxed);
    if clear != 0 && AppPtr::<u32>::new(clear).store(0).is_ok() {
        futex::wake(clear, 1, u32::MAX);
    }
    drop(thread);
    signal::thread_ended();
    exit_current()
}

/// Marks the futexes of a robust list as left by a dead owner (see Documentation/locking/
/// robust-futex-ABI). The list is the program's: bounded, and faults end the walk.
fn release_robust_futexes(head: u64, tid: u32) {
    const LIMIT: usize = 2048;
    if head == 0 {
        return;
    }
    let word = |address| AppPtr::<u64>::new(address).read();
    let walk = || {
        let offset = word(head.wrapping_add(8))?;
        let pending = word(head.wrapping_add(16))?;
        let mut entry = word(head)?;
        for _ in 0..LIMIT {
            if entry & !1 == head {
                break;
            }
            let next = word(entry & !1)?;
            if entry & !1 != pending & !1 {
                owner_died((entry & !1).wrapping_add(offset), tid);
            }
            entry = next;
        }
        if pending != 0 {
            owner_died((pending & !1).wrapping_add(offset), tid);
        }
        Ok::<(), enclave_core::Fault>(())
    };
    // Nobody is left to tell about a fault.
    let _ = walk();
}

pub(crate) fn exit_group(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    settle();
    crate::stats::report();
    exit_forever(service::EXIT, sys.args[0] & 0xff)
}

pub(crate) fn set_tid_address(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let thread = current();
    task::of(&thread).clear_tid.store(sys.args[0], Ordering::Relaxed);
    Ok(thread.tid().into())
}

pub(crate) fn set_robust_list(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [head, len, ..] = sys.args;
    if len != 24 {
        return Err(Errno::EINVAL);
    }
    let thread = current();
    let task = task::of(&thread);
    task.robust[0].store(head, Ordering::Relaxed);
    task.robust[1].store(len, Ordering::Relaxed);
    Ok(0)
}

pub(crate) fn get_robust_list(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [tid, head, len, ..] = sys.args;
    let thread = current();
    if tid != 0 && tid != u64::from(thread.tid()) {
        return Err(Errno::EPERM);
    }
    let task = task::of(&thread);
    AppPtr::<u64>::new(head).write(&task.robust_head())?;
    AppPtr::<u64>::new(len).write(&24)?;
    Ok(0)
}

pub(crate) fn arch_prctl(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const SET_FS: u64 = 0x1002;
    const GET_FS: u64 = 0x1003;
    let [code, address, ..] = sys.args;
    match code {
        SET_FS if address >= USER_END => Err(Errno::EPERM),
        SET_FS => {
            set_fs_base(address);
            Ok(0)
        }
        GET_FS => {
            AppPtr::<u64>::new(address).write(&fs_base())?;
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}

pub(crate) fn sched_yield(_: &mut Sys<'_>) -> Result<u64, Errno> {
    yield_to_all();
    Ok(0)
}
