//! `scone sign`

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use measure::{Claims, Date, SigningKey};
use zerocopy::IntoBytes as _;

use crate::image::{Image, layout, read};
use crate::{Failure, output};

/// Signs the enclave: writes a SIGSTRUCT for `scone run --sigstruct`
///
/// Makes your key first, where there is none:
///
///   scone sign --generate-key --key my.pem --out my.sig
#[derive(Args)]
pub(crate) struct Sign {
    /// Private key: RSA with 3072 bits and exponent 3, PEM
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Makes a new key in the file given as --key, which must not exist
    #[arg(long)]
    generate_key: bool,
    /// Where the SIGSTRUCT goes
    #[arg(long, value_name = "FILE", required_unless_present = "generate_key")]
    out: Option<PathBuf>,
    /// Product id, which tells apart the enclaves of one signer
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    product: u16,
    /// Security version; later ones may use what earlier ones have sealed
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    svn: u16,
    /// Signs for debugging: the memory of such an enclave can be read by anybody
    #[arg(long)]
    debug: bool,
    /// Build date in seconds since 1970, for reproducible files
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH")]
    date: Option<u64>,
    #[command(flatten)]
    image: Image,
}

impl Sign {
    pub(crate) fn execute(&self) -> Result<ExitCode, Failure> {
        let key = if self.generate_key { self.generate()? } else { self.load()? };
        let Some(out) = &self.out else {
            return output::text_line(&format!("MRSIGNER {}", key.mrsigner()));
        };
        let image = self.image.bytes()?;
        let layout = layout(&image, self.debug)?;
        let claims = Claims {
            isv_prod_id: self.product,
            isv_svn: self.svn,
            ..Claims::for_layout(&layout, self.date()?)
        };
        let sigstruct = key.sign(&claims).map_err(|e| {
            Failure::new(format!("cannot sign: {e}"), "scone sign --generate-key makes a key")
        })?;
        std::fs::write(out, sigstruct.as_bytes()).map_err(|e| Failure::file(out, &e))?;
        let signer = key.mrsigner();
        output::text_line(&format!("MRENCLAVE {}\nMRSIGNER {signer}", claims.mrenclave))
    }

    fn load(&self) -> Result<SigningKey, Failure> {
        let pem = String::from_utf8_lossy(&read(&self.key)?).into_owned();
        SigningKey::from_pem(&pem).map_err(|e| {
            let what = format!("{}: {e}", self.key.display());
            Failure::new(what, "scone sign --generate-key makes a key that fits")
        })
    }

    fn generate(&self) -> Result<SigningKey, Failure> {
        // The file first: making the key takes long, and must not be for nothing.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.key)
            .map_err(|e| Failure::file(&self.key, &e))?;
        let made = SigningKey::generate().and_then(|key| Ok((key.to_pkcs8_pem()?, key)));
        let (pem, key) = made.map_err(|e| Failure::new(e.to_string(), "try again"))?;
        file.write_all(pem.as_bytes()).map_err(|e| Failure::file(&self.key, &e))?;
        Ok(key)
    }

    fn date(&self) -> Result<Date, Failure> {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let seconds = self.date.unwrap_or_else(now);
        let advice = "give seconds since 1970, before the year 10000";
        Date::from_unix(seconds).ok_or_else(|| Failure::new(format!("--date {seconds}"), advice))
    }
}

/// Reads a SIGSTRUCT that [`Sign`] wrote.
pub(crate) fn read_sigstruct(path: &Path) -> Result<sgx_types::Sigstruct, Failure> {
    use zerocopy::FromBytes as _;
    let bytes = read(path)?;
    let expected = size_of::<sgx_types::Sigstruct>();
    sgx_types::Sigstruct::read_from_bytes(&bytes).map_err(|_| {
        let what = format!("{}: {} bytes instead of {expected}", path.display(), bytes.len());
        Failure::new(what, "give a SIGSTRUCT as scone sign writes it")
    })
}
