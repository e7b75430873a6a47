//! Shapes of what the API sends and takes, for its OpenAPI document. Those of structs are made from
//! the very structs that are serialised: a field that is left out, or is of a type without a shape,
//! does not compile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::alerts::Said;
use crate::alerts::sender::Event;
use crate::config;
use crate::doctor::{Check, Examination, Verdict};
use crate::domain::admission::{Counts, PhaseCounts};
use crate::domain::failure::{Class, Failure};
use crate::domain::forecast::Outlook;
use crate::domain::ids::{OrderId, SectorNumber};
use crate::domain::isolation::Isolation;
use crate::domain::phase::{PerPhase, Phase};
use crate::domain::porep::Porep;
use crate::domain::sector::{Commit, PreCommit};
use crate::domain::units::{ByteSize, Epoch, SectorSize, Timestamp};
use crate::engine::{EngineKind, ParametersState};
use crate::logs::LineId;
use crate::reload::Reloaded;
use crate::scheduler::view::{ChainTrouble, DiskRole, UntilFullView, WaitView};

/// Objects by their names, which the shapes refer to.
pub type Shapes = BTreeMap<&'static str, Value>;

/// What has a shape in JSON.
pub trait Shaped {
    fn shape(shapes: &mut Shapes) -> Value;
}

/// A phase as people and programs name it: by its short name, the fleet's name, or its task type.
pub fn phase_as_given() -> Value {
    let names = Phase::ALL.map(|phase| {
        format!("[pP]{}|{}|{}", &phase.short_name()[1..], phase.task_type(), phase.fleet_name())
    });
    json!({ "type": "string", "pattern": format!("^({})$", names.join("|")) })
}

/// The shape of a field.
pub fn of_field<S, T: Shaped>(_field: fn(&S) -> &T, shapes: &mut Shapes) -> Value {
    T::shape(shapes)
}

