//! Why an operation is refused.

/// Why an operation is refused; each is an error number of Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// `ENOENT`: there is no such name.
    NotFound,
    /// `EEXIST`: the name is in use.
    Exists,
    /// `ENOTDIR`: it is no directory.
    NotDirectory,
    /// `EISDIR`: it is a directory.
    IsDirectory,
    /// `ENOTEMPTY`: the directory has entries.
    NotEmpty,
    /// `ENOSPC`: the limit is reached.
    NoSpace,
    /// `ENAMETOOLONG`: a name has more than 255 bytes.
    NameTooLong,
    /// `ELOOP`: too many symbolic links.
    Loop,
    /// `EXDEV`: the path leads out of where it must stay.
    Escapes,
    /// `EACCES`: the permissions do not allow it.
    Denied,
    /// `EPERM`: it is somebody else's.
    NotPermitted,
    /// `EINVAL`: it makes no sense.
    Invalid,
    /// `EFBIG`: longer than a file can be.
    TooBig,
    /// `ENXIO`: there is no data or no hole behind the offset.
    NoData,
    /// `ENODATA`: there is no such attribute.
    NoAttribute,
}
