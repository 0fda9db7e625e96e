//! Why the enclave left: the value of RDI at EEXIT.

/// A request for the host: RSI is its host address. The host executes it and enters again.
pub const CALL: u64 = 0;
/// The exception handler is done: the host resumes (ERESUME).
pub const RESUME: u64 = 1;
/// The entry was refused: RSI tells why ([`refused`]).
pub const REFUSED: u64 = 2;

/// Reasons of a refused entry.
pub mod refused {
    /// The thread had already started, and was not waiting for a reply.
    pub const NOT_EXPECTED: u64 = 1;
    /// Exceptions are nested more deeply than one.
    pub const NESTED: u64 = 2;
    /// An enclave thread other than the first entered before the runtime was ready, or any while another one
    /// verifies the enclave.
    pub const NOT_READY: u64 = 3;
    /// What was added to the enclave is not what its manifest says, or that is not known yet when there is an
    /// exception.
    pub const NOT_VERIFIED: u64 = 4;
}
