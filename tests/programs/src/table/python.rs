//! Debian's Python.

use crate::case::{Case, case};
use crate::process::Output;

const PYTHON: &str = "/usr/bin/python3";

pub(super) fn cases() -> Vec<Case> {
    let file = |name: &str, source: &str| {
        case(name, &[PYTHON, &format!("{{src}}/py/{source}.py")]).package("python3").limit(120)
    };
    vec![
        case("hello", &[PYTHON, "-c", "print('hello')"]),
        case(
            "imports",
            &[PYTHON, "-c", "import json, sqlite3, ssl, ctypes, asyncio, decimal; print('ok')"],
        ),
        case(
            "json",
            &[
                PYTHON,
                "-c",
                "import json; d = {str(i): [i, i / 3, None, 'é' * (i % 5)] for i in range(30000)}; s = json.dumps(d, sort_keys=True); print(len(s), json.loads(s) == d)",
            ],
        ),
        case("stdin-script", &[PYTHON, "-"]).stdin("{src}/py/files.py"),
        case("traceback", &[PYTHON, "-c", "def f(n):\n  return 1 // n\nf(0)"])
            .status(1)
            .with_stderr(),
        case("exit-status", &[PYTHON, "-c", "import sys; sys.exit(3)"]).status(3),
        case("abort", &[PYTHON, "-c", "import os; os.abort()"]).status(134),
        file("threads", "threads"),
        file("sqlite", "sqlite"),
        file("ssl", "tls").env("CERT", "{fix}/both.pem"),
        file("ctypes", "foreign"),
        file("asyncio", "aio"),
        file("decimal", "decimals"),
        file("files", "files"),
        file("signals", "signals"),
        file("sockets", "sockets"),
        file("mmap", "maps"),
        file("os-misc", "osmisc"),
        file("cpu-short", "cpu").env("UNITS_OF_WORK", "5"),
        file("cpu", "cpu").env("UNITS_OF_WORK", "50").full(),
        case(
            "unittest",
            &[
                PYTHON,
                "-m",
                "test",
                "-q",
                "test_math",
                "test_json",
                "test_struct",
                "test_re",
                "test_zlib",
            ],
        )
        .package("libpython3.11-testsuite")
        .check(tests_pass)
        .fails("some of them start processes (PROCESSES)")
        .limit(300)
        .full(),
        case(
            "unittest-os",
            &[
                PYTHON,
                "-m",
                "test",
                "-q",
                "test_posix",
                "test_select",
                "test_epoll",
                "test_selectors",
                "test_mmap",
                "test_eintr",
                "test_fileio",
                "test_stat",
            ],
        )
        .package("libpython3.11-testsuite")
        .check(tests_pass)
        .limit(300)
        .full()
        .fails("several of these tests start processes (PROCESSES)"),
        case(
            "unittest-threads",
            &[
                PYTHON,
                "-m",
                "test",
                "-q",
                "test_thread",
                "test_queue",
                "test_contextlib",
                "test_sched",
            ],
        )
        .package("libpython3.11-testsuite")
        .check(tests_pass)
        .limit(300)
        .full()
        .fails("test_thread starts processes (PROCESSES)"),
        case(
            "http-server-module",
            &[
                PYTHON,
                "-c",
                "import http.server, threading, urllib.request as u, functools\nh = functools.partial(http.server.SimpleHTTPRequestHandler, directory='/usr/include')\nh.keywords\nclass Q(http.server.SimpleHTTPRequestHandler):\n  def __init__(s, *a): super().__init__(*a, directory='/usr/include/linux')\n  def log_message(s, *a): pass\ns = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Q)\nthreading.Thread(target=s.serve_forever, daemon=True).start()\nprint(len(u.urlopen(f'http://127.0.0.1:{s.server_port}/fs.h').read()))\ns.shutdown()",
            ],
        ),
    ]
}

fn tests_pass(out: &Output) -> Result<(), String> {
    let text = out.text();
    let good = text.contains("Tests result: SUCCESS")
        || text.contains("All ") && text.contains("tests OK");
    if good { Ok(()) } else { Err(format!("test suite says {:?}", text.lines().last())) }
}
