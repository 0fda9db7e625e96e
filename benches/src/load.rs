//! Native load on a server: one number of connections, bounded, and what the generator says.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::stats::Spread;

/// Time between requests that are seldom, and how many there are.
const QUIET: Duration = Duration::from_millis(20);
const SELDOM: usize = 100;

/// What a load came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    /// Requests answered.
    pub(crate) requests: f64,
    /// Thousand requests per second.
    pub(crate) rate: f64,
    /// Median latency in milliseconds.
    pub(crate) p50: f64,
    /// 99th percentile of the latency in milliseconds.
    pub(crate) p99: f64,
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("start {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{command:?}: {}: {text}", output.status);
    Ok(text)
}

/// `wrk` for `seconds` over `connections` kept-alive connections.
pub(crate) fn wrk(url: &str, connections: usize, seconds: u32) -> Result<Load> {
    let threads = connections.min(2);
    let mut command = Command::new("/usr/bin/wrk");
    command.args(["--latency", &format!("-t{threads}"), &format!("-c{connections}")]);
    command.args([format!("-d{seconds}s"), url.to_owned()]);
    let text = output(&mut command)?;
    ensure!(!text.contains("Non-2xx"), "{command:?}: {text}");
    read_wrk(&text).with_context(|| format!("cannot read what wrk says: {text}"))
}

fn read_wrk(text: &str) -> Option<Load> {
    let after = |start: &str| text.lines().find_map(|l| l.trim().strip_prefix(start));
    let latency = |start| milliseconds(after(start)?.trim());
    let requests = text.lines().find_map(|l| l.trim().split_once(" requests in "))?.0;
    Some(Load {
        requests: requests.parse().ok()?,
        rate: after("Requests/sec:")?.trim().parse::<f64>().ok()? / 1e3,
        p50: latency("50%")?,
        p99: latency("99%")?,
    })
}

/// `12.3us`, `1.2ms` or `1.2s`.
fn milliseconds(text: &str) -> Option<f64> {
    let (number, factor) = [("us", 1e-3), ("ms", 1.0), ("s", 1e3)]
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    Some(number.parse::<f64>().ok()? * factor)
}

/// `redis-benchmark` with `requests` of one command.
pub(crate) fn redis(
    port: u16,
    command: &str,
    connections: usize,
    pipeline: usize,
    requests: usize,
) -> Result<Load> {
    let mut benchmark = Command::new("/usr/bin/redis-benchmark");
    benchmark.args(["-p", &port.to_string(), "-t", command, "--csv"]);
    benchmark.args(["-c", &connections.to_string(), "-P", &pipeline.to_string()]);
    benchmark.args(["-n", &requests.to_string()]);
    let text = output(&mut benchmark)?;
    read_redis(&text, requests).with_context(|| format!("cannot read {text:?}"))
}

/// Columns: test, requests per second, latencies: average, least, p50, p95, p99, most.
fn read_redis(text: &str, requests: usize) -> Option<Load> {
    let cells: Vec<&str> = text.lines().nth(1)?.split(',').map(|c| c.trim_matches('"')).collect();
    let cell = |index: usize| cells.get(index)?.parse::<f64>().ok();
    Some(Load { requests: requests as f64, rate: cell(1)? / 1e3, p50: cell(4)?, p99: cell(6)? })
}

/// Microseconds until a server answers a request that comes after [`QUIET`]: the median of many.
pub(crate) fn seldom(port: u16, request: &str) -> Result<f64> {
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut answer = [0; 4096];
    let times: Result<Vec<f64>> = (0..SELDOM)
        .map(|_| {
            sleep(QUIET);
            let began = Instant::now();
            connection.write_all(request.as_bytes())?;
            ensure!(connection.read(&mut answer)? > 0, "the server has closed the connection");
            Ok(began.elapsed().as_secs_f64() * 1e6)
        })
        .collect();
    Ok(Spread::of(times?).median)
}

/// Sets and gets on a Memcached; it tells no latencies.
pub(crate) fn memcached(port: u16, operations: usize, connections: usize) -> Result<Load> {
    let load =
        programs::client::memcached(port, operations, connections, Duration::from_secs(120))?;
    Ok(Load { requests: load.answered as f64, rate: load.rate / 1e3, ..Load::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_wrk() {
        let text = "  Latency Distribution\n     50%  390.00us\n     75%    1.00ms\n     99%    1.02s\n  \
                    81022 requests in 2.00s, 66.30MB read\nRequests/sec:  40511.25\n";
        let load = read_wrk(text).unwrap();
        assert_eq!((load.requests, load.rate), (81022.0, 40.51125));
        assert_eq!((load.p50, load.p99), (0.39, 1020.0));
    }

    #[test]
    fn reads_redis() {
        let text = "\"test\",\"rps\",\"avg\",\"min\",\"p50\",\"p95\",\"p99\",\"max\"\n\
                    \"SET\",\"66666.67\",\"0.4\",\"0.1\",\"0.391\",\"0.6\",\"0.703\",\"1.1\"\n";
        let load = read_redis(text, 1000).unwrap();
        assert_eq!((load.p50, load.p99, load.requests), (0.391, 0.703, 1000.0));
        assert!((load.rate - 66.66667).abs() < 1e-9);
    }
}
