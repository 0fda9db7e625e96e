//! Why `emu_enter` returned.

/// EEXIT.
pub(crate) const EXIT: u64 = 0;
/// An exception was saved by AEX.
pub(crate) const EXCEPTION: u64 = 1;
/// A kick was saved by AEX.
pub(crate) const KICK: u64 = 2;
/// A kick came before anything happened.
pub(crate) const NOT_ENTERED: u64 = 3;
/// The handler of exits wants to enter again, and the short cut is not possible. The registers for
/// the entry are in the context.
pub(crate) const AGAIN: u64 = 4;
