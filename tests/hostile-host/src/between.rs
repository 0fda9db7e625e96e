//! What stands between the launcher and the enclave, and does some things otherwise.

use std::ops::Range;

use backend::{Enclave, ExitHandler, KickHandler, Outcome, Refused, Run, Source};
use sgx_types::{PageType, SecInfo, SecInfoFlags, Sigstruct};

/// What is done otherwise: by default, nothing.
pub(crate) trait Between: Send + Sync {
    /// The enclave itself.
    fn enclave(&self) -> &dyn Enclave;

    fn add_pages(
        &self,
        offset: u64,
        secinfo: &SecInfo,
        source: Source<'_>,
        measure: bool,
    ) -> Result<(), Refused> {
        self.enclave().add_pages(offset, secinfo, source, measure)
    }

    fn enter_with(&self, run: &mut Run, handler: Option<&ExitHandler>) -> Outcome {
        self.enclave().enter_with(run, handler)
    }
}

/// The enclave that the launcher gets to see.
pub(crate) struct Seen<T>(pub(crate) T);

impl<T: Between> Enclave for Seen<T> {
    fn add_pages(
        &self,
        offset: u64,
        secinfo: &SecInfo,
        source: Source<'_>,
        measure: bool,
    ) -> Result<(), Refused> {
        self.0.add_pages(offset, secinfo, source, measure)
    }

    fn enter_with(&self, run: &mut Run, handler: Option<&ExitHandler>) -> Outcome {
        self.0.enter_with(run, handler)
    }

    fn init(&self, sigstruct: &Sigstruct) -> Result<(), Refused> {
        self.0.enclave().init(sigstruct)
    }

    fn restrict_permissions(
        &self,
        range: Range<u64>,
        permissions: SecInfoFlags,
    ) -> Result<(), Refused> {
        self.0.enclave().restrict_permissions(range, permissions)
    }

    fn modify_types(&self, range: Range<u64>, page_type: PageType) -> Result<(), Refused> {
        self.0.enclave().modify_types(range, page_type)
    }

    fn remove_pages(&self, range: Range<u64>) -> Result<(), Refused> {
        self.0.enclave().remove_pages(range)
    }

    fn install_kick(&self, signal: i32, handler: KickHandler) -> Result<(), Refused> {
        self.0.enclave().install_kick(signal, handler)
    }

    fn statistics(&self) -> Vec<(&'static str, u64)> {
        self.0.enclave().statistics()
    }
}
