//! Files that are opened before the program asks for them.
//!
//! A server that is busy opens the same files again and again, in the same order, and leaves the enclave for each.
//! What it opened last after the same file is what it will open next: so a call that leaves has the host open that
//! as well, and what follows it, as many as there are sockets at which something was seen to have come, and
//! [`MOST`] at most.
//!
//! * **Nothing stale.** What was opened so is given only to who asks for just that, and as long as no other
//!   call of the process has come back, nobody has slept and no signal has come since.
//! * **The host opens after it has looked**: what the program learns from a look happened before.
//! * **Only where it is of use.** One that is not asked for costs as much as one that is saves: if there are more
//!   of those, nothing is guessed for some dozens of openings.

use alloc::{sync::Arc, vec::Vec};
use core::{
    mem,
    sync::atomic::{AtomicBool, Ordering},
};

use enclave_core::Mutex;
use enclave_hostcalls::{Call, are_posted, calls_made};

use super::{
    Path,
    opening::{Asked, Opened, Opening},
};

/// Guesses that leave with one call at most.
const MOST: usize = 8;
/// Paths of which it is remembered what followed them.
const FOLLOWED: usize = 64;
/// Most credit that guesses can have. Each that is asked for adds one, each other takes one.
const CREDIT: i32 = 64;
/// What they begin with, and begin with again after [`PAUSE`] openings without any.
const TRIAL: i32 = 2;
const PAUSE: u32 = 64;

/// What was opened once, and may be again.
#[derive(Debug)]
struct File {
    hash: Path,
    directory: u64,
    path: Vec<u8>,
    flags: u64,
}

impl File {
    fn asked(&self) -> Asked<'_> {
        let Self { hash, directory, ref path, flags } = *self;
        Asked { hash, directory, path, flags }
    }

    fn is(&self, asked: &Asked<'_>) -> bool {
        self.hash == asked.hash
            && self.directory == asked.directory
            && self.flags == asked.flags
            && self.path == asked.path
    }
}

/// A guess that the host has not made.
#[derive(Debug)]
struct Guess {
    file: Arc<File>,
    opening: Opening,
}

#[derive(Debug)]
struct Guesses {
    last: Option<Arc<File>>,
    /// By the hash of a path, and only where it is that path's: what followed it.
    follow: [Option<(Path, Arc<File>)>; FOLLOWED],
    staged: Vec<Guess>,
    made: Vec<(Arc<File>, Opened)>,
    /// Sockets at which something was seen, less what was opened since.
    wanted: usize,
    credit: i32,
    /// Openings until guesses are tried again, if they have no credit.
    pause: u32,
    count: Guessed,
}

/// How many files were opened before the program asked for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guessed {
    /// Openings by the host.
    pub made: u64,
    /// Those of them that the program asked for.
    pub used: u64,
}

impl Guessed {
    /// So far.
    #[must_use]
    pub fn so_far() -> Self {
        GUESSES.lock().count
    }
}

/// Whether something may have been opened that nobody has asked for, for a look without the lock.
static ANY: AtomicBool = AtomicBool::new(false);
static GUESSES: Mutex<Guesses> = Mutex::new(Guesses {
    last: None,
    follow: [const { None }; FOLLOWED],
    staged: Vec::new(),
    made: Vec::new(),
    wanted: 0,
    credit: TRIAL,
    pause: PAUSE,
    count: Guessed { made: 0, used: 0 },
});

impl Guesses {
    fn place(hash: Path) -> usize {
        // Less than there are.
        usize::try_from(hash.0 >> 16).unwrap_or(0) % FOLLOWED
    }

    fn follower(&self, hash: Path) -> Option<&Arc<File>> {
        let (of, file) = self.follow.get(Self::place(hash))?.as_ref()?;
        (*of == hash).then_some(file)
    }

    /// Notes that something is opened.
    fn note(&mut self, asked: &Asked<'_>) {
        self.wanted = self.wanted.saturating_sub(1);
        if self.credit <= 0 {
            self.pause -= 1;
            if self.pause == 0 {
                (self.credit, self.pause) = (TRIAL, PAUSE);
            }
        }
        let before = self.last.as_ref().map(|last| last.hash);
        let known = before.and_then(|hash| self.follower(hash)).filter(|file| file.is(asked));
        let file = known.cloned().unwrap_or_else(|| {
            let Asked { hash, directory, path, flags } = *asked;
            Arc::new(File { hash, directory, path: path.to_vec(), flags })
        });
        if let Some(before) = before {
            self.follow[Self::place(before)] = Some((before, Arc::clone(&file)));
        }
        self.last = Some(file);
    }

