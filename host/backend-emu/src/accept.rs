//! EACCEPT and EACCEPTCOPY as they come by the thousand: a new page next to the last one, a trimmed page, a
//! page whose permissions were restricted. Everything else is left to [`crate::edmm`], and so are faults
//! here.

use std::arch::global_asm;
use std::hint;
use std::mem::offset_of;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use sgx_types::{Enclu, SecInfoFlags};

use crate::asm::{
    emu_accept, emu_accept_end, emu_filling, emu_filling_end, emu_filling_failed, emu_leaf_slow,
    emu_window, range,
};
use crate::context::at;
use crate::epcm::Entry;

/// All code of this module.
pub(crate) fn all() -> Range<u64> {
    range(emu_accept, emu_accept_end)
}

/// Where the leaf goes on if it faults at `rip`, which is here.
pub(crate) fn after_fault(rip: u64) -> u64 {
    let filling = range(emu_filling, emu_filling_end).contains(&rip);
    (if filling { emu_filling_failed } else { emu_leaf_slow }) as *const () as u64
}

/// Where the page that follows the last one is filled, by whichever thread does it.
///
/// [`Filled`](crate::filled::Filled) says where that is, and whoever looks at it closes this before.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Next {
    state: AtomicU64,
    /// The page of ELRANGE.
    page: AtomicU64,
    /// Where it is filled.
    to: AtomicU64,
    /// End of the memory there.
    end: AtomicU64,
    /// Flags of its SECINFO.
    flags: AtomicU64,
    /// Its EPCM entry when it is filled.
    entry: AtomicU64,
}

const CLOSED: u64 = 0;
const OPEN: u64 = 1;
/// A thread fills the page.
const BUSY: u64 = 2;

impl Next {
    /// Lets `page`, and those that follow it, be filled in the memory `room`, if they are to become what `entry`
    /// says. To be called while closed.
    pub(crate) fn open(&self, page: u64, room: &Range<u64>, entry: Entry) {
        self.page.store(page, Ordering::Relaxed);
        self.to.store(room.start, Ordering::Relaxed);
        self.end.store(room.end, Ordering::Relaxed);
        self.flags.store(entry.flags().bits(), Ordering::Relaxed);
        self.entry.store(entry.bits().into(), Ordering::Relaxed);
        self.state.store(OPEN, Ordering::Release);
    }

    /// Ends that; if it was open, which page was next, and where it would have been filled.
    pub(crate) fn close(&self) -> Option<(u64, u64)> {
        loop {
            match self.state.compare_exchange(OPEN, CLOSED, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => break,
                Err(CLOSED) => return None,
                // That takes as long as to copy a page, unless the kernel lets others run.
                Err(_) => (0..64).for_each(|_| hint::spin_loop()),
            }
            thread::yield_now();
        }
        Some((self.page.load(Ordering::Relaxed), self.to.load(Ordering::Relaxed)))
    }
}

