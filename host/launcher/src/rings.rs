//! Host threads that serve the rings: one for each enclave thread that uses its ring.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hostcall_abi::layout;
use scone_ring::{Consumer, Words, sleep_word};
use worker::{Attention, Shared, wait_word, wake_word};

use crate::{pool::finish, threads::Running};

/// How long a thread looks for entries before it sleeps. Waking it costs the enclave an exit.
const LOOK: Duration = Duration::from_micros(50);
/// Looks between two looks at the clock.
const LOOKS: u32 = 64;

/// Which rings have a thread.
#[derive(Debug, Default)]
pub(crate) struct Rings([OnceLock<()>; layout::TCS_COUNT as usize]);

/// The ring of one enclave thread.
#[derive(Clone, Copy, Debug)]
struct Ring {
    rings: Shared,
    first: u64,
}

impl Ring {
    fn word(&self, index: u64) -> &'static AtomicU64 {
        self.rings.word(self.first + index)
    }
}

impl Words for Ring {
    fn load(&self, index: u64) -> u64 {
        self.word(index).load(Ordering::Acquire)
    }

    fn store(&self, index: u64, value: u64) {
        self.word(index).store(value, Ordering::Release);
    }
}

impl Rings {
    /// Says of all rings that their threads sleep: the first entry of each starts one.
    pub(crate) fn prepare(rings: Shared) {
        for index in 0..layout::TCS_COUNT {
            ring(rings, index).store(sleep_word(), 1);
        }
    }

    /// Wakes the thread of ring `index`, or starts it.
    pub(crate) fn wake(&self, running: &'static Running, index: u64) -> std::io::Result<()> {
        let Some(started) = usize::try_from(index).ok().and_then(|index| self.0.get(index)) else {
            return Ok(());
        };
        let ring = ring(running.boot.rings, index);
        if started.set(()).is_ok() {
            ring.store(sleep_word(), 0);
            std::thread::Builder::new()
                .name(format!("ring-{index}"))
                .stack_size(256 << 10)
                .spawn(move || serve(running, ring))?;
            return Ok(());
        }
        let word = ring.word(sleep_word());
        word.store(0, Ordering::SeqCst);
        wake_word(word);
        Ok(())
    }
}

fn ring(rings: Shared, index: u64) -> Ring {
    Ring { rings, first: index * layout::PAGE / 8 }
}

fn serve(running: &'static Running, ring: Ring) {
    let mut consumer = Consumer::new(ring);
    let attention = Attention::new();
    loop {
        let Some(address) = next(&mut consumer) else {
            wait_word(ring.word(sleep_word()), 1, u64::MAX, &attention);
            continue;
        };
        let Some(request) = running.boot.arena.request(address) else { continue };
        let executed = running.execute(&request, || attention.execute(&request));
        if executed && request.done() {
            finish(running, &request);
        }
    }
}

/// The next entry; `None` if the thread shall sleep.
fn next(consumer: &mut Consumer<Ring>) -> Option<u64> {
    consumer.wake();
    let start = Instant::now();
    loop {
        for _ in 0..LOOKS {
            if let Some(entry) = consumer.pop() {
                return Some(entry);
            }
            std::hint::spin_loop();
        }
        if start.elapsed() > LOOK && consumer.prepare_sleep() {
            return None;
        }
    }
}
