//! Memory that the enclave and the host both see, as words.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use hostcall_abi::{looks, request};

use crate::NOBODY;

/// A range of zeroed host memory, aligned to a page; never freed, for the enclave knows its address.
#[derive(Clone, Copy, Debug)]
pub struct Shared {
    address: u64,
    len: u64,
}

impl Shared {
    /// Reserves `len` bytes, which are backed when touched.
    ///
    /// # Errors
    ///
    /// ENOMEM when there is no address space for it.
    pub fn new(len: u64) -> io::Result<Self> {
        let size = usize::try_from(len).map_err(io::Error::other)?;
        let (prot, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
        );
        // SAFETY: a new anonymous mapping at a place of the kernel's choice.
        let address = unsafe { libc::mmap(std::ptr::null_mut(), size, prot, flags, -1, 0) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { address: address as u64, len })
    }

    /// Address of the first byte.
    #[must_use]
    pub fn address(self) -> u64 {
        self.address
    }

    /// Length in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(self) -> u64 {
        self.len
    }

    /// The word at `index`.
    ///
    /// # Panics
    ///
    /// If it is not inside.
    #[must_use]
    pub fn word(&self, index: u64) -> &'static AtomicU64 {
        assert!(index < self.len / 8, "word {index} is outside of the shared memory");
        // SAFETY: inside of the mapping (asserted), aligned, never unmapped; both sides use whole
        // words.
        unsafe { AtomicU64::from_ptr((self.address + index * 8) as *mut u64) }
    }

    /// Writes bytes from `offset` on.
    ///
    /// # Panics
    ///
    /// If they do not fit.
    pub fn write(&self, offset: u64, bytes: &[u8]) {
        assert!(offset <= self.len && bytes.len() as u64 <= self.len - offset);
        // SAFETY: inside of the mapping (asserted).
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                (self.address + offset) as *mut u8,
                bytes.len(),
            );
        }
    }

    /// The request at `address`, if it lies in this memory and is aligned.
    #[must_use]
    pub fn request(&self, address: u64) -> Option<Request> {
        self.block(address, request::BYTES).map(Request)
    }

    /// The `N` words at `address`, if they lie in this memory and are aligned.
    #[must_use]
    pub fn words_at<const N: usize>(&self, address: u64) -> Option<[&'static AtomicU64; N]> {
        let block = self.block(address, N as u64 * 8)?;
        Some(std::array::from_fn(|index| block.word(index as u64)))
    }

    /// The `len` bytes at `address`, if they lie in this memory and are aligned.
    fn block(&self, address: u64, len: u64) -> Option<Block> {
        let offset = address.checked_sub(self.address)?;
        let fits = offset.checked_add(len)? <= self.len && offset.is_multiple_of(8);
        fits.then_some(Block { memory: *self, first: offset / 8 })
    }
}

/// Some words in shared memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    memory: Shared,
    first: u64,
}

impl Block {
    /// The word at `index`.
    pub(crate) fn word(self, index: u64) -> &'static AtomicU64 {
        self.memory.word(self.first + index)
    }

    /// The address of the byte at `offset`.
    pub(crate) fn address(self, offset: u64) -> u64 {
        self.memory.address + self.first * 8 + offset
    }
}

/// A request in shared memory.
#[derive(Clone, Copy, Debug)]
pub struct Request(Block);

impl Request {
    fn word(&self, index: u64) -> &'static AtomicU64 {
        self.0.word(index)
    }

    /// The request whose address is in word `index`.
    fn other(&self, index: u64) -> Option<Self> {
        self.0.memory.request(self.word(index).load(Ordering::Relaxed))
    }

    /// Address of the request.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.0.address(0)
    }

    /// Number of the call.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.word(request::NUMBER).load(Ordering::Relaxed)
    }

    /// The arguments.
    #[must_use]
    pub fn args(&self) -> [u64; request::ARG_COUNT] {
        std::array::from_fn(|index| self.word(request::ARGS + index as u64).load(Ordering::Relaxed))
    }

    /// The result, if it is there already.
    #[must_use]
    pub fn result(&self) -> u64 {
        self.word(request::RESULT).load(Ordering::Acquire)
    }

    /// Stores the result.
    pub fn set_result(&self, result: u64) {
        self.word(request::RESULT).store(result, Ordering::Release);
    }

    /// The flags of a request in a ring.
    #[must_use]
    pub fn flags(&self) -> u64 {
        self.word(request::FLAGS).load(Ordering::Relaxed)
    }

    /// The chunk before, if the request is a chunk and not the first.
    #[must_use]
    pub fn before(&self) -> Option<Self> {
        let is_chunk = self.flags() & request::flag::CHUNK != 0;
        if is_chunk { self.other(request::AFTER) } else { None }
    }

    /// Whether the request is a chunk whose transfer has ended before it.
    #[must_use]
    pub fn is_behind_the_end(&self) -> bool {
        self.before().is_some_and(|before| before.result() != before.args()[2])
    }

    /// The first of the posted requests that are to be made before this one; of a posted one, the next.
    #[must_use]
    pub fn posted(&self) -> Option<Self> {
        self.other(request::POSTED)
    }

    /// The first of the requests that are to be made after this one; of one of those, the next.
    #[must_use]
    pub fn then(&self) -> Option<Self> {
        self.other(request::THEN)
    }

    /// The first of the requests that are to be made because they are expected; of one of those, the next.
    #[must_use]
    pub fn expected(&self) -> Option<Self> {
        self.other(request::EXPECTED)
    }

    /// Makes the request with this first argument.
    pub fn make_with(&self, first: u64) {
        self.word(request::ARGS).store(first, Ordering::Relaxed);
        NOBODY.execute(self);
    }

    /// The state of a request that was handed over, is in a ring or was posted.
    #[must_use]
    pub fn state(&self) -> u64 {
        self.word(request::STATE).load(Ordering::Relaxed)
    }

    /// Makes the request for a thread that cannot be called off, unless it is a chunk behind the end
    /// of its transfer.
    pub fn make(&self) {
        if self.is_behind_the_end() {
            self.set_result(request::CALLED_OFF);
        } else {
            NOBODY.execute(self);
        }
    }

    /// The block of looks that come with a wait.
    #[must_use]
    pub(crate) fn looks(&self) -> Option<Block> {
        self.memory_at(self.word(request::LOOKS).load(Ordering::Relaxed), looks::BYTES)
    }

    /// Memory of the same kind that the request points to.
    pub(crate) fn memory_at(&self, address: u64, len: u64) -> Option<Block> {
        self.0.memory.block(address, len)
    }

    /// Says that another thread waits for the call.
    pub fn hand_on(&self) {
        self.word(request::FLAGS).store(request::flag::HANDED_ON, Ordering::Relaxed);
    }

    /// Marks the request as done. Returns whether its thread waits to be told.
    #[must_use]
    pub fn done(&self) -> bool {
        let before = self.word(request::STATE).swap(request::state::DONE, Ordering::AcqRel);
        before == request::state::AWAITED
    }

    /// Marks the request as done and puts it on the list whose head is `head`. Returns whether the
    /// list was empty.
    pub fn complete(&self, head: &AtomicU64) -> bool {
        self.word(request::STATE).store(request::state::DONE, Ordering::Relaxed);
        let mut first = head.load(Ordering::Relaxed);
        loop {
            self.word(request::NEXT).store(first, Ordering::Relaxed);
            match head.compare_exchange_weak(
                first,
                self.address(),
                Ordering::SeqCst,
                Ordering::Relaxed,
            ) {
                Ok(_) => return first == 0,
                Err(now) => first = now,
            }
        }
    }
}
