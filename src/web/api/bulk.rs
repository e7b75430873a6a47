//! One thing done to many sectors.

use std::collections::BTreeSet;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Json, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{body, in_text, of, optional};
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::domain::units::SectorSize;
use crate::store::TaskCursor;
use crate::web::WebState;
use crate::web::bulk::{self, Act, MOST, Outcome, Target, Which};
use crate::web::entry::By;
use crate::web::error::{Problem, Unanswered};
use crate::web::lookup::{SectorParams, SectorsOf, number, shortened};
use crate::web::openapi::{Api, says};
use crate::web::pages::failures::of_cause;
use crate::web::schema::{phase_as_given, shape};

const EXAMPLE: &str = r#"{"action":"retry","sectors":[3,"4-P2"]}, {"action":"verify","all":{"state":"finished"}} or {"action":"retry","cause":"…"}"#;

pub fn add(api: Api) -> Api {
    api.post("/bulk", act, says::<BulkDone>("bulk", "Do it to many sectors").takes(wish()))
}

/// What may be asked for: each action with each way to say which sectors are meant.
fn wish() -> Value {
    let task = json!({ "type": "string", "pattern": "^[0-9]{1,18}-P[1-6]$" });
    let sectors = json!({
        "type": "array", "minItems": 1, "maxItems": MOST,
        "items": { "anyOf": [of::<u64>(), task] },
    });
    let states: Vec<String> = SectorsOf::every().into_iter().map(SectorsOf::value).collect();
    let all = json!({ "type": "object", "additionalProperties": false, "properties": {
        "state": optional(json!({ "enum": states })),
        "phase": optional(phase_as_given()),
        "size": optional(of::<SectorSize>()),
        "order": { "anyOf": [of::<u64>(), { "type": "null" }] },
    } });
    let (cause, sure) = (json!({ "type": "string", "minLength": 1 }), json!({ "type": "boolean" }));
    let may = |actions: &[&str], which: &str, shape: &Value, sure: &Value, required: &[&str]| {
        let required: Vec<&str> = ["action", which].iter().chain(required).copied().collect();
        json!({ "type": "object", "additionalProperties": false, "required": required,
            "properties": { "action": { "enum": actions }, which: shape, "sure": sure } })
    };
    let really = json!({ "const": true });
    json!({ "oneOf": [
        may(&["retry", "verify"], "sectors", &sectors, &sure, &[]),
        may(&["retry", "verify"], "all", &all, &sure, &[]),
        may(&["retry"], "cause", &cause, &sure, &[]),
        may(&["abort"], "sectors", &sectors, &really, &["sure"]),
        may(&["abort"], "all", &all, &really, &["sure"]),
    ] })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    action: String,
    /// Numbers, and tasks as in `12-P2`.
    sectors: Option<Vec<Value>>,
    /// All that match.
    all: Option<Filter>,
    /// As `GET failures` names it.
    cause: Option<String>,
    /// An abort deletes: it has to be said twice.
    #[serde(default)]
    sure: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    state: Option<String>,
    phase: Option<String>,
    size: Option<String>,
    order: Option<Value>,
}

impl Body {
    fn act(&self) -> Result<Act, Unanswered> {
        match (self.action.as_str(), self.sure) {
            ("retry", _) => Ok(Act::Retry),
            ("verify", _) => Ok(Act::Verify),
            ("abort", true) => Ok(Act::Abort),
            ("abort", false) => Err(Unanswered::invalid(
                "an abort deletes what the sectors have on scratch, and cannot be undone; nothing \
                 was done",
                "if that is meant, send `\"sure\": true` too",
            )),
            (other, _) => Err(Unanswered::invalid(
                format!("action: `{}` is unknown", shortened(other)),
                "use retry, abort or verify",
            )),
        }
    }

