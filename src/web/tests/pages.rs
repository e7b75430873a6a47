//! Every page, from fixed states, parsed.

use scraper::{Html, Selector};

use super::site::{Site, disk_full, pre_commit, said};
use crate::domain::event::Event;
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::domain::porep::Porep;
use crate::domain::progress::Progress;
use crate::domain::units::SectorSize;
use crate::engine::ParametersState;
use crate::scheduler::view::UntilFullView;
use crate::web::show::now;

const PAGES: [&str; 8] =
    ["/", "/sectors", "/tasks", "/failures", "/history", "/storage", "/logs", "/system"];

fn all<'a>(html: &'a Html, css: &str) -> Vec<scraper::ElementRef<'a>> {
    let selector = Selector::parse(css).unwrap();
    html.select(&selector).collect()
}

fn one<'a>(html: &'a Html, css: &str) -> scraper::ElementRef<'a> {
    let found = all(html, css);
    assert_eq!(found.len(), 1, "{css}");
    found[0]
}

pub(super) fn words(html: &Html, css: &str) -> String {
    all(html, css).into_iter().map(said).collect::<Vec<_>>().join(" | ")
}

/// One sector in every place.
pub fn busy() -> Site {
    let mut site = Site::empty();
    site.limit = Some(8);
    site.order(20).finished(0).finished(1);
    site.issue(2).happens(2, Event::Aborted { by: "the page".into() });
    site.through(2, Phase::P6);
    site.running(3, Phase::P4).start(3, Phase::P5);
    site.before(4, Phase::P2).through_p2_only(4);
    site.running(5, Phase::P2);
    site.running(6, Phase::P1);
    site.before(7, Phase::P1);
    site.issue(8);
    site
}

/// The throttle of one is held by a sector whose P2 failed.
pub fn failing() -> Site {
    let mut site = Site::empty();
    site.limit = Some(1);
    site.order(3).running(0, Phase::P2).later(372).fails(0, Phase::P2, disk_full());
    site
}

impl Site {
    /// P2 is done and pre-committed; the seed is awaited.
    fn through_p2_only(&mut self, number: u64) -> &mut Self {
        use crate::domain::event::Output;
        self.start(number, Phase::P2);
        let commitments = super::site::commitments();
        self.later(700).succeeds(number, Output::P2 { commitments });
        self.later(20).happens(number, Event::PreCommitted { pre_commit: pre_commit() })
    }
}

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
fn the_overview_counts_what_its_links_list() {
    let site = busy();
    let html = site.get("/").html();
    let counts = all(&html, ".lane a");
    assert!(counts.len() >= 11);
    for count in counts {
        let href = count.attr("href").unwrap();
        let shown: usize = said(count).split(' ').next().unwrap().parse().unwrap();
        let list = site.get(href);
        assert_eq!(list.status, 200, "{href}");
        let rows = all(&list.html(), "main tbody tr[id]").len();
        assert_eq!(rows, shown, "{href}");
    }
}

#[test]
fn the_overview_shows_each_sector_in_flight_with_seven_cells() {
    let html = busy().get("/").html();
    assert_eq!(all(&html, "#in-flight tbody tr").len(), 6);
    for strip in all(&html, "#in-flight .strip") {
        assert_eq!(strip.child_elements().count(), 7);
    }
    let proving = words(&html, "#flight-3 .strip li");
    assert!(proving.contains("✓ P1 done in 2 h 51 min 2h51"), "{proving}");
    assert!(proving.contains("▶ P4 running on p4-0"), "{proving}");
    assert!(proving.contains("▶ P5 running on p5-0"), "{proving}");
    assert!(words(&html, "#flight-4").contains("waits for epoch 4812540"));
    assert_eq!(words(&html, "#recent tbody .state"), "given up | finished | finished");
    assert!(words(&html, "#workers").contains("P1 of 6"));
    assert!(words(&html, "#orders").contains("9 of 20"));
    assert!(words(&html, "#throttle").contains("6 of 8"));
}

