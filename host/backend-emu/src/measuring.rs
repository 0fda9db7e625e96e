//! The running measurement: what ECREATE, EADD and EEXTEND put into MRENCLAVE.
//!
//! It is only asked for by EINIT. A long stretch of pages is therefore left to a thread, which reads
//! them where they were added, beside whatever else is done until then.

use std::mem;
use std::ops::Range;
use std::sync::mpsc::{self, Sender};
use std::thread::{Builder, JoinHandle};

use sgx_types::{EEXTEND_SIZE, MEASURE_EADD, MEASURE_ECREATE, MEASURE_EEXTEND, PAGE_SIZE, SecInfo};
use sha2::{Digest, Sha256};
use zerocopy::IntoBytes;

use crate::patch;

/// Contents of pages, which outlive the call by which they came.
pub(crate) enum Contents {
    /// Behind them are zeros.
    Bytes(Vec<u8>),
    Zero,
    /// They are at their place, readable, and nothing changes them before EINIT.
    InPlace(Range<u64>),
}

/// Pages that were added.
pub(crate) struct Added {
    /// Offset of the first in the enclave.
    pub(crate) offset: u64,
    pub(crate) pages: u64,
    pub(crate) secinfo: SecInfo,
    /// Whether EEXTEND measures all of each.
    pub(crate) measured: bool,
    pub(crate) contents: Contents,
}

/// The measurement so far.
pub(crate) struct Measuring(State);

enum State {
    Here(Sha256),
    Beside(Beside),
}

/// A thread that measures.
struct Beside {
    thread: JoinHandle<Sha256>,
    /// To the thread, which ends when it has measured everything and this is gone.
    sender: Sender<Vec<Added>>,
    /// What is short waits until there is more.
    waiting: Vec<Added>,
}

impl Beside {
    fn send(&mut self) {
        let sent = self.sender.send(mem::take(&mut self.waiting));
        sent.expect("the thread ends after the channel does");
    }
}

impl Measuring {
    /// ECREATE.
    pub(crate) fn new(ssa_frame_size: u32, size: u64) -> Self {
        let mut hash = Sha256::new_with_prefix(MEASURE_ECREATE);
        hash.update(ssa_frame_size.to_le_bytes());
        hash.update(size.to_le_bytes());
        hash.update([0; 44]);
        Self(State::Here(hash))
    }

    /// EADD and EEXTEND.
    pub(crate) fn add(&mut self, added: Added) {
        let long = matches!(added.contents, Contents::InPlace(_)) && added.pages > 1;
        if long {
            self.go_beside();
        }
        match &mut self.0 {
            State::Here(hash) => added.extend(hash),
            State::Beside(beside) => {
                beside.waiting.push(added);
                if long {
                    beside.send();
                }
            }
        }
    }

    /// Leaves the rest to a thread, if there can be one more.
    fn go_beside(&mut self) {
        let State::Here(hash) = &self.0 else { return };
        let mut hash = hash.clone();
        let (sender, receiver) = mpsc::channel::<Vec<Added>>();
        let thread = Builder::new().name("measure".into()).stack_size(64 << 10).spawn(move || {
            receiver.iter().flatten().for_each(|added| added.extend(&mut hash));
            hash
        });
        if let Ok(thread) = thread {
            self.0 = State::Beside(Beside { thread, sender, waiting: Vec::new() });
        }
    }

    /// MRENCLAVE, if this were all.
    pub(crate) fn value(&mut self) -> [u8; 32] {
        self.come_back().clone().finalize().into()
    }

    /// Waits for the thread.
    fn come_back(&mut self) -> &Sha256 {
        if let State::Beside(_) = self.0
            && let State::Beside(mut beside) =
                mem::replace(&mut self.0, State::Here(Sha256::default()))
        {
            beside.send();
            drop(beside.sender);
            self.0 = State::Here(beside.thread.join().expect("hashing does not panic"));
        }
        match &self.0 {
            State::Here(hash) => hash,
            State::Beside(_) => unreachable!("just come back"),
        }
    }
}

/// The pages that the thread reads must not go away before it does.
impl Drop for Measuring {
    fn drop(&mut self) {
        self.come_back();
    }
}

impl Contents {
    /// Keeps a copy.
    pub(crate) fn copy(bytes: &[u8]) -> Self {
        let mut rest = bytes;
        while let Some((left, last)) = rest.split_last_chunk()
            && *last == [0; 64]
        {
            rest = left;
        }
        Self::Bytes(rest.to_vec())
    }
}

impl Added {
    fn extend(&self, hash: &mut Sha256) {
        const ZERO: [u8; PAGE_SIZE] = [0; PAGE_SIZE];
        let bytes = match &self.contents {
            Contents::Bytes(bytes) => bytes.as_slice(),
            Contents::Zero => &[],
            Contents::InPlace(range) => patch::contents(range),
        };
        for at in (0..self.pages as usize).map(|page| page * PAGE_SIZE) {
            let rest = bytes.get(at..).unwrap_or_default();
            let mut padded = ZERO;
            let contents = rest.first_chunk().unwrap_or_else(|| {
                padded[..rest.len()].copy_from_slice(rest);
                &padded
            });
            self.extend_page(hash, self.offset + at as u64, contents);
        }
    }

    fn extend_page(&self, hash: &mut Sha256, offset: u64, contents: &[u8; PAGE_SIZE]) {
        hash.update(MEASURE_EADD);
        hash.update(offset.to_le_bytes());
        hash.update(&self.secinfo.as_bytes()[..48]);
        if !self.measured {
            return;
        }
        for (chunk, at) in contents.chunks(EEXTEND_SIZE).zip((offset..).step_by(EEXTEND_SIZE)) {
            hash.update(MEASURE_EEXTEND);
            hash.update(at.to_le_bytes());
            hash.update([0; 48]);
            hash.update(chunk);
        }
    }
}
