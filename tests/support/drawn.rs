//! Requests drawn from an OpenAPI document: every address with every method that it says, and some
//! that it does not; parameters and bodies of the shapes that it gives, and what only resembles them.

use serde_json::{Map, Value, json};

use super::dice::Dice;

const METHODS: [&str; 9] =
    ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW"];
const HEADERS: [&str; 8] = [
    "accept: */*",
    "if-none-match: *",
    "if-none-match: \"x\", W/\"",
    "accept-encoding: gzip",
    "range: bytes=0-",
    "origin: null",
    "authorization: Bearer x",
    "authorization: Basic \u{1}",
];
const KINDS: [&str; 5] = [
    "application/json",
    "application/json; charset=utf-16",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "text/plain",
];
/// For what a pattern describes: some fit, to some address.
const NAMES: [&str; 8] = ["P1", "p6", "PreCommitPhase1", "CommitPhase2", "4", "32", "0-P4", ""];
const TEXTS: [&str; 12] = [
    "",
    "0",
    "-1",
    "18446744073709551616",
    "1e999",
    "\0",
    "..%2f..",
    "../../etc/passwd",
    "<script>",
    "\u{1f4a9}\u{202e}",
    "' or 1=1 --",
    "null",
];

/// One method of an address.
#[derive(Debug, Clone)]
pub struct Operation {
    pub method: String,
    pub path: String,
    parameters: Vec<Value>,
    body: Option<Value>,
}

/// What goes over the line.
#[derive(Debug, Clone)]
pub struct Drawn {
    pub method: String,
    /// With its query.
    pub target: String,
    pub headers: Vec<String>,
    pub body: String,
}

impl Operation {
    pub fn all_of(document: &Value) -> Vec<Self> {
        let paths = document["paths"].as_object().expect("addresses");
        let of_path = |(path, methods): (&String, &Value)| {
            let methods = methods.as_object().cloned().unwrap_or_default();
            let path = path.clone();
            methods.into_iter().map(move |(method, said)| Self {
                method: method.to_uppercase(),
                path: path.clone(),
                parameters: said["parameters"].as_array().cloned().unwrap_or_default(),
                body: said["requestBody"]["content"]["application/json"].get("schema").cloned(),
            })
        };
        paths.iter().flat_map(of_path).collect()
    }

    pub fn draw(&self, dice: &mut Dice, document: &Value) -> Drawn {
        let mut draw = |schema: &Value| Draw { dice: &mut *dice, document }.value(schema, 0);
        let (mut target, mut query, mut headers) = (self.path.clone(), Vec::new(), Vec::new());
        let mut given = Vec::new();
        for parameter in &self.parameters {
            let name = parameter["name"].as_str().unwrap_or_default().to_owned();
            given.push((name, parameter["in"].clone(), in_address(&draw(&parameter["schema"]))));
        }
        let body = self.body.as_ref().map(&mut draw);
        for (name, place, value) in given {
            match place.as_str() {
                Some("path") => target = target.replace(&format!("{{{name}}}"), &escaped(&value)),
                Some("query") if dice.once_in(2) => {
                    query.push(format!("{name}={}", escaped(&value)));
                    // Twice, now and then.
                    query.extend(dice.once_in(20).then(|| format!("{name}=1")));
                }
                _ => {}
            }
        }
        query.extend(dice.once_in(10).then(|| format!("{}=%zz&&=", dice.of(&TEXTS).len())));
        if !query.is_empty() {
            target = format!("{target}?{}", query.join("&"));
        }
        let method =
            if dice.once_in(8) { dice.of(&METHODS).to_owned() } else { self.method.clone() };
        let mut text = body.map(|body| body.to_string()).unwrap_or_default();
        if dice.once_in(12) {
            text = torn(dice, &text);
        }
        let kind = if dice.once_in(12) { dice.of(&KINDS) } else { KINDS[0] };
        headers.extend((!text.is_empty()).then(|| format!("content-type: {kind}")));
        headers.extend(dice.once_in(4).then(|| dice.of(&HEADERS).to_owned()));
        Drawn { method, target, headers, body: text }
    }
}