/// Remembers an object by its name, and refers to it.
pub fn named(
    name: &'static str,
    shapes: &mut Shapes,
    properties: impl FnOnce(&mut Shapes) -> Vec<(&'static str, Value)>,
) -> Value {
    if !shapes.contains_key(name) {
        let properties = properties(shapes);
        shapes.insert(name, object(properties));
    }
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// An object that has all of these.
pub fn object(properties: Vec<(&'static str, Value)>) -> Value {
    let required: Vec<&str> = properties.iter().map(|(name, _)| *name).collect();
    let map: Map<String, Value> =
        properties.iter().map(|(name, shape)| ((*name).to_owned(), shape.clone())).collect();
    json!({ "type": "object", "required": required, "properties": map })
}

/// Gives a struct the shape that its `Serialize` has: all fields, but those after `without`.
macro_rules! shape {
    ($name:ident { $($field:ident),* $(,)? } $(without { $($left:ident),* $(,)? })?) => {
        impl $crate::web::schema::Shaped for $name {
            fn shape(shapes: &mut $crate::web::schema::Shapes) -> serde_json::Value {
                // Does not compile if the struct has another field.
                let _all = |$name { $($field: _,)* $($($left: _,)*)? }: &$name| ();
                $crate::web::schema::named(stringify!($name), shapes, |shapes| vec![
                    $((stringify!($field), $crate::web::schema::of_field(
                        |it: &$name| &it.$field, shapes))),*
                ])
            }
        }
    };
}
pub(crate) use shape;

macro_rules! plain {
    ($($shape:tt for $($of:ty),+;)*) => {
        $($(impl Shaped for $of {
            fn shape(_: &mut Shapes) -> Value { json!($shape) }
        })+)*
    };
}

plain! {
    {"type": "string"} for String, &'static str, PathBuf;
    {"type": "boolean"} for bool;
    {"type": "integer", "minimum": 0, "maximum": u32::MAX} for u32;
    {"type": "integer", "minimum": 0, "maximum": u64::MAX} for u64, u8, usize, SectorNumber, OrderId, Timestamp,
        ByteSize, Epoch, LineId;
    {"enum": ["P1", "P2", "P3", "P4", "P5", "P6"]} for Phase;
    {"enum": ["2KiB", "8MiB", "512MiB", "32GiB", "64GiB"]} for SectorSize;
    {"enum": ["transient", "space", "operator", "sector", "fatal"]} for Class;
    {"enum": ["scratch", "storage", "data"]} for DiskRole;
    {"enum": ["unknown", "steady", "bounded", "crowded", "full"]} for Outlook;
    {"enum": ["interactive", "synthetic", "non-interactive"]} for Porep;
    {"enum": ["filecoin", "simulated"]} for EngineKind;
    {"enum": ["thread", "process"]} for Isolation;
    {"type": "object"} for Map<String, Value>;
    {"enum": ["ok", "warning", "stop"]} for Verdict;
}

impl<T: Shaped> Shaped for Option<T> {
    fn shape(shapes: &mut Shapes) -> Value {
        json!({ "anyOf": [T::shape(shapes), { "type": "null" }] })
    }
}

impl<T: Shaped> Shaped for Vec<T> {
    fn shape(shapes: &mut Shapes) -> Value {
        json!({ "type": "array", "items": T::shape(shapes) })
    }
}

impl<T: Shaped> Shaped for BTreeSet<T> {
    fn shape(shapes: &mut Shapes) -> Value {
        json!({ "type": "array", "items": T::shape(shapes), "uniqueItems": true })
    }
}

impl<K, T: Shaped> Shaped for BTreeMap<K, T> {
    fn shape(shapes: &mut Shapes) -> Value {
        json!({ "type": "object", "additionalProperties": T::shape(shapes) })
    }
}

impl<T: Shaped> Shaped for PerPhase<T> {
    fn shape(shapes: &mut Shapes) -> Value {
        json!({ "type": "array", "items": T::shape(shapes), "minItems": 6, "maxItems": 6 })
    }
}

impl<T: Shaped> Shaped for Arc<T> {
    fn shape(shapes: &mut Shapes) -> Value {
        T::shape(shapes)
    }
}

shape!(Failure { class, what, file, mend, detail });
shape!(PhaseCounts { queued, running, failed });
shape!(Counts { phases, drawing_ticket, awaiting_seed, committing, in_flight, needs_you });
shape!(PreCommit { message, epoch, seed_epoch });
shape!(Commit { message, epoch });
shape!(ChainTrouble { sector, failure });
shape!(WaitView { sector, phase, why });
shape!(UntilFullView { size, full });
shape!(Said { webhook, standing, waiting, last_sent, last_failed });
shape!(Event { at, what });
shape!(Check { of, verdict, found, mend });
shape!(Examination { at, checks });

impl Shaped for ParametersState {
    fn shape(shapes: &mut Shapes) -> Value {
        let mut more = Failure::shape(shapes);
        if let Some(more) = more.as_object_mut() {
            more.insert("description".into(), json!("what is missing, and what to do"));
        }
        json!({
            "type": "object",
            "required": ["state"],
            "properties": {
                "state": { "enum": [
                    "not_needed", "checking", "lab_made", "production", "making", "missing", "awaited"
                ] },
                "file": { "type": "string" },
                "bytes": { "type": "integer", "minimum": 0 },
                "step": { "type": "string" },
                "since": { "type": "integer", "minimum": 0 },
                "failure": more,
            },
        })
    }
}

impl Shaped for Reloaded {
    fn shape(shapes: &mut Shapes) -> Value {
        named("Reloaded", shapes, |shapes| {
            let keys = Vec::<String>::shape(shapes);
            let file = Option::<String>::shape(shapes);
            vec![("file", file), ("in_effect", keys.clone()), ("needs_restart", keys)]
        })
    }
}

impl Shaped for config::Problem {
    fn shape(shapes: &mut Shapes) -> Value {
        named("ConfigProblem", shapes, |shapes| {
            let text = String::shape(shapes);
            vec![("key", text.clone()), ("what", text.clone()), ("mend", text)]
        })
    }
}
