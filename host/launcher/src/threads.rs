//! The host threads that own the enclave's threads.

use std::{
    convert::Infallible,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI32, AtomicU64, Ordering},
    },
};

use backend::{Enclave, EnterLeaf, ExitHandler, Kick, Outcome, Run};
use hostcall_abi::{control, exit, layout, request, service};
use worker::{Attention, Exits, Request};

use crate::{
    LaunchError, Tamper,
    boot::Boot,
    pool::Pool,
    rings::Rings,
    services,
    signals::{self, Dispositions},
};

/// The signal by which threads are called out of the enclave, or of a system call.
pub(crate) const KICK: i32 = 64;
/// The signal of the preemption tick, and of alarms. The enclave makes a call that it interrupts once more.
pub(crate) const TICK: i32 = 63;
/// Nanoseconds of processor time between ticks.
const TICK_PERIOD: u64 = 10_000_000;

/// What belongs to one enclave thread, apart from what the others write to.
#[derive(Debug)]
#[repr(align(128))]
struct Slot {
    exits: Exits,
    thread: AtomicI32,
}

/// The running enclave.
pub(crate) struct Running {
    pub(crate) enclave: Arc<dyn Enclave>,
    pub(crate) boot: Boot,
    pub(crate) pool: Pool,
    pub(crate) rings: Rings,
    pub(crate) signals: Dispositions,
    tamper: Option<&'static dyn Tamper>,
    slots: [Slot; layout::TCS_COUNT as usize],
    next_tick: AtomicU64,
}

static RUNNING: OnceLock<Running> = OnceLock::new();

/// Enters the enclave on this thread, for the rest of the process's life.
pub(crate) fn run(
    enclave: Arc<dyn Enclave>,
    boot: Boot,
    tamper: Option<&'static dyn Tamper>,
    host_threads: u64,
) -> Result<Infallible, LaunchError> {
    enclave.install_kick(KICK, on_kick)?;
    enclave.install_kick(TICK, on_kick)?;
    let slots =
        std::array::from_fn(|_| Slot { exits: Exits::new(boot.arena), thread: AtomicI32::new(0) });
    let running = RUNNING.get_or_init(|| Running {
        enclave,
        pool: Pool::new(),
        rings: Rings::new(host_threads, &boot),
        boot,
        signals: Dispositions::default(),
        tamper,
        slots,
        next_tick: AtomicU64::new(0),
    });
    signals::start(running).map_err(LaunchError::Thread)?;
    running.serve(0)
}

impl Running {
    /// Starts enclave thread `index` on a thread of its own.
    pub(crate) fn spawn(&'static self, index: u64) -> std::io::Result<()> {
        std::thread::Builder::new().name(format!("tcs-{index}")).stack_size(1 << 20).spawn(
            move || {
                let Err(error) = self.serve(index);
                eprintln!("scone: {error}");
                worker::exit_now(134)
            },
        )?;
        Ok(())
    }

    /// Makes a request by `make`, which says whether it is done now, and what is to be made with it. `None`:
    /// the host is not honest, and does not make it at all.
    pub(crate) fn execute(&self, request: &Request, make: impl FnOnce() -> bool) -> Option<bool> {
        self.execute_alone(request, || {
            let done = make();
            if done && request.number() < service::FIRST {
                request.look();
                self.make_then(request);
                self.make_expected(request);
            }
            done
        })
    }

    fn execute_alone(&self, request: &Request, make: impl FnOnce() -> bool) -> Option<bool> {
        let Some(tamper) = self.tamper else { return Some(make()) };
        if let Some(result) = tamper.instead(request) {
            request.set_result(result);
            return Some(true);
        }
        if !tamper.before(request) {
            return None;
        }
        let done = make();
        if done {
            tamper.after(request);
        }
        Some(done)
    }

    /// Makes the requests that are to be made after `request`, with what it returned.
    fn make_then(&self, request: &Request) {
        let result = request.result();
        let mut next = request.then().filter(|_| !request::is_error(result));
        while let Some(following) = next {
            self.execute_alone(&following, || {
                following.make_with(result);
                true
            });
            next = following.then();
        }
    }

    /// Makes the requests that are expected after `request`.
    fn make_expected(&self, request: &Request) {
        let all = || if request::is_error(request.result()) { 0 } else { u64::MAX };
        let most = request.seen().unwrap_or_else(all);
        let mut next = request.expected();
        for _ in 0..most {
            let Some(expected) = next else { return };
            self.execute_alone(&expected, || {
                expected.make();
                true
            });
            self.make_then(&expected);
            next = expected.expected();
        }
    }

    /// Makes the posted requests that come with `request`.
    pub(crate) fn make_posted(&self, request: &Request) {
        let mut next = request.posted();
        while let Some(posted) = next {
            // Once it is done, the enclave may use its memory for something else.
            next = posted.posted();
            let made = self.execute(&posted, || {
                posted.make();
                true
            });
            // Nobody is told: whoever wants to know looks.
            let _ = made.is_some_and(|_| posted.done());
        }
    }

