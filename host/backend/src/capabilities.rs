//! What a machine offers.

use std::fmt;

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
