//! ECREATE, EADD, EEXTEND and EINIT.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use backend::{Errno, Operation, Refused, Source};
use measure::{Coverage, Measurement, Page, verify_sigstruct};
use sgx_types::{
    AttributeFlags, EXINFO_SIZE, GPRSGX_SIZE, MiscSelect, PAGE_SIZE, PageType, SecInfo,
    SecInfoFlags, Secs, SgxError, Sigstruct, Tcs, Xfrm,
};
use zerocopy::FromBytes;

use crate::context;
use crate::cost::CostModel;
use crate::enclave::{Build, Counters, Identity, Inner};
use crate::epcm::{Entry, Epcm};
use crate::executable;
use crate::filled::{self, Filled};
use crate::mapping::Mapping;
use crate::patch::Stubs;
use crate::sys;
use crate::tcs::TcsState;

const PAGE: u64 = PAGE_SIZE as u64;

/// Largest ELRANGE: the host must fit above it in the 47 bits of user space.
pub(crate) const MAX_SIZE: u64 = 1 << 46;

/// Attributes that an enclave may ask for.
pub(crate) const ATTRIBUTES: AttributeFlags = AttributeFlags::DEBUG
    .union(AttributeFlags::MODE64BIT)
    .union(AttributeFlags::PROVISIONKEY)
    .union(AttributeFlags::EINITTOKENKEY)
    .union(AttributeFlags::KSS);

fn refuse<T>(operation: Operation, errno: Errno, reason: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::new(operation, errno, reason))
}

