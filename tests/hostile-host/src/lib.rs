//! A host that lies.
//!
//! Design principles:
//!
//! * **The launcher is the real one**; a lie is a [`launcher::Tamper`] that changes what the enclave
//!   gets to see. So a lie can be told about any call, on any way out of the enclave.
//! * **A lie is named by a line of text** ([`parse`]), so that a test is one line of a table.
//! * **Lies begin when the program says so**, by asking for the file `/hostile`: before that, the
//!   enclave starts as usual. Only pages, boot parameters and entries are wrong from the first.

mod between;
mod chunks;
mod completions;
mod entries;
mod events;
mod looks;
mod memory;
mod noise;
mod pages;
mod posted;
mod replies;
mod services;
mod state;

use std::{
    str::FromStr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context, Result, bail};
use hostcall_abi::{layout, request};
use launcher::{Boot, Tamper};
use worker::Request;

use crate::memory::Memory;

static MEMORY: OnceLock<Memory> = OnceLock::new();
static BEGUN: AtomicBool = AtomicBool::new(false);

/// The memory that both sides see; lies are told only once it is known.
fn memory() -> Memory {
    *MEMORY.get().expect("the launcher has said where it is")
}

/// Whether it is time to lie.
fn has_begun() -> bool {
    BEGUN.load(Ordering::SeqCst)
}

/// A hexadecimal number with `0x`, or a decimal one that may be negative.
fn number(text: &str) -> Result<u64> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => i64::from_str(text).ok().map(i64::cast_unsigned),
    };
    parsed.with_context(|| format!("{text:?} is no number"))
}

/// The lie that `text` names.
///
/// # Errors
///
/// Says what is wrong with the text.
pub fn parse(text: &str) -> Result<&'static dyn Tamper> {
    let mut words = text.split(' ');
    let kind = words.next().unwrap_or_default();
    let words: Vec<&str> = words.collect();
    let lie: Box<dyn Tamper> = match (kind, words.as_slice()) {
        ("honest", []) => Box::new(Honest),
        ("reply", [call, result]) => Box::new(replies::Reply::new(call, result)?),
        ("word", [call, place, value]) => Box::new(replies::Word::new(call, place, value)?),
        ("fill", [call, argument, words, value]) => {
            Box::new(replies::Fill::new([call, argument, words, value])?)
        }
        ("chunks", [claims]) => Box::new(chunks::Chunks::new(claims)?),
        ("events", [how]) => Box::new(events::Events::new(how)?),
        ("looks", [what, value]) => Box::new(looks::Looks::new(what, value)?),
        ("expected", [result]) => Box::new(posted::Expected::new(result)?),
        ("short", [limit]) => Box::new(posted::Short::new(limit)?),
        ("posted", [how]) => Box::new(posted::Skipped::new(how)?),
        ("boot", [index, value]) => Box::new(memory::Parameter::new(index, value)?),
        ("complete", [how]) => Box::new(completions::Completions::new(how)?),
        ("enter", [how]) => Box::new(entries::Entries::new(how)?),
        ("page", [address]) => Box::new(pages::Changed::new(address)?),
        ("service", [how]) => Box::new(services::Services::new(how)?),
        ("flip", []) => Box::new(noise::Flip),
        ("signals", [set]) => Box::new(noise::Signals::new(set)?),
        ("kicks", []) => Box::new(noise::Kicks),
        ("random", [seed]) => Box::new(noise::Random::new(number(seed)?)),
        _ => bail!("no lie is called {text:?}"),
    };
    Ok(Box::leak(Box::new(Host { lie })))
}

/// Keeps to the contract.
#[derive(Debug)]
struct Honest;

impl Tamper for Honest {}

/// What all lies have in common: when they begin, and that the process stops before it ends, so that
/// its memory can be looked through.
#[derive(Debug)]
struct Host {
    lie: Box<dyn Tamper>,
}

impl Tamper for Host {
    fn enclave(
        &self,
        enclave: std::sync::Arc<dyn backend::Enclave>,
    ) -> std::sync::Arc<dyn backend::Enclave> {
        self.lie.enclave(enclave)
    }

    fn shared(&'static self, boot: &Boot) {
        MEMORY.get_or_init(|| Memory(*boot));
        self.lie.shared(boot);
    }

    fn before(&self, request: &Request) -> bool {
        use hostcall_abi::service::{EXIT, KILL};
        if matches!(request.number(), EXIT | KILL) {
            stop();
            return true;
        }
        if !has_begun() && memory().names(request, *b"/hostile") {
            BEGUN.store(true, Ordering::SeqCst);
            return true;
        }
        !has_begun() || is_page(request) || self.lie.before(request)
    }

    fn after(&self, request: &Request) {
        if has_begun() && !is_page(request) {
            self.lie.after(request);
        }
    }
}

/// Whether the request loads pages of a file that the program has mapped. What the program is made of
/// is the host's to change while files are not authenticated, so no lie about it can be found out.
fn is_page(request: &Request) -> bool {
    const PREAD64: u64 = 17;
    let chunk = request.flags() & request::flag::CHUNK != 0;
    request.number() == PREAD64 && !chunk && request.args()[2].is_multiple_of(layout::PAGE)
}

/// Stops the process until somebody lets it go on.
fn stop() {
    use rustix::process::{Signal, getpid, kill_process};
    // Refused is it never: the process is our own.
    let _ = kill_process(getpid(), Signal::STOP);
}
