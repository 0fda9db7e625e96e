//! Sets of signals: the kernel's `sigset_t`.

use core::ops::{BitAnd, BitOr, Not};

/// A set of signals; bit n-1 stands for signal n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SigSet(pub u64);

impl SigSet {
    /// No signal.
    pub const EMPTY: Self = Self(0);

    /// The set of these signals.
    #[must_use]
    pub const fn of(numbers: &[u32]) -> Self {
        let (mut bits, mut index) = (0, 0);
        while index < numbers.len() {
            bits |= 1 << (numbers[index] - 1);
            index += 1;
        }
        Self(bits)
    }

    /// The set of one signal (1..=64).
    #[must_use]
    pub const fn one(number: u32) -> Self {
        Self(1 << (number - 1))
    }

    /// Whether `number` is in it.
    #[must_use]
    pub const fn contains(self, number: u32) -> bool {
        self.0 & Self::one(number).0 != 0
    }

    /// Whether it holds nothing.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The smallest number in it.
    #[must_use]
    pub const fn first(self) -> Option<u32> {
        if self.0 == 0 { None } else { Some(self.0.trailing_zeros() + 1) }
    }

    /// All of it that is not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for SigSet {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for SigSet {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for SigSet {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0)
    }
}
