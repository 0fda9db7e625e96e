//! Our own programs that hammer futexes, memory, signals and calls of all kinds from many threads,
//! some of them on one, two and four enclave threads; each checks its own results and prints `ok`.

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
        ("many", "1", "10"),
        ("mixed", "5", "300"),
    ] {
        for (link, tool) in [("gcc", Tool::Gcc), ("musl-static", Tool::MuslStatic)] {
            let out = format!("hammer-{source}-{link}");
            let program = format!("{{bin}}/{out}");
            let entry = |name: String, rounds: &str| {
                case(&name, &[&program, rounds])
                    .build(tool, &format!("c/hammer_{source}.c"), &out)
                    .limit(400)
            };
            all.push(entry(format!("{source}-{link}"), quick));
            if tool == Tool::Gcc {
                all.push(entry(format!("{source}-{link}-long"), full).full());
            }
        }
    }
    for (source, rounds) in [("futex", "2"), ("churn", "2"), ("mixed", "5"), ("turns", "1")] {
        for threads in ["--threads=1", "--threads=2", "--threads=4"] {
            let out = format!("hammer-{source}-gcc");
            let name =
                format!("{source}-gcc-{}", threads.trim_start_matches("--").replace('=', "-"));
            all.push(
                case(&name, &[&format!("{{bin}}/{out}"), rounds])
                    .build(Tool::Gcc, &format!("c/hammer_{source}.c"), &out)
                    .scone(threads)
                    .limit(120),
            );
        }
    }
    all
}
