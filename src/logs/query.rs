//! Which lines are wanted, and how they are picked, from the newest back.

use std::borrow::Cow;

use super::line::{Level, Line, LineId};
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;

/// Which lines are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// This level, and those that matter more.
    pub level: Option<Level>,
    /// In lower case: found in whatever case.
    pub text: Option<String>,
    pub sector: Option<SectorNumber>,
    pub phase: Option<Phase>,
    pub attempt: Option<u32>,
    /// Those after this one, the earliest first; else the latest.
    pub after: Option<LineId>,
    /// The latest before this one.
    pub before: Option<LineId>,
    pub limit: usize,
}

impl Query {
    fn wants(&self, line: &Line) -> bool {
        self.level.is_none_or(|level| line.level <= level)
            && self.before.is_none_or(|before| line.id < before)
            && self.sector.is_none_or(|sector| line.about.sector == Some(sector))
            && self.phase.is_none_or(|phase| line.about.phase == Some(phase))
            && self.attempt.is_none_or(|attempt| line.about.attempt == Some(attempt))
            && self.text.as_ref().is_none_or(|text| line.holds(text))
    }
}

/// Passes over written lines that cannot hold what is searched for, without reading them: reading
/// one costs ten times as much.
#[derive(Debug, Default)]
pub struct Sieve(Option<String>);

impl Sieve {
    /// The longest part of the search that a written line has as it is: JSON puts a backslash
    /// before some characters, and what a line holds is put together with ` ` and `=`.
    pub fn of(query: &Query) -> Self {
        let as_it_is = |c: char| c.is_ascii_graphic() && !['"', '\\', '='].contains(&c);
        let text = query.text.as_deref().unwrap_or_default();
        let parts = text.split(|c| !as_it_is(c)).filter(|part| !part.is_empty());
        Self(parts.max_by_key(|part| part.len()).map(str::to_owned))
    }

    /// Whether the line has to be read.
    pub fn lets_through(&self, written: &[u8]) -> bool {
        let Some(part) = &self.0 else { return true };
        // What is not ASCII may become ASCII in lower case.
        if !written.is_ascii() {
            return true;
        }
        let written = written.to_ascii_lowercase();
        str::from_utf8(&written).is_ok_and(|written| written.contains(part))
    }
}

/// Lines in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    pub lines: Vec<Line>,
    /// There are more: later ones, if it was asked for what is after a line, else earlier ones.
    pub more: bool,
}

/// Picks what is wanted out of lines that come newest first, and stops when it has enough.
pub struct Picker<'a> {
    query: &'a Query,
    /// What was seen last: a line that is not before it was read twice, while its file was moved.
    seen: Option<LineId>,
    found: Vec<Line>,
    done: bool,
}

impl<'a> Picker<'a> {
    pub fn new(query: &'a Query) -> Self {
        Self { query, seen: None, found: Vec::new(), done: false }
    }

    /// Whether more lines could be of use.
    pub fn take<'l>(&mut self, lines: impl Iterator<Item = Cow<'l, Line>>) -> bool {
        for line in lines {
            if self.done {
                break;
            }
            if self.seen.is_some_and(|seen| line.id >= seen) {
                continue;
            }
            self.seen = Some(line.id);
            if self.query.after.is_some_and(|after| line.id <= after) {
                self.done = true;
            } else if self.query.wants(&line) {
                self.found.push(line.into_owned());
                // One more than wanted says that there are more.
                self.done = self.query.after.is_none() && self.found.len() > self.query.limit;
            }
        }
        !self.done
    }

    pub fn page(self) -> Page {
        let Self { query, mut found, .. } = self;
        let more = found.len() > query.limit;
        if query.after.is_none() {
            found.truncate(query.limit);
        }
        found.reverse();
        found.truncate(query.limit);
        Page { lines: found, more }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(query: &Query) -> (Vec<u64>, bool) {
        let line = |id: u64| {
            let mut line = Line::own(LineId(id), format!("number {id}"));
            line.level = if id.is_multiple_of(3) { Level::Error } else { Level::Info };
            line.about.sector = Some(SectorNumber(id % 2));
            Cow::Owned::<Line>(line)
        };
        let mut picker = Picker::new(query);
        // The second file begins with lines that the first has, too.
        let _ = picker.take((6..=9).rev().map(line)) && picker.take((1..=7).rev().map(line));
        let page = picker.page();
        (page.lines.iter().map(|line| line.id.0).collect(), page.more)
    }

    #[test]
    fn the_latest_lines_are_given_and_paged_backwards() {
        let query = Query { limit: 3, ..Query::default() };
        assert_eq!(pick(&query), (vec![7, 8, 9], true));
        let before = Query { before: Some(LineId(4)), ..query };
        assert_eq!(pick(&before), (vec![1, 2, 3], false));
    }

    #[test]
    fn what_came_after_a_line_is_given_from_there_without_a_gap() {
        let query = Query { after: Some(LineId(4)), limit: 3, ..Query::default() };
        assert_eq!(pick(&query), (vec![5, 6, 7], true));
        let rest = Query { after: Some(LineId(7)), ..query.clone() };
        assert_eq!(pick(&rest), (vec![8, 9], false));
        let none = Query { after: Some(LineId(9)), ..query };
        assert_eq!(pick(&none), (vec![], false));
    }

    #[test]
    fn level_sector_and_text_all_have_to_fit() {
        let all = Query { limit: 9, ..Query::default() };
        let errors = Query { level: Some(Level::Warn), ..all.clone() };
        assert_eq!(pick(&errors).0, [3, 6, 9]);
        let of_one = Query { sector: Some(SectorNumber(1)), ..errors };
        assert_eq!(pick(&of_one).0, [3, 9]);
        let found = Query { text: Some("number 4".to_owned()), ..all };
        assert_eq!(pick(&found).0, [4]);
    }

    #[test]
    fn the_sieve_lets_through_every_line_that_holds_what_is_searched_for() {
        let mut line = Line::own(LineId(7), "The \"Quoted\" path C:\\tmp\tends;".to_owned());
        line.target = "storage_proofs::Porep".to_owned();
        line.fields.insert("Class".to_owned(), "No Space".to_owned());
        let kelvin = Line { message: "300 \u{212a} are too warm".to_owned(), ..line.clone() };
        for line in [line, kelvin] {
            let written = line.json();
            let all = format!("{} {}", line.text(), line.target).to_lowercase();
            let starts: Vec<usize> = all.char_indices().map(|(at, _)| at).collect();
            for (nth, from) in starts.iter().enumerate() {
                for to in &starts[nth + 1..] {
                    let query =
                        Query { text: Some(all[*from..*to].to_owned()), ..Query::default() };
                    if line.holds(&all[*from..*to]) {
                        assert!(Sieve::of(&query).lets_through(written.as_bytes()), "{query:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_sieve_passes_over_what_holds_nothing_of_the_search() {
        let written = Line::own(LineId(7), "labelling layer 3".to_owned()).json();
        let lets_through = |text: &str| {
            let query = Query { text: Some(text.to_owned()), ..Query::default() };
            Sieve::of(&query).lets_through(written.as_bytes())
        };
        assert!(lets_through("layer 3") && lets_through("\u{fc}"), "the shorter part is not asked");
        assert!(!lets_through("nothing like this") && !lets_through("class=space"));
    }
}
