//! What an operator sees and presses, in a real browser against the built program.

#[path = "support/browser.rs"]
mod browser;
mod support;

use browser::Browser;
use serde_json::json;
use support::Lab;
use support::http::set_password;

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

const PAGES: [&str; 9] = [
    "/",
    "/sectors",
    "/sectors/0",
    "/tasks",
    "/failures",
    "/history",
    "/storage",
    "/logs",
    "/system",
];

#[test]
fn the_first_run_leads_to_a_sector_that_is_watched_through_every_phase() {
    let lab = seen("", "");
    let browser = Browser::open(&lab.url("/"));
    browser.wait_for_text("Nothing is sealed yet");
    browser.press("Seal");
    browser.wait("the sector is in flight", "document.querySelector('#in-flight .strip')");
    let watch = "
        window.ran = [];
        window.sameDocument = true;
        const look = () => document.querySelectorAll('#in-flight .strip li.run').forEach(one => {
            const name = one.title.split(':')[0];
            if (!window.ran.includes(name)) window.ran.push(name);
        });
        new MutationObserver(look).observe(document.body,
            { subtree: true, childList: true, attributes: true });
        look();
        return null";
    browser.js::<serde_json::Value>(watch);
    browser.wait("it is among the last ended", "document.querySelector('#recent-0')");
    let ran: Vec<String> = browser.js("return window.ran");
    let phases: Vec<_> = ran.iter().filter(|name| name.starts_with('P')).collect();
    assert_eq!(phases[phases.len() - 5..], ["P2", "P3", "P4", "P5", "P6"], "{ran:?}");
    assert!(browser.js::<bool>(&format!("return {MARKED}")), "the page was loaded again");
}

#[test]
fn a_failure_appears_without_a_reload_and_its_button_leads_to_the_finished_sector() {
    let lab = seen("", &failing("P2"));
    let browser = Browser::open(&lab.url("/"));
    browser.js::<()>(MARK);
    lab.pledge(1);
    browser.wait_for_text("1 sector needs you");
    assert!(browser.js::<bool>(&format!("return {MARKED}")), "the page was loaded again");
    let title: String =
        browser.js("return document.querySelector('nav [href=\"/failures\"]').innerText");
    assert!(title.contains('1'), "the count stands in the navigation: {title}");
    browser.press("Retry P2");
    browser.wait("it is finished", "document.querySelector('#recent-0')");
    assert!(!browser.text().contains("needs you"));
}

#[test]
fn a_standstill_says_what_holds_the_throttle_and_a_press_releases_it() {
    let top = "[max_outstanding]\n\"2KiB\" = 1";
    let lab = seen(top, &failing("P1"));
    let browser = Browser::open(&lab.url("/"));
    lab.pledge(2);
    browser.wait_for_text("Standstill.");
    assert_eq!(lab.sector(1), json!(null), "the second sector was issued");
    browser.press("Retry P1");
    browser.wait("the first is finished", "document.querySelector('#recent-0')");
}

#[test]
fn an_abort_asks_once_and_names_what_it_deletes() {
    let lab = seen("", &failing("P2"));
    lab.pledge(1);
    lab.wait_for_row(0, 2, (1, 1, 2));
    let browser = Browser::open(&lab.url("/sectors/0"));
    browser.press("Abort…");
    browser.wait_for_text("and this is deleted:");
    assert!(browser.text().contains("sealbox-data/scratch/"), "{}", browser.text());
    browser.press("Abort sector 0");
    browser.wait_for_text("given up");
    lab.wait_for_state(0, "given up");
}

#[test]
fn all_failures_of_one_cause_are_retried_by_one_press() {
    let lab = seen("", &failing("P3"));
    lab.pledge(3);
    lab.wait("three have failed", |lab| lab.get("/api/v1/status")["counts"]["needs_you"] == 3);
    let browser = Browser::open(&lab.url("/failures"));
    browser.press("Retry all 3");
    for number in 0..3 {
        lab.wait_for_state(number, "finished");
    }
    browser.wait_for_text("Nothing has failed.");
}

#[test]
fn the_picked_are_retried_and_all_that_match_are_aborted_after_one_question() {
    let lab = seen("", &failing("P2"));
    lab.pledge(4);
    lab.wait("four have failed", |lab| lab.get("/api/v1/status")["counts"]["needs_you"] == 4);
    let browser = Browser::open(&lab.url("/sectors?phase=P2"));
    let tick = |css: &str| {
        browser.js::<()>(&format!("document.querySelector('{css}').click(); return null"))
    };
    tick("#pick-1");
    tick("#pick-3");
    browser.press("Retry");
    browser.wait_for_text("Retried 2.");
    lab.wait_for_state(1, "finished");
    lab.wait_for_state(3, "finished");
    browser.wait("the others are left", "document.querySelectorAll('[name=pick]').length === 2");
    tick(".pick-all");
    let picked = "document.querySelectorAll('[name=pick]:checked').length === 2";
    browser.wait("all of the page are picked", picked);
    browser.js::<()>("document.querySelector('#bulk-which').value = 'all'; return null");
    browser.press("Abort…");
    browser.wait_for_text("Abort 2 sectors?");
    assert_eq!(browser.barriers(), Vec::<String>::new());
    browser.press("Abort 2 sectors");
    browser.wait_for_text("2 sectors are given up");
    lab.wait_for_state(0, "given up");
    lab.wait_for_state(2, "given up");
}

