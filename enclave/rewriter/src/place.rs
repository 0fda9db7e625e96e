//! Decides how each site gets its jump.

use alloc::vec::Vec;

use iced_x86::Mnemonic;

use crate::decode::{Backward, INSN_MAX, Insn, Reader};
use crate::map::Piece;
use crate::relocate::{Flow, flow, jump};
use crate::sites::{SYSCALL, Sites};
use crate::targets::{Queries, Targets};
use crate::trampoline::{Displaced, Trampolines};
use crate::{AddressMap, Area, Code, Kind, Left, Patch, Rewritten};

/// Bytes of `jmp rel32`.
const JUMP: usize = 5;
/// Bytes before a site that are searched for padding; a short jump reaches 126.
const CAVE_WINDOW: usize = 160;
/// Code of `mov eax/rax, 15` and `syscall`: returns from a signal.
const SIGNAL_RETURN: [&[u8]; 2] =
    [&[0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05], &[0xb8, 15, 0, 0, 0, 0x0f, 0x05]];

/// Rewrites all `sites` of `code`, with trampolines at the begin of `area`.
#[must_use]
pub fn rewrite(code: &Code<'_>, sites: &Sites, area: Area) -> Rewritten {
    let mut out = place_all(code, &sites.offsets, area, &AddressMap::new());
    out.stats.unconfirmed = sites.unconfirmed;
    out
}

/// Rewrites the one site at `addr`, which trapped. `code` is the mapping as it is now, `map` has
/// all that was moved so far. Other threads must not execute near the site while the patch is
/// written; saved instruction pointers go through [`AddressMap::relocated`].
///
/// # Errors
///
/// Why it must go on trapping; that doesn't change.
pub fn rewrite_confirmed(
    code: &Code<'_>,
    addr: u64,
    area: Area,
    map: &AddressMap,
) -> Result<Rewritten, Left> {
    let offset = code.offset(addr).ok_or(Left::NotSyscall)?;
    if !code.from(offset).starts_with(&SYSCALL) {
        return Err(Left::NotSyscall);
    }
    let out = place_all(code, &[offset], area, map);
    match out.sites.first() {
        Some(&(_, Err(left))) => Err(left),
        _ => Ok(out),
    }
}

fn place_all(code: &Code<'_>, sites: &[usize], area: Area, map: &AddressMap) -> Rewritten {
    let mut placer = Placer::new(code, area, map);
    let mut waiting = Vec::new();
    let mut queries = Queries::default();
    for &site in sites {
        if SIGNAL_RETURN
            .iter()
            .any(|bytes| code.bytes.get(..site + 2).is_some_and(|b| b.ends_with(bytes)))
        {
            placer.settle(site, Err(Left::SignalReturn));
            continue;
        }
        let behind = behind(&mut placer.reader, site);
        let before = number_before(&mut placer.reader, site);
        inner(site, &behind).chain(inner_before(site, &before)).for_each(|o| queries.ask(o));
        waiting.push(Candidate { site, before, behind });
    }
    let targets = queries.answer(code, map.branches());
    waiting.retain(|candidate| !placer.try_direct(candidate, &targets));

    // The few that are left may cost more.
    let mut queries = Queries::default();
    let mut hard = Vec::new();
    for candidate in waiting {
        let (before, caves) = surroundings(&mut placer.reader, candidate.site);
        inner_before(candidate.site, &before).for_each(|o| queries.ask(o));
        caves.iter().flat_map(|&cave| cave..cave + JUMP).for_each(|o| queries.ask(o));
        hard.push((Candidate { before, behind: Vec::new(), ..candidate }, caves));
    }
    let targets = queries.answer(code, map.branches());
    for (candidate, caves) in hard {
        if !placer.try_direct(&candidate, &targets) {
            placer.try_caves(candidate.site, &caves, &targets);
        }
    }
    placer.finish()
}

/// A site and what could be displaced around it; nothing when that can't be.
struct Candidate {
    site: usize,
    before: Vec<Insn>,
    behind: Vec<Insn>,
}

/// Offsets behind the site's own at which displaced instructions begin.
fn inner(site: usize, behind: &[Insn]) -> impl Iterator<Item = usize> + '_ {
    behind.iter().flat_map(boundaries).filter(move |&offset| offset != site)
}

/// The same for instructions before the site: all but the first, and the site.
fn inner_before(site: usize, before: &[Insn]) -> impl Iterator<Item = usize> + '_ {
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

