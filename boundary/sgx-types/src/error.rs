//! Error codes of ENCLS and ENCLU in EAX (SDM 40.1.3).

use core::fmt;

/// Why an SGX instruction did not do what it was asked for; 0 is success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum SgxError {
    /// A reserved field of SIGSTRUCT is set, or a fixed one is wrong.
    InvalidSigStruct = 1,
    /// ATTRIBUTES or MISCSELECT do not agree, or are not allowed.
    InvalidAttribute = 2,
    /// The page is in the wrong blocked state.
    Blkstate = 3,
    /// MRENCLAVE differs from SIGSTRUCT's or EINITTOKEN's.
    InvalidMeasurement = 4,
    /// The page's type cannot be blocked.
    NotBlockable = 5,
    /// The EPC page is not valid.
    PageInvalid = 6,
    /// Another instruction uses the page.
    EpcPageConflict = 7,
    /// The RSA signature is wrong.
    InvalidSignature = 8,
    /// A MAC does not verify.
    MacCompareFail = 9,
    /// The page is not blocked.
    PageNotBlocked = 10,
    /// The page has not been tracked.
    NotTracked = 11,
    /// The slot of the version array is in use.
    VaSlotOccupied = 12,
    /// The SECS still has pages.
    ChildPresent = 13,
    /// A thread is in the enclave.
    EnclaveAct = 14,
    /// The SECS' epoch is locked.
    EntryepochLocked = 15,
    /// EINITTOKEN is not valid for this enclave or machine.
    InvalidEinitToken = 16,
    /// Threads have not left since the last ETRACK.
    PrevTrkIncmpl = 17,
    /// The page is a SECS.
    PageIsSecs = 18,
    /// The page differs from what SECINFO says.
    PageAttributesMismatch = 19,
    /// The page is pending or modified.
    PageNotModifiable = 20,
    /// The page cannot be read or written by a debugger.
    PageNotDebuggable = 21,
    /// A counter of the enclave is exhausted.
    InvalidCounter = 25,
    /// The page is not in the EPC.
    PageNonEpc = 26,
    /// There is nothing to track.
    TrackNotRequired = 27,
    /// REPORTMACSTRUCT is not valid.
    InvalidReportMacStruct = 28,
    /// CPUSVN is greater than the machine's.
    InvalidCpusvn = 32,
    /// ISVSVN is greater than the enclave's.
    InvalidIsvsvn = 64,
    /// An interrupt came while the instruction ran: repeat it.
    UnmaskedEvent = 128,
    /// KEYREQUEST names a key that there is not, or that the enclave may not have.
    InvalidKeyname = 256,
}

impl SgxError {
    /// All errors.
    pub const ALL: [Self; 29] = [
        Self::InvalidSigStruct,
        Self::InvalidAttribute,
        Self::Blkstate,
        Self::InvalidMeasurement,
        Self::NotBlockable,
        Self::PageInvalid,
        Self::EpcPageConflict,
        Self::InvalidSignature,
        Self::MacCompareFail,
        Self::PageNotBlocked,
        Self::NotTracked,
        Self::VaSlotOccupied,
        Self::ChildPresent,
        Self::EnclaveAct,
        Self::EntryepochLocked,
        Self::InvalidEinitToken,
        Self::PrevTrkIncmpl,
        Self::PageIsSecs,
        Self::PageAttributesMismatch,
        Self::PageNotModifiable,
        Self::PageNotDebuggable,
        Self::InvalidCounter,
        Self::PageNonEpc,
        Self::TrackNotRequired,
        Self::InvalidReportMacStruct,
        Self::InvalidCpusvn,
        Self::InvalidIsvsvn,
        Self::UnmaskedEvent,
        Self::InvalidKeyname,
    ];

    /// The error with this code, if there is one.
    #[must_use]
    pub fn from_bits(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|&error| error as u32 == code)
    }

    /// The SDM's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidSigStruct => "SGX_INVALID_SIG_STRUCT",
            Self::InvalidAttribute => "SGX_INVALID_ATTRIBUTE",
            Self::Blkstate => "SGX_BLKSTATE",
            Self::InvalidMeasurement => "SGX_INVALID_MEASUREMENT",
            Self::NotBlockable => "SGX_NOTBLOCKABLE",
            Self::PageInvalid => "SGX_PG_INVLD",
            Self::EpcPageConflict => "SGX_EPC_PAGE_CONFLICT",
            Self::InvalidSignature => "SGX_INVALID_SIGNATURE",
            Self::MacCompareFail => "SGX_MAC_COMPARE_FAIL",
            Self::PageNotBlocked => "SGX_PAGE_NOT_BLOCKED",
            Self::NotTracked => "SGX_NOT_TRACKED",
            Self::VaSlotOccupied => "SGX_VA_SLOT_OCCUPIED",
            Self::ChildPresent => "SGX_CHILD_PRESENT",
            Self::EnclaveAct => "SGX_ENCLAVE_ACT",
            Self::EntryepochLocked => "SGX_ENTRYEPOCH_LOCKED",
            Self::InvalidEinitToken => "SGX_INVALID_EINITTOKEN",
            Self::PrevTrkIncmpl => "SGX_PREV_TRK_INCMPL",
            Self::PageIsSecs => "SGX_PG_IS_SECS",
            Self::PageAttributesMismatch => "SGX_PAGE_ATTRIBUTES_MISMATCH",
            Self::PageNotModifiable => "SGX_PAGE_NOT_MODIFIABLE",
            Self::PageNotDebuggable => "SGX_PAGE_NOT_DEBUGGABLE",
            Self::InvalidCounter => "SGX_INVALID_COUNTER",
            Self::PageNonEpc => "SGX_PG_NONEPC",
            Self::TrackNotRequired => "SGX_TRACK_NOT_REQUIRED",
            Self::InvalidReportMacStruct => "SGX_INVALID_REPORTMACSTRUCT",
            Self::InvalidCpusvn => "SGX_INVALID_CPUSVN",
            Self::InvalidIsvsvn => "SGX_INVALID_ISVSVN",
            Self::UnmaskedEvent => "SGX_UNMASKED_EVENT",
            Self::InvalidKeyname => "SGX_INVALID_KEYNAME",
        }
    }
}

impl fmt::Display for SgxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl core::error::Error for SgxError {}
