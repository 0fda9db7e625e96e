//! futex(2).

use enclave_core::AppPtr;
use enclave_hostcalls::{Errno, changed};
use enclave_threads::{clock, current, futex};

use crate::{
    Sys, coherence,
    process::process,
    signal::{self, find_thread},
    time,
};

pub(crate) fn futex(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const CLOCK_REALTIME: u64 = 256;
    const PRIVATE: u64 = 128;
    let [address, operation, value, fourth, address2, value3] = sys.args;
    let low = |value: u64| u32::try_from(value & 0xffff_ffff).unwrap_or(0);
    let (value, value3) = (low(value), low(value3));
    let realtime = operation & CLOCK_REALTIME != 0;
    if !address.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    // What is mapped twice has two addresses, of which either will do.
    let named = |address| {
        let shared = operation & PRIVATE == 0 && coherence::is_expected();
        if shared { process().space().first_twin(address) } else { address }
    };
    let address = named(address);
    // Most operations have none: anything may be there then.
    let second = || named(address2);
    let result = match operation & !(CLOCK_REALTIME | PRIVATE) & 0xffff_ffff {
        0 => wait(address, value, u32::MAX, deadline(fourth, false, realtime)?),
        9 if value3 == 0 => return Err(Errno::EINVAL),
        9 => wait(address, value, value3, deadline(fourth, true, realtime)?),
        1 => Ok(futex::wake(address, value, u32::MAX).into()),
        10 if value3 == 0 => return Err(Errno::EINVAL),
        10 => Ok(futex::wake(address, value, value3).into()),
        3 => futex::requeue(address, second(), value, low(fourth), None)
            .map(|(woken, moved)| u64::from(woken) + u64::from(moved)),
        4 => futex::requeue(address, second(), value, low(fourth), Some(value3))
            .map(|(woken, moved)| u64::from(woken) + u64::from(moved)),
        5 => wake_op(address, second(), value, low(fourth), value3),
        6 => return lock_pi(address, deadline(fourth, true, true)?),
        7 => return unlock_pi(address),
        8 => return try_lock_pi(address),
        13 => return lock_pi(address, deadline(fourth, true, realtime)?),
        _ => return Err(Errno::ENOSYS),
    };
    result.map_err(futex_errno)
}

fn futex_errno(error: futex::FutexError) -> Errno {
    match error {
        futex::FutexError::Fault => Errno::EFAULT,
        futex::FutexError::Again => Errno::EAGAIN,
        futex::FutexError::TimedOut => Errno::ETIMEDOUT,
        futex::FutexError::Interrupted => Errno::EINTR,
    }
}

fn wait(
    address: u64,
    expected: u32,
    bitset: u32,
    deadline: Option<u64>,
) -> Result<u64, futex::FutexError> {
    let result = futex::wait(address, expected, bitset, deadline, signal::interrupted);
    if result == Err(futex::FutexError::Interrupted) {
        deadline.into_iter().for_each(signal::keep_deadline);
    }
    if result == Err(futex::FutexError::TimedOut) {
        changed();
    }
    result.map(|()| 0)
}

/// The deadline on the monotonic clock of a timeout that the program passed.
fn deadline(pointer: u64, absolute: bool, realtime: bool) -> Result<Option<u64>, Errno> {
    if pointer == 0 {
        return Ok(None);
    }
    let time = time::read_timespec(pointer)?.duration()?;
    Ok(Some(signal::resume_deadline(|| match (absolute, realtime) {
        (false, _) => time::after(time),
        (true, false) => time,
        (true, true) => time::after(time.saturating_sub(clock::realtime())),
    })))
}

