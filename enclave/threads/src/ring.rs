//! Calls through a ring: a host thread makes them while this enclave thread stays inside.

use core::sync::atomic::{AtomicU64, Ordering};

use enclave_core::{HostSlice, Mutex, has_current, locks_held, own_call, tcs_index, timestamp};
use hostcall_abi::{
    layout::PAGE,
    request::{self, flag, state},
    service,
};
use scone_ring::{CAPACITY, Producer, Words};

use crate::{handover::await_completion, scheduler};

/// Looks at the reply between two looks at what else there is to do.
const LOOKS: u32 = 32;
/// Rounds of looks before another thread gets the processor, if one waits for it.
const ROUNDS_WITH_OTHERS: u32 = 2;
/// Rounds before this enclave thread looks for other work.
const ROUNDS_ALONE: u32 = 128;
/// Rounds for a call that may wait: the host's thread tries it at once.
const ROUNDS_WAITING: u32 = 8;

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

/// Takes the rings; calls can be made through them from now on.
pub fn init_rings(rings: HostSlice) {
    for (index, ring) in (0_u64..).zip(&ALL) {
        let memory = rings.part(index * PAGE, PAGE);
        *ring.producer.lock() = Some(Producer::new(Memory(memory)));
    }
}

/// A request in a ring. Its staging memory is the host's until [`Submitted::wait`] has returned.
#[derive(Debug)]
#[must_use = "the host writes to the request until it has been waited for"]
pub struct Submitted {
    ring: &'static Ring,
    request: HostSlice,
    may_wait: bool,
}

impl core::fmt::Debug for Ring {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Ring").field("outstanding", &self.outstanding).finish_non_exhaustive()
    }
}

/// The ring of one enclave thread. Requests that are put into the same one are made in their order,
/// unless they may wait.
#[derive(Clone, Copy, Debug)]
pub struct Lane {
    ring: &'static Ring,
    index: u64,
}

impl Lane {
    /// The ring of this enclave thread.
    #[must_use]
    pub fn here() -> Option<Self> {
        let index = tcs_index();
        let ring = ALL.get(usize::try_from(index).ok()?)?;
        Some(Self { ring, index })
    }

    /// Puts a staged request with these [`flag`]s into the ring, and wakes the host's thread if it
    /// sleeps. `None` if the call must be made another way: there are no rings, or this one is full.
    #[must_use]
    pub fn submit(self, request: HostSlice, flags: u64) -> Option<Submitted> {
        let Self { ring, index } = self;
        let mut producer = ring.producer.lock();
        let producer_end = producer.as_mut()?;
        if ring.outstanding.load(Ordering::Relaxed) >= CAPACITY {
            return None;
        }
        ring.outstanding.fetch_add(1, Ordering::Relaxed);
        request.word(request::FLAGS).write(flags);
        request.word(request::STATE).write(state::SUBMITTED);
        let sleeping = producer_end.push(request.address());
        drop(producer);
        if sleeping {
            own_call(service::RING, [index]);
        }
        Some(Submitted { ring, request, may_wait: flags & flag::MAY_WAIT != 0 })
    }
}

/// Puts a staged request into the ring of this enclave thread, see [`Lane::submit`].
#[must_use]
pub fn submit(request: HostSlice, may_wait: bool) -> Option<Submitted> {
    Lane::here()?.submit(request, if may_wait { flag::MAY_WAIT } else { 0 })
}

/// How a request was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// The host says that it had to wait.
    pub handed_on: bool,
    /// When other threads got the processor meanwhile, if they did, in ticks.
    pub left_to_others: Option<u64>,
}

impl Submitted {
    /// Waits for the reply: looks for it for a while, then lets other threads run.
    pub fn wait(self) -> Answered {
        let left_to_others = self.look();
        self.ring.outstanding.fetch_sub(1, Ordering::Relaxed);
        let flags = self.request.word(request::FLAGS).read();
        Answered { handed_on: flags & flag::HANDED_ON != 0, left_to_others }
    }

    fn look(&self) -> Option<u64> {
        let state = self.request.word(request::STATE);
        let mut rounds = 0;
        loop {
            for _ in 0..LOOKS {
                if state.read() == state::DONE {
                    return None;
                }
                core::hint::spin_loop();
            }
            rounds += 1;
            let others = scheduler::others_wait();
            if rounds < self.rounds(others) {
                continue;
            }
            if !locks_held() && has_current() {
                let left = others.then(timestamp);
                let begin = || state.replace(state::SUBMITTED, state::AWAITED);
                await_completion(self.request, self.may_wait, begin);
                return left;
            }
            // A thread that holds a lock keeps its enclave thread; a scheduler has no other.
            scheduler::give_processor_away();
            rounds = 0;
        }
    }

    fn rounds(&self, others: bool) -> u32 {
        match (others, self.may_wait) {
            (true, _) => ROUNDS_WITH_OTHERS,
            (false, true) => ROUNDS_WAITING,
            (false, false) => ROUNDS_ALONE,
        }
    }
}
