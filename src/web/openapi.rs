//! The API's routes with what its OpenAPI document says of them: one call adds both, so that no
//! route is missing in the document and nothing in it is without a route.

use std::collections::BTreeMap;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::WebState;
use super::error::ProblemBody;
use super::schema::{self, Shaped, Shapes};

/// Where the API is.
pub const BASE: &str = "/api/v1";

/// The API while its routes are added.
#[derive(Default)]
pub struct Api {
    router: Router<WebState>,
    paths: BTreeMap<String, Map<String, Value>>,
    shapes: Shapes,
}

/// What the document says of one method of a route.
pub struct Said {
    /// Its name in clients that are made from the document.
    pub id: &'static str,
    pub summary: &'static str,
    query: Vec<Value>,
    body: Option<(Value, bool)>,
    status: u16,
    answer: fn(&mut Shapes) -> Value,
    /// Where the answer leads, by name.
    links: Map<String, Value>,
}

/// A GET, or a POST, that is answered with this.
pub fn says<T: Shaped>(id: &'static str, summary: &'static str) -> Said {
    let (query, links) = (Vec::new(), Map::new());
    Said { id, summary, query, body: None, status: 200, answer: T::shape, links }
}

impl Said {
    /// A parameter of the query, which may be left out, or be there and empty.
    pub fn query(mut self, name: &str, about: &str, shape: Value) -> Self {
        let shape = json!({ "anyOf": [shape, { "type": "string", "maxLength": 0 }] });
        self.query.push(json!({
            "name": name, "in": "query", "required": false, "description": about, "schema": shape,
        }));
        self
    }

    /// Where a list goes on, and how much of it is sent at a time.
    pub fn paged(self, after: Value) -> Self {
        let limit = json!({ "type": "integer", "minimum": 1, "maximum": 1000 });
        self.query("after", "what `next` said: the list goes on behind it", after).query(
            "limit",
            "how many at a time",
            limit,
        )
    }

    pub fn takes(mut self, body: Value) -> Self {
        self.body = Some((body, true));
        self
    }

    /// As `takes`, but the body may be left out.
    pub fn may_take(mut self, body: Value) -> Self {
        self.body = Some((body, false));
        self
    }

    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// What its answer can be followed by: an operation, and where in the request or the answer
    /// the operation's parameters stand.
    pub fn leads(mut self, name: &str, to: &str, parameters: &[(&str, &str)]) -> Self {
        let parameters: Map<String, Value> =
            parameters.iter().map(|(name, stands)| ((*name).to_owned(), json!(stands))).collect();
        self.links.insert(name.into(), json!({ "operationId": to, "parameters": parameters }));
        self
    }

    /// The same, where the operation takes a body.
    pub fn leads_with(mut self, name: &str, to: &str, body: Value) -> Self {
        self.links.insert(name.into(), json!({ "operationId": to, "requestBody": body }));
        self
    }

    fn written(self, path: &str, is_get: bool, shapes: &mut Shapes) -> Value {
        let mut parameters: Vec<Value> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(path_parameter)
            .chain(self.query)
            .collect();
        let problem = json!({
            "description": "refused; `detail` says why and `mend` what to do",
            "content": { "application/problem+json": { "schema": ProblemBody::shape(shapes) } },
        });
        let mut answers = json!({ "4XX": problem, "5XX": problem });
        answers[self.status.to_string()] = json!({
            "description": "done",
            "content": { "application/json": { "schema": (self.answer)(shapes) } },
        });
        if !self.links.is_empty() {
            answers[self.status.to_string()]["links"] = self.links.into();
        }
        if is_get {
            parameters.push(json!({
                "name": "if-none-match", "in": "header", "required": false,
                "description": "the ETag of an earlier answer", "schema": { "type": "string" },
            }));
            answers["304"] = json!({ "description": "nothing has changed since that ETag" });
        }
        let mut said = json!({
            "operationId": self.id,
            "summary": self.summary,
            "parameters": parameters,
            "responses": answers,
        });
        if let Some((body, required)) = self.body {
            let content = json!({ "application/json": { "schema": body } });
            said["requestBody"] = json!({ "required": required, "content": content });
        }
        said
    }
}

/// What an address names.
fn path_parameter(name: &str) -> Value {
    let (about, shape) = match name {
        "phase" => ("P1 to P6, the fleet's name of it, or its task type", schema::phase_as_given()),
        "order" => ("an order's number", json!({ "type": "integer", "minimum": 0 })),
        _ => ("a sector's number", json!({ "type": "integer", "minimum": 0 })),
    };
    json!({ "name": name, "in": "path", "required": true, "description": about, "schema": shape })
}

impl Api {
    pub fn get<H, T>(mut self, path: &str, handler: H, said: Said) -> Self
    where
        H: Handler<T, WebState>,
        T: 'static,
    {
        let path = format!("{BASE}{path}");
        self.router = self.router.route(&path, get(handler));
        self.add(path, "get", said)
    }

    pub fn post<H, T>(mut self, path: &str, handler: H, said: Said) -> Self
    where
        H: Handler<T, WebState>,
        T: 'static,
    {
        let path = format!("{BASE}{path}");
        self.router = self.router.route(&path, post(handler));
        self.add(path, "post", said)
    }

    fn add(mut self, path: String, method: &str, said: Said) -> Self {
        let written = said.written(&path, method == "get", &mut self.shapes);
        self.paths.entry(path).or_default().insert(method.to_owned(), written);
        self
    }

    /// The routes, and the document of them.
    pub fn done(self) -> (Router<WebState>, Value) {
        let document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": "sealbox",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "What the page can do and show. Errors are problem+json (RFC 9457) \
                    with `mend`: what to do. Where a password is set, send a bearer token.",
                "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
            },
            "servers": [{ "url": "/" }],
            "security": [{}, { "token": [] }],
            "paths": self.paths,
            "components": {
                "schemas": self.shapes,
                "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            },
        });
        (self.router, document)
    }
}
