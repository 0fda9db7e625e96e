//! sqlite3, openssl and curl: Debian's command-line programs of well-known libraries.

use std::fs;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use crate::case::{Case, case, script};
use crate::process::Output;
use crate::scripted::Bench;
use crate::table::servers::nginx_config;

const SQLITE: &str = "/usr/bin/sqlite3";
const OPENSSL: &str = "/usr/bin/openssl";

pub(super) fn cases() -> Vec<Case> {
    let rows = |n: &str| {
        format!(
            "create table t(id integer primary key, k text, v real); \
             with recursive c(x) as (select 1 union all select x + 1 from c where x < {n}) \
             insert into t select x, 'key' || (x % 977), x / 7.0 from c; \
             create index i on t(k); select count(*), round(sum(v), 2), max(k) from t where k like 'key1%'; \
             update t set v = v * 2 where id % 3 = 0; delete from t where id % 5 = 0; \
             select count(*), round(sum(v), 2) from t; vacuum; pragma integrity_check; drop table t;"
        )
    };
    vec![
        case("sqlite-memory", &[SQLITE, ":memory:", &rows("100000")]).package("sqlite3"),
        case("sqlite-file", &[SQLITE, "data.db", &rows("100000")]),
        case("sqlite-wal", &[SQLITE, "data.db", "pragma journal_mode=wal", &rows("50000")]),
        case("sqlite-million", &[SQLITE, "data.db", &rows("1000000")]).limit(180).full(),
        case("openssl-version", &[OPENSSL, "version"]),
        case("openssl-digest", &[OPENSSL, "dgst", "-sha512", "{fix}/big.bin"]),
        case(
            "openssl-encrypt",
            &[
                OPENSSL,
                "enc",
                "-aes-256-ctr",
                "-K",
                &"ab".repeat(32),
                "-iv",
                &"12".repeat(16),
                "-in",
                "{fix}/big.bin",
                "-out",
                "sealed",
            ],
        ),
        case("openssl-x509", &[OPENSSL, "x509", "-in", "{fix}/cert.pem", "-noout", "-text"]),
        case("openssl-genrsa", &[OPENSSL, "genrsa", "2048"]).check(|out| {
            let text = out.text();
            if text.contains("BEGIN PRIVATE KEY") { Ok(()) } else { Err(format!("no key: {text}")) }
        }),
        case(
            "openssl-speed",
            &[OPENSSL, "speed", "-seconds", "1", "-bytes", "16384", "-evp", "aes-256-gcm"],
        )
        .check(speeds),
        script("openssl-s-server", s_server),
        script("openssl-s-client", s_client),
        script("curl", curl).package("curl").package("nginx-light"),
        script("wget-by-busybox", busybox_wget).package("busybox-static").package("nginx-light"),
    ]
}

fn speeds(out: &Output) -> Result<(), String> {
    let text = out.text();
    let rate = text.lines().find(|line| line.to_uppercase().starts_with("AES-256-GCM"));
    match rate.and_then(|line| line.split_whitespace().nth(1)) {
        Some(rate) if rate.trim_end_matches('k').parse::<f64>().is_ok_and(|r| r > 1000.0) => Ok(()),
        _ => Err(format!("no rate in {text:?}")),
    }
}

/// The server runs under the enclave, the client natively.
fn s_server(bench: &mut Bench) -> Result<String> {
    let port = bench.free_port()?;
    let accept = port.to_string();
    let arguments = [
        "s_server",
        "-accept",
        &accept,
        "-cert",
        "{fix}/cert.pem",
        "-key",
        "{fix}/key.pem",
        "-WWW",
        "-quiet",
    ];
    let mut argv = vec![OPENSSL];
    argv.extend(arguments);
    bench.write("page.html", "a page over TLS\n".repeat(10_000))?;
    let mut server = bench.start(&argv)?;
    server.wait_port(port)?;
    let mut sizes = Vec::new();
    for _ in 0..10 {
        let url = format!("https://127.0.0.1:{port}/page.html");
        let got = bench.native(&[
            "/usr/bin/curl",
            "-s",
            "--http0.9",
            "--cacert",
            "{fix}/cert.pem",
            &url,
        ])?;
        sizes.push(got.stdout.len().to_string());
    }
    server.stop(Signal::TERM)?;
    Ok(sizes.join(" "))
}

