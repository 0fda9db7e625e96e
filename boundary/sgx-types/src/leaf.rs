//! Leaf numbers of ENCLS and ENCLU (SDM 36.5), as they stand in EAX.

/// An ENCLU and the room behind it that lets an emulator put a jump there once the enclave is measured.
pub const ENCLU_SITE: [u8; 16] = [
    0x0f, 0x01, 0xd7, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
];

/// Leaves of ENCLS, for the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Encls {
    /// Creates an enclave.
    Ecreate = 0,
    /// Adds a page to an uninitialised enclave.
    Eadd = 1,
    /// Initialises an enclave.
    Einit = 2,
    /// Removes a page.
    Eremove = 3,
    /// Reads from a debug enclave.
    Edbgrd = 4,
    /// Writes to a debug enclave.
    Edbgwr = 5,
    /// Measures 256 bytes.
    Eextend = 6,
    /// Loads an evicted page as blocked.
    Eldb = 7,
    /// Loads an evicted page.
    Eldu = 8,
    /// Blocks a page.
    Eblock = 9,
    /// Adds a version array.
    Epa = 10,
    /// Evicts a page.
    Ewb = 11,
    /// Starts a tracking epoch.
    Etrack = 12,
    /// Adds a page to an initialised enclave.
    Eaug = 13,
    /// Restricts permissions.
    Emodpr = 14,
    /// Changes the type of a page.
    Emodt = 15,
    /// Reads information about a page.
    Erdinfo = 16,
    /// Starts a tracking epoch, reporting conflicts.
    Etrackc = 17,
    /// Loads an evicted page as blocked, reporting conflicts.
    Eldbc = 18,
    /// Loads an evicted page, reporting conflicts.
    Elduc = 19,
    /// Updates the processor's security version.
    Eupdatesvn = 24,
}

/// Leaves of ENCLU, for user mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Enclu {
    /// Makes a report.
    Ereport = 0,
    /// Derives a key.
    Egetkey = 1,
    /// Enters an enclave.
    Eenter = 2,
    /// Re-enters after an asynchronous exit.
    Eresume = 3,
    /// Leaves an enclave.
    Eexit = 4,
    /// Accepts a change of a page.
    Eaccept = 5,
    /// Extends permissions.
    Emodpe = 6,
    /// Initialises a pending page from another one.
    Eacceptcopy = 7,
    /// Checks a report of a trust domain.
    Everifyreport2 = 8,
    /// Decrements CSSA.
    Edeccssa = 9,
}

impl Enclu {
    /// The leaf with this number, if there is one.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Option<Self> {
        Some(match bits {
            0 => Self::Ereport,
            1 => Self::Egetkey,
            2 => Self::Eenter,
            3 => Self::Eresume,
            4 => Self::Eexit,
            5 => Self::Eaccept,
            6 => Self::Emodpe,
            7 => Self::Eacceptcopy,
            8 => Self::Everifyreport2,
            9 => Self::Edeccssa,
            _ => return None,
        })
    }
}
