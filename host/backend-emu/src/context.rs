//! Per-thread state, at an address that the alternate signal stack leads to.
//!
//! Each thread that enters gets a slot of one arena: state and code at its start, then a guard page,
//! then the thread's alternate signal stack. Masking a stack pointer inside the arena therefore
//! finds the state without thread-local storage, which is out of reach while FS belongs to the
//! enclave.

use std::ffi::CStr;
use std::mem::offset_of;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use backend::Exception;

use crate::accept::Next;
use crate::asm;
use crate::enclave::Inner;
use crate::exit;
use crate::sys;
use crate::tcs::TcsState;

/// Size and alignment of a slot.
pub(crate) const SLOT_SIZE: usize = 256 * 1024;
/// Threads that may be attached at a time.
const SLOTS: usize = 4096;
/// Offset of the vector state that leaves save.
const LEAF_XSAVE: usize = 0x1000;
/// Offset of the vector state that ERESUME loads.
const RESUME_XSAVE: usize = 0x4000;
/// Space for one XSAVE image (with AVX-512 it needs 2.7 KiB).
pub(crate) const XSAVE_SPACE: usize = 0x3000;
/// Offset of the page with the thread's last two instructions before the enclave.
const TRAMPOLINE: usize = 0x7000;
/// Offset of the signal stack; a guard page lies below it.
pub(crate) const STACK: usize = 0x9000;

/// General registers in the order of GPRSGX, then RFLAGS and RIP.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Registers {
    pub(crate) rax: u64,
    pub(crate) rcx: u64,
    pub(crate) rdx: u64,
    pub(crate) rbx: u64,
    pub(crate) rsp: u64,
    pub(crate) rbp: u64,
    pub(crate) rsi: u64,
    pub(crate) rdi: u64,
    pub(crate) r8: u64,
    pub(crate) r9: u64,
    pub(crate) r10: u64,
    pub(crate) r11: u64,
    pub(crate) r12: u64,
    pub(crate) r13: u64,
    pub(crate) r14: u64,
    pub(crate) r15: u64,
    pub(crate) rflags: u64,
    pub(crate) rip: u64,
    pub(crate) fs_base: u64,
    pub(crate) gs_base: u64,
}

/// Where a thread is, as far as signals care.
pub(crate) mod mode {
    /// Outside.
    pub(crate) const OUTSIDE: u64 = 0;
    /// Running the enclave's code (or the few instructions around it).
    pub(crate) const INSIDE: u64 = 1;
    /// On its way in or out, or executing a leaf for the enclave: kicks wait.
    pub(crate) const TRANSIT: u64 = 2;
}

/// Adjacent pages, by address.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Run {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// If all of them are new: how often the mapping had been made to show pages before the first was
    /// accepted.
    pub(crate) new_since: Option<u64>,
}

/// The EENTER that follows when [`ExitHandler`](backend::ExitHandler) wants it: what the last one
/// found out and loaded. Meaningless unless `function` is set.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Again {
    /// The handler; 0 for none.
    pub(crate) function: u64,
    pub(crate) data: u64,
    /// EPCM cells of the TCS, and of the pages of the first SSA frame.
    pub(crate) tcs_cell: u64,
    pub(crate) frame_cells: u64,
    pub(crate) frame_pages: u64,
    /// Where that frame takes the host's RSP and RBP.
    pub(crate) host_stack: u64,
    /// What leads from GS to this context.
    pub(crate) key: u64,
    /// Takes its place where GS tells nothing.
    pub(crate) nowhere: u64,
    /// Registers.
    pub(crate) rbx: u64,
    pub(crate) rsp: u64,
    pub(crate) rbp: u64,
    pub(crate) rip: u64,
    pub(crate) fs_base: u64,
    pub(crate) gs_base: u64,
}

