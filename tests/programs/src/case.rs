//! What a case consists of, and a builder that keeps the tables short.

use std::time::Duration;

use crate::process::Output;
use crate::scripted::Bench;

/// How a source file of `sources/` becomes a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tool {
    /// gcc, dynamic, position independent.
    Gcc,
    /// gcc, dynamic, linked at the fixed address 0x400000.
    GccNoPie,
    /// gcc, static against glibc.
    GccStatic,
    /// gcc, `-static-pie`.
    GccStaticPie,
    /// gcc, a shared object.
    GccShared,
    /// gcc without any libc: raw system calls only.
    GccBare,
    /// musl-gcc, static.
    MuslStatic,
    /// musl-gcc, dynamic, with musl's own loader.
    MuslDynamic,
    /// Debian's Go, static.
    Go,
    /// javac; the output is a directory of classes.
    Javac,
    /// rustc, dynamic against glibc.
    Rust,
    /// rustc, `+crt-static`.
    RustStatic,
}

/// Every way of linking a C program, with a short name.
pub const C_LINKS: [(&str, Tool); 6] = [
    ("gcc", Tool::Gcc),
    ("gcc-no-pie", Tool::GccNoPie),
    ("gcc-static", Tool::GccStatic),
    ("gcc-static-pie", Tool::GccStaticPie),
    ("musl", Tool::MuslDynamic),
    ("musl-static", Tool::MuslStatic),
];

/// A program to build before the run: `{bin}/OUT` from `sources/SOURCE`.
#[derive(Clone, Debug)]
pub struct Build {
    /// Compiler and kind of linking.
    pub tool: Tool,
    /// File name below `sources/`, or an absolute path.
    pub source: String,
    /// File name below `{bin}`.
    pub out: String,
}

/// How the two runs are compared; the exit status is compared always.
#[derive(Clone, Copy)]
pub enum Compare {
    /// Standard output and the files left behind are equal.
    Exact,
    /// As `Exact`, and standard error too.
    ExactWithStderr,
    /// The lines of standard output are equal after sorting; files are equal.
    Sorted,
    /// Both outputs please a function; nothing is compared.
    Checker(fn(&Output) -> Result<(), String>),
}

/// What is known about a case under the enclave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It passes.
    Pass,
    /// It fails, for this reason.
    Fails(&'static str),
}

/// When a case is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// On every change.
    Quick,
    /// Only with `PROGRAMS_TIER=full`.
    Full,
}

/// What a case does.
#[derive(Clone)]
pub enum Body {
    /// One program, one run.
    Program(Vec<String>),
    /// A script in Rust that starts programs, talks to them and returns a transcript.
    Script(fn(&mut Bench) -> anyhow::Result<String>),
}

/// One entry of the table. In arguments, `{fix}` is the folder of generated input files, `{bin}`
/// that of built programs, `{src}` that of sources, `{run}` the working directory.
#[derive(Clone)]
pub struct Case {
    /// Unique name, `group::name` as a whole once it is in the table.
    pub name: String,
    /// Debian packages it needs.
    pub packages: Vec<&'static str>,
    /// Programs to build first.
    pub builds: Vec<Build>,
    /// What to run.
    pub body: Body,
    /// Standard input: a file, with placeholders; empty for none.
    pub stdin: String,
    /// Added environment.
    pub env: Vec<(&'static str, String)>,
    /// Exit status that the native run must have.
    pub status: i32,
    /// Time limit of the run in the enclave and of the native one.
    pub limit: Duration,
    /// How the runs are compared.
    pub compare: Compare,
    /// Options for `scone run`.
    pub scone: Vec<&'static str>,
    /// What is known.
    pub expect: Expect,
    /// When it runs.
    pub tier: Tier,
}

/// A case that runs `argv` with a limit of 60 s, and expects status 0 and equal output.
#[must_use]
pub fn case(name: &str, argv: &[&str]) -> Case {
    Case::new(name, Body::Program(argv.iter().map(|a| (*a).to_owned()).collect()))
}

/// A case that is a script.
#[must_use]
pub fn script(name: &str, body: fn(&mut Bench) -> anyhow::Result<String>) -> Case {
    Case::new(name, Body::Script(body)).limit(120)
}

impl Case {
    fn new(name: &str, body: Body) -> Self {
        Self {
            name: name.to_owned(),
            packages: Vec::new(),
            builds: Vec::new(),
            body,
            stdin: String::new(),
            env: Vec::new(),
            status: 0,
            limit: Duration::from_secs(60),
            compare: Compare::Exact,
            scone: Vec::new(),
            expect: Expect::Pass,
            tier: Tier::Quick,
        }
    }

    /// Needs this Debian package.
    #[must_use]
    pub fn package(mut self, name: &'static str) -> Self {
        self.packages.push(name);
        self
    }

    /// Needs `{bin}/out`, built from `sources/source`.
    #[must_use]
    pub fn build(mut self, tool: Tool, source: &str, out: &str) -> Self {
        self.packages.extend(tool.package());
        self.builds.push(Build { tool, source: source.to_owned(), out: out.to_owned() });
        self
    }

    /// Reads its standard input from this file.
    #[must_use]
    pub fn stdin(mut self, file: &str) -> Self {
        file.clone_into(&mut self.stdin);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: &'static str, value: &str) -> Self {
        self.env.push((key, value.to_owned()));
        self
    }

    /// Ends with this status natively.
    #[must_use]
    pub fn status(mut self, status: i32) -> Self {
        self.status = status;
        self
    }

    /// May take this many seconds.
    #[must_use]
    pub fn limit(mut self, seconds: u64) -> Self {
        self.limit = Duration::from_secs(seconds);
        self
    }

    /// Order of output lines does not matter.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.compare = Compare::Sorted;
        self
    }

    /// Standard error is compared too.
    #[must_use]
    pub fn with_stderr(mut self) -> Self {
        self.compare = Compare::ExactWithStderr;
        self
    }

    /// Output is judged by a function.
    #[must_use]
    pub fn check(mut self, judge: fn(&Output) -> Result<(), String>) -> Self {
        self.compare = Compare::Checker(judge);
        self
    }

    /// Passes this option to `scone run`.
    #[must_use]
    pub fn scone(mut self, option: &'static str) -> Self {
        self.scone.push(option);
        self
    }

    /// Is known to fail.
    #[must_use]
    pub fn fails(mut self, reason: &'static str) -> Self {
        self.expect = Expect::Fails(reason);
        self
    }

    /// Is heavy.
    #[must_use]
    pub fn full(mut self) -> Self {
        self.tier = Tier::Full;
        self
    }

    /// The command line as a person would type it.
    #[must_use]
    pub fn command_line(&self) -> String {
        match &self.body {
            Body::Program(argv) => argv.join(" "),
            Body::Script(_) => "(script)".to_owned(),
        }
    }
}

impl Tool {
    /// The Debian packages that carry the compiler.
    #[must_use]
    pub fn package(self) -> Option<&'static str> {
        match self {
            Self::MuslStatic | Self::MuslDynamic => Some("musl-tools"),
            Self::Go => Some("golang-go"),
            Self::Javac => Some("openjdk-17-jdk-headless"),
            Self::Rust | Self::RustStatic => None,
            _ => Some("gcc"),
        }
    }
}
