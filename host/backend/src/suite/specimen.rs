//! The small enclaves of the suite.

use std::sync::Arc;

use measure::{Claims, Date, MrEnclave, SigningKey};
use sgx_types::{
    AttributeFlags, Attributes, MiscSelect, PAGE_SIZE, SecInfo, SecInfoFlags, Secs, Sigstruct, Tcs,
    Xfrm,
};
use zerocopy::IntoBytes;

use super::assembler::{Code, Form, Reg};
use crate::{Backend, Enclave, EnterLeaf, Exception, Outcome, Refused, Run, Source};

/// Size of ELRANGE.
pub const SIZE: u64 = 1 << 32;
/// Where the code stands.
pub const CODE: u64 = 0x1_0000;
/// Four writable pages, zero.
pub const DATA: u32 = 0x2_0000;
/// Where code stands that EEXTEND does not measure.
pub const UNMEASURED: u32 = 0x70_0000;
/// Per-thread blocks start here.
const THREADS: u64 = 0x3_0000;
/// Bytes of a per-thread block: TCS, SSA frames, thread page, one more writable page as stack.
const BLOCK: u64 = 0x4_0000;
/// Pages of one SSA frame.
pub const FRAME_PAGES: u64 = 4;
/// Where nothing was added: pages come with EAUG.
pub const DYNAMIC: u64 = 0x4000_0000;

/// Writable.
pub const RW: SecInfoFlags = SecInfoFlags::R.union(SecInfoFlags::W).union(SecInfoFlags::PT_REG);
/// Executable.
pub const RX: SecInfoFlags = SecInfoFlags::R.union(SecInfoFlags::X).union(SecInfoFlags::PT_REG);

/// Address of TCS `thread`.
#[must_use]
pub fn tcs(thread: u64) -> u64 {
    THREADS + thread * BLOCK
}

/// Address of SSA frame `index` of TCS `thread`.
#[must_use]
pub fn frame(thread: u64, index: u64) -> u64 {
    tcs(thread) + PAGE_SIZE as u64 * (1 + index * FRAME_PAGES)
}

/// Address of the page to which GS points in TCS `thread`.
#[must_use]
pub fn thread_page(thread: u64) -> u64 {
    tcs(thread) + BLOCK - 2 * PAGE_SIZE as u64
}

/// A stack for TCS `thread`: its upper end.
#[must_use]
pub fn stack(thread: u64) -> u64 {
    tcs(thread) + BLOCK
}

/// An enclave to be built.
#[derive(Clone)]
pub struct Specimen {
    /// What EENTER at CSSA 0 executes. R13 holds the exit address, RSP a stack.
    pub main: Code,
    /// What EENTER at a higher CSSA executes, likewise.
    pub handler: Code,
    /// What stands at [`UNMEASURED`], if anything.
    pub unmeasured: Code,
    /// Threads.
    pub threads: u64,
    /// SSA frames per thread.
    pub nssa: u32,
    /// Attributes.
    pub attributes: Attributes,
    /// MISCSELECT.
    pub misc_select: MiscSelect,
    /// Changes to the signed claims.
    pub claims: fn(&mut Claims),
}

impl Specimen {
    /// An enclave with this code.
    #[must_use]
    pub fn new(backend: &dyn Backend, main: Code, handler: Code) -> Self {
        let xfrm = backend.capabilities().xfrm & !(Xfrm::TILECFG | Xfrm::TILEDATA | Xfrm::PKRU);
        Self {
            main,
            handler,
            unmeasured: Code::new(),
            threads: 1,
            nssa: 3,
            attributes: Attributes {
                flags: AttributeFlags::MODE64BIT | AttributeFlags::DEBUG,
                xfrm,
            },
            misc_select: MiscSelect::EXINFO,
            claims: |_| {},
        }
    }

    /// The SECS.
    #[must_use]
    pub fn secs(&self) -> Secs {
        Secs {
            size: SIZE,
            ssa_frame_size: u32::try_from(FRAME_PAGES).expect("small"),
            misc_select: self.misc_select,
            attributes: self.attributes,
            ..Secs::default()
        }
    }

    /// The pages that EEXTEND measures: offset, flags, contents.
    fn measured(&self) -> Vec<(u64, SecInfoFlags, Vec<u8>)> {
        let mut pages = vec![(CODE, RX, padded(self.code().bytes()))];
        pages.push((DATA.into(), RW, vec![0; 4 * PAGE_SIZE]));
        for thread in 0..self.threads {
            let tcs_page = Tcs {
                ossa: frame(thread, 0),
                nssa: self.nssa,
                oentry: CODE,
                ofs_base: thread_page(thread),
                ogs_base: thread_page(thread),
                fs_limit: 0xfff,
                gs_limit: 0xfff,
                ..Tcs::default()
            };
            pages.push((tcs(thread), SecInfoFlags::PT_TCS, tcs_page.as_bytes().to_vec()));
            let frames = self.nssa as usize * usize::try_from(FRAME_PAGES).expect("small");
            pages.push((frame(thread, 0), RW, vec![0; frames * PAGE_SIZE]));
            let mut page = vec![0; 2 * PAGE_SIZE];
            page[..8].copy_from_slice(&stack(thread).to_le_bytes());
            pages.push((thread_page(thread), RW, page));
        }
        pages
    }

