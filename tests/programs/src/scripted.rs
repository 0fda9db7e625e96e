//! What a scripted case works with: programs under the enclave, native helpers, ports, metrics.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use crate::case::Case;
use crate::compare::last_lines;
use crate::process::{self, Output, Running};
use crate::{places, run};

/// One side of a scripted case.
pub struct Bench {
    prefix: Vec<String>,
    dir: PathBuf,
    stem: PathBuf,
    started: usize,
    env: Vec<(&'static str, String)>,
    limit: Duration,
    begin: Instant,
    metrics: Vec<(String, f64)>,
}

/// A server that runs under the enclave (or natively, on the native side).
pub struct Server {
    running: Running,
    stem: PathBuf,
    name: String,
}

impl Bench {
    pub(crate) fn new(case: &Case, prefix: &[String], dir: &Path, stem: &Path) -> Self {
        Self {
            prefix: prefix.to_vec(),
            dir: dir.to_path_buf(),
            stem: stem.to_path_buf(),
            started: 0,
            env: case.env.clone(),
            limit: case.limit,
            begin: Instant::now(),
            metrics: Vec::new(),
        }
    }

    pub(crate) fn output_of(&mut self, body: fn(&mut Self) -> Result<String>) -> Output {
        let result = body(self);
        let time = self.begin.elapsed();
        match result {
            Ok(text) => Output { stdout: text.into(), stderr: Vec::new(), status: Some(0), time },
            Err(error) => Output {
                stdout: Vec::new(),
                stderr: format!("{error:#}").into(),
                status: Some(1),
                time,
            },
        }
    }

    pub(crate) fn into_metrics(self) -> Vec<(String, f64)> {
        self.metrics
    }

    /// The working directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes a file into the working directory and returns its path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<String> {
        let path = self.dir.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, content).with_context(|| format!("write {}", path.display()))?;
        Ok(path.to_string_lossy().into_owned())
    }

    /// Keeps a number (a rate, a latency) for the report.
    pub fn note(&mut self, name: &str, value: f64) {
        self.metrics.push((name.to_owned(), value));
    }

    /// Time left of the case's limit.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.limit.saturating_sub(self.begin.elapsed())
    }

    /// A TCP port that nobody listens on.
    ///
    /// # Errors
    /// When there is none.
    pub fn free_port(&self) -> Result<u16> {
        Ok(TcpListener::bind(("127.0.0.1", 0)).context("find a free port")?.local_addr()?.port())
    }

    fn command(
        &mut self,
        prefix: &[String],
        argv: &[&str],
    ) -> Result<(std::process::Command, PathBuf)> {
        let argv: Vec<String> = argv.iter().map(|a| places::expand(a, &self.dir)).collect();
        let mut command = run::command(prefix, &argv)?;
        command.current_dir(&self.dir).stdin(Stdio::null());
        for (key, value) in &self.env {
            command.env(key, places::expand(value, &self.dir));
        }
        self.started += 1;
        let mut stem = self.stem.clone().into_os_string();
        stem.push(format!("-{}", self.started));
        Ok((command, stem.into()))
    }

    /// Starts a program under the enclave and leaves it running.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self, argv: &[&str]) -> Result<Server> {
        self.start_with(&self.prefix.clone(), argv)
    }

    /// Starts a native program and leaves it running.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_native(&mut self, argv: &[&str]) -> Result<Server> {
        self.start_with(&[], argv)
    }

    fn start_with(&mut self, prefix: &[String], argv: &[&str]) -> Result<Server> {
        let (mut command, stem) = self.command(prefix, argv)?;
        let running = Running::start(&mut command, &stem)?;
        Ok(Server { running, stem, name: argv.first().copied().unwrap_or_default().to_owned() })
    }

    /// Runs a program under the enclave to its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&mut self, argv: &[&str]) -> Result<Output> {
        let (mut command, stem) = self.command(&self.prefix.clone(), argv)?;
        process::run(&mut command, None, &stem, self.left())
    }

    /// Runs a program under the enclave on a terminal of its own, and types `input` to it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run_on_terminal(&mut self, argv: &[&str], input: &str) -> Result<Output> {
        let typed = self.stem.with_extension("typed");
        fs::write(&typed, input).with_context(|| format!("write {}", typed.display()))?;
        let words = argv.iter().map(|word| places::expand(word, &self.dir));
        let line: Vec<String> =
            self.prefix.iter().cloned().chain(words).map(|word| quoted(&word)).collect();
        let (mut command, stem) =
            self.command(&[], &["/usr/bin/script", "-qec", &line.join(" "), "/dev/null"])?;
        process::run(&mut command, Some(&typed), &stem, self.left())
    }

    /// Runs a native helper to its end; it must succeed.
    ///
    /// # Errors
    /// When it fails or takes too long.
    pub fn native(&mut self, argv: &[&str]) -> Result<Output> {
        let (mut command, stem) = self.command(&[], argv)?;
        let limit = self.left().min(run::HELPER_LIMIT);
        let output = process::run(&mut command, None, &stem, limit)?;
        if output.status != Some(0) {
            bail!(
                "{} ended with {:?}: {}",
                argv.join(" "),
                output.status,
                last_lines(&output.stderr)
            );
        }
        Ok(output)
    }
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

impl Server {
    /// Waits until it accepts connections on a local port.
    ///
    /// # Errors
    /// When it ends first or takes more than 60 s.
    pub fn wait_port(&mut self, port: u16) -> Result<()> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        self.wait_until(|| TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok())
            .with_context(|| format!("wait for port {port}"))
    }

    /// Waits until its standard output contains `text`.
    ///
    /// # Errors
    /// When it ends first or takes more than 60 s.
    pub fn wait_text(&mut self, text: &str) -> Result<()> {
        let path = self.stem.with_extension("out");
        self.wait_until(|| fs::read_to_string(&path).is_ok_and(|all| all.contains(text)))
            .with_context(|| format!("wait for {text:?}"))
    }

    fn wait_until(&mut self, mut ready: impl FnMut() -> bool) -> Result<()> {
        let limit = Instant::now() + Duration::from_secs(60);
        while !ready() {
            if let Some(status) = self.running.poll()? {
                bail!("{} ended with status {status}: {}", self.name, self.errors());
            }
            if Instant::now() > limit {
                bail!("{} was not ready after 60 s: {}", self.name, self.errors());
            }
            sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn errors(&self) -> String {
        last_lines(&fs::read(self.stem.with_extension("err")).unwrap_or_default())
    }

    /// What it has printed.
    #[must_use]
    pub fn printed(&self) -> String {
        fs::read_to_string(self.stem.with_extension("out")).unwrap_or_default()
    }

    /// Sends it a signal, then waits for its end; its exit status as a shell says it.
    ///
    /// # Errors
    /// When it does not end within 20 s.
    pub fn stop(mut self, signal: Signal) -> Result<i32> {
        self.running.signal(signal).with_context(|| format!("signal {}", self.name))?;
        self.join()
    }

    /// Waits for its end; its exit status as a shell says it.
    ///
    /// # Errors
    /// When it does not end within 20 s.
    pub fn join(&mut self) -> Result<i32> {
        let limit = self.running.elapsed() + Duration::from_secs(20);
        let status = self.running.wait(limit).with_context(|| format!("wait for {}", self.name))?;
        status.with_context(|| format!("{} did not end: {}", self.name, self.errors()))
    }
}
