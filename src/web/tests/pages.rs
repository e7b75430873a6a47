//! What holds for every page.

use scraper::Selector;

use super::site::Site;
use super::states::{all, busy, failing, one, words};
use crate::domain::failure::{Class, Failure};
use crate::domain::phase::Phase;

/// Those that have an entry in the bar.
pub const PAGES: [&str; 9] = [
    "/",
    "/sectors",
    "/tasks",
    "/failures",
    "/workers",
    "/history",
    "/storage",
    "/logs",
    "/system",
];

#[test]
fn every_page_of_an_unused_box_leads_to_the_first_order() {
    let site = Site::empty();
    for path in PAGES {
        let answer = site.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    }
    let html = site.get("/").html();
    assert!(words(&html, "#first-run").contains("Say how many sectors"));
    assert_eq!(one(&html, "form#seal").attr("action"), Some("/orders"));
    assert!(all(&html, "#attention").is_empty());
    assert!(words(&site.get("/sectors").html(), ".empty").contains("Seal sectors"));
    assert!(words(&site.get("/tasks").html(), ".empty").contains("Seal sectors"));
    assert!(words(&site.get("/failures").html(), ".empty").contains("Nothing has failed"));
}

#[test]
fn a_simulated_box_says_so_on_every_page() {
    let mut site = busy();
    site.tweak = |view| view.simulated = true;
    for path in PAGES.into_iter().chain(["/sectors/0"]) {
        assert!(words(&site.get(path).html(), ".banner").contains("SIMULATED"), "{path}");
    }
}

#[test]
fn trouble_with_the_journal_stands_above_everything() {
    let mut site = busy();
    site.tweak = |view| {
        let failure =
            Failure::new(Class::Fatal, "the journal cannot be synced", "look at the disk");
        view.trouble = Some(failure.at("/data/journal"));
        view.report = vec!["rescued 2 attempts".to_owned()];
        view.stopping = true;
    };
    for path in PAGES {
        let banner = words(&site.get(path).html(), ".banner");
        assert!(banner.contains("the journal cannot be synced"), "{path}: {banner}");
        assert!(banner.contains("look at the disk"), "{path}: {banner}");
        assert!(banner.contains("nothing new starts"), "{path}: {banner}");
    }
    assert!(words(&site.get("/system").html(), ".report").contains("rescued 2 attempts"));
}

#[test]
fn every_link_and_every_form_leads_to_something() {
    let mut site = failing();
    site.reply = |_| Ok(crate::scheduler::command::Done::IntakePaused);
    site.before(1, Phase::P2);
    for path in PAGES.into_iter().chain(["/sectors/0", "/sectors/1"]) {
        let html = site.get(path).html();
        for link in all(&html, "a[href], link[href], script[src]") {
            let href = link.attr("href").or(link.attr("src")).unwrap();
            if !href.starts_with('#') {
                assert_eq!(site.get(href).status, 200, "{href} on {path}");
            }
        }
        for form in all(&html, "form") {
            let action = form.attr("action").unwrap();
            let named = |css: &str| {
                let css = Selector::parse(css).unwrap();
                form.select(&css)
                    .map(|field| {
                        format!(
                            "{}={}",
                            field.attr("name").unwrap(),
                            field.attr("value").unwrap_or("")
                        )
                    })
                    .collect::<Vec<_>>()
                    .join("&")
            };
            match form.attr("method") {
                Some("post") => {
                    let fields = named("input, button[name]").replace(' ', "+");
                    let answer = site.press(action, &fields);
                    assert_eq!(answer.status, 303, "{action} on {path}: {fields}");
                    assert_eq!(answer.header("location"), path);
                }
                _ => assert_eq!(site.get(action).status, 200, "{action} on {path}"),
            }
        }
    }
}

#[test]
fn no_page_needs_a_script_or_a_style_of_its_own() {
    let site = failing();
    for path in PAGES.into_iter().chain(["/sectors/0", "/nowhere"]) {
        let html = site.get(path).html();
        assert!(all(&html, "style, [style], script:not([src])").is_empty(), "{path}");
        assert!(all(&html, "[onclick], [onload], [onsubmit]").is_empty(), "{path}");
        let ids: Vec<_> = all(&html, "[id]").iter().map(|e| e.attr("id").unwrap()).collect();
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(ids.len(), distinct.len(), "{path}: {ids:?}");
        assert_eq!(all(&html, "h1").len(), 1, "{path}");
        for field in all(&html, "input:not([type=hidden]), select") {
            let labelled = field
                .ancestors()
                .any(|a| a.value().as_element().is_some_and(|element| element.name() == "label"));
            assert!(labelled, "{path}: {:?}", field.value());
        }
    }
}

#[test]
fn the_pages_stay_small() {
    let site = busy();
    for path in PAGES {
        assert!(site.get(path).text.len() < 60_000, "{path}: {}", site.get(path).text.len());
    }
}
