//! One call: stage, commit, collect.

use enclave_core::{
    AppSlice, HostSlice, exit_call, locks_held, reschedule_wanted, want_reschedule,
};
use enclave_threads::{
    Blocking, check_events, handover, interrupted, is_enough, leave, submit, timers_are_due,
};
use enclave_ways::Way;
use hostcall_abi::request;

use crate::{
    Errno, Staging, misbehaved,
    posted::{Carried, end_senders, take_all, take_along},
    way::{Choice, Went, came_back},
};

/// Whether the host may have to wait for something while it executes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It answers at once (or after disk I/O at most).
    No,
    /// It may wait for as long as it takes: other threads must be able to run meanwhile.
    Maybe,
}

/// A call to the host that is being staged.
///
/// ```ignore
/// let mut call = Call::new(nr::READ, len)?;
/// let buffer = call.room(len);
/// call.arg(0, fd).arg(1, buffer.address()).arg(2, len);
/// let count = call.count(Wait::Maybe, len)?;
/// buffer.part(0, count).read_app(target.first(count))?;
/// ```
#[derive(Debug)]
pub struct Call {
    number: u64,
    staging: Staging,
    used: u64,
}

impl Call {
    /// A call of system call (or service) `number`, with `room` bytes for its buffers. Each buffer
    /// takes its length rounded up to a multiple of eight.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if there is no staging memory for it.
    #[inline(always)]
    pub fn new(number: u64, room: u64) -> Result<Self, Errno> {
        let staging = Staging::new(request::BYTES.saturating_add(room).saturating_add(64))?;
        let memory = staging.memory();
        memory.word(request::NUMBER).write(number);
        memory.word(request::POSTED).write(0);
        memory.word(request::LOOKS).write(0);
        memory.word(request::THEN).write(0);
        memory.word(request::EXPECTED).write(0);
        for index in 0..request::ARG_COUNT as u64 {
            memory.word(request::ARGS + index).write(0);
        }
        Ok(Self { number, staging, used: request::BYTES })
    }

    /// Sets argument `index` (0..6).
    ///
    /// # Panics
    ///
    /// If there is no such argument.
    pub fn arg(&mut self, index: usize, value: impl Into<u64>) -> &mut Self {
        assert!(index < request::ARG_COUNT);
        self.staging.memory().word(request::ARGS + index as u64).write(value.into());
        self
    }

    /// Sets the first arguments.
    pub fn args<const N: usize>(&mut self, values: [u64; N]) -> &mut Self {
        for (index, value) in values.into_iter().enumerate() {
            self.arg(index, value);
        }
        self
    }

    /// Has the host look at what has come for sockets, as the block at `address` says ([`hostcall_abi::looks`]).
    pub fn look(&mut self, address: u64) {
        self.memory().word(request::LOOKS).write(address);
    }

    /// Has the host make `next`, and what that has been told to, right after this call, unless it returns an
    /// error: with what it returned for the first argument of each. What comes of them is their
    /// [`Self::later_result`]. They must not have to wait.
    pub fn then(&mut self, next: &mut Self) {
        // Until it is made.
        next.memory().word(request::RESULT).write(request::CALLED_OFF);
        self.memory().word(request::THEN).write(next.memory().address());
    }

    /// Has the host make `next`, and what that has been told to, after this call, or after one that is expected
    /// already: as many as looks see something if it is told to look, else all unless this one returns an error.
    /// What comes of them is their [`Self::later_result`]. They must not have to wait.
    pub fn expect(&self, next: &Self) {
        // Until it is made.
        next.memory().word(request::RESULT).write(request::CALLED_OFF);
        next.memory().word(request::EXPECTED).write(0);
        self.memory().word(request::EXPECTED).write(next.memory().address());
    }

    /// Takes `len` bytes of the staging memory for a buffer, aligned to eight bytes. What it holds
    /// is undefined (untrusted).
    ///
    /// # Panics
    ///
    /// If the room given to [`Call::new`] is used up.
    pub fn room(&mut self, len: u64) -> HostSlice {
        let part = self.staging.memory().part(self.used, len);
        self.used += len.next_multiple_of(8);
        part
    }

    /// Stages bytes of the runtime, returns their host address.
    pub fn bytes(&mut self, bytes: &[u8]) -> u64 {
        let part = self.room(bytes.len() as u64);
        part.write_bytes(bytes);
        part.address()
    }

    /// Stages a string with a NUL at its end, returns its host address.
    pub fn cstr(&mut self, string: &[u8]) -> u64 {
        let part = self.room(string.len() as u64 + 1);
        // The NUL first: its word may be overwritten with the end of the string and zeros.
        part.part(string.len() as u64 & !7, 1).write_bytes(&[0]);
        part.write_bytes(string);
        part.address()
    }

    /// Stages bytes of the program, returns their host address.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the program cannot read them.
    pub fn app(&mut self, bytes: AppSlice) -> Result<u64, Errno> {
        let part = self.room(bytes.len());
        part.write_app(bytes)?;
        Ok(part.address())
    }

    /// Executes the call, and returns its result if it is not an error.
    ///
    /// # Errors
    ///
    /// The error of the host. `EINTR` may mean that the host only wanted the thread's attention:
    /// the system call layer restarts the call if there is no signal to deliver.
    pub fn run(&self, wait: Wait) -> Result<u64, Errno> {
        match wait {
            Wait::No => self.run_by(self.choice()),
            Wait::Maybe => Self::came_back(self.make()),
        }
    }

    fn run_by(&self, choice: Choice) -> Result<u64, Errno> {
        Self::came_back(self.make_at_once(choice, take_along))
    }

    fn came_back(result: u64) -> Result<u64, Errno> {
        came_back();
        Self::checked(result)
    }

