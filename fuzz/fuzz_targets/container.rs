//! v8 containers from anywhere.
#![no_main]

use epf::Container;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(container) = Container::read(bytes) {
        let again = Container::read(&container.write()).expect("what we write can be read");
        assert_eq!(again.entries().len(), container.entries().len());
    }
    let _ = epf::processor::module_text(bytes);
});
