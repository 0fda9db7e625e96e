//! Entry, exit and the beginnings of signal handlers.
//!
//! While an enclave runs, FS, GS, the stack and all registers are its own. The code here is what
//! stands between that state and Rust:
//! - `emu_enter` loads the enclave's state from a [`Context`]. Its last part
//!   is a *window* that a signal may send back to its start, so that no kick is lost between the
//!   check for one and the jump.
//! - `emu_leaf` is where patched ENCLU sites arrive, through a stub per site
//!   ([`crate::patch`]). The stub has spilled five words below the enclave's red zone.
//! - `emu_signal` is the handler of all signals: it puts the host's FS base in force before any Rust.
//! - `emu_copy` copies with faults turned into a result.

use std::arch::global_asm;
use std::ops::Range;

use crate::context::{ARENA, ARENA_SIZE, Context, SLOT_SIZE, at};
use crate::lookup::{GS_MASK, GS_TABLE};
use crate::{accept, exit, leaves, signals};

/// Bytes that a stub spills below the stack pointer of the enclave, red zone included.
pub(crate) const SPILL: u64 = 296;

#[expect(improper_ctypes, reason = "the assembler parts know the first fields only")]
unsafe extern "C" {
    pub(crate) fn emu_enter(context: *mut Context) -> u64;
    /// Copies `len` bytes; returns how many it could not copy.
    pub(crate) fn emu_copy(to: u64, from: u64, len: u64) -> u64;
    pub(crate) fn emu_signal();
    pub(crate) fn emu_leaf();
    pub(crate) fn emu_finish();
    pub(crate) fn emu_aep();
    fn emu_asm_begin();
    fn emu_asm_end();
    pub(crate) fn emu_window();
    fn emu_window_end();
    fn emu_copy_end();
    pub(crate) fn emu_copy_failed();
    pub(crate) fn emu_leaf_slow();
    pub(crate) fn emu_accept();
    pub(crate) fn emu_accept_end();
    pub(crate) fn emu_filling();
    pub(crate) fn emu_filling_end();
    pub(crate) fn emu_filling_failed();
}

pub(crate) fn range(start: unsafe extern "C" fn(), end: unsafe extern "C" fn()) -> Range<u64> {
    start as usize as u64..end as usize as u64
}

/// Whether `rip` is in the assembler parts.
pub(crate) fn contains(rip: u64) -> bool {
    range(emu_asm_begin, emu_asm_end).contains(&rip)
        || exit::all().contains(&rip)
        || accept::all().contains(&rip)
}

/// The restartable part of `emu_enter`.
pub(crate) fn window() -> Range<u64> {
    range(emu_window, emu_window_end)
}

/// The part of `emu_copy` that may fault.
pub(crate) fn copying() -> Range<u64> {
    emu_copy as *const () as u64..emu_copy_end as *const () as u64
}

