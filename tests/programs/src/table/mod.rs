//! The cases, one file per family.

use crate::case::Case;

mod archives;
mod coreutils;
mod go;
mod hammer;
mod java;
mod media_compilers;
mod memory;
mod node;
mod perl_ruby_lua_php;
mod python;
mod rust_c;
mod servers;
mod shells;
mod sqlite_openssl_curl;
mod storage;
mod stress_ng;
mod terminals;
mod text;

/// All cases; names are `group::case`.
#[must_use]
pub fn all() -> Vec<Case> {
    let groups: [(&str, Vec<Case>); 18] = [
        ("coreutils", coreutils::cases()),
        ("text", text::cases()),
        ("archives", archives::cases()),
        ("shells", shells::cases()),
        ("python", python::cases()),
        ("scripting", perl_ruby_lua_php::cases()),
        ("node", node::cases()),
        ("java", java::cases()),
        ("go", go::cases()),
        ("rust_c", rust_c::cases()),
        ("hammer", hammer::cases()),
        ("libraries", sqlite_openssl_curl::cases()),
        ("storage", storage::cases()),
        ("servers", servers::cases()),
        ("memory", memory::cases()),
        ("media_compilers", media_compilers::cases()),
        ("terminals", terminals::cases()),
        ("stress_ng", stress_ng::cases()),
    ];
    groups
        .into_iter()
        .flat_map(|(group, cases)| {
            cases.into_iter().map(move |mut case| {
                case.name = format!("{group}::{}", case.name);
                case
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique() {
        let all = super::all();
        let names: BTreeSet<&str> = all.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
    }
}
