//! Tasks: the fleet's table, with its columns and its questions.

use std::convert::Infallible;

use askama::Template;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;

use crate::domain::phase::Phase;
use crate::domain::task::{ResultStatus, TaskState};
use crate::store::{Counts, Direction, TaskCursor, TaskFilter, TaskLine};
use crate::web::WebState;
use crate::web::error::{PageError, Unanswered};
use crate::web::frame::{Frame, Seen, page};
use crate::web::lookup::{self, TaskParams, TaskQuery};
use crate::web::nav::Nav;
use crate::web::show::{Markup, grouped};
use crate::web::waiting;
use crate::web::wire::TaskRow;
use crate::web::words::progress_words;

#[derive(Template)]
#[template(path = "tasks.html", blocks = ["live"])]
struct Tasks {
    frame: Frame,
    types: Vec<Type>,
    rows: Vec<Line>,
    filter: TaskFilter,
    /// The filter as an address, without `?`; empty if there is none.
    query: String,
    next: Option<String>,
    further: bool,
}

/// How many tasks of one type there are.
struct Type {
    phase: Phase,
    counts: Vec<Count>,
}

struct Count {
    text: String,
    href: String,
    class: &'static str,
}

struct Line {
    row: TaskRow,
    word: &'static str,
    class: &'static str,
    created: Option<Markup>,
    updated: Option<Markup>,
    /// Why it waits or has failed, or how far it is.
    why: String,
}

pub async fn show(
    State(state): State<WebState>,
    seen: Seen,
    sent: Result<Query<TaskParams>, QueryRejection>,
) -> Result<Response, PageError> {
    let Query(params) = sent.map_err(|rejection| {
        Unanswered::new(rejection.status(), rejection.body_text(), "give each parameter once")
    })?;
    let query = params.parse()?;
    match params.format.as_deref() {
        None | Some("") => tasks_page(&state, &seen, &query),
        Some("csv") => Ok(csv(state, query)),
        Some(other) => Err(Unanswered::invalid(
            format!("`{}` is no format of this list", lookup::shortened(other)),
            "use csv, or the API for JSON: /api/v1/tasks",
        )
        .into()),
    }
}

fn tasks_page(state: &WebState, seen: &Seen, query: &TaskQuery) -> Result<Response, PageError> {
    let frame = Frame::new(state, seen, Nav::Tasks, "Tasks");
    let counts = state.reader.counts().map_err(PageError::from)?;
    let listed = lookup::tasks(state, query, Direction::NewestFirst)?;
    let line = |line: &TaskLine| {
        let task = line.sector.task(line.phase);
        let record = &line.sector.tasks[line.phase];
        Some(Line {
            row: TaskRow::of(&line.sector, line.phase)?,
            word: task.name(),
            class: class(&task),
            created: record.created.map(|at| frame.ago(&at)),
            updated: record.updated.or(record.created).map(|at| frame.ago(&at)),
            why: why(state, &frame, line),
        })
    };
    let address = address(&query.filter);
    let tasks = Tasks {
        types: Phase::ALL.into_iter().map(|phase| type_counts(&counts, phase)).collect(),
        rows: listed.items.iter().filter_map(line).collect(),
        next: listed.next.map(|after| {
            format!("/tasks?{address}{}after={after}&limit={}", and(&address), query.limit)
        }),
        further: query.after.is_some(),
        filter: query.filter,
        query: address,
        frame,
    };
    page(seen, &tasks, &tasks.as_live())
}

fn why(state: &WebState, frame: &Frame, line: &TaskLine) -> String {
    let far = || state.progress.of(line.sector.id.number).get(&line.phase).map(progress_words);
    waiting::why(&frame.view, &line.sector, line.phase).or_else(far).unwrap_or_default()
}

impl Tasks {
    fn phases(&self) -> [Phase; 6] {
        Phase::ALL
    }

    fn statuses(&self) -> [(u8, &'static str, bool); 3] {
        ResultStatus::ALL.map(|status| {
            (status.code(), status_word(status), self.filter.result_status == Some(status))
        })
    }

    fn sector_text(&self) -> String {
        self.filter.sector.map(|number| number.to_string()).unwrap_or_default()
    }

    fn is(&self, flag: &Option<bool>, value: bool) -> bool {
        *flag == Some(value)
    }

    fn of_phase(&self, phase: &Phase) -> bool {
        self.filter.phase == Some(*phase)
    }
}

fn status_word(status: ResultStatus) -> &'static str {
    match status {
        ResultStatus::Succeeded => "succeeded",
        ResultStatus::NotOverYet => "not over yet",
        ResultStatus::Failed => "failed",
    }
}

