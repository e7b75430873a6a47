//! The API's document against what the API does.

use std::collections::BTreeMap;

use axum::body::Body;
use serde_json::{Value, json};

use super::api::carried_out;
use super::site::{Answer, Site, ask};
use super::states::busy;
use crate::web::api::document;

fn documented() -> Vec<(String, String, Value)> {
    let paths = document()["paths"].as_object().unwrap().clone();
    let each = |(path, methods): (String, Value)| {
        let methods = methods.as_object().unwrap().clone().into_iter();
        methods.map(move |(method, said)| (path.clone(), method, said)).collect::<Vec<_>>()
    };
    paths.into_iter().flat_map(each).collect()
}

/// Says where a value is not as its shape says.
fn misfit(value: &Value, shape: &Value, at: &str, all: &Value) -> Option<String> {
    if let Some(name) = shape["$ref"].as_str() {
        let pointer = name.strip_prefix('#').unwrap();
        return misfit(value, all.pointer(pointer).expect("it is there"), at, all);
    }
    if let Some(any) = shape["anyOf"].as_array() {
        let found: Vec<_> = any.iter().filter_map(|one| misfit(value, one, at, all)).collect();
        return (found.len() == any.len()).then(|| found.join(" and "));
    }
    if let Some(values) = shape["enum"].as_array() {
        return (!values.contains(value)).then(|| format!("{at}: {value} is not of {values:?}"));
    }
    let kind_fits = match shape["type"].as_str().unwrap_or_default() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{at}: `{other}` is no type that is looked at here"),
    };
    if !kind_fits {
        return Some(format!("{at}: {value} is no {}", shape["type"]));
    }
    let items = value.as_array().into_iter().flatten();
    let item = items
        .enumerate()
        .find_map(|(i, item)| misfit(item, &shape["items"], &format!("{at}/{i}"), all));
    let names = shape["required"].as_array().into_iter().flatten();
    let missing = names.filter_map(Value::as_str).find(|name| value.get(name).is_none());
    let missing = missing.map(|name| format!("{at}: {name} is missing"));
    let member = value.as_object().into_iter().flatten().find_map(|(name, member)| {
        let at = format!("{at}/{name}");
        match (&shape["properties"][name], &shape["additionalProperties"]) {
            (Value::Null, Value::Null) if shape["properties"].is_object() => {
                Some(format!("{at} is not in the document"))
            }
            (Value::Null, Value::Null) => None,
            (Value::Null, of) => misfit(member, of, &at, all),
            (of, _) => misfit(member, of, &at, all),
        }
    });
    item.or(missing).or(member)
}

#[test]
fn every_route_of_the_document_is_there_and_answers_only_to_its_methods() {
    let site = busy();
    for (path, method, _) in documented() {
        let address = path.replace("{number}", "77777").replace("{order}", "77777");
        let address = address.replace("{phase}", "P2");
        let answer = site.send(
            ask(&method.to_uppercase(), &address)
                .header("content-type", "application/json")
                .body(Body::from("{}"))
                .unwrap(),
        );
        assert_ne!(answer.status, 405, "{method} {path}");
        let detail = answer.text.contains("there is nothing at this address");
        assert!(!detail, "{method} {path}: {}", answer.text);
        let wrong = site.send(ask("PATCH", &address).body(Body::empty()).unwrap());
        assert_eq!(wrong.status, 405, "{path}");
        assert_eq!(wrong.header("content-type"), "application/problem+json", "{path}");
        assert!(wrong.header("allow").contains(&method.to_uppercase()), "{path}");
    }
}

#[test]
fn what_is_looked_at_has_the_shape_that_the_document_says() {
    let site = busy();
    let all = document();
    let mut looked = 0;
    for (path, method, said) in documented() {
        if method != "get" || path.ends_with("openapi.json") {
            continue;
        }
        for number in site.sectors.keys() {
            let answer = site.get(&path.replace("{number}", &number.to_string()));
            if answer.status == 404 {
                continue;
            }
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            let shape = &said["responses"]["200"]["content"]["application/json"]["schema"];
            assert_eq!(misfit(&answer.json(), shape, &path, &all), None);
            looked += 1;
            if !path.contains("{number}") {
                break;
            }
        }
    }
    assert!(looked > 10, "{looked}");
}

