//! Looks for a secret in the memory of a process that is not the enclave's.
//!
//! The secret is made by the program itself, inside, from numbers that are nowhere in its file; so
//! if the host's part of the process holds it, the runtime has let it out.
//!
//! What the emulator keeps in place of a processor (saved registers, the stacks on which it takes
//! exceptions) is no memory of the host's: on an SGX processor it does not exist. Under audit the
//! emulator names that memory, and only what bears the name is passed over.

use std::{
    fs::{self, File},
    io,
    ops::Range,
    os::unix::fs::FileExt,
};

use hostcall_abi::layout::{ELRANGE_SIZE, PAGE};

/// Bytes of the secret.
pub const SECRET_BYTES: usize = 32;

/// The secret that `c/plant.c` makes.
#[must_use]
pub fn secret() -> [u8; SECRET_BYTES] {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut bytes = [0; SECRET_BYTES];
    for piece in bytes.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        piece.copy_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes
}

/// Whose memory is looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The host's: all outside of ELRANGE, without [`Part::Processor`].
    Host,
    /// The enclave's.
    Enclave,
    /// What stands for the inside of the processor.
    Processor,
}

/// What a look through a process found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Bytes that were looked through.
    pub bytes: u64,
    /// Addresses at which a word of the secret stands.
    pub places: Vec<u64>,
}

/// Looks through a part of the memory of process `pid`.
///
/// Each word of the secret counts: that is as much as a general register holds.
///
/// # Errors
///
/// When the process's memory cannot be read at all. Single pages that cannot be (the kernel's own)
/// are passed over.
pub fn look(pid: u32, part: Part) -> io::Result<Found> {
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let present = File::open(format!("/proc/{pid}/pagemap"))?;
    let mut found = Found::default();
    for line in fs::read_to_string(format!("/proc/{pid}/maps"))?.lines() {
        let Some(mapping) = range(line) else { continue };
        if whose(line, &mapping) == part && mapping.start < 1 << 47 {
            for run in runs(&present, mapping)? {
                search(&memory, run, &mut found);
            }
        }
    }
    Ok(found)
}

fn whose(line: &str, mapping: &Range<u64>) -> Part {
    if mapping.start < ELRANGE_SIZE {
        Part::Enclave
    } else if line.contains("/memfd:scone-emu-cpu") {
        Part::Processor
    } else {
        Part::Host
    }
}

/// The range of a readable mapping.
fn range(line: &str) -> Option<Range<u64>> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    if rest.starts_with('r') { Some(number(start)?..number(end)?) } else { None }
}

/// The parts of a mapping that were ever touched: most of it may be reserved only.
fn runs(present: &File, mapping: Range<u64>) -> io::Result<Vec<Range<u64>>> {
    const ENTRIES: u64 = 1 << 16;
    const PRESENT_OR_SWAPPED: u64 = 3 << 62;
    let mut runs: Vec<Range<u64>> = Vec::new();
    let mut at = mapping.start;
    while at < mapping.end {
        let pages = ((mapping.end - at) / PAGE).min(ENTRIES);
        let mut entries = vec![0; usize::try_from(pages * 8).map_err(io::Error::other)?];
        present.read_exact_at(&mut entries, at / PAGE * 8)?;
        for (page, entry) in (0..).zip(entries.chunks_exact(8)) {
            let entry = entry.iter().rev().fold(0, |word: u64, &byte| word << 8 | u64::from(byte));
            let start = at + page * PAGE;
            match runs.last_mut() {
                _ if entry & PRESENT_OR_SWAPPED == 0 => {}
                Some(run) if run.end == start => run.end += PAGE,
                _ => runs.push(start..start + PAGE),
            }
        }
        at += pages * PAGE;
    }
    Ok(runs)
}

fn search(memory: &File, run: Range<u64>, found: &mut Found) {
    const PIECE: u64 = 1 << 20;
    const WORD: usize = 8;
    let secret = secret();
    let mut at = run.start;
    while at < run.end {
        // Pieces overlap, so that nothing is missed at their borders.
        let len = (run.end - at).min(PIECE + WORD as u64);
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        if memory.read_exact_at(&mut bytes, at).is_ok() {
            found.bytes += len.min(PIECE);
            for (offset, window) in (0..).zip(bytes.windows(WORD)) {
                if secret.chunks_exact(WORD).any(|word| window == word) {
                    found.places.push(at + offset);
                }
            }
        }
        at += PIECE;
    }
}
