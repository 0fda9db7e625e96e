//! The emulator passes the suite of all backends.

backend::suite_tests!(
    backend_emu::EmuBackend::new(backend_emu::CostModel::off()).expect("this machine can emulate")
);
