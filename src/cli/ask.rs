//! Each request to a running box: what is sent, and how its answer is told.

use std::collections::BTreeSet;
use std::io;

use serde_json::{Value, json};

use super::args::{AlertOrder, OrdersOrder, OrphanOrder};
use super::client::Client;
use super::verify::verify;
use super::{Answer, Exit, Refusal, Request, log, print};

/// Where the box's parameters stand.
///
/// # Errors
/// If no sealbox answers, or it refuses.
pub fn params(client: &Client) -> Result<Answer, Refusal> {
    told(client.get("/api/v1/params", &[])?, print::parameters)
}

/// # Errors
/// If the request means nothing, no sealbox answers, or it refuses.
pub fn ask(client: &Client, request: &Request) -> Result<Answer, Refusal> {
    match request {
        Request::Pledge { count, size } => {
            let mut body = json!({ "count": count });
            if let Some(size) = size {
                body["size"] = size.name().into();
            }
            told(client.post("/api/v1/orders", &body)?, print::order)
        }
        Request::Sectors { order, state } => {
            let state = state.iter().map(|state| ("state", state.clone()));
            let order = order.iter().map(|order| ("order", order.to_string()));
            let query = state.chain(order).collect();
            told(client.all("/api/v1/sectors", "sectors", query)?, print::sectors)
        }
        Request::Sector { sector } => {
            told(client.get(&format!("/api/v1/sectors/{sector}"), &[])?, print::sector)
        }
        Request::Tasks { task_type, status, sector } => {
            let mut query = Vec::new();
            query.extend(task_type.map(|phase| ("task_type", phase.task_type().to_string())));
            query.extend(status.map(|status| ("result_status", status.to_string())));
            query.extend(sector.map(|sector| ("sector", sector.to_string())));
            told(client.all("/api/v1/tasks", "tasks", query)?, print::tasks)
        }
        Request::Log(lines) => log::latest(client, lines),
        Request::Failures => {
            told(client.all("/api/v1/failures", "causes", Vec::new())?, print::failures)
        }
        Request::Retry { cause: Some(cause), .. } => retry_cause(client, cause),
        Request::Retry { sector: Some(sector), phase, all: _, cause: None } => {
            let body = match phase {
                Some(phase) => json!({ "phase": phase.short_name() }),
                None => json!({}),
            };
            let answer = client.post(&format!("/api/v1/sectors/{sector}/retry"), &body)?;
            told(answer, |value| print::retried(Some(*sector), value))
        }
        Request::Retry { sector: None, phase: _, all: _, cause: None } => {
            told(client.post("/api/v1/retry", &json!({}))?, |value| print::retried(None, value))
        }
        Request::Redo { sector } => {
            let answer = client.post(&format!("/api/v1/sectors/{sector}/redo"), &json!({}))?;
            told(answer, |_| format!("sector {sector} goes back to P1"))
        }
        Request::Pause { phase: Some(phase) } => {
            let answer = client.post(&format!("/api/v1/phases/{phase}/pause"), &json!({}))?;
            told(answer, |_| format!("{phase} is paused: what runs may end"))
        }
        Request::Resume { phase: Some(phase), all: _ } => {
            let answer = client.post(&format!("/api/v1/phases/{phase}/resume"), &json!({}))?;
            told(answer, |_| format!("{phase} goes on"))
        }
        Request::Resume { phase: None, all: true } => {
            let answer = client.post("/api/v1/resume", &json!({}))?;
            told(answer, |_| "intake and all phases go on".to_owned())
        }
        Request::Drain => told(client.post("/api/v1/drain", &json!({}))?, |answer| {
            match answer.pointer("/draining/running").and_then(Value::as_u64) {
                Some(0) => "the box is at rest: nothing runs".to_owned(),
                Some(1) => "1 attempt may end, nothing more starts".to_owned(),
                Some(running) => format!("{running} attempts may end, nothing more starts"),
                None => "nothing more starts".to_owned(),
            }
        }),
        Request::Pause { phase: None } => {
            told(client.post("/api/v1/intake/pause", &json!({}))?, |_| {
                "intake is paused: no further sector is begun".to_owned()
            })
        }
        Request::Resume { phase: None, all: false } => {
            told(client.post("/api/v1/intake/resume", &json!({}))?, |_| "intake goes on".to_owned())
        }
        Request::Reload => told(client.post("/api/v1/reload", &json!({}))?, print::reloaded),
        Request::Alert { order: None } => told(client.get("/api/v1/alerts", &[])?, |answer| {
            let said = |at: &str| print::cell(answer.pointer(at));
            format!(
                "sent to {}; standing {}, to be sent {}\nsent last: {}\nfailed last: {}",
                said("/webhook"),
                said("/standing"),
                said("/waiting"),
                said("/last_sent/what"),
                said("/last_failed/what")
            )
        }),
        Request::Alert { order: Some(AlertOrder::Test) } => {
            told(client.post("/api/v1/alerts/test", &json!({}))?, |_| {
                "the webhook has taken the test alert".to_owned()
            })
        }
        Request::Orders { order: None } => {
            told(client.all("/api/v1/orders", "orders", Vec::new())?, print::orders)
        }
        Request::Orders { order: Some(OrdersOrder::Move { order, to, before }) } => {
            let mut body = json!({});
            to.iter().for_each(|to| body["to"] = to.as_str().into());
            before.iter().for_each(|before| body["before"] = (*before).into());
            let answer = client.post(&format!("/api/v1/orders/{order}/move"), &body)?;
            told(answer, |answer| {
                format!("order {order} stands at place {} now", print::cell(answer.get("place")))
            })
        }
        Request::Orders { order: Some(OrdersOrder::Cancel { order }) } => {
            let answer = client.post(&format!("/api/v1/orders/{order}/cancel"), &json!({}))?;
            told(answer, |_| format!("the rest of order {order} is cancelled"))
        }
        Request::Abort { sector, yes: false } => Err(Refusal::new(
            Exit::Usage,
            format!(
                "giving sector {sector} up deletes what it has on scratch, and its copy in storage \
                 if there is one, and cannot be taken back; nothing was done"
            ),
            "if that is meant, say it again with `--yes`",
        )),
        Request::Abort { sector, yes: true } => {
            let answer = client.post(&format!("/api/v1/sectors/{sector}/abort"), &json!({}))?;
            told(answer, |answer| print::aborted(*sector, answer))
        }
        Request::Orphans { order: None } => {
            told(client.all("/api/v1/orphans", "orphans", Vec::new())?, print::orphans)
        }
        Request::Orphans { order: Some(OrphanOrder::Delete { path, yes: false }) } => {
            Err(Refusal::new(
                Exit::Usage,
                format!("deleting {} cannot be taken back; nothing was done", path.display()),
                "if that is meant, say it again with `--yes`",
            ))
        }
        Request::Orphans { order: Some(OrphanOrder::Delete { path, yes: true }) } => {
            let answer = client.post("/api/v1/orphans/delete", &json!({ "path": path }))?;
            told(answer, |_| format!("{} is deleted", path.display()))
        }
        Request::Verify { sector, all: _ } => verify(client, *sector, &mut io::stderr()),
    }
}

