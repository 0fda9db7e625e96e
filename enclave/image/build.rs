//! Links the image as a static PIE that needs nothing of anybody.

fn main() {
    let flags = [
        "-nostartfiles",
        "-nostdlib",
        "-static-pie",
        "-Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code,-z,text",
        "-Wl,--no-dynamic-linker,--build-id=none,--hash-style=gnu",
        "-Wl,-e,_start",
        "-Wl,--no-eh-frame-hdr",
        concat!("-Wl,-T,", env!("CARGO_MANIFEST_DIR"), "/discard.ld"),
    ];
    for flag in flags {
        println!("cargo::rustc-link-arg-bins={flag}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=discard.ld");
}
