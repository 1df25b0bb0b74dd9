#![no_main]
//! What says how peers are found: strategies, names of nodes, and rules of removal.

use libfuzzer_sys::fuzz_target;
use peerl_discovery::spec::split_specs;
use peerl_discovery::{Identity, NodeName, Removal, Spec};

fuzz_target!(|text: &str| {
    for spec in split_specs(text) {
        if let Ok(spec) = spec.parse::<Spec>() {
            let shown = spec.to_string();
            let again = shown.parse::<Spec>().unwrap_or_else(|error| panic!("{shown}: {error}"));
            assert_eq!(again.to_string(), shown);
            let _ = spec.build().map_err(|error| error.to_string());
        }
    }
    if let Ok(name) = text.parse::<NodeName>() {
        assert_eq!(name.to_string().parse::<NodeName>().as_ref(), Ok(&name));
    }
    if let Ok(removal) = text.parse::<Removal>() {
        assert_eq!(
            removal.to_string().parse::<Removal>().map(|removal| removal.to_string()).ok(),
            Some(removal.to_string())
        );
    }
    let _ = text.parse::<Identity>();
});
