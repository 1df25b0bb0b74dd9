//! Node names that no other test uses.

use std::sync::atomic::{AtomicU32, Ordering};

/// Gives `stem_PID_N`: a name (without host) that no other fixture on this machine has.
pub fn unique_name(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{stem}_{}_{number}", std::process::id())
}