/// FUTEX_WAKE_OP: changes the word at `second`, wakes waiters of `first`, and those of `second` if
/// the old value there compares as asked.
fn wake_op(
    first: u64,
    second: u64,
    count: u32,
    second_count: u32,
    encoded: u32,
) -> Result<u64, futex::FutexError> {
    let field = |shift: u32| {
        let field = encoded >> shift & 0xfff;
        if field & 0x800 == 0 { field } else { field | 0xffff_f000 }
    };
    let (operand, comparand) = (field(12), field(0));
    let operand = if encoded >> 31 == 0 { operand } else { 1_u32.wrapping_shl(operand & 31) };
    let word = AppPtr::<u32>::new(second);
    let old = loop {
        let old = word.load()?;
        let new = match encoded >> 28 & 7 {
            0 => operand,
            1 => old.wrapping_add(operand),
            2 => old | operand,
            3 => old & !operand,
            4 => old ^ operand,
            _ => old,
        };
        if word.compare_exchange(old, new)? == old {
            break old;
        }
    };
    let (signed, comparand) = (old.cast_signed(), comparand.cast_signed());
    let matches = match encoded >> 24 & 15 {
        0 => signed == comparand,
        1 => signed != comparand,
        2 => signed < comparand,
        3 => signed <= comparand,
        4 => signed > comparand,
        5 => signed >= comparand,
        _ => false,
    };
    let mut woken = u64::from(futex::wake(first, count, u32::MAX));
    if matches {
        woken += u64::from(futex::wake(second, second_count, u32::MAX));
    }
    Ok(woken)
}

/// Bits of the word of a futex with an owner: others wait, the owner ended, who it is.
const WAITERS: u32 = 0x8000_0000;
const OWNER_DIED: u32 = 0x4000_0000;
const TID_MASK: u32 = 0x3fff_ffff;

/// `FUTEX_LOCK_PI`: waits until the word has no owner, and becomes it. Threads have no priorities
/// that could be inherited.
fn lock_pi(address: u64, deadline: Option<u64>) -> Result<u64, Errno> {
    loop {
        match try_lock_pi(address) {
            Err(Errno::EAGAIN) => {}
            result => return result,
        }
        let word = AppPtr::<u32>::new(address);
        let value = word.load()?;
        let free = value & TID_MASK == 0;
        if !free && find_thread(value & TID_MASK).is_none() {
            // It may have given the word up, and ended, since that was read.
            if word.load()? == value {
                return Err(Errno::ESRCH);
            }
            continue;
        }
        let awaited = value | WAITERS;
        if free || value != awaited && word.compare_exchange(value, awaited)? != value {
            continue;
        }
        match futex::wait(address, awaited, u32::MAX, deadline, signal::interrupted) {
            Ok(()) | Err(futex::FutexError::Again) => {}
            Err(error) => return Err(futex_errno(error)),
        }
    }
}

/// `FUTEX_TRYLOCK_PI`.
fn try_lock_pi(address: u64) -> Result<u64, Errno> {
    let own = current().tid();
    let word = AppPtr::<u32>::new(address);
    loop {
        let value = word.load()?;
        match value & TID_MASK {
            0 => {}
            owner if owner == own => return Err(Errno::EDEADLK),
            _ => return Err(Errno::EAGAIN),
        }
        if word.compare_exchange(value, value & (WAITERS | OWNER_DIED) | own)? == value {
            return Ok(0);
        }
    }
}

/// `FUTEX_UNLOCK_PI`.
fn unlock_pi(address: u64) -> Result<u64, Errno> {
    let word = AppPtr::<u32>::new(address);
    loop {
        let value = word.load()?;
        if value & TID_MASK != current().tid() {
            return Err(Errno::EPERM);
        }
        // As long as the word is not zero, whoever wants it comes here.
        let left = value & WAITERS;
        if word.compare_exchange(value, left)? != value {
            continue;
        }
        if left != 0 && futex::wake(address, 1, u32::MAX) == 0 {
            // Nobody waits any more; if somebody has it meanwhile, that is known by the word.
            word.compare_exchange(WAITERS, 0)?;
        }
        return Ok(0);
    }
}

/// Marks a word that a thread which ends still owns.
pub(crate) fn owner_died(address: u64, tid: u32) {
    let word = AppPtr::<u32>::new(address);
    while let Ok(value) = word.load() {
        if value & TID_MASK != tid {
            return;
        }
        if word.compare_exchange(value, value & WAITERS | OWNER_DIED) == Ok(value) {
            if value & WAITERS != 0 {
                futex::wake(address, 1, u32::MAX);
            }
            return;
        }
    }
}
