//! Prints what the emulator itself costs, in processor time, without a cost model.

use std::fs;

use backend::suite::assembler::{Code, Form, Reg};
use backend::suite::specimen::{DATA, DYNAMIC, RW, Specimen, call, entry, exit, fails, resume};
use backend_emu::{CostModel, EmuBackend};
use sgx_types::SecInfoFlags;

const PAGES: u32 = 500_000;

fn main() {
    let emu = EmuBackend::new(CostModel::off()).expect("this machine can emulate");
    round_trip(&emu, Form::Roomy, "EENTER and EEXIT, patched", 1_000_000);
    round_trip(&emu, Form::Bare, "EENTER and EEXIT, trapping", 20_000);
    exception(&emu);
    accept(&emu);
}

/// Nanoseconds that this thread has run, so that a busy machine does not matter.
fn cpu_time() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("procfs");
    text.split(' ').next().and_then(|word| word.parse().ok()).expect("a number")
}

fn print(what: &str, count: u32, took: u64) {
    println!("{what:32} {:9.1} ns", took as f64 / f64::from(count));
}

fn round_trip(emu: &EmuBackend, form: Form, what: &str, count: u32) {
    let enclave = Specimen::new(emu, exit(form), Code::new()).build(emu);
    call(&*enclave, 0);
    let start = cpu_time();
    for _ in 0..count {
        call(&*enclave, 0);
    }
    print(what, count, cpu_time() - start);
}

/// UD2, a handler that steps over it, and ERESUME.
fn exception(emu: &EmuBackend) {
    let rip = u32::try_from(backend::suite::specimen::frame(0, 0)).expect("low") + 4 * 4096 - 48;
    let handler = Code::new().load(Reg::Rax, rip).add(Reg::Rax, 2).store(rip, Reg::Rax);
    let main = Code::new().raw(&[0x0f, 0x0b]).then(&exit(Form::Roomy));
    let enclave = Specimen::new(emu, main, handler.then(&exit(Form::Roomy))).build(emu);
    let count = 50_000;
    let start = cpu_time();
    for _ in 0..count {
        fails(&*enclave, entry(0, 0));
        call(&*enclave, 0);
        resume(&*enclave);
    }
    print("#UD, handler, ERESUME, EEXIT", count, cpu_time() - start);
}

/// EACCEPT of many pages in one stay.
fn accept(emu: &EmuBackend) {
    let step = Code::new()
        .set(Reg::Rbx, DATA.into())
        .copy(Reg::Rcx, Reg::Rsi)
        .enclu(5, Form::Roomy)
        .add(Reg::Rsi, 4096)
        .add(Reg::Rdx, -1)
        .compare(Reg::Rdx, 0)
        .if_equal(&exit(Form::Roomy));
    let flags = RW | SecInfoFlags::PENDING;
    let main = Code::new()
        .set(Reg::Rax, flags.bits())
        .store(DATA, Reg::Rax)
        .set(Reg::Rsi, DYNAMIC)
        .set(Reg::Rdx, PAGES.into())
        .then(&Code::new().forever(&step));
    let enclave = Specimen::new(emu, main, Code::new()).build(emu);
    let start = cpu_time();
    call(&*enclave, 0);
    print("EACCEPT", PAGES, cpu_time() - start);
}
