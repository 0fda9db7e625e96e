//! The chooser against machines whose costs are known.

use enclave_ways::{Chooser, Costs, PAYBACK, Rings, Way};

/// A machine on which a call takes so many ticks by either way.
struct Machine {
    exit: u64,
    ring: u64,
    /// What a call by a ring costs others.
    beside: u64,
    /// How much of a call by a ring others can use.
    freed: u64,
    /// What a call costs beside while calls are posted, and while none are.
    posting: [u64; 2],
    now: u64,
    spent: u64,
}

impl Machine {
    fn new(exit: u64, ring: u64) -> Self {
        Self { exit, ring, beside: 0, freed: 0, posting: [0; 2], now: 1000, spent: 0 }
    }

    fn cost(&self, way: Way) -> u64 {
        match way {
            Way::Exit => self.exit,
            Way::Ring => self.ring,
        }
    }

    fn call(&mut self, chooser: &Chooser, kind: usize) -> Way {
        let decision = chooser.choose(kind);
        let cost = self.cost(decision.way);
        let beside = if decision.way == Way::Ring { self.beside } else { 0 };
        let beside = beside + self.posting[usize::from(!chooser.posts())];
        if chooser.posts() {
            chooser.post();
        }
        chooser.worked();
        let freed = if decision.way == Way::Ring { self.freed } else { 0 };
        self.now += cost + beside - freed;
        self.spent += cost + beside - freed;
        if decision.timed {
            chooser.took(kind, decision.way, cost, self.now);
        }
        decision.way
    }
}

#[test]
fn the_cheaper_way_is_found_from_either_start() {
    for (exit, ring) in [(1000, 10_000), (10_000, 1000), (1000, 1200), (1200, 1000)] {
        for start in [Way::Exit, Way::Ring] {
            let mut machine = Machine::new(exit, ring);
            let chooser = Chooser::new(4, start, machine.now);
            for _ in 0..2_000_000 {
                machine.call(&chooser, 1);
            }
            let better = if exit < ring { Way::Exit } else { Way::Ring };
            let wins = (0..2_000_000).filter(|_| machine.call(&chooser, 1) == better).count();
            assert!(wins >= 1_900_000, "exit {exit}, ring {ring}, {start:?}: {wins}");
        }
    }
}

/// What is promised: at most 5 % more than the better way, trials included.
#[test]
fn choosing_costs_little() {
    for (exit, ring) in [(1000, 100_000), (1000, 1300), (9000, 1000), (1000, 990)] {
        let mut machine = Machine::new(exit, ring);
        let better = if exit < ring { Way::Exit } else { Way::Ring };
        let chooser = Chooser::new(4, better, machine.now);
        const CALLS: u64 = 3_000_000;
        for _ in 0..CALLS {
            machine.call(&chooser, 1);
        }
        let best = CALLS * exit.min(ring);
        assert!(machine.spent < best + best / 20, "{exit} {ring}: {} of {best}", machine.spent);
    }
    const { assert!(PAYBACK >= 20) };
}

#[test]
fn a_machine_that_changes_is_followed() {
    let mut machine = Machine::new(2000, 1000);
    let chooser = Chooser::new(4, Way::Exit, machine.now);
    for (exit, ring) in [(2000, 1000), (2000, 8000), (9000, 8000), (900, 8000)] {
        (machine.exit, machine.ring) = (exit, ring);
        for _ in 0..2_000_000 {
            machine.call(&chooser, 2);
        }
        let better = if exit < ring { Way::Exit } else { Way::Ring };
        assert_eq!(machine.call(&chooser, 2), better, "exit {exit}, ring {ring}");
    }
}

/// Rings that look cheap, and are paid for by others: exits are better, and are found to be.
#[test]
fn what_others_pay_counts() {
    for (exit, ring, beside) in [(10_000, 2000, 20_000), (5000, 1000, 6000), (10_000, 2000, 4000)] {
        let mut machine = Machine { beside, ..Machine::new(exit, ring) };
        let chooser = Chooser::new(4, Way::Ring, machine.now);
        const CALLS: u64 = 10_000_000;
        for _ in 0..CALLS {
            machine.call(&chooser, 1);
        }
        let best = CALLS * exit.min(ring + beside);
        assert!(machine.spent < best + best / 20, "{exit} {beside}: {} of {best}", machine.spent);
        let comparisons = chooser.comparisons();
        assert!(comparisons.made >= 3 && comparisons.changes <= comparisons.made);
        assert_eq!(comparisons.kept.rings != Rings::None, exit > ring + beside);
        // The others are gone: rings are what they looked like, and are found to be.
        machine.beside = 0;
        (0..CALLS).for_each(|_| _ = machine.call(&chooser, 1));
        assert_eq!(machine.call(&chooser, 1), Way::Ring);
    }
}

