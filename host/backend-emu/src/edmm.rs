//! SGX2: pages that come, change and go while the enclave runs.

use std::sync::PoisonError;

use sgx_types::{PageType, SecInfo, SecInfoFlags, SgxError, Tcs};

use crate::context::Context;
use crate::enclave::Inner;
use crate::enter::Fault;
use crate::epcm::Entry;
use crate::ssa;
use crate::tcs::TcsState;

const PAGE: u64 = 4096;

/// Reads the SECINFO at RBX and checks the page address in RCX.
fn operands(inner: &Inner, context: &Context) -> Result<(SecInfoFlags, u64), Fault> {
    let (at, page) = (context.regs.rbx, context.regs.rcx);
    let aligned = at.is_multiple_of(64) && page.is_multiple_of(PAGE);
    if !aligned || !inner.contains(at, 64) || !inner.contains(page, PAGE) {
        return Err(Fault::GP);
    }
    let secinfo: SecInfo = ssa::get(inner, at)?;
    let known = SecInfoFlags::from_bits_truncate(0x3f) | SecInfoFlags::PT_MASK;
    if !secinfo.reserved_is_zero() || !known.contains(secinfo.flags) {
        return Err(Fault::GP);
    }
    Ok((secinfo.flags, page))
}

/// EACCEPT: agrees to a change of a page.
pub(crate) fn eaccept(inner: &Inner, context: &mut Context) -> Result<u32, Fault> {
    let (flags, page) = operands(inner, context)?;
    let (pending, modified) = (SecInfoFlags::PENDING, SecInfoFlags::MODIFIED);
    let sane = match flags.page_type() {
        Some(PageType::Reg) => !flags.contains(modified),
        Some(PageType::Tcs | PageType::Trim) => flags & (pending | modified) == modified,
        _ => false,
    };
    if !sane {
        return Err(Fault::GP);
    }
    let entry = inner.augment(page);
    if !entry.is_valid() {
        return Err(Fault::epcm(page, true));
    }
    if entry.flags() != flags {
        return Ok(SgxError::PageAttributesMismatch as u32);
    }
    if entry.is(PageType::Tcs) {
        accept_tcs(inner, page)?;
    }
    let settled = entry.settled();
    let new = (entry == Entry::AUGMENTED).then(|| inner.mapping.shows());
    if !inner.epcm.replace(page, entry, settled) {
        return Err(Fault::GP);
    }
    if settled.protection() != entry.protection() {
        extend_run(inner, context, page, new);
    }
    Ok(0)
}

/// Notes that the mapping must show `page`; with the page that is awaited, it shows all. `new_since` is that
/// of a [`Run`](crate::context::Run).
fn extend_run(inner: &Inner, context: &mut Context, page: u64, new_since: Option<u64>) {
    let (run, awaited) = (context.run, context.awaited);
    let skips = awaited + PAGE == page;
    if !(run.start..run.end).contains(&page) {
        let follows = run.end == page || skips && run.end == awaited;
        if run.start == run.end || !follows {
            inner.flush(context);
            context.run.start = if skips { awaited } else { page };
            context.run.new_since = new_since;
        }
        context.run.end = page + PAGE;
    }
    if new_since.is_none() {
        context.run.new_since = None;
    }
    if page == awaited {
        inner.flush(context);
        context.awaited = 0;
    }
}

/// The page becomes a TCS if its contents are those of one.
fn accept_tcs(inner: &Inner, page: u64) -> Result<(), Fault> {
    let contents: Box<Tcs> = {
        let mut locked = inner.mapping.lock();
        locked.keep(page);
        locked.protect(page, PAGE, libc::PROT_READ);
        let contents = ssa::get(inner, page).map(Box::new);
        locked.show(&inner.epcm, page..page + PAGE);
        contents?
    };
    let state = TcsState::new(page, &contents, &inner.secs).map_err(|_| Fault::GP)?;
    inner.mapping.fill().keep(state.frame(0));
    let mut all = inner.tcs.write().unwrap_or_else(PoisonError::into_inner);
    all.insert(page, std::sync::Arc::new(state));
    Ok(())
}

/// EMODPE: extends the permissions of a page.
pub(crate) fn emodpe(inner: &Inner, context: &mut Context) -> Result<(), Fault> {
    let (flags, page) = operands(inner, context)?;
    let more = flags.permissions();
    if more.contains(SecInfoFlags::W) && !more.contains(SecInfoFlags::R) {
        return Err(Fault::GP);
    }
    loop {
        let entry = inner.epcm.get(page);
        if !entry.is(PageType::Reg) || !entry.is_settled() {
            return Err(Fault::epcm(page, true));
        }
        let extended = entry.with(more, SecInfoFlags::empty());
        if inner.epcm.replace(page, entry, extended) {
            if extended != entry {
                extend_run(inner, context, page, None);
            }
            return Ok(());
        }
    }
}

/// EACCEPTCOPY: accepts a pending page with the contents of another one.
pub(crate) fn eacceptcopy(inner: &Inner, context: &mut Context) -> Result<u32, Fault> {
    let (flags, page) = operands(inner, context)?;
    let source = context.regs.rdx;
    let permissions = flags.permissions();
    let unreadable =
        permissions.contains(SecInfoFlags::W) && !permissions.contains(SecInfoFlags::R);
    if !source.is_multiple_of(PAGE)
        || !inner.contains(source, PAGE)
        || flags != permissions | SecInfoFlags::PT_REG
        || unreadable
    {
        return Err(Fault::GP);
    }
    if !inner.allows(source, SecInfoFlags::R) {
        return Err(Fault::epcm(source, false));
    }
    let entry = inner.augment(page);
    if !entry.is_valid() {
        return Err(Fault::epcm(page, true));
    }
    if entry != Entry::AUGMENTED {
        return Ok(SgxError::PageAttributesMismatch as u32);
    }
    let settled = Entry::from_flags(flags).ok_or(Fault::GP)?;
    while !fill(inner, page, source, settled, context.awaited) {
        if !inner.catch_up(source, SecInfoFlags::R) {
            return Err(Fault::epcm(source, false));
        }
    }
    extend_run(inner, context, page, None);
    Ok(0)
}

/// Fills a page and settles it; whether the source could be read.
fn fill(inner: &Inner, page: u64, source: u64, settled: Entry, awaited: u64) -> bool {
    let mut filled = inner.mapping.fill();
    let complete = filled.add(page, source, settled.protection(), awaited) == 0;
    if complete {
        inner.epcm.set(page, settled);
        if let Some((next, room)) = filled.next() {
            inner.mapping.next().open(next, room, settled);
        }
    }
    complete
}
