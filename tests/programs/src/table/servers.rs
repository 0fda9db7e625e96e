//! Servers under the enclave on loopback, driven natively, always with a bound, ended by signal
//! or by their own command.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::sqlite_openssl_curl::tidy;
use crate::case::{Case, Tool, script};
use crate::scripted::Bench;
use crate::{client, places, servers};

pub(super) fn cases() -> Vec<Case> {
    let redis = |name, body| script(name, body).package("redis-server").package("redis-tools");
    let nginx = |name, body| script(name, body).package("nginx-light").package("curl");
    // There, calls are posted, and answers asked for before they are wanted.
    let dear = |case: Case| case.scone("--cost-model=skylake-mitigated");
    vec![
        redis("redis-commands", redis_commands),
        redis("redis-benchmark", |b| redis_benchmark(b, 20_000)),
        redis("redis-benchmark-200k", |b| redis_benchmark(b, 200_000)).limit(600).full(),
        script("memcached", |b| memcached(b, 10_000)).package("memcached"),
        script("memcached-200k", |b| memcached(b, 200_000)).package("memcached").limit(600).full(),
        nginx("nginx", |b| nginx_load(b, 5_000)),
        dear(redis("redis-where-exits-are-dear", |b| redis_benchmark(b, 20_000))),
        dear(
            script("memcached-where-exits-are-dear", |b| memcached(b, 10_000)).package("memcached"),
        ),
        dear(nginx("nginx-where-exits-are-dear", |b| nginx_load(b, 5_000))),
        dear(script("lighttpd-where-exits-are-dear", |b| lighttpd(b, 5_000)).package("lighttpd")),
        nginx("nginx-100k", |b| nginx_load(b, 100_000)).limit(600).full(),
        nginx("nginx-wrk", nginx_wrk).package("wrk").full(),
        script("lighttpd", |b| lighttpd(b, 5_000)).package("lighttpd"),
        script("apache2", |b| apache(b, 2_000)).package("apache2-bin"),
        script("python-asyncio", python).package("python3"),
        script("node-http", node).package("nodejs"),
        script("go-http", go).build(Tool::Go, "go/server.go", "go-server"),
        script("java-http", java)
            .build(Tool::Javac, "java/Server.java", "Server.classes")
            .package("openjdk-17-jre-headless"),
        script("c-epoll", |b| own(b, "echo-gcc", 2)).build(Tool::Gcc, "c/server.c", "echo-gcc"),
        dear(script("c-epoll-where-exits-are-dear", |b| own(b, "echo-gcc", 1)).build(
            Tool::Gcc,
            "c/server.c",
            "echo-gcc",
        )),
        script("c-epoll-musl-static", |b| own(b, "echo-musl", 2)).build(
            Tool::MuslStatic,
            "c/server.c",
            "echo-musl",
        ),
    ]
}

fn redis_start(bench: &mut Bench) -> Result<(crate::scripted::Server, String)> {
    let port = bench.free_port()?;
    let config = bench.write(
        "server.conf",
        format!(
            "bind 127.0.0.1\nport {port}\ndir {}\nappendonly yes\nappendfsync everysec\nsave \"\"\n\
             auto-aof-rewrite-percentage 0\nappenddirname server-aof\nio-threads 1\n",
            bench.dir().display()
        ),
    )?;
    let mut server = bench.start(&["/usr/bin/redis-server", &config])?;
    server.wait_port(port)?;
    Ok((server, port.to_string()))
}

fn redis_commands(bench: &mut Bench) -> Result<String> {
    let (mut server, port) = redis_start(bench)?;
    let mut transcript = String::new();
    for command in [
        "SET k v",
        "GET k",
        "INCRBY n 41",
        "INCR n",
        "LPUSH l a b c",
        "LRANGE l 0 -1",
        "HSET h f 1 g 2",
        "HGETALL h",
        "ZADD z 1 a 2 b 0.5 c",
        "ZRANGE z 0 -1 WITHSCORES",
        "SADD s x y",
        "SCARD s",
        "EXPIRE k 100",
        "TTL n",
        "EVAL return{KEYS[1],ARGV[1]+1} 1 key 41",
        "SETRANGE r 100000 end",
        "STRLEN r",
        "PFADD p a b c",
        "PFCOUNT p",
        "XADD x 1-1 f v",
        "XLEN x",
        "DBSIZE",
        "NOSUCH",
        "CONFIG GET appendonly",
    ] {
        let mut argv = vec!["/usr/bin/redis-cli", "-p", &port];
        argv.extend(command.split(' '));
        transcript += &format!("{command}: {}", bench.native(&argv)?.text());
    }
    let _ = bench.native(&["/usr/bin/redis-cli", "-p", &port, "SHUTDOWN", "SAVE"])?;
    transcript += &format!("ended {}\n", server.join()?);
    ensure!(bench.dir().join("dump.rdb").exists(), "no dump was written");
    fs::remove_file(bench.dir().join("dump.rdb"))?;
    let (mut server, port) = redis_start(bench)?;
    transcript +=
        &redis_loaded(bench, &["/usr/bin/redis-cli", "-p", &port, "LRANGE", "l", "0", "-1"])?;
    let _ = bench.native(&["/usr/bin/redis-cli", "-p", &port, "SHUTDOWN", "NOSAVE"])?;
    transcript += &format!("ended {}\n", server.join()?);
    tidy(bench)?;
    Ok(transcript)
}

