//! Lies about what has come for sockets.

use std::sync::atomic::Ordering;

use anyhow::{Result, bail};
use hostcall_abi::{looks, request};
use launcher::Tamper;
use worker::Request;

use crate::{memory, replies::Claim};

/// `looks WHAT VALUE`: how many slots are `filled`, or the `token` or the `result` of the first one; a
/// result `+N` is N more than there is room for.
#[derive(Debug)]
pub(crate) struct Looks {
    word: u64,
    claim: Claim,
}

impl Looks {
    pub(crate) fn new(what: &str, value: &str) -> Result<Self> {
        let word = match what {
            "filled" => looks::FILLED,
            "token" => looks::token(0),
            "result" => looks::result(0),
            _ => bail!("{what:?} is no word of a look"),
        };
        Ok(Self { word, claim: Claim::new(value)? })
    }
}

impl Tamper for Looks {
    fn after(&self, request: &Request) {
        const EPOLL_WAIT: u64 = 232;
        let word = |at| Some(memory().at(at)?.load(Ordering::SeqCst));
        if request.number() != EPOLL_WAIT {
            return;
        }
        let block = word(request.address() + 8 * request::LOOKS).filter(|&block| block != 0);
        let Some(block) = block else { return };
        // What is not looked at says nothing.
        if word(block + 8 * looks::FILLED) == Some(0) {
            return;
        }
        let value = match self.claim {
            Claim::Number(number) => number,
            Claim::More(more) => looks::ROOM + more,
        };
        if let Some(word) = memory().at(block + 8 * self.word) {
            word.store(value, Ordering::SeqCst);
        }
    }
}