    /// Takes out what was made and is not asked for.
    fn give_up(&mut self) -> Vec<(Arc<File>, Opened)> {
        let unused = mem::take(&mut self.made);
        self.credit -= i32::try_from(unused.len()).unwrap_or(CREDIT);
        unused
    }

    /// What is likely to be opened next, `most` at most.
    fn likely(&self, most: usize) -> Vec<Arc<File>> {
        let credit = usize::try_from(self.credit).unwrap_or(0);
        let mut last = self.last.as_ref();
        let next = || {
            last = last.and_then(|file| self.follower(file.hash));
            last.cloned()
        };
        core::iter::from_fn(next).take(most.min(MOST).min(credit)).collect()
    }
}

/// To be called by who looks no more, for calls are not posted now: what nobody has asked for is closed. That is no
/// wrong guess.
pub fn give_up_guesses() {
    if ANY.load(Ordering::Relaxed) {
        let mut guesses = GUESSES.lock();
        let unused = mem::take(&mut guesses.made);
        ANY.store(false, Ordering::Relaxed);
        drop(guesses);
        drop(unused);
    }
}

/// What was opened already, if that is what the program asks for.
pub(super) fn take(asked: &Asked<'_>) -> Option<Opened> {
    let mut guesses = GUESSES.lock();
    guesses.note(asked);
    let fits = |(file, opened): &(Arc<File>, Opened)| opened.since.is_current() && file.is(asked);
    let at = guesses.made.iter().position(fits)?;
    guesses.credit = (guesses.credit + 1).min(CREDIT);
    guesses.count.used += 1;
    Some(guesses.made.remove(at).1)
}

/// Has the host make guesses with a call that opens something itself, or that looks at sockets.
pub(super) fn along(call: &Call, opens: bool) -> Along {
    let mut guesses = GUESSES.lock();
    let unused = guesses.give_up();
    let most = if opens { guesses.wanted } else { MOST };
    let files = if are_posted() { guesses.likely(most) } else { Vec::new() };
    let mut staged = mem::take(&mut guesses.staged);
    drop(guesses);
    // To close them may post a call.
    drop(unused);
    let stage = |file: Arc<File>| {
        let at = staged.iter().position(|guess| Arc::ptr_eq(&guess.file, &file));
        let guess = at.map(|at| staged.swap_remove(at));
        guess.or_else(|| Some(Guess { opening: Opening::stage(&file.asked()).ok()?, file }))
    };
    let guesses: Vec<_> = files.into_iter().map_while(stage).collect();
    let mut before = call;
    for guess in &guesses {
        before.expect(guess.opening.first());
        before = guess.opening.first();
    }
    Along { guesses, before: calls_made() }
}

/// Guesses that leave with a call.
#[derive(Debug)]
pub struct Along {
    guesses: Vec<Guess>,
    /// Calls that had come back before.
    before: u64,
}

impl Along {
    /// For a call that looks at sockets.
    #[must_use]
    pub fn looking(call: &Call) -> Self {
        along(call, false)
    }

    /// The call has come back, after looks that have seen something at so many sockets, if it looked.
    pub fn collect(self, seen: Option<usize>) {
        let Self { guesses: along, before } = self;
        let (mut made, mut staged, mut failed) = (Vec::new(), Vec::new(), 0);
        for Guess { file, opening } in along {
            match opening.result() {
                Some(Ok(fd)) => made.push((file, opening.opened(fd, before))),
                Some(Err(_)) => failed += 1,
                None => staged.push(Guess { file, opening }),
            }
        }
        let mut guesses = GUESSES.lock();
        let unused = guesses.give_up();
        guesses.credit -= failed;
        guesses.wanted = seen.unwrap_or(guesses.wanted);
        guesses.count.made += made.len() as u64;
        ANY.store(!made.is_empty(), Ordering::Relaxed);
        guesses.made = made;
        let others = mem::replace(&mut guesses.staged, staged);
        drop(guesses);
        drop((unused, others));
    }
}
