//! SGX2: pages that come, change and go.

use sgx_types::{Enclu, PageType, SecInfoFlags, SgxError, Tcs};
use zerocopy::IntoBytes;

use super::server::{Returned, Server};
use super::specimen::{CODE, DATA, DYNAMIC, RW, SIZE, Specimen, entry, stack, tcs, thread_page};
use crate::{Backend, Errno, Outcome, Refused, Run};

const PENDING_RW: SecInfoFlags = RW.union(SecInfoFlags::PENDING);
const MISMATCH: SgxError = SgxError::PageAttributesMismatch;

/// A page fault: error code and page.
fn fault<T: std::fmt::Debug>(result: Result<T, crate::Exception>) -> (u16, u64) {
    let exception = result.expect_err("an exception");
    assert_eq!(exception.vector, 14, "{exception:x?}");
    (exception.error_code, exception.address)
}

/// #GP(0).
fn protection<T: std::fmt::Debug>(result: Result<T, crate::Exception>) {
    let exception = result.expect_err("an exception");
    assert_eq!((exception.vector, exception.error_code), (13, 0));
}

/// Dynamic pages: pending until accepted, then zero and writable.
pub fn accept_new_pages(backend: &dyn Backend) {
    let server = Server::new(backend);
    assert_eq!(fault(server.write(DYNAMIC, 1)), (0x8007, DYNAMIC));
    assert_eq!(fault(server.read(DYNAMIC)), (0x8005, DYNAMIC));
    assert_eq!(server.accept(PENDING_RW, DYNAMIC), Ok(Returned::OK));
    // Never touched before.
    for page in 1..40 {
        assert_eq!(server.accept(PENDING_RW, DYNAMIC + page * 4096), Ok(Returned::OK));
    }
    for page in 0..40 {
        assert_eq!(server.read(DYNAMIC + page * 4096), Ok(0));
        assert_eq!(server.write(DYNAMIC + page * 4096, page), Ok(()));
    }
    assert_eq!(server.read(DYNAMIC + 7 * 4096), Ok(7));
}

/// EACCEPT wants the page to be exactly as SECINFO says.
pub fn accept_mismatches(backend: &dyn Backend) {
    let server = Server::new(backend);
    let mismatches = [
        RW,
        SecInfoFlags::PT_REG | SecInfoFlags::R | SecInfoFlags::PENDING,
        PENDING_RW | SecInfoFlags::X,
        PENDING_RW | SecInfoFlags::PR,
        SecInfoFlags::PT_TRIM | SecInfoFlags::MODIFIED,
        SecInfoFlags::PT_TCS | SecInfoFlags::MODIFIED,
    ];
    for flags in mismatches {
        let returned = server.accept(flags, DYNAMIC);
        assert_eq!(returned, Ok(Returned::error(MISMATCH)), "{flags:?}");
    }
    assert_eq!(server.accept(PENDING_RW, DYNAMIC), Ok(Returned::OK));
    assert_eq!(server.accept(PENDING_RW, DYNAMIC), Ok(Returned::error(MISMATCH)), "again");
    assert_eq!(server.accept(PENDING_RW, DATA.into()), Ok(Returned::error(MISMATCH)), "static");
}

/// EACCEPT's operands have to be aligned, inside, and free of reserved bits.
pub fn accept_bad_operands(backend: &dyn Backend) {
    let server = Server::new(backend);
    server.write(u64::from(DATA) + 0x1000, PENDING_RW.bits()).expect("writable");
    server.write(u64::from(DATA) + 0x1040, PENDING_RW.bits()).expect("writable");
    server.write(u64::from(DATA) + 0x1048, 1).expect("writable");
    protection(server.accept_with(u64::from(DATA) + 0x1008, DYNAMIC));
    protection(server.accept_with(u64::from(DATA) + 0x1040, DYNAMIC));
    protection(server.accept_with(SIZE, DYNAMIC));
    protection(server.accept(PENDING_RW, DYNAMIC + 8));
    protection(server.accept(PENDING_RW, SIZE));
    protection(server.accept(PENDING_RW | SecInfoFlags::MODIFIED, DYNAMIC));
    assert_eq!(server.accept_with(u64::from(DATA) + 0x1000, DYNAMIC), Ok(Returned::OK));
}

