//! What `scone` says: its help, and its answers to bad input.

#[test]
fn texts() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}
