//! Calls through a ring: a host thread makes them while this enclave thread stays inside.

use core::sync::atomic::{AtomicU64, Ordering};

use enclave_core::{HostSlice, Mutex, has_current, locks_held, own_call, tcs_index};
use hostcall_abi::{layout::PAGE, request, service};
use scone_ring::{CAPACITY, Producer, Words};

use crate::{handover::await_completion, scheduler};

/// Looks at the reply before another thread gets the processor.
const SPINS_WITH_OTHERS: u32 = 64;
/// Looks at the reply before this enclave thread looks for other work.
const SPINS_ALONE: u32 = 4000;

/// A ring in host memory.
#[derive(Debug)]
struct Memory(HostSlice);

impl Words for Memory {
    fn load(&self, index: u64) -> u64 {
        self.0.word(index).read()
    }

    fn store(&self, index: u64, value: u64) {
        self.0.word(index).write(value);
    }
}

/// The end in the enclave of one enclave thread's ring.
struct Ring {
    producer: Mutex<Option<Producer<Memory>>>,
    /// Entries that were pushed and whose requests are not done.
    outstanding: AtomicU64,
}

const RINGS: usize = 16;
static ALL: [Ring; RINGS] =
    [const { Ring { producer: Mutex::new(None), outstanding: AtomicU64::new(0) } }; RINGS];

/// Takes the rings; calls are made through them from now on.
pub fn init_rings(rings: HostSlice) {
    for (index, ring) in (0_u64..).zip(&ALL) {
        let memory = rings.part(index * PAGE, PAGE);
        *ring.producer.lock() = Some(Producer::new(Memory(memory)));
    }
}

/// Makes the host execute a staged request, without leaving the enclave if its thread is awake.
/// Returns when it is done; `false` if it must be made another way: there are no rings, or this one
/// is full.
pub fn through_ring(staged: HostSlice) -> bool {
    let Some(ring) = usize::try_from(tcs_index()).ok().and_then(|index| ALL.get(index)) else {
        return false;
    };
    let mut producer = ring.producer.lock();
    let Some(producer_end) = producer.as_mut() else { return false };
    if ring.outstanding.load(Ordering::Relaxed) >= CAPACITY {
        return false;
    }
    ring.outstanding.fetch_add(1, Ordering::Relaxed);
    staged.word(request::STATE).write(request::state::SUBMITTED);
    let sleeping = producer_end.push(staged.address());
    drop(producer);
    if sleeping {
        own_call(service::RING, [tcs_index()]);
    }
    wait(staged);
    ring.outstanding.fetch_sub(1, Ordering::Relaxed);
    true
}

/// Waits for the reply: looks for it for a while, then lets other threads run.
fn wait(staged: HostSlice) {
    let state = staged.word(request::STATE);
    let mut looks = 0;
    while state.read() != request::state::DONE {
        core::hint::spin_loop();
        looks += 1;
        let limit = if scheduler::others_wait() { SPINS_WITH_OTHERS } else { SPINS_ALONE };
        if looks < limit {
            continue;
        }
        if locks_held() || !has_current() {
            // A thread that holds a lock keeps its enclave thread; a scheduler has no other.
            scheduler::give_processor_away();
            looks = 0;
            continue;
        }
        return await_completion(staged, false, || {
            state.replace(request::state::SUBMITTED, request::state::AWAITED)
        });
    }
}
