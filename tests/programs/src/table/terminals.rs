//! Interactive programs on a pseudo-terminal, which `script` makes and feeds.

use anyhow::{Result, ensure};

use crate::case::{Case, script};
use crate::scripted::Bench;

pub(super) fn cases() -> Vec<Case> {
    let on_terminal = |name, body| script(name, body).env("TERM", "xterm").limit(60);
    vec![
        on_terminal("python-repl", |b| {
            converse(
                b,
                &["/usr/bin/python3", "-q"],
                "print(6 * 7 * 1000)\nimport sys; print(sys.stdin.isatty(), 'ab' * 3)\nexit()\n",
                &["42000", "True ababab"],
            )
        }),
        on_terminal("less", |b| {
            converse(b, &["/usr/bin/less", "{fix}/index.html"], "q", &["hello from a file"])
        })
        .package("less"),
        on_terminal("bash", |b| {
            converse(
                b,
                &["/bin/bash", "--norc", "-i"],
                "echo $((6 * 7)) is the answer\nexit 0\n",
                &["42 is the answer"],
            )
        }),
        on_terminal("sqlite3", |b| {
            converse(b, &["/usr/bin/sqlite3"], "select (6 * 7) || ' rows';\n.quit\n", &["42 rows"])
        })
        .package("sqlite3"),
        on_terminal("stty", |b| converse(b, &["/usr/bin/stty", "-a"], "", &["icanon", "speed"])),
        on_terminal("tty-colours", |b| {
            converse(b, &["/usr/bin/ls", "--color=auto", "-d", "/usr"], "", &["\x1b[0m"])
        }),
    ]
}

/// Types `input` to a program on a terminal; everything in `expected` must be on the screen.
fn converse(bench: &mut Bench, argv: &[&str], input: &str, expected: &[&str]) -> Result<String> {
    let output = bench.run_on_terminal(argv, input)?;
    let screen = output.text();
    for text in expected {
        ensure!(screen.contains(text), "{text:?} is not in {screen:?}");
    }
    Ok(format!("status {:?}", output.status))
}