/// Instructions behind the site that make room for a jump.
fn behind(reader: &mut Reader<'_>, site: usize) -> Vec<Insn> {
    let mut found = Vec::new();
    let mut offset = site + SYSCALL.len();
    while offset < site + JUMP {
        let Some(insn) = reader.decode(offset) else { return Vec::new() };
        if starts_function(reader, &insn) {
            return Vec::new();
        }
        let Ok(flow) = flow(&insn) else { return Vec::new() };
        offset = insn.end();
        found.push(insn);
        if flow == Flow::Ends && offset < site + JUMP {
            let padding = padding(reader, offset).min(site + JUMP);
            return if padding == site + JUMP { found } else { Vec::new() };
        }
    }
    found
}

/// The instruction may be the first of another function, when the system call never returns.
fn starts_function(reader: &Reader<'_>, insn: &Insn) -> bool {
    reader.code.at(insn.offset).is_multiple_of(16) && !insn.names_rax()
}

/// End of the padding that begins at `offset`: breakpoints and instructions without effect.
fn padding(reader: &mut Reader<'_>, offset: usize) -> usize {
    let mut end = offset;
    while let Some(insn) = reader.decode(end) {
        if !matches!(insn.insn.mnemonic(), Mnemonic::Nop | Mnemonic::Int3) {
            break;
        }
        end = insn.end();
    }
    end
}

/// `mov eax, NUMBER` before the site, the usual case, without a look at more.
fn number_before(reader: &mut Reader<'_>, site: usize) -> Vec<Insn> {
    let Some(start) = site.checked_sub(JUMP) else { return Vec::new() };
    let bytes = reader.code.from(start);
    let plain = matches!(bytes, [0xb8, _, 0 | 1, 0, 0, ..]);
    let wide = start >= 2 && matches!(reader.code.from(start - 2), [0x48, 0xc7, 0xc0, ..]);
    let wide_immediate =
        start >= 1 && reader.code.from(start - 1).first().is_some_and(|b| b & 0xf8 == 0x48);
    let from = match (plain && !wide_immediate, wide) {
        (true, _) => start,
        (_, true) => start - 2,
        _ => return Vec::new(),
    };
    reader.decode(from).filter(|insn| insn.end() == site).into_iter().collect()
}

/// Instructions before the site by consensus, enough for a jump, and padding that a short jump from
/// the site reaches.
fn surroundings(reader: &mut Reader<'_>, site: usize) -> (Vec<Insn>, Vec<usize>) {
    let backward = Backward::new(reader, site, CAVE_WINDOW);
    let (reached, skipped) = backward.votes();
    if reached < 8 || reached < 4 * skipped {
        return (Vec::new(), caves_behind(reader, site));
    }
    let mut before = Vec::new();
    for offset in backward.chain(site) {
        match reader.decode(offset) {
            Some(insn) if flow(&insn) == Ok(Flow::On) => before.insert(0, insn),
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
        {
            push_caves(reader, site, insn.end(), &mut caves);
        }
    }
    (before, caves)
}

/// Padding behind the site: instructions there are certain as far as execution falls through.
fn caves_behind(reader: &mut Reader<'_>, site: usize) -> Vec<usize> {
    let mut caves = Vec::new();
    let mut offset = site + SYSCALL.len();
    while offset < site + SYSCALL.len() + 127 {
        let Some(insn) = reader.decode(offset) else { break };
        offset = insn.end();
        if flow(&insn) == Ok(Flow::Ends) {
            push_caves(reader, site, offset, &mut caves);
            offset = padding(reader, offset);
        }
    }
    caves
}

/// Room for jumps in the padding at `offset`.
fn push_caves(reader: &mut Reader<'_>, site: usize, offset: usize, caves: &mut Vec<usize>) {
    let end = padding(reader, offset).min(offset + 3 * INSN_MAX);
    let starts = (offset..end).step_by(JUMP).filter(|&cave| cave + JUMP <= end);
    caves.extend(starts.filter(|&cave| short_displacement(site, cave).is_some()));
}

/// Displacement of a short jump from the site to `cave`.
fn short_displacement(site: usize, cave: usize) -> Option<u8> {
    let distance = isize::try_from(cave).ok()? - isize::try_from(site + SYSCALL.len()).ok()?;
    i8::try_from(distance).ok().map(i8::cast_unsigned)
}

struct Placer<'a> {
    code: Code<'a>,
    reader: Reader<'a>,
    trampolines: Trampolines<'a>,
    /// Ranges that hold patches, unsorted, after the sorted ones of earlier times.
    taken: Vec<(u64, u64)>,
    earlier: &'a [(u64, u64)],
    out: Rewritten,
}

