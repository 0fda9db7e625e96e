//! One image of the runtime and the verifier, which are linked apart.

use std::collections::BTreeSet;
use std::iter;
use std::ops::Range;

use hostcall_abi::layout::{MANIFEST, VERIFIER_BASE};
use object::elf::{
    self, ET_EXEC, FileHeader64, Ident, PF_R, PF_W, PF_X, PT_LOAD, ProgramFlags, ProgramHeader64,
};
use object::{LittleEndian as LE, U16, U32, U64, pod};
use sgx_types::{ENCLU_SITE, PAGE_SIZE, SecInfoFlags, Xfrm};

use crate::image::{Image, PF_VERIFIED, Segment};
use crate::manifest::manifest;
use crate::{Coverage, ImageError, ImageOptions, PAGE, image_layout};

/// An image that is entered in `verifier`, which checks `runtime` before it enters that.
///
/// EEXTEND measures the verifier with the manifest, which is at [`MANIFEST`], and the pages of the
/// runtime with ENCLU; the manifest covers all else of the runtime, and the data of threads. The parts
/// keep their addresses.
///
/// # Errors
/// When one of them is no image, when the verifier does not stand behind the runtime or has no page of
/// zeroes for the manifest, or when the runtime is in too many pieces.
pub fn combine(runtime: &[u8], verifier: &[u8]) -> Result<Vec<u8>, ImageError> {
    let (runtime, verifier) = (Image::parse(runtime)?, Image::parse(verifier)?);
    if let Some(last) = runtime.segments.iter().find(|segment| segment.end > VERIFIER_BASE) {
        return Err(ImageError::Overlap(last.address));
    }
    let pieces = runtime.segments.iter().flat_map(split).chain(verifier.segments);
    let mut file = write(verifier.entry, &pieces.collect::<Vec<_>>());
    let options = ImageOptions { debug: false, xfrm: Xfrm::LEGACY };
    let manifest = manifest(&image_layout(&file, options)?, runtime.entry)?;
    let room = place(&file)?;
    file[room].copy_from_slice(&manifest);
    Ok(file)
}

/// A segment of the runtime by how its pages are measured: who looked at a page with ENCLU later might find
/// an emulator's patch.
fn split<'a>(segment: &Segment<'a>) -> Vec<Segment<'a>> {
    let is_site = |bytes: &[u8]| segment.flags.contains(SecInfoFlags::X) && bytes == ENCLU_SITE;
    let sites = segment.data.windows(ENCLU_SITE.len()).zip(segment.address..);
    let pages: BTreeSet<u64> = sites
        .filter(|(bytes, _)| is_site(bytes))
        .flat_map(|(_, site)| [site, site + ENCLU_SITE.len() as u64 - 1])
        .map(|address| address / PAGE)
        .collect();
    let coverage = |address: u64| match pages.contains(&(address / PAGE)) {
        true => Coverage::Extended,
        false => Coverage::Verified,
    };
    let end_of_page = |address: u64| (address / PAGE * PAGE + PAGE).min(segment.end);
    let next = |&at: &u64| Some(end_of_page(at)).filter(|&next| next < segment.end);
    let starts: Vec<u64> = iter::successors(Some(segment.address), next).collect();
    let alike = starts.chunk_by(|&one, &next| coverage(one) == coverage(next));
    let piece = |run: &[u64]| {
        let (address, end) = (*run.first()?, end_of_page(*run.last()?));
        let within = |at: u64| (at - segment.address).min(segment.data.len() as u64) as usize;
        let data = &segment.data[within(address)..within(end)];
        Some(Segment { address, end, data, coverage: coverage(address), ..*segment })
    };
    alike.filter_map(piece).collect()
}

