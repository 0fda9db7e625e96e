//! Sending, blocking, choosing and taking signals, as signal(7) has it.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use enclave_signals::{
    Action, AltStack, AltStackError, Next, Sent, SigInfo, SigSet, Signals, Target, code, flags,
    number::{
        SIGALRM, SIGCHLD, SIGCONT, SIGFPE, SIGKILL, SIGRTMIN, SIGSEGV, SIGSTOP, SIGTERM, SIGTSTP,
        SIGUSR1, SIGUSR2,
    },
};

const LEADER: u32 = 100;
const OTHER: u32 = 101;

fn process() -> Signals {
    let mut signals = Signals::new(LEADER, SigSet::EMPTY, SigSet::EMPTY);
    signals.add_thread(OTHER, LEADER);
    signals
}

fn handled(signals: &mut Signals, signal: u32, flags: u64, mask: u64) {
    signals.set_action(signal, Action { handler: 0x1000, flags, restorer: 1, mask });
}

fn kill(signals: &mut Signals, signal: u32) -> Sent {
    signals.send(Target::Process, SigInfo::sent(signal, code::USER, 1, 2)).unwrap()
}

fn taken(next: Option<Next>) -> Option<u32> {
    match next? {
        Next::Deliver(delivery) => Some(delivery.info.signal()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_process_signal_goes_to_the_leader_or_to_whoever_does_not_block_it() {
    let mut signals = process();
    handled(&mut signals, SIGUSR1, 0, 0);
    assert_eq!(kill(&mut signals, SIGUSR1), Sent::Wakes(LEADER));
    assert_eq!(signals.set_blocked(LEADER, SigSet::one(SIGUSR1)), [OTHER]);
    assert_eq!(signals.next(LEADER), None);
    assert!(signals.is_wanted(OTHER) && !signals.is_wanted(LEADER));
    assert_eq!(taken(signals.next(OTHER)), Some(SIGUSR1));
}

#[test]
fn standard_signals_merge_and_real_time_signals_queue_in_order() {
    let mut signals = process();
    signals.set_blocked(LEADER, !SigSet::EMPTY);
    for value in 1..=3 {
        for signal in [SIGRTMIN + 1, SIGRTMIN, SIGUSR1] {
            let info = SigInfo::queued(signal, code::QUEUE, 1, 2, value);
            signals.send(Target::Thread(LEADER), info).unwrap();
        }
    }
    let all = !SigSet::EMPTY;
    let taken: Vec<_> = std::iter::from_fn(|| signals.take(LEADER, all))
        .map(|info| (info.signal(), info.value()))
        .collect();
    let (low, high) = (SIGRTMIN, SIGRTMIN + 1);
    assert_eq!(
        taken,
        [(SIGUSR1, 1), (low, 1), (low, 2), (low, 3), (high, 1), (high, 2), (high, 3)]
    );
}

#[test]
fn a_handler_blocks_its_signal_and_its_mask_unless_told_otherwise() {
    let mut signals = process();
    handled(&mut signals, SIGUSR1, 0, SigSet::one(SIGUSR2).0 | SigSet::one(SIGKILL).0);
    kill(&mut signals, SIGUSR1);
    let Some(Next::Deliver(delivery)) = signals.next(LEADER) else { panic!() };
    assert_eq!(delivery.mask, SigSet::EMPTY);
    assert_eq!(signals.blocked(LEADER), SigSet::of(&[SIGUSR1, SIGUSR2]));
    signals.set_blocked(LEADER, delivery.mask);
    handled(&mut signals, SIGUSR1, flags::NODEFER | flags::RESETHAND, 0);
    kill(&mut signals, SIGUSR1);
    assert_eq!(taken(signals.next(LEADER)), Some(SIGUSR1));
    assert_eq!(signals.blocked(LEADER), SigSet::EMPTY);
    assert_eq!(signals.action(SIGUSR1), Action::DEFAULT);
}

#[test]
fn the_mask_of_sigsuspend_is_undone_by_the_handlers_frame() {
    let mut signals = process();
    handled(&mut signals, SIGUSR1, 0, 0);
    signals.set_blocked(LEADER, SigSet::one(SIGUSR1));
    signals.set_blocked(OTHER, SigSet::one(SIGUSR1));
    assert_eq!(kill(&mut signals, SIGUSR1), Sent::Waits);
    signals.block_for_now(LEADER, SigSet::one(SIGUSR2));
    let Some(Next::Deliver(delivery)) = signals.next(LEADER) else { panic!() };
    assert_eq!(delivery.mask, SigSet::one(SIGUSR1));
    assert!(!signals.is_unsettled(LEADER));
}

#[test]
fn what_is_ignored_is_dropped_unless_somebody_blocks_it() {
    let mut signals = process();
    assert_eq!(kill(&mut signals, SIGCHLD), Sent::Ignored);
    signals.set_blocked(LEADER, SigSet::one(SIGCHLD));
    assert_eq!(kill(&mut signals, SIGCHLD), Sent::Wakes(OTHER));
    signals.set_action(SIGCHLD, Action::ignore());
    assert!(signals.pending(LEADER).is_empty());
}

#[test]
fn sigtimedwait_is_served_first() {
    let mut signals = process();
    for tid in [LEADER, OTHER] {
        signals.set_blocked(tid, SigSet::one(SIGTERM));
    }
    signals.wait_for(OTHER, SigSet::one(SIGTERM));
    assert_eq!(kill(&mut signals, SIGTERM), Sent::Wakes(OTHER));
    assert_eq!(signals.take(OTHER, SigSet::one(SIGTERM)).unwrap().sender(), (1, 2));
}

#[test]
fn defaults_end_stop_and_continue() {
    let mut signals = process();
    kill(&mut signals, SIGTSTP);
    kill(&mut signals, SIGCONT);
    assert_eq!(signals.next(LEADER), None);
    kill(&mut signals, SIGSTOP);
    kill(&mut signals, SIGALRM);
    assert_eq!(signals.next(LEADER), Some(Next::Terminate(SIGALRM)));
    assert_eq!(signals.next(LEADER), Some(Next::Stop(SIGSTOP)));
    kill(&mut signals, SIGKILL);
    assert_eq!(signals.next(OTHER), Some(Next::Terminate(SIGKILL)));
}

#[test]
fn a_fault_comes_first_and_kills_when_it_is_blocked_or_ignored() {
    let mut signals = process();
    handled(&mut signals, SIGSEGV, 0, 0);
    handled(&mut signals, SIGALRM, 0, 0);
    kill(&mut signals, 1);
    signals.force(LEADER, SigInfo::fault(SIGSEGV, code::SEGV_MAPERR, 0x123));
    let Some(Next::Deliver(delivery)) = signals.next(LEADER) else { panic!() };
    assert_eq!(delivery.info.address(), 0x123);
    // The handler faults itself: SIGSEGV is blocked now.
    signals.force(LEADER, SigInfo::fault(SIGSEGV, code::SEGV_MAPERR, 0x124));
    assert_eq!(signals.next(LEADER), Some(Next::Terminate(SIGSEGV)));
    signals.set_action(SIGFPE, Action::ignore());
    signals.force(OTHER, SigInfo::fault(SIGFPE, code::FPE_INTDIV, 0));
    assert_eq!(signals.next(OTHER), Some(Next::Terminate(SIGFPE)));
}

#[test]
fn a_thread_that_ends_leaves_the_signals_of_the_process() {
    let mut signals = process();
    handled(&mut signals, SIGUSR1, 0, 0);
    assert_eq!(kill(&mut signals, SIGUSR1), Sent::Wakes(LEADER));
    assert_eq!(signals.remove_thread(LEADER), Some(OTHER));
    assert_eq!(taken(signals.next(OTHER)), Some(SIGUSR1));
}

#[test]
fn real_time_signals_are_refused_when_the_queue_is_full() {
    let mut signals = process();
    let info = SigInfo::queued(SIGRTMIN, code::QUEUE, 1, 2, 3);
    signals.set_blocked(LEADER, !SigSet::EMPTY);
    let sent = (0..).find(|_| signals.send(Target::Thread(LEADER), info).is_err());
    assert!(sent.is_some_and(|sent| (1000..100_000).contains(&sent)));
    signals.take(LEADER, !SigSet::EMPTY);
    signals.limit_queues(2);
    assert!(
        signals.send(Target::Process, info).is_err(),
        "all queues count, and what is there stays"
    );
    assert_eq!(kill(&mut signals, SIGUSR1), Sent::Wakes(OTHER));
}

#[test]
fn alternate_stacks_follow_sigaltstack() {
    let stack = AltStack { sp: 0x1000, size: 0x2000, ..AltStack::default() };
    let old = AltStack::default();
    let set = |flags, size| old.replaced(AltStack { flags, size, ..stack }, 0x9000, 0);
    assert_eq!(set(0, 2047), Err(AltStackError::TooSmall));
    assert_eq!(set(4, 0x2000), Err(AltStackError::Flags));
    let new = set(0, 0x2000).unwrap();
    assert_eq!(new.shown(0x1800).flags, AltStack::ONSTACK);
    assert_eq!(new.shown(0x9000).flags, 0);
    assert_eq!(new.replaced(old, 0x1800, 0), Err(AltStackError::InUse));
    assert_eq!(new.replaced(old, 0x9000, 0).unwrap().shown(0x1800).flags, AltStack::DISABLE);
    let disarmed = set(AltStack::AUTODISARM, 0x2000).unwrap();
    assert!(!disarmed.is_on(0x1800));
}
