//! The pages that people read: links lead somewhere, modules' tables are whole, and what can be set
//! or run is written down.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                files(&path, ending, found);
            }
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
}

fn all(ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(&root(), ending, &mut found);
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// The anchors of a page's headings, as hosts of repositories make them.
fn anchors(page: &str) -> BTreeSet<String> {
    page.lines()
        .filter_map(|line| {
            line.strip_prefix('#')
                .map(|rest| rest.trim_start_matches('#'))
        })
        .map(|heading| {
            heading
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

/// The targets of a page's links.
fn links(page: &str) -> Vec<&str> {
    page.match_indices("](")
        .filter_map(|(at, _)| {
            let rest = &page[at + 2..];
            Some(&rest[..rest.find(')')?])
        })
        .filter(|to| !to.contains(char::is_whitespace) && !to.is_empty())
        .collect()
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    let mut count = 0;
    for path in all(".md") {
        let page = fs::read_to_string(&path).unwrap();
        for link in links(&page) {
            if link.starts_with("https://") || link.starts_with("http://") {
                continue;
            }
            count += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let to = if file.is_empty() {
                path.clone()
            } else {
                path.parent().unwrap().join(file)
            };
            assert!(to.exists(), "{}: {link} leads nowhere", name(&path));
            if !anchor.is_empty() {
                let there = anchors(&fs::read_to_string(&to).unwrap());
                assert!(
                    there.contains(anchor),
                    "{}: {link} has no heading",
                    name(&path)
                );
            }
        }
    }
    assert!(count > 30, "only {count} links were found");
}

/// The modules that a file declares, and its opening documentation.
fn modules(text: &str) -> (BTreeSet<String>, String) {
    let declared = text
        .lines()
        .filter(|line| line.ends_with(';'))
        .filter_map(|line| {
            let rest = line.strip_prefix("pub ").unwrap_or(line);
            let rest = rest.strip_prefix("(crate) ").unwrap_or(rest);
            let rest = rest.strip_prefix("pub(crate) ").unwrap_or(rest);
            let name = rest.strip_prefix("mod ")?.strip_suffix(';')?;
            Some(name.trim_start_matches("r#").to_owned())
        })
        .collect();
    let docs = text
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .collect::<Vec<_>>()
        .join("\n");
    (declared, docs)
}

#[test]
fn a_table_of_modules_names_all_of_them() {
    let mut tables = 0;
    for path in all(".rs") {
        let shown = name(&path);
        if !shown.starts_with("src/") && !shown.contains("/src/") {
            continue;
        }
        let (declared, docs) = modules(&fs::read_to_string(&path).unwrap());
        let rows: Vec<&str> = docs
            .lines()
            .filter(|line| line.starts_with("//! | "))
            .collect();
        let names_one = |module: &String| {
            rows.iter().any(|row| {
                row.split(['`', '[', ']', ' ', ',', '|', ':', '@'])
                    .any(|word| word == module)
            })
        };
        let heads = ["//! | module |", "//! | file |", "//! | where |"];
        if !heads.iter().any(|head| docs.contains(head)) {
            continue;
        }
        tables += 1;
        for module in &declared {
            assert!(
                module == "tests" || names_one(module),
                "the table of {shown} does not name `{module}`"
            );
        }
    }
    assert!(tables > 10, "only {tables} tables were found");
}

/// The keys of the example configuration, those behind `# ` as well, with their tables.
fn example_keys() -> BTreeSet<String> {
    let example = fs::read_to_string(root().join("deploy/handoffd.toml")).unwrap();
    let mut keys = BTreeSet::new();
    let mut is_secrets = false;
    for line in example.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if line.starts_with('[') {
            is_secrets = line.starts_with("[secrets]");
        }
        // Names of secrets are the operator's own.
        if is_secrets {
            continue;
        }
        let Some((key, _)) = line.split_once(" = ") else {
            continue;
        };
        let is_key = key
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.');
        if is_key && !key.is_empty() {
            keys.insert(key.rsplit('.').next().unwrap().to_owned());
        }
    }
    keys
}

#[test]
fn every_setting_of_the_example_is_documented() {
    let mut pages = fs::read_to_string(root().join("deploy/configuration.md")).unwrap();
    for kind in ["salesforce", "hubspot", "creatio", "whatsapp"] {
        let page = root().join("connectors").join(kind).join("README.md");
        pages.push_str(&fs::read_to_string(page).unwrap());
    }
    let words: BTreeSet<&str> = pages
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .collect();
    let keys = example_keys();
    assert!(keys.len() > 60, "only {} keys were found", keys.len());
    let missing: Vec<&String> = keys
        .iter()
        .filter(|key| !words.contains(key.as_str()))
        .collect();
    assert_eq!(missing, Vec::<&String>::new(), "not documented");
}

#[test]
fn every_command_is_documented() {
    let page = fs::read_to_string(root().join("deploy/configuration.md")).unwrap();
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_handoffd"))
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 8, "{help}");
    for command in commands {
        assert!(
            page.contains(&format!("`handoffd {command}")),
            "`handoffd {command}` is not documented"
        );
    }
}

/// Each row of the table of expectations names tests that there are, and none is missing.
#[test]
fn every_test_that_is_promised_exists() {
    let page = fs::read_to_string(root().join("tests/features.md")).unwrap();
    let mut rows = BTreeSet::new();
    let mut tests = 0;
    for line in page.lines() {
        let Some(row) = line.strip_prefix("| ") else {
            continue;
        };
        let row = row.split(' ').next().unwrap();
        if row.len() > 1 && row.starts_with(['F', 'T']) {
            assert!(rows.insert(row), "{row} stands there twice");
        }
        let mut file = String::new();
        for quoted in line.split('`').skip(1).step_by(2) {
            if quoted.ends_with(".rs") {
                file = fs::read_to_string(root().join(quoted)).expect(quoted);
            } else if !file.is_empty() {
                let is_there = file.contains(&format!("fn {quoted}("));
                assert!(is_there, "{row}: there is no {quoted}");
                tests += 1;
            }
        }
    }
    let all = (1..=57)
        .map(|n| format!("F{n}"))
        .chain((1..=31).map(|n| format!("T{n}")));
    let missing: Vec<String> = all.filter(|row| !rows.contains(row.as_str())).collect();
    assert_eq!(missing, Vec::<String>::new(), "not on the page");
    assert!(tests > 100, "only {tests} tests were found");
}

/// The tests of a dialect's file, by name, as they are written.
fn dialect_tests(name: &str) -> Vec<String> {
    let file = root().join(format!("mappings/intake/{name}.toml"));
    let text = fs::read_to_string(&file).unwrap();
    let tests = text.split("[[test]]").skip(1);
    tests.map(str::to_owned).collect()
}

/// Each cell of the table of kinds names a test of the dialect that expects this field, and a kind that a
/// dialect's tests expect is in the table.
#[test]
fn every_kind_of_message_in_the_table_has_its_test() {
    let page = fs::read_to_string(root().join("deploy/gateways.md")).unwrap();
    let head = page
        .lines()
        .position(|line| line.starts_with("| in | "))
        .unwrap();
    let mut lines = page.lines().skip(head);
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim_matches('|').split('|');
        inner.map(|cell| cell.trim().to_owned()).collect()
    };
    let dialects = cells(lines.next().unwrap());
    let files: Vec<Vec<String>> = dialects[1..]
        .iter()
        .map(|name| dialect_tests(name))
        .collect();
    let expects = |test: &str, field: &str| {
        let expect = test
            .lines()
            .find(|line| line.starts_with("expect"))
            .unwrap_or_default();
        let sure = [
            format!("{field} = {{"),
            format!("{field} = [{{"),
            format!("{field}."),
        ];
        let set = format!("{field} = ");
        sure.iter().any(|form| expect.contains(form))
            || expect.match_indices(&set).any(|(at, _)| {
                let before = expect[..at].chars().next_back();
                let begins = before.is_none_or(|c| !c.is_alphanumeric() && c != '_');
                begins && !expect[at + set.len()..].starts_with("\"\"")
            })
    };
    let mut count = 0;
    for line in lines.skip(1).take_while(|line| line.starts_with('|')) {
        let row = cells(line);
        let field = row[0].trim_matches('`').to_owned();
        for ((cell, tests), dialect) in row[1..].iter().zip(&files).zip(&dialects[1..]) {
            if cell == "–" {
                let shown = tests.iter().any(|test| expects(test, &field));
                assert!(
                    !shown || field == "text",
                    "{dialect}: {field} is told, and the table says no"
                );
                continue;
            }
            let named = tests
                .iter()
                .find(|test| test.contains(&format!("name = \"{cell}\"\n")));
            let test = named.unwrap_or_else(|| panic!("{dialect}: there is no test \"{cell}\""));
            assert!(
                expects(test, &field),
                "{dialect}: \"{cell}\" does not expect {field}"
            );
            count += 1;
        }
    }
    assert!(count > 70, "only {count} cells");
}

/// What goes out names tests that there are.
#[test]
fn every_kind_that_goes_out_has_its_test() {
    let page = fs::read_to_string(root().join("deploy/gateways.md")).unwrap();
    let head = page
        .lines()
        .position(|line| line.starts_with("| out | "))
        .unwrap();
    let mut count = 0;
    for line in page
        .lines()
        .skip(head + 2)
        .take_while(|line| line.starts_with('|'))
    {
        let mut file = String::new();
        for quoted in line.split('`').skip(1).step_by(2) {
            if quoted.ends_with(".rs") {
                file = fs::read_to_string(root().join(quoted)).expect(quoted);
            } else {
                assert!(
                    file.contains(&format!("fn {quoted}(")),
                    "there is no {quoted}"
                );
                count += 1;
            }
        }
    }
    assert!(count > 10, "only {count} tests");
}
