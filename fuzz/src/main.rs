//! The fuzzer, for the target that `FUZZ_TARGET` names.
#![no_main]

use std::sync::OnceLock;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();
    let run = TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let names: Vec<&str> = fuzz::ALL.iter().map(|(name, _)| *name).collect();
        fuzz::target(&name).unwrap_or_else(|| panic!("FUZZ_TARGET is {name:?}; there are {}", names.join(", ")))
    });
    run(bytes);
});