/// What the server answers once it has loaded its data: it listens before.
fn redis_loaded(bench: &mut Bench, query: &[&str]) -> Result<String> {
    loop {
        let answer = bench.native(query)?.text();
        if !answer.starts_with("LOADING") {
            return Ok(answer);
        }
    }
}

fn redis_benchmark(bench: &mut Bench, requests: usize) -> Result<String> {
    let (mut server, port) = redis_start(bench)?;
    let n = requests.to_string();
    let csv = bench
        .native(&[
            "/usr/bin/redis-benchmark",
            "-p",
            &port,
            "-n",
            &n,
            "-c",
            "50",
            "-t",
            "set,get,incr,lpush",
            "--csv",
        ])?
        .text();
    let mut seen = Vec::new();
    for line in csv.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').map(|c| c.trim_matches('"')).collect();
        let rate: f64 = cells.get(1).context("no rate")?.parse()?;
        ensure!(rate > 0.0, "rate {rate} of {line:?}");
        bench.note(cells[0], rate);
        seen.push(cells[0].to_owned());
    }
    let _ = bench.native(&["/usr/bin/redis-cli", "-p", &port, "SHUTDOWN", "NOSAVE"])?;
    let ended = server.join()?;
    let aof = fs::read_dir(bench.dir().join("server-aof"))?
        .filter_map(Result::ok)
        .filter_map(|e| e.metadata().ok())
        .map(|m| m.len())
        .sum::<u64>();
    ensure!(aof as usize > requests * 30, "the append-only file has only {aof} bytes");
    tidy(bench)?;
    Ok(format!("{} ended {ended}", seen.join(" ")))
}

fn memcached(bench: &mut Bench, operations: usize) -> Result<String> {
    let port = bench.free_port()?;
    let p = port.to_string();
    let mut server = bench.start(&[
        "/usr/bin/memcached",
        "-u",
        "root",
        "-l",
        "127.0.0.1",
        "-p",
        &p,
        "-U",
        "0",
        "-t",
        "4",
        "-m",
        "64",
    ])?;
    server.wait_port(port)?;
    let load = client::memcached(port, operations, 20, bench.left())?;
    bench.note("operations/s", load.rate);
    let ended = server.stop(Signal::TERM)?;
    Ok(format!("{} operations, ended {ended}", load.answered))
}

/// A configuration that keeps everything in the working directory, with TLS on a second port.
pub(super) fn nginx_config(bench: &Bench, port: u16, tls: u16) -> Result<String> {
    let fix = places::fixtures();
    let fix = fix.display();
    fs::create_dir_all(bench.dir().join("server-tmp"))?;
    let more = format!(
        "    listen 127.0.0.1:{tls} ssl;\n    ssl_certificate {fix}/cert.pem;\n    \
         ssl_certificate_key {fix}/key.pem;\n    location /list/ {{ alias {fix}/tree/; autoindex on; }}\n"
    );
    bench.write("server.conf", servers::nginx(bench.dir(), port, &more))
}

fn nginx_load(bench: &mut Bench, requests: usize) -> Result<String> {
    let (port, tls) = (bench.free_port()?, bench.free_port()?);
    let config = nginx_config(bench, port, tls)?;
    let mut server = bench.start(&["/usr/sbin/nginx", "-c", &config])?;
    server.wait_port(port)?;
    let big = fs::read(places::fixtures().join("big.bin"))?;
    for _ in 0..5 {
        ensure!(client::get(port, "/big.bin")? == big, "the big file differs");
    }
    let small = fs::read(places::fixtures().join("index.html"))?;
    let load = client::get_many(port, "/index.html", &small, requests, 20, bench.left())?;
    bench.note("requests/s", load.rate);
    let list = client::get(port, "/missing").err().map(|e| format!("{e:#}")).unwrap_or_default();
    let url = format!("https://localhost:{tls}/big.bin");
    for _ in 0..5 {
        let got =
            bench.native(&["/usr/bin/curl", "-sS", "-4", "--cacert", "{fix}/cert.pem", &url])?;
        ensure!(got.stdout == big, "the big file differs over TLS");
    }
    let ended = server.stop(Signal::QUIT)?;
    let log = fs::read_to_string(bench.dir().join("server-error.log"))?;
    ensure!(!log.contains("[alert]") && !log.contains("[emerg]"), "nginx logs {log:?}");
    tidy(bench)?;
    Ok(format!("{} requests; {list}; ended {ended}", load.answered))
}