/// EMODPE gives, EMODPR takes; a page that was made executable runs.
pub fn permissions(backend: &dyn Backend) {
    let server = Server::new(backend);
    let enclave = &server.0;
    let offsets = DYNAMIC..DYNAMIC + 4096;
    assert_eq!(server.accept(PENDING_RW, DYNAMIC), Ok(Returned::OK));
    // mov eax, 77; ret
    server.write(DYNAMIC, 0xc300_0000_4db8).expect("writable");
    assert_eq!(fault(server.jump(DYNAMIC)), (0x8015, DYNAMIC));
    let rwx = SecInfoFlags::RWX | SecInfoFlags::PT_REG;
    server.leaf(Enclu::Emodpe, rwx.bits(), DYNAMIC, 0).expect("EMODPE");
    assert_eq!(server.jump(DYNAMIC), Ok(77));

    let rx = SecInfoFlags::R | SecInfoFlags::X;
    enclave.restrict_permissions(offsets.clone(), rx).expect("EMODPR");
    assert_eq!(fault(server.write(DYNAMIC, 0)), (0x8007, DYNAMIC));
    let accepted = rx | SecInfoFlags::PT_REG | SecInfoFlags::PR;
    let more = server.accept(accepted | SecInfoFlags::W, DYNAMIC);
    assert_eq!(more, Ok(Returned::error(MISMATCH)), "the host restricted it more than that");
    assert_eq!(server.accept(accepted, DYNAMIC), Ok(Returned::OK));
    assert_eq!(server.jump(DYNAMIC), Ok(77));

    enclave.restrict_permissions(offsets, SecInfoFlags::empty()).expect("EMODPR");
    assert_eq!(fault(server.read(DYNAMIC)), (0x8005, DYNAMIC));
    let w = SecInfoFlags::W | SecInfoFlags::PT_REG;
    protection(server.leaf(Enclu::Emodpe, w.bits(), DYNAMIC, 0));
    let missing = server.leaf(Enclu::Emodpe, rwx.bits(), DYNAMIC + 0x10_0000, 0);
    assert_eq!(fault(missing), (0x8007, DYNAMIC + 0x10_0000));
}

/// Trimmed pages are out of reach, can be removed once that is accepted, and come back as zeros.
pub fn trim_and_remove(backend: &dyn Backend) {
    let server = Server::new(backend);
    let enclave = &server.0;
    let offsets = DYNAMIC..DYNAMIC + 2 * 4096;
    for page in [DYNAMIC, DYNAMIC + 4096] {
        assert_eq!(server.accept(PENDING_RW, page), Ok(Returned::OK));
        server.write(page, 5).expect("writable");
    }
    let early = enclave.remove_pages(offsets.clone()).expect_err("not trimmed");
    assert_eq!((early.errno, early.done), (Errno::EPERM, 0));
    enclave.modify_types(offsets.clone(), PageType::Trim).expect("EMODT");
    assert_eq!(fault(server.read(DYNAMIC)), (0x8005, DYNAMIC));
    let trim = SecInfoFlags::PT_TRIM | SecInfoFlags::MODIFIED;
    assert_eq!(server.accept(trim, DYNAMIC), Ok(Returned::OK));
    let half = enclave.remove_pages(offsets.clone()).expect_err("the second is not accepted");
    assert_eq!((half.errno, half.done), (Errno::EPERM, 4096));
    assert_eq!(server.accept(trim, DYNAMIC + 4096), Ok(Returned::OK));
    enclave.remove_pages(DYNAMIC + 4096..offsets.end).expect("EREMOVE");
    assert_eq!(server.accept(PENDING_RW, DYNAMIC), Ok(Returned::OK));
    assert_eq!(server.read(DYNAMIC), Ok(0));
}

/// A dynamic page becomes a TCS, which can be entered; a malformed one cannot.
pub fn dynamic_tcs(backend: &dyn Backend) {
    let server = Server::new(backend);
    let enclave = &server.0;
    let page = Tcs {
        ossa: tcs(0) + 4096 * 5, // the second frame of TCS 0, which is not in use
        nssa: 1,
        oentry: CODE,
        ofs_base: thread_page(0),
        ogs_base: thread_page(0),
        fs_limit: 0xfff,
        gs_limit: 0xfff,
        ..Tcs::default()
    };
    let accepted = SecInfoFlags::PT_TCS | SecInfoFlags::MODIFIED;
    for (at, page) in [(DYNAMIC, page.clone()), (DYNAMIC + 4096, Tcs { cssa: 1, ..page })] {
        assert_eq!(server.accept(PENDING_RW, at), Ok(Returned::OK));
        let words = page.as_bytes().as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
        for (word, address) in words.zip((at..).step_by(8)).filter(|(word, _)| *word != 0) {
            server.write(address, word).expect("writable");
        }
        enclave.modify_types(at..at + 4096, PageType::Tcs).expect("EMODT");
    }
    let fresh = Run { tcs: DYNAMIC, rsi: thread_page(0), r8: 100, ..entry(0, 0) };
    let unaccepted = enclave.enter(&mut fresh.clone());
    assert!(matches!(unaccepted, Outcome::Exception(e) if e.vector == 14), "{unaccepted:?}");
    assert_eq!(server.accept(accepted, DYNAMIC), Ok(Returned::OK));
    let mut run = fresh;
    assert_eq!(enclave.enter(&mut run), Outcome::Exited);
    assert_eq!(run.rdi, stack(0));
    assert_eq!(fault(server.read(DYNAMIC)), (0x8005, DYNAMIC), "a TCS cannot be read");
    protection(server.accept(accepted, DYNAMIC + 4096));
}

