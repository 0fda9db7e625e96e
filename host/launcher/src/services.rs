//! The launcher's services, and where Linux system calls are made.

use std::sync::atomic::Ordering;

use hostcall_abi::service;
use sgx_types::{PageType, SecInfoFlags};
use worker::{Attention, Request, clocks, exit_now, kill_self, wait_word};

use crate::threads::{Running, TICK};

const EINVAL: u64 = 22;
const ENOSYS: u64 = 38;

/// Executes a request and stores its result.
pub(crate) fn serve(running: &'static Running, request: &Request, attention: &Attention) {
    if request.number() < service::FIRST {
        attention.execute(request);
        return;
    }
    let result = match serve_own(running, request, attention) {
        Ok(value) => value,
        Err(errno) => errno.wrapping_neg(),
    };
    request.set_result(result);
}

fn serve_own(
    running: &'static Running,
    request: &Request,
    attention: &Attention,
) -> Result<u64, u64> {
    let [first, second, third, ..] = request.args();
    let number = |value: u64| i32::try_from(value).map_err(|_| EINVAL);
    let range = || first.checked_add(second).map(|end| first..end).ok_or(EINVAL);
    let refused = |refused: backend::Refused| u64::from(refused.errno.0.unsigned_abs());
    match request.number() {
        service::EXIT => exit_now(number(first)?),
        service::KILL => kill_self(number(first)?),
        service::SUBMIT => {
            let submitted = running.boot.arena.request(first).ok_or(EINVAL)?;
            return Ok(u64::from(running.pool.make_or_submit(running, &submitted) == Some(true)));
        }
        service::RESTRICT => {
            let permissions = SecInfoFlags::from_bits_truncate(third) & SecInfoFlags::RWX;
            running.enclave.restrict_permissions(range()?, permissions).map_err(refused)?;
        }
        service::TRIM => {
            running.enclave.modify_types(range()?, PageType::Trim).map_err(refused)?;
        }
        service::REMOVE => running.enclave.remove_pages(range()?).map_err(refused)?,
        service::CLOCK => {
            let words = running.boot.arena.words_at::<3>(first).ok_or(EINVAL)?;
            for (word, value) in words.into_iter().zip(clocks()) {
                word.store(value, Ordering::Relaxed);
            }
        }
        service::SPAWN => running.spawn(first).map_err(|_| EINVAL)?,
        service::KICK => running.kick(first),
        service::RING => running.rings.wake(running, first).map_err(|_| EINVAL)?,
        service::SIGNAL => running.signals.set(first, second),
        service::ALARM => worker::set_alarm(TICK, first).map_err(|_| EINVAL)?,
        service::CANCEL => running.pool.cancel(running, first),
        service::CPUID => {
            let words = running.boot.arena.words_at::<4>(first).ok_or(EINVAL)?;
            let number = |index: usize| words[index].load(Ordering::Relaxed) as u32;
            let answer = worker::cpuid(number(0), number(1));
            for (word, value) in words.iter().zip(answer) {
                word.store(value.into(), Ordering::Relaxed);
            }
        }
        service::IDLE => {
            let index = first.checked_sub(running.boot.control.address()).ok_or(EINVAL)? / 8;
            let word = running.boot.control.word(index);
            wait_word(word, 1, second, attention);
            attention.clear();
        }
        _ => return Err(ENOSYS),
    }
    Ok(0)
}