fn nginx_wrk(bench: &mut Bench) -> Result<String> {
    let (port, tls) = (bench.free_port()?, bench.free_port()?);
    let config = nginx_config(bench, port, tls)?;
    let mut server = bench.start(&["/usr/sbin/nginx", "-c", &config])?;
    server.wait_port(port)?;
    let url = format!("http://127.0.0.1:{port}/index.html");
    let told = bench.native(&["/usr/bin/wrk", "-t2", "-c50", "-d10s", &url])?.text();
    let rate = told.lines().find_map(|l| l.strip_prefix("Requests/sec:")).context("no rate")?;
    bench.note("requests/s", rate.trim().parse()?);
    ensure!(!told.contains("Non-2xx"), "wrk says {told}");
    let ended = server.stop(Signal::QUIT)?;
    tidy(bench)?;
    Ok(format!("ended {ended}"))
}

fn lighttpd(bench: &mut Bench, requests: usize) -> Result<String> {
    let port = bench.free_port()?;
    let config = bench.write("server.conf", servers::lighttpd(port))?;
    let mut server = bench.start(&["/usr/sbin/lighttpd", "-D", "-f", &config])?;
    server.wait_port(port)?;
    web_load(bench, port, requests)?;
    // With connections that are just being closed it ends with 1, natively too.
    let ended = server.stop(Signal::TERM)?;
    ensure!(ended == 0 || ended == 1, "lighttpd ended with {ended}");
    tidy(bench)?;
    Ok("ended".to_owned())
}

fn web_load(bench: &mut Bench, port: u16, requests: usize) -> Result<()> {
    let big = fs::read(places::fixtures().join("big.bin"))?;
    for _ in 0..3 {
        ensure!(client::get(port, "/big.bin")? == big, "the big file differs");
    }
    let small = fs::read(places::fixtures().join("index.html"))?;
    let load = client::get_many(port, "/index.html", &small, requests, 10, bench.left())?;
    bench.note("requests/s", load.rate);
    Ok(())
}

fn apache(bench: &mut Bench, requests: usize) -> Result<String> {
    let port = bench.free_port()?;
    let config = bench.write("server.conf", servers::apache(bench.dir(), port))?;
    let mut server = bench.start(&["/usr/sbin/apache2", "-X", "-f", &config])?;
    server.wait_port(port)?;
    web_load(bench, port, requests)?;
    // Ended while it closes connections, it crashes now and then, natively too.
    sleep(Duration::from_millis(300));
    let ended = server.stop(Signal::TERM)?;
    tidy(bench)?;
    Ok(format!("ended {ended}"))
}

fn python(bench: &mut Bench) -> Result<String> {
    let port = bench.free_port()?;
    let mut server = bench.start(&["/usr/bin/python3", "{src}/py/server.py", &port.to_string()])?;
    server.wait_port(port)?;
    let load = client::get_many(port, "/x", b"path /x\n", 4_000, 16, bench.left())?;
    bench.note("requests/s", load.rate);
    Ok(format!("{} ended {}", load.answered, server.stop(Signal::TERM)?))
}

fn node(bench: &mut Bench) -> Result<String> {
    let port = bench.free_port()?;
    let mut server = bench.start(&["/usr/bin/node", "{src}/js/server.js", &port.to_string()])?;
    server.wait_port(port)?;
    let load = client::get_many(port, "/x", b"path /x\n", 4_000, 16, bench.left())?;
    bench.note("requests/s", load.rate);
    Ok(format!("{} ended {}", load.answered, server.stop(Signal::TERM)?))
}

fn go(bench: &mut Bench) -> Result<String> {
    let port = bench.free_port()?;
    let mut server = bench.start(&["{bin}/go-server", &port.to_string()])?;
    server.wait_port(port)?;
    let load = client::get_many(port, "/x", b"path /x\n", 8_000, 16, bench.left())?;
    bench.note("requests/s", load.rate);
    Ok(format!("{} ended {}", load.answered, server.stop(Signal::TERM)?))
}

fn java(bench: &mut Bench) -> Result<String> {
    let port = bench.free_port()?;
    let p = port.to_string();
    let mut server =
        bench.start(&["/usr/bin/java", "-Xmx256m", "-cp", "{bin}/Server.classes", "Server", &p])?;
    server.wait_port(port)?;
    let load = client::get_many(port, "/x", b"path /x\n", 640, 16, bench.left())?;
    bench.note("requests/s", load.rate);
    Ok(format!("{} ended {}", load.answered, server.stop(Signal::TERM)?))
}

fn own(bench: &mut Bench, program: &str, threads: u32) -> Result<String> {
    let port = bench.free_port()?;
    let program = format!("{{bin}}/{program}");
    let mut server = bench.start(&[&program, &port.to_string(), &threads.to_string()])?;
    server.wait_port(port)?;
    let limit = bench.left().min(Duration::from_secs(60));
    let load = client::get_many(port, "/x", b"path /x\n", 20_000, 40, limit)?;
    bench.note("requests/s", load.rate);
    let with_ends = client::get_with_ends(port, "/x", b"path /x\n", 200)?;
    let answered = load.answered + with_ends;
    Ok(format!("{answered} ended {}", server.stop(Signal::TERM)?))
}