/// EACCEPTCOPY fills a pending page.
pub fn accept_copy(backend: &dyn Backend) {
    let server = Server::new(backend);
    server.write(u64::from(DATA) + 0x1ff8, 99).expect("writable");
    let source = u64::from(DATA) + 0x1000;
    let rx = SecInfoFlags::R | SecInfoFlags::X | SecInfoFlags::PT_REG;
    let copy =
        |flags: SecInfoFlags, to, from| server.leaf(Enclu::Eacceptcopy, flags.bits(), to, from);
    assert_eq!(copy(rx, DYNAMIC, source), Ok(Returned::OK));
    assert_eq!(server.read(DYNAMIC + 0xff8), Ok(99));
    assert_eq!(fault(server.write(DYNAMIC, 1)), (0x8007, DYNAMIC));
    assert_eq!(copy(rx, DYNAMIC, source), Ok(Returned::error(MISMATCH)));
    for (page, from) in [(2, DYNAMIC), (3, DYNAMIC + 2 * 4096), (1, DYNAMIC + 3 * 4096)] {
        assert_eq!(copy(RW, DYNAMIC + page * 4096, from), Ok(Returned::OK), "a copy of a copy");
        assert_eq!(server.write(DYNAMIC + page * 4096, page), Ok(()));
        assert_eq!(server.read(DYNAMIC + page * 4096 + 0xff8), Ok(99));
    }
    assert_eq!(server.read(DYNAMIC), Ok(0));
    protection(copy(rx | SecInfoFlags::PENDING, DYNAMIC + 0x5000, source));
    protection(copy(rx, DYNAMIC + 0x5000, source + 8));
    assert_eq!(
        fault(copy(rx, DYNAMIC + 0x5000, DYNAMIC + 0x10_0000)),
        (0x8005, DYNAMIC + 0x10_0000)
    );
}

/// What the driver refuses by itself.
pub fn driver_refusals(backend: &dyn Backend) {
    let page = DATA.into()..u64::from(DATA) + 4096;
    let errno = |result: Result<(), Refused>| result.expect_err("a refusal").errno;
    let raw = Specimen::add(&Server::specimen(backend), backend).expect("good pages");
    assert_eq!(errno(raw.modify_types(page.clone(), PageType::Trim)), Errno::EINVAL, "too early");
    drop(raw);
    let server = Server::new(backend);
    let enclave = &server.0;
    let r = SecInfoFlags::R;
    assert_eq!(errno(enclave.restrict_permissions(page.clone(), SecInfoFlags::W)), Errno::EINVAL);
    assert_eq!(errno(enclave.restrict_permissions(8..4104, r)), Errno::EINVAL);
    assert_eq!(errno(enclave.restrict_permissions(SIZE..SIZE + 4096, r)), Errno::EINVAL);
    assert_eq!(errno(enclave.restrict_permissions(4096..4096, r)), Errno::EINVAL);
    assert_eq!(errno(enclave.restrict_permissions(DYNAMIC..DYNAMIC + 4096, r)), Errno::EFAULT);
    assert_eq!(errno(enclave.restrict_permissions(tcs(0)..tcs(0) + 4096, r)), Errno::EINVAL);
    assert_eq!(errno(enclave.modify_types(page.clone(), PageType::Reg)), Errno::EINVAL);
    let past_end = u64::from(DATA) + 3 * 4096..u64::from(DATA) + 5 * 4096;
    let half = enclave.modify_types(past_end, PageType::Trim).expect_err("four pages only");
    assert_eq!((half.errno, half.done), (Errno::EFAULT, 4096));
    let pending = u64::from(DATA) + 3 * 4096..u64::from(DATA) + 4 * 4096;
    let again = enclave.modify_types(pending, PageType::Tcs).expect_err("it is modified");
    assert_eq!(again.errno, Errno::EINVAL, "neither regular nor TCS");
}
