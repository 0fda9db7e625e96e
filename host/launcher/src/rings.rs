//! Host threads that serve the rings.
//!
//! Ring `r` belongs to thread `r % N` for good, so that a ring has one consumer. A thread is
//! started when the first entry comes to one of its rings; one without work looks on for a while,
//! ever less eagerly, and sleeps then: how many run follows from how many rings are in use.

use std::{
    io,
    sync::{
        OnceLock,
        atomic::{AtomicI32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hostcall_abi::{layout, request::flag};
use scone_ring::{Consumer, Words, sleep_word};
use worker::{NOBODY, Shared, wait_word, wake_word};

use crate::{Boot, pool::finish, threads::Running};

/// How long a thread looks for entries without giving its processor away.
const EAGER: Duration = Duration::from_micros(10);
/// How long it looks for entries before it sleeps. Waking it costs the enclave an exit.
const LOOK: Duration = Duration::from_micros(50);
/// Looks between two looks at the clock.
const LOOKS: u32 = 32;

/// The threads, those that run and those that were not needed yet.
#[derive(Debug)]
pub(crate) struct Rings {
    servers: Box<[Server]>,
    /// Rings that are used.
    count: u64,
}

#[derive(Debug, Default)]
struct Server {
    started: OnceLock<()>,
    thread: AtomicI32,
    /// The processor that the thread keeps off, plus one: that of the enclave thread, which looks
    /// at the reply meanwhile. The kernel would run both on one as soon as another is busy.
    avoided: AtomicU64,
    /// 1 while the thread sleeps: the futex on which it does.
    asleep: AtomicU64,
}

/// The ring of one enclave thread.
#[derive(Clone, Copy, Debug)]
struct Ring {
    rings: Shared,
    first: u64,
}

impl Ring {
    fn of(rings: Shared, index: u64) -> Self {
        Self { rings, first: index * layout::PAGE / 8 }
    }

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
    /// At most `threads` threads, zero for one to each two processors.
    pub(crate) fn new(threads: u64, boot: &Boot) -> Self {
        let threads = if threads == 0 { boot.cpus / 2 } else { threads };
        let servers = (0..threads.clamp(1, boot.threads)).map(|_| Server::default());
        Self { servers: servers.collect(), count: boot.threads }
    }

    /// Says of the first `count` rings that their threads sleep: the first entry of each starts one.
    pub(crate) fn prepare(rings: Shared, count: u64) {
        for index in 0..count {
            Ring::of(rings, index).store(sleep_word(), 1);
        }
    }

    /// Wakes the thread of ring `index`, or starts it.
    pub(crate) fn wake(&'static self, running: &'static Running, index: u64) -> io::Result<()> {
        let first = usize::try_from(index).unwrap_or(0) % self.servers.len();
        let server = &self.servers[first];
        if server.started.set(()).is_err() {
            worker::keep_off_this_processor(server.thread.load(Ordering::Relaxed), &server.avoided);
            server.asleep.store(0, Ordering::SeqCst);
            wake_word(&server.asleep);
            return Ok(());
        }
        let rings = (first as u64..self.count).step_by(self.servers.len());
        let rings: Vec<_> =
            rings.map(|index| Consumer::new(Ring::of(running.boot.rings, index))).collect();
        std::thread::Builder::new()
            .name(format!("ring-{first}"))
            .stack_size(256 << 10)
            .spawn(move || server.serve(running, rings))?;
        Ok(())
    }
}

impl Server {
    fn serve(&self, running: &'static Running, mut rings: Vec<Consumer<Ring>>) {
        self.thread.store(worker::thread_id(), Ordering::Relaxed);
        rings.iter_mut().for_each(Consumer::wake);
        loop {
            look(running, &mut rings);
            self.sleep(&mut rings);
        }
    }

    /// Sleeps, unless there is an entry.
    fn sleep(&self, rings: &mut [Consumer<Ring>]) {
        self.asleep.store(1, Ordering::SeqCst);
        if rings.iter_mut().all(Consumer::prepare_sleep) {
            wait_word(&self.asleep, 1, u64::MAX, &NOBODY);
        }
        rings.iter_mut().for_each(Consumer::wake);
    }
}

/// Serves the rings until there has been no entry for a while.
fn look(running: &'static Running, rings: &mut [Consumer<Ring>]) {
    let mut idle = Idle::default();
    while idle.goes_on() {
        for ring in &mut *rings {
            if let Some(address) = ring.pop() {
                execute(running, address);
                idle = Idle::default();
            }
        }
    }
}

/// How long there has been nothing to do.
#[derive(Default)]
struct Idle {
    looks: u32,
    since: Option<Instant>,
}

impl Idle {
    /// Waits a little, and says whether to look again.
    fn goes_on(&mut self) -> bool {
        self.looks += 1;
        if !self.looks.is_multiple_of(LOOKS) {
            std::hint::spin_loop();
            return true;
        }
        let idle = self.since.get_or_insert_with(Instant::now).elapsed();
        if idle > EAGER {
            std::thread::yield_now();
        }
        idle < LOOK
    }
}

/// Executes the request at `address`, or has another thread do so if it has to wait.
fn execute(running: &'static Running, address: u64) {
    let Some(request) = running.boot.arena.request(address) else { return };
    let made = if request.flags() & flag::MAY_WAIT != 0 {
        running.pool.make_or_submit(running, &request)
    } else {
        running.make_posted(&request);
        running.execute(&request, || {
            request.make();
            true
        })
    };
    if made == Some(true) {
        finish(running, &request);
    }
}
