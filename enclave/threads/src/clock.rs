//! Clocks without leaving the enclave: the time stamp counter, set by the host's clocks.
//!
//! All of it is the host's claim; what is ensured is that the monotonic clock never goes back.
//! The host is asked again from time to time ([`REFRESHES`]); between two answers the rate of the
//! counter tells the time. Readers take no lock: the base ([`CLOCK`]) is read under a sequence
//! number, here and, for the program's own readings, by the vDSO.

use core::sync::atomic::{Ordering, fence};

use enclave_core::{CLOCK, HostSlice, Mutex, own_call, timestamp};
use hostcall_abi::service;

/// Nanoseconds after which the host is asked again: the first times soon, until the rate is known
/// well.
const REFRESHES: [u64; 4] = [1_000_000, 10_000_000, 100_000_000, 250_000_000];
/// Nanoseconds after which the rate is taken from a later start.
const RATE_WINDOW: u64 = 16_000_000_000;
/// Steps of the host's realtime clock below this many nanoseconds are noise.
const NOISE: u64 = 20_000;
/// Rates that can be: nanoseconds per tick as a fraction of 2^32, for 10 GHz to 100 MHz.
const RATES: core::ops::RangeInclusive<u64> = 0x1999_9999..=0xa_0000_0000;

/// An instant as the host gave it.
#[derive(Clone, Copy)]
struct Instant {
    ticks: u64,
    monotonic: u64,
}

struct Source {
    reply: Option<HostSlice>,
    first: Option<Instant>,
    answers: usize,
}

static SOURCE: Mutex<Source> = Mutex::new(Source { reply: None, first: None, answers: 0 });

/// Takes three words of host memory in which the host will tell the time.
pub fn init(reply: HostSlice) {
    SOURCE.lock().reply = Some(reply);
}

fn scale(ticks: u64, rate: u64) -> u64 {
    u64::try_from((u128::from(ticks) * u128::from(rate)) >> 32).unwrap_or(u64::MAX)
}

fn ratio(nanoseconds: u64, ticks: u64) -> Option<u64> {
    let rate = (u128::from(nanoseconds) << 32).checked_div(u128::from(ticks))?;
    u64::try_from(rate).ok().filter(|rate| RATES.contains(rate))
}

impl Source {
    fn ask(&mut self) {
        let Some(reply) = self.reply else { return };
        let before = timestamp();
        own_call(service::CLOCK, [reply.address()]);
        // The counter is the host's too, and may have gone back.
        let after = timestamp().max(before);
        let word = |index| reply.word(index).read();
        // The counter is read inside too: what the host says must have been meanwhile.
        let now = Instant { ticks: word(0).clamp(before, after), monotonic: word(1) };
        let realtime = word(2);
        let first = *self.first.get_or_insert(now);
        let passed = now.monotonic.saturating_sub(first.monotonic);
        let known = CLOCK.rate.load(Ordering::Relaxed);
        let rate = ratio(passed, now.ticks.saturating_sub(first.ticks)).unwrap_or(known);
        if passed > RATE_WINDOW {
            self.first = Some(now);
        }
        let refresh = REFRESHES[self.answers.min(REFRESHES.len() - 1)];
        self.answers += usize::from(passed >= REFRESHES[0] / 2);
        publish(now, realtime, rate, refresh);
    }
}

fn publish(now: Instant, realtime: u64, rate: u64, refresh: u64) {
    let offset = realtime.wrapping_sub(now.monotonic);
    let old = CLOCK.offset.load(Ordering::Relaxed);
    let offset = if offset.abs_diff(old) > NOISE { offset } else { old };
    let lifetime = (u128::from(refresh) << 32).checked_div(u128::from(rate)).unwrap_or(0);
    CLOCK.sequence.fetch_add(1, Ordering::AcqRel);
    CLOCK.ticks.store(now.ticks, Ordering::Release);
    CLOCK.monotonic.store(now.monotonic, Ordering::Release);
    CLOCK.offset.store(offset, Ordering::Release);
    CLOCK.rate.store(rate, Ordering::Release);
    CLOCK.lifetime.store(u64::try_from(lifetime).unwrap_or(0), Ordering::Release);
    CLOCK.sequence.fetch_add(1, Ordering::AcqRel);
}

/// Monotonic time and what realtime has on it, if the base is young enough.
fn from_base() -> Option<(u64, u64)> {
    loop {
        let sequence = CLOCK.sequence.load(Ordering::Acquire);
        let ticks = CLOCK.ticks.load(Ordering::Acquire);
        let monotonic = CLOCK.monotonic.load(Ordering::Acquire);
        let offset = CLOCK.offset.load(Ordering::Acquire);
        let rate = CLOCK.rate.load(Ordering::Acquire);
        let lifetime = CLOCK.lifetime.load(Ordering::Acquire);
        fence(Ordering::Acquire);
        if sequence % 2 == 1 || CLOCK.sequence.load(Ordering::Relaxed) != sequence {
            core::hint::spin_loop();
            continue;
        }
        // A counter that has gone back is asked about, as one that has run too far is.
        let passed = timestamp().checked_sub(ticks)?;
        return (passed < lifetime)
            .then(|| (monotonic.saturating_add(scale(passed, rate)), offset));
    }
}

fn read() -> (u64, u64) {
    let (now, offset) = from_base().unwrap_or_else(|| {
        let mut source = SOURCE.lock();
        // Somebody else may have asked while we waited for the lock.
        from_base().unwrap_or_else(|| {
            source.ask();
            (CLOCK.monotonic.load(Ordering::Acquire), CLOCK.offset.load(Ordering::Acquire))
        })
    });
    (now.max(CLOCK.shown.0.fetch_max(now, Ordering::AcqRel)), offset)
}

/// CLOCK_MONOTONIC in nanoseconds.
#[must_use]
pub fn monotonic() -> u64 {
    read().0
}

/// CLOCK_REALTIME in nanoseconds since 1970.
#[must_use]
pub fn realtime() -> u64 {
    let (now, offset) = read();
    now.wrapping_add(offset)
}

/// A number of ticks in nanoseconds, by the rate as it is known.
#[must_use]
pub fn duration(ticks: u64) -> u64 {
    if CLOCK.rate.load(Ordering::Relaxed) == 0 {
        read();
    }
    scale(ticks, CLOCK.rate.load(Ordering::Relaxed))
}
