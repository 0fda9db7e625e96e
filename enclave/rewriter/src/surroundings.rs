//! What stands around a site, and could be displaced or hold a jump.

use alloc::vec::Vec;
use core::ops::Range;

use iced_x86::Mnemonic;

use crate::decode::{Backward, INSN_MAX, Insn, Reader};
use crate::relocate::{Flow, flow};
use crate::sites::SYSCALL;

/// Bytes of `jmp rel32`.
pub(crate) const JUMP: usize = 5;
/// Bytes before a site that are searched for padding; a short jump reaches 126.
const CAVE_WINDOW: usize = Backward::WINDOW;
/// Bytes before a site from which an instruction right before it is agreed on.
const AGREED_WINDOW: usize = 48;

/// Instructions behind a site.
#[derive(Default)]
pub(crate) struct Behind {
    pub(crate) insns: Vec<Insn>,
    /// End of the last one, or of the padding behind it that is overwritten as well.
    pub(crate) end: usize,
}

/// Distance from the begin of a jump to the one byte of it that is an undefined opcode when it is guarded:
/// where the instruction behind a `syscall` begins.
pub(crate) const GUARD: usize = SYSCALL.len();

/// Whether what begins at `offset` is guarded, when a guarded jump is written at `start`.
pub(crate) fn is_guarded(start: usize, offset: usize) -> bool {
    offset == start + GUARD || offset >= start + JUMP
}

/// Offsets behind the site's own at which displaced instructions begin, and all bytes of padding that
/// the jump overwrites.
pub(crate) fn inner(behind: &Behind) -> impl Iterator<Item = usize> + '_ {
    let last = behind.insns.last().map_or(behind.end, Insn::end);
    behind.insns.iter().flat_map(boundaries).chain(last..behind.end)
}

/// The same for instructions before the site: all but the first, and the site.
pub(crate) fn inner_before(site: usize, before: &[Insn]) -> impl Iterator<Item = usize> + '_ {
    let first = before.first().map(|insn| insn.offset);
    let own = first.map(|_| site);
    before.iter().flat_map(boundaries).filter(move |&o| Some(o) != first).chain(own)
}

/// Where an instruction may be entered: at its begin, and behind a `lock` prefix (glibc jumps over
/// those when there is one thread).
fn boundaries(insn: &Insn) -> impl Iterator<Item = usize> + use<> {
    let locked = insn.insn.has_lock_prefix().then_some(insn.offset + 1);
    core::iter::once(insn.offset).chain(locked)
}

/// Instructions behind the site that make room for a jump; none when there is no way.
pub(crate) fn behind(reader: &mut Reader<'_>, site: usize) -> Behind {
    let mut found = Behind { insns: Vec::new(), end: site + SYSCALL.len() };
    while found.end < site + JUMP {
        let next = reader.decode(found.end).filter(|insn| !starts_function(reader, insn));
        let Some((insn, flow)) = next.and_then(|insn| Some((insn, flow(&insn).ok()?))) else {
            return Behind::default();
        };
        found.end = insn.end();
        found.insns.push(insn);
        if flow == Flow::Ends && found.end < site + JUMP {
            let end = padding(reader, found.end).find(|&end| end >= site + JUMP);
            return end.map_or_else(Behind::default, |end| Behind { end, ..found });
        }
    }
    found
}

/// The instruction may be the first of another function, when the system call never returns.
fn starts_function(reader: &Reader<'_>, insn: &Insn) -> bool {
    reader.code.at(insn.offset).is_multiple_of(16) && !insn.names_rax()
}

/// Ends of the instructions without effect, and breakpoints, that follow each other from `offset` on. One
/// without effect where functions are aligned may be the begin of one, left for patches.
fn padding<'r>(reader: &'r mut Reader<'_>, offset: usize) -> impl Iterator<Item = usize> + 'r {
    let mut end = offset;
    core::iter::from_fn(move || {
        let insn = reader.decode(end)?;
        let aligned = reader.code.at(end).is_multiple_of(16);
        end = insn.end();
        match insn.insn.mnemonic() {
            Mnemonic::Int3 => Some(end),
            Mnemonic::Nop if !aligned => Some(end),
            _ => None,
        }
    })
}

