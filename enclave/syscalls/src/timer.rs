//! Timers that send signals: alarm, setitimer, timer_create.
//!
//! Timers of CPU clocks look at the time used when it could be enough, and wait for what is then
//! left: they are as exact as the threads' accounts inside, and never early.

use alloc::{boxed::Box, collections::BTreeMap};

use enclave_core::{AppPtr, Mutex};
use enclave_hostcalls::Errno;
use enclave_signals::{
    SigInfo, Target,
    number::{SIGALRM, SIGPROF, SIGVTALRM},
};
use enclave_threads::{TimerId, cancel_timer, set_alarm, set_timer};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{
    Sys,
    sigevent::{SigEvent, notify},
    signal,
    time::{self, SECOND, Timespec, id},
};

/// Shortest time until a CPU clock is looked at again.
const CPU_STEP: u64 = 1_000_000;

/// What a timer does when it expires.
#[derive(Clone, Copy, Debug)]
enum Notice {
    Nothing,
    Signal(Target, SigInfo),
}

#[derive(Debug)]
struct Timer {
    clock: u64,
    notice: Notice,
    /// Next expiry by its own clock, if armed.
    expiry: Option<u64>,
    interval: u64,
    armed: Option<TimerId>,
    /// Expiries since the last signal was queued; as told with the last one taken.
    overrun: u64,
    told: u32,
}

/// Timers by id. Those of setitimer(2) have ids from [`ITIMERS`].
static TIMERS: Mutex<BTreeMap<u32, Timer>> = Mutex::new(BTreeMap::new());
const ITIMERS: u32 = 1 << 31;
const LIMIT: usize = 4096;

impl Timer {
    fn new(clock: u64, notice: Notice) -> Self {
        Self { clock, notice, expiry: None, interval: 0, armed: None, overrun: 0, told: 0 }
    }

    fn is_cpu(&self) -> bool {
        !matches!(
            self.clock,
            id::REALTIME
                | id::MONOTONIC
                | id::BOOTTIME
                | id::TAI
                | id::REALTIME_ALARM
                | id::BOOTTIME_ALARM
        )
    }

    /// The time by its clock; CPU clocks by the accounts inside.
    fn now(&self) -> u64 {
        match self.clock {
            id::PROCESS_CPU => time::cpu_time(),
            clock => time::now(clock).unwrap_or_else(|_| time::cpu_time()),
        }
    }

    /// Sets the runtime's timer for the next expiry.
    fn arm(&mut self, number: u32) {
        self.armed = self.expiry.map(|expiry| {
            let mut left = expiry.saturating_sub(self.now());
            if self.is_cpu() {
                left = left.max(CPU_STEP);
            }
            let deadline = time::after(left);
            let timer = set_timer(deadline, Box::new(move || expire(number)));
            // Threads that compute are called out in time; those that wait wake by themselves.
            set_alarm();
            timer
        });
    }

    fn disarm(&mut self) {
        self.expiry = None;
        if let Some(timer) = self.armed.take() {
            cancel_timer(timer);
        }
    }

    fn left(&self) -> u64 {
        // A timer that is armed never says zero.
        self.expiry.map_or(0, |expiry| expiry.saturating_sub(self.now()).max(1))
    }

    fn set(&mut self, number: u32, expiry: Option<u64>, interval: u64) {
        self.disarm();
        (self.expiry, self.interval, self.overrun, self.told) = (expiry, interval, 0, 0);
        self.arm(number);
    }
}

/// The runtime's timer has fired.
fn expire(number: u32) {
    let mut timers = TIMERS.lock();
    let Some(timer) = timers.get_mut(&number) else { return };
    let Some(expiry) = timer.expiry else { return };
    let now = timer.now();
    if now < expiry {
        return timer.arm(number);
    }
    let missed = (now - expiry).checked_div(timer.interval).unwrap_or(0);
    timer.expiry =
        (timer.interval != 0).then(|| expiry.saturating_add((missed + 1) * timer.interval));
    timer.arm(number);
    let Notice::Signal(target, info) = timer.notice else { return };
    drop(timers);
    let waiting = number < ITIMERS && signal::has_timer(number);
    if let Some(timer) = TIMERS.lock().get_mut(&number) {
        timer.overrun += missed + u64::from(waiting);
    }
    if !waiting {
        signal::send(target, info);
    }
}

