//! Exits that a handler answers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use nix::sys::pthread::pthread_self;

use super::assembler::{Code, Form, Reg};
use super::kicks::{handled, kick, prepare};
use super::specimen::{DATA, Specimen, call, entry, exit, tcs, thread_page};
use crate::{Backend, Enclave, EnterLeaf, ExitHandler, Outcome};

/// Calls of [`answer`].
static CALLS: AtomicU64 = AtomicU64::new(0);
/// Calls with anything but what [`counting`] tells.
static WRONG: AtomicU64 = AtomicU64::new(0);
/// At this call it leaves the exit to the host.
static LAST: AtomicU64 = AtomicU64::new(0);

const EENTER: i64 = 2;
/// What [`answer`] gets as its own data.
const ITS_DATA: u64 = 77;

fn handler() -> ExitHandler {
    ExitHandler { function: answer as *const () as u64, data: ITS_DATA }
}

/// Wants to enter again until it was called often enough.
extern "sysv64" fn answer(
    count: u64,
    fs: u64,
    gs: u64,
    data: u64,
    _: u64,
    tcs_address: u64,
) -> i64 {
    let call = CALLS.fetch_add(1, Ordering::SeqCst) + 1;
    if (fs, gs, data, tcs_address) != (5, 5, ITS_DATA, tcs(0)) || count != call {
        WRONG.fetch_add(1, Ordering::SeqCst);
    }
    if call == LAST.load(Ordering::SeqCst) { 0 } else { EENTER }
}

/// Counts entries in its memory. Tells the count, what it finds where FS and GS point, and its TCS; and
/// leaves another FS behind.
fn counting() -> Code {
    Code::new()
        .copy(Reg::R9, Reg::Rbx)
        .load(Reg::Rdi, DATA)
        .add(Reg::Rdi, 1)
        .store(DATA, Reg::Rdi)
        .set(Reg::Rax, 5)
        .store(u32::try_from(thread_page(0)).expect("low addresses"), Reg::Rax)
        .raw(&[0x64])
        .load(Reg::Rsi, 0)
        .raw(&[0x65])
        .load(Reg::Rdx, 0)
        .set(Reg::Rax, DATA.into())
        .raw(&[0xf3, 0x48, 0x0f, 0xae, 0xd0]) // wrfsbase rax
        .then(&exit(Form::Roomy))
}

fn reset() {
    for counter in [&CALLS, &WRONG, &LAST] {
        counter.store(0, Ordering::SeqCst);
    }
}

/// Enters until `last` exits were answered, by the handler or, if the backend does not call it, here.
fn serve(enclave: &dyn Enclave, last: u64) {
    LAST.store(last, Ordering::SeqCst);
    let mut run = entry(0, 0);
    while CALLS.load(Ordering::SeqCst) < last {
        assert_eq!(enclave.enter_with(&mut run, Some(&handler())), Outcome::Exited);
        if CALLS.load(Ordering::SeqCst) < last {
            let (count, fs, gs, tcs) = (run.rdi, run.rsi, run.rdx, run.r9);
            answer(count, fs, gs, ITS_DATA, 0, tcs);
        }
    }
    assert_eq!((CALLS.load(Ordering::SeqCst), WRONG.load(Ordering::SeqCst)), (last, 0));
}

/// The handler answers exits, and the enclave finds each entry as EENTER makes it.
pub fn exits_answered(backend: &dyn Backend) {
    let enclave = Specimen::new(backend, counting(), Code::new()).build(backend);
    reset();
    serve(&*enclave, 1000);
    assert_eq!(call(&*enclave, 0).rdi, 1001, "without a handler the host sees the exit");
}

/// What happens inside after an answered exit is told as ever.
pub fn exception_after_answer(backend: &dyn Backend) {
    let explode = Code::new().raw(&[0x0f, 0x0b]);
    let main = Code::new().load(Reg::Rax, DATA).compare(Reg::Rax, 3).if_equal(&explode);
    let tell_cssa = Code::new().copy(Reg::Rdi, Reg::Rax).then(&exit(Form::Roomy));
    let enclave = Specimen::new(backend, main.then(&counting()), tell_cssa).build(backend);
    reset();
    let mut run = entry(0, 0);
    let exception = loop {
        match enclave.enter_with(&mut run, Some(&handler())) {
            Outcome::Exited => {}
            Outcome::Exception(exception) => break exception,
        }
    };
    assert_eq!((exception.leaf, exception.vector), (EnterLeaf::Eresume, 6));
    assert_eq!(call(&*enclave, 0).rdi, 1);
}

/// Kicks at all moments of answered exits: none is lost, nothing breaks.
pub fn kick_storm_answered(backend: &dyn Backend) {
    let enclave = prepare(backend, counting(), true);
    reset();
    let (done, target) = (AtomicBool::new(false), pthread_self() as u64);
    let sent = thread::scope(|scope| {
        let kicker = scope.spawn(|| {
            let mut sent = 0;
            while !done.load(Ordering::SeqCst) {
                kick(target as nix::sys::pthread::Pthread);
                sent += 1;
            }
            sent
        });
        let mut last = 0;
        while handled() < 2000 && last < 2_000_000 {
            last += 20_000;
            serve(&*enclave.0, last);
        }
        done.store(true, Ordering::SeqCst);
        kicker.join().expect("the kicker ends")
    });
    assert!(sent > 0 && handled() == sent, "{sent} sent, {} handled", handled());
}
