//! The program's environment.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use crate::Failure;

/// `NAME=VALUE` strings: those of `here` unless `clear`, changed by `wanted` in its order.
pub(super) fn build(
    clear: bool,
    wanted: &[OsString],
    here: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<OsString>, Failure> {
    let here: Vec<_> = here.collect();
    let mut result = if clear { Vec::new() } else { here.clone() };
    for word in wanted {
        let (name, value) = split(word);
        if name.is_empty() {
            let what = format!("--env {}: no name", word.display());
            return Err(Failure::new(what, "give NAME or NAME=VALUE").with_status(Failure::USAGE));
        }
        let value = value
            .map(OsStr::to_owned)
            .or_else(|| here.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone()));
        result.retain(|(n, _)| n != name);
        result.extend(value.map(|value| (name.to_owned(), value)));
    }
    Ok(result.into_iter().map(joined).collect())
}

fn split(word: &OsStr) -> (&OsStr, Option<&OsStr>) {
    let bytes = word.as_bytes();
    match bytes.iter().position(|b| *b == b'=') {
        None => (word, None),
        Some(at) => (OsStr::from_bytes(&bytes[..at]), Some(OsStr::from_bytes(&bytes[at + 1..]))),
    }
}

fn joined((mut name, value): (OsString, OsString)) -> OsString {
    name.push("=");
    name.push(value);
    name
}

/// The value of a variable in `NAME=VALUE` strings.
pub(super) fn value<'a>(env: &'a [OsString], name: &str) -> Option<&'a OsStr> {
    env.iter().map(|word| split(word)).find(|(n, _)| *n == name).and_then(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(clear: bool, wanted: &[&str]) -> Vec<OsString> {
        let here = [("A", "1"), ("B", "2")].map(|(n, v)| (n.into(), v.into()));
        let wanted: Vec<_> = wanted.iter().map(OsString::from).collect();
        build(clear, &wanted, here.into_iter()).expect("well formed")
    }

    #[test]
    fn sets_takes_over_and_clears() {
        assert_eq!(built(false, &[]), ["A=1", "B=2"]);
        assert_eq!(built(false, &["C=3=3", "A="]), ["B=2", "C=3=3", "A="]);
        assert_eq!(built(true, &["B", "C"]), ["B=2"]);
        assert_eq!(value(&built(true, &["X=y=z"]), "X"), Some(OsStr::new("y=z")));
    }

    #[test]
    fn a_variable_has_a_name() {
        let refused = build(true, &["=x".into()], std::iter::empty()).expect_err("no name");
        assert_eq!(refused.status, 2);
    }
}
