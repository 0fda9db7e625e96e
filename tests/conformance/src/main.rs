//! `conformance`: lists and runs the groups of system call checks.

fn main() -> anyhow::Result<std::process::ExitCode> {
    programs::cli::main(conformance::cases()?)
}