/// Whether to post is found out, with rings and without, and again when that changes.
#[test]
fn posting_is_kept_where_it_helps() {
    const CALLS: u64 = 1_000_000;
    for (exit, ring) in [(10_000, 3000), (3000, 10_000)] {
        let mut machine = Machine::new(exit, ring);
        let both = Chooser::new(4, Way::Ring, machine.now);
        let cheap = Chooser::exits(4, machine.now);
        for (chooser, ring) in [(both, ring), (cheap, 20_000)] {
            machine.ring = ring;
            let best = exit.min(ring);
            for posting in [[2000, 0], [0, 2000], [2000, 0]] {
                machine.posting = posting;
                // The next round is at most eight seconds off.
                let until = machine.now + 21_000_000_000;
                while machine.now < until {
                    machine.call(&chooser, 1);
                }
                machine.spent = 0;
                (0..CALLS).for_each(|_| _ = machine.call(&chooser, 1));
                let (spent, least) = (machine.spent, CALLS * best);
                assert!(spent < least + least / 20, "{exit} {ring} {posting:?}: {spent}");
                assert_eq!(chooser.comparisons().kept.posts, posting[0] < posting[1]);
            }
        }
    }
}

/// Rings that take a call longer, while other threads use the time: only as a whole are they seen to be better.
#[test]
fn rings_for_all_are_found() {
    let mut machine = Machine { freed: 6000, ..Machine::new(8000, 10_000) };
    let both = Chooser::new(4, Way::Exit, machine.now);
    let cheap = Chooser::exits(4, machine.now);
    for chooser in [both, cheap] {
        for (freed, better) in [(6000, true), (0, false)] {
            machine.freed = freed;
            // The next round is at most eight seconds off.
            let until = machine.now + 24_000_000_000;
            while machine.now < until {
                machine.call(&chooser, 1);
            }
            assert_eq!(chooser.comparisons().kept.rings == Rings::All, better, "{freed}");
        }
    }
}

/// What is little better is found too, for it is looked at for longer.
#[test]
fn a_small_gain_is_found() {
    let mut machine = Machine { posting: [0, 800], ..Machine::new(10_000, 10_000) };
    let chooser = Chooser::exits(4, machine.now);
    // The first round begins after 0.4 s, and takes no more than 0.4 s.
    let until = machine.now + 2_200_000_000;
    while machine.now < until {
        machine.call(&chooser, 1);
    }
    assert!(chooser.posts() && chooser.comparisons().changes == 1);
}

/// Where calls take now more and now less, nothing is changed for nothing.
#[test]
fn what_makes_no_difference_is_seldom_changed() {
    let mut machine = Machine::new(10_000, 10_000);
    let chooser = Chooser::exits(4, machine.now);
    let mut random = 1_u64;
    // Neighbours of the machine take up to a quarter of it, for 5 ms.
    for _ in 0..20_000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        machine.posting = [random % 3300; 2];
        let until = machine.now + 12_500_000;
        while machine.now < until {
            machine.call(&chooser, 1);
        }
    }
    let comparisons = chooser.comparisons();
    assert!(
        comparisons.made >= 10 && comparisons.changes * 4 <= comparisons.made,
        "{comparisons:?}"
    );
}

/// What works for 50 ms each second is compared as what works all the time: as often for what it does.
#[test]
fn pauses_neither_end_nor_hasten_comparisons() {
    let mut machine = Machine { posting: [0, 2000], ..Machine::new(10_000, 10_000) };
    let chooser = Chooser::exits(4, machine.now);
    let mut work = |bursts| {
        for _ in 0..bursts {
            let until = machine.now + 125_000_000;
            while machine.now < until {
                machine.call(&chooser, 1);
            }
            machine.now += 2_375_000_000;
        }
        chooser.comparisons()
    };
    // As soon as after a second of work.
    let found = work(20);
    assert!(found.kept.posts && found.changes == 1, "{found:?}");
    // Rounds after 0.4, 0.8, 1.6, 3.2 and 6.4 s of ten of work, with two other regimes each.
    let later = work(200);
    assert!(later.kept.posts && (5..=11).contains(&later.made), "{later:?}");
}