/// State of an attached thread. The fields before `enclave` are known to the assembler parts.
#[repr(C)]
pub(crate) struct Context {
    /// FS base of the host thread.
    pub(crate) host_fs: u64,
    /// GS base of the host thread.
    pub(crate) host_gs: u64,
    /// Stack of the host while inside.
    pub(crate) host_rsp: u64,
    /// One of [`mode`].
    pub(crate) mode: AtomicU64,
    /// Signals of the kicks that wait: bit 0 for signal 1.
    pub(crate) pending: AtomicU64,
    /// Registers of the enclave on their way in or out.
    pub(crate) regs: Registers,
    /// Vector state to load before going in; 0 for none.
    pub(crate) load_vectors: u64,
    /// Where leaves save the vector state.
    pub(crate) leaf_vectors: u64,
    /// Components of vector state that are saved and loaded.
    pub(crate) xfeatures: u64,
    /// Address of the thread's trampoline.
    pub(crate) trampoline: u64,
    /// Whether the segment bases have to be loaded before going in.
    pub(crate) load_bases: u64,
    /// Whether the thread is about to execute EENTER or ERESUME, rather than to go on after a leaf.
    pub(crate) entering: u64,
    /// End of ELRANGE.
    pub(crate) limit: u64,
    /// Address of the EPCM.
    pub(crate) epcm: u64,
    /// Accepted pages that the host's mapping does not yet show.
    pub(crate) run: Run,
    /// The page of ELRANGE on which the enclave faulted: the thread is likely to wait for it. 0 after
    /// it was accepted.
    pub(crate) awaited: u64,
    /// Where EACCEPTCOPY fills the page that follows.
    pub(crate) next: *const Next,
    /// What the short cut from EEXIT to the next EENTER needs.
    pub(crate) again: Again,

    /// The enclave and thread control structure in use.
    pub(crate) enclave: *const Inner,
    pub(crate) tcs: *const TcsState,
    /// The one that was last left, which will probably be entered next.
    pub(crate) last_tcs: Option<Arc<TcsState>>,
    /// Not 0 while the launcher is being told of a kick.
    pub(crate) telling: AtomicU64,
    /// Signals of the kicks that came meanwhile.
    pub(crate) deferred: AtomicU64,
    /// What the last exception was.
    pub(crate) exception: Option<Exception>,
    /// Where ERESUME takes the vector state from.
    pub(crate) resume_vectors: u64,
    old_stack: libc::stack_t,
}