impl<'a> Placer<'a> {
    fn new(code: &Code<'a>, area: Area, map: &'a AddressMap) -> Self {
        Self {
            code: *code,
            reader: Reader::new(*code),
            trampolines: Trampolines::new(*code, area),
            taken: Vec::new(),
            earlier: map.taken(),
            out: Rewritten::default(),
        }
    }

    fn settle(&mut self, site: usize, result: Result<Kind, Left>) {
        self.out.stats.count(result);
        self.out.sites.push((self.code.at(site), result));
    }

    /// Places the jump at the site, or else before it. False when neither can be.
    fn try_direct(&mut self, candidate: &Candidate, targets: &Targets) -> bool {
        let Candidate { site, before, behind } = candidate;
        let behind_free = !behind.is_empty() && !inner(*site, behind).any(|o| targets.contains(o));
        let before_free =
            !before.is_empty() && !inner_before(*site, before).any(|o| targets.contains(o));
        (behind_free && self.place(Kind::Following, *site, &[], behind).is_ok())
            || (before_free && self.place(Kind::Preceding, *site, before, &[]).is_ok())
    }

    fn place(
        &mut self,
        kind: Kind,
        site: usize,
        before: &[Insn],
        behind: &[Insn],
    ) -> Result<(), Left> {
        let start = before.first().map_or(site, |insn| insn.offset);
        let last = behind.last().map_or(site + SYSCALL.len(), Insn::end);
        let end = last.max(start + JUMP);
        if end > self.code.bytes.len() || !self.is_free(start, end) {
            return Err(Left::NoPlace);
        }
        let from = self.trampolines.moved.pieces.len();
        let entry = self.trampolines.push(&Displaced { site, before, behind })?;
        let mut bytes = Vec::with_capacity(JUMP);
        jump(entry, self.code.at(start), &mut bytes)?;
        let patch = Patch::new(self.code.at(start), &bytes, end - start).ok_or(Left::NoPlace)?;
        self.add_inside(from, patch.addr, patch.end());
        self.add(patch);
        self.settle(site, Ok(kind));
        Ok(())
    }

    /// Records the new places of instructions inside a patch.
    fn add_inside(&mut self, from: usize, start: u64, end: u64) {
        let moved = &mut self.trampolines.moved;
        let pieces = moved.pieces.get(from..).unwrap_or_default();
        let inside = pieces.iter().filter(|piece| start < piece.original && piece.original < end);
        moved.inside.extend(inside.map(|piece| (piece.original, piece.start)));
    }

    fn try_caves(&mut self, site: usize, caves: &[usize], targets: &Targets) {
        let fits = |cave: &usize| !(*cave..cave + JUMP).any(|offset| targets.contains(offset));
        let result = caves
            .iter()
            .filter(|cave| fits(cave))
            .find_map(|&cave| match self.place_cave(site, cave) {
                Err(Left::NoPlace) => None,
                other => Some(other),
            })
            .unwrap_or(Err(Left::NoPlace));
        self.settle(site, result);
    }

    fn place_cave(&mut self, site: usize, cave: usize) -> Result<Kind, Left> {
        let displacement = short_displacement(site, cave).ok_or(Left::NoPlace)?;
        if !self.is_free(site, site + 2) || !self.is_free(cave, cave + JUMP) {
            return Err(Left::NoPlace);
        }
        let entry = self.trampolines.push(&Displaced { site, before: &[], behind: &[] })?;
        let mut bytes = Vec::with_capacity(JUMP);
        jump(entry, self.code.at(cave), &mut bytes)?;
        let long = Patch::new(self.code.at(cave), &bytes, JUMP).ok_or(Left::NoPlace)?;
        let short =
            Patch::new(self.code.at(site), &[0xeb, displacement], 2).ok_or(Left::NoPlace)?;
        let piece = Piece { start: long.addr, end: long.end(), original: short.addr };
        self.trampolines.moved.pieces.push(piece);
        self.add(long);
        self.add(short);
        Ok(Kind::Cave)
    }

    fn add(&mut self, patch: Patch) {
        self.taken.push((patch.addr, patch.end()));
        self.out.patches.push(patch);
    }

    /// No patch lies between two offsets yet.
    fn is_free(&self, start: usize, end: usize) -> bool {
        let (start, end) = (self.code.at(start), self.code.at(end));
        let apart = |taken: &(u64, u64)| taken.1 <= start || end <= taken.0;
        let next = self.earlier.partition_point(|taken| taken.1 <= start);
        self.earlier.get(next).is_none_or(apart) && self.taken.iter().rev().all(apart)
    }

    fn finish(mut self) -> Rewritten {
        self.trampolines.moved.taken = self.taken;
        self.out.moved = self.trampolines.moved;
        self.out.trampolines = self.trampolines.bytes;
        self.out
    }
}
