//! What a machine offers.

use std::arch::x86_64::__cpuid_count;
use std::fmt;
use std::sync::OnceLock;

use sgx_types::{AttributeFlags, MiscSelect, Xfrm};

/// What a machine offers to enclaves (CPUID leaf 12H, and the driver).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Hardware or emulation.
    pub kind: Kind,
    /// SGX2: pages can be added, changed and removed after EINIT.
    pub edmm: bool,
    /// Optional parts of the SSA frame.
    pub misc_select: MiscSelect,
    /// Attributes that an enclave may have.
    pub attributes: AttributeFlags,
    /// Processor state that an enclave may use.
    pub xfrm: Xfrm,
    /// Largest ELRANGE, in bytes.
    pub max_size: u64,
    /// Bytes of the enclave page cache; `None` where it is as large as memory.
    pub epc: Option<u64>,
    /// Cost model, or anything else that a benchmark has to say of this backend.
    pub note: String,
}

/// Bytes of a standard-format XSAVE area with these components (SDM volume 1, 13.4).
#[must_use]
pub fn xsave_size(features: Xfrm) -> u64 {
    // Each question takes microseconds under some hypervisors.
    static ASKED: OnceLock<(Xfrm, u64)> = OnceLock::new();
    let ask = || {
        let extended = (2..63).filter(|bit| features.bits() & 1 << bit != 0);
        let end = |bit| {
            let leaf = __cpuid_count(13, bit);
            u64::from(leaf.ebx) + u64::from(leaf.eax)
        };
        extended.map(end).max().unwrap_or(0).max(576)
    };
    let &(asked, size) = ASKED.get_or_init(|| (features, ask()));
    if asked == features { size } else { ask() }
}

/// Whether an enclave is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An SGX processor.
    Hardware,
    /// Software: behaves alike, protects nothing.
    Emulated,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hardware => "sgx",
            Self::Emulated => "emulated",
        })
    }
}