/// What looks like `mov eax, NUMBER` before the site, the usual case. To be checked with
/// [`is_agreed`] when it is needed.
pub(crate) fn number_before(reader: &mut Reader<'_>, site: usize) -> Option<Insn> {
    let before = reader.code.bytes.get(..site).unwrap_or_default();
    let len = match before {
        [.., 0x48, 0xc7, 0xc0, _, _, 0, 0] => 7,
        [.., 0xb8, _, _, 0, 0] => 5,
        _ => return None,
    };
    reader.decode(site - len)
}

/// An instruction before the site is one by consensus.
pub(crate) fn is_agreed(reader: &mut Reader<'_>, site: usize, insn: &Insn) -> bool {
    let backward = Backward::new(reader, site, AGREED_WINDOW);
    backward.agrees(site) && backward.agrees(insn.offset)
}

/// Instructions before the site by consensus, enough for a jump, and padding that a short jump from
/// the site reaches.
pub(crate) fn surroundings(reader: &mut Reader<'_>, site: usize) -> (Vec<Insn>, Vec<Range<usize>>) {
    let backward = Backward::new(reader, site, CAVE_WINDOW);
    if !backward.agrees(site) {
        return (Vec::new(), caves_behind(reader, site));
    }
    let mut before = Vec::new();
    for offset in backward.chain(site) {
        match reader.decode(offset) {
            Some(insn) if flow(&insn) == Ok(Flow::On) && backward.agrees(offset) => {
                before.insert(0, insn);
            }
            _ => break,
        }
        if site - offset >= JUMP - SYSCALL.len() {
            break;
        }
    }
    let enough = before.first().is_some_and(|insn| site - insn.offset >= JUMP - SYSCALL.len());
    if !enough || before.iter().skip(1).any(|insn| starts_function(reader, insn)) {
        before.clear();
    }
    let mut caves = caves_behind(reader, site);
    let ends: Vec<usize> = backward.chain(site).collect();
    for offset in ends {
        if let Some(insn) = reader.decode(offset)
            && flow(&insn) == Ok(Flow::Ends)
            && backward.agrees(insn.end())
        {
            push_caves(reader, site, insn.end(), &mut caves);
        }
    }
    (before, caves)
}

/// Padding behind the site: instructions there are certain as far as execution falls through.
fn caves_behind(reader: &mut Reader<'_>, site: usize) -> Vec<Range<usize>> {
    let mut caves = Vec::new();
    let mut offset = site + SYSCALL.len();
    while offset < site + SYSCALL.len() + 127 {
        let Some(insn) = reader.decode(offset) else { break };
        offset = insn.end();
        if flow(&insn) == Ok(Flow::Ends) {
            push_caves(reader, site, offset, &mut caves);
            offset = padding(reader, offset).last().unwrap_or(offset);
        }
    }
    caves
}

/// Room for jumps in the padding at `offset`: whole instructions, so that what remains of it still
/// reads as padding.
fn push_caves(reader: &mut Reader<'_>, site: usize, offset: usize, caves: &mut Vec<Range<usize>>) {
    let mut start = offset;
    for end in padding(reader, offset).take(2 * INSN_MAX) {
        if end >= start + JUMP {
            if short_displacement(site, start).is_some() {
                caves.push(start..end);
            }
            start = end;
        }
    }
}

/// Displacement of a short jump from the site to `cave`.
pub(crate) fn short_displacement(site: usize, cave: usize) -> Option<u8> {
    let distance = isize::try_from(cave).ok()? - isize::try_from(site + SYSCALL.len()).ok()?;
    i8::try_from(distance).ok().map(i8::cast_unsigned)
}