#[test]
fn what_a_command_answers_has_the_shape_that_the_document_says() {
    let mut site = Site::empty();
    site.reply = carried_out;
    site.order(3).finished(0);
    let all = document();
    // Those that need more than a scheduler.
    let elsewhere = ["/reload", "/alerts/test", "/orphans/delete", "/verify"];
    let mut bodies = BTreeMap::from([
        ("order", json!({ "count": 3 })),
        ("move_order", json!({ "to": "first" })),
        ("bulk", json!({ "action": "retry", "sectors": [0, 1] })),
    ]);
    for (path, method, said) in documented() {
        if method != "post" || elsewhere.iter().any(|end| path.ends_with(end)) {
            continue;
        }
        let address = path.replace("{number}", "0").replace("{order}", "0");
        let body = bodies.remove(said["operationId"].as_str().unwrap()).unwrap_or(json!({}));
        let answer = site.post_json(&address.replace("{phase}", "P2"), &body.to_string());
        let status = answer.status.as_u16().to_string();
        let shape = &said["responses"][&status]["content"]["application/json"]["schema"];
        assert!(shape.is_object(), "{path}: {status} is not in the document: {}", answer.text);
        assert!(shape["$ref"].is_string(), "{path} answers with an object without a name");
        assert_eq!(misfit(&answer.json(), shape, &path, &all), None);
    }
    assert_eq!(bodies, BTreeMap::new());
}

/// The shape that a pointer leads to.
fn shape_at(shape: &Value, pointer: &[&str], all: &Value) -> Option<Value> {
    if let Some(name) = shape["$ref"].as_str() {
        return shape_at(all.pointer(name.strip_prefix('#')?)?, pointer, all);
    }
    let Some((first, rest)) = pointer.split_first() else { return Some(shape.clone()) };
    let inner = if first.parse::<usize>().is_ok() {
        shape.get("items")?
    } else {
        shape.get("properties")?.get(first)?
    };
    shape_at(inner, rest, all)
}

#[test]
fn every_link_leads_from_what_an_answer_has_to_what_an_operation_takes() {
    let all = document();
    let operations: BTreeMap<String, Value> = documented()
        .into_iter()
        .map(|(_, _, said)| (said["operationId"].as_str().unwrap().to_owned(), said))
        .collect();
    let mut linked = std::collections::BTreeSet::new();
    for (path, _, said) in documented() {
        let own = said["parameters"].as_array().unwrap();
        for answer in said["responses"].as_object().unwrap().values() {
            let shape = &answer["content"]["application/json"]["schema"];
            for (name, link) in answer["links"].as_object().into_iter().flatten() {
                let to = link["operationId"].as_str().unwrap();
                let target = operations.get(to).unwrap_or_else(|| panic!("{path}: {name}: {to}"));
                linked.insert(to.to_owned());
                let parameters = link["parameters"].as_object().into_iter().flatten();
                let body = link["requestBody"].as_object().into_iter().flatten();
                for (parameter, _) in parameters.clone() {
                    let taken = target["parameters"].as_array().unwrap();
                    let is_taken = taken.iter().any(|one| one["name"] == **parameter);
                    assert!(is_taken, "{path}: {name}: {to} takes no {parameter}");
                }
                for (_, stands) in parameters.chain(body) {
                    let stands = stands.as_str().unwrap();
                    let found = match stands.strip_prefix("$response.body#/") {
                        Some(at) => {
                            shape_at(shape, &at.split('/').collect::<Vec<_>>(), &all).is_some()
                        }
                        None => own.iter().any(|one| {
                            stands == format!("$request.path.{}", one["name"].as_str().unwrap())
                        }),
                    };
                    assert!(found, "{path}: {name}: there is no {stands}");
                }
            }
        }
    }
    for to in ["sectors", "move_order", "cancel_order", "retry", "abort", "history", "sector_log"] {
        assert!(linked.contains(to), "nothing leads to {to}");
    }
}