global_asm!(
    r#"
    .pushsection .text.emu_accept, "ax", @progbits
    .p2align 6
    .globl emu_accept, emu_accept_end, emu_filling, emu_filling_end, emu_filling_failed
    // RBX = context with the registers of the enclave, ECX = leaf.
emu_accept:
    cmp ecx, {EACCEPT}
    je 1f
    cmp ecx, {EACCEPTCOPY}
    jne {emu_leaf_slow}
1:  mov r8, [rbx + {REGS} + 24]             // SECINFO
    mov rdi, [rbx + {REGS} + 8]             // page
    test r8d, 63
    jnz {emu_leaf_slow}
    test edi, 4095
    jnz {emu_leaf_slow}
    cmp r8, [rbx + {LIMIT}]
    jae {emu_leaf_slow}
    cmp rdi, [rbx + {LIMIT}]
    jae {emu_leaf_slow}
    mov rdx, [r8 + 8]
    or rdx, [r8 + 16]
    or rdx, [r8 + 24]
    or rdx, [r8 + 32]
    or rdx, [r8 + 40]
    or rdx, [r8 + 48]
    or rdx, [r8 + 56]
    jnz {emu_leaf_slow}
    mov rdx, [r8]
    mov r8, [rbx + {EPCM}]
    mov r10, rdi
    shr r10, 12
    add r10, r8                             // EPCM entry of the page
    cmp ecx, {EACCEPTCOPY}
    je 4f

    xor r9d, r9d                            // bytes by which the run grows
    cmp rdx, {NEW_PAGE}
    jne 2f
    test rdi, rdi                           // the end of an empty run is no page
    jz {emu_leaf_slow}
    cmp rdi, [rbx + {RUN_END}]
    jne {emu_leaf_slow}
    mov r9d, 4096
    xor eax, eax                            // EPCM entry before
    mov edx, {NEW_SETTLED}                  // and after
    jmp 3f
2:  cmp rdx, {TRIMMED_PAGE}
    jne 6f
    mov eax, {TRIMMED}
    mov edx, {TRIMMED_SETTLED}
    jmp 3f
6:  mov rax, rdx
    and rdx, 7
    xor rax, rdx
    cmp rax, {RESTRICTED_PAGE}
    jne {emu_leaf_slow}
    lea edx, [rdx * 4 + {REGULAR}]
    mov eax, edx
    or eax, {RESTRICTED}
3:  lock cmpxchg [r10], dl
    jne {emu_leaf_slow}
    add [rbx + {RUN_END}], r9
    jmp 5f

4:  test rdi, rdi
    jz {emu_leaf_slow}
    cmp rdi, [rbx + {RUN_END}]
    jne {emu_leaf_slow}
    cmp rdi, [rbx + {AWAITED}]
    je {emu_leaf_slow}
    cmp byte ptr [r10], 0
    jne {emu_leaf_slow}
    mov rsi, [rbx + {REGS} + 16]            // source
    test esi, 4095
    jnz {emu_leaf_slow}
    cmp rsi, [rbx + {LIMIT}]
    jae {emu_leaf_slow}
    mov rcx, rsi
    shr rcx, 12
    movzx ecx, byte ptr [r8 + rcx]
    and ecx, {SOURCE_MASK}
    cmp ecx, {SOURCE_BITS}
    jne {emu_leaf_slow}
    mov r11, [rbx + {NEXT}]
    mov eax, {OPEN}
    mov ecx, {BUSY}
    lock cmpxchg [r11 + {NEXT_STATE}], rcx
    jne {emu_leaf_slow}
    cmp rdx, [r11 + {NEXT_FLAGS}]
    jne emu_filling_failed
    cmp rdi, [r11 + {NEXT_PAGE}]
    jne emu_filling_failed
    mov rdi, [r11 + {NEXT_TO}]
    cmp rdi, [r11 + {NEXT_END}]
    jae emu_filling_failed
    mov ecx, 4096
emu_filling:                                // the source may lie on a page that is not shown
    rep movsb
emu_filling_end:
    mov edx, [r11 + {NEXT_ENTRY}]
    xor eax, eax
    lock cmpxchg [r10], dl
    jne emu_filling_failed
    add qword ptr [r11 + {NEXT_PAGE}], 4096
    mov [r11 + {NEXT_TO}], rdi
    mov qword ptr [r11 + {NEXT_STATE}], {OPEN}
    add qword ptr [rbx + {RUN_END}], 4096

5:  mov qword ptr [rbx + {REGS}], 0
    and qword ptr [rbx + {REGS} + 128], -0x8d6
    mov qword ptr [rbx + {LOAD_VECTORS}], 0
    mov qword ptr [rbx + {LOAD_BASES}], 0
    mov r11, rbx
    jmp {emu_window}

emu_filling_failed:
    mov qword ptr [r11 + {NEXT_STATE}], {OPEN}
    jmp {emu_leaf_slow}
emu_accept_end:
    .popsection
"#,
    REGS = const at::REGS,
    LIMIT = const at::LIMIT,
    EPCM = const at::EPCM,
    RUN_END = const at::RUN_END,
    AWAITED = const at::AWAITED,
    NEXT = const at::NEXT,
    LOAD_VECTORS = const at::LOAD_VECTORS,
    LOAD_BASES = const at::LOAD_BASES,
    NEXT_STATE = const offset_of!(Next, state),
    NEXT_PAGE = const offset_of!(Next, page),
    NEXT_TO = const offset_of!(Next, to),
    NEXT_END = const offset_of!(Next, end),
    NEXT_FLAGS = const offset_of!(Next, flags),
    NEXT_ENTRY = const offset_of!(Next, entry),
    OPEN = const OPEN,
    BUSY = const BUSY,
    EACCEPT = const Enclu::Eaccept as u32,
    EACCEPTCOPY = const Enclu::Eacceptcopy as u32,
    NEW_PAGE = const (SecInfoFlags::PT_REG.bits() | 0b1011),
    NEW_SETTLED = const Entry::AUGMENTED.settled().bits(),
    TRIMMED_PAGE = const (SecInfoFlags::PT_TRIM.bits() | SecInfoFlags::MODIFIED.bits()),
    TRIMMED = const Entry::TRIMMED.bits(),
    TRIMMED_SETTLED = const Entry::TRIMMED.settled().bits(),
    RESTRICTED_PAGE = const (SecInfoFlags::PT_REG.bits() | SecInfoFlags::PR.bits()),
    REGULAR = const Entry::RESTRICTED.settled().bits(),
    RESTRICTED = const Entry::RESTRICTED.bits(),
    SOURCE_MASK = const Entry::READABLE.0,
    SOURCE_BITS = const Entry::READABLE.1,
    emu_leaf_slow = sym emu_leaf_slow,
    emu_window = sym emu_window,
);
