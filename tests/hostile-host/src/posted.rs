//! What becomes of calls that are made along with others.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use hostcall_abi::request;
use launcher::Tamper;
use worker::{NOBODY, Request};

use crate::number;

const SENDTO: u64 = 44;

/// `expected RESULT`: what is said of calls that were only expected, whether they were made or not.
#[derive(Debug)]
pub(crate) struct Expected {
    result: u64,
}

impl Expected {
    pub(crate) fn new(result: &str) -> Result<Self> {
        Ok(Self { result: number(result)? })
    }
}

impl Tamper for Expected {
    fn after(&self, request: &Request) {
        let mut next = request.expected();
        while let Some(expected) = next {
            expected.set_result(self.result);
            next = expected.expected();
        }
    }
}

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

/// `posted HOW`: of the calls that come with others, each other one is `lost` (called done, and never made), or
/// `late` (made with the next but one), or the disk is `full` when it is to be written.
#[derive(Debug)]
pub(crate) struct Skipped {
    how: How,
    seen: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Lost,
    Late,
    Full,
}

impl Skipped {
    pub(crate) fn new(how: &str) -> Result<Self> {
        let how = match how {
            "lost" => How::Lost,
            "late" => How::Late,
            "full" => How::Full,
            _ => anyhow::bail!("{how:?} is not what can become of a posted call"),
        };
        Ok(Self { how, seen: AtomicU64::new(0) })
    }
}

impl Tamper for Skipped {
    fn before(&self, request: &Request) -> bool {
        const CLOSE: u64 = 3;
        const WRITE: u64 = 1;
        const PWRITE64: u64 = 18;
        const ENOSPC: i64 = 28;
        let concerned = match self.how {
            How::Full => matches!(request.number(), WRITE | PWRITE64),
            How::Lost | How::Late => {
                matches!(request.number(), CLOSE | SENDTO | WRITE | PWRITE64)
            }
        };
        if !concerned
            || request.state() != request::state::SUBMITTED
            || !self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(2)
        {
            return true;
        }
        let result = match self.how {
            How::Late => return false,
            How::Lost => request.args()[2],
            How::Full => (-ENOSPC).cast_unsigned(),
        };
        request.set_result(result);
        let _ = request.done();
        false
    }
}
