//! Every group of system call checks as a test of its own.

fn main() -> anyhow::Result<std::process::ExitCode> {
    Ok(programs::harness::main(conformance::cases()?))
}
