//! Which way a call leaves, and what it has cost.

use core::sync::atomic::{AtomicU64, Ordering};

use enclave_core::{HostSlice, Once, timestamp};
use enclave_threads::Answered;
use enclave_ways::{Chooser, Comparisons, Costs, Decision, Way};
use hostcall_abi::boot::mode;

/// Numbers of calls that are told apart.
const NUMBERS: usize = 512;
/// Bytes of staging memory from which on a call is of another kind: copying takes longer than
/// the way out.
const BULK: u64 = 16 << 10;
/// Kinds of each number: short and bulk, of those that need not wait and those that may.
const VARIANTS: usize = 4;

/// Ticks that it takes to let another thread run and to come back.
const SWITCHES: u64 = 1000;

static CHOOSER: Once<Chooser> = Once::new();

/// Sets how calls leave ([`mode`]). Where there is a choice, `default` is the way of those of which
/// nothing is known yet; where that is the exit, exits are so cheap that no kind is tried by rings: their host
/// threads would mostly take more from the program and its clients than they give. Whether all calls are better made by
/// rings is compared.
pub fn init_ways(mode: u64, default: Way) {
    let kinds = NUMBERS * VARIANTS;
    CHOOSER.set(match mode {
        mode::ASYNC => Chooser::fixed(kinds, Way::Ring, true),
        mode::SYNC => Chooser::fixed(kinds, Way::Exit, false),
        _ if default == Way::Exit => Chooser::exits(kinds, timestamp()),
        _ => Chooser::new(kinds, default, timestamp()),
    });
}

/// Whether calls are posted now: whose answers are known leave with the next one.
#[must_use]
pub fn are_posted() -> bool {
    CHOOSER.get().is_some_and(Chooser::posts)
}

/// Whether any call may be posted.
pub(crate) fn may_be_posted() -> bool {
    CHOOSER.get().is_some_and(Chooser::may_post)
}

/// A call was posted, under the lock of the list.
pub(crate) fn post() {
    if let Some(chooser) = CHOOSER.get() {
        chooser.post();
    }
}

/// Calls that were posted so far.
#[must_use]
pub fn posted() -> u64 {
    CHOOSER.get().map_or(0, Chooser::posted)
}

/// To be called when a system call of the program has got something done that may have needed the host, and
/// did not only wait: where that gets more is the better way.
#[inline]
pub fn worked() {
    if let Some(chooser) = CHOOSER.get() {
        chooser.worked();
    }
}

/// Calls that have come back.
static MADE: AtomicU64 = AtomicU64::new(0);

/// A call has come back.
#[inline(always)]
pub(crate) fn came_back() {
    MADE.fetch_add(1, Ordering::SeqCst);
}

/// The program has changed what the host shows by a posted call, has slept, or was told of something without a
/// call: what was seen before says nothing more.
pub fn changed() {
    came_back();
}

/// Calls that have come back: as long as there are no more, the process has learned nothing from the host.
/// Posted ones do not count, but for those that have [`changed`] something.
#[must_use]
pub fn calls_made() -> u64 {
    MADE.load(Ordering::SeqCst)
}

/// Calls of one number that left the enclave: by exits, and by rings.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    /// Number of the call.
    pub number: u64,
    /// Whether these are the ones that carry much data.
    pub bulk: bool,
    /// Whether these are the ones that may wait.
    pub may_wait: bool,
    /// Calls by exits and by rings, and what one costs in ticks.
    pub costs: [Costs; 2],
}

/// All calls that have left the enclave.
pub fn left() -> impl Iterator<Item = Left> {
    (0_u64..).zip(0..NUMBERS * VARIANTS).filter_map(|(at, kind)| {
        let costs = CHOOSER.get()?.costs(kind);
        let any = costs.iter().any(|costs| costs.calls > 0);
        let variant = at % VARIANTS as u64;
        let (bulk, may_wait) = (variant & 1 != 0, variant & 2 != 0);
        any.then_some(Left { number: at / VARIANTS as u64, bulk, may_wait, costs })
    })
}

/// How often regimes were compared, and which is kept.
#[must_use]
pub fn comparisons() -> Comparisons {
    CHOOSER.get().map(Chooser::comparisons).unwrap_or_default()
}

/// The choice for one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    kind: usize,
    pub(crate) way: Way,
    /// When the call began, if it is timed.
    began: Option<u64>,
}

impl Choice {
    /// An exit, which is not timed.
    pub(crate) const EXIT: Self = Self { kind: 0, way: Way::Exit, began: None };

    /// For a call that need not wait.
    pub(crate) fn at_once(number: u64, staging: HostSlice) -> Self {
        Self::new(kind(number, staging, false), Chooser::choose)
    }

    /// For a call that may wait.
    pub(crate) fn waiting(number: u64, staging: HostSlice) -> Self {
        Self::new(kind(number, staging, true), Chooser::choose_waiting)
    }

    fn new(kind: usize, choose: impl Fn(&Chooser, usize) -> Decision) -> Self {
        let nothing = Decision { way: Way::Exit, timed: false };
        let Decision { way, timed } =
            CHOOSER.get().map_or(nothing, |chooser| choose(chooser, kind));
        Self { kind, way, began: timed.then(timestamp) }
    }

    /// Says that a call that need not wait is done, and which way it really went.
    pub(crate) fn took(self, went: Went) {
        let (Some(began), Some(chooser)) = (self.began, CHOOSER.get()) else { return };
        let (way, until) = went.until();
        chooser.took(self.kind, way, until.saturating_sub(began), timestamp());
    }

    /// Says that a call that may wait is done.
    pub(crate) fn took_waiting(self, went: Went) {
        let (Some(began), Some(chooser)) = (self.began, CHOOSER.get()) else { return };
        let handed_on = matches!(went, Went::ByRing(answered) if answered.handed_on);
        let (way, until) = went.until();
        let ticks = until.saturating_sub(began);
        chooser.took_waiting(self.kind, way, ticks, timestamp(), handed_on);
    }
}

/// Which way a call really went.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Went {
    Out,
    ByRing(Answered),
}

impl Went {
    /// The way, and when it cost this enclave thread no more time.
    fn until(self) -> (Way, u64) {
        match self {
            Self::Out => (Way::Exit, timestamp()),
            Self::ByRing(answered) => {
                let until = answered.left_to_others.map(|left| left.saturating_add(SWITCHES));
                (Way::Ring, until.unwrap_or_else(timestamp))
            }
        }
    }
}

/// The kind of a staged call.
fn kind(number: u64, staging: HostSlice, may_wait: bool) -> usize {
    let number = usize::try_from(number).unwrap_or(NUMBERS).min(NUMBERS - 1);
    number * VARIANTS + usize::from(may_wait) * 2 + usize::from(staging.len() > BULK)
}