    /// What a result is that the host has left in untrusted memory. One that cannot be ends the enclave.
    ///
    /// # Errors
    ///
    /// The error of the host.
    pub fn checked(result: u64) -> Result<u64, Errno> {
        match Errno::from_result(result) {
            None => Ok(result),
            Some(errno) if errno.is_host_error() => Err(errno),
            Some(_) => misbehaved("the host misbehaved: an error number that does not exist"),
        }
    }

    /// Number of the system call or service.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Host address of the first buffer.
    #[must_use]
    pub fn first_room(&self) -> u64 {
        self.memory().address() + request::BYTES
    }

    /// The result of a call that need not wait; `None` if it was called off before it was made.
    fn made(&self) -> Option<u64> {
        let result = self.memory().word(request::RESULT).read();
        let made = result != Errno::EINTR.as_result() && result != request::CALLED_OFF;
        made.then_some(result)
    }

    /// What the host says of a call that was posted, or made after another; `None` if it was called off.
    #[must_use]
    pub fn later_result(&self) -> Option<Result<u64, Errno>> {
        self.made().map(Self::checked)
    }

    /// The staging memory: the request is at its start.
    pub(crate) fn memory(&self) -> HostSlice {
        self.staging.memory()
    }

    /// Makes a call that need not wait, by an exit at first, and with it all that was posted.
    pub(crate) fn run_with_all(&self) {
        self.make_at_once(Choice::EXIT, take_all);
    }

    /// Which way the call leaves if it need not wait.
    pub(crate) fn choice(&self) -> Choice {
        Choice::at_once(self.number, self.staging.memory())
    }

    /// Makes a call that need not wait, with what `take` has it take along; returns what the host says.
    fn make_at_once(&self, mut choice: Choice, take: impl Fn(HostSlice) -> Option<Carried>) -> u64 {
        // A host thread that is wanted may call the request off before it was made.
        loop {
            choice.took(self.leave(choice.way, &take));
            let made = self.made();
            // Ticks do not reach a thread that is outside most of the time.
            if made.is_none() || timers_are_due() || is_enough() {
                want_reschedule();
            }
            if let Some(result) = made {
                return result;
            }
            choice = self.choice();
        }
    }

    /// Leaves by `way` if that can be.
    fn leave(&self, way: Way, take: impl Fn(HostSlice) -> Option<Carried>) -> Went {
        let memory = self.staging.memory();
        let _posted = take(memory);
        // Whoever waits for a lock that is held here would wait for a host thread, which may have to wait
        // for a processor.
        if way == Way::Ring
            && !locks_held()
            && let Some(submitted) = submit(memory, false)
        {
            return Went::ByRing(submitted.wait());
        }
        leave(self.number, || exit_call(memory));
        Went::Out
    }

    /// Makes a call that may wait; returns what the host says.
    fn make(&self) -> u64 {
        let memory = self.staging.memory();
        loop {
            // A call that cannot be called off may have taken the notice of an event.
            if reschedule_wanted() {
                check_events();
            }
            self.leave_waiting();
            let result = memory.word(request::RESULT).read();
            if result != request::CALLED_OFF {
                return result;
            }
            check_events();
        }
    }

    fn leave_waiting(&self) {
        let memory = self.staging.memory();
        end_senders();
        let _posted = take_along(memory);
        let choice = Choice::waiting(self.number, memory);
        if choice.way == Way::Ring
            && let Some(submitted) = submit(memory, true)
        {
            return choice.took_waiting(Went::ByRing(submitted.wait()));
        }
        // A signal does not end a call that need not wait: it is made once, by a thread that
        // cannot be called off.
        let here = || {
            let hardly_waits = request::hardly_waits(self.number);
            Blocking::here(request::can_be_tried(self.number), hardly_waits)
        };
        let blocking = if interrupted() { None } else { here() };
        if blocking.is_some() {
            exit_call(memory);
            choice.took_waiting(Went::Out);
        } else {
            handover(memory);
        }
    }

    /// Executes a call that returns zero.
    ///
    /// # Errors
    ///
    /// As [`Self::run`].
    pub fn zero(&self, wait: Wait) -> Result<(), Errno> {
        match self.run(wait)? {
            0 => Ok(()),
            _ => misbehaved("the host misbehaved: a result that must be zero is not"),
        }
    }

    /// Executes a call that returns a count of at most `limit`.
    ///
    /// # Errors
    ///
    /// As [`Self::run`].
    pub fn count(&self, wait: Wait, limit: u64) -> Result<u64, Errno> {
        Self::at_most(self.run(wait)?, limit)
    }

    /// As [`Self::count`] for a call that need not wait, whose way is chosen already.
    pub(crate) fn count_by(&self, choice: Choice, limit: u64) -> Result<u64, Errno> {
        Self::at_most(self.run_by(choice)?, limit)
    }

    fn at_most(count: u64, limit: u64) -> Result<u64, Errno> {
        if count > limit {
            misbehaved("the host misbehaved: it returned more than was asked for");
        }
        Ok(count)
    }

    /// Executes a call that returns a descriptor of the host (0..2^31).
    ///
    /// # Errors
    ///
    /// As [`Self::run`].
    pub fn descriptor(&self, wait: Wait) -> Result<u32, Errno> {
        self.run(wait).map(Self::as_descriptor)
    }

    /// The descriptor of the host that a result is. One that cannot be ends the enclave.
    #[must_use]
    pub fn as_descriptor(result: u64) -> u32 {
        match u32::try_from(result) {
            Ok(fd) if fd <= i32::MAX.unsigned_abs() => fd,
            _ => misbehaved("the host misbehaved: a descriptor that cannot exist"),
        }
    }
}