/// An ELF file of these segments, whole pages of which it holds: those need not be copied to be added.
fn write(entry: u64, segments: &[Segment<'_>]) -> Vec<u8> {
    let headers = size_of::<FileHeader64<LE>>() + segments.len() * size_of::<ProgramHeader64<LE>>();
    let mut end = headers.next_multiple_of(PAGE_SIZE);
    let mut file = pod::bytes_of(&file_header(entry, segments.len())).to_vec();
    for segment in segments {
        file.extend(pod::bytes_of(&program_header(segment, end as u64)));
        end += len_in_file(segment);
    }
    for segment in segments {
        file.resize(file.len().next_multiple_of(PAGE_SIZE) + lead(segment), 0);
        file.extend(segment.data);
    }
    file.resize(end, 0);
    file
}

/// Bytes of the first page before a segment begins.
fn lead(segment: &Segment<'_>) -> usize {
    (segment.address % PAGE) as usize
}

/// Bytes of the pages that have data of a segment.
fn len_in_file(segment: &Segment<'_>) -> usize {
    (lead(segment) + segment.data.len()).next_multiple_of(PAGE_SIZE)
}

fn file_header(entry: u64, segments: usize) -> FileHeader64<LE> {
    let size = |bytes: usize| U16::new(LE, u16::try_from(bytes).unwrap_or(u16::MAX));
    FileHeader64 {
        e_ident: Ident {
            magic: elf::ELFMAG,
            class: elf::ELFCLASS64,
            data: elf::ELFDATA2LSB,
            version: elf::EV_CURRENT,
            os_abi: elf::ELFOSABI_NONE,
            abi_version: 0,
            padding: [0; 7],
        },
        e_type: U16::new(LE, ET_EXEC),
        e_machine: U16::new(LE, elf::EM_X86_64),
        e_version: U32::new(LE, elf::EV_CURRENT.0.into()),
        e_entry: U64::new(LE, entry),
        e_phoff: U64::new(LE, size_of::<FileHeader64<LE>>() as u64),
        e_shoff: U64::new(LE, 0),
        e_flags: U32::default(),
        e_ehsize: size(size_of::<FileHeader64<LE>>()),
        e_phentsize: size(size_of::<ProgramHeader64<LE>>()),
        e_phnum: size(segments),
        e_shentsize: U16::default(),
        e_shnum: U16::default(),
        e_shstrndx: U16::default(),
    }
}

fn program_header(segment: &Segment<'_>, offset: u64) -> ProgramHeader64<LE> {
    let permissions = [(SecInfoFlags::R, PF_R), (SecInfoFlags::W, PF_W), (SecInfoFlags::X, PF_X)];
    let mut flags = ProgramFlags(0);
    for (_, flag) in permissions.into_iter().filter(|(bit, _)| segment.flags.contains(*bit)) {
        flags.0 |= flag.0;
    }
    if segment.coverage == Coverage::Verified {
        flags.0 |= PF_VERIFIED.0;
    }
    let address = segment.address - segment.address % PAGE;
    ProgramHeader64 {
        p_type: U32::new(LE, PT_LOAD),
        p_flags: U32::new(LE, flags),
        p_offset: U64::new(LE, offset),
        p_vaddr: U64::new(LE, address),
        p_paddr: U64::new(LE, address),
        p_filesz: U64::new(LE, len_in_file(segment) as u64),
        p_memsz: U64::new(LE, segment.end.next_multiple_of(PAGE) - address),
        p_align: U64::new(LE, PAGE),
    }
}

/// Where in an image the page is that waits for the manifest.
fn place(image: &[u8]) -> Result<Range<usize>, ImageError> {
    let segments = Image::parse(image)?.segments;
    let page = segments.iter().find_map(|segment| {
        let at = MANIFEST.checked_sub(segment.address)?;
        let data = segment.data.get(usize::try_from(at).ok()?..)?.first_chunk::<PAGE_SIZE>()?;
        let readable = segment.flags.permissions() == SecInfoFlags::R;
        (readable && data.iter().all(|&byte| byte == 0)).then_some(data)
    });
    let page = page.ok_or(ImageError::NoRoom)?;
    let start = page.as_ptr().addr() - image.as_ptr().addr();
    Ok(start..start + PAGE_SIZE)
}
