//! Pages that are not what was measured.

use std::sync::Arc;

use anyhow::Result;
use backend::{Enclave, Refused, Source};
use launcher::Tamper;
use sgx_types::SecInfo;

use crate::{
    between::{Between, Seen},
    number,
};

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
        Arc::new(Seen(Adding { enclave, address: self.address }))
    }
}

/// An enclave that is filled with something else.
struct Adding {
    enclave: Arc<dyn Enclave>,
    address: u64,
}

impl Between for Adding {
    fn enclave(&self) -> &dyn Enclave {
        &*self.enclave
    }

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
}
