//! The enclave page cache map: one byte per page of ELRANGE, in a sparse table.
//!
//! The linear address is the index, so what the SDM calls EPCM.ENCLAVEADDRESS is implied. Entries
//! change by compare-and-exchange; whoever changes what the host's mapping must show also holds the
//! lock of [`Mapping`](crate::mapping::Mapping).

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};

use sgx_types::{PageType, SecInfoFlags};

use crate::sys;

/// log2 of a page.
const PAGE_SHIFT: u64 = 12;

/// What is known of one page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry(u8);

impl Entry {
    /// No page.
    pub(crate) const NONE: Self = Self(0);
    const TCS: u8 = 1;
    const REG: u8 = 2;
    const TRIM: u8 = 3;
    const TYPE: u8 = 3;
    const SHIFT: u32 = 2;
    /// PENDING, MODIFIED and PR, in SECINFO's order after RWX.
    const PENDING: u8 = 1 << 5;
    const MODIFIED: u8 = 1 << 6;
    const PR: u8 = 1 << 7;

    /// What EAUG makes.
    pub(crate) const AUGMENTED: Self = Self(Self::REG | 0b011 << Self::SHIFT | Self::PENDING);

    /// What EMODT to TRIM makes.
    pub(crate) const TRIMMED: Self = Self(Self::TRIM | Self::MODIFIED);
    /// What EMODPR makes, without permissions.
    pub(crate) const RESTRICTED: Self = Self(Self::REG | Self::PR);

    /// Mask and value of the bits that EENTER looks at: those of a TCS,
    pub(crate) const ENTERED: (u8, u8) = (Self::TYPE | Self::PENDING | Self::MODIFIED, Self::TCS);
    /// and those of a page of the SSA frame.
    pub(crate) const WRITABLE: (u8, u8) = Self::accessible(0b011);
    /// Those that EACCEPTCOPY looks at, of its source.
    pub(crate) const READABLE: (u8, u8) = Self::accessible(0b001);

    /// Mask and value of the bits of a regular page that may be accessed in all the ways of `permissions`.
    const fn accessible(permissions: u8) -> (u8, u8) {
        let access = permissions << Self::SHIFT;
        (Self::TYPE | access | Self::PENDING | Self::MODIFIED, Self::REG | access)
    }

    /// The entry as the assembler parts see it.
    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    /// What EACCEPT makes.
    pub(crate) const fn settled(self) -> Self {
        Self(self.0 & !(Self::PENDING | Self::MODIFIED | Self::PR))
    }

    /// The entry that `flags` describe; `None` for a type that enclaves do not have here.
    pub(crate) fn from_flags(flags: SecInfoFlags) -> Option<Self> {
        let page_type = match flags.page_type()? {
            PageType::Tcs => Self::TCS,
            PageType::Reg => Self::REG,
            PageType::Trim => Self::TRIM,
            _ => return None,
        };
        Some(Self(page_type | ((flags.bits() & 0x3f) as u8) << Self::SHIFT))
    }

    /// The same as SECINFO flags.
    pub(crate) fn flags(self) -> SecInfoFlags {
        let page_type = match self.0 & Self::TYPE {
            Self::TCS => SecInfoFlags::PT_TCS,
            Self::REG => SecInfoFlags::PT_REG,
            Self::TRIM => SecInfoFlags::PT_TRIM,
            _ => SecInfoFlags::empty(),
        };
        page_type | SecInfoFlags::from_bits_retain(u64::from(self.0 >> Self::SHIFT))
    }

    /// The same page with changed flags of the low byte (permissions and state).
    pub(crate) fn with(self, set: SecInfoFlags, clear: SecInfoFlags) -> Self {
        let byte = |flags: SecInfoFlags| ((flags.bits() & 0x3f) as u8) << Self::SHIFT;
        Self((self.0 | byte(set)) & !byte(clear))
    }

    pub(crate) fn is_valid(self) -> bool {
        self.0 & Self::TYPE != 0
    }

    pub(crate) fn is(self, page_type: PageType) -> bool {
        self.is_valid() && self.flags().page_type() == Some(page_type)
    }

    /// Neither pending nor modified.
    pub(crate) fn is_settled(self) -> bool {
        self.0 & (Self::PENDING | Self::MODIFIED) == 0
    }

    /// What the enclave may do with the page now: R, W and X.
    pub(crate) fn access(self) -> SecInfoFlags {
        if self.0 & Self::TYPE == Self::REG && self.is_settled() {
            self.flags().permissions()
        } else {
            SecInfoFlags::empty()
        }
    }

    /// The protection of the host's mapping that allows just that.
    pub(crate) fn protection(self) -> i32 {
        let access = self.access();
        let bit = |flag, protection| if access.contains(flag) { protection } else { 0 };
        bit(SecInfoFlags::R, libc::PROT_READ)
            | bit(SecInfoFlags::W, libc::PROT_WRITE)
            | bit(SecInfoFlags::X, libc::PROT_EXEC)
    }
}

/// The table.
pub(crate) struct Epcm {
    table: u64,
    base: u64,
    pages: u64,
}

impl Epcm {
    /// A table for ELRANGE of `size` bytes from `base` on, all pages missing.
    pub(crate) fn new(base: u64, size: u64) -> io::Result<Self> {
        let pages = size >> PAGE_SHIFT;
        let table = sys::map(0, pages, libc::PROT_READ | libc::PROT_WRITE)?;
        Ok(Self { table, base, pages })
    }

    /// Address of the table.
    pub(crate) fn address(&self) -> u64 {
        self.table
    }

    /// The cell of the page at `address`, which must lie in ELRANGE.
    pub(crate) fn cell(&self, address: u64) -> &AtomicU8 {
        let page = (address - self.base) >> PAGE_SHIFT;
        assert!(page < self.pages, "{address:#x} lies outside of ELRANGE");
        // SAFETY: the table has a byte for each page, initially zero, and is only accessed so.
        unsafe { &*((self.table + page) as *const AtomicU8) }
    }

    pub(crate) fn get(&self, address: u64) -> Entry {
        Entry(self.cell(address).load(Ordering::Acquire))
    }

    pub(crate) fn set(&self, address: u64, entry: Entry) {
        self.cell(address).store(entry.0, Ordering::Release);
    }

    /// Replaces `old` by `new`; whether it still was `old`.
    pub(crate) fn replace(&self, address: u64, old: Entry, new: Entry) -> bool {
        self.cell(address)
            .compare_exchange(old.0, new.0, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// The stretch around `address`, within `limits`, whose pages have the same entry.
    pub(crate) fn alike(&self, address: u64, limits: Range<u64>) -> Range<u64> {
        let page = 1 << PAGE_SHIFT;
        let entry = self.get(address);
        let mut range = address..address + page;
        while range.start > limits.start && self.get(range.start - page) == entry {
            range.start -= page;
        }
        while range.end < limits.end && self.get(range.end) == entry {
            range.end += page;
        }
        range
    }
}

impl Drop for Epcm {
    fn drop(&mut self) {
        sys::unmap(self.table, self.pages);
    }
}
