//! Untrusted memory: addresses wholly outside of ELRANGE, touched in aligned 64-bit words only.
//!
//! Unaligned or narrow accesses to untrusted memory leak stale data of the processor
//! (CVE-2022-21166, CVE-2022-21233), and reading twice lets the host change its mind in between:
//! so each accessor here reads or writes each word exactly once.

use hostcall_abi::layout::ELRANGE_SIZE;

use crate::{
    AppSlice, Fault,
    copies::{Outcome, scone_copy_words},
    fatal,
};

/// End of the addresses a host process may use.
const HOST_END: u64 = 1 << 47;

/// An address claimed by the host was not in its own memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostError {
    /// The range is not wholly outside of the enclave.
    NotOutside {
        /// Start of the range.
        address: u64,
        /// Its length in bytes.
        len: u64,
    },
    /// The address is not a multiple of eight.
    Misaligned(u64),
}

/// A checked address of one 64-bit word of host memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPtr(u64);

impl HostPtr {
    /// The address.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.0
    }

    /// Reads the word once.
    #[must_use]
    pub fn read(self) -> u64 {
        // SAFETY: the address is aligned and outside of ELRANGE, so no Rust object is there; if
        // the host unmapped it, the fault ends the enclave.
        unsafe { (self.0 as *const u64).read_volatile() }
    }

    /// Writes the word once.
    pub fn write(self, value: u64) {
        // SAFETY: as for `read`.
        unsafe { (self.0 as *mut u64).write_volatile(value) }
    }

    /// Replaces `expected` by `new` atomically, if it is there.
    #[must_use]
    pub fn replace(self, expected: u64, new: u64) -> bool {
        use core::sync::atomic::{AtomicU64, Ordering};
        // SAFETY: as for `swap`.
        unsafe { AtomicU64::from_ptr(self.0 as *mut u64) }
            .compare_exchange(expected, new, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Exchanges the word atomically.
    #[must_use]
    pub fn swap(self, value: u64) -> u64 {
        use core::sync::atomic::{AtomicU64, Ordering};
        // SAFETY: as for `read`; the reference lives for this expression only, and an atomic
        // admits that others change it.
        unsafe { AtomicU64::from_ptr(self.0 as *mut u64) }.swap(value, Ordering::AcqRel)
    }
}

/// A checked range of host memory, aligned to eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostSlice {
    address: u64,
    len: u64,
}

impl HostSlice {
    /// Checks that `len` bytes from `address` lie wholly outside of the enclave.
    ///
    /// # Errors
    ///
    /// [`HostError`] names the range that does not.
    pub const fn new(address: u64, len: u64) -> Result<Self, HostError> {
        if address < ELRANGE_SIZE || address > HOST_END || len > HOST_END - address {
            return Err(HostError::NotOutside { address, len });
        }
        if !address.is_multiple_of(8) {
            return Err(HostError::Misaligned(address));
        }
        Ok(Self { address, len })
    }

