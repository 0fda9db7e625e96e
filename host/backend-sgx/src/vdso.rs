//! `__vdso_sgx_enter_enclave`: where it is, and how it is called.

use std::arch::naked_asm;
use std::mem::offset_of;
use std::ops::Range;
use std::slice;

use backend::ExitHandler;
use object::elf;
use object::read::elf::{ElfFile64, ProgramHeader};
use object::{Endianness, Object, ObjectSymbol};

/// ENCLU leaves as the function tells them.
pub(crate) const EENTER: u32 = 2;
/// See above.
pub(crate) const ERESUME: u32 = 3;
/// See above.
pub(crate) const EEXIT: u32 = 4;

/// `struct sgx_enclave_run`.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct EnclaveRun {
    pub(crate) tcs: u64,
    pub(crate) function: u32,
    pub(crate) exception_vector: u16,
    pub(crate) exception_error_code: u16,
    pub(crate) exception_addr: u64,
    pub(crate) user_handler: u64,
    pub(crate) user_data: u64,
    pub(crate) reserved: [u8; 216],
}

impl EnclaveRun {
    /// For an entry through `tcs`; exits go to `handler`.
    pub(crate) fn new(tcs: u64, handler: Option<&ExitHandler>) -> Self {
        let address = |handler| std::ptr::from_ref::<ExitHandler>(handler) as u64;
        Self {
            tcs,
            function: 0,
            exception_vector: 0,
            exception_error_code: 0,
            exception_addr: 0,
            user_handler: handler.map_or(0, |_| on_exit as *const () as u64),
            user_data: handler.map_or(0, address),
            reserved: [0; 216],
        }
    }
}

/// `sgx_enclave_user_handler_t`: after EEXIT to our handler, after exceptions back to Rust.
#[unsafe(naked)]
extern "C" fn on_exit() {
    naked_asm!(
        "mov rax, [rsp + 8]", // struct sgx_enclave_run
        "cmp dword ptr [rax + 8], {EEXIT}",
        "jne 1f",
        "mov rax, [rax + {USER_DATA}]",
        "mov rcx, [rax + {DATA}]",
        "jmp [rax + {FUNCTION}]",
        "1:",
        "xor eax, eax",
        "ret",
        EEXIT = const EEXIT,
        USER_DATA = const offset_of!(EnclaveRun, user_data),
        DATA = const offset_of!(ExitHandler, data),
        FUNCTION = const offset_of!(ExitHandler, function),
    )
}

/// What `enter` passes in and gets back; the assembler part knows the layout.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Registers {
    pub(crate) rdi: u64,
    pub(crate) rsi: u64,
    pub(crate) rdx: u64,
    pub(crate) r8: u64,
    pub(crate) r9: u64,
    /// EENTER or ERESUME.
    pub(crate) function: u64,
    pub(crate) run: *mut EnclaveRun,
    /// Address of the vDSO's function.
    pub(crate) target: u64,
    /// RFLAGS for the call.
    pub(crate) flags: u64,
}

/// Calls the vDSO's function. It gives no guarantee about registers, since an enclave can leave
/// anything in them; so all that Rust expects to survive is saved here, and the flags, x87 and SSE
/// control words set to what it expects.
///
/// # Safety
/// `registers` must hold what the function expects.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn enter(registers: *mut Registers) -> i32 {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 24",
        "stmxcsr [rsp]",
        "fnstcw [rsp + 4]",
        "push rdi",
        "push [rdi + 48]",
        "mov rax, rdi",
        "mov rdi, [rax]",
        "mov rsi, [rax + 8]",
        "mov rdx, [rax + 16]",
        "mov r8, [rax + 24]",
        "mov r9, [rax + 32]",
        "mov ecx, [rax + 40]",
        "push [rax + 64]",
        "popfq",
        "call [rax + 56]",
        "push 2",
        "popfq",
        "add rsp, 8",
        "pop rcx",
        "mov [rcx], rdi",
        "mov [rcx + 8], rsi",
        "mov [rcx + 16], rdx",
        "mov [rcx + 24], r8",
        "mov [rcx + 32], r9",
        "ldmxcsr [rsp]",
        "fldcw [rsp + 4]",
        "add rsp, 24",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// The vDSO of this process.
#[derive(Clone, Debug)]
pub(crate) struct Vdso {
    image: &'static [u8],
}

