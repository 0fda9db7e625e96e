//! Dynamic pages (EDMM): EACCEPT, EACCEPTCOPY and EMODPE (SDM 37, "SGX2").

use alloc::vec::Vec;

use hostcall_abi::layout::{HEAP_BASE, HEAP_END, PAGE, USER_BASE, USER_END};
use sgx_types::{Enclu, SecInfo, SecInfoFlags};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{app::to_usize, asm::scone_enclu, fatal};

/// Ends the enclave if EACCEPT or EACCEPTCOPY has refused a page with `code`: the host changed it behind our
/// back. Where it has no memory, it cannot resolve the fault of the leaf instead. Were it an error, some pages
/// would be accepted that nobody knows of, and the host could put others in their place later.
fn check(code: u64) {
    if code != 0 {
        fatal("the host misbehaved: it changed pages of the enclave");
    }
}

/// Calls `f` for each page; for `last`, if that is one of them, after all others.
fn for_each_page(start: u64, len: u64, last: Option<u64>, mut f: impl FnMut(u64)) {
    let inside = |low: u64, high: u64| start >= low && start <= high && len <= high - start;
    assert!(start.is_multiple_of(PAGE) && len.is_multiple_of(PAGE));
    assert!(inside(USER_BASE, USER_END) || inside(HEAP_BASE, HEAP_END));
    let pages = || (0..len / PAGE).map(|index| start + index * PAGE);
    pages().filter(|&page| Some(page) != last).for_each(&mut f);
    pages().filter(|&page| Some(page) == last).for_each(f);
}

fn accept_with(start: u64, len: u64, last: Option<u64>, flags: SecInfoFlags) {
    let info = SecInfo::new(flags);
    for_each_page(start, len, last, |address| {
        // SAFETY: EACCEPT only changes the state of a page in the program's or the heap's area
        // (asserted above) that waits for it; `info` is aligned and lives through the call.
        let code =
            unsafe { scone_enclu(Enclu::Eaccept as u64, &raw const info as u64, address, 0) };
        check(code);
    });
}

/// Accepts new pages, which are zero, readable and writable; the page at `last` after all others. A
/// thread that waits for one page then finds all of them when it is there.
pub fn accept_new(start: u64, len: u64, last: Option<u64>) {
    let flags = SecInfoFlags::PT_REG | SecInfoFlags::R | SecInfoFlags::W | SecInfoFlags::PENDING;
    accept_with(start, len, last, flags);
}

/// Accepts pages whose permissions the host restricted (EMODPR) to `permissions` (R, W, X).
pub fn accept_restricted(start: u64, len: u64, permissions: SecInfoFlags) {
    accept_with(start, len, None, SecInfoFlags::PT_REG | SecInfoFlags::PR | permissions);
}

/// Accepts pages that the host marked for removal (EMODT to PT_TRIM).
pub fn accept_trimmed(start: u64, len: u64) {
    accept_with(start, len, None, SecInfoFlags::PT_TRIM | SecInfoFlags::MODIFIED);
}

/// Extends the permissions of pages (EMODPE). It has no error codes: what it dislikes it faults.
pub fn extend(start: u64, len: u64, permissions: SecInfoFlags) {
    let info = SecInfo::new(SecInfoFlags::PT_REG | permissions);
    for_each_page(start, len, None, |address| {
        // SAFETY: EMODPE adds permissions to a page of the program or the heap.
        unsafe { scone_enclu(Enclu::Emodpe as u64, &raw const info as u64, address, 0) };
    });
}

/// One page of bytes.
#[derive(Clone, Debug, FromBytes, Immutable, IntoBytes)]
#[repr(C, align(4096))]
struct Page([u8; to_usize(PAGE)]);

/// Whole pages of the runtime's heap, as the source of [`accept_copy`]. To be kept and used again: new
/// ones have to be cleared.
#[derive(Debug, Default)]
pub struct PageBuffer(Vec<Page>);

impl PageBuffer {
    /// Has at least `len` bytes from now on. They hold what they held, and zeros.
    pub fn grow(&mut self, len: u64) {
        let pages = to_usize(len.div_ceil(PAGE));
        if pages > self.0.len() {
            // What it held need not be copied, if nobody wants it.
            self.0 = Vec::new();
            self.0.resize(pages, Page([0; to_usize(PAGE)]));
        }
    }
}

impl AsRef<[u8]> for PageBuffer {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl AsMut<[u8]> for PageBuffer {
    fn as_mut(&mut self) -> &mut [u8] {
        self.0.as_mut_bytes()
    }
}

/// Accepts new pages with the contents of `source` from its page `first` on, and `permissions`: no
/// thread can see them before they are complete. The page at `last` comes after all others.
///
/// # Panics
///
/// If `source` has fewer pages than that.
pub fn accept_copy(
    start: u64,
    len: u64,
    last: Option<u64>,
    (source, first): (&PageBuffer, u64),
    permissions: SecInfoFlags,
) {
    let info = SecInfo::new(SecInfoFlags::PT_REG | permissions);
    for_each_page(start, len, last, |address| {
        let page = &source.0[to_usize(first + (address - start) / PAGE)];
        // SAFETY: EACCEPTCOPY fills a page that waits for it from one of our own.
        let code = unsafe {
            scone_enclu(
                Enclu::Eacceptcopy as u64,
                &raw const info as u64,
                address,
                &raw const *page as u64,
            )
        };
        check(code);
    });
}
