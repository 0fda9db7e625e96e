//! `scone inspect`

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use measure::{Coverage, Layout, Region, verify_sigstruct};
use serde::Serialize;
use sgx_types::{AttributeFlags, SecInfoFlags};

use crate::commands::sign::read_sigstruct;
use crate::image::{Image, layout};
use crate::{Failure, output};

/// Shows what an enclave consists of, or what a SIGSTRUCT says
#[derive(Args)]
pub(crate) struct Inspect {
    /// A SIGSTRUCT that `scone sign` wrote; without it, the enclave image is shown
    #[arg(conflicts_with = "path")]
    sigstruct: Option<PathBuf>,
    #[command(flatten)]
    image: Image,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct ImageReport {
    mrenclave: String,
    size: u64,
    pages: u64,
    attributes: String,
    regions: Vec<RegionReport>,
}

#[derive(Serialize)]
struct RegionReport {
    offset: u64,
    pages: u64,
    /// `REG`, `TCS` and so on.
    page_type: String,
    permissions: String,
    /// `extended` by EEXTEND, `verified` by the enclave, or `no`.
    measured: &'static str,
}

#[derive(Serialize)]
struct SigstructReport {
    mrenclave: String,
    mrsigner: String,
    /// As yyyymmdd.
    date: String,
    product: u16,
    svn: u16,
    attributes: String,
    /// XFRM that the machine must offer, in hexadecimal.
    xfrm: String,
    /// Bits of XFRM that are compared, in hexadecimal.
    xfrm_mask: String,
}

impl Inspect {
    pub(crate) fn execute(&self) -> Result<ExitCode, Failure> {
        match &self.sigstruct {
            Some(path) => self.show(&SigstructReport::read(path)?, SigstructReport::render),
            None => {
                let image = self.image.bytes()?;
                self.show(&ImageReport::new(&layout(&image, false)?), ImageReport::render)
            }
        }
    }

    fn show<T: Serialize>(
        &self,
        report: &T,
        render: fn(&T) -> String,
    ) -> Result<ExitCode, Failure> {
        if self.json { output::json(report) } else { output::text_line(&render(report)) }
    }
}

impl ImageReport {
    fn new(layout: &Layout<'_>) -> Self {
        let params = layout.params();
        Self {
            mrenclave: layout.measure().to_string(),
            size: params.size,
            pages: layout.page_count(),
            attributes: attribute_names(params.attributes.flags),
            regions: layout.regions().iter().map(RegionReport::new).collect(),
        }
    }

    fn render(&self) -> String {
        let Self { mrenclave, size, pages, attributes, regions } = self;
        let mut text = format!("MRENCLAVE   {mrenclave}\nELRANGE     0 to {size:#x}\n");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "attributes  {attributes}\npages       {pages}\n");
        let _ = write!(text, "{:>16} {:>7}  type  permissions  measured", "address", "pages");
        for RegionReport { offset, pages, page_type, permissions, measured } in regions {
            let _ = write!(
                text,
                "\n{offset:>16x} {pages:>7}  {page_type:4}  {permissions:11}  {measured}"
            );
        }
        text
    }
}

impl RegionReport {
    fn new(region: &Region<'_>) -> Self {
        let Region { offset, pages, flags, coverage, .. } = *region;
        let page_type = flags.page_type().map_or_else(|| "?".to_owned(), |t| format!("{t:?}"));
        let letters = [(SecInfoFlags::R, 'r'), (SecInfoFlags::W, 'w'), (SecInfoFlags::X, 'x')];
        let letter = |(flag, letter)| if flags.contains(flag) { letter } else { '-' };
        let permissions = letters.map(letter).iter().collect();
        let measured = match coverage {
            Coverage::Extended => "extended",
            Coverage::Verified => "verified",
            Coverage::Uncovered => "no",
        };
        Self { offset, pages, page_type: page_type.to_uppercase(), permissions, measured }
    }
}

/// The names of the attributes that are set.
fn attribute_names(flags: AttributeFlags) -> String {
    let names: Vec<_> = flags.iter_names().map(|(name, _)| name).collect();
    names.join(" ")
}

impl SigstructReport {
    fn read(path: &Path) -> Result<Self, Failure> {
        let sigstruct = read_sigstruct(path)?;
        let verified = verify_sigstruct(&sigstruct).map_err(|e| {
            Failure::new(format!("{}: {e}", path.display()), "sign the enclave again")
        })?;
        Ok(Self {
            mrenclave: verified.mrenclave().to_string(),
            mrsigner: verified.mrsigner().to_string(),
            date: format!("{:08x}", verified.date),
            product: verified.isv_prod_id,
            svn: verified.isv_svn,
            attributes: attribute_names(verified.attributes.flags),
            xfrm: format!("{:#x}", verified.attributes.xfrm.bits()),
            xfrm_mask: format!("{:#x}", verified.attribute_mask.xfrm.bits()),
        })
    }

    fn render(&self) -> String {
        let Self { mrenclave, mrsigner, date, product, svn, attributes, xfrm, xfrm_mask } = self;
        format!(
            "MRENCLAVE         {mrenclave}\nMRSIGNER          {mrsigner}\n\
             date              {date}\nproduct id        {product}\n\
             security version  {svn}\nattributes        {attributes}\n\
             XFRM              {xfrm} under mask {xfrm_mask}\nsignature         valid"
        )
    }
}
