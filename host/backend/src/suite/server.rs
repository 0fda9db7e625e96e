//! An enclave that does what it is told: one leaf, or one access to memory, per entry.

use std::sync::Arc;

use sgx_types::{Enclu, SecInfoFlags};

use super::assembler::{Code, Form, Reg};
use super::specimen::{DATA, Specimen, entry, exit};
use crate::{Backend, Enclave, Exception, Outcome, Run};

const READ: u64 = 100;
const WRITE: u64 = 101;
const JUMP: u64 = 102;

/// What a leaf leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Returned {
    /// RAX.
    pub rax: u64,
    /// The zero flag.
    pub zf: bool,
}

impl Returned {
    /// Success of a leaf that returns a code.
    pub const OK: Self = Self { rax: 0, zf: false };

    /// An error code.
    #[must_use]
    pub fn error(code: sgx_types::SgxError) -> Self {
        Self { rax: code as u64, zf: true }
    }
}

/// The enclave. Up to seven exceptions may happen, since it never resumes.
pub struct Server(pub Arc<dyn Enclave>);

impl Server {
    /// What the server is before it is built.
    #[must_use]
    pub fn specimen(backend: &dyn Backend) -> Specimen {
        use Reg::{R8, R9, Rax, Rbx, Rcx, Rdi, Rdx, Rsi};
        let exit = exit(Form::Roomy);
        let jump = Code::new().raw(&[0xff, 0xd6]).copy(Rdi, Rax).then(&exit);
        let code = Code::new()
            .compare(R8, 100)
            .if_equal(&Code::new().load_at(Rdi, Rsi).then(&exit))
            .compare(R8, 101)
            .if_equal(&Code::new().store_at(Rsi, Rdx).then(&exit))
            .compare(R8, 102)
            .if_equal(&jump)
            .store(DATA, Rdi)
            .set(Rbx, DATA.into())
            .copy(Rcx, Rsi)
            .compare(R8, 105)
            .if_equal(&Code::new().copy(Rbx, Rdi).set(R8, 5));
        let leaf = |number: u32| Code::new().enclu(number, Form::Roomy).copy(Rdi, Rax).flags(R9);
        let mut code = code;
        for number in [Enclu::Eaccept, Enclu::Emodpe, Enclu::Eacceptcopy, Enclu::Eenter] {
            let number = number as u32;
            let body = leaf(number).copy(Rsi, R9).then(&exit);
            code = code.compare(R8, i32::try_from(number).expect("small")).if_equal(&body);
        }
        for number in [Enclu::Ereport, Enclu::Egetkey] {
            let number = number as u32;
            let body = Code::new().copy(Rbx, Rdi).then(&leaf(number)).copy(Rsi, R9).then(&exit);
            code = code.compare(R8, i32::try_from(number).expect("small")).if_equal(&body);
        }
        Specimen { nssa: 8, ..Specimen::new(backend, code.clone(), code) }
    }

    /// A running server.
    #[must_use]
    pub fn new(backend: &dyn Backend) -> Self {
        Self(Self::specimen(backend).build(backend))
    }

    fn enter(&self, run: Run) -> Result<Run, Exception> {
        let mut run = run;
        match self.0.enter(&mut run) {
            Outcome::Exited => Ok(run),
            Outcome::Exception(exception) => Err(exception),
        }
    }

    /// Executes a leaf with a SECINFO with `flags` (EREPORT, EGETKEY: RBX itself), RCX and RDX.
    ///
    /// # Errors
    /// The exception that it raised.
    pub fn leaf(&self, leaf: Enclu, rbx: u64, rcx: u64, rdx: u64) -> Result<Returned, Exception> {
        let run = Run { rsi: rcx, rdx, r8: leaf as u64, ..entry(0, rbx) };
        self.enter(run).map(|run| Returned { rax: run.rdi, zf: run.rsi & 0x40 != 0 })
    }

    /// EACCEPT with SECINFO at any address.
    ///
    /// # Errors
    /// The exception that it raised.
    pub fn accept_with(&self, secinfo: u64, page: u64) -> Result<Returned, Exception> {
        let run = Run { rsi: page, r8: 105, ..entry(0, secinfo) };
        self.enter(run).map(|run| Returned { rax: run.rdi, zf: run.rsi & 0x40 != 0 })
    }

    /// EACCEPT.
    ///
    /// # Errors
    /// The exception that it raised.
    pub fn accept(&self, flags: SecInfoFlags, page: u64) -> Result<Returned, Exception> {
        self.leaf(Enclu::Eaccept, flags.bits(), page, 0)
    }

    /// Reads eight bytes.
    ///
    /// # Errors
    /// The exception that it raised.
    pub fn read(&self, address: u64) -> Result<u64, Exception> {
        self.enter(Run { rsi: address, r8: READ, ..entry(0, 0) }).map(|run| run.rdi)
    }

    /// Writes eight bytes.
    ///
    /// # Errors
    /// The exception that it raised.
    pub fn write(&self, address: u64, value: u64) -> Result<(), Exception> {
        self.enter(Run { rsi: address, rdx: value, r8: WRITE, ..entry(0, 0) }).map(|_| ())
    }

    /// Calls code of the enclave; RAX of it.
    ///
    /// # Errors
    /// The exception that it raised.
    pub fn jump(&self, address: u64) -> Result<u64, Exception> {
        self.enter(Run { rsi: address, r8: JUMP, ..entry(0, 0) }).map(|run| run.rdi)
    }
}
