//! Pipes against a naive model: a list of packets and single bytes.

use std::convert::Infallible;

use enclave_descriptors::{PIPE_BUF, PipeBuffer};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Write { len: usize, packet: bool },
    Read(usize),
    PutBack(usize),
    Capacity(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![0_usize..200, 0_usize..9000, Just(PIPE_BUF), Just(PIPE_BUF + 1)];
    prop_oneof![
        4 => (len.clone(), any::<bool>()).prop_map(|(len, packet)| Step::Write { len, packet }),
        4 => len.clone().prop_map(Step::Read),
        1 => (0_usize..300).prop_map(Step::PutBack),
        1 => (1_usize..6).prop_map(|pages| Step::Capacity(pages * PIPE_BUF)),
    ]
}

/// Each element is a packet, or one byte that is none.
struct Model {
    elements: Vec<(Vec<u8>, bool)>,
    capacity: usize,
}

impl Model {
    fn used(&self) -> usize {
        self.elements
            .iter()
            .map(|(bytes, packet)| if *packet { PIPE_BUF } else { bytes.len() })
            .sum()
    }

    fn write(&mut self, bytes: &[u8], packet: bool) {
        if packet {
            self.elements.push((bytes.to_vec(), true));
        } else {
            self.elements.extend(bytes.iter().map(|&byte| (vec![byte], false)));
        }
    }

    fn read(&mut self, len: usize) -> Vec<u8> {
        let mut read = Vec::new();
        while read.len() < len && !self.elements.is_empty() {
            let (bytes, packet) = self.elements.remove(0);
            read.extend(bytes);
            if packet {
                break;
            }
        }
        read.truncate(len);
        read
    }
}

fn write(pipe: &mut PipeBuffer, bytes: &[u8], packet: bool) {
    let fill = |at: usize, part: &mut [u8]| {
        part.copy_from_slice(&bytes[at..at + part.len()]);
        Ok::<_, Infallible>(())
    };
    let Ok(()) = pipe.append(bytes.len(), packet, fill);
}

fn read(pipe: &mut PipeBuffer, len: usize) -> Vec<u8> {
    let mut read = Vec::new();
    let drain = |at: usize, part: &[u8]| {
        assert_eq!(at, read.len());
        read.extend_from_slice(part);
        Ok::<_, Infallible>(())
    };
    let Ok(count) = pipe.take(len, drain);
    assert_eq!(count, read.len());
    read
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(steps in proptest::collection::vec(step(), 1..120)) {
        let mut pipe = PipeBuffer::new(4 * PIPE_BUF);
        let mut model = Model { elements: Vec::new(), capacity: 4 * PIPE_BUF };
        let mut next = 0_u8;
        for step in steps {
            match step {
                Step::Write { len, packet } => {
                    let room = model.capacity.saturating_sub(model.used());
                    let expected = match (packet, len <= PIPE_BUF) {
                        (true, _) if room < PIPE_BUF => 0,
                        (true, _) => len.min(PIPE_BUF),
                        (false, true) if len > room => 0,
                        (false, _) => len.min(room),
                    };
                    let admitted = pipe.admits(len, packet);
                    prop_assert_eq!(admitted, expected);
                    if admitted > 0 {
                        let bytes: Vec<u8> = (0..admitted).map(|_| { next = next.wrapping_add(1); next }).collect();
                        write(&mut pipe, &bytes, packet);
                        model.write(&bytes, packet);
                    }
                }
                // A packet of no bytes cannot be told from no packet: nobody reads nothing.
                Step::Read(0) => prop_assert_eq!(read(&mut pipe, 0), []),
                Step::Read(len) => prop_assert_eq!(read(&mut pipe, len), model.read(len)),
                Step::PutBack(len) => {
                    let bytes = vec![0xaa; len];
                    pipe.put_back(&bytes);
                    model.elements.splice(0..0, bytes.iter().map(|&byte| (vec![byte], false)));
                }
                Step::Capacity(capacity) => {
                    let fits = model.used() <= capacity;
                    prop_assert_eq!(pipe.set_capacity(capacity), fits);
                    if fits {
                        model.capacity = capacity;
                    }
                }
            }
            prop_assert_eq!(pipe.capacity(), model.capacity);
            prop_assert_eq!(pipe.len(), model.elements.iter().map(|(bytes, _)| bytes.len()).sum::<usize>());
            let room = model.capacity.saturating_sub(model.used());
            prop_assert_eq!(pipe.is_writable(), room >= PIPE_BUF);
        }
    }
}

#[test]
fn a_failed_copy_changes_nothing() {
    let mut pipe = PipeBuffer::new(PIPE_BUF);
    assert_eq!(pipe.append(10, false, |_, _| Err(())), Err(()));
    assert!(pipe.is_empty());
    write(&mut pipe, b"stays", true);
    assert_eq!(pipe.take(10, |_, _| Err(())), Err(()));
    assert_eq!(read(&mut pipe, 10), b"stays");
}