/// No longer JSON, or not that which it was.
fn torn(dice: &mut Dice, text: &str) -> String {
    match dice.below(6) {
        0 => text.chars().take(text.chars().count() / 2).collect(),
        1 => format!("\u{feff}{text}"),
        2 => format!("{text}{text}"),
        3 => "[".repeat(5_000),
        4 => format!("{{\"a\":{text}}}"),
        _ => dice.of(&TEXTS).to_owned(),
    }
}

fn in_address(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => (byte as char).to_string(),
        _ => format!("%{byte:02x}"),
    };
    text.bytes().map(byte).collect()
}

struct Draw<'a> {
    dice: &'a mut Dice,
    document: &'a Value,
}

impl Draw<'_> {
    /// One of this shape, or nearly.
    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        if depth > 6 || self.dice.once_in(9) {
            return self.anything(schema);
        }
        if let Some(named) = schema["$ref"].as_str() {
            let place = named.trim_start_matches('#');
            let schema = self.document.pointer(place).expect("what is referred to is there");
            return self.value(&schema.clone(), depth + 1);
        }
        if let Some(choices) = schema["enum"].as_array() {
            return choices[self.dice.below(choices.len())].clone();
        }
        if schema.get("const").is_some() {
            return schema["const"].clone();
        }
        let one_of = schema["oneOf"].as_array().filter(|_| schema["type"].is_null());
        if let Some(choices) = schema["anyOf"].as_array().or(one_of) {
            let chosen = self.dice.below(choices.len());
            return self.value(&choices[chosen], depth + 1);
        }
        match schema["type"].as_str() {
            Some("integer" | "number") => self.number(schema),
            Some("boolean") => json!(self.dice.once_in(2)),
            Some("null") => Value::Null,
            Some("array") => {
                let count = self.dice.below(4);
                (0..count).map(|_| self.value(&schema["items"], depth + 1)).collect()
            }
            Some("object") => self.object(schema, depth),
            Some("string") if schema["pattern"].is_string() => json!(self.dice.of(&NAMES)),
            Some(_) | None => json!(self.dice.of(&TEXTS)),
        }
    }

    /// Mostly small, so that there is such a sector.
    fn number(&mut self, schema: &Value) -> Value {
        match self.dice.below(8) {
            0 => schema.get("maximum").cloned().unwrap_or(json!(u64::MAX)),
            1 => schema.get("minimum").cloned().unwrap_or(json!(0)),
            2 => json!(self.dice.below(1_000)),
            _ => json!(self.dice.below(4)),
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let alternatives = schema["oneOf"].as_array().cloned().unwrap_or_default();
        let chosen = match alternatives.len() {
            0 => Value::Null,
            many => alternatives[self.dice.below(many)].clone(),
        };
        let is_required = |name: &str| {
            let lists = [&schema["required"], &chosen["required"]];
            lists.iter().filter_map(|list| list.as_array()).flatten().any(|one| one == name)
        };
        let mut object = Map::new();
        for (name, shape) in schema["properties"].as_object().cloned().unwrap_or_default() {
            let excluded = chosen["properties"][&name] == json!(false) && !self.dice.once_in(10);
            let wanted = is_required(&name) && !self.dice.once_in(10);
            if !excluded && (wanted || self.dice.once_in(2)) {
                let value = self.value(&shape, depth + 1);
                object.insert(name, value);
            }
        }
        if self.dice.once_in(12) {
            object.insert("unheard_of".to_owned(), Value::Null);
        }
        Value::Object(object)
    }

    /// Of another shape, or just beyond it.
    fn anything(&mut self, schema: &Value) -> Value {
        let beyond = |bound: &str, by: i64| schema[bound].as_i64().map(|bound| json!(bound + by));
        match self.dice.below(12) {
            0 => beyond("minimum", -1).unwrap_or(json!(-1)),
            1 => beyond("maximum", 1).unwrap_or(json!(1.5)),
            2 => json!(1e300),
            3 => json!(3.0),
            4 => Value::Null,
            5 => json!([]),
            6 => json!({ "": {} }),
            7 => json!("x".repeat(3_000)),
            8 => json!(true),
            _ => json!(self.dice.of(&TEXTS)),
        }
    }
}
