//! Kicks: signals that call a thread out of the enclave.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix::sys::pthread::{Pthread, pthread_kill, pthread_self};
use nix::sys::signal::Signal;
use sgx_types::{Enclu, SecInfoFlags, SgxError};

use super::assembler::{Code, Form, Reg};
use super::specimen::{DATA, DYNAMIC, RW, Specimen, call, exit, stack, tcs};
use crate::{Backend, Enclave, Kick, Outcome, Run};

static ENCLAVE: Mutex<Option<Arc<dyn Enclave>>> = Mutex::new(None);
static INSIDE: AtomicU64 = AtomicU64::new(0);
static OUTSIDE: AtomicU64 = AtomicU64::new(0);
static CSSA: AtomicU64 = AtomicU64::new(0);
static NESTED: AtomicBool = AtomicBool::new(false);

/// Enters the interrupted TCS, as the launcher does, and counts.
fn on_kick(kick: &Kick) {
    let Some(address) = kick.tcs else {
        OUTSIDE.fetch_add(1, Ordering::SeqCst);
        return;
    };
    assert_eq!(address, tcs(0));
    if NESTED.load(Ordering::SeqCst) {
        // Nobody else holds the lock while a thread is inside.
        let enclave = ENCLAVE.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut run = Run { tcs: address, ..Run::default() };
        let outcome = enclave.expect("set before entering").enter(&mut run);
        assert_eq!(outcome, Outcome::Exited);
        CSSA.fetch_max(run.rdi, Ordering::SeqCst);
    }
    INSIDE.fetch_add(1, Ordering::SeqCst);
}

/// Builds, installs the handler, and clears the counters.
pub(super) fn prepare(backend: &dyn Backend, main: Code, nested: bool) -> Kickable {
    // Tells its CSSA, having spoilt some registers.
    let handler = Code::new()
        .copy(Reg::Rdi, Reg::Rax)
        .set(Reg::R12, 0)
        .raw(&[0x0f, 0x57, 0xc0])
        .then(&exit(Form::Roomy));
    let enclave = Specimen::new(backend, main, handler).build(backend);
    for counter in [&INSIDE, &OUTSIDE, &CSSA] {
        counter.store(0, Ordering::SeqCst);
    }
    NESTED.store(nested, Ordering::SeqCst);
    *ENCLAVE.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&enclave));
    enclave.install_kick(Signal::SIGUSR1 as i32, on_kick).expect("SIGUSR1 can be used");
    Kickable(enclave)
}

/// An enclave that the handler knows.
pub(super) struct Kickable(pub(super) Arc<dyn Enclave>);

