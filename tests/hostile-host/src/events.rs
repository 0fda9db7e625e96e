//! Lies about what an epoll set reports.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use anyhow::{Result, bail};
use launcher::Tamper;
use worker::Request;

use crate::memory;

/// `events HOW`: the first event `twice` in one reply, or the `last` one again where nothing came.
#[derive(Debug)]
pub(crate) struct Events {
    twice: bool,
    last: Mutex<[u32; HALVES]>,
}

/// Halves of words that an event takes.
const HALVES: usize = 3;

impl Events {
    pub(crate) fn new(how: &str) -> Result<Self> {
        let twice = match how {
            "twice" => true,
            "last" => false,
            _ => bail!("{how:?} is no lie about events"),
        };
        Ok(Self { twice, last: Mutex::default() })
    }
}

/// The half `index` of what the words hold.
fn half(words: &[&AtomicU64], index: usize) -> Option<u32> {
    let bytes = words.get(index / 2)?.load(Ordering::SeqCst).to_le_bytes();
    let (halves, _) = bytes.as_chunks::<4>();
    Some(u32::from_le_bytes(*halves.get(index % 2)?))
}

fn set_half(words: &[&AtomicU64], index: usize, value: u32) {
    let Some(word) = words.get(index / 2) else { return };
    let shift = index % 2 * 32;
    let rest = word.load(Ordering::SeqCst) & !(0xffff_ffff << shift);
    word.store(rest | u64::from(value) << shift, Ordering::SeqCst);
}

impl Tamper for Events {
    fn after(&self, request: &Request) {
        const EPOLL_WAIT: u64 = 232;
        if request.number() != EPOLL_WAIT || request.args()[2] < 2 {
            return;
        }
        let words: Vec<&AtomicU64> = memory().buffer(request, 1).take(HALVES).collect();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let copies = match request.result() {
            0 if !self.twice && *last != [0; HALVES] => 0..1,
            1 if self.twice => 1..2,
            _ => 0..0,
        };
        if request.result() == 1 {
            *last = [0, 1, 2].map(|index| half(&words, index).unwrap_or(0));
        }
        for copy in copies {
            for (index, value) in (0..).zip(*last) {
                set_half(&words, copy * HALVES + index, value);
            }
            request.set_result(copy as u64 + 1);
        }
    }
}
