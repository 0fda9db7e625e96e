//! Clocks without leaving the enclave: the time stamp counter, set by the host's clocks.
//!
//! All of it is the host's claim; what is ensured is that the monotonic clock never goes back.
//! The host is asked again after [`REFRESH`] ticks at most, and the rate between two answers is
//! taken from them.

use core::sync::atomic::{AtomicU64, Ordering};

use enclave_core::{HostSlice, Mutex, own_call, timestamp};
use hostcall_abi::service;

/// The host is asked again when this many nanoseconds have passed by our own reckoning.
const REFRESH: u64 = 250_000_000;
/// Before the rate is known well, the host is asked much more often.
const FIRST_REFRESH: u64 = 1_000_000;

struct Base {
    reply: Option<HostSlice>,
    ticks: u64,
    monotonic: u64,
    realtime: u64,
    /// Nanoseconds per tick, as a fraction of 2^32.
    rate: u64,
    refresh: u64,
}

static BASE: Mutex<Base> =
    Mutex::new(Base { reply: None, ticks: 0, monotonic: 0, realtime: 0, rate: 0, refresh: 0 });
/// The latest value that was shown: the monotonic clock never goes back behind it.
static SHOWN: AtomicU64 = AtomicU64::new(0);

/// Takes three words of host memory in which the host will tell the time.
pub fn init(reply: HostSlice) {
    BASE.lock().reply = Some(reply);
}

fn scale(ticks: u64, rate: u64) -> u64 {
    u64::try_from((u128::from(ticks) * u128::from(rate)) >> 32).unwrap_or(u64::MAX)
}

impl Base {
    fn ask(&mut self) {
        let Some(reply) = self.reply else { return };
        own_call(service::CLOCK, [reply.address()]);
        let (ticks, monotonic, realtime) =
            (reply.word(0).read(), reply.word(1).read(), reply.word(2).read());
        let (passed, ns) = (ticks.wrapping_sub(self.ticks), monotonic.wrapping_sub(self.monotonic));
        // A rate needs two answers that are apart; refuse nonsense (below 100 MHz, above 10 GHz).
        if self.ticks != 0 && (FIRST_REFRESH / 2..1 << 40).contains(&ns) && passed != 0 {
            let rate = (u128::from(ns) << 32) / u128::from(passed);
            if let Ok(rate @ 0x1999_9999..=0xa_0000_0000) = u64::try_from(rate) {
                self.rate = rate;
                self.refresh = if self.refresh == 0 { FIRST_REFRESH * 10 } else { REFRESH };
            }
        }
        (self.ticks, self.monotonic, self.realtime) = (ticks, monotonic, realtime);
    }

    fn read(&mut self) -> (u64, u64) {
        let passed = timestamp().saturating_sub(self.ticks);
        if self.rate == 0 || scale(passed, self.rate) > self.refresh {
            self.ask();
        }
        let since = scale(timestamp().saturating_sub(self.ticks), self.rate);
        (self.monotonic.saturating_add(since), self.realtime.saturating_add(since))
    }
}

/// CLOCK_MONOTONIC in nanoseconds.
#[must_use]
pub fn monotonic() -> u64 {
    let (now, _) = BASE.lock().read();
    now.max(SHOWN.fetch_max(now, Ordering::AcqRel))
}

/// CLOCK_REALTIME in nanoseconds since 1970.
#[must_use]
pub fn realtime() -> u64 {
    BASE.lock().read().1
}