/// How a task's state looks in a table.
pub fn class(task: &TaskState) -> &'static str {
    match task {
        TaskState::NotYet | TaskState::NeverRuns => "later",
        TaskState::Ready { .. } => "wait",
        TaskState::Running { .. } => "run",
        TaskState::Done => "done",
        TaskState::Failed { .. } => "fail",
    }
}

fn and(address: &str) -> &'static str {
    if address.is_empty() { "" } else { "&" }
}

fn address(filter: &TaskFilter) -> String {
    let flag = |name: &str, value: bool| format!("{name}={}", u8::from(value));
    let parts = [
        filter.phase.map(|phase| format!("task_type={}", phase.task_type())),
        filter.result_status.map(|status| format!("result_status={}", status.code())),
        filter.is_taken.map(|value| flag("is_taken", value)),
        filter.is_finished.map(|value| flag("is_finished", value)),
        filter.sector.map(|number| format!("sector={number}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join("&")
}

fn type_counts(counts: &Counts, phase: Phase) -> Type {
    let open = TaskFilter {
        phase: Some(phase),
        result_status: Some(ResultStatus::NotOverYet),
        ..TaskFilter::default()
    };
    let all = [
        (TaskFilter { phase: Some(phase), ..TaskFilter::default() }, ""),
        (TaskFilter { is_taken: Some(false), ..open }, "wait"),
        (TaskFilter { is_taken: Some(true), ..open }, "run"),
        (TaskFilter { result_status: Some(ResultStatus::Failed), ..open }, "fail"),
        (TaskFilter { result_status: Some(ResultStatus::Succeeded), ..open }, "done"),
    ];
    let count = |(filter, class): (TaskFilter, &'static str)| {
        let count = filter.count(counts);
        Count {
            text: grouped(count),
            href: format!("/tasks?{}", address(&filter)),
            class: if count == 0 { "zero" } else { class },
        }
    };
    Type { phase, counts: all.map(count).into() }
}

const CSV_HEAD: &str = "sector_id,task_type,phase,is_taken,is_finished,result_status,attempts,\
    create_time,update_time,worker,miner,cid,params,error\r\n";
const CSV_ROWS: usize = 1_000;

enum Csv {
    Head,
    After(Option<TaskCursor>),
    End,
}

/// All that the filter lets through, a thousand rows at a time: the whole is never held.
fn csv(state: WebState, query: TaskQuery) -> Response {
    let rows = unfold(Csv::Head, move |step| {
        let (state, query) = (state.clone(), query);
        async move {
            let (text, next) = match step {
                Csv::Head => (CSV_HEAD.to_owned(), Csv::After(query.after)),
                Csv::After(after) => {
                    csv_rows(&state, TaskQuery { after, limit: CSV_ROWS, ..query })
                }
                Csv::End => return None,
            };
            Some((Ok::<_, Infallible>(Bytes::from(text)), next))
        }
    });
    let head = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"sealbox-tasks.csv\""),
    ];
    (head, Body::from_stream(rows)).into_response()
}

fn csv_rows(state: &WebState, query: TaskQuery) -> (String, Csv) {
    match lookup::tasks(state, &query, Direction::OldestFirst) {
        Ok(listed) => {
            let rows = listed.items.iter();
            let text = rows.filter_map(|line| TaskRow::of(&line.sector, line.phase));
            let next = listed.next.map_or(Csv::End, |next| Csv::After(Some(next)));
            (text.map(|row| csv_row(&row)).collect(), next)
        }
        // The head is sent: all that can be done is to say so where the rows end.
        Err(why) => (format!("\"incomplete: {}\"\r\n", why.detail.replace('"', "\"\"")), Csv::End),
    }
}

fn csv_row(row: &TaskRow) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let cells = [
        row.sector_id.to_string(),
        row.task_type.to_string(),
        row.phase.to_owned(),
        row.is_taken.to_string(),
        row.is_finished.to_string(),
        row.result_status.to_string(),
        row.attempts.to_string(),
        text(&row.create_time),
        text(&row.update_time),
        text(&row.worker),
        row.miner.clone(),
        text(&row.cid),
        row.params.to_owned(),
        text(&row.error),
    ];
    cells.map(|cell| csv_cell(&cell)).join(",") + "\r\n"
}

/// Quoted when it has to be (RFC 4180). A spreadsheet takes `=`, `+`, `-`, `@` at the beginning
/// for a formula, so such a text is set off with an apostrophe.
fn csv_cell(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@']);
    let cell = if formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_neither_torn_nor_taken_for_a_formula() {
        assert_eq!(csv_cell("plain"), "plain");
        assert_eq!(csv_cell("a,\"b\"\n"), "\"a,\"\"b\"\"\n\"");
        assert_eq!(csv_cell("=1+1"), "'=1+1");
    }
}
