//! A pipe: what is in it, and who has it open.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use enclave_core::Mutex;
use enclave_descriptors::PipeBuffer;
use enclave_files::WaitQueue;

/// What a pipe holds until `F_SETPIPE_SZ` says otherwise.
const CAPACITY: usize = 64 << 10;

pub(super) struct State {
    pub(super) buffer: PipeBuffer,
    pub(super) readers: Ends,
    pub(super) writers: Ends,
}

/// Ends of one side.
#[derive(Clone, Copy, Default)]
pub(super) struct Ends {
    /// That are open.
    pub(super) open: u32,
    /// That were ever opened.
    pub(super) ever: u64,
}

impl Ends {
    pub(super) fn add(&mut self) {
        self.open += 1;
        self.ever += 1;
    }
}

/// A pipe.
pub(super) struct Pipe {
    pub(super) state: Mutex<State>,
    pub(super) queue: WaitQueue,
    pub(super) inode: u64,
}

impl Pipe {
    /// A pipe without ends.
    pub(super) fn new() -> Arc<Self> {
        static INODES: AtomicU64 = AtomicU64::new(0x2_0000_0000);
        let buffer = PipeBuffer::new(CAPACITY);
        let (readers, writers) = Default::default();
        Arc::new(Self {
            state: Mutex::new(State { buffer, readers, writers }),
            queue: WaitQueue::new(),
            inode: INODES.fetch_add(1, Ordering::Relaxed),
        })
    }

    /// Whether it is open for reading.
    pub(super) fn has_readers(&self) -> bool {
        self.state.lock().readers.open > 0
    }
}
