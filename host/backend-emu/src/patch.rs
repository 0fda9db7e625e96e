//! ENCLU sites that jump instead of trapping.
//!
//! An ENCLU on this processor costs a SIGILL (10 us). Where the image leaves room, that is where
//! `0f 01 d7` is followed by thirteen one-byte nops, the site becomes a jump to a stub in host
//! memory. The enclave was measured before, and its code goes on after the nops. With AC set such a
//! jump faults, as its target may stand anywhere; the instruction would not, and is executed then.

use std::ops::Range;
use std::slice;

use memchr::memmem;
use sgx_types::{ENCLU_SITE, PAGE_SIZE};

use crate::asm::{self, SPILL};
use crate::epcm::Epcm;
use crate::mapping::Mapping;
use crate::sys;

/// `jmp [rip]`, followed by the target.
const JUMP: [u8; 6] = [0xff, 0x25, 0, 0, 0, 0];
/// Bytes of a stub.
const STUB_SIZE: usize = 64;
/// Offset in a stub up to which the enclave's stack pointer is eight bytes above the spill area.
const ABOVE: u64 = 8;
/// Bytes that a jump takes.
pub(crate) const JUMP_SIZE: u64 = 14;

/// The stubs of an enclave.
pub(crate) struct Stubs {
    memory: Range<u64>,
    sites: Vec<u64>,
}

/// Where in a stub a thread was stopped.
pub(crate) struct Interrupted {
    /// Address of the ENCLU instruction.
    pub(crate) site: u64,
    /// Stack pointer of the enclave at that instruction.
    pub(crate) rsp: u64,
}

impl Stubs {
    /// Patches all sites in the given code.
    pub(crate) fn patch(mapping: &Mapping, epcm: &Epcm, code: &[Range<u64>]) -> Self {
        let readable = |range: &&Range<u64>| {
            epcm.get(range.start).protection() & (libc::PROT_READ | libc::PROT_WRITE)
                == libc::PROT_READ
        };
        let code: Vec<_> = code.iter().filter(readable).collect();
        let sites: Vec<u64> = code.iter().flat_map(|range| find(range)).collect();
        let len = (sites.len() * STUB_SIZE).next_multiple_of(PAGE_SIZE) as u64;
        if sites.is_empty() {
            return Self { memory: 0..0, sites };
        }
        let start = sys::map(0, len, libc::PROT_READ | libc::PROT_WRITE)
            .expect("there is memory for stubs");
        let locked = mapping.lock();
        for range in &code {
            let len = range.end - range.start;
            sys::protect(range.start, len, libc::PROT_READ | libc::PROT_WRITE);
        }
        for (&site, at) in sites.iter().zip((start..).step_by(STUB_SIZE)) {
            write(at, &stub(site + JUMP_SIZE));
            write(site, &[&JUMP[..], &at.to_le_bytes()].concat());
        }
        for range in code {
            locked.show(epcm, range.clone());
        }
        sys::protect(start, len, libc::PROT_READ | libc::PROT_EXEC);
        Self { memory: start..start + len, sites }
    }

    /// How many sites were patched.
    pub(crate) fn count(&self) -> u64 {
        self.sites.len() as u64
    }

    /// Whether a site that was patched is at `rip`.
    pub(crate) fn has_site(&self, rip: u64) -> bool {
        self.sites.contains(&rip)
    }

    pub(crate) fn contains(&self, rip: u64) -> bool {
        self.memory.contains(&rip)
    }

    /// The state at the ENCLU, for a thread stopped in its stub; no register but RSP has changed
    /// while the spilling goes on.
    pub(crate) fn undo(&self, rip: u64, rsp: u64) -> Interrupted {
        let at = rip - self.memory.start;
        let within = at % STUB_SIZE as u64;
        let rsp = match within {
            0 => rsp,
            1..=ABOVE => rsp.wrapping_add(SPILL - 8),
            _ => rsp.wrapping_add(SPILL),
        };
        Interrupted { site: self.sites[at as usize / STUB_SIZE], rsp }
    }
}

impl Drop for Stubs {
    fn drop(&mut self) {
        if !self.memory.is_empty() {
            sys::unmap(self.memory.start, self.memory.end - self.memory.start);
        }
    }
}

/// The contents of readable pages, before EINIT.
fn contents(range: &Range<u64>) -> &[u8] {
    // SAFETY: the callers know that the pages are readable, and no thread can be inside before EINIT.
    unsafe { slice::from_raw_parts(range.start as *const u8, (range.end - range.start) as usize) }
}

/// Finds the sites in readable code.
fn find(range: &Range<u64>) -> Vec<u64> {
    memmem::find_iter(contents(range), &ENCLU_SITE).map(|at| range.start + at as u64).collect()
}

/// Spills flags and four registers below the red zone, and goes to `emu_leaf` with RCX telling where
/// the enclave goes on.
fn stub(resume: u64) -> Vec<u8> {
    let below = -((SPILL - 8) as i32);
    let mut code = vec![0x48, 0x8d, 0xa4, 0x24]; // lea rsp, [rsp - (SPILL - 8)]
    code.extend(below.to_le_bytes());
    debug_assert_eq!(code.len() as u64, ABOVE);
    code.push(0x9c); // pushfq
    code.extend([0x48, 0x89, 0x4c, 0x24, 0x08]); // mov [rsp + 8], rcx
    code.extend([0x48, 0x89, 0x54, 0x24, 0x10]); // mov [rsp + 16], rdx
    code.extend([0x48, 0x89, 0x5c, 0x24, 0x18]); // mov [rsp + 24], rbx
    code.extend([0x48, 0x89, 0x44, 0x24, 0x20]); // mov [rsp + 32], rax
    code.extend([0x48, 0xb9]); // mov rcx, resume
    code.extend(resume.to_le_bytes());
    code.extend(JUMP);
    code.extend((asm::emu_leaf as *const () as u64).to_le_bytes());
    code
}

fn write(at: u64, bytes: &[u8]) {
    // SAFETY: the callers made the memory writable, and nobody executes it yet.
    unsafe { (at as *mut u8).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
}
