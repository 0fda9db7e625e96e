//! Alternate signal stacks (sigaltstack(2)).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `stack_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AltStack {
    /// Lowest address.
    pub sp: u64,
    /// SS_DISABLE, SS_AUTODISARM; SS_ONSTACK when shown.
    pub flags: u32,
    /// Padding, zero.
    pub pad: u32,
    /// Bytes.
    pub size: u64,
}

impl Default for AltStack {
    fn default() -> Self {
        Self { sp: 0, flags: Self::DISABLE, pad: 0, size: 0 }
    }
}

/// Why an alternate stack was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AltStackError {
    /// The thread runs on it (EPERM).
    InUse,
    /// Unknown flags (EINVAL).
    Flags,
    /// Too small (ENOMEM).
    TooSmall,
}

impl AltStack {
    /// The thread runs on it.
    pub const ONSTACK: u32 = 1;
    /// There is none.
    pub const DISABLE: u32 = 2;
    /// It is forgotten while a handler runs on it.
    pub const AUTODISARM: u32 = 1 << 31;
    /// Smallest size in bytes.
    pub const MIN_SIZE: u64 = 2048;

    /// Whether `sp` lies on it.
    #[must_use]
    pub const fn contains(&self, sp: u64) -> bool {
        sp > self.sp && sp - self.sp <= self.size
    }

    /// Whether a thread with stack pointer `sp` runs on it, as far as that forbids a change.
    #[must_use]
    pub const fn is_on(&self, sp: u64) -> bool {
        self.flags & Self::AUTODISARM == 0 && self.contains(sp)
    }

    /// Highest address.
    #[must_use]
    pub const fn top(&self) -> u64 {
        self.sp.wrapping_add(self.size)
    }

    /// As it is shown to a thread with stack pointer `sp`.
    #[must_use]
    pub const fn shown(&self, sp: u64) -> Self {
        let state = if self.size == 0 {
            Self::DISABLE
        } else if self.is_on(sp) {
            Self::ONSTACK
        } else {
            0
        };
        Self { flags: state | self.flags & Self::AUTODISARM, pad: 0, ..*self }
    }

    /// What it becomes when a thread with stack pointer `sp` asks for `new`, whose size must be at
    /// least `min_size` bytes.
    ///
    /// # Errors
    ///
    /// [`AltStackError`].
    pub fn replaced(&self, new: Self, sp: u64, min_size: u64) -> Result<Self, AltStackError> {
        if self.is_on(sp) {
            return Err(AltStackError::InUse);
        }
        let mode = new.flags & !Self::AUTODISARM;
        match mode {
            Self::DISABLE => Ok(Self { sp: 0, size: 0, pad: 0, flags: new.flags }),
            0 | Self::ONSTACK if new.size < min_size.max(Self::MIN_SIZE) => {
                Err(AltStackError::TooSmall)
            }
            0 | Self::ONSTACK => Ok(Self { pad: 0, ..new }),
            _ => Err(AltStackError::Flags),
        }
    }
}
