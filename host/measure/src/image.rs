//! From the ELF file of the enclave runtime to the enclave.

use std::borrow::Cow;

use hostcall_abi::layout::{ELRANGE_SIZE, IMAGE_BASE, MANIFEST, SSA_FRAME_PAGES, TCS_AREA};
use object::{
    LittleEndian, elf,
    read::elf::{FileHeader, ProgramHeader},
};
use sgx_types::{AttributeFlags, Attributes, MiscSelect, PAGE_SIZE, PageType, SecInfoFlags, Xfrm};

use crate::{
    Contents, Coverage, EnclaveParams, Layout, LayoutError, PAGE, Region, threads::add_threads,
};

/// In the flags of a segment, among those that ELF leaves to operating systems: its pages are not
/// measured by EEXTEND, but in the manifest.
pub(crate) const PF_VERIFIED: elf::ProgramFlags = elf::ProgramFlags(1 << 20);

/// What may differ between two enclaves of the same image; none of it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageOptions {
    /// Whether debuggers may look into the enclave.
    pub debug: bool,
    /// Processor state that the program may use; must contain [`Xfrm::LEGACY`].
    pub xfrm: Xfrm,
}

/// Lays out the enclave of the runtime image `elf`, a program that is linked to run from
/// [`IMAGE_BASE`] on: its segments, then the threads of [`hostcall_abi::layout`].
///
/// Pages have the permissions of their segment; nobody relocates them, so those of RELRO are only
/// readable. Everything in segments is measured, zero pages of `.bss` too: by EEXTEND, or where the image
/// has a manifest ([`combine`](crate::combine())), mostly by that, and so is the data of threads. Whether
/// the manifest is right is for the enclave to find out, and for
/// [`check_manifest`](crate::check_manifest).
///
/// # Errors
/// When `elf` is not such an image, is truncated, or has segments that overlap, share a page, or are
/// writable and executable.
pub fn image_layout(elf: &[u8], options: ImageOptions) -> Result<Layout<'_>, ImageError> {
    let image = Image::parse(elf)?;
    let flags = AttributeFlags::MODE64BIT
        | if options.debug { AttributeFlags::DEBUG } else { AttributeFlags::empty() };
    let mut layout = Layout::new(EnclaveParams {
        base: 0,
        size: ELRANGE_SIZE,
        ssa_frame_pages: u32::try_from(SSA_FRAME_PAGES).unwrap_or(u32::MAX),
        attributes: Attributes { flags, xfrm: options.xfrm },
        misc_select: MiscSelect::EXINFO,
    })?;
    for segment in &image.segments {
        segment.add_to(&mut layout)?;
    }
    let verified = image.segments.iter().any(|segment| segment.coverage == Coverage::Verified);
    let coverage = if verified { Coverage::Verified } else { Coverage::Extended };
    add_threads(&mut layout, image.entry, coverage)?;
    Ok(layout)
}

/// The parts of an ELF file that count.
pub(crate) struct Image<'a> {
    pub(crate) entry: u64,
    pub(crate) segments: Vec<Segment<'a>>,
}

/// A PT_LOAD segment.
#[derive(Clone, Copy)]
pub(crate) struct Segment<'a> {
    pub(crate) address: u64,
    pub(crate) end: u64,
    pub(crate) flags: SecInfoFlags,
    pub(crate) data: &'a [u8],
    pub(crate) coverage: Coverage,
}

impl<'a> Image<'a> {
    pub(crate) fn parse(elf: &'a [u8]) -> Result<Self, ImageError> {
        let endian = LittleEndian;
        let header = elf::FileHeader64::<LittleEndian>::parse(elf)
            .map_err(|error| ImageError::NotElf(error.to_string()))?;
        if header.e_machine(endian) != elf::EM_X86_64 || header.e_type(endian) != elf::ET_EXEC {
            return Err(ImageError::NotFixed);
        }
        let headers = header
            .program_headers(endian, elf)
            .map_err(|error| ImageError::NotElf(error.to_string()))?;
        let mut segments: Vec<Segment<'a>> = Vec::new();
        let mut read_only = 0..0;
        for header in headers {
            let address = header.p_vaddr(endian);
            match header.p_type(endian) {
                elf::PT_INTERP => return Err(ImageError::Dynamic),
                elf::PT_TLS => return Err(ImageError::ThreadLocal),
                elf::PT_LOAD if header.p_memsz(endian) > 0 => {
                    let segment = Segment::parse(header, elf)?;
                    let last_end = segments.last().map_or(0, |last| last.end);
                    if segment.first_page() < last_end.next_multiple_of(PAGE) {
                        return Err(ImageError::Overlap(segment.address));
                    }
                    segments.push(segment);
                }
                elf::PT_GNU_RELRO => {
                    read_only = address..address.saturating_add(header.p_memsz(endian));
                }
                _ => {}
            }
        }
        for segment in &mut segments {
            if read_only.start <= segment.address && segment.end <= read_only.end {
                segment.flags.remove(SecInfoFlags::W);
            }
        }
        let entry = header.e_entry(endian);
        let executable = |segment: &Segment<'_>| {
            segment.flags.contains(SecInfoFlags::X)
                && (segment.address..segment.end).contains(&entry)
        };
        if segments.iter().any(executable) {
            Ok(Self { entry, segments })
        } else {
            Err(ImageError::Entry(entry))
        }
    }
}

