//! Every case of the table as a test of its own.

fn main() -> std::process::ExitCode {
    programs::harness::main(programs::table::all())
}