/// What of this process lies in ELRANGE already, as `/proc/self/maps` shows it.
fn in_the_way(secs: &Secs) -> Option<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| {
        let start = line.split('-').next().and_then(|start| u64::from_str_radix(start, 16).ok());
        start.is_some_and(|start| start.wrapping_sub(secs.base) < secs.size)
    })?;
    Some(line.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// ECREATE.
pub(crate) fn create(secs: &Secs, costs: CostModel, audit: bool) -> Result<Inner, Refused> {
    let xsave_size = backend::xsave_size(secs.attributes.xfrm);
    if let Some(reason) = broken_rule(secs, xsave_size) {
        return refuse(Operation::Create, Errno::EINVAL, reason);
    }
    let no_memory = |error: std::io::Error| {
        let errno = Errno(error.raw_os_error().unwrap_or(libc::ENOMEM));
        let inside = in_the_way(secs).map_or_else(String::new, |line| {
            format!(
                "; this process already has there: {line} (if a library in LD_PRELOAD mapped that, \
                 use --env LD_PRELOAD=... for the program alone)"
            )
        });
        Refused::new(
            Operation::Create,
            errno,
            format!("ELRANGE cannot be reserved: {error}{inside}"),
        )
    };
    if audit {
        context::name_arena();
    }
    let mapping = Mapping::new(secs.base, secs.size).map_err(no_memory)?;
    let epcm = Epcm::new(secs.base, secs.size).map_err(no_memory)?;
    let measurement = Measurement::ecreate(secs.ssa_frame_size, secs.size);
    Ok(Inner {
        secs: secs.clone(),
        identity: OnceLock::new(),
        epcm,
        mapping,
        build: Mutex::new(Build { measurement, code: Vec::new() }),
        tcs: RwLock::new(BTreeMap::new()),
        stubs: OnceLock::new(),
        costs,
        audit,
        counters: Counters::default(),
        initialised: AtomicBool::new(false),
        xsave_size,
    })
}

/// The first rule of ECREATE, or limit of the emulator, that `secs` breaks.
fn broken_rule(secs: &Secs, xsave_size: u64) -> Option<String> {
    let Secs { size, base, attributes, misc_select, ssa_frame_size, .. } = secs;
    let frame = u64::from(*ssa_frame_size) * PAGE;
    let mut needed = xsave_size + GPRSGX_SIZE as u64;
    if misc_select.contains(MiscSelect::EXINFO) {
        needed += EXINFO_SIZE as u64;
    }
    let supported = sys::xfeatures();
    let kss = attributes.flags.contains(AttributeFlags::KSS);
    let config = secs.config_svn != 0 || secs.config_id != [0; 64];
    let rules = [
        (size.is_power_of_two() && *size >= 2 * PAGE, format!("size {size:#x}")),
        (*size <= MAX_SIZE, format!("size {size:#x} is above {MAX_SIZE:#x}")),
        (*base == 0, format!("base {base:#x}: the emulator has ELRANGE at 0 only")),
        (*size > crate::mapping::LOWEST, format!("size {size:#x} lies below mmap_min_addr")),
        (secs.reserved_is_zero(), "a reserved byte of SECS is set".into()),
        (
            ATTRIBUTES.contains(attributes.flags)
                && attributes.flags.contains(AttributeFlags::MODE64BIT),
            format!("attributes {:#x}", attributes.flags.bits()),
        ),
        (
            attributes.xfrm.contains(Xfrm::LEGACY)
                && attributes.xfrm.bits() & !supported == 0
                && is_consistent(attributes.xfrm),
            format!("XFRM {:#x} of {supported:#x}", attributes.xfrm.bits()),
        ),
        (
            MiscSelect::EXINFO.contains(*misc_select),
            format!("MISCSELECT {:#x}", misc_select.bits()),
        ),
        (frame >= needed, format!("SSA frame of {frame} bytes where {needed} are needed")),
        (kss || !config, "CONFIGID or CONFIGSVN without KSS".into()),
        (secs.cet_attributes == 0 && secs.cet_leg_bitmap_offset == 0, "CET attributes".into()),
    ];
    rules.into_iter().find(|(kept, _)| !kept).map(|(_, rule)| rule)
}

/// The rules of XSETBV (SDM volume 1, 13.3).
fn is_consistent(xfrm: Xfrm) -> bool {
    let avx512 = xfrm & Xfrm::AVX512;
    let tiles = xfrm & (Xfrm::TILECFG | Xfrm::TILEDATA);
    (avx512.is_empty() || avx512 == Xfrm::AVX512 && xfrm.contains(Xfrm::AVX))
        && (tiles.is_empty() || tiles == Xfrm::TILECFG | Xfrm::TILEDATA)
}

/// EADD and EEXTEND.
pub(crate) fn add_pages(
    inner: &Inner,
    offset: u64,
    secinfo: &SecInfo,
    source: Source<'_>,
    measure: bool,
) -> Result<(), Refused> {
    const OP: Operation = Operation::AddPages;
    let len = source.len();
    let mut build = inner.building();
    if inner.is_initialised() {
        return refuse(OP, Errno::EINVAL, "the enclave is initialised");
    }
    if !offset.is_multiple_of(PAGE) || !len.is_multiple_of(PAGE) || len == 0 {
        return refuse(OP, Errno::EINVAL, format!("{len:#x} bytes at {offset:#x}"));
    }
    if offset > inner.secs.size || len > inner.secs.size - offset {
        return refuse(OP, Errno::EINVAL, format!("{offset:#x}+{len:#x} ends outside of ELRANGE"));
    }
    check_secinfo(secinfo)?;
    let start = inner.base() + offset;
    if start < inner.mapping.range().start {
        return refuse(OP, Errno::EACCES, format!("{start:#x} is below vm.mmap_min_addr"));
    }
    let end = start + len;
    let taken = (start..end).step_by(PAGE_SIZE).find(|&page| inner.epcm.get(page).is_valid());
    let usable = taken.unwrap_or(end);
    add(inner, &mut build, start..usable, secinfo, source, measure)?;
    match taken {
        Some(page) => {
            Err(Refused::new(OP, Errno::EBUSY, format!("{page:#x} has a page"))
                .after(usable - start))
        }
        None => Ok(()),
    }
}

/// What the driver demands of SECINFO, and EADD of the flags.
fn check_secinfo(secinfo: &SecInfo) -> Result<(), Refused> {
    let flags = secinfo.flags;
    let permissions = flags.permissions();
    let type_ok = match flags.page_type() {
        Some(PageType::Reg) => true,
        Some(PageType::Tcs) => permissions.is_empty(),
        _ => false,
    };
    let known = SecInfoFlags::RWX | SecInfoFlags::PT_MASK;
    let writable_unreadable =
        permissions.contains(SecInfoFlags::W) && !permissions.contains(SecInfoFlags::R);
    if type_ok && known.contains(flags) && !writable_unreadable && secinfo.reserved_is_zero() {
        return Ok(());
    }
    refuse(Operation::AddPages, Errno::EINVAL, format!("SECINFO with flags {:#x}", flags.bits()))
}

/// Fills, enters into the EPCM, and measures pages that are known to be missing.
fn add(
    inner: &Inner,
    build: &mut Build,
    range: Range<u64>,
    secinfo: &SecInfo,
    source: Source<'_>,
    measured: bool,
) -> Result<(), Refused> {
    if range.is_empty() {
        return Ok(());
    }
    inner.mapping.fill().keep(range.start);
    let entry = Entry::from_flags(secinfo.flags).unwrap_or(Entry::NONE);
    let contents = |page: u64| match source {
        Source::Bytes(bytes) => bytes[(page - range.start) as usize..].first_chunk(),
        Source::Zero(_) => Some(&[0; PAGE_SIZE]),
    };
    let contents = |page| contents(page).expect("as many bytes as the pages have");
    let mut end = range.end;
    let mut refused = Ok(());
    if entry.is(PageType::Tcs) {
        let mut pages = range.clone().step_by(PAGE_SIZE);
        refused = pages.try_for_each(|page| {
            add_tcs(inner, page, contents(page)).map_err(|refused| {
                end = page;
                refused.after(page - range.start)
            })
        });
    } else if let Source::Bytes(bytes) = source {
        let bytes = &bytes[..(range.end - range.start) as usize];
        let mut filled = inner.mapping.fill();
        if !executable::map(range.start, bytes, entry.protection()) {
            fill(&mut filled, range.start, bytes, entry.protection());
        }
    }
    let coverage = if measured { Coverage::Extended } else { Coverage::Uncovered };
    for page in (range.start..end).step_by(PAGE_SIZE) {
        inner.epcm.set(page, entry);
        let (offset, flags) = (page - inner.base(), secinfo.flags);
        build.measurement.page(&Page { offset, flags, contents: contents(page), coverage });
    }
    // Code that EEXTEND did not measure is not patched: the enclave may look at it.
    if measured && secinfo.flags.contains(SecInfoFlags::X) {
        match build.code.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => build.code.push(range),
        }
    }
    refused
}

