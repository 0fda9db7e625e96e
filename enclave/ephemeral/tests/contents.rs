//! Contents of files against a naive model: a vector of bytes.

#![expect(clippy::cast_possible_truncation, reason = "the numbers of these tests are small")]

use std::convert::Infallible;

use enclave_ephemeral::{BLOCK, Contents, Error};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Write { offset: u64, len: usize },
    Read { offset: u64, len: usize },
    Truncate(u64),
    Punch { start: u64, len: u64 },
    Allocate { start: u64, len: u64, grow: bool },
}

fn offset() -> impl Strategy<Value = u64> {
    let block = BLOCK as u64;
    prop_oneof![0..3 * block, (0_u64..400).prop_map(move |n| n * block), 0..400 * block]
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![0_usize..100, 0_usize..3 * BLOCK];
    prop_oneof![
        (offset(), len.clone()).prop_map(|(offset, len)| Step::Write { offset, len }),
        (offset(), len).prop_map(|(offset, len)| Step::Read { offset, len }),
        offset().prop_map(Step::Truncate),
        (offset(), offset()).prop_map(|(start, len)| Step::Punch { start, len }),
        (offset(), 0_u64..20_000, any::<bool>()).prop_map(|(start, len, grow)| Step::Allocate {
            start,
            len,
            grow
        }),
    ]
}

#[derive(Default)]
struct Model {
    bytes: Vec<u8>,
    /// Which blocks are no holes.
    there: std::collections::BTreeSet<u64>,
}

impl Model {
    fn blocks(start: u64, end: u64) -> std::ops::Range<u64> {
        if start == end { 0..0 } else { start / BLOCK as u64..end.div_ceil(BLOCK as u64) }
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        let end = offset as usize + data.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset as usize..end].copy_from_slice(data);
        self.there.extend(Self::blocks(offset, end as u64));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn contents_do_what_the_model_does(steps in proptest::collection::vec(step(), 1..40)) {
        let mut contents = Contents::default();
        let mut model = Model::default();
        for (number, step) in (1_u8..).zip(steps) {
            match step {
                Step::Write { offset, len } => {
                    let data: Vec<u8> = (0..len).map(|at| number ^ at as u8).collect();
                    let missing = Model::blocks(offset, offset + len as u64)
                        .filter(|block| !model.there.contains(block))
                        .count() as u64;
                    prop_assert_eq!(contents.missing(offset, len as u64), missing);
                    let Ok(()) = contents.write(offset, len, |at, part| {
                        part.copy_from_slice(&data[at..at + part.len()]);
                        Ok::<_, Infallible>(())
                    });
                    model.write(offset, &data);
                }
                Step::Read { offset, len } => {
                    let mut read = Vec::new();
                    let Ok(count) = contents.read(offset, len, |at, part| {
                        assert_eq!(at, read.len());
                        read.extend_from_slice(part);
                        Ok::<_, Infallible>(())
                    });
                    prop_assert_eq!(count, read.len());
                    let start = (offset as usize).min(model.bytes.len());
                    let end = (start + len).min(model.bytes.len());
                    prop_assert_eq!(&read, &model.bytes[start..end]);
                }
                Step::Truncate(size) => {
                    let before = model.there.len() as u64;
                    // What lies behind the end is kept when a file grows.
                    if size < model.bytes.len() as u64 {
                        model.there.retain(|block| *block < size.div_ceil(BLOCK as u64));
                    }
                    let freed = before - model.there.len() as u64;
                    prop_assert_eq!(contents.truncate(size), Ok(freed));
                    model.bytes.resize(size as usize, 0);
                }
                Step::Punch { start, len } => {
                    let end = start + len;
                    contents.punch(start, end);
                    let whole = start.div_ceil(BLOCK as u64)..end / BLOCK as u64;
                    model.there.retain(|block| !whole.contains(block));
                    let size = model.bytes.len();
                    model.bytes[(start as usize).min(size)..(end as usize).min(size)].fill(0);
                }
                Step::Allocate { start, len, grow } => {
                    let end = start + len;
                    if len == 0 {
                        continue;
                    }
                    contents.allocate(start, end, grow);
                    model.there.extend(Model::blocks(start, end));
                    if grow && model.bytes.len() < end as usize {
                        model.bytes.resize(end as usize, 0);
                    }
                }
            }
            prop_assert_eq!(contents.size(), model.bytes.len() as u64);
            prop_assert_eq!(contents.blocks(), model.there.len() as u64);
            for at in [0, 5000, 100 * BLOCK as u64] {
                let block = at / BLOCK as u64;
                let data = model.there.iter().find(|there| **there >= block);
                let data = data.map(|there| at.max(there * BLOCK as u64));
                let data = data.filter(|data| *data < contents.size() && at < contents.size());
                prop_assert_eq!(contents.next_data(at), data.ok_or(Error::NoData));
                let hole = (block..).find(|block| !model.there.contains(block)).unwrap();
                let hole = at.max(hole * BLOCK as u64).min(contents.size());
                let hole = if at < contents.size() { Ok(hole) } else { Err(Error::NoData) };
                prop_assert_eq!(contents.next_hole(at), hole);
            }
        }
    }
}

#[test]
fn a_file_can_be_as_long_as_offsets_go() {
    let mut contents = Contents::default();
    let last = Contents::MAX_SIZE - 1;
    let Ok(()) = contents.write(last, 1, |_, part| {
        part[0] = 7;
        Ok::<_, Infallible>(())
    });
    assert_eq!((contents.size(), contents.blocks()), (Contents::MAX_SIZE, 1));
    assert_eq!(contents.next_data(0), Ok(last / BLOCK as u64 * BLOCK as u64));
    assert_eq!(contents.truncate(Contents::MAX_SIZE + 1), Err(Error::TooBig));
    assert_eq!(contents.truncate(0), Ok(1));
}

#[test]
fn a_write_that_fails_leaves_nothing_behind_the_end() {
    let mut contents = Contents::default();
    let mut write = |offset, len, value, result| {
        let written = contents.write(offset, len, |_, part| {
            part.fill(value);
            result
        });
        assert_eq!(written, result);
    };
    write(0, 10, 1, Ok(()));
    for offset in [5, 20, BLOCK as u64 + 8] {
        write(offset, 100, 2, Err(()));
    }
    assert_eq!(contents.size(), 10);
    contents.truncate(2 * BLOCK as u64).unwrap();
    let mut all = vec![9; 2 * BLOCK];
    let read = contents.read(0, 2 * BLOCK, |at, part| {
        all[at..at + part.len()].copy_from_slice(part);
        Ok::<_, Infallible>(())
    });
    assert_eq!(read, Ok(2 * BLOCK));
    assert_eq!(all[..10], [1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
    assert!(all[10..].iter().all(|&byte| byte == 0));
}
