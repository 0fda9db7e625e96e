//! Decides how each site gets its jump.

use alloc::vec::Vec;
use core::ops::Range;

use crate::decode::{Insn, Reader};
use crate::map::{Inside, Piece};
use crate::relocate::jump;
use crate::sites::{SYSCALL, Sites};
use crate::surroundings::{
    Behind, GUARD, JUMP, behind, inner, inner_before, is_agreed, is_guarded, number_before,
    short_displacement, surroundings,
};
use crate::targets::{NEAR, REACH, Targets};
use crate::trampoline::{Displaced, Trampolines};
use crate::{Area, Code, Kind, Left, Patch, Rewritten};

/// Code of `mov eax/rax, 15` and `syscall`: returns from a signal.
const SIGNAL_RETURN: [&[u8]; 2] =
    [&[0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05], &[0xb8, 15, 0, 0, 0, 0x0f, 0x05]];

/// Rewrites all `sites` of `code`, with trampolines in `area`.
#[must_use]
pub fn rewrite(code: &Code<'_>, sites: &Sites, area: Area) -> Rewritten {
    let mut placer = Placer::new(code, sites.part.clone(), area);
    placer.out.stats.unconfirmed = sites.unconfirmed;
    let mut waiting = Vec::new();
    for &site in &sites.offsets {
        let before = code.bytes.get(..site + SYSCALL.len()).unwrap_or_default();
        if SIGNAL_RETURN.iter().any(|bytes| before.ends_with(bytes)) {
            placer.settle(site, Err(Left::SignalReturn));
            continue;
        }
        let behind = behind(&mut placer.reader, site);
        waiting.push(Candidate { site, behind, before: Vec::new(), left: Left::NoPlace });
    }
    let inner_behind = waiting.iter().flat_map(|candidate| inner(&candidate.behind));
    let targets = Targets::among(inner_behind, code, NEAR);
    waiting.retain_mut(|candidate| !placer.try_following(candidate, &targets, true));

    for candidate in &mut waiting {
        candidate.before.extend(number_before(&mut placer.reader, candidate.site));
    }
    let targets = Targets::among(waiting.iter().flat_map(Candidate::inner_before), code, NEAR);
    waiting.retain_mut(|candidate| !placer.try_preceding(candidate, &targets, true));

    // The few that are left may cost more.
    let mut caves = Vec::new();
    for candidate in &mut waiting {
        let (before, near) = surroundings(&mut placer.reader, candidate.site);
        candidate.before = before;
        caves.push(near);
    }
    let inner = waiting.iter().flat_map(|c| inner(&c.behind).chain(c.inner_before()));
    let padding = caves.iter().flatten().cloned().flatten();
    let targets = Targets::among(inner.chain(padding), code, REACH);
    for (mut candidate, caves) in waiting.into_iter().zip(caves) {
        if !placer.try_following(&mut candidate, &targets, false)
            && !placer.try_preceding(&mut candidate, &targets, false)
        {
            placer.try_caves(&candidate, &caves, &targets);
        }
    }
    placer.finish()
}

/// A site that has no jump yet.
struct Candidate {
    site: usize,
    /// What could be displaced behind it; nothing when that can't be.
    behind: Behind,
    /// The same before it.
    before: Vec<Insn>,
    /// Why it couldn't be placed so far.
    left: Left,
}

impl Candidate {
    fn inner_before(&self) -> impl Iterator<Item = usize> + '_ {
        inner_before(self.site, &self.before)
    }

    /// Whether it has been placed; keeps the reason if not.
    fn note(&mut self, result: Result<(), Left>) -> bool {
        match result {
            Ok(()) => return true,
            Err(Left::NoPlace) => {}
            Err(left) => self.left = left,
        }
        false
    }
}

/// Whether a jump at `start` may displace what begins at the offsets `inner`.
fn may_displace(
    start: usize,
    mut inner: impl Iterator<Item = usize>,
    targets: &Targets,
    guarded: bool,
) -> bool {
    inner.all(|offset| !targets.contains(offset) && (!guarded || is_guarded(start, offset)))
}