#[test]
fn what_was_pressed_is_undone_by_the_sentence_after_it() {
    let lab = seen("", "");
    let browser = Browser::open(&lab.url("/"));
    browser.press("Pause intake");
    browser.wait_for_text("Intake is paused: no new sector is issued.");
    browser.press("Undo");
    browser.wait_for_text("Intake is open again.");
    assert_eq!(lab.get("/api/v1/status")["intake_paused"], json!(false));
}

#[test]
fn the_history_shows_what_the_workers_did_and_how_the_machine_fared() {
    let lab = seen("", &failing("P5"));
    lab.pledge(2);
    lab.wait("both have failed", |lab| lab.get("/api/v1/status")["counts"]["needs_you"] == 2);
    let browser = Browser::open(&lab.url("/history?range=10m"));
    browser.wait("a failed bar", "document.querySelector('.gantt rect.failed')");
    browser.wait(
        "a sample is drawn",
        "document.querySelectorAll('.chart.drawn canvas').length === 14 &&
        document.querySelector('#chart-memory b').innerText.includes('GiB')",
    );
    let leads = "document.querySelector('.gantt a rect.failed').closest('a').getAttribute('href')";
    let sector: String = browser.js(&format!("return {leads}"));
    assert!(sector.starts_with("/sectors/"), "{sector}");
    assert_eq!(browser.barriers(), Vec::<String>::new());
}

#[test]
fn the_intake_and_a_phase_are_paused_and_resumed_by_press() {
    let lab = seen("", "");
    let browser = Browser::open(&lab.url("/"));
    browser.press("Pause intake");
    browser.wait_for_text("Intake is paused:");
    lab.pledge(1);
    browser.wait_for_text("Orders wait: intake is paused.");
    browser.press("Pause phases");
    browser.press("Pause P2");
    browser.wait_for_text("Paused: P2.");
    browser.press("Resume intake");
    lab.wait("P2 waits", |lab| lab.row(0, 2) == Some((0, 0, 1)));
    browser.press("Resume P2");
    browser.wait("it is finished", "document.querySelector('#recent-0')");
}

#[test]
fn a_lost_connection_is_said_and_the_page_is_live_again_when_the_box_is() {
    let mut lab = seen("", "");
    let browser = Browser::open(&lab.url("/"));
    let connection = "document.getElementById('connection').innerText";
    browser.wait("live", &format!("{connection} === 'live'"));
    browser.js::<()>(MARK);
    lab.kill();
    browser.wait("it says so", &format!("{connection}.startsWith('connection lost, data is')"));
    lab.start();
    browser.wait("live again", &format!("{connection} === 'live'"));
    lab.pledge(1);
    browser.wait("what happened since is there", "document.querySelector('#recent-0')");
    assert!(browser.js::<bool>(&format!("return {MARKED}")), "the page was loaded again");
}

#[test]
fn a_log_is_followed_without_a_reload_and_stays_at_its_end() {
    let lab = seen("", &failing("P2").replace("phase", "sector = 0\nphase"));
    lab.pledge(1);
    lab.wait_for_row(0, 2, (1, 1, 2));
    let browser = Browser::open(&lab.url("/logs?level=info"));
    browser.js::<()>(MARK);
    browser.wait_for_text("attempt failed");
    browser.fill("#log-search", "not sent yet");
    lab.pledge(6);
    lab.wait_for_state(6, "finished");
    browser.wait(
        "the last line is there",
        "[...document.querySelectorAll('.lines li')]
        .some(line => line.innerText.includes('sector 6 P6 attempt 1') &&
            line.innerText.includes('attempt succeeded'))",
    );
    assert!(browser.js::<bool>(&format!("return {MARKED}")), "the page was loaded again");
    browser.wait(
        "the log alone was fetched",
        "performance.getEntriesByType('resource')
        .some(one => one.name.includes('/logs/lines?level=info'))",
    );
    let typed: String = browser.js("return document.querySelector('#log-search').value");
    assert_eq!(typed, "not sent yet", "what a person types stays");
    browser.wait(
        "it rolled on with the log",
        "(() => {
        const [box, all, last] = ['.rolling', '.lines', '.lines li:last-child']
            .map(one => document.querySelector(one).getBoundingClientRect());
        return box.height < all.height && last.bottom <= box.bottom + 1 && last.top >= box.top;
    })()",
    );
    browser.fill("#log-search", "operator");
    browser.press("Show");
    browser.wait("one line is found", "document.querySelectorAll('.lines li').length === 1");
    browser.js::<()>("document.querySelector('.lines .at-error a.whose').click(); return null");
    browser.wait_for_text("P2 failed: simulated operator failure in P2");
}

