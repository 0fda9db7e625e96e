//! Directions of socket pairs against a naive model: a list of bytes or records.

#![expect(clippy::cast_possible_truncation, reason = "the numbers of these tests are small")]

use std::convert::Infallible;

use enclave_descriptors::{Attachment, Channel, Received};
use proptest::prelude::*;

const CAPACITY: usize = 5000;

/// A sender and perhaps a descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
struct With {
    sender: u8,
    once: Option<u32>,
}

impl Attachment for With {
    fn joins(&self, next: &Self) -> bool {
        self.sender == next.sender && self.once.is_none() && next.once.is_none()
    }

    fn is_once(&self) -> bool {
        self.once.is_some()
    }

    fn strip(&mut self) {
        self.once = None;
    }
}

#[derive(Clone, Debug)]
enum Step {
    Send { len: usize, sender: u8, once: bool },
    Receive { len: usize, by_sender: bool, peek: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![0_usize..50, 0_usize..3000];
    prop_oneof![
        (len.clone(), 0_u8..2, prop::bool::weighted(0.2))
            .prop_map(|(len, sender, once)| Step::Send { len, sender, once }),
        (len, any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(len, by_sender, peek)| Step::Receive { len, by_sender, peek }),
    ]
}

fn send(channel: &mut Channel<With>, bytes: &[u8], with: With) {
    let fill = |at: usize, part: &mut [u8]| {
        part.copy_from_slice(&bytes[at..at + part.len()]);
        Ok::<_, Infallible>(())
    };
    let Ok(()) = channel.send(bytes.len(), with, fill);
}

type Got = Option<(Vec<u8>, Received<With>)>;

fn receive(channel: &mut Channel<With>, len: usize, by_sender: bool, peek: bool) -> Got {
    let mut bytes = Vec::new();
    let drain = |at: usize, part: &[u8]| {
        assert_eq!(at, bytes.len());
        bytes.extend_from_slice(part);
        Ok::<_, Infallible>(())
    };
    let Ok(received) = match peek {
        true => channel.peek(len, by_sender, drain),
        false => channel.receive(len, by_sender, drain),
    };
    received.map(|received| (bytes, received))
}

/// Each byte of a stream with its sender, and a descriptor where one came: with the number of the
/// message that brought it.
type Byte = (u8, u8, Option<(u32, usize)>);

/// What a stream gives.
fn expected(stream: &[Byte], len: usize, by_sender: bool) -> Option<(Vec<u8>, With)> {
    let first = stream.first()?;
    let mut with = With { sender: first.1, once: None };
    let mut bytes = Vec::new();
    let mut message = None;
    for (byte, sender, once) in stream {
        let ended = message.is_some() && message != once.map(|(_, message)| message);
        let other = by_sender && !bytes.is_empty() && *sender != with.sender;
        if bytes.len() == len || ended || other {
            break;
        }
        if let (Some((descriptor, number)), None) = (once, message) {
            with = With { sender: *sender, once: Some(*descriptor) };
            message = Some(*number);
        }
        bytes.push(*byte);
    }
    if len == 0 {
        with.once = stream[0].2.map(|(descriptor, _)| descriptor);
    }
    Some((bytes, with))
}

proptest! {
    #[test]
    fn records_keep_their_borders(steps in proptest::collection::vec(step(), 1..100)) {
        let mut channel = Channel::new(true, CAPACITY);
        let mut model: Vec<(Vec<u8>, With)> = Vec::new();
        for (number, step) in (0..).zip(steps) {
            match step {
                Step::Send { len, sender, once } => {
                    let used: usize = model.iter().map(|(bytes, _)| bytes.len() + 512).sum();
                    prop_assert_eq!(channel.used(), used);
                    prop_assert_eq!(channel.admits(len), (used < CAPACITY).then_some(len));
                    if used < CAPACITY {
                        let bytes = vec![number as u8; len];
                        let with = With { sender, once: once.then_some(number) };
                        send(&mut channel, &bytes, with.clone());
                        model.push((bytes, with));
                    }
                }
                Step::Receive { len, by_sender, peek } => {
                    let got = receive(&mut channel, len, by_sender, peek);
                    let expected = model.first().map(|(bytes, with)| {
                        let count = len.min(bytes.len());
                        let received = Received { count, whole: bytes.len(), with: with.clone() };
                        (bytes[..count].to_vec(), received)
                    });
                    prop_assert_eq!(got, expected);
                    if !peek && !model.is_empty() {
                        model.remove(0);
                    }
                }
            }
            prop_assert_eq!(channel.is_empty(), model.is_empty());
            prop_assert_eq!(channel.first(), model.first().map_or(0, |(bytes, _)| bytes.len()));
        }
    }

    #[test]
    fn streams_flow_and_descriptors_come_once(steps in proptest::collection::vec(step(), 1..100)) {
        let mut channel = Channel::new(false, CAPACITY);
        let mut model: Vec<Byte> = Vec::new();
        for (number, step) in (0..).zip(steps) {
            match step {
                Step::Send { len, sender, once } => {
                    let room = CAPACITY - model.len();
                    let admitted = (room > 0).then_some(len.min(room));
                    prop_assert_eq!(channel.admits(len), admitted);
                    let len = admitted.unwrap_or(0);
                    let bytes: Vec<u8> = (0..len).map(|at| (at + number) as u8).collect();
                    let descriptor = once.then_some(number as u32);
                    send(&mut channel, &bytes, With { sender, once: descriptor });
                    let with = descriptor.map(|descriptor| (descriptor, number));
                    model.extend(bytes.iter().map(|&byte| (byte, sender, with)));
                }
                // With nothing asked for, what would come is told by the first message alone.
                Step::Receive { len, by_sender, peek } => {
                    let len = len.max(1);
                    let got = receive(&mut channel, len, by_sender, peek);
                    let got = got.map(|(bytes, received)| (bytes, received.with));
                    let expected = expected(&model, len, by_sender);
                    prop_assert_eq!(&got, &expected);
                    let count = expected.map_or(0, |(bytes, _)| bytes.len());
                    if !peek && count > 0 {
                        let last = model[count - 1].2;
                        model.drain(..count);
                        // The rest of a message whose descriptor was given out.
                        let rest = model.iter_mut().take_while(|byte| last.is_some() && byte.2 == last);
                        rest.for_each(|byte| byte.2 = None);
                    }
                }
            }
            prop_assert_eq!(channel.len(), model.len());
        }
    }
}

#[test]
fn a_failed_copy_changes_nothing() {
    let mut channel = Channel::new(true, CAPACITY);
    let with = With { sender: 0, once: None };
    assert_eq!(channel.send(3, with.clone(), |_, _| Err(())), Err(()));
    assert!(channel.is_empty());
    send(&mut channel, b"abc", with);
    assert_eq!(channel.receive(3, false, |_, _| Err(())).err(), Some(()));
    assert_eq!(receive(&mut channel, 9, false, false).unwrap().0, b"abc");
}

#[test]
fn a_record_that_can_never_be_sent_is_known() {
    let records: Channel<With> = Channel::new(true, CAPACITY);
    assert!(records.can_ever_hold(CAPACITY - 32));
    assert!(!records.can_ever_hold(CAPACITY - 31));
    assert!(Channel::<With>::new(false, CAPACITY).can_ever_hold(usize::MAX));
}
