//! What other people's clients do with a site, by the vendor's own pages and samples.

use handoffd_contract::sandbox::{Request, Response, Sandbox};
use handoffd_contract::{Auth, HttpCall, Method};
use serde_json::{Value, json};

use crate::common::*;

fn subjects(site: &dyn Sandbox) -> Vec<String> {
    let view = site.view();
    let cases = view["cases"].as_array().unwrap().clone();
    cases
        .iter()
        .map(|case| case["subject"].as_str().unwrap().to_owned())
        .collect()
}

fn batch(site: &mut dyn Sandbox, goes_on: bool, parts: Value) -> (u16, Vec<(String, u64)>) {
    let mut http = HttpCall::post("/0/odata/$batch", json!({ "requests": parts }));
    if goes_on {
        http = http.header("prefer", "continue-on-error");
    }
    let response = call(site, &http);
    let answers = json_of(&response)["responses"].as_array().cloned();
    let answer = |one: &Value| {
        let id = one["id"].as_str().unwrap().to_owned();
        (id, one["status"].as_u64().unwrap())
    };
    (
        response.status,
        answers.unwrap_or_default().iter().map(answer).collect(),
    )
}

fn part(id: &str, group: Option<&str>, subject: &str) -> Value {
    let mut part = json!({ "id": id, "method": "POST", "url": "Case", "body": { "Subject": subject },
        "headers": { "Content-Type": "application/json;odata=verbose", "Accept": "application/json;odata=verbose" } });
    if let Some(group) = group {
        part["atomicityGroup"] = group.into();
    }
    part
}

fn told(answers: &[(String, u64)]) -> Vec<(&str, u64)> {
    answers
        .iter()
        .map(|(id, status)| (id.as_str(), *status))
        .collect()
}

#[test]
fn of_an_atomicity_group_all_or_nothing_counts() {
    let mut site = site();
    // The documented sample uses one id outside of a group and in it.
    let parts = json!([
        part("t3", None, "alone"),
        part("t3", Some("g1"), "one"),
        part("t4", Some("g1"), "two")
    ]);
    let (status, answers) = batch(&mut *site, false, parts);
    assert_eq!(
        (status, told(&answers)),
        (200, vec![("t3", 201), ("t3", 201), ("t4", 201)])
    );
    assert_eq!(subjects(&*site), ["alone", "one", "two"]);
    let parts = json!([
        part("a", Some("g1"), "lost"),
        part("b", Some("g1"), ""),
        part("c", Some("g1"), "lost"),
        part("d", Some("g2"), "kept"),
    ]);
    let (_, answers) = batch(&mut *site, true, parts);
    assert_eq!(
        told(&answers),
        [("a", 424), ("b", 500), ("c", 424), ("d", 201)]
    );
    assert_eq!(subjects(&*site), ["alone", "one", "two", "kept"]);
    let parts = json!([part("a", Some("g1"), ""), part("b", None, "not reached")]);
    assert_eq!(told(&batch(&mut *site, false, parts).1), [("a", 500)]);
}

fn multipart(site: &mut dyn Sandbox, accept: &str, body: &str) -> Response {
    let mut headers = site.sign_in(at(10), &Auth::Target);
    let mime = "multipart/mixed; boundary=batch_a685-9724-d873";
    headers.push(("content-type".into(), mime.into()));
    headers.push(("accept".into(), accept.into()));
    headers.push(("prefer".into(), "continue-on-error".into()));
    let request = Request {
        method: "POST".into(),
        path: "/0/odata/$batch".into(),
        headers,
        body: body.as_bytes().to_vec(),
        ..Request::default()
    };
    site.handle(at(10), &request)
}

/// A changeset as the vendor's collection of samples writes it: lines end with LF, and the last
/// boundaries are left out.
fn changeset(name: &str, requests: &[(&str, &str)]) -> String {
    let mut text =
        format!("--batch_a685-9724-d873\nContent-Type: multipart/mixed; boundary={name}\n\n");
    for (at, (line, body)) in requests.iter().enumerate() {
        text.push_str(&format!(
            "--{name}\nContent-Type: application/http\nContent-Transfer-Encoding: binary\n\n{line} HTTP/1.1\nContent-ID: {}\n\
             Accept: application/json;odata=verbose\nContent-Type: application/json;odata=verbose\n\n{body}\n\n",
            at + 1
        ));
    }
    text
}

