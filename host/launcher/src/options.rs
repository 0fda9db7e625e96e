//! What a run is asked to do.

use std::ffi::OsString;

pub use backend_emu::CostModel;

use crate::Tamper;

/// What runs the enclave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackendChoice {
    /// The processor where it can, else the emulator.
    #[default]
    Auto,
    /// The processor.
    Sgx,
    /// The emulator.
    Emulator,
}

/// How system calls leave the enclave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The runtime chooses.
    #[default]
    Auto,
    /// Each call exits.
    Sync,
    /// Calls are handed to host threads.
    Async,
}

/// A file system in the enclave's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ephemeral {
    /// Path of its root, absolute and without `.`, `..` and repeated slashes.
    pub path: OsString,
    /// Most bytes that it holds; zero for the usual size.
    pub size: u64,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Path of the program.
    pub program: OsString,
    /// Its arguments, the name it is called by first.
    pub args: Vec<OsString>,
    /// Its environment, `NAME=VALUE`.
    pub env: Vec<OsString>,
    /// File systems in the enclave's memory.
    pub ephemeral: Vec<Ephemeral>,
    /// What runs the enclave.
    pub backend: BackendChoice,
    /// How system calls leave.
    pub mode: Mode,
    /// Enclave threads; zero for one per processor.
    pub threads: u64,
    /// Most host threads that serve asynchronous calls; zero for one to each two processors.
    pub host_threads: u64,
    /// Limit of committed program memory in bytes.
    pub heap: u64,
    /// A debug enclave.
    pub debug: bool,
    /// The user's SIGSTRUCT; `None` for the development one, with which only debug enclaves start.
    pub sigstruct: Option<Vec<u8>>,
    /// Report counters at the end.
    pub stats: bool,
    /// As JSON.
    pub stats_json: bool,
    /// Write a line for each system call to this descriptor.
    pub trace: Option<u32>,
    /// Costs that the emulator adds.
    pub cost_model: CostModel,
    /// Breaks the contract; `None` but in tests.
    pub tamper: Option<&'static dyn Tamper>,
}
