//! Decides how each site gets its jump.

use alloc::vec::Vec;
use core::ops::Range;

use crate::decode::{Insn, Reader};
use crate::map::Piece;
use crate::relocate::jump;
use crate::sites::{SYSCALL, Sites};
use crate::surroundings::{
    Behind, behind, inner, inner_before, is_agreed, number_before, short_displacement, surroundings,
};
use crate::targets::{Queries, Targets};
use crate::trampoline::{Displaced, Trampolines};
use crate::{AddressMap, Area, Code, Kind, Left, Patch, Rewritten};

/// Code of `mov eax/rax, 15` and `syscall`: returns from a signal.
const SIGNAL_RETURN: [&[u8]; 2] =
    [&[0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05], &[0xb8, 15, 0, 0, 0, 0x0f, 0x05]];

/// Rewrites all `sites` of `code`, with trampolines at the begin of `area`. `map` has all that was
/// moved so far.
#[must_use]
pub fn rewrite(code: &Code<'_>, sites: &Sites, area: Area, map: &AddressMap) -> Rewritten {
    let mut out = place_all(code, &sites.offsets, area, map);
    out.stats.unconfirmed = sites.unconfirmed;
    out
}

/// Rewrites the one site at `addr`, which trapped. `code` is the mapping as it is now, or the part of
/// it within 32 KiB of the site; `map` has all that was moved so far. Other threads must not execute near the site while the patch is
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
        let number = number_before(&mut placer.reader, site);
        inner(&behind).chain(inner_before(site, number.as_slice())).for_each(|o| queries.ask(o));
        waiting.push((Candidate { site, behind, left: Left::NoPlace }, number));
    }
    let targets = queries.answer(code, map.branches());
    waiting.retain_mut(|(candidate, number)| {
        !placer.try_direct(candidate, number.as_slice(), &targets)
    });

    // The few that are left may cost more.
    let mut queries = Queries::default();
    let mut hard = Vec::new();
    for (candidate, _) in waiting {
        let (before, caves) = surroundings(&mut placer.reader, candidate.site);
        inner_before(candidate.site, &before).for_each(|o| queries.ask(o));
        caves.iter().cloned().flatten().for_each(|o| queries.ask(o));
        hard.push((Candidate { behind: Behind::default(), ..candidate }, before, caves));
    }
    let targets = queries.answer(code, map.branches());
    for (mut candidate, before, caves) in hard {
        if !placer.try_direct(&mut candidate, &before, &targets) {
            placer.try_caves(&candidate, &caves, &targets);
        }
    }
    placer.finish()
}

/// A site and what could be displaced behind it; nothing when that can't be.
struct Candidate {
    site: usize,
    behind: Behind,
    /// Why it couldn't be placed so far.
    left: Left,
}

struct Placer<'a> {
    code: Code<'a>,
    reader: Reader<'a>,
    trampolines: Trampolines<'a>,
    /// Ranges that hold patches, sorted; those of earlier times apart.
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

    /// Places the jump at the site, or else before it, where the instructions `before` stand. False when
    /// neither can be, with the reason in `candidate`.
    fn try_direct(
        &mut self,
        candidate: &mut Candidate,
        before: &[Insn],
        targets: &Targets,
    ) -> bool {
        let Candidate { site, behind, left } = candidate;
        let mut note = |result: Result<(), Left>| {
            *left = result.err().filter(|&left| left != Left::NoPlace).unwrap_or(*left);
            result.is_ok()
        };
        if !behind.insns.is_empty()
            && !inner(behind).any(|offset| targets.contains(offset))
            && note(self.place(Kind::Following, *site, &[], behind))
        {
            return true;
        }
        before.first().is_some_and(|first| is_agreed(&mut self.reader, *site, first))
            && !inner_before(*site, before).any(|offset| targets.contains(offset))
            && note(self.place(Kind::Preceding, *site, before, &Behind::default()))
    }

    fn place(
        &mut self,
        kind: Kind,
        site: usize,
        before: &[Insn],
        behind: &Behind,
    ) -> Result<(), Left> {
        let start = before.first().map_or(site, |insn| insn.offset);
        let end = behind.end.max(site + SYSCALL.len());
        if end > self.code.bytes.len() || !self.is_free(start, end) {
            return Err(Left::NoPlace);
        }
        let from = self.trampolines.moved.pieces.len();
        let entry = self.trampolines.push(&Displaced { site, before, behind: &behind.insns })?;
        let len = end - start;
        let start = self.code.at(start);
        let patch = Patch::new(start, &jump(entry, start)?, len).ok_or(Left::NoPlace)?;
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

    fn try_caves(&mut self, candidate: &Candidate, caves: &[Range<usize>], targets: &Targets) {
        let fits = |cave: &Range<usize>| !cave.clone().any(|offset| targets.contains(offset));
        let result = caves
            .iter()
            .filter(|cave| fits(cave))
            .find_map(|cave| match self.place_cave(candidate.site, cave) {
                Err(Left::NoPlace) => None,
                other => Some(other),
            })
            .unwrap_or(Err(candidate.left));
        self.settle(candidate.site, result);
    }

    fn place_cave(&mut self, site: usize, cave: &Range<usize>) -> Result<Kind, Left> {
        let displacement = short_displacement(site, cave.start).ok_or(Left::NoPlace)?;
        if !self.is_free(site, site + 2) || !self.is_free(cave.start, cave.end) {
            return Err(Left::NoPlace);
        }
        let entry = self.trampolines.push(&Displaced { site, before: &[], behind: &[] })?;
        let start = self.code.at(cave.start);
        let long = Patch::new(start, &jump(entry, start)?, cave.len()).ok_or(Left::NoPlace)?;
        let short =
            Patch::new(self.code.at(site), &[0xeb, displacement], 2).ok_or(Left::NoPlace)?;
        let piece = Piece { start: long.addr, end: long.end(), original: short.addr };
        self.trampolines.moved.pieces.push(piece);
        self.add(long);
        self.add(short);
        Ok(Kind::Cave)
    }

    fn add(&mut self, patch: Patch) {
        let range = (patch.addr, patch.end());
        let at = self.taken.partition_point(|taken| *taken < range);
        self.taken.insert(at, range);
        self.out.patches.push(patch);
    }

    /// No patch lies between two offsets yet.
    fn is_free(&self, start: usize, end: usize) -> bool {
        let (start, end) = (self.code.at(start), self.code.at(end));
        [self.earlier, &self.taken].iter().all(|ranges| {
            let next = ranges.partition_point(|taken| taken.1 <= start);
            ranges.get(next).is_none_or(|taken| end <= taken.0)
        })
    }

    fn finish(mut self) -> Rewritten {
        self.trampolines.moved.taken = self.taken;
        self.out.moved = self.trampolines.moved;
        self.out.trampolines = self.trampolines.bytes;
        self.out
    }
}