#[test]
fn an_order_offers_the_places_that_it_can_be_put_to_and_says_what_is_left() {
    let mut site = Site::empty();
    site.order(3).issue(0).order(1).order(5);
    let html = site.get("/").html();
    let places = |order: u64| -> Vec<String> {
        let buttons = all(&html, &format!("#order-{order} form[action$='/move'] button[name=to]"));
        buttons.iter().map(|button| button.attr("value").unwrap().to_owned()).collect()
    };
    assert_eq!(places(0), ["down", "last"]);
    assert_eq!(places(1), ["first", "up", "down", "last"]);
    assert_eq!(places(2), ["first", "up"]);
    assert!(words(&html, "#order-0").contains("1 of 3 2 "), "{}", words(&html, "#order-0"));
}

#[test]
fn storage_that_is_full_is_a_state_and_no_failure() {
    let mut site = Site::empty();
    site.tweak = |view| {
        let full = Some("another copy needs 32.1 GiB of storage, 9.0 GiB are left".to_owned());
        view.until_full = Some(UntilFullView { size: view.sector_size, full });
    };
    let html = site.get("/").html();
    let said = words(&html, "#until-full");
    assert!(said.starts_with("storage is full 32 GiB sectors are ordered by themselves"), "{said}");
    assert!(said.contains("needs 32.1 GiB") && said.contains("goes on by itself"), "{said}");
    assert!(all(&html, "#attention, .state.fail").is_empty());
}

#[test]
fn a_damaged_finished_sector_is_shown_with_its_file_and_a_button_and_holds_no_place() {
    let mut site = Site::empty();
    site.limit = Some(1);
    site.order(1).finished(0);
    assert!(words(&site.get("/sectors/0").html(), "button").contains("Prove again"));
    let file = "/mnt/store/cache/s-t01000-0/p_aux";
    let failure = Failure::new(Class::Sector, "a file is missing", "bring it back").at(file);
    site.later(3_600).happens(0, Event::StoredDamaged { by: "the schedule".into(), failure });
    for (page, place) in
        [("/", "#attention"), ("/failures", "#damaged"), ("/sectors/0", "#damaged")]
    {
        let html = site.get(page).html();
        let shown = words(&html, place);
        for piece in ["a file is missing", file, "bring it back"] {
            assert!(shown.contains(piece), "{page}: {piece} in {shown}");
        }
        let form = one(&html, "form[action='/sectors/0/verify'] button");
        assert_eq!(said(form), "Prove again");
        assert!(words(&html, ".top nav").contains("Failures 1 need you"), "{page}");
    }
    assert!(all(&site.get("/").html(), ".standstill").is_empty());
    assert_eq!(words(&site.get("/").html(), "#recent tbody .state"), "damaged");
    site.happens(0, Event::StoredProven { by: "the page".into() });
    assert!(words(&site.get("/failures").html(), ".empty").contains("Nothing has failed"));
}

#[test]
fn a_failure_says_what_failed_where_and_what_to_press() {
    let html = failing().get("/").html();
    let attention = words(&html, "#attention");
    for piece in [
        "1 sector needs you",
        "Sector 0 failed in P2",
        "no space left on device while writing the trees",
        "/sealer/cache/s-t01000-12",
        "free 24.8 GiB on this disk, then retry",
        "Sector 0 holds the 32 GiB throttle (1 of 1): nothing new starts until it is retried or aborted",
    ] {
        assert!(attention.contains(piece), "{piece}: {attention}");
    }
    let buttons = words(&html, "#attention button");
    assert!(buttons.contains("Retry P2 | Redo sector 0 from P1 | Abort sector 0"), "{buttons}");
    assert!(words(&html, "#abort-0 li").contains("/sealer/cache/s-t01000-0"));
    assert!(words(&html, ".top nav").contains("Failures 1 need you"));
    assert!(words(&html, "#throttle").contains("stands still"));
}

