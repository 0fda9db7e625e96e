//! MRENCLAVE, leaf by leaf (SDM volume 3D, 40.3: ECREATE, EADD, EEXTEND).

use sgx_types::{
    EEXTEND_SIZE, MEASURE_EADD, MEASURE_ECREATE, MEASURE_EEXTEND, PAGE_SIZE, SecInfo, SecInfoFlags,
};
use sha2::{Digest, Sha256};
use zerocopy::IntoBytes;

use crate::{Coverage, MrEnclave, Page};

/// Bytes that a leaf contributes, besides the data of EEXTEND: one block of SHA-256.
const BLOCK: usize = 64;

/// A measurement in progress: SECS.MRENCLAVE between ECREATE and EINIT.
///
/// Every leaf contributes whole blocks of SHA-256, so nothing is ever buffered. The SHA-256
/// crate uses the processor's SHA instructions where it has them.
#[derive(Clone, Debug)]
pub struct Measurement(Sha256);

impl Measurement {
    /// Starts with ECREATE of an enclave of `size` bytes.
    #[must_use]
    pub fn ecreate(ssa_frame_pages: u32, size: u64) -> Self {
        let mut block = [0; BLOCK];
        block[..8].copy_from_slice(&MEASURE_ECREATE);
        block[8..12].copy_from_slice(&ssa_frame_pages.to_le_bytes());
        block[12..20].copy_from_slice(&size.to_le_bytes());
        Self(Sha256::new_with_prefix(block))
    }

    /// EADD of the page at `offset` bytes from the enclave's base.
    pub fn eadd(&mut self, offset: u64, flags: SecInfoFlags) {
        let mut block = [0; BLOCK];
        block[..8].copy_from_slice(&MEASURE_EADD);
        block[8..16].copy_from_slice(&offset.to_le_bytes());
        block[16..].copy_from_slice(&SecInfo::new(flags).as_bytes()[..48]);
        self.0.update(block);
    }

    /// EEXTEND of the 256 bytes at `offset` from the enclave's base.
    pub fn eextend(&mut self, offset: u64, data: &[u8; EEXTEND_SIZE]) {
        self.0.update(extension(offset, data));
    }

    /// EADD of a page, and its sixteen EEXTEND when its contents are measured by them.
    pub fn page(&mut self, page: &Page<'_>) {
        self.eadd(page.offset, page.flags);
        if page.coverage == Coverage::Extended {
            let chunks = page.contents.as_chunks::<EEXTEND_SIZE>().0;
            // In one go: what SHA-256 keeps between two of them is on its critical path.
            let mut all = [[0; BLOCK + EEXTEND_SIZE]; PAGE_SIZE / EEXTEND_SIZE];
            for ((offset, chunk), one) in
                (page.offset..).step_by(EEXTEND_SIZE).zip(chunks).zip(&mut all)
            {
                *one = extension(offset, chunk);
            }
            self.0.update(all.as_flattened());
        }
    }

    /// What EINIT makes of it.
    #[must_use]
    pub fn finish(self) -> MrEnclave {
        MrEnclave(self.0.finalize().into())
    }
}

/// What EEXTEND adds for the 256 bytes at `offset`.
fn extension(offset: u64, data: &[u8; EEXTEND_SIZE]) -> [u8; BLOCK + EEXTEND_SIZE] {
    let mut all = [0; BLOCK + EEXTEND_SIZE];
    all[..8].copy_from_slice(&MEASURE_EEXTEND);
    all[8..16].copy_from_slice(&offset.to_le_bytes());
    all[BLOCK..].copy_from_slice(data);
    all
}
