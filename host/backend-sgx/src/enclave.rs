//! An enclave of the driver.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};

use backend::{
    ENTRY_FLAGS, Enclave, EnterLeaf, Errno, Exception, ExitHandler, KickHandler, Operation,
    Outcome, Refused, Run, Source,
};
use sgx_types::{PAGE_SIZE, PageType, SecInfo, SecInfoFlags, Secs, SgxError, Sigstruct};

use crate::ioctl::{
    self, AddPages, Create, Init, MEASURE, ModifyTypes, RemovePages, RestrictPermissions,
};
use crate::kick;
use crate::vdso::{self, EENTER, EEXIT, ERESUME, EnclaveRun, Registers, Vdso};

const PAGE: u64 = PAGE_SIZE as u64;

/// Lowest address that can be mapped: the usual `vm.mmap_min_addr`.
const LOWEST: u64 = 0x1_0000;

/// Pages that one ioctl adds: their copies have to be page aligned.
const BATCH: usize = 64;

#[derive(Clone, Copy)]
#[repr(C, align(4096))]
struct Page([u8; PAGE_SIZE]);

/// See the module.
pub(crate) struct SgxEnclave {
    file: File,
    base: u64,
    range: Range<u64>,
    /// Static pages: offsets and protection.
    added: Mutex<Vec<(Range<u64>, i32)>>,
    vdso: Vdso,
    enter: u64,
}

fn errno(error: &io::Error) -> Errno {
    Errno(error.raw_os_error().unwrap_or(libc::EIO))
}

