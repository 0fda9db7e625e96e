//! What is added to an enclave, in which order.

use std::borrow::Cow;

use sgx_types::{Attributes, MiscSelect, PAGE_SIZE, PageType, SecInfoFlags, Secs};

use crate::{Measurement, MrEnclave};

/// Bytes of a page, as addresses and lengths count them.
pub const PAGE: u64 = PAGE_SIZE as u64;

/// What ECREATE gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnclaveParams {
    /// First address of ELRANGE. Not part of the measurement.
    pub base: u64,
    /// Bytes of ELRANGE.
    pub size: u64,
    /// Pages of one SSA frame.
    pub ssa_frame_pages: u32,
    /// Attributes. Not part of the measurement, but of the signature.
    pub attributes: Attributes,
    /// Parts of the SSA frame. Not part of the measurement, but of the signature.
    pub misc_select: MiscSelect,
}

impl EnclaveParams {
    /// The SECS for ECREATE.
    #[must_use]
    pub fn secs(&self) -> Secs {
        Secs {
            size: self.size,
            base: self.base,
            ssa_frame_size: self.ssa_frame_pages,
            misc_select: self.misc_select,
            attributes: self.attributes,
            ..Secs::default()
        }
    }

    fn check(&self) -> Result<(), LayoutError> {
        if !self.size.is_power_of_two() || self.size < 2 * PAGE {
            return Err(LayoutError::Size(self.size));
        }
        if !self.base.is_multiple_of(self.size) {
            return Err(LayoutError::Base(self.base));
        }
        if self.ssa_frame_pages == 0 {
            return Err(LayoutError::SsaFrame);
        }
        Ok(())
    }
}

/// What a region is filled with.
#[derive(Clone, PartialEq, Eq)]
pub enum Contents<'a> {
    /// Zeroes.
    Zero,
    /// As many bytes as the region has.
    Bytes(Cow<'a, [u8]>),
}

impl std::fmt::Debug for Contents<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Zero => f.write_str("Zero"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
        }
    }
}

/// How what pages hold gets into MRENCLAVE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// By sixteen EEXTEND for each page, right after its EADD.
    Extended,
    /// By the manifest, which is [`Extended`](Self::Extended): the enclave compares before it uses them.
    Verified,
    /// Not at all: the enclave, or the processor, writes them before it reads them.
    Uncovered,
}

/// A run of pages that are added alike, from the lowest to the highest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region<'a> {
    /// Offset from the enclave's base, a multiple of [`PAGE`].
    pub offset: u64,
    /// Pages.
    pub pages: u64,
    /// Type and permissions; a TCS has no permissions.
    pub flags: SecInfoFlags,
    /// What the pages hold.
    pub contents: Contents<'a>,
    /// How their contents are measured.
    pub coverage: Coverage,
}

impl Region<'_> {
    /// Bytes of the region.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.pages * PAGE
    }

    /// Whether the region has no pages, which no region of a [`Layout`] is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pages == 0
    }

    /// First offset behind the region.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.len()
    }

    /// The contents of the pages, unless they are zero.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.contents {
            Contents::Zero => None,
            Contents::Bytes(bytes) => Some(bytes),
        }
    }

    pub(crate) fn pages(&self) -> impl Iterator<Item = Page<'_>> {
        static ZERO: [u8; PAGE_SIZE] = [0; PAGE_SIZE];
        let chunks = self.bytes().map_or(&[][..], |bytes| bytes.as_chunks::<PAGE_SIZE>().0);
        let zeroes = if chunks.is_empty() { self.pages } else { 0 };
        chunks.iter().chain((0..zeroes).map(|_| &ZERO)).zip(0..self.pages).map(
            |(contents, index)| Page {
                offset: self.offset + index * PAGE,
                flags: self.flags,
                contents,
                coverage: self.coverage,
            },
        )
    }
}

/// One page of a [`Layout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page<'a> {
    /// Offset from the enclave's base.
    pub offset: u64,
    /// Type and permissions.
    pub flags: SecInfoFlags,
    /// What the page holds.
    pub contents: &'a [u8; PAGE_SIZE],
    /// How the contents are measured.
    pub coverage: Coverage,
}

/// A whole enclave before EINIT: valid parameters, and valid regions in ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout<'a> {
    params: EnclaveParams,
    regions: Vec<Region<'a>>,
}

impl<'a> Layout<'a> {
    /// An enclave without pages.
    ///
    /// # Errors
    /// When ECREATE would refuse the size, the base or the SSA frame size.
    pub fn new(params: EnclaveParams) -> Result<Self, LayoutError> {
        params.check()?;
        Ok(Self { params, regions: Vec::new() })
    }

    /// Appends a region; one without pages changes nothing.
    ///
    /// # Errors
    /// When the region is not page aligned, leaves ELRANGE, starts before the end of the last one,
    /// has other contents than pages, or flags that EADD refuses.
    pub fn add(&mut self, region: Region<'a>) -> Result<(), LayoutError> {
        if region.is_empty() {
            return Ok(());
        }
        let Region { offset, pages, flags, .. } = region;
        if !offset.is_multiple_of(PAGE) {
            return Err(LayoutError::Unaligned(offset));
        }
        let end = pages.checked_mul(PAGE).and_then(|len| offset.checked_add(len));
        if end.is_none_or(|end| end > self.params.size) {
            return Err(LayoutError::OutOfRange { offset, pages });
        }
        if self.regions.last().is_some_and(|last| last.end() > offset) {
            return Err(LayoutError::Order(offset));
        }
        if let Some(bytes) = region.bytes()
            && u64::try_from(bytes.len()) != Ok(region.len())
        {
            return Err(LayoutError::Contents { offset, pages, len: bytes.len() });
        }
        if !flags_are_valid(flags) {
            return Err(LayoutError::Flags { offset, flags });
        }
        self.regions.push(region);
        Ok(())
    }

