//! EENTER, EEXIT, AEX and ERESUME.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::assembler::{Code, Form, Reg};
use super::specimen::{DATA, DYNAMIC, Specimen, call, entry, exit, fails, frame, resume, tcs};
use crate::{Backend, ENTRY_FLAGS, EnterLeaf, Outcome, Run};

/// Offset of GPRSGX.EXITINFO in an SSA frame of four pages, and of EXINFO.
const EXIT_INFO: u64 = 4 * 4096 - 184 + 160;
const EXINFO: u64 = 4 * 4096 - 184 - 16;

/// Registers go in and out, and the enclave sees its TCS and CSSA.
pub fn round_trip(backend: &dyn Backend) {
    check_round_trip(backend, Form::Roomy);
}

/// The same where an emulator cannot patch.
pub fn bare_round_trip(backend: &dyn Backend) {
    check_round_trip(backend, Form::Bare);
}

fn check_round_trip(backend: &dyn Backend, form: Form) {
    let main = Code::new()
        .add(Reg::Rdi, 1)
        .add(Reg::Rsi, 2)
        .add(Reg::Rdx, 3)
        .copy(Reg::R8, Reg::Rbx)
        .copy(Reg::R9, Reg::Rax)
        .then(&exit(form));
    let enclave = Specimen::new(backend, main, Code::new()).build(backend);
    for round in 0..100 {
        let mut run = Run { rsi: 20, rdx: 30, r8: 40, r9: 50, ..entry(0, round) };
        assert_eq!(enclave.enter(&mut run), Outcome::Exited);
        let want = Run { rdi: round + 1, rsi: 22, rdx: 33, r8: tcs(0), r9: 0, ..run };
        assert_eq!(run, want);
    }
}

/// EENTER leaves DF, NT and AC as they are, and what the enclave leaves in them harms nobody.
pub fn flags_at_entry(backend: &dyn Backend) {
    const DF_NT_AC: u64 = 0x4_4400;
    let main = Code::new().flags(Reg::R8).then(&exit(Form::Bare));
    let enclave = Specimen::new(backend, main, Code::new()).build(backend);
    for flags in [0, DF_NT_AC, u64::MAX, 0] {
        let mut run = Run { flags, ..entry(0, 0) };
        assert_eq!(enclave.enter(&mut run), Outcome::Exited);
        assert_eq!(run.r8 & DF_NT_AC, flags & DF_NT_AC);
        assert_eq!(run.r8 & !(ENTRY_FLAGS | 0x202), 0);
    }
}

/// Code that hands EXITINFO (RDI), EXINFO (RSI, RDX) and GPRSGX.RIP (R8) of frame 0 to the host.
fn report() -> Code {
    let at = |offset: u64| u32::try_from(frame(0, 0) + offset).expect("low addresses");
    Code::new()
        .load(Reg::Rdi, at(EXIT_INFO))
        .load(Reg::Rsi, at(EXINFO))
        .load(Reg::Rdx, at(EXINFO + 8))
        .load(Reg::R8, at(EXIT_INFO - 160 + 136))
        .then(&exit(Form::Roomy))
}

/// Runs `main` into an exception; returns vector, error code and address that the host sees, and what
/// the enclave sees when entered again.
fn explode(backend: &dyn Backend, main: Code) -> (u16, u16, u64, Run) {
    let enclave = Specimen::new(backend, main, report()).build(backend);
    let exception = fails(&*enclave, entry(0, 0));
    assert_eq!(exception.leaf, EnterLeaf::Eresume);
    let run = call(&*enclave, 0);
    (exception.vector, exception.error_code, exception.address, run)
}

/// EXITINFO of a hardware exception.
fn exit_info(vector: u64) -> u64 {
    1 << 31 | 3 << 8 | vector
}

/// #DE.
pub fn divide_error(backend: &dyn Backend) {
    let main = Code::new().set(Reg::Rcx, 0).raw(&[0x48, 0xf7, 0xf1]);
    let (vector, _, _, run) = explode(backend, main);
    assert_eq!((vector, run.rdi & 0xffff_ffff), (0, exit_info(0)));
}

