//! Pairs of sockets of one program (socketpair(2), unix(7)): they live inside.
//!
//! They have no names: what needs one (bind(2), connect(2)) is refused.

mod calls;
mod control;
mod object;
mod options;
mod pair;

pub(super) use calls::{
    name, recvfrom, recvmmsg, recvmsg, refuse, sendmmsg, sendmsg, sendto, shutdown, socketpair,
};
pub(super) use options::{getsockopt, has_timeout, setsockopt};
pub(super) use pair::LocalSocket;

use enclave_files::OpenFile;

/// The address family of these sockets.
pub(super) use super::family::UNIX as AF_UNIX;

/// The socket behind a file, if it is one of these.
pub(super) fn of(file: &OpenFile) -> Option<&LocalSocket> {
    file.object().downcast_ref()
}
