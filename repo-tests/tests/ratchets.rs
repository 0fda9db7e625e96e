//! Counts that may only go down: `repo-tests/ratchet.toml` holds them.

use xtask::ratchet::Tables;

fn tables() -> (Tables, Tables) {
    (Tables::measure().expect("countable"), Tables::recorded().expect("written down"))
}

#[test]
fn nothing_has_grown() {
    let (measured, recorded) = tables();
    let grown = measured.above(&recorded);
    assert!(grown.is_empty(), "these may only go down:\n{}", grown.join("\n"));
}

/// What has fallen is written down, so that it does not rise again unnoticed.
#[test]
fn what_has_fallen_is_written_down() {
    let (measured, recorded) = tables();
    let fallen = recorded.above(&measured);
    assert!(fallen.is_empty(), "run cargo xtask ratchet:\n{}", fallen.join("\n"));
}
