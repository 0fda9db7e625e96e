//! `mprotect(2)`.

use crate::errors::MmError;
use crate::pages::{BackingFile, Pages};
use crate::range::{PAGE_SIZE, PageRange, is_page_aligned, page_align};
use crate::space::AddressSpace;
use crate::vma::{Prot, Vma};

/// `PROT_SEM`, accepted and without effect on x86-64.
const PROT_SEM: u64 = 8;
const PROT_GROWSDOWN: u64 = 0x0100_0000;
const PROT_GROWSUP: u64 = 0x0200_0000;

impl<P: Pages<F>, F: BackingFile> AddressSpace<P, F> {
    /// `mprotect(2)`. As in Linux, what lies before the first hole or refusal has been changed.
    pub fn mprotect(&mut self, addr: u64, len: u64, prot: u64) -> Result<(), MmError> {
        let grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
        if grows == PROT_GROWSDOWN | PROT_GROWSUP || !is_page_aligned(addr) {
            return Err(MmError::Invalid);
        }
        if len == 0 {
            return Ok(());
        }
        let end = page_align(len).and_then(|len| addr.checked_add(len)).ok_or(MmError::NoMemory)?;
        let range = PageRange::new(addr, end).filter(|r| !r.is_empty()).ok_or(MmError::NoMemory)?;
        let prot = Prot::from_bits(prot & !(grows | PROT_SEM)).ok_or(MmError::Invalid)?;
        let range = self.grown(range, grows)?;
        self.protect_pieces(range, prot)
    }

    /// `PROT_GROWSDOWN` begins at the start of a stack; nothing grows up on x86-64.
    fn grown(&self, range: PageRange, grows: u64) -> Result<PageRange, MmError> {
        if grows == 0 {
            return Ok(range);
        }
        let vma = self.map.find(range.start()).ok_or(MmError::NoMemory)?;
        if grows != PROT_GROWSDOWN || !vma.grows_down() {
            return Err(MmError::Invalid);
        }
        Ok(PageRange::of(vma.range.start(), range.end()))
    }

    fn protect_pieces(&mut self, range: PageRange, prot: Prot) -> Result<(), MmError> {
        let mut at = range.start();
        for piece in self.map.pieces(range) {
            if piece.range.start() != at || piece.is_special() {
                return Err(MmError::NoMemory);
            }
            if !piece.may.contains(prot) {
                return Err(MmError::Access);
            }
            self.protect_piece(&piece, prot)?;
            at = piece.range.end();
        }
        if at == range.end() { Ok(()) } else { Err(MmError::NoMemory) }
    }

    /// Changes the protection of a part of one mapping.
    pub(crate) fn protect_piece(&mut self, piece: &Vma<F>, prot: Prot) -> Result<(), MmError> {
        if piece.prot == prot {
            return Ok(());
        }
        let becomes_data = prot.contains(Prot::WRITE) && piece.may_be_data() && !piece.is_data();
        let data = self.map.data_pages() + piece.range.pages();
        let too_much = becomes_data && data > self.limits.data / PAGE_SIZE;
        if too_much || !self.map.can_isolate(piece.range) {
            return Err(MmError::NoMemory);
        }
        self.store.protect(piece, piece.range, prot)?;
        self.map.change(piece.range, |vma| vma.prot = prot)?;
        let opened = prot.contains(Prot::WRITE) && !piece.prot.contains(Prot::WRITE);
        if opened && piece.file().is_none() {
            self.populate_eagerly(piece.range);
        }
        Ok(())
    }
}
