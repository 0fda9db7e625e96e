//! The enclave, from the image to EINIT.

use std::sync::Arc;

use backend::{Backend, Enclave, Source};
use backend_emu::EmuBackend;
use backend_sgx::SgxBackend;
use measure::{Coverage, ImageOptions, image_layout};
use sgx_types::{SecInfo, Sigstruct};
use zerocopy::FromBytes;

use crate::{BackendChoice, LaunchError, Options};

/// The machine on which the enclave runs.
pub(crate) fn machine(options: &Options) -> Result<Box<dyn Backend>, LaunchError> {
    match options.backend {
        BackendChoice::Sgx => hardware(),
        BackendChoice::Emulator => emulator(options),
        BackendChoice::Auto => hardware().or_else(|_| emulator(options)),
    }
}

/// The processor, if it can change the pages of a running enclave: the runtime needs that.
fn hardware() -> Result<Box<dyn Backend>, LaunchError> {
    let missing = |what: &dyn ToString| LaunchError::NoBackend(what.to_string());
    let machine = SgxBackend::open().map_err(|error| missing(&error))?;
    if machine.capabilities().edmm {
        Ok(Box::new(machine))
    } else {
        Err(missing(&"the processor or its driver cannot add pages to a running enclave (EDMM)"))
    }
}

fn emulator(options: &Options) -> Result<Box<dyn Backend>, LaunchError> {
    EmuBackend::new(options.cost_model.clone())
        .map(|emulator| Box::new(emulator) as Box<dyn Backend>)
        .map_err(|error| LaunchError::NoBackend(error.to_string()))
}

/// Creates and fills the enclave.
pub(crate) fn enclave(
    machine: &dyn Backend,
    options: &Options,
) -> Result<Arc<dyn Enclave>, LaunchError> {
    let xfrm = machine.capabilities().xfrm;
    let image_options = ImageOptions { debug: options.debug, xfrm };
    let layout = image_layout(enclave_image::IMAGE, image_options)
        .map_err(|error| LaunchError::Image(error.to_string()))?;
    let created = machine.create(&layout.params().secs())?;
    let enclave = match options.tamper {
        Some(tamper) => tamper.enclave(created),
        None => created,
    };
    for region in layout.regions() {
        let source = match region.bytes() {
            Some(bytes) => Source::Bytes(bytes),
            None => Source::Zero(region.len()),
        };
        let extended = region.coverage == Coverage::Extended;
        enclave.add_pages(region.offset, &SecInfo::new(region.flags), source, extended)?;
    }
    Ok(enclave)
}

/// Initialises it.
pub(crate) fn initialise(enclave: &dyn Enclave, options: &Options) -> Result<(), LaunchError> {
    Ok(enclave.init(&sigstruct(options)?)?)
}

/// The user's SIGSTRUCT, or for a debug enclave the one that was made with the image.
fn sigstruct(options: &Options) -> Result<Sigstruct, LaunchError> {
    let bytes = match &options.sigstruct {
        Some(bytes) => bytes.as_slice(),
        None if options.debug => enclave_image::DEVELOPMENT_SIGSTRUCT,
        None => return Err(LaunchError::NoSignature),
    };
    Sigstruct::read_from_bytes(bytes).map_err(|_| LaunchError::BadSignature(bytes.len()))
}
