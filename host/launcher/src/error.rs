//! Why an enclave could not be started.

use thiserror::Error;

/// Why an enclave could not be started.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// The machine has no usable backend.
    #[error("no enclave can run on this machine: {0}")]
    NoBackend(String),
    /// The image inside of this program is not one.
    #[error("the enclave image is damaged: {0}")]
    Image(String),
    /// A production enclave without a signature of the user's.
    #[error("a production enclave needs a SIGSTRUCT of yours: make one with `scone sign`")]
    NoSignature,
    /// The SIGSTRUCT has the wrong size.
    #[error("a SIGSTRUCT has 1808 bytes, this one {0}")]
    BadSignature(usize),
    /// The backend refused the enclave.
    #[error("the enclave was refused: {0}")]
    Refused(#[from] backend::Refused),
    /// Memory for the exchange with the enclave could not be had.
    #[error("no memory for the exchange with the enclave: {0}")]
    Memory(#[from] std::io::Error),
    /// A thread could not be started.
    #[error("no thread for signals: {0}")]
    Thread(#[source] std::io::Error),
    /// An argument or environment string holds a NUL.
    #[error("argument or environment string {0:?} holds a NUL byte")]
    Nul(std::ffi::OsString),
    /// The enclave refused to be entered.
    #[error("the enclave refused to be entered (reason {0:#x})")]
    EntryRefused(u64),
    /// What was added to the enclave is not what MRENCLAVE stands for: the host changed it, or this build is
    /// damaged.
    #[error(
        "the enclave found that its code or data is not what it was measured to be, and does not start: \
         install this program anew"
    )]
    NotVerified,
    /// Entering raised an exception that cannot be handled.
    #[error("exception {vector} while entering the enclave")]
    Entry {
        /// Vector of the exception.
        vector: u16,
    },
}