    /// Address of the first byte.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.address
    }

    /// Length in bytes.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.len
    }

    /// Whether the range is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The part of `len` bytes from `offset`, which must be a multiple of eight.
    ///
    /// # Panics
    ///
    /// If it is not inside of this range.
    #[must_use]
    pub fn part(self, offset: u64, len: u64) -> Self {
        assert!(offset <= self.len && len <= self.len - offset && offset.is_multiple_of(8));
        Self { address: self.address + offset, len }
    }

    /// The word with this index.
    ///
    /// # Panics
    ///
    /// If it is not inside of this range.
    #[must_use]
    pub fn word(self, index: u64) -> HostPtr {
        assert!(index < self.len / 8);
        HostPtr(self.address + index * 8)
    }

    /// Writes `bytes` to the start of the range; the last word is filled up with zeros.
    ///
    /// # Panics
    ///
    /// If the range, rounded up to whole words, is too short.
    pub fn write_bytes(self, bytes: &[u8]) {
        let whole = bytes.len() & !7;
        assert!(bytes.len().next_multiple_of(8) as u64 <= self.len.next_multiple_of(8));
        self.copy_out(bytes.as_ptr() as u64, whole as u64);
        if whole < bytes.len() {
            let mut last = [0; 8];
            last[..bytes.len() - whole].copy_from_slice(&bytes[whole..]);
            HostPtr(self.address + whole as u64).write(u64::from_le_bytes(last));
        }
    }

    /// Writes `bytes` from `offset` on. What is beside them in their first and last words stays as the host has it.
    ///
    /// # Panics
    ///
    /// If the range, rounded up to whole words, is too short.
    pub fn write_bytes_at(self, offset: u64, bytes: &[u8]) {
        let (start, skip) = (offset & !7, crate::app::to_usize(offset & 7));
        let (head, rest) = bytes.split_at(bytes.len().min((8 - skip) % 8));
        if !head.is_empty() {
            self.change_word(start, skip, head);
        }
        if !rest.is_empty() {
            let whole = rest.len() & !7;
            let at = offset.next_multiple_of(8);
            self.part(at, whole as u64).copy_out(rest.as_ptr() as u64, whole as u64);
            if whole < rest.len() {
                self.change_word(at + whole as u64, 0, &rest[whole..]);
            }
        }
    }

    /// Replaces the bytes from `skip` on of the word at `offset`.
    fn change_word(self, offset: u64, skip: usize, bytes: &[u8]) {
        assert!(offset < self.len);
        let word = HostPtr(self.address + offset);
        let mut new = word.read().to_le_bytes();
        new[skip..skip + bytes.len()].copy_from_slice(bytes);
        word.write(u64::from_le_bytes(new));
    }

    /// Reads the start of the range into `bytes`.
    ///
    /// # Panics
    ///
    /// If the range, rounded up to whole words, is too short.
    pub fn read_bytes(self, bytes: &mut [u8]) {
        let whole = bytes.len() & !7;
        assert!(bytes.len().next_multiple_of(8) as u64 <= self.len.next_multiple_of(8));
        self.copy_in(bytes.as_mut_ptr() as u64, whole as u64);
        let rest = bytes.len() - whole;
        if rest > 0 {
            let last = HostPtr(self.address + whole as u64).read().to_le_bytes();
            bytes[whole..].copy_from_slice(&last[..rest]);
        }
    }

    /// Copies the program's bytes to the start of the range.
    ///
    /// # Errors
    ///
    /// [`Fault`] if the program cannot read them.
    pub fn write_app(self, source: AppSlice) -> Result<(), Fault> {
        assert!(source.len().next_multiple_of(8) <= self.len.next_multiple_of(8));
        if let Some(bytes) = source.mapped() {
            self.write_bytes(&bytes);
            return Ok(());
        }
        let whole = source.len() & !7;
        source.copy_with(0, whole, |app, done, count| {
            copy_words(self.address + done, app, count).done()
        })?;
        let rest = source.len() - whole;
        if rest > 0 {
            let mut last = [0; 8];
            source.part(whole, rest).read_bytes(&mut last[..crate::app::to_usize(rest)])?;
            HostPtr(self.address + whole).write(u64::from_le_bytes(last));
        }
        Ok(())
    }

    /// Copies the start of the range to the program.
    ///
    /// # Errors
    ///
    /// [`Fault`] if the program cannot write there.
    pub fn read_app(self, target: AppSlice) -> Result<(), Fault> {
        assert!(target.len().next_multiple_of(8) <= self.len.next_multiple_of(8));
        let whole = target.len() & !7;
        target.copy_with(0, whole, |app, done, count| {
            copy_words(app, self.address + done, count).done()
        })?;
        let rest = target.len() - whole;
        if rest > 0 {
            let last = HostPtr(self.address + whole).read().to_le_bytes();
            target.part(whole, rest).write_bytes(&last[..crate::app::to_usize(rest)])?;
        }
        Ok(())
    }

    fn copy_out(self, source: u64, bytes: u64) {
        check(&copy_words(self.address, source, bytes));
    }

    fn copy_in(self, target: u64, bytes: u64) {
        check(&copy_words(target, self.address, bytes));
    }
}

/// Copies whole words; one side is host memory, aligned.
fn copy_words(target: u64, source: u64, bytes: u64) -> Outcome {
    // SAFETY: callers pass ranges that are checked to be host memory, the program's memory, or a
    // live slice of the runtime; a fault makes the routine return.
    let outcome = unsafe { scone_copy_words(target, source, bytes / 8) };
    if outcome.status != 0 && outcome.value >= ELRANGE_SIZE {
        fatal("the host misbehaved: its buffer is not accessible");
    }
    outcome
}

fn check(outcome: &Outcome) {
    if outcome.status != 0 {
        fatal("the runtime's own memory is not accessible");
    }
}
