//! Extended attributes.

use alloc::{vec, vec::Vec};

use enclave_core::{AppPtr, AppSlice, to_usize};
use enclave_hostcalls::{Call, Errno, Wait, misbehaved};

use crate::{
    Sys,
    args::{
        self,
        Arg::{self, Counted, In, Int, Str},
        at_most, forward, forward_zero,
    },
    ephemeral::{self, Spot},
    path::{AT_FDCWD, At, Place, place},
};

/// Most bytes of a value, and of a list of names (`XATTR_SIZE_MAX`, `XATTR_LIST_MAX`).
const SIZE_MAX: u64 = 65536;
/// Longest name (`XATTR_NAME_MAX`).
const NAME_MAX: usize = 255;

/// What has the attributes.
enum Target {
    Path(At),
    Host(u64),
    Memory(Spot),
}

impl Target {
    fn arg(&self) -> Arg<'_> {
        match self {
            Self::Path(at) => Str(&at.path),
            Self::Host(number) => Int(*number),
            Self::Memory(_) => Int(u64::MAX),
        }
    }
}

fn at(sys: &Sys<'_>, follow: bool) -> Result<Target, Errno> {
    match place(AT_FDCWD, sys.args[0], follow)? {
        Place::Host(at) => Ok(Target::Path(at)),
        Place::Memory(spot) => Ok(Target::Memory(spot)),
        Place::Inside(_) => Err(Errno::EOPNOTSUPP),
    }
}

fn path(sys: &Sys<'_>) -> Result<Target, Errno> {
    at(sys, true)
}

fn link(sys: &Sys<'_>) -> Result<Target, Errno> {
    at(sys, false)
}

fn host(sys: &Sys<'_>) -> Result<Target, Errno> {
    let file = args::file(sys.args[0])?;
    if let Some(spot) = ephemeral::opened(&file)? {
        return Ok(Target::Memory(spot));
    }
    file.host().map(|host| Target::Host(host.number())).ok_or(Errno::EOPNOTSUPP)
}

fn name(address: u64) -> Result<Vec<u8>, Errno> {
    match AppPtr::<u8>::new(address).read_cstr(NAME_MAX) {
        Ok(name) if name.is_empty() => Err(Errno::ERANGE),
        Ok(name) => Ok(name),
        Err(enclave_core::CStrError::TooLong) => Err(Errno::ERANGE),
        Err(error) => Err(error.into()),
    }
}

fn set(sys: &Sys<'_>, target: &Target) -> Result<u64, Errno> {
    let [_, attribute, value, size, flags, _] = sys.args;
    let attribute = name(attribute)?;
    if size > SIZE_MAX {
        return Err(Errno::E2BIG);
    }
    let value = AppSlice::new(value, size)?;
    if let Target::Memory(spot) = target {
        return ephemeral::extended::set(spot, &attribute, value, flags);
    }
    let value = In(value);
    let number = sys.regs.orig_rax;
    forward_zero(number, [target.arg(), Str(&attribute), value, Int(size), Int(flags)])
}

/// Where a value goes: with size zero, the host only tells how long it is.
fn output(address: u64, size: u64) -> Result<(Arg<'static>, u64, u64), Errno> {
    let size = size.min(SIZE_MAX);
    if size == 0 {
        return Ok((Int(0), 0, SIZE_MAX));
    }
    Ok((Counted(AppSlice::new(address, size)?), size, size))
}

fn get(sys: &Sys<'_>, target: &Target) -> Result<u64, Errno> {
    let attribute = name(sys.args[1])?;
    if let Target::Memory(spot) = target {
        return ephemeral::extended::get(spot, &attribute, sys.args[2], sys.args[3]);
    }
    let (value, size, limit) = output(sys.args[2], sys.args[3])?;
    let args = [target.arg(), Str(&attribute), value, Int(size)];
    at_most(forward(sys.regs.orig_rax, Wait::No, args)?, limit)
}

fn list(sys: &Sys<'_>, target: &Target) -> Result<u64, Errno> {
    if let Target::Memory(spot) = target {
        return ephemeral::extended::list(spot, sys.args[1], sys.args[2]);
    }
    let [_, address, size, ..] = sys.args;
    let size = size.min(SIZE_MAX);
    let mut call = Call::new(sys.regs.orig_rax, target.arg().room() + size)?;
    let (value, _) = target.arg().stage(&mut call)?;
    if size == 0 {
        return call.args([value, 0, 0]).count(Wait::No, SIZE_MAX);
    }
    let names = AppSlice::new(address, size)?;
    let buffer = call.room(size);
    let count = call.args([value, buffer.address(), size]).count(Wait::No, size)?;
    let mut list = vec![0; to_usize(count)];
    buffer.part(0, count).read_bytes(&mut list);
    check_names(&list);
    names.first(count).write_bytes(&list)?;
    Ok(count)
}

/// Ends the enclave if it is no list of names, each with its NUL.
fn check_names(list: &[u8]) {
    let is_name = |name: &[u8]| (2..=NAME_MAX + 1).contains(&name.len()) && name.ends_with(&[0]);
    if !list.split_inclusive(|&byte| byte == 0).all(is_name) {
        misbehaved("the host misbehaved: names of attributes that cannot be");
    }
}

fn remove(sys: &Sys<'_>, target: &Target) -> Result<u64, Errno> {
    let attribute = name(sys.args[1])?;
    if let Target::Memory(spot) = target {
        return ephemeral::extended::remove(spot, &attribute);
    }
    forward_zero(sys.regs.orig_rax, [target.arg(), Str(&attribute)])
}

pub(crate) fn setxattr(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    set(sys, &path(sys)?)
}

pub(crate) fn lsetxattr(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    set(sys, &link(sys)?)
}

pub(crate) fn fsetxattr(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    set(sys, &host(sys)?)
}

pub(crate) fn getxattr(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    get(sys, &path(sys)?)
}

pub(crate) fn lgetxattr(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    get(sys, &link(sys)?)
}

pub(crate) fn fgetxattr(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    get(sys, &host(sys)?)
}

pub(crate) fn listxattr(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    list(sys, &path(sys)?)
}

pub(crate) fn llistxattr(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    list(sys, &link(sys)?)
}

pub(crate) fn flistxattr(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    list(sys, &host(sys)?)
}

pub(crate) fn removexattr(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    remove(sys, &path(sys)?)
}

pub(crate) fn lremovexattr(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    remove(sys, &link(sys)?)
}

pub(crate) fn fremovexattr(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    remove(sys, &host(sys)?)
}
