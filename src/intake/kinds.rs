//! What a message is beside text, files and a place: reactions, quotes, edits, cards, orders, polls.

use handoffd_contract::event::{Choice, Earlier, Order, OrderItem, Poll, Reaction, Referral, Vote};
use handoffd_contract::{Author, Message, text};
use serde_json::Value;

use super::cards::card;
use super::said::{Speaker, speaker};
use super::shape::At;

/// Characters that are kept of the words of an earlier message.
const MAX_EARLIER: usize = 1_000;
/// Options of a poll; WhatsApp has 12.
const MAX_OPTIONS: usize = 50;

/// Puts into a message what it is beside text, files and a place.
pub(super) fn fill(message: &mut Message, at: &At<'_, '_>) {
    let boxed = |name| earlier(&at.field(name)).map(Box::new);
    message.quote = boxed("quote").filter(|quote| **quote != Earlier::default());
    message.edit = boxed("edit");
    message.deletion = boxed("deletion");
    message.reaction = reaction(&at.field("reaction")).map(Box::new);
    message.contacts = items(&at.field("contacts"), at.context().limits.max_attachments)
        .iter()
        .filter_map(card)
        .collect();
    message.choice = choice(&at.field("choice")).map(Box::new);
    message.referral = referral(&at.field("referral")).map(Box::new);
    message.order = order(&at.field("order")).map(Box::new);
    message.poll = poll(&at.field("poll")).map(Box::new);
    message.vote = vote(&at.field("vote")).map(Box::new);
    message.system = at.field("system").label_text();
    message.unsupported = at.field("unsupported").label_text();
}

/// The items of a list, within a limit.
pub(super) fn items<'v, 'q>(at: &'q At<'v, '_>, max: usize) -> Vec<At<'v, 'q>>
where
    'v: 'q,
{
    let mut items = at.list();
    if items.len() > max {
        at.cut(&format!("only the first {max} were taken: send less"));
        items.truncate(max);
    }
    items
}

/// The message that this one is about: an object, or its id alone.
fn earlier(at: &At<'_, '_>) -> Option<Earlier> {
    match at.value()? {
        Value::Object(_) => {}
        Value::String(_) | Value::Number(_) => {
            let message_id = at.id();
            return message_id.is_some().then(|| Earlier {
                message_id,
                ..Earlier::default()
            });
        }
        Value::Bool(true) => return Some(Earlier::default()),
        Value::Bool(false) => return None,
        _ => {
            at.lost("write an object with message_id");
            return None;
        }
    }
    let text = at.field("text").text();
    let text = text.map(|text| text::truncate(&text, MAX_EARLIER));
    let author = match speaker(at) {
        Speaker::Sure(kind) => {
            let author = at.field("author");
            let name = author.object().and_then(|_| author.field("name").text());
            Some(Author { kind, name })
        }
        Speaker::User | Speaker::Unknown => None,
    };
    Some(Earlier {
        message_id: at.field("message_id").id().or_else(|| at.field("id").id()),
        text: text.filter(|text| !text.trim().is_empty()),
        author,
        reply: None,
    })
}

fn reaction(at: &At<'_, '_>) -> Option<Reaction> {
    // An emoji alone is a reaction to a message that nobody names.
    if let Some(Value::String(emoji)) = at.value() {
        return Some(Reaction {
            emoji: Some(text::truncate(emoji, 40)),
            to: Earlier::default(),
        });
    }
    let to = earlier(at)?;
    let emoji = at.field("emoji").label_text();
    Some(Reaction { emoji, to })
}

fn choice(at: &At<'_, '_>) -> Option<Choice> {
    let id = match at.value()? {
        Value::Object(_) => at.field("id").id(),
        _ => at.id(),
    };
    id.map(|id| Choice { id })
}

fn referral(at: &At<'_, '_>) -> Option<Referral> {
    let given = must(at, "write an object with source, headline and url")?;
    let referral = Referral {
        source: given.field("source").label_text(),
        id: given.field("id").id(),
        headline: given.field("headline").text(),
        body: given.field("body").text(),
        url: given.field("url").url(),
    };
    Some(referral).filter(|referral| *referral != Referral::default())
}

fn order(at: &At<'_, '_>) -> Option<Order> {
    let given = must(at, "write an object with items")?;
    let list = given.field("items");
    let list = items(&list, at.context().limits.max_fields);
    Some(Order {
        id: given.field("id").id(),
        items: list.iter().map(item).collect(),
        item_count: count(&given.field("item_count")),
        total: amount(&given.field("total")),
        currency: given.field("currency").label_text(),
    })
}

fn item(at: &At<'_, '_>) -> OrderItem {
    if at.object().is_none() {
        return OrderItem {
            name: at.label_text(),
            ..OrderItem::default()
        };
    }
    OrderItem {
        product_id: at.field("product_id").id(),
        name: at.field("name").label_text(),
        quantity: count(&at.field("quantity")),
        price: amount(&at.field("price")),
        currency: at.field("currency").label_text(),
    }
}

fn poll(at: &At<'_, '_>) -> Option<Poll> {
    if let Some(Value::String(_)) = at.value() {
        return Some(Poll {
            question: at.text(),
            options: Vec::new(),
        });
    }
    let given = must(at, "write an object with question and options")?;
    Some(Poll {
        question: given.field("question").text(),
        options: texts(&given.field("options"), MAX_OPTIONS),
    })
}

fn vote(at: &At<'_, '_>) -> Option<Vote> {
    let given = must(at, "write an object with options")?;
    Some(Vote {
        options: texts(&given.field("options"), MAX_OPTIONS),
        poll: earlier(at).unwrap_or_default(),
    })
}

/// Short texts; of objects, what they are called.
pub(super) fn texts(at: &At<'_, '_>, max: usize) -> Vec<String> {
    let items = items(at, max);
    let texts = items.iter().filter_map(|item| match item.object() {
        None => item.label_text(),
        Some(_) => ["name", "title", "text", "phone", "email", "wa_id"]
            .iter()
            .find_map(|name| item.field(name).label_text()),
    });
    texts.filter(|text| !text.trim().is_empty()).collect()
}

fn must<'v, 'p>(at: &At<'v, 'p>, remedy: &str) -> Option<At<'v, 'p>> {
    if at.given() && at.object().is_none() {
        at.lost(remedy);
    }
    at.object().map(|_| *at)
}

fn count(at: &At<'_, '_>) -> Option<u64> {
    let count = at.integer()?;
    let count = u64::try_from(count).ok();
    if count.is_none() {
        at.lost("write a whole number that is not negative");
    }
    count
}

fn amount(at: &At<'_, '_>) -> Option<f64> {
    if at.is_nothing() {
        return None;
    }
    let amount = at.between(-1e12, 1e12);
    if amount.is_none() {
        at.lost("write an amount as a number");
    }
    amount
}
