//! What happens to a signal.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    SigSet,
    number::{IGNORED, STOPPING},
};

/// Flags of an [`Action`].
pub mod flags {
    /// No SIGCHLD when a child stops.
    pub const NOCLDSTOP: u64 = 1;
    /// Children do not become zombies.
    pub const NOCLDWAIT: u64 = 2;
    /// The handler gets a `siginfo_t`.
    pub const SIGINFO: u64 = 4;
    /// Tag bits of addresses are shown (accepted, nothing to show).
    pub const EXPOSE_TAGBITS: u64 = 0x800;
    /// There is a restorer.
    pub const RESTORER: u64 = 0x0400_0000;
    /// Runs on the alternate stack.
    pub const ONSTACK: u64 = 0x0800_0000;
    /// System calls are restarted.
    pub const RESTART: u64 = 0x1000_0000;
    /// The signal is not blocked while its handler runs.
    pub const NODEFER: u64 = 0x4000_0000;
    /// The action is reset when the handler is called.
    pub const RESETHAND: u64 = 0x8000_0000;
    /// All that the kernel keeps; others are cleared, so that a program can find out.
    pub const KNOWN: u64 = NOCLDSTOP
        | NOCLDWAIT
        | SIGINFO
        | EXPOSE_TAGBITS
        | RESTORER
        | ONSTACK
        | RESTART
        | NODEFER
        | RESETHAND;
}

/// `struct sigaction` of the kernel.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Action {
    /// Address of the handler, or 0 (default) or 1 (ignore).
    pub handler: u64,
    /// See [`flags`].
    pub flags: u64,
    /// Where the handler returns to.
    pub restorer: u64,
    /// Signals blocked while the handler runs.
    pub mask: u64,
}

/// What an [`Action`] comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Nothing happens.
    Ignore,
    /// The process ends.
    Terminate,
    /// The process stops.
    Stop,
    /// A handler runs.
    Handler,
}

impl Action {
    /// The default action.
    pub const DEFAULT: Self = Self { handler: 0, flags: 0, restorer: 0, mask: 0 };
    const IGNORE: u64 = 1;

    /// The action that ignores.
    #[must_use]
    pub const fn ignore() -> Self {
        Self { handler: Self::IGNORE, ..Self::DEFAULT }
    }

    /// Whether it ignores explicitly.
    #[must_use]
    pub const fn is_ignore(&self) -> bool {
        self.handler == Self::IGNORE
    }

    /// What it means for `signal`.
    #[must_use]
    pub const fn disposition(&self, signal: u32) -> Disposition {
        match self.handler {
            0 if IGNORED.contains(signal) => Disposition::Ignore,
            0 if STOPPING.contains(signal) => Disposition::Stop,
            0 => Disposition::Terminate,
            Self::IGNORE => Disposition::Ignore,
            _ => Disposition::Handler,
        }
    }

    /// The mask as a set.
    #[must_use]
    pub const fn mask(&self) -> SigSet {
        SigSet(self.mask)
    }

    /// Whether all bits of `flag` are set.
    #[must_use]
    pub const fn has(&self, flag: u64) -> bool {
        self.flags & flag == flag
    }
}
