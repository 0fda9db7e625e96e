//! EACCEPTCOPY on one page after the other, within one entry.

use std::sync::Arc;
use std::thread;

use sgx_types::{Enclu, SecInfoFlags, SgxError};

use super::assembler::{Code, Form, Reg};
use super::server::Server;
use super::specimen::{DATA, DYNAMIC, RW, RX, Specimen, entry, exit};
use crate::{Backend, Outcome, Run};

/// R8 of a run that executes the copies.
const COPIES: u64 = 106;
/// A page to be copied, and the next one.
const SOURCE: u64 = DATA as u64 + 0x1000;
/// Where results are stored.
const RESULTS: u32 = DATA + 0x3000;

fn page(number: u64) -> u64 {
    DYNAMIC + number * 4096
}

/// A server of two threads that executes `copies` as well.
fn server(backend: &dyn Backend, copies: Code) -> Server {
    let server = Server::specimen(backend);
    let copies = copies.then(&exit(Form::Roomy));
    let main = Code::new().compare(Reg::R8, COPIES as i32).if_equal(&copies).then(&server.main);
    let server = Server(Specimen { main, threads: 2, ..server }.build(backend));
    for (number, word) in [(0, 70), (1, 80)] {
        server.write(SOURCE + number * 4096, word).expect("writable");
    }
    server
}

/// Each page is filled, or refused, as if it came alone.
pub fn copies_in_a_row(backend: &dyn Backend) {
    let (r, mismatch) =
        (SecInfoFlags::R | SecInfoFlags::PT_REG, SgxError::PageAttributesMismatch as u64);
    // Page, source, permissions; what RAX is, and the first word of the page.
    let mut steps: Vec<_> = (0..6).map(|at| (at, SOURCE, RX, 0, 70)).collect();
    steps.extend([
        (6, SOURCE + 4096, RX, 0, 80),
        (7, SOURCE, r, 0, 70),
        (8, SOURCE, RW, 0, 70),
        (9, page(6), r, 0, 80),
        (9, SOURCE, r, mismatch, 80),
        (10, SOURCE, r, 0, 70),
        (12, SOURCE + 4096, r, 0, 80),
        (13, page(10), r, 0, 70),
        (11, page(13), r, 0, 70),
        (14, page(12), RW, 0, 80),
        (15, page(14), RW, 0, 80),
    ]);
    let mut copies = Code::new();
    for (at, (to, source, flags, ..)) in (0..).zip(&steps) {
        copies = copies
            .set(Reg::Rax, flags.bits())
            .store(DATA, Reg::Rax)
            .set(Reg::Rbx, DATA.into())
            .set(Reg::Rcx, page(*to))
            .set(Reg::Rdx, *source)
            .enclu(Enclu::Eacceptcopy as u32, Form::Roomy)
            .store(RESULTS + at * 8, Reg::Rax);
    }
    let server = server(backend, copies);
    let mut run = Run { r8: COPIES, ..entry(0, 0) };
    assert_eq!(server.0.enter(&mut run), Outcome::Exited);
    for (at, &(to, _, flags, result, word)) in (0..).zip(&steps) {
        assert_eq!(server.read(u64::from(RESULTS) + at * 8), Ok(result), "copy {at}");
        assert_eq!(server.read(page(to)), Ok(word), "page {to}");
        if flags == RW {
            assert_eq!(server.write(page(to), 1), Ok(()));
        }
    }
    for to in [0, 5, 6, 7, 11] {
        let exception = server.write(page(to), 1).expect_err("read only");
        assert_eq!((exception.error_code, exception.address), (0x8007, page(to)));
    }
}

/// Threads that fill pages in turn fill their own.
pub fn copies_of_two_threads(backend: &dyn Backend) {
    const PAGES: u64 = 20;
    // The first page in RDI, the source in RSI, the thread in R9; the sum of the results becomes RSI.
    let done = Code::new().copy(Reg::Rsi, Reg::R12).then(&exit(Form::Roomy));
    let turn = Code::new()
        .copy(Reg::Rcx, Reg::Rdi)
        .copy(Reg::Rdx, Reg::Rsi)
        .enclu(Enclu::Eacceptcopy as u32, Form::Roomy)
        .raw(&[0x49, 0x01, 0xc4]) // add r12, rax
        .add(Reg::Rdi, 4096)
        .set(Reg::Rax, 1)
        .raw(&[0x4c, 0x29, 0xc8]) // sub rax, r9
        .store(RESULTS, Reg::Rax)
        .add(Reg::R15, 1)
        .compare(Reg::R15, PAGES as i32)
        .if_equal(&done);
    let look = Code::new()
        .load(Reg::Rax, RESULTS)
        .raw(&[0x4c, 0x39, 0xc8]) // cmp rax, r9
        .if_equal(&turn);
    let start = Code::new().set(Reg::R12, 0).set(Reg::R15, 0).set(Reg::Rbx, DATA.into());
    let server = server(backend, start.then(&Code::new().forever(&look)));
    server.write(DATA.into(), RX.bits()).expect("writable");
    thread::scope(|scope| {
        for thread in 0..2 {
            let enclave = Arc::clone(&server.0);
            scope.spawn(move || {
                let rsi = SOURCE + thread * 4096;
                let first = page(thread * PAGES);
                let mut run = Run { rsi, r8: COPIES, r9: thread, ..entry(thread, first) };
                assert_eq!(enclave.enter(&mut run), Outcome::Exited);
                assert_eq!(run.rsi, 0, "thread {thread}");
            });
        }
    });
    for number in 0..2 * PAGES {
        let word = 70 + number / PAGES * 10;
        assert_eq!(server.read(page(number)), Ok(word), "page {number}");
    }
}
