//! Entries that the enclave does not expect.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use anyhow::Result;
use backend::{ENTRY_FLAGS, Enclave, EnterLeaf, ExitHandler, Outcome, Run};
use hostcall_abi::{exit, layout};
use launcher::Tamper;
use sgx_types::SecInfoFlags;

use crate::{
    between::{Between, Seen},
    has_begun,
    noise::kick_at_start,
    number, state,
};

#[derive(Clone, Copy, Debug)]
enum How {
    /// A call returns before it was made, with whatever stands in its request; now and then.
    Unanswered,
    /// Enclave threads that nobody has started are entered.
    Others,
    /// Pages that are no TCS are entered.
    NoTcs,
    /// A thread that has left by EEXIT is resumed.
    Resume,
    /// An exception is handled twice before the thread is resumed.
    HandleTwice,
    /// A thread is resumed before its exception is handled.
    ResumeFirst,
    /// The first entry is told that the boot parameters are at this address.
    First(u64),
    /// The thread is entered for an exception that never was, with registers full of addresses.
    Kick,
    /// Each entry finds flags and control words that no code expects.
    State,
    /// The stack for exceptions cannot be written, and the thread is entered once more after that.
    Nested,
    /// The first page of the runtime's heap cannot be read any more.
    Broken,
    /// Another enclave thread than the first is entered first.
    SecondFirst,
    /// The first entry is told that the processor has no instructions for SHA-256.
    Portable,
    /// The first thread is called out of the enclave all the time from its first entry on.
    Kicked,
    /// A page cannot be read when the enclave verifies it; threads are entered then.
    Unreadable,
}

/// `enter HOW`, or `enter ADDRESS` for the first entry.
#[derive(Debug)]
pub(crate) struct Entries {
    how: How,
}

impl Entries {
    pub(crate) fn new(how: &str) -> Result<Self> {
        let how = match how {
            "unanswered" => How::Unanswered,
            "others" => How::Others,
            "no-tcs" => How::NoTcs,
            "resume" => How::Resume,
            "handle-twice" => How::HandleTwice,
            "resume-first" => How::ResumeFirst,
            "kick" => How::Kick,
            "state" => How::State,
            "nested" => How::Nested,
            "broken" => How::Broken,
            "second-first" => How::SecondFirst,
            "portable" => How::Portable,
            "kicked" => How::Kicked,
            "unreadable" => How::Unreadable,
            address => How::First(number(address)?),
        };
        Ok(Self { how })
    }
}

impl Tamper for Entries {
    fn enclave(&self, enclave: Arc<dyn Enclave>) -> Arc<dyn Enclave> {
        let (entered, count) = (AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(Seen(Wrong { enclave, how: self.how, entered, count }))
    }
}

/// An enclave that is entered in wrong ways between the right ones.
struct Wrong {
    enclave: Arc<dyn Enclave>,
    how: How,
    entered: AtomicBool,
    count: AtomicU64,
}

impl fmt::Debug for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.how.fmt(f)
    }
}

/// Registers that name memory of the enclave.
fn hostile(tcs: u64) -> Run {
    let [rdi, rsi, rdx, r8, r9] = [layout::HEAP_BASE, tcs, layout::IMAGE_BASE, 0, u64::MAX];
    Run { tcs, rdi, rsi, rdx, r8, r9, ..Run::default() }
}

