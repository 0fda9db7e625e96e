//! A host that breaks the contract, for tests of the runtime.

use std::{fmt::Debug, sync::Arc};

use backend::Enclave;
use worker::Request;

use crate::Boot;

/// What a lying host does differently; without overrides, nothing.
///
/// A run without one ([`crate::Options::tamper`]) pays one look at a null pointer for each request.
pub trait Tamper: Debug + Sync {
    /// The enclave, once it is created: what is returned is filled, initialised and entered in its place.
    fn enclave(&self, enclave: Arc<dyn Enclave>) -> Arc<dyn Enclave> {
        enclave
    }

    /// The memory that both sides see, before the first entry.
    fn shared(&'static self, _memory: &Boot) {}

    /// What a request comes to that is not to be made, but is told to be.
    fn instead(&self, _request: &Request) -> Option<u64> {
        None
    }

    /// A request has arrived, on whichever way. Returns whether it is to be executed; if not, one
    /// that was handed over is not completed either.
    fn before(&self, _request: &Request) -> bool {
        true
    }

    /// A request was executed, and the enclave does not know yet.
    fn after(&self, _request: &Request) {}
}
