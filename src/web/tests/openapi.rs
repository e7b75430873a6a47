//! The API's document against what the API does.

use axum::body::Body;
use serde_json::Value;

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
