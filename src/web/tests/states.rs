//! Boxes in fixed states, and how their pages are read.

use scraper::{Html, Selector};

use super::site::{Site, commitments, disk_full, pre_commit, said};
use crate::domain::event::{Event, Output};
use crate::domain::phase::Phase;

pub fn all<'a>(html: &'a Html, css: &str) -> Vec<scraper::ElementRef<'a>> {
    let selector = Selector::parse(css).unwrap();
    html.select(&selector).collect()
}

pub fn one<'a>(html: &'a Html, css: &str) -> scraper::ElementRef<'a> {
    let found = all(html, css);
    assert_eq!(found.len(), 1, "{css}");
    found[0]
}

pub fn words(html: &Html, css: &str) -> String {
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
        self.start(number, Phase::P2);
        let commitments = commitments();
        self.later(700).succeeds(number, Output::P2 { commitments });
        self.later(20).happens(number, Event::PreCommitted { pre_commit: pre_commit() })
    }
}
