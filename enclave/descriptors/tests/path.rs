//! Paths by their letters.

use enclave_descriptors::path::{join, normal};
use proptest::prelude::*;

fn text(path: &str) -> String {
    String::from_utf8_lossy(&normal(path.as_bytes())).into_owned()
}

#[test]
fn dots_and_slashes_vanish() {
    for (path, wanted) in [
        ("/", ""),
        ("//proc///self/", "/proc/self"),
        ("/proc/./self/.", "/proc/self"),
        ("/a/../proc/x/../self", "/proc/self"),
        ("/../../proc", "/proc"),
        ("/..a/.b/c..", "/..a/.b/c.."),
    ] {
        assert_eq!(text(path), wanted, "{path}");
    }
    assert_eq!(join(b"/proc", b"self/maps"), b"/proc/self/maps");
}

proptest! {
    #[test]
    fn a_normal_path_stays_as_it_is(path in "(/[./a-c]{0,6}){0,8}") {
        let once = normal(path.as_bytes());
        prop_assert_eq!(normal(&once), once.clone());
        prop_assert!(!once.windows(2).any(|pair| pair == b"//"));
    }
}
