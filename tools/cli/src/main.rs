//! `scone`.
fn main() {}
