//! Entry, exits, system calls, and the return to the program.

use core::arch::global_asm;
use core::mem::offset_of;

use hostcall_abi::{
    exit,
    layout::{IMAGE_BASE, thread_data},
};
use sgx_types::Enclu;

use crate::{
    UserRegs,
    data::{self, state},
};

/// Default MXCSR: all exceptions masked.
static MXCSR: u32 = 0x1f80;
/// Default x87 control word.
static X87_CONTROL: u16 = 0x37f;
/// TF, DF, NT and AC.
const UNWANTED_FLAGS: u32 = 0x4_4500;

global_asm!(
    // The emulator may patch these sites after EINIT: three bytes and thirteen nops.
    ".macro SITE_ENCLU",
    ".byte 0x0f, 0x01, 0xd7",
    ".rept 13",
    ".byte 0x90",
    ".endr",
    ".endm",
    ".macro SCRUB_XMM",
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
    "pxor xmm\\n, xmm\\n",
    ".endr",
    ".endm",
    ".macro KNOWN_STATE",
    "push 2",
    "popfq",
    "fninit",
    "ldmxcsr [rip + {MXCSR}]",
    "xor ebp, ebp",
    ".endm",

    // ---------------------------------------------------------------- EENTER
    // RAX = CSSA, RBX = TCS, RCX = where EEXIT shall go, RDI = argument of the first entry.
    // Nothing else is believed: flags, MXCSR, x87 and the stack are the host's.
    ".global _start",
    ".type _start, @function",
    "_start:",
    "cld",
    "cmp rax, 1",
    "je 20f",
    "ja 30f",
    "mov gs:[{HOST_RSP}], rsp",
    "mov gs:[{HOST_RBP}], rbp",
    "mov gs:[{HOST_RIP}], rcx",
    "cmp qword ptr gs:[{STATE}], {IN_CALL}",
    "je scone_call_return",
    "cmp qword ptr gs:[{STATE}], {FRESH}",
    "jne 31f",
    // A fresh thread. Only the first may come without a stack prepared for it.
    "mov rsp, gs:[{SCHED_STACK}]",
    "test rsp, rsp",
    "jnz 10f",
    "cmp qword ptr gs:[{INDEX}], 0",
    "jne 32f",
    "mov qword ptr gs:[{STATE}], {RUNNING}",
    // The lower half: the host may enter for a kick at any time, and that takes the upper one.
    "mov rsp, gs:[{EXC_STACK}]",
    "sub rsp, {HALF_EXC_STACK}",
    "KNOWN_STATE",
    "call {first_start}",
    "ud2",
    "10:",
    "mov qword ptr gs:[{STATE}], {RUNNING}",
    "KNOWN_STATE",
    "call {thread_start}",
    "ud2",

    // An exception or a kick: CSSA 1.
    "20:",
    "mov gs:[{EXC_HOST_RSP}], rsp",
    "mov gs:[{EXC_HOST_RBP}], rbp",
    "mov gs:[{EXC_HOST_RIP}], rcx",
    "mov rsp, gs:[{EXC_STACK}]",
    "KNOWN_STATE",
    "call {first_stage}",
    "mov edi, {RESUME}",
    "xor esi, esi",
    "mov rsp, gs:[{EXC_HOST_RSP}]",
    "mov rbp, gs:[{EXC_HOST_RBP}]",
    "mov rbx, gs:[{EXC_HOST_RIP}]",
    "jmp 40f",

    // Refusals: nothing of the enclave is in any register yet.
    "30:",
    "mov esi, {NESTED}",
    "jmp 33f",
    "31:",
    "mov esi, {NOT_EXPECTED}",
    "jmp 33f",
    "32:",
    "mov esi, {NOT_READY}",
    "mov rsp, gs:[{HOST_RSP}]",
    "33:",
    "mov rbx, rcx",
    "mov edi, {REFUSED}",

    // The way out: RDI, RSI = what to tell; RBX, RSP, RBP are the host's. All else is scrubbed.
    "40:",
    "SCRUB_XMM",
    "ldmxcsr [rip + {MXCSR}]",
    "xor edx, edx; xor ecx, ecx",
    ".irp r, r8,r9,r10,r11,r12,r13,r14,r15",
    "xor \\r, \\r",
    ".endr",
    "mov eax, {EEXIT}",
    "SITE_ENCLU",
    "ud2",

    // ---------------------------------------------------------------- calls outside
    // extern "sysv64" fn scone_call(reason: u64, argument: u64)
    ".global scone_call",
    "scone_call:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "push rax",
    "stmxcsr [rsp]",
    "ldmxcsr [rip + {MXCSR}]",
    "mov gs:[{CALL_RSP}], rsp",
    "rdfsbase rax",
    "mov gs:[{USER_FS}], rax",
    "mov qword ptr gs:[{STATE}], {IN_CALL}",
    "mov rsp, gs:[{HOST_RSP}]",
    "mov rbp, gs:[{HOST_RBP}]",
    "mov rbx, gs:[{HOST_RIP}]",
    "jmp 40b",
    "scone_call_return:",
    "mov qword ptr gs:[{STATE}], {RUNNING}",
    "mov rsp, gs:[{CALL_RSP}]",
    // Flags and x87 state are the host's. What would set them at once takes 30 ns, a look 5.
    "pushfq",
    "pop rax",
    "test eax, {UNWANTED_FLAGS}",
    "jz 41f",
    "push 2",
    "popfq",
    "41:",
    "fnstsw ax",
    "test ax, ax",
    "jz 42f",
    "fninit",
    "42:",
    "emms",
    "fldcw [rip + {X87_CONTROL}]",
    "ldmxcsr [rsp]",
    "mov rax, gs:[{USER_FS}]",
    "wrfsbase rax",
    "pop rax",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",

    // extern "sysv64" fn scone_enclu(leaf: u64, rbx: u64, rcx: u64, rdx: u64) -> u64
    ".global scone_enclu",
    "scone_enclu:",
    "push rbx",
    "mov rax, rdi",
    "mov rbx, rsi",
    "xchg rcx, rdx",
    "SITE_ENCLU",
    "pop rbx",
    "ret",

    // ---------------------------------------------------------------- system calls
    // Rewritten sites jump here with RCX = where to go on. The program's stack is not touched.
    ".global scone_syscall_entry",
    "scone_syscall_entry:",
    "mov gs:[{USER_RSP}], rsp",
    "mov rsp, gs:[{RUNTIME_STACK}]",
    "sub rsp, {FRAME}",
    "mov [rsp + {R15}], r15",
    "mov [rsp + {R14}], r14",
    "mov [rsp + {R13}], r13",
    "mov [rsp + {R12}], r12",
    "mov [rsp + {RBP}], rbp",
    "mov [rsp + {RBX}], rbx",
    "mov [rsp + {R10}], r10",
    "mov [rsp + {R9}], r9",
    "mov [rsp + {R8}], r8",
    "mov [rsp + {RAX}], rax",
    "mov [rsp + {ORIG_RAX}], rax",
    "mov [rsp + {RCX}], rcx",
    "mov [rsp + {RIP}], rcx",
    "mov [rsp + {RDX}], rdx",
    "mov [rsp + {RSI}], rsi",
    "mov [rsp + {RDI}], rdi",
    "mov eax, 0x202",
    "mov [rsp + {R11}], rax",
    "mov [rsp + {RFLAGS}], rax",
    "mov rax, gs:[{USER_RSP}]",
    "mov [rsp + {RSP}], rax",
    "xor eax, eax",
    "mov [rsp + {FLAGS}], rax",
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
    "movaps [rsp + {XMM} + 16 * \\n], xmm\\n",
    ".endr",
    "cld",
    "mov rdi, rsp",
    "call {syscall}",
    // fallthrough

    // ---------------------------------------------------------------- return to the program
    // RSP points to the UserRegs at the top of the runtime stack.
    ".global scone_return_to_user",
    "scone_return_to_user:",
    "mov rdi, rsp",
    "call {before_return}",
    // From here on an exception entry does not just set the flag: it sends us back (see
    // `first_stage`), as the frame still holds all there is to restore.
    ".global scone_return_critical",
    "scone_return_critical:",
    "cmp qword ptr gs:[{RESCHEDULE}], 0",
    "jne scone_return_to_user",
    "test qword ptr [rsp + {FLAGS}], 1",
    "jnz 50f",
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
    "movaps xmm\\n, [rsp + {XMM} + 16 * \\n]",
    ".endr",
    "mov r15, [rsp + {R15}]",
    "mov r14, [rsp + {R14}]",
    "mov r13, [rsp + {R13}]",
    "mov r12, [rsp + {R12}]",
    "mov rbp, [rsp + {RBP}]",
    "mov rbx, [rsp + {RBX}]",
    "mov r10, [rsp + {R10}]",
    "mov r9, [rsp + {R9}]",
    "mov r8, [rsp + {R8}]",
    "mov rax, [rsp + {RAX}]",
    "mov rdx, [rsp + {RDX}]",
    "mov rsi, [rsp + {RSI}]",
    "mov rdi, [rsp + {RDI}]",
    "mov r11, [rsp + {R11}]",
    "mov rcx, [rsp + {RIP}]",
    "mov rsp, [rsp + {RSP}]",
    "jmp rcx",
    // Full return: everything from memory, the target through GS.
    "50:",
    "mov rax, [rsp + {RIP}]",
    "mov gs:[{USER_RIP}], rax",
    "mov rax, [rip + {xrstor_mask}]",
    "mov rdx, rax",
    "shr rdx, 32",
    "mov rcx, gs:[{RUNTIME_STACK}]",
    "xrstor64 [rcx]",
    "push qword ptr [rsp + {RFLAGS}]",
    "popfq",
    "mov r15, [rsp + {R15}]",
    "mov r14, [rsp + {R14}]",
    "mov r13, [rsp + {R13}]",
    "mov r12, [rsp + {R12}]",
    "mov r11, [rsp + {R11}]",
    "mov r10, [rsp + {R10}]",
    "mov r9, [rsp + {R9}]",
    "mov r8, [rsp + {R8}]",
    "mov rbp, [rsp + {RBP}]",
    "mov rbx, [rsp + {RBX}]",
    "mov rax, [rsp + {RAX}]",
    "mov rcx, [rsp + {RCX}]",
    "mov rdx, [rsp + {RDX}]",
    "mov rsi, [rsp + {RSI}]",
    "mov rdi, [rsp + {RDI}]",
    "mov rsp, [rsp + {RSP}]",
    "jmp qword ptr gs:[{USER_RIP}]",
    ".global scone_return_end",
    "scone_return_end:",
    "int3",

    // Where the first stage sends a thread that was interrupted in the critical part. State that
    // may be half restored is thrown away, if the XSAVE area holds it; else the registers do.
    ".global scone_return_again",
    "scone_return_again:",
    "mov rsp, gs:[{RUNTIME_STACK}]",
    "sub rsp, {FRAME}",
    "push 2",
    "popfq",
    "test qword ptr [rsp + {FLAGS}], 1",
    "jz scone_return_to_user",
    "call {reset_xstate}",
    "jmp scone_return_to_user",

    // Where the first stage sends a thread whose program was interrupted: RSP points to the
    // UserRegs, RSI = what happened, RDX = address, RCX = error code.
    ".global scone_second_stage",
    "scone_second_stage:",
    "mov rbx, rsi",
    "mov r12, rdx",
    "mov r13, rcx",
    "call {reset_xstate}",
    "mov rdi, rsp",
    "mov rsi, rbx",
    "mov rdx, r12",
    "mov rcx, r13",
    "call {second_stage}",
    "jmp scone_return_to_user",

    // ---------------------------------------------------------------- context switch
    // extern "sysv64" fn scone_switch(save: *mut u64, load: u64)
    ".global scone_switch",
    "scone_switch:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "push rax",
    "stmxcsr [rsp]",
    "mov [rdi], rsp",
    "mov rsp, rsi",
    "ldmxcsr [rsp]",
    "pop rax",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    // First code of a new thread: R12 = function, R13 = its argument. It returns when the thread
    // may enter the program, whose registers then lie at the top of the runtime stack.
    ".global scone_thread_trampoline",
    "scone_thread_trampoline:",
    "xor ebp, ebp",
    "mov rdi, r13",
    "call r12",
    "mov rsp, gs:[{RUNTIME_STACK}]",
    "sub rsp, {FRAME}",
    "jmp scone_return_to_user",
    // extern "sysv64" fn scone_on_stack(top: u64, f: extern "sysv64" fn() -> !)
    ".global scone_on_stack",
    "scone_on_stack:",
    "mov rsp, rdi",
    "xor ebp, ebp",
    "call rsi",
    "ud2",

    HOST_RSP = const data::HOST_RSP,
    HOST_RBP = const data::HOST_RBP,
    HOST_RIP = const data::HOST_RIP,
    EXC_HOST_RSP = const data::EXC_HOST_RSP,
    EXC_HOST_RBP = const data::EXC_HOST_RBP,
    EXC_HOST_RIP = const data::EXC_HOST_RIP,
    STATE = const data::STATE,
    SCHED_STACK = const data::SCHED_STACK,
    CALL_RSP = const data::CALL_RSP,
    USER_FS = const data::USER_FS,
    USER_RSP = const data::USER_RSP,
    USER_RIP = const data::USER_RIP,
    RUNTIME_STACK = const data::RUNTIME_STACK,
    RESCHEDULE = const data::RESCHEDULE,
    EXC_STACK = const thread_data::EXCEPTION_STACK,
    HALF_EXC_STACK = const crate::exception::HALF_STACK,
    INDEX = const thread_data::INDEX,
    FRESH = const state::FRESH,
    IN_CALL = const state::IN_CALL,
    RUNNING = const state::RUNNING,
    RESUME = const exit::RESUME,
    REFUSED = const exit::REFUSED,
    NESTED = const exit::refused::NESTED,
    NOT_EXPECTED = const exit::refused::NOT_EXPECTED,
    NOT_READY = const exit::refused::NOT_READY,
    EEXIT = const Enclu::Eexit as u32,
    FRAME = const size_of::<UserRegs>(),
    R15 = const offset_of!(UserRegs, r15),
    R14 = const offset_of!(UserRegs, r14),
    R13 = const offset_of!(UserRegs, r13),
    R12 = const offset_of!(UserRegs, r12),
    RBP = const offset_of!(UserRegs, rbp),
    RBX = const offset_of!(UserRegs, rbx),
    R11 = const offset_of!(UserRegs, r11),
    R10 = const offset_of!(UserRegs, r10),
    R9 = const offset_of!(UserRegs, r9),
    R8 = const offset_of!(UserRegs, r8),
    RAX = const offset_of!(UserRegs, rax),
    RCX = const offset_of!(UserRegs, rcx),
    RDX = const offset_of!(UserRegs, rdx),
    RSI = const offset_of!(UserRegs, rsi),
    RDI = const offset_of!(UserRegs, rdi),
    ORIG_RAX = const offset_of!(UserRegs, orig_rax),
    RIP = const offset_of!(UserRegs, rip),
    RFLAGS = const offset_of!(UserRegs, rflags),
    RSP = const offset_of!(UserRegs, rsp),
    FLAGS = const offset_of!(UserRegs, flags),
    XMM = const offset_of!(UserRegs, xmm),
    MXCSR = sym MXCSR,
    X87_CONTROL = sym X87_CONTROL,
    UNWANTED_FLAGS = const UNWANTED_FLAGS,
    xrstor_mask = sym crate::xstate::RESTORE_MASK,
    first_start = sym crate::start::first_start,
    thread_start = sym crate::start::thread_start,
    first_stage = sym crate::exception::first_stage,
    second_stage = sym crate::exception::second_stage,
    reset_xstate = sym crate::xstate::reset,
    syscall = sym crate::start::syscall,
    before_return = sym crate::start::before_return,
);

