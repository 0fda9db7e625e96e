//! select(2) and pselect6(2): poll(2) with sets of bits.

use alloc::vec::Vec;

use enclave_core::{AppPtr, AppSlice, to_usize};
use enclave_files::table;
use enclave_hostcalls::Errno;

use crate::{
    Sys,
    args::{int, optional},
    poll::{Entry, wait, write_remaining},
    wait::{Deadline, with_mask},
};

/// What of poll(2) makes a descriptor a member of each of the three sets.
const MEANINGS: [u16; 3] = [
    // POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR
    0x40 | 0x80 | 0x1 | 0x10 | 0x8,
    // POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR
    0x200 | 0x100 | 0x4 | 0x8,
    // POLLPRI
    0x2,
];

pub(crate) fn select(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [count, sets @ .., timeout, _] = sys.args;
    let pointer = AppPtr::<[i64; 2]>::new(timeout);
    let time = if pointer.is_null() { None } else { Some(microseconds(pointer.read()?)?) };
    let deadline = Deadline::after(time);
    let result = select_sets(count, sets, deadline);
    if let (1.., Some(rest)) = (timeout, deadline.remaining()) {
        let signed = |value| i64::try_from(value).unwrap_or(i64::MAX);
        // Linux ignores a fault here as well.
        let _ = pointer.write(&[signed(rest / 1_000_000_000), signed(rest / 1000 % 1_000_000)]);
    }
    result
}

/// Nanoseconds of a `struct timeval`.
fn microseconds([seconds, microseconds]: [i64; 2]) -> Result<u64, Errno> {
    let (Ok(seconds), Ok(microseconds)) = (u64::try_from(seconds), u64::try_from(microseconds))
    else {
        return Err(Errno::EINVAL);
    };
    Ok(seconds.saturating_mul(1_000_000_000).saturating_add(microseconds.saturating_mul(1000)))
}

pub(crate) fn pselect6(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [count, sets @ .., timeout, mask] = sys.args;
    let deadline = Deadline::after_timespec(timeout)?;
    let [mask, size] = if mask == 0 { [0; 2] } else { AppPtr::<[u64; 2]>::new(mask).read()? };
    let result = with_mask(mask, size, || select_sets(count, sets, deadline));
    write_remaining(timeout, deadline);
    result
}

fn select_sets(count: u64, sets: [u64; 3], deadline: Deadline) -> Result<u64, Errno> {
    let count = u64::try_from(int(count)).map_err(|_| Errno::EINVAL)?.min(table().limit());
    let len = count.div_ceil(64) * 8;
    let mut slices = [None; 3];
    let mut bits = [const { Vec::new() }; 3];
    for (index, set) in sets.into_iter().enumerate() {
        slices[index] = optional(set, len)?;
        bits[index] = match slices[index] {
            Some(slice) => words(slice)?,
            None => alloc::vec![0; to_usize(len / 8)],
        };
    }
    let mut numbers = Vec::new();
    let mut entries = Vec::new();
    for fd in members_of(&bits, count) {
        let events = (0..3).filter(|&set| has(&bits[set], fd));
        let events = events.fold(0, |events, set| events | MEANINGS[set]);
        entries.push(Entry { file: Some(table().get(fd)?), events, revents: 0 });
        numbers.push(fd);
    }
    wait(&mut entries, deadline)?;
    let mut members = 0;
    for (set, slice) in slices.into_iter().enumerate() {
        let Some(slice) = slice else { continue };
        let mut result = alloc::vec![0_u64; bits[set].len()];
        for (&fd, entry) in numbers.iter().zip(&entries) {
            if has(&bits[set], fd) && entry.revents & MEANINGS[set] != 0 {
                result[to_usize(fd / 64)] |= 1 << (fd % 64);
                members += 1;
            }
        }
        let bytes: Vec<u8> = result.iter().flat_map(|word| word.to_le_bytes()).collect();
        slice.write_bytes(&bytes)?;
    }
    Ok(members)
}

/// The numbers below `count` in any of the sets.
fn members_of(sets: &[Vec<u64>; 3], count: u64) -> impl Iterator<Item = u64> + '_ {
    let words = (0_u64..count.div_ceil(64)).map(|at| (at * 64, at));
    let words =
        words.map(|(first, at)| (first, sets.iter().fold(0, |all, set| all | set[to_usize(at)])));
    words
        .filter(|&(_, word)| word != 0)
        .flat_map(move |(first, word)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| first + bit)
        })
        .take_while(move |&fd| fd < count)
}

fn words(slice: AppSlice) -> Result<Vec<u64>, Errno> {
    let bytes = slice.to_vec()?;
    Ok(bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect())
}

fn has(bits: &[u64], fd: u64) -> bool {
    bits.get(to_usize(fd / 64)).is_some_and(|word| word >> (fd % 64) & 1 == 1)
}