/// Every task that failed of a cause with this text: as many at a time as the box takes.
fn retry_cause(client: &Client, text: &str) -> Result<Answer, Refusal> {
    let failures = client.all("/api/v1/failures", "causes", Vec::new())?;
    let causes: BTreeSet<&str> = failures
        .get("causes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|cause| cause.get("cause")?.as_str())
        .filter(|cause| cause.to_lowercase().contains(&text.to_lowercase()))
        .collect();
    if causes.is_empty() {
        let what = format!("nothing has failed of a cause with {text:?}");
        return Err(Refusal::new(Exit::NotFound, what, "`sealbox failures` lists the causes"));
    }
    let mut answers = Vec::new();
    for cause in causes {
        loop {
            let body = json!({ "action": "retry", "cause": cause });
            let answer = client.post("/api/v1/bulk", &body)?;
            let count = |at: &str| answer.pointer(at).and_then(Value::as_u64).unwrap_or_default();
            let again = count("/counts/left") > 0 && count("/counts/done") > 0;
            answers.push(answer);
            if !again {
                break;
            }
        }
    }
    told(print::together(&answers), print::bulk)
}

fn told(json: Value, tell: impl FnOnce(&Value) -> String) -> Result<Answer, Refusal> {
    let text = tell(&json);
    Ok(Answer { json, text })
}
