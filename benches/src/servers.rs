//! Servers: throughput, processor time per request and latency under native load.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use programs::{fixture, places, servers};
use tempfile::TempDir;

use crate::load::{self, Load};
use crate::report::Better;
use crate::suite::{Metric, Subject, Suite, Turn};
use crate::way::{Way, Ways};

const RATE: Metric = Metric { name: "rate", unit: "thousand requests/s", better: Better::Higher };
const CPU: Metric = Metric { name: "server CPU", unit: "us/request", better: Better::Lower };
const P50: Metric = Metric { name: "p50", unit: "ms", better: Better::Lower };
const P99: Metric = Metric { name: "p99", unit: "ms", better: Better::Lower };

const IDLE: Metric = Metric { name: "idle CPU", unit: "ms/s", better: Better::Lower };
const AFTER_QUIET: Metric = Metric { name: "answer", unit: "us", better: Better::Lower };

/// How long a server without clients is left alone before it is measured, and how long it is then.
const SETTLE: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_secs(4);
/// Seconds of one load by wrk.
const SECONDS: u32 = 1;
/// Turns of a round that do not count: compilers and caches of the servers, and what the runtime finds out about
/// them, settle meanwhile.
const SETTLING: usize = 2;
/// Turns of a round that count.
const TURNS: usize = 4;
/// Connections of a steady load.
const CONNECTIONS: usize = 50;
/// Connections of a rising load.
const RISING: &[usize] = &[1, 2, 4, 8, 16, 32, 64];

/// A server to start: its name, and the words of its command, given a folder of its own and a port.
struct Kind {
    name: &'static str,
    words: fn(&Path, u16) -> Result<Vec<String>>,
    is_static: bool,
}

impl Kind {
    const fn new(name: &'static str, words: fn(&Path, u16) -> Result<Vec<String>>) -> Self {
        Self { name, words, is_static: false }
    }
}

const REDIS: Kind = Kind::new("redis", redis);
const MEMCACHED: Kind = Kind::new("memcached", memcached);
const NGINX: Kind = Kind::new("nginx", nginx);
const LIGHTTPD: Kind = Kind::new("lighttpd", lighttpd);
const APACHE: Kind = Kind::new("apache", apache);
const NODE: Kind = Kind::new("node", node);
const GO: Kind = Kind { is_static: true, ..Kind::new("go", go) };

/// Servers under a steady load.
pub(crate) fn steady(suite: &mut Suite) -> Result<()> {
    prepare()?;
    for command in ["set", "get"] {
        for (connections, pipeline, requests) in
            [(1, 1, 20_000), (50, 1, 60_000), (50, 16, 600_000)]
        {
            let name = format!("redis {command}, c={connections}, P={pipeline}");
            steady_row(suite, &REDIS, &name, &[RATE, CPU, P50, P99], |port| {
                load::redis(port, command, connections, pipeline, requests)
            })?;
        }
    }
    steady_row(suite, &MEMCACHED, "memcached, c=20", &[RATE, CPU], |port| {
        load::memcached(port, 40_000, 20)
    })?;
    for (kind, path, what) in [
        (&NGINX, "index.html", "43 B"),
        (&NGINX, "10k.bin", "10 KiB"),
        (&NGINX, "1m.bin", "1 MiB"),
        (&LIGHTTPD, "index.html", "43 B"),
        (&LIGHTTPD, "10k.bin", "10 KiB"),
        (&APACHE, "index.html", "43 B"),
        (&NODE, "x", "7 B"),
        (&GO, "x", "7 B"),
    ] {
        let name = format!("{}, {what}", kind.name);
        steady_row(suite, kind, &name, &[RATE, CPU, P50, P99], |port| {
            load::wrk(&format!("http://127.0.0.1:{port}/{path}"), CONNECTIONS, SECONDS)
        })?;
    }
    Ok(())
}

/// Servers under a load that rises with its connections.
pub(crate) fn curves(suite: &mut Suite) -> Result<()> {
    prepare()?;
    for kind in [&APACHE, &NGINX, &REDIS] {
        for &connections in RISING {
            let subject = Subject::new("curves", kind.name).at(connections);
            let load = |port| match kind.name {
                "redis" => load::redis(port, "get", connections, 1, 20_000 + 1000 * connections),
                _ => load::wrk(&format!("http://127.0.0.1:{port}/index.html"), connections, 1),
            };
            row(suite, kind, subject, &[RATE, P50], load)?;
        }
    }
    Ok(())
}

