//! By which way calls left the enclave, and why.

use alloc::{format, string::String, vec::Vec};
use core::fmt::Write;

use enclave_files::Guessed;
use enclave_hostcalls::{Comparisons, Costs, Left, Rings, comparisons, left, posted};
use enclave_threads::clock;

use super::describe;

/// What was chosen, and what it was chosen by.
pub(super) struct Leaving {
    all: Vec<Left>,
    /// Calls that were made along with others.
    posted: u64,
    guessed: Guessed,
    comparisons: Comparisons,
}

impl Leaving {
    pub(super) fn take() -> Self {
        let mut all: Vec<_> = left().collect();
        all.sort_by_key(|left| core::cmp::Reverse(left.costs[0].calls + left.costs[1].calls));
        Self { all, posted: posted(), guessed: Guessed::so_far(), comparisons: comparisons() }
    }

    pub(super) fn text(&self, out: &mut String) {
        if self.all.is_empty() {
            return;
        }
        let _ = writeln!(
            out,
            "calls that left, and what one costs by that way:\n{:>10} {:>10} {:>10} {:>10}  call",
            "by exit", "us", "by ring", "us"
        );
        for left in &self.all {
            let [exit, ring] = left.costs.map(|costs| (costs.calls, shown(costs)));
            let what = what(left);
            let _ = writeln!(
                out,
                "{:>10} {:>10} {:>10} {:>10}  {}{what}",
                exit.0,
                exit.1,
                ring.0,
                ring.1,
                name(left),
            );
        }
        let _ = writeln!(out, "{} calls were made along with others", self.posted);
        let Guessed { made, used } = self.guessed;
        if made != 0 {
            let _ = writeln!(out, "{made} files were opened in advance, {used} of them for good");
        }
        let Comparisons { made, changes, kept } = self.comparisons;
        if made != 0 {
            let ways = match kept.rings {
                Rings::None => "exits",
                Rings::Chosen => "these ways",
                Rings::All => "rings",
            };
            let posts = if kept.posts { "" } else { ", none made along with others" };
            let _ = writeln!(
                out,
                "ways were compared as a whole {made} times, and changed {changes} times, at last to \
                 {ways}{posts}"
            );
        }
    }

    pub(super) fn posted(&self) -> u64 {
        self.posted
    }

    pub(super) fn comparisons(&self) -> Comparisons {
        self.comparisons
    }

    pub(super) fn json(&self) -> String {
        let each = self.all.iter().map(|left| {
            let [exit, ring] = left.costs;
            format!(
                "{{\"number\":{},\"name\":\"{}\",\"bulk\":{},\"may_wait\":{},\"exits\":{},\
                 \"exit_nanoseconds\":{},\"rings\":{},\"ring_nanoseconds\":{}}}",
                left.number,
                name(left),
                left.bulk,
                left.may_wait,
                exit.calls,
                clock::duration(exit.ticks),
                ring.calls,
                clock::duration(ring.ticks),
            )
        });
        each.collect::<Vec<_>>().join(",")
    }
}

fn name(left: &Left) -> String {
    describe(left.number).0
}

fn what(left: &Left) -> &'static str {
    match (left.bulk, left.may_wait) {
        (false, false) => "",
        (true, false) => " (bulk)",
        (false, true) => " (may wait)",
        (true, true) => " (bulk, may wait)",
    }
}

/// Microseconds, if any were measured.
fn shown(costs: Costs) -> String {
    match clock::duration(costs.ticks) {
        0 => "-".into(),
        cost => format!("{}.{:03}", cost / 1000, cost % 1000),
    }
}