impl Drop for Kickable {
    fn drop(&mut self) {
        *ENCLAVE.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

pub(super) fn handled() -> u64 {
    INSIDE.load(Ordering::SeqCst) + OUTSIDE.load(Ordering::SeqCst)
}

/// Sends a kick and waits until it was handled.
pub(super) fn kick(thread: Pthread) {
    let before = handled();
    pthread_kill(thread, Signal::SIGUSR1).expect("the thread is there");
    while handled() == before {
        thread::yield_now();
    }
}

/// Waits in the enclave, with values in registers, until the host's word at RDI is 2; then returns a
/// sum of what should have survived. Sets the word to 1 first.
fn waiting() -> Code {
    let done = Code::new()
        .raw(&[0x66, 0x49, 0x0f, 0x7e, 0xc0]) // movq r8, xmm0
        .copy(Reg::Rdi, Reg::R12)
        .copy(Reg::Rsi, Reg::R8)
        .then(&exit(Form::Roomy));
    let look = Code::new()
        .load_at(Reg::Rax, Reg::Rdi)
        .add(Reg::Rdx, 1)
        .compare(Reg::Rax, 2)
        .if_equal(&done);
    Code::new()
        .set(Reg::R12, 0x1234)
        .set(Reg::Rax, 0x5678)
        .raw(&[0x66, 0x48, 0x0f, 0x6e, 0xc0]) // movq xmm0, rax
        .set(Reg::Rax, 1)
        .store_at(Reg::Rdi, Reg::Rax)
        .then(&Code::new().forever(&look))
}

/// A kick outside tells the context.
pub fn kick_outside(backend: &dyn Backend) {
    let enclave = prepare(backend, exit(Form::Roomy), true);
    kick(pthread_self());
    call(&*enclave.0, 0);
    kick(pthread_self());
    assert_eq!((OUTSIDE.load(Ordering::SeqCst), INSIDE.load(Ordering::SeqCst)), (2, 0));
}

/// A kick inside lets the handler enter at CSSA 1, and the enclave goes on unharmed.
pub fn kick_inside(backend: &dyn Backend) {
    let enclave = prepare(backend, waiting(), true);
    let word = AtomicU64::new(0);
    let address = std::ptr::from_ref(&word) as u64;
    let target = pthread_self() as u64;
    let run = thread::scope(|scope| {
        scope.spawn(|| {
            while word.load(Ordering::SeqCst) != 1 {
                thread::yield_now();
            }
            for _ in 0..200 {
                kick(target as Pthread);
            }
            word.store(2, Ordering::SeqCst);
        });
        call(&*enclave.0, address)
    });
    assert_eq!((run.rdi, run.rsi), (0x1234, 0x5678));
    assert_eq!((INSIDE.load(Ordering::SeqCst), CSSA.load(Ordering::SeqCst)), (200, 1));
}

/// Kicks at all moments of entering, leaving, and executing leaves: none is lost, nothing breaks.
pub fn kick_storm(backend: &dyn Backend) {
    storm(backend, RW | SecInfoFlags::PR, SgxError::PageAttributesMismatch as u64);
}

/// The same while leaves succeed.
pub fn kick_storm_accepting(backend: &dyn Backend) {
    storm(backend, RW | SecInfoFlags::PENDING, 0);
}

/// Each round executes EACCEPT on some new pages, which leaves `result` in RAX; and looks each time
/// whether FS still points where it was just set to, and GS to the thread's page.
fn storm(backend: &dyn Backend, flags: SecInfoFlags, result: u64) {
    let (rounds, kicks, leaves) = (39_000, 2000, 20);
    let mut main = Code::new()
        .set(Reg::Rax, flags.bits())
        .store(DATA, Reg::Rax)
        .set(Reg::Rax, 5)
        .store(DATA + 0x2000, Reg::Rax)
        .set(Reg::Rax, 7)
        .store(DATA + 0x2040, Reg::Rax);
    for reg in [Reg::R12, Reg::R14, Reg::R15] {
        main = main.set(reg, 0);
    }
    for leaf in 0..leaves {
        main = main
            .set(Reg::Rax, u64::from(DATA) + 0x2000 + leaf % 2 * 0x40)
            .raw(&[0xf3, 0x48, 0x0f, 0xae, 0xd0]) // wrfsbase rax
            .set(Reg::Rbx, DATA.into())
            .copy(Reg::Rcx, Reg::Rdi)
            .enclu(Enclu::Eaccept as u32, Form::Roomy)
            .raw(&[0x49, 0x01, 0xc4, 0x64]) // add r12, rax; fs:
            .load(Reg::Rax, 0)
            .raw(&[0x49, 0x01, 0xc6, 0x65]) // add r14, rax; gs:
            .load(Reg::Rax, 0)
            .raw(&[0x49, 0x01, 0xc7]) // add r15, rax
            .add(Reg::Rdi, 4096);
    }
    let main = main.copy(Reg::Rsi, Reg::R12).copy(Reg::Rdx, Reg::R14).copy(Reg::R8, Reg::R15);
    let enclave = prepare(backend, main.then(&exit(Form::Roomy)), true);
    let (done, target) = (AtomicBool::new(false), pthread_self() as u64);
    let sent = thread::scope(|scope| {
        let kicker = scope.spawn(|| {
            let mut sent = 0;
            while !done.load(Ordering::SeqCst) {
                kick(target as Pthread);
                sent += 1;
            }
            sent
        });
        for round in (0..rounds).take_while(|_| handled() < kicks) {
            let pages = DYNAMIC + round * leaves * 4096;
            let run = call(&*enclave.0, pages);
            assert_eq!((run.rdi, run.rsi), (pages + leaves * 4096, result * leaves), "{round}");
            assert_eq!((run.rdx, run.r8), ((5 + 7) * leaves / 2, stack(0) * leaves), "{round}");
        }
        done.store(true, Ordering::SeqCst);
        kicker.join().expect("the kicker ends")
    });
    assert!(sent > 0 && handled() == sent, "{sent} sent, {} handled", handled());
}