#[test]
fn a_batch_may_be_multipart_with_changesets() {
    for ends in ["\n", "\r\n"] {
        let mut site = site();
        let id = "62f9bc01-57cf-4cc7-90bf-8672acc922e3";
        let create = format!(r#"{{"Id": "{id}", "Subject": "One"}}"#);
        let patch = format!("PATCH Case/{id}");
        let mut body = changeset(
            "changeset_06da",
            &[("POST Case", &create), (&patch, r#"{"Subject": "Two"}"#)],
        );
        body.push_str(&changeset(
            "changeset_06db",
            &[("POST Case", r#"{"Subject": "Lost"}"#), ("POST Case", "{}")],
        ));
        body.push_str(&format!(
            "--batch_a685-9724-d873\nContent-Type: application/http\nContent-Transfer-Encoding: binary\n\nGET Case({id})?$select=Id,Subject HTTP/1.1\n\n--batch_a685-9724-d873--\n"
        ));
        let body = body.replace('\n', ends);
        let response = multipart(&mut *site, "*/*", &body);
        let said = String::from_utf8(response.body).unwrap();
        assert_eq!(response.status, 200, "{said}");
        let kind = &response
            .headers
            .iter()
            .find(|(name, _)| name == "content-type")
            .unwrap()
            .1;
        let boundary = kind.split('"').nth(1).unwrap();
        assert!(
            kind.starts_with("multipart/mixed") && said.starts_with(&format!("--{boundary}\r\n")),
            "{kind}"
        );
        let statuses: Vec<&str> = said
            .lines()
            .filter(|line| line.starts_with("HTTP/1.1"))
            .collect();
        assert_eq!(
            statuses,
            [
                "HTTP/1.1 201 Created",
                "HTTP/1.1 204 No Content",
                "HTTP/1.1 500 Error",
                "HTTP/1.1 200 OK"
            ]
        );
        assert!(
            said.contains("changesetresponse_") && said.contains(r#""Subject":"Two""#),
            "{said}"
        );
        assert_eq!(subjects(&*site), ["Two"]);
        // Who asks for JSON gets it.
        let response = multipart(&mut *site, "application/json", &body);
        let answers = json_of(&response)["responses"].as_array().unwrap().len();
        assert_eq!(answers, 5);
    }
    assert_eq!(
        signed(&mut *site(), "POST", "/0/odata/$batch", "text/plain", b"x").status,
        415
    );
}

/// A case's file with bytes.
fn file(site: &mut dyn Sandbox) -> String {
    let case = json_of(&call(
        site,
        &HttpCall::post("/0/odata/Case", json!({ "Subject": "x" })),
    ));
    let row = json!({ "Name": "año \"1\".jpg", "CaseId": case["Id"], "Size": 3, "TotalSize": 3, "TypeId": "529bc2f8-0ee0-df11-971b-001d60e938c6" });
    let made = call(site, &HttpCall::post("/0/odata/CaseFile", row));
    assert_eq!(made.status, 201);
    let id = json_of(&made)["Id"].as_str().unwrap().to_owned();
    let data = format!("/0/odata/CaseFile({id})/Data");
    assert_eq!(
        signed(site, "PUT", &data, "application/octet-stream", b"abc").status,
        200
    );
    id
}

#[test]
fn a_file_is_downloaded_under_its_name_and_its_bytes_can_be_removed() {
    let mut site = site();
    let id = file(&mut *site);
    let data = format!("/0/odata/CaseFile({id})/Data");
    for path in [
        data.clone(),
        format!("/0/rest/FileService/Download/CaseFile/{id}"),
    ] {
        let response = get(&mut *site, &path, &[]);
        assert_eq!(response.body, b"abc");
        let name = response
            .headers
            .iter()
            .find(|(name, _)| name == "content-disposition")
            .unwrap();
        assert_eq!(
            name.1,
            "attachment; filename=\"a_o _1_.jpg\"; filename*=UTF-8''a%C3%B1o%20%221%22.jpg"
        );
    }
    let remove = HttpCall::new(Method::Delete, data.clone());
    assert_eq!(call(&mut *site, &remove).status, 204);
    assert_eq!(get(&mut *site, &data, &[]).status, 404);
    let row = json_of(&get(&mut *site, &format!("/0/odata/CaseFile({id})"), &[]));
    assert_eq!((&row["Size"], &row["TotalSize"]), (&json!(0), &json!(3)));
    let nothing = HttpCall::new(
        Method::Delete,
        "/0/odata/CaseFile(62f9bc01-57cf-4cc7-90bf-8672acc922e3)/Data",
    );
    assert_eq!(call(&mut *site, &nothing).status, 404);
}

#[test]
fn one_property_is_read_as_json_or_by_itself() {
    let mut site = site_with_ana();
    let id = site.view()["contacts"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for key in [format!("Contact({id})"), format!("Contact/{id}")] {
        let read =
            |site: &mut dyn Sandbox, rest: &str| get(site, &format!("/0/odata/{key}/{rest}"), &[]);
        let name = json_of(&read(&mut *site, "Name"));
        assert_eq!(name["value"], "Ana López");
        assert!(name["@odata.context"].as_str().unwrap().ends_with("/Name"));
        let raw = read(&mut *site, "Name/$value");
        assert_eq!(String::from_utf8(raw.body).unwrap(), "Ana López");
        assert_eq!(read(&mut *site, "UsrNothing").status, 404);
        assert_eq!(read(&mut *site, "$value").status, 404);
    }
}

#[test]
fn every_partner_in_the_metadata_is_declared() {
    let xml = String::from_utf8(get(&mut *site(), "/0/odata/$metadata", &[]).body).unwrap();
    let attribute = |text: &str, name: &str| {
        let (_, rest) = text.split_once(&format!("{name}=\""))?;
        Some(rest.split('"').next().unwrap().to_owned())
    };
    let mut ends = Vec::new();
    for entity in xml.split("<EntityType ").skip(1) {
        let owner = attribute(entity, "Name").unwrap();
        let entity = entity.split("</EntityType>").next().unwrap();
        for property in entity.split("<NavigationProperty ").skip(1) {
            let target = attribute(property, "Type")
                .unwrap()
                .replace("Collection(", "");
            let target = target
                .trim_end_matches(')')
                .rsplit('.')
                .next()
                .unwrap()
                .to_owned();
            ends.push((
                owner.clone(),
                attribute(property, "Name").unwrap(),
                target,
                attribute(property, "Partner").unwrap(),
            ));
        }
    }
    assert!(ends.len() > 100, "{}", ends.len());
    for (owner, name, target, partner) in &ends {
        let back = (target.clone(), partner.clone(), owner.clone(), name.clone());
        assert!(
            ends.contains(&back),
            "{owner}.{name} names {target}.{partner}"
        );
    }
}

#[test]
fn the_forms_user_is_among_the_printed_credentials_and_signs_in() {
    let mut site = site();
    let printed = site.credentials("https://acme.creatio.com");
    let forms = &printed["forms"];
    let mut settings = printed["settings"].clone();
    settings["auth"] = forms.clone();
    assert!(handoffd_creatio::connector("crm", &settings).is_ok());
    let password = &printed["secrets"][forms["password"].as_str().unwrap()];
    let login = json!({ "UserName": forms["user"], "UserPassword": password });
    let request = Request {
        method: "POST".into(),
        path: "/ServiceModel/AuthService.svc/Login".into(),
        headers: vec![("content-type".into(), "application/json".into())],
        body: login.to_string().into_bytes(),
        ..Request::default()
    };
    assert_eq!(json_of(&site.handle(at(0), &request))["Code"], 0);
}