/// Fills pages. Nobody can see them before EINIT, so that a lone one is filled at its place.
fn fill(filled: &mut Filled, start: u64, bytes: &[u8], protection: i32) {
    let alone = bytes.len() == PAGE_SIZE && !filled.follows(start, protection);
    let writable = libc::PROT_READ | libc::PROT_WRITE;
    for (page, contents) in (start..).step_by(PAGE_SIZE).zip(bytes.chunks(PAGE_SIZE)) {
        let source = contents.as_ptr() as u64;
        let left = if alone {
            sys::protect(page, PAGE, writable);
            filled::copy(page, source)
        } else {
            filled.add(page, source, protection, 0)
        };
        assert_eq!(left, 0, "a slice can be read");
    }
    if alone && protection != writable {
        sys::protect(start, PAGE, protection);
    }
}

fn add_tcs(inner: &Inner, page: u64, contents: &[u8]) -> Result<(), Refused> {
    let fault = |rule: &str| Refused::new(Operation::AddPages, Errno::EIO, rule);
    let (_, limits) = Tcs::read_from_prefix(contents)
        .map(|(tcs, _)| (tcs.stage, tcs))
        .map_err(|_| fault("TCS is no page"))?;
    let state = TcsState::new(page, &limits, &inner.secs).map_err(fault)?;
    let mut all = inner.tcs.write().unwrap_or_else(PoisonError::into_inner);
    all.insert(page, Arc::new(state));
    Ok(())
}

/// EINIT.
pub(crate) fn init(inner: &Inner, sigstruct: &Sigstruct) -> Result<(), Refused> {
    const OP: Operation = Operation::Init;
    let mut build = inner.building();
    if inner.is_initialised() {
        return refuse(OP, Errno::EINVAL, "the enclave is initialised already");
    }
    let denied = |code, reason: String| Refused::new(OP, Errno::EPERM, reason).with_code(code);
    let verified =
        verify_sigstruct(sigstruct).map_err(|error| denied(error.code(), error.to_string()))?;
    let mrenclave = build.measurement.clone().finish().0;
    if mrenclave != sigstruct.enclave_hash {
        return Err(denied(
            SgxError::InvalidMeasurement,
            format!("MRENCLAVE is {}", measure::MrEnclave(mrenclave)),
        ));
    }
    if let Some(reason) = forbidden(&inner.secs, sigstruct) {
        return Err(denied(SgxError::InvalidAttribute, reason));
    }
    let identity = Identity {
        mrenclave,
        mrsigner: verified.mrsigner().0,
        isv_prod_id: sigstruct.isv_prod_id,
        isv_svn: sigstruct.isv_svn,
        isv_family_id: sigstruct.isv_family_id,
        isv_ext_prod_id: sigstruct.isv_ext_prod_id,
    };
    inner.identity.set(identity).expect("the first EINIT that succeeds");
    inner.mapping.lock().join();
    let stubs = Stubs::patch(&inner.mapping, &inner.epcm, &std::mem::take(&mut build.code));
    inner.stubs.set(stubs).unwrap_or_else(|_| unreachable!("the first EINIT that succeeds"));
    inner.initialised.store(true, Ordering::Release);
    Ok(())
}

/// How the SECS differs from what the signer allows.
fn forbidden(secs: &Secs, sigstruct: &Sigstruct) -> Option<String> {
    let (is, want, mask) = (secs.attributes, sigstruct.attributes, sigstruct.attribute_mask);
    if is.flags & mask.flags != want.flags & mask.flags {
        return Some(format!("attributes are {:#x}", is.flags.bits()));
    }
    if is.xfrm & mask.xfrm != want.xfrm & mask.xfrm {
        return Some(format!("XFRM is {:#x}", is.xfrm.bits()));
    }
    if secs.misc_select & sigstruct.misc_mask != sigstruct.misc_select & sigstruct.misc_mask {
        return Some(format!("MISCSELECT is {:#x}", secs.misc_select.bits()));
    }
    let kss = is.flags.contains(AttributeFlags::KSS);
    let extended = sigstruct.isv_family_id != [0; 16] || sigstruct.isv_ext_prod_id != [0; 16];
    (extended && !kss).then(|| "family or extended product id without KSS".into())
}