/// A signal is taken from the queue: if it is a timer's, it tells how many expiries it stands for.
pub(crate) fn taken(mut info: SigInfo) -> SigInfo {
    if let Some(number) = info.timer_id()
        && let Some(timer) = TIMERS.lock().get_mut(&number)
    {
        let overrun = core::mem::take(&mut timer.overrun).min(i32::MAX.unsigned_abs().into());
        timer.told = u32::try_from(overrun).unwrap_or(0);
        info.set_overrun(timer.told);
    }
    info
}

/// `struct itimerspec`, and `struct itimerval` as well.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Setting {
    interval: Timespec,
    value: Timespec,
}

impl Setting {
    const NONE: Self = {
        let zero = Timespec { seconds: 0, nanoseconds: 0 };
        Self { interval: zero, value: zero }
    };

    fn of(timer: &Timer) -> Self {
        Self { interval: Timespec::new(timer.interval), value: Timespec::new(timer.left()) }
    }

    /// With microseconds in place of nanoseconds.
    fn in_microseconds(mut self) -> Self {
        self.interval.nanoseconds /= 1000;
        // A rest below a microsecond is still a rest.
        let armed = self.value.seconds != 0 || self.value.nanoseconds != 0;
        self.value.nanoseconds = (self.value.nanoseconds / 1000).max(i64::from(armed));
        self
    }

    fn into_nanoseconds(mut self) -> Result<Self, Errno> {
        for time in [&mut self.interval, &mut self.value] {
            time.nanoseconds = time.nanoseconds.checked_mul(1000).ok_or(Errno::EINVAL)?;
        }
        Ok(self)
    }
}

fn itimer(which: u64) -> Result<(u32, u64, u32), Errno> {
    match which {
        0 => Ok((ITIMERS, id::MONOTONIC, SIGALRM)),
        1 => Ok((ITIMERS + 1, id::PROCESS_CPU, SIGVTALRM)),
        2 => Ok((ITIMERS + 2, id::PROCESS_CPU, SIGPROF)),
        _ => Err(Errno::EINVAL),
    }
}

/// Sets one of the three timers of setitimer(2); returns what it was.
fn set_itimer(which: u64, value: u64, interval: u64) -> Result<Setting, Errno> {
    let (number, clock, signal) = itimer(which)?;
    let mut timers = TIMERS.lock();
    let notice = Notice::Signal(Target::Process, SigInfo::kernel(signal));
    let timer = timers.entry(number).or_insert_with(|| Timer::new(clock, notice));
    let before = Setting::of(timer);
    let expiry = (value != 0).then(|| timer.now().saturating_add(value));
    timer.set(number, expiry, interval);
    Ok(before)
}

pub(crate) fn alarm(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let seconds = sys.args[0] & 0xffff_ffff;
    let before = set_itimer(0, seconds * SECOND, 0)?.value.duration()?;
    // Rounded, but never down to zero.
    let rounded = (before + SECOND / 2) / SECOND;
    Ok(if before != 0 { rounded.max(1) } else { 0 })
}

pub(crate) fn setitimer(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [which, new, old, ..] = sys.args;
    itimer(which)?;
    // As on Linux, none at all disarms.
    let setting = if new == 0 { Setting::NONE } else { AppPtr::<Setting>::new(new).read()? };
    let setting = setting.into_nanoseconds()?;
    let (value, interval) = (setting.value.duration()?, setting.interval.duration()?);
    let before = set_itimer(which, value, interval)?;
    if old != 0 {
        AppPtr::<Setting>::new(old).write(&before.in_microseconds())?;
    }
    Ok(0)
}

pub(crate) fn getitimer(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [which, old, ..] = sys.args;
    let (number, ..) = itimer(which)?;
    let now = TIMERS.lock().get(&number).map_or(Setting::NONE, Setting::of);
    AppPtr::<Setting>::new(old).write(&now.in_microseconds())?;
    Ok(0)
}

