//! Why each crate from outside is trusted with the enclave. A crate without a reason here cannot
//! become part of it: `cargo xtask tcb` fails, and so does the test that TCB.md is current.

/// Name of the crate, and why it is inside.
pub const LINKED: &[(&str, &str)] = &[
    ("bitflags", "flags of pages, mappings and signals as types; no code of its own at run time"),
    (
        "iced-x86",
        "decodes the program's instructions for the rewriter; a decoder of our own would be worse tested",
    ),
    ("lazy_static", "tables of iced-x86, without std"),
    ("lock_api", "the traits by which talc takes a lock"),
    ("allocator-api2", "the allocator traits that talc implements"),
    (
        "memchr",
        "finds the bytes of system call instructions in mapped code; string tables of object",
    ),
    ("object", "reads ELF headers, program headers and dynamic sections"),
    ("scopeguard", "guards of lock_api"),
    ("spin", "the locks of lazy_static"),
    ("talc", "the runtime's own heap"),
    ("zerocopy", "checked views of plain-data structures, instead of casts of our own"),
];

/// Crates that only run while the image is built: macros and build scripts.
pub const BUILDING: &[(&str, &str)] = &[
    ("autocfg", "lock_api asks which features the compiler has"),
    ("proc-macro2", "tokens for the derive macros of zerocopy"),
    ("quote", "output of the derive macros of zerocopy"),
    ("syn", "input of the derive macros of zerocopy"),
    ("unicode-ident", "identifiers for proc-macro2"),
    ("zerocopy-derive", "proves at build time which structures are plain data"),
];

/// The reason in `table` for `name`.
#[must_use]
pub fn of(table: &[(&'static str, &'static str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(n, _)| *n == name).map(|(_, reason)| *reason)
}
