//! What the emulator does to its host, and keeps from it.

#![expect(unsafe_code, reason = "reads the time stamp counter, and faults on purpose")]

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use backend::suite::assembler::{Code, Form, Reg};
use backend::suite::specimen::{Specimen, call, entry, exit, fails, frame};
use backend_emu::{CostModel, EmuBackend};

/// `syscall`, `sysenter` and `int 0x80` are refused, counted, and not seen by the seccomp filter, which
/// would kill this process.
#[test]
fn no_system_call_of_an_enclave_reaches_the_kernel() {
    let _turn = backend::suite::turn();
    let emu = EmuBackend::new(CostModel::off()).expect("this machine can emulate").audited();
    let rip = u32::try_from(frame(0, 0)).expect("low") + 4 * 4096 - 48;
    let skip = Code::new().load(Reg::Rax, rip).add(Reg::Rax, 2).store(rip, Reg::Rax);
    // getpid, of both kinds.
    let main = Code::new()
        .set(Reg::Rax, 39)
        .raw(&[0x0f, 0x05])
        .set(Reg::Rax, 20)
        .raw(&[0xcd, 0x80])
        .then(&exit(Form::Roomy));
    let enclave = Specimen::new(&emu, main, skip.then(&exit(Form::Roomy))).build(&emu);
    let counted = || {
        let statistics = enclave.statistics();
        let line = statistics.iter().find(|(name, _)| *name == "system call instructions refused");
        line.expect("it is counted").1
    };
    assert_eq!(fails(&*enclave, entry(0, 0)).vector, 6);
    assert_eq!(counted(), 1);
    call(&*enclave, 0);
    let run = backend::Run { leaf: backend::EnterLeaf::Eresume, ..entry(0, 0) };
    assert_eq!(fails(&*enclave, run).vector, 6);
    assert_eq!(counted(), 2);
    call(&*enclave, 0);
    backend::suite::specimen::resume(&*enclave);
}

/// The cost model makes entering and leaving take as long as it says.
#[test]
fn costs_are_spent() {
    let _turn = backend::suite::turn();
    let costs = CostModel { eenter: 300_000, eexit: 200_000, ..CostModel::off() };
    let emu = EmuBackend::new(costs).expect("this machine can emulate");
    let enclave = Specimen::new(&emu, exit(Form::Roomy), Code::new()).build(&emu);
    // SAFETY: the instruction only reads.
    let now = || unsafe { std::arch::x86_64::_rdtsc() };
    let start = now();
    call(&*enclave, 0);
    assert!(now() - start >= 500_000);
}

const CHILD: &str = "BACKEND_EMU_FAULT_CHILD";

/// A fault of the host, on a thread that has been inside, stays what it is.
#[test]
fn faults_of_the_host_are_not_swallowed() {
    if std::env::var_os(CHILD).is_some() {
        return fault_after_entering();
    }
    let child = Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", "faults_of_the_host_are_not_swallowed"])
        .env(CHILD, "1")
        .output()
        .expect("the test can run itself");
    assert_eq!(child.status.signal(), Some(11), "{child:?}");
}

fn fault_after_entering() {
    let emu = EmuBackend::new(CostModel::off()).expect("this machine can emulate");
    let enclave = Specimen::new(&emu, exit(Form::Roomy), Code::new()).build(&emu);
    call(&*enclave, 0);
    // SAFETY: none: that is the point.
    unsafe { std::ptr::null_mut::<u8>().wrapping_add(64).write_volatile(1) };
}

/// The host sees its own thread-local storage, floating-point environment and segment bases again.
#[test]
fn the_host_is_itself_again() {
    let _turn = backend::suite::turn();
    thread_local!(static LOCAL: std::cell::Cell<u64> = const { std::cell::Cell::new(0) });
    let emu = EmuBackend::new(CostModel::off()).expect("this machine can emulate");
    // ldmxcsr with everything but rounding up masked, wrfsbase and wrgsbase to the stack pointer.
    let spoil = Code::new()
        .set(Reg::Rax, 0x5f80)
        .raw(&[0x50, 0x0f, 0xae, 0x14, 0x24])
        .raw(&[0xf3, 0x48, 0x0f, 0xae, 0xd4, 0xf3, 0x48, 0x0f, 0xae, 0xdc]);
    let main = spoil.then(&exit(Form::Roomy));
    let enclave = Specimen::new(&emu, main, Code::new()).build(&emu);
    LOCAL.set(77);
    for _ in 0..10 {
        call(&*enclave, 0);
        assert_eq!(LOCAL.get(), 77);
        assert_eq!((std::hint::black_box(1.0f64) / 3.0).to_bits(), (1.0f64 / 3.0).to_bits());
    }
}
