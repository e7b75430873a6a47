//! One table of the document, read key by key.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use toml_edit::{Item, TableLike, Value};

use super::paths;
use super::problem::{Place, with_nearest};
use super::reader::{Got, Reading, variable_of};

/// What stands for a key.
enum Raw<'a> {
    Written(&'a Item),
    Variable(&'a str),
}

struct Entry<'a> {
    key: String,
    place: Place,
    raw: Raw<'a>,
}

/// One table of the document, there or not.
pub struct Table<'r, 'a> {
    reading: &'r Reading<'a>,
    /// Its name with those of the tables around it; empty for the root.
    path: String,
    written: Option<&'r dyn TableLike>,
    place: Place,
    /// One of several: no variable could say which.
    in_list: bool,
    asked: RefCell<Vec<&'static str>>,
}

impl<'r, 'a> Table<'r, 'a> {
    /// Reads the whole document.
    pub fn read_root<T>(reading: &'r Reading<'a>, read: impl FnOnce(&Self) -> T) -> T {
        let root = Self {
            reading,
            path: String::new(),
            written: Some(reading.document.as_table()),
            place: reading.whole_file(),
            in_list: false,
            asked: RefCell::default(),
        };
        let value = read(&root);
        root.close();
        value
    }

    fn full(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn ask(&self, key: &'static str) -> Option<&'r Item> {
        self.asked.borrow_mut().push(key);
        self.reading.know_key(self.full(key));
        self.written?.get(key).filter(|item| !item.is_none())
    }

    /// The line a key stands on; the key's own, as its value may begin further down.
    fn place_of(&self, key: &str) -> Place {
        let found = self.written.and_then(|table| table.get_key_value(key));
        self.reading.at(found.and_then(|(key, item)| key.span().or_else(|| item.span())))
    }

    fn entry(&self, key: &'static str) -> Option<Entry<'r>> {
        let written = self.ask(key);
        let full = self.full(key);
        if !self.in_list {
            let name = variable_of(&full);
            if let Some(value) = self.reading.variable(&name) {
                let place = Place::Variable { variable: name };
                self.reading.know_place(&full, &place);
                return Some(Entry { key: full, place, raw: Raw::Variable(value) });
            }
        }
        let item = written?;
        Some(Entry { place: self.note_place(key), key: full, raw: Raw::Written(item) })
    }

    /// Where a key is written; noted, unless it is one of several.
    fn note_place(&self, key: &str) -> Place {
        let place = self.place_of(key);
        if !self.in_list {
            self.reading.know_place(&self.full(key), &place);
        }
        place
    }

    fn refuse_entry<T>(&self, entry: &Entry, expected: String) -> Option<T> {
        let found = match entry.raw {
            Raw::Written(item) => describe(item),
            Raw::Variable(text) => format!("{text:?}"),
        };
        let what = format!("`{}` is {found}", entry.key);
        self.reading.refuse(entry.place.clone(), &entry.key, what, expected);
        None
    }

    /// Where this key was given, without reading it.
    pub fn given(&self, key: &'static str) -> Option<Place> {
        self.ask(key).map(|_| self.place_of(key))
    }

    /// Whether the key holds a list, and no variable stands for it.
    pub fn is_list(&self, key: &'static str) -> bool {
        let overridden = self.reading.has_variable(&variable_of(&self.full(key)));
        let is_list = |item: &Item| item.is_array_of_tables() || item.is_array();
        !overridden && self.ask(key).is_some_and(is_list)
    }

    /// Whether the file or a variable says anything for this key, right or wrong.
    pub fn is_given(&self, key: &'static str) -> bool {
        self.entry(key).is_some()
    }

    pub fn reading(&self) -> &'r Reading<'a> {
        self.reading
    }

    /// A whole number of `unit`.
    pub fn integer(
        &self,
        key: &'static str,
        range: RangeInclusive<u64>,
        unit: &str,
    ) -> Option<Got<u64>> {
        let entry = self.entry(key)?;
        let number = match entry.raw {
            Raw::Written(item) => item.as_integer(),
            Raw::Variable(text) => text.trim().parse().ok(),
        };
        match number.and_then(|n| u64::try_from(n).ok()).filter(|n| range.contains(n)) {
            Some(value) => Some(Got { value, place: entry.place }),
            None => self.refuse_entry(
                &entry,
                format!(
                    "expected a whole number from {} to {} ({unit})",
                    range.start(),
                    range.end()
                ),
            ),
        }
    }

    pub fn boolean(&self, key: &'static str) -> Option<Got<bool>> {
        let entry = self.entry(key)?;
        let value = match entry.raw {
            Raw::Written(item) => item.as_bool(),
            Raw::Variable(text) => text.trim().parse().ok(),
        };
        match value {
            Some(value) => Some(Got { value, place: entry.place }),
            None => self.refuse_entry(&entry, "expected true or false".to_owned()),
        }
    }

    /// Text that `read` understands; `Err` says what was expected.
    pub fn text<T>(
        &self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Got<T>> {
        let entry = self.entry(key)?;
        let text = match entry.raw {
            Raw::Written(item) => item.as_str(),
            Raw::Variable(text) => Some(text),
        };
        self.understand(entry, text, read)
    }

    /// Text or a whole number, where people write either, that parses as `T`; `expected` and
    /// `choices` say what would.
    pub fn parsed<T: FromStr>(
        &self,
        key: &'static str,
        expected: &str,
        choices: &[&str],
    ) -> Option<Got<T>> {
        let entry = self.entry(key)?;
        let number;
        let text = match entry.raw {
            Raw::Written(item) => match item.as_integer() {
                Some(written) => {
                    number = written.to_string();
                    Some(number.as_str())
                }
                None => item.as_str(),
            },
            Raw::Variable(text) => Some(text),
        };
        self.understand(entry, text, |text| {
            text.parse().map_err(|_| with_nearest(expected, text, choices))
        })
    }

    fn understand<T>(
        &self,
        entry: Entry,
        text: Option<&str>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Got<T>> {
        // What is no text at all is answered with what the empty text would be: what to write.
        let understood = match text {
            Some(text) => read(text),
            None => read("").and_then(|_| Err("expected text in quotes".to_owned())),
        };
        match understood {
            Ok(value) => Some(Got { value, place: entry.place }),
            Err(expected) => self.refuse_entry(&entry, expected),
        }
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<Got<T>> {
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        self.text(key, |text| {
            let found = choices.iter().find(|(word, _)| *word == text);
            found.map(|(_, value)| *value).ok_or_else(|| {
                let quoted: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
                with_nearest(&format!("expected {}", quoted.join(" or ")), text, &words)
            })
        })
    }

    pub fn path(&self, key: &'static str, base: &Path) -> Option<Got<PathBuf>> {
        self.text(key, |text| paths::absolute(base, text).map_err(str::to_owned))
    }

    /// A list; `read` takes each of its values, or says what it expected.
    pub fn list<T>(
        &self,
        key: &'static str,
        expected: &str,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let item = self.ask(key)?;
        self.note_place(key);
        let full = self.full(key);
        let Some(array) = item.as_array() else {
            let entry = Entry { key: full, place: self.place_of(key), raw: Raw::Written(item) };
            return self.refuse_entry(&entry, expected.to_owned());
        };
        let mut values = Vec::new();
        for value in array {
            match read(value) {
                Ok(value) => values.push(value),
                Err(expected) => {
                    let found = describe(&Item::Value(value.clone()));
                    let what = format!("`{full}` holds {found}");
                    self.reading.refuse(self.reading.at(value.span()), &full, what, expected);
                }
            }
        }
        Some(values)
    }

    /// A table inside this one; read even if it is not there, so that its keys are known.
    pub fn table<T>(&self, key: &'static str, read: impl FnOnce(&Table) -> T) -> T {
        let item = self.ask(key);
        let written = item.and_then(Item::as_table_like);
        if let (Some(item), None) = (item, written) {
            let entry =
                Entry { key: self.full(key), place: self.place_of(key), raw: Raw::Written(item) };
            let expected = format!("expected a table: `[{key}]` on a line, its keys below");
            self.refuse_entry::<()>(&entry, expected);
        }
        self.inner(key, written, self.place_of(key), self.in_list, read)
    }

    /// Every `[[key]]`; `None` if there is none at all.
    pub fn tables<T>(&self, key: &'static str, read: impl Fn(&Table) -> T) -> Option<Vec<T>> {
        let item = self.ask(key)?;
        self.note_place(key);
        let rows: Option<Vec<(&dyn TableLike, _)>> = match item {
            Item::ArrayOfTables(rows) => {
                Some(rows.iter().map(|row| (row as _, row.span())).collect())
            }
            Item::Value(Value::Array(rows)) => rows
                .iter()
                .map(|row| row.as_inline_table().map(|row| (row as _, row.span())))
                .collect(),
            Item::None | Item::Value(_) | Item::Table(_) => None,
        };
        let Some(rows) = rows.filter(|rows| !rows.is_empty()) else {
            let full = self.full(key);
            let expected =
                format!("expected `[[{full}]]` with two brackets on a line, its keys below");
            let entry = Entry { key: full, place: self.place_of(key), raw: Raw::Written(item) };
            return self.refuse_entry(&entry, expected).or(Some(Vec::new()));
        };
        let read_row = |(row, span)| self.inner(key, Some(row), self.reading.at(span), true, &read);
        Some(rows.into_iter().map(read_row).collect())
    }

    fn inner<T>(
        &self,
        key: &'static str,
        written: Option<&'r dyn TableLike>,
        place: Place,
        in_list: bool,
        read: impl FnOnce(&Table) -> T,
    ) -> T {
        let table = Table {
            reading: self.reading,
            path: self.full(key),
            written,
            place,
            in_list,
            asked: RefCell::default(),
        };
        let value = read(&table);
        table.close();
        value
    }

    /// Refuses a key that has to be there and is not.
    pub fn missing(&self, key: &'static str, expected: &str) {
        let what = format!("`{}` is missing", self.full(key));
        self.reading.refuse(self.place.clone(), &self.full(key), what, expected.to_owned());
    }

    /// The first variable that was given for a key of this table.
    pub fn variable_given(&self) -> Option<Place> {
        let asked = self.asked.borrow();
        asked
            .iter()
            .map(|key| variable_of(&self.full(key)))
            .find(|variable| self.reading.has_variable(variable))
            .map(|variable| Place::Variable { variable })
    }

    /// Refuses what nobody asked for.
    pub fn close(&self) {
        let Some(table) = self.written else { return };
        let asked = self.asked.borrow();
        for (key, _) in table.iter().filter(|(key, _)| !asked.contains(key)) {
            self.reading.unknown(&self.path, key, self.place_of(key));
        }
    }
}

/// What was found, in words.
fn describe(item: &Item) -> String {
    match item {
        Item::None => "nothing".to_owned(),
        Item::Table(_) | Item::Value(Value::InlineTable(_)) => "a table".to_owned(),
        Item::ArrayOfTables(_) => "a list of tables".to_owned(),
        Item::Value(Value::String(text)) => format!("the text {:?}", text.value()),
        Item::Value(Value::Integer(number)) => number.value().to_string(),
        Item::Value(Value::Float(number)) => format!("{}, a fraction", number.value()),
        Item::Value(Value::Boolean(value)) => value.value().to_string(),
        Item::Value(Value::Datetime(_)) => "a date".to_owned(),
        Item::Value(Value::Array(_)) => "a list".to_owned(),
    }
}
