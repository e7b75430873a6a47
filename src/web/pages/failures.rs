//! Failures: grouped by cause, so that what one hand mends is retried with one press.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use crate::domain::failure::Class;
use crate::domain::phase::Phase;
use crate::domain::task::ResultStatus;
use crate::domain::units::Timestamp;
use crate::store::{Direction, SectorFilter, TaskFilter, TaskLine};
use crate::web::WebState;
use crate::web::bulk::Target;
use crate::web::error::{PageError, Unanswered};
use crate::web::frame::{Frame, Seen, page};
use crate::web::lookup::{self, SectorQuery, SectorsOf, TaskQuery};
use crate::web::nav::Nav;
use crate::web::parts::{Bulk, Damaged, Failed, standstill};
use crate::web::show::plural;
use crate::web::since::{Now, Past};
use crate::web::words;

/// The most failed tasks that are looked at at once.
const MOST: usize = 1_000;

#[derive(Template)]
#[template(path = "failures.html", blocks = ["live"])]
struct Failures {
    frame: Frame,
    groups: Vec<Shown>,
    /// Finished sectors whose stored copy is damaged.
    damaged: Vec<Damaged>,
    bulk: Bulk,
    standstills: Vec<String>,
    /// There are more than were looked at.
    more: bool,
}

/// Failed tasks of one cause.
#[derive(Debug, Clone)]
pub struct Group {
    pub what: String,
    pub class: Class,
    pub phase: Phase,
    pub failed: Vec<Failed>,
}

/// What changed since the latest of them failed.
struct Shown {
    group: Group,
    since: Vec<String>,
}

impl Group {
    /// Names the cause in the Retry form.
    pub fn key(&self) -> String {
        format!("{} {} {}", self.phase, self.class, self.what)
    }

    fn count_words(&self) -> String {
        plural(self.failed.len() as u64, "task", "tasks")
    }

    fn class_words(&self) -> &'static str {
        words::class_words(self.class)
    }

    fn mend(&self) -> &str {
        self.failed.first().map_or("", |failed| failed.failure.mend.as_str())
    }

    fn retry_words(&self) -> String {
        match self.failed.len() {
            1 => format!("Retry {}", self.phase),
            many => format!("Retry all {many}"),
        }
    }
}

/// The causes, the most frequent first.
pub fn groups(state: &WebState) -> Result<Vec<Group>, Unanswered> {
    Ok(looked_at(state)?.0)
}

fn looked_at(state: &WebState) -> Result<(Vec<Group>, bool), Unanswered> {
    let filter = TaskFilter { result_status: Some(ResultStatus::Failed), ..TaskFilter::default() };
    let query = TaskQuery { filter, after: None, limit: MOST };
    let listed = lookup::tasks(state, &query, Direction::NewestFirst)?;
    Ok((grouped(&listed.items), listed.next.is_some()))
}

/// By their cause, the most frequent first.
pub fn grouped(failed: &[TaskLine]) -> Vec<Group> {
    let mut groups: BTreeMap<(Phase, Class, String), Vec<Failed>> = BTreeMap::new();
    for line in failed {
        let failed = Failed::all_of(&line.sector).into_iter().find(|one| one.phase == line.phase);
        if let Some(failed) = failed {
            let cause = (failed.phase, failed.failure.class, failed.failure.what.clone());
            groups.entry(cause).or_default().push(failed);
        }
    }
    let mut groups: Vec<Group> = groups
        .into_iter()
        .map(|((phase, class, what), failed)| Group { what, class, phase, failed })
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.failed.len()));
    groups
}

/// Tasks that failed of one cause, at most so many; and how many more there are.
pub fn of_cause(
    state: &WebState,
    cause: &str,
    most: usize,
) -> Result<(BTreeSet<Target>, u64), Unanswered> {
    let filter = TaskFilter { result_status: Some(ResultStatus::Failed), ..TaskFilter::default() };
    let mut query = TaskQuery { filter, after: None, limit: MOST };
    let (mut found, mut left) = (BTreeSet::new(), 0);
    loop {
        let listed = lookup::tasks(state, &query, Direction::OldestFirst)?;
        let groups = grouped(&listed.items).into_iter().filter(|group| group.key() == cause);
        for failed in groups.flat_map(|group| group.failed) {
            if found.len() < most {
                found.insert((failed.sector, Some(failed.phase)));
            } else {
                left += 1;
            }
        }
        query.after = listed.next;
        if query.after.is_none() {
            return Ok((found, left));
        }
    }
}

/// What has changed since the latest of them failed.
pub fn since(now: &Now<'_>, group: &Group) -> Vec<String> {
    let latest = group.failed.iter().max_by_key(|failed| failed.at);
    let past = latest.map(|failed| Past {
        phase: failed.phase,
        class: failed.failure.class,
        at: failed.at,
        file: failed.failure.file.as_deref(),
    });
    past.map(|past| now.since(&past)).unwrap_or_default()
}

/// And whether there are more.
fn damaged(state: &WebState) -> Result<(Vec<Damaged>, bool), Unanswered> {
    let query = SectorQuery::first(SectorFilter::Attention, MOST);
    let listed = lookup::sectors(state, &query, Direction::NewestFirst)?;
    Ok((listed.items.iter().filter_map(Damaged::of).collect(), listed.next.is_some()))
}

fn with_changes(state: &WebState, groups: Vec<Group>, at: Timestamp) -> Vec<Shown> {
    if groups.is_empty() {
        return Vec::new();
    }
    let now = Now::of(state, at);
    let show = |group: Group| Shown { since: since(&now, &group), group };
    groups.into_iter().map(show).collect()
}

pub async fn show(State(state): State<WebState>, seen: Seen) -> Result<Response, PageError> {
    let frame = Frame::new(&state, &seen, Nav::Failures, "Failures");
    let (groups, more) = looked_at(&state)?;
    let standstills = frame.view.throttles.iter().filter_map(standstill).collect();
    let (damaged, more_damaged) = damaged(&state)?;
    let more = more || more_damaged;
    let groups = with_changes(&state, groups, frame.now);
    let bulk = Bulk {
        filter: vec![("state", SectorsOf(SectorFilter::Attention).value())],
        shown: Vec::new(),
        all: "all sectors that need you".to_owned(),
        verify: !damaged.is_empty(),
    };
    let failures = Failures { frame, groups, damaged, bulk, standstills, more };
    page(&seen, &failures, &failures.as_live())
}

impl Failures {
    fn causes(&self) -> usize {
        self.groups.len() + usize::from(!self.damaged.is_empty())
    }

    fn total(&self) -> usize {
        let failed: usize = self.groups.iter().map(|shown| shown.group.failed.len()).sum();
        failed + self.damaged.len()
    }
}
