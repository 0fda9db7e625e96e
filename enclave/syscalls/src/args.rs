//! Arguments of the program, and how they are handed on to the host.

use alloc::{sync::Arc, vec::Vec};

use enclave_core::{AppPtr, AppSlice, HostSlice};
use enclave_files::{OpenFile, table};
use enclave_hostcalls::{Call, Errno, Wait, misbehaved};

/// Longest path in bytes, without its NUL.
const PATH_LIMIT: usize = 4095;

/// The open file behind a descriptor of the program.
pub(crate) fn file(fd: u64) -> Result<Arc<OpenFile>, Errno> {
    table().get(fd)
}

/// A path of the program.
pub(crate) fn path(address: u64) -> Result<Vec<u8>, Errno> {
    Ok(AppPtr::<u8>::new(address).read_cstr(PATH_LIMIT)?)
}

/// The low half of an argument as the `int` that it is.
pub(crate) fn int(arg: u64) -> i32 {
    u32::try_from(arg & 0xffff_ffff).unwrap_or(0).cast_signed()
}

/// The low half of an argument as the `unsigned int` that it is.
pub(crate) fn uint(arg: u64) -> u64 {
    arg & 0xffff_ffff
}

/// Memory of the program at an argument that may be null.
pub(crate) fn optional(address: u64, len: u64) -> Result<Option<AppSlice>, Errno> {
    if address == 0 { Ok(None) } else { Ok(Some(AppSlice::new(address, len)?)) }
}

/// An argument of a call to the host.
#[derive(Clone, Copy)]
pub(crate) enum Arg<'a> {
    /// A number.
    Int(u64),
    /// A string; the host gets it with a NUL.
    Str(&'a [u8]),
    /// Memory of the program that the host reads.
    In(AppSlice),
    /// Memory of the program that the host fills.
    Out(AppSlice),
    /// Memory of the program that the host fills with as many bytes as it returns.
    Counted(AppSlice),
    /// Memory of the program that the host reads and changes.
    InOut(AppSlice),
    /// As [`Self::Out`], or null.
    MaybeOut(Option<AppSlice>),
    /// As [`Self::In`], or null.
    MaybeIn(Option<AppSlice>),
}

use Arg::{Counted, In, InOut, Int, MaybeIn, MaybeOut, Out, Str};

impl Arg<'_> {
    pub(crate) fn room(&self) -> u64 {
        match self {
            Int(_) | MaybeOut(None) | MaybeIn(None) => 0,
            Str(string) => (string.len() as u64 + 1).next_multiple_of(8),
            In(slice) | Out(slice) | Counted(slice) | InOut(slice) => {
                slice.len().next_multiple_of(8)
            }
            MaybeOut(Some(slice)) | MaybeIn(Some(slice)) => slice.len().next_multiple_of(8),
        }
    }

    /// Stages it; returns its value for the host and its buffer.
    pub(crate) fn stage(&self, call: &mut Call) -> Result<(u64, Option<HostSlice>), Errno> {
        let buffer = match *self {
            Int(value) => return Ok((value, None)),
            MaybeOut(None) | MaybeIn(None) => return Ok((0, None)),
            Str(string) => return Ok((call.cstr(string), None)),
            Out(slice) | Counted(slice) | MaybeOut(Some(slice)) => call.room(slice.len()),
            In(slice) | InOut(slice) | MaybeIn(Some(slice)) => {
                let buffer = call.room(slice.len());
                buffer.write_app(slice)?;
                buffer
            }
        };
        Ok((buffer.address(), Some(buffer)))
    }

    /// Copies what the host left in the buffer.
    fn collect(&self, buffer: HostSlice, result: u64) -> Result<(), Errno> {
        match *self {
            Out(slice) | InOut(slice) | MaybeOut(Some(slice)) => buffer.read_app(slice)?,
            Counted(slice) => {
                if result > slice.len() {
                    misbehaved("the host misbehaved: it returned more than was asked for");
                }
                buffer.part(0, result).read_app(slice.first(result))?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Makes a call to the host, with copies of what the arguments name.
///
/// # Errors
///
/// Those of the host, `EFAULT`.
pub(crate) fn forward<const N: usize>(
    number: u64,
    wait: Wait,
    args: [Arg<'_>; N],
) -> Result<u64, Errno> {
    let mut call = Call::new(number, args.iter().map(Arg::room).sum())?;
    let mut buffers = [None; N];
    for (index, arg) in args.iter().enumerate() {
        let (value, buffer) = arg.stage(&mut call)?;
        call.arg(index, value);
        buffers[index] = buffer;
    }
    let result = call.run(wait)?;
    for (arg, buffer) in args.iter().zip(buffers) {
        if let Some(buffer) = buffer {
            arg.collect(buffer, result)?;
        }
    }
    Ok(result)
}

/// As [`forward`], for calls that return zero and do not wait.
pub(crate) fn forward_zero<const N: usize>(number: u64, args: [Arg<'_>; N]) -> Result<u64, Errno> {
    zero(forward(number, Wait::No, args)?)
}

/// Checks that a result is zero.
pub(crate) fn zero(result: u64) -> Result<u64, Errno> {
    at_most(result, 0)
}

/// Checks that a result is at most `limit`.
pub(crate) fn at_most(result: u64, limit: u64) -> Result<u64, Errno> {
    if result > limit {
        misbehaved("the host misbehaved: it returned more than was asked for");
    }
    Ok(result)
}
