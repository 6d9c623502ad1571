//! What each simulator shows, as lines that people read.

use std::fmt::Write as _;

use handoffd_contract::text::plain;
use serde_json::Value;

/// What the rep of a CRM, or the customer on the phone, sees.
pub(super) fn seen(name: &str, view: &Value) -> String {
    let mut page = Page(String::new());
    match name {
        "salesforce" => list(view, "conversations").for_each(|thread| page.salesforce(thread)),
        "hubspot" => list(view, "tickets").for_each(|ticket| page.hubspot(ticket)),
        "creatio" => list(view, "cases").for_each(|case| page.creatio(case)),
        _ => view["phones"]
            .as_object()
            .into_iter()
            .flatten()
            .for_each(|(_, phone)| page.phone(phone)),
    }
    if page.0.is_empty() {
        page.line("nothing");
    }
    page.0
}

struct Page(String);

impl Page {
    fn salesforce(&mut self, thread: &Value) {
        self.field("status", &thread["status"]);
        for (name, value) in thread["routing attributes"]
            .as_object()
            .into_iter()
            .flatten()
        {
            self.field(name, value);
        }
        for entry in list(thread, "thread") {
            let who = match (text(entry, "from"), text(entry, "name")) {
                ("EndUser", _) => "customer's side".to_owned(),
                ("Supervisor", name) => format!("{name} (internal)"),
                (_, name) => name.to_owned(),
            };
            if entry["event"].is_string() {
                self.entry(entry, "·", text(entry, "event"));
                continue;
            }
            let mut said = text(entry, "text").to_owned();
            if let Some(file) = entry["file"].as_object() {
                said = attached(&said, file.get("name"), file.get("bytes"));
            }
            for file in list(&entry["content"], "attachments") {
                said = attached(&said, file.get("name"), None);
            }
            let receipts: Vec<&str> = entry["receipts"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            if !receipts.is_empty() {
                let _ = write!(said, "  ({})", receipts.join(", ").to_lowercase());
            }
            self.entry(entry, &who, &said);
        }
    }

    fn hubspot(&mut self, ticket: &Value) {
        for name in [
            "subject",
            "pipeline",
            "stage",
            "priority",
            "owner",
            "contacts",
            "properties",
        ] {
            self.field(name, &ticket[name]);
        }
        self.field("description", &ticket["content"]);
        for note in list(ticket, "timeline") {
            let who = if text(note, "by") == "app" {
                "note by handoffd"
            } else {
                "note by the rep"
            };
            let mut said = text(note, "text").to_owned();
            for file in list(note, "files") {
                said = attached(&said, file.get("name"), file.get("size"));
            }
            self.entry(note, who, &said);
        }
    }

    fn creatio(&mut self, case: &Value) {
        for name in [
            "number", "subject", "status", "priority", "origin", "owner", "group", "contact",
            "fields",
        ] {
            self.field(name, &case[name]);
        }
        self.field(
            "description",
            &Value::String(plain(text(case, "description_html"))),
        );
        for activity in list(case, "timeline") {
            let title = text(activity, "title");
            let who = match title.split_once(':') {
                Some((who, _)) if !text(activity, "by").contains("Rep") => who,
                _ => text(activity, "by"),
            };
            let mut said = text(activity, "text").to_owned();
            for file in list(activity, "files") {
                said = attached(&said, file.get("name"), file.get("size"));
            }
            self.entry(activity, who, &said);
        }
        for post in list(case, "feed") {
            self.entry(
                post,
                &format!("{} in the feed (internal)", text(post, "by")),
                text(post, "text"),
            );
        }
        for file in list(case, "attachments") {
            self.line(&attached("", file.get("name"), file.get("size")));
        }
    }

    fn phone(&mut self, phone: &Value) {
        for entry in list(phone, "conversation") {
            let mut said = text(entry, "text").to_owned();
            if text(entry, "type") == "location" {
                let place = &entry["content"];
                said = format!("📍 {}, {}", text(place, "name"), text(place, "address"));
            }
            if entry["bytes"].is_number() {
                let kind = Value::String(text(entry, "type").to_owned());
                let name = entry.get("file_name").unwrap_or(&kind);
                said = attached(
                    entry["caption"].as_str().unwrap_or_default(),
                    Some(name),
                    entry.get("bytes"),
                );
            }
            let ticks = match text(entry, "status") {
                "read" => "  ✓✓ read",
                "delivered" => "  ✓✓",
                "sent" => "  ✓",
                _ => "",
            };
            let who = if text(entry, "from") == "business" {
                "      business"
            } else {
                "customer"
            };
            self.line(&format!("{who}: {said}{ticks}"));
        }
    }

    fn field(&mut self, name: &str, value: &Value) {
        let shown = match value {
            Value::Null => return,
            Value::String(text) => text.clone(),
            Value::Array(items) => items
                .iter()
                .map(|item| {
                    item.as_str()
                        .map_or_else(|| item.to_string(), str::to_owned)
                })
                .collect::<Vec<_>>()
                .join(", "),
            Value::Object(members) => members
                .iter()
                .map(|(name, value)| {
                    format!(
                        "{name}={}",
                        value
                            .as_str()
                            .map_or_else(|| value.to_string(), str::to_owned)
                    )
                })
                .collect::<Vec<_>>()
                .join("  "),
            other => other.to_string(),
        };
        if !shown.trim().is_empty() {
            self.line(&format!("{name}: {shown}"));
        }
    }

    /// One entry of a timeline, with the time of day.
    fn entry(&mut self, entry: &Value, who: &str, said: &str) {
        let at = ["at", "time"]
            .iter()
            .find_map(|name| entry[*name].as_str())
            .unwrap_or_default();
        let clock = at.get(11..19).unwrap_or_default();
        let said = if who == "·" {
            format!("{clock} · {said}")
        } else {
            format!("{clock} {who}: {said}")
        };
        self.line(said.trim_start());
    }

    fn line(&mut self, text: &str) {
        let _ = writeln!(
            self.0,
            "  {}",
            text.trim_end().replace('\n', "\n             ")
        );
    }
}

fn attached(said: &str, name: Option<&Value>, bytes: Option<&Value>) -> String {
    let name = name.and_then(Value::as_str).unwrap_or("file");
    let size = bytes
        .and_then(Value::as_u64)
        .map(|bytes| format!(", {bytes} bytes"))
        .unwrap_or_default();
    let space = if said.is_empty() { "" } else { " " };
    format!("{said}{space}[📎 {name}{size}]")
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value[name].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}