#[test]
fn all_of_it_works_without_scripts() {
    let lab = seen("", &failing("P4"));
    let browser = Browser::open(&lab.url("/"));
    browser.turn_scripts_off();
    browser.go(&lab.url("/"));
    browser.fill("#seal-count", "2");
    browser.press("Seal");
    browser.wait_for_text("not live");
    lab.wait("both have failed", |lab| lab.get("/api/v1/status")["counts"]["needs_you"] == 2);
    for page in PAGES {
        browser.go(&lab.url(page));
        browser.wait_for_text("sealbox");
    }
    browser.go(&lab.url("/failures"));
    browser.press("Retry all 2");
    lab.wait_for_state(0, "finished");
    lab.wait_for_state(1, "finished");
}

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

/// What makes the page scroll sideways; wide tables scroll by themselves.
const BEYOND_THE_EDGE: &str = "
    if (document.documentElement.scrollWidth <= window.innerWidth) return [];
    return [...document.querySelectorAll('body *')]
        .filter(one => !one.closest('.scroll')
            && one.getBoundingClientRect().right > window.innerWidth + 1)
        .map(one => one.outerHTML.slice(0, 160)).slice(0, 5)";

#[test]
fn no_page_has_a_barrier_in_light_or_dark_on_a_desk_or_a_phone() {
    let lab = busy();
    let browser = Browser::open(&lab.url("/"));
    let mut wrong = Vec::new();
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        for (width, height) in [(1400, 1000), (390, 844)] {
            browser.resize(width, height);
            for page in PAGES.into_iter().chain(["/sectors/1", "/nowhere"]) {
                browser.go(&lab.url(page));
                let of_it = |what: String| format!("{page} {scheme} {width}: {what}");
                wrong.extend(browser.barriers().into_iter().map(of_it));
                let over: Vec<String> = browser.js(BEYOND_THE_EDGE);
                wrong.extend(over.into_iter().map(|one| of_it(format!("sticks out: {one}"))));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn dark_is_dark() {
    let lab = seen("", "");
    let browser = Browser::open(&lab.url("/"));
    let bright = "
        const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number);
        return r + g + b";
    browser.prefer("light");
    let light: u32 = browser.js(bright);
    browser.prefer("dark");
    let dark: u32 = browser.js(bright);
    assert!(light > 600 && dark < 200, "light {light}, dark {dark}");
}

#[test]
fn a_page_with_all_that_it_takes_is_below_100_kb() {
    let lab = busy();
    let browser = Browser::open("about:blank");
    for page in PAGES {
        browser.clear_cache();
        browser.go(&lab.url(page));
        browser.wait("it is loaded", "document.readyState === 'complete'");
        let bytes: u64 = browser.js("return performance.getEntriesByType('navigation')
                .concat(performance.getEntriesByType('resource'))
                .reduce((sum, one) => sum + one.transferSize, 0)");
        println!("{page}: {bytes} bytes");
        assert!((1_000..100_000).contains(&bytes), "{page}: {bytes} bytes");
    }
}

#[test]
fn who_is_asked_signs_in_and_out_and_a_viewer_finds_no_button() {
    let lab = seen("", "");
    set_password(&lab, &[], "correct horse");
    set_password(&lab, &["--role", "viewer"], "wall display");
    let browser = Browser::open(&lab.url("/tasks"));
    let sign_in = |password: &str| {
        browser.wait("the form", "document.querySelector('#password')");
        browser.fill("#password", password);
        browser.press("Sign in");
    };
    browser.wait_for_text("Sign in");
    assert_eq!(browser.barriers(), Vec::<String>::new());
    sign_in("wrong horse");
    browser.wait_for_text("That is not the password.");
    assert_eq!(browser.barriers(), Vec::<String>::new());
    sign_in("correct horse");
    browser.wait("where it was opened", "location.pathname === '/tasks'");
    browser.press("Pause intake");
    browser.wait_for_text("Intake is paused");
    browser.press("Sign out");
    sign_in("wall display");
    browser.wait_for_text("Read only:");
    let acts = "form[method=post]:not([action='/logout']), .button.main";
    assert_eq!(
        browser.js::<u64>(&format!("return document.querySelectorAll(\"{acts}\").length")),
        0
    );
    assert_eq!(browser.barriers(), Vec::<String>::new());
    // Another password ends the session: the page that is open leads to the form by itself.
    set_password(&lab, &["--role", "viewer"], "another display");
    assert!(lab.cli(&["resume"]).status.success());
    browser.wait("the form again", "location.pathname === '/login'");
}

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
