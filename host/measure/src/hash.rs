//! The two identities of an enclave: what it is, and who signed it.

use std::{fmt, str::FromStr};

/// Defines a SHA-256 value that prints as, and parses from, 64 hexadecimal digits.
macro_rules! identity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; 32]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseHashError;

            fn from_str(text: &str) -> Result<Self, ParseHashError> {
                parse(text).map(Self)
            }
        }
    };
}

identity! {
    /// MRENCLAVE: SHA-256 over how the enclave was built.
    MrEnclave
}

identity! {
    /// MRSIGNER: SHA-256 of the little-endian modulus of the signer's key.
    MrSigner
}

/// Text that is no SHA-256 value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a hash of 64 hexadecimal digits")]
pub struct ParseHashError(String);

fn parse(text: &str) -> Result<[u8; 32], ParseHashError> {
    let error = || ParseHashError(text.to_owned());
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(error());
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = str::from_utf8(pair).map_err(|_| error())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| error())?;
    }
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trip() {
        let hash = MrEnclave(std::array::from_fn(|i| u8::try_from(i * 7).unwrap()));
        let text = hash.to_string();
        assert!(text.starts_with("00070e15"));
        assert_eq!(text.parse(), Ok(hash));
        assert_eq!(text.to_uppercase().parse(), Ok(hash));
    }

    #[test]
    fn refuses_what_is_no_hash() {
        let good = "00".repeat(32);
        for bad in [&good[1..], &format!("{good}0"), &good.replacen("00", "+1", 1), "", "é"] {
            assert_eq!(bad.parse::<MrSigner>(), Err(ParseHashError(bad.to_owned())));
        }
    }
}
