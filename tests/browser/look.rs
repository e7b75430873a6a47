//! How the pages look: without barriers, in the dark, on a phone, without scripts, and to whom.

use crate::browser::Browser;
use crate::support::http::set_password;
use crate::{PAGES, busy, failing, seen};

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
