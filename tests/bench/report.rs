//! Medians, and how the daemon stands to its floors.

use std::collections::BTreeMap;

use crate::contestant::Who;
use crate::measure::Figure;

pub fn name(who: Who) -> &'static str {
    match who {
        Who::Floor => "floor",
        Who::Storing => "storing floor",
        Who::Daemon => "handoffd",
    }
}

/// A table in Markdown, in the order in which the figures came.
pub fn print(figures: &[Figure]) {
    let mut names: Vec<&str> = Vec::new();
    let mut values: BTreeMap<(&str, Who), Vec<f64>> = BTreeMap::new();
    for figure in figures {
        if !names.contains(&figure.name.as_str()) {
            names.push(&figure.name);
        }
        let all = values.entry((&figure.name, figure.who)).or_default();
        all.push(figure.value);
    }
    println!("\n| median | floor | storing floor | handoffd | ÷ floor | ÷ storing floor |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for name in names {
        let [floor, storing, daemon] =
            Who::ALL.map(|who| values.get(&(name, who)).map(|all| median(all)));
        let ratio = |to: Option<f64>| Some(daemon? / to.filter(|to| *to > 0.0)?);
        println!(
            "| {name} | {} | {} | {} | {} | {} |",
            shown(floor),
            shown(storing),
            shown(daemon),
            shown(ratio(floor)),
            shown(ratio(storing))
        );
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn shown(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}