/// Offsets for the assembler parts.
pub(crate) mod at {
    use super::{Again, Context, Registers, Run, TcsState, offset_of};
    pub(crate) const HOST_FS: usize = offset_of!(Context, host_fs);
    pub(crate) const HOST_GS: usize = offset_of!(Context, host_gs);
    pub(crate) const HOST_RSP: usize = offset_of!(Context, host_rsp);
    pub(crate) const MODE: usize = offset_of!(Context, mode);
    pub(crate) const PENDING: usize = offset_of!(Context, pending);
    pub(crate) const REGS: usize = offset_of!(Context, regs);
    pub(crate) const R11: usize = REGS + offset_of!(Registers, r11);
    pub(crate) const RIP: usize = REGS + offset_of!(Registers, rip);
    pub(crate) const LOAD_VECTORS: usize = offset_of!(Context, load_vectors);
    pub(crate) const LEAF_VECTORS: usize = offset_of!(Context, leaf_vectors);
    pub(crate) const XFEATURES: usize = offset_of!(Context, xfeatures);
    pub(crate) const TRAMPOLINE: usize = offset_of!(Context, trampoline);
    pub(crate) const LOAD_BASES: usize = offset_of!(Context, load_bases);
    pub(crate) const ENTERING: usize = offset_of!(Context, entering);
    pub(crate) const LIMIT: usize = offset_of!(Context, limit);
    pub(crate) const EPCM: usize = offset_of!(Context, epcm);
    pub(crate) const RUN_START: usize = offset_of!(Context, run) + offset_of!(Run, start);
    pub(crate) const RUN_END: usize = offset_of!(Context, run) + offset_of!(Run, end);
    pub(crate) const AWAITED: usize = offset_of!(Context, awaited);
    pub(crate) const NEXT: usize = offset_of!(Context, next);
    pub(crate) const TCS: usize = offset_of!(Context, tcs);
    pub(crate) const TCS_CSSA: usize = offset_of!(TcsState, cssa);
    pub(crate) const TCS_BUSY: usize = offset_of!(TcsState, busy);
    pub(crate) const TCS_GONE: usize = offset_of!(TcsState, gone);
    pub(crate) const TCS_ENTRIES: usize = offset_of!(TcsState, entries);
    const AGAIN: usize = offset_of!(Context, again);
    pub(crate) const AGAIN_FUNCTION: usize = AGAIN + offset_of!(Again, function);
    pub(crate) const AGAIN_DATA: usize = AGAIN + offset_of!(Again, data);
    pub(crate) const AGAIN_TCS_CELL: usize = AGAIN + offset_of!(Again, tcs_cell);
    pub(crate) const AGAIN_FRAME_CELLS: usize = AGAIN + offset_of!(Again, frame_cells);
    pub(crate) const AGAIN_FRAME_PAGES: usize = AGAIN + offset_of!(Again, frame_pages);
    pub(crate) const AGAIN_HOST_STACK: usize = AGAIN + offset_of!(Again, host_stack);
    pub(crate) const AGAIN_KEY: usize = AGAIN + offset_of!(Again, key);
    pub(crate) const AGAIN_RBX: usize = AGAIN + offset_of!(Again, rbx);
    pub(crate) const AGAIN_RSP: usize = AGAIN + offset_of!(Again, rsp);
    pub(crate) const AGAIN_RBP: usize = AGAIN + offset_of!(Again, rbp);
    pub(crate) const AGAIN_RIP: usize = AGAIN + offset_of!(Again, rip);
    pub(crate) const AGAIN_FS: usize = AGAIN + offset_of!(Again, fs_base);
    pub(crate) const AGAIN_GS: usize = AGAIN + offset_of!(Again, gs_base);
}

/// Start of the arena, 0 before the first attach; read by the signal prologue.
pub(crate) static ARENA: AtomicU64 = AtomicU64::new(0);
/// Bytes of the arena.
pub(crate) static ARENA_SIZE: u64 = (SLOTS * SLOT_SIZE) as u64;

/// The arena's name in `/proc/self/maps` under audit: what lies there stands for the inside of the
/// processor, which a host cannot see, so a search for leaks leaves it out.
const NAME: &CStr = c"scone-emu-cpu";
static NAMED: AtomicBool = AtomicBool::new(false);

/// Gives the arena its name; too late once a thread has entered.
pub(crate) fn name_arena() {
    NAMED.store(true, Ordering::Relaxed);
}

static FREE: Mutex<Slots> = Mutex::new(Slots { released: Vec::new(), fresh: 0 });

struct Slots {
    released: Vec<usize>,
    fresh: usize,
}

thread_local! {
    static ATTACHED: Attachment = Attachment::new();
}

/// Runs `f` with the state of the calling thread, attaching it first if need be.
///
/// `None` when the thread cannot be attached any more, because it is being torn down.
pub(crate) fn with_current<R>(f: impl FnOnce(*mut Context) -> R) -> Option<R> {
    ATTACHED.try_with(|attached| f(attached.0)).ok()
}

/// Ties a slot to the life of its thread.
struct Attachment(*mut Context);

