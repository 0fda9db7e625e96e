//! The files of `/proc/self` that are made inside.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use enclave_core::{AppPtr, AppSlice};
use enclave_hostcalls::Errno;

use super::{
    node::{Make, Node, Take},
    smaps, text,
};

/// A file of `/proc/self`.
pub(super) struct File {
    pub(super) name: &'static str,
    make: Make,
    take: Option<Take>,
}

const fn made(name: &'static str, make: Make) -> File {
    File { name, make, take: None }
}

/// The files that are made inside.
pub(super) static FILES: &[File] = &[
    made("auxv", auxv),
    made("cmdline", cmdline),
    File { name: "comm", make: text::comm, take: Some(text::set_comm) },
    made("environ", environ),
    made("maps", text::maps),
    made("smaps", smaps::smaps),
    made("smaps_rollup", smaps::rollup),
    made("stat", text::stat),
    made("statm", text::statm),
    made("status", text::status),
    made("wchan", |_| b"0".to_vec()),
];

/// The file with this name.
pub(super) fn find(name: &[u8]) -> Option<&'static File> {
    FILES.iter().find(|file| file.name.as_bytes() == name)
}

impl File {
    pub(super) fn node(&self, path: &[u8], thread: u32) -> Node {
        match self.take {
            None => Node::text(path, thread, self.make),
            Some(take) => Node::writable(path, thread, self.make, take),
        }
    }
}

/// Where the program's arguments, environment and auxiliary vector were at its start: beginning
/// and end of each.
static STACK: [AtomicU64; 6] = [const { AtomicU64::new(0) }; 6];

/// Most words looked at on a new stack.
const LIMIT: u64 = 1 << 20;

/// Notes where things are on the program's first stack, before the program runs.
///
/// # Errors
///
/// `EFAULT` if it is not a stack as Linux lays it.
pub(crate) fn note_stack(pointer: u64) -> Result<(), Errno> {
    let stack = AppPtr::<u64>::new(pointer);
    let argc = stack.read()?;
    let find_null = |from: u64| -> Result<u64, Errno> {
        for index in from..from.saturating_add(LIMIT) {
            if stack.at(index).read()? == 0 {
                return Ok(index);
            }
        }
        Err(Errno::EFAULT)
    };
    let environment = argc.saturating_add(2);
    let end = find_null(environment)?;
    let mut vector_end = end + 1;
    while stack.at(vector_end).read()? != 0 {
        vector_end += 2;
    }
    let string_end = |index: u64| -> Result<u64, Errno> {
        let start = stack.at(index).read()?;
        let len = AppPtr::<u8>::new(start).read_cstr(1 << 20)?.len() as u64;
        Ok(start + len + 1)
    };
    let args = if argc == 0 { [0; 2] } else { [stack.at(1).read()?, string_end(argc)?] };
    let env = if end == environment {
        [0; 2]
    } else {
        [stack.at(environment).read()?, string_end(end - 1)?]
    };
    let vector = [stack.at(end + 1).address(), stack.at(vector_end + 2).address()];
    for (place, value) in STACK.iter().zip(args.into_iter().chain(env).chain(vector)) {
        place.store(value, Ordering::Relaxed);
    }
    Ok(())
}

/// Start of the first stack's contents and of what follows it, for `/proc/self/stat`.
pub(super) fn stack_fields() -> [u64; 4] {
    [0, 1, 2, 3].map(|index: usize| STACK[index].load(Ordering::Relaxed))
}

/// What is in the program's memory now, as Linux shows it.
fn memory(index: usize) -> Vec<u8> {
    let (start, end) = (&STACK[index], &STACK[index + 1]);
    let (start, end) = (start.load(Ordering::Relaxed), end.load(Ordering::Relaxed));
    let slice = AppSlice::new(start, end.saturating_sub(start));
    slice.and_then(AppSlice::to_vec).unwrap_or_default()
}

fn cmdline(_: u32) -> Vec<u8> {
    memory(0)
}

fn environ(_: u32) -> Vec<u8> {
    memory(2)
}

fn auxv(_: u32) -> Vec<u8> {
    memory(4)
}
