//! Clocks and sleeps.

use core::sync::atomic::{AtomicU64, Ordering};

use alloc::sync::Arc;

use enclave_core::AppPtr;
use enclave_hostcalls::{Call, Errno, Wait};
use enclave_threads::{Thread, Wake, clock, current, interrupted};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{
    Sys,
    process::process,
    signal::{find_thread, keep_deadline, resume_deadline, threads},
    wait,
};

pub(crate) const SECOND: u64 = 1_000_000_000;
/// Period of the coarse clocks: 250 Hz.
const COARSE: u64 = 4_000_000;

/// `clockid_t` of the clocks that are not CPU clocks.
pub(crate) mod id {
    pub(crate) const REALTIME: u64 = 0;
    pub(crate) const MONOTONIC: u64 = 1;
    pub(crate) const PROCESS_CPU: u64 = 2;
    pub(crate) const THREAD_CPU: u64 = 3;
    pub(crate) const MONOTONIC_RAW: u64 = 4;
    pub(crate) const REALTIME_COARSE: u64 = 5;
    pub(crate) const MONOTONIC_COARSE: u64 = 6;
    pub(crate) const BOOTTIME: u64 = 7;
    pub(crate) const REALTIME_ALARM: u64 = 8;
    pub(crate) const BOOTTIME_ALARM: u64 = 9;
    pub(crate) const TAI: u64 = 11;
}

/// `struct timespec`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct Timespec {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: i64,
}

impl Timespec {
    pub(crate) fn new(time: u64) -> Self {
        let [seconds, nanoseconds] =
            [time / SECOND, time % SECOND].map(|part| i64::try_from(part).unwrap_or(i64::MAX));
        Self { seconds, nanoseconds }
    }

    /// In nanoseconds, if it is a valid time.
    pub(crate) fn duration(&self) -> Result<u64, Errno> {
        match (u64::try_from(self.seconds), u64::try_from(self.nanoseconds)) {
            (Ok(seconds), Ok(nanoseconds @ 0..SECOND)) => {
                Ok(seconds.saturating_mul(SECOND).saturating_add(nanoseconds))
            }
            _ => Err(Errno::EINVAL),
        }
    }
}

pub(crate) fn read_timespec(pointer: u64) -> Result<Timespec, Errno> {
    Ok(AppPtr::<Timespec>::new(pointer).read()?)
}

/// The time of the monotonic clock in `duration` nanoseconds.
pub(crate) fn after(duration: u64) -> u64 {
    clock::monotonic().saturating_add(duration)
}

/// Time on processors of threads that have ended.
static ENDED_CPU: AtomicU64 = AtomicU64::new(0);

/// Keeps the time that a thread has used.
pub(crate) fn thread_ended(thread: &Arc<Thread>) {
    ENDED_CPU.fetch_add(thread.cpu_time(), Ordering::Relaxed);
}

/// Time on processors of all threads, as measured inside, in nanoseconds.
pub(crate) fn cpu_time() -> u64 {
    threads().iter().fold(ENDED_CPU.load(Ordering::Relaxed), |sum, thread| {
        sum.saturating_add(thread.cpu_time())
    })
}

/// Asks the host for a clock of its own.
pub(crate) fn host_clock(clock: u64) -> Result<u64, Errno> {
    const CLOCK_GETTIME: u64 = 228;
    let mut call = Call::new(CLOCK_GETTIME, 16)?;
    let time = call.room(16);
    call.args([clock, time.address()]).zero(Wait::No)?;
    let nanoseconds = time.word(1).read() % SECOND;
    Ok(time.word(0).read().saturating_mul(SECOND).saturating_add(nanoseconds))
}

/// A clock's distance from CLOCK_MONOTONIC, asked once a second at most.
struct Distance {
    clock: u64,
    value: AtomicU64,
    asked: AtomicU64,
}

static BOOTTIME: Distance =
    Distance { clock: id::BOOTTIME, value: AtomicU64::new(0), asked: AtomicU64::new(0) };
static TAI: Distance =
    Distance { clock: id::TAI, value: AtomicU64::new(0), asked: AtomicU64::new(0) };

impl Distance {
    fn now(&self) -> Result<u64, Errno> {
        let now = clock::monotonic();
        let asked = self.asked.load(Ordering::Relaxed);
        if asked == 0 || now.saturating_sub(asked) > SECOND {
            let there = host_clock(self.clock)?;
            let middle = now + clock::monotonic().saturating_sub(now) / 2;
            let old = self.value.load(Ordering::Relaxed);
            let new = there.wrapping_sub(middle);
            // Noise of the measurement is not shown.
            if new.abs_diff(old) > 1_000_000 {
                self.value.store(new, Ordering::Relaxed);
            }
            self.asked.store(now.max(1), Ordering::Relaxed);
        }
        Ok(clock::monotonic().wrapping_add(self.value.load(Ordering::Relaxed)))
    }
}

/// The time of a clock in nanoseconds.
pub(crate) fn now(clock: u64) -> Result<u64, Errno> {
    let monotonic = clock::monotonic;
    Ok(match clock {
        id::REALTIME | id::REALTIME_ALARM => clock::realtime(),
        id::MONOTONIC | id::MONOTONIC_RAW => monotonic(),
        id::PROCESS_CPU => host_clock(id::PROCESS_CPU)?,
        id::THREAD_CPU => current().cpu_time(),
        id::REALTIME_COARSE => {
            let now = clock::realtime();
            now - now % COARSE
        }
        id::MONOTONIC_COARSE => {
            let now = monotonic();
            now - now % COARSE
        }
        id::BOOTTIME | id::BOOTTIME_ALARM => BOOTTIME.now()?,
        id::TAI => TAI.now()?,
        _ => return cpu_clock(clock),
    })
}

