//! Lies about single calls.

use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use launcher::Tamper;
use worker::Request;

use crate::{memory, number};

/// A wrong result: `reply CALL RESULT`, where a result `+N` is N more than the third argument, which
/// most calls have as the length of their buffer.
#[derive(Debug)]
pub(crate) struct Reply {
    call: u64,
    result: Claim,
}

/// A result that is no honest one.
#[derive(Debug)]
pub(crate) enum Claim {
    Number(u64),
    More(u64),
}

impl Claim {
    pub(crate) fn new(result: &str) -> Result<Self> {
        Ok(match result.strip_prefix('+') {
            Some(more) => Self::More(number(more)?),
            None => Self::Number(number(result)?),
        })
    }

    pub(crate) fn about(&self, request: &Request) -> u64 {
        match self {
            Self::Number(result) => *result,
            Self::More(more) => request.args()[2].wrapping_add(*more),
        }
    }
}

impl Reply {
    pub(crate) fn new(call: &str, result: &str) -> Result<Self> {
        Ok(Self { call: number(call)?, result: Claim::new(result)? })
    }
}

impl Tamper for Reply {
    fn after(&self, request: &Request) {
        if request.number() == self.call {
            request.set_result(self.result.about(request));
        }
    }
}

/// A wrong word in a buffer: `word CALL ARGUMENT:INDEX[:INDEX] VALUE`. The second index is into what
/// the first word points to.
#[derive(Debug)]
pub(crate) struct Word {
    call: u64,
    argument: usize,
    index: usize,
    inner: Option<u64>,
    value: u64,
}

impl Word {
    pub(crate) fn new(call: &str, place: &str, value: &str) -> Result<Self> {
        let mut parts = place.split(':').map(number);
        let mut next = || parts.next().transpose();
        let small = |value: Option<u64>| {
            let value = value.context("a place is ARGUMENT:INDEX")?;
            usize::try_from(value).context("the index is too large")
        };
        let (argument, index) = (small(next()?)? % 6, small(next()?)?);
        let inner = next()?;
        Ok(Self { call: number(call)?, argument, index, inner, value: number(value)? })
    }
}

impl Tamper for Word {
    fn after(&self, request: &Request) {
        if request.number() != self.call {
            return;
        }
        let word = memory().buffer(request, self.argument).nth(self.index);
        let word = match self.inner {
            None => word,
            Some(inner) => word
                .and_then(|word| memory().at(word.load(Ordering::Relaxed).wrapping_add(inner * 8))),
        };
        if let Some(word) = word {
            word.store(self.value, Ordering::Relaxed);
        }
    }
}

/// Wrong words from the start of a buffer: `fill CALL ARGUMENT COUNT VALUE`.
#[derive(Debug)]
pub(crate) struct Fill {
    call: u64,
    argument: usize,
    count: usize,
    value: u64,
}

impl Fill {
    pub(crate) fn new([call, argument, count, value]: [&str; 4]) -> Result<Self> {
        let argument = usize::try_from(number(argument)?)? % 6;
        let count = usize::try_from(number(count)?)?;
        Ok(Self { call: number(call)?, argument, count, value: number(value)? })
    }
}

impl Tamper for Fill {
    fn after(&self, request: &Request) {
        if request.number() == self.call {
            let words = memory().buffer(request, self.argument).take(self.count);
            words.for_each(|word| word.store(self.value, Ordering::Relaxed));
        }
    }
}
