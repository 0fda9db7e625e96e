//! EEXIT at a patched site, the handler of exits, and the EENTER that it wants.
//!
//! What is as it was at the last entry is not looked up again, but it is looked at: the EPCM entries of
//! the TCS and of its SSA frame, whether the TCS is free, and CSSA. All else is left to
//! [`crate::enter`].

use std::arch::global_asm;
use std::ops::Range;

use crate::asm::{emu_aep, emu_finish, range};
use crate::context::at;
use crate::epcm::Entry;
use crate::reason;

unsafe extern "C" {
    pub(crate) fn emu_exit();
    fn emu_exit_end();
    fn emu_again_fast();
    fn emu_again();
    fn emu_again_end();
    pub(crate) fn emu_again_failed();
}

/// All code of this module.
pub(crate) fn all() -> Range<u64> {
    range(emu_exit, emu_exit_end)
}

/// The part that may fault, and then goes on at `emu_again_failed`.
pub(crate) fn fast() -> Range<u64> {
    range(emu_again_fast, emu_again)
}

/// The restartable part, the last before the enclave.
pub(crate) fn window() -> Range<u64> {
    range(emu_again, emu_again_end)
}

global_asm!(
    r#"
    .pushsection .text.emu_exit, "ax", @progbits
    .p2align 6
    .globl emu_exit, emu_exit_end, emu_again_fast, emu_again, emu_again_end, emu_again_failed
    // EEXIT: RBX = context, flags, RDX and RBX as spilled, all else as the enclave left it.
emu_exit:
    mov rax, [rsp]
    mov rdx, [rsp + 16]
    mov rcx, [rsp + 24]
    mov rsp, [rbx + {HOST_RSP}]
    test eax, 0x44500                       // AC, NT, DF or TF would disturb what follows
    jnz 2f
1:  lea rax, [rip + {emu_aep}]
    cmp rcx, rax
    jne 4f
    cmp qword ptr [rbx + {AGAIN_FUNCTION}], 0
    je 4f
    mov rax, [rbx + {RUN_START}]
    cmp rax, [rbx + {RUN_END}]
    jne 4f
    mov qword ptr [rbx + {MODE}], 0
    cmp qword ptr [rbx + {PENDING}], 0
    jne 3f
    mov rax, [rbx + {TCS}]
    mov byte ptr [rax + {TCS_BUSY}], 0
    // The handler of exits. Kicks are told at once.
    mov rcx, [rbx + {AGAIN_DATA}]
    call [rbx + {AGAIN_FUNCTION}]
    mov qword ptr [rbx + {MODE}], 2
    cmp eax, 2
    jne 5f

    // EENTER again, as `prepare` does it: TCS, SSA frame, busy, the host's stack, and what is counted.
    // What is not as the last time is left to Rust.
    mov rax, [rbx + {AGAIN_TCS_CELL}]
    movzx eax, byte ptr [rax]
    and eax, {TCS_MASK}
    cmp eax, {TCS_BITS}
    jne emu_again_refused
    mov rax, [rbx + {AGAIN_FRAME_CELLS}]
    mov rcx, [rbx + {AGAIN_FRAME_PAGES}]
6:  movzx r10d, byte ptr [rax + rcx - 1]
    and r10d, {FRAME_MASK}
    cmp r10d, {FRAME_BITS}
    jne emu_again_refused
    dec rcx
    jnz 6b
    mov r10, [rbx + {TCS}]
    mov eax, 1
    xchg [r10 + {TCS_BUSY}], al
    test al, al
    jnz emu_again_refused
    cmp byte ptr [r10 + {TCS_GONE}], 0
    jne 9f
    cmp dword ptr [r10 + {TCS_CSSA}], 0
    jne 9f
    inc qword ptr [r10 + {TCS_ENTRIES}]
    mov rax, [rbx + {AGAIN_KEY}]
    mov [rax], rbx
    mov r11, rbx
    mov rbp, [rbx + {AGAIN_RBP}]
    mov rcx, [rbx + {AGAIN_RSP}]
    mov rax, [rbx + {AGAIN_HOST_STACK}]
emu_again_fast:                             // may fault
    mov [rax], rcx
    mov [rax + 8], rbp
emu_again:                                  // R11 = context; may be restarted anywhere below
    mov rbx, r11
    mov rsp, [r11 + {HOST_RSP}]
    cmp qword ptr [r11 + {PENDING}], 0
    jne emu_again_failed
    mov qword ptr [r11 + {MODE}], 1
    mov rax, [r11 + {AGAIN_FS}]
    wrfsbase rax
    rdgsbase rcx
    mov rax, [r11 + {AGAIN_GS}]
    cmp rax, rcx
    je 7f
    wrgsbase rax
7:  mov rbp, [r11 + {AGAIN_RBP}]
    mov rsp, [r11 + {AGAIN_RSP}]
    lea rcx, [rip + {emu_aep}]
    mov rbx, [r11 + {AGAIN_RBX}]
    xor eax, eax
    jmp [r11 + {AGAIN_RIP}]
emu_again_end:

emu_again_failed:
    mov rax, [rbx + {TCS}]
    dec qword ptr [rax + {TCS_ENTRIES}]
9:  mov rax, [rbx + {TCS}]
    mov byte ptr [rax + {TCS_BUSY}], 0
emu_again_refused:
    mov eax, {AGAIN}
    jmp 8f

2:  push 2
    popfq
    jmp 1b
3:  mov qword ptr [rbx + {MODE}], 2
4:  mov rax, [rbx + {TCS}]
    mov byte ptr [rax + {TCS_BUSY}], 0
    jmp 12f
5:  lea rcx, [rip + {emu_aep}]                // the handler has left it to Rust
12: mov [rbx + {REGS} + 24], rcx
    xor eax, eax
8:  mov [rbx + {REGS} + 16], rdx
    mov [rbx + {REGS} + 48], rsi
    mov [rbx + {REGS} + 56], rdi
    mov [rbx + {REGS} + 64], r8
    mov [rbx + {REGS} + 72], r9
    mov rcx, [rbx + {HOST_FS}]
    wrfsbase rcx
    mov r11, rbx
    jmp {emu_finish}
emu_exit_end:
    .popsection
"#,
    HOST_RSP = const at::HOST_RSP,
    HOST_FS = const at::HOST_FS,
    MODE = const at::MODE,
    PENDING = const at::PENDING,
    REGS = const at::REGS,
    RUN_END = const at::RUN_END,
    AGAIN = const reason::AGAIN,
    TCS = const at::TCS,
    TCS_BUSY = const at::TCS_BUSY,
    TCS_GONE = const at::TCS_GONE,
    TCS_CSSA = const at::TCS_CSSA,
    TCS_ENTRIES = const at::TCS_ENTRIES,
    RUN_START = const at::RUN_START,
    AGAIN_FUNCTION = const at::AGAIN_FUNCTION,
    AGAIN_DATA = const at::AGAIN_DATA,
    AGAIN_TCS_CELL = const at::AGAIN_TCS_CELL,
    AGAIN_FRAME_CELLS = const at::AGAIN_FRAME_CELLS,
    AGAIN_FRAME_PAGES = const at::AGAIN_FRAME_PAGES,
    AGAIN_HOST_STACK = const at::AGAIN_HOST_STACK,
    AGAIN_KEY = const at::AGAIN_KEY,
    AGAIN_RBX = const at::AGAIN_RBX,
    AGAIN_RSP = const at::AGAIN_RSP,
    AGAIN_RBP = const at::AGAIN_RBP,
    AGAIN_RIP = const at::AGAIN_RIP,
    AGAIN_FS = const at::AGAIN_FS,
    AGAIN_GS = const at::AGAIN_GS,
    TCS_MASK = const Entry::ENTERED.0,
    TCS_BITS = const Entry::ENTERED.1,
    FRAME_MASK = const Entry::WRITABLE.0,
    FRAME_BITS = const Entry::WRITABLE.1,
    emu_aep = sym emu_aep,
    emu_finish = sym emu_finish,
);