impl Vdso {
    /// Finds it through the auxiliary vector.
    pub(crate) fn find() -> Option<Self> {
        // SAFETY: getauxval has no preconditions.
        let base = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) };
        if base == 0 {
            return None;
        }
        // SAFETY: the kernel maps at least the page with all headers there, for good.
        let head = unsafe { slice::from_raw_parts(base as *const u8, 4096) };
        let len = loaded_size(head)?;
        // SAFETY: the kernel maps all loadable parts there, for good.
        Some(Self { image: unsafe { slice::from_raw_parts(base as *const u8, len) } })
    }

    /// Address of a function.
    pub(crate) fn function(&self, name: &str) -> Option<u64> {
        let file = ElfFile64::<Endianness>::parse(self.image).ok()?;
        let symbol = file.dynamic_symbols().find(|symbol| symbol.name() == Ok(name))?;
        Some(self.range().start + symbol.address())
    }

    /// Where it is mapped.
    pub(crate) fn range(&self) -> Range<u64> {
        let start = self.image.as_ptr() as u64;
        start..start + self.image.len() as u64
    }
}

/// End of the loadable parts of the image that starts with `head`.
fn loaded_size(head: &[u8]) -> Option<usize> {
    use object::read::elf::FileHeader;
    let header = elf::FileHeader64::<Endianness>::parse(head).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, head).ok()?;
    let loads = segments.iter().filter(|segment| segment.p_type(endian) == elf::PT_LOAD);
    let end = loads.map(|segment| segment.p_offset(endian) + segment.p_filesz(endian)).max()?;
    // The section headers, if they lie behind: the parser looks at them.
    let sections = header.e_shoff(endian)
        + u64::from(header.e_shnum(endian)) * u64::from(header.e_shentsize(endian));
    usize::try_from(end.max(sections).next_multiple_of(4096)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vdso_is_found_and_can_be_called() {
        let vdso = Vdso::find().expect("Linux has one");
        let address = vdso.function("__vdso_time").expect("so it has on this architecture");
        assert!(vdso.range().contains(&address));
        // SAFETY: that is its type: time_t time(time_t *), which takes null.
        let time: extern "C" fn(u64) -> u64 = unsafe { std::mem::transmute(address) };
        assert!(time(0) > 1_700_000_000);
        assert_eq!(vdso.function("__vdso_no_such_function"), None);
    }

    #[test]
    fn the_wrapper_keeps_what_rust_needs() {
        /// Spoils everything, and returns doubled arguments.
        #[unsafe(naked)]
        extern "C" fn enclave() {
            naked_asm!(
                "mov r10, [rsp + 8]",
                "mov dword ptr [r10 + 8], 4",
                "mov eax, ecx",
                "add rdi, rdi",
                "add rsi, rsi",
                "add rdx, rdx",
                "add r8, r8",
                "add r9, r9",
                "xor r12, r12",
                "xor r13, r13",
                "xor r14, r14",
                "xor r15, r15",
                "std",
                "ret",
            )
        }
        let mut run = EnclaveRun::new(7, None);
        let mut registers = Registers {
            rdi: 1,
            rsi: 2,
            rdx: 3,
            r8: 4,
            r9: 5,
            function: EENTER.into(),
            run: &mut run,
            target: enclave as *const () as u64,
            flags: 2,
        };
        // SAFETY: the function has the calling convention of the vDSO's.
        let result = unsafe { enter(&mut registers) };
        let Registers { rdi, rsi, rdx, r8, r9, .. } = registers;
        assert_eq!((result, rdi, rsi, rdx, r8, r9), (2, 2, 4, 6, 8, 10));
        assert_eq!((run.tcs, run.function), (7, EEXIT));
    }

    /// The vDSO calls it with the run structure on the stack, and goes in again if it says so.
    #[test]
    fn exits_go_to_the_handler() {
        /// Adds the last argument to its data.
        #[unsafe(naked)]
        extern "sysv64" fn answer() {
            naked_asm!("lea rax, [rcx + r9]", "ret")
        }
        /// Calls the handler of the run structure at RCX with RDI...R9.
        #[unsafe(naked)]
        extern "C" fn call(_: u64, _: u64, _: u64, _: &EnclaveRun, _: u64, _: u64) -> i32 {
            naked_asm!("push rcx", "call [rcx + 24]", "pop rcx", "ret")
        }
        let handler = ExitHandler { function: answer as *const () as u64, data: 30 };
        let mut run = EnclaveRun::new(7, Some(&handler));
        run.function = EEXIT;
        assert_eq!(call(1, 2, 3, &run, 4, 5), 35);
        run.function = ERESUME;
        assert_eq!(call(1, 2, 3, &run, 4, 5), 0, "an exception");
        assert_eq!(EnclaveRun::new(7, None).user_handler, 0);
    }

    #[test]
    fn the_run_structure_has_the_kernel_s_size() {
        assert_eq!(size_of::<EnclaveRun>(), 256);
        assert_eq!(std::mem::offset_of!(EnclaveRun, exception_addr), 16);
    }
}
