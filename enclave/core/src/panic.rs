//! The end of the enclave by its own decision: a message without secrets, then exit status 134
//! (as a program that aborts).

use core::{
    arch::asm,
    panic::PanicInfo,
    sync::atomic::{AtomicU64, Ordering},
};

use hostcall_abi::service;

use crate::{
    call::{exit_forever, last_words},
    data, exception,
};

const STATUS: u64 = 134;

/// One more than the index of the enclave thread that ends the enclave; zero before.
static DYING: AtomicU64 = AtomicU64::new(0);

/// Ends the enclave with a constant message.
#[cold]
pub fn fatal(message: &'static str) -> ! {
    end(&["scone: the enclave has ended: ", message, "\n"])
}

fn end(pieces: &[&str]) -> ! {
    if exception::in_first_stage() {
        // To leave from there would leave a thread that the host can resume.
        // SAFETY: ends this thread.
        unsafe { asm!("ud2", options(noreturn)) }
    }
    let own = data::tcs_index() + 1;
    if DYING.compare_exchange(0, own, Ordering::AcqRel, Ordering::Acquire).is_ok() {
        last_words(pieces);
    }
    exit_forever(service::EXIT, STATUS)
}

/// Whether another enclave thread ends the enclave: then this one must not go on.
#[inline]
pub(crate) fn is_dying_elsewhere() -> bool {
    let dying = DYING.load(Ordering::Relaxed);
    dying != 0 && dying != data::tcs_index() + 1
}

/// Formats a number without the machinery of `core::fmt`, which could panic again.
fn decimal(mut value: u32, digits: &mut [u8; 10]) -> &str {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    core::str::from_utf8(&digits[at..]).unwrap_or("?")
}

// Only constant messages are shown: a formatted one may hold data of the program.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let message = info.message().as_str().unwrap_or("a panic of the runtime");
    let mut digits = [0; 10];
    match info.location() {
        Some(at) => end(&[
            "scone: the enclave has ended: ",
            message,
            " (",
            at.file(),
            ":",
            decimal(at.line(), &mut digits),
            ")\n",
        ]),
        None => end(&["scone: the enclave has ended: ", message, "\n"]),
    }
}

/// Ends the enclave because the runtime itself raised an exception at `offset` of its image.
#[cold]
pub(crate) fn fatal_at(offset: u64, address: u64) -> ! {
    let (mut at, mut of) = ([0; 16], [0; 16]);
    end(&[
        "scone: the enclave has ended: the runtime faulted at image offset 0x",
        hexadecimal(offset, &mut at),
        ", address 0x",
        hexadecimal(address, &mut of),
        "\n",
    ])
}

fn hexadecimal(value: u64, digits: &mut [u8; 16]) -> &str {
    for (index, digit) in digits.iter_mut().enumerate() {
        let nibble = value >> (60 - 4 * index) & 15;
        *digit = b"0123456789abcdef"[crate::app::to_usize(nibble)];
    }
    core::str::from_utf8(digits).unwrap_or("?")
}
