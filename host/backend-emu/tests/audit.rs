//! System call instructions of an enclave do not reach the kernel.

use backend::suite::assembler::{Code, Form, Reg};
use backend::suite::specimen::{Specimen, call, entry, exit, fails, frame};
use backend_emu::{CostModel, EmuBackend};

/// `syscall`, `sysenter` and `int 0x80` are refused, counted, and not seen by the seccomp filter, which
/// would kill this process.
#[test]
fn no_system_call_of_an_enclave_reaches_the_kernel() {
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