#[test]
fn failures_are_grouped_by_their_cause() {
    let mut site = Site::empty();
    site.order(5);
    for number in 0..3 {
        site.running(number, Phase::P2).fails(number, Phase::P2, disk_full());
    }
    let denied = Failure::new(Class::Operator, "permission denied", "give it the right");
    site.running(3, Phase::P5_BESIDE).start(3, Phase::P5).fails(3, Phase::P5, denied);
    let html = site.get("/failures").html();
    assert_eq!(
        words(&html, ".attention h2"),
        "✕ P2: no space left on device while writing the trees | ✕ P5: permission denied"
    );
    assert_eq!(all(&html, "form[action='/failures/retry'] input[name=cause]").len(), 2);
    assert_eq!(words(&html, ".attention article button"), "Retry all 3 | Retry P5");
    assert_eq!(words(&html, "td button"), "Retry P2 | Retry P2 | Retry P2 | Retry P5");
}

impl Phase {
    /// P4 and P5 begin together: a sector that runs P4 can start P5.
    const P5_BESIDE: Self = Self::P4;
}

#[test]
fn a_sector_s_page_tells_its_story() {
    let mut site = Site::empty();
    site.order(1).finished(0);
    let html = site.get("/sectors/0").html();
    assert!(words(&html, ".head").contains("Sector 0 finished s-t01000-0 · StackedDrg32GiBV1_1"));
    assert!(words(&html, ".now").contains("its stored copy proven"));
    let facts = words(&html, "dl.facts dd");
    for piece in [
        &"11".repeat(32),
        &"22".repeat(32),
        &"33".repeat(32),
        "baga6ea4seaq",
        "bagboea4b5abc",
        "1920 bytes",
        "/mnt/store-1/sealed/s-t01000-0",
        "/mnt/store-1/cache/s-t01000-0/manifest.json",
        "epoch 4812700",
    ] {
        assert!(facts.contains(piece), "{piece}: {facts}");
    }
    let history = words(&html, ".history .words");
    for piece in [
        "issued for order 0",
        "P1 (label) started on p1-0",
        "the seed is drawn at epoch 4812540",
        "deleted /sealer/cache/s-t01000-0 (388.4 GiB): its stored copy is proven",
        "P6 done",
    ] {
        assert!(history.contains(piece), "{piece}: {history}");
    }
    let orders = words(&html, "main form[method=post] button:not([disabled])");
    assert_eq!(orders, "Prove again", "and nothing else");
    assert!(words(&html, ".reasons").contains("Abort: not now, it is sealed"));
}