impl<'a> Segment<'a> {
    fn parse(
        header: &elf::ProgramHeader64<LittleEndian>,
        elf: &'a [u8],
    ) -> Result<Self, ImageError> {
        let endian = LittleEndian;
        let address = header.p_vaddr(endian);
        let data = header.data(endian, elf).map_err(|()| ImageError::Truncated { address })?;
        let memory = header.p_memsz(endian);
        let end =
            address.checked_add(memory).filter(|&end| address >= IMAGE_BASE && end <= TCS_AREA);
        match end {
            Some(end) if data.len() as u64 <= memory => {
                let verified = header.p_flags(endian).contains(PF_VERIFIED);
                let coverage = if verified { Coverage::Verified } else { Coverage::Extended };
                Ok(Self { address, end, flags: permissions(header, address)?, data, coverage })
            }
            _ => Err(ImageError::Extent { address, size: memory }),
        }
    }

    fn first_page(&self) -> u64 {
        self.address & !(PAGE - 1)
    }

    /// Adds up to four regions: a partial first page, the pages of the file, a partial last page,
    /// and zero pages. Only the partial ones are copied.
    fn add_to(&self, layout: &mut Layout<'a>) -> Result<(), LayoutError> {
        let (mut offset, end) = (self.first_page(), self.end.next_multiple_of(PAGE));
        let mut add = |contents: Contents<'a>, pages: u64| {
            let Self { flags, coverage, .. } = *self;
            let region = Region { offset, pages, flags, contents, coverage };
            offset += pages * PAGE;
            layout.add(region)
        };
        let lead = (self.address - self.first_page()) as usize;
        let mut data = self.data;
        if lead > 0 && !data.is_empty() {
            let (first, rest) = data.split_at(data.len().min(PAGE_SIZE - lead));
            add(Contents::Bytes(Cow::Owned(padded(lead, first))), 1)?;
            data = rest;
        }
        let (whole, tail) = data.split_at(data.len() / PAGE_SIZE * PAGE_SIZE);
        add(Contents::Bytes(Cow::Borrowed(whole)), (whole.len() / PAGE_SIZE) as u64)?;
        if !tail.is_empty() {
            add(Contents::Bytes(Cow::Owned(padded(0, tail))), 1)?;
        }
        let Self { flags, coverage, .. } = *self;
        let pages = (end - offset) / PAGE;
        layout.add(Region { offset, pages, flags, contents: Contents::Zero, coverage })
    }
}

/// A page with `data` at `start` and zeroes around it.
fn padded(start: usize, data: &[u8]) -> Vec<u8> {
    let mut page = vec![0; PAGE_SIZE];
    page[start..start + data.len()].copy_from_slice(data);
    page
}

fn permissions(
    header: &elf::ProgramHeader64<LittleEndian>,
    address: u64,
) -> Result<SecInfoFlags, ImageError> {
    let flags = header.p_flags(LittleEndian);
    let mut permissions = SecInfoFlags::of(PageType::Reg);
    for (bit, permission) in
        [(elf::PF_R, SecInfoFlags::R), (elf::PF_W, SecInfoFlags::W), (elf::PF_X, SecInfoFlags::X)]
    {
        permissions.set(permission, flags.contains(bit));
    }
    let writable_code = SecInfoFlags::W | SecInfoFlags::X;
    if permissions.contains(writable_code) || !permissions.contains(SecInfoFlags::R) {
        return Err(ImageError::Permissions { address, permissions });
    }
    Ok(permissions)
}

/// Why a file is no enclave image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// No 64-bit little-endian ELF file.
    #[error("enclave image is not a 64-bit ELF file: {0}")]
    NotElf(String),
    /// Another machine or kind of file.
    #[error("enclave image is not an x86-64 program with fixed addresses")]
    NotFixed,
    /// It has an interpreter.
    #[error("enclave image is dynamically linked")]
    Dynamic,
    /// It has thread-local storage, which nobody would set up.
    #[error("enclave image uses thread-local storage")]
    ThreadLocal,
    /// The file ends before a segment does.
    #[error("enclave image ends within the segment at {address:#x}")]
    Truncated {
        /// Where the segment is loaded.
        address: u64,
    },
    /// A segment is smaller than its data, or not where images are.
    #[error(
        "segment at {address:#x} of the enclave image, of {size:#x} bytes, is smaller than its data or does \
         not lie between {IMAGE_BASE:#x} and {TCS_AREA:#x}"
    )]
    Extent {
        /// Where the segment is loaded.
        address: u64,
        /// Bytes in memory.
        size: u64,
    },
    /// Two segments share memory or a page.
    #[error(
        "segment at {0:#x} of the enclave image overlaps the one before, or shares a page with it"
    )]
    Overlap(u64),
    /// Not readable, or writable and executable.
    #[error(
        "segment at {address:#x} of the enclave image has permissions {bits:#x}, which are refused",
        bits = permissions.permissions().bits()
    )]
    Permissions {
        /// Where the segment is loaded.
        address: u64,
        /// What it asks for.
        permissions: SecInfoFlags,
    },
    /// The entry point is not code.
    #[error("entry point {0:#x} of the enclave image is in no executable segment")]
    Entry(u64),
    /// The verified part has more pieces than a manifest has room for.
    #[error("the runtime is in {0} pieces, more than a manifest has room for")]
    Pieces(usize),
    /// The verifier has nothing at the place of the manifest, or something else than zeroes.
    #[error("the verifier has no read-only page of zeroes at {MANIFEST:#x} for the manifest")]
    NoRoom,
    /// The image is not what its manifest says, so that the enclave would refuse it.
    #[error("the enclave image is not what its manifest says: build it anew")]
    Manifest,
    /// The segments make no enclave.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}