/// #UD by UD2.
pub fn invalid_opcode(backend: &dyn Backend) {
    let (vector, _, _, run) = explode(backend, Code::new().raw(&[0x0f, 0x0b]));
    assert_eq!((vector, run.rdi & 0xffff_ffff), (6, exit_info(6)));
}

/// A system call instruction is #UD, and GPRSGX.RIP points to it.
pub fn system_call(backend: &dyn Backend) {
    // getpid: harmless, should it be executed.
    let before = Code::new().set(Reg::Rax, 39).raw(&[0x48, 0x8d, 0x35, 0, 0, 0, 0]); // lea rsi, [rip]
    let main = before.store(DATA, Reg::Rsi).raw(&[0x0f, 0x05]).then(&exit(Form::Roomy));
    let handler = report();
    let with_address = Code::new().load(Reg::R9, DATA).then(&handler);
    let enclave = Specimen::new(backend, main, with_address).build(backend);
    let exception = fails(&*enclave, entry(0, 0));
    assert_eq!((exception.vector, exception.leaf), (6, EnterLeaf::Eresume));
    let run = call(&*enclave, 0);
    assert_eq!(run.rdi & 0xffff_ffff, exit_info(6));
    assert_eq!(run.r8, run.r9 + 8, "the store of eight bytes stands before the system call");
}

/// #PF on a page that was never added: the host sees the page, the enclave the address.
pub fn page_fault(backend: &dyn Backend) {
    let address = DYNAMIC + 0x1238;
    let main = Code::new().set(Reg::Rsi, address).store_at(Reg::Rsi, Reg::Rax);
    let (vector, code, shown, run) = explode(backend, main);
    assert_eq!((vector, shown), (14, address & !0xfff));
    assert_eq!(run.rdi & 0xffff_ffff, exit_info(14));
    assert_eq!(run.rsi, address);
    // Write by user mode; present and SGX, since the kernel has added the page, which is pending.
    assert_eq!((run.rdx, code), (0x8007, 0x8007));
}

/// #PF outside of ELRANGE is told as it is.
pub fn page_fault_outside(backend: &dyn Backend) {
    let address = (1 << 46) - 0x1000 + 8;
    let main = Code::new().set(Reg::Rsi, address).load_at(Reg::Rax, Reg::Rsi);
    let (vector, code, shown, run) = explode(backend, main);
    assert_eq!((vector, code, shown), (14, 4, address));
    assert_eq!((run.rdi & 0xffff_ffff, run.rsi, run.rdx), (exit_info(14), address, 4));
}

/// ERESUME goes on as if nothing had happened: general registers, flags, vector state, segment bases.
pub fn resume_restores_registers(backend: &dyn Backend) {
    use Reg::*;
    let regs = [Rax, Rbx, Rdx, Rbp, Rsi, Rdi, R8, R9, R10, R11, R12, R14, R15];
    let mut main = Code::new();
    for (value, reg) in (100..).zip(regs) {
        main = main.set(reg, value);
    }
    // movq xmm9, r15; vinsertf128 ymm9, ymm9, xmm9, 1; std; ud2; cld
    main = main
        .raw(&[0x66, 0x4d, 0x0f, 0x6e, 0xcf])
        .raw(&[0xc4, 0x43, 0x35, 0x18, 0xc9, 0x01])
        .raw(&[0xfd, 0x0f, 0x0b]);
    main = main.flags(R13_FLAGS).raw(&[0xfc]);
    for (slot, reg) in (0..).step_by(8).zip(regs) {
        main = main.store(DATA + slot, reg);
    }
    main = main.store(DATA + 0x100, R13_FLAGS);
    // vmovups [DATA + 0x120], ymm9; rdgsbase rsi
    let [a, b, c, d] = (DATA + 0x120).to_le_bytes();
    main = main.raw(&[0xc5, 0x7c, 0x11, 0x0c, 0x25, a, b, c, d]);
    main = main.raw(&[0xf3, 0x48, 0x0f, 0xae, 0xce]).store(DATA + 0x140, Rsi);
    main = main.load(Rdi, DATA + 0x100).load(Rsi, DATA + 0x130).load(Rdx, DATA + 0x140);
    main = main.set(R8, 0);
    for (value, slot) in (100..).zip((0..).step_by(8)).take(regs.len()) {
        let same = Code::new().add(R8, 1);
        main = main.load(Rax, DATA + slot).compare(Rax, value).if_equal(&same);
    }
    main = main.load(R13, DATA + 0x200).then(&exit(Form::Roomy));
    let main = Code::new().store(DATA + 0x200, R13).then(&main);
    // The handler skips UD2, spoiling all it can: xorps xmm9, xmm9.
    let at = u32::try_from(frame(0, 0) + EXIT_INFO - 160 + 136).expect("low addresses");
    let handler = Code::new()
        .load(Rax, at)
        .add(Rax, 2)
        .store(at, Rax)
        .raw(&[0x45, 0x0f, 0x57, 0xc9])
        .set(R15, 0)
        .then(&exit(Form::Roomy));
    let enclave = Specimen::new(backend, main, handler).build(backend);
    assert_eq!(fails(&*enclave, entry(0, 0)).vector, 6);
    call(&*enclave, 0);
    let run = resume(&*enclave);
    assert_eq!(run.r8, regs.len() as u64, "general registers");
    assert_ne!(run.rdi & 0x400, 0, "the direction flag");
    assert_eq!(run.rsi, 112, "the upper half of a vector register");
    assert_eq!(run.rdx, super::specimen::thread_page(0), "the GS base");
}