/// A regime in which calls come back so seldom that each of its windows has a pause is given up.
#[test]
fn a_regime_that_only_pauses_is_left() {
    // One of sixteen calls is timed: after 16 ms, and after 80 where calls are posted.
    let mut machine = Machine { posting: [10_000_000, 0], ..Machine::new(2_500_000, 2_500_000) };
    let chooser = Chooser::exits(4, machine.now);
    let end = machine.now + 250_000_000_000;
    let mut posting = 0;
    while machine.now < end {
        let (posts, before) = (chooser.posts(), machine.now);
        machine.call(&chooser, 1);
        posting += if posts { machine.now - before } else { 0 };
    }
    assert!(!chooser.comparisons().kept.posts);
    assert!(posting > 0 && posting < end / 8, "{posting} of {end}");
}

/// Noise of some hundredths, which is another one in each window.
fn noise(now: u64) -> u64 {
    (now / 50_000_000).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55
}

/// Neighbours who take the processor during one window bring no other regime.
#[test]
fn one_disturbed_window_changes_nothing() {
    for posts in [0, 200, 1000] {
        // Windows of the first comparison.
        for window in 0..4 {
            let mut machine = Machine::new(10_000, 10_000);
            let chooser = Chooser::exits(4, machine.now);
            let from = 1_005_000_000 + window * 50_000_000;
            while machine.now < 2_400_000_000 {
                let disturbed = (from..from + 40_000_000).contains(&machine.now);
                let more = noise(machine.now) + if disturbed { 15_000 } else { 0 };
                machine.posting = [posts + more, more];
                machine.call(&chooser, 1);
            }
            let comparisons = chooser.comparisons();
            assert!(comparisons.made >= 1, "{posts} {window} {comparisons:?}");
            assert_eq!(comparisons.changes, 0, "{posts} {window} {comparisons:?}");
        }
    }
}

/// Who looks with an earlier time than another has looked with ends no pause.
#[test]
fn times_that_are_past_are_no_pauses() {
    let mut machine = Machine::new(10_000, 10_000);
    let chooser = Chooser::exits(4, machine.now);
    while machine.now < 3_000_000_000 {
        machine.call(&chooser, 1);
        chooser.took_waiting(2, Way::Exit, 1000, machine.now - machine.now.min(300_000_000), false);
    }
    assert!(chooser.comparisons().made >= 1, "{:?}", chooser.comparisons());
}

#[test]
fn a_fixed_way_is_kept() {
    let mut machine = Machine::new(10_000, 100);
    let chooser = Chooser::fixed(4, Way::Exit, false);
    assert!((0..500_000).all(|_| machine.call(&chooser, 0) == Way::Exit));
    let [exit, ring] = chooser.costs(0);
    assert_eq!((exit.calls, ring.calls, exit.ticks), (500_000, 0, 10_000));
    assert_eq!((chooser.comparisons().made, chooser.posts()), (0, false));
}

/// A trial of calls that are made no more keeps no others from being tried.
#[test]
fn a_trial_that_never_ends_is_given_up() {
    let mut machine = Machine::new(10_000, 1000);
    let chooser = Chooser::new(4, Way::Exit, machine.now);
    let begun = (0..100_000).any(|_| machine.call(&chooser, 0) == Way::Ring);
    assert!(begun);
    for _ in 0..200_000 {
        machine.call(&chooser, 3);
    }
    assert_eq!(machine.call(&chooser, 3), Way::Ring);
}

#[test]
fn calls_that_wait_stay_out_of_rings() {
    let chooser = Chooser::fixed(4, Way::Ring, true);
    let mut ways = vec![];
    for call in 0..200_u64 {
        let decision = chooser.choose_waiting(1);
        ways.push(decision.way);
        let waited = call >= 100;
        let ticks = if waited { 10_000_000 } else { 1000 };
        let handed_on = waited && decision.way == Way::Ring;
        chooser.took_waiting(1, decision.way, ticks, call * 10_000_000, handed_on);
    }
    assert_eq!((ways[99], ways[199]), (Way::Ring, Way::Exit));
}

#[test]
fn kinds_that_do_not_exist_leave_by_exits() {
    let chooser = Chooser::fixed(1, Way::Ring, true);
    assert_eq!(chooser.choose(1).way, Way::Exit);
    assert_eq!(chooser.choose_waiting(7).way, Way::Exit);
    chooser.took(9, Way::Exit, 1, 1);
    chooser.took_waiting(9, Way::Exit, 1, 1, false);
    assert_eq!(chooser.costs(9), [Costs::default(); 2]);
}