/// The client runs under the enclave, the server natively.
fn s_client(bench: &mut Bench) -> Result<String> {
    let port = bench.free_port()?;
    let accept = port.to_string();
    let mut server = bench.start_native(&[
        OPENSSL,
        "s_server",
        "-accept",
        &accept,
        "-cert",
        "{fix}/cert.pem",
        "-key",
        "{fix}/key.pem",
        "-www",
        "-quiet",
    ])?;
    server.wait_port(port)?;
    let to = format!("127.0.0.1:{port}");
    let mut transcript = String::new();
    for version in ["-tls1_2", "-tls1_3"] {
        let out = bench.run(&[
            OPENSSL,
            "s_client",
            "-connect",
            &to,
            "-CAfile",
            "{fix}/cert.pem",
            version,
            "-brief",
        ])?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        let Some(line) = said.lines().find(|l| l.contains("Verification")) else {
            bail!("s_client says {said:?}")
        };
        transcript += &format!("{version} {:?} {line}\n", out.status);
    }
    server.stop(Signal::TERM)?;
    Ok(transcript)
}

fn web_server(bench: &mut Bench) -> Result<(crate::scripted::Server, u16, u16)> {
    let (port, tls) = (bench.free_port()?, bench.free_port()?);
    let config = nginx_config(bench, port, tls)?;
    let mut server = bench.start_native(&["/usr/sbin/nginx", "-c", &config])?;
    server.wait_port(port)?;
    Ok((server, port, tls))
}

fn curl(bench: &mut Bench) -> Result<String> {
    let (server, port, tls) = web_server(bench)?;
    let mut transcript = String::new();
    for (name, url) in [
        ("small", format!("http://127.0.0.1:{port}/index.html")),
        ("big", format!("http://127.0.0.1:{port}/big.bin")),
        ("name", format!("http://localhost:{port}/index.html")),
        ("tls", format!("https://localhost:{tls}/big.bin")),
        ("missing", format!("http://127.0.0.1:{port}/missing")),
    ] {
        let argv = [
            "/usr/bin/curl",
            "-sS",
            "-4",
            "--cacert",
            "{fix}/cert.pem",
            "-o",
            name,
            "-w",
            "%{http_code} %{size_download}",
            &url,
        ];
        let out = bench.run(&argv)?;
        transcript += &format!(
            "{name} {:?} {} {}\n",
            out.status,
            out.text(),
            String::from_utf8_lossy(&out.stderr)
        );
    }
    let refused = bench.run(&["/usr/bin/curl", "-s", "http://127.0.0.1:1/"])?;
    transcript += &format!("refused {:?}\n", refused.status);
    server.stop(Signal::QUIT)?;
    tidy(bench)?;
    Ok(transcript)
}

fn busybox_wget(bench: &mut Bench) -> Result<String> {
    let (server, port, _) = web_server(bench)?;
    let out = bench.run(&[
        "/bin/busybox",
        "wget",
        "-q",
        "-O",
        "got",
        &format!("http://127.0.0.1:{port}/big.bin"),
    ])?;
    server.stop(Signal::QUIT)?;
    tidy(bench)?;
    Ok(format!("{:?}", out.status))
}

/// Removes what differs from run to run: the configuration with its ports, and logs.
pub(super) fn tidy(bench: &Bench) -> Result<()> {
    for entry in fs::read_dir(bench.dir())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("server") {
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }
                .with_context(|| format!("remove {}", path.display()))?;
        }
    }
    Ok(())
}
