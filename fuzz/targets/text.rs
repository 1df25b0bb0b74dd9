#![no_main]
//! Terms and calls as text: whatever is read is the same after it has been shown.

use libfuzzer_sys::fuzz_target;
use peerl_term::text::Syntax;

fuzz_target!(|text: &str| {
    for syntax in [Syntax::Erlang, Syntax::Elixir] {
        if let Ok(term) = syntax.parse(text) {
            let shown = syntax.display(&term).to_string();
            // Pids, ports, references and funs are shown, and not read.
            if let Ok(again) = syntax.parse(&shown) {
                assert_eq!(again, term, "{shown}");
            }
        }
        let _ = syntax.parse_call(text).map_err(|error| error.to_string());
        let _ = syntax.parse_template(text).map_err(|error| error.to_string());
    }
    let _ = Syntax::detect_call(text);
});