/// A CPU clock of a process or thread: its inverted id above three bits, of which bit 2 says that
/// it is a thread's.
fn cpu_clock(clock: u64) -> Result<u64, Errno> {
    const OF_THREAD: u64 = 4;
    let number = u32::try_from(clock & 0xffff_ffff).unwrap_or(0).cast_signed();
    if number >= 0 || clock & 3 == 3 {
        return Err(Errno::EINVAL);
    }
    let id = (!(number >> 3)).cast_unsigned();
    if clock & OF_THREAD == 0 {
        return if id == 0 || id == process().pid {
            host_clock(id::PROCESS_CPU)
        } else {
            Err(Errno::EINVAL)
        };
    }
    if id == 0 {
        return Ok(current().cpu_time());
    }
    find_thread(id).map(|thread| thread.cpu_time()).ok_or(Errno::EINVAL)
}

/// A clock's id as it is: 32 bits.
fn clock_id(arg: u64) -> u64 {
    arg & 0xffff_ffff
}

pub(crate) fn clock_gettime(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [clock, pointer, ..] = sys.args;
    let time = now(clock_id(clock))?;
    AppPtr::<Timespec>::new(pointer).write(&Timespec::new(time))?;
    Ok(0)
}

pub(crate) fn clock_getres(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [clock, pointer, ..] = sys.args;
    let clock = clock_id(clock);
    now(clock)?;
    let coarse = matches!(clock, id::REALTIME_COARSE | id::MONOTONIC_COARSE);
    if pointer != 0 {
        let resolution = Timespec::new(if coarse { COARSE } else { 1 });
        AppPtr::<Timespec>::new(pointer).write(&resolution)?;
    }
    Ok(0)
}

/// clock_settime, settimeofday: the clocks are the host's.
pub(crate) fn clock_settime(_: &mut Sys<'_>) -> Result<u64, Errno> {
    Err(Errno::EPERM)
}

pub(crate) fn gettimeofday(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [time, zone, ..] = sys.args;
    if time != 0 {
        let mut value = Timespec::new(clock::realtime());
        value.nanoseconds /= 1000;
        AppPtr::<Timespec>::new(time).write(&value)?;
    }
    if zone != 0 {
        AppPtr::<[u32; 2]>::new(zone).write(&[0, 0])?;
    }
    Ok(0)
}

pub(crate) fn time(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let seconds = clock::realtime() / SECOND;
    if sys.args[0] != 0 {
        AppPtr::<u64>::new(sys.args[0]).write(&seconds)?;
    }
    Ok(seconds)
}

/// Sleeps until `deadline`; `Err(EINTR)` if a signal came.
fn sleep_until(deadline: u64) -> Result<(), Errno> {
    loop {
        if interrupted() {
            return Err(Errno::EINTR);
        }
        if wait::sleep(Some(deadline)) == Wake::TimedOut {
            return Ok(());
        }
    }
}

/// Sleeps for a time; tells what was left if a signal came.
fn sleep(duration: u64, left: u64) -> Result<u64, Errno> {
    let deadline = resume_deadline(|| after(duration));
    match sleep_until(deadline) {
        Ok(()) => Ok(0),
        Err(errno) => {
            if left != 0 {
                let rest = deadline.saturating_sub(clock::monotonic());
                AppPtr::<Timespec>::new(left).write(&Timespec::new(rest))?;
            }
            keep_deadline(deadline);
            Err(errno)
        }
    }
}

pub(crate) fn nanosleep(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [time, left, ..] = sys.args;
    sleep(read_timespec(time)?.duration()?, left)
}

pub(crate) fn clock_nanosleep(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const ABSOLUTE: u64 = 1;
    let [clock, flags, time, left, ..] = sys.args;
    let clock = clock_id(clock);
    match clock {
        id::REALTIME | id::MONOTONIC | id::BOOTTIME | id::TAI => {}
        id::REALTIME_ALARM | id::BOOTTIME_ALARM => return Err(Errno::EPERM),
        id::PROCESS_CPU | id::MONOTONIC_RAW | id::REALTIME_COARSE | id::MONOTONIC_COARSE => {
            return Err(Errno::EOPNOTSUPP);
        }
        _ => return Err(Errno::EINVAL),
    }
    let time = read_timespec(time)?.duration()?;
    if flags & ABSOLUTE == 0 {
        return sleep(time, left);
    }
    let distance = time.saturating_sub(now(clock)?);
    sleep_until(after(distance)).map(|()| 0)
}

/// adjtimex and clock_adjtime: the host's answer; nothing can be set.
fn adjust(pointer: u64) -> Result<u64, Errno> {
    const ADJTIMEX: u64 = 159;
    const SIZE: u64 = 208;
    const STATES: u64 = 5;
    let timex = enclave_core::AppSlice::new(pointer, SIZE)?;
    let mut modes = [0; 4];
    timex.read_bytes(&mut modes)?;
    if modes != [0; 4] {
        return Err(Errno::EPERM);
    }
    let mut call = Call::new(ADJTIMEX, SIZE)?;
    let room = call.room(SIZE);
    (0..SIZE / 8).for_each(|index| room.word(index).write(0));
    let state = call.args([room.address()]).count(Wait::No, STATES)?;
    room.read_app(timex)?;
    Ok(state)
}

pub(crate) fn adjtimex(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    adjust(sys.args[0])
}

pub(crate) fn clock_adjtime(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    match clock_id(sys.args[0]) {
        id::REALTIME => adjust(sys.args[1]),
        _ => Err(Errno::EOPNOTSUPP),
    }
}
