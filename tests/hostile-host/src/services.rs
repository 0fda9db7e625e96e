//! Lies of the launcher's own services.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, bail};
use hostcall_abi::service;
use launcher::Tamper;
use worker::Request;

use crate::memory;

#[derive(Clone, Copy, Debug)]
enum How {
    /// Clocks go back with each answer.
    ClocksBack,
    /// Clocks jump to anywhere.
    ClocksJump,
    /// The processor has everything.
    Cpuid,
    /// Pages are never trimmed, restricted or removed, but are said to be.
    Pages,
}

/// `service HOW`.
#[derive(Debug)]
pub(crate) struct Services {
    how: How,
    count: AtomicU64,
}

impl Services {
    pub(crate) fn new(how: &str) -> Result<Self> {
        let how = match how {
            "clocks-back" => How::ClocksBack,
            "clocks-jump" => How::ClocksJump,
            "cpuid" => How::Cpuid,
            "pages" => How::Pages,
            _ => bail!("no service lies {how:?}"),
        };
        Ok(Self { how, count: AtomicU64::new(0) })
    }
}

impl Tamper for Services {
    fn before(&self, request: &Request) -> bool {
        let pages = [service::TRIM, service::RESTRICT, service::REMOVE];
        let refused = matches!(self.how, How::Pages) && pages.contains(&request.number());
        if refused {
            request.set_result(0);
        }
        !refused
    }

    fn after(&self, request: &Request) {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let words = memory().buffer(request, 0);
        match (self.how, request.number()) {
            (How::ClocksBack, service::CLOCK) => {
                for word in words.take(3) {
                    word.fetch_sub((count % 8) << 20, Ordering::Relaxed);
                }
            }
            (How::ClocksJump, service::CLOCK) => {
                const VALUES: [u64; 5] = [0, u64::MAX, 1, 1 << 63, 1 << 40];
                for (word, index) in words.take(3).zip(count..) {
                    let value = VALUES[usize::try_from(index % 5).unwrap_or(0)];
                    word.store(value, Ordering::Relaxed);
                }
            }
            (How::Cpuid, service::CPUID) => {
                words.take(4).for_each(|word| word.store(u64::MAX, Ordering::Relaxed));
            }
            _ => {}
        }
    }
}
