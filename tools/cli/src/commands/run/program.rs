//! Finding the program, as a shell does.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::environment;
use crate::Failure;

/// Where programs are looked for when the environment has no PATH.
const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The file to run for the first word of `command`, looked for in the program's own PATH.
pub(super) fn find(command: &[OsString], env: &[OsString]) -> Result<OsString, Failure> {
    let name = command.first().map_or(OsStr::new(""), OsString::as_os_str);
    let candidates = if name.as_bytes().contains(&b'/') {
        vec![PathBuf::from(name)]
    } else {
        let path = environment::value(env, "PATH").unwrap_or(OsStr::new(USUAL_PATH));
        std::env::split_paths(path).map(|folder| folder.join(name)).collect()
    };
    let mut refused = None;
    for candidate in &candidates {
        match check(candidate) {
            Ok(()) => return Ok(candidate.into()),
            Err(Problem::Missing) => {}
            Err(problem) => {
                refused.get_or_insert_with(|| problem.failure(candidate));
            }
        }
    }
    Err(refused.unwrap_or_else(|| Problem::Missing.failure(Path::new(name))))
}

enum Problem {
    Missing,
    Folder,
    NotExecutable,
    Other(std::io::Error),
}

fn check(path: &Path) -> Result<(), Problem> {
    let metadata = std::fs::metadata(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Problem::Missing,
        _ => Problem::Other(e),
    })?;
    if metadata.is_dir() {
        return Err(Problem::Folder);
    }
    access(path, Access::EXEC_OK).map_err(|_| Problem::NotExecutable)
}

impl Problem {
    /// 127 for what is not there, 126 for what cannot be run.
    fn failure(self, path: &Path) -> Failure {
        let path = path.display();
        match self {
            Self::Missing => {
                Failure::new(format!("{path}: not found"), "check the name, or give a path")
                    .with_status(127)
            }
            Self::Folder => {
                Failure::new(format!("{path}: is a directory"), "name a program").with_status(126)
            }
            Self::NotExecutable => {
                Failure::new(format!("{path}: permission denied"), "chmod +x makes it executable")
                    .with_status(126)
            }
            Self::Other(e) => {
                Failure::new(format!("{path}: {e}"), "check the path").with_status(126)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, path: &str) -> Result<OsString, u8> {
        find(&[name.into()], &[format!("PATH={path}").into()]).map_err(|f| f.status)
    }

    #[test]
    fn searches_the_path_of_the_program() {
        assert_eq!(found("true", "/nowhere:/bin"), Ok("/bin/true".into()));
        assert_eq!(found("true", "/nowhere"), Err(127));
        assert_eq!(found("/bin/true", ""), Ok("/bin/true".into()));
        assert_eq!(find(&["true".into()], &[]).ok(), Some("/usr/bin/true".into()));
    }

    #[test]
    fn statuses_are_those_of_a_shell() {
        assert_eq!(found("", "/bin"), Err(126), "the folder itself");
        assert_eq!(found("./none", "/bin"), Err(127));
        assert_eq!(found("/etc/passwd/x", "/bin"), Err(127));
        assert_eq!(found("/etc", "/bin"), Err(126));
        assert_eq!(found("/etc/passwd", "/bin"), Err(126));
    }
}
