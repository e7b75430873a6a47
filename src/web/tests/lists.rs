//! Lists: failures by their cause, the fleet's table, sectors by the page.

use scraper::Html;

use super::site::{Site, disk_full};
use super::states::{all, busy, one, words};
use crate::domain::failure::{Class, Failure};
use crate::domain::phase::Phase;

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