/// The register that takes the flags, which `Code::flags` can name.
const R13_FLAGS: Reg = Reg::R13;

/// Exceptions in handlers use up the frames; then EENTER is #GP, and ERESUME still works.
pub fn ssa_exhausted(backend: &dyn Backend) {
    let crash = Code::new().raw(&[0x0f, 0x0b]);
    let enclave = Specimen::new(backend, crash.clone(), crash).build(backend);
    for _ in 0..3 {
        let exception = fails(&*enclave, entry(0, 0));
        assert_eq!((exception.vector, exception.leaf), (6, EnterLeaf::Eresume));
    }
    let exception = fails(&*enclave, entry(0, 0));
    assert_eq!((exception.vector, exception.leaf), (13, EnterLeaf::Eenter));
    let again = fails(&*enclave, Run { leaf: EnterLeaf::Eresume, ..entry(0, 0) });
    assert_eq!((again.vector, again.leaf), (6, EnterLeaf::Eresume));
}

/// EENTER on a TCS in use is #GP.
pub fn busy_tcs(backend: &dyn Backend) {
    let flag = AtomicU64::new(0);
    // Sets the host's word to 1, and waits for 2.
    let wait =
        Code::new().load_at(Reg::Rax, Reg::Rdi).compare(Reg::Rax, 2).if_equal(&exit(Form::Roomy));
    let main =
        Code::new().set(Reg::Rax, 1).store_at(Reg::Rdi, Reg::Rax).then(&Code::new().forever(&wait));
    let enclave = Specimen::new(backend, main, Code::new()).build(backend);
    let address = std::ptr::from_ref(&flag) as u64;
    thread::scope(|scope| {
        let inner = Arc::clone(&enclave);
        let thread = scope.spawn(move || call(&*inner, address));
        while flag.load(Ordering::Acquire) != 1 {
            thread::yield_now();
        }
        let exception = fails(&*enclave, entry(0, 0));
        assert_eq!((exception.vector, exception.leaf), (13, EnterLeaf::Eenter));
        flag.store(2, Ordering::Release);
        thread.join().expect("the thread leaves");
    });
    flag.store(2, Ordering::Release);
}

/// Only a TCS can be entered, and only what was interrupted can be resumed.
pub fn bad_tcs(backend: &dyn Backend) {
    let enclave = Specimen::new(backend, exit(Form::Roomy), Code::new()).build(backend);
    let enter = |address: u64| fails(&*enclave, Run { tcs: address, ..Run::default() });
    assert_eq!(enter(tcs(0) + 8).vector, 13, "misaligned");
    assert_eq!(enter(DATA.into()).vector, 14, "a regular page");
    assert_eq!(enter(DYNAMIC).vector, 14, "no page");
    let resumed = fails(&*enclave, Run { leaf: EnterLeaf::Eresume, ..entry(0, 0) });
    assert_eq!(resumed.vector, 13, "nothing to resume");
    call(&*enclave, 0);
}