    /// Calls enclave thread `index` out of the enclave, or of its system call.
    pub(crate) fn kick(&self, index: u64) {
        let Some(slot) = usize::try_from(index).ok().and_then(|index| self.slots.get(index)) else {
            return;
        };
        slot.exits.attention().want();
        let thread = slot.thread.load(Ordering::SeqCst);
        if thread != 0 {
            worker::kick_thread(thread, KICK);
        }
    }

    /// Wakes an enclave thread that has nothing to do, if there is one.
    pub(crate) fn wake_idle(&self) -> bool {
        for index in 0..layout::TCS_COUNT {
            let word = self.boot.control.word(control::IDLE + index);
            if word.compare_exchange(1, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                worker::wake_word(word);
                return true;
            }
        }
        false
    }

    /// Calls out one enclave thread that runs inside, another one each time.
    pub(crate) fn tick_one(&self) {
        let next = self.next_tick.fetch_add(1, Ordering::Relaxed);
        for index in next..next + layout::TCS_COUNT {
            let slot = self.slot(index % layout::TCS_COUNT);
            let thread = slot.thread.load(Ordering::SeqCst);
            if thread != 0 && !slot.exits.outside() {
                return worker::kick_thread(thread, TICK);
            }
        }
    }

    /// A tick or an alarm came to this thread when it was outside: one that is inside gets it.
    fn pass_tick_on(&self) {
        let own = worker::thread_id();
        let outside =
            |slot: &&Slot| slot.thread.load(Ordering::SeqCst) == own && slot.exits.outside();
        if self.wants_tick() && self.slots.iter().any(|slot| outside(&slot)) {
            self.tick_one();
        }
    }

    fn slot(&self, index: u64) -> &Slot {
        &self.slots[usize::try_from(index).unwrap_or(0)]
    }

    fn serve(&'static self, index: u64) -> Result<Infallible, LaunchError> {
        let slot = self.slot(index);
        slot.thread.store(worker::thread_id(), Ordering::SeqCst);
        // Without ticks a thread that only computes keeps its enclave thread: worth going on.
        let _ = worker::start_tick(TICK, TICK_PERIOD);
        let mut run = Run {
            tcs: layout::tcs_block(index).tcs,
            rdi: if index == 0 { self.boot.parameters.address() } else { 0 },
            // See `hostcall_abi::manifest`.
            rsi: is_x86_feature_detected!("sha").into(),
            ..Run::default()
        };
        let handler = ExitHandler {
            function: worker::answer_exit as *const () as u64,
            data: std::ptr::from_ref(&slot.exits).addr() as u64,
        };
        let attention = slot.exits.attention();
        // Whoever tampers with requests wants to see all of them.
        let handler = self.tamper.is_none().then_some(&handler);
        loop {
            match self.enclave.enter_with(&mut run, handler) {
                Outcome::Exited => {
                    slot.exits.while_outside(|| self.answer(&mut run, attention))?;
                }
                Outcome::Exception(exception) if exception.leaf == EnterLeaf::Eresume => {
                    self.handle(run.tcs, attention)?;
                    run.leaf = EnterLeaf::Eresume;
                }
                Outcome::Exception(exception) => {
                    return Err(LaunchError::Entry { vector: exception.vector });
                }
            }
        }
    }

    /// Lets the enclave handle an exception, so that it can be resumed. It makes calls meanwhile only
    /// to end.
    fn handle(&'static self, tcs: u64, attention: &Attention) -> Result<(), LaunchError> {
        loop {
            let mut handler = Run { tcs, ..Run::default() };
            match self.enclave.enter(&mut handler) {
                Outcome::Exited if handler.rdi == exit::RESUME => return Ok(()),
                Outcome::Exited => self.answer(&mut handler, attention)?,
                Outcome::Exception(exception) => {
                    return Err(LaunchError::Entry { vector: exception.vector });
                }
            }
        }
    }

    fn answer(&'static self, run: &mut Run, attention: &Attention) -> Result<(), LaunchError> {
        run.leaf = EnterLeaf::Eenter;
        match (run.rdi, run.rsi) {
            (exit::CALL, _) => {}
            (exit::REFUSED, exit::refused::NOT_VERIFIED) => return Err(LaunchError::NotVerified),
            (_, reason) => return Err(LaunchError::EntryRefused(reason)),
        }
        let Some(request) = self.boot.arena.request(run.rsi) else {
            return Err(LaunchError::EntryRefused(run.rsi));
        };
        if request.number() < service::FIRST {
            self.make_posted(&request);
        }
        self.execute(&request, || {
            services::serve(self, &request, attention);
            true
        });
        Ok(())
    }

    /// Whether the enclave has a reason to be told about a tick.
    fn wants_tick(&self) -> bool {
        let word = |index| self.boot.control.word(index).load(Ordering::Relaxed);
        word(control::TICK) != 0 || word(control::PENDING) != 0
    }
}

/// A kick or a tick arrived on this thread.
fn on_kick(kick: &Kick) {
    let Some(running) = RUNNING.get() else { return };
    match kick.tcs {
        None if kick.signal == KICK => worker::interrupt(kick.context),
        None => running.pass_tick_on(),
        Some(tcs) => {
            if kick.signal == KICK || running.wants_tick() {
                // The thread is resumed whatever the runtime says.
                let _ = running.handle(tcs, &Attention::new());
            }
        }
    }
}
