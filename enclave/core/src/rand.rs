//! Random numbers of the processor: the only source that the host cannot choose.

use core::arch::asm;

use crate::fatal;

/// 64 random bits (RDRAND). Ends the enclave if the processor gives none (Intel's guide asks for
/// ten tries; a hundred are made).
#[must_use]
pub fn random_u64() -> u64 {
    for _ in 0..100 {
        let (value, good): (u64, u8);
        // SAFETY: RDRAND only writes its operand and the flags; every SGX processor has it.
        unsafe {
            asm!("rdrand {}", "setc {}", out(reg) value, out(reg_byte) good, options(nomem, nostack));
        }
        if good != 0 {
            return value;
        }
    }
    fatal("the processor gives no random numbers")
}

/// Fills `bytes` with random ones.
pub fn fill_random(bytes: &mut [u8]) {
    for piece in bytes.chunks_mut(8) {
        piece.copy_from_slice(&random_u64().to_le_bytes()[..piece.len()]);
    }
}
