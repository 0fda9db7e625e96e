//! Pages of the program that are not there: brought in between attempts to copy.

use hostcall_abi::layout::PAGE;

use crate::{
    app::{Fault, in_program, to_usize},
    copies::Outcome,
    hooks::hooks,
};

/// A page of the program that is not there, or not for this access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    address: u64,
    write: bool,
}

impl Missing {
    /// Stands for a range that cannot be copied, whatever pages there are.
    pub(crate) const NEVER: Self = Self { address: 0, write: false };
}

/// Runs `attempt` until it succeeds or the program has no right to the page that it lacks. What
/// fails may hold a lock while it copies (`read_present`, `write_present`), and has let go of it
/// when it returns: pages are brought in between the attempts.
///
/// # Errors
///
/// [`Fault`] if the program has no right to a page, or two pages are never there together: mappings of
/// one page of a file.
pub fn with_pages<T>(mut attempt: impl FnMut() -> Result<T, Missing>) -> Result<T, Fault> {
    /// How often a page may be taken away again; other threads do that, too.
    const PATIENCE: u32 = 16;
    let (mut sample, mut again) = (None, 0);
    for attempts in 1_u64.. {
        let missing = match attempt() {
            Ok(value) => return Ok(value),
            Err(missing) => missing,
        };
        again += u32::from(sample == Some(missing));
        let Missing { address, write } = missing;
        if again > PATIENCE || !in_program(address) || !(hooks().fault)(address, write) {
            break;
        }
        // Now and then another one, so that any that comes back is found.
        if attempts.is_power_of_two() {
            (sample, again) = (Some(missing), 0);
        }
    }
    Err(Fault)
}

/// The same for `attempt(len)`, which may do with less: if the pages for `len` bytes are never there
/// together, then with those for the bytes of one page.
///
/// # Errors
///
/// As [`with_pages`].
pub fn with_pages_for<T>(
    len: usize,
    mut attempt: impl FnMut(usize) -> Result<T, Missing>,
) -> Result<T, Fault> {
    let page = to_usize(PAGE);
    let all = with_pages(|| attempt(len));
    if all.is_err() && len > page { with_pages(|| attempt(page)) } else { all }
}

impl Outcome {
    /// The value, if nothing was missing.
    pub(crate) fn value(self) -> Result<u64, Missing> {
        let Self { status, value } = self;
        if status == 0 {
            Ok(value)
        } else {
            Err(Missing { address: value, write: status & 2 != 0 })
        }
    }

    /// Whether nothing was missing.
    pub(crate) fn done(self) -> Result<(), Missing> {
        self.value().map(|_| ())
    }
}

/// Runs a routine until it succeeds or the program has no right to the address that faulted.
pub(crate) fn settle(mut run: impl FnMut() -> Outcome) -> Result<u64, Fault> {
    with_pages(|| run().value())
}
