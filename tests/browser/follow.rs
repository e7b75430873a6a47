//! What is seen without a reload: sectors under way, logs, the last day, and a connection that is lost.

use crate::browser::Browser;
use crate::{MARK, MARKED, failing, seen};

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