struct Placer<'a> {
    code: Code<'a>,
    reader: Reader<'a>,
    trampolines: Trampolines<'a>,
    /// What may be changed.
    part: Range<usize>,
    /// Ranges that hold patches, sorted.
    taken: Vec<(u64, u64)>,
    out: Rewritten,
}

impl<'a> Placer<'a> {
    fn new(code: &Code<'a>, part: Range<usize>, area: Area) -> Self {
        Self {
            code: *code,
            reader: Reader::new(*code),
            trampolines: Trampolines::new(*code, area),
            part,
            taken: Vec::new(),
            out: Rewritten::default(),
        }
    }

    fn settle(&mut self, site: usize, result: Result<Kind, Left>) {
        self.out.stats.count(result);
        self.out.sites.push((self.code.at(site), result));
    }

    /// Places the jump at the site. Where it is to be guarded, only if all that is displaced is.
    fn try_following(
        &mut self,
        candidate: &mut Candidate,
        targets: &Targets,
        guarded: bool,
    ) -> bool {
        let Candidate { site, behind, .. } = &*candidate;
        if behind.insns.is_empty() || !may_displace(*site, inner(behind), targets, guarded) {
            return false;
        }
        // What can be guarded is, even if not all can.
        let mut result = self.place(Kind::Following, *site, &[], behind, true);
        if !guarded && result == Err(Left::NoRoom) {
            result = self.place(Kind::Following, *site, &[], behind, false);
        }
        candidate.note(result)
    }

    /// The same before the site.
    fn try_preceding(
        &mut self,
        candidate: &mut Candidate,
        targets: &Targets,
        guarded: bool,
    ) -> bool {
        let Candidate { site, before, .. } = &*candidate;
        let Some(first) = before.first() else { return false };
        if !may_displace(first.offset, candidate.inner_before(), targets, guarded)
            || !is_agreed(&mut self.reader, *site, first)
        {
            return false;
        }
        let start = first.offset;
        let needed = guarded && candidate.inner_before().any(|offset| offset == start + GUARD);
        let result = self.place(Kind::Preceding, *site, before, &Behind::default(), needed);
        candidate.note(result)
    }

    fn place(
        &mut self,
        kind: Kind,
        site: usize,
        before: &[Insn],
        behind: &Behind,
        guarded: bool,
    ) -> Result<(), Left> {
        let start = before.first().map_or(site, |insn| insn.offset);
        let end = behind.end.max(site + SYSCALL.len());
        if !self.is_free(start, end) {
            return Err(Left::NoPlace);
        }
        let from = self.trampolines.moved.pieces.len();
        let displaced = Displaced { site, before, behind: &behind.insns };
        let next = guarded.then(|| self.code.at(start + JUMP));
        let entry = self.trampolines.push(&displaced, next)?;
        let len = end - start;
        let start = self.code.at(start);
        let patch = Patch::new(start, &jump(entry, start)?, len).ok_or(Left::NoPlace)?;
        self.add_inside(from, &patch, entry);
        self.add(patch);
        self.settle(site, Ok(kind));
        Ok(())
    }

    /// Records the new places of instructions inside a patch.
    fn add_inside(&mut self, from: usize, patch: &Patch, entry: u64) {
        let moved = &mut self.trampolines.moved;
        let pieces = moved.pieces.get(from..).unwrap_or_default();
        let inside = pieces.iter().filter(|p| patch.addr < p.original && p.original < patch.end());
        moved.inside.extend(inside.map(|piece| Inside {
            original: piece.original,
            now: piece.start,
            patch: patch.addr,
            entry,
        }));
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
        let entry = self.trampolines.push(&Displaced { site, before: &[], behind: &[] }, None)?;
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

    /// All between two offsets may be changed, and no patch lies there yet.
    fn is_free(&self, start: usize, end: usize) -> bool {
        let inside = self.part.start <= start && end <= self.part.end;
        let (start, end) = (self.code.at(start), self.code.at(end));
        let next = self.taken.partition_point(|taken| taken.1 <= start);
        inside && self.taken.get(next).is_none_or(|taken| end <= taken.0)
    }

    fn finish(mut self) -> Rewritten {
        self.out.moved = self.trampolines.moved;
        self.out.trampolines = self.trampolines.bytes;
        self.out
    }
}