/// Maps `range` anew.
fn map(range: &Range<u64>, protection: i32, flags: i32, file: i32) -> io::Result<()> {
    let len = (range.end - range.start) as usize;
    // SAFETY: the range is ELRANGE's: free before it was reserved (MAP_FIXED_NOREPLACE), and ours since.
    let got = unsafe { libc::mmap(range.start as *mut _, len, protection, flags, file, 0) } as u64;
    if got == range.start { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl SgxEnclave {
    /// ECREATE.
    pub(crate) fn create(file: File, secs: &Secs, vdso: Vdso, enter: u64) -> Result<Self, Refused> {
        let refuse = |error: io::Error| {
            Refused::new(Operation::Create, errno(&error), format!("ECREATE: {error}"))
        };
        let range = secs.base.max(LOWEST)..secs.base.saturating_add(secs.size);
        if range.is_empty() {
            return Err(refuse(io::Error::from_raw_os_error(libc::EINVAL)));
        }
        let reserve = libc::MAP_PRIVATE
            | libc::MAP_ANONYMOUS
            | libc::MAP_NORESERVE
            | libc::MAP_FIXED_NOREPLACE;
        map(&range, libc::PROT_NONE, reserve, -1).map_err(refuse)?;
        let added = Mutex::default();
        let enclave = Self { file, base: secs.base, range, added, vdso, enter };
        let mut request = Create { src: std::ptr::from_ref(secs) as u64 };
        ioctl::perform(&enclave.file, &mut request).map_err(refuse)?;
        Ok(enclave)
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Adds some pages; how many bytes, and how it ended.
    fn add_batch(
        &self,
        offset: u64,
        secinfo: &SecInfo,
        pages: &[Page],
        measure: bool,
    ) -> (u64, io::Result<()>) {
        let length = size_of_val(pages) as u64;
        let mut done = 0;
        while done < length {
            let mut request = AddPages {
                src: pages.as_ptr() as u64 + done,
                offset: offset + done,
                length: length - done,
                secinfo: std::ptr::from_ref(secinfo) as u64,
                flags: if measure { MEASURE } else { 0 },
                count: 0,
            };
            let result = ioctl::perform(&self.file, &mut request);
            done += request.count;
            match result {
                Err(error) if !is_transient(&error) => return (done, Err(error)),
                _ => {}
            }
        }
        (done, Ok(()))
    }

    /// Makes the enclave's pages reachable: those that were added, and room for those to come.
    fn map_pages(&self) -> io::Result<()> {
        let flags = libc::MAP_SHARED | libc::MAP_FIXED;
        let all = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        let file = self.file.as_raw_fd();
        let mut added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        added.sort_unstable_by_key(|(offsets, _)| offsets.start);
        let mut start = self.range.start;
        for (offsets, protection) in added.iter() {
            let range = self.base + offsets.start..self.base + offsets.end;
            if start < range.start {
                map(&(start..range.start), all, flags, file)?;
            }
            map(&range, *protection, flags, file)?;
            start = range.end;
        }
        if start < self.range.end {
            map(&(start..self.range.end), all, flags, file)?;
        }
        Ok(())
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN))
}

/// The protection that the driver allows a page that is added so.
fn protection(flags: SecInfoFlags) -> i32 {
    if flags.page_type() == Some(PageType::Tcs) {
        return libc::PROT_READ | libc::PROT_WRITE;
    }
    let bit = |flag, protection| if flags.contains(flag) { protection } else { 0 };
    bit(SecInfoFlags::R, libc::PROT_READ)
        | bit(SecInfoFlags::W, libc::PROT_WRITE)
        | bit(SecInfoFlags::X, libc::PROT_EXEC)
}

/// A request on a range of pages that reports how far it came.
trait RangeRequest: ioctl::Request {
    /// The rest of the work after `count` bytes.
    fn after(&self, count: u64) -> Self;
    fn count(&self) -> u64;
    fn length(&self) -> u64;
    fn result(&self) -> u64;
}

macro_rules! range_request {
    ($name:ident, $result:expr $(, $field:ident)*) => {
        impl RangeRequest for $name {
            fn after(&self, count: u64) -> Self {
                Self {
                    offset: self.offset + count,
                    length: self.length - count,
                    $($field: self.$field,)*
                    ..Self::default()
                }
            }
            fn count(&self) -> u64 {
                self.count
            }
            fn length(&self) -> u64 {
                self.length
            }
            fn result(&self) -> u64 {
                let result: fn(&Self) -> u64 = $result;
                result(self)
            }
        }
    };
}
range_request!(RestrictPermissions, |request| request.result, permissions);
range_request!(ModifyTypes, |request| request.result, page_type);
range_request!(RemovePages, |_| 0);

/// Performs a request on a range, going on where a signal stopped it.
fn perform_range<T: RangeRequest>(
    file: &File,
    operation: Operation,
    mut request: T,
) -> Result<(), Refused> {
    let mut done = 0;
    loop {
        let result = ioctl::perform(file, &mut request);
        done += request.count();
        match result {
            Ok(()) if request.count() >= request.length() => return Ok(()),
            Err(error) if !is_transient(&error) => {
                let code = u32::try_from(request.result()).ok().and_then(SgxError::from_bits);
                let refused = Refused::new(operation, errno(&error), error.to_string());
                return Err(Refused { code, ..refused }.after(done));
            }
            _ => request = request.after(request.count()),
        }
    }
}

fn length(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

impl Enclave for SgxEnclave {
    fn add_pages(
        &self,
        offset: u64,
        secinfo: &SecInfo,
        source: Source<'_>,
        measure: bool,
    ) -> Result<(), Refused> {
        let len = source.len();
        let refuse = |error: &io::Error, done| {
            let reason = format!("{len:#x} bytes at {offset:#x}: {error}");
            Refused::new(Operation::AddPages, errno(error), reason).after(done)
        };
        if len == 0 || !len.is_multiple_of(PAGE) {
            return Err(refuse(&io::Error::from_raw_os_error(libc::EINVAL), 0));
        }
        let mut done = 0;
        let mut pages = vec![Page([0; PAGE_SIZE]); BATCH.min((len / PAGE) as usize)];
        while done < len {
            let count = pages.len().min(((len - done) / PAGE) as usize);
            if let Source::Bytes(bytes) = source {
                let chunks = bytes[done as usize..].chunks_exact(PAGE_SIZE);
                pages
                    .iter_mut()
                    .zip(chunks)
                    .for_each(|(page, chunk)| page.0.copy_from_slice(chunk));
            }
            let (added, result) = self.add_batch(offset + done, secinfo, &pages[..count], measure);
            done += added;
            result.map_err(|error| refuse(&error, done))?;
        }
        let mut all = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((offset..offset + len, protection(secinfo.flags)));
        Ok(())
    }

    fn init(&self, sigstruct: &Sigstruct) -> Result<(), Refused> {
        let refuse = |error: io::Error| {
            Refused::new(Operation::Init, errno(&error), format!("EINIT: {error}"))
        };
        let mut request = Init { sigstruct: std::ptr::from_ref(sigstruct) as u64 };
        while let Err(error) = ioctl::perform(&self.file, &mut request) {
            if !is_transient(&error) {
                return Err(refuse(error));
            }
        }
        self.map_pages().map_err(refuse)
    }

    fn enter_with(&self, run: &mut Run, handler: Option<&ExitHandler>) -> Outcome {
        let function = match run.leaf {
            EnterLeaf::Eenter => EENTER,
            EnterLeaf::Eresume => ERESUME,
        };
        let mut state = EnclaveRun::new(run.tcs, handler);
        let mut registers = Registers {
            rdi: run.rdi,
            rsi: run.rsi,
            rdx: run.rdx,
            r8: run.r8,
            r9: run.r9,
            function: function.into(),
            run: &mut state,
            target: self.enter,
            flags: 2 | run.flags & ENTRY_FLAGS,
        };
        // SAFETY: the target is the vDSO's function, and the structures are its. What the enclave does
        // to memory of this process is its right: it is trusted more than we are.
        let result = unsafe { vdso::enter(&mut registers) };
        assert_eq!(result, 0, "the vDSO refuses leaf {function}");
        if state.function == EEXIT {
            (run.rdi, run.rsi, run.rdx) = (registers.rdi, registers.rsi, registers.rdx);
            (run.r8, run.r9) = (registers.r8, registers.r9);
            return Outcome::Exited;
        }
        let inside = state.function == ERESUME;
        Outcome::Exception(Exception {
            leaf: if inside { EnterLeaf::Eresume } else { EnterLeaf::Eenter },
            vector: state.exception_vector,
            error_code: state.exception_error_code,
            address: state.exception_addr,
        })
    }

    fn restrict_permissions(
        &self,
        range: Range<u64>,
        permissions: SecInfoFlags,
    ) -> Result<(), Refused> {
        let request = RestrictPermissions {
            offset: range.start,
            length: length(&range),
            permissions: permissions.bits(),
            ..RestrictPermissions::default()
        };
        perform_range(&self.file, Operation::RestrictPermissions, request)
    }

    fn modify_types(&self, range: Range<u64>, page_type: PageType) -> Result<(), Refused> {
        let request = ModifyTypes {
            offset: range.start,
            length: length(&range),
            page_type: page_type as u64,
            ..ModifyTypes::default()
        };
        perform_range(&self.file, Operation::ModifyTypes, request)
    }

    fn remove_pages(&self, range: Range<u64>) -> Result<(), Refused> {
        let request =
            RemovePages { offset: range.start, length: length(&range), ..RemovePages::default() };
        perform_range(&self.file, Operation::RemovePages, request)
    }

    fn install_kick(&self, signal: i32, handler: KickHandler) -> Result<(), Refused> {
        kick::install(&self.vdso, signal, handler)
    }
}

impl Drop for SgxEnclave {
    fn drop(&mut self) {
        let len = (self.range.end - self.range.start) as usize;
        // SAFETY: the range was mapped by `create`, and no thread is inside any more.
        unsafe { libc::munmap(self.range.start as *mut _, len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protections_are_what_the_driver_allows() {
        let rx = SecInfoFlags::PT_REG | SecInfoFlags::R | SecInfoFlags::X;
        assert_eq!(protection(rx), libc::PROT_READ | libc::PROT_EXEC);
        assert_eq!(protection(SecInfoFlags::PT_TCS), libc::PROT_READ | libc::PROT_WRITE);
    }

    #[test]
    fn requests_go_on_where_they_stopped() {
        let request =
            ModifyTypes { offset: 0x1000, length: 0x5000, page_type: 4, result: 9, count: 0x2000 };
        let rest = request.after(request.count());
        let ModifyTypes { offset, length, page_type, result, count } = rest;
        assert_eq!((offset, length, page_type, result, count), (0x3000, 0x3000, 4, 0, 0));
    }

    /// A file that is no driver refuses, with what it says, and nothing is left behind.
    #[test]
    fn refusals_are_passed_on() {
        let file = || File::open("/dev/null").expect("it is there");
        let secs = Secs { size: 1 << 20, base: 1 << 45, ..Secs::default() };
        let vdso = Vdso::find().expect("Linux has one");
        for _ in 0..2 {
            let refused = SgxEnclave::create(file(), &secs, vdso.clone(), 0).err();
            assert_eq!(refused.map(|refused| refused.errno), Some(Errno(libc::ENOTTY)));
        }
        let request = RemovePages { offset: 0, length: 4096, count: 0 };
        let refused =
            perform_range(&file(), Operation::RemovePages, request).expect_err("no driver");
        assert_eq!((refused.errno, refused.done), (Errno(libc::ENOTTY), 0));
    }
}