#[test]
fn a_sector_offers_what_its_state_allows_and_says_why_not() {
    let mut site = busy();
    site.running(9, Phase::P3);
    let running = site.get("/sectors/6").html();
    let why = |html: &Html, name: &str| {
        let buttons = all(html, "main button[disabled]");
        buttons
            .into_iter()
            .find(|b| said(*b) == name)
            .and_then(|b| b.attr("title"))
            .map(str::to_owned)
    };
    assert_eq!(why(&running, "Retry").as_deref(), Some("Not now: an attempt is running"));
    assert_eq!(why(&running, "Redo from P1").as_deref(), Some("Not now: an attempt is running"));
    assert!(words(&running, "#abort-6 p").contains("as soon as what runs has ended"));
    let committed = site.get("/sectors/9").html();
    let redo = why(&committed, "Redo from P1").unwrap();
    assert_eq!(redo, "Not now: its pre-commit is under way or on chain");
    let given_up = site.get("/sectors/2").html();
    assert_eq!(why(&given_up, "Abort").as_deref(), Some("Not now: it is given up"));
    assert!(words(&given_up, ".now").contains("aborted by the page"));
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
fn parameters_being_made_are_seen_and_missing_ones_ask_for_a_person() {
    let mut site = Site::empty();
    site.size = SectorSize::KiB2;
    site.parameters =
        ParametersState::Making { step: "making the verifying key".into(), since: now() };
    let html = site.get("/").html();
    assert!(words(&html, "#parameters").contains("making the verifying key"));
    assert!(words(&html, "#parameters").contains("C2 (phase P4) waits for them"));
    assert!(words(&html, "#first-run").contains("labelling starts without them"));
    let failure = Failure::new(Class::Operator, "no parameters", "fetch them");
    let awaited = ParametersState::Awaited { failure: failure.clone() };
    for not_there in [ParametersState::Missing { failure }, awaited] {
        site.parameters = not_there;
        let html = site.get("/").html();
        assert!(words(&html, "#attention").contains("The parameters need you"));
        assert!(words(&html, "#attention").contains("fetch them"));
    }
}

#[test]
fn tasks_are_filtered_by_the_fleet_s_columns() {
    let mut site = busy();
    site.running(9, Phase::P6).fails(9, Phase::P6, disk_full());
    let html = site.get("/tasks?task_type=32&result_status=2").html();
    assert_eq!(all(&html, "tr[id^=task-]").len(), 1);
    assert!(words(&html, "#task-9-32").contains("9 32 P6 1 1 2 failed 1"));
    let chosen = words(&html, "select option[selected]");
    assert!(chosen.contains("32 · P6 clean | 2 · failed"), "{chosen}");
    let csv = site.get("/tasks?task_type=32&result_status=2&format=csv");
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    let lines: Vec<_> = csv.text.lines().collect();
    assert_eq!(lines.len(), 2, "{}", csv.text);
    assert!(lines[1].starts_with("9,32,P6,1,1,2,1,"), "{}", lines[1]);
}

#[test]
fn long_lists_are_paged() {
    let mut site = Site::empty();
    site.order(5);
    for number in 0..5 {
        site.issue(number);
    }
    let numbers = |html: &Html| words(html, "tbody a.mono");
    let first = site.get("/sectors?limit=2").html();
    assert_eq!(numbers(&first), "4 | 3");
    let next = one(&first, "a[rel=next]").attr("href").unwrap().to_owned();
    let second = site.get(&next).html();
    assert_eq!(numbers(&second), "2 | 1");
    let third = site.get(one(&second, "a[rel=next]").attr("href").unwrap()).html();
    assert_eq!(numbers(&third), "0");
    assert!(all(&third, "a[rel=next]").is_empty());
    assert_eq!(site.get("/sectors?number=3").header("location"), "/sectors/3");
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

#[test]
fn a_running_phase_says_how_far_it_is() {
    let site = busy();
    let layer = site.progress.begin(SectorNumber(6), Phase::P1);
    let copy = site.progress.begin(SectorNumber(3), Phase::P5);
    layer.tell(Progress::Layers { done: 6, of: 11 });
    copy.tell(Progress::Copying { done_bytes: 34 << 30, total_bytes: 64 << 30 });

    let overview = site.get("/").html();
    assert_eq!(words(&overview, ".strip .run .far"), "53% | 7/11");
    let said = words(&overview, "main");
    assert!(said.contains("P1 running on p1-0: layer 7 of 11"), "{said}");
    assert!(said.contains("P5 running on p5-0: 17 GiB of 32 GiB written and read back"), "{said}");
    let sector = site.get("/sectors/6").html();
    assert!(words(&sector, ".now").contains("runs on p1-0: layer 7 of 11."));
    assert_eq!(words(&sector, ".strip .run .far"), "7/11");

    layer.tell(Progress::Checking { done_bytes: 8 << 30, total_bytes: 32 << 30 });
    let sector = site.get("/sectors/6").html();
    assert!(words(&sector, ".now").contains("earlier attempt, 8 GiB of 32 GiB."));
    drop((layer, copy));
    let sector = site.get("/sectors/6").html();
    assert!(words(&sector, ".now").contains("runs on p1-0."), "{}", words(&sector, ".now"));
    assert_eq!(words(&sector, ".strip .far"), "");
}

#[test]
fn a_sector_without_a_seed_shows_no_wait_for_one() {
    let mut site = Site::empty();
    site.porep = Porep::NonInteractive;
    site.order(1).running(0, Phase::P3);
    let html = site.get("/sectors/0").html();
    assert_eq!(all(&html, "ol.strip.unseeded li").len(), 6);
    let facts = words(&html, "dl.facts");
    assert!(facts.contains("none: its challenges follow from comm_r"), "{facts}");
    assert!(!facts.contains("pre-commit"), "{facts}");
    let history = words(&html, ".history");
    assert!(history.contains("non-interactive PoRep"), "{history}");
    let detail = site.get("/api/v1/sectors/0").json();
    assert_eq!(detail["porep"], "non-interactive");
    assert!(detail["seed"].is_null());
}