pub(crate) fn timer_create(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [clock, event, out, ..] = sys.args;
    let clock = clock & 0xffff_ffff;
    match clock {
        id::REALTIME_ALARM | id::BOOTTIME_ALARM => return Err(Errno::EPERM),
        id::MONOTONIC_RAW | id::REALTIME_COARSE | id::MONOTONIC_COARSE => {
            return Err(Errno::EOPNOTSUPP);
        }
        _ => time::now(clock)?,
    };
    let event = SigEvent::read(event)?;
    let number = reserve(clock)?;
    let event = event.unwrap_or(SigEvent {
        value: number.into(),
        signal: SIGALRM.cast_signed(),
        notify: notify::SIGNAL,
        thread: 0,
        rest: [0; 11],
    });
    let made = notice(number, &event).and_then(|notice| {
        AppPtr::<u32>::new(out).write(&number)?;
        Ok(notice)
    });
    let mut timers = TIMERS.lock();
    match (made, timers.get_mut(&number)) {
        (Ok(notice), Some(timer)) => timer.notice = notice,
        // Another thread may have guessed the number, and deleted the timer.
        (Ok(_), None) => {}
        (Err(errno), _) => {
            timers.remove(&number);
            return Err(errno);
        }
    }
    Ok(0)
}

/// Makes a timer that does nothing yet: nobody else gets its number, which is returned.
fn reserve(clock: u64) -> Result<u32, Errno> {
    let mut timers = TIMERS.lock();
    if timers.len() >= LIMIT {
        return Err(Errno::EAGAIN);
    }
    let used = |number: &u32| timers.contains_key(number);
    let number = (0..ITIMERS).find(|number| !used(number)).ok_or(Errno::EAGAIN)?;
    timers.insert(number, Timer::new(clock, Notice::Nothing));
    Ok(number)
}

fn notice(number: u32, event: &SigEvent) -> Result<Notice, Errno> {
    let target = match event.notify {
        notify::NONE => return Ok(Notice::Nothing),
        notify::SIGNAL | notify::THREAD => Target::Process,
        notify::THREAD_ID if signal::find_thread(event.thread).is_some() => {
            Target::Thread(event.thread)
        }
        _ => return Err(Errno::EINVAL),
    };
    let info = SigInfo::timer(event.signal()?, number, event.value);
    Ok(Notice::Signal(target, info))
}

fn number(arg: u64) -> u32 {
    u32::try_from(arg & 0xffff_ffff).unwrap_or(0)
}

/// Runs `act` on a timer of timer_create(2).
fn with_timer<R>(arg: u64, act: impl FnOnce(&mut Timer) -> R) -> Result<R, Errno> {
    let number = number(arg);
    let mut timers = TIMERS.lock();
    let timer = timers.get_mut(&number).filter(|_| number < ITIMERS).ok_or(Errno::EINVAL)?;
    Ok(act(timer))
}

pub(crate) fn timer_settime(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const ABSOLUTE: u64 = 1;
    let [timer, flags, new, old, ..] = sys.args;
    let setting = AppPtr::<Setting>::new(new).read()?;
    let (value, interval) = (setting.value.duration()?, setting.interval.duration()?);
    let before = with_timer(timer, |armed| {
        let before = Setting::of(armed);
        let base = if flags & ABSOLUTE == 0 { armed.now() } else { 0 };
        let expiry = (value != 0).then(|| base.saturating_add(value));
        armed.set(number(timer), expiry, interval);
        before
    })?;
    // A signal of the old setting is not shown for the new one.
    signal::flush_timer(number(timer));
    if old != 0 {
        AppPtr::<Setting>::new(old).write(&before)?;
    }
    Ok(0)
}

pub(crate) fn timer_gettime(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [timer, old, ..] = sys.args;
    let now = with_timer(timer, |timer| Setting::of(timer))?;
    AppPtr::<Setting>::new(old).write(&now)?;
    Ok(0)
}

pub(crate) fn timer_getoverrun(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    with_timer(sys.args[0], |timer| timer.told.into())
}

pub(crate) fn timer_delete(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    with_timer(sys.args[0], Timer::disarm)?;
    TIMERS.lock().remove(&number(sys.args[0]));
    signal::flush_timer(number(sys.args[0]));
    Ok(0)
}