    /// What is meant, and how many more there are than can be done at once.
    fn which(self, state: &WebState, act: Act) -> Result<(Which, u64), Unanswered> {
        match (self.sectors, self.all, self.cause) {
            (Some(sectors), None, None) if sectors.is_empty() => {
                Err(Unanswered::invalid("no sector is named, so nothing was done", "name some"))
            }
            (Some(sectors), None, None) => {
                let targets: Result<BTreeSet<_>, _> = sectors.iter().map(target).collect();
                Ok((Which::These(targets?), 0))
            }
            (None, Some(filter), None) => Ok((Which::Matching(filter.params().parse()?), 0)),
            (None, None, Some(cause)) if cause.is_empty() => {
                let mend = "name it as `GET /api/v1/failures` does";
                Err(Unanswered::invalid("no cause is named, so nothing was done", mend))
            }
            (None, None, Some(cause)) if act == Act::Retry => {
                let (targets, left) = of_cause(state, &cause, MOST)?;
                Ok((Which::These(targets), left))
            }
            (None, None, Some(_)) => Err(Unanswered::invalid(
                "what failed of one cause can only be retried; nothing was done",
                "name the sectors, or a filter under `all`",
            )),
            _ => Err(Unanswered::invalid(
                "which sectors are meant is not said, or said twice; nothing was done",
                format!("send one of `sectors`, `all` and `cause`, as in {EXAMPLE}"),
            )),
        }
    }
}

impl Filter {
    fn params(self) -> SectorParams {
        SectorParams {
            state: self.state,
            phase: self.phase,
            size: self.size,
            order: self.order.as_ref().map(in_text),
            ..SectorParams::default()
        }
    }
}

/// `12`, or a task as `"12-P2"`.
fn target(sent: &Value) -> Result<Target, Unanswered> {
    let Some(text) = sent.as_str() else {
        return Ok((number(&in_text(sent), "sectors")?, None));
    };
    let task: TaskCursor = text.parse().map_err(|_| {
        let what = format!("sectors: `{}` is no task", shortened(text));
        Unanswered::invalid(what, "give a sector's number, or a task as in \"12-P2\"")
    })?;
    Ok((task.number, Some(task.phase)))
}

/// Of every sector that was meant: done, or not and why, or left for the next time.
#[derive(Debug, Serialize)]
struct BulkDone {
    counts: DoneCounts,
    done: Vec<DoneTarget>,
    /// By their reason.
    not_done: Vec<NotDone>,
}

#[derive(Debug, Serialize)]
struct DoneCounts {
    done: u64,
    not_done: u64,
    /// That it could be done to beyond what is done at once: ask again.
    left: u64,
}

#[derive(Debug, Serialize)]
struct DoneTarget {
    sector: SectorNumber,
    /// None: whatever of it failed, or the sector as a whole.
    phase: Option<Phase>,
}

#[derive(Debug, Serialize)]
struct NotDone {
    why: String,
    count: u64,
    /// The first thousand of them.
    sectors: Vec<DoneTarget>,
}

shape!(BulkDone { counts, done, not_done });
shape!(DoneCounts { done, not_done, left });
shape!(DoneTarget { sector, phase });
shape!(NotDone { why, count, sectors });

impl BulkDone {
    fn of(Outcome { done, not, left }: Outcome) -> Self {
        let target = |(sector, phase)| DoneTarget { sector, phase };
        let not_done: Vec<NotDone> = not
            .into_iter()
            .map(|(why, reason)| NotDone {
                why,
                count: reason.count,
                sectors: reason.first.into_iter().map(target).collect(),
            })
            .collect();
        Self {
            counts: DoneCounts {
                done: done.len() as u64,
                not_done: not_done.iter().map(|one| one.count).sum(),
                left,
            },
            done: done.into_iter().map(target).collect(),
            not_done,
        }
    }
}

async fn act(
    State(state): State<WebState>,
    By(by): By,
    sent: Result<Json<Body>, JsonRejection>,
) -> Result<Json<BulkDone>, Problem> {
    let asked = body(sent, EXAMPLE)?;
    let act = asked.act()?;
    let (which, left) = asked.which(&state, act)?;
    let chosen = bulk::choose(&state, act, which).await?;
    let mut outcome = bulk::carry_out(&state, &by, act, chosen).await?;
    outcome.left += left;
    Ok(Json(BulkDone::of(outcome)))
}
