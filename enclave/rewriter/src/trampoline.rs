//! Lays out trampolines.

use alloc::vec::Vec;

use crate::decode::Insn;
use crate::map::{Moved, Piece};
use crate::relocate::{Flow, branch_target, flow, jump, relocate};
use crate::{Area, Code, ENTRY_SLOT, Left, TRAMPOLINE_MAX};

/// The displaced surroundings of a site.
pub(crate) struct Displaced<'a> {
    pub(crate) site: usize,
    /// Instructions right before the site, in order.
    pub(crate) before: &'a [Insn],
    /// Instructions right behind it, in order.
    pub(crate) behind: &'a [Insn],
}

/// Fills an area with trampolines.
pub(crate) struct Trampolines<'a> {
    code: Code<'a>,
    area: Area,
    pub(crate) bytes: Vec<u8>,
    pub(crate) moved: Moved,
}

impl<'a> Trampolines<'a> {
    pub(crate) fn new(code: Code<'a>, area: Area) -> Self {
        Self { code, area, bytes: Vec::new(), moved: Moved::default() }
    }

    fn here(&self) -> u64 {
        self.area.addr + self.bytes.len() as u64
    }

    /// Appends a trampoline, which is entered at the address returned. Nothing changes on errors.
    pub(crate) fn push(&mut self, displaced: &Displaced<'_>) -> Result<u64, Left> {
        if self.area.size.saturating_sub(self.bytes.len()) < TRAMPOLINE_MAX {
            return Err(Left::NoRoom);
        }
        let start = self.here();
        let len = self.bytes.len();
        let pieces = self.moved.pieces.len();
        self.append(displaced).inspect_err(|_| {
            self.bytes.truncate(len);
            self.moved.pieces.truncate(pieces);
        })?;
        self.moved
            .branches
            .extend(displaced.before.iter().chain(displaced.behind).filter_map(branch_target));
        Ok(start)
    }

    fn append(&mut self, displaced: &Displaced<'_>) -> Result<(), Left> {
        let mut end = displaced.site + 2;
        let mut last = Flow::On;
        for insn in displaced.before {
            self.displace(insn)?;
        }
        self.enter(displaced.site);
        for insn in displaced.behind {
            self.displace(insn)?;
            end = insn.end();
            last = flow(insn)?;
        }
        if last == Flow::On {
            let (start, back) = (self.here(), self.code.at(end));
            self.bytes.extend(jump(back, start)?);
            self.piece(start, back);
        }
        Ok(())
    }

    fn displace(&mut self, insn: &Insn) -> Result<(), Left> {
        let start = self.here();
        let original = self.code.bytes.get(insn.offset..insn.end()).ok_or(Left::NoPlace)?;
        relocate(insn, original, self.area.addr, &mut self.bytes)?;
        self.piece(start, self.code.at(insn.offset));
        Ok(())
    }

    /// What replaces the system call itself.
    fn enter(&mut self, site: usize) {
        let start = self.here();
        self.bytes.extend([0x48, 0x8d, 0x0d, 8, 0, 0, 0]); // lea rcx, [rip + 8]
        self.bytes.extend([0x65, 0xff, 0x24, 0x25]); // jmp qword ptr gs:[ENTRY_SLOT]
        self.bytes.extend(ENTRY_SLOT.to_le_bytes());
        self.piece(start, self.code.at(site));
    }

    fn piece(&mut self, start: u64, original: u64) {
        self.moved.pieces.push(Piece { start, end: self.here(), original });
    }
}
