//! TCP_CORK, of which the kernel seldom needs to be told.
//!
//! A server corks a connection, sends the head and the body of an answer, and takes the cork out: two calls
//! that say no more than that what is sent between them belongs together. `MSG_MORE` says the same with the
//! data. So the kernel is told of a cork only before something is sent that cannot say so, and of its end only
//! if data may be waiting for it there. A segment may leave sooner than by the option: when the peer has
//! acknowledged all before it.

use alloc::sync::Arc;

use enclave_core::Mutex;
use enclave_hostcalls::{Call, Errno, Wait};

use super::MSG_MORE;
use crate::HostFd;

/// The cork of one stream.
#[derive(Debug)]
pub struct Cork {
    fd: Arc<HostFd>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The program has corked it.
    wanted: bool,
    /// The kernel has been told.
    told: bool,
    /// The kernel is to be told of whatever the program sets.
    always: bool,
    /// Data that was sent may wait in the kernel for more.
    waiting: bool,
    /// Counts what was sent.
    sent: u32,
}

impl Cork {
    pub(super) fn new(fd: Arc<HostFd>) -> Self {
        Self { fd, state: Mutex::default() }
    }

    /// The program sets or clears the option. Returns whether the kernel is to be told.
    pub fn set(&self, on: bool) -> bool {
        let mut state = self.state.lock();
        if on {
            state.wanted = true;
            state.told |= state.always;
            return state.told;
        }
        let State { wanted, told, always, waiting, sent } = *state;
        *state = State { always, sent, ..State::default() };
        !wanted || told || always || waiting
    }

    /// Data is about to be sent with these flags; returns those that say that there is more.
    pub(super) fn begin(&self, flags: u64) -> u64 {
        let mut state = self.state.lock();
        let flags = if state.wanted && !state.told { flags | MSG_MORE } else { flags };
        state.waiting |= flags & MSG_MORE != 0;
        state.sent = state.sent.wrapping_add(1);
        flags
    }

    /// Data is about to be sent that waits for nothing; to be told to [`Self::all_sent`].
    pub(super) fn begin_all(&self) -> u32 {
        let mut state = self.state.lock();
        state.sent = state.sent.wrapping_add(1);
        state.sent
    }

    /// All was sent since [`Self::begin_all`], so nothing waits for more, unless something was sent
    /// meanwhile.
    pub(super) fn all_sent(&self, begun: u32) {
        let mut state = self.state.lock();
        if state.sent == begun && !state.told {
            state.waiting = false;
        }
    }

    /// Data was sent with more flags than were wanted, for there was a cork: if another thread has taken it
    /// out meanwhile, the data is not to wait.
    pub(super) fn end(&self) {
        if !self.state.lock().wanted {
            // Without memory for that, the kernel waits for 200 ms.
            let _ = self.set_option(0);
        }
    }

    /// To be called before the kernel is asked for the option, or something is sent that cannot say that
    /// there is more.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn tell(&self) -> Result<(), Errno> {
        let mut state = self.state.lock();
        // What is sent may leave something waiting.
        state.waiting = true;
        state.sent = state.sent.wrapping_add(1);
        if !state.wanted || state.told {
            return Ok(());
        }
        state.told = true;
        drop(state);
        self.set_option(1)
    }

    /// As [`Self::tell`], now and whenever it changes: to be called when others may send, or take the option
    /// over.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn always_tell(&self) -> Result<(), Errno> {
        self.state.lock().always = true;
        self.tell()
    }

    fn set_option(&self, value: u64) -> Result<(), Errno> {
        const SETSOCKOPT: u64 = 54;
        const IPPROTO_TCP: u64 = 6;
        const TCP_CORK: u64 = 3;
        let mut call = Call::new(SETSOCKOPT, 8)?;
        let staged = call.room(8);
        staged.word(0).write(value);
        let args = [self.fd.number(), IPPROTO_TCP, TCP_CORK, staged.address(), 4];
        call.args(args).zero(Wait::No)
    }
}
