//! sched_yield(2): threads that look again and again for what others do.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use enclave_core::timestamp;

use crate::scheduler::{SLOTS, give_processor_away, others_wait, own_index, yield_now};

/// How much longer than leaving takes a thread stays inside where others take turns with it.
const WITH_OTHERS: u64 = 4;

/// When each enclave thread came back from giving its processor away.
static BACK: [AtomicU64; SLOTS] = [const { AtomicU64::new(0) }; SLOTS];
/// Timestamps that giving it away takes if nobody wants it, as far as is known.
static COST: AtomicU64 = AtomicU64::new(u64::MAX);

/// Gives way to the other threads of this enclave thread, and now and then to whatever else there is
/// on its processor: that may be the enclave thread on which runs what the program waits for.
///
/// It stays inside for as long as leaving takes, so that no more than half of the time goes into that.
pub fn yield_to_all() {
    let others = others_wait();
    if others {
        yield_now();
    }
    let own = own_index();
    let left = timestamp();
    let cost = match COST.load(Relaxed) {
        u64::MAX => 0,
        cost if others => cost.saturating_mul(WITH_OTHERS),
        cost => cost,
    };
    if left.saturating_sub(BACK[own].load(Relaxed)) < cost {
        return;
    }
    give_processor_away();
    let back = timestamp();
    COST.fetch_min(back.saturating_sub(left), Relaxed);
    BACK[own].store(back, Relaxed);
}
