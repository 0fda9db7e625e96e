//! Small programs of our own in C and Rust, linked in every way there is.

use crate::case::{C_LINKS, Case, Tool, case};

pub(super) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for source in ["hello", "mixed"] {
        for (link, tool) in C_LINKS {
            let out = format!("{source}-{link}");
            all.push(
                case(&format!("c-{out}"), &[&format!("{{bin}}/{out}"), "one", "two words", ""])
                    .build(tool, &format!("c/{source}.c"), &out)
                    .env("SOME_VALUE", "value")
                    .stdin("{fix}/table.csv"),
            );
        }
    }
    for (link, tool) in [("dynamic", Tool::Rust), ("static", Tool::RustStatic)] {
        let out = format!("rust-{link}");
        all.push(case(&out, &[&format!("{{bin}}/{out}"), "argument"]).build(
            tool,
            "rs/work.rs",
            &out,
        ));
        let out = format!("rust-panic-{link}");
        all.push(
            case(&out, &[&format!("{{bin}}/{out}")]).build(tool, "rs/panic.rs", &out).status(101),
        );
    }
    all.push(case("raw", &["{bin}/raw", "x"]).build(Tool::GccBare, "c/raw.c", "raw").status(17));
    all
}
