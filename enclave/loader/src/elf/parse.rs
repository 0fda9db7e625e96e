//! The checks, in the order in which the kernel would meet them.

use alloc::vec;
use alloc::vec::Vec;

use object::elf::{self, FileHeader64, ProgramHeader64};
use object::{LittleEndian as LE, pod};

use super::{ElfError, ElfKind, ElfPlan, Limits, PHDR_SIZE, PHENT, Prot, Segment};
use crate::{PAGE_SIZE, page_ceil, page_floor};

/// Longest `PT_INTERP` path with its NUL (Linux's `PATH_MAX`).
const PATH_MAX: u64 = 4096;
/// Most bytes of program headers that Linux reads.
const PHDRS_MAX: usize = 65536;
/// Size of an ELF64 header.
const EHDR_SIZE: usize = size_of::<FileHeader64<LE>>();

/// The fields of the file header that matter here.
pub(super) struct Header {
    kind: ElfKind,
    entry: u64,
    phoff: u64,
    phnum: u16,
}

/// Reads until the buffer is full or the file ends; returns the bytes read.
pub(super) fn fill<E>(
    read: &mut impl FnMut(u64, &mut [u8]) -> Result<usize, E>,
    offset: u64,
    buf: &mut [u8],
) -> Result<usize, ElfError<E>> {
    let mut done = 0;
    while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let at = offset.checked_add(done as u64).ok_or(ElfError::Truncated(u64::MAX, offset))?;
        match read(at, rest).map_err(ElfError::Read)?.min(rest.len()) {
            0 => break,
            got => done += got,
        }
    }
    Ok(done)
}

fn fill_exactly<E>(
    read: &mut impl FnMut(u64, &mut [u8]) -> Result<usize, E>,
    offset: u64,
    len: usize,
) -> Result<Vec<u8>, ElfError<E>> {
    let mut buf = vec![0; len];
    let got = fill(read, offset, &mut buf)?;
    let wanted = offset.saturating_add(len as u64);
    if got == len { Ok(buf) } else { Err(ElfError::Truncated(wanted, offset + got as u64)) }
}

pub(super) fn parse_header<E>(first: &[u8]) -> Result<Header, ElfError<E>> {
    if !first.starts_with(&elf::ELFMAG) {
        return Err(ElfError::NotElf);
    }
    let Ok((header, _)) = pod::from_bytes::<FileHeader64<LE>>(first) else {
        return Err(ElfError::Truncated(EHDR_SIZE as u64, first.len() as u64));
    };
    let ident = &header.e_ident;
    if ident.class != elf::ELFCLASS64 {
        return Err(ElfError::Class(ident.class.0));
    }
    if ident.data != elf::ELFDATA2LSB {
        return Err(ElfError::Endian(ident.data.0));
    }
    if header.e_version.get(LE) != u32::from(elf::EV_CURRENT.0) {
        return Err(ElfError::Version(header.e_version.get(LE)));
    }
    let machine = header.e_machine.get(LE);
    if machine != elf::EM_X86_64 {
        return Err(ElfError::Machine(machine.0));
    }
    let kind = match header.e_type.get(LE) {
        elf::ET_EXEC => ElfKind::Exec,
        elf::ET_DYN => ElfKind::Dyn,
        other => return Err(ElfError::Type(other.0)),
    };
    let phentsize = header.e_phentsize.get(LE);
    if phentsize != PHENT {
        return Err(ElfError::PhentSize(phentsize));
    }
    let phnum = header.e_phnum.get(LE);
    if phnum == 0 || usize::from(phnum) * PHDR_SIZE > PHDRS_MAX {
        return Err(ElfError::PhNum(phnum));
    }
    Ok(Header { kind, entry: header.e_entry.get(LE), phoff: header.e_phoff.get(LE), phnum })
}

pub(super) fn read_phdrs<E>(
    header: &Header,
    first: &[u8],
    read: &mut impl FnMut(u64, &mut [u8]) -> Result<usize, E>,
) -> Result<Vec<ProgramHeader64<LE>>, ElfError<E>> {
    let len = usize::from(header.phnum) * PHDR_SIZE;
    let inside = usize::try_from(header.phoff)
        .ok()
        .and_then(|start| Some((start, start.checked_add(len)?)))
        .and_then(|(start, end)| first.get(start..end));
    let bytes = match inside {
        Some(bytes) => bytes.to_vec(),
        None => fill_exactly(read, header.phoff, len)?,
    };
    match pod::slice_from_bytes(&bytes, header.phnum.into()) {
        Ok((headers, _)) => Ok(headers.to_vec()),
        Err(()) => Err(ElfError::PhNum(header.phnum)),
    }
}

