//! Lists, carousels and times that a customer may choose from, as a text and options: a list on WhatsApp
//! where they fit, else numbered lines.
//!
//! Their fields: <https://github.com/salesforce-misc/interaction-service-apis> (outbound-custom-event-payload.yaml,
//! the same platform's schema of messages).

use handoffd_contract::event::ReplyOption;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};
use serde_json::Value;

use crate::payload::{MAX_LINES, string, title};

/// Minutes by which a place's time can differ from UTC.
const MAX_OFFSET: i64 = 18 * 60;

/// What may be chosen, and what is said with it.
#[derive(Debug, Default)]
pub(crate) struct Picker {
    /// Title, message and whatever the options' titles do not say, a line each.
    pub(crate) lines: Vec<String>,
    pub(crate) options: Vec<ReplyOption>,
}

impl Picker {
    fn say(&mut self, line: Option<String>) {
        let new = line.filter(|line| !self.lines.contains(line));
        self.lines
            .extend(new.filter(|_| self.lines.len() < MAX_LINES));
    }

    fn offer(&mut self, id: &Value, title: String) {
        if self.options.len() < MAX_LINES {
            let id = string(id, "optionIdentifier").unwrap_or_else(|| title.clone());
            self.options.push(ReplyOption { id, title });
        }
    }

    /// What it says, in order.
    pub(crate) fn text(&self) -> Option<String> {
        Some(self.lines.join("\n")).filter(|text| !text.is_empty())
    }
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    let items = value[name].as_array().into_iter().flatten();
    items.take(MAX_LINES)
}

/// A title item's further lines.
fn subtitles(item: &Value) -> Vec<String> {
    let names = ["subTitle", "secondarySubTitle", "tertiarySubTitle"];
    names.iter().filter_map(|name| string(item, name)).collect()
}

/// The address of the picture that an item shows.
fn image(content: &Value, item: &Value) -> Option<String> {
    let id = item["imageId"].as_str()?;
    let shown = list(content, "images").find(|image| image["id"].as_str() == Some(id))?;
    string(shown, "assetUrl")
}

/// `ListPicker`: a title, a message, and options with further lines.
pub(crate) fn of_list(content: &Value) -> Picker {
    let mut picker = Picker::default();
    picker.say(string(content, "title"));
    head(&mut picker, content);
    for item in list(content, "optionItems") {
        let Some(name) = title(item) else { continue };
        let mut more = subtitles(&item["titleItem"]);
        more.extend(image(content, &item["titleItem"]));
        if !more.is_empty() {
            picker.say(Some(format!("• {name}: {}", more.join(", "))));
        }
        picker.offer(item, name);
    }
    picker
}

/// `Carousel`: cards, each with things to choose and links.
pub(crate) fn of_carousel(content: &Value) -> Picker {
    let mut picker = Picker::default();
    picker.say(string(content, "title"));
    let choices = |card: &Value| {
        list(card, "interactionItems")
            .filter(|item| !item["url"].is_string())
            .filter_map(|item| Some((item.clone(), title(item)?)))
            .collect::<Vec<_>>()
    };
    let all: Vec<String> = list(content, "items")
        .flat_map(|card| choices(card).into_iter().map(|(_, name)| name))
        .collect();
    let repeats = |name: &String| all.iter().filter(|other| *other == name).count() > 1;
    for card in list(content, "items") {
        let item = &card["titleItem"];
        let name = title(card);
        let mut more = subtitles(item);
        more.extend(image(content, item));
        picker.say(name.as_ref().map(|name| match more.as_slice() {
            [] => format!("• {name}"),
            more => format!("• {name}: {}", more.join(", ")),
        }));
        for link in list(card, "interactionItems").filter(|item| item["url"].is_string()) {
            let words = [title(link), string(link, "url")];
            let words: Vec<String> = words.into_iter().flatten().collect();
            picker.say(Some(words.join(": ")));
        }
        for (choice, title) in choices(card) {
            // "Buy" under every card says nothing without the card.
            let title = match &name {
                Some(name) if repeats(&title) => format!("{name}: {title}"),
                _ => title,
            };
            picker.offer(&choice, title);
        }
    }
    picker
}

/// `TimePicker`: an event with times, which are shown in the event's own offset.
pub(crate) fn of_times(content: &Value) -> Picker {
    let mut picker = Picker::default();
    let event = &content["calendarEvent"];
    head(&mut picker, content);
    picker.say(string(event, "title"));
    let place = string(&event["location"], "name").or_else(|| title(&event["location"]));
    picker.say(place);
    let minutes = event["timezoneOffset"].as_i64();
    let minutes = minutes.filter(|minutes| minutes.abs() <= MAX_OFFSET);
    if minutes.is_none() {
        picker.say(Some("Times in UTC".to_owned()));
    }
    for slot in list(event, "timeSlotOptionItems") {
        let Some(start) = slot["startTime"].as_str() else {
            continue;
        };
        let lasts = slot["duration"].as_i64().filter(|seconds| *seconds > 0);
        let shown = match start.parse::<Timestamp>() {
            Ok(start) => when(start, minutes.unwrap_or(0), lasts),
            Err(_) => handoffd_contract::text::truncate(start, 40),
        };
        picker.offer(slot, shown);
    }
    picker
}