unsafe extern "sysv64" {
    pub(crate) fn scone_call(reason: u64, argument: u64);
    pub(crate) fn scone_enclu(leaf: u64, rbx: u64, rcx: u64, rdx: u64) -> u64;
    pub(crate) fn scone_switch(save: *mut u64, load: u64);
    pub(crate) fn scone_thread_trampoline();
    pub(crate) fn scone_on_stack(top: u64, f: extern "sysv64" fn() -> !) -> !;
    fn scone_syscall_entry();
    fn scone_return_critical();
    fn scone_return_end();
    fn scone_return_again();
    fn scone_second_stage();
}

/// Addresses in the assembler that the first stage of exception handling compares with.
pub(crate) struct Places;

impl Places {
    /// Whether `rip` lies in the critical part of the return to the program.
    pub(crate) fn returning(rip: u64) -> bool {
        let [start, end] =
            [scone_return_critical, scone_return_end].map(|at| at as *const () as u64);
        (start..end).contains(&rip)
    }

    pub(crate) fn return_again() -> u64 {
        scone_return_again as *const () as u64
    }

    pub(crate) fn second_stage() -> u64 {
        scone_second_stage as *const () as u64
    }
}

/// Address of the entry for system calls, to which rewritten sites jump.
#[must_use]
pub fn syscall_entry_address() -> u64 {
    scone_syscall_entry as *const () as u64
}

const _: () = assert!(IMAGE_BASE == hostcall_abi::layout::USER_END);
