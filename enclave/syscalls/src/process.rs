//! The process: its address space and identity.

use alloc::{sync::Arc, vec::Vec};
use core::{
    mem,
    ops::RangeInclusive,
    sync::atomic::{AtomicU32, Ordering},
};

use enclave_core::{Mutex, MutexGuard, Once};
use enclave_files::{HostFd, data_is_left, keep_heads_waiting};
use enclave_hostcalls::flush;
use enclave_mm::{AddressSpace, BackingFile};
use enclave_rewriter::AddressMap;
use enclave_threads::{check_events, clock, give_processor_away, yield_now};

use crate::{ephemeral::Held, pages::EnclavePages, rewrite::Text, signal::find_thread};

/// Where the contents of a mapping are.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// On the host.
    Host(Arc<HostFd>),
    /// In memory.
    Memory(Arc<Held>),
}

/// The file behind a mapping.
#[derive(Clone, Debug)]
pub(crate) struct Backing {
    pub(crate) source: Source,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// Path of a file in memory; the host is asked for that of its own when somebody wants it.
    pub(crate) path: Option<Arc<[u8]>>,
    /// The mapping of its code that this belongs to.
    pub(crate) text: Option<Arc<Text>>,
}

impl PartialEq for Backing {
    fn eq(&self, other: &Self) -> bool {
        // Mappings whose code was rewritten for different places must not become one.
        let alike = match (&self.text, &other.text) {
            (None, None) => true,
            (Some(mine), Some(theirs)) => Arc::ptr_eq(mine, theirs),
            _ => false,
        };
        alike && self.is_same(other)
    }
}

impl BackingFile for Backing {
    fn is_same(&self, other: &Self) -> bool {
        // The host names its own files only, whatever numbers it says.
        mem::discriminant(&self.source) == mem::discriminant(&other.source)
            && (self.device, self.inode) == (other.device, other.inode)
    }

    fn is_surely(&self, other: &Self) -> bool {
        match (&self.source, &other.source) {
            (Source::Host(mine), Source::Host(theirs)) => Arc::ptr_eq(mine, theirs),
            _ => self.is_same(other),
        }
    }

    fn device(&self) -> (u32, u32) {
        let low = |value: u64| u32::try_from(value).unwrap_or(0);
        let device = self.device;
        let major = device >> 8 & 0xfff | device >> 32 & 0xffff_f000;
        let minor = device & 0xff | device >> 12 & 0xf_ff00;
        (low(major), low(minor))
    }

    fn inode(&self) -> u64 {
        self.inode
    }

    fn write_path(&self, out: &mut Vec<u8>) {
        match (&self.path, &self.source) {
            (Some(path), _) => out.extend_from_slice(path),
            (None, Source::Host(fd)) => out.extend_from_slice(&fd.path().unwrap_or_default()),
            (None, Source::Memory(_)) => {}
        }
    }
}

/// The address space of the program.
pub(crate) type Space = AddressSpace<EnclavePages, Backing>;

/// Largest process number that Linux can be set up for (`PID_MAX_LIMIT`).
pub(crate) const PID_MAX: u32 = 1 << 22;

/// Ids of threads but the first, whose id is the process's. No kernel has such processes, so that none of the host is
/// taken for a thread, or the other way round. They fit into futexes (30 bits) and clocks (28, as
/// `CPUCLOCK_PERTHREAD` has them).
const TIDS: RangeInclusive<u32> = PID_MAX + 1..=(1 << 28) - 1;

/// What there is once in a process.
pub(crate) struct Process {
    space: Mutex<Space>,
    /// Where rewritten code came from.
    pub(crate) rewritten: Mutex<AddressMap>,
    /// Process id, as the host claims.
    pub(crate) pid: u32,
    /// Parent's process id, as the host claims.
    pub(crate) ppid: u32,
    next_tid: AtomicU32,
    /// Path of the program.
    pub(crate) executable: Mutex<Vec<u8>>,
}

static PROCESS: Once<Process> = Once::new();

/// Creates the process.
pub(crate) fn init(space: Space, pid: u32, ppid: u32) {
    PROCESS.set(Process {
        space: Mutex::new(space),
        rewritten: Mutex::new(AddressMap::default()),
        pid,
        ppid,
        next_tid: AtomicU32::new(*TIDS.start()),
        executable: Mutex::new(Vec::new()),
    });
}

/// The process.
pub(crate) fn process() -> &'static Process {
    &PROCESS
}

impl Process {
    /// Locks the address space. Whoever holds it must not touch the program's memory except
    /// through [`EnclavePages`].
    pub(crate) fn space(&self) -> MutexGuard<'_, Space> {
        self.space.lock()
    }

    /// A thread id that no thread has.
    pub(crate) fn new_tid(&self) -> u32 {
        let after = |tid| if TIDS.end() == &tid { *TIDS.start() } else { tid + 1 };
        loop {
            let tid = self.next_tid.update(Ordering::Relaxed, Ordering::Relaxed, after);
            if find_thread(tid).is_none() {
                return tid;
            }
        }
    }
}

/// Has the host know all that the program did, before the process ends or stops: writes shared mappings
/// back, and makes what was posted.
pub(crate) fn settle() {
    /// Nanoseconds for which a peer is waited for that takes no data.
    const PATIENCE: u64 = 10_000_000_000;
    // What cannot be written back is lost, as when a machine's disk is full.
    let _ = process().space().flush_all();
    keep_heads_waiting(true);
    let until = clock::monotonic().saturating_add(PATIENCE);
    loop {
        // A head that another thread had taken back is posted again.
        let was_left = data_is_left();
        flush();
        if !was_left && !data_is_left() || clock::monotonic() >= until {
            break;
        }
        check_events();
        yield_now();
        give_processor_away();
    }
    keep_heads_waiting(false);
}