pub(super) fn plan<E>(
    limits: Limits,
    header: &Header,
    headers: &[ProgramHeader64<LE>],
    read: &mut impl FnMut(u64, &mut [u8]) -> Result<usize, E>,
) -> Result<ElfPlan, ElfError<E>> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut interp = None;
    let mut stack_exec = false;
    let mut align = PAGE_SIZE;
    let mut phdr_vaddr = 0;
    for ph in headers {
        match ph.p_type.get(LE) {
            elf::PT_LOAD if ph.p_memsz.get(LE) != 0 => {
                let segment = parse_segment(limits, header.kind, ph)?;
                let end = segments.last().map_or(0, |last| last.vaddr + last.memsz);
                if segment.vaddr < end {
                    return Err(ElfError::SegmentOverlap(segment.vaddr, end));
                }
                align = align.max(ph.p_align.get(LE));
                if let Some(delta) = header.phoff.checked_sub(segment.file_offset)
                    && delta < segment.filesz
                {
                    phdr_vaddr = segment.vaddr + delta;
                }
                segments.push(segment);
            }
            elf::PT_LOAD => parse_empty(ph)?,
            elf::PT_INTERP if interp.is_none() => interp = Some(read_interp(ph, read)?),
            elf::PT_GNU_STACK => stack_exec = ph.p_flags.get(LE).contains(elf::PF_X),
            _ => {}
        }
    }
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else {
        return Err(ElfError::NoSegments);
    };
    let span = (first.page_start(), last.page_end());
    check_span(limits, header, span)?;
    Ok(ElfPlan {
        kind: header.kind,
        entry: header.entry,
        interp,
        phdr_vaddr,
        phnum: header.phnum,
        phent: PHENT,
        stack_exec,
        span,
        align,
        segments,
    })
}

/// The entry of a program at fixed addresses must be inside the area; that of a relocatable one
/// must stay inside wherever it goes.
fn check_span<E>(limits: Limits, header: &Header, span: (u64, u64)) -> Result<(), ElfError<E>> {
    let inside = match header.kind {
        ElfKind::Exec => (limits.low..limits.high).contains(&header.entry),
        ElfKind::Dyn => header.entry <= span.1,
    };
    if inside { Ok(()) } else { Err(ElfError::Entry(header.entry)) }
}

/// An empty `PT_LOAD` maps nothing, but may not claim bytes of the file.
fn parse_empty<E>(ph: &ProgramHeader64<LE>) -> Result<(), ElfError<E>> {
    match ph.p_filesz.get(LE) {
        0 => Ok(()),
        filesz => Err(ElfError::SegmentSize(filesz, 0)),
    }
}

fn parse_segment<E>(
    limits: Limits,
    kind: ElfKind,
    ph: &ProgramHeader64<LE>,
) -> Result<Segment, ElfError<E>> {
    let (vaddr, memsz) = (ph.p_vaddr.get(LE), ph.p_memsz.get(LE));
    let (file_offset, filesz) = (ph.p_offset.get(LE), ph.p_filesz.get(LE));
    let (low, high) = match kind {
        ElfKind::Exec => (limits.low, limits.high),
        ElfKind::Dyn => (0, limits.high.saturating_sub(limits.low)),
    };
    let end = vaddr.checked_add(memsz).and_then(page_ceil);
    if page_floor(vaddr) < low || end.is_none_or(|end| end > high) {
        return Err(ElfError::SegmentRange(vaddr, memsz));
    }
    if filesz > memsz {
        return Err(ElfError::SegmentSize(filesz, memsz));
    }
    if filesz != 0 && vaddr % PAGE_SIZE != file_offset % PAGE_SIZE {
        return Err(ElfError::SegmentCongruence(vaddr, file_offset));
    }
    let file_end = file_offset.saturating_add(filesz);
    if filesz != 0 && file_end > limits.file_len {
        return Err(ElfError::Truncated(file_end, limits.file_len));
    }
    let align = ph.p_align.get(LE);
    if align > 1 && (!align.is_power_of_two() || align > high) {
        return Err(ElfError::SegmentAlign(align));
    }
    let flags = ph.p_flags.get(LE);
    let prot = Prot {
        read: flags.contains(elf::PF_R),
        write: flags.contains(elf::PF_W),
        exec: flags.contains(elf::PF_X),
    };
    Ok(Segment { vaddr, memsz, file_offset, filesz, prot })
}

fn read_interp<E>(
    ph: &ProgramHeader64<LE>,
    read: &mut impl FnMut(u64, &mut [u8]) -> Result<usize, E>,
) -> Result<Vec<u8>, ElfError<E>> {
    let filesz = ph.p_filesz.get(LE);
    let len = match usize::try_from(filesz) {
        Ok(len) if (2..=PATH_MAX).contains(&filesz) => len,
        _ => return Err(ElfError::InterpLength(filesz)),
    };
    let mut path = fill_exactly(read, ph.p_offset.get(LE), len)?;
    if path.pop() != Some(0) {
        return Err(ElfError::InterpNul);
    }
    // As the kernel: the string ends at its first NUL.
    let len = path.iter().position(|&byte| byte == 0).unwrap_or(path.len());
    path.truncate(len);
    if path.is_empty() { Err(ElfError::InterpLength(0)) } else { Ok(path) }
}
