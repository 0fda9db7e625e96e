//! What entering and leaving costs on real processors.

use std::arch::x86_64::_rdtsc;

/// Cycles to wait at each event, on top of what the emulation takes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CostModel {
    /// Name, for the label of benchmarks.
    pub name: String,
    /// EENTER.
    pub eenter: u64,
    /// EEXIT.
    pub eexit: u64,
    /// Asynchronous exit.
    pub aex: u64,
    /// ERESUME.
    pub eresume: u64,
    /// Page added to the EPC by a fault (EAUG).
    pub epc_fault: u64,
}

impl CostModel {
    /// No waiting.
    #[must_use]
    pub fn off() -> Self {
        Self { name: "off".into(), ..Self::default() }
    }
}

/// Waits for that many cycles of the time stamp counter.
pub(crate) fn spend(cycles: u64) {
    if cycles == 0 {
        return;
    }
    // SAFETY: the instruction only reads.
    let start = unsafe { _rdtsc() };
    // SAFETY: as above.
    while unsafe { _rdtsc() }.wrapping_sub(start) < cycles {
        std::hint::spin_loop();
    }
}
