//! The system calls and instructions that the emulator needs.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::{io, mem, ptr};

use sgx_types::Xfrm;

/// FS base of the calling thread.
pub(crate) fn fs_base() -> u64 {
    let base;
    // SAFETY: FSGSBASE was checked when the backend was made; the instruction only reads.
    unsafe { asm!("rdfsbase {}", out(reg) base, options(nomem, nostack, preserves_flags)) };
    base
}

/// GS base of the calling thread.
pub(crate) fn gs_base() -> u64 {
    let base;
    // SAFETY: as for `fs_base`.
    unsafe { asm!("rdgsbase {}", out(reg) base, options(nomem, nostack, preserves_flags)) };
    base
}

/// A stack pointer of the calling function.
pub(crate) fn stack_pointer() -> u64 {
    let pointer;
    // SAFETY: the instruction only reads.
    unsafe { asm!("mov {}, rsp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer
}

/// Whether user mode may read and write the FS and GS bases (AT_HWCAP2, bit 1).
pub(crate) fn has_fsgsbase() -> bool {
    auxiliary(libc::AT_HWCAP2) & 2 != 0
}

/// Where the program headers of the program that this process runs are.
pub(crate) fn program_headers() -> u64 {
    auxiliary(libc::AT_PHDR)
}

/// An entry of the auxiliary vector; 0 without one.
fn auxiliary(entry: u64) -> u64 {
    // SAFETY: getauxval has no preconditions.
    unsafe { libc::getauxval(entry) }
}

/// Whether XSAVEOPT is there (CPUID leaf 0DH, sub-leaf 1).
pub(crate) fn has_xsaveopt() -> bool {
    __cpuid(1).ecx & 1 << 27 != 0 && __cpuid_count(13, 1).eax & 1 != 0
}

/// Components of vector state that the emulator keeps: those of XCR0, except for protection keys, which
/// the host does not change, and for tiles, which Linux gives only to processes that ask.
pub(crate) fn xfeatures() -> u64 {
    static FEATURES: OnceLock<u64> = OnceLock::new();
    let without = Xfrm::PKRU | Xfrm::TILECFG | Xfrm::TILEDATA;
    // SAFETY: XSAVE was checked when the backend was made.
    *FEATURES.get_or_init(|| unsafe { _xgetbv(0) } & !without.bits())
}

/// Turns Syscall User Dispatch on: only instructions in `allowed` may make system calls. Or off.
pub(crate) fn dispatch_syscalls(allowed: Option<Range<u64>>) -> bool {
    const PR_SET_SYSCALL_USER_DISPATCH: i32 = 59;
    let (on, range) = allowed.map_or((0u64, 0..0), |range| (1, range));
    let len = range.end - range.start;
    // SAFETY: the call touches no memory; no selector is given.
    unsafe { libc::prctl(PR_SET_SYSCALL_USER_DISPATCH, on, range.start, len, 0u64) == 0 }
}

/// Makes the memory the signal stack of the calling thread; returns the former one.
pub(crate) fn install_stack(start: usize, len: usize) -> libc::stack_t {
    // SAFETY: the caller owns that memory for the life of the thread.
    unsafe {
        let new = libc::stack_t { ss_sp: start as *mut _, ss_flags: 0, ss_size: len };
        let mut old = mem::zeroed();
        assert_eq!(libc::sigaltstack(&new, &mut old), 0, "sigaltstack refuses a stack");
        old
    }
}

/// Puts back what `install_stack` returned.
pub(crate) fn restore_stack(old: &libc::stack_t) {
    // SAFETY: the former stack is still there: its owner is the thread itself.
    unsafe { libc::sigaltstack(old, ptr::null_mut()) };
}

/// Reserves address space at a multiple of `align`, without access.
pub(crate) fn reserve_aligned(len: usize, align: usize) -> usize {
    let start = reserve(0, (len + align) as u64).expect("there is address space");
    (start as usize).next_multiple_of(align)
}

/// The same, shown as `/memfd:NAME` in `/proc/self/maps`.
pub(crate) fn reserve_named(name: &CStr, len: usize, align: usize) -> usize {
    // SAFETY: a new file of memory, mapped at a place of the kernel's choice; the mapping keeps it.
    let start = unsafe {
        let file = libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC);
        assert!(file >= 0, "memfd_create: {}", io::Error::last_os_error());
        let file = OwnedFd::from_raw_fd(file);
        let size = len + align;
        assert_eq!(libc::ftruncate(file.as_raw_fd(), size as libc::off_t), 0, "ftruncate");
        let flags = libc::MAP_PRIVATE | libc::MAP_NORESERVE;
        libc::mmap(ptr::null_mut(), size, libc::PROT_NONE, flags, file.as_raw_fd(), 0)
    };
    assert!(start != libc::MAP_FAILED, "mmap: {}", io::Error::last_os_error());
    (start as usize).next_multiple_of(align)
}

/// Reserves address space without access; at exactly `address` unless that is 0.
pub(crate) fn reserve(address: u64, len: u64) -> io::Result<u64> {
    map(address, len, libc::PROT_NONE)
}

/// Maps zeroed memory that costs nothing until it is touched.
pub(crate) fn map(address: u64, len: u64, protection: i32) -> io::Result<u64> {
    let fixed = if address == 0 { 0 } else { libc::MAP_FIXED_NOREPLACE };
    let got = map_anonymous(address, len, protection, fixed);
    if got == u64::MAX {
        return Err(io::Error::last_os_error());
    }
    if address != 0 && got != address {
        unmap(got, len);
        return Err(io::Error::from_raw_os_error(libc::EEXIST));
    }
    Ok(got)
}

/// Unmaps memory that this crate mapped.
pub(crate) fn unmap(address: u64, len: u64) {
    // SAFETY: the callers unmap only what they mapped, when nobody uses it any more.
    unsafe { libc::munmap(address as *mut _, len as usize) };
}

/// Moves memory to addresses that this crate reserved, in place of what is there; whether it could be.
/// The kernel refuses before it does anything when there would be too many mappings.
pub(crate) fn move_pages(from: u64, to: u64, len: u64) -> bool {
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    let (bytes, target) = (len as usize, to as *mut libc::c_void);
    // SAFETY: both ranges are this crate's own, and nothing points to the memory that goes away.
    let got = unsafe { libc::mremap(from as *mut _, bytes, bytes, flags, target) };
    got == target
}

/// Puts new memory without access in place of memory that this crate mapped; whether that could be.
pub(crate) fn reserve_again(address: u64, len: u64) -> bool {
    map_anonymous(address, len, libc::PROT_NONE, libc::MAP_FIXED) == address
}

/// Maps part of a file, which is not written to meanwhile, in place of memory that this crate mapped; whether
/// that could be.
pub(crate) fn map_file(address: u64, len: u64, protection: i32, file: (&File, u64)) -> bool {
    let (file, offset) = file;
    mmap(address, len, protection, libc::MAP_FIXED | libc::MAP_POPULATE, (file.as_raw_fd(), offset))
        == address
}

/// mmap of memory; `u64::MAX` when it fails.
fn map_anonymous(address: u64, len: u64, protection: i32, fixed: i32) -> u64 {
    let flags = libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | fixed;
    mmap(address, len, protection, flags, (-1, 0))
}

fn mmap(address: u64, len: u64, protection: i32, flags: i32, file: (i32, u64)) -> u64 {
    let (len, flags, offset) = (len as usize, libc::MAP_PRIVATE | flags, file.1 as libc::off_t);
    // SAFETY: nothing is replaced but, with MAP_FIXED, memory that this crate mapped, of which the owner
    // gave up the contents.
    unsafe { libc::mmap(address as *mut _, len, protection, flags, file.0, offset) as u64 }
}

/// Changes the protection of memory that this crate mapped; whether it could be. The kernel refuses
/// when it runs out of mappings or memory.
pub(crate) fn try_protect(address: u64, len: u64, protection: i32) -> bool {
    // SAFETY: only memory that this crate mapped is changed.
    unsafe { libc::mprotect(address as *mut _, len as usize, protection) == 0 }
}

/// The same; ends the process when the kernel refuses: the enclave cannot go on as it should.
pub(crate) fn protect(address: u64, len: u64, protection: i32) {
    if !try_protect(address, len, protection) {
        eprintln!(
            "scone: mprotect({address:#x}, {len:#x}): {}; is vm.max_map_count (see sysctl) very small?",
            io::Error::last_os_error()
        );
        std::process::abort();
    }
}

/// Gives advice about memory that this crate mapped; whether it was taken.
pub(crate) fn advise(address: u64, len: u64, advice: i32) -> bool {
    // SAFETY: only memory that this crate mapped is meant, and its owner gave up the contents where
    // the advice destroys them.
    unsafe { libc::madvise(address as *mut _, len as usize, advice) == 0 }
}

/// The memory of this process, past all protection; `None` where the kernel does not give it.
fn memory() -> Option<&'static File> {
    static MEMORY: OnceLock<Option<File>> = OnceLock::new();
    let open = || OpenOptions::new().read(true).write(true).open("/proc/self/mem").ok();
    MEMORY.get_or_init(open).as_ref()
}

/// Copies pages to where nobody sees them, past the protection of both.
pub(crate) fn copy_hidden(from: u64, to: u64, len: u64) -> io::Result<()> {
    let memory = memory().ok_or(io::ErrorKind::Unsupported)?;
    let mut some = [0; 16384];
    for done in (0..len).step_by(some.len()) {
        let left = len - done;
        let part = &mut some[..left.min(16384) as usize];
        memory.read_exact_at(part, from + done)?;
        memory.write_all_at(part, to + done)?;
    }
    Ok(())
}
