//! What an operator sees and presses, in a real browser against the built program.

#[path = "../support/browser.rs"]
mod browser;
mod follow;
mod look;
mod pictures;
mod press;
#[path = "../support/mod.rs"]
mod support;

use serde_json::json;
use support::Lab;

/// A simulated box whose phases take long enough to be seen.
fn seen(top: &str, more: &str) -> Lab {
    let phases: String = (1..=6).map(|phase| format!("p{phase}_ms = 400\n")).collect();
    let text = format!("auto_pledge = 0\n{top}\n[engine]\nkind = \"simulated\"\n");
    let mut lab = Lab::with(&format!(
        "{text}[simulated]\n{phases}{more}\n[chain.lab]\nepoch_ms = 50\nchallenge_delay = 4\n"
    ));
    lab.start();
    lab
}

fn failing(phase: &str) -> String {
    format!("[[simulated.failure]]\nphase = \"{phase}\"\nclass = \"operator\"\n")
}

/// A page that was loaded again has lost it.
const MARK: &str = "window.sameDocument = true; return null";
const MARKED: &str = "window.sameDocument === true";

const PAGES: [&str; 10] = [
    "/",
    "/sectors",
    "/sectors/0",
    "/tasks",
    "/failures",
    "/workers",
    "/history",
    "/storage",
    "/logs",
    "/system",
];

/// A box with something of everything: finished, failed, given up, damaged, waiting, paused.
fn busy() -> Lab {
    let failure = "[[simulated.failure]]\nsector = 1\nphase = \"P2\"\nclass = \"operator\"\n\
                   [[simulated.failure]]\nsector = 2\nphase = \"P5\"\nclass = \"operator\"\n";
    let lab = seen("[max_outstanding]\n\"2KiB\" = 3", failure);
    lab.pledge(2);
    lab.wait_for_state(0, "finished");
    lab.wait_for_row(1, 2, (1, 1, 2));
    lab.post("/api/v1/phases/P1/pause", &json!({})).expect("paused");
    lab.pledge(5);
    lab.wait("the next waits", |lab| lab.row(2, 1) == Some((0, 0, 1)));
    lab
}
