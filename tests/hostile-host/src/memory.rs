//! The memory that both sides see.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use hostcall_abi::boot;
use launcher::{Boot, Tamper};
use worker::Request;

use crate::number;

/// See [`Boot`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory(pub(crate) Boot);

impl Memory {
    /// The word at a host address, if it is in the arena.
    pub(crate) fn at(&self, address: u64) -> Option<&'static AtomicU64> {
        self.0.arena.words_at::<1>(address & !7).map(|[word]| word)
    }

    /// The words that argument `index` of a request points to, if it does: as many as there may be.
    pub(crate) fn buffer(
        &self,
        request: &Request,
        index: usize,
    ) -> impl Iterator<Item = &'static AtomicU64> + use<> {
        let (memory, start) = (*self, request.args()[index]);
        (0..64).map_while(move |word| memory.at(start.checked_add(word * 8)?))
    }

    /// Whether an argument of the request is this string of eight bytes.
    pub(crate) fn names(&self, request: &Request, string: [u8; 8]) -> bool {
        let word = u64::from_le_bytes(string);
        (0..2).any(|index| {
            let mut words = self.buffer(request, index).map(|word| word.load(Ordering::Relaxed));
            words.next() == Some(word) && words.next().is_some_and(|rest| rest & 0xff == 0)
        })
    }
}

/// A wrong boot parameter: `boot INDEX VALUE`, or `boot INDEX =OTHER` for the value of another one.
#[derive(Debug)]
pub(crate) struct Parameter {
    index: u64,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Number(u64),
    Of(u64),
}

impl Parameter {
    pub(crate) fn new(index: &str, value: &str) -> Result<Self> {
        let value = match value.strip_prefix('=') {
            Some(other) => Value::Of(number(other)?),
            None => Value::Number(number(value)?),
        };
        Ok(Self { index: number(index)? % boot::WORDS, value })
    }
}

impl Tamper for Parameter {
    fn shared(&'static self, boot: &Boot) {
        let word = |index| boot.parameters.word(index);
        let value = match self.value {
            Value::Number(value) => value,
            Value::Of(index) => word(index).load(Ordering::Relaxed),
        };
        word(self.index).store(value, Ordering::Relaxed);
    }
}
