//! The driver's side of SGX2: EMODPR, EMODT and EREMOVE, as `sgx/ioctl.c` of Linux uses them.

use std::ops::Range;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use backend::{Errno, Operation, Refused};
use sgx_types::{PAGE_SIZE, PageType, SecInfoFlags, SgxError};

use crate::enclave::Inner;
use crate::epcm::Entry;

const PAGE: u64 = PAGE_SIZE as u64;

/// EMODPR.
pub(crate) fn restrict_permissions(
    inner: &Inner,
    range: Range<u64>,
    permissions: SecInfoFlags,
) -> Result<(), Refused> {
    const OP: Operation = Operation::RestrictPermissions;
    let unreadable = permissions & (SecInfoFlags::R | SecInfoFlags::W) == SecInfoFlags::W;
    if !SecInfoFlags::RWX.contains(permissions) || unreadable {
        let reason = format!("permissions {:#x}", permissions.bits());
        return Err(Refused::new(OP, Errno::EINVAL, reason));
    }
    change(inner, OP, range, |page, entry| {
        if !entry.is(PageType::Reg) {
            return Err(Refused::new(OP, Errno::EINVAL, format!("{page:#x} is no regular page")));
        }
        modifiable(OP, page, entry)?;
        Ok(entry.with(SecInfoFlags::PR, SecInfoFlags::RWX - permissions))
    })
}

/// EMODT.
pub(crate) fn modify_types(
    inner: &Inner,
    range: Range<u64>,
    page_type: PageType,
) -> Result<(), Refused> {
    const OP: Operation = Operation::ModifyTypes;
    if !matches!(page_type, PageType::Tcs | PageType::Trim) {
        return Err(Refused::new(OP, Errno::EINVAL, format!("page type {page_type:?}")));
    }
    let flags = SecInfoFlags::of(page_type) | SecInfoFlags::MODIFIED;
    let changed = Entry::from_flags(flags).unwrap_or(Entry::NONE);
    change(inner, OP, range, |page, entry| {
        if !entry.is(PageType::Reg) && !entry.is(PageType::Tcs) {
            let reason = format!("{page:#x} is neither a regular page nor a TCS");
            return Err(Refused::new(OP, Errno::EINVAL, reason));
        }
        modifiable(OP, page, entry)?;
        if entry.is(PageType::Tcs) {
            let mut all = inner.tcs.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(tcs) = all.remove(&page) {
                tcs.retire();
                let entries = tcs.entries.load(Ordering::Relaxed);
                inner.counters.entries.fetch_add(entries, Ordering::Relaxed);
            }
        }
        Ok(changed)
    })
}

/// EREMOVE.
pub(crate) fn remove_pages(inner: &Inner, range: Range<u64>) -> Result<(), Refused> {
    const OP: Operation = Operation::RemovePages;
    change(inner, OP, range, |page, entry| {
        if entry.is(PageType::Trim) && entry.is_settled() {
            return Ok(Entry::NONE);
        }
        let reason = format!("{page:#x} is not trimmed, or that was not accepted");
        Err(Refused::new(OP, Errno::EPERM, reason))
    })
}

fn modifiable(operation: Operation, page: u64, entry: Entry) -> Result<(), Refused> {
    if entry.is_settled() {
        return Ok(());
    }
    let reason = format!("{page:#x} waits for EACCEPT");
    Err(Refused::new(operation, Errno::EFAULT, reason).with_code(SgxError::PageNotModifiable))
}

/// Changes the entries of a range page by page until one is refused, and shows what was changed.
fn change(
    inner: &Inner,
    operation: Operation,
    range: Range<u64>,
    changed: impl Fn(u64, Entry) -> Result<Entry, Refused>,
) -> Result<(), Refused> {
    let range = check_range(inner, operation, range)?;
    let mut locked = inner.mapping.lock();
    let mut result = Ok(());
    let mut end = range.start;
    for page in range.clone().step_by(PAGE_SIZE) {
        result = change_page(inner, operation, page, &changed);
        if result.is_err() {
            break;
        }
        end = page + PAGE;
    }
    let done = range.start..end;
    if operation == Operation::RemovePages && !done.is_empty() {
        locked.discard(done.clone());
    } else {
        locked.show(&inner.epcm, done.clone());
    }
    result.map_err(|refused| refused.after(done.end - done.start))
}

fn change_page(
    inner: &Inner,
    operation: Operation,
    page: u64,
    changed: impl Fn(u64, Entry) -> Result<Entry, Refused>,
) -> Result<(), Refused> {
    loop {
        let entry = inner.epcm.get(page);
        if !entry.is_valid() {
            let reason = format!("there is no page at {page:#x}");
            return Err(Refused::new(operation, Errno::EFAULT, reason));
        }
        if inner.epcm.replace(page, entry, changed(page, entry)?) {
            return Ok(());
        }
    }
}

/// The addresses of a range of offsets.
fn check_range(
    inner: &Inner,
    operation: Operation,
    range: Range<u64>,
) -> Result<Range<u64>, Refused> {
    let aligned = range.start.is_multiple_of(PAGE) && range.end.is_multiple_of(PAGE);
    let inside = range.start < range.end && range.end <= inner.secs.size;
    if aligned && inside && inner.is_initialised() {
        return Ok(inner.base() + range.start..inner.base() + range.end);
    }
    let why = if inner.is_initialised() { "" } else { " of an enclave that is not initialised" };
    let reason = format!("range {:#x}..{:#x}{why}", range.start, range.end);
    Err(Refused::new(operation, Errno::EINVAL, reason))
}