impl Attachment {
    fn new() -> Self {
        let base = allocate();
        // SAFETY: the slot was mapped readable and writable for this thread alone.
        unsafe {
            let context = base as *mut Context;
            context.write(Context {
                host_fs: sys::fs_base(),
                host_gs: sys::gs_base(),
                host_rsp: 0,
                mode: AtomicU64::new(mode::OUTSIDE),
                pending: AtomicU64::new(0),
                regs: Registers::default(),
                load_vectors: 0,
                leaf_vectors: (base + LEAF_XSAVE) as u64,
                xfeatures: sys::xfeatures(),
                trampoline: (base + TRAMPOLINE) as u64,
                load_bases: 1,
                entering: 0,
                limit: 0,
                epcm: 0,
                run: Run::default(),
                awaited: 0,
                next: ptr::null(),
                again: Again::default(),
                enclave: ptr::null(),
                tcs: ptr::null(),
                last_tcs: None,
                telling: AtomicU64::new(0),
                deferred: AtomicU64::new(0),
                exception: None,
                resume_vectors: (base + RESUME_XSAVE) as u64,
                old_stack: libc::stack_t {
                    ss_sp: ptr::null_mut(),
                    ss_flags: libc::SS_DISABLE,
                    ss_size: 0,
                },
            });
            // From here on a signal may come, whose handler looks at the rest.
            (*context).old_stack = sys::install_stack(base + STACK, SLOT_SIZE - STACK);
            Self(context)
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // SAFETY: the thread is outside, and nobody else knows the slot; its stack is taken out of
        // service before the slot is reused.
        unsafe {
            sys::dispatch_syscalls(None);
            sys::restore_stack(&(*self.0).old_stack);
            ptr::drop_in_place(self.0);
        }
        FREE.lock().unwrap_or_else(|e| e.into_inner()).released.push(self.0 as usize);
    }
}

/// Takes a slot and makes it usable.
fn allocate() -> usize {
    let mut slots = FREE.lock().unwrap_or_else(|e| e.into_inner());
    if let Some(base) = slots.released.pop() {
        return base;
    }
    if slots.fresh == 0 {
        let arena = if NAMED.load(Ordering::Relaxed) {
            sys::reserve_named(NAME, SLOTS * SLOT_SIZE, SLOT_SIZE)
        } else {
            sys::reserve_aligned(SLOTS * SLOT_SIZE, SLOT_SIZE)
        };
        ARENA.store(arena as u64, Ordering::Release);
    }
    assert!(slots.fresh < SLOTS, "more than {SLOTS} threads enter enclaves");
    let base = ARENA.load(Ordering::Relaxed) as usize + slots.fresh * SLOT_SIZE;
    slots.fresh += 1;
    sys::protect(base as u64, TRAMPOLINE as u64 + 4096, libc::PROT_READ | libc::PROT_WRITE);
    write_trampoline(base);
    sys::protect((base + TRAMPOLINE) as u64, 4096, libc::PROT_READ | libc::PROT_EXEC);
    let stack = (base + STACK) as u64;
    sys::protect(stack, (SLOT_SIZE - STACK) as u64, libc::PROT_READ | libc::PROT_WRITE);
    base
}

/// Writes `mov r11, [R11]; jmp [RIP]` with operands in the context of the same slot, so that the last
/// register can be loaded and no memory of the enclave is needed for the jump.
fn write_trampoline(base: usize) {
    let operand = |field: usize, end: usize| {
        let distance = field as i64 - (TRAMPOLINE + end) as i64;
        i32::try_from(distance).expect("a slot is smaller than 2 GiB").to_le_bytes()
    };
    let mut code = vec![0x4c, 0x8b, 0x1d];
    code.extend(operand(at::R11, 7));
    code.extend([0xff, 0x25]);
    code.extend(operand(at::RIP, 13));
    // SAFETY: the page was just mapped writable, and nobody executes it yet.
    unsafe { ptr::copy_nonoverlapping(code.as_ptr(), (base + TRAMPOLINE) as *mut u8, code.len()) };
}

impl Context {
    /// If `rip` is where the thread has all but entered: where such an entry starts again.
    pub(crate) fn window_at(&self, rip: u64) -> Option<u64> {
        if exit::window().contains(&rip) {
            return Some(exit::window().start);
        }
        let window = asm::window();
        let inside =
            window.contains(&rip) || (self.trampoline..self.trampoline + 16).contains(&rip);
        inside.then_some(window.start)
    }
}
