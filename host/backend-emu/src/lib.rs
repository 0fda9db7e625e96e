//! Software SGX.
#![expect(unsafe_code, reason = "enters enclaves, handles signals, maps memory")]

mod asm;
mod context;
mod cost;
mod create;
mod driver;
mod edmm;
mod enclave;
mod enter;
mod epcm;
mod leaves;
mod lookup;
mod mapping;
mod patch;
mod signals;
mod ssa;
mod sys;
mod tcs;

pub use cost::CostModel;

use std::ops::Range;
use std::sync::Arc;

use backend::{
    Backend, Capabilities, Enclave, Errno, KickHandler, Kind, Operation, Outcome, Refused, Run,
    Source,
};
use sgx_types::{MiscSelect, PageType, SecInfo, SecInfoFlags, Secs, Sigstruct, Xfrm};

use crate::enclave::Inner;

/// The emulator.
#[derive(Clone, Debug)]
pub struct EmuBackend {
    costs: CostModel,
}

impl EmuBackend {
    /// An emulator with that cost model.
    ///
    /// # Errors
    /// What this machine lacks.
    pub fn new(costs: CostModel) -> Result<Self, Unsupported> {
        if !sys::has_fsgsbase() {
            return Err(Unsupported::FsGsBase);
        }
        if !sys::has_xsaveopt() {
            return Err(Unsupported::XsaveOpt);
        }
        Ok(Self { costs })
    }
}

/// Why this machine cannot run the emulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// Needs Linux 5.9 and a processor of 2012 or later.
    #[error("user mode cannot set FS and GS (FSGSBASE)")]
    FsGsBase,
    /// Needs a processor of 2011 or later.
    #[error("the processor has no XSAVEOPT")]
    XsaveOpt,
}

impl Backend for EmuBackend {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            kind: Kind::Emulated,
            edmm: true,
            misc_select: MiscSelect::EXINFO,
            attributes: create::ATTRIBUTES,
            xfrm: Xfrm::from_bits_truncate(sys::xfeatures()),
            max_size: create::MAX_SIZE,
            epc: None,
            note: format!("cost model {}", self.costs.name),
        }
    }

    fn create(&self, secs: &Secs) -> Result<Arc<dyn Enclave>, Refused> {
        Ok(Arc::new(EmuEnclave(Arc::new(create::create(secs, self.costs.clone())?))))
    }
}

struct EmuEnclave(Arc<Inner>);

impl Enclave for EmuEnclave {
    fn add_pages(
        &self,
        offset: u64,
        secinfo: &SecInfo,
        source: Source<'_>,
        measure: bool,
    ) -> Result<(), Refused> {
        create::add_pages(&self.0, offset, secinfo, source, measure)
    }

    fn init(&self, sigstruct: &Sigstruct) -> Result<(), Refused> {
        create::init(&self.0, sigstruct)
    }

    fn enter(&self, run: &mut Run) -> Outcome {
        enter::enter(&self.0, run)
    }

    fn restrict_permissions(
        &self,
        range: Range<u64>,
        permissions: SecInfoFlags,
    ) -> Result<(), Refused> {
        driver::restrict_permissions(&self.0, range, permissions)
    }

    fn modify_types(&self, range: Range<u64>, page_type: PageType) -> Result<(), Refused> {
        driver::modify_types(&self.0, range, page_type)
    }

    fn remove_pages(&self, range: Range<u64>) -> Result<(), Refused> {
        driver::remove_pages(&self.0, range)
    }

    fn install_kick(&self, signal: i32, handler: KickHandler) -> Result<(), Refused> {
        enter::set_kick_handler(handler);
        if signals::install_kick(signal) {
            return Ok(());
        }
        let reason = format!("signal {signal} cannot be used");
        Err(Refused::new(Operation::InstallKick, Errno::EINVAL, reason))
    }
}
