//! What the processor says of this enclave (EREPORT, SDM 40.4).

use sgx_types::{Attributes, Enclu, Report, TargetInfo};
use zerocopy::FromZeros;

use crate::asm::scone_enclu;

/// The user data of a report.
#[repr(C, align(128))]
struct ReportData([u8; 64]);

/// Where a report is written.
#[repr(C, align(512))]
struct Output(Report);

/// The attributes with which this enclave runs, whatever the host says of them.
#[must_use]
pub fn attributes() -> Attributes {
    let (target, data) = (TargetInfo::new_zeroed(), ReportData([0; 64]));
    let mut output = Output(Report::new_zeroed());
    // SAFETY: all three are aligned as EREPORT demands, and live through the call, which writes to the
    // last one only.
    unsafe {
        scone_enclu(
            Enclu::Ereport as u64,
            &raw const target as u64,
            &raw const data as u64,
            &raw mut output as u64,
        );
    }
    // SAFETY: `output` is initialised; the assembler may have written to it.
    unsafe { (&raw const output.0.body.attributes).read_volatile() }
}
