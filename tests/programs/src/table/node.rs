//! Debian's Node.js.

use crate::case::{Case, case};

const NODE: &str = "/usr/bin/node";

pub(super) fn cases() -> Vec<Case> {
    let file = |name: &str| {
        case(name, &[NODE, &format!("{{src}}/js/{name}.js")]).package("nodejs").limit(120)
    };
    vec![
        case("hello", &[NODE, "-e", "console.log('hello')"]).package("nodejs"),
        case(
            "no-jit",
            &[
                NODE,
                "--jitless",
                "-e",
                "let s = 0; for (let i = 0; i < 1e6; i++) s += i % 7; console.log(s)",
            ],
        ),
        case("error", &[NODE, "-e", "process.exitCode = 3; console.log(process.argv.length)"])
            .status(3),
        file("http"),
        file("crypto"),
        file("workers").sorted(),
        file("files").sorted(),
        file("compute"),
    ]
}