/// Servers without clients, and then with one that asks seldom.
pub(crate) fn idle(suite: &mut Suite) -> Result<()> {
    prepare()?;
    for (kind, request) in [(&REDIS, "PING\r\n"), (&NGINX, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")] {
        let subject = Subject::new("idle", kind.name);
        suite.measure(subject, &[IDLE, AFTER_QUIET], |ways, way| {
            let server = Server::start(ways, way, kind)?;
            sleep(SETTLE);
            let before = server.run_time()?;
            sleep(MEASURED);
            let used = server.run_time()? - before;
            let seldom = load::seldom(server.port, request)?;
            server.stop()?;
            // No time at all would leave nothing to compare with.
            Ok(vec![(used * 1e3 / MEASURED.as_secs_f64()).max(1e-3), seldom])
        })?;
    }
    Ok(())
}

fn steady_row(
    suite: &mut Suite,
    kind: &Kind,
    name: &str,
    metrics: &[Metric],
    load: impl Fn(u16) -> Result<Load>,
) -> Result<()> {
    row(suite, kind, Subject::new("servers", name), metrics, load)
}

fn row(
    suite: &mut Suite,
    kind: &Kind,
    subject: Subject<'_>,
    metrics: &[Metric],
    load: impl Fn(u16) -> Result<Load>,
) -> Result<()> {
    let all = if kind.is_static { suite.ways.of_static() } else { suite.ways.all.clone() };
    let sample = |server: &Server| -> Result<Vec<f64>> {
        let before = server.processor_time()?;
        let load = load(server.port)?;
        let used = server.processor_time()? - before;
        Ok(metrics
            .iter()
            .map(|metric| match metric.name {
                "rate" => load.rate,
                "p50" => load.p50,
                "p99" => load.p99,
                _ => used * 1e6 / load.requests,
            })
            .collect())
    };
    suite.measure_in_turn(subject, metrics, |ways| {
        let servers: Vec<Server> =
            all.iter().map(|&way| Server::start(ways, way, kind)).collect::<Result<_>>()?;
        let one_turn = |turn: usize| -> Result<Turn> {
            in_turn(&servers, turn)
                .map(|server| {
                    let context = || format!("{subject}, {} ({})", server.way.name(), ways.model);
                    Ok((server.way, sample(server).with_context(context)?))
                })
                .collect()
        };
        let turns: Vec<Turn> = (0..SETTLING + TURNS).map(one_turn).collect::<Result<_>>()?;
        servers.into_iter().try_for_each(Server::stop)?;
        Ok(turns.into_iter().skip(SETTLING).collect())
    })
}

/// All in an order of this turn: to and fro from a first one that is the next in each turn (first, next, last, the one after
/// next, the last but one, ...), so that nobody is always behind the same other one.
fn in_turn<T>(all: &[T], turn: usize) -> impl Iterator<Item = &T> {
    let count = all.len();
    (0..count).map(move |place| {
        let step = if place % 2 == 1 { place.div_ceil(2) } else { count - place / 2 };
        &all[(turn + step) % count]
    })
}

/// Files to serve.
fn prepare() -> Result<()> {
    fixture::make()?;
    for (name, size) in [("10k.bin", 10 << 10), ("1m.bin", 1 << 20)] {
        let file = places::fixtures().join(name);
        if !file.exists() {
            fs::write(&file, vec![b'x'; size]).with_context(|| format!("{}", file.display()))?;
        }
    }
    Ok(())
}

/// A running server in a folder of its own; killed when dropped.
struct Server {
    way: Way,
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Server {
    fn start(ways: &Ways, way: Way, kind: &Kind) -> Result<Self> {
        let context = || format!("{}, {} ({})", kind.name, way.name(), ways.model);
        Self::start_in(tempfile::Builder::new().prefix("scone-bench-").tempdir()?, ways, way, kind)
            .with_context(context)
    }

    fn start_in(temporary: TempDir, ways: &Ways, way: Way, kind: &Kind) -> Result<Self> {
        let folder = temporary.path();
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut command = ways.command(way, &[], &(kind.words)(folder, port)?);
        let log = fs::File::create(folder.join("log"))?;
        command.current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("start {command:?}"))?;
        let log = folder.join("log");
        let mut server = Self { way, child, port, _folder: temporary };
        server.wait().with_context(|| fs::read_to_string(log).unwrap_or_default())?;
        Ok(server)
    }

    fn wait(&mut self) -> Result<()> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let limit = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            ensure!(self.child.try_wait()?.is_none(), "the server ended at once");
            ensure!(Instant::now() < limit, "the server did not listen within 30 s");
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Seconds of processor time so far, of all threads.
    fn processor_time(&self) -> Result<f64> {
        let path = format!("/proc/{}/stat", self.child.id());
        let text = fs::read_to_string(&path).with_context(|| path.clone())?;
        // Behind the name, which may hold spaces: the state is the first field, utime the twelfth.
        let (_, fields) = text.rsplit_once(')').with_context(|| path.clone())?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |index: usize| -> Result<f64> {
            Ok(fields.get(index).with_context(|| path.clone())?.parse()?)
        };
        Ok((ticks(11)? + ticks(12)?) / 100.0)
    }

    /// Seconds that its threads have run so far, to the nanosecond.
    fn run_time(&self) -> Result<f64> {
        let mut sum = 0.0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let path = thread?.path().join("schedstat");
            let text = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
            let first = text.split_whitespace().next().with_context(|| text.clone())?;
            sum += first.parse::<f64>()?;
        }
        Ok(sum / 1e9)
    }

    fn stop(mut self) -> Result<()> {
        let mut kill = Command::new("kill");
        ensure!(kill.arg(self.child.id().to_string()).status()?.success(), "{kill:?} failed");
        let limit = Instant::now() + Duration::from_secs(10);
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < limit, "the server did not end within 10 s");
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already when all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

fn config(folder: &Path, text: &str) -> Result<String> {
    let file = folder.join("server.conf");
    fs::write(&file, text).with_context(|| format!("{}", file.display()))?;
    Ok(file.to_string_lossy().into_owned())
}

fn redis(_folder: &Path, port: u16) -> Result<Vec<String>> {
    let port = port.to_string();
    Ok(words(["/usr/bin/redis-server", "--bind", "127.0.0.1", "--port", &port, "--save", ""]))
}

fn memcached(_folder: &Path, port: u16) -> Result<Vec<String>> {
    let port = port.to_string();
    let (user, udp) = (["-u", "root"], ["-U", "0"]);
    Ok(words([
        "/usr/bin/memcached",
        user[0],
        user[1],
        "-l",
        "127.0.0.1",
        "-p",
        &port,
        udp[0],
        udp[1],
        "-t",
        "2",
    ]))
}

fn nginx(folder: &Path, port: u16) -> Result<Vec<String>> {
    fs::create_dir_all(folder.join("server-tmp"))?;
    let file = config(folder, &servers::nginx(folder, port, ""))?;
    Ok(words(["/usr/sbin/nginx", "-c", &file]))
}

fn lighttpd(folder: &Path, port: u16) -> Result<Vec<String>> {
    Ok(words(["/usr/sbin/lighttpd", "-D", "-f", &config(folder, &servers::lighttpd(port))?]))
}

fn apache(folder: &Path, port: u16) -> Result<Vec<String>> {
    let file = config(folder, &servers::apache(folder, port))?;
    Ok(words(["/usr/sbin/apache2", "-X", "-f", &file]))
}

fn node(_folder: &Path, port: u16) -> Result<Vec<String>> {
    let script = places::sources().join("js/server.js");
    Ok(words(["/usr/bin/node", &script.to_string_lossy(), &port.to_string()]))
}

fn go(folder: &Path, port: u16) -> Result<Vec<String>> {
    let program = folder.join("server");
    let mut build = Command::new("/usr/bin/go");
    build.env("GOCACHE", places::base().join("go-cache"));
    build.env("CGO_ENABLED", "0").env("GO111MODULE", "off").args(["build", "-o"]);
    build.arg(&program).arg(places::sources().join("go/server.go"));
    ensure!(build.status().context("start go")?.success(), "{build:?} failed");
    Ok(words([&program.to_string_lossy(), &port.to_string()]))
}
