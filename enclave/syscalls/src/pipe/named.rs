//! Pipes with a name in a file system in memory (fifo(7)).

use alloc::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    vec::Vec,
};

use enclave_core::Mutex;
use enclave_files::{OpenFile, flag};
use enclave_hostcalls::Errno;

use super::{
    end::{End, Name},
    state::Pipe,
};
use crate::ephemeral::Held;

/// Those that are open, by device and node.
static PIPES: Mutex<BTreeMap<(u64, u64), Weak<Pipe>>> = Mutex::new(BTreeMap::new());

/// The pipe behind a node: what is in it lives as long as somebody has it open.
fn of_node(node: &Held) -> Arc<Pipe> {
    let key = (node.mount.device, node.ino);
    let mut pipes = PIPES.lock();
    if let Some(pipe) = pipes.get(&key).and_then(Weak::upgrade) {
        return pipe;
    }
    pipes.retain(|_, pipe| pipe.strong_count() > 0);
    let pipe = Pipe::new();
    pipes.insert(key, Arc::downgrade(&pipe));
    pipe
}

/// Opens a pipe; waits for the other side unless `O_NONBLOCK` says otherwise.
///
/// # Errors
///
/// `ENXIO` if nobody reads and there is no waiting, `EINTR`.
pub(crate) fn open(node: Arc<Held>, path: Vec<u8>, flags: u64) -> Result<Arc<OpenFile>, Errno> {
    let pipe = of_node(&node);
    let mode = flags & flag::ACCMODE;
    let waits = flags & flag::NONBLOCK == 0;
    if mode == flag::WRONLY && !waits && !pipe.has_readers() {
        return Err(Errno::ENXIO);
    }
    let end = End::open(&pipe, mode, Some(Name { node, path }));
    if waits && mode != flag::RDWR {
        end.meet()?;
    }
    Ok(OpenFile::new(end, flags))
}
