//! `--ephemeral PATH[:SIZE]`

use std::ffi::OsString;
use std::path::{Component, Path};

use launcher::Ephemeral;

use super::size;
use crate::Failure;

/// A path, and a size behind the last colon if it is one; zero for the usual size.
pub(super) fn parse(text: &str) -> Result<Ephemeral, String> {
    let whole = (text, 0);
    let (path, size) = match text.rsplit_once(':') {
        Some((path, size)) if size.starts_with(|c: char| c.is_ascii_digit()) => {
            (path, size::parse(size)?)
        }
        _ => whole,
    };
    let path = Path::new(path);
    let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    if !path.is_absolute() || !path.components().all(plain) || path.parent().is_none() {
        return Err(format!("`{}` is not an absolute path of a directory", path.display()));
    }
    // Without repeated and trailing slashes.
    let path: std::path::PathBuf = path.components().collect();
    Ok(Ephemeral { path: OsString::from(path), size })
}

/// Refuses directories that lie in each other.
pub(super) fn check(all: Vec<Ephemeral>) -> Result<Vec<Ephemeral>, Failure> {
    for (at, one) in all.iter().enumerate() {
        let inner = all
            .iter()
            .enumerate()
            .find(|(other, inner)| at != *other && Path::new(&inner.path).starts_with(&one.path));
        if let Some((_, inner)) = inner {
            let [one, inner] = [one, inner].map(|it| it.path.display().to_string());
            let failure =
                Failure::new(format!("--ephemeral {inner}: it is in {one}"), "give one of them");
            return Err(failure.with_status(Failure::USAGE));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::{check, parse};

    fn parsed(text: &str) -> (String, u64) {
        let it = parse(text).expect(text);
        (it.path.into_string().expect("it was a string"), it.size)
    }

    #[test]
    fn a_size_stands_behind_the_last_colon() {
        assert_eq!(parsed("/tmp"), ("/tmp".into(), 0));
        assert_eq!(parsed("/var//tmp/:64M"), ("/var/tmp".into(), 64 << 20));
        assert_eq!(parsed("/a:b"), ("/a:b".into(), 0));
        for wrong in ["", "tmp", "/", "/a/../b", "/tmp:0", "/tmp:9X", ":64M"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn they_do_not_lie_in_each_other() {
        let all =
            |texts: &[&str]| check(texts.iter().map(|text| parse(text).expect(text)).collect());
        assert!(all(&["/a", "/ab", "/c/d"]).is_ok());
        assert!(all(&["/a", "/a/b"]).is_err());
        assert!(all(&["/a", "/a:1M"]).is_err());
    }
}
