//! Pictures of the pages.

use crate::browser::Browser;
use crate::support::Lab;

/// The pictures of README.md, of a simulated box that is busy:
/// `cargo test --release --test browser pictures -- --ignored`.
#[test]
#[ignore = "writes docs/*.png"]
fn pictures_for_the_readme() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let docs = std::env::var_os("PICTURES").map_or(docs, Into::into);
    let failure = "[[simulated.failure]]\nsector = 3\nphase = \"P2\"\nclass = \"operator\"\n";
    let workers: String = [("1", 2), ("2", 1), ("3", 1), ("4", 1), ("5", 1), ("6", 1)]
        .map(|(phase, num)| format!("[[worker]]\nsupported_phase = [\"P{phase}\"]\nnum = {num}\n"))
        .concat();
    let phases =
        "p1_ms = 6000\np2_ms = 2600\np3_ms = 700\np4_ms = 2400\np5_ms = 1800\np6_ms = 500\n";
    let top = format!("auto_pledge = 0\n{workers}[max_outstanding]\n\"2KiB\" = 8");
    let mut lab = Lab::with(&format!(
        "{top}\n[engine]\nkind = \"simulated\"\n[simulated]\n{phases}{failure}\
         [chain.lab]\nepoch_ms = 50\nchallenge_delay = 40\n"
    ));
    lab.start();
    lab.pledge(40);
    lab.wait("it is busy", |lab| lab.get("/api/v1/status")["finished"].as_u64() >= Some(8));
    let browser = Browser::open(&lab.url("/"));
    let looks = std::env::var_os("LOOKS").is_some();
    let views: &[(&str, u32, u32)] = match looks {
        false => &[("light", 1400, 900)],
        true => {
            &[("light", 1400, 900), ("dark", 1400, 900), ("light", 390, 844), ("dark", 390, 844)]
        }
    };
    for (scheme, width, height) in views {
        browser.prefer(scheme);
        browser.resize(*width, *height);
        for (name, page) in [
            ("overview", "/"),
            ("sectors", "/sectors"),
            ("sector", "/sectors/3"),
            ("history", "/history?range=10m"),
        ] {
            browser.go(&lab.url(page));
            browser.wait("live", "document.getElementById('connection').innerText === 'live'");
            if name == "history" {
                browser.wait(
                    "drawn",
                    "document.querySelectorAll('.chart.drawn canvas').length === 14",
                );
            }
            let name = if looks { format!("{name}-{scheme}-{width}") } else { name.to_owned() };
            browser.picture(&docs.join(format!("{name}.png")));
        }
    }
}