/// Two threads are inside at once and see each other's writes.
pub fn two_threads(backend: &dyn Backend) {
    // The thread with RDI = 0 sets the word and waits for it to become 2; the other does the reverse.
    let wait = |value| {
        let done = Code::new().copy(Reg::Rdi, Reg::Rbx).then(&exit(Form::Roomy));
        let look = Code::new().load(Reg::Rax, DATA).compare(Reg::Rax, value).if_equal(&done);
        Code::new().forever(&look)
    };
    let first = Code::new().set(Reg::Rax, 1).store(DATA, Reg::Rax).then(&wait(2));
    let second_done = Code::new()
        .set(Reg::Rax, 2)
        .store(DATA, Reg::Rax)
        .copy(Reg::Rdi, Reg::Rbx)
        .then(&exit(Form::Roomy));
    let look = Code::new().load(Reg::Rax, DATA).compare(Reg::Rax, 1).if_equal(&second_done);
    let main = Code::new().compare(Reg::Rdi, 0).if_equal(&first).then(&Code::new().forever(&look));
    let mut specimen = Specimen::new(backend, main, Code::new());
    specimen.threads = 2;
    let enclave = specimen.build(backend);
    thread::scope(|scope| {
        let inner = Arc::clone(&enclave);
        let other = scope.spawn(move || {
            let mut run = entry(1, 1);
            assert_eq!(inner.enter(&mut run), Outcome::Exited);
            run.rdi
        });
        assert_eq!(call(&*enclave, 0).rdi, tcs(0));
        assert_eq!(other.join().expect("the thread leaves"), tcs(1));
    });
}

/// A leaf changes RAX and the status flags only.
pub fn leaves_keep_registers(backend: &dyn Backend) {
    use Reg::*;
    let regs = [Rdx, Rbp, Rsi, Rdi, R8, R9, R10, R11, R12, R14, R15];
    for form in [Form::Roomy, Form::Bare] {
        let mut main = Code::new();
        for (value, reg) in (100..).zip(regs) {
            main = main.set(reg, value);
        }
        // movq xmm9, r15; std; EACCEPT, which does not match; cld; movq rax, xmm9
        main = main.raw(&[0x66, 0x4d, 0x0f, 0x6e, 0xcf, 0xfd]);
        main = main.set(Rbx, (DATA + 0x40).into()).set(Rcx, DATA.into()).enclu(5, form);
        main = main.store(DATA + 0x300, Rax).raw(&[0xfc, 0x66, 0x4c, 0x0f, 0x7e, 0xc8]);
        main = main.store(DATA + 0x308, Rax).store(DATA + 0x310, Rcx).store(DATA + 0x318, Rbx);
        for (slot, reg) in (0..).step_by(8).zip(regs) {
            main = main.store(DATA + 0x400 + slot, reg);
        }
        main = main.load(Rdi, DATA + 0x300).load(Rsi, DATA + 0x308).set(R8, 0);
        for (value, slot) in (100..).zip((0..).step_by(8)).take(regs.len()) {
            let same = Code::new().add(R8, 1);
            main = main.load(Rax, DATA + 0x400 + slot).compare(Rax, value).if_equal(&same);
        }
        main = main.load(Rdx, DATA + 0x310).load(R9, DATA + 0x318).then(&exit(form));
        // SECINFO: a regular page whose permissions were restricted.
        let main = Code::new().set(Rax, 0x223).store(DATA + 0x40, Rax).then(&main);
        let enclave = Specimen::new(backend, main, Code::new()).build(backend);
        let run = call(&*enclave, 0);
        assert_eq!(run.rdi, 19, "{form:?}: SGX_PAGE_ATTRIBUTES_MISMATCH");
        assert_eq!(run.rsi, 110, "{form:?}: vector register");
        assert_eq!(run.r8, regs.len() as u64, "{form:?}: general registers");
        assert_eq!((run.rdx, run.r9), (DATA.into(), u64::from(DATA) + 0x40), "{form:?}");
    }
}
