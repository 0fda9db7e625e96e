//! Pages that are not what was measured.

use std::ops::Range;
use std::sync::Arc;

use anyhow::Result;
use backend::{Enclave, ExitHandler, KickHandler, Outcome, Refused, Run, Source};
use launcher::Tamper;
use sgx_types::{PageType, SecInfo, SecInfoFlags, Sigstruct};

use crate::number;

/// `page ADDRESS`: the lowest bit of the byte there is another one when its page is added.
#[derive(Debug)]
pub(crate) struct Changed {
    address: u64,
}

impl Changed {
    pub(crate) fn new(address: &str) -> Result<Self> {
        Ok(Self { address: number(address)? })
    }
}

impl Tamper for Changed {
    fn enclave(&self, enclave: Arc<dyn Enclave>) -> Arc<dyn Enclave> {
        Arc::new(Adding { enclave, address: self.address })
    }
}

/// An enclave that is filled with something else.
struct Adding {
    enclave: Arc<dyn Enclave>,
    address: u64,
}

impl Enclave for Adding {
    fn add_pages(
        &self,
        offset: u64,
        secinfo: &SecInfo,
        source: Source<'_>,
        measure: bool,
    ) -> Result<(), Refused> {
        let at = self.address.checked_sub(offset).filter(|&at| at < source.len());
        let Some(at) = at else {
            return self.enclave.add_pages(offset, secinfo, source, measure);
        };
        let mut bytes = match source {
            Source::Bytes(bytes) => bytes.to_vec(),
            Source::Zero(len) => vec![0; len as usize],
        };
        bytes[at as usize] ^= 1;
        self.enclave.add_pages(offset, secinfo, Source::Bytes(&bytes), measure)
    }

    fn enter_with(&self, run: &mut Run, handler: Option<&ExitHandler>) -> Outcome {
        self.enclave.enter_with(run, handler)
    }

    fn init(&self, sigstruct: &Sigstruct) -> Result<(), Refused> {
        self.enclave.init(sigstruct)
    }

    fn restrict_permissions(
        &self,
        range: Range<u64>,
        permissions: SecInfoFlags,
    ) -> Result<(), Refused> {
        self.enclave.restrict_permissions(range, permissions)
    }

    fn modify_types(&self, range: Range<u64>, page_type: PageType) -> Result<(), Refused> {
        self.enclave.modify_types(range, page_type)
    }

    fn remove_pages(&self, range: Range<u64>) -> Result<(), Refused> {
        self.enclave.remove_pages(range)
    }

    fn install_kick(&self, signal: i32, handler: KickHandler) -> Result<(), Refused> {
        self.enclave.install_kick(signal, handler)
    }

    fn statistics(&self) -> Vec<(&'static str, u64)> {
        self.enclave.statistics()
    }
}
