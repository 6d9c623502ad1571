//! The OpenAPI document, the routes, and what is really answered.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};

use crate::roles::{filled, is_stream, operations};
use crate::world::{ADMIN, Console, Where};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The routes under `/v1` that the sources name, beside those of the public listener.
fn routes() -> BTreeSet<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut found = BTreeSet::new();
    for file in files {
        // The public listener's, the simulators', and the demo's own beside the API.
        let elsewhere = ["intake", "sandbox", "demo"];
        if elsewhere
            .iter()
            .any(|other| file.starts_with(root.join(other)))
        {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        for part in text.split(".route(").skip(1) {
            let Some(path) = part
                .split('"')
                .nth(1)
                .filter(|path| path.starts_with("/v1/"))
            else {
                continue;
            };
            let ends = [";\n", ".merge(", ".layer(", ".route_layer(", ".with_state("];
            let ends = ends.iter().filter_map(|end| part.find(end));
            let end = ends.min().unwrap_or(part.len());
            let handlers = &part[..end];
            for method in ["get", "post", "put", "patch", "delete"] {
                let is_there = [" ", "\n", ".", ","]
                    .iter()
                    .any(|before| handlers.contains(&format!("{before}{method}(")));
                if is_there {
                    found.insert((method.to_owned(), path.to_owned()));
                }
            }
        }
    }
    found
}

#[tokio::test]
async fn every_route_is_an_operation_and_every_operation_a_route() {
    let console = Console::start().await;
    let document = console.told("/v1/openapi.json").await;
    let described: BTreeSet<_> = operations(&document)
        .into_iter()
        .map(|(method, path, _)| (method, path))
        .collect();
    let routes = routes();
    let bare: Vec<_> = routes.difference(&described).collect();
    assert!(bare.is_empty(), "routes without an operation: {bare:?}");
    let lost: Vec<_> = described.difference(&routes).collect();
    assert!(lost.is_empty(), "operations without a route: {lost:?}");
    for (method, path) in described {
        let method: Method = method.to_uppercase().parse().unwrap();
        let request = console.ask(method.clone(), &filled(&path));
        let reply = request.bearer_auth(ADMIN).send().await.unwrap();
        let status = reply.status().as_u16();
        let is_there =
            is_stream(&path) || status != 404 || reply.text().await.unwrap().contains("error");
        assert!(is_there && status != 405, "{method} {path}: {status}");
    }
}

#[tokio::test]
async fn the_document_is_openapi_and_every_operation_says_what_it_is() {
    let console = Console::start().await;
    let document = console.told("/v1/openapi.json").await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let summary = operation["summary"].as_str().unwrap_or_default();
            assert!(summary.len() > 8, "{method} {path} has no summary");
            assert!(operation["operationId"].is_string(), "{method} {path}");
            for status in ["401", "403"] {
                assert!(
                    operation["responses"][status].is_object(),
                    "{method} {path}"
                );
            }
        }
    }
    let ids: Vec<_> = operations(&document)
        .iter()
        .map(|(method, path, _)| document["paths"][path][method]["operationId"].to_string())
        .collect();
    let distinct: BTreeSet<_> = ids.iter().collect();
    assert_eq!(
        ids.len(),
        distinct.len(),
        "two operations have one id: {ids:?}"
    );
}

/// The schema of an answer, with the document's components for its references.
fn schema(document: &Value, method: &str, path: &str, status: &str) -> Option<Value> {
    let answer = &document["paths"][path][method]["responses"][status];
    let schema = answer.pointer("/content/application~1json/schema")?;
    Some(json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "allOf": [schema], "components": document["components"],
    }))
}

#[tokio::test]
async fn what_is_wrong_is_told_as_json_and_without_what_was_sent() {
    let console = Console::start().await;
    let body = |path: &str, body: &'static str| {
        let request = console.post(path).bearer_auth(ADMIN);
        request
            .header("content-type", "application/json")
            .body(body)
    };
    for (request, status) in [
        (body("/v1/retry", "{\"all\":\"s3cr3t\"}"), 422),
        (body("/v1/retry", "{\"s3cr3t\":1}"), 422),
        (body("/v1/retry", "s3cr3t"), 400),
        (
            body("/v1/tokens", "{\"name\":\"x\",\"role\":\"s3cr3t\"}"),
            422,
        ),
        (
            console.post("/v1/retry").bearer_auth(ADMIN).body("s3cr3t"),
            415,
        ),
        (
            console.get("/v1/dead-letters/s3cr3t").bearer_auth(ADMIN),
            400,
        ),
        (
            console.get("/v1/audit?limit=s3cr3t").bearer_auth(ADMIN),
            400,
        ),
        (console.get("/v1/audit?s3cr3t=1").bearer_auth(ADMIN), 400),
    ] {
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), status, "{}", reply.url());
        let told: Value = reply.json().await.unwrap();
        let words = told["error"].as_str().unwrap();
        assert!(!words.is_empty() && !words.contains("s3cr3t"), "{words}");
    }
}

async fn answers_fit_their_schemas(place: Where) {
    let console = Console::with(place, &json!({})).await;
    let ana = console.sign_in("ana").await;
    let wanted = json!({"name": "x", "role": "viewer", "days": 3});
    let made = ana
        .sends(console.post("/v1/tokens"))
        .json(&wanted)
        .send()
        .await;
    assert_eq!(made.unwrap().status(), 201);
    let document = console.told("/v1/openapi.json").await;
    let (mut judged, mut problems) = (0, Vec::new());
    for (method, path, _) in operations(&document) {
        if is_stream(&path) {
            continue;
        }
        let verb: Method = method.to_uppercase().parse().unwrap();
        let mut tried = vec![filled(&path)];
        if path == "/v1/sessions" {
            tried.push("/v1/sessions?controller=rep".into());
        }
        if path.starts_with("/v1/targets/{name}") {
            tried.push(path.replace("{name}", "hubspot"));
        }
        for address in tried {
            for body in [json!({}), json!({"all": true, "dry_run": true})] {
                let request = console.ask(verb.clone(), &address).bearer_auth(ADMIN);
                let request = match verb == Method::GET {
                    true => request,
                    false => request.json(&body),
                };
                let reply = request.send().await.unwrap();
                let status = reply.status().as_u16().to_string();
                let text = reply.text().await.unwrap();
                let Some(schema) = schema(&document, &method, &path, &status) else {
                    let told = &document["paths"][&path][&method]["responses"];
                    if !told[&status].is_object() {
                        problems.push(format!("{method} {address} answers {status}: {text}"));
                    }
                    continue;
                };
                let answer: Value = serde_json::from_str(&text)
                    .unwrap_or_else(|_| panic!("{method} {address}: {status}: {text}"));
                let validator = jsonschema::validator_for(&schema)
                    .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
                let wrong: Vec<String> = validator
                    .iter_errors(&answer)
                    .map(|error| format!("{}: {error}", error.instance_path()))
                    .collect();
                if !wrong.is_empty() {
                    problems.push(format!("{method} {address}: {status}: {wrong:#?}"));
                }
                judged += 1;
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(judged > 30, "{judged}");
}

#[tokio::test]
async fn answers_fit_their_schemas_with_sqlite() {
    answers_fit_their_schemas(Where::Sqlite).await;
}

#[tokio::test]
async fn answers_fit_their_schemas_with_postgresql() {
    answers_fit_their_schemas(Where::Postgres).await;
}
