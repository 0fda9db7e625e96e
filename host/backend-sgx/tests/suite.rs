//! The suite of all backends: `cargo test -p backend-sgx -- --ignored` on a machine with SGX.

backend::suite_tests!(
    [#[ignore = "needs a processor with SGX"]]
    backend_sgx::SgxBackend::open().expect("this machine runs enclaves")
);
