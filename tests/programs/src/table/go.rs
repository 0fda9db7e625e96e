//! Static programs of Debian's Go: raw system calls, own threads, own signals.

use crate::case::{Case, Tool, case};

pub(super) fn cases() -> Vec<Case> {
    let program = |name: &str| {
        case(name, &[&format!("{{bin}}/go-{name}"), "a", "b"])
            .build(Tool::Go, &format!("go/{name}.go"), &format!("go-{name}"))
            .limit(180)
    };
    vec![program("hello"), program("goroutines"), program("http"), program("files").status(9)]
}
