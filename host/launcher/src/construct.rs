//! The enclave, from the image to EINIT.

use std::sync::Arc;

use backend::{Backend, Enclave, Source};
use backend_emu::EmuBackend;
use measure::{Claims, Date, ImageOptions, SigningKey, image_layout};
use sgx_types::SecInfo;

use crate::{LaunchError, Options};

/// The machine on which the enclave runs.
pub(crate) fn machine(options: &Options) -> Result<Box<dyn Backend>, LaunchError> {
    EmuBackend::new(options.cost_model.clone())
        .map(|emulator| Box::new(emulator) as Box<dyn Backend>)
        .map_err(|error| LaunchError::NoBackend(error.to_string()))
}

/// Creates, fills and initialises the enclave.
pub(crate) fn enclave(
    machine: &dyn Backend,
    options: &Options,
) -> Result<Arc<dyn Enclave>, LaunchError> {
    let xfrm = machine.capabilities().xfrm;
    let image_options = ImageOptions { debug: options.debug, xfrm };
    let layout = image_layout(enclave_image::IMAGE, image_options)
        .map_err(|error| LaunchError::Image(error.to_string()))?;
    let enclave = machine.create(&layout.params().secs())?;
    for region in layout.regions() {
        let source = match region.bytes() {
            Some(bytes) => Source::Bytes(bytes),
            None => Source::Zero(region.len()),
        };
        enclave.add_pages(region.offset, &SecInfo::new(region.flags), source, region.measured)?;
    }
    let sign = || {
        let date = Date::new(2026, 1, 1).ok_or("the date is not one")?;
        let key = SigningKey::development().map_err(|error| error.to_string())?;
        key.sign(&Claims::for_layout(&layout, date)).map_err(|error| error.to_string())
    };
    enclave.init(&sign().map_err(LaunchError::Sign)?)?;
    Ok(enclave)
}