/// The message that stands over the options.
fn head(picker: &mut Picker, content: &Value) {
    picker.say(string(content, "text"));
    picker.say(title(&content["message"]));
    for more in subtitles(&content["message"]) {
        picker.say(Some(more));
    }
}

/// A time for people, such as `Wed 25 Feb 14:00–15:00`.
fn when(start: Timestamp, minutes: i64, lasts: Option<i64>) -> String {
    let seconds = i32::try_from(minutes * 60).unwrap_or(0);
    let zone = Offset::from_seconds(seconds).map_or(TimeZone::UTC, TimeZone::fixed);
    let begin = start.to_zoned(zone);
    let end = lasts.and_then(|seconds| begin.checked_add(seconds.min(86_400).seconds()).ok());
    let shown = begin.strftime("%a %-d %b %H:%M");
    match end {
        Some(end) => format!("{shown}–{}", end.strftime("%H:%M")),
        None => shown.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn options(picker: &Picker) -> Vec<(&str, &str)> {
        picker
            .options
            .iter()
            .map(|option| (option.id.as_str(), option.title.as_str()))
            .collect()
    }

    fn item(id: &str, title: &str, sub: Option<&str>) -> Value {
        json!({"itemType": "TitleOptionItem", "optionIdentifier": id,
            "titleItem": {"itemType": "TitleItem", "title": title, "subTitle": sub}})
    }

    #[test]
    fn a_list_keeps_its_message_its_options_and_what_they_say_beside_their_title() {
        let picker = of_list(&json!({"formatType": "ListPicker", "title": "Colours",
            "message": {"itemType": "TitleItem", "title": "Which one?", "subTitle": "Pick one"},
            "optionItems": [item("o1", "Red", Some("9 €")), item("o2", "Blue", None), {"bad": 1}]}));
        assert_eq!(options(&picker), [("o1", "Red"), ("o2", "Blue")]);
        let text = picker.text();
        assert_eq!(
            text.as_deref(),
            Some("Colours\nWhich one?\nPick one\n• Red: 9 €")
        );
    }

    #[test]
    fn a_carousel_keeps_its_cards_their_pictures_links_and_choices() {
        let card = |name: &str, id: &str| {
            json!({"titleItem": {"itemType": "TitleImageItem", "title": name, "subTitle": "new", "imageId": "i1"},
                "interactionItems": [item(id, "Buy", None),
                    {"itemType": "TitleLinkItem", "titleItem": {"title": "More"}, "url": "https://x.test/m"}]})
        };
        let picker = of_carousel(&json!({"formatType": "Carousel", "title": "Offers",
            "images": [{"id": "i1", "assetUrl": "https://x.test/r.png"}],
            "items": [card("Red", "o1"), card("Blue", "o2")]}));
        assert_eq!(options(&picker), [("o1", "Red: Buy"), ("o2", "Blue: Buy")]);
        assert_eq!(
            picker.text().as_deref(),
            Some(
                "Offers\n• Red: new, https://x.test/r.png\nMore: https://x.test/m\n• Blue: new, https://x.test/r.png"
            )
        );
    }

    #[test]
    fn times_are_shown_in_the_events_offset() {
        let slots = json!([
            {"itemType": "TimeSlotOptionItem", "optionIdentifier": "t1", "startTime": "2026-02-25T14:00:00Z", "duration": 3600},
            {"optionIdentifier": "t2", "startTime": "tomorrow"}, {"optionIdentifier": "t3"}]);
        let event = |offset: Value| {
            json!({"formatType": "TimePicker", "calendarEvent": {"title": "Visit", "identifier": "e",
                "location": {"name": "Shop"}, "timezoneOffset": offset, "timeSlotOptionItems": slots}})
        };
        let picker = of_times(&event(json!(120)));
        assert_eq!(
            options(&picker),
            [("t1", "Wed 25 Feb 16:00–17:00"), ("t2", "tomorrow")]
        );
        assert_eq!(picker.text().as_deref(), Some("Visit\nShop"));
        let picker = of_times(&event(json!(999_999)));
        assert_eq!(picker.options[0].title, "Wed 25 Feb 14:00–15:00");
        assert_eq!(picker.text().as_deref(), Some("Visit\nShop\nTimes in UTC"));
    }
}
