//! Timers that send a signal to the thread that made them.

use std::{cell::OnceCell, io};

use crate::thread_id;

/// A timer of the kernel, for the calling thread.
struct Timer(libc::timer_t);

impl Timer {
    /// As timer_create(2), on `clock`.
    fn new(clock: libc::clockid_t, signal: i32) -> io::Result<Self> {
        // SAFETY: the structures are initialised before use and live through the call.
        unsafe {
            let mut event: libc::sigevent = std::mem::zeroed();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = signal;
            event.sigev_notify_thread_id = thread_id();
            let mut timer = std::mem::zeroed();
            match libc::timer_create(clock, &mut event, &mut timer) {
                0 => Ok(Self(timer)),
                _ => Err(io::Error::last_os_error()),
            }
        }
    }

    /// As timer_settime(2): `first` in nanoseconds, and each `period` after that.
    fn set(&self, flags: i32, first: u64, period: u64) -> io::Result<()> {
        let setting = libc::itimerspec { it_interval: timespec(period), it_value: timespec(first) };
        // SAFETY: the timer exists, the setting lives through the call.
        match unsafe { libc::timer_settime(self.0, flags, &setting, std::ptr::null_mut()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

fn timespec(nanoseconds: u64) -> libc::timespec {
    libc::timespec {
        tv_sec: i64::try_from(nanoseconds / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: (nanoseconds % 1_000_000_000) as i64,
    }
}

/// Makes the calling thread receive `signal` each `period` nanoseconds of processor time that it
/// uses: a thread that sleeps gets none.
///
/// # Errors
///
/// As timer_create(2).
pub fn start_tick(signal: i32, period: u64) -> io::Result<()> {
    Timer::new(libc::CLOCK_THREAD_CPUTIME_ID, signal)?.set(0, period, period)
}

/// A signal to the thread that sets it, at a time.
pub(crate) struct Alarm(OnceCell<Timer>);

impl Alarm {
    /// Not set.
    pub(crate) const fn new() -> Self {
        Self(OnceCell::new())
    }

    /// Sets it, to the same signal each time. As [`set_alarm`].
    pub(crate) fn set(&self, signal: i32, at: u64) -> io::Result<()> {
        if self.0.get().is_none() {
            let _ = self.0.set(Timer::new(libc::CLOCK_MONOTONIC, signal)?);
        }
        // Zero would disarm it.
        self.0.get().map_or(Ok(()), |timer| timer.set(libc::TIMER_ABSTIME, at.max(1), 0))
    }
}

/// Makes the calling thread receive `signal` once CLOCK_MONOTONIC is `at`, in nanoseconds. It has
/// one such alarm: the last that was set.
///
/// # Errors
///
/// As timer_create(2).
pub fn set_alarm(signal: i32, at: u64) -> io::Result<()> {
    thread_local! {
        static ALARM: Alarm = const { Alarm::new() };
    }
    ALARM.with(|alarm| alarm.set(signal, at))
}
