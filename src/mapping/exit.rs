//! The files that say how gateways are called over HTTP (`kind = "exit"`). What is in them belongs to the
//! connector, which reads it as a part of its settings; here a target's settings get it.

use std::path::Path;

use handoffd_contract::settings::{did_you_mean, not_toml};
use serde_json::{Map, Value, json};

use crate::connectors::{KINDS, Role};

/// The files that come with the daemon, by the gateways' names.
pub const FILES: &[(&str, &str)] = &[
    (
        "evolution",
        include_str!("../../mappings/exit/evolution.toml"),
    ),
    ("waha", include_str!("../../mappings/exit/waha.toml")),
    (
        "chatwoot",
        include_str!("../../mappings/exit/chatwoot.toml"),
    ),
    ("twilio", include_str!("../../mappings/exit/twilio.toml")),
];

/// The largest file.
const MAX_BYTES: u64 = 1 << 20;

/// Something that is wrong with the gateway of a target's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The setting.
    pub key: &'static str,
    /// What was found.
    pub found: String,
    /// What to do.
    pub remedy: String,
}

/// Puts what a gateway's file says in the place of its name (`gateway`), or of nothing where another file
/// is named (`gateway_file`, in `folder`). Settings with another exit stay as they are.
///
/// # Errors
/// What is wrong with the name or the file.
pub fn describe(settings: &mut Value, folder: &Path) -> Result<(), Wrong> {
    let Some(settings) = settings.as_object_mut() else {
        return Ok(());
    };
    if settings.get("exit").and_then(Value::as_str) != Some("http") {
        return Ok(());
    }
    let text = |key: &str| settings.get(key).and_then(Value::as_str).map(str::to_owned);
    let described = match (text("gateway"), text("gateway_file")) {
        (None, None) => return Ok(()),
        (Some(_), Some(_)) => {
            return Err(Wrong {
                key: "gateway_file",
                found: "set beside `gateway`".to_owned(),
                remedy: "keep one of them".to_owned(),
            });
        }
        (Some(name), None) => shipped(&name)?,
        (None, Some(file)) => read(folder, &file)?,
    };
    settings.insert("gateway".to_owned(), described);
    Ok(())
}

/// Whether a file is one of these.
#[must_use]
pub fn is_one(text: &str) -> bool {
    text.parse::<toml::Table>()
        .is_ok_and(|table| table.get("kind").and_then(toml::Value::as_str) == Some("exit"))
}

/// The name of the gateway of a file, if nothing is wrong with the file: what an operator sets is made up.
///
/// # Errors
/// Everything that is wrong with it, each with its place.
pub fn judge(text: &str) -> Result<String, Vec<String>> {
    let gateway = parse(text).map_err(|found| vec![found])?;
    let name = gateway["name"].as_str().unwrap_or_default().to_owned();
    let options = gateway["options"].as_object().into_iter().flatten();
    let options: Map<String, Value> = options
        .map(|(name, _)| (name.clone(), "1".into()))
        .collect();
    let mut settings = json!({"exit": "http", "gateway": gateway, "base_url": "https://gateway.example.com",
        "access_token": "key"});
    if !options.is_empty() {
        settings["options"] = options.into();
    }
    let kind = KINDS.iter().find(|kind| kind.role == Role::WayBack);
    let Some(Err(problems)) = kind.map(|kind| (kind.connector)("gateway", &settings)) else {
        return Ok(name);
    };
    let words = problems.iter().map(|problem| {
        let words = problem.to_string();
        words
            .strip_prefix("gateway.")
            .map_or(words.clone(), str::to_owned)
    });
    Err(words.collect())
}

fn shipped(name: &str) -> Result<Value, Wrong> {
    let wrong = |found: String, remedy: String| Wrong {
        key: "gateway",
        found,
        remedy,
    };
    let Some((_, text)) = FILES.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        let hint = did_you_mean(name, known.iter().copied());
        let remedy = format!(
            "write one of {}, or name your own file with `gateway_file`",
            known.join(", ")
        );
        return Err(wrong(
            format!("no gateway of this name comes with handoffd{hint}"),
            remedy,
        ));
    };
    // A test reads all of them.
    parse(text).map_err(|found| wrong(found, String::new()))
}

fn read(folder: &Path, file: &str) -> Result<Value, Wrong> {
    let wrong = |found: String, remedy: &str| Wrong {
        key: "gateway_file",
        found,
        remedy: remedy.to_owned(),
    };
    let path = folder.join(file);
    let size = std::fs::metadata(&path).map(|data| data.len());
    if size.is_ok_and(|size| size > MAX_BYTES) {
        return Err(wrong("more than 1 MiB".to_owned(), "name a gateway's file"));
    }
    let text = std::fs::read_to_string(&path)
        .map_err(|error| wrong(error.kind().to_string(), "name a readable file"))?;
    parse(&text).map_err(|found| wrong(found, "mend the file"))
}

fn parse(text: &str) -> Result<Value, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error
            .span()
            .map_or(0, |span| text[..span.start].lines().count());
        format!("line {line}: {}", not_toml(error.message()))
    })?;
    if table.get("kind").and_then(toml::Value::as_str) != Some("exit") {
        return Err("its `kind` is not \"exit\"".to_owned());
    }
    serde_json::to_value(table).map_err(|_| "it holds a value that has no form in JSON".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(name: &str) -> Value {
        let mut settings = json!({"exit": "http", "gateway": name, "base_url": "https://gateway.example.com",
            "access_token": "key"});
        match name {
            "evolution" => settings["options"] = json!({"instance": "shop"}),
            "waha" => settings["options"] = json!({"session": "default"}),
            "twilio" => settings["options"] = json!({"account": "AC1"}),
            _ => {}
        }
        settings
    }

    #[test]
    fn every_shipped_file_is_one_that_the_connector_takes() {
        for (name, text) in FILES {
            assert!(is_one(text), "{name}");
            assert_eq!(judge(text), Ok((*name).to_owned()));
            let mut settings = settings(name);
            describe(&mut settings, Path::new(".")).expect(name);
            assert_eq!(settings["gateway"]["name"], *name);
        }
    }

    #[test]
    fn a_file_of_ones_own_is_judged_by_its_places() {
        let (_, text) = FILES[0];
        let own = text
            .replace("{text}", "{txt}")
            .replace("means = \"recipient\"", "means = \"x\"");
        let told = judge(&own).expect_err("wrong");
        assert!(
            told[0].starts_with("text.json: has a name between { and }"),
            "{told:?}"
        );
        assert!(told[1].starts_with("error["), "{told:?}");
    }

    #[test]
    fn a_name_that_is_none_and_a_file_that_is_not_there_are_told() {
        let told = |mut settings: Value| describe(&mut settings, Path::new("/nowhere"));
        let wrong = told(settings("evolutoin")).expect_err("no such gateway");
        assert_eq!(wrong.key, "gateway");
        assert!(wrong.found.contains("evolution"), "{wrong:?}");
        let mut own = settings("");
        own["gateway"] = Value::Null;
        own["gateway_file"] = json!("mine.toml");
        assert_eq!(
            told(own.clone()).expect_err("no such file").key,
            "gateway_file"
        );
        own["gateway"] = json!("waha");
        assert_eq!(told(own).expect_err("both").found, "set beside `gateway`");
        assert!(parse("kind = \"intake\"").is_err());
        assert!(parse("kind = ").is_err_and(|found| found.contains("not TOML")));
        let other = json!({"exit": "gateway", "gateway": "evolution"});
        let mut same = other.clone();
        describe(&mut same, Path::new(".")).expect("another exit");
        assert_eq!(same, other);
    }
}
