//! Links the verifier at the one place where it runs, as the image is linked.

fn main() {
    let flags = [
        "-nostartfiles",
        "-nostdlib",
        "-static",
        "-no-pie",
        "-Wl,--image-base=0x3f0020000000",
        "-Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code,-z,text",
        "-Wl,--no-dynamic-linker,--build-id=none,--hash-style=gnu",
        "-Wl,-e,_start",
        "-Wl,--no-eh-frame-hdr",
        concat!("-Wl,-T,", env!("CARGO_MANIFEST_DIR"), "/../image/discard.ld"),
    ];
    for flag in flags {
        println!("cargo::rustc-link-arg-bins={flag}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../image/discard.ld");
}
