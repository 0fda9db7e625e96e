//! Lies of a host, and what the enclave makes of them.

mod ahead;
mod behaviour;
mod boot;
mod chunks;
mod host;
mod posted;
mod replies;