global_asm!(
    r#"
    .pushsection .text.emu_asm, "ax", @progbits
    .p2align 6
    .globl emu_asm_begin, emu_asm_end, emu_enter, emu_window, emu_window_end, emu_finish
    .globl emu_leaf, emu_signal, emu_copy, emu_copy_end, emu_copy_failed, emu_aep
    .globl emu_leaf_slow
emu_asm_begin:

emu_enter:
    push rbp; push rbx; push r12; push r13; push r14; push r15
    sub rsp, 8
    stmxcsr [rsp]
    fnstcw [rsp + 4]
    mov [rdi + {HOST_RSP}], rsp
    mov r11, rdi

    .p2align 4
emu_window:                                 // r11 = context; may be restarted anywhere below
    mov rsp, [r11 + {HOST_RSP}]
    cmp qword ptr [r11 + {PENDING}], 0
    jne 3f
    mov qword ptr [r11 + {MODE}], 1
    mov rcx, [r11 + {LOAD_VECTORS}]
    test rcx, rcx
    jz 2f
    mov eax, [r11 + {XFEATURES}]
    mov edx, [r11 + {XFEATURES} + 4]
    xrstor64 [rcx]
2:  cmp qword ptr [r11 + {LOAD_BASES}], 0
    je 5f
    mov rax, [r11 + {REGS} + 144]
    wrfsbase rax
    mov rax, [r11 + {REGS} + 152]
    wrgsbase rax
5:  push qword ptr [r11 + {REGS} + 128]
    popfq
    mov rax, [r11 + {REGS}]
    mov rcx, [r11 + {REGS} + 8]
    mov rdx, [r11 + {REGS} + 16]
    mov rbx, [r11 + {REGS} + 24]
    mov rsp, [r11 + {REGS} + 32]
    mov rbp, [r11 + {REGS} + 40]
    mov rsi, [r11 + {REGS} + 48]
    mov rdi, [r11 + {REGS} + 56]
    mov r8, [r11 + {REGS} + 64]
    mov r9, [r11 + {REGS} + 72]
    mov r10, [r11 + {REGS} + 80]
    mov r12, [r11 + {REGS} + 96]
    mov r13, [r11 + {REGS} + 104]
    mov r14, [r11 + {REGS} + 112]
    mov r15, [r11 + {REGS} + 120]
    jmp [r11 + {TRAMPOLINE}]
emu_window_end:

3:  push 2; popfq                           // a kick waits; AC or DF would disturb Rust
    cmp qword ptr [r11 + {LOAD_BASES}], 0
    jne 6f
    rdfsbase rax                            // after a short cut the bases are in the registers still
    mov [r11 + {REGS} + 144], rax
    rdgsbase rax
    mov [r11 + {REGS} + 152], rax
6:  mov rax, [r11 + {HOST_FS}]
    wrfsbase rax
    mov rbx, r11
    cmp qword ptr [r11 + {LOAD_VECTORS}], 0
    jne 4f
    mov eax, [r11 + {XFEATURES}]            // the vector state is in the registers still
    mov edx, [r11 + {XFEATURES} + 4]
    mov rcx, [r11 + {LEAF_VECTORS}]
    xsaveopt64 [rcx]
4:  mov rdi, r11
    call {interrupted}
    mov r11, rbx
emu_finish:                                 // rax = reason, r11 = context, FS = host's
    mov qword ptr [r11 + {MODE}], 2
    mov rsp, [r11 + {HOST_RSP}]
    mov rcx, [r11 + {HOST_GS}]
    wrgsbase rcx
    push 2
    popfq
    ldmxcsr [rsp]
    fnclex                                  // an exception that waits would meet the next instruction
    fldcw [rsp + 4]
    add rsp, 8
    pop r15; pop r14; pop r13; pop r12; pop rbx; pop rbp
    ret

    // RCX of the enclave after EENTER: never executed, every EEXIT is emulated.
emu_aep:
    ud2

    .p2align 6
emu_leaf:                                   // rcx = address after the site, rest spilled
    rdgsbase rdx
    mov rax, rdx
    shr rax, 8
    and eax, {GS_MASK}
    or rdx, 1
    lea rbx, [rip + {GS_TABLE}]
4:  cmp [rbx + rax], rdx
    je 5f
    cmp qword ptr [rbx + rax], 0
    je 6f
    add eax, 16
    and eax, {GS_MASK}
    jmp 4b
5:  mov rbx, [rbx + rax + 8]
    test rbx, rbx
    jnz 7f
6:  push rcx                                // GS tells nothing: ask the kernel for the signal stack
    push rdi
    push rsi
    push r11
    sub rsp, 24
    mov eax, 131
    xor edi, edi
    mov rsi, rsp
    syscall
    mov rbx, [rsp]
    and rbx, -{SLOT_SIZE}
    add rsp, 24
    pop r11
    pop rsi
    pop rdi
    pop rcx
7:  mov qword ptr [rbx + {MODE}], 2
    cmp dword ptr [rsp + 32], 4
    je {emu_exit}
    mov [rbx + {RIP}], rcx
    mov rax, [rsp]
    mov [rbx + {REGS} + 128], rax
    mov rcx, [rsp + 8]
    mov [rbx + {REGS} + 8], rcx
    mov rdx, [rsp + 16]
    mov [rbx + {REGS} + 16], rdx
    mov rcx, [rsp + 24]
    mov [rbx + {REGS} + 24], rcx
    mov rcx, [rsp + 32]
    mov [rbx + {REGS}], rcx
    lea rdx, [rsp + {SPILL}]
    mov [rbx + {REGS} + 32], rdx
    mov [rbx + {REGS} + 40], rbp
    mov [rbx + {REGS} + 48], rsi
    mov [rbx + {REGS} + 56], rdi
    mov [rbx + {REGS} + 64], r8
    mov [rbx + {REGS} + 72], r9
    mov [rbx + {REGS} + 80], r10
    mov [rbx + {REGS} + 88], r11
    mov [rbx + {REGS} + 96], r12
    mov [rbx + {REGS} + 104], r13
    mov [rbx + {REGS} + 112], r14
    mov [rbx + {REGS} + 120], r15
    mov rsp, [rbx + {HOST_RSP}]
    test eax, 0x40400                       // AC or DF would disturb Rust
    jz 8f
    push 2
    popfq
8:  mov qword ptr [rbx + {ENTERING}], 0
    jmp {emu_accept}

emu_leaf_slow:
    mov qword ptr [rbx + {LOAD_BASES}], 1
    rdfsbase rax
    mov [rbx + {REGS} + 144], rax
    rdgsbase rax
    mov [rbx + {REGS} + 152], rax
    mov eax, [rbx + {XFEATURES}]
    mov edx, [rbx + {XFEATURES} + 4]
    mov rcx, [rbx + {LEAF_VECTORS}]
    mov [rbx + {LOAD_VECTORS}], rcx
    xsaveopt64 [rcx]
    mov rax, [rbx + {HOST_FS}]
    wrfsbase rax
    mov rdi, rbx
    call {leaf}
    mov r11, rbx
    test rax, rax
    jz emu_window
    jmp emu_finish

emu_signal:                                 // (signal, siginfo, ucontext)
    push 2
    popfq
    push rbx
    mov rax, rsp
    sub rax, [rip + {ARENA}]
    cmp rax, [rip + {ARENA_SIZE}]
    jae 1f
    mov rcx, rsp
    and rcx, -{SLOT_SIZE}
    rdfsbase rax
    push rax                                // the FS base to go back to; the handler may change it
    mov rax, [rcx + {HOST_FS}]
    wrfsbase rax
    mov r8, rsp
    sub rsp, 8
    call {handle}
    add rsp, 8
    pop rax
    wrfsbase rax
    pop rbx
    ret
1:  xor ecx, ecx                            // not one of our threads: FS is the host's already
    xor r8d, r8d
    call {handle}
    pop rbx
    ret

emu_copy:                                   // (to, from, len) -> bytes not copied
    mov rcx, rdx
    cmp rcx, 16
    jne 1f
    mov rax, [rsi]
    mov rdx, [rsi + 8]
    mov [rdi], rax
    mov [rdi + 8], rdx
    xor eax, eax
    ret
1:  rep movsb
emu_copy_failed:
    mov rax, rcx
    ret
emu_copy_end:

emu_asm_end:
    .popsection
"#,
    HOST_RSP = const at::HOST_RSP,
    HOST_FS = const at::HOST_FS,
    HOST_GS = const at::HOST_GS,
    MODE = const at::MODE,
    PENDING = const at::PENDING,
    REGS = const at::REGS,
    RIP = const at::RIP,
    LOAD_VECTORS = const at::LOAD_VECTORS,
    LEAF_VECTORS = const at::LEAF_VECTORS,
    XFEATURES = const at::XFEATURES,
    TRAMPOLINE = const at::TRAMPOLINE,
    SLOT_SIZE = const SLOT_SIZE,
    SPILL = const SPILL,
    GS_MASK = const GS_MASK,
    GS_TABLE = sym GS_TABLE,
    ARENA = sym ARENA,
    ARENA_SIZE = sym ARENA_SIZE,
    LOAD_BASES = const at::LOAD_BASES,
    ENTERING = const at::ENTERING,
    emu_accept = sym emu_accept,
    emu_exit = sym exit::emu_exit,
    interrupted = sym leaves::interrupted,
    leaf = sym leaves::leaf,
    handle = sym signals::handle,
);
