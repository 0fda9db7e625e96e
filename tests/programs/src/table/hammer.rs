//! Our own programs that hammer futexes, memory and signals from many threads; each checks its
//! own results and prints `ok`.

use crate::case::{Case, Tool, case};

pub(super) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (source, quick, full) in [
        ("futex", "4", "40"),
        ("maps", "4", "40"),
        ("signals", "4", "40"),
        ("faults", "2", "20"),
        ("yield", "1", "10"),
        ("churn", "2", "20"),
    ] {
        for (link, tool) in [("gcc", Tool::Gcc), ("musl-static", Tool::MuslStatic)] {
            let out = format!("hammer-{source}-{link}");
            let program = format!("{{bin}}/{out}");
            let entry = |name: String, rounds: &str| {
                case(&name, &[&program, rounds])
                    .build(tool, &format!("c/hammer_{source}.c"), &out)
                    .limit(240)
            };
            all.push(entry(format!("{source}-{link}"), quick));
            if tool == Tool::Gcc {
                all.push(entry(format!("{source}-{link}-long"), full).full());
            }
        }
    }
    all
}
