//! The simulator against what is documented of the API, by plain requests.

use handoffd_contract::HttpCall;
use handoffd_contract::sandbox::{Request, Sandbox};
use serde_json::{Value, json};

use crate::common::*;

const TASK: &str = "fbe0acdc-cfc0-df11-b00f-001d60e938c6";
pub const ID: &str = "1f2e3d4c-0000-4000-8000-0123456789ab";

pub fn post(site: &mut dyn Sandbox, path: &str, body: Value) -> (u16, Value) {
    let response = call(site, &HttpCall::post(path, body));
    (response.status, json_of(&response))
}

fn said(body: &Value) -> String {
    body["error"]["innererror"]["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn a_creation_is_answered_whole_and_only_once() {
    let mut site = site();
    let body = json!({ "Id": ID, "Name": "Ana Lopez", "MobilePhone": "+34 600 111 222" });
    let response = call(
        &mut *site,
        &HttpCall::post("/0/odata/Contact", body.clone()),
    );
    assert_eq!(response.status, 201);
    assert!(
        response
            .headers
            .iter()
            .any(|(n, v)| n == "location" && v.ends_with(&format!("/0/odata/Contact({ID})")))
    );
    let row = json_of(&response);
    assert_eq!(
        (row["Surname"].as_str(), row["GivenName"].as_str()),
        (Some("Lopez"), Some("Ana"))
    );
    assert_eq!(
        (row["AccountId"].as_str(), row["Email"].as_str()),
        (Some("00000000-0000-0000-0000-000000000000"), Some(""))
    );
    let again = post(&mut *site, "/0/odata/Contact", body);
    assert_eq!(again.0, 500);
    assert!(said(&again.1).contains("23505: duplicate key"));
    let options = json_of(&get(
        &mut *site,
        "/0/odata/ContactCommunication",
        &[
            ("$filter", &format!("Contact/Id eq {ID}")),
            ("$select", "Number,SearchNumber"),
        ],
    ));
    assert_eq!(
        options["value"],
        json!([{ "Number": "+34 600 111 222", "SearchNumber": "22211100643" }])
    );
    let more = json!({ "ContactId": ID, "CommunicationTypeId": "d4a2dc80-30ca-df11-9b2a-001d60e938c6", "Number": "+1 555 0100" });
    assert_eq!(
        post(&mut *site, "/0/odata/ContactCommunication", more).0,
        201
    );
    assert_eq!(
        json_of(&get(
            &mut *site,
            &format!("/0/odata/Contact({ID})"),
            &[("$select", "MobilePhone")]
        ))["MobilePhone"],
        "+1 555 0100",
        "overwritten"
    );
}

#[test]
fn what_a_database_refuses_is_refused() {
    let mut site = site();
    let table = [
        (
            "Case",
            json!({ "Subject": "x", "Nope": 1 }),
            400,
            "'Nope' does not exist",
        ),
        (
            "Case",
            json!({ "Subject": "x", "PriorityId": "High" }),
            400,
            "Edm.Guid",
        ),
        (
            "Case",
            json!({ "Subject": "x", "OwnerId": ID }),
            500,
            "23503: insert or update on table \"Case\"",
        ),
        (
            "Case",
            json!({ "Subject": "x", "OwnerId": "00000000-0000-0000-0000-000000000000" }),
            500,
            "23503",
        ),
        ("Case", json!({ "Subject": "x".repeat(501) }), 500, "22001"),
        ("Case", json!({}), 500, "Subject is empty"),
        (
            "Activity",
            json!({ "Title": "x", "OwnerId": null }),
            500,
            "Owner is empty",
        ),
        (
            "Activity",
            json!({ "Title": "x", "ShowInScheduler": "no" }),
            400,
            "Edm.Boolean",
        ),
        (
            "Activity",
            json!({ "Title": "x", "DetailedResult": "a\u{0}b" }),
            500,
            "0x00",
        ),
    ];
    for (set, body, status, words) in table {
        let (got, answer) = post(&mut *site, &format!("/0/odata/{set}"), body);
        assert_eq!(got, status, "{answer}");
        assert!(said(&answer).contains(words), "{answer}");
    }
    let plain = signed(&mut *site, "POST", "/0/odata/Case", "text/plain", b"{}");
    assert_eq!(plain.status, 415);
    assert_eq!(
        signed(
            &mut *site,
            "PUT",
            "/0/odata/Case",
            "application/json",
            b"{}"
        )
        .status,
        405
    );
    site.switch("over_length", &json!("truncate")).unwrap();
    assert_eq!(
        post(
            &mut *site,
            "/0/odata/Case",
            json!({ "Subject": "x".repeat(501) })
        )
        .0,
        201
    );
}

#[test]
fn objects_fill_in_what_is_missing() {
    let mut site = site();
    let (_, case) = post(
        &mut *site,
        "/0/odata/Case",
        json!({ "Id": ID, "Subject": "Broken" }),
    );
    assert_eq!(
        (case["Number"].as_str(), case["Symptoms"].as_str()),
        (Some("SR00000001"), Some("Broken"))
    );
    let (_, activity) = post(
        &mut *site,
        "/0/odata/Activity",
        json!({ "Title": "x", "CaseId": ID, "StartDate": "2026-11-20T09:58:12+05:00" }),
    );
    assert_eq!(activity["TypeId"], TASK);
    assert_eq!(
        activity["StartDate"], "2026-11-20T09:58:12Z",
        "an offset is dropped by default"
    );
    assert_ne!(activity["OwnerId"], "00000000-0000-0000-0000-000000000000");
    let gone = signed(
        &mut *site,
        "DELETE",
        &format!("/0/odata/Case({ID})"),
        "application/json",
        b"",
    );
    assert_eq!(gone.status, 500, "an activity refers to it");
    assert_eq!(
        signed(
            &mut *site,
            "PATCH",
            &format!("/0/odata/Case/{ID}"),
            "application/json",
            b"{\"Subject\":\"y\"}"
        )
        .status,
        204
    );
    assert_eq!(
        get(
            &mut *site,
            "/0/odata/Case(2f2e3d4c-0000-4000-8000-0123456789ab)",
            &[]
        )
        .status,
        404
    );
    assert_eq!(get(&mut *site, "/0/odata/Case('x')", &[]).status, 400);
}

#[test]
fn reading_takes_the_documented_options() {
    let mut site = site();
    for n in 0..5 {
        post(
            &mut *site,
            "/0/odata/Case",
            json!({ "Subject": format!("case {n}") }),
        );
    }
    let list = |site: &mut dyn Sandbox, query: &[(&str, &str)]| {
        json_of(&get(site, "/0/odata/Case", query))
    };
    let page = list(
        &mut *site,
        &[
            ("$select", "Number,StatusId"),
            ("$expand", "Status($select=Name,IsFinal)"),
            ("$orderby", "Number desc"),
            ("$top", "2"),
            ("$skip", "1"),
            ("$count", "true"),
        ],
    );
    assert_eq!(page["@odata.count"], 5);
    assert_eq!(page["value"][0]["Number"], "SR00000004");
    assert_eq!(
        page["value"][0]["Status"],
        json!({ "Name": "New", "IsFinal": false })
    );
    assert!(page["value"][0].get("Subject").is_none());
    assert_eq!(get(&mut *site, "/0/odata/Case/$count", &[]).body, b"5");
    for (name, value) in [
        ("$select", "Status/Name"),
        ("$orderby", "Status/Name"),
        ("$expand", "Nope"),
        ("$expand", "Contact($expand=Owner($expand=Owner))"),
        ("$top", "-1"),
        ("$apply", "x"),
        ("$search", "x"),
    ] {
        let response = get(&mut *site, "/0/odata/Case", &[(name, value)]);
        assert_eq!(response.status, 400, "{name}={value}");
    }
    let sets = json_of(&get(&mut *site, "/0/odata/", &[]));
    assert!(
        sets["value"]
            .as_array()
            .unwrap()
            .iter()
            .any(|set| set["name"] == "Case")
    );
    let xml = String::from_utf8(get(&mut *site, "/0/odata/$metadata", &[]).body).unwrap();
    assert!(
        xml.contains("<EntityType Name=\"Case\">")
            && xml.contains("Partner=\"ActivityCollectionByCase\"")
            && xml.ends_with("</edmx:Edmx>")
    );
}

#[test]
fn a_batch_stops_or_goes_on_and_takes_a_hundred() {
    let mut site = site();
    let part = |n: usize, subject: &str| json!({ "id": format!("t{n}"), "method": "POST", "url": "Case", "headers": { "Content-Type": "application/json;odata=verbose" }, "body": { "Subject": subject } });
    let batch = |site: &mut dyn Sandbox, parts: Vec<Value>, goes_on: bool| {
        let mut http = HttpCall::post("/0/odata/$batch", json!({ "requests": parts }));
        if goes_on {
            http = http.header("Prefer", "continue-on-error");
        }
        let response = call(site, &http);
        (response.status, json_of(&response))
    };
    let statuses = |body: &Value| {
        body["responses"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["status"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    let parts = vec![part(1, "a"), part(2, ""), part(3, "c")];
    assert_eq!(
        statuses(&batch(&mut *site, parts.clone(), false).1),
        [201, 500]
    );
    assert_eq!(statuses(&batch(&mut *site, parts, true).1), [201, 500, 201]);
    let read = json!({ "id": "g", "method": "GET", "url": "https://creatio.example/0/odata/Case?$select=Id&$filter=Subject%20eq%20'a'", "headers": {} });
    let (_, body) = batch(&mut *site, vec![read], true);
    assert_eq!(
        body["responses"][0]["body"]["value"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        batch(&mut *site, (0..100).map(|n| part(n, "x")).collect(), true).0,
        200
    );
    assert_eq!(
        batch(&mut *site, (0..101).map(|n| part(n, "x")).collect(), true).0,
        400
    );
    assert_eq!(
        batch(&mut *site, vec![part(1, "x"), part(1, "y")], true).0,
        400
    );
    assert_eq!(
        batch(
            &mut *site,
            vec![json!({ "method": "GET", "url": "Case" })],
            true
        )
        .0,
        400
    );
    site.switch("batch", &json!(false)).unwrap();
    assert_eq!(batch(&mut *site, vec![part(1, "x")], true).0, 403);
}

#[test]
fn files_go_by_stream_or_by_the_file_service() {
    let mut site = site();
    post(
        &mut *site,
        "/0/odata/Case",
        json!({ "Id": ID, "Subject": "x" }),
    );
    let file = "2f2e3d4c-0000-4000-8000-0123456789ab";
    assert_eq!(
        post(
            &mut *site,
            "/0/odata/CaseFile",
            json!({ "Id": file, "Name": "a.txt", "CaseId": ID })
        )
        .0,
        201
    );
    let data = format!("/0/odata/CaseFile({file})/Data");
    assert_eq!(
        signed(
            &mut *site,
            "PUT",
            &data,
            "application/octet-stream",
            b"hello"
        )
        .status,
        200
    );
    assert_eq!(get(&mut *site, &data, &[]).body, b"hello");
    site.switch("max_file_mb", &json!(0)).unwrap();
    let large = signed(
        &mut *site,
        "PUT",
        &data,
        "application/octet-stream",
        b"hello",
    );
    assert!(said(&json_of(&large)).contains("MaxFileSize"));
    site.switch("max_file_mb", &json!(1)).unwrap();

    let upload = |site: &mut dyn Sandbox, range: &str, body: &[u8]| {
        let mut headers = site.sign_in(at(10), &handoffd_contract::Auth::Target);
        headers.push(("content-range".into(), range.into()));
        let query = format!(
            "fileId=3f2e3d4c-0000-4000-8000-0123456789ab&totalFileLength=6&fileName=b.txt&columnName=Data&entitySchemaName=CaseFile&parentColumnName=Case&parentColumnValue={ID}"
        );
        let request = Request {
            query: handoffd_contract::sandbox::parse_query(&query),
            headers,
            body: body.to_vec(),
            ..unsigned("POST", "/0/rest/FileApiService/UploadFile")
        };
        json_of(&site.handle(at(10), &request))["success"]
            .as_bool()
            .unwrap()
    };
    assert!(
        !upload(&mut *site, "bytes 3-5/6", b"def"),
        "a chunk is missing"
    );
    assert!(upload(&mut *site, "bytes 0-2/6", b"abc"));
    assert!(!upload(&mut *site, "bytes 3-9/6", b"def"));
    assert!(upload(&mut *site, "bytes 3-5/6", b"def"));
    assert_eq!(
        get(
            &mut *site,
            "/0/rest/FileService/Download/CaseFile/3f2e3d4c-0000-4000-8000-0123456789ab",
            &[]
        )
        .body,
        b"abcdef"
    );
}