/// What of the API does and shows what a page or a form of it does and shows.
const OF_PAGES: [(&str, &[&str]); 37] = [
    ("/", &["status", "counts", "sectors", "params"]),
    ("/sectors", &["sectors", "counts"]),
    ("/sectors/{number}", &["sector", "history", "attempts", "verified"]),
    ("/sectors/{number}/log", &["sector_log"]),
    ("/sectors/{number}/log.txt", &["sector_log"]),
    ("/logs", &["log"]),
    ("/logs/lines", &["log"]),
    ("/logs.txt", &["log"]),
    ("/tasks", &["tasks", "counts"]),
    ("/failures", &["failures", "damaged"]),
    ("/workers", &["status", "timeline", "timeline_waits"]),
    ("/history", &["timeline", "timeline_waits", "samples", "box_history"]),
    ("/storage", &["status", "orphans"]),
    ("/system", &["system", "doctor", "params", "config", "access", "alerts"]),
    ("/orders", &["order"]),
    ("/orders/{order}/cancel", &["cancel_order"]),
    ("/orders/{order}/move", &["move_order"]),
    ("/sectors/{number}/retry", &["retry"]),
    ("/sectors/{number}/verify", &["verify"]),
    ("/sectors/{number}/redo", &["redo"]),
    ("/sectors/{number}/abort", &["abort"]),
    ("/failures/retry", &["bulk", "retry_all"]),
    ("/bulk", &["bulk"]),
    ("/intake/pause", &["pause"]),
    ("/intake/resume", &["resume"]),
    ("/phases/{phase}/pause", &["pause_phase"]),
    ("/phases/{phase}/resume", &["resume_phase"]),
    ("/drain", &["drain"]),
    ("/resume", &["resume_all"]),
    ("/doctor", &["look"]),
    ("/reload", &["reload"]),
    ("/alerts/test", &["test_alert"]),
    ("/orphans/delete", &["delete_orphan"]),
    // The look of the page itself, and what programs read in another way.
    ("/static/{*name}", &[]),
    ("/metrics", &[]),
    ("/live", &[]),
    ("/api/v1", &["openapi"]),
];

#[test]
fn whatever_a_page_shows_or_a_form_does_has_an_address_of_the_api() {
    let routes = include_str!("../mod.rs").split(".route(\"").skip(1);
    let routes: Vec<&str> = routes.filter_map(|rest| rest.split('"').next()).collect();
    assert!(routes.len() > 30, "{routes:?}");
    for route in routes {
        let known = OF_PAGES.iter().any(|(of, _)| *of == route);
        assert!(known, "{route}: say what of the API does the same, or why nothing has to");
    }
    let names: Vec<Value> =
        documented().into_iter().map(|(_, _, said)| said["operationId"].clone()).collect();
    for (route, operations) in OF_PAGES {
        for operation in operations {
            assert!(names.contains(&json!(operation)), "{route}: there is no {operation}");
        }
    }
}

#[test]
fn what_is_refused_has_the_shape_that_the_document_says() {
    let site = Site::empty();
    let all = document();
    let problem = &all["components"]["schemas"]["Problem"];
    for path in ["/api/v1/sectors/7", "/api/v1/nowhere", "/api/v1/tasks?task_type=x"] {
        let answer = site.get(path);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{path}");
        assert_eq!(misfit(&answer.json(), problem, path, &all), None);
    }
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let mut names: Vec<_> =
        documented().iter().map(|(_, _, said)| said["operationId"].to_string()).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

fn again(site: &Site, path: &str, tag: &str) -> Answer {
    site.send(ask("GET", path).header("if-none-match", tag).body(Body::empty()).unwrap())
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let mut site = Site::empty();
    site.order(1).issue(0);
    for path in ["/api/v1/status", "/api/v1/sectors", "/api/v1/tasks"] {
        let first = site.get(path);
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with("W/\""), "{path}: {tag}");
        let same = again(&site, path, &format!("\"other\", {tag}"));
        assert_eq!((same.status.as_u16(), same.text.as_str()), (304, ""), "{path}");
        assert_eq!(same.header("etag"), tag, "{path}");
        assert_eq!(again(&site, path, "W/\"other\"").status, 200, "{path}");
    }
    let tag = site.get("/api/v1/sectors").header("etag").to_owned();
    site.happens(0, crate::domain::event::Event::TicketDrawn { ticket: super::site::ticket() });
    assert_eq!(again(&site, "/api/v1/sectors", &tag).status, 200);
}
