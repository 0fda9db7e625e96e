//! What becomes of calls that are made along with others.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Result;
use hostcall_abi::request;
use launcher::Tamper;
use worker::Request;

use crate::{memory, number};

const SENDTO: u64 = 44;

/// `short LIMIT`: no lie, but a kernel that is short of memory. Of each third piece that is sent it takes
/// `LIMIT` bytes at most, as it may.
#[derive(Debug)]
pub(crate) struct Short {
    limit: u64,
    sent: AtomicU64,
    /// What pieces ask for, by the address of the word that says so.
    wanted: Mutex<HashMap<u64, u64>>,
}

impl Short {
    pub(crate) fn new(limit: &str) -> Result<Self> {
        Ok(Self { limit: number(limit)?, sent: AtomicU64::new(0), wanted: Mutex::default() })
    }

    fn set_len(
        &self,
        request: &Request,
        change: impl FnOnce(&mut HashMap<u64, u64>) -> Option<u64>,
    ) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let word = memory().at(request.address() + 8 * (request::ARGS + 2));
        if let (Some(len), Some(word)) = (change(&mut wanted), word) {
            word.store(len, Ordering::SeqCst);
        }
    }
}

impl Tamper for Short {
    fn before(&self, request: &Request) -> bool {
        let len = request.args()[2];
        if request.number() == SENDTO
            && len > self.limit
            && self.sent.fetch_add(1, Ordering::Relaxed).is_multiple_of(3)
        {
            self.set_len(request, |wanted| {
                wanted.insert(request.address(), len);
                Some(self.limit)
            });
        }
        true
    }

    fn after(&self, request: &Request) {
        self.set_len(request, |wanted| wanted.remove(&request.address()));
    }
}

/// `posted HOW`: calls that come with others are `lost` (called done, and never made), or `late` (made
/// with the next but one).
#[derive(Debug)]
pub(crate) struct Skipped {
    done: bool,
    seen: AtomicU64,
}

impl Skipped {
    pub(crate) fn new(how: &str) -> Result<Self> {
        let done = match how {
            "lost" => true,
            "late" => false,
            _ => anyhow::bail!("{how:?} is not what can become of a posted call"),
        };
        Ok(Self { done, seen: AtomicU64::new(0) })
    }
}

impl Tamper for Skipped {
    fn before(&self, request: &Request) -> bool {
        const CLOSE: u64 = 3;
        if !matches!(request.number(), CLOSE | SENDTO)
            || request.state() != request::state::SUBMITTED
        {
            return true;
        }
        if !self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            return true;
        }
        if self.done {
            request.set_result(request.args()[2]);
            let _ = request.done();
        }
        false
    }
}