    /// All pages, and whether EEXTEND measures them.
    fn pages(&self) -> Vec<(u64, SecInfoFlags, Vec<u8>, bool)> {
        let mut pages: Vec<_> = self
            .measured()
            .into_iter()
            .map(|(at, flags, bytes)| (at, flags, bytes, true))
            .collect();
        if !self.unmeasured.bytes().is_empty() {
            pages.push((UNMEASURED.into(), RX, padded(self.unmeasured.bytes()), false));
        }
        pages
    }

    /// `mov r13, rcx; mov rsp, gs:[0]; cmp rax, 0; if equal { main } handler`.
    fn code(&self) -> Code {
        Code::new()
            .copy(Reg::R13, Reg::Rcx)
            .raw(&[0x65])
            .load(Reg::Rsp, 0)
            .compare(Reg::Rax, 0)
            .if_equal(&self.main)
            .then(&self.handler)
    }

    /// ECREATE and EADD.
    ///
    /// # Errors
    /// Those of the backend.
    pub fn add(&self, backend: &dyn Backend) -> Result<Arc<dyn Enclave>, Refused> {
        let enclave = backend.create(&self.secs())?;
        for (offset, flags, bytes, measured) in self.pages() {
            enclave.add_pages(offset, &SecInfo::new(flags), Source::Bytes(&bytes), measured)?;
        }
        Ok(enclave)
    }

    /// The certificate.
    #[must_use]
    pub fn sign(&self) -> Sigstruct {
        let mut measurement = measure::Measurement::ecreate(self.secs().ssa_frame_size, SIZE);
        for (start, flags, bytes, measured) in self.pages() {
            for (page, offset) in bytes.chunks(PAGE_SIZE).zip((start..).step_by(PAGE_SIZE)) {
                measurement.eadd(offset, flags);
                let chunks = if measured { page.as_chunks().0 } else { &[] };
                for (chunk, at) in chunks.iter().zip((offset..).step_by(256)) {
                    measurement.eextend(at, chunk);
                }
            }
        }
        sign(self, measurement.finish())
    }

    /// A running enclave.
    ///
    /// # Panics
    /// If the backend refuses.
    #[must_use]
    pub fn build(&self, backend: &dyn Backend) -> Arc<dyn Enclave> {
        let enclave = self.add(backend).expect("the pages are good");
        enclave.init(&self.sign()).expect("the certificate is good");
        enclave
    }
}

fn sign(specimen: &Specimen, mrenclave: MrEnclave) -> Sigstruct {
    let full = Attributes {
        flags: AttributeFlags::from_bits_retain(!0) & !AttributeFlags::INIT,
        xfrm: Xfrm::from_bits_retain(!0),
    };
    let mut claims = Claims {
        mrenclave,
        vendor: 0,
        date: Date::new(2024, 1, 1).expect("a date"),
        sw_defined: 0,
        attributes: specimen.attributes,
        attribute_mask: full,
        misc_select: specimen.misc_select,
        misc_mask: MiscSelect::from_bits_retain(!0),
        isv_prod_id: 7,
        isv_svn: 3,
        isv_family_id: [0; 16],
        isv_ext_prod_id: [0; 16],
    };
    (specimen.claims)(&mut claims);
    SigningKey::development().expect("the key parses").sign(&claims).expect("signing works")
}

fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(PAGE_SIZE), 0xcc);
    bytes
}

/// `mov rbx, r13`, EEXIT.
#[must_use]
pub fn exit(form: Form) -> Code {
    Code::new().copy(Reg::Rbx, Reg::R13).enclu(4, form)
}

/// EENTER of TCS `thread` with RDI.
#[must_use]
pub fn entry(thread: u64, rdi: u64) -> Run {
    Run { tcs: tcs(thread), rdi, ..Run::default() }
}

/// Enters and expects EEXIT.
///
/// # Panics
/// On an exception.
#[track_caller]
pub fn call(enclave: &dyn Enclave, rdi: u64) -> Run {
    let mut run = entry(0, rdi);
    assert_eq!(enclave.enter(&mut run), Outcome::Exited);
    run
}

/// Enters and expects an exception.
///
/// # Panics
/// On EEXIT.
#[track_caller]
pub fn fails(enclave: &dyn Enclave, mut run: Run) -> Exception {
    match enclave.enter(&mut run) {
        Outcome::Exception(exception) => exception,
        Outcome::Exited => panic!("left with {run:x?}"),
    }
}

/// Resumes TCS 0 and expects EEXIT.
///
/// # Panics
/// On an exception.
#[track_caller]
pub fn resume(enclave: &dyn Enclave) -> Run {
    let mut run = Run { leaf: EnterLeaf::Eresume, ..entry(0, 0) };
    assert_eq!(enclave.enter(&mut run), Outcome::Exited);
    run
}
