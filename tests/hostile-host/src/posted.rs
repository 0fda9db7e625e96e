//! What becomes of calls that are made along with others.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use hostcall_abi::request;
use launcher::Tamper;
use worker::{NOBODY, Request};

use crate::number;

const SENDTO: u64 = 44;

/// `short LIMIT`: no lie, but a kernel that is short of memory. Of each third piece that is sent without
/// waiting it takes `LIMIT` bytes at most, as it may.
#[derive(Debug)]
pub(crate) struct Short {
    limit: u64,
    sent: AtomicU64,
}

impl Short {
    pub(crate) fn new(limit: &str) -> Result<Self> {
        Ok(Self { limit: number(limit)?, sent: AtomicU64::new(0) })
    }
}

impl Tamper for Short {
    /// The request stays as it is: what comes after it on another thread compares with what it asks for.
    fn instead(&self, request: &Request) -> Option<u64> {
        const MSG_DONTWAIT: u64 = 0x40;
        let [fd, bytes, len, flags, address, address_len] = request.args();
        let is_short = request.number() == SENDTO
            && flags & MSG_DONTWAIT != 0
            && len > self.limit
            && !request.is_behind_the_end()
            && self.sent.fetch_add(1, Ordering::Relaxed).is_multiple_of(3);
        let args = [fd, bytes, self.limit, flags, address, address_len];
        is_short.then(|| NOBODY.call(SENDTO, args))
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