impl Wrong {
    /// What is done to an enclave thread that has left by EEXIT.
    fn outside(&self, run: &mut Run) -> Option<Outcome> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        match self.how {
            How::Unanswered if count % 16 == 7 => {
                *run = hostile(run.tcs);
                return Some(self.enclave.enter(run));
            }
            How::Broken if count == 3 => {
                let page = layout::HEAP_BASE..layout::HEAP_BASE + layout::PAGE;
                self.enclave
                    .restrict_permissions(page, SecInfoFlags::empty())
                    .expect("that is possible");
            }
            How::Others => {
                for index in (0..layout::TCS_COUNT).filter(|&i| layout::tcs_block(i).tcs != run.tcs)
                {
                    let _ = self.enclave.enter(&mut hostile(layout::tcs_block(index).tcs));
                }
            }
            How::NoTcs => {
                let block = layout::tcs_block(0);
                for address in [block.ssa, block.thread_data, layout::HEAP_BASE, 0, block.tcs + 8] {
                    let outcome = self.enclave.enter(&mut hostile(address));
                    assert!(matches!(outcome, Outcome::Exception(_)), "{address:#x} was entered");
                }
            }
            How::Resume => {
                let mut wrong = Run { leaf: EnterLeaf::Eresume, ..hostile(run.tcs) };
                let outcome = self.enclave.enter(&mut wrong);
                assert!(matches!(outcome, Outcome::Exception(_)), "nothing was there to resume");
            }
            _ => {}
        }
        None
    }

    /// What is done to an enclave thread that an exception has stopped.
    fn stopped(&self, run: &mut Run, outcome: Outcome) -> Outcome {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        match self.how {
            How::HandleTwice => {
                let _ = self.enclave.enter(&mut hostile(run.tcs));
            }
            How::Kick if count.is_multiple_of(2) => {
                // Handled, resumed, and so stopped no more: the launcher will handle nothing.
                let _ = self.enclave.enter(&mut hostile(run.tcs));
                let mut resumed = Run { leaf: EnterLeaf::Eresume, ..hostile(run.tcs) };
                let after = self.enclave.enter(&mut resumed);
                *run = Run { leaf: run.leaf, ..resumed };
                return after;
            }
            How::ResumeFirst => {
                let mut resumed = Run { leaf: EnterLeaf::Eresume, ..hostile(run.tcs) };
                let after = self.enclave.enter(&mut resumed);
                *run = Run { leaf: run.leaf, ..resumed };
                return after;
            }
            How::Nested => {
                let end = run.tcs - layout::PAGE;
                let stack = end - layout::EXCEPTION_STACK_PAGES * layout::PAGE..end;
                self.enclave
                    .restrict_permissions(stack, SecInfoFlags::R)
                    .expect("that is possible");
                let handled = self.enclave.enter(&mut hostile(run.tcs));
                assert!(matches!(handled, Outcome::Exception(_)), "the stack can be written");
                // With flags and control words that no code expects, none of which are cleared.
                let mut nested = Run { flags: ENTRY_FLAGS, ..hostile(run.tcs) };
                let refused = state::with_bad(|| self.enclave.enter(&mut nested));
                assert_eq!(refused, Outcome::Exited);
                assert_eq!((nested.rdi, nested.rsi), (exit::REFUSED, exit::refused::NESTED));
                assert_eq!((nested.rdx, nested.r8, nested.r9), (0, 0, 0), "registers are scrubbed");
            }
            _ => {}
        }
        outcome
    }

    /// What is done before the first entry, or to it.
    fn first(&self, run: &mut Run) {
        match self.how {
            How::First(address) => run.rdi = address,
            How::Portable => run.rsi = 0,
            How::SecondFirst => self.is_refused(1, exit::refused::NOT_READY),
            How::Kicked => kick_at_start(),
            How::Unreadable => {
                let page = layout::IMAGE_BASE..layout::IMAGE_BASE + layout::PAGE;
                self.enclave
                    .restrict_permissions(page, SecInfoFlags::empty())
                    .expect("that is possible");
                let outcome = self.enclave.enter(run);
                assert!(matches!(outcome, Outcome::Exception(_)), "the page was not read");
                self.is_refused(1, exit::refused::NOT_READY);
                // The thread has an exception, which nobody can handle.
                self.is_refused(0, exit::refused::NOT_VERIFIED);
                self.is_refused(1, exit::refused::NOT_READY);
                *run = Run { tcs: run.tcs, ..Run::default() };
            }
            _ => {}
        }
    }

    /// Enters enclave thread `index`, which must be refused, for this reason, and without a word more.
    fn is_refused(&self, index: u64, reason: u64) {
        let rsi = is_x86_feature_detected!("sha").into();
        let mut run = Run { rsi, ..hostile(layout::tcs_block(index).tcs) };
        assert_eq!(self.enclave.enter(&mut run), Outcome::Exited);
        assert_eq!((run.rdi, run.rsi), (exit::REFUSED, reason));
    }

    fn enter(&self, run: &mut Run) -> Outcome {
        match self.how {
            How::State => state::with_bad(|| {
                run.flags = ENTRY_FLAGS;
                self.enclave.enter(run)
            }),
            _ => self.enclave.enter(run),
        }
    }
}

impl Between for Wrong {
    fn enclave(&self) -> &dyn Enclave {
        &*self.enclave
    }

    /// Sees every exit: nobody else handles them.
    fn enter_with(&self, run: &mut Run, _: Option<&ExitHandler>) -> Outcome {
        if !self.entered.swap(true, Ordering::Relaxed) {
            self.first(run);
        }
        let outcome = self.enter(run);
        if !has_begun() {
            return outcome;
        }
        match outcome {
            Outcome::Exited if run.rdi == exit::CALL => self.outside(run).unwrap_or(outcome),
            Outcome::Exited => outcome,
            Outcome::Exception(_) => self.stopped(run, outcome),
        }
    }
}