    /// What ECREATE gets.
    #[must_use]
    pub fn params(&self) -> &EnclaveParams {
        &self.params
    }

    /// The regions in the order in which they are added.
    #[must_use]
    pub fn regions(&self) -> &[Region<'a>] {
        &self.regions
    }

    /// The pages in the order in which they are added.
    pub fn pages(&self) -> impl Iterator<Item = Page<'_>> {
        self.regions.iter().flat_map(Region::pages)
    }

    /// Number of pages, without the SECS.
    #[must_use]
    pub fn page_count(&self) -> u64 {
        self.regions.iter().map(|region| region.pages).sum()
    }

    /// MRENCLAVE of this enclave.
    #[must_use]
    pub fn measure(&self) -> MrEnclave {
        let mut measurement = Measurement::ecreate(self.params.ssa_frame_pages, self.params.size);
        for page in self.pages() {
            measurement.page(&page);
        }
        measurement.finish()
    }

    /// The first reason why `other` measures differently, for two builds that should be equal.
    #[must_use]
    pub fn first_difference(&self, other: &Layout<'_>) -> Option<Difference> {
        let size = |params: &EnclaveParams| (params.size, params.ssa_frame_pages);
        if size(&self.params) != size(&other.params) {
            return Some(Difference::Params);
        }
        let (mut ours, mut theirs) = (self.pages(), other.pages());
        loop {
            let (a, b) = match (ours.next(), theirs.next()) {
                (None, None) => return None,
                (Some(page), None) | (None, Some(page)) => {
                    return Some(Difference::Missing(page.offset));
                }
                (Some(a), Some(b)) => (a, b),
            };
            if a.offset != b.offset {
                return Some(Difference::Missing(a.offset.min(b.offset)));
            }
            if a.flags != b.flags || a.coverage != b.coverage {
                return Some(Difference::Flags(a.offset));
            }
            let byte = a.contents.iter().zip(b.contents).position(|(a, b)| a != b);
            if let Some(byte) = byte.filter(|_| a.coverage != Coverage::Uncovered) {
                return Some(Difference::Contents(a.offset + byte as u64));
            }
        }
    }
}

/// Whether EADD takes a page with these flags.
fn flags_are_valid(flags: SecInfoFlags) -> bool {
    let permissions = flags.permissions();
    let known = SecInfoFlags::RWX | SecInfoFlags::PT_MASK;
    let readable_if_writable =
        !permissions.contains(SecInfoFlags::W) || permissions.contains(SecInfoFlags::R);
    known.contains(flags)
        && match flags.page_type() {
            Some(PageType::Reg) => readable_if_writable,
            Some(PageType::Tcs) => permissions.is_empty(),
            _ => false,
        }
}

/// Why a description is no enclave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Not a power of two of at least two pages.
    #[error("enclave size {0:#x} is not a power of two of at least two pages")]
    Size(u64),
    /// Not a multiple of the size.
    #[error("enclave base {0:#x} is not a multiple of the enclave size")]
    Base(u64),
    /// Frames of no pages.
    #[error("SSA frame size is 0 pages")]
    SsaFrame,
    /// Not a multiple of the page size.
    #[error("region offset {0:#x} is not page aligned")]
    Unaligned(u64),
    /// Not within ELRANGE.
    #[error("region of {pages} pages at offset {offset:#x} leaves the enclave")]
    OutOfRange {
        /// Where the region starts.
        offset: u64,
        /// How long it is.
        pages: u64,
    },
    /// Regions overlap or do not ascend.
    #[error("region at offset {0:#x} starts before the end of the region added last")]
    Order(u64),
    /// Contents that are not the region's pages.
    #[error("region of {pages} pages at offset {offset:#x} has {len} bytes of contents")]
    Contents {
        /// Where the region starts.
        offset: u64,
        /// How long it is.
        pages: u64,
        /// Bytes of the contents.
        len: usize,
    },
    /// Flags that EADD refuses.
    #[error("region at offset {offset:#x} has invalid SECINFO flags {bits:#x}", bits = flags.bits())]
    Flags {
        /// Where the region starts.
        offset: u64,
        /// Its flags.
        flags: SecInfoFlags,
    },
}

/// Where two layouts measure differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// Size or SSA frame size.
    #[error("the enclaves differ in size or SSA frame size")]
    Params,
    /// Only one of them has this page.
    #[error("only one enclave has a page at offset {0:#x}")]
    Missing(u64),
    /// Type, permissions, or how the page is measured.
    #[error("the pages at offset {0:#x} differ in SECINFO or in how they are measured")]
    Flags(u64),
    /// A measured byte.
    #[error("the enclaves differ in the byte at offset {0:#x}")]
    Contents(u64),
}
