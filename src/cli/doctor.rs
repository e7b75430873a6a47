//! `sealbox doctor`: what keeps this box from sealing, or will.

use std::fmt::Write;

use serde_json::json;

use super::{Answer, Exit, Refusal};
use crate::config::Config;
use crate::doctor::{Check, Verdict, examine};

/// Looks at everything.
///
/// # Errors
/// If something has to be mended before sealing can work; all of it is in the error.
pub fn answer(config: &Config) -> Result<Answer, Refusal> {
    let checks = examine(config);
    let worst = checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok);
    let text = text(&checks);
    match worst {
        Verdict::Ok | Verdict::Warning => {
            Ok(Answer { json: json!({ "verdict": worst, "checks": checks }), text })
        }
        Verdict::Stop => {
            let mut refusal = Refusal::new(Exit::Failed, text, "mend what says stop");
            refusal.more = serde_json::to_value(&checks).ok().map(|checks| ("checks", checks));
            Err(refusal)
        }
    }
}

fn text(checks: &[Check]) -> String {
    let mut text = String::new();
    for Check { of, verdict, found, mend } in checks {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:<8} {of}: {found}", verdict.word());
        if !mend.is_empty() {
            let _ = writeln!(text, "         {mend}");
        }
    }
    text
}
