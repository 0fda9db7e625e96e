//! Hosts that change what they like, whenever they like.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use backend::Enclave;
use hostcall_abi::{control, layout, service};
use launcher::{Boot, Tamper};
use worker::Request;

use crate::{has_begun, memory};

/// Values that a host might try.
const VALUES: [u64; 12] = [
    0,
    1,
    8,
    4096,
    u64::MAX,
    1 << 63,
    1 << 46,
    (1 << 46) - 8,
    layout::HEAP_BASE,
    layout::IMAGE_BASE,
    4095_u64.wrapping_neg(),
    0x1_0000_0001,
];

/// A small generator of numbers (xorshift).
#[derive(Debug)]
struct Numbers(AtomicU64);

impl Numbers {
    fn next(&self) -> u64 {
        let mut state = self.0.load(Ordering::Relaxed) | 1;
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0.store(state, Ordering::Relaxed);
        state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    fn below(&self, end: u64) -> u64 {
        self.next() % end
    }

    fn value(&self) -> u64 {
        let index = usize::try_from(self.below(VALUES.len() as u64 + 1)).unwrap_or(0);
        VALUES.get(index).copied().unwrap_or_else(|| self.next())
    }
}

/// `random SEED`: one reply in eight is wrong in its result, its buffers, or both, or not made at all.
#[derive(Debug)]
pub(crate) struct Random(Numbers);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Numbers(AtomicU64::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))))
    }

    /// Changes up to four words of what an argument points to.
    fn scribble(&self, request: &Request) {
        let argument = usize::try_from(self.0.below(6)).unwrap_or(0);
        let words: Vec<_> = memory().buffer(request, argument).take(16).collect();
        for _ in 0..self.0.below(4) {
            let index = usize::try_from(self.0.below(words.len().max(1) as u64)).unwrap_or(0);
            if let Some(word) = words.get(index) {
                word.store(self.0.value(), Ordering::Relaxed);
            }
        }
    }
}

impl Tamper for Random {
    fn after(&self, request: &Request) {
        // A host that gives no memory, or the processor to nobody, ends the program: no test.
        if request.number() >= service::FIRST && request.number() != service::CLOCK {
            return;
        }
        match self.0.below(16) {
            0 => request.set_result(self.0.value()),
            1 => self.scribble(request),
            _ => {}
        }
    }
}

/// `flip`: a thread changes words of requests and buffers all the time, and puts them back.
#[derive(Debug)]
pub(crate) struct Flip;

impl Tamper for Flip {
    fn shared(&'static self, _: &Boot) {
        // Nothing is lost if it cannot be started but a lie; the tests look for its effect.
        let _ = thread::Builder::new().name("flip".into()).spawn(|| {
            let numbers = Numbers(AtomicU64::new(1));
            loop {
                if !has_begun() {
                    thread::sleep(Duration::from_millis(1));
                    continue;
                }
                let word = memory().0.arena.word(numbers.below(1 << 14));
                let old = word.load(Ordering::Relaxed);
                word.store(old ^ 1 << numbers.below(64), Ordering::Relaxed);
                // Seldom enough for some replies to be believed.
                thread::sleep(Duration::from_micros(20));
                let _ = word.compare_exchange(
                    word.load(Ordering::Relaxed),
                    old,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
            }
        });
    }
}

/// `signals SET`: these arrive all the time, with claims of faults.
#[derive(Debug)]
pub(crate) struct Signals(u64);

impl Signals {
    pub(crate) fn new(set: &str) -> Result<Self> {
        let set = match set {
            // Those that neither end the program by default nor stop it: it catches SIGUSR1.
            "harmless" => 1 << 9 | 1 << 16 | 1 << 22 | 1 << 27,
            // Those that libc sends to its own threads.
            "internal" => 1 << 31 | 1 << 32,
            _ => bail!("no set of signals is called {set:?}"),
        };
        Ok(Self(set))
    }
}

impl Tamper for Signals {
    fn before(&self, _: &Request) -> bool {
        let block = memory().0.control;
        for signal in 0..control::SIGNALS {
            for field in 0..control::SIGINFO_WORDS {
                let at = control::SIGINFO + signal * control::SIGINFO_WORDS + field;
                block.word(at).store(VALUES[field as usize + 6], Ordering::Relaxed);
            }
        }
        block.word(control::PENDING).fetch_or(self.0, Ordering::SeqCst);
        true
    }
}

/// `kicks`: threads are called out of the enclave without end.
#[derive(Debug)]
pub(crate) struct Kicks;

/// The launcher's signal for that.
const KICK: i32 = 64;

impl Tamper for Kicks {
    fn enclave(&self, enclave: Arc<dyn Enclave>) -> Arc<dyn Enclave> {
        let _ = thread::Builder::new().name("kicks".into()).spawn(|| {
            loop {
                thread::sleep(Duration::from_micros(50));
                if has_begun() {
                    kick_all();
                }
            }
        });
        enclave
    }
}

/// Kicks the calling thread for 30 ms, every 3 to 18 us: while the enclave starts, there is no moment at which
/// it is not.
pub(crate) fn kick_at_start() {
    let kicked = worker::thread_id();
    let numbers = Numbers(AtomicU64::new(std::process::id().into()));
    let _ = thread::Builder::new().name("kicks".into()).spawn(move || {
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(30) {
            worker::kick_thread(kicked, KICK);
            let pause = Duration::from_nanos(3_000 + numbers.below(15_000));
            let since = Instant::now();
            while since.elapsed() < pause {
                std::hint::spin_loop();
            }
        }
    });
}

/// Kicks the threads that enter.
fn kick_all() {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return };
    for thread in threads.flatten() {
        let name = fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        let number = thread.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(number) =
            number.filter(|_| name.starts_with("tcs") || name.starts_with("hostile"))
        {
            worker::kick_thread(number, KICK);
        }
    }
}
