//! Lays out trampolines.

use alloc::vec::Vec;

use crate::decode::Insn;
use crate::map::{Moved, Piece};
use crate::relocate::{Flow, GROWTH, flow, jump, relocate};
use crate::room::Room;
use crate::surroundings::JUMP;
use crate::{Area, Code, ENTRY_SLOT, Left};

/// Bytes of what replaces the system call itself.
const ENTER: usize = 15;

/// The displaced surroundings of a site.
pub(crate) struct Displaced<'a> {
    pub(crate) site: usize,
    /// Instructions right before the site, in order.
    pub(crate) before: &'a [Insn],
    /// Instructions right behind it, in order.
    pub(crate) behind: &'a [Insn],
}

impl Displaced<'_> {
    /// Most bytes that its trampoline takes.
    fn room(&self) -> usize {
        let insns = self.before.iter().chain(self.behind);
        ENTER + JUMP + insns.map(|insn| insn.insn.len() + GROWTH).sum::<usize>()
    }
}

/// Fills an area with trampolines.
pub(crate) struct Trampolines<'a> {
    code: Code<'a>,
    area: Area,
    room: Room,
    pub(crate) bytes: Vec<u8>,
    pub(crate) moved: Moved,
    /// The trampoline that is made, and its address.
    new: Vec<u8>,
    start: u64,
}

impl<'a> Trampolines<'a> {
    pub(crate) fn new(code: Code<'a>, area: Area) -> Self {
        let (room, moved) = (Room::new(area), Moved::default());
        Self { code, area, room, bytes: Vec::new(), moved, new: Vec::new(), start: 0 }
    }

    /// Makes a trampoline, which is entered at the address returned; where the jump that ends at `guarded`
    /// is guarded, if that is given. Nothing changes on errors.
    pub(crate) fn push(
        &mut self,
        displaced: &Displaced<'_>,
        guarded: Option<u64>,
    ) -> Result<u64, Left> {
        let len = displaced.room();
        let found = match guarded {
            Some(next) => self.room.find_guarded(len, next),
            None => self.room.find(len),
        };
        let offset = found.ok_or(Left::NoRoom)?;
        self.start = self.area.addr + offset as u64;
        self.new.clear();
        let pieces = self.moved.pieces.len();
        self.append(displaced).inspect_err(|_| self.moved.pieces.truncate(pieces))?;
        let end = offset + self.new.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0xcc);
        }
        self.bytes.get_mut(offset..end).ok_or(Left::NoRoom)?.copy_from_slice(&self.new);
        self.room.take(offset, self.new.len());
        Ok(self.start)
    }

    fn here(&self) -> u64 {
        self.start + self.new.len() as u64
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
            self.new.extend(jump(back, start)?);
            self.piece(start, back);
        }
        Ok(())
    }

    fn displace(&mut self, insn: &Insn) -> Result<(), Left> {
        let start = self.here();
        let original = self.code.bytes.get(insn.offset..insn.end()).ok_or(Left::NoPlace)?;
        relocate(insn, original, self.start, &mut self.new)?;
        self.piece(start, self.code.at(insn.offset));
        Ok(())
    }

    /// What replaces the system call itself.
    fn enter(&mut self, site: usize) {
        let start = self.here();
        self.new.extend([0x48, 0x8d, 0x0d, 8, 0, 0, 0]); // lea rcx, [rip + 8]
        self.new.extend([0x65, 0xff, 0x24, 0x25]); // jmp qword ptr gs:[ENTRY_SLOT]
        self.new.extend(ENTRY_SLOT.to_le_bytes());
        self.piece(start, self.code.at(site));
    }

    fn piece(&mut self, start: u64, original: u64) {
        self.moved.pieces.push(Piece { start, end: self.here(), original });
    }
}
