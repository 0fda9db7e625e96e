//! `programs`: lists, installs and runs the acceptance cases.

fn main() -> anyhow::Result<std::process::ExitCode> {
    programs::cli::main(programs::table::all())
}
